//! A changed configuration, tried on a copy before any of it is in force.
//!
//! [`Pipeline::prepare`] copies what decides, [`Trial::run`] lets the policies decide by the new
//! configuration, on a thread where they may take their time, [`Pipeline::judge`] brings the copy
//! up to date with the facts that came in meanwhile and compares, and [`Pipeline::adopt`] puts it
//! in place as one step. Before that last one nothing of the pipeline changes, and nobody is told
//! anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::effect;
use super::{Pipeline, Settings, Stage};
use crate::agent::clock;
use crate::agent::meters::Meter;
use crate::agent::peering::{Passwords, Peering};
use crate::api::ChangeEffect;
use crate::candidates::{CandidateChange, Candidates};
use crate::config::{Config, MaxWithdraw};
use crate::facts::{ClusterChange, NodeFacts};
use crate::policy::{ExportChange, Exports, NextLink, PeerGroups};
use crate::speaker::Input;

/// What decides, copied, and a configuration that is to decide.
pub(in crate::agent) struct Trial {
    settings: Settings,
    peering: Peering,
    groups: PeerGroups,
    candidates: Candidates,
    /// What the new configuration adds to the candidates and takes from them.
    changes: Vec<CandidateChange>,
    exports: Exports,
    node: Option<Arc<NodeFacts>>,
    stage: Stage,
}

/// A trial that was run: all that a new configuration decides.
pub(in crate::agent) struct Tried {
    pub(super) config: Arc<Config>,
    pub(super) peering: Peering,
    pub(super) exports: Exports,
    passwords: Passwords,
    /// Links that are not those in force, with what counts what they do.
    new_links: BTreeMap<Arc<str>, Meter>,
    candidates: Candidates,
    /// Rounds in which policies were asked something, and how long they took.
    evaluations: u64,
    evaluation_time: Duration,
}

/// What the facts did while a trial was out.
#[derive(Debug, Default)]
pub(super) struct Journal(BTreeSet<ClusterChange>);

/// Whether what was tried may be put in force.
#[derive(Debug)]
pub(in crate::agent) enum Judgement {
    /// It may.
    Fit(ChangeEffect),
    /// A policy fails that would not without it.
    Failing(TrialFailure),
    /// It withdraws more than the configuration in force lets a change withdraw.
    Excessive(MaxWithdraw, ChangeEffect),
}

/// Whether a change needs the guard's leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) enum Leave {
    /// It does.
    Asked,
    /// An operator has given it.
    Granted,
}

/// A policy that fails when it is tried on what there is to decide.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy {policy} fails on the routes of this node: {failure}")]
pub(in crate::agent) struct TrialFailure {
    /// Its name in the configuration.
    pub(in crate::agent) policy: String,
    /// How it fails.
    failure: String,
}

impl Trial {
    /// Lets the policies decide. Takes as long as they do, up to their limits for each group.
    pub(in crate::agent) fn run(self) -> Tried {
        let Self {
            settings,
            peering,
            groups,
            candidates,
            changes,
            exports,
            node,
            stage,
        } = self;
        let Settings {
            config,
            passwords,
            chain,
        } = settings;
        let mut new_links = BTreeMap::new();
        let chain = chain.map(|chain| measured(chain, &mut new_links));
        let mut tried = Tried {
            config: Arc::clone(&config),
            peering,
            exports,
            passwords,
            new_links,
            candidates,
            evaluations: 0,
            evaluation_time: Duration::ZERO,
        };
        // One moment for all rounds: a policy that fails in one is not asked in the next.
        let now = clock::now();
        tried.round(now, |exports, now| exports.set_asn(now, config.bgp.asn));
        tried.round(now, |exports, now| {
            exports.set_default(now, config.policy_default)
        });
        tried.round(now, |exports, now| exports.set_groups(now, groups));
        if let Some(chain) = chain {
            tried.round(now, |exports, now| exports.replace_chain(now, chain));
        }
        if stage == Stage::Announcing {
            tried.round(now, |exports, now| exports.update(now, node, changes));
        }
        tried
    }
}

/// The same chain, its new links measured by what goes to `meters`.
fn measured(chain: Vec<NextLink>, meters: &mut BTreeMap<Arc<str>, Meter>) -> Vec<NextLink> {
    let measure = |link| match link {
        NextLink::Kept(name) => NextLink::Kept(name),
        NextLink::New(link) => {
            let meter = meters.entry(Arc::clone(&link.name)).or_default();
            NextLink::New(meter.measure(link))
        }
    };
    chain.into_iter().map(measure).collect()
}

