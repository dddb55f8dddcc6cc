//! A BGP peer made by hand, on loopback: what it sends is whatever a test wants.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rutter::bgp::wire::{AsWidth, Capability, CodecContext, Message, Open, Peering, decode};
use rutter::types::{Asn, Family, HoldTime, RouterId};
use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

/// How octets are read and written on external sessions.
pub(crate) const CONTEXT: CodecContext = CodecContext {
    as_width: AsWidth::FourOctets,
    peering: Peering::External,
    first_as: None,
};

/// How long a peer waits for anything before it looks whether it is to end.
const POLL: Duration = Duration::from_millis(100);

/// Dials from an address.
///
/// # Errors
/// Nobody listens, or the listener does not want it.
pub(crate) fn dial(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(5))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(POLL))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// A message's octets.
pub(crate) fn octets(message: &Message) -> Vec<u8> {
    let mut octets = Vec::new();
    message.encode(CONTEXT, &mut octets);
    octets
}

/// An OPEN that an agent accepts from a peer of this AS.
pub(crate) fn open(asn: u32, address: IpAddr, hold_time: u16) -> Message {
    let IpAddr::V4(address) = address else {
        panic!("{address} makes no router id");
    };
    // A loopback address is none that everybody takes.
    let [_, a, b, c] = address.octets();
    let mut capabilities: Vec<_> = Family::ALL.map(Capability::Multiprotocol).into();
    capabilities.push(Capability::FourOctetAsn(Asn(asn)));
    Message::Open(Open {
        asn: Asn(asn),
        hold_time: HoldTime::from_secs(hold_time).unwrap(),
        router_id: RouterId::try_from(Ipv4Addr::new(10, a, b, c)).unwrap(),
        capabilities,
    })
}

/// Dials, and establishes a session.
///
/// # Errors
/// It does not come about.
pub(crate) fn establish(
    asn: u32,
    from: IpAddr,
    to: SocketAddr,
    hold_time: u16,
) -> io::Result<TcpStream> {
    let mut stream = dial(from, to)?;
    stream.write_all(&octets(&open(asn, from, hold_time)))?;
    stream.write_all(&octets(&Message::Keepalive))?;
    let mut received = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    // Their OPEN and their KEEPALIVE.
    while message_count(&received) < 2 {
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        read_some(&mut stream, &mut received)?;
    }
    Ok(stream)
}

/// Reads what there is, if anything comes soon.
///
/// # Errors
/// The connection is over.
pub(crate) fn read_some(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = vec![0; 64 * 1024];
    match stream.read(&mut buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(length) => {
            received.extend_from_slice(&buffer[..length]);
            Ok(length)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}

fn message_count(received: &[u8]) -> usize {
    let (mut rest, mut count) = (received, 0);
    while let Ok(Some((_, size))) = decode(rest, CONTEXT) {
        rest = &rest[size..];
        count += 1;
    }
    count
}

/// A peer that does nothing wrong: it dials until it has a session, sends a KEEPALIVE twice a
/// second, and notes how it is treated.
pub(crate) struct HonestPeer {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<Treatment>>,
}

/// How a peer was treated.
#[derive(Clone, Debug, Default)]
pub(crate) struct Treatment {
    /// Sessions that came up.
    pub(crate) sessions: u32,
    /// The longest time without a message from the agent while there was a session.
    pub(crate) longest_silence: Duration,
    /// UPDATEs and the like that it was sent.
    pub(crate) octets_received: usize,
}

impl HonestPeer {
    /// Starts one; it is of AS `asn`, at `from`.
    pub(crate) fn start(asn: u32, from: IpAddr, to: SocketAddr, hold_time: u16) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ending);
        let thread = thread::spawn(move || {
            let mut treatment = Treatment::default();
            while !end.load(Ordering::Relaxed) {
                match establish(asn, from, to, hold_time) {
                    Ok(stream) => {
                        treatment.sessions += 1;
                        treatment.attend(stream, &end);
                    }
                    Err(_) => thread::sleep(POLL),
                }
            }
            treatment
        });
        Self {
            ending,
            thread: Some(thread),
        }
    }

    /// Ends it.
    pub(crate) fn end(mut self) -> Treatment {
        self.ending.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for HonestPeer {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
    }
}

impl Treatment {
    fn attend(&mut self, mut stream: TcpStream, end: &AtomicBool) {
        let (mut heard, mut spoke) = (Instant::now(), Instant::now());
        let mut received = Vec::new();
        while !end.load(Ordering::Relaxed) {
            let read = read_some(&mut stream, &mut received);
            let now = Instant::now();
            self.longest_silence = self.longest_silence.max(now - heard);
            match read {
                Ok(0) => {}
                Ok(length) => {
                    heard = now;
                    self.octets_received += length;
                    received.clear();
                }
                Err(_) => return,
            }
            if now - spoke > POLL * 5 {
                spoke = now;
                if stream.write_all(&octets(&Message::Keepalive)).is_err() {
                    return;
                }
            }
        }
    }
}
