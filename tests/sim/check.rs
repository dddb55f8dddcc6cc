//! What must hold: at any time, once everything is quiet, and in fair weather.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use rutter::bgp::wire::{AsPath, Message, PathAttributes, Update};
use rutter::rib::{AttributeSet, AttributesRef, LocRib, Multipath, Path, Resolvability, Source};
use rutter::speaker::{Event, Learning, PeerConfig, SessionState, Speaker};
use rutter::types::{Community, Family, Installation, Prefix, RestartTime};

use super::importer::{Answer, Key, Looks};
use super::network::{Host, HostId, Network, Sent, peer_id};
use super::scenario::{GROUPS, Owner, Scenario, marker};

/// Octets on their way to one peer: the speaker's bound, one UPDATE above it, and what does not
/// wait for room (KEEPALIVEs of a minute, a NOTIFICATION).
const BACKLOG_BYTES_MAX: usize = 256 * 1024 + 4096 + 1024;

/// What was sent since the last look is what the owners want; no queue is too long; sessions go up
/// and down in turn; no route is used that was not let in.
pub(super) fn in_flight(scenario: &mut Scenario) {
    transmitted(scenario);
    for host in &scenario.network.hosts {
        assert!(
            host.backlog_bytes_max <= BACKLOG_BYTES_MAX,
            "{}",
            host.backlog_bytes_max
        );
        up_and_down_in_turn(host);
        nothing_outlives_the_restart_time(host, scenario.network.now);
    }
    for host in 0..scenario.owners.len() {
        if !std::mem::take(&mut scenario.network.hosts[host].stirred) {
            continue;
        }
        used_as_decided(scenario, host);
        let changed = std::mem::take(&mut scenario.network.hosts[host].changed);
        let speaker = &scenario.network.hosts[host].speaker;
        scenario.owners[host].mirror.follow(changed, speaker);
    }
}

/// Each message that was sent since the last look is what its owner wants its peer to be sent.
/// Owners are looked at before they change: this is so at the time of sending.
pub(super) fn transmitted(scenario: &mut Scenario) {
    for one in std::mem::take(&mut scenario.network.sent) {
        if let Message::Update(update) = &one.message {
            assert!(update.errors.is_empty(), "{update:?}");
            only_what_is_exported(scenario, &one, update);
        }
    }
}

fn only_what_is_exported(scenario: &Scenario, sent: &Sent, update: &Update) {
    let (owner, to) = (&scenario.owners[sent.from], sent.to);
    assert!(
        owner.complete,
        "{update:?} was sent before exports were complete"
    );
    let group = peer(owner, to).group;
    for reach in &update.reach {
        let route = Route::sent(&update.attributes, reach.next_hop.address);
        assert_eq!(
            route.marker(),
            Some(marker(group)),
            "sent to {group:?}: {update:?}"
        );
        for prefix in &reach.prefixes {
            assert_eq!(
                wanted_route(scenario, sent.from, to, prefix).as_ref(),
                Some(&route),
                "{prefix} was announced to {to}: {update:?}"
            );
        }
    }
    for prefix in &update.withdrawn {
        let wanted = wanted_route(scenario, sent.from, to, prefix);
        assert_eq!(wanted, None, "{prefix} was withdrawn from {to}");
    }
}

/// A route as a peer is to have it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    med: Option<u32>,
    next_hop: IpAddr,
    communities: Vec<Community>,
    as_path: AsPath,
}

impl Route {
    fn sent(attributes: &PathAttributes, next_hop: IpAddr) -> Self {
        Self {
            med: attributes.med,
            next_hop,
            communities: attributes.communities.clone(),
            as_path: attributes.as_path.clone(),
        }
    }

    /// The mark of a group.
    fn marker(&self) -> Option<Community> {
        let mut markers = GROUPS.map(marker).into_iter();
        markers.find(|marker| self.communities.contains(marker))
    }
}

fn peer(owner: &Owner, host: HostId) -> &PeerConfig {
    let mut peers = owner.config.peers.iter();
    peers.find(|peer| peer.id == peer_id(host)).unwrap()
}

/// What a host's owner wants a peer to have for a prefix, if anything.
fn wanted_route(scenario: &Scenario, from: HostId, to: HostId, prefix: &Prefix) -> Option<Route> {
    let owner = &scenario.owners[from];
    let peer = peer(owner, to);
    let route = owner.exports.get(&(peer.group, *prefix))?;
    let internal = owner.config.asn == peer.asn;
    let barred = route.communities.contains(&Community::NO_ADVERTISE)
        || !internal && route.communities.contains(&Community::NO_EXPORT);
    if barred {
        return None;
    }
    let own = scenario.network.hosts[from].address;
    let next_hop = match (prefix.address(), own) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => own,
        (IpAddr::V4(_), _) => owner.config.next_hops.ipv4.unwrap().into(),
        (IpAddr::V6(_), _) => owner.config.next_hops.ipv6.unwrap().into(),
    };
    let copies = match internal {
        true => 0,
        false => 1 + usize::from(route.prepend),
    };
    Some(Route {
        med: route.med,
        next_hop,
        communities: route.communities.clone(),
        as_path: AsPath::sequence(&vec![owner.config.asn; copies]),
    })
}

