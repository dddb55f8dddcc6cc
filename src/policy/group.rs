//! One peer group: what the chain made of each candidate, and what is announced because of it.
//!
//! Used by [`Exports`](super::Exports) only, which says what to evaluate. Evaluation changes
//! outcomes; only [`Group::settle`] changes what is announced, so that a round that has to start
//! over emits nothing in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::chain::{Answer, Chain};
use super::outcome::{DecisionSource, LastDecision, NodeEndpoints};
use super::{
    Batch, CHAIN_DEFAULT, ChainDefault, Decision, NODE_UNKNOWN, OnError, Outcome, PeerGroup,
    ProposedRoute, Reasons, Step, StepVerdict, Verdict,
};
use crate::candidates::{Candidate, CandidateKey};
use crate::facts::NodeFacts;
use crate::types::{Asn, Prefix, RouteAttributes};

/// A peer group with everything that was decided for it.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) peers: PeerGroup,
    /// Exactly the present candidates, once they have been evaluated.
    entries: BTreeMap<CandidateKey, Entry>,
    /// What the owner was told to announce and not since to withdraw.
    announced: BTreeMap<Prefix, Arc<RouteAttributes>>,
}

/// A candidate towards a group.
#[derive(Clone, Debug, Default)]
struct Entry {
    outcome: Outcome,
    /// The last good decision of each link, by its position in the chain.
    last: Vec<Option<LastDecision>>,
}

/// What every policy is told besides the group and the candidates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) node: Option<&'a NodeFacts>,
    pub(super) asn: Asn,
    /// What becomes of a candidate that every policy abstained from.
    pub(super) default: ChainDefault,
    /// The attributes that the first policy is proposed: none.
    pub(super) proposed: &'a Arc<RouteAttributes>,
}

impl Group {
    pub(super) fn new(peers: PeerGroup) -> Self {
        Self {
            peers,
            entries: BTreeMap::new(),
            announced: BTreeMap::new(),
        }
    }

