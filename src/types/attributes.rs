//! What a policy may say about a route beyond yes and no.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Community, ExtendedCommunity, LargeCommunity};

/// Most copies of our own AS number that a policy may put before a path.
pub const PREPEND_MAX: u8 = 16;

/// The attributes of a route that policy decides on; the speaker derives all others
/// (ORIGIN, AS_PATH, NEXT_HOP) from the session the route leaves by.
///
/// Communities are kept sorted and free of duplicates by whoever builds a set, so that equal
/// sets compare equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct RouteAttributes {
    /// MULTI_EXIT_DISC; absent means none is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// LOCAL_PREF, sent to internal peers only; absent means the speaker's default of 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    /// Copies of our own AS number put before the path, on top of the one that external peers
    /// always see; at most [`PREPEND_MAX`].
    #[serde(skip_serializing_if = "is_zero")]
    pub prepend: u8,
    /// An address to send instead of our own; of the prefix's family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<IpAddr>,
    /// Standard communities (RFC 1997).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<Community>,
    /// Large communities (RFC 8092).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub large_communities: Vec<LargeCommunity>,
    /// Extended communities (RFC 4360).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extended_communities: Vec<ExtendedCommunity>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_zero(value: &u8) -> bool {
    *value == 0
}
