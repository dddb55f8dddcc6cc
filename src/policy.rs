//! Which candidates are announced to whom, and with which attributes.
//!
//! A [`RoutePolicy`] answers for a whole batch of candidates at once; WebAssembly modules
//! implement it in `wasm`, tests in plain Rust. [`Exports`] puts policies into a chain, asks it
//! about what changed, remembers what each policy said, and decides what stands while one
//! fails. It knows neither WebAssembly nor BGP: what comes out is an [`ExportChange`] for each
//! prefix whose announcement to a group of peers really differs.
//!
//! [`Imports`] does the same for learned routes and policies that decide about these
//! ([`ImportPolicy`]). Both are a [`Table`]; what the directions have of their own is in
//! [`Directed`].
//!
//! # A chain
//! Policies are asked in order. Each is asked once a group, in one [`Batch`] of exactly the
//! candidates that no policy before it rejected. Reject is final. Accept carries on: the next
//! policy is proposed the attributes that this one accepted with (the first is proposed none), and
//! may change them or reject after all. Abstain leaves things as they are. In the end a
//! candidate is announced if some policy accepted it and none rejected it; one that all abstained
//! from is decided by the step [`CHAIN_DEFAULT`]: rejected, unless the operator wants it
//! otherwise. A policy may be for some peer groups only: see [`Audience`]; or only tell what it
//! would change: see [`Mode`]. So a chain reads as:
//! who may announce, then with what, then what never.
//!
//! # From candidates to prefixes
//! A prefix is announced while any of its candidates is accepted, with the attributes of the
//! first accepted one in the order of [`CandidateKey`](crate::candidates::CandidateKey); it is
//! withdrawn when the last goes.
//!
//! # Failure
//! A policy that fails, or whose answer is impossible, is not asked again before a time that
//! doubles with each failure; then everything is asked anew. Until then its [`OnError`] decides
//! for it, and the rest of the chain goes on. Two facts outrank a kept decision: a candidate
//! that no longer exists is withdrawn, and so is an address of a Service for which the node's service
//! proxy no longer answers, if it did when the decision was made.

mod answer;
mod asking;
mod audience;
mod chain;
mod change;
mod directed;
mod exports;
mod held;
mod import;
mod imports;
mod limits;
mod observation;
mod outcome;
mod pace;
pub mod progress;
mod row;
mod search;
mod shadow;
mod spot_check;
mod standing;
mod table;

#[cfg(test)]
mod tests;

pub use answer::checked;
pub use audience::Audience;
pub use chain::{Course, FailureCounts, Link, LinkStatus, NextLink};
pub use change::{Change, ChangeKind, compare};
pub use directed::{Asked, Directed, Inquiry};
pub use exports::{ExportChange, Exports};
pub use import::{
    Acceptance, AcceptedImport, ImportBatch, ImportChange, ImportDecision, ImportLink,
    ImportOutcome, ImportPolicy, ImportVerdict, LearnedChange, LearnedFrom, LearnedPath,
    LearnedRoute, PathOrigin, PathSegment, ProposedImport, SegmentKind,
};
pub use imports::{ImportPeer, Imports};
pub use limits::Limits;
pub use observation::Observation;
#[cfg(feature = "daemon")]
pub(crate) use outcome::with_next_hop;
pub use outcome::{CHAIN_DEFAULT, NODE_UNKNOWN, Outcome, Step, StepVerdict};
pub use search::Clock;
pub use shadow::{Comparison, Difference, Fault, Shadow, Shadows};
pub use spot_check::SpotChecked;
pub use table::{HeldRoute, Table};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::candidates::Candidate;
use crate::facts::{NodeFacts, StringMap};
use crate::types::{Asn, GroupId, RouteAttributes};

/// Peers that are asked about together: one call of each policy answers for all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerGroup {
    /// What the operator calls it; the peer's own name where it stands alone.
    pub name: String,
    /// The AS its peers are in.
    pub asn: Asn,
    /// Whether that is our own AS.
    pub kind: PeerKind,
    /// The operator's labels.
    pub labels: StringMap,
}

/// The peer groups there are to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerGroups {
    /// All of them.
    pub groups: BTreeMap<GroupId, PeerGroup>,
    /// For a new group, the one its peers are in at present: while a policy fails, what it last
    /// decided about those peers stands in the new group, too.
    pub heirs: BTreeMap<GroupId, GroupId>,
}

/// Internal or external (RFC 4271 section 1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerKind {
    /// In our own AS.
    Ibgp,
    /// In another AS.
    Ebgp,
}

/// One question to a policy: these candidates, on this node, towards these peers.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The node the agent runs on.
    pub node: &'a NodeFacts,
    /// Our own AS.
    pub asn: Asn,
    /// Whom the routes would go to.
    pub peer_group: &'a PeerGroup,
    /// What is asked about, in the order the answer must have.
    pub candidates: &'a [ProposedRoute<'a>],
    /// Whether reasons are worth the policy's effort.
    pub reasons: Reasons,
}

