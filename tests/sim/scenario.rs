//! What happens in one run: an owner's changes and a network's faults, drawn from the seed; then
//! peace, and the question whether everybody agrees.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use rutter::bgp::Random;
use rutter::speaker::{Input, Learning, NextHops, PeerConfig, Speaker, SpeakerConfig};
use rutter::types::{
    Asn, Community, ConnectMode, GroupId, HoldTime, PeerId, Prefix, RouteAttributes, RouterId,
};

use super::check;
use super::network::{Conditions, HostId, Network};

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
}

pub(super) struct Scenario {
    pub(super) network: Network,
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
        let external = chance(&mut random, 50);
        let asn = |host: HostId| match external {
            true => Asn(65000 + u32::try_from(host).unwrap()),
            false => Asn(64512),
        };
        let mut owners = Vec::new();
        for host in 0..hosts {
            network.add(Speaker::new(random.next_u64()), address(host, over_ipv6));
            let others = if host == 0 { 1..hosts } else { 0..1 };
            let peers = others.map(|other| PeerConfig {
                id: PeerId(u32::try_from(other).unwrap()),
                name: format!("host {other}"),
                address: address(other, over_ipv6),
                port: 179,
                asn: asn(other),
                group: GroupId(0),
                connect_mode: ConnectMode::Active,
                hold_time: HoldTime::DEFAULT,
                local_address: None,
                password: None,
            });
            owners.push(Owner {
                config: SpeakerConfig {
                    asn: asn(host),
                    router_id: RouterId::try_from(ipv4(host)).unwrap(),
                    next_hops: NextHops {
                        ipv4: Some(ipv4(host)),
                        ipv6: Some(ipv6(host)),
                    },
                    learning: Learning::Everything,
                    peers: peers.collect(),
                },
                exports: Exports::new(),
                complete: false,
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
            _ => {}
        }
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
                (prefix, Some(self.attributes(med)))
            })
            .collect();
        self.give(host, GroupId(0), changes);
    }

    fn export(&mut self, host: HostId, group: GroupId, count: usize) {
        let changes = (0..count).map(|_| self.change()).collect();
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
        for (prefix, route) in &changes {
            let key = (group, *prefix);
            match route {
                Some(route) => self.owners[host].exports.insert(key, Arc::clone(route)),
                None => self.owners[host].exports.remove(&key),
            };
        }
        let input = Input::Export { group, changes };
        if self.below(4) == 0 {
            self.network.input_without_draining(host, input);
        } else {
            self.network.input(host, input);
        }
    }

    fn change(&mut self) -> (Prefix, Option<Arc<RouteAttributes>>) {
        let number = u8::try_from(self.below(12)).unwrap();
        let prefix = match self.below(3) {
            0 => Prefix::host(Ipv6Addr::new(0xFD00, 1, 0, 0, 0, 0, 0, number.into()).into()),
            _ => Prefix::host(Ipv4Addr::new(10, 96, 0, number).into()),
        };
        let route = (self.below(3) > 0).then(|| {
            let med = [None, Some(0), Some(10)][self.below(3)];
            self.attributes(med)
        });
        (prefix, route)
    }

    fn attributes(&mut self, med: Option<u32>) -> Arc<RouteAttributes> {
        let mut communities = Vec::new();
        if self.below(10) == 0 {
            communities.push(Community::NO_EXPORT);
        }
        if self.below(20) == 0 {
            communities.push(Community::NO_ADVERTISE);
        }
        Arc::new(RouteAttributes {
            med,
            communities,
            ..RouteAttributes::default()
        })
    }

    fn complete(&mut self, host: HostId) {
        self.owners[host].complete = true;
        self.network.input(host, Input::ExportsComplete);
    }

    fn configure(&mut self, host: HostId) {
        let config = self.owners[host].config.clone();
        self.network.input(host, Input::Configure(config));
    }

    /// Changes that no session may notice.
    fn reconfigure_gently(&mut self, host: HostId) {
        let choice = self.below(3);
        let group = GROUPS[self.below(2)];
        let address = ipv6(host + 100 * self.below(2));
        let config = &mut self.owners[host].config;
        match choice {
            0 => config.peers[0].group = group,
            1 => config.next_hops.ipv6 = Some(address),
            _ => config.peers[0].name.push('x'),
        }
        self.configure(host);
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
            self.owners[host].config.peers[0].hold_time = hold_time;
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
            check::in_flight(self);
        }
        self.network.run(Duration::from_secs(5));
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
