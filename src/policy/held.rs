//! The routes that a policy fails on, while it is well about all others.
//!
//! Used by [`chain`](super::chain). For them alone on-error decides. Each is asked about again when
//! anything changes that the policy is told with it, and else after a pause that grows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chain::doubled;
use super::{Asked, Directed, Inquiry, PolicyFailure};
use crate::facts::NodeFacts;
use crate::types::{Asn, RouteAttributes};

/// Pause after the first failure. What failed by chance, on a busy node, is mended soon.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// Longest pause. A route that is mended by a change is asked about at once; this is for what was
/// mended unseen, and however many are held, they take no core for themselves.
const RETRY_MAX: Duration = Duration::from_secs(300);

/// The routes that one policy fails on, each for the peers that it fails for.
#[derive(Clone, Debug)]
pub(super) struct Held<P: Directed>(BTreeMap<P::Key, BTreeMap<P::PeersId, Hold<P>>>);

/// How a policy fails on a route.
#[derive(Clone, Debug)]
pub(super) struct Hold<P: Directed> {
    pub(super) cause: PolicyFailure,
    pub(super) retry_at: Instant,
    in_a_row: u32,
    question: Question<P>,
}

/// What a policy was asked.
#[derive(Clone, Debug)]
struct Question<P: Directed> {
    node: Arc<NodeFacts>,
    asn: Asn,
    peers: P::Peers,
    route: P::Route,
    attributes: Arc<RouteAttributes>,
}

/// The routes of a batch, by their places in it.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// On which the policy is not known to fail.
    pub(super) fresh: Vec<usize>,
    /// On which it failed, for these peers or others, and may no longer: not to be asked about
    /// with others.
    pub(super) suspects: Vec<usize>,
    /// Not to be asked about yet.
    pub(super) resting: Vec<usize>,
}

impl<P: Directed> Default for Held<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P: Directed> Held<P> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each with the peers that it is held for, ordered by route.
    pub(super) fn iter(&self) -> impl Iterator<Item = (P::PeersId, &P::Key, &Hold<P>)> {
        let all = self.0.iter();
        all.flat_map(|(key, holds)| holds.iter().map(move |(id, hold)| (*id, key, hold)))
    }

    pub(super) fn get(&self, peers: P::PeersId, key: &P::Key) -> Option<&Hold<P>> {
        self.0.get(key)?.get(&peers)
    }

    /// Whether it is held for any peers.
    pub(super) fn is_suspect(&self, key: &P::Key) -> bool {
        self.0.contains_key(key)
    }

    /// When the first is to be asked about again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.iter().map(|(_, _, hold)| hold.retry_at).min()
    }

    /// Holds a route that the policy fails on, once more if it is held already.
    pub(super) fn hold(
        &mut self,
        now: Instant,
        inquiry: &Inquiry<'_, P>,
        (key, route, attributes): Asked<'_, P>,
        cause: PolicyFailure,
    ) {
        let holds = self.0.entry(key.clone()).or_default();
        let before = holds.get(&inquiry.id).map_or(0, |hold| hold.in_a_row);
        let hold = Hold {
            cause,
            retry_at: now + doubled(RETRY_FIRST, before, RETRY_MAX),
            in_a_row: before.saturating_add(1),
            question: Question {
                node: Arc::clone(inquiry.node),
                asn: inquiry.asn,
                peers: inquiry.peers.clone(),
                route: route.clone(),
                attributes: Arc::clone(attributes),
            },
        };
        holds.insert(inquiry.id, hold);
    }

    /// Lets go of a route that is decided about, or not asked about any more. Returns whether it
    /// was held.
    pub(super) fn release(&mut self, peers: P::PeersId, key: &P::Key) -> bool {
        let Some(holds) = self.0.get_mut(key) else {
            return false;
        };
        let was_held = holds.remove(&peers).is_some();
        if holds.is_empty() {
            self.0.remove(key);
        }
        was_held
    }

    /// Lets go of all but these.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(P::PeersId, &P::Key, &Hold<P>) -> bool) {
        self.0.retain(|key, holds| {
            holds.retain(|id, hold| stays(*id, key, hold));
            !holds.is_empty()
        });
    }

    /// Parts a batch into what may be asked about together.
    pub(super) fn part(&self, now: Instant, inquiry: &Inquiry<'_, P>) -> Parts {
        let mut parts = Parts::default();
        for (place, asked) in inquiry.routes.iter().enumerate() {
            let rests = |hold: &Hold<P>| now < hold.retry_at && hold.question.is(inquiry, asked);
            let part = match self.0.get(asked.0) {
                None => &mut parts.fresh,
                Some(holds) if holds.get(&inquiry.id).is_some_and(rests) => &mut parts.resting,
                Some(_) => &mut parts.suspects,
            };
            part.push(place);
        }
        parts
    }
}

impl<P: Directed> Question<P> {
    /// Whether the policy would be asked the same.
    fn is(&self, inquiry: &Inquiry<'_, P>, (_, route, attributes): &Asked<'_, P>) -> bool {
        let Self {
            node,
            asn,
            peers,
            route: then,
            attributes: proposed,
        } = self;
        (Arc::ptr_eq(node, inquiry.node) || *node == *inquiry.node)
            && *asn == inquiry.asn
            && peers == inquiry.peers
            && P::looks_same(then, route)
            && proposed == *attributes
    }
}
