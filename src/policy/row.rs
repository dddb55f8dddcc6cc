//! The routes of the same peers: what the chain made of each, and what the owner was told of it.
//!
//! Used by [`Table`](super::Table) only, which says what to decide about. Deciding changes
//! outcomes; only [`Row::settle`] changes what was told, so that a round that has to start over
//! tells nothing in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::chain::{Answer, Chain, Control};
use super::held::Held;
use super::outcome::{end_of_chain, of_prefix};
use super::standing::{Standing, State};
use super::table::Routes;
use super::{ChainDefault, Directed, Inquiry, OnError, Outcome, Step, StepVerdict};
use crate::facts::NodeFacts;
use crate::types::{Asn, Installation, Prefix, RouteAttributes};

/// How many routes tell a policy that is broken from one that fails on few.
const CONTROLS_MAX: usize = 3;

/// Peers that are asked about together, with everything that was decided for them.
#[derive(Clone, Debug)]
pub(super) struct Row<P: Directed> {
    pub(super) peers: P::Peers,
    /// Exactly the present routes, once they have been decided about.
    entries: BTreeMap<P::Key, Entry<P>>,
    told: BTreeMap<Prefix, P::Told>,
}

/// A route, towards these peers or from them.
#[derive(Clone, Debug)]
struct Entry<P: Directed> {
    outcome: Outcome<P::Accepted>,
    /// The last good decision of each link, by its position in the chain.
    last: Vec<Option<LastDecision<P>>>,
}

/// One link's last good decision about one route.
#[derive(Clone, Debug)]
struct LastDecision<P: Directed> {
    verdict: StepVerdict,
    attributes: Option<Arc<RouteAttributes>>,
    installation: Option<Installation>,
    reason: Option<Arc<str>>,
    /// As it was when the decision was made.
    basis: P::Basis,
    source: DecisionSource,
}

/// Who made a [`LastDecision`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DecisionSource {
    /// The link that it is kept for.
    Own,
    /// The chain that was in force before the link, or the link itself about the peers' former
    /// group; stands in until the link has answered.
    StandIn,
}

/// What every policy is told besides the peers and the routes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) node: Option<&'a Arc<NodeFacts>>,
    pub(super) asn: Asn,
    /// What becomes of a route that every policy abstained from.
    pub(super) default: ChainDefault,
    /// No attributes.
    pub(super) none: &'a Arc<RouteAttributes>,
}

impl<P: Directed> Row<P> {
    pub(super) fn new(peers: P::Peers) -> Self {
        Self {
            peers,
            entries: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// A row of peers that were in this one: what was decided stands in until every policy has
    /// answered about it. Nothing was told of it yet.
    pub(super) fn heir(&self, peers: P::Peers) -> Self {
        let mut entries = self.entries.clone();
        let last = entries.values_mut().flat_map(|entry| &mut entry.last);
        for last in last.flatten() {
            last.source = DecisionSource::StandIn;
        }
        Self {
            entries,
            ..Self::new(peers)
        }
    }

    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&P::Key, &Outcome<P::Accepted>)> {
        self.entries
            .iter()
            .map(|(key, entry)| (key, &entry.outcome))
    }

    pub(super) fn outcome(&self, key: &P::Key) -> Option<&Outcome<P::Accepted>> {
        self.entries.get(key).map(|entry| &entry.outcome)
    }

    pub(super) fn told(&self) -> &BTreeMap<Prefix, P::Told> {
        &self.told
    }

    /// Forgets every decision about a route that is gone, or another in its place.
    pub(super) fn forget(&mut self, key: &P::Key) {
        self.entries.remove(key);
    }

    /// Forgets every route, and what was told of it.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.told.clear();
    }

