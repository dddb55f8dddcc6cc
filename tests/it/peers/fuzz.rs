//! Octets by chance, over TCP, at the real program: streams of OPEN, UPDATE, KEEPALIVE, NOTIFICATION
//! and ROUTE-REFRESH, made well and then spoilt, cut at odd places. Beside them are honest peers,
//! whose sessions must not notice.
//!
//! `RUTTER_TEST_FUZZ_SECONDS` says for how long (60 by default), `RUTTER_TEST_SEED` with which
//! seed; what arrives in which order between connections, the seed does not decide.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rutter::bgp::Random;
use rutter::bgp::wire::Message;
use tokio::time::Instant;

use super::Scene;
use crate::support::peer::{dial, octets, open, read_some};
use crate::support::wait::eventually;

/// Peers that are nothing but addresses to send nonsense from: each is soon in a pause.
const ADDRESSES: u64 = 600;
const ASN: u32 = 65_200;
const WORKERS: u64 = 4;
/// UPDATEs of a session that outlives what is sent on it.
const ROUNDS_MAX: u64 = 60;
const HOLD_TIME: u16 = 9;
/// Most of it is what the sessions of the moment have announced.
const MEMORY_MAX: u64 = 64 << 20;

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    refused: AtomicU64,
    octets: AtomicU64,
}

#[test]
fn nonsense_over_tcp_ends_no_session_but_its_own() {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().expect("a number"))
    };
    let seconds = number("RUTTER_TEST_FUZZ_SECONDS").unwrap_or(60);
    let seed = number("RUTTER_TEST_SEED").unwrap_or_else(|| std::process::id().into());
    println!("RUTTER_TEST_SEED={seed} RUTTER_TEST_FUZZ_SECONDS={seconds}");
    let scene = Scene::start(9, HOLD_TIME, &["one", "two"], &nonsense_peers());
    let honest = [1, 2].map(|number| scene.honest(number, HOLD_TIME));
    eventually(super::LIMIT, || {
        scene.is_established("one")?;
        scene.is_established("two")
    });
    let before = scene.agent.memory();
    let counts = Arc::new(Counts::default());
    let end = Instant::now() + Duration::from_secs(seconds);
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (to, counts) = (scene.at, Arc::clone(&counts));
            let random = Random::new(seed.wrapping_mul(WORKERS).wrapping_add(worker));
            thread::spawn(move || Nonsense { random, to }.send_until(end, worker, &counts))
        })
        .collect();
    while Instant::now() < end {
        is_healthy(&scene).unwrap();
        thread::sleep(Duration::from_millis(500));
    }
    for worker in workers {
        worker.join().unwrap();
    }
    is_healthy(&scene).unwrap();
    let after = scene.agent.memory();
    let status = scene.agent.status().unwrap();
    let established: u64 = status.peers.iter().map(|peer| peer.established_count).sum();
    let treated = honest.map(|peer| peer.end());
    println!(
        "{} connections, {} refused, {} octets, {established} sessions; resident {} KiB before, \
         {} KiB after, peak {} KiB; longest silence {:?}",
        counts.connections.load(Ordering::Relaxed),
        counts.refused.load(Ordering::Relaxed),
        counts.octets.load(Ordering::Relaxed),
        before.resident >> 10,
        after.resident >> 10,
        after.peak >> 10,
        treated.each_ref().map(|peer| peer.longest_silence),
    );
    assert!(established > 20, "few sessions were spoilt: {established}");
    let hold_time = Duration::from_secs(HOLD_TIME.into());
    for peer in &treated {
        assert_eq!(peer.sessions, 1, "{peer:?}");
        assert!(peer.longest_silence < hold_time, "{peer:?}");
    }
    assert!(after.peak < before.resident + MEMORY_MAX, "{after:?}");
    assert!(!scene.agent.log().contains("panicked"));
}

