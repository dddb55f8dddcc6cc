//! Collisions in every order in which two speakers can hear of their two connections, and what
//! becomes of a second connection beside an established one.

use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use super::*;
use crate::bgp::wire::{
    AsWidth, CeaseSubcode, CodecContext, Message, Notification, Peering, decode,
};
use crate::types::{Asn, FirstAs, HoldTime, RestartTime, RouterId};

#[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
fn epoch() -> Instant {
    Instant::now()
}

fn settings(asns: [u32; 2], ids: [u32; 2], host: usize, connect_mode: ConnectMode) -> PeerSettings {
    PeerSettings {
        remote: "10.0.0.9:179".parse().unwrap(),
        local_address: None,
        password: None,
        barred: None,
        connect_mode,
        ttl_security: None,
        open: OpenParameters {
            local_asn: Asn(asns[host]),
            router_id: RouterId::try_from(Ipv4Addr::from(ids[host])).unwrap(),
            peer_asn: Asn(asns[1 - host]),
            hold_time: HoldTime::DEFAULT,
            keepalive_time: None,
            first_as: FirstAs::Peers,
            restart_time: Some(RestartTime::DEFAULT),
            over_notification: crate::types::OverNotification::Keep,
        },
    }
}

/// What travels on a connection.
#[derive(Clone, Debug)]
enum Parcel {
    Syn,
    Connected,
    Octets(Vec<u8>),
    Fin,
}

/// One end of a connection.
#[derive(Clone, Debug, Default)]
struct End {
    id: Option<ConnectionId>,
    inbox: VecDeque<Parcel>,
}

#[derive(Clone, Debug)]
struct Host {
    peer: Peer,
    ids: ConnectionIds,
    random: Random,
    /// The connections it was told something on, in order: all its state follows from them.
    heard: Vec<usize>,
}

/// Two hosts and the connections between them; pipe 0 is dialled by host 0.
#[derive(Clone, Debug)]
struct World {
    now: Instant,
    hosts: Vec<Host>,
    pipes: Vec<[End; 2]>,
}

impl World {
    fn new(now: Instant, asns: [u32; 2], ids: [u32; 2]) -> Self {
        let mut world = Self {
            now,
            hosts: Vec::new(),
            pipes: vec![
                [End::default(), End::default()],
                [End::default(), End::default()],
            ],
        };
        for host in 0..2 {
            let mut ids_of_host = ConnectionIds::default();
            let mut random = Random::new(7);
            let mut context = Context {
                now,
                ids: &mut ids_of_host,
                random: &mut random,
            };
            let settings = settings(asns, ids, host, ConnectMode::Active);
            let peer = Peer::new(settings, OwnRestart::Over, &mut context);
            world.hosts.push(Host {
                peer,
                ids: ids_of_host,
                random,
                heard: Vec::new(),
            });
            world.drain(host);
        }
        world
    }

    /// Every way things can go on: a pipe and the host that hears of it.
    fn choices(&self) -> Vec<(usize, usize)> {
        let all = (0..2).flat_map(|pipe| (0..2).map(move |host| (pipe, host)));
        all.filter(|(pipe, host)| !self.pipes[*pipe][*host].inbox.is_empty())
            .collect()
    }

    fn deliver(&mut self, pipe: usize, host: usize) {
        let parcel = self.pipes[pipe][host].inbox.pop_front().unwrap();
        let local = "10.0.0.1:179".parse().unwrap();
        let one = &mut self.hosts[host];
        one.heard.push(pipe);
        let mut context = Context {
            now: self.now,
            ids: &mut one.ids,
            random: &mut one.random,
        };
        let end = &mut self.pipes[pipe][host];
        match (parcel, end.id) {
            (Parcel::Syn, _) => {
                let id = context.ids.allocate();
                end.id = Some(id);
                self.pipes[pipe][1 - host]
                    .inbox
                    .push_back(Parcel::Connected);
                one.peer.accepted(id, local, &mut context);
            }
            // Closed here; what was on its way is lost.
            (_, None) => {}
            (Parcel::Connected, Some(id)) => one.peer.connected(id, local, &context),
            (Parcel::Octets(octets), Some(id)) => one.peer.received(id, &octets),
            (Parcel::Fin, Some(id)) => {
                end.id = None;
                one.peer.closed(id, None, &mut context);
            }
        }
        self.drain(host);
    }

