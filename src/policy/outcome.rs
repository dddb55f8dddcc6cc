//! What a chain made of one route, step by step, kept for whoever asks why.

use std::fmt;
use std::sync::Arc;

use super::{Decision, ImportDecision, ImportVerdict, LearnedRoute, Verdict};
use crate::candidates::Candidate;
use crate::facts::TrafficPolicy;
use crate::types::{Installation, RouteAttributes};

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

impl<U> Default for Outcome<U> {
    fn default() -> Self {
        Self {
            accepted: None,
            steps: Vec::new(),
        }
    }
}

impl<U> Outcome<U> {
    /// The steps, and between them one for each policy of `chain` that was passed over.
    pub(super) fn steps_of<'c>(
        &self,
        chain: impl Iterator<Item = (&'c Arc<str>, Option<String>)>,
    ) -> Vec<Step> {
        with_passed_over(&self.steps, chain)
    }
}

/// The steps of an outcome, and between them one for each policy of `chain` that was passed over:
/// the names in its order, each with why it is not asked for these peers, if it is not.
pub(super) fn with_passed_over<'c>(
    steps: &[Step],
    chain: impl Iterator<Item = (&'c Arc<str>, Option<String>)>,
) -> Vec<Step> {
    if steps
        .first()
        .is_some_and(|step| &*step.policy == NODE_UNKNOWN)
    {
        return steps.to_vec();
    }
    let rejects = |step: &Step| step.verdict == StepVerdict::Reject;
    let rejected = steps.last().is_some_and(rejects);
    let mut own = steps.iter().cloned().peekable();
    let mut all = Vec::new();
    for (name, passed_over) in chain {
        if own.peek().is_none() && rejected {
            // What came after was passed over for that.
            break;
        }
        match passed_over {
            None => all.extend(own.next_if(|step| step.policy == *name)),
            Some(reason) => all.push(Step {
                policy: Arc::clone(name),
                verdict: StepVerdict::NotAsked,
                attributes: None,
                installation: None,
                reason: Some(reason.into()),
                kept: false,
            }),
        }
    }
    all.extend(own);
    all
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

/// One link's last good decision about one candidate towards one group.
#[derive(Clone, Debug)]
pub(super) struct LastDecision {
    pub(super) verdict: Verdict,
    pub(super) reason: Option<Arc<str>>,
    /// What the node had when the decision was made.
    pub(super) endpoints: NodeEndpoints,
    pub(super) source: DecisionSource,
}

/// Who made a [`LastDecision`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecisionSource {
    /// The link that it is kept for.
    Own,
    /// The chain that was in force before the link, or the link itself about the group that the
    /// peers were in before; stands in until the link has answered.
    StandIn,
}

/// Whether the node has an endpoint that kube-proxy would use, of the candidate's family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeEndpoints {
    Usable,
    None,
}

impl NodeEndpoints {
    pub(super) fn of(candidate: &Candidate) -> Self {
        let usable = candidate.service.as_ref().map_or(0, |service| {
            let family = candidate.key.prefix.family();
            service.node_endpoints.of(family).usable()
        });
        if usable > 0 { Self::Usable } else { Self::None }
    }
}

impl LastDecision {
    /// Whether facts forbid what was decided: traffic for a Local Service would reach a node
    /// that has lost every endpoint to give it to. An acceptance that never rested on an
    /// endpoint does not fall with one.
    pub(super) fn has_lost_its_endpoint(&self, candidate: &Candidate) -> bool {
        let accepted = match self.verdict {
            Verdict::Accept(_) => true,
            Verdict::Abstain | Verdict::Reject => false,
        };
        let local = candidate.service.as_ref().is_some_and(|service| {
            match service.external_traffic_policy {
                TrafficPolicy::Local => true,
                TrafficPolicy::Cluster => false,
            }
        });
        accepted
            && local
            && self.endpoints == NodeEndpoints::Usable
            && NodeEndpoints::of(candidate) == NodeEndpoints::None
    }
}