/// A candidate with the attributes that the chain so far gave it.
#[derive(Clone, Copy, Debug)]
pub struct ProposedRoute<'a> {
    /// The candidate.
    pub candidate: &'a Candidate,
    /// What it would be announced with.
    pub attributes: &'a Arc<RouteAttributes>,
}

/// Whether a policy should give reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reasons {
    /// It should.
    Wanted,
    /// Nobody will read them.
    Unwanted,
}

/// A policy's answer about one candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Yes, no, or no opinion.
    pub verdict: Verdict,
    /// In the operator's words.
    pub reason: Option<Arc<str>>,
}

/// Yes, no, or no opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No opinion: as the policies before said, and those after will.
    Abstain,
    /// Announce, with these attributes, or with the proposed ones, unless a later policy of the
    /// chain rejects.
    Accept(Option<Arc<RouteAttributes>>),
    /// Do not announce, whatever other policies say.
    Reject,
}

/// Something that decides about routes. It has no state that decisions depend on, so one instance
/// may be asked from several threads: the chain in force and a trial of the next may share it.
pub trait RoutePolicy: Send + Sync {
    /// One decision for each candidate of the batch, in its order.
    ///
    /// The decision about a candidate may depend on the batch's node, AS and peer group, on the
    /// candidate itself and on nothing else: decisions are remembered until one of these changes.
    /// [`SpotChecked`] sees to it.
    ///
    /// # Errors
    /// The policy failed as a whole; no decision of this batch counts.
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure>;
}

impl fmt::Debug for dyn RoutePolicy + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoutePolicy")
    }
}

/// How a policy failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFailure {
    /// It crashed; the text is its own message.
    #[error("the module trapped: {0}")]
    Trap(String),
    /// It took longer than it may.
    #[error("the module ran longer than {0:?} and was stopped")]
    OutOfTime(std::time::Duration),
    /// On a workbench, where instructions are counted: it took more than it may.
    #[error("the module executed more than {0} instructions and was stopped")]
    OutOfInstructions(u64),
    /// It wanted more memory than it may have.
    #[error("the module wanted more than {0} bytes of memory")]
    OutOfMemory(u64),
    /// Its answer is impossible; the text says in what way.
    #[error("the module's answer is unusable: {0}")]
    BadAnswer(String),
    /// It decided otherwise about the same route when it was asked again; the text says about
    /// which and how.
    #[error("the module contradicts itself: {0}")]
    Inconsistent(String),
    /// There is no module to ask; the text says why.
    #[error("the module did not load: {0}")]
    NotLoaded(String),
}

impl PolicyFailure {
    /// Every [`Self::kind`].
    pub const KINDS: [&'static str; 6] = [
        "trap",
        "out-of-time",
        "out-of-memory",
        "bad-answer",
        "inconsistent",
        "not-loaded",
    ];

    /// Whether the policy cannot be trusted, or asked, about any route: not a failure that comes of
    /// what it is asked about.
    #[must_use]
    pub fn is_of_all(&self) -> bool {
        match self {
            Self::Trap(_)
            | Self::OutOfTime(_)
            | Self::OutOfInstructions(_)
            | Self::OutOfMemory(_)
            | Self::BadAnswer(_) => false,
            Self::Inconsistent(_) | Self::NotLoaded(_) => true,
        }
    }

    /// A short name for metrics: one of [`Self::KINDS`].
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Trap(_) => "trap",
            Self::OutOfTime(_) | Self::OutOfInstructions(_) => "out-of-time",
            Self::OutOfMemory(_) => "out-of-memory",
            Self::BadAnswer(_) => "bad-answer",
            Self::Inconsistent(_) => "inconsistent",
            Self::NotLoaded(_) => "not-loaded",
        }
    }
}

/// What becomes of a candidate that every policy of the chain abstained from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainDefault {
    /// It is not announced.
    #[default]
    Reject,
    /// It is announced, without any attributes of its own.
    Accept,
}

/// Which way the routes go that a policy decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To peers: `[[policies]]`.
    Export,
    /// From peers: `[[import-policies]]`.
    Import,
}

/// Whether a policy of the chain decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It is asked beside the chain, and what would differ if it did is told: see [`Shadows`].
    Shadow,
}

/// What becomes of the routes a policy decides on while it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// Its last decisions stand; what it never decided is rejected.
    #[default]
    KeepLast,
    /// All are rejected.
    Withdraw,
    /// As if it abstained.
    Skip,
}

impl Direction {
    /// What the configuration calls its policies.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Export => "policies",
            Self::Import => "import-policies",
        }
    }

    /// A short name for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Import => "import",
        }
    }

    /// What one of its policies is called in a sentence.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Export => "policy",
            Self::Import => "import policy",
        }
    }
}

impl fmt::Display for PeerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ibgp => "iBGP",
            Self::Ebgp => "eBGP",
        })
    }
}
