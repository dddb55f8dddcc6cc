//! What differs between the policies of the two directions for whoever watches a chain of them
//! and changes nothing: what is decided about, and how a policy is asked about it.
//!
//! Used by [`Shadows`](super::Shadows). The chains in force, [`Exports`](super::Exports) and
//! [`Imports`](super::Imports), have each their own way, for they keep decisions.

use std::fmt;
use std::sync::Arc;

use super::answer::{checked, checked_imports};
use super::{
    AcceptedImport, Batch, Direction, ImportBatch, ImportPeer, ImportPolicy, LearnedRoute,
    PeerGroup, PolicyFailure, ProposedImport, ProposedRoute, Reasons, RoutePolicy, Step,
};
use crate::candidates::{Candidate, CandidateKey};
use crate::facts::NodeFacts;
use crate::types::{Asn, GroupId, Installation, PeerId, Prefix, RouteAttributes};

/// A policy of one direction.
pub trait Directed: Clone + fmt::Debug + Send {
    /// Which.
    const DIRECTION: Direction;
    /// Names peers that are asked about together.
    type PeersId: Copy + Ord + fmt::Debug + Send;
    /// What is known of them.
    type Peers: Clone + fmt::Debug + Send;
    /// Names one of the routes that are decided about for the same peers.
    type Key: Clone + Ord + fmt::Debug + Send;
    /// What is known of it.
    type Route: Clone + fmt::Debug + Send;
    /// How an accepted one is announced, or used.
    type Accepted: Clone + Eq + fmt::Debug + Send;

    /// Whether both are the same instance.
    fn is(&self, other: &Self) -> bool;

    /// The group that the peers are in, or are.
    fn peer_group(peers: &Self::Peers) -> &PeerGroup;

    /// The name of the one peer, where each is asked about alone.
    fn peer(peers: &Self::Peers) -> Option<&str>;

    /// Where the route leads to.
    fn prefix(key: &Self::Key) -> Prefix;

    /// The key that no other of the prefix sorts before.
    fn first_key(prefix: Prefix) -> Self::Key;

    /// The attributes that the first policy is proposed.
    fn proposed(route: &Self::Route) -> Arc<RouteAttributes>;

    /// What accepting with these comes to.
    fn accepted(attributes: Arc<RouteAttributes>, installation: Installation) -> Self::Accepted;

    /// What the policy, by this name, says of each route, in order.
    ///
    /// # Errors
    /// It fails, or its answer is impossible.
    fn ask(&self, name: &Arc<str>, inquiry: &Inquiry<'_, Self>)
    -> Result<Vec<Step>, PolicyFailure>;
}

/// A question to a policy of either direction.
#[derive(Debug)]
pub struct Inquiry<'a, P: Directed> {
    /// The node the agent runs on.
    pub node: &'a NodeFacts,
    /// Our own AS.
    pub asn: Asn,
    /// Towards whom, or from whom.
    pub peers: &'a P::Peers,
    /// What is asked about, with the attributes that the chain so far gave it; never empty.
    pub routes: Vec<(&'a P::Key, &'a P::Route, &'a Arc<RouteAttributes>)>,
}

// For every lifetime, though there are none but 'static: a future that holds one is else not known to
// be Send.
impl Directed for Arc<dyn RoutePolicy + '_> {
    const DIRECTION: Direction = Direction::Export;
    type PeersId = GroupId;
    type Peers = PeerGroup;
    type Key = CandidateKey;
    type Route = Candidate;
    type Accepted = Arc<RouteAttributes>;

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }

    fn peer_group(peers: &PeerGroup) -> &PeerGroup {
        peers
    }

    fn peer(_: &PeerGroup) -> Option<&str> {
        None
    }

    fn prefix(key: &CandidateKey) -> Prefix {
        key.prefix
    }

    fn first_key(prefix: Prefix) -> CandidateKey {
        CandidateKey::first_of(prefix)
    }

    fn proposed(_: &Candidate) -> Arc<RouteAttributes> {
        Arc::default()
    }

    fn accepted(attributes: Arc<RouteAttributes>, _: Installation) -> Arc<RouteAttributes> {
        attributes
    }

    fn ask(
        &self,
        name: &Arc<str>,
        inquiry: &Inquiry<'_, Self>,
    ) -> Result<Vec<Step>, PolicyFailure> {
        let routes = inquiry.routes.iter();
        let routes = routes.map(|&(_, candidate, attributes)| ProposedRoute {
            candidate,
            attributes,
        });
        let routes: Vec<_> = routes.collect();
        let batch = Batch {
            node: inquiry.node,
            asn: inquiry.asn,
            peer_group: inquiry.peers,
            candidates: &routes,
            reasons: Reasons::Wanted,
        };
        let decisions = checked(&batch, self.evaluate(&batch)?)?;
        let step = |decision| Step::new(Arc::clone(name), decision);
        Ok(decisions.into_iter().map(step).collect())
    }
}

impl Directed for Arc<dyn ImportPolicy + '_> {
    const DIRECTION: Direction = Direction::Import;
    type PeersId = PeerId;
    type Peers = ImportPeer;
    type Key = Prefix;
    type Route = LearnedRoute;
    type Accepted = AcceptedImport;

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }

    fn peer_group(peers: &ImportPeer) -> &PeerGroup {
        &peers.group
    }

    fn peer(peers: &ImportPeer) -> Option<&str> {
        Some(&peers.name)
    }

    fn prefix(key: &Prefix) -> Prefix {
        *key
    }

    fn first_key(prefix: Prefix) -> Prefix {
        prefix
    }

    fn proposed(route: &LearnedRoute) -> Arc<RouteAttributes> {
        Arc::clone(&route.attributes)
    }

    fn accepted(attributes: Arc<RouteAttributes>, installation: Installation) -> AcceptedImport {
        AcceptedImport {
            attributes,
            installation,
        }
    }

    fn ask(
        &self,
        name: &Arc<str>,
        inquiry: &Inquiry<'_, Self>,
    ) -> Result<Vec<Step>, PolicyFailure> {
        let routes = inquiry.routes.iter();
        let routes = routes.map(|&(prefix, route, attributes)| ProposedImport {
            prefix: *prefix,
            path: &route.path,
            attributes,
        });
        let routes: Vec<_> = routes.collect();
        // All are of one session, whose peer has one BGP Identifier.
        let Some((_, last, _)) = inquiry.routes.last() else {
            return Ok(Vec::new());
        };
        let batch = ImportBatch {
            node: inquiry.node,
            asn: inquiry.asn,
            peer_group: &inquiry.peers.group,
            peer: &inquiry.peers.learned_from(last.router_id),
            routes: &routes,
            reasons: Reasons::Wanted,
        };
        let decisions = checked_imports(&batch, self.evaluate(&batch)?)?;
        let received = inquiry.routes.iter().map(|(_, route, _)| *route);
        let step = |(decision, route)| Step::imported(Arc::clone(name), decision, route);
        Ok(decisions.into_iter().zip(received).map(step).collect())
    }
}
