//! The source and the sinks: sessions by the agent's own codec, and beyond that as little as can be
//! done.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rutter::bgp::wire::{
    AsWidth, Capability, CodecContext, HEADER_BYTES, Message, Open, Peering, decode,
};
use rutter::types::{Family, HoldTime, RouterId};
use socket2::{Domain, Socket, Type};

use super::device::{AS, Device};
use super::{network, now};

/// Everybody is in one AS.
pub(crate) const CONTEXT: CodecContext = CodecContext {
    as_width: AsWidth::FourOctets,
    peering: Peering::Internal,
    first_as: None,
};

/// Longest that a program may take until it has a session.
const START: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Within a third of the hold time.
const KEEPALIVE: Duration = Duration::from_secs(20);
const HOLD_SECONDS: u16 = 90;

const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;

/// Announces and withdraws, and does not listen.
pub(crate) struct Source {
    sender: std::sync::mpsc::Sender<Vec<u8>>,
}

/// Counts what it is told.
pub(crate) struct Sink {
    number: u8,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Debug, Default)]
struct State {
    counted: Counted,
    at: Option<Instant>,
    /// Why there is no session any more.
    ended: Option<String>,
}

/// Prefixes so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) announced: u32,
    pub(crate) withdrawn: u32,
}

impl Source {
    pub(crate) fn establish(device: &mut Device) -> Result<Self, String> {
        let stream = establish(network::SOURCE, device)?;
        let (sender, receiver) = std::sync::mpsc::channel::<Vec<u8>>();
        let mut reading = stream.try_clone().map_err(|error| error.to_string())?;
        // Whatever comes is thrown away, so that nobody waits for room.
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(1..) | Err(Wait::Later) = read(&mut reading, &mut buffer) {}
        });
        thread::spawn(move || {
            let mut stream = stream;
            loop {
                let octets = match receiver.recv_timeout(KEEPALIVE) {
                    Ok(octets) => octets,
                    Err(std::sync::mpsc::RecvTimeoutError::Timeout) => encoded(&Message::Keepalive),
                    Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                };
                if stream.write_all(&octets).is_err() {
                    return;
                }
            }
        });
        Ok(Self { sender })
    }

    /// Sends messages; returns at once.
    pub(crate) fn send(&mut self, octets: Vec<u8>) {
        // Without a session, the sinks wait in vain, and say so.
        let _ = self.sender.send(octets);
    }
}

impl Sink {
    pub(crate) fn establish(number: u8, device: &mut Device) -> Result<Self, String> {
        let stream = establish(network::sink(number), device)?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            let why = count(stream, &theirs);
            theirs.change(|state| state.ended = Some(why));
        });
        Ok(Self { number, shared })
    }

    /// Waits until it has counted so many; says when that was.
    ///
    /// # Errors
    /// It has not, and why.
    pub(crate) fn wait(
        &self,
        deadline: Instant,
        is_so: impl Fn(Counted) -> bool,
    ) -> Result<Instant, String> {
        let mut state = self.shared.state.lock().expect("nobody panics");
        loop {
            if let (true, Some(at)) = (is_so(state.counted), state.at) {
                return Ok(at);
            }
            let Counted {
                announced,
                withdrawn,
            } = state.counted;
            let number = self.number;
            let so_far = format!("sink {number} has {announced} announced, {withdrawn} withdrawn");
            if let Some(why) = &state.ended {
                return Err(format!("{so_far}, and no session: {why}"));
            }
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() {
                return Err(format!("{so_far} when time was over"));
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.expect("nobody panics").0;
        }
    }

    /// Nothing was told twice, so that who was told all was told each.
    ///
    /// # Errors
    /// More was.
    pub(crate) fn has_exactly(&self, routes: u32) -> Result<(), String> {
        let Counted {
            announced,
            withdrawn,
        } = self.shared.state.lock().expect("nobody panics").counted;
        match (announced == routes, withdrawn) {
            (true, 0) => Ok(()),
            _ => Err(format!(
                "sink {} was told {announced} of {routes}, and {withdrawn} withdrawn",
                self.number
            )),
        }
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("nobody panics"));
        self.changed.notify_all();
    }
}

/// Dials until there is a session.
fn establish(from: Ipv4Addr, device: &mut Device) -> Result<TcpStream, String> {
    let deadline = now() + START;
    loop {
        let why = match try_establish(from, deadline) {
            Ok(stream) => return Ok(stream),
            Err(why) => why,
        };
        device.usage()?;
        if now() > deadline {
            return Err(format!(
                "{from} has no session: {why}; {}",
                device.last_words()
            ));
        }
        thread::sleep(PAUSE);
    }
}

