//! An owner's side of import decisions: it takes what is undecided when it likes, decides by a rule
//! that changes, and answers late, out of order, more than once, or not at all.
//!
//! What it lets in is written down: nothing else may ever be in the Loc-RIB.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use rutter::bgp::Random;
use rutter::rib::AttributeSet;
use rutter::speaker::{Import, PeerConfig, Undecided, UndecidedRoute, route_attributes};
use rutter::types::{Asn, Community, Installation, PeerId, Prefix, RouteAttributes};

pub(super) type Key = (PeerId, Prefix);

/// What one owner remembers of the routes it is asked about.
#[derive(Default)]
pub(super) struct Importer {
    /// The AS of each peer, as configured.
    peers: BTreeMap<PeerId, Asn>,
    /// The rule in force; any number is one.
    rule: u64,
    /// Taken, and perhaps answered already.
    questions: Vec<(Key, UndecidedRoute)>,
    /// The newest question about each route that there is.
    newest: BTreeMap<Key, UndecidedRoute>,
    /// How each route may look, by all decisions so far.
    granted: BTreeMap<Key, BTreeSet<Looks>>,
}

/// What import policies may change about a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Looks {
    med: Option<u32>,
    local_pref: Option<u32>,
    next_hop: IpAddr,
    communities: Vec<Community>,
    as_path: Vec<Asn>,
}

impl Looks {
    pub(super) fn of(set: &AttributeSet) -> Self {
        let segments = set.path.as_path.segments.iter();
        Self {
            med: set.path.med,
            local_pref: set.path.local_pref,
            next_hop: set.next_hop.address,
            communities: set.path.communities.clone(),
            as_path: segments.flat_map(|segment| segment.asns.clone()).collect(),
        }
    }
}

/// What a rule makes of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    attributes: RouteAttributes,
    pub(super) installation: Installation,
}

impl Importer {
    pub(super) fn new(peers: &[PeerConfig]) -> Self {
        Self {
            peers: peers.iter().map(|peer| (peer.id, peer.asn)).collect(),
            ..Self::default()
        }
    }

    pub(super) fn rule(&self) -> u64 {
        self.rule
    }

    pub(super) fn set_rule(&mut self, rule: u64) {
        self.rule = rule;
    }

    /// Takes in what a speaker gave.
    pub(super) fn take(&mut self, undecided: Vec<Undecided>) {
        for Undecided {
            peer,
            prefix,
            route,
        } in undecided
        {
            let key = (peer, prefix);
            match route {
                Some(route) => {
                    self.newest.insert(key, route.clone());
                    self.questions.push((key, route));
                }
                None => {
                    self.newest.remove(&key);
                }
            }
        }
    }

    pub(super) fn questions(&self) -> usize {
        self.questions.len()
    }

    /// Asks itself about everything again, as it must when the rule changes.
    pub(super) fn ask_again(&mut self) {
        let newest = self.newest.iter();
        self.questions
            .extend(newest.map(|(key, route)| (*key, route.clone())));
    }

    /// The answer to one question; it may be asked again.
    pub(super) fn answer(&mut self, question: usize, again: Again) -> Answer {
        let (key, route) = match again {
            Again::Yes => self.questions[question].clone(),
            Again::No => self.questions.swap_remove(question),
        };
        self.answer_to(key, route)
    }

    /// The answers to all questions, which are not asked again.
    pub(super) fn answer_all(&mut self) -> Vec<Answer> {
        let questions = std::mem::take(&mut self.questions).into_iter();
        questions
            .map(|(key, route)| self.answer_to(key, route))
            .collect()
    }

    fn answer_to(&mut self, key: Key, route: UndecidedRoute) -> Answer {
        let verdict = self.verdict(key, &route.attributes);
        if let Some(verdict) = &verdict {
            self.grant(key, self.looks(key, verdict, &route.attributes));
        }
        let import = Import {
            peer: key.0,
            prefix: key.1,
            version: route.version,
            used: verdict.map(|verdict| (Arc::new(verdict.attributes), verdict.installation)),
        };
        Answer { route, import }
    }

    /// What the rule in force makes of a route as it was received.
    pub(super) fn verdict(&self, (peer, prefix): Key, set: &AttributeSet) -> Option<Verdict> {
        let mut attributes = route_attributes(set);
        let mut chance = Random::new(
            self.rule
                ^ u64::from(peer.0) << 48
                ^ u64::from(attributes.med.unwrap_or(77)) << 32
                ^ bits(prefix),
        );
        let installation = match chance.next_u64() % 4 {
            0 => Installation::Keep,
            _ => Installation::Install,
        };
        match chance.next_u64() % 4 {
            0 => return None,
            1 => {}
            _ => {
                attributes.local_pref = Some(50 + u32::try_from(chance.next_u64() % 3).unwrap());
                attributes.med = Some(u32::try_from(chance.next_u64() % 5).unwrap());
                attributes.prepend = u8::try_from(chance.next_u64() % 3).unwrap();
                attributes.communities = vec![Community(7)];
            }
        }
        Some(Verdict {
            attributes,
            installation,
        })
    }

    /// What comes of a received route that is accepted so.
    pub(super) fn looks(&self, (peer, _): Key, verdict: &Verdict, set: &AttributeSet) -> Looks {
        let received = Looks::of(set);
        let RouteAttributes {
            med,
            local_pref,
            prepend,
            next_hop,
            communities,
            large_communities: _,
            extended_communities: _,
        } = &verdict.attributes;
        let copies = vec![self.peers[&peer]; usize::from(*prepend)];
        Looks {
            med: *med,
            local_pref: *local_pref,
            next_hop: next_hop.unwrap_or(received.next_hop),
            communities: communities.clone(),
            as_path: [copies, received.as_path].concat(),
        }
    }

    /// Whether a decision ever let the route in like this.
    pub(super) fn ever_granted(&self, key: Key, looks: &Looks) -> bool {
        self.granted
            .get(&key)
            .is_some_and(|granted| granted.contains(looks))
    }

    /// Lets a route in, by a decision or because it was in before decisions were asked for.
    pub(super) fn grant(&mut self, key: Key, looks: Looks) {
        self.granted.entry(key).or_default().insert(looks);
    }
}

/// A decision, and what it is about.
pub(super) struct Answer {
    pub(super) route: UndecidedRoute,
    pub(super) import: Import,
}

/// Whether an answered question is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    No,
    Yes,
}

fn bits(prefix: Prefix) -> u64 {
    let bits = match prefix.address() {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) as u64,
    };
    bits ^ u64::from(prefix.length()) << 40
}
