//! Routes on their way through the chain, as it is in force and with one policy more.
//!
//! Used by [`Shadow`](super::Shadow) only. What the policies in force said is not asked for again
//! where they would be asked the same: by contract they would say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::facts::NodeFacts;
use crate::policy::chain::{Answer, Chain};
use crate::policy::observation::{Circumstances, Seen};
use crate::policy::outcome::end_of_chain;
use crate::policy::standing::{Standing, State};
use crate::policy::{Directed, Inquiry, Outcome, Step};
use crate::types::RouteAttributes;

/// What is the same for all routes of a walk.
#[derive(Debug)]
pub(super) struct Question<'a, P: Directed> {
    pub(super) now: Instant,
    pub(super) circumstances: &'a Circumstances,
    pub(super) id: P::PeersId,
    pub(super) peers: &'a P::Peers,
    /// The policies in force before the one in shadow mode.
    pub(super) ahead: &'a BTreeSet<Arc<str>>,
}

/// A route with what would become of it; nothing where a policy that had to be asked fails.
pub(super) type Walked<P> = (
    <P as Directed>::Key,
    Seen<P>,
    Option<Outcome<<P as Directed>::Accepted>>,
);

/// Takes each route through `chain`, as if its first policy were in force, followed by the others.
pub(super) fn walk<P: Directed>(
    chain: &mut Chain<P>,
    question: &Question<'_, P>,
    routes: BTreeMap<P::Key, Seen<P>>,
) -> Vec<Walked<P>> {
    let routes = routes.into_iter();
    let none = Arc::default();
    let mut walks: Vec<Walk<P>> = routes
        .map(|(key, seen)| Walk::new(key, seen, question.ahead, &none))
        .collect();
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
fn ask<P: Directed>(
    chain: &mut Chain<P>,
    position: usize,
    node: &Arc<NodeFacts>,
    question: &Question<'_, P>,
    walks: &mut [Walk<P>],
) {
    let link = chain.link(position);
    if !link.is_asked_for(P::peer_group(question.peers)) {
        return;
    }
    let name = Arc::clone(&link.name);
    let mut open = Vec::new();
    for walk in walks {
        if walk.pass(&name) == Ask::Yes {
            open.push(walk);
        }
    }
    if open.is_empty() {
        return;
    }
    let routes = open.iter();
    let routes: Vec<_> = routes
        .map(|walk| (&walk.key, &walk.seen.route, &walk.included.attributes))
        .collect();
    let inquiry = Inquiry {
        node,
        asn: question.circumstances.asn,
        id: question.id,
        peers: question.peers,
        routes: &routes,
    };
    let answer = chain.ask(position, question.now, &inquiry, |_| Vec::new());
    match answer {
        Answer::Steps(steps) => {
            for (walk, step) in open.into_iter().zip(steps) {
                walk.decide(step);
            }
        }
        Answer::Each(_, answers) => {
            for (walk, answer) in open.into_iter().zip(answers) {
                match answer {
                    Ok(step) => walk.decide(step),
                    Err(_) => walk.course = Course::Lost,
                }
            }
        }
        // Nobody waits for this thread, so nothing is postponed either.
        Answer::Postponed | Answer::Failing(_, _) => {
            for walk in open {
                walk.course = Course::Lost;
            }
        }
    }
}

/// A route, at the same place of both chains.
#[derive(Debug)]
struct Walk<P: Directed> {
    key: P::Key,
    seen: Seen<P>,
    /// The first step of the chain in force that was not passed yet.
    next: usize,
    enforced: Standing,
    included: Standing,
    /// With the shadow.
    steps: Vec<Step>,
    course: Course,
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

impl<P: Directed> Walk<P> {
    /// At the place of the shadow.
    fn new(
        key: P::Key,
        seen: Seen<P>,
        ahead: &BTreeSet<Arc<str>>,
        none: &Arc<RouteAttributes>,
    ) -> Self {
        let steps = seen.outcome.steps.iter();
        let passed: Vec<Step> = steps
            .take_while(|step| ahead.contains(&step.policy))
            .cloned()
            .collect();
        let mut side = Standing::new(P::proposed(&seen.route, none));
        for step in &passed {
            side.take(step);
        }
        Self {
            key,
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

    fn decide(&mut self, step: Step) {
        self.course = Course::Own;
        self.included.take(&step);
        self.steps.push(step);
    }

    fn end(mut self, question: &Question<'_, P>) -> Walked<P> {
        match self.course {
            Course::Same => {
                let outcome = self.seen.outcome.clone();
                return (self.key, self.seen, Some(outcome));
            }
            Course::Lost => return (self.key, self.seen, None),
            Course::Own => {}
        }
        if self.included.state == State::Undecided {
            let step = end_of_chain(question.circumstances.default);
            self.included.take(&step);
            self.steps.push(step);
        }
        let outcome = Outcome {
            accepted: self.included.accepted::<P>(),
            steps: self.steps,
        };
        (self.key, self.seen, Some(outcome))
    }
}
