//! What policies in shadow mode would change.

use serde::{Deserialize, Serialize};

use crate::candidates::Origin;
use crate::types::{Installation, Prefix, RouteAttributes};

/// Answer of `/v1/policy/shadow`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShadowReport {
    /// Each policy in shadow mode, in the chain's order.
    pub policies: Vec<ShadowPolicy<ShadowDifference>>,
    /// Each import policy in shadow mode, in the chain's order.
    #[serde(default)]
    pub import_policies: Vec<ShadowPolicy<LearnedDifference>>,
}

/// One policy in shadow mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShadowPolicy<D> {
    /// Its name in the configuration.
    pub policy: String,
    /// `builtin:default`, or a path.
    pub module: String,
    /// Why nothing more is compared at present.
    pub error: Option<String>,
    /// When it will be asked again, in seconds from now.
    pub retry_in: Option<u64>,
    /// For each peer group, or of an import policy each peer, that it is for.
    pub groups: Vec<ShadowComparison<D>>,
}

/// What a policy would change towards one peer group, or of what one peer announces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShadowComparison<D> {
    /// How much.
    #[serde(flatten)]
    pub counts: ShadowCounts,
    /// The names of the peers.
    pub peers: Vec<String>,
    /// What, ordered by prefix.
    pub differences: Vec<D>,
}

/// How much a policy would change towards one peer group, or of what one peer announces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShadowCounts {
    /// The group's name. Groups of one name differ in AS or labels.
    pub group: String,
    /// Of an import policy, the peer's name; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Candidates, or learned routes, that were compared.
    pub compared: u64,
    /// Those that were not, because a policy fails.
    pub waiting: u64,
    /// Prefixes that it would no longer announce, or use.
    pub withdrawn: u64,
    /// Prefixes that it would announce with other attributes, or use otherwise.
    pub changed: u64,
    /// Prefixes that it would announce or use, and are not.
    pub added: u64,
}

/// What would be another thing about an announced prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShadowDifference {
    /// What.
    pub prefix: Prefix,
    /// The candidate that the decision is about.
    pub origin: Origin,
    /// What it is announced with; absent where it is not announced.
    pub from: Option<RouteAttributes>,
    /// What it would be announced with; absent where it would not be.
    pub to: Option<RouteAttributes>,
    /// The policy that makes the difference: this one, or a later one because of it.
    pub policy: String,
    /// Its words.
    pub reason: Option<String>,
}

/// What would be another thing about a learned route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LearnedDifference {
    /// Where to.
    pub prefix: Prefix,
    /// How it is used; absent where it is not.
    pub from: Option<LearnedUse>,
    /// How it would be; absent where it would not be.
    pub to: Option<LearnedUse>,
    /// The policy that makes the difference: this one, or a later one because of it.
    pub policy: String,
    /// Its words.
    pub reason: Option<String>,
}

/// How a learned route is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LearnedUse {
    /// With these attributes.
    pub attributes: RouteAttributes,
    /// Whether the kernel may forward by it.
    pub installation: Installation,
}
