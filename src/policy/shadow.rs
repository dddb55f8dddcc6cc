//! Policies in shadow mode: for each, what would differ if it decided at its place in the chain.
//!
//! [`Shadows`] is given what the chain in force decided ([`Observation`]), and changes nothing of
//! it. Each policy in shadow mode is looked at alone, as if the others were not there. It has
//! health of its own: while it fails, what it was not asked about is not compared. It keeps no
//! clock; the agent gives it a thread of its own, so that a slow one delays no route.

mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use super::chain::Chain;
use super::observation::{Cases, Circumstances, Extent, Observation, Seen};
use super::{Link, Mode, NextLink, Outcome, PeerGroup, Step};
use crate::candidates::{CandidateKey, Origin};
use crate::types::{GroupId, Prefix, RouteAttributes};
use walk::Question;

/// Every policy in shadow mode, with what it would change.
#[derive(Debug, Default)]
pub struct Shadows {
    shadows: Vec<Shadow>,
    circumstances: Option<Circumstances>,
}

/// A policy in shadow mode.
#[derive(Debug)]
pub struct Shadow {
    link: Link,
    /// The policies in force that are asked before it.
    ahead: BTreeSet<Arc<str>>,
    /// Itself, then the policies in force that are asked after it. Their health here is their
    /// own: what happens to them on its behalf is nothing to the chain in force.
    chain: Chain,
    groups: BTreeMap<GroupId, Comparison>,
}

/// What keeps a shadow from comparing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The policy itself, or one after it that fails on what it made of routes.
    pub policy: String,
    /// How it failed.
    pub error: String,
    /// When it will be asked again.
    pub retry_at: Instant,
}

/// What a shadow would change towards one peer group.
#[derive(Debug)]
pub struct Comparison {
    peers: PeerGroup,
    compared: BTreeMap<CandidateKey, Compared>,
    /// Still to be compared.
    waiting: BTreeMap<CandidateKey, Seen>,
    /// Prefixes of which something changed since they were settled.
    unsettled: BTreeSet<Prefix>,
    differences: BTreeMap<Prefix, Difference>,
}

/// What becomes of a candidate.
#[derive(Debug)]
struct Compared {
    /// In force.
    enforced: Option<Arc<RouteAttributes>>,
    /// With the shadow, where it differs.
    included: Option<Outcome>,
}

/// What would be another thing about a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What would happen to it.
    pub change: Change,
    /// The candidate that the decision is about.
    pub origin: Origin,
    /// The decision: the shadow's, or that of a later policy about what the shadow made of it.
    pub step: Step,
}

/// What would happen to an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is announced with these attributes, and would not be.
    Withdrawn(Arc<RouteAttributes>),
    /// It is not announced, and would be with these attributes.
    Added(Arc<RouteAttributes>),
    /// It would be announced with other attributes.
    Changed {
        /// Those in force.
        from: Arc<RouteAttributes>,
        /// Those it would have.
        to: Arc<RouteAttributes>,
    },
}

impl Shadows {
    /// Takes what came of the chain in force, and compares it.
    pub fn observe(&mut self, now: Instant, observation: Observation) {
        if observation.extent == Extent::Everything {
            self.follow(&observation.links);
        }
        for shadow in &mut self.shadows {
            shadow.take(&observation);
        }
        self.circumstances = Some(observation.circumstances);
        self.compare(now);
    }

    /// When to call [`Self::compare`], because a policy is failing; absent while none is.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        let retries = self.shadows.iter().filter_map(|it| it.chain.retry_at());
        retries.min()
    }

    /// Compares what is left to be compared. Harmless at any time.
    pub fn compare(&mut self, now: Instant) {
        let Some(circumstances) = &self.circumstances else {
            return;
        };
        for shadow in &mut self.shadows {
            shadow.compare(now, circumstances);
        }
    }

    /// Each policy in shadow mode, in the chain's order.
    pub fn iter(&self) -> impl Iterator<Item = &Shadow> {
        self.shadows.iter()
    }

    /// Takes the policies in shadow mode of another chain; those whose every policy is the same
    /// keep their health.
    fn follow(&mut self, links: &[Link]) {
        let mut former = std::mem::take(&mut self.shadows);
        for (place, link) in links.iter().enumerate() {
            if link.mode == Mode::Enforce {
                continue;
            }
            let new = Shadow::new(link, &links[..place], &links[place + 1..]);
            let same = former.iter().position(|old| old.asks_the_same(&new));
            self.shadows.push(match same {
                Some(position) => former.swap_remove(position),
                None => new,
            });
        }
    }
}

