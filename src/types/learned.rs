//! What is said of learned routes beyond their attributes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One announcement of one route by one peer. The speaker numbers announcements as they come, so
/// a decision about one is never taken for a decision about the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteVersion(pub u64);

/// Whether the kernel may forward by a learned route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Installation {
    /// Put into the node's routing table while it is the best path.
    #[default]
    Install,
    /// Kept in the Loc-RIB only.
    Keep,
}

impl fmt::Display for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Install => "install",
            Self::Keep => "keep",
        })
    }
}
