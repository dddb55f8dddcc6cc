//! What peers sent wrong.

use serde::{Deserialize, Serialize};

use crate::types::Prefix;

/// What a peer sent wrong and its session survived (RFC 7606), since the peer was configured as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PeerFaults {
    /// How often, by what was wrong.
    pub counts: Vec<FaultCount>,
    /// The last message of which anything was; the log has the whole of it.
    pub last: Option<LastFault>,
}

/// How often one thing was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FaultCount {
    /// The attribute that was wrong, `unknown` for one that this version has no name for; or `NLRI`.
    pub attribute: String,
    /// `treat-as-withdraw`, `attribute-discard`, or `ignore` for routes that are none of ours.
    pub action: String,
    /// How often.
    pub count: u64,
}

/// A message that was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastFault {
    /// When it came, in seconds since 1970.
    pub at: u64,
    /// What was wrong, and what was done about it.
    pub faults: String,
    /// The first of the prefixes concerned.
    pub prefixes: Vec<Prefix>,
    /// How many more there were.
    pub more: u64,
}
