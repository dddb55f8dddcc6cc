//! A network of speakers in memory: TCP as a speaker's driver sees it, with the faults a test
//! asks for. Used by the simulation, and in perfect condition by the speaker's unit tests.
//!
//! Octets arrive in order, once, in pieces of any size, or the connection breaks. A run is a
//! function of the seed, the conditions and what the test does.

#[path = "old_speaker.rs"]
mod old_speaker;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rutter::bgp::Random;
use rutter::bgp::wire::{self, AsWidth, CodecContext, Message, Peering};
use rutter::speaker::{ConnectionId, Event, Input, Output, PeerView, SessionState, Speaker};
use rutter::types::{PeerId, Prefix};

/// A speaker's place in the network.
pub(super) type HostId = usize;

/// How the network treats what it carries.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    /// The least and the most time a segment takes.
    pub(super) latency: (Duration, Duration),
    /// Most octets of a segment; pieces of one to as many are drawn.
    pub(super) segment_bytes_max: usize,
    /// Out of 100 closes, how many destroy what the other end has not read yet (as a reset does
    /// that answers data for a closed socket).
    pub(super) lossy_closes: u64,
}

impl Conditions {
    /// A millisecond, and every write arrives whole.
    pub(super) fn perfect() -> Self {
        Self {
            latency: (Duration::from_millis(1), Duration::from_millis(1)),
            segment_bytes_max: usize::MAX,
            lossy_closes: 0,
        }
    }
}

/// One speaker and what was seen of it.
pub(super) struct Host {
    pub(super) speaker: Speaker,
    pub(super) address: IpAddr,
    /// Whether dials are accepted; refused otherwise.
    pub(super) listening: bool,
    /// Whether the kernel takes octets from the speaker.
    pub(super) writable: bool,
    pub(super) events: Vec<(Instant, Event)>,
    /// Most octets ever handed over and not yet taken, on any connection.
    pub(super) backlog_bytes_max: usize,
    /// Prefixes whose best paths changed, by its own account, and nobody looked at since.
    pub(super) changed: BTreeSet<Prefix>,
    /// Whether anything happened to it since somebody looked.
    pub(super) stirred: bool,
}

/// A message that a speaker handed over.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) from: HostId,
    pub(super) to: HostId,
    pub(super) message: Message,
}

struct Pipe {
    ends: [End; 2],
}

/// One end of a TCP connection.
struct End {
    host: HostId,
    /// None at the end that was not accepted yet.
    connection: Option<ConnectionId>,
    /// Whether its speaker still wants to hear of it.
    open: bool,
    /// What is on its way to it.
    inbox: VecDeque<(Instant, Parcel)>,
    /// When the last parcel on its way arrives: later ones do not overtake it.
    last_arrival: Instant,
    /// Handed over, not yet taken by the kernel.
    backlog: VecDeque<Write>,
    /// Octets sent by its speaker that make no whole message yet.
    undecoded: Vec<u8>,
}

struct Write {
    octets: Vec<u8>,
    author: Author,
}

/// Who made some octets: a speaker is told of the fate of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Author {
    Speaker,
    /// See [`Network::interject`].
    Scenario,
}

enum Parcel {
    Octets(Vec<u8>),
    Fin,
}

enum Happening {
    Syn(usize),
    Connected(usize),
    Refused(usize),
    Deliver(usize, usize),
    Taken(usize, usize),
    Reset(usize, usize),
}

pub(super) struct Network {
    pub(super) now: Instant,
    pub(super) hosts: Vec<Host>,
    pub(super) sent: Vec<Sent>,
    conditions: Conditions,
    random: Random,
    pipes: Vec<Pipe>,
    agenda: BTreeMap<(Instant, u64), Happening>,
    sequence: u64,
    /// Pairs of hosts between which nothing passes for now; connections stay.
    blackholes: BTreeSet<(HostId, HostId)>,
    /// Pairs of hosts of which one knows AS numbers of two octets only, the lower first.
    two_octets: BTreeSet<(HostId, HostId)>,
}

#[expect(clippy::disallowed_methods, reason = "a run needs some first instant")]
pub(super) fn epoch() -> Instant {
    Instant::now()
}

