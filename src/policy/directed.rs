//! What differs between the two directions: what is decided about, how a policy is asked about it,
//! which of its decisions may be kept while it fails, and what its owner is told. Everything else
//! about a chain is the same code for both: [`Table`](super::Table), [`Shadows`](super::Shadows).

use std::fmt;
use std::sync::Arc;

use super::answer::{checked, checked_imports};
use super::outcome::{NODE_UNKNOWN, Outcome, step};
use super::{
    AcceptedImport, Batch, Direction, ExportChange, ImportBatch, ImportChange, ImportPeer,
    ImportPolicy, LearnedRoute, PeerGroup, PolicyFailure, ProposedImport, ProposedRoute, Reasons,
    RoutePolicy, Step, StepVerdict,
};
use crate::candidates::{Candidate, CandidateKey, Serving};
use crate::facts::NodeFacts;
use crate::types::{Asn, GroupId, Installation, PeerId, Prefix, RouteAttributes, RouteVersion};

/// A policy of one direction.
pub trait Directed: Clone + fmt::Debug + Send {
    /// Which.
    const DIRECTION: Direction;
    /// How an explanation goes on after `NAME is failing and `, where nothing is kept.
    const NEVER_DECIDED: &'static str;
    /// The same, where nothing is to be kept.
    const NOT_KEPT: &'static str;

    /// Names peers that are asked about together.
    type PeersId: Copy + Ord + fmt::Debug + Send;
    /// What is known of them.
    type Peers: Clone + PartialEq + fmt::Debug + Send;
    /// Names one of the routes that are decided about for the same peers.
    type Key: Clone + Ord + fmt::Debug + Send;
    /// What is known of it.
    type Route: Clone + PartialEq + fmt::Debug + Send;
    /// How an accepted one is announced, or used.
    type Accepted: Clone + Eq + fmt::Debug + Send;
    /// Facts that a decision rested on, and with which it falls.
    type Basis: Copy + fmt::Debug + Send;
    /// What the owner of the routes knows to have come of a prefix.
    type Told: Clone + PartialEq + fmt::Debug + Send;
    /// How it is told.
    type Change;

    /// Whether both are the same instance.
    fn is(&self, other: &Self) -> bool;

    /// The group that the peers are in, or are.
    fn peer_group(peers: &Self::Peers) -> &PeerGroup;

    /// The name of the one peer, where each is asked about alone.
    fn peer(peers: &Self::Peers) -> Option<&str>;

    /// Whose the routes are that these peers are asked about: their own, or nobody's, where all
    /// peers are asked about the same.
    fn owner(peers: Self::PeersId) -> Option<Self::PeersId>;

    /// Where the route leads to.
    fn prefix(key: &Self::Key) -> Prefix;

    /// The key that no other of the prefix sorts before.
    fn first_key(prefix: Prefix) -> Self::Key;

    /// Whether decisions about one are decisions about the other, which came in its place.
    fn is_same(one: &Self::Route, other: &Self::Route) -> bool;

    /// What a decision about the route rests on.
    fn basis(route: &Self::Route) -> Self::Basis;

    /// Why facts forbid to keep an acceptance that rested on `basis`, if they do: they outrank an
    /// old decision.
    fn forbids(basis: &Self::Basis, route: &Self::Route) -> Option<&'static str>;

