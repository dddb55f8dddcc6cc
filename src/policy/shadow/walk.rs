//! Candidates on their way through the chain, as it is in force and with one policy more.
//!
//! Used by [`Shadow`](super::Shadow) only. What the policies in force said is not asked for again
//! where they would be asked the same: by contract they would say the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::facts::NodeFacts;
use crate::policy::chain::{Answer, Chain};
use crate::policy::group::{State, end_of_chain};
use crate::policy::observation::{Circumstances, Seen};
use crate::policy::{
    Batch, Decision, Outcome, PeerGroup, ProposedRoute, Reasons, Step, StepVerdict,
};
use crate::types::RouteAttributes;

/// What is the same for all candidates of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) now: Instant,
    pub(super) circumstances: &'a Circumstances,
    pub(super) peers: &'a PeerGroup,
    /// The policies in force before the one in shadow mode.
    pub(super) ahead: &'a BTreeSet<Arc<str>>,
}

/// What would become of each candidate with the first policy of `chain` in force, followed by the
/// others; nothing where a policy that had to be asked fails.
pub(super) fn walk(
    chain: &mut Chain,
    question: &Question<'_>,
    cases: impl Iterator<Item = Seen>,
) -> Vec<(Seen, Option<Outcome>)> {
    let mut walks: Vec<Walk> = cases.map(|seen| Walk::new(seen, question.ahead)).collect();
    // Without it nobody is asked, in force or not.
    if let Some(node) = &question.circumstances.node {
        for position in 0..chain.len() {
            ask(chain, position, node, question, &mut walks);
        }
    }
    walks.into_iter().map(|walk| walk.end(question)).collect()
}

/// Asks the policy at `position` about those that it has not answered about, as it is proposed
/// them now.
fn ask(
    chain: &mut Chain,
    position: usize,
    node: &NodeFacts,
    question: &Question<'_>,
    walks: &mut [Walk],
) {
    if !chain.link(position).is_asked_for(question.peers) {
        return;
    }
    let name = Arc::clone(chain.name(position));
    let mut open = Vec::new();
    for walk in walks {
        if walk.pass(&name) == Ask::Yes {
            open.push(walk);
        }
    }
    if open.is_empty() {
        return;
    }
    let routes: Vec<_> = open
        .iter()
        .map(|walk| ProposedRoute {
            candidate: &walk.seen.candidate,
            attributes: &walk.included.attributes,
        })
        .collect();
    let batch = Batch {
        node,
        asn: question.circumstances.asn,
        peer_group: question.peers,
        candidates: &routes,
        reasons: Reasons::Wanted,
    };
    match chain.ask(position, question.now, &batch) {
        Answer::Decisions(decisions) => {
            for (walk, decision) in open.into_iter().zip(decisions) {
                walk.decide(&name, decision);
            }
        }
        Answer::Failing(_, _) => {
            for walk in open {
                walk.course = Course::Lost;
            }
        }
    }
}

/// A candidate, at the same place of both chains.
#[derive(Debug)]
struct Walk {
    seen: Seen,
    /// The first step of the chain in force that was not passed yet.
    next: usize,
    enforced: Side,
    included: Side,
    /// With the shadow.
    steps: Vec<Step>,
    course: Course,
}

/// Where a candidate stands in one of the chains.
#[derive(Clone, Debug)]
struct Side {
    state: State,
    attributes: Arc<RouteAttributes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// So far both chains made the same of it.
    Same,
    /// A policy was asked that was not, or not about this, in the chain in force.
    Own,
    /// A policy that had to be asked fails.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Yes,
    No,
}

impl Walk {
    /// At the place of the shadow.
    fn new(seen: Seen, ahead: &BTreeSet<Arc<str>>) -> Self {
        let steps = seen.outcome.steps.iter();
        let passed: Vec<Step> = steps
            .take_while(|step| ahead.contains(&step.policy))
            .cloned()
            .collect();
        let mut side = Side {
            state: State::Undecided,
            attributes: Arc::default(),
        };
        for step in &passed {
            side.take(step);
        }
        Self {
            seen,
            next: passed.len(),
            enforced: side.clone(),
            included: side,
            steps: passed,
            course: Course::Same,
        }
    }

    /// Goes past a policy, on both sides where it was asked the same. Returns whether it must be
    /// asked.
    fn pass(&mut self, policy: &str) -> Ask {
        let asked_the_same = self.enforced.attributes == self.included.attributes;
        let step = self.seen.outcome.steps.get(self.next);
        let step = step.filter(|step| *step.policy == *policy).cloned();
        if let Some(step) = &step {
            self.next += 1;
            self.enforced.take(step);
        }
        if self.course == Course::Lost || self.included.state == State::Rejected {
            return Ask::No;
        }
        match step {
            Some(step) if asked_the_same => {
                self.included.take(&step);
                self.steps.push(step);
                Ask::No
            }
            Some(_) | None => Ask::Yes,
        }
    }

    fn decide(&mut self, policy: &Arc<str>, decision: Decision) {
        let Decision { verdict, reason } = decision;
        let step = Step::new(Arc::clone(policy), &verdict, reason);
        self.course = Course::Own;
        self.included.take(&step);
        self.steps.push(step);
    }

    fn end(mut self, question: &Question<'_>) -> (Seen, Option<Outcome>) {
        match self.course {
            Course::Same => {
                let outcome = self.seen.outcome.clone();
                return (self.seen, Some(outcome));
            }
            Course::Lost => return (self.seen, None),
            Course::Own => {}
        }
        if self.included.state == State::Undecided {
            let (step, _) = end_of_chain(question.circumstances.default);
            self.included.take(&step);
            self.steps.push(step);
        }
        let accepted = match self.included.state {
            State::Accepted => Some(self.included.attributes),
            State::Undecided | State::Rejected => None,
        };
        let outcome = Outcome {
            accepted,
            steps: self.steps,
        };
        (self.seen, Some(outcome))
    }
}

impl Side {
    fn take(&mut self, step: &Step) {
        match step.verdict {
            StepVerdict::Abstain | StepVerdict::NotAsked => {}
            StepVerdict::Accept => {
                self.state = State::Accepted;
                if let Some(attributes) = &step.attributes {
                    self.attributes = Arc::clone(attributes);
                }
            }
            StepVerdict::Reject => self.state = State::Rejected,
        }
    }
}
