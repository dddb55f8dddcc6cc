//! Adj-RIB-In: the routes one peer sent, as it sent them (RFC 4271 section 3.2).
//!
//! The speaker applies each decoded UPDATE, and clears it when the session ends. Routes that must
//! not be used are kept too, so that an operator can be told why they are not.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::held_sets::HeldSets;
use super::prefix_map::PrefixMap;
use super::{AttributePool, AttributeSet, AttributesRef};
use crate::bgp::wire::Update;
use crate::types::{Asn, Family, Prefix, RouterId};

/// What of ourselves decides whether a received route is usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// Our cluster, where we reflect routes (RFC 4456 section 7).
    pub cluster_id: Option<Ipv4Addr>,
    /// Addresses of our own that a peer could name as next hop.
    pub addresses: BTreeSet<IpAddr>,
}

/// Why a route must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Ineligible {
    /// It passed through our AS before (RFC 4271 section 9.1.2).
    #[error("our AS {0} is in its AS_PATH")]
    OwnAs(Asn),
    /// We brought it into the AS ourselves (RFC 4456 section 8).
    #[error("its ORIGINATOR_ID {0} is our router id")]
    OwnOriginator(Ipv4Addr),
    /// Our cluster reflected it before (RFC 4456 section 8).
    #[error("our cluster id {0} is in its CLUSTER_LIST")]
    OwnCluster(Ipv4Addr),
    /// Packets would come back to us (RFC 4271 section 6.3).
    #[error("its next hop {0} is our own address")]
    OwnNextHop(IpAddr),
    /// No route may lead there, whoever announces it.
    #[error("its addresses are {0}: no route may lead there")]
    Unroutable(&'static str),
}

/// The routes of one peer.
#[derive(Clone, Debug)]
pub struct AdjRibIn {
    receiver: Receiver,
    routes: PrefixMap<AttributesRef>,
    sets: HeldSets,
    /// Prefixes whose route is from a session before the present one, and was not announced again
    /// (RFC 4724 section 4.2). Apart from the routes: only between two sessions is there any.
    stale: PrefixMap<()>,
}

impl AdjRibIn {
    /// Empty, for routes received by `receiver`.
    #[must_use]
    pub fn new(receiver: Receiver) -> Self {
        Self {
            receiver,
            routes: PrefixMap::default(),
            sets: HeldSets::default(),
            stale: PrefixMap::default(),
        }
    }

