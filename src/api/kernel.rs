//! Learned routes in the kernel, as the API tells of them.

use serde::{Deserialize, Serialize};

/// How learned routes get into the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KernelStatus {
    /// Whether they are installed; otherwise what a former agent left is removed.
    pub installs: bool,
    /// In which of the kernel's tables.
    pub table: u32,
    /// With which metric.
    pub metric: u32,
    /// With which protocol number.
    pub protocol: u8,
    /// Nothing is changed yet, because the node's own prefixes are not known.
    pub waits_for_facts: bool,
    /// Our routes in the kernel, leftovers among them.
    pub routes: u64,
    /// Blackholes for the node's own blocks.
    #[serde(default)]
    pub blackholes: u64,
    /// Of these, those that a former agent left and no peer has announced to this one yet.
    pub leftovers: u64,
    /// Prefixes that must not have a learned route, or the way to whose next hops is not known.
    pub unfit: u64,
    /// Prefixes whose route the kernel refuses at present.
    pub refused: u64,
    /// The first of these, with the kernel's words.
    pub refusal: Option<String>,
    /// Changes that the kernel refused since the agent started.
    pub failures: u64,
    /// Why nothing at all can be changed.
    pub error: Option<String>,
}

/// What became of a path that the kernel may forward by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum KernelPath {
    /// The kernel forwards by it.
    Installed,
    /// Not yet.
    Pending,
    /// There must be no such route, or the way to its next hop is not known.
    Unfit {
        /// Why.
        reason: String,
    },
    /// The kernel did not take it; it is tried again.
    Refused {
        /// Its words.
        reason: String,
    },
}