    fn drain(&mut self, host: usize) {
        loop {
            let one = &mut self.hosts[host];
            let mut context = Context {
                now: self.now,
                ids: &mut one.ids,
                random: &mut one.random,
            };
            let Some(output) = one.peer.poll(&mut context) else {
                return;
            };
            match output {
                PeerOutput::Connect(id) => {
                    self.pipes[host][host].id = Some(id);
                    self.pipes[host][1 - host].inbox.push_back(Parcel::Syn);
                }
                PeerOutput::Transmit { connection, octets } => {
                    let pipe = self.pipe_of(host, connection);
                    self.pipes[pipe][1 - host]
                        .inbox
                        .push_back(Parcel::Octets(octets));
                }
                PeerOutput::Close(connection) => {
                    let pipe = self.pipe_of(host, connection);
                    self.pipes[pipe][host].id = None;
                    self.pipes[pipe][1 - host].inbox.push_back(Parcel::Fin);
                }
                PeerOutput::Established => {}
                PeerOutput::Down(_)
                | PeerOutput::AttemptFailed(_)
                | PeerOutput::Paused
                | PeerOutput::Update(_)
                | PeerOutput::EndOfRib(_)
                | PeerOutput::RefreshRequested(_)
                | PeerOutput::RefreshMark(..) => panic!("{output:?} in {self:#?}"),
            }
        }
    }

    fn pipe_of(&self, host: usize, connection: ConnectionId) -> usize {
        let of_host = |pipe: &[End; 2]| pipe[host].id == Some(connection);
        self.pipes.iter().position(of_host).unwrap()
    }

    fn check_end(&self) {
        let pipe_in_use = |host: usize| {
            let established = self.hosts[host].peer.established.expect("a session");
            self.pipe_of(host, established)
        };
        assert_eq!(pipe_in_use(0), pipe_in_use(1), "{self:#?}");
        for host in &self.hosts {
            assert_eq!(host.peer.connections.len(), 1, "{self:#?}");
        }
    }
}

/// Walks every order of hearing; returns how many different ends there are.
fn explore(world: World) -> usize {
    let mut seen = BTreeSet::new();
    let mut ends = 0;
    let mut open = vec![world];
    while let Some(world) = open.pop() {
        let choices = world.choices();
        if choices.is_empty() {
            world.check_end();
            ends += 1;
        }
        for (pipe, host) in choices {
            let mut next = world.clone();
            next.deliver(pipe, host);
            let [a, b] = [0, 1].map(|host| next.hosts[host].heard.clone());
            if seen.insert((a, b)) {
                open.push(next);
            }
        }
    }
    ends
}

#[test]
fn every_order_of_a_collision_ends_with_one_session_and_no_loss() {
    for (asns, ids) in [
        ([1, 1], [1, 2]),
        ([1, 1], [2, 1]),
        ([1, 2], [1, 2]),
        ([1, 2], [2, 1]),
    ] {
        let ends = explore(World::new(epoch(), asns, ids));
        assert!(ends > 10, "{ends} ends for {asns:?} {ids:?}");
    }
}

#[test]
fn of_equal_identifiers_the_higher_as_number_decides() {
    assert!(explore(World::new(epoch(), [1, 2], [9, 9])) > 10);
    assert!(explore(World::new(epoch(), [2, 1], [9, 9])) > 10);
}

/// One passive peer, fed by hand.
struct Alone {
    peer: Peer,
    ids: ConnectionIds,
    random: Random,
    now: Instant,
}

impl Alone {
    fn new(connect_mode: ConnectMode) -> Self {
        let now = epoch();
        let mut ids = ConnectionIds::default();
        let mut random = Random::new(1);
        let settings = settings([1, 1], [5, 9], 0, connect_mode);
        let mut context = Context {
            now,
            ids: &mut ids,
            random: &mut random,
        };
        let peer = Peer::new(settings, OwnRestart::Over, &mut context);
        Self {
            peer,
            ids,
            random,
            now,
        }
    }

    fn accept(&mut self) -> ConnectionId {
        let id = self.ids.allocate();
        let local = "10.0.0.1:179".parse().unwrap();
        let (ids, random) = (&mut self.ids, &mut self.random);
        let mut context = Context {
            now: self.now,
            ids,
            random,
        };
        self.peer.accepted(id, local, &mut context);
        id
    }

    fn receive(&mut self, id: ConnectionId, message: &Message) {
        let mut octets = Vec::new();
        message.encode(CONTEXT, &mut octets);
        self.peer.received(id, &octets);
    }

    fn outputs(&mut self) -> Vec<PeerOutput> {
        let (ids, random) = (&mut self.ids, &mut self.random);
        let mut context = Context {
            now: self.now,
            ids,
            random,
        };
        std::iter::from_fn(|| self.peer.poll(&mut context)).collect()
    }

