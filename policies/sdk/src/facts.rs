//! What is worth asking the generated facts: families, labels, usable endpoints, text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    AddressKind, ConditionStatus, EndpointCounts, FamilyCounts, IpAddress, Label, Node,
    NodeAddressKind, NodeCondition, PeerGroup, Prefix, RouteAttributes, Serving, Taint,
};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Addresses of 32 bits.
    Ipv4,
    /// Addresses of 128 bits.
    Ipv6,
}

/// The value of a label or annotation; absent where there is none of that key.
#[must_use]
pub fn find<'a>(labels: &'a [Label], key: &str) -> Option<&'a str> {
    labels
        .iter()
        .find(|label| label.key == key)
        .map(|label| label.value.as_str())
}

impl Node {
    /// The value of one of the node's labels.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.labels, key)
    }

    /// The value of one of the node's annotations.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        find(&self.annotations, key)
    }

    /// Its addresses of one kind, in Kubernetes' order.
    pub fn addresses_of(&self, kind: NodeAddressKind) -> impl Iterator<Item = IpAddr> {
        let of_kind = self.addresses.iter().filter(move |one| one.kind == kind);
        of_kind.map(|one| one.address.into())
    }

    /// One of its conditions, whether it holds or not.
    #[must_use]
    pub fn condition(&self, condition_type: &str) -> Option<&NodeCondition> {
        let mut conditions = self.conditions.iter();
        conditions.find(|condition| condition.condition_type == condition_type)
    }

    /// The condition `NetworkUnavailable`, if it holds: the node's network is not set up.
    #[must_use]
    pub fn network_unavailable(&self) -> Option<&NodeCondition> {
        self.condition("NetworkUnavailable")
            .filter(|condition| condition.status == ConditionStatus::True)
    }

    /// A taint of this key; there may be several, of different effects.
    #[must_use]
    pub fn taint(&self, key: &str) -> Option<&Taint> {
        self.taints.iter().find(|taint| taint.key == key)
    }
}

impl Serving {
    /// Whether traffic is answered.
    #[must_use]
    pub fn is_served(self) -> bool {
        match self {
            Self::AnyNode | Self::ThisNode => true,
            Self::Unserved(_) => false,
        }
    }
}

impl PeerGroup {
    /// The value of one of the labels that the configuration gives the group.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.labels, key)
    }
}

impl EndpointCounts {
    /// How many endpoints kube-proxy would send traffic to: the ready ones, and if there is
    /// none, those that still serve while they terminate (KEP-1669).
    #[must_use]
    pub fn usable(&self) -> u32 {
        if self.ready > 0 {
            self.ready
        } else {
            self.serving_terminating
        }
    }
}

impl FamilyCounts {
    /// The counts of one family.
    #[must_use]
    pub fn of(&self, family: Family) -> EndpointCounts {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }
}

impl Prefix {
    /// The family of its addresses.
    #[must_use]
    pub fn family(&self) -> Family {
        match self.address {
            IpAddress::Ipv4(_) => Family::Ipv4,
            IpAddress::Ipv6(_) => Family::Ipv6,
        }
    }

    /// Whether `other` is this prefix or a more specific part of it; never across families.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let (ours, bits) = number(self.address);
        let (theirs, _) = number(other.address);
        // A length of zero would shift by the whole width, which checked_shr answers with none.
        let host_bits = bits.saturating_sub(self.length.into());
        let network = |address: u128| address.checked_shr(host_bits).unwrap_or(0);
        self.family() == other.family()
            && self.length <= other.length
            && network(ours) == network(theirs)
    }
}

/// An address as one number, and how many bits its family has.
fn number(address: IpAddress) -> (u128, u32) {
    match address.into() {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

impl From<IpAddress> for IpAddr {
    fn from(address: IpAddress) -> Self {
        match address {
            IpAddress::Ipv4((a, b, c, d)) => Ipv4Addr::new(a, b, c, d).into(),
            IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => {
                Ipv6Addr::new(a, b, c, d, e, f, g, h).into()
            }
        }
    }
}

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4(address.octets().into()),
            IpAddr::V6(address) => Self::Ipv6(address.segments().into()),
        }
    }
}

impl Default for RouteAttributes {
    /// Nothing set: what the agent sends by itself.
    fn default() -> Self {
        Self {
            med: None,
            local_pref: None,
            prepend: 0,
            next_hop: None,
            communities: Vec::new(),
            large_communities: Vec::new(),
            extended_communities: Vec::new(),
            link_bandwidth: None,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

impl fmt::Display for IpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        IpAddr::from(*self).fmt(f)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClusterIp => "cluster",
            Self::ExternalIp => "external",
            Self::LoadBalancerIp => "load-balancer",
        })
    }
}
