//! Address families and prefixes.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// An address family with its sub-address family; all of Rutter is unicast (RFC 4760 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4Unicast,
    /// AFI 2, SAFI 1.
    Ipv6Unicast,
}

impl Family {
    /// Every family the speaker knows, in the order it announces them.
    pub const ALL: [Self; 2] = [Self::Ipv4Unicast, Self::Ipv6Unicast];

    /// The family an address belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4Unicast,
            IpAddr::V6(_) => Self::Ipv6Unicast,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4Unicast => "ipv4-unicast",
            Self::Ipv6Unicast => "ipv6-unicast",
        })
    }
}

/// A destination: a network address and a length, host bits always zero.
///
/// Ordered by family (IPv4 first), then address, then length, so that an aggregate sorts
/// directly before the prefixes it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Prefix(IpNet);

impl Prefix {
    /// The network that contains `net`'s address: host bits are cleared.
    #[must_use]
    pub fn new(net: IpNet) -> Self {
        Self(net.trunc())
    }

    /// The /32 or /128 of one address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }

    /// The family of its addresses.
    #[must_use]
    pub fn family(&self) -> Family {
        match self.0 {
            IpNet::V4(_) => Family::Ipv4Unicast,
            IpNet::V6(_) => Family::Ipv6Unicast,
        }
    }

    /// The network address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0.network()
    }

    /// The length of the network part, in bits.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether it names exactly one address: a /32 or a /128.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// Whether `address` lies inside; never true across families.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether `other` is this prefix or a more specific part of it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// This prefix and every more specific part of it, as they are ordered: none else lies between.
    #[must_use]
    pub fn parts(&self) -> RangeInclusive<Self> {
        *self..=Self::host(self.0.broadcast())
    }

    /// The same prefix in `ipnet`'s terms.
    #[must_use]
    pub fn net(&self) -> IpNet {
        self.0
    }
}

impl From<Ipv4Net> for Prefix {
    fn from(net: Ipv4Net) -> Self {
        Self::new(net.into())
    }
}

impl From<Ipv6Net> for Prefix {
    fn from(net: Ipv6Net) -> Self {
        Self::new(net.into())
    }
}

impl FromStr for Prefix {
    type Err = ipnet::AddrParseError;

    /// Reads `address/length`; a bare address is its /32 or /128. Host bits are cleared.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self::host(address)),
            Err(_) => text.parse().map(Self::new),
        }
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IpNet::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_cleared() {
        assert_eq!(prefix("10.1.2.3/8"), prefix("10.0.0.0/8"));
        assert_eq!(
            serde_json::from_str::<Prefix>("\"10.1.2.3/8\"").unwrap(),
            prefix("10.0.0.0/8")
        );
    }

    #[test]
    fn a_bare_address_is_a_host_prefix() {
        assert!(prefix("10.1.2.3").is_host());
        assert_eq!(prefix("fd00::1").to_string(), "fd00::1/128");
    }

    #[test]
    fn an_aggregate_sorts_before_what_it_covers_and_ipv4_before_ipv6() {
        let mut sorted = [prefix("::/0"), prefix("10.0.0.1"), prefix("10.0.0.0/8")];
        sorted.sort();
        assert_eq!(
            sorted,
            [prefix("10.0.0.0/8"), prefix("10.0.0.1"), prefix("::/0")]
        );
    }

    #[test]
    fn the_parts_of_a_prefix_are_what_it_covers() {
        let mut all: Vec<Prefix> = ["0.0.0.0", "10.0.0.0", "10.128.0.0", "10.255.255.255", "::"]
            .iter()
            .flat_map(|address| (0..=32).map(move |length| format!("{address}/{length}")))
            .map(|text| prefix(&text))
            .collect();
        all.sort();
        all.dedup();
        for one in &all {
            for other in &all {
                assert_eq!(
                    one.parts().contains(other),
                    one.covers(other),
                    "{one} {other}"
                );
            }
        }
    }

    #[test]
    fn no_prefix_covers_the_other_family() {
        assert!(!prefix("0.0.0.0/0").covers(&prefix("::/0")));
        assert!(!prefix("::/0").contains("10.0.0.1".parse().unwrap()));
        assert!(prefix("10.0.0.0/8").covers(&prefix("10.0.0.0/8")));
    }
}
