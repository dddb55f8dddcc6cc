//! What decides in the place of a policy whose module could not be had when the agent started.

use serde::{Deserialize, Serialize};

/// What stands in, until the module can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandIn {
    /// The module that decided for the policy on this node last.
    Last,
    /// Nothing: no route is let through that it would decide about.
    Closed,
    /// In the place of the whole chain, the default policy that comes with the agent.
    Builtin,
}

impl StandIn {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Last, Self::Closed, Self::Builtin];

    /// A short name for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Closed => "closed",
            Self::Builtin => "builtin",
        }
    }
}