/// One group, so that policies are asked once for all of them.
fn nonsense_peers() -> String {
    let mut text = String::new();
    for number in 0..ADDRESSES {
        let address = address(number);
        let _ = write!(
            text,
            "[[peers]]\naddress = '{address}'\nasn = {ASN}\npassive = true\ngroup = 'nonsense'\n"
        );
    }
    text
}

fn address(number: u64) -> IpAddr {
    let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 10, high, low).into()
}

fn is_healthy(scene: &Scene) -> Result<(), String> {
    match scene.get("/healthz")? {
        answer if answer.contains(" 200 ") => Ok(()),
        answer => Err(format!("/healthz: {answer}")),
    }
}

/// One source of nonsense.
struct Nonsense {
    random: Random,
    to: SocketAddr,
}

impl Nonsense {
    fn send_until(mut self, end: Instant, worker: u64, counts: &Counts) {
        // Each has addresses of its own, and comes back to one when its pause may be over.
        let mut next = worker;
        while Instant::now() < end {
            let from = address(next);
            next = (next + WORKERS) % ADDRESSES;
            let Ok(stream) = dial(from, self.to) else {
                counts.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            counts.connections.fetch_add(1, Ordering::Relaxed);
            self.spoil(stream, from, counts);
        }
    }

    /// Sends until the other end has had enough, or there is enough.
    fn spoil(&mut self, mut stream: TcpStream, from: IpAddr, counts: &Counts) {
        let mut opening = octets(&open(ASN, from, HOLD_TIME));
        opening.extend(octets(&Message::Keepalive));
        if self.one_in(4) {
            self.mutate(&mut opening);
        }
        if !self.send(&mut stream, &opening, counts) {
            return;
        }
        for _ in 0..self.below(ROUNDS_MAX) {
            let mut batch = Vec::new();
            for _ in 0..1 + self.below(20) {
                let mut message = self.message();
                if self.one_in(40) {
                    self.mutate(&mut message);
                }
                batch.extend(message);
            }
            if !self.send(&mut stream, &batch, counts) {
                return;
            }
        }
        let mut received = Vec::new();
        // With or without a look at the answer: the kernel resets what is left unread.
        if self.one_in(2) {
            let _ = read_some(&mut stream, &mut received);
        }
    }

    /// Sends in pieces; whether the connection is still there.
    fn send(&mut self, stream: &mut TcpStream, octets: &[u8], counts: &Counts) -> bool {
        let mut rest = octets;
        while !rest.is_empty() {
            let size = match self.below(3) {
                0 => 1 + self.below(20),
                1 => 1 + self.below(300),
                _ => 1 + self.below(8000),
            };
            let (piece, after) = rest.split_at(rest.len().min(usize::try_from(size).unwrap()));
            if stream.write_all(piece).is_err() {
                return false;
            }
            let sent = u64::try_from(piece.len()).unwrap();
            counts.octets.fetch_add(sent, Ordering::Relaxed);
            rest = after;
        }
        true
    }

    /// A message with a header that fits.
    fn message(&mut self) -> Vec<u8> {
        let (kind, body) = match self.below(100) {
            0..90 => (2, self.update()),
            90..95 => (4, Vec::new()),
            95 => (1, self.some_octets(60)),
            96 => (3, self.some_octets(40)),
            97..99 => (5, vec![0, self.octet(), self.octet(), self.octet()]),
            _ => (self.octet(), self.some_octets(60)),
        };
        let mut message = vec![0xFF; 16];
        let length = u16::try_from(19 + body.len()).unwrap();
        message.extend(length.to_be_bytes());
        message.push(kind);
        message.extend(body);
        message
    }

    fn update(&mut self) -> Vec<u8> {
        let mut attributes = Vec::new();
        let well_known: [(u8, Vec<u8>); 3] = [
            (1, vec![0]),
            (2, vec![2, 1, 0, 0, 0xFE, 0xB0]),
            (3, vec![127, 10, 0, 1]),
        ];
        for (code, value) in well_known {
            if !self.one_in(12) {
                self.attribute(0x40, code, value, &mut attributes);
            }
        }
        for _ in 0..self.below(5) {
            let code = match self.below(8) {
                0 => self.octet(),
                _ => [4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 32, 35][self.index(14)],
            };
            let value = self.value(code);
            let flags = match self.below(10) {
                0 => self.octet() & 0xE0,
                _ if matches!(code, 5 | 6) => 0x40,
                _ if matches!(code, 7 | 8 | 16 | 17 | 18 | 32 | 35) => 0xC0,
                _ => 0x80,
            };
            self.attribute(flags, code, value, &mut attributes);
        }
        let withdrawn = match self.below(4) {
            0 => self.prefixes(),
            _ => Vec::new(),
        };
        let mut body = Vec::new();
        for part in [&withdrawn, &attributes] {
            let length = u16::try_from(part.len()).unwrap();
            body.extend(length.to_be_bytes());
            body.extend(part);
        }
        body.extend(self.prefixes());
        body
    }

    fn attribute(&mut self, flags: u8, code: u8, mut value: Vec<u8>, out: &mut Vec<u8>) {
        if self.one_in(20) {
            let size = self.below(30);
            value.resize(usize::try_from(size).unwrap(), 7);
        }
        let length = u16::try_from(value.len()).unwrap();
        if length > 255 || self.one_in(6) {
            out.extend([flags | 0x10, code]);
            out.extend(length.to_be_bytes());
        } else {
            out.extend([flags & !0x10, code, value.len().to_be_bytes()[7]]);
        }
        out.extend(value);
    }

    /// A value that may be one of this attribute.
    fn value(&mut self, code: u8) -> Vec<u8> {
        let mut value = match code {
            4 | 5 | 9 => self.octets(4),
            6 => Vec::new(),
            7 | 16 | 18 => self.octets(8),
            8 | 10 => {
                let count = 4 * self.below(6);
                self.octets(count)
            }
            17 => vec![2, 1, 0, 0, 0, 9],
            32 => self.octets(12),
            14 => {
                let mut value = vec![0, 2, 1, 16];
                value.extend(self.octets(16));
                value.push(0);
                value
            }
            15 => vec![0, 2, 1],
            _ => return self.some_octets(40),
        };
        if matches!(code, 14 | 15) {
            for _ in 0..self.below(4) {
                value.push(64);
                value.extend([0x20, 1, 0x0D, 0xB8, 0]);
                value.extend(self.octets(3));
            }
        }
        value
    }

    fn prefixes(&mut self) -> Vec<u8> {
        let mut prefixes = Vec::new();
        for _ in 0..self.below(6) {
            prefixes.extend([24, 10]);
            prefixes.extend(self.octets(2));
        }
        if self.one_in(30) {
            prefixes.extend(self.some_octets(6));
        }
        prefixes
    }

    /// Bits turned, octets lost, doubled or replaced.
    fn mutate(&mut self, octets: &mut Vec<u8>) {
        for _ in 0..1 + self.below(3) {
            if octets.is_empty() {
                return;
            }
            let at = self.index(octets.len());
            match self.below(5) {
                0 => octets[at] ^= 1 << self.below(8),
                1 => octets[at] = [0, 1, 0x7F, 0x80, 0xFF][self.index(5)],
                2 => octets.truncate(at),
                3 => {
                    let end = at + self.index(octets.len() - at);
                    octets.drain(at..end);
                }
                _ => {
                    let end = at + self.index(octets.len() - at).min(64);
                    let copy = octets[at..end].to_vec();
                    octets.splice(at..at, copy);
                }
            }
        }
    }

    fn some_octets(&mut self, most: u64) -> Vec<u8> {
        let count = self.below(most);
        self.octets(count)
    }

    fn octets(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.octet()).collect()
    }

    fn octet(&mut self) -> u8 {
        self.random.next_u64().to_be_bytes()[0]
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn index(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).unwrap();
        usize::try_from(self.below(length)).unwrap()
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }
}
