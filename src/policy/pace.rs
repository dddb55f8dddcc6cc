//! How much a table decides about in one round: all that it has to, or pieces, with the rest kept for
//! later rounds, so that whoever owns it may do something else in between.
//!
//! Used by [`table`](super::table). In pieces, what concerns all routes (other facts of the node, a
//! policy that fails or is well again) becomes a [`Sweep`] over them; until it has come round,
//! routes that it did not reach stay as they were decided before. That is for learned routes only:
//! what is announced always follows from one state of the facts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::Directed;
use super::table::{RouteName, Routes};

/// How much is decided about in one round.
#[derive(Clone, Debug)]
pub(super) enum Pace<P: Directed> {
    /// Everything that there is to decide about.
    AtOnce,
    /// So many of the routes that were not named by the owner, and no long search among any.
    InPieces(usize, Backlog<P>),
}

/// What is left for later rounds.
#[derive(Clone, Debug)]
pub(super) struct Backlog<P: Directed> {
    /// Asked about in vain together with others, for as long as may be: to be asked about among
    /// fewer.
    pub(super) postponed: BTreeSet<RouteName<P>>,
    pub(super) sweep: Option<Sweep<RouteName<P>>>,
}

/// The way over all routes, in their order, from anywhere and round to there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sweep<N> {
    /// The last that was taken.
    after: Option<N>,
    lap: Lap<N>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Lap<N> {
    /// To the last route; then from the first to this, if it began after that.
    ToTheEnd(Option<N>),
    /// To this one.
    Until(N),
}

impl<P: Directed> Default for Backlog<P> {
    fn default() -> Self {
        Self {
            postponed: BTreeSet::new(),
            sweep: None,
        }
    }
}

impl<P: Directed> Backlog<P> {
    pub(super) fn is_empty(&self) -> bool {
        self.postponed.is_empty() && self.sweep.is_none()
    }

    /// Every route is to be decided about, those as well that a sweep has just passed.
    pub(super) fn sweep_all(&mut self) {
        let after = self.sweep.take().and_then(|sweep| sweep.after);
        self.sweep = Some(Sweep {
            lap: Lap::ToTheEnd(after.clone()),
            after,
        });
    }

    /// Takes up to `max` routes, of which some may be gone.
    pub(super) fn take(
        &mut self,
        routes: &BTreeMap<Option<P::PeersId>, Routes<P>>,
        max: usize,
    ) -> BTreeSet<RouteName<P>> {
        let mut taken = BTreeSet::new();
        while taken.len() < max
            && let Some(name) = self.postponed.pop_first()
        {
            taken.insert(name);
        }
        let mut left = max - taken.len();
        let from = |after: &Option<RouteName<P>>| names::<P>(routes, after.clone());
        while let Some(sweep) = &mut self.sweep {
            let until = match &sweep.lap {
                Lap::ToTheEnd(_) => None,
                Lap::Until(until) => Some(until.clone()),
            };
            let is_on_the_way =
                |name: &RouteName<P>| until.as_ref().is_none_or(|until| name <= until);
            let before = left;
            for name in from(&sweep.after).take_while(is_on_the_way).take(before) {
                left -= 1;
                taken.insert(name.clone());
                sweep.after = Some(name);
            }
            if left == 0 {
                break;
            }
            match std::mem::replace(&mut sweep.lap, Lap::ToTheEnd(None)) {
                Lap::ToTheEnd(Some(until)) => {
                    sweep.after = None;
                    sweep.lap = Lap::Until(until);
                }
                Lap::ToTheEnd(None) | Lap::Until(_) => self.sweep = None,
            }
        }
        taken
    }
}

/// The names of all routes after this one.
fn names<P: Directed>(
    routes: &BTreeMap<Option<P::PeersId>, Routes<P>>,
    after: Option<RouteName<P>>,
) -> impl Iterator<Item = RouteName<P>> {
    let (owner, key) = after.unzip();
    let rest = match &key {
        Some(key) => {
            let own = owner.and_then(|owner| routes.get(&owner));
            own.map(|own| own.range((Bound::Excluded(key.clone()), Bound::Unbounded)))
        }
        None => None,
    };
    let rest = rest.into_iter().flatten();
    let rest = rest.filter_map(move |(key, _)| Some((owner?, key.clone())));
    let later = match owner {
        Some(owner) => Bound::Excluded(owner),
        None => Bound::Unbounded,
    };
    let others = routes.range((later, Bound::Unbounded));
    let others = others.flat_map(|(owner, routes)| routes.keys().map(|key| (*owner, key.clone())));
    rest.chain(others)
}
