//! What a lab looks like: who is where, in which AS, and has sessions with whom.

use std::fmt;
use std::net::IpAddr;

use rutter::types::Family;

use crate::support::netns::Segment;
use crate::support::router::RouterKind;

/// Where all nodes are, or the core switch and the racks' switches.
pub(super) const CORE_SEGMENT: Segment = Segment {
    ipv4: [192, 168, 83],
    ipv6: 0xfd83,
};

/// Where the VM is.
pub(super) const VM_SEGMENT: Segment = Segment {
    ipv4: [192, 168, 82],
    ipv6: 0xfd82,
};

/// Seconds. A node that is cut off is missed after this time.
pub(super) const HOLD_TIME: u16 = 9;

/// The number of the core switch on every network that it joins.
pub(super) const CORE: u8 = 1;

/// A lab to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) topology: Topology,
    pub(super) families: Families,
    /// What the switches are.
    pub(super) switches: RouterKind,
}

/// Who has sessions with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    /// One AS: every node with every other, and with the core switch.
    Mesh,
    /// An AS for each rack: its nodes with each other and with the switch of the rack, which has a
    /// session with the core switch.
    Racks,
}

/// Of which families the cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Families {
    Ipv4,
    Ipv6,
    Both,
}

/// A node to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) name: &'static str,
    pub(super) rack: usize,
    /// On the network of the rack.
    pub(super) number: u8,
}

impl Topology {
    /// The AS of the core switch.
    pub(super) const CORE_ASN: u32 = 64512;

    /// The nodes; the first is the control plane's.
    pub(super) fn seats(self) -> &'static [Seat] {
        const fn seat(name: &'static str, rack: usize, number: u8) -> Seat {
            Seat { name, rack, number }
        }
        const MESH: &[Seat] = &[
            seat("master", 0, 36),
            seat("node1", 0, 49),
            seat("node2", 0, 54),
        ];
        const RACKS: &[Seat] = &[
            seat("rack1-a", 0, 11),
            seat("rack1-b", 0, 12),
            seat("rack2-a", 1, 11),
            seat("rack2-b", 1, 12),
        ];
        match self {
            Self::Mesh => MESH,
            Self::Racks => RACKS,
        }
    }

    /// The network of a rack.
    pub(super) fn segment(self, rack: usize) -> Segment {
        match self {
            Self::Mesh => CORE_SEGMENT,
            Self::Racks => Segment {
                ipv4: [192, 168, 84 + u8::try_from(rack).unwrap()],
                ipv6: 0xfd84 + u16::try_from(rack).unwrap(),
            },
        }
    }

    /// How many racks have a switch of their own.
    pub(super) fn racks(self) -> usize {
        match self {
            Self::Mesh => 0,
            Self::Racks => 2,
        }
    }

    /// The AS of a rack.
    pub(super) fn asn(self, rack: usize) -> u32 {
        match self {
            Self::Mesh => Self::CORE_ASN,
            Self::Racks => 65101 + u32::try_from(rack).unwrap(),
        }
    }

    /// How many routers a packet passes from the VM to a pod.
    pub(super) fn hops(self) -> u8 {
        match self {
            Self::Mesh => 2,
            Self::Racks => 3,
        }
    }
}

impl Families {
    pub(super) fn all(self) -> &'static [Family] {
        match self {
            Self::Ipv4 => &[Family::Ipv4Unicast],
            Self::Ipv6 => &[Family::Ipv6Unicast],
            Self::Both => &Family::ALL,
        }
    }

    /// Those of these that are of its families.
    pub(super) fn of<'a>(self, prefixes: &[&'a str]) -> Vec<&'a str> {
        let is_ours = |text: &&str| match self {
            Self::Ipv4 => !text.contains(':'),
            Self::Ipv6 => text.contains(':'),
            Self::Both => true,
        };
        prefixes.iter().copied().filter(is_ours).collect()
    }

    /// The addresses of a host of its families.
    pub(super) fn addresses(self, ipv4: impl Into<IpAddr>, ipv6: impl Into<IpAddr>) -> Vec<IpAddr> {
        let (ipv4, ipv6) = (ipv4.into(), ipv6.into());
        self.all()
            .iter()
            .map(|family| match family {
                Family::Ipv4Unicast => ipv4,
                Family::Ipv6Unicast => ipv6,
            })
            .collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topology,
            families,
            switches,
        } = self;
        write!(f, "{topology:?}, {families:?}, {switches:?}")
    }
}
