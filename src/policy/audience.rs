//! Whom a policy decides for: every peer group, or some of them by name.
//!
//! Read by `config`, obeyed by [`chain`](super::chain). Whether the names exist is for `config` to
//! say; a name that is no group's asks nothing of anybody.

use std::collections::BTreeSet;
use std::fmt;

use super::PeerGroup;

/// Whom a policy decides for. Prints as it is told in an explanation: `every peer group`, or
/// `peer group tors`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// Every peer group.
    #[default]
    Everyone,
    /// The groups of these names; the chain goes on without the policy for all others.
    Only(BTreeSet<String>),
}

impl Audience {
    /// Whether the policy is asked for these peers.
    #[must_use]
    pub fn includes(&self, peers: &PeerGroup) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(names) => names.contains(&peers.name),
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("every peer group"),
            Self::Only(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let noun = if names.len() == 1 { "group" } else { "groups" };
                write!(f, "peer {noun} {}", names.join(", "))
            }
        }
    }
}
