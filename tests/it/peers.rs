//! The program among peers that do what they should not, on loopback: whoever errs over and over
//! is kept out for a while, whoever is not expected costs nothing, and nobody else notices.

mod fuzz;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rutter::api::{PeerStatus, Status};
use rutter::bgp::wire::Message;
use tokio::time::Instant;

use crate::support::peer::{HonestPeer, dial, establish, octets, read_some};
use crate::support::process::Signal;
use crate::support::solo::{LIMIT, Solo};
use crate::support::wait::{contains, equal, eventually, throughout};

const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: a}\n\
    spec: {podCIDRs: ['10.244.0.0/24']}\n\
    status:\n  addresses:\n    - {type: InternalIP, address: 10.0.0.1}\n\
    \x20 conditions:\n    - {type: Ready, status: 'True'}\n";

/// A message whose attributes are longer than it is (RFC 4271 section 6.3).
const MALFORMED_UPDATE: [u8; 27] = [
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 27, 2, 0, 0,
    0, 4, 0x40, 1, 0x20, 0,
];

/// The agent of a test is at `127.0.54.TEST`, its peers at `127.TEST.0.1` and so on.
struct Scene {
    agent: Solo,
    at: SocketAddr,
    /// Where it tells of its health.
    health: SocketAddr,
    test: u8,
}

impl Scene {
    /// An agent with passive peers by these names; `more` is said of the first one.
    fn start(test: u8, hold_time: u16, peers: &[&str], more: &str) -> Self {
        let listen = Ipv4Addr::new(127, 0, 54, test);
        // Free a moment ago, and nobody else's on this loopback address.
        let free = [0, 0].map(|port| TcpListener::bind((listen, port)).unwrap());
        let [at, health] = free.map(|listener| listener.local_addr().unwrap());
        let mut config = format!(
            "source = 'files'\nfiles = 'manifests'\n\
             [bgp]\nasn = 65001\nlisten = ['{at}']\nhold-time = '{hold_time}s'\n\
             [policy]\ncompile-cache = 'off'\n\
             [api]\nsocket = 'rutter.sock'\nmetrics = '{health}'\n"
        );
        for (name, number) in peers.iter().zip(1..) {
            let address = address(test, number);
            let asn = asn(number);
            config += &format!(
                "[[peers]]\nname = '{name}'\naddress = '{address}'\nasn = {asn}\npassive = true\n"
            );
            if number == 1 {
                config += more;
            }
        }
        let agent = Solo::start("a", NODE, &config);
        agent.until_ready();
        Self {
            agent,
            at,
            health,
            test,
        }
    }

    fn address(&self, number: u8) -> IpAddr {
        address(self.test, number)
    }

    fn honest(&self, number: u8, hold_time: u16) -> HonestPeer {
        HonestPeer::start(asn(number), self.address(number), self.at, hold_time)
    }

    fn establish(&self, number: u8, hold_time: u16) -> std::io::Result<TcpStream> {
        establish(asn(number), self.address(number), self.at, hold_time)
    }

    /// What it answers over HTTP, header and body.
    fn get(&self, path: &str) -> Result<String, String> {
        let ask = || {
            let mut stream = TcpStream::connect(self.health)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(answer)
        };
        ask().map_err(|error| format!("{path}: {error}"))
    }

    fn peer(&self, name: &str) -> Result<PeerStatus, String> {
        let Status { peers, .. } = self.agent.status()?;
        let mut found = peers.into_iter().filter(|peer| peer.name == name);
        found.next().ok_or(format!("no peer {name}"))
    }

    fn is_established(&self, name: &str) -> Result<(), String> {
        equal(self.peer(name)?.state.as_str(), "Established")
    }
}

fn address(test: u8, number: u8) -> IpAddr {
    Ipv4Addr::new(127, test, 0, number).into()
}

fn asn(number: u8) -> u32 {
    65_100 + u32::from(number)
}

#[test]
fn a_peer_that_dials_errs_and_dials_again_is_kept_out_ever_longer() {
    let scene = Scene::start(1, 90, &["bad", "good"], "");
    let good = scene.honest(2, 90);
    eventually(LIMIT, || scene.is_established("good"));
    let end = Instant::now() + Duration::from_secs(8);
    let (mut sessions, mut dials) = (0, 0);
    while Instant::now() < end {
        dials += 1;
        if let Ok(mut stream) = scene.establish(1, 90) {
            sessions += 1;
            stream.write_all(&MALFORMED_UPDATE).unwrap();
            let mut received = Vec::new();
            while read_some(&mut stream, &mut received).is_ok() {}
        }
    }
    println!("{dials} dials in 8 s gave {sessions} sessions");
    // Pauses of 1, 2 and 4 s, less up to a quarter of jitter, leave room for four or five.
    assert!((3..=5).contains(&sessions), "{sessions} sessions");
    let bad = scene.peer("bad").unwrap();
    assert_eq!(bad.record.resets, sessions);
    assert_eq!(u64::from(bad.record.ends_in_a_row), sessions);
    let [sent] = &bad.record.notifications_sent[..] else {
        panic!("{bad:?}");
    };
    assert_eq!(
        (sent.code.as_str(), sent.subcode.as_str(), sent.count),
        ("UPDATE Message Error", "Malformed Attribute List", sessions)
    );
    let text = scene.agent.rutter(&["status"]);
    contains(&text, "left alone until").unwrap();
    contains(&text, "UPDATE Message Error/Malformed Attribute List").unwrap();
    let log = scene.agent.log();
    let lines = log.lines().filter(|line| line.contains("bad")).count();
    assert!(lines < 20, "{log}");
    assert_eq!(good.end().sessions, 1);
}