    /// Puts some of `all` routes through the chain. Returns those about which that is put off: of
    /// them everything is as it was.
    pub(super) fn decide(
        &mut self,
        id: P::PeersId,
        chain: &mut Chain<P>,
        context: &Context<'_>,
        all: &Routes<P>,
        routes: &[(&P::Key, &P::Route)],
    ) -> Vec<P::Key> {
        let without_node = match context.node {
            Some(_) => None,
            None => Some(P::without_node()),
        };
        if let Some(None) = without_node {
            return Vec::new();
        }
        let cases = routes.iter().map(|&(key, route)| {
            let last = self.entries.get_mut(key).map(|entry| &mut entry.last);
            let last = last.map(std::mem::take).unwrap_or_default();
            Case::new(key, route, last, chain.len(), context.none)
        });
        let mut cases: Vec<Case<'_, P>> = cases.collect();
        if let Some(node) = context.node {
            let surroundings = Surroundings {
                context,
                node,
                id,
                peers: &self.peers,
                routes: all,
                entries: &self.entries,
            };
            surroundings.ask_chain(chain, &mut cases);
        }
        // Made once for all, where it is needed.
        let mut end = without_node.flatten();
        let mut postponed = Vec::new();
        for mut case in cases {
            if case.progress == Progress::Postponed {
                postponed.push(case.key.clone());
                if let Some(entry) = self.entries.get_mut(case.key) {
                    entry.last = case.last;
                }
                continue;
            }
            if case.standing.state == State::Undecided {
                let end = end.get_or_insert_with(|| end_of_chain(context.default));
                case.take(end.clone());
            }
            let (key, entry) = case.finish();
            match self.entries.get_mut(key) {
                Some(former) => *former = entry,
                None => {
                    self.entries.insert(key.clone(), entry);
                }
            }
        }
        postponed
    }

    /// Makes what is told of `prefixes`, each given once, agree with the outcomes. Returns what
    /// differs.
    pub(super) fn settle(
        &mut self,
        routes: &Routes<P>,
        prefixes: impl IntoIterator<Item = Prefix>,
    ) -> Vec<(Prefix, Option<P::Told>)> {
        let mut changes = Vec::new();
        for prefix in prefixes {
            let wanted = self.wanted(routes, prefix);
            if self.told.get(&prefix) == wanted.as_ref() {
                continue;
            }
            match &wanted {
                Some(told) => self.told.insert(prefix, told.clone()),
                None => self.told.remove(&prefix),
            };
            changes.push((prefix, wanted));
        }
        changes
    }

    /// What there is to tell of a prefix: of its routes, the first that speaks for it does.
    fn wanted(&self, routes: &Routes<P>, prefix: Prefix) -> Option<P::Told> {
        let mut entries = of_prefix::<P, _>(&self.entries, prefix);
        entries.find_map(|(key, entry)| P::told(&entry.outcome, || routes.get(key)))
    }

    /// Moves every kept decision to its link's position in a new chain: `positions` has, for
    /// each new link, its former one. For a link that had none, or never decided, what the whole
    /// former chain accepted stands in, so that a module that fails at once withdraws nothing.
    pub(super) fn carry_over(&mut self, positions: &[Option<usize>], routes: &Routes<P>) {
        for (key, entry) in &mut self.entries {
            let Some(route) = routes.get(key) else {
                continue;
            };
            let mut former = std::mem::take(&mut entry.last);
            let last = positions.iter().map(|position| {
                let own = position.and_then(|position| former.get_mut(position)?.take());
                own.or_else(|| LastDecision::of_former_chain(&entry.outcome, route))
            });
            entry.last = last.collect();
        }
    }

    /// Drops what stood in for the link at `position`, but for routes that it fails on.
    pub(super) fn drop_stand_ins(&mut self, position: usize, is_held: impl Fn(&P::Key) -> bool) {
        for (key, entry) in &mut self.entries {
            if let Some(slot) = entry.last.get_mut(position) {
                slot.take_if(|last| last.stands_in() && !is_held(key));
            }
        }
    }
}

impl<P: Directed> LastDecision<P> {
    /// What stands in for a new link, where the chain before it accepted.
    fn of_former_chain(outcome: &Outcome<P::Accepted>, route: &P::Route) -> Option<Self> {
        let (attributes, installation) = P::accepted_with(outcome.accepted.as_ref()?);
        Some(Self {
            verdict: StepVerdict::Accept,
            attributes: Some(Arc::clone(attributes)),
            installation,
            reason: Some("accepted by the policies that were in force before".into()),
            basis: P::basis(route),
            source: DecisionSource::StandIn,
        })
    }

    fn stands_in(&self) -> bool {
        self.source == DecisionSource::StandIn
    }