    /// A group whose peers were in this one: what was decided stands in until every policy has
    /// answered about it. Nothing was announced to it yet.
    pub(super) fn heir(&self, peers: PeerGroup) -> Self {
        let mut entries = self.entries.clone();
        let last = entries.values_mut().flat_map(|entry| &mut entry.last);
        for last in last.flatten() {
            last.source = DecisionSource::StandIn;
        }
        Self {
            peers,
            entries,
            announced: BTreeMap::new(),
        }
    }

    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&CandidateKey, &Outcome)> {
        self.entries
            .iter()
            .map(|(key, entry)| (key, &entry.outcome))
    }

    pub(super) fn outcome(&self, key: &CandidateKey) -> Option<&Outcome> {
        self.entries.get(key).map(|entry| &entry.outcome)
    }

    pub(super) fn announced(&self) -> &BTreeMap<Prefix, Arc<RouteAttributes>> {
        &self.announced
    }

    /// Forgets a candidate that is no longer possible, and with it every decision about it.
    pub(super) fn remove(&mut self, key: &CandidateKey) {
        self.entries.remove(key);
    }

    /// Puts `candidates` through the chain.
    pub(super) fn evaluate(
        &mut self,
        chain: &mut Chain,
        context: &Context<'_>,
        candidates: &[&Candidate],
    ) {
        let mut cases: Vec<Case<'_>> = candidates
            .iter()
            .map(|candidate| {
                let entry = self.entries.get_mut(&candidate.key).map(std::mem::take);
                Case::new(candidate, entry.unwrap_or_default(), chain.len())
            })
            .collect();
        let end = match context.node {
            Some(node) => {
                ask_chain(chain, context, node, &self.peers, &mut cases);
                end_of_chain(context.default)
            }
            None => {
                let reason = "the Node object of this node is not known";
                step(NODE_UNKNOWN, StepVerdict::Reject, reason)
            }
        };
        for mut case in cases {
            if case.state == State::Undecided {
                case.take(end.clone(), Arc::clone(context.proposed));
            }
            let key = case.candidate.key.clone();
            self.entries.insert(key, case.entry);
        }
    }

    /// Makes what is announced of `prefixes` agree with the outcomes. Returns what differs.
    pub(super) fn settle(
        &mut self,
        prefixes: &BTreeSet<Prefix>,
    ) -> Vec<(Prefix, Option<Arc<RouteAttributes>>)> {
        let mut changes = Vec::new();
        for &prefix in prefixes {
            let wanted = self.first_accepted(prefix);
            if self.announced.get(&prefix) == wanted.as_ref() {
                continue;
            }
            match &wanted {
                Some(attributes) => self.announced.insert(prefix, Arc::clone(attributes)),
                None => self.announced.remove(&prefix),
            };
            changes.push((prefix, wanted));
        }
        changes
    }

    /// The attributes of the first accepted candidate of `prefix`.
    fn first_accepted(&self, prefix: Prefix) -> Option<Arc<RouteAttributes>> {
        self.entries
            .range(CandidateKey::first_of(prefix)..)
            .take_while(|(key, _)| key.prefix == prefix)
            .find_map(|(_, entry)| entry.outcome.accepted.clone())
    }

    /// Moves every kept decision to its link's position in a new chain: `positions` has, for
    /// each new link, its former one. For a link that had none, or never decided, what the whole
    /// former chain accepted stands in, so that a module that fails at once withdraws nothing.
    pub(super) fn carry_over(
        &mut self,
        positions: &[Option<usize>],
        candidates: &BTreeMap<CandidateKey, Candidate>,
    ) {
        for (key, entry) in &mut self.entries {
            let Some(candidate) = candidates.get(key) else {
                continue;
            };
            let mut former = std::mem::take(&mut entry.last);
            entry.last = positions
                .iter()
                .map(|position| {
                    let own = position.and_then(|position| former.get_mut(position)?.take());
                    own.or_else(|| stand_in_for_new_link(&entry.outcome, candidate))
                })
                .collect();
        }
    }

    /// Drops what stood in for the link at `position`.
    pub(super) fn drop_stand_ins(&mut self, position: usize) {
        for entry in self.entries.values_mut() {
            if let Some(slot) = entry.last.get_mut(position) {
                slot.take_if(|last| last.source == DecisionSource::StandIn);
            }
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

fn step(policy: &str, verdict: StepVerdict, reason: &str) -> Step {
    Step {
        policy: policy.into(),
        verdict,
        attributes: None,
        installation: None,
        reason: Some(reason.into()),
        kept: false,
    }
}

fn stand_in_for_new_link(outcome: &Outcome, candidate: &Candidate) -> Option<LastDecision> {
    let attributes = outcome.accepted.as_ref()?;
    Some(LastDecision {
        verdict: Verdict::Accept(Some(Arc::clone(attributes))),
        reason: Some("accepted by the policies that were in force before".into()),
        endpoints: NodeEndpoints::of(candidate),
        source: DecisionSource::StandIn,
    })
}

/// Asks one link after the other about the cases that none has rejected. Each is proposed what
/// the links before it made of the route.
fn ask_chain(
    chain: &mut Chain,
    context: &Context<'_>,
    node: &NodeFacts,
    peers: &PeerGroup,
    cases: &mut [Case<'_>],
) {
    for position in 0..chain.len() {
        if !chain.link(position).is_asked_for(peers) {
            for case in cases.iter_mut() {
                // Should it come to decide for these peers, nothing it said long ago may stand.
                case.entry.last[position] = None;
            }
            continue;
        }
        let open: Vec<_> = cases
            .iter_mut()
            .filter(|case| case.state != State::Rejected)
            .collect();
        if open.is_empty() {
            return;
        }
        let proposed: Vec<_> = open
            .iter()
            .map(|case| case.proposed(context.proposed))
            .collect();
        let routes: Vec<_> = open
            .iter()
            .zip(&proposed)
            .map(|(case, attributes)| ProposedRoute {
                candidate: case.candidate,
                attributes,
            })
            .collect();
        let batch = Batch {
            node,
            asn: context.asn,
            peer_group: peers,
            candidates: &routes,
            // Outcomes are kept for explanation: one call serves both.
            reasons: Reasons::Wanted,
        };
        let answer = chain.ask(position, context.now, &batch);
        let name = chain.name(position);
        match answer {
            Answer::Decisions(decisions) => {
                for ((case, decision), proposed) in open.into_iter().zip(decisions).zip(proposed) {
                    case.decide(position, name, decision, proposed);
                }
            }
            Answer::Failing(on_error, cause) => {
                let absence = Absence::new(position, name, on_error, &cause);
                for (case, proposed) in open.into_iter().zip(proposed) {
                    case.decide_without(&absence, proposed);
                }
            }
        }
    }
}

/// A candidate on its way through the chain.
struct Case<'a> {
    candidate: &'a Candidate,
    entry: Entry,
    state: State,
}

/// How far a candidate has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Every link so far abstained.
    Undecided,
    /// Some link accepted and none rejected: the outcome has the attributes so far.
    Accepted,
    /// A link rejected; that is final.
    Rejected,
}

/// A link that cannot be asked, with the words to say so, made once for all cases.
struct Absence<'a> {
    position: usize,
    name: &'a Arc<str>,
    on_error: OnError,
    /// Where on-error itself decides; for `keep-last`, where there is nothing to keep.
    reason: Arc<str>,
    /// Where a fact outranks the kept decision.
    endpoint_lost: Arc<str>,
}