/// Every path of a Loc-RIB, by the peer it comes from.
pub(super) fn paths(loc_rib: &LocRib) -> Vec<(Key, &Path)> {
    let mut found = Vec::new();
    for (prefix, _) in loc_rib.iter() {
        for (path, _) in loc_rib.explain(&prefix) {
            let Source::Peer(neighbor) = &path.source else {
                panic!("{prefix} comes from ourselves");
            };
            found.push(((neighbor.id, prefix), path));
        }
    }
    found
}

/// Routes of a host's peers that may be used, as they were received.
fn eligible(scenario: &Scenario, host: HostId) -> BTreeMap<Key, &AttributesRef> {
    let speaker = &scenario.network.hosts[host].speaker;
    let mut eligible = BTreeMap::new();
    for peer in &scenario.owners[host].config.peers {
        for (prefix, attributes, ineligible) in speaker.received(peer.id) {
            if ineligible.is_none() {
                eligible.insert((peer.id, prefix), attributes);
            }
        }
    }
    eligible
}

/// At any time: what is used is there, and as a decision let it in, where decisions are asked for.
fn used_as_decided(scenario: &Scenario, host: HostId) {
    let owner = &scenario.owners[host];
    let received = eligible(scenario, host);
    let used = paths(scenario.network.hosts[host].speaker.loc_rib());
    for (key, path) in &used {
        let there = received.get(key).copied();
        assert!(there.is_some(), "{key:?} is used and not there");
        match owner.config.learning {
            Learning::Everything => assert_eq!(there, Some(&path.attributes), "{key:?}"),
            Learning::Decided => {
                let looks = Looks::of(&path.attributes);
                assert!(
                    owner.importer.ever_granted(*key, &looks),
                    "{key:?} was never let in as {looks:?}"
                );
            }
        }
    }
    if owner.config.learning == Learning::Everything {
        assert_eq!(used.len(), received.len(), "routes are not used");
    }
}

/// Once everything is decided: exactly what the rule lets in is used, as the rule says.
fn decided(scenario: &Scenario, host: HostId) {
    let owner = &scenario.owners[host];
    let speaker = &scenario.network.hosts[host].speaker;
    assert!(speaker.has_initial_routes(), "{host} waits for something");
    let used = paths(speaker.loc_rib()).into_iter();
    let used: BTreeMap<_, _> = used
        .map(|(key, path)| {
            let installation = speaker.installation(key.0, &key.1);
            (key, (Looks::of(&path.attributes), installation))
        })
        .collect();
    let let_in = |(key, set): (Key, &AttributesRef)| match owner.config.learning {
        Learning::Everything => Some((key, (Looks::of(set), Installation::Install))),
        Learning::Decided => {
            let verdict = owner.importer.verdict(key, set)?;
            let looks = owner.importer.looks(key, &verdict, set);
            Some((key, (looks, verdict.installation)))
        }
    };
    let wanted: BTreeMap<_, _> = eligible(scenario, host)
        .into_iter()
        .filter_map(let_in)
        .collect();
    assert_eq!(used, wanted, "what {host} uses and what it decided");
}

/// What is used of a peer's routes before some answers, of which some may be void.
pub(super) struct Before {
    /// Paths that no answer may change: each is about another route than there is.
    untouchable: BTreeMap<Key, Option<Path>>,
}

impl Before {
    pub(super) fn of(scenario: &Scenario, host: HostId, answers: &[Answer]) -> Self {
        let received = eligible(scenario, host);
        let mut untouchable = BTreeMap::new();
        for Answer { import, .. } in answers {
            let key = (import.peer, import.prefix);
            untouchable.insert(key, path_of(scenario, host, key));
        }
        for Answer { route, import } in answers {
            let key = (import.peer, import.prefix);
            if received.get(&key) == Some(&&route.attributes) {
                untouchable.remove(&key);
            }
        }
        Self { untouchable }
    }

    pub(super) fn check(&self, scenario: &Scenario, host: HostId) {
        for (key, before) in &self.untouchable {
            let after = path_of(scenario, host, *key);
            assert_eq!(after, *before, "a void answer changed {key:?}");
        }
    }
}

fn path_of(scenario: &Scenario, host: HostId, (peer, prefix): Key) -> Option<Path> {
    let loc_rib = scenario.network.hosts[host].speaker.loc_rib();
    let is_its = |path: &&Path| matches!(&path.source, Source::Peer(one) if one.id == peer);
    let mut paths = loc_rib.explain(&prefix).into_iter().map(|(path, _)| path);
    paths.find(is_its).cloned()
}

/// The best paths as somebody sees them who looks only where the speaker says that they changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mirror(BTreeMap<Prefix, Vec<(Path, Installation)>>);

