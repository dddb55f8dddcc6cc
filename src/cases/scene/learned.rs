//! Questions about learned routes: whom they come from, what a file leaves out of them, and which
//! of them no agent would ask a policy about.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::super::document::{Case, Expectation, ExpectedVerdict, Group, Settings};
use super::super::fill::node_facts;
use super::super::learned::{Learned, PathText, Peer};
use super::{Check, Expected, Place, Reader, peer_group};
use crate::facts::NodeFacts;
use crate::policy::{
    LearnedFrom, LearnedPath, PathOrigin, PathSegment, PeerGroup, PeerKind, SegmentKind,
};
use crate::types::{Asn, Family, Installation, Prefix, RouteAttributes, RouterId};

/// The peer of a file that has none.
const PEER_DEFAULT: &str = "peer";

/// Where a peer is that does not say so: an address for documentation (RFC 5737).
const ADDRESS_DEFAULT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A question: these routes, learned from this peer, on this node.
#[derive(Clone, Debug)]
pub struct LearnedScene {
    /// The case's name, or that of the peer in a file without cases.
    pub name: String,
    /// Where it is in the file.
    pub line: usize,
    /// The policy's settings; absent where nobody wrote any.
    pub settings: Option<Settings>,
    /// The node.
    pub node: Arc<NodeFacts>,
    /// Our own AS.
    pub asn: Asn,
    /// The group of the peer.
    pub peer_group: PeerGroup,
    /// The peer.
    pub peer: LearnedFrom,
    /// Ordered by prefix, each once.
    pub routes: Vec<Received>,
    /// What is to be seen.
    pub check: Check<ExpectedImport>,
}

/// A route as the peer announced it.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// Where to.
    pub prefix: Prefix,
    /// What no policy changes.
    pub path: Arc<LearnedPath>,
    /// What the first policy is proposed.
    pub attributes: Arc<RouteAttributes>,
}

/// What should be decided about a learned route.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedImport {
    /// Where it is in the file.
    pub line: usize,
    /// About what.
    pub prefix: Prefix,
    /// The answer.
    pub verdict: ExpectedVerdict,
    /// What an accepted route is used with. A next hop that nobody gives is the one received.
    pub attributes: Arc<RouteAttributes>,
    /// What is said about the kernel.
    pub installation: Option<Installation>,
    /// The policy's words; any where absent.
    pub reason: Option<String>,
}

impl Expected for ExpectedImport {
    fn subject(&self) -> String {
        self.prefix.to_string()
    }
}