impl<'a> Absence<'a> {
    fn new(position: usize, name: &'a Arc<str>, on_error: OnError, cause: &str) -> Self {
        let reason = match on_error {
            OnError::KeepLast => {
                format!("{name} is failing and has never decided about this route: {cause}")
            }
            OnError::Withdraw => format!("{name} is failing and its routes are withdrawn: {cause}"),
            OnError::Skip => format!("{name} is failing and skipped: {cause}"),
        };
        let endpoint_lost = format!(
            "{name} is failing, and the node has lost the usable endpoint that its last decision \
             rested on: {cause}"
        );
        Self {
            position,
            name,
            on_error,
            reason: reason.into(),
            endpoint_lost: endpoint_lost.into(),
        }
    }
}

impl<'a> Case<'a> {
    fn new(candidate: &'a Candidate, mut entry: Entry, links: usize) -> Self {
        entry.outcome = Outcome::default();
        entry.last.resize_with(links, || None);
        Self {
            candidate,
            entry,
            state: State::Undecided,
        }
    }

    /// The attributes that the next link is proposed.
    fn proposed(&self, initial: &Arc<RouteAttributes>) -> Arc<RouteAttributes> {
        Arc::clone(self.entry.outcome.accepted.as_ref().unwrap_or(initial))
    }

    /// Takes the decision of the link at `position`, and remembers it.
    fn decide(
        &mut self,
        position: usize,
        name: &Arc<str>,
        decision: Decision,
        proposed: Arc<RouteAttributes>,
    ) {
        self.entry.last[position] = Some(LastDecision {
            verdict: decision.verdict.clone(),
            reason: decision.reason.clone(),
            endpoints: NodeEndpoints::of(self.candidate),
            source: DecisionSource::Own,
        });
        self.take(Step::new(Arc::clone(name), decision), proposed);
    }

    /// Decides for a link that cannot.
    fn decide_without(&mut self, absence: &Absence<'_>, proposed: Arc<RouteAttributes>) {
        let (verdict, reason, kept) = match absence.on_error {
            OnError::KeepLast => match &self.entry.last[absence.position] {
                Some(last) if last.has_lost_its_endpoint(self.candidate) => {
                    let reason = Arc::clone(&absence.endpoint_lost);
                    (Verdict::Reject, Some(reason), false)
                }
                Some(last) => (last.verdict.clone(), last.reason.clone(), true),
                None => (Verdict::Reject, Some(Arc::clone(&absence.reason)), false),
            },
            OnError::Withdraw => (Verdict::Reject, Some(Arc::clone(&absence.reason)), false),
            OnError::Skip => (Verdict::Abstain, Some(Arc::clone(&absence.reason)), false),
        };
        let step = Step {
            kept,
            ..Step::new(Arc::clone(absence.name), Decision { verdict, reason })
        };
        self.take(step, proposed);
    }

    fn take(&mut self, step: Step, proposed: Arc<RouteAttributes>) {
        let outcome = &mut self.entry.outcome;
        match step.verdict {
            StepVerdict::Abstain | StepVerdict::NotAsked => {}
            StepVerdict::Accept => {
                outcome.accepted = Some(step.attributes.clone().unwrap_or(proposed));
                self.state = State::Accepted;
            }
            StepVerdict::Reject => {
                outcome.accepted = None;
                self.state = State::Rejected;
            }
        }
        outcome.steps.push(step);
    }
}
