//! One peer's routes on their way through the import chain.
//!
//! Used by [`Imports`](super::Imports) only, which says what to decide about.

use std::sync::Arc;
use std::time::Instant;

use super::super::chain::{Answer, Chain};
use super::super::group::{State, end_of_chain};
use super::super::{
    Acceptance, AcceptedImport, ChainDefault, ImportBatch, ImportDecision, ImportOutcome,
    ImportPolicy, ImportVerdict, LearnedFrom, OnError, PeerGroup, ProposedImport, Reasons, Step,
    StepVerdict,
};
use super::Entry;
use crate::facts::NodeFacts;
use crate::types::{Asn, Installation, Prefix, RouteAttributes};

/// The policies that decide about learned routes.
pub(super) type ImportChain = Chain<Arc<dyn ImportPolicy>>;

/// What every policy is told besides the routes.
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) node: &'a NodeFacts,
    pub(super) asn: Asn,
    /// What becomes of a route that every policy abstained from.
    pub(super) default: ChainDefault,
    pub(super) peer_group: &'a PeerGroup,
    pub(super) peer: &'a LearnedFrom,
}

/// One link's last good decision about one path.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    decision: ImportDecision,
    source: Source,
}

/// Who made a decision that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The link that it is kept for.
    Own,
    /// The chain that was in force before the link; stands in until the link has answered.
    FormerChain,
}

impl Kept {
    /// What stands in for a new link, where the chain before it accepted.
    pub(super) fn by_former_chain(outcome: &ImportOutcome) -> Option<Self> {
        let AcceptedImport {
            attributes,
            installation,
        } = outcome.accepted.as_ref()?;
        Some(Self {
            decision: ImportDecision {
                verdict: ImportVerdict::Accept(Acceptance {
                    attributes: Some(Arc::clone(attributes)),
                    installation: Some(*installation),
                }),
                reason: Some("accepted by the policies that were in force before".into()),
            },
            source: Source::FormerChain,
        })
    }

    pub(super) fn stands_in(&self) -> bool {
        self.source == Source::FormerChain
    }
}

/// Puts the routes through the chain.
pub(super) fn decide(
    chain: &mut ImportChain,
    context: &Context<'_>,
    routes: &mut [(Prefix, Entry)],
) {
    let mut cases: Vec<_> = routes
        .iter_mut()
        .map(|(prefix, entry)| Case::new(*prefix, entry, chain.len()))
        .collect();
    for position in 0..chain.len() {
        if chain.link(position).is_asked_for(context.peer_group) {
            ask(chain, position, context, &mut cases);
        } else {
            for case in &mut cases {
                // Should it come to decide for these peers, nothing it said long ago may stand.
                case.entry.last[position] = None;
            }
        }
    }
    for case in cases {
        case.finish(context.default);
    }
}

/// Asks one link about the cases that none before it has rejected.
fn ask(chain: &mut ImportChain, position: usize, context: &Context<'_>, cases: &mut [Case<'_>]) {
    let mut open: Vec<_> = cases
        .iter_mut()
        .filter(|case| case.state != State::Rejected)
        .collect();
    if open.is_empty() {
        return;
    }
    let proposed: Vec<_> = open.iter().map(|case| case.proposed()).collect();
    let routes: Vec<_> = open
        .iter()
        .zip(&proposed)
        .map(|(case, attributes)| ProposedImport {
            prefix: case.prefix,
            path: &case.entry.route.path,
            attributes,
        })
        .collect();
    let batch = ImportBatch {
        node: context.node,
        asn: context.asn,
        peer_group: context.peer_group,
        peer: context.peer,
        routes: &routes,
        // Outcomes are kept for explanation: one call serves both.
        reasons: Reasons::Wanted,
    };
    let answer = chain.ask(position, context.now, &batch);
    let name = chain.name(position);
    match answer {
        Answer::Decisions(decisions) => {
            for (case, decision) in open.iter_mut().zip(decisions) {
                case.entry.last[position] = Some(Kept {
                    decision: decision.clone(),
                    source: Source::Own,
                });
                case.decide(name, decision, Origin::Fresh);
            }
        }
        Answer::Failing(on_error, cause) => {
            let absent = Absent::new(name, on_error, &cause);
            for case in &mut open {
                let kept = case.entry.last[position].clone();
                let (decision, origin) = absent.decision(kept);
                case.decide(name, decision, origin);
            }
        }
    }
}

