//! What the attribute sets of one peer's routes take, each counted once however many routes have it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use super::AttributesRef;

/// The sets that some routes have, and how many do.
///
/// Whoever keeps one holds a reference to each set in it, so that no other can take its location.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldSets {
    /// The number of routes by the location of their set. Never iterated.
    routes: HashMap<usize, usize, BuildHasherDefault<DefaultHasher>>,
    octets: usize,
}

impl HeldSets {
    /// So many routes more have this set.
    pub(super) fn hold(&mut self, set: &AttributesRef, routes: usize) {
        if routes == 0 {
            return;
        }
        let held = self.routes.entry(set.location()).or_insert_with(|| {
            self.octets += set.octets();
            0
        });
        *held += routes;
    }

    /// One route that has this set is gone.
    pub(super) fn release(&mut self, set: &AttributesRef) {
        let Some(held) = self.routes.get_mut(&set.location()) else {
            return;
        };
        *held -= 1;
        if *held == 0 {
            self.routes.remove(&set.location());
            self.octets -= set.octets();
        }
    }

    /// The memory that they take.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }
}
