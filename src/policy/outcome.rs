//! What a chain made of one route, step by step, kept for whoever asks why.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use super::{
    ChainDefault, Decision, Directed, ImportDecision, ImportVerdict, LearnedRoute, Verdict,
};
use crate::types::{Installation, Prefix, RouteAttributes};

/// The name of the last step of a chain whose every policy abstained.
pub const CHAIN_DEFAULT: &str = "chain default";

/// The name of the only step while there are no facts about the own node to ask policies with.
pub const NODE_UNKNOWN: &str = "own node";

/// The end of a chain for one route: by default a candidate towards one peer group, else
/// [a learned one](super::ImportOutcome).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<U = Arc<RouteAttributes>> {
    /// How it is announced, or used; absent when it is rejected.
    pub accepted: Option<U>,
    /// Each policy that was asked, or answered for, in order; the last one decided.
    pub steps: Vec<Step>,
}

impl<U> Outcome<U> {
    /// The steps, and between them one for each policy of `chain` that was passed over: the names
    /// in its order, each with why it is not asked for these peers, if it is not.
    pub(super) fn steps_of<'c>(
        &self,
        chain: impl Iterator<Item = (&'c Arc<str>, Option<String>)>,
    ) -> Vec<Step> {
        let without_node = |step: &Step| &*step.policy == NODE_UNKNOWN;
        if self.steps.first().is_some_and(without_node) {
            return self.steps.clone();
        }
        let rejects = |step: &Step| step.verdict == StepVerdict::Reject;
        let rejected = self.steps.last().is_some_and(rejects);
        let mut own = self.steps.iter().cloned().peekable();
        let mut all = Vec::new();
        for (name, passed_over) in chain {
            if own.peek().is_none() && rejected {
                // What came after was passed over for that.
                break;
            }
            match passed_over {
                None => all.extend(own.next_if(|step| step.policy == *name)),
                Some(reason) => all.push(step(name, StepVerdict::NotAsked, &reason)),
            }
        }
        all.extend(own);
        all
    }
}

/// What one policy of the chain said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The policy's name, or [`CHAIN_DEFAULT`], or [`NODE_UNKNOWN`].
    pub policy: Arc<str>,
    /// What it said, or what was said for it.
    pub verdict: StepVerdict,
    /// With which attributes it accepted; absent where it left them as they were.
    pub attributes: Option<Arc<RouteAttributes>>,
    /// What it said about the kernel and a learned route that it accepted; absent where nothing.
    pub installation: Option<Installation>,
    /// Why.
    pub reason: Option<Arc<str>>,
    /// Whether this is the policy's last good decision, because it is failing.
    pub kept: bool,
}

impl Step {
    /// A decision as a step.
    pub(super) fn new(policy: Arc<str>, decision: Decision) -> Self {
        let Decision { verdict, reason } = decision;
        Self {
            policy,
            verdict: (&verdict).into(),
            attributes: match verdict {
                Verdict::Accept(attributes) => attributes,
                Verdict::Abstain | Verdict::Reject => None,
            },
            installation: None,
            reason,
            kept: false,
        }
    }

    /// The same about a learned route. A next hop that the policy leaves out is the one received.
    pub(super) fn imported(
        policy: Arc<str>,
        decision: ImportDecision,
        route: &LearnedRoute,
    ) -> Self {
        let ImportDecision { verdict, reason } = decision;
        let said = StepVerdict::from(&verdict);
        let (attributes, installation) = match verdict {
            ImportVerdict::Accept(acceptance) => (acceptance.attributes, acceptance.installation),
            ImportVerdict::Abstain | ImportVerdict::Reject => (None, None),
        };
        Self {
            policy,
            verdict: said,
            attributes: attributes.map(|decided| with_next_hop(decided, &route.attributes)),
            installation,
            reason,
            kept: false,
        }
    }
}

/// What a policy decided about a learned route: a next hop that it leaves out is the one received.
pub(crate) fn with_next_hop(
    decided: Arc<RouteAttributes>,
    received: &RouteAttributes,
) -> Arc<RouteAttributes> {
    match (decided.next_hop, received.next_hop) {
        (None, next_hop @ Some(_)) => Arc::new(RouteAttributes {
            next_hop,
            ..(*decided).clone()
        }),
        (Some(_), _) | (None, None) => decided,
    }
}

/// A [`Verdict`] or [`ImportVerdict`] without what it accepts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepVerdict {
    /// The next policy was asked.
    Abstain,
    /// The route is announced.
    Accept,
    /// It is not.
    Reject,
    /// The policy is not for these peers, or in shadow mode.
    NotAsked,
}

impl fmt::Display for StepVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abstain => "abstain",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::NotAsked => "not asked",
        })
    }
}

impl From<&ImportVerdict> for StepVerdict {
    fn from(verdict: &ImportVerdict) -> Self {
        match verdict {
            ImportVerdict::Abstain => Self::Abstain,
            ImportVerdict::Accept(_) => Self::Accept,
            ImportVerdict::Reject => Self::Reject,
        }
    }
}

impl From<&Verdict> for StepVerdict {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Abstain => Self::Abstain,
            Verdict::Accept(_) => Self::Accept,
            Verdict::Reject => Self::Reject,
        }
    }
}

/// What becomes of a route from which every policy abstained.
pub(super) fn end_of_chain(default: ChainDefault) -> Step {
    let verdict = match default {
        ChainDefault::Reject => StepVerdict::Reject,
        ChainDefault::Accept => StepVerdict::Accept,
    };
    step(CHAIN_DEFAULT, verdict, "no policy decided about this route")
}

/// A step that is no policy's.
pub(super) fn step(policy: &str, verdict: StepVerdict, reason: &str) -> Step {
    Step {
        policy: policy.into(),
        verdict,
        attributes: None,
        installation: None,
        reason: Some(reason.into()),
        kept: false,
    }
}

/// What there is of one prefix.
pub(super) fn of_prefix<P: Directed, V>(
    routes: &BTreeMap<P::Key, V>,
    prefix: Prefix,
) -> impl Iterator<Item = (&P::Key, &V)> {
    let from = routes.range((Bound::Included(P::first_key(prefix)), Bound::Unbounded));
    from.take_while(move |(key, _)| P::prefix(key) == prefix)
}