impl Mirror {
    fn follow(&mut self, changed: impl IntoIterator<Item = Prefix>, speaker: &Speaker) {
        for prefix in changed {
            let selected = speaker.loc_rib().selected(&prefix).iter();
            let selected: Vec<_> = selected
                .map(|path| {
                    let Source::Peer(neighbor) = &path.source else {
                        panic!("{prefix} comes from ourselves");
                    };
                    let installation = speaker.installation(neighbor.id, &prefix);
                    (path.clone(), installation)
                })
                .collect();
            if selected.is_empty() {
                self.0.remove(&prefix);
            } else {
                self.0.insert(prefix, selected);
            }
        }
    }

    fn check(&self, speaker: &Speaker) {
        let mut whole = Self::default();
        let prefixes = speaker.loc_rib().iter().map(|(prefix, _)| prefix);
        whole.follow(prefixes, speaker);
        assert_eq!(*self, whole, "best paths changed and nobody was told");
    }
}

/// A request for a family's routes was answered by all of them, and by no others.
pub(super) fn refreshed(scenario: &mut Scenario, from: HostId, to: HostId, family: Family) {
    let mut announced = BTreeSet::new();
    for one in &scenario.network.sent {
        if let Message::Update(update) = &one.message {
            assert_eq!((one.from, one.to), (from, to), "{update:?}");
            assert_eq!(update.withdrawn, [], "{update:?}");
            announced.extend(update.reach.iter().flat_map(|reach| &reach.prefixes));
        }
    }
    let speaker = &scenario.network.hosts[from].speaker;
    let has = speaker
        .advertisements(peer_id(to))
        .map(|(prefix, _)| prefix);
    let has: BTreeSet<_> = has.filter(|prefix| prefix.family() == family).collect();
    assert_eq!(announced, has, "what {from} sent {to} again");
    in_flight(scenario);
}

/// No path from a dead session survives its restart time.
fn nothing_outlives_the_restart_time(host: &Host, now: Instant) {
    for peer in host.speaker.peers().filter(|peer| peer.session.is_none()) {
        let dead = now.saturating_duration_since(peer.since);
        assert!(
            dead < RestartTime::DEFAULT.duration() || peer.prefixes_received == 0,
            "dead for {dead:?}: {peer:?}"
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
            | Event::Paused { .. }
            | Event::Tolerated { .. }
            | Event::NearLimit { .. }
            | Event::RoutesKept { .. }
            | Event::RoutesExpired { .. }
            | Event::Unresolved { .. }
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
    for (id, host) in network.hosts.iter().enumerate() {
        best_paths_follow_from_the_paths(host.speaker.loc_rib());
        decided(scenario, id);
        scenario.owners[id].mirror.check(&host.speaker);
    }
}

fn sessions_agree(network: &Network, node: HostId) {
    let session = |of: HostId, with: HostId| {
        let mut peers = network.hosts[of].speaker.peers();
        let peer = peers.find(|peer| peer.id == peer_id(with)).unwrap();
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
        .advertisements(peer_id(to))
        .map(|(prefix, route)| (prefix, (**route).clone()));
    let sent: Table = sent.collect();
    let receiver = &network.hosts[to].speaker;
    let received = receiver
        .received(peer_id(from))
        .map(|(prefix, route, _)| (prefix, (**route).clone()));
    let received: Table = received.collect();
    assert_eq!(
        sent, received,
        "Adj-RIB-Out of {from} and Adj-RIB-In of {to}"
    );
    let has = received
        .iter()
        .map(|(prefix, set)| (*prefix, Route::sent(&set.path, set.next_hop.address)));
    let owner = &scenario.owners[from];
    let group = peer(owner, to).group;
    let exported = owner.exports.keys().filter(|(of, _)| *of == group);
    let wanted = exported
        .filter_map(|(_, prefix)| Some((*prefix, wanted_route(scenario, from, to, prefix)?)));
    assert_eq!(
        has.collect::<BTreeMap<_, _>>(),
        wanted.collect(),
        "what {from} exports and what {to} has"
    );
}

/// The best paths are those that the same paths give in the opposite order.
fn best_paths_follow_from_the_paths(loc_rib: &LocRib) {
    let mut again = LocRib::new(Multipath::AnyNeighborAs);
    for (prefix, _) in loc_rib.iter() {
        for (path, _) in loc_rib.explain(&prefix).into_iter().rev() {
            again.insert(prefix, path.clone(), Resolvability::Resolvable);
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
        | Event::Paused { .. }
        | Event::Tolerated { .. }
        | Event::NearLimit { .. }
        | Event::RoutesKept { .. }
        | Event::RoutesExpired { .. }
        | Event::Unresolved { .. }
        | Event::NoNextHop { .. }
        | Event::CannotSend { .. } => false,
    };
    host.events
        .iter()
        .filter(|(_, event)| is_one(event))
        .count()
}
