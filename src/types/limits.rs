//! What one peer may have us keep.

use std::time::Duration;

use super::Family;

/// How much a peer may send. One that sends more is left alone for a while: its session ends, and
/// another one before that time is over would bring the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveLimits {
    /// IPv4 prefixes.
    pub ipv4_prefixes: usize,
    /// IPv6 prefixes.
    pub ipv6_prefixes: usize,
    /// Octets of memory for the path attributes of them all.
    pub attribute_bytes: usize,
    /// The share of a limit at which its approach is told, in percent of 1 to 100.
    pub warn_percent: u8,
    /// How long the peer is left alone.
    pub restart: Duration,
}

impl ReceiveLimits {
    /// Room for all of the Internet's routes, which is more than any router has to tell a node.
    pub const DEFAULT: Self = Self {
        ipv4_prefixes: 1_000_000,
        ipv6_prefixes: 1_000_000,
        attribute_bytes: 256 << 20,
        warn_percent: 75,
        restart: Duration::from_secs(300),
    };

    /// Most prefixes of a family.
    #[must_use]
    pub fn prefixes(&self, family: Family) -> usize {
        match family {
            Family::Ipv4Unicast => self.ipv4_prefixes,
            Family::Ipv6Unicast => self.ipv6_prefixes,
        }
    }

    /// How much of a limit is worth a warning: never nothing.
    #[must_use]
    pub fn warn_at(&self, limit: usize) -> usize {
        let share = limit as u128 * u128::from(self.warn_percent) / 100;
        usize::try_from(share).unwrap_or(limit).max(1)
    }
}