    /// Why facts forbid what was decided. An abstention decides nothing, and a rejection lets
    /// nothing out.
    fn is_forbidden(&self, route: &P::Route) -> Option<&'static str> {
        match self.verdict {
            StepVerdict::Accept => P::forbids(&self.basis, route),
            StepVerdict::Abstain | StepVerdict::Reject | StepVerdict::NotAsked => None,
        }
    }
}

/// What is known of the routes beside those on their way.
struct Surroundings<'a, P: Directed> {
    context: &'a Context<'a>,
    node: &'a Arc<NodeFacts>,
    id: P::PeersId,
    peers: &'a P::Peers,
    routes: &'a Routes<P>,
    entries: &'a BTreeMap<P::Key, Entry<P>>,
}

impl<P: Directed> Surroundings<'_, P> {
    /// Asks one link after the other about the cases that none has rejected. Each is proposed what
    /// the links before it made of the route.
    fn ask_chain(&self, chain: &mut Chain<P>, cases: &mut [Case<'_, P>]) {
        for position in 0..chain.len() {
            let is_asked = chain.link(position).is_asked_for(P::peer_group(self.peers));
            let is_open = |case: &Case<'_, P>| is_asked && case.is_open();
            if chain.holds(position) {
                let is_past = |case: &Case<'_, P>| match case.progress {
                    Progress::OnTheWay => !is_open(case),
                    Progress::Postponed => false,
                };
                for case in cases.iter_mut().filter(|case| is_past(case)) {
                    if chain.release(position, self.id, case.key) {
                        case.last[position].take_if(|last| last.stands_in());
                    }
                }
            }
            if is_asked {
                self.ask(chain, position, cases);
                continue;
            }
            let on_the_way = |case: &&mut Case<'_, P>| case.progress == Progress::OnTheWay;
            for case in cases.iter_mut().filter(on_the_way) {
                // Should it come to decide for these peers, nothing it said long ago may stand.
                case.last[position] = None;
            }
        }
    }

    fn ask(&self, chain: &mut Chain<P>, position: usize, cases: &mut [Case<'_, P>]) {
        let open: Vec<_> = cases.iter_mut().filter(|case| case.is_open()).collect();
        if open.is_empty() {
            return;
        }
        let routes: Vec<_> = open
            .iter()
            .map(|case| (case.key, case.route, &case.standing.attributes))
            .collect();
        let inquiry = Inquiry {
            node: self.node,
            asn: self.context.asn,
            id: self.id,
            peers: self.peers,
            routes: &routes,
        };
        let name = Arc::clone(chain.name(position));
        let controls = |held: &Held<P>| self.controls(position, &name, held);
        match chain.ask(position, self.context.now, &inquiry, controls) {
            Answer::Steps(steps) => {
                for (case, step) in open.into_iter().zip(steps) {
                    case.decide(position, step);
                }
            }
            Answer::Each(on_error, answers) => {
                for (case, answer) in open.into_iter().zip(answers) {
                    match answer {
                        Ok(step) => case.decide(position, step),
                        Err(cause) => {
                            let failing = format!("{name} fails on this route");
                            case.decide_without(&Absence::new::<P>(
                                position,
                                &name,
                                on_error,
                                failing,
                                cause.to_string(),
                            ));
                        }
                    }
                }
            }
            Answer::Postponed => {
                for case in open {
                    case.progress = Progress::Postponed;
                }
            }
            Answer::Failing(on_error, cause) => {
                let failing = format!("{name} is failing");
                let absence = Absence::new::<P>(position, &name, on_error, failing, cause);
                for case in open {
                    case.decide_without(&absence);
                }
            }
        }
    }

    /// Some routes that the link at `position` decided about when it was asked last, and those on
    /// their way are not.
    fn controls(&self, position: usize, name: &str, held: &Held<P>) -> Vec<Control<P>> {
        let decided = self.entries.iter().filter(|(key, entry)| {
            // Of those on their way, the last decisions are on their way as well.
            let last = entry.last.get(position).and_then(Option::as_ref);
            last.is_some_and(|last| !last.stands_in()) && !held.is_suspect(key)
        });
        let controls = decided.filter_map(|(key, entry)| {
            let route = self.routes.get(key)?;
            let mut standing = Standing::new(P::proposed(route, self.context.none));
            let steps = entry.outcome.steps.iter();
            steps
                .take_while(|step| *step.policy != *name)
                .for_each(|step| standing.take(step));
            let is_asked = standing.state != State::Rejected;
            is_asked.then(|| (key.clone(), route.clone(), standing.attributes))
        });
        controls.take(CONTROLS_MAX).collect()
    }
}