    /// The attributes that the first policy is proposed; `none` where there are none.
    fn proposed<'a>(
        route: &'a Self::Route,
        none: &'a Arc<RouteAttributes>,
    ) -> &'a Arc<RouteAttributes>;

    /// What accepting with these comes to.
    fn accepted(attributes: Arc<RouteAttributes>, installation: Installation) -> Self::Accepted;

    /// What it was accepted with.
    fn accepted_with(accepted: &Self::Accepted) -> (&Arc<RouteAttributes>, Option<Installation>);

    /// What becomes of routes while the own node is not known and no policy can be asked; nothing
    /// where they are left as they are, and a node that was known once counts as known.
    fn without_node() -> Option<Step>;

    /// What the owner is to know, if the route speaks for its prefix.
    fn told<'a>(
        outcome: &Outcome<Self::Accepted>,
        route: impl FnOnce() -> Option<&'a Self::Route>,
    ) -> Option<Self::Told>
    where
        Self: 'a;

    /// What makes the owner know it; nothing where it knows by itself.
    fn change(
        peers: Self::PeersId,
        prefix: Prefix,
        told: Option<Self::Told>,
    ) -> Option<Self::Change>;

    /// What the policy, by this name, says of each route, in order.
    ///
    /// # Errors
    /// It fails, or its answer is impossible.
    fn ask(&self, name: &Arc<str>, inquiry: &Inquiry<'_, Self>)
    -> Result<Vec<Step>, PolicyFailure>;
}

/// A route that a policy is asked about, with the attributes that the chain so far gave it.
pub type Asked<'a, P> = (
    &'a <P as Directed>::Key,
    &'a <P as Directed>::Route,
    &'a Arc<RouteAttributes>,
);

/// A question to a policy of either direction.
#[derive(Debug)]
pub struct Inquiry<'a, P: Directed> {
    /// The node the agent runs on.
    pub node: &'a NodeFacts,
    /// Our own AS.
    pub asn: Asn,
    /// Towards whom, or from whom.
    pub peers: &'a P::Peers,
    /// What is asked about; never empty.
    pub routes: &'a [Asked<'a, P>],
}

// For every lifetime, though there are none but 'static: a future that holds one is else not known to
// be Send.
impl Directed for Arc<dyn RoutePolicy + '_> {
    const DIRECTION: Direction = Direction::Export;
    const NEVER_DECIDED: &'static str = "has never decided about this route";
    const NOT_KEPT: &'static str = "its routes are withdrawn";
    type PeersId = GroupId;
    type Peers = PeerGroup;
    type Key = CandidateKey;
    type Route = Candidate;
    type Accepted = Arc<RouteAttributes>;
    /// Whether the node's service proxy answered.
    type Basis = Option<Serving>;
    type Told = Arc<RouteAttributes>;
    type Change = ExportChange;

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }

    fn peer_group(peers: &PeerGroup) -> &PeerGroup {
        peers
    }

    fn peer(_: &PeerGroup) -> Option<&str> {
        None
    }

    fn owner(_: GroupId) -> Option<GroupId> {
        None
    }

    fn prefix(key: &CandidateKey) -> Prefix {
        key.prefix
    }

    fn first_key(prefix: Prefix) -> CandidateKey {
        CandidateKey::first_of(prefix)
    }

    /// Facts of a candidate change all the time; those that matter are its basis.
    fn is_same(_: &Candidate, _: &Candidate) -> bool {
        true
    }

    fn basis(candidate: &Candidate) -> Option<Serving> {
        candidate.serving
    }

    /// Traffic would reach a node that no longer answers it. What was accepted though the node
    /// did not answer does not fall with that.
    fn forbids(basis: &Option<Serving>, candidate: &Candidate) -> Option<&'static str> {
        let is_served = |serving: &Option<Serving>| serving.is_some_and(Serving::is_served);
        (is_served(basis) && !is_served(&candidate.serving))
            .then_some("the node no longer answers for this address, as it did when it decided")
    }

    fn proposed<'a>(_: &'a Candidate, none: &'a Arc<RouteAttributes>) -> &'a Arc<RouteAttributes> {
        none
    }

    fn accepted(attributes: Arc<RouteAttributes>, _: Installation) -> Arc<RouteAttributes> {
        attributes
    }

    fn accepted_with(
        accepted: &Arc<RouteAttributes>,
    ) -> (&Arc<RouteAttributes>, Option<Installation>) {
        (accepted, None)
    }

    /// Without the own node there is nobody to announce anything.
    fn without_node() -> Option<Step> {
        let reason = "the Node object of this node is not known";
        Some(step(NODE_UNKNOWN, StepVerdict::Reject, reason))
    }

    /// The first accepted candidate of a prefix is what is announced.
    fn told<'a>(
        outcome: &Outcome,
        _: impl FnOnce() -> Option<&'a Candidate>,
    ) -> Option<Arc<RouteAttributes>>
    where
        Self: 'a,
    {
        outcome.accepted.clone()
    }

    fn change(
        group: GroupId,
        prefix: Prefix,
        attributes: Option<Arc<RouteAttributes>>,
    ) -> Option<ExportChange> {
        Some(ExportChange {
            group,
            prefix,
            attributes,
        })
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
            // Outcomes are kept for explanation: one call serves both.
            reasons: Reasons::Wanted,
        };
        let decisions = checked(&batch, self.evaluate(&batch)?)?;
        let step = |decision| Step::new(Arc::clone(name), decision);
        Ok(decisions.into_iter().map(step).collect())
    }
}

