//! Export decisions as the owner gave them, one table for each peer group.
//!
//! Kept for the life of the process: a session that comes up later is sent its group's table.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::types::{GroupId, Prefix, RouteAttributes};

/// What one group is to be sent.
pub(super) type GroupTable = BTreeMap<Prefix, Arc<RouteAttributes>>;

/// Every group's decisions.
#[derive(Debug, Default)]
pub(super) struct Exports {
    groups: BTreeMap<GroupId, GroupTable>,
    completeness: Completeness,
}

/// Whether every decision has been made once.
#[derive(Debug, Default)]
enum Completeness {
    #[default]
    Awaited,
    Reached,
}

impl Exports {
    /// Takes changes in, the newest winning.
    pub(super) fn record(
        &mut self,
        group: GroupId,
        changes: &[(Prefix, Option<Arc<RouteAttributes>>)],
    ) {
        let table = self.groups.entry(group).or_default();
        for (prefix, route) in changes {
            match route {
                Some(route) => table.insert(*prefix, Arc::clone(route)),
                None => table.remove(prefix),
            };
        }
    }

    /// The first complete set has been given.
    pub(super) fn complete(&mut self) {
        self.completeness = Completeness::Reached;
    }

    /// Whether anything may be announced.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.completeness, Completeness::Reached)
    }

    /// Every group's decisions; a group about which there were never any is not among them.
    pub(super) fn groups(&self) -> &BTreeMap<GroupId, GroupTable> {
        &self.groups
    }

    /// The decision about one prefix.
    pub(super) fn route(&self, group: GroupId, prefix: &Prefix) -> Option<&Arc<RouteAttributes>> {
        self.groups.get(&group)?.get(prefix)
    }
}
