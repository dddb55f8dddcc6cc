//! What a peer is sent for an own route: a pure function of the route and the session.
//!
//! | attribute | to internal peers | to external peers |
//! |---|---|---|
//! | ORIGIN | IGP | IGP |
//! | AS_PATH | empty | our AS, and as many more as the policy prepends |
//! | NEXT_HOP | the policy's, else our end of the session, else `next_hops` | the same |
//! | MULTI_EXIT_DISC | the policy's | the policy's |
//! | LOCAL_PREF | the policy's, else 100 | none |
//! | communities | the policy's | the policy's |
//!
//! Prepending applies to external peers only: RFC 4271 section 5.1.2 forbids to touch AS_PATH
//! towards an internal peer, and one that finds its own AS in there drops the route as a loop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::config::NextHops;
use super::view::NotSent;
use crate::bgp::Negotiated;
use crate::bgp::wire::{
    AsPath, NextHop, OriginCode, PathAttributes, Peering, Reach, encode_updates,
};
use crate::rib::{AttributePool, AttributeSet, AttributesRef, LOCAL_PREF_DEFAULT};
use crate::types::{Asn, Community, Family, Prefix, RouteAttributes};

/// The session a route leaves by.
pub(super) struct ExportSession<'a> {
    pub(super) local_asn: Asn,
    pub(super) negotiated: &'a Negotiated,
    /// Our end of the connection.
    pub(super) local_address: IpAddr,
    pub(super) next_hops: NextHops,
}

/// Derives attribute sets, and remembers the last: routes that come one after the other mostly
/// share theirs.
pub(super) struct Exporter<'a> {
    session: ExportSession<'a>,
    pool: &'a mut AttributePool,
    last: Option<(Arc<RouteAttributes>, Family, Result<AttributesRef, NotSent>)>,
}

impl<'a> Exporter<'a> {
    pub(super) fn new(session: ExportSession<'a>, pool: &'a mut AttributePool) -> Self {
        Self {
            session,
            pool,
            last: None,
        }
    }

    /// What the peer is to have for an own route of this prefix, or why nothing.
    pub(super) fn export(
        &mut self,
        prefix: Prefix,
        route: &Arc<RouteAttributes>,
    ) -> Result<AttributesRef, NotSent> {
        let family = prefix.family();
        if let Some((known, of, result)) = &self.last
            && *of == family
            && Arc::ptr_eq(known, route)
        {
            return result.clone();
        }
        let derived = self.session.derive(family, route);
        let result = derived.map(|set| self.pool.intern(set));
        self.last = Some((Arc::clone(route), family, result.clone()));
        result
    }
}

impl ExportSession<'_> {
    /// The attributes of an own route of this family on this session.
    pub(super) fn derive(
        &self,
        family: Family,
        route: &RouteAttributes,
    ) -> Result<AttributeSet, NotSent> {
        let peering = self.negotiated.codec.peering;
        if !self.negotiated.families.contains(&family) {
            return Err(NotSent::FamilyNotNegotiated(family));
        }
        // RFC 1997: these bind whoever receives the route; we let them bind us, for a policy that
        // sets one wants the same of the node itself.
        if route.communities.contains(&Community::NO_ADVERTISE) {
            return Err(NotSent::NoAdvertise);
        }
        let no_export = |community: &Community| {
            [Community::NO_EXPORT, Community::NO_EXPORT_SUBCONFED].contains(community)
        };
        if peering == Peering::External && route.communities.iter().any(no_export) {
            return Err(NotSent::NoExport);
        }
        let set = AttributeSet {
            next_hop: NextHop {
                address: self.next_hop(family, route)?,
                link_local: None,
            },
            path: self.path(peering, route),
        };
        self.check_size(family, &set)?;
        Ok(set)
    }

    /// Whether a message has room for these attributes and the longest prefix.
    fn check_size(&self, family: Family, set: &AttributeSet) -> Result<(), NotSent> {
        let longest = match family {
            Family::Ipv4Unicast => Prefix::host(Ipv4Addr::UNSPECIFIED.into()),
            Family::Ipv6Unicast => Prefix::host(Ipv6Addr::UNSPECIFIED.into()),
        };
        let reach = Reach {
            next_hop: set.next_hop,
            prefixes: vec![longest],
        };
        let announced = Some((&set.path, &[reach][..]));
        encode_updates(&[], announced, self.negotiated.codec, &mut Vec::new())
            .map(|_| ())
            .map_err(NotSent::TooLarge)
    }

    fn path(&self, peering: Peering, route: &RouteAttributes) -> PathAttributes {
        let RouteAttributes {
            med,
            local_pref,
            prepend,
            next_hop: _,
            communities,
            large_communities,
            extended_communities,
        } = route;
        let (as_path, local_pref) = match peering {
            Peering::Internal => (
                AsPath::default(),
                Some(local_pref.unwrap_or(LOCAL_PREF_DEFAULT)),
            ),
            Peering::External => {
                let copies = 1 + usize::from(*prepend);
                (AsPath::sequence(&vec![self.local_asn; copies]), None)
            }
        };
        PathAttributes {
            origin: OriginCode::Igp,
            as_path,
            med: *med,
            local_pref,
            communities: communities.clone(),
            large_communities: large_communities.clone(),
            extended_communities: extended_communities.clone(),
            ..PathAttributes::default()
        }
    }

    fn next_hop(&self, family: Family, route: &RouteAttributes) -> Result<IpAddr, NotSent> {
        match route.next_hop {
            Some(address) if Family::of(address) == family && is_host(address) => Ok(address),
            Some(address) => Err(NotSent::UnusableNextHop(address)),
            None if Family::of(self.local_address) == family && is_global(self.local_address) => {
                Ok(self.local_address)
            }
            None => self.next_hops.of(family).ok_or(NotSent::NoNextHop(family)),
        }
    }
}

/// Whether packets can be sent to it at all (RFC 4271 section 6.3).
fn is_host(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && is_global(address)
}

/// Whether it means the same off this link. RFC 2545 section 3: the next hop of an IPv6 route is
/// global; a link-local address may only stand beside it.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    }
}