/// A decision about a learned route that its owner has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldImport {
    /// About which announcement.
    version: RouteVersion,
    accepted: Option<AcceptedImport>,
}

impl Directed for Arc<dyn ImportPolicy + '_> {
    const DIRECTION: Direction = Direction::Import;
    const NEVER_DECIDED: &'static str = "has never decided about this path";
    const NOT_KEPT: &'static str = "its routes are not used";
    type PeersId = PeerId;
    type Peers = ImportPeer;
    type Key = Prefix;
    type Route = LearnedRoute;
    type Accepted = AcceptedImport;
    type Basis = ();
    type Told = ToldImport;
    type Change = ImportChange;

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }

    fn peer_group(peers: &ImportPeer) -> &PeerGroup {
        &peers.group
    }

    fn peer(peers: &ImportPeer) -> Option<&str> {
        Some(&peers.name)
    }

    fn owner(peer: PeerId) -> Option<PeerId> {
        Some(peer)
    }

    fn prefix(key: &Prefix) -> Prefix {
        *key
    }

    fn first_key(prefix: Prefix) -> Prefix {
        prefix
    }

    /// A decision is about one path: another that the peer announces in its place was never
    /// decided about.
    fn is_same(one: &LearnedRoute, other: &LearnedRoute) -> bool {
        one.is_same_path(other)
    }

    fn basis(_: &LearnedRoute) {}

    fn forbids((): &(), _: &LearnedRoute) -> Option<&'static str> {
        None
    }

    fn proposed<'a>(
        route: &'a LearnedRoute,
        _: &'a Arc<RouteAttributes>,
    ) -> &'a Arc<RouteAttributes> {
        &route.attributes
    }

    fn accepted(attributes: Arc<RouteAttributes>, installation: Installation) -> AcceptedImport {
        AcceptedImport {
            attributes,
            installation,
        }
    }

    fn accepted_with(accepted: &AcceptedImport) -> (&Arc<RouteAttributes>, Option<Installation>) {
        (&accepted.attributes, Some(accepted.installation))
    }

    /// The speaker keeps what is not decided about, so nothing is lost by waiting.
    fn without_node() -> Option<Step> {
        None
    }

    fn told<'a>(
        outcome: &Outcome<AcceptedImport>,
        route: impl FnOnce() -> Option<&'a LearnedRoute>,
    ) -> Option<ToldImport>
    where
        Self: 'a,
    {
        Some(ToldImport {
            version: route()?.version,
            accepted: outcome.accepted.clone(),
        })
    }

    /// Of a route that is gone the owner has withdrawn everything itself.
    fn change(peer: PeerId, prefix: Prefix, told: Option<ToldImport>) -> Option<ImportChange> {
        let ToldImport { version, accepted } = told?;
        Some(ImportChange {
            peer,
            prefix,
            version,
            accepted,
        })
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
