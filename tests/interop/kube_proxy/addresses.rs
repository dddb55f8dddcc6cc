//! Which addresses Services have, and which of them the agents' configuration knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use rutter::types::{Family, Prefix};

use super::lab::Ranges;

/// How many Services there may be at once.
pub(super) const SLOTS: u16 = 200;

/// How many addresses several Services may have at once.
pub(super) const SHARED: u16 = 12;

/// How many rounds pass until the address of a marker comes again.
const MARKERS: u16 = 256;

/// Which of a Service's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Cluster,
    External,
    LoadBalancer,
}

/// What the configuration says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Coverage {
    /// It is listed by itself: no aggregate leads to it.
    Alone,
    /// A range covers it.
    Range,
    /// Nothing: it is never announced.
    Nothing,
}

impl Kind {
    fn address(self, family: Family, last: u16) -> IpAddr {
        match family {
            Family::Ipv4Unicast => {
                let [a, b] = match self {
                    Self::Cluster => [172, 16],
                    Self::External => [198, 18],
                    Self::LoadBalancer => [198, 19],
                };
                let [c, d] = last.to_be_bytes();
                Ipv4Addr::new(a, b, c, d).into()
            }
            Family::Ipv6Unicast => {
                let [a, b, c] = match self {
                    Self::Cluster => [0xfd00, 0x10, 0x96],
                    Self::External => [0x2001, 0xdb8, 0xe],
                    Self::LoadBalancer => [0x2001, 0xdb8, 0x1b],
                };
                Ipv6Addr::new(a, b, c, 0, 0, 0, 0, last).into()
            }
        }
    }

    fn range(self, family: Family) -> Prefix {
        let length = match family {
            Family::Ipv4Unicast => 18,
            Family::Ipv6Unicast => 114,
        };
        let first = self.address(family, Coverage::Range.first());
        Prefix::new(IpNet::new(first, length).unwrap())
    }
}

impl Coverage {
    /// The first of 16,384 last parts.
    fn first(self) -> u16 {
        match self {
            Self::Alone => 0x0000,
            Self::Range => 0x4000,
            Self::Nothing => 0x8000,
        }
    }

    /// What the configuration says of one of our addresses.
    pub(super) fn of(address: IpAddr) -> Self {
        let last = match address {
            IpAddr::V4(address) => u16::from_be_bytes([address.octets()[2], address.octets()[3]]),
            IpAddr::V6(address) => address.segments()[7],
        };
        match last {
            0x0000..0x4000 => Self::Alone,
            0x4000..0x8000 => Self::Range,
            0x8000.. => Self::Nothing,
        }
    }
}

/// The address of a kind and family that is the slot's own.
pub(super) fn own(kind: Kind, coverage: Coverage, family: Family, slot: u16) -> IpAddr {
    assert!(slot < SLOTS);
    kind.address(family, coverage.first() + 0x400 + slot)
}

/// One of the addresses that Services share, each with ports of its own.
pub(super) fn shared(family: Family, number: u16) -> IpAddr {
    assert!(number < SHARED);
    Kind::External.address(family, 0x200 + number)
}

/// The external IP of a round's marker.
pub(super) fn marker(family: Family, round: u16) -> IpAddr {
    Kind::External.address(family, 0x100 + round % MARKERS)
}

/// The agents' configuration.
pub(super) fn ranges() -> Ranges {
    let of = |kind: Kind, addresses: &dyn Fn(Family) -> Vec<IpAddr>| {
        let families = Family::ALL.into_iter();
        let prefixes = families.flat_map(|family| {
            let slots = (0..SLOTS).map(move |slot| own(kind, Coverage::Alone, family, slot));
            let addresses = slots.chain(addresses(family));
            let hosts = addresses.map(Prefix::host);
            hosts.chain([kind.range(family)]).collect::<Vec<_>>()
        });
        prefixes.collect()
    };
    let shared = |family| (0..SHARED).map(|number| shared(family, number)).collect();
    let external = |family| {
        let markers = (0..MARKERS).map(|round| marker(family, round));
        let all: Vec<IpAddr> = markers.chain(shared(family)).collect();
        all
    };
    Ranges {
        cluster: of(Kind::Cluster, &|_| Vec::new()),
        external: of(Kind::External, &external),
        load_balancer: of(Kind::LoadBalancer, &shared),
    }
}