impl Network {
    pub(super) fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            now: epoch(),
            hosts: Vec::new(),
            sent: Vec::new(),
            conditions,
            random: Random::new(seed),
            pipes: Vec::new(),
            agenda: BTreeMap::new(),
            sequence: 0,
            blackholes: BTreeSet::new(),
            two_octets: BTreeSet::new(),
        }
    }

    pub(super) fn add(&mut self, speaker: Speaker, address: IpAddr) -> HostId {
        self.hosts.push(Host {
            speaker,
            address,
            listening: true,
            writable: true,
            events: Vec::new(),
            backlog_bytes_max: 0,
            changed: BTreeSet::new(),
            stirred: false,
        });
        self.hosts.len() - 1
    }

    /// Feeds one input and drains.
    pub(super) fn input(&mut self, host: HostId, input: Input) {
        self.input_without_draining(host, input);
        self.drain(host);
    }

    /// Feeds one input and leaves what comes of it for later.
    pub(super) fn input_without_draining(&mut self, host: HostId, input: Input) {
        self.hosts[host].stirred = true;
        self.hosts[host].speaker.handle_input(self.now, input);
    }

    /// The host's process ends without a word and this one takes its place, with nothing: what the
    /// kernel had taken of the old one still arrives, and then the end of each connection.
    pub(super) fn replace(&mut self, host: HostId, speaker: Speaker) {
        let one = &mut self.hosts[host];
        one.speaker = speaker;
        one.events.clear();
        one.changed.clear();
        one.stirred = true;
        for pipe in 0..self.pipes.len() {
            for end in 0..2 {
                let one = &mut self.pipes[pipe].ends[end];
                if one.host != host {
                    continue;
                }
                let was_open = std::mem::take(&mut one.open);
                one.connection = None;
                one.backlog.clear();
                one.undecoded.clear();
                if was_open && self.pipes[pipe].ends[1 - end].connection.is_some() {
                    self.post(pipe, 1 - end, Parcel::Fin);
                }
            }
        }
    }

    /// Lets everything happen that happens within this time.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets things happen until a condition holds; panics if it does not within this time.
    pub(super) fn run_until(
        &mut self,
        time: Duration,
        what: &str,
        mut holds: impl FnMut(&Self) -> bool,
    ) {
        let end = self.now + time;
        while !holds(self) {
            assert!(self.step(end), "not within {time:?}: {what}");
        }
    }

    /// Breaks every connection between two hosts; each end notices in its own time.
    pub(super) fn cut(&mut self, one: HostId, other: HostId) {
        for pipe in self.pipes_between(one, other) {
            for end in 0..2 {
                let at = self.now + self.latency();
                self.schedule(at, Happening::Reset(pipe, end));
            }
        }
    }

    /// From now on nothing passes between two hosts, and nobody is told.
    pub(super) fn blackhole(&mut self, one: HostId, other: HostId) {
        self.blackholes.insert((one.min(other), one.max(other)));
    }

    /// What was held back arrives after all: TCP repeats it.
    pub(super) fn restore(&mut self, one: HostId, other: HostId) {
        self.blackholes.remove(&(one.min(other), one.max(other)));
        for pipe in self.pipes_between(one, other) {
            for end in 0..2 {
                self.schedule(self.now, Happening::Deliver(pipe, end));
                self.schedule(self.now, Happening::Taken(pipe, end));
            }
        }
    }

    /// The kernel of this host takes octets again.
    pub(super) fn set_writable(&mut self, host: HostId) {
        self.hosts[host].writable = true;
        for pipe in 0..self.pipes.len() {
            for end in 0..2 {
                self.schedule(self.now, Happening::Taken(pipe, end));
            }
        }
    }

    /// From now on the two speak AS numbers of two octets with each other (RFC 6793).
    pub(super) fn speak_two_octets(&mut self, one: HostId, other: HostId) {
        self.two_octets.insert(pair(one, other));
    }

    /// Sends a message that the speaker has no reason for, as another implementation might; only
    /// where it has a session. Whether it had.
    pub(super) fn interject(&mut self, from: HostId, to: HostId, message: &Message) -> bool {
        let is_up =
            |peer: PeerView| peer.id == peer_id(to) && peer.state == SessionState::Established;
        if !self.hosts[from].speaker.peers().any(is_up) {
            return false;
        }
        // An established session has no second connection beside it.
        let Some((pipe, end)) = self.pipes_between(from, to).into_iter().find_map(|pipe| {
            let ends = &self.pipes[pipe].ends;
            let is_it = |end: &End| end.host == from && end.open && end.connection.is_some();
            Some((pipe, ends.iter().position(is_it)?))
        }) else {
            return false;
        };
        let mut octets = Vec::new();
        message.encode(self.context(from, to), &mut octets);
        let author = Author::Scenario;
        let backlog = &mut self.pipes[pipe].ends[end].backlog;
        backlog.push_back(Write { octets, author });
        self.schedule(self.now, Happening::Taken(pipe, end));
        true
    }

    /// Octets a host was not relieved of yet, on all connections.
    pub(super) fn backlog_bytes(&self, host: HostId) -> usize {
        let ends = self.pipes.iter().flat_map(|pipe| &pipe.ends);
        let of_host = ends.filter(|end| end.host == host);
        let writes = of_host.flat_map(|end| &end.backlog);
        writes.map(|write| write.octets.len()).sum()
    }

    /// Connections between two hosts that either end has open.
    pub(super) fn open_connections(&self, one: HostId, other: HostId) -> usize {
        let is_open = |pipe: &&usize| self.pipes[**pipe].ends.iter().any(|end| end.open);
        self.pipes_between(one, other)
            .iter()
            .filter(is_open)
            .count()
    }

    /// Octets arrive at a host out of nowhere, on its newest open connection.
    pub(super) fn inject(&mut self, host: HostId, octets: &[u8]) {
        let mut ends = self.pipes.iter().rev().flat_map(|pipe| &pipe.ends);
        let end = ends.find(|end| end.host == host && end.open).unwrap();
        let connection = end.connection.unwrap();
        let octets = octets.to_vec();
        self.input(host, Input::Received { connection, octets });
    }

    fn step(&mut self, end: Instant) -> bool {
        let timeouts = self
            .hosts
            .iter()
            .enumerate()
            .filter_map(|(host, one)| Some((one.speaker.poll_timeout()?.at, host)));
        let timeout = timeouts.min();
        let happening = self.agenda.keys().next().copied();
        // What has arrived is read before timers are looked at: the driver's contract.
        match (happening, timeout) {
            (Some(key), timeout) if timeout.is_none_or(|(at, _)| key.0 <= at) && key.0 <= end => {
                self.now = self.now.max(key.0);
                if let Some(happening) = self.agenda.remove(&key) {
                    self.happen(happening);
                }
                true
            }
            (_, Some((at, host))) if at <= end => {
                self.now = self.now.max(at);
                self.hosts[host].stirred = true;
                self.hosts[host].speaker.handle_timeout(self.now);
                self.drain(host);
                true
            }
            _ => false,
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Syn(pipe) => self.syn(pipe),
            Happening::Connected(pipe) => {
                let local = SocketAddr::new(self.address_of(pipe, 0), 49152);
                if let Some((host, connection)) = self.listener(pipe, 0) {
                    self.input(host, Input::Connected { connection, local });
                }
            }
            Happening::Refused(pipe) => {
                if let Some((host, connection)) = self.listener(pipe, 0) {
                    self.pipes[pipe].ends[0].open = false;
                    let error = "connection refused".to_owned();
                    self.input(host, Input::ConnectFailed { connection, error });
                }
            }
            Happening::Deliver(pipe, end) => self.deliver(pipe, end),
            Happening::Taken(pipe, end) => self.take(pipe, end),
            Happening::Reset(pipe, end) => {
                self.pipes[pipe].ends[end].inbox.clear();
                if let Some((host, connection)) = self.listener(pipe, end) {
                    self.pipes[pipe].ends[end].open = false;
                    let error = Some("connection reset by peer".to_owned());
                    self.input(host, Input::Closed { connection, error });
                }
            }
        }
    }

    fn syn(&mut self, pipe: usize) {
        if self.is_blackholed(pipe) {
            return;
        }
        let back = self.now + self.latency();
        let host = self.pipes[pipe].ends[1].host;
        if !self.hosts[host].listening {
            self.schedule(back, Happening::Refused(pipe));
            return;
        }
        let connection = self.hosts[host].speaker.allocate_connection();
        let (local, remote) = (self.address_of(pipe, 1), self.address_of(pipe, 0));
        let accepted = &mut self.pipes[pipe].ends[1];
        accepted.connection = Some(connection);
        accepted.open = true;
        let dialler = &mut self.pipes[pipe].ends[0];
        dialler.last_arrival = back;
        self.schedule(back, Happening::Connected(pipe));
        if !self.pipes[pipe].ends[0].open {
            // Given up meanwhile.
            self.post(pipe, 1, Parcel::Fin);
        }
        let input = Input::Accepted {
            connection,
            local: SocketAddr::new(local, 179),
            remote: SocketAddr::new(remote, 49152),
        };
        self.input(host, input);
    }

    fn deliver(&mut self, pipe: usize, end: usize) {
        if self.is_blackholed(pipe) {
            return;
        }
        let receiver = self.listener(pipe, end);
        let (inbox, now) = (&mut self.pipes[pipe].ends[end].inbox, self.now);
        let Some((_, parcel)) = inbox.pop_front_if(|(arrival, _)| *arrival <= now) else {
            return;
        };
        // Whatever a blackhole has held back follows at once.
        if !inbox.is_empty() {
            self.schedule(now, Happening::Deliver(pipe, end));
        }
        let Some((host, connection)) = receiver else {
            return;
        };
        match parcel {
            Parcel::Octets(octets) => self.input(host, Input::Received { connection, octets }),
            Parcel::Fin => {
                self.pipes[pipe].ends[end].open = false;
                let error = None;
                self.input(host, Input::Closed { connection, error });
            }
        }
    }

    /// The kernel takes one write, if there is one, and tells.
    fn take(&mut self, pipe: usize, end: usize) {
        let host = self.pipes[pipe].ends[end].host;
        if !self.hosts[host].writable || self.is_blackholed(pipe) {
            return;
        }
        let Some(Write { octets, author }) = self.pipes[pipe].ends[end].backlog.pop_front() else {
            return;
        };
        if !self.pipes[pipe].ends[end].backlog.is_empty() {
            self.schedule(self.now, Happening::Taken(pipe, end));
        }
        self.carry(pipe, 1 - end, &octets);
        if author == Author::Speaker
            && let Some((host, connection)) = self.listener(pipe, end)
        {
            let octets = octets.len();
            self.input(host, Input::Transmitted { connection, octets });
        }
    }

    fn carry(&mut self, pipe: usize, to: usize, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let most = rest.len().min(self.conditions.segment_bytes_max);
            let size = match self.conditions.segment_bytes_max {
                usize::MAX => most,
                _ => 1 + self.below(most),
            };
            let (segment, after) = rest.split_at(size);
            self.post(pipe, to, Parcel::Octets(segment.to_vec()));
            rest = after;
        }
    }

    fn post(&mut self, pipe: usize, to: usize, parcel: Parcel) {
        let at = (self.now + self.latency()).max(self.pipes[pipe].ends[to].last_arrival);
        let end = &mut self.pipes[pipe].ends[to];
        end.last_arrival = at;
        end.inbox.push_back((at, parcel));
        self.schedule(at, Happening::Deliver(pipe, to));
    }

    fn drain(&mut self, host: HostId) {
        while let Some(output) = self.hosts[host].speaker.poll_output() {
            match output {
                Output::Connect {
                    connection, remote, ..
                } => self.dial(host, connection, remote),
                Output::Transmit { connection, octets } => self.transmit(host, connection, octets),
                Output::Close { connection } => self.close(host, connection),
                // Whoever runs a scenario takes what is undecided when it likes.
                Output::Undecided => {}
                // Nobody is asked, or whoever runs a scenario answers when it likes.
                Output::NextHops => {}
                Output::RouteChange { prefix } => {
                    self.hosts[host].changed.insert(prefix);
                }
                Output::Event(event) => self.hosts[host].events.push((self.now, event)),
            }
        }
    }

    fn dial(&mut self, from: HostId, connection: ConnectionId, remote: SocketAddr) {
        let Some(to) = self
            .hosts
            .iter()
            .position(|host| host.address == remote.ip())
        else {
            return;
        };
        let end = |host, connection: Option<ConnectionId>| End {
            host,
            open: connection.is_some(),
            connection,
            inbox: VecDeque::new(),
            last_arrival: self.now,
            backlog: VecDeque::new(),
            undecoded: Vec::new(),
        };
        let ends = [end(from, Some(connection)), end(to, None)];
        self.pipes.push(Pipe { ends });
        let at = self.now + self.latency();
        self.schedule(at, Happening::Syn(self.pipes.len() - 1));
    }

    fn transmit(&mut self, host: HostId, connection: ConnectionId, mut octets: Vec<u8>) {
        let (pipe, end) = self
            .find(host, connection)
            .expect("transmits on an open connection");
        let to = self.pipes[pipe].ends[1 - end].host;
        if self.two_octets.contains(&pair(host, to)) {
            old_speaker::forget_four_octets(&mut octets);
        }
        self.record(pipe, end, &octets);
        let author = Author::Speaker;
        let backlog = &mut self.pipes[pipe].ends[end].backlog;
        backlog.push_back(Write { octets, author });
        let size = backlog.iter().map(|write| write.octets.len()).sum();
        let host = &mut self.hosts[host];
        host.backlog_bytes_max = host.backlog_bytes_max.max(size);
        self.schedule(self.now, Happening::Taken(pipe, end));
    }

    fn close(&mut self, host: HostId, connection: ConnectionId) {
        let Some((pipe, end)) = self.find(host, connection) else {
            return;
        };
        self.pipes[pipe].ends[end].open = false;
        let backlog = std::mem::take(&mut self.pipes[pipe].ends[end].backlog);
        if self.below(100) < usize::try_from(self.conditions.lossy_closes).unwrap() {
            let at = self.now + self.latency();
            self.schedule(at, Happening::Reset(pipe, 1 - end));
            return;
        }
        if self.pipes[pipe].ends[1 - end].connection.is_some() {
            for write in backlog {
                self.carry(pipe, 1 - end, &write.octets);
            }
            self.post(pipe, 1 - end, Parcel::Fin);
        }
    }

    /// Keeps the messages a speaker sends.
    fn record(&mut self, pipe: usize, end: usize, octets: &[u8]) {
        let (from, to) = (
            self.pipes[pipe].ends[end].host,
            self.pipes[pipe].ends[1 - end].host,
        );
        let context = self.context(from, to);
        let undecoded = &mut self.pipes[pipe].ends[end].undecoded;
        undecoded.extend_from_slice(octets);
        let mut decoded = 0;
        while let Some((message, size)) =
            wire::decode(&undecoded[decoded..], context).expect("well-formed")
        {
            decoded += size;
            self.sent.push(Sent { from, to, message });
        }
        undecoded.drain(..decoded);
    }

    /// How the octets between two hosts are to be read. What internal peers may send decodes on
    /// external sessions too, less LOCAL_PREF.
    fn context(&self, one: HostId, other: HostId) -> CodecContext {
        let as_width = match self.two_octets.contains(&pair(one, other)) {
            true => AsWidth::TwoOctets,
            false => AsWidth::FourOctets,
        };
        CodecContext {
            as_width,
            peering: Peering::Internal,
            first_as: None,
        }
    }

    fn pipes_between(&self, one: HostId, other: HostId) -> Vec<usize> {
        let between = |pipe: &usize| {
            let [a, b] = &self.pipes[*pipe].ends;
            (a.host, b.host) == (one, other) || (a.host, b.host) == (other, one)
        };
        (0..self.pipes.len()).filter(between).collect()
    }

    fn is_blackholed(&self, pipe: usize) -> bool {
        let [a, b] = &self.pipes[pipe].ends;
        self.blackholes.contains(&pair(a.host, b.host))
    }

    fn find(&self, host: HostId, connection: ConnectionId) -> Option<(usize, usize)> {
        let is_it = |end: &End| end.host == host && end.connection == Some(connection) && end.open;
        self.pipes
            .iter()
            .enumerate()
            .rev()
            .find_map(|(index, pipe)| {
                let end = pipe.ends.iter().position(is_it)?;
                Some((index, end))
            })
    }

    fn listener(&self, pipe: usize, end: usize) -> Option<(HostId, ConnectionId)> {
        let end = &self.pipes[pipe].ends[end];
        let connection = end.connection.filter(|_| end.open)?;
        Some((end.host, connection))
    }

    fn address_of(&self, pipe: usize, end: usize) -> IpAddr {
        self.hosts[self.pipes[pipe].ends[end].host].address
    }

    fn schedule(&mut self, at: Instant, happening: Happening) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), happening);
    }

    fn latency(&mut self) -> Duration {
        let (least, most) = self.conditions.latency;
        let spread = u64::try_from((most - least).as_micros()).unwrap();
        least + Duration::from_micros(self.random.next_u64() % (spread + 1))
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.random.next_u64() % bound).unwrap()
    }
}

fn pair(one: HostId, other: HostId) -> (HostId, HostId) {
    (one.min(other), one.max(other))
}

/// What every host calls another.
pub(super) fn peer_id(host: HostId) -> PeerId {
    PeerId(u32::try_from(host).unwrap())
}
