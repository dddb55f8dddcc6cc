//! Settings in the form people write them: communities, prefixes, kinds of routes.
//!
//! Policies name these types in their settings; serde reads them, and an error quotes the value
//! and says what would be right.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

use crate::{AddressKind, Candidate, LargeCommunity, Origin, Prefix, RouteAttributes};

/// A standard community (`64512:100`, RFC 1997), a large one (`64512:1:2`, RFC 8092), or the
/// name of a well-known one, such as `no-export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub enum Community {
    /// Two numbers of 16 bits, as the contract has them: one number of 32.
    Standard(u32),
    /// Three numbers of 32 bits.
    Large(LargeCommunity),
}

/// Names of well-known communities, as IANA registers them.
const WELL_KNOWN: [(&str, Community); 5] = [
    ("graceful-shutdown", Community::GRACEFUL_SHUTDOWN),
    ("blackhole", Community::Standard(0xFFFF_029A)),
    ("no-export", Community::Standard(0xFFFF_FF01)),
    ("no-advertise", Community::Standard(0xFFFF_FF02)),
    ("no-export-subconfed", Community::Standard(0xFFFF_FF03)),
];

impl Community {
    /// Traffic should leave this route before it goes away (RFC 8326 section 3): `65535:0`.
    pub const GRACEFUL_SHUTDOWN: Self = Self::Standard(0xFFFF_0000);

    /// Whether a route carries it.
    #[must_use]
    pub fn is_in(&self, attributes: &RouteAttributes) -> bool {
        match self {
            Self::Standard(community) => attributes.communities.contains(community),
            Self::Large(community) => attributes.large_communities.contains(community),
        }
    }

    /// Adds it to a route that does not carry it yet.
    pub fn add_to(&self, attributes: &mut RouteAttributes) {
        if self.is_in(attributes) {
            return;
        }
        match self {
            Self::Standard(community) => attributes.communities.push(*community),
            Self::Large(community) => attributes.large_communities.push(*community),
        }
    }
}

impl FromStr for Community {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, community)) = WELL_KNOWN.iter().find(|(name, _)| *name == text) {
            return Ok(*community);
        }
        let numbers: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[high @ 0..=0xFFFF, low @ 0..=0xFFFF]) => Ok(Self::Standard(high << 16 | low)),
            Some(&[global_administrator, local_data1, local_data2]) => {
                Ok(Self::Large(LargeCommunity {
                    global_administrator,
                    local_data1,
                    local_data2,
                }))
            }
            Some(_) | None => Err(format!(
                "`{text}` is no community: write two numbers up to 65535 (64512:100), three \
                 numbers up to 4294967295 (64512:1:2), or a name such as no-export"
            )),
        }
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(community) => write!(f, "{}:{}", community >> 16, community & 0xFFFF),
            Self::Large(community) => write!(
                f,
                "{}:{}:{}",
                community.global_administrator, community.local_data1, community.local_data2
            ),
        }
    }
}

impl TryFrom<String> for Community {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A prefix as people write it, `192.0.2.0/24`, without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Cidr(pub Prefix);

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = || {
            let (address, length) = text.split_once('/')?;
            Some((address.parse().ok()?, length.parse::<u8>().ok()?))
        };
        let Some((address, length)) = parts() else {
            return Err(format!("`{text}` is no prefix: write 192.0.2.0/24"));
        };
        let (number, bits) = match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (address.into(), 128),
        };
        if length > bits {
            return Err(format!("`{text}` is no prefix: its length is above {bits}"));
        }
        if number.trailing_zeros() < u32::from(bits - length) {
            return Err(format!("`{text}` has host bits set beyond /{length}"));
        }
        Ok(Self(Prefix {
            address: address.into(),
            length,
        }))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What a candidate is, without whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteKind {
    /// A pod CIDR of this node.
    PodCidr,
    /// A block of pod addresses that an IPAM gave this node.
    IpamBlock,
    /// A whole configured range of Service addresses.
    ServiceCidr,
    /// A Service's cluster IP.
    ClusterIp,
    /// A Service's external IP.
    ExternalIp,
    /// A Service's load-balancer IP.
    LoadBalancerIp,
    /// Written in the configuration.
    StaticRoute,
    /// Learned from another peer.
    LearnedRoute,
}

impl Candidate<'_> {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> RouteKind {
        match self.origin {
            Origin::PodCidr => RouteKind::PodCidr,
            Origin::IpamBlock => RouteKind::IpamBlock,
            Origin::StaticRoute => RouteKind::StaticRoute,
            Origin::LearnedRoute => RouteKind::LearnedRoute,
            Origin::ServiceCidr(_) => RouteKind::ServiceCidr,
            Origin::ServiceAddress { kind, .. } => match kind {
                AddressKind::ClusterIp => RouteKind::ClusterIp,
                AddressKind::ExternalIp => RouteKind::ExternalIp,
                AddressKind::LoadBalancerIp => RouteKind::LoadBalancerIp,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cidr, Community};
    use crate::{LargeCommunity, RouteAttributes};

    #[test]
    fn communities_read_as_they_are_written() {
        for (text, written) in [
            ("64512:100", "64512:100"),
            ("65535:0", "65535:0"),
            ("graceful-shutdown", "65535:0"),
            ("blackhole", "65535:666"),
            ("no-export", "65535:65281"),
            ("no-advertise", "65535:65282"),
            ("no-export-subconfed", "65535:65283"),
            ("4200000000:1:2", "4200000000:1:2"),
        ] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), written);
        }
        for text in ["", "1", "65536:1", "1:65536", "1:2:3:4", "a:b", "No-Export"] {
            let error = text.parse::<Community>().unwrap_err();
            assert!(error.starts_with(&format!("`{text}` is no community: ")));
        }
    }

    #[test]
    fn a_community_is_added_once() {
        let mut attributes = RouteAttributes::default();
        let large = Community::Large(LargeCommunity {
            global_administrator: 1,
            local_data1: 2,
            local_data2: 3,
        });
        for community in [Community::GRACEFUL_SHUTDOWN, large] {
            assert!(!community.is_in(&attributes));
            community.add_to(&mut attributes);
            community.add_to(&mut attributes);
            assert!(community.is_in(&attributes));
        }
        assert_eq!(attributes.communities, [0xFFFF_0000]);
        assert_eq!(attributes.large_communities.len(), 1);
    }

    #[test]
    fn prefixes_have_no_host_bits() {
        for text in [
            "0.0.0.0/0",
            "::/0",
            "192.0.2.0/24",
            "192.0.2.1/32",
            "2001:db8::/32",
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        for (text, error) in [
            ("192.0.2.0", "`192.0.2.0` is no prefix: write 192.0.2.0/24"),
            ("a/24", "`a/24` is no prefix: write 192.0.2.0/24"),
            (
                "192.0.2.0/33",
                "`192.0.2.0/33` is no prefix: its length is above 32",
            ),
            (
                "192.0.2.1/24",
                "`192.0.2.1/24` has host bits set beyond /24",
            ),
            ("128.0.0.0/0", "`128.0.0.0/0` has host bits set beyond /0"),
            (
                "2001:db8::1/64",
                "`2001:db8::1/64` has host bits set beyond /64",
            ),
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap_err(), error);
        }
    }
}