fn try_establish(from: Ipv4Addr, deadline: Instant) -> Result<TcpStream, String> {
    let text = |error: std::io::Error| error.to_string();
    let to = SocketAddr::from((network::DEVICE, 179));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(text)?;
    socket
        .bind(&SocketAddr::from((from, 0)).into())
        .map_err(text)?;
    let patience = Duration::from_secs(2);
    socket.connect_timeout(&to.into(), patience).map_err(text)?;
    let mut stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .map_err(text)?;
    let open = Message::Open(Open {
        asn: AS,
        hold_time: HoldTime::from_secs(HOLD_SECONDS).expect("a hold time"),
        router_id: RouterId::try_from(from).expect("a host's address"),
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4Unicast),
            Capability::FourOctetAsn(AS),
        ],
    });
    stream.write_all(&encoded(&open)).map_err(text)?;
    let mut received = Vec::new();
    let mut is_open = false;
    let mut buffer = [0; 4096];
    loop {
        while let Some((message, size)) =
            decode(&received, CONTEXT).map_err(|error| format!("{error:?}"))?
        {
            received.drain(..size);
            match message {
                Message::Open(_) => {
                    is_open = true;
                    stream
                        .write_all(&encoded(&Message::Keepalive))
                        .map_err(text)?;
                }
                Message::Keepalive if is_open => return Ok(stream),
                other @ (Message::Keepalive
                | Message::Update(_)
                | Message::EndOfRib(_)
                | Message::Notification(_)
                | Message::RouteRefresh(_)
                | Message::RefreshMark(..)
                | Message::ForeignRouteRefresh { .. }) => return Err(format!("{other:?}")),
            }
        }
        // Not a message more than the KEEPALIVE: what is counted comes after it.
        let wanted = HEADER_BYTES.saturating_sub(received.len()).max(1);
        let wanted = message_length(&received).map_or(wanted, |length| length - received.len());
        match read(&mut stream, &mut buffer[..wanted]) {
            Ok(0) => return Err("closed".to_owned()),
            Ok(length) => received.extend_from_slice(&buffer[..length]),
            Err(Wait::Later) if now() > deadline => return Err("no answer".to_owned()),
            Err(Wait::Later) => {}
            Err(Wait::Never(error)) => return Err(text(error)),
        }
    }
}

fn message_length(received: &[u8]) -> Option<usize> {
    let length = received.get(16..18)?;
    Some(usize::from(u16::from_be_bytes([length[0], length[1]])))
}

/// Counts until the session ends; says why it did.
fn count(mut stream: TcpStream, shared: &Shared) -> String {
    let mut buffer = vec![0; 1 << 18];
    let mut filled = 0;
    let mut counted = Counted::default();
    let mut spoken = now();
    loop {
        if now().duration_since(spoken) > KEEPALIVE {
            spoken = now();
            if let Err(error) = stream.write_all(&encoded(&Message::Keepalive)) {
                return error.to_string();
            }
        }
        match read(&mut stream, &mut buffer[filled..]) {
            Ok(0) => return "closed".to_owned(),
            Ok(length) => filled += length,
            Err(Wait::Later) => continue,
            Err(Wait::Never(error)) => return error.to_string(),
        }
        let mut rest = &buffer[..filled];
        let before = (counted.announced, counted.withdrawn);
        while let Some(length) = message_length(rest).filter(|length| *length <= rest.len()) {
            let (message, more) = rest.split_at(length);
            match message[HEADER_BYTES - 1] {
                UPDATE => take_update(&message[HEADER_BYTES..], &mut counted),
                NOTIFICATION => return format!("{:?}", decode(message, CONTEXT)),
                _ => {}
            }
            rest = more;
        }
        let left = rest.len();
        let start = filled - left;
        buffer.copy_within(start..filled, 0);
        filled = left;
        if before != (counted.announced, counted.withdrawn) {
            let at = now();
            shared.change(|state| (state.counted, state.at) = (counted, Some(at)));
        }
    }
}

/// Of IPv4, which all programs write in the message's own fields.
fn take_update(body: &[u8], counted: &mut Counted) {
    let length = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let withdrawn = length(0);
    counted.withdrawn += prefixes(&body[2..2 + withdrawn]);
    let attributes = length(2 + withdrawn);
    counted.announced += prefixes(&body[4 + withdrawn + attributes..]);
}

fn prefixes(mut nlri: &[u8]) -> u32 {
    let mut count = 0;
    while let Some(length) = nlri.first() {
        nlri = &nlri[1 + usize::from(length.div_ceil(8))..];
        count += 1;
    }
    count
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut octets = Vec::new();
    message.encode(CONTEXT, &mut octets);
    octets
}

/// Nothing was read.
enum Wait {
    /// Nothing came within a second.
    Later,
    /// And nothing will.
    Never(std::io::Error),
}

fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, Wait> {
    let for_now = [
        ErrorKind::WouldBlock,
        ErrorKind::TimedOut,
        ErrorKind::Interrupted,
    ];
    let read = stream.read(buffer);
    read.map_err(|error| match for_now.contains(&error.kind()) {
        true => Wait::Later,
        false => Wait::Never(error),
    })
}