/// A link that cannot be asked.
struct Absent {
    on_error: OnError,
    /// Where on-error itself decides; for `keep-last`, where there is nothing to keep.
    reason: Arc<str>,
}

impl Absent {
    fn new(name: &str, on_error: OnError, cause: &str) -> Self {
        let reason = match on_error {
            OnError::KeepLast => {
                format!("{name} is failing and has never decided about this path: {cause}")
            }
            OnError::Withdraw => format!("{name} is failing and its routes are not used: {cause}"),
            OnError::Skip => format!("{name} is failing and skipped: {cause}"),
        };
        Self {
            on_error,
            reason: reason.into(),
        }
    }

    fn decision(&self, kept: Option<Kept>) -> (ImportDecision, Origin) {
        let verdict = match (self.on_error, kept) {
            (OnError::KeepLast, Some(kept)) => return (kept.decision, Origin::Kept),
            (OnError::KeepLast, None) | (OnError::Withdraw, _) => ImportVerdict::Reject,
            (OnError::Skip, _) => ImportVerdict::Abstain,
        };
        let reason = Some(Arc::clone(&self.reason));
        (ImportDecision { verdict, reason }, Origin::Fresh)
    }
}

/// A route on its way.
struct Case<'a> {
    prefix: Prefix,
    entry: &'a mut Entry,
    outcome: ImportOutcome,
    state: State,
}

/// Whether a decision is the link's present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Fresh,
    /// Its last good one, for it is failing.
    Kept,
}

impl<'a> Case<'a> {
    fn new(prefix: Prefix, entry: &'a mut Entry, links: usize) -> Self {
        entry.last.resize_with(links, || None);
        Self {
            prefix,
            entry,
            outcome: ImportOutcome::default(),
            state: State::Undecided,
        }
    }

    /// The attributes that the next link is proposed.
    fn proposed(&self) -> Arc<RouteAttributes> {
        let accepted = self.outcome.accepted.as_ref();
        let attributes = accepted.map_or(&self.entry.route.attributes, |as_is| &as_is.attributes);
        Arc::clone(attributes)
    }

    /// Takes what a policy says, or what is said for it.
    fn decide(&mut self, name: &Arc<str>, decision: ImportDecision, origin: Origin) {
        let step = Step {
            kept: origin == Origin::Kept,
            ..Step::imported(Arc::clone(name), decision, &self.entry.route)
        };
        self.take(step);
    }

    fn take(&mut self, step: Step) {
        match step.verdict {
            StepVerdict::Abstain | StepVerdict::NotAsked => {}
            StepVerdict::Accept => {
                let before = self.outcome.accepted.as_ref();
                let before = before.map_or(Installation::default(), |as_is| as_is.installation);
                let attributes = step.attributes.clone();
                self.outcome.accepted = Some(AcceptedImport {
                    attributes: attributes.unwrap_or_else(|| self.proposed()),
                    installation: step.installation.unwrap_or(before),
                });
                self.state = State::Accepted;
            }
            StepVerdict::Reject => {
                self.outcome.accepted = None;
                self.state = State::Rejected;
            }
        }
        self.outcome.steps.push(step);
    }

    fn finish(mut self, default: ChainDefault) {
        if self.state == State::Undecided {
            self.take(end_of_chain(default));
        }
        self.entry.outcome = Some(self.outcome);
    }
}
