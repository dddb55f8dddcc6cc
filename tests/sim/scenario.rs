//! What happens in one run: an owner's changes and a network's faults, drawn from the seed; then
//! peace, and the question whether everybody agrees.

mod imports;
mod numbers;
mod restarts;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use rutter::bgp::Random;
use rutter::bgp::wire::Message;
use rutter::speaker::{Input, Learning, NextHops, PeerConfig, Speaker, SpeakerConfig};
use rutter::types::{
    Community, ConnectMode, Family, GroupId, HoldTime, Prefix, RouteAttributes, RouterId,
};

use super::check::{self, Mirror};
use super::importer::Importer;
use super::network::{Conditions, HostId, Network, peer_id};
use numbers::Numbers;

/// Whether the network fails, and sessions are reconfigured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    Fair,
    Foul,
}

/// What a host was last told to export, by group.
pub(super) type Exports = BTreeMap<(GroupId, Prefix), Arc<RouteAttributes>>;

/// What the owner of one speaker knows.
pub(super) struct Owner {
    pub(super) config: SpeakerConfig,
    pub(super) exports: Exports,
    pub(super) complete: bool,
    pub(super) importer: Importer,
    /// Best paths as the speaker told of them.
    pub(super) mirror: Mirror,
}

pub(super) struct Scenario {
    pub(super) network: Network,
    /// Changed by [`Scenario::owner`] only.
    pub(super) owners: Vec<Owner>,
    pub(super) weather: Weather,
    random: Random,
}

pub(super) const GROUPS: [GroupId; 2] = [GroupId(0), GroupId(1)];
/// Longer than anything takes to arrive, the first back-off, and a retry together.
const SETTLING: Duration = Duration::from_secs(10);
/// Together longer than any hold time, back-off and retry one after the other.
const SETTLING_ROUNDS: usize = 20;

impl Scenario {
    /// Host 0 is everybody's peer and nobody else is: a pair, or a router with its nodes.
    pub(super) fn new(seed: u64, hosts: usize, weather: Weather) -> Self {
        let mut random = Random::new(seed);
        let conditions = conditions(&mut random, weather);
        let mut network = Network::new(random.next_u64(), conditions);
        let over_ipv6 = chance(&mut random, 25);
        let numbers = Numbers::new(&mut random, hosts);
        for node in (1..hosts).filter(|node| numbers.is_old(*node)) {
            network.speak_two_octets(0, node);
        }
        let mut owners = Vec::new();
        for host in 0..hosts {
            network.add(Speaker::new(random.next_u64()), address(host, over_ipv6));
            let others = if host == 0 { 1..hosts } else { 0..1 };
            let peers = others.map(|other| PeerConfig {
                name: format!("host {other}"),
                ..PeerConfig::new(
                    peer_id(other),
                    address(other, over_ipv6),
                    numbers.seen(host, other),
                )
            });
            let peers: Vec<_> = peers.collect();
            owners.push(Owner {
                importer: Importer::new(&peers),
                config: SpeakerConfig {
                    next_hops: NextHops {
                        ipv4: Some(ipv4(host)),
                        ipv6: Some(ipv6(host)),
                    },
                    learning: match chance(&mut random, 50) {
                        true => Learning::Decided,
                        false => Learning::Everything,
                    },
                    peers,
                    ..SpeakerConfig::new(numbers.own(host), RouterId::try_from(ipv4(host)).unwrap())
                },
                exports: Exports::new(),
                complete: false,
                mirror: Mirror::default(),
            });
        }
        // Of each pair at least one dials: nodes always do when the router does not.
        if chance(&mut random, 30) {
            for peer in &mut owners[0].config.peers {
                peer.connect_mode = ConnectMode::Passive;
            }
        }
        Self {
            network,
            owners,
            weather,
            random,
        }
    }

    pub(super) fn run(mut self) {
        for host in 0..self.owners.len() {
            for group in GROUPS {
                self.export(host, group, 3);
            }
            self.configure(host);
        }
        for _ in 0..self.below(30) + 10 {
            self.happen();
            check::in_flight(&mut self);
        }
        self.heal();
        check::quiescent(&self);
        self.ask_for_routes_again();
        if self.weather == Weather::Fair {
            check::undisturbed(&self);
        }
        self.keep_the_peace();
    }

    /// One thing happens, and some time passes.
    fn happen(&mut self) {
        let host = self.below(self.owners.len());
        match self.below(100) {
            0..30 => self.export_something(host),
            30..33 => self.export_much(host),
            33..40 => self.repeat_exports(host),
            40..50 => self.complete(host),
            50..58 => self.reconfigure_gently(host),
            58..62 if self.is_foul() => self.reconfigure(host),
            62..68 if self.is_foul() => self.lose_connection(),
            68..72 if self.is_foul() => self.refuse_for_a_while(host),
            72..76 if self.is_foul() => self.swallow_for_a_while(),
            76..80 if self.is_foul() => self.stall_for_a_while(host),
            88..91 if self.is_foul() => self.restart(host),
            80..85 => self.request_refresh(host),
            85..88 => self.change_import_rule(host),
            _ => {}
        }
        let host = self.below(self.owners.len());
        self.consider_imports(host);
        let most = [0, 5, 1000, 30_000][self.below(4)];
        self.pass(most);
    }

