//! Which learned routes are used, and how: what a policy is asked about them, and what it may
//! answer.
//!
//! WebAssembly modules implement [`ImportPolicy`] in `wasm`, tests in plain Rust;
//! [`Imports`](super::Imports) asks a chain of them. Nothing here decides, and nothing knows BGP:
//! a path is what a policy may see of it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Link, Outcome, PeerGroup, PolicyFailure, Reasons};
use crate::facts::NodeFacts;
use crate::types::{Asn, Installation, PeerId, Prefix, RouteAttributes, RouteVersion, RouterId};

/// One question to an import policy: these routes, all learned from one peer.
#[derive(Clone, Copy, Debug)]
pub struct ImportBatch<'a> {
    /// The node the agent runs on.
    pub node: &'a NodeFacts,
    /// Our own AS.
    pub asn: Asn,
    /// The group of the peer.
    pub peer_group: &'a PeerGroup,
    /// The peer.
    pub peer: &'a LearnedFrom,
    /// What is asked about, in the order the answer must have.
    pub routes: &'a [ProposedImport<'a>],
    /// Whether reasons are worth the policy's effort.
    pub reasons: Reasons,
}

/// The peer that routes were learned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedFrom {
    /// Its name in the configuration.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its BGP Identifier.
    pub router_id: RouterId,
}

/// A learned route with the attributes that the chain so far gave it.
#[derive(Clone, Copy, Debug)]
pub struct ProposedImport<'a> {
    /// Its destination.
    pub prefix: Prefix,
    /// What came with it and no policy changes.
    pub path: &'a Arc<LearnedPath>,
    /// What it would be used with; for the first policy as received.
    pub attributes: &'a Arc<RouteAttributes>,
}

/// What came with a route and is not for a policy to change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LearnedPath {
    /// ORIGIN (RFC 4271 section 5.1.1).
    pub origin: PathOrigin,
    /// AS_PATH, the nearest segment first.
    pub as_path: Vec<PathSegment>,
}

/// ORIGIN (RFC 4271 section 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathOrigin {
    /// Interior to the originating AS.
    Igp,
    /// By EGP.
    Egp,
    /// By some other means.
    Incomplete,
}

/// A segment of an AS_PATH (RFC 4271 section 4.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathSegment {
    /// Ordered or not.
    pub kind: SegmentKind,
    /// Its AS numbers, never empty.
    pub asns: Vec<Asn>,
}

/// Whether the AS numbers of a segment have an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SegmentKind {
    /// AS_SEQUENCE.
    Sequence,
    /// AS_SET.
    Set,
}

/// A policy's answer about one learned route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportDecision {
    /// Yes, no, or no opinion.
    pub verdict: ImportVerdict,
    /// In the operator's words.
    pub reason: Option<Arc<str>>,
}

/// Yes, no, or no opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportVerdict {
    /// No opinion: as the policies before said, and those after will.
    Abstain,
    /// Use it, in this way, unless a later policy of the chain rejects.
    Accept(Acceptance),
    /// Do not use it, whatever other policies say.
    Reject,
}

/// How one policy wants a route used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acceptance {
    /// With these attributes; absent: with the proposed ones.
    pub attributes: Option<Arc<RouteAttributes>>,
    /// Absent: as the policies before said.
    pub installation: Option<Installation>,
}

/// Something that decides about learned routes. It has no state that decisions depend on, so one
/// instance may be asked from several threads: the chain in force and a trial of the next may
/// share it.
pub trait ImportPolicy: Send + Sync {
    /// One decision for each route of the batch, in its order.
    ///
    /// The decision about a route may depend on the batch's node, AS, peer group and peer, on the
    /// route itself and on nothing else: decisions are remembered until one of these changes.
    ///
    /// # Errors
    /// The policy failed as a whole; no decision of this batch counts.
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure>;
}

impl fmt::Debug for dyn ImportPolicy + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImportPolicy")
    }
}

/// One policy of an import chain.
pub type ImportLink = Link<Arc<dyn ImportPolicy>>;

/// A route of a peer as it is from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedChange {
    /// Whose.
    pub peer: PeerId,
    /// Where to.
    pub prefix: Prefix,
    /// Absent when the peer has withdrawn it, or it must not be used.
    pub route: Option<LearnedRoute>,
}

/// A route as a peer announced it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedRoute {
    /// Which announcement of it; a decision names it, so that it is not taken for another.
    pub version: RouteVersion,
    /// The BGP Identifier of the peer.
    pub router_id: RouterId,
    /// What no policy changes.
    pub path: Arc<LearnedPath>,
    /// As received.
    pub attributes: Arc<RouteAttributes>,
}

/// What is to be done with a learned route from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportChange {
    /// Whose.
    pub peer: PeerId,
    /// Where to.
    pub prefix: Prefix,
    /// Of this announcement; another one's route is not to be touched.
    pub version: RouteVersion,
    /// Use it in this way, or not at all.
    pub accepted: Option<AcceptedImport>,
}

/// How a route is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedImport {
    /// With these attributes.
    pub attributes: Arc<RouteAttributes>,
    /// Whether the kernel forwards by it.
    pub installation: Installation,
}

/// The end of a chain for one learned route.
pub type ImportOutcome = Outcome<AcceptedImport>;
