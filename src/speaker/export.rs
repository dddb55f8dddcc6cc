//! What a peer is sent for a route: a pure function of the route and the session. Whether it is to
//! be sent a learned one at all is [`reflection`](super::reflection)'s.
//!
//! Of an own route:
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
//!
//! Of a learned one, everything is as it was received (RFC 4456 section 10), but:
//!
//! | attribute | to internal peers | to external peers |
//! |---|---|---|
//! | AS_PATH | | our AS in front |
//! | NEXT_HOP | our own in mode `self` | our own, but in mode `keep` |
//! | LOCAL_PREF | 100 where there is none | none |
//! | extended communities | | those that are transitive (RFC 4360 section 2) |
//! | ORIGINATOR_ID, CLUSTER_LIST | see [`reflected`] where it comes from an internal peer | none |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::config::NextHops;
use super::view::NotSent;
use crate::bgp::wire::{
    AsPath, CodecContext, NextHop, OriginCode, PathAttributes, Peering, Reach, encode_updates,
};
use crate::rib::{AttributePool, AttributeSet, AttributesRef, LOCAL_PREF_DEFAULT, Path, Source};
use crate::types::{Asn, ClusterId, Community, Family, NextHopMode, Prefix, RouteAttributes};

/// The session a route leaves by, as far as it decides what the peer is sent: sessions that are equal
/// in this are one [update group](super::update_groups).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExportSession {
    pub(super) local_asn: Asn,
    /// How messages are written; what the peer may send does not matter.
    pub(super) codec: CodecContext,
    pub(super) families: Vec<Family>,
    /// Our end of the connection.
    pub(super) local_address: IpAddr,
    pub(super) next_hops: NextHops,
    pub(super) next_hop_mode: NextHopMode,
}

/// Derives attribute sets, and remembers the last: routes that come one after the other mostly
/// share theirs.
pub(super) struct Exporter<'a> {
    session: &'a ExportSession,
    pool: &'a mut AttributePool,
    last: Option<(Arc<RouteAttributes>, Family, Result<AttributesRef, NotSent>)>,
    last_learned: Option<(Path, Family, Result<AttributesRef, NotSent>)>,
}

impl<'a> Exporter<'a> {
    pub(super) fn new(session: &'a ExportSession, pool: &'a mut AttributePool) -> Self {
        Self {
            session,
            pool,
            last: None,
            last_learned: None,
        }
    }

    /// Whether the routes stay inside our AS.
    pub(super) fn peering(&self) -> Peering {
        self.session.peering()
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

    /// What the peer is to have for a learned route of this prefix, or why nothing.
    pub(super) fn pass_on(
        &mut self,
        prefix: Prefix,
        path: &Path,
        cluster_id: Option<ClusterId>,
    ) -> Result<AttributesRef, NotSent> {
        let family = prefix.family();
        if let Some((known, of, result)) = &self.last_learned
            && *of == family
            && known == path
        {
            return result.clone();
        }
        let derived = self.session.derive_learned(family, path, cluster_id);
        let result = derived.map(|set| self.pool.intern(set));
        self.last_learned = Some((path.clone(), family, result.clone()));
        result
    }
}

impl ExportSession {
    /// Whether the routes stay inside our AS.
    pub(super) fn peering(&self) -> Peering {
        self.codec.peering
    }

    /// The attributes of an own route of this family on this session.
    pub(super) fn derive(
        &self,
        family: Family,
        route: &RouteAttributes,
    ) -> Result<AttributeSet, NotSent> {
        let peering = self.peering();
        // RFC 1997: these bind whoever receives the route; we let them bind us, for a policy that
        // sets one wants the same of the node itself.
        self.check_scope(family, &route.communities)?;
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

    /// The attributes of a learned route of this family on this session.
    pub(super) fn derive_learned(
        &self,
        family: Family,
        learned: &Path,
        cluster_id: Option<ClusterId>,
    ) -> Result<AttributeSet, NotSent> {
        let AttributeSet { next_hop, path } = &*learned.attributes;
        self.check_scope(family, &path.communities)?;
        let peering = self.peering();
        let is_kept = match (self.next_hop_mode, peering) {
            (NextHopMode::Auto, Peering::Internal) | (NextHopMode::Keep, _) => true,
            (NextHopMode::Auto, Peering::External) | (NextHopMode::SelfAddress, _) => false,
        };
        let address = match is_kept {
            true => next_hop.address,
            false => self.own_next_hop(family)?,
        };
        let set = AttributeSet {
            next_hop: NextHop {
                address,
                link_local: None,
            },
            path: match peering {
                Peering::Internal => reflected(learned, cluster_id),
                Peering::External => self.external(path),
            },
        };
        self.check_size(family, &set)?;
        Ok(set)
    }

    /// A learned route's attributes as they leave our AS.
    fn external(&self, path: &PathAttributes) -> PathAttributes {
        let mut left = PathAttributes {
            as_path: path.as_path.prepended(self.local_asn, 1),
            local_pref: None,
            originator_id: None,
            cluster_list: Vec::new(),
            ..path.clone()
        };
        left.extended_communities
            .retain(|community| community.is_transitive());
        left
    }

    /// Whether the session carries the family and the route's communities let it go there.
    fn check_scope(&self, family: Family, communities: &[Community]) -> Result<(), NotSent> {
        if !self.families.contains(&family) {
            return Err(NotSent::FamilyNotNegotiated(family));
        }
        if communities.contains(&Community::NO_ADVERTISE) {
            return Err(NotSent::NoAdvertise);
        }
        let no_export = |community: &Community| {
            [Community::NO_EXPORT, Community::NO_EXPORT_SUBCONFED].contains(community)
        };
        match self.peering() {
            Peering::External if communities.iter().any(no_export) => Err(NotSent::NoExport),
            Peering::External | Peering::Internal => Ok(()),
        }
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
        encode_updates(&[], announced, self.codec, &mut Vec::new())
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
            None => self.own_next_hop(family),
        }
    }

    fn own_next_hop(&self, family: Family) -> Result<IpAddr, NotSent> {
        if Family::of(self.local_address) == family && is_global(self.local_address) {
            return Ok(self.local_address);
        }
        self.next_hops.of(family).ok_or(NotSent::NoNextHop(family))
    }
}

/// A learned route's attributes as they go on within the AS. From an internal peer they are
/// reflected (RFC 4456 section 8): ORIGINATOR_ID is whoever brought the route into the AS, and
/// CLUSTER_LIST begins with our cluster.
fn reflected(learned: &Path, cluster_id: Option<ClusterId>) -> PathAttributes {
    let mut path = learned.attributes.path.clone();
    path.local_pref.get_or_insert(LOCAL_PREF_DEFAULT);
    if let (Source::Peer(from), Some(cluster)) = (&learned.source, cluster_id)
        && from.peering == Peering::Internal
    {
        path.originator_id.get_or_insert(from.router_id.into());
        path.cluster_list.insert(0, cluster.0);
    }
    path
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
