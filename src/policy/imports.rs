//! The import side of the agent: learned routes in, what becomes of each out.
//!
//! A [`Table`] of learned routes, of which each peer has its own. A decision is told with the
//! announcement that it is about, and one that is kept is about exactly this path: a route that the
//! peer has changed since was never decided about, and one that it has withdrawn is gone with
//! everything that was said of it. Nothing is decided before the own node's facts are known; facts
//! that are lost again are kept.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::table::{RouteStep, Table};
use super::{
    ImportChange, ImportOutcome, ImportPolicy, LearnedChange, LearnedFrom, LearnedRoute, PeerGroup,
};
use crate::facts::NodeFacts;
use crate::types::{PeerId, Prefix, RouterId};

/// The import chain, the peers, their routes, and what came of them.
pub type Imports = Table<Arc<dyn ImportPolicy>>;

/// A peer that routes are learned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportPeer {
    /// Its name in the configuration.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its group.
    pub group: PeerGroup,
}

impl Imports {
    /// Takes `peers` for the peers. What is known of routes of others is forgotten; routes of new
    /// and changed ones are decided.
    pub fn set_peers(
        &mut self,
        now: Instant,
        peers: BTreeMap<PeerId, ImportPeer>,
    ) -> Vec<ImportChange> {
        self.take_peers(now, peers, &BTreeMap::new())
    }

    /// Takes the own node's facts; everything is decided again if they differ.
    pub fn set_node(&mut self, now: Instant, node: Arc<NodeFacts>) -> Vec<ImportChange> {
        self.take(now, Some(node), [])
    }

    /// Takes steps of the peers' routes, and decides about those that are new. One that differs
    /// in its version only is the same path announced again.
    pub fn learn(&mut self, now: Instant, changes: Vec<LearnedChange>) -> Vec<ImportChange> {
        let steps = changes.into_iter().map(|change| RouteStep {
            name: (Some(change.peer), change.prefix),
            route: change.route,
        });
        self.take(now, self.node.clone(), steps)
    }

    /// Forgets every route: whoever gave them will give them anew.
    pub fn forget_routes(&mut self) {
        self.routes.clear();
        self.rows.values_mut().for_each(|row| row.clear());
        self.unseen.add_everything();
    }

    /// What the chain made of each route of a peer, ordered by prefix; absent while that is not
    /// decided.
    pub fn learned(
        &self,
        peer: PeerId,
    ) -> impl Iterator<Item = (Prefix, &LearnedRoute, Option<&ImportOutcome>)> {
        let routes = self.routes.get(&Some(peer)).into_iter().flatten();
        routes.map(move |(prefix, route)| (*prefix, route, self.outcome(peer, prefix)))
    }

    /// A peer's route as it was learned; absent where there is none.
    #[must_use]
    pub fn route(&self, peer: PeerId, prefix: &Prefix) -> Option<&LearnedRoute> {
        self.routes.get(&Some(peer))?.get(prefix)
    }
}

impl ImportPeer {
    /// The peer in a session with this BGP Identifier.
    pub(super) fn learned_from(&self, router_id: RouterId) -> LearnedFrom {
        LearnedFrom {
            name: self.name.clone(),
            address: self.address,
            router_id,
        }
    }
}

impl LearnedRoute {
    pub(super) fn is_same_path(&self, other: &Self) -> bool {
        let Self {
            version: _,
            router_id,
            path,
            attributes,
        } = self;
        *router_id == other.router_id && *path == other.path && *attributes == other.attributes
    }
}

#[cfg(test)]
mod tests;