    fn export_something(&mut self, host: HostId) {
        let group = GROUPS[self.below(2)];
        let count = 1 + self.below(4);
        self.export(host, group, count);
    }

    /// Enough to fill the queue of a peer that does not read.
    fn export_much(&mut self, host: HostId) {
        let count = if self.below(100) == 0 { 4000 } else { 100 };
        let changes: Vec<_> = (0..count)
            .map(|n| {
                let address = Ipv4Addr::from(0x0A40_0000 + n * 256);
                let prefix = Prefix::new(ipnet::Ipv4Net::new(address, 24).unwrap().into());
                let med = Some(n % 3 * 1000 + if count > 100 { n } else { 0 });
                (prefix, Some(self.attributes(GroupId(0), med)))
            })
            .collect();
        self.give(host, GroupId(0), changes);
    }

    fn export(&mut self, host: HostId, group: GroupId, count: usize) {
        let changes = (0..count).map(|_| self.change(group)).collect();
        self.give(host, group, changes);
    }

    fn repeat_exports(&mut self, host: HostId) {
        let known = self.owners[host].exports.clone();
        let changes = |of: GroupId| {
            let of_group = known.iter().filter(move |((group, _), _)| *group == of);
            of_group
                .map(|((_, prefix), route)| (*prefix, Some(Arc::clone(route))))
                .collect()
        };
        for group in GROUPS {
            self.give(host, group, changes(group));
        }
    }

    fn give(
        &mut self,
        host: HostId,
        group: GroupId,
        changes: Vec<(Prefix, Option<Arc<RouteAttributes>>)>,
    ) {
        let exports = &mut self.owner(host).exports;
        for (prefix, route) in &changes {
            let key = (group, *prefix);
            match route {
                Some(route) => exports.insert(key, Arc::clone(route)),
                None => exports.remove(&key),
            };
        }
        let input = Input::Export { group, changes };
        if self.below(4) == 0 {
            self.network.input_without_draining(host, input);
        } else {
            self.network.input(host, input);
        }
    }

    fn change(&mut self, group: GroupId) -> (Prefix, Option<Arc<RouteAttributes>>) {
        let number = u8::try_from(self.below(12)).unwrap();
        let prefix = match self.below(3) {
            0 => Prefix::host(Ipv6Addr::new(0xFD00, 1, 0, 0, 0, 0, 0, number.into()).into()),
            _ => Prefix::host(Ipv4Addr::new(10, 96, 0, number).into()),
        };
        let route = (self.below(3) > 0).then(|| {
            let med = [None, Some(0), Some(10)][self.below(3)];
            self.attributes(group, med)
        });
        (prefix, route)
    }

    /// A group's routes are marked: none of them passes for another group's.
    fn attributes(&mut self, group: GroupId, med: Option<u32>) -> Arc<RouteAttributes> {
        let mut communities = vec![marker(group)];
        if self.below(10) == 0 {
            communities.push(Community::NO_EXPORT);
        }
        if self.below(20) == 0 {
            communities.push(Community::NO_ADVERTISE);
        }
        let prepend = match self.below(10) {
            0 => 2,
            _ => 0,
        };
        Arc::new(RouteAttributes {
            med,
            prepend,
            communities,
            ..RouteAttributes::default()
        })
    }

    /// An owner, to be changed. What its speaker sent so far is judged by what it wanted so far.
    fn owner(&mut self, host: HostId) -> &mut Owner {
        check::transmitted(self);
        &mut self.owners[host]
    }

    fn complete(&mut self, host: HostId) {
        self.owner(host).complete = true;
        self.network.input(host, Input::ExportsComplete);
    }

    fn configure(&mut self, host: HostId) {
        let config = self.owners[host].config.clone();
        self.network.input(host, Input::Configure(config));
    }

    /// Changes that no session may notice.
    fn reconfigure_gently(&mut self, host: HostId) {
        let choice = self.below(4);
        let group = GROUPS[self.below(2)];
        let address = ipv6(host + 100 * self.below(2));
        let config = &mut self.owner(host).config;
        match choice {
            0 => config.peers[0].group = group,
            1 => config.next_hops.ipv6 = Some(address),
            2 => config.peers[0].name.push('x'),
            _ => return self.learn_otherwise(host),
        }
        self.configure(host);
    }

    /// As another implementation might at any time (RFC 2918), for families nobody speaks as well.
    fn request_refresh(&mut self, host: HostId) {
        let peers = self.owners[host].config.peers.len();
        let to = match host {
            0 => 1 + self.below(peers),
            _ => 0,
        };
        let message = match self.below(3) {
            0 => Message::RouteRefresh(Family::Ipv4Unicast),
            1 => Message::RouteRefresh(Family::Ipv6Unicast),
            _ => Message::ForeignRouteRefresh {
                afi: 25,
                subtype: 0,
                safi: 65,
            },
        };
        self.network.interject(host, to, &message);
    }

