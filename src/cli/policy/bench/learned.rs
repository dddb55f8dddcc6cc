//! A peer that is made up, to measure import policies on: as many routes as wanted, and always the
//! same.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::policy::{LearnedPath, PathOrigin, PathSegment, SegmentKind};
use crate::types::{Asn, Community, Prefix, RouteAttributes};

/// The peer's address, and the next hop of its routes.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// How many routes share a path, and its attributes: about as many as in a table of the Internet.
const SHARED: usize = 7;

/// A route like many.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) prefix: Prefix,
    pub(super) path: Arc<LearnedPath>,
    pub(super) attributes: Arc<RouteAttributes>,
}

/// So many routes, up to 2^20: a /28 each, a path of four AS numbers, a MED and two communities.
pub(super) fn routes(count: u32) -> Vec<Route> {
    let numbers: Vec<u32> = (0..count).collect();
    let shared = numbers.chunks(SHARED).flat_map(|numbers| {
        let (path, attributes) = path(numbers[0]);
        let route = move |number: &u32| Route {
            prefix: prefix(*number),
            path: Arc::clone(&path),
            attributes: Arc::clone(&attributes),
        };
        numbers.iter().map(route)
    });
    shared.collect()
}

fn prefix(number: u32) -> Prefix {
    let address = Ipv4Addr::from(0x0A00_0000 + (number << 4));
    let text = format!("{address}/28");
    text.parse().expect("up to 2^20 of them are in 10.0.0.0/8")
}

fn path(number: u32) -> (Arc<LearnedPath>, Arc<RouteAttributes>) {
    let asns = [64_513, 65_550, 70_000 + number % 5_000, 100_000 + number];
    let path = LearnedPath {
        origin: PathOrigin::Igp,
        as_path: vec![PathSegment {
            kind: SegmentKind::Sequence,
            asns: asns.map(Asn).to_vec(),
        }],
    };
    let attributes = RouteAttributes {
        med: Some(number % 100),
        next_hop: Some(ADDRESS.into()),
        communities: vec![
            Community((64_513 << 16) | (number % 50)),
            Community(0xFC01_FFFF),
        ],
        ..RouteAttributes::default()
    };
    (Arc::new(path), Arc::new(attributes))
}
