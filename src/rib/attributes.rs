//! Attribute sets, each held once however many routes have it.
//!
//! The next hop is part of the set, as it is of the message: routes that share a set can travel in
//! one UPDATE, and nobody who groups by set can forget the next hop.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::Deref;
use std::sync::Arc;

use crate::bgp::wire::{NextHop, PathAttributes};

/// Below this many sets a sweep is not worth its while.
const SWEEP_MIN: usize = 64;

/// Everything a route says but its prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeSet {
    /// NEXT_HOP, or the next hop of MP_REACH_NLRI.
    pub next_hop: NextHop,
    /// All other attributes.
    pub path: PathAttributes,
}

impl AttributeSet {
    /// The memory it takes where it is held once, allocations and the counters beside it included.
    #[must_use]
    pub fn octets(&self) -> usize {
        let PathAttributes {
            origin: _,
            as_path,
            med: _,
            local_pref: _,
            atomic_aggregate: _,
            aggregator: _,
            communities,
            extended_communities,
            large_communities,
            originator_id: _,
            cluster_list,
            unknown,
        } = &self.path;
        let segments = as_path.segments.iter();
        let values = unknown.iter();
        size_of::<Self>()
            + OVERHEAD
            + heap(&as_path.segments)
            + segments.map(|segment| heap(&segment.asns)).sum::<usize>()
            + heap(communities)
            + heap(extended_communities)
            + heap(large_communities)
            + heap(cluster_list)
            + heap(unknown)
            + values.map(|unknown| heap(&unknown.value)).sum::<usize>()
    }
}

/// A set's two counters, its place in the pool's table and in that of the peer that has it.
const OVERHEAD: usize = 64;

/// What an allocation takes besides what is in it, with common allocators.
const ALLOCATION: usize = 16;

fn heap<T>(values: &[T]) -> usize {
    match size_of_val(values) {
        0 => 0,
        octets => octets + ALLOCATION,
    }
}

/// A shared [`AttributeSet`], made by [`AttributePool::intern`] only. Equal references of one
/// pool point to one allocation, so comparing them is comparing pointers when they are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributesRef(Arc<AttributeSet>);

impl AttributesRef {
    /// Where the set lies: equal for equal sets of one pool while any reference lives. For looking
    /// up, never for ordering: it differs from run to run.
    pub(super) fn location(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl Deref for AttributesRef {
    type Target = AttributeSet;

    fn deref(&self) -> &AttributeSet {
        &self.0
    }
}

/// The table of attribute sets in use.
///
/// It keeps sets that nobody refers to any more for a while, but never more of them than of sets
/// in use (and 64 besides): the table is swept whenever it has doubled.
#[derive(Debug, Default)]
pub struct AttributePool {
    /// Hashed with fixed keys: a run must not depend on chance. Never iterated but to sweep.
    sets: HashSet<Arc<AttributeSet>, BuildHasherDefault<DefaultHasher>>,
    /// The number of sets at which to sweep next.
    sweep_at: usize,
}

impl AttributePool {
    /// The reference to this set: a new one, or another to the one that is equal.
    pub fn intern(&mut self, set: AttributeSet) -> AttributesRef {
        if let Some(known) = self.sets.get(&set) {
            return AttributesRef(Arc::clone(known));
        }
        if self.sets.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.sweep();
        }
        let set = Arc::new(set);
        self.sets.insert(Arc::clone(&set));
        AttributesRef(set)
    }

    /// Forgets every set that nobody refers to. Called by [`intern`](Self::intern) in time; worth
    /// calling after many routes went at once.
    pub fn sweep(&mut self) {
        // The pool's own reference is the only one: no other can appear but through `intern`.
        self.sets.retain(|set| Arc::strong_count(set) > 1);
        self.sweep_at = self.sets.len() * 2;
        self.sets.shrink_to(self.sweep_at);
    }

    /// Sets held, those that nobody refers to any more included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(med: u32) -> AttributeSet {
        AttributeSet {
            next_hop: NextHop {
                address: "192.0.2.1".parse().unwrap(),
                link_local: None,
            },
            path: PathAttributes {
                med: Some(med),
                ..PathAttributes::default()
            },
        }
    }

    #[test]
    fn equal_sets_share_one_allocation() {
        let mut pool = AttributePool::default();
        let first = pool.intern(set(1));
        let second = pool.intern(set(1));
        assert_eq!(first.location(), second.location());
        assert_eq!(pool.len(), 1);
    }

    #[test]
    fn sets_that_differ_in_the_next_hop_alone_are_two() {
        let mut pool = AttributePool::default();
        let mut other = set(1);
        other.next_hop.address = "192.0.2.2".parse().unwrap();
        assert_ne!(pool.intern(set(1)), pool.intern(other));
    }

    #[test]
    fn a_sweep_drops_the_dead_and_keeps_the_living() {
        let mut pool = AttributePool::default();
        let living = pool.intern(set(1));
        drop(pool.intern(set(2)));
        pool.sweep();
        assert_eq!(pool.len(), 1);
        assert_eq!(pool.intern(set(1)).location(), living.location());
        drop(living);
        pool.sweep();
        assert!(pool.is_empty());
    }

    #[test]
    fn the_dead_never_outnumber_the_living_by_more_than_the_minimum() {
        let mut pool = AttributePool::default();
        let living: Vec<_> = (0..100).map(|med| pool.intern(set(med))).collect();
        for med in 100..10_000 {
            drop(pool.intern(set(med)));
            assert!(pool.len() <= 2 * living.len() + SWEEP_MIN, "{}", pool.len());
        }
    }
}
