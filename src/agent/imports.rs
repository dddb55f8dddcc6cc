//! Learned routes as policies see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bgp::wire::{AsPathSegmentKind, OriginCode};
use crate::policy::{
    LearnedChange, LearnedPath, LearnedRoute, PathOrigin, PathSegment, SegmentKind,
};
use crate::rib::AttributesRef;
use crate::speaker::{Undecided, UndecidedRoute, route_attributes};
use crate::types::RouteAttributes;

/// Routes as policies see them; those that share their attributes go on sharing.
pub(super) fn learned(undecided: Vec<Undecided>) -> Vec<LearnedChange> {
    let mut seen: BTreeMap<AttributesRef, (Arc<LearnedPath>, Arc<RouteAttributes>)> =
        BTreeMap::new();
    let mut shared = |attributes: AttributesRef| {
        let parts = seen.entry(attributes).or_insert_with_key(|attributes| {
            let path = Arc::new(path(attributes));
            (path, Arc::new(route_attributes(attributes)))
        });
        parts.clone()
    };
    let mut route = |route: UndecidedRoute| {
        let UndecidedRoute {
            version,
            router_id,
            attributes,
        } = route;
        let (path, attributes) = shared(attributes);
        LearnedRoute {
            version,
            router_id,
            path,
            attributes,
        }
    };
    undecided
        .into_iter()
        .map(|undecided| LearnedChange {
            peer: undecided.peer,
            prefix: undecided.prefix,
            route: undecided.route.map(&mut route),
        })
        .collect()
}

fn path(attributes: &AttributesRef) -> LearnedPath {
    let segments = attributes.path.as_path.segments.iter();
    LearnedPath {
        origin: match attributes.path.origin {
            OriginCode::Igp => PathOrigin::Igp,
            OriginCode::Egp => PathOrigin::Egp,
            OriginCode::Incomplete => PathOrigin::Incomplete,
        },
        as_path: segments
            .map(|segment| PathSegment {
                kind: match segment.kind {
                    AsPathSegmentKind::Sequence => SegmentKind::Sequence,
                    AsPathSegmentKind::Set => SegmentKind::Set,
                },
                asns: segment.asns.clone(),
            })
            .collect(),
    }
}
