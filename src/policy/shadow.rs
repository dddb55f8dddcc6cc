//! Policies in shadow mode: for each, what would differ if it decided at its place in the chain.
//!
//! [`Shadows`] is given what a chain in force decided ([`Observation`]), of either direction, and
//! changes nothing of it. Each policy in shadow mode is looked at alone, as if the others were not there. It has
//! health of its own: while it fails, what it was not asked about is not compared. It keeps no
//! clock; the agent gives it a thread of its own, so that a slow one delays no route.

mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::chain::Chain;
use super::observation::{Cases, Circumstances, Extent, Observation, Seen};
use super::outcome::of_prefix;
use super::{Directed, Link, Mode, NextLink, Outcome, RoutePolicy, Step};
use crate::candidates::CandidateKey;
use crate::types::{Prefix, RouteAttributes};
use walk::{Question, Walked};

/// Every policy of a chain in shadow mode, with what it would change.
#[derive(Debug)]
pub struct Shadows<P: Directed = Arc<dyn RoutePolicy>> {
    shadows: Vec<Shadow<P>>,
    circumstances: Option<Circumstances>,
}

/// A policy in shadow mode.
#[derive(Debug)]
pub struct Shadow<P: Directed = Arc<dyn RoutePolicy>> {
    link: Link<P>,
    /// The policies in force that are asked before it.
    ahead: BTreeSet<Arc<str>>,
    /// Itself, then the policies in force that are asked after it. Their health here is their
    /// own: what happens to them on its behalf is nothing to the chain in force.
    chain: Chain<P>,
    comparisons: BTreeMap<P::PeersId, Comparison<P>>,
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

/// What a shadow would change towards one peer group, or of what one peer announces.
#[derive(Debug)]
pub struct Comparison<P: Directed = Arc<dyn RoutePolicy>> {
    peers: P::Peers,
    compared: BTreeMap<P::Key, Compared<P::Accepted>>,
    /// Still to be compared.
    waiting: BTreeMap<P::Key, Seen<P>>,
    /// Prefixes of which something changed since they were settled.
    unsettled: BTreeSet<Prefix>,
    differences: BTreeMap<Prefix, Difference<P::Key, P::Accepted>>,
}

/// What becomes of a route.
#[derive(Debug)]
struct Compared<U> {
    /// In force.
    enforced: Option<U>,
    /// With the shadow, where it differs.
    included: Option<Outcome<U>>,
}

/// What would be another thing about a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference<K = CandidateKey, U = Arc<RouteAttributes>> {
    /// What would happen to it.
    pub change: Change<U>,
    /// The route that the decision is about.
    pub key: K,
    /// The decision: the shadow's, or that of a later policy about what the shadow made of it.
    pub step: Step,
}

/// What would happen to a route, which is announced, or used, in a way `U`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<U = Arc<RouteAttributes>> {
    /// It is announced or used in this way, and would not be.
    Withdrawn(U),
    /// It is not announced or used, and would be in this way.
    Added(U),
    /// It would be in another way.
    Changed {
        /// The one in force.
        from: U,
        /// The one that would be.
        to: U,
    },
}

impl<P: Directed> Default for Shadows<P> {
    fn default() -> Self {
        Self {
            shadows: Vec::new(),
            circumstances: None,
        }
    }
}