impl Shadow {
    fn new(link: &Link, ahead: &[Link], after: &[Link]) -> Self {
        let in_force = |link: &&Link| link.mode == Mode::Enforce;
        let own = Link {
            mode: Mode::Enforce,
            ..link.clone()
        };
        let links = std::iter::once(own).chain(after.iter().filter(in_force).cloned());
        let mut chain = Chain::default();
        chain.replace(links.map(NextLink::New));
        let ahead = ahead.iter().filter(in_force);
        Self {
            link: link.clone(),
            ahead: ahead.map(|link| Arc::clone(&link.name)).collect(),
            chain,
            groups: BTreeMap::new(),
        }
    }

    /// The policy as it stands in the chain.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// What keeps it from comparing; absent while nothing does.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.chain.status().find_map(|link| {
            Some(Fault {
                policy: link.name.to_owned(),
                error: link.error?.to_string(),
                retry_at: link.retry_at?,
            })
        })
    }

    /// How often it, or a policy after it, failed here.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.chain.status().map(|link| link.failures).sum()
    }

    /// What it would change, by peer group; only those that it is for.
    pub fn comparisons(&self) -> impl Iterator<Item = (GroupId, &Comparison)> {
        self.groups.iter().map(|(id, group)| (*id, group))
    }

    fn asks_the_same(&self, other: &Self) -> bool {
        let same = |(one, other): (&Link, &Link)| {
            one.name == other.name
                && one.audience == other.audience
                && Arc::ptr_eq(&one.policy, &other.policy)
        };
        self.ahead == other.ahead
            && self.chain.len() == other.chain.len()
            && self.chain.links().zip(other.chain.links()).all(same)
    }

    /// Notes what there is to compare.
    fn take(&mut self, observation: &Observation) {
        let Observation {
            links: _,
            circumstances: _,
            groups,
            extent,
            cases,
        } = observation;
        if *extent == Extent::Everything {
            self.groups.clear();
        }
        self.groups.retain(|id, _| groups.contains_key(id));
        let audience = &self.link.audience;
        for (id, peers) in groups.iter().filter(|(_, peers)| audience.includes(peers)) {
            let comparison = self.groups.entry(*id);
            let comparison = comparison.or_insert_with(|| Comparison::new(peers.clone()));
            comparison.peers.clone_from(peers);
            if let Some(cases) = cases.get(id) {
                comparison.take(cases);
            }
        }
    }

    fn compare(&mut self, now: Instant, circumstances: &Circumstances) {
        // Until the pause of a failing policy is over, there is nothing to be learned.
        let pausing = self.chain.retry_at().is_some_and(|at| now < at);
        if !pausing {
            self.chain.begin_round(now);
        }
        for comparison in self.groups.values_mut() {
            if !pausing {
                let question = Question {
                    now,
                    circumstances,
                    peers: &comparison.peers,
                    ahead: &self.ahead,
                };
                let waiting = std::mem::take(&mut comparison.waiting);
                let walked = walk::walk(&mut self.chain, &question, waiting.into_values());
                for (seen, outcome) in walked {
                    comparison.insert(seen, outcome);
                }
            }
            comparison.settle(&self.link.name);
        }
        if !pausing {
            self.chain.end_round();
        }
    }
}

impl Comparison {
    fn new(peers: PeerGroup) -> Self {
        Self {
            peers,
            compared: BTreeMap::new(),
            waiting: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            differences: BTreeMap::new(),
        }
    }

