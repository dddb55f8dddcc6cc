//! The export side of the agent: facts in, net changes by prefix out.
//!
//! A [`Table`] of candidates, which all peer groups are asked about. A prefix is announced while
//! any of its candidates is accepted, with the attributes of the first in the order of
//! [`CandidateKey`]. Without the own node's facts every candidate is rejected.

use std::sync::Arc;
use std::time::Instant;

use super::row::Row;
use super::table::{RouteStep, Table};
use super::{PeerGroups, RoutePolicy};
use crate::candidates::{Candidate, CandidateChange, CandidateKey};
use crate::facts::NodeFacts;
use crate::types::{GroupId, Prefix, RouteAttributes};

/// The chain, the peer groups, the candidates, and what came of them.
pub type Exports = Table<Arc<dyn RoutePolicy>>;

/// What a group's peers are to be told about a prefix from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportChange {
    /// Which peers.
    pub group: GroupId,
    /// What.
    pub prefix: Prefix,
    /// Announce with these attributes, or withdraw.
    pub attributes: Option<Arc<RouteAttributes>>,
}

impl Exports {
    /// Takes `groups` for the peer groups. New and changed ones are evaluated; for each that is
    /// gone, all that was announced to it is withdrawn.
    ///
    /// Peers that move to another group must not see a withdrawal: the speaker is given these
    /// changes and the groups of its peers in one step, before it sends anything.
    pub fn set_groups(&mut self, now: Instant, groups: PeerGroups) -> Vec<ExportChange> {
        let PeerGroups { groups, heirs } = groups;
        self.take_peers(now, groups, &heirs)
    }

    /// Takes the own node's facts as they are, and steps of the candidates, in one round.
    ///
    /// Only the candidates named are evaluated, unless the node's facts differ from those given
    /// last: then all are. While `node` is absent, every candidate is rejected, for policies
    /// cannot be asked without one.
    pub fn update(
        &mut self,
        now: Instant,
        node: Option<Arc<NodeFacts>>,
        changes: Vec<CandidateChange>,
    ) -> Vec<ExportChange> {
        let steps = changes.into_iter().map(|change| match change {
            CandidateChange::Upsert(candidate) => RouteStep {
                name: (None, candidate.key.clone()),
                route: Some(candidate),
            },
            CandidateChange::Removed(key) => RouteStep {
                name: (None, key),
                route: None,
            },
        });
        self.take(now, node, steps)
    }

    /// The present candidates, ordered by key.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.routes.values().flat_map(|routes| routes.values())
    }

    /// Whether there is a candidate of this prefix.
    #[must_use]
    pub fn is_candidate(&self, prefix: Prefix) -> bool {
        let first = CandidateKey::first_of(prefix);
        let mut next = self
            .routes
            .values()
            .filter_map(|routes| routes.range(&first..).next());
        next.any(|(key, _)| key.prefix == prefix)
    }

    /// Everything that is announced to a group, ordered by prefix: the sum of all changes so far.
    pub fn announced(
        &self,
        group: GroupId,
    ) -> impl Iterator<Item = (&Prefix, &Arc<RouteAttributes>)> {
        self.rows.get(&group).into_iter().flat_map(Row::told)
    }
}
