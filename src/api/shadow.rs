//! What policies in shadow mode would change.

use serde::{Deserialize, Serialize};

use crate::candidates::Origin;
use crate::types::{Prefix, RouteAttributes};

/// Answer of `/v1/policy/shadow`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShadowReport {
    /// Each policy in shadow mode, in the chain's order.
    pub policies: Vec<ShadowPolicy>,
}

/// One policy in shadow mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShadowPolicy {
    /// Its name in the configuration.
    pub policy: String,
    /// `builtin:default`, or a path.
    pub module: String,
    /// Why nothing more is compared at present.
    pub error: Option<String>,
    /// When it will be asked again, in seconds from now.
    pub retry_in: Option<u64>,
    /// Each peer group that it is for.
    pub groups: Vec<ShadowGroup>,
}

/// What a policy would change towards one peer group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShadowGroup {
    /// How much.
    #[serde(flatten)]
    pub counts: ShadowCounts,
    /// The names of the group's peers.
    pub peers: Vec<String>,
    /// What, ordered by prefix.
    pub differences: Vec<ShadowDifference>,
}

/// How much a policy would change towards one peer group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShadowCounts {
    /// The group's name. Groups of one name differ in AS or labels.
    pub group: String,
    /// Candidates that were compared.
    pub compared: u64,
    /// Candidates that were not, because a policy fails.
    pub waiting: u64,
    /// Prefixes that it would no longer announce.
    pub withdrawn: u64,
    /// Prefixes that it would announce with other attributes.
    pub changed: u64,
    /// Prefixes that it would announce, and are not announced.
    pub added: u64,
}

/// What would be another thing about a prefix.
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
