//! The decision process: which of the paths to one prefix is best, which are as good, and what
//! each other lost by (RFC 4271 section 9.1, RFC 4456 section 9).
//!
//! Called by [`LocRib`](super::LocRib) for each prefix whose paths changed. The steps are the
//! fields of [`Rank`], in order. MED compares paths by the same neighbouring AS only, which makes
//! a comparison of two paths depend on the others: so paths that lose by it are marked first, and
//! with the marks given the order is total and the same whatever the order of arrival.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::AttributesRef;
use crate::bgp::wire::{OriginCode, Peering};
use crate::types::{Asn, PeerId, RouterId};

/// The degree of preference of a path without LOCAL_PREF.
pub const LOCAL_PREF_DEFAULT: u32 = 100;

/// Most paths used at once towards one prefix: what kernels and routers of this kind take.
pub const MULTIPATH_MAX: usize = 64;

/// One way to a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Where it comes from.
    pub source: Source,
    /// What it says, after import rules.
    pub attributes: AttributesRef,
}

/// Where a path comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From this speaker; preferred to every peer's.
    Local,
    /// From a peer.
    Peer(Arc<Neighbor>),
}

/// The peer behind a path, as far as it decides between paths. Shared by all paths of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Which.
    pub id: PeerId,
    /// Its AS.
    pub asn: Asn,
    /// Whether that is ours.
    pub peering: Peering,
    /// The BGP Identifier of its OPEN.
    pub router_id: RouterId,
    /// Its address.
    pub address: IpAddr,
}

/// What tells the paths to one prefix apart: each source has at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceId {
    /// [`Source::Local`].
    Local,
    /// [`Source::Peer`].
    Peer(PeerId),
}

/// Which paths that are as good as the best are used beside it.
///
/// As good means equal in every step up to external before internal; router ids and addresses,
/// which only make the choice definite, are not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Multipath {
    /// Of external paths, those by the best one's neighbouring AS; internal ones by any.
    #[default]
    SameNeighborAs,
    /// External ones by any neighbouring AS as well.
    AnyNeighborAs,
}

/// How a path fared among the others to its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The one that is announced on.
    Best,
    /// Used beside the best.
    Multipath,
    /// Not used.
    Lost(LostBy),
    /// Not looked at, for its next hop is not reached (RFC 4271 section 9.1.2).
    Unresolvable,
}

/// The first step of the decision process in which a path is behind the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum LostBy {
    /// The best is our own.
    #[error("a local route is preferred")]
    Local,
    /// RFC 4271 section 9.1.1.
    #[error("lower LOCAL_PREF")]
    LocalPref,
    /// RFC 4271 section 9.1.2.2 a.
    #[error("longer AS_PATH")]
    AsPathLength,
    /// RFC 4271 section 9.1.2.2 b.
    #[error("higher ORIGIN")]
    Origin,
    /// RFC 4271 section 9.1.2.2 c; to a path by the same neighbouring AS.
    #[error("higher MED than another path by the same neighbouring AS")]
    Med,
    /// RFC 4271 section 9.1.2.2 d.
    #[error("an external path is preferred to an internal one")]
    Internal,
    /// RFC 4271 section 9.1.2.2 f, RFC 4456 section 9.
    #[error("higher router id or ORIGINATOR_ID")]
    RouterId,
    /// RFC 4456 section 9.
    #[error("longer CLUSTER_LIST")]
    ClusterListLength,
    /// RFC 4271 section 9.1.2.2 g.
    #[error("higher peer address")]
    PeerAddress,
    /// Two sessions with one address: the later configured peer's path is behind.
    #[error("higher peer number")]
    PeerId,
}

impl LostBy {
    /// Where the step stands.
    #[must_use]
    pub fn section(self) -> &'static str {
        match self {
            Self::Local | Self::LocalPref => "RFC 4271 9.1.1",
            Self::AsPathLength => "RFC 4271 9.1.2.2 a",
            Self::Origin => "RFC 4271 9.1.2.2 b",
            Self::Med => "RFC 4271 9.1.2.2 c",
            Self::Internal => "RFC 4271 9.1.2.2 d",
            Self::RouterId => "RFC 4271 9.1.2.2 f",
            Self::ClusterListLength => "RFC 4456 9",
            // Of equal addresses the RFC knows nothing.
            Self::PeerAddress | Self::PeerId => "RFC 4271 9.1.2.2 g",
        }
    }
}

impl Path {
    /// A path of our own.
    #[must_use]
    pub fn local(attributes: AttributesRef) -> Self {
        Self {
            source: Source::Local,
            attributes,
        }
    }

    /// The neighbouring AS (RFC 4271 section 9.1.2.2 c): the first of the AS_PATH. A path that
    /// names none comes from the peer's own AS, which for an internal peer is ours.
    #[must_use]
    pub fn neighbor_as(&self) -> Option<Asn> {
        let first = self.attributes.path.as_path.neighbor();
        match &self.source {
            Source::Local => first,
            Source::Peer(neighbor) => Some(first.unwrap_or(neighbor.asn)),
        }
    }
}

impl Source {
    /// What tells it from the other sources of a prefix.
    #[must_use]
    pub fn id(&self) -> SourceId {
        match self {
            Self::Local => SourceId::Local,
            Self::Peer(neighbor) => SourceId::Peer(neighbor.id),
        }
    }
}