/// A link that cannot be asked, with the words to say so, made once for all cases.
struct Absence<'a> {
    position: usize,
    name: &'a Arc<str>,
    on_error: OnError,
    /// `NAME is failing`, or how else it is.
    failing: String,
    cause: String,
    /// Where on-error itself decides; for `keep-last`, where there is nothing to keep.
    reason: Arc<str>,
}

impl<'a> Absence<'a> {
    fn new<P: Directed>(
        position: usize,
        name: &'a Arc<str>,
        on_error: OnError,
        failing: String,
        cause: String,
    ) -> Self {
        let consequence = match on_error {
            OnError::KeepLast => P::NEVER_DECIDED,
            OnError::Withdraw => P::NOT_KEPT,
            OnError::Skip => "skipped",
        };
        Self {
            position,
            name,
            on_error,
            reason: format!("{failing} and {consequence}: {cause}").into(),
            failing,
            cause,
        }
    }

    /// The decision that on-error itself makes.
    fn step(&self, verdict: StepVerdict) -> Step {
        Step {
            policy: Arc::clone(self.name),
            verdict,
            attributes: None,
            installation: None,
            reason: Some(Arc::clone(&self.reason)),
            kept: false,
        }
    }

    /// The link's last decision about the route, unless facts outrank it.
    fn kept<P: Directed>(&self, last: &LastDecision<P>, route: &P::Route) -> Step {
        if let Some(why) = last.is_forbidden(route) {
            let Self { failing, cause, .. } = self;
            return Step {
                reason: Some(format!("{failing}, and {why}: {cause}").into()),
                ..self.step(StepVerdict::Reject)
            };
        }
        Step {
            policy: Arc::clone(self.name),
            verdict: last.verdict,
            attributes: last.attributes.clone(),
            installation: last.installation,
            reason: last.reason.clone(),
            kept: true,
        }
    }
}

/// A route on its way through the chain.
struct Case<'a, P: Directed> {
    key: &'a P::Key,
    route: &'a P::Route,
    standing: Standing,
    steps: Vec<Step>,
    last: Vec<Option<LastDecision<P>>>,
    progress: Progress,
}

/// Whether a route is on its way through the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    OnTheWay,
    /// In another round.
    Postponed,
}

impl<'a, P: Directed> Case<'a, P> {
    fn new(
        key: &'a P::Key,
        route: &'a P::Route,
        mut last: Vec<Option<LastDecision<P>>>,
        links: usize,
        none: &'a Arc<RouteAttributes>,
    ) -> Self {
        last.resize_with(links, || None);
        Self {
            key,
            route,
            standing: Standing::new(P::proposed(route, none)),
            steps: Vec::new(),
            last,
            progress: Progress::OnTheWay,
        }
    }

    /// Whether the next link is to be asked about it.
    fn is_open(&self) -> bool {
        self.standing.state != State::Rejected && self.progress == Progress::OnTheWay
    }

    /// Takes the decision of the link at `position`, and remembers it.
    fn decide(&mut self, position: usize, step: Step) {
        self.last[position] = Some(LastDecision {
            verdict: step.verdict,
            attributes: step.attributes.clone(),
            installation: step.installation,
            reason: step.reason.clone(),
            basis: P::basis(self.route),
            source: DecisionSource::Own,
        });
        self.take(step);
    }

    /// Decides for a link that cannot.
    fn decide_without(&mut self, absence: &Absence<'_>) {
        let step = match (absence.on_error, &self.last[absence.position]) {
            (OnError::KeepLast, Some(last)) => absence.kept(last, self.route),
            (OnError::KeepLast, None) | (OnError::Withdraw, _) => absence.step(StepVerdict::Reject),
            (OnError::Skip, _) => absence.step(StepVerdict::Abstain),
        };
        self.take(step);
    }

    fn take(&mut self, step: Step) {
        self.standing.take(&step);
        self.steps.push(step);
    }

    fn finish(self) -> (&'a P::Key, Entry<P>) {
        let outcome = Outcome {
            accepted: self.standing.accepted::<P>(),
            steps: self.steps,
        };
        let last = self.last;
        (self.key, Entry { outcome, last })
    }
}
