//! Whether the node is there for its peers, as the API tells of it.

use serde::{Deserialize, Serialize};

/// Answer of `/v1/leave` and `/v1/join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Membership {
    /// Whether all sessions are over by an operator's word.
    pub left: bool,
    /// What was done, or why not.
    pub reason: String,
}
