//! The prefixes that are the node's own: what it could announce, and where its pods are. Who
//! programs the kernel must know, and is told what changed.

use std::collections::BTreeSet;

use super::{Pipeline, Stage};
use crate::agent::own_prefixes::OwnNews;
use crate::candidates::CandidateChange;
use crate::fib::Ownership;
use crate::types::Prefix;

/// Of which prefixes it may have changed whether they are the node's own, since that was told.
#[derive(Debug, Default)]
pub(super) enum Touched {
    /// Of any; nothing is kept for each while nobody wants to know.
    #[default]
    All,
    /// Of these.
    Some(BTreeSet<Prefix>),
}

impl Touched {
    /// These candidates come, change or go.
    pub(super) fn add(&mut self, changes: &[CandidateChange]) {
        match self {
            Self::All => {}
            Self::Some(prefixes) => prefixes.extend(changes.iter().map(|change| match change {
                CandidateChange::Upsert(candidate) => candidate.key.prefix,
                CandidateChange::Removed(key) => key.prefix,
            })),
        }
    }
}

impl Pipeline {
    /// What became of the node's own prefixes since this was last called; nothing before the facts
    /// are complete.
    pub(in crate::agent) fn own_news(&mut self) -> Option<OwnNews> {
        if self.stage == Stage::Gathering {
            return None;
        }
        let node = self.index.view().node.as_ref()?;
        let touched = std::mem::replace(&mut self.touched, Touched::Some(BTreeSet::new()));
        match touched {
            Touched::All => {
                let candidates = self.exports.candidates();
                let candidates = candidates.map(|candidate| candidate.key.prefix);
                let own = candidates.chain(node.pod_prefixes().iter().copied());
                Some(OwnNews {
                    whole: Some(own.collect()),
                    ..OwnNews::default()
                })
            }
            Touched::Some(prefixes) if prefixes.is_empty() => None,
            Touched::Some(prefixes) => {
                let is_own = |prefix: &Prefix| {
                    node.pod_prefixes().contains(prefix) || self.exports.is_candidate(*prefix)
                };
                let ownership = |prefix: Prefix| match is_own(&prefix) {
                    true => (prefix, Ownership::Own),
                    false => (prefix, Ownership::Foreign),
                };
                Some(OwnNews {
                    whole: None,
                    changes: prefixes.into_iter().map(ownership).collect(),
                })
            }
        }
    }
}
