//! What came of the chain in force, told to those who watch it and change nothing.
//!
//! Made by [`Exports::observe`](super::Exports::observe), taken by [`Shadows`](super::Shadows),
//! perhaps on another thread and perhaps several at once: whoever is slow is given the sum of what
//! it missed, which is never more than everything there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{ChainDefault, Link, Outcome, PeerGroup};
use crate::candidates::{Candidate, CandidateKey};
use crate::facts::NodeFacts;
use crate::types::{Asn, GroupId};

/// What came of one or more rounds.
#[derive(Debug)]
pub struct Observation {
    /// The chain, with the policies in shadow mode at their places.
    pub(super) links: Vec<Link>,
    pub(super) circumstances: Circumstances,
    /// All peer groups.
    pub(super) groups: BTreeMap<GroupId, PeerGroup>,
    pub(super) extent: Extent,
    /// What the chain made of the candidates concerned.
    pub(super) cases: BTreeMap<GroupId, Cases>,
}

/// Candidates by key; nothing for one that is gone.
pub(super) type Cases = BTreeMap<CandidateKey, Option<Seen>>;

/// What every policy is told besides the group and the candidates, and the end of the chain.
#[derive(Clone, Debug)]
pub(super) struct Circumstances {
    pub(super) node: Option<Arc<NodeFacts>>,
    pub(super) asn: Asn,
    pub(super) default: ChainDefault,
}

/// Whether an observation has all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// What is not in it does not exist.
    Everything,
    /// What is not in it is as it was; chain and circumstances are, too.
    Changes,
}

/// A candidate, and what the chain in force made of it towards a group.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) candidate: Candidate,
    pub(super) outcome: Outcome,
}

impl Observation {
    /// Adds a later one, so that both are seen as one.
    pub fn add(&mut self, later: Self) {
        if later.extent == Extent::Everything {
            *self = later;
            return;
        }
        let Self {
            links,
            circumstances,
            groups,
            extent: _,
            cases,
        } = later;
        self.links = links;
        self.circumstances = circumstances;
        self.groups = groups;
        for (id, cases) in cases {
            self.cases.entry(id).or_default().extend(cases);
        }
    }
}

/// What nobody has observed yet.
#[derive(Clone, Debug, Default)]
pub(super) enum Unseen {
    #[default]
    Nothing,
    Some {
        /// With all their candidates.
        groups: BTreeSet<GroupId>,
        /// Towards every group; among them such as are gone.
        candidates: BTreeSet<CandidateKey>,
    },
    Everything,
}

impl Unseen {
    pub(super) fn add_everything(&mut self) {
        *self = Self::Everything;
    }

    pub(super) fn add_groups(&mut self, more: &BTreeSet<GroupId>) {
        if more.is_empty() {
            return;
        }
        if let Some((groups, _)) = self.partial() {
            groups.extend(more);
        }
    }

    pub(super) fn add_candidates<'k>(&mut self, more: impl IntoIterator<Item = &'k CandidateKey>) {
        let mut more = more.into_iter().peekable();
        if more.peek().is_none() {
            return;
        }
        if let Some((_, candidates)) = self.partial() {
            candidates.extend(more.cloned());
        }
    }

    /// What to add to, unless everything is unseen anyway.
    fn partial(&mut self) -> Option<(&mut BTreeSet<GroupId>, &mut BTreeSet<CandidateKey>)> {
        if let Self::Nothing = self {
            *self = Self::Some {
                groups: BTreeSet::new(),
                candidates: BTreeSet::new(),
            };
        }
        match self {
            Self::Nothing | Self::Everything => None,
            Self::Some { groups, candidates } => Some((groups, candidates)),
        }
    }
}