/// Orders the paths to one prefix, best first and those used beside it next; returns how many are
/// used. The result depends on the set of paths alone.
pub(super) fn select(paths: &mut Vec<Path>, multipath: Multipath) -> usize {
    let mut ranked = rank(std::mem::take(paths));
    ranked.sort_unstable_by_key(|(rank, _)| *rank);
    let Some((best, best_path)) = ranked.first() else {
        return 0;
    };
    let best_as = best_path.neighbor_as();
    let is_used = |(rank, path): &(Rank, Path)| {
        rank.as_good_as(best)
            && match multipath {
                Multipath::AnyNeighborAs => true,
                Multipath::SameNeighborAs => rank.internal || path.neighbor_as() == best_as,
            }
    };
    let (mut used, unused): (Vec<_>, Vec<_>) = ranked.iter().partition(|entry| is_used(entry));
    let selected = used.len().min(MULTIPATH_MAX);
    used.extend(unused);
    paths.extend(used.into_iter().map(|(_, path)| path.clone()));
    selected
}

/// How each path fared, given paths as [`select`] ordered them and its answer.
pub(super) fn standings(paths: &[Path], selected: usize) -> Vec<Standing> {
    let ranked = rank(paths.to_vec());
    let Some((best, _)) = ranked.first() else {
        return Vec::new();
    };
    let standing = |(place, (rank, _)): (usize, &(Rank, Path))| match place {
        0 => Standing::Best,
        place if place < selected => Standing::Multipath,
        _ => Standing::Lost(rank.lost_by(best)),
    };
    ranked.iter().enumerate().map(standing).collect()
}

/// A path's place in the decision process: compared field by field, the smaller is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    received: bool,
    local_pref: Reverse<u32>,
    as_path_length: usize,
    origin: OriginCode,
    /// Behind, by MED, another path that is equal so far and by the same neighbouring AS.
    med_lost: bool,
    internal: bool,
    // RFC 4271 section 9.1.2.2 e, the interior cost to the next hop, would come here. The metrics
    // of a kernel's routes are no cost: each program that makes routes counts in its own way. So it
    // is the same for all.
    router_id: Ipv4Addr,
    cluster_list_length: usize,
    peer_address: Option<IpAddr>,
    peer_id: SourceId,
}

/// Pairs each path with its rank; keeps their order.
fn rank(paths: Vec<Path>) -> Vec<(Rank, Path)> {
    let mut ranked: Vec<(Rank, Path)> = paths
        .into_iter()
        .map(|path| (Rank::without_med(&path), path))
        .collect();
    mark_med(&mut ranked);
    ranked
}

impl Rank {
    fn without_med(path: &Path) -> Self {
        let attributes = &path.attributes.path;
        let neighbor = match &path.source {
            Source::Local => None,
            Source::Peer(neighbor) => Some(neighbor),
        };
        let router_id = neighbor.map_or(Ipv4Addr::UNSPECIFIED, |peer| peer.router_id.into());
        Self {
            received: neighbor.is_some(),
            local_pref: Reverse(attributes.local_pref.unwrap_or(LOCAL_PREF_DEFAULT)),
            as_path_length: attributes.as_path.length(),
            origin: attributes.origin,
            med_lost: false,
            internal: neighbor.is_some_and(|peer| peer.peering == Peering::Internal),
            router_id: attributes.originator_id.unwrap_or(router_id),
            cluster_list_length: attributes.cluster_list.len(),
            peer_address: neighbor.map(|peer| peer.address),
            peer_id: path.source.id(),
        }
    }

    /// The steps before MED.
    fn before_med(&self) -> (bool, Reverse<u32>, usize, OriginCode) {
        (
            self.received,
            self.local_pref,
            self.as_path_length,
            self.origin,
        )
    }

    /// Equal in every step that says anything of a path's worth.
    fn as_good_as(&self, best: &Self) -> bool {
        self.before_med() == best.before_med()
            && self.med_lost == best.med_lost
            && self.internal == best.internal
    }

    /// The first step in which it differs from the best path's rank.
    fn lost_by(&self, best: &Self) -> LostBy {
        let steps = [
            (self.received == best.received, LostBy::Local),
            (self.local_pref == best.local_pref, LostBy::LocalPref),
            (
                self.as_path_length == best.as_path_length,
                LostBy::AsPathLength,
            ),
            (self.origin == best.origin, LostBy::Origin),
            (self.med_lost == best.med_lost, LostBy::Med),
            (self.internal == best.internal, LostBy::Internal),
            (self.router_id == best.router_id, LostBy::RouterId),
            (
                self.cluster_list_length == best.cluster_list_length,
                LostBy::ClusterListLength,
            ),
            (self.peer_address == best.peer_address, LostBy::PeerAddress),
        ];
        let differs = steps.into_iter().find(|(equal, _)| !equal);
        differs.map_or(LostBy::PeerId, |(_, step)| step)
    }
}

/// Marks the paths that RFC 4271 section 9.1.2.2 c removes from consideration.
fn mark_med(ranked: &mut [(Rank, Path)]) {
    let group = |rank: &Rank, path: &Path| (rank.before_med(), path.neighbor_as());
    // An absent MED is the lowest (same section).
    let med = |path: &Path| path.attributes.path.med.unwrap_or(0);
    let mut lowest = BTreeMap::new();
    for (rank, path) in ranked.iter() {
        let lowest = lowest.entry(group(rank, path)).or_insert(u32::MAX);
        *lowest = med(path).min(*lowest);
    }
    for (rank, path) in ranked {
        rank.med_lost = med(path) > lowest[&group(rank, path)];
    }
}

#[cfg(test)]
pub(super) mod tests;
