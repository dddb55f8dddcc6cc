//! Routes, in both directions, with what was decided about them.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::KernelPath;
use crate::candidates::Origin;
use crate::policy::{ImportOutcome, Outcome, Step};
use crate::types::{Installation, Prefix, RouteAttributes};

/// Answer of `/v1/routes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Routes {
    /// Ordered by peer, then prefix.
    pub routes: Vec<Route>,
    /// What is missing before anything may be announced; absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// One candidate towards one peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Route {
    /// The peer's name.
    pub peer: String,
    /// What.
    pub prefix: Prefix,
    /// Why it is a candidate.
    pub origin: Origin,
    /// What the chain decided.
    pub decision: DecisionReport,
    /// Whether the peer was sent it in its present session.
    pub sent: Sent,
}

/// What the peer knows of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Sent {
    /// It was announced and not withdrawn.
    Announced {
        /// With this next hop.
        next_hop: IpAddr,
    },
    /// It is to be announced as soon as the connection takes it.
    Pending,
    /// It was not, for this reason: rejected, no session, no next hop of the family.
    NotSent {
        /// The reason.
        reason: String,
    },
}

/// What a peer has of the best path to a prefix, which another peer announced: only a route reflector
/// passes such paths on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PassedOn {
    /// The peer's name.
    pub peer: String,
    /// Whether it was sent it in its present session.
    pub sent: Sent,
}

/// Answer of `/v1/received`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceivedRoutes {
    /// Ordered by peer, then prefix.
    pub routes: Vec<ReceivedRoute>,
}

/// A route that a peer announced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReceivedRoute {
    /// The peer's name.
    pub peer: String,
    /// Where to.
    pub prefix: Prefix,
    /// By which address: as decided where the route takes part in the choice of the best path, as
    /// received where it does not.
    pub next_hop: IpAddr,
    /// The nearest AS first, sets in braces; as decided or received, as above.
    pub as_path: String,
    /// As decided or received, as above.
    pub attributes: RouteAttributes,
    /// As received, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<RouteAttributes>,
    /// What else the peer said, which no policy changes.
    #[serde(default)]
    pub path: PathReport,
    /// What became of it.
    pub usage: Usage,
    /// What it is behind another path by, where that is why it is not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// What became of it in the kernel; absent where it is not used, is not for the kernel, or the
    /// kernel is left alone.
    #[serde(default)]
    pub kernel: Option<KernelPath>,
    /// What the import policies decided; absent where there are none, or not yet.
    pub decision: Option<DecisionReport>,
}

/// Of a received route, the path attributes that are as the peer sent them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PathReport {
    /// `IGP`, `EGP` or `INCOMPLETE`.
    pub origin: String,
    /// Who brought it into our AS, where a reflector says so (RFC 4456).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originator_id: Option<Ipv4Addr>,
    /// The clusters that it was reflected in, the nearest first (RFC 4456).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_list: Vec<Ipv4Addr>,
}

/// Where a path is behind the best one to its prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lost {
    /// The first step of the decision process in which it is, as `RFC 4271 9.1.2.2 a`.
    pub step: String,
    /// The name of the peer that the best one is from; absent where that is this node's own.
    pub best: Option<String>,
}

/// What became of a received route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Usage {
    /// The best path to its prefix.
    Best {
        /// Whether the kernel may forward by it.
        installation: Installation,
    },
    /// As good as the best, and used beside it.
    Multipath {
        /// Whether the kernel may forward by it.
        installation: Installation,
    },
    /// Not used, for this reason: rejected, a better path, a loop.
    Unused {
        /// The reason.
        reason: String,
    },
    /// The import policies have yet to decide.
    Undecided,
}

/// The end of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DecisionReport {
    /// Whether it is announced; of a learned route, whether it may be used.
    pub accepted: bool,
    /// With these attributes, when it is.
    pub attributes: RouteAttributes,
    /// Each policy that was asked, or passed over because it is not for this peer, in order.
    pub steps: Vec<StepReport>,
}

/// What one policy of the chain said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepReport {
    /// The policy's name; `chain default` at the end of a chain that abstained throughout.
    pub policy: String,
    /// `accept`, `reject`, `abstain`, or `not asked` where the policy is not for this peer.
    pub verdict: String,
    /// What it said about the kernel and a learned route that it accepted; absent where nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<Installation>,
    /// Its words.
    pub reason: Option<String>,
    /// Whether this is the policy's last good decision, because it is failing.
    pub kept: bool,
}

impl DecisionReport {
    /// A chain's outcome, with the steps that led to it.
    #[must_use]
    pub fn new(outcome: &Outcome, steps: &[Step]) -> Self {
        Self {
            accepted: outcome.accepted.is_some(),
            attributes: outcome.accepted.as_deref().cloned().unwrap_or_default(),
            steps: steps.iter().map(StepReport::new).collect(),
        }
    }

    /// The same of a learned route.
    #[must_use]
    pub fn imported(outcome: &ImportOutcome, steps: &[Step]) -> Self {
        let attributes = outcome.accepted.as_ref().map(|used| &*used.attributes);
        Self {
            accepted: outcome.accepted.is_some(),
            attributes: attributes.cloned().unwrap_or_default(),
            steps: steps.iter().map(StepReport::new).collect(),
        }
    }
}

impl StepReport {
    fn new(step: &Step) -> Self {
        Self {
            policy: step.policy.to_string(),
            verdict: step.verdict.to_string(),
            installation: step.installation,
            reason: step.reason.as_deref().map(str::to_owned),
            kept: step.kept,
        }
    }
}
