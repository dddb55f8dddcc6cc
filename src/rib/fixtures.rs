//! Routes, peers and attribute sets for the tests of this module.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{AttributePool, AttributeSet, AttributesRef, Neighbor, Path, Source};
use crate::bgp::wire::{AsPath, NextHop, PathAttributes, Peering};
use crate::types::{Asn, PeerId, Prefix, RouterId};

/// Our own AS in these tests.
pub(super) const OWN_AS: Asn = Asn(64512);

pub(super) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(super) fn next_hop(text: &str) -> NextHop {
    NextHop {
        address: text.parse().unwrap(),
        link_local: None,
    }
}

pub(super) fn asns(numbers: &[u32]) -> AsPath {
    AsPath::sequence(&numbers.iter().copied().map(Asn).collect::<Vec<_>>())
}

/// A set by itself, from a pool of its own.
pub(super) fn attributes(path: PathAttributes) -> AttributesRef {
    AttributePool::default().intern(AttributeSet {
        next_hop: next_hop("192.0.2.1"),
        path,
    })
}

pub(super) fn router_id(last: u8) -> RouterId {
    RouterId::try_from(Ipv4Addr::new(10, 0, 0, last)).unwrap()
}

/// Peer `number` in an AS: its router id is 10.0.0.number, its address 192.0.2.number.
pub(super) fn neighbor(number: u8, asn: Asn) -> Neighbor {
    Neighbor {
        id: PeerId(number.into()),
        asn,
        peering: if asn == OWN_AS {
            Peering::Internal
        } else {
            Peering::External
        },
        router_id: router_id(number),
        address: Ipv4Addr::new(192, 0, 2, number).into(),
    }
}

pub(super) fn path_from(neighbor: Neighbor, path: PathAttributes) -> Path {
    Path {
        source: Source::Peer(Arc::new(neighbor)),
        attributes: attributes(path),
    }
}