impl<P: Directed> Shadows<P> {
    /// Takes what came of the chain in force, and compares it.
    pub fn observe(&mut self, now: Instant, observation: Observation<P>) {
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
    pub fn iter(&self) -> impl Iterator<Item = &Shadow<P>> {
        self.shadows.iter()
    }

    /// Takes the policies in shadow mode of another chain; those whose every policy is the same
    /// keep their health.
    fn follow(&mut self, links: &[Link<P>]) {
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

impl<P: Directed> Shadow<P> {
    fn new(link: &Link<P>, ahead: &[Link<P>], after: &[Link<P>]) -> Self {
        let in_force = |link: &&Link<P>| link.mode == Mode::Enforce;
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
            comparisons: BTreeMap::new(),
        }
    }

    /// The policy as it stands in the chain.
    #[must_use]
    pub fn link(&self) -> &Link<P> {
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

    /// What it would change, by peer group or peer; only those that it is for.
    pub fn comparisons(&self) -> impl Iterator<Item = (P::PeersId, &Comparison<P>)> {
        let comparisons = self.comparisons.iter();
        comparisons.map(|(id, comparison)| (*id, comparison))
    }

    fn asks_the_same(&self, other: &Self) -> bool {
        let same = |(one, other): (&Link<P>, &Link<P>)| {
            one.name == other.name && one.audience == other.audience && one.policy.is(&other.policy)
        };
        self.ahead == other.ahead
            && self.chain.len() == other.chain.len()
            && self.chain.links().zip(other.chain.links()).all(same)
    }

    /// Notes what there is to compare.
    fn take(&mut self, observation: &Observation<P>) {
        let Observation {
            links: _,
            circumstances: _,
            peers,
            extent,
            cases,
        } = observation;
        if *extent == Extent::Everything {
            self.comparisons.clear();
        }
        self.comparisons.retain(|id, _| peers.contains_key(id));
        let audience = &self.link.audience;
        let includes = |peers: &P::Peers| audience.includes(P::peer_group(peers));
        for (id, peers) in peers.iter().filter(|(_, peers)| includes(peers)) {
            let comparison = self.comparisons.entry(*id);
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
        for comparison in self.comparisons.values_mut() {
            if !pausing {
                let question = Question {
                    now,
                    circumstances,
                    peers: &comparison.peers,
                    ahead: &self.ahead,
                };
                let waiting = std::mem::take(&mut comparison.waiting);
                for walked in walk::walk(&mut self.chain, &question, waiting) {
                    comparison.insert(walked);
                }
            }
            comparison.settle(&self.link.name);
        }
        if !pausing {
            self.chain.end_round();
        }
    }
}

impl<P: Directed> Comparison<P> {
    fn new(peers: P::Peers) -> Self {
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
    pub fn peers(&self) -> &P::Peers {
        &self.peers
    }

    /// How many routes were compared.
    #[must_use]
    pub fn compared(&self) -> usize {
        self.compared.len()
    }

    /// How many routes are not compared, because a policy fails.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What would differ, ordered by prefix. Nothing is said of a prefix with a route that is not
    /// compared.
    pub fn differences(&self) -> impl Iterator<Item = (&Prefix, &Difference<P::Key, P::Accepted>)> {
        self.differences.iter()
    }

    fn take(&mut self, cases: &Cases<P>) {
        if cases.extent == Extent::Everything {
            *self = Self::new(self.peers.clone());
        }
        for (key, seen) in &cases.routes {
            self.unsettled.insert(P::prefix(key));
            self.compared.remove(key);
            match seen {
                Some(seen) => self.waiting.insert(key.clone(), seen.clone()),
                None => self.waiting.remove(key),
            };
        }
    }

    fn insert(&mut self, (key, seen, outcome): Walked<P>) {
        self.unsettled.insert(P::prefix(&key));
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

    /// As [`Exports`](super::Exports) does, the first accepted candidate of a prefix is announced;
    /// of learned routes there is one a prefix.
    fn difference(&self, prefix: Prefix, shadow: &str) -> Option<Difference<P::Key, P::Accepted>> {
        if of_prefix::<P, _>(&self.waiting, prefix).next().is_some() {
            return None;
        }
        let mut enforced = None;
        let mut included = None;
        for (key, compared) in of_prefix::<P, _>(&self.compared, prefix) {
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
            key: key.clone(),
            step: decisive(outcome, shadow)?.clone(),
        })
    }
}

impl<U> Change<U> {
    /// How the route is announced or used, and how it would be.
    pub fn sides(&self) -> (Option<&U>, Option<&U>) {
        match self {
            Self::Withdrawn(from) => (Some(from), None),
            Self::Added(to) => (None, Some(to)),
            Self::Changed { from, to } => (Some(from), Some(to)),
        }
    }
}

impl<U> Compared<U> {
    /// How the route would be announced or used.
    fn accepted(&self) -> Option<&U> {
        match &self.included {
            Some(included) => included.accepted.as_ref(),
            None => self.enforced.as_ref(),
        }
    }
}

/// The step that made the difference: a rejection is the last one, else it is the shadow's own.
fn decisive<'o, U>(outcome: &'o Outcome<U>, shadow: &str) -> Option<&'o Step> {
    let own = outcome.steps.iter().find(|step| *step.policy == *shadow);
    match outcome.accepted {
        Some(_) => own,
        None => outcome.steps.last(),
    }
}