    /// Whoever asks for a family's routes again gets all of them, and nothing else.
    fn ask_for_routes_again(&mut self) {
        let before = self.transitions();
        for node in 1..self.owners.len() {
            let (host, to) = [(0, node), (node, 0)][self.below(2)];
            let family = Family::ALL[self.below(2)];
            check::in_flight(self);
            let request = Message::RouteRefresh(family);
            assert!(self.network.interject(host, to, &request), "no session");
            self.network.run(Duration::from_secs(3));
            check::refreshed(self, to, host, family);
        }
        assert_eq!(before, self.transitions(), "a request ended a session");
    }

    fn reconfigure(&mut self, host: HostId) {
        if self.below(2) == 0 {
            // Out, and back in.
            let config = SpeakerConfig {
                peers: Vec::new(),
                ..self.owners[host].config.clone()
            };
            self.network.input(host, Input::Configure(config));
            self.pass(2000);
        } else {
            let seconds = [0, 9, 30, 90][self.below(4)];
            let hold_time = HoldTime::from_secs(seconds).unwrap();
            self.owner(host).config.peers[0].hold_time = hold_time;
        }
        self.configure(host);
    }

    fn lose_connection(&mut self) {
        let node = self.node();
        self.network.cut(0, node);
    }

    fn refuse_for_a_while(&mut self, host: HostId) {
        self.network.hosts[host].listening = false;
        let node = self.node();
        self.network.cut(0, node);
        self.pass(20_000);
        self.network.hosts[host].listening = true;
    }

    fn swallow_for_a_while(&mut self) {
        let node = self.node();
        self.network.blackhole(0, node);
        self.export_something(0);
        self.export_something(node);
        self.pass(150_000);
        self.network.restore(0, node);
    }

    fn stall_for_a_while(&mut self, host: HostId) {
        self.network.hosts[host].writable = false;
        self.export_something(host);
        self.pass(60_000);
        self.network.set_writable(host);
    }

    /// Whatever was missing is given, and everybody has time to agree.
    fn heal(&mut self) {
        for host in 0..self.owners.len() {
            self.complete(host);
        }
        // A session that is up may be about to learn of its end.
        for _ in 0..SETTLING_ROUNDS {
            let before = self.transitions();
            self.network.run(SETTLING);
            if check::all_established(&self.network) && self.transitions() == before {
                break;
            }
        }
        self.decide_all();
        check::in_flight(self);
    }

    /// Whatever went before: from here on routes change, and sessions do not.
    fn keep_the_peace(&mut self) {
        let before = self.transitions();
        for host in 0..self.owners.len() {
            self.export_something(host);
            self.repeat_exports(host);
            self.reconfigure_gently(host);
            self.pass(60_000);
            self.request_refresh(host);
            self.consider_imports(host);
            check::in_flight(self);
        }
        self.network.run(Duration::from_secs(5));
        self.decide_all();
        check::in_flight(self);
        check::quiescent(self);
        assert_eq!(
            before,
            self.transitions(),
            "a session changed without a reason"
        );
    }

    fn transitions(&self) -> Vec<usize> {
        self.network.hosts.iter().map(check::transitions).collect()
    }

    fn pass(&mut self, most_milliseconds: usize) {
        let time = self.below(most_milliseconds + 1);
        self.network
            .run(Duration::from_millis(u64::try_from(time).unwrap()));
    }

    fn is_foul(&self) -> bool {
        self.weather == Weather::Foul
    }

    fn node(&mut self) -> HostId {
        1 + self.below(self.owners.len() - 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.random.next_u64() % bound).unwrap()
    }
}

/// The community of a group's routes.
pub(super) fn marker(group: GroupId) -> Community {
    Community(64512 << 16 | group.0)
}

fn conditions(random: &mut Random, weather: Weather) -> Conditions {
    let most = Duration::from_micros(1 + random.next_u64() % 200_000);
    let segment_bytes_max =
        [20, 200, 1460, usize::MAX][usize::try_from(random.next_u64() % 4).unwrap()];
    Conditions {
        latency: (most / 100, most),
        segment_bytes_max,
        lossy_closes: match weather {
            Weather::Fair => 0,
            Weather::Foul => random.next_u64() % 50,
        },
    }
}

fn chance(random: &mut Random, percent: u64) -> bool {
    random.next_u64() % 100 < percent
}

fn address(host: HostId, over_ipv6: bool) -> IpAddr {
    match over_ipv6 {
        true => ipv6(host).into(),
        false => ipv4(host).into(),
    }
}

fn ipv4(host: HostId) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, u8::try_from(host + 1).unwrap())
}

fn ipv6(host: HostId) -> Ipv6Addr {
    let host = u16::try_from(host + 1).unwrap();
    Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, host)
}
