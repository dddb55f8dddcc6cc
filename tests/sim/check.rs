//! What must hold: at any time, once everything is quiet, and in fair weather.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rutter::bgp::wire::{Message, Update};
use rutter::rib::{AttributeSet, LocRib, Multipath};
use rutter::speaker::{Event, SessionState};
use rutter::types::{Community, PeerId, Prefix, RouteAttributes};

use super::network::{Host, HostId, Network};
use super::scenario::{GROUPS, Owner, Scenario};

/// Octets on their way to one peer: the speaker's bound, one UPDATE above it, and what does not
/// wait for room (KEEPALIVEs of a minute, a NOTIFICATION).
const BACKLOG_BYTES_MAX: usize = 256 * 1024 + 4096 + 1024;

/// Of what was sent since the last look, all is what the owner wants at this moment; no queue is
/// too long; sessions go up and down in turn.
pub(super) fn in_flight(scenario: &mut Scenario) {
    let sent = std::mem::take(&mut scenario.network.sent);
    for one in sent {
        if let Message::Update(update) = one.message {
            only_what_is_exported(&scenario.owners[one.from], &update);
        }
    }
    for host in &scenario.network.hosts {
        assert!(
            host.backlog_bytes_max <= BACKLOG_BYTES_MAX,
            "{}",
            host.backlog_bytes_max
        );
        up_and_down_in_turn(host);
    }
}

fn only_what_is_exported(owner: &Owner, update: &Update) {
    for prefix in update.reach.iter().flat_map(|reach| &reach.prefixes) {
        assert!(
            owner.complete,
            "{prefix} was announced before exports were complete"
        );
        let is_this = |route: &RouteAttributes| {
            route.med == update.attributes.med
                && route.communities == update.attributes.communities
                && !route.communities.contains(&Community::NO_ADVERTISE)
        };
        let exported = GROUPS.map(|group| owner.exports.get(&(group, *prefix)));
        let wanted = exported.into_iter().flatten().any(|route| is_this(route));
        assert!(
            wanted,
            "{prefix} was announced and is not exported like that: {update:?}"
        );
    }
}

fn up_and_down_in_turn(host: &Host) {
    let mut up = BTreeMap::new();
    for (_, event) in &host.events {
        let (peer, now_up) = match event {
            Event::Established { peer } => (*peer, true),
            Event::Down { peer, .. } => (*peer, false),
            Event::Stranger { .. }
            | Event::AttemptFailed { .. }
            | Event::Tolerated { .. }
            | Event::NoNextHop { .. }
            | Event::CannotSend { .. } => continue,
        };
        let was_up = up.insert(peer, now_up).unwrap_or(false);
        assert_ne!(was_up, now_up, "{peer} twice in a row: {:?}", host.events);
    }
}

pub(super) fn all_established(network: &Network) -> bool {
    let mut peers = network.hosts.iter().flat_map(|host| host.speaker.peers());
    peers.all(|peer| peer.state == SessionState::Established)
}

/// Both ends of each session agree, on the session and on every route; the Loc-RIB follows.
pub(super) fn quiescent(scenario: &Scenario) {
    let network = &scenario.network;
    for node in 1..scenario.owners.len() {
        assert_eq!(
            network.open_connections(0, node),
            1,
            "one connection with host {node}"
        );
        sessions_agree(network, node);
        for (from, to) in [(0, node), (node, 0)] {
            routes_agree(scenario, from, to);
        }
    }
    for host in &network.hosts {
        best_paths_follow_from_the_paths(host.speaker.loc_rib());
    }
}

fn id(host: HostId) -> PeerId {
    PeerId(u32::try_from(host).unwrap())
}

fn sessions_agree(network: &Network, node: HostId) {
    let session = |of: HostId, with: HostId| {
        let mut peers = network.hosts[of].speaker.peers();
        let peer = peers.find(|peer| peer.id == id(with)).unwrap();
        assert_eq!(peer.prefixes_pending, 0);
        assert_eq!(peer.last_error, None);
        peer.session.expect("established")
    };
    let (router, node) = (session(0, node), session(node, 0));
    assert_eq!(router.hold_time, node.hold_time);
    assert_eq!(router.families, node.families);
}

type Table = BTreeMap<Prefix, AttributeSet>;

fn routes_agree(scenario: &Scenario, from: HostId, to: HostId) {
    let network = &scenario.network;
    let sender = &network.hosts[from].speaker;
    let sent = sender
        .advertisements(id(to))
        .map(|(prefix, route)| (prefix, (**route).clone()));
    let sent: Table = sent.collect();
    let receiver = &network.hosts[to].speaker;
    let received = receiver
        .received(id(from))
        .map(|(prefix, route, _)| (prefix, (**route).clone()));
    let received: Table = received.collect();
    assert_eq!(
        sent, received,
        "Adj-RIB-Out of {from} and Adj-RIB-In of {to}"
    );
    let has: BTreeMap<_, _> = received
        .iter()
        .map(|(prefix, route)| (*prefix, (route.path.med, route.next_hop.address)))
        .collect();
    assert_eq!(
        has,
        wanted(scenario, from, to),
        "what {from} exports and what {to} has"
    );
}

/// What a host's owner wants a peer to have: MED and next hop of each prefix.
fn wanted(
    scenario: &Scenario,
    from: HostId,
    to: HostId,
) -> BTreeMap<Prefix, (Option<u32>, IpAddr)> {
    let owner = &scenario.owners[from];
    let peer = owner
        .config
        .peers
        .iter()
        .find(|peer| peer.id == id(to))
        .unwrap();
    let own = scenario.network.hosts[from].address;
    let internal = owner.config.asn == peer.asn;
    let mut wanted = BTreeMap::new();
    for ((group, prefix), route) in &owner.exports {
        let barred = route.communities.contains(&Community::NO_ADVERTISE)
            || !internal && route.communities.contains(&Community::NO_EXPORT);
        if *group != peer.group || barred {
            continue;
        }
        let next_hop = match (prefix.address(), own) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => own,
            (IpAddr::V4(_), _) => owner.config.next_hops.ipv4.unwrap().into(),
            (IpAddr::V6(_), _) => owner.config.next_hops.ipv6.unwrap().into(),
        };
        wanted.insert(*prefix, (route.med, next_hop));
    }
    wanted
}

/// The best paths are those that the same paths give in the opposite order.
fn best_paths_follow_from_the_paths(loc_rib: &LocRib) {
    let mut again = LocRib::new(Multipath::AnyNeighborAs);
    for (prefix, _) in loc_rib.iter() {
        for (path, _) in loc_rib.explain(&prefix).into_iter().rev() {
            again.insert(prefix, path.clone());
        }
        assert_eq!(
            again.selected(&prefix),
            loc_rib.selected(&prefix),
            "{prefix}"
        );
    }
}

/// Every session came up once, at the first attempt.
pub(super) fn undisturbed(scenario: &Scenario) {
    for host in &scenario.network.hosts {
        let sessions = host.speaker.peers().count();
        assert_eq!(host.events.len(), sessions, "{:?}", host.events);
        assert_eq!(transitions(host), sessions);
    }
}

/// Times a session went up or down, or failed to.
pub(super) fn transitions(host: &Host) -> usize {
    let is_one = |event: &Event| match event {
        Event::Established { .. } | Event::Down { .. } | Event::AttemptFailed { .. } => true,
        Event::Stranger { .. }
        | Event::Tolerated { .. }
        | Event::NoNextHop { .. }
        | Event::CannotSend { .. } => false,
    };
    host.events
        .iter()
        .filter(|(_, event)| is_one(event))
        .count()
}
