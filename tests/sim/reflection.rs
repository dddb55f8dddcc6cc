//! Reflectors of one cluster with clients, a switch that is none, and a router of another AS, while
//! owners change their routes and links break: whatever happens, no route is where RFC 4456 does not
//! want it, and once all is quiet everybody has what the rules give.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rutter::bgp::Random;
use rutter::bgp::wire::{Message, PathAttributes, Peering};
use rutter::rib::Source;
use rutter::speaker::{Input, PeerConfig, Speaker, SpeakerConfig};
use rutter::types::{
    Asn, ClusterId, ConnectMode, GroupId, HoldTime, Prefix, Reflection, RouteAttributes, RouterId,
};

use super::check::all_established;
use super::network::{Conditions, HostId, Network, peer_id};

const REFLECTORS: std::ops::Range<HostId> = 0..3;
const CLIENTS: std::ops::Range<HostId> = 3..6;
// Between them is the switch: a peer in the same AS, and no client.
const OUTSIDE: HostId = 7;
const HOSTS: usize = 8;
const CLUSTER: Ipv4Addr = Ipv4Addr::new(244, 0, 0, 1);
/// Prefixes that hosts of all kinds announce, several of them the same.
const PREFIXES: usize = 6;
const GROUP: GroupId = GroupId(0);

pub(super) struct Reflected {
    network: Network,
    random: Random,
    /// What each host announces.
    own: BTreeSet<(HostId, Prefix)>,
}

fn asn(host: HostId) -> Asn {
    Asn(if host == OUTSIDE { 65000 } else { 64512 })
}

fn address(host: HostId) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, u8::try_from(host + 1).unwrap())
}

fn prefix(number: usize) -> Prefix {
    Prefix::host(Ipv4Addr::new(172, 16, 0, u8::try_from(number).unwrap()).into())
}

/// Whether two hosts have a session: reflectors have one with everybody, and nobody else has.
fn are_peers(one: HostId, other: HostId) -> bool {
    one != other && (REFLECTORS.contains(&one) || REFLECTORS.contains(&other))
}

fn config(host: HostId) -> SpeakerConfig {
    let others = (0..HOSTS).filter(|other| are_peers(host, *other));
    let is_reflector = REFLECTORS.contains(&host);
    let peers = others.map(|other| PeerConfig {
        hold_time: HoldTime::from_secs(9).unwrap(),
        connect_mode: match host < other {
            true => ConnectMode::Active,
            false => ConnectMode::Passive,
        },
        reflection: match is_reflector && CLIENTS.contains(&other) {
            true => Reflection::Client,
            false => Reflection::NonClient,
        },
        ..PeerConfig::new(peer_id(other), address(other).into(), asn(other))
    });
    SpeakerConfig {
        cluster_id: is_reflector.then_some(ClusterId(CLUSTER)),
        addresses: BTreeSet::from([address(host).into()]),
        peers: peers.collect(),
        ..SpeakerConfig::new(asn(host), RouterId::try_from(address(host)).unwrap())
    }
}