    /// The peers it is about.
    #[must_use]
    pub fn peers(&self) -> &PeerGroup {
        &self.peers
    }

    /// How many candidates were compared.
    #[must_use]
    pub fn compared(&self) -> usize {
        self.compared.len()
    }

    /// How many candidates are not compared, because a policy fails.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What would differ, ordered by prefix. Nothing is said of a prefix with a candidate that
    /// is not compared.
    pub fn differences(&self) -> impl Iterator<Item = (&Prefix, &Difference)> {
        self.differences.iter()
    }

    fn take(&mut self, cases: &Cases) {
        for (key, seen) in cases {
            self.unsettled.insert(key.prefix);
            self.compared.remove(key);
            match seen {
                Some(seen) => self.waiting.insert(key.clone(), seen.clone()),
                None => self.waiting.remove(key),
            };
        }
    }

    fn insert(&mut self, seen: Seen, outcome: Option<Outcome>) {
        let key = seen.candidate.key.clone();
        self.unsettled.insert(key.prefix);
        let Some(included) = outcome else {
            self.waiting.insert(key, seen);
            return;
        };
        let enforced = seen.outcome.accepted;
        let included = (included.accepted != enforced).then_some(included);
        self.compared.insert(key, Compared { enforced, included });
    }

    /// Makes the differences agree with what was compared.
    fn settle(&mut self, shadow: &str) {
        for prefix in std::mem::take(&mut self.unsettled) {
            match self.difference(prefix, shadow) {
                Some(difference) => self.differences.insert(prefix, difference),
                None => self.differences.remove(&prefix),
            };
        }
    }

    /// As [`Exports`](super::Exports) does, the first accepted candidate of a prefix is announced.
    fn difference(&self, prefix: Prefix, shadow: &str) -> Option<Difference> {
        if of_prefix(&self.waiting, prefix).next().is_some() {
            return None;
        }
        let mut enforced = None;
        let mut included = None;
        for (key, compared) in of_prefix(&self.compared, prefix) {
            if enforced.is_none() {
                enforced = compared.enforced.clone().map(|route| (key, route));
            }
            if included.is_none() {
                included = compared.accepted().cloned().map(|route| (key, route));
            }
        }
        let (change, key) = match (enforced, included) {
            (None, None) => return None,
            (Some((_, from)), Some((_, to))) if from == to => return None,
            (Some((key, route)), None) => (Change::Withdrawn(route), key),
            (None, Some((key, route))) => (Change::Added(route), key),
            // Whichever comes first is what the shadow decided otherwise about.
            (Some((before, from)), Some((after, to))) => {
                (Change::Changed { from, to }, before.min(after))
            }
        };
        let outcome = self.compared.get(key)?.included.as_ref()?;
        Some(Difference {
            change,
            origin: key.origin.clone(),
            step: decisive(outcome, shadow)?.clone(),
        })
    }
}

impl Compared {
    /// What the candidate would be announced with.
    fn accepted(&self) -> Option<&Arc<RouteAttributes>> {
        match &self.included {
            Some(included) => included.accepted.as_ref(),
            None => self.enforced.as_ref(),
        }
    }
}

/// The step that made the difference: a rejection is the last one, else it is the shadow's own.
fn decisive<'o>(outcome: &'o Outcome, shadow: &str) -> Option<&'o Step> {
    let own = outcome.steps.iter().find(|step| *step.policy == *shadow);
    match outcome.accepted {
        Some(_) => own,
        None => outcome.steps.last(),
    }
}

fn of_prefix<V>(
    candidates: &BTreeMap<CandidateKey, V>,
    prefix: Prefix,
) -> impl Iterator<Item = (&CandidateKey, &V)> {
    // No origin sorts before this one.
    let origin = Origin::PodCidr;
    let first = CandidateKey { prefix, origin };
    let from = candidates.range((Bound::Included(first), Bound::Unbounded));
    from.take_while(move |(key, _)| key.prefix == prefix)
}