impl Reader<'_> {
    pub(super) fn read_peers(&mut self, peers: Vec<Peer>) {
        for (index, peer) in peers.into_iter().enumerate() {
            if self.peers.iter().any(|known| known.name == peer.name) {
                let place = self.file_place(self.lines.peer(index));
                self.problem(place, format!("peer {:?} is there twice", peer.name));
            } else {
                self.peers.push(peer);
            }
        }
        if self.peers.is_empty() {
            self.peers.push(Peer {
                name: PEER_DEFAULT.to_owned(),
                address: None,
                router_id: None,
                peer_group: None,
                asn: None,
                labels: None,
            });
        }
        for index in 0..self.peers.len() {
            if let Err(problem) = self.group_of(&self.peers[index]) {
                let place = self.file_place(self.lines.peer(index));
                self.problem(place, problem);
            }
        }
    }

    pub(super) fn read_learned(&mut self, routes: Vec<Learned>) {
        for (index, route) in routes.into_iter().enumerate() {
            let place = self.file_place(self.lines.learned(index));
            let name = route.peer.clone();
            let name = name.unwrap_or_else(|| self.peers[0].name.clone());
            let Some(peer) = self.peer(&name, place) else {
                continue;
            };
            let prefix = route.prefix;
            if let Ok(group) = self.group_of(&peer) {
                let group = peer_group(&group, self.asn);
                let received = received(&route, &learned_from(&peer), &group);
                if let Some(why) = impossible(&received, &group, self.asn) {
                    let problem = format!("{prefix} cannot be learned from {name}: {why}");
                    self.problem(place, problem);
                }
            }
            if self.learned.insert((name.clone(), prefix), route).is_some() {
                let problem = format!("{prefix} from {name} is there twice; remove one");
                self.problem(place, problem);
            }
        }
    }

    /// One question for each peer that announces anything.
    pub(super) fn scene_for_each_peer(&mut self) -> Vec<LearnedScene> {
        let peers = self.peers.clone();
        let with_routes = peers.iter().filter(|peer| {
            let mut names = self.learned.keys().map(|(name, _)| name);
            names.any(|name| *name == peer.name)
        });
        let case = Case::default();
        with_routes
            .filter_map(|peer| {
                let routes = self.routes_of(peer);
                let name = format!("learned from {}", peer.name);
                let group = self.group_of(peer).ok()?;
                Some(LearnedScene {
                    name,
                    ..self.learned_from(1, peer, &group, &case, routes)
                })
            })
            .collect()
    }

    /// The question of a case about learned routes, where it makes sense.
    pub(super) fn learned_scene(
        &mut self,
        index: usize,
        place: Place<'_>,
        case: Case,
    ) -> Option<LearnedScene> {
        let peer = match &case.peer {
            Some(name) => self.peer(name, place)?,
            None => self.peers.first()?.clone(),
        };
        let group = self.group_of(&peer).ok()?;
        let mut routes = self.routes_of(&peer);
        for route in &case.learned {
            let of = route.peer.as_ref().unwrap_or(&peer.name);
            if *of != peer.name {
                let problem = format!(
                    "the case is about routes from {}, {} is from {of}: make two cases of it",
                    peer.name, route.prefix
                );
                self.problem(place, problem);
                continue;
            }
            let route = match routes.remove(&route.prefix) {
                Some(written) => route.clone().or(written),
                None => route.clone(),
            };
            routes.insert(route.prefix, route);
        }
        let mut scene = self.learned_from(place.line, &peer, &group, &case, routes);
        // The file's own were looked at when they were read.
        let is_new = |route: &&Received| {
            case.asn.is_some() || case.learned.iter().any(|own| own.prefix == route.prefix)
        };
        for route in scene.routes.iter().filter(is_new) {
            if let Some(why) = impossible(route, &scene.peer_group, scene.asn) {
                let problem = format!(
                    "{} cannot be learned from {}: {why}",
                    route.prefix, peer.name
                );
                self.problem(place, problem);
            }
        }
        scene.check = match (case.refused, case.expect) {
            (None, None) => Check::Snapshot,
            (Some(words), _) => Check::Refusal(words),
            (None, Some(expected)) => {
                let found = |line, expectation| decision(line, &scene, expectation);
                Check::Decisions(self.decisions(index, place, expected, found))
            }
        };
        Some(scene)
    }

    fn learned_from(
        &self,
        line: usize,
        peer: &Peer,
        group: &Group,
        case: &Case,
        routes: BTreeMap<Prefix, Learned>,
    ) -> LearnedScene {
        let asn = case.asn.unwrap_or(self.asn);
        let peer_group = peer_group(group, asn);
        let peer = learned_from(peer);
        let routes = routes.values();
        LearnedScene {
            name: case.name.clone(),
            line,
            settings: case.settings.clone().or_else(|| self.settings.clone()),
            node: Arc::new(node_facts(case.node.clone().or(self.node.clone()))),
            asn,
            routes: routes
                .map(|route| received(route, &peer, &peer_group))
                .collect(),
            peer_group,
            peer,
            check: Check::Snapshot,
        }
    }

    fn routes_of(&self, peer: &Peer) -> BTreeMap<Prefix, Learned> {
        let routes = self.learned.iter().filter(|((of, _), _)| *of == peer.name);
        routes
            .map(|((_, prefix), route)| (*prefix, route.clone()))
            .collect()
    }

    fn peer(&mut self, name: &str, place: Place<'_>) -> Option<Peer> {
        let found = self.peers.iter().find(|peer| peer.name == name).cloned();
        if found.is_none() {
            let names: Vec<_> = self.peers.iter().map(|peer| peer.name.as_str()).collect();
            let names = names.join(", ");
            self.problem(
                place,
                format!("no peer is called {name:?}; there are: {names}"),
            );
        }
        found
    }

    /// The group of a peer, with what the peer says itself about its AS and labels.
    fn group_of(&self, peer: &Peer) -> Result<Group, String> {
        let groups = self.groups();
        let named = |name: &str| groups.iter().find(|group| group.name == name).cloned();
        let group = match (&peer.peer_group, named(&peer.name), peer.asn) {
            (Some(name), ..) => named(name).ok_or_else(|| {
                let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
                let names = names.join(", ");
                format!("no peer group is called {name:?}; there are: {names}")
            })?,
            (None, Some(group), _) => group,
            (None, None, Some(asn)) => Group {
                name: peer.name.clone(),
                asn,
                labels: [].into(),
            },
            (None, None, None) => groups
                .first()
                .cloned()
                .expect("a file without groups has the default one"),
        };
        Ok(Group {
            name: group.name,
            asn: peer.asn.unwrap_or(group.asn),
            labels: peer.labels.clone().unwrap_or(group.labels),
        })
    }

    fn file_place<'a>(&self, line: usize) -> Place<'a> {
        Place { line, case: None }
    }
}

