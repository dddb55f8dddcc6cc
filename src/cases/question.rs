//! The questions of a file: what a policy is asked, and what its answer is judged by.

use std::sync::Arc;

use super::document::{ExpectedVerdict, Settings};
use super::scene::LearnedScene;
use crate::candidates::{Candidate, CandidateKey, Candidates};
use crate::facts::{ClusterView, NodeFacts};
use crate::policy::PeerGroup;
use crate::types::{Asn, RouteAttributes};

/// A question of either kind.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// About candidates.
    Announced(&'a Scene),
    /// About learned routes.
    Learned(&'a LearnedScene),
}

/// A question: these candidates, on this node, towards these peers.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The case's name, or that of the group in a file without cases.
    pub name: String,
    /// Where it is in the file.
    pub line: usize,
    /// The policy's settings; absent where nobody wrote any.
    pub settings: Option<Settings>,
    /// The node.
    pub node: Arc<NodeFacts>,
    /// Our own AS.
    pub asn: Asn,
    /// Whom the routes would go to.
    pub peer_group: PeerGroup,
    /// Ordered by key.
    pub candidates: Vec<Candidate>,
    /// What every candidate is proposed with.
    pub proposed: Arc<RouteAttributes>,
    /// What is to be seen.
    pub check: Check,
    /// What the candidates were worked out from.
    pub view: ClusterView,
    /// Among them those that are asked about, with why others are none.
    pub possible: Candidates,
}

/// What a scene is judged by.
#[derive(Clone, Debug, PartialEq)]
pub enum Check<D = ExpectedDecision> {
    /// The decisions about some candidates, or learned routes.
    Decisions(Vec<D>),
    /// All decisions, as they were written down before.
    Snapshot,
    /// The module's words when it refuses the settings.
    Refusal(String),
}

/// What should be decided about a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedDecision {
    /// Where it is in the file.
    pub line: usize,
    /// About what.
    pub candidate: CandidateKey,
    /// The answer.
    pub verdict: ExpectedVerdict,
    /// What an accepted route carries.
    pub attributes: Arc<RouteAttributes>,
    /// The policy's words; any where absent.
    pub reason: Option<String>,
}

impl Question<'_> {
    /// The case's name, or that of the group or peer in a file without cases.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Announced(scene) => &scene.name,
            Self::Learned(scene) => &scene.name,
        }
    }

    /// Where it is in the file.
    #[must_use]
    pub fn line(&self) -> usize {
        match self {
            Self::Announced(scene) => scene.line,
            Self::Learned(scene) => scene.line,
        }
    }

    /// The policy's settings; absent where nobody wrote any.
    #[must_use]
    pub fn settings(&self) -> Option<&Settings> {
        match self {
            Self::Announced(scene) => scene.settings.as_ref(),
            Self::Learned(scene) => scene.settings.as_ref(),
        }
    }

    /// Whether all decisions are compared with those written down before.
    #[must_use]
    pub fn has_snapshot(&self) -> bool {
        match self {
            Self::Announced(scene) => scene.check == Check::Snapshot,
            Self::Learned(scene) => scene.check == Check::Snapshot,
        }
    }

    /// The words that settings must be refused with, where it is about that and not about routes.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Announced(scene) => scene.check.refusal(),
            Self::Learned(scene) => scene.check.refusal(),
        }
    }
}

impl<D> Check<D> {
    fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refusal(words) => Some(words),
            Self::Decisions(_) | Self::Snapshot => None,
        }
    }
}