#[test]
fn strangers_cost_next_to_nothing_and_keep_no_peer_out() {
    let scene = Scene::start(2, 9, &["good", "late"], "");
    let good = scene.honest(1, 9);
    eventually(LIMIT, || scene.is_established("good"));
    let before = scene.agent.memory();
    let (over, dialled) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let floods: Vec<_> = (0..4)
        .map(|number| {
            let (over, dialled) = (Arc::clone(&over), Arc::clone(&dialled));
            let (from, to) = (scene.address(100 + number), scene.at);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    // Refused in the middle of it, as a rule.
                    let _ = dial(from, to);
                    dialled.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let enough = Duration::from_secs(60);
    eventually(enough, || match dialled.load(Ordering::Relaxed) {
        50_000.. => Ok(()),
        few => Err(format!("{few} dials")),
    });
    // Who is expected gets in while the flood goes on.
    let late = scene.honest(2, 9);
    eventually(LIMIT, || scene.is_established("late"));
    over.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.join().unwrap();
    }
    let after = scene.agent.memory();
    let (good, late) = (good.end(), late.end());
    println!(
        "{} strangers: resident {} KiB before, {} KiB after, peak {} KiB; silence {:?}, {:?}",
        dialled.load(Ordering::Relaxed),
        before.resident >> 10,
        after.resident >> 10,
        after.peak >> 10,
        good.longest_silence,
        late.longest_silence,
    );
    // Half of what tasks and buffers for so many would have taken, here and without haste.
    assert!(after.peak < before.resident + (8 << 20), "{after:?}");
    let metrics = scene.get("/metrics").unwrap();
    let counted = "rutter_bgp_connections_refused_total{why=\"stranger\"} ";
    let counted = metrics.lines().find_map(|line| line.strip_prefix(counted));
    let counted: u64 = counted.unwrap().parse().unwrap();
    // A dial may be given up before it is looked at.
    assert!(counted > 45_000, "{counted}");
    assert_eq!((good.sessions, late.sessions), (1, 1));
    let log = scene.agent.log();
    let told = log.matches("refused a connection").count();
    assert!((1..=3).contains(&told), "{log}");
}

#[test]
fn input_that_came_while_the_agent_was_stopped_saves_the_session() {
    // Neither end's hold timer permits less than this.
    let scene = Scene::start(3, 3, &["speaking", "silent"], "");
    let speaking = scene.honest(1, 3);
    let silent = scene.establish(2, 3).unwrap();
    eventually(LIMIT, || scene.is_established("speaking"));
    scene.agent.process().signal(Signal::Stop);
    // Longer than the hold time; nothing happens that could be waited for.
    throughout(Duration::from_secs(5), || Ok(()));
    scene.agent.process().signal(Signal::Continue);
    eventually(LIMIT, || {
        let reason = scene.peer("silent")?.last_error.unwrap_or_default();
        contains(&reason, "hold timer expired")
    });
    throughout(Duration::from_secs(4), || scene.is_established("speaking"));
    assert_eq!(scene.peer("speaking").unwrap().established_count, 1);
    drop(silent);
    assert_eq!(speaking.end().sessions, 1);
}

/// One with a file that is of no use, each in its own way, and one without.
#[test]
fn a_key_that_cannot_be_had_keeps_its_peer_out_and_nobody_else() {
    let useless = [None, Some(Vec::new()), Some(vec![b'k'; 81])];
    for (test, useless) in (5..).zip(useless) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tor.key");
        if let Some(octets) = &useless {
            fs::write(&file, octets).unwrap();
        }
        let more = format!("password-file = {file:?}\n");
        let scene = Scene::start(test, 90, &["tor", "plain"], &more);
        let plain = scene.honest(2, 90);
        eventually(LIMIT, || scene.is_established("plain"));
        // Unsigned, which is what a key is against.
        scene.establish(1, 90).unwrap_err();
        let tor = scene.peer("tor").unwrap();
        let error = tor.last_error.unwrap();
        let named = format!("password-file {} of peer `tor`", file.display());
        contains(&error, &named).unwrap();
        assert_eq!((tor.state.as_str(), tor.established_count), ("Idle", 0));
        contains(&scene.agent.log(), &named).unwrap();
        contains(&scene.agent.rutter(&["status"]), &named).unwrap();

        fs::write(&file, "a key\n").unwrap();
        eventually(LIMIT, || equal(scene.peer("tor")?.last_error, None));
        let state = scene.peer("tor").unwrap().state;
        assert_eq!(state, "Active", "it may dial");
        scene.establish(1, 90).unwrap_err();
        assert_eq!(scene.peer("tor").unwrap().established_count, 0);
        assert_eq!(plain.end().sessions, 1);
    }
}

#[test]
fn a_peer_whose_families_are_fewer_is_shown() {
    let scene = Scene::start(4, 90, &["old"], "");
    let mut stream = dial(scene.address(1), scene.at).unwrap();
    let Message::Open(mut open) = crate::support::peer::open(asn(1), scene.address(1), 90) else {
        panic!("no OPEN");
    };
    open.capabilities.remove(1);
    stream.write_all(&octets(&Message::Open(open))).unwrap();
    stream.write_all(&octets(&Message::Keepalive)).unwrap();
    eventually(LIMIT, || scene.is_established("old"));
    let text = scene.agent.rutter(&["status"]);
    contains(&text, "the peer carries no ipv6-unicast routes").unwrap();
}