    /// Takes in an UPDATE. Returns the prefixes whose route is not what it was, in order and each
    /// once; those whose route is not eligible, before or after, among them.
    pub fn apply(&mut self, update: &Update, pool: &mut AttributePool) -> Vec<Prefix> {
        let mut changed = Vec::new();
        for prefix in withdrawn(update) {
            if self.forget(&prefix) {
                changed.push(prefix);
            }
        }
        for reach in &update.reach {
            let attributes = pool.intern(AttributeSet {
                next_hop: reach.next_hop,
                path: update.attributes.clone(),
            });
            self.sets.hold(&attributes, reach.prefixes.len());
            for prefix in &reach.prefixes {
                self.stale.remove(prefix);
                let before = self.routes.insert(*prefix, attributes.clone());
                if before.as_ref() != Some(&attributes) {
                    changed.push(*prefix);
                }
                if let Some(before) = before {
                    self.sets.release(&before);
                }
            }
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// The session is lost, and what the peer sent of a family stays until it is announced again,
    /// withdrawn, or swept: all of it is stale.
    pub fn mark_stale(&mut self, family: Family) {
        for prefix in self.routes.prefixes() {
            if prefix.family() == family {
                self.stale.insert(prefix, ());
            }
        }
    }

    /// Forgets the routes of a family that are still stale; returns their prefixes, in order.
    pub fn sweep_stale(&mut self, family: Family) -> Vec<Prefix> {
        let stale = self.stale.prefixes();
        let swept: Vec<Prefix> = stale.filter(|prefix| prefix.family() == family).collect();
        for prefix in &swept {
            self.forget(prefix);
        }
        swept
    }

    /// Whether the route to a prefix is from a session before the present one.
    #[must_use]
    pub fn is_stale(&self, prefix: &Prefix) -> bool {
        self.stale.get(prefix).is_some()
    }

    /// How many routes of a family are stale.
    #[must_use]
    pub fn stale_count(&self, family: Family) -> usize {
        self.stale.count(family)
    }

    fn forget(&mut self, prefix: &Prefix) -> bool {
        self.stale.remove(prefix);
        let Some(before) = self.routes.remove(prefix) else {
            return false;
        };
        self.sets.release(&before);
        true
    }

    /// The route to a prefix, eligible or not.
    #[must_use]
    pub fn route(&self, prefix: &Prefix) -> Option<&AttributesRef> {
        self.routes.get(prefix)
    }

    /// The route to a prefix, if it may be used.
    #[must_use]
    pub fn eligible(&self, prefix: &Prefix) -> Option<&AttributesRef> {
        let attributes = self.routes.get(prefix)?;
        self.ineligibility(prefix, attributes)
            .is_none()
            .then_some(attributes)
    }

    /// Why a route with these attributes must not be used; none if it may.
    #[must_use]
    pub fn ineligibility(&self, prefix: &Prefix, attributes: &AttributeSet) -> Option<Ineligible> {
        if let Some(kind) = prefix.unroutable() {
            return Some(Ineligible::Unroutable(kind));
        }
        let Receiver {
            asn,
            router_id,
            cluster_id,
            addresses: _,
        } = &self.receiver;
        let AttributeSet { next_hop, path } = attributes;
        if path.as_path.contains(*asn) {
            return Some(Ineligible::OwnAs(*asn));
        }
        let own_id = Ipv4Addr::from(*router_id);
        if path.originator_id == Some(own_id) {
            return Some(Ineligible::OwnOriginator(own_id));
        }
        if let Some(cluster) = cluster_id.filter(|id| path.cluster_list.contains(id)) {
            return Some(Ineligible::OwnCluster(cluster));
        }
        self.is_own(next_hop.address)
            .then_some(Ineligible::OwnNextHop(next_hop.address))
    }

    /// Whether an address is known to be our own.
    #[must_use]
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.receiver.addresses.contains(&address)
    }

    /// Every route, ordered by prefix, and why it must not be used if so.
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, &AttributesRef, Option<Ineligible>)> {
        self.iter_after(None)
    }

    /// The same of the routes behind a prefix.
    pub fn iter_after(
        &self,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = (Prefix, &AttributesRef, Option<Ineligible>)> {
        let routes = self.routes.iter_after(after);
        routes.map(|(prefix, attributes)| {
            let ineligible = self.ineligibility(&prefix, attributes);
            (prefix, attributes, ineligible)
        })
    }

    /// How many routes of a family the peer sent and has not withdrawn.
    #[must_use]
    pub fn count(&self, family: Family) -> usize {
        self.routes.count(family)
    }

    /// The memory that the attributes of its routes take, each set of them counted once.
    #[must_use]
    pub fn attribute_octets(&self) -> usize {
        self.sets.octets()
    }

    /// These addresses are ours from now on. Returns the prefixes of the routes for which that may make
    /// a difference.
    pub fn set_addresses(&mut self, addresses: BTreeSet<IpAddr>) -> Vec<Prefix> {
        if addresses == self.receiver.addresses {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.receiver.addresses, addresses);
        let differs: BTreeSet<&IpAddr> = before
            .symmetric_difference(&self.receiver.addresses)
            .collect();
        let concerned = self.routes.iter();
        concerned
            .filter(|(_, attributes)| differs.contains(&attributes.next_hop.address))
            .map(|(prefix, _)| prefix)
            .collect()
    }

    /// Forgets everything; returns the prefixes there were routes to, in order.
    pub fn clear(&mut self) -> Vec<Prefix> {
        self.sets = HeldSets::default();
        self.stale = PrefixMap::default();
        let routes = std::mem::take(&mut self.routes);
        routes.prefixes().collect()
    }
}

/// What an UPDATE withdraws. A prefix that it announces as well counts as announced only
/// (RFC 4271 section 4.3).
fn withdrawn(update: &Update) -> Vec<Prefix> {
    if update.withdrawn.is_empty() {
        return Vec::new();
    }
    let announced: BTreeSet<&Prefix> = update
        .reach
        .iter()
        .flat_map(|reach| &reach.prefixes)
        .collect();
    let is_withdrawn = |prefix: &&Prefix| !announced.contains(prefix);
    update
        .withdrawn
        .iter()
        .filter(is_withdrawn)
        .copied()
        .collect()
}

#[cfg(test)]
mod tests;