    fn establish(&mut self) -> ConnectionId {
        let id = self.accept();
        self.receive(id, &their_open());
        self.receive(id, &Message::Keepalive);
        assert!(self.outputs().contains(&PeerOutput::Established));
        id
    }
}

const CONTEXT: CodecContext = CodecContext {
    as_width: AsWidth::FourOctets,
    peering: Peering::Internal,
    first_as: None,
};

fn their_open() -> Message {
    Message::Open(crate::bgp::wire::Open {
        asn: Asn(1),
        hold_time: HoldTime::DEFAULT,
        router_id: RouterId::try_from(Ipv4Addr::from(9)).unwrap(),
        capabilities: Vec::new(),
    })
}

fn messages(outputs: &[PeerOutput], of: ConnectionId) -> Vec<Message> {
    let mut found = Vec::new();
    for output in outputs {
        if let PeerOutput::Transmit { connection, octets } = output
            && *connection == of
        {
            let mut rest = &octets[..];
            while let Some((message, size)) = decode(rest, CONTEXT).unwrap() {
                found.push(message);
                rest = &rest[size..];
            }
        }
    }
    found
}

#[test]
fn established_session_wins_collision() {
    // The peer's identifier is the higher one: by it alone its new dial would win.
    let mut alone = Alone::new(ConnectMode::Passive);
    let first = alone.establish();
    let second = alone.accept();
    let outputs = alone.outputs();
    let collision = Notification::cease(CeaseSubcode::ConnectionCollisionResolution);
    assert_eq!(
        messages(&outputs, second),
        [Message::Notification(collision)]
    );
    assert!(outputs.contains(&PeerOutput::Close(second)));
    assert_eq!(alone.peer.established, Some(first));
}

#[test]
fn a_peer_that_dials_again_gave_up_its_older_dial() {
    let mut alone = Alone::new(ConnectMode::Passive);
    let older = alone.accept();
    alone.outputs();
    let newer = alone.accept();
    let outputs = alone.outputs();
    assert!(outputs.contains(&PeerOutput::Close(older)));
    assert!(matches!(messages(&outputs, newer)[..], [Message::Open(_)]));
}

#[test]
fn a_dial_under_way_is_given_up_once_there_is_a_session() {
    let mut alone = Alone::new(ConnectMode::Active);
    let outputs = alone.outputs();
    let [PeerOutput::Connect(dial)] = outputs[..] else {
        panic!("{outputs:?}");
    };
    let id = alone.accept();
    alone.receive(id, &their_open());
    alone.receive(id, &Message::Keepalive);
    let outputs = alone.outputs();
    assert!(outputs.contains(&PeerOutput::Close(dial)));
    assert!(outputs.contains(&PeerOutput::Established));
}

#[test]
fn a_connection_that_waits_is_opened_when_the_other_fails() {
    let mut alone = Alone::new(ConnectMode::Active);
    let [PeerOutput::Connect(dial)] = alone.outputs()[..] else {
        panic!("dials at once");
    };
    let accepted = alone.accept();
    alone.receive(accepted, &their_open());
    alone.outputs();
    let local = "10.0.0.1:40000".parse().unwrap();
    let (ids, random) = (&mut alone.ids, &mut alone.random);
    alone.peer.connected(
        dial,
        local,
        &Context {
            now: alone.now,
            ids,
            random,
        },
    );
    assert_eq!(
        messages(&alone.outputs(), dial),
        [],
        "one is in OpenConfirm"
    );
    let (ids, random) = (&mut alone.ids, &mut alone.random);
    alone.peer.closed(
        accepted,
        None,
        &mut Context {
            now: alone.now,
            ids,
            random,
        },
    );
    assert!(matches!(
        messages(&alone.outputs(), dial)[..],
        [Message::Open(_)]
    ));
}

#[test]
fn nothing_but_an_open_is_kept_of_a_peer_that_must_wait() {
    let mut alone = Alone::new(ConnectMode::Active);
    let [PeerOutput::Connect(dial)] = alone.outputs()[..] else {
        panic!("dials at once");
    };
    let accepted = alone.accept();
    alone.receive(accepted, &their_open());
    alone.outputs();
    let local = "10.0.0.1:40000".parse().unwrap();
    let (ids, random) = (&mut alone.ids, &mut alone.random);
    alone.peer.connected(
        dial,
        local,
        &Context {
            now: alone.now,
            ids,
            random,
        },
    );
    alone.peer.received(dial, &[0xFF; 10_000]);
    let outputs = alone.outputs();
    let cease = Notification::cease(CeaseSubcode::OutOfResources);
    assert_eq!(messages(&outputs, dial), [Message::Notification(cease)]);
    assert!(outputs.contains(&PeerOutput::Close(dial)));
}
