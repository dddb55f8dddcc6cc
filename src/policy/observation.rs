//! What came of a chain in force, told to those who watch it and change nothing.
//!
//! Made by [`Table::observe`](super::Table::observe), taken by [`Shadows`](super::Shadows), perhaps
//! on another thread and perhaps several at once: whoever is slow is given the sum of what it
//! missed, which is never more than everything there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::chain::Chain;
use super::table::RouteName;
use super::{ChainDefault, Directed, Link, Outcome, RoutePolicy};
use crate::facts::NodeFacts;
use crate::types::Asn;

/// What came of one or more rounds.
#[derive(Debug)]
pub struct Observation<P: Directed = Arc<dyn RoutePolicy>> {
    /// The chain, with the policies in shadow mode at their places.
    pub(super) links: Vec<Link<P>>,
    pub(super) circumstances: Circumstances,
    /// All that there are.
    pub(super) peers: BTreeMap<P::PeersId, P::Peers>,
    pub(super) extent: Extent,
    /// What the chain made of the routes concerned.
    pub(super) cases: BTreeMap<P::PeersId, Cases<P>>,
}

/// What came of routes of the same peers.
#[derive(Debug)]
pub(super) struct Cases<P: Directed> {
    pub(super) extent: Extent,
    /// Nothing for one that is gone.
    pub(super) routes: BTreeMap<P::Key, Option<Seen<P>>>,
}

/// What every policy is told besides the peers and the routes, and the end of the chain.
#[derive(Clone, Debug)]
pub(super) struct Circumstances {
    pub(super) node: Option<Arc<NodeFacts>>,
    pub(super) asn: Asn,
    pub(super) default: ChainDefault,
}

/// Whether all that there is was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// What was not does not exist.
    Everything,
    /// What was not is as it was; of an observation, chain and circumstances are, too.
    Changes,
}

/// A route, and what the chain in force made of it.
#[derive(Clone, Debug)]
pub(super) struct Seen<P: Directed> {
    pub(super) route: P::Route,
    pub(super) outcome: Outcome<P::Accepted>,
}

impl<P: Directed> Observation<P> {
    /// What there is to observe of what is `unseen`; nothing where there is not, or `chain` has no
    /// policy in shadow mode. `look` gives the cases of these peers with all their routes, and of
    /// these routes.
    pub(super) fn new(
        chain: &Chain<P>,
        circumstances: Circumstances,
        peers: impl FnOnce() -> BTreeMap<P::PeersId, P::Peers>,
        unseen: Unseen<P>,
        look: impl FnOnce(
            BTreeSet<P::PeersId>,
            BTreeSet<RouteName<P>>,
        ) -> BTreeMap<P::PeersId, Cases<P>>,
    ) -> Option<Self> {
        let (extent, some) = match (unseen, chain.has_shadows()) {
            (Unseen::Nothing, _) | (Unseen::Some { .. }, false) => return None,
            // The last policy in shadow mode may just have gone.
            (Unseen::Everything, false) => (Extent::Everything, Some(Default::default())),
            (Unseen::Everything, true) => (Extent::Everything, None),
            (Unseen::Some { peers, routes }, true) => (Extent::Changes, Some((peers, routes))),
        };
        let peers = peers();
        let (whole, routes) =
            some.unwrap_or_else(|| (peers.keys().copied().collect(), BTreeSet::new()));
        Some(Self {
            links: chain.links().cloned().collect(),
            circumstances,
            peers,
            extent,
            cases: look(whole, routes),
        })
    }

    /// Adds a later one, so that both are seen as one.
    pub fn add(&mut self, later: Self) {
        if later.extent == Extent::Everything {
            *self = later;
            return;
        }
        let Self {
            links,
            circumstances,
            peers,
            extent: _,
            cases,
        } = later;
        self.links = links;
        self.circumstances = circumstances;
        self.peers = peers;
        for (id, later) in cases {
            match (self.cases.get_mut(&id), later.extent) {
                (Some(cases), Extent::Changes) => cases.routes.extend(later.routes),
                (Some(_), Extent::Everything) | (None, _) => {
                    self.cases.insert(id, later);
                }
            }
        }
    }
}

/// What nobody has observed yet.
#[derive(Clone, Debug)]
pub(super) enum Unseen<P: Directed> {
    Nothing,
    Some {
        /// With all their routes.
        peers: BTreeSet<P::PeersId>,
        /// Among them such as are gone.
        routes: BTreeSet<RouteName<P>>,
    },
    Everything,
}

impl<P: Directed> Default for Unseen<P> {
    fn default() -> Self {
        Self::Nothing
    }
}

impl<P: Directed> Unseen<P> {
    pub(super) fn add_everything(&mut self) {
        *self = Self::Everything;
    }

    pub(super) fn add_peers(&mut self, more: &BTreeSet<P::PeersId>) {
        if more.is_empty() {
            return;
        }
        if let Some((peers, _)) = self.partial() {
            peers.extend(more);
        }
    }

    pub(super) fn add_routes(&mut self, more: impl IntoIterator<Item = RouteName<P>>) {
        let mut more = more.into_iter().peekable();
        if more.peek().is_none() {
            return;
        }
        if let Some((_, routes)) = self.partial() {
            routes.extend(more);
        }
    }

    /// What to add to, unless everything is unseen anyway.
    fn partial(&mut self) -> Option<(&mut BTreeSet<P::PeersId>, &mut BTreeSet<RouteName<P>>)> {
        if let Self::Nothing = self {
            *self = Self::Some {
                peers: BTreeSet::new(),
                routes: BTreeSet::new(),
            };
        }
        match self {
            Self::Nothing | Self::Everything => None,
            Self::Some { peers, routes } => Some((peers, routes)),
        }
    }
}