fn learned_from(peer: &Peer) -> LearnedFrom {
    let address = peer.address.unwrap_or(ADDRESS_DEFAULT.into());
    let own = match address {
        IpAddr::V4(address) => RouterId::try_from(address).ok(),
        IpAddr::V6(_) => None,
    };
    let default = || RouterId::try_from(ADDRESS_DEFAULT).expect("it is not 0.0.0.0");
    LearnedFrom {
        name: peer.name.clone(),
        address,
        router_id: peer.router_id.or(own).unwrap_or_else(default),
    }
}

/// A route with what it leaves out.
fn received(route: &Learned, peer: &LearnedFrom, group: &PeerGroup) -> Received {
    let Learned {
        prefix,
        peer: _, // is the one it was found by
        origin,
        as_path,
        next_hop,
        med,
        local_pref,
        communities,
        large_communities,
        extended_communities,
    } = route.clone();
    let by_peer = match group.kind {
        PeerKind::Ibgp => Vec::new(),
        PeerKind::Ebgp => vec![PathSegment {
            kind: SegmentKind::Sequence,
            asns: vec![group.asn],
        }],
    };
    let of_peer = (Family::of(peer.address) == prefix.family()).then_some(peer.address);
    Received {
        prefix,
        path: Arc::new(LearnedPath {
            origin: origin.map_or(PathOrigin::Igp, Into::into),
            as_path: as_path.map_or(by_peer, |PathText(segments)| segments),
        }),
        attributes: Arc::new(RouteAttributes {
            med,
            local_pref,
            prepend: 0,
            next_hop: next_hop.or(of_peer),
            communities: as_a_set(communities),
            large_communities: as_a_set(large_communities),
            extended_communities: as_a_set(extended_communities),
        }),
    }
}

fn as_a_set<T: Ord>(items: Option<Vec<T>>) -> Vec<T> {
    let mut items = items.unwrap_or_default();
    items.sort_unstable();
    items.dedup();
    items
}

/// Why the agent would never ask a policy about this route, if so.
fn impossible(route: &Received, group: &PeerGroup, asn: Asn) -> Option<String> {
    let Received {
        prefix,
        path,
        attributes,
    } = route;
    let has = |asn: Asn| {
        path.as_path
            .iter()
            .any(|segment| segment.asns.contains(&asn))
    };
    if has(Asn(0)) {
        return Some("AS 0 is reserved (RFC 7607 2)".to_owned());
    }
    if has(asn) {
        return Some(format!(
            "our AS {asn} is in its path, so it is a loop and no policy is asked about it"
        ));
    }
    if group.kind == PeerKind::Ebgp && attributes.local_pref.is_some() {
        return Some(
            "LOCAL_PREF of an external peer is ignored (RFC 7606 7.5): remove local-pref"
                .to_owned(),
        );
    }
    let next_hop = attributes.next_hop?;
    if Family::of(next_hop) != prefix.family() {
        return Some(format!("its next hop {next_hop} is of the other family"));
    }
    let is_host = match next_hop {
        IpAddr::V4(address) => !matches!(address.octets()[0], 0 | 224..),
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast(),
    };
    (!is_host).then(|| format!("its next hop {next_hop} is no host (RFC 4271 6.3)"))
}

/// An expectation about the route it means.
fn decision(
    line: usize,
    scene: &LearnedScene,
    expectation: Expectation,
) -> Result<ExpectedImport, String> {
    let Expectation {
        prefix,
        route,
        service,
        verdict,
        attributes,
        installation,
        reason,
    } = expectation;
    if route.is_some() || service.is_some() {
        return Err("a learned route is named by its prefix: remove route and service".to_owned());
    }
    let Some(asked) = scene.routes.iter().find(|route| route.prefix == prefix) else {
        let peer = &scene.peer.name;
        return Err(format!(
            "{prefix} is not learned from {peer}: write it into learned"
        ));
    };
    let says = attributes.is_some() || installation.is_some();
    match verdict {
        ExpectedVerdict::Reject | ExpectedVerdict::Abstain if says => {
            return Err(
                "only an accepted route has attributes or an installation: remove them".to_owned(),
            );
        }
        ExpectedVerdict::Accept | ExpectedVerdict::Reject | ExpectedVerdict::Abstain => {}
    }
    let attributes = match attributes.map(RouteAttributes::from) {
        Some(attributes) => Arc::new(RouteAttributes {
            next_hop: attributes.next_hop.or(asked.attributes.next_hop),
            ..attributes
        }),
        None => Arc::clone(&asked.attributes),
    };
    Ok(ExpectedImport {
        line,
        prefix,
        verdict,
        attributes,
        installation,
        reason,
    })
}