impl Tried {
    fn round(
        &mut self,
        now: Instant,
        step: impl FnOnce(&mut Exports, Instant) -> Vec<ExportChange>,
    ) {
        let (asked, start) = (self.exports.asked(), clock::now());
        // What changed is told by comparison, once everything has.
        step(&mut self.exports, now);
        if self.exports.asked() > asked {
            self.evaluations += 1;
            self.evaluation_time += clock::now().duration_since(start);
        }
    }
}

impl Pipeline {
    /// Copies what decides, for a configuration to be tried on it. From here until it is judged
    /// or adopted, the facts that come in are noted for it.
    pub(in crate::agent) fn prepare(&mut self, settings: Settings) -> Trial {
        let mut peering = self.peering.clone();
        let advertise = settings.config.advertise.clone();
        let (candidates, changes) = match self.stage {
            // Nothing was decided about yet: the first step will be about everything.
            Stage::Gathering => (Candidates::new(advertise), Vec::new()),
            Stage::Announcing => {
                let mut candidates = self.candidates.clone();
                let changes = candidates.configure(advertise, self.index.view());
                (candidates, changes)
            }
        };
        self.journal = Some(Journal::default());
        Trial {
            groups: peering.take_groups(&settings.config),
            settings,
            peering,
            candidates,
            changes,
            exports: self.exports.clone(),
            node: self.index.view().node.clone(),
            stage: self.stage,
        }
    }

    /// Tells what would come of what was tried, by the facts as they are.
    pub(in crate::agent) fn judge(&mut self, tried: &mut Tried, leave: Leave) -> Judgement {
        self.catch_up(tried);
        // Explicitly: what a failing policy decided last stands in for it, and would look well.
        if let Some(failure) = self.first_failing(tried) {
            self.journal = None;
            return Judgement::Failing(failure);
        }
        let effect = effect::effect(self, tried);
        let max_withdraw = self.config.guard.max_withdraw;
        match leave {
            Leave::Asked if !max_withdraw.allows(effect.withdrawn, effect.announced) => {
                self.journal = None;
                Judgement::Excessive(max_withdraw, effect)
            }
            Leave::Asked | Leave::Granted => Judgement::Fit(effect),
        }
    }

    /// Puts what was tried in force, and gives what the speaker is to have, in order.
    pub(in crate::agent) fn adopt(&mut self, mut tried: Tried) -> Vec<Input> {
        self.catch_up(&mut tried);
        self.journal = None;
        let Tried {
            config,
            peering,
            exports,
            passwords,
            new_links,
            candidates,
            evaluations,
            evaluation_time,
        } = tried;
        self.config = config;
        self.passwords = passwords;
        self.peering.take_ids(peering);
        // The speaker takes all of it as one step. Sessions first: those that end hear nothing
        // more, and those that move to another group hear what differs in the end.
        let mut inputs: Vec<_> = self.configure_speaker().into_iter().collect();
        let decisions = effect::differences(&self.exports, &exports);
        inputs.extend(decisions.into_inputs());
        let failures = self.failures();
        self.exports = exports;
        self.candidates = candidates;
        self.meters.adopt(&self.exports, new_links);
        self.evaluations += evaluations;
        self.evaluation_time += evaluation_time;
        self.log_failures(&failures);
        inputs.extend(self.configure_imports());
        inputs
    }

    /// Takes a configuration into use without asking whether it may be, as at the start.
    pub(in crate::agent) fn configure(&mut self, settings: Settings) -> Vec<Input> {
        let tried = self.prepare(settings).run();
        self.adopt(tried)
    }

    /// Lets the copy see the facts that came in since it was made, or last looked at.
    fn catch_up(&mut self, tried: &mut Tried) {
        let Some(journal) = &mut self.journal else {
            return;
        };
        let Journal(changes) = std::mem::take(journal);
        if changes.is_empty() {
            return;
        }
        let changes: Vec<ClusterChange> = changes.into_iter().collect();
        let view = self.index.view();
        let candidates = tried.candidates.apply(view, &changes);
        let node = view.node.clone();
        tried.round(clock::now(), |exports, now| {
            exports.update(now, node, candidates)
        });
    }

    /// The first policy that fails because of what was tried: one that is new, or one that is
    /// well in the chain in force.
    fn first_failing(&self, tried: &Tried) -> Option<TrialFailure> {
        let failing = self.failures();
        let mut links = tried.exports.links();
        links.find_map(|link| {
            let failure = link.error?.to_string();
            let is_new = tried.new_links.contains_key(link.name);
            (is_new || !failing.contains_key(link.name)).then(|| TrialFailure {
                policy: link.name.to_owned(),
                failure,
            })
        })
    }
}

impl Journal {
    /// Notes a step of the view that was taken into the candidates in force.
    pub(super) fn note(&mut self, changes: &[ClusterChange]) {
        self.0.extend(changes.iter().cloned());
    }
}