impl Reflected {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let conditions = Conditions {
            latency: (Duration::from_millis(1), Duration::from_millis(400)),
            segment_bytes_max: 200,
            lossy_closes: 50,
        };
        let mut network = Network::new(random.next_u64(), conditions);
        for host in 0..HOSTS {
            network.add(Speaker::new(random.next_u64()), address(host).into());
        }
        Self {
            network,
            random,
            own: BTreeSet::new(),
        }
    }

    pub(super) fn run(mut self) {
        for host in 0..HOSTS {
            let own = Input::Export {
                group: GROUP,
                changes: Vec::new(),
            };
            self.network.input(host, own);
            self.network.input(host, Input::ExportsComplete);
            self.network.input(host, Input::Configure(config(host)));
        }
        for _ in 0..self.below(30) + 10 {
            self.happen();
            let time = [0, 100, 5000][self.below(3)];
            self.network.run(Duration::from_millis(time));
            self.nothing_out_of_place_was_sent();
        }
        self.heal();
        self.everybody_has_what_the_rules_give();
        self.nothing_outlives_its_origin();
    }

    fn happen(&mut self) {
        let host = self.below(HOSTS);
        let other = self.below(HOSTS);
        match self.below(10) {
            0..6 => {
                let prefix = prefix(self.below(PREFIXES));
                let is_new = self.own.insert((host, prefix));
                if !is_new {
                    self.own.remove(&(host, prefix));
                }
                let route = is_new.then(Arc::default);
                self.export(host, prefix, route);
            }
            6..8 if are_peers(host, other) => self.network.cut(host, other),
            8 => self.network.hosts[host].listening ^= true,
            _ => {}
        }
    }

    fn export(&mut self, host: HostId, prefix: Prefix, route: Option<Arc<RouteAttributes>>) {
        let changes = vec![(prefix, route)];
        let group = GROUP;
        self.network.input(host, Input::Export { group, changes });
    }

    fn heal(&mut self) {
        for host in &mut self.network.hosts {
            host.listening = true;
        }
        let limit = Duration::from_secs(1000);
        self.network
            .run_until(limit, "all established", all_established);
        self.network.run(Duration::from_secs(30));
        self.nothing_out_of_place_was_sent();
    }

    /// Of every message: nobody but a reflector says that something was reflected, none says so to
    /// another AS, and no list of clusters has ours twice.
    fn nothing_out_of_place_was_sent(&mut self) {
        for one in std::mem::take(&mut self.network.sent) {
            let Message::Update(update) = &one.message else {
                continue;
            };
            let PathAttributes {
                originator_id,
                cluster_list,
                as_path,
                local_pref,
                ..
            } = &update.attributes;
            if update.reach.is_empty() {
                continue;
            }
            let is_reflected = originator_id.is_some() || !cluster_list.is_empty();
            if !REFLECTORS.contains(&one.from) || one.to == OUTSIDE {
                assert!(!is_reflected, "{one:?}");
            }
            if is_reflected {
                assert_eq!(cluster_list, &[CLUSTER], "{one:?}");
            }
            let leaves = asn(one.from) != asn(one.to);
            assert_eq!(local_pref.is_none(), leaves, "{one:?}");
            if leaves {
                assert_eq!(as_path.length(), 1, "no way through two: {one:?}");
            }
            if !REFLECTORS.contains(&one.from) {
                for prefix in update.announced() {
                    let next_hop = update.reach[0].next_hop.address;
                    assert_eq!(next_hop, IpAddr::V4(address(one.from)), "{prefix}: {one:?}");
                }
            }
        }
    }

    /// Both ends of a session agree, and what a reflector sends is its own route, or its best one as
    /// far as that may go there.
    fn everybody_has_what_the_rules_give(&self) {
        for from in 0..HOSTS {
            for to in (0..HOSTS).filter(|to| are_peers(from, *to)) {
                let sent = self.next_hops_sent(from, to);
                assert_eq!(sent, self.next_hops_wanted(from, to), "from {from} to {to}");
                let received = self.network.hosts[to].speaker.received(peer_id(from));
                let received: BTreeMap<_, _> = received
                    .map(|(prefix, set, _)| (prefix, set.next_hop.address))
                    .collect();
                assert_eq!(sent, received, "what {to} has of {from}");
            }
        }
        // A client reaches whatever it does not announce itself, by whoever does.
        for client in CLIENTS {
            for (_, prefix) in &self.own {
                let hosts = (0..HOSTS).filter(|host| self.own.contains(&(*host, *prefix)));
                let origins: BTreeSet<IpAddr> = hosts.map(|host| address(host).into()).collect();
                if self.own.contains(&(client, *prefix)) {
                    continue;
                }
                let best = self.network.hosts[client].speaker.loc_rib().best(prefix);
                let next_hop = best.map(|path| path.attributes.next_hop.address);
                assert!(
                    next_hop.is_some_and(|next_hop| origins.contains(&next_hop)),
                    "{client} reaches {prefix} by {next_hop:?}, not {origins:?}"
                );
            }
        }
    }

    fn next_hops_sent(&self, from: HostId, to: HostId) -> BTreeMap<Prefix, IpAddr> {
        let speaker = &self.network.hosts[from].speaker;
        let sent = speaker.advertisements(peer_id(to));
        sent.map(|(prefix, set)| (prefix, set.next_hop.address))
            .collect()
    }

    /// The rules in the words of RFC 4456 section 6, from the best paths.
    fn next_hops_wanted(&self, from: HostId, to: HostId) -> BTreeMap<Prefix, IpAddr> {
        let mut wanted = BTreeMap::new();
        if REFLECTORS.contains(&from) {
            for (prefix, paths) in self.network.hosts[from].speaker.loc_rib().iter() {
                let Source::Peer(source) = &paths[0].source else {
                    panic!("{prefix} comes from ourselves");
                };
                let is_client = |host| CLIENTS.contains(&host);
                let source_host = usize::try_from(source.id.0).unwrap();
                let goes = match source.peering {
                    Peering::External => to != OUTSIDE,
                    Peering::Internal if to == OUTSIDE => {
                        paths[0].attributes.path.as_path.segments.is_empty()
                    }
                    Peering::Internal => is_client(source_host) || is_client(to),
                };
                let next_hop = match to {
                    OUTSIDE => address(from).into(),
                    _ => paths[0].attributes.next_hop.address,
                };
                if goes && source_host != to && next_hop != IpAddr::V4(address(to)) {
                    wanted.insert(prefix, next_hop);
                }
            }
        }
        for (host, prefix) in &self.own {
            if *host == from {
                wanted.insert(*prefix, address(from).into());
            }
        }
        wanted
    }

    /// No reflector keeps a route of another alive.
    fn nothing_outlives_its_origin(&mut self) {
        for (host, prefix) in std::mem::take(&mut self.own) {
            self.export(host, prefix, None);
        }
        self.network.run(Duration::from_secs(30));
        for (id, host) in self.network.hosts.iter().enumerate() {
            assert!(host.speaker.loc_rib().is_empty(), "{id}");
            for peer in host.speaker.peers() {
                assert_eq!(peer.prefixes_sent, 0, "{id} to {}", peer.id);
            }
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.random.next_u64() % bound).unwrap()
    }
}
