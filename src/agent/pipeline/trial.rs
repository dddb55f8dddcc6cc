//! A changed configuration, tried on a copy before any of it is in force.
//!
//! [`Pipeline::prepare`] copies what decides, [`Trial::run`] lets the policies decide by the new
//! configuration, on a thread where they may take their time, [`Pipeline::judge`] brings the copy
//! up to date with the facts that came in meanwhile and compares, and [`Pipeline::adopt`] puts it
//! in place as one step. Before that last one nothing of the pipeline changes, and nobody is told
//! anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::effect::{self, Measured};
use super::imports::{ImportNews, ImportTrial, ImportTried};
use super::own::Touched;
use super::stood_in::AllStoodIn;
use super::{Failures, Pipeline, Settings, Stage};
use crate::agent::clock;
use crate::agent::meters::{self, Meter, Work};
use crate::agent::peering::{Passwords, Peering};
use crate::api::ChangeEffect;
use crate::candidates::{CandidateChange, Candidates};
use crate::config::{Config, MaxWithdraw};
use crate::facts::{ClusterChange, NodeFacts};
use crate::policy::{Directed, Direction, ExportChange, Exports, PeerGroups, Table};
use crate::speaker::{Input, Undecided};

/// What decides, copied, and a configuration that is to decide.
pub(in crate::agent) struct Trial {
    settings: Settings,
    peering: Peering,
    groups: PeerGroups,
    candidates: Candidates,
    /// What the new configuration adds to the candidates and takes from them.
    changes: Vec<CandidateChange>,
    exports: Exports,
    imports: ImportTrial,
    node: Option<Arc<NodeFacts>>,
    stage: Stage,
}

/// A trial that was run: all that a new configuration decides.
pub(in crate::agent) struct Tried {
    pub(super) config: Arc<Config>,
    pub(super) peering: Peering,
    pub(super) exports: Exports,
    pub(super) imports: ImportTried,
    pub(super) stood_in: AllStoodIn,
    passwords: Passwords,
    /// Links that are not those in force, with what counts what they do.
    new_links: BTreeMap<Arc<str>, Meter>,
    candidates: Candidates,
    work: Work,
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
    /// It withdraws more than the configuration in force lets a change withdraw, or rejects more
    /// of what is learned.
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
#[error("{} {policy} fails on the routes of this node: {failure}", .direction.noun())]
pub(in crate::agent) struct TrialFailure {
    /// Of its chain.
    pub(in crate::agent) direction: Direction,
    /// Its name in the configuration.
    pub(in crate::agent) policy: String,
    /// How it fails.
    failure: String,
}

impl Trial {
    /// Learned routes for new import policies to be tried on, where none are decided about in
    /// force.
    pub(in crate::agent) fn sample(&mut self, undecided: Vec<Undecided>) {
        self.imports.sample(undecided);
    }

    /// Lets the policies decide. Takes as long as they do, up to their limits for each group.
    pub(in crate::agent) fn run(self) -> Tried {
        let Self {
            settings,
            peering,
            groups,
            candidates,
            changes,
            exports,
            imports,
            node,
            stage,
        } = self;
        let Settings {
            config,
            passwords,
            chain,
            import_chain: _,
            stood_in,
        } = settings;
        let mut new_links = BTreeMap::new();
        let chain = chain.map(|chain| meters::measured(chain, &mut new_links));
        // One moment for all rounds: a policy that fails in one is not asked in the next.
        let now = clock::now();
        let mut tried = Tried {
            config: Arc::clone(&config),
            peering,
            imports: imports.run(now, &config),
            exports,
            stood_in: AllStoodIn(stood_in),
            passwords,
            new_links,
            candidates,
            work: Work::default(),
        };
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

impl Tried {
    /// Takes in what happened to learned routes meanwhile, for it not to be much when it is judged.
    pub(in crate::agent) fn take_news(&mut self, news: ImportNews) {
        self.imports.take_news(news);
    }

    fn round(
        &mut self,
        now: Instant,
        step: impl FnOnce(&mut Exports, Instant) -> Vec<ExportChange>,
    ) {
        // What changed is told by comparison, once everything has.
        self.work
            .round(&mut self.exports, Exports::asked, |exports| {
                step(exports, now)
            });
    }
}

impl Pipeline {
    /// Copies what decides, for a configuration to be tried on it. From here until it is judged
    /// or adopted, the facts that come in are noted for it.
    pub(in crate::agent) fn prepare(&mut self, mut settings: Settings) -> Trial {
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
        let groups = peering.take_groups(&settings.config);
        let node = self.index.view().node.clone();
        let (config, chain) = (&settings.config, settings.import_chain.take());
        let imports = self
            .import_side
            .prepare(config, &peering, node.clone(), chain);
        Trial {
            groups,
            settings,
            peering,
            candidates,
            changes,
            exports: self.exports.clone(),
            imports,
            node,
            stage: self.stage,
        }
    }

    /// What happened to learned routes since the trial was prepared, or this was last asked.
    pub(in crate::agent) fn import_news(&mut self) -> ImportNews {
        let node = self.index.view().node.clone();
        self.import_side.news(node)
    }

    /// Tells what would come of what was tried, by the facts as they are.
    pub(in crate::agent) fn judge(&mut self, tried: &mut Tried, leave: Leave) -> Judgement {
        self.catch_up(tried);
        // Explicitly: what a failing policy decided last stands in for it, and would look well.
        if let Some(failure) = self.first_failing(tried) {
            self.end_trial();
            return Judgement::Failing(failure);
        }
        let (effect, measured) = effect::effect(self, tried);
        let max_withdraw = self.config.guard.max_withdraw;
        match leave {
            Leave::Asked if !is_allowed(max_withdraw, measured) => {
                self.end_trial();
                Judgement::Excessive(max_withdraw, effect)
            }
            Leave::Asked | Leave::Granted => Judgement::Fit(effect),
        }
    }

    /// Puts what was tried in force, and gives what the speaker is to have, in order.
    pub(in crate::agent) fn adopt(&mut self, mut tried: Tried) -> Vec<Input> {
        self.catch_up(&mut tried);
        self.end_trial();
        let failures = self.failures();
        let Tried {
            config,
            peering,
            mut exports,
            imports,
            stood_in: _,
            passwords,
            new_links,
            candidates,
            work,
        } = tried;
        self.config = config;
        self.passwords = passwords;
        self.peering.take_ids(peering);
        let import = self.import_side.adopt(imports);
        // The speaker takes all of it as one step. Sessions first: those that end hear nothing
        // more, and those that move to another group hear what differs in the end.
        let mut inputs: Vec<_> = self.configure_speaker().into_iter().collect();
        exports.keep_counts(&self.exports);
        let decisions = effect::differences(&self.exports, &exports);
        inputs.extend(decisions.into_inputs());
        inputs.extend(import);
        self.exports = exports;
        self.candidates = candidates;
        self.touched = Touched::All;
        self.meters.adopt(self.exports.links(), new_links);
        self.work.add(work);
        self.log_failures(&failures);
        inputs
    }

    /// Takes a configuration into use without asking whether it may be, as at the start.
    pub(in crate::agent) fn configure(&mut self, settings: Settings) -> Vec<Input> {
        let tried = self.prepare(settings).run();
        self.adopt(tried)
    }

    /// Lets the copy see the facts that came in since it was made, or last looked at.
    fn catch_up(&mut self, tried: &mut Tried) {
        tried.imports.take_news(self.import_news());
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

    /// Nothing is noted for it any more.
    fn end_trial(&mut self) {
        self.journal = None;
        self.import_side.journal = None;
    }

    /// The first policy that fails because of what was tried: one that is new, or one that is
    /// well in the chain in force.
    fn first_failing(&self, tried: &Tried) -> Option<TrialFailure> {
        let in_force = self.failures();
        let stood_in = &tried.stood_in;
        let exports = blamed(&tried.exports, &tried.new_links, &in_force, stood_in);
        let imports = &tried.imports;
        exports.or_else(|| blamed(&imports.imports, &imports.new_links, &in_force, stood_in))
    }
}

/// The first policy of one direction that fails, as a whole or on a route that the one of its name
/// in force is well about. One in whose place nothing was let through is not to blame: it is asked
/// again, and its on-error decides meanwhile, as if it had been there at the start.
fn blamed<P: Directed>(
    tried: &Table<P>,
    new_links: &BTreeMap<Arc<str>, Meter>,
    in_force: &Failures,
    stood_in: &AllStoodIn,
) -> Option<TrialFailure> {
    let direction = P::DIRECTION;
    let is_excused = |policy: &str| stood_in.closed(direction, policy);
    let failure = |policy: String, failure| TrialFailure {
        direction,
        policy,
        failure,
    };
    let failing = tried.links().find_map(|link| {
        let error = link.error?.to_string();
        let is_new = new_links.contains_key(link.name);
        let key = (direction, link.name.to_owned());
        let is_to_blame =
            !is_excused(link.name) && (is_new || !in_force.failing.contains_key(&key));
        is_to_blame.then(|| failure(key.1, error))
    });
    failing.or_else(|| {
        tried.held().find_map(|held| {
            let subject = held.subject();
            let error = format!("on {subject}: {}", held.error);
            let key = (direction, held.policy.to_owned(), subject);
            let is_to_blame = !is_excused(held.policy) && !in_force.held.contains_key(&key);
            is_to_blame.then(|| failure(key.1, error))
        })
    })
}

/// Neither direction may lose too much.
fn is_allowed(max_withdraw: MaxWithdraw, measured: Measured) -> bool {
    let Measured {
        announced,
        withdrawn,
        used,
        rejected,
    } = measured;
    max_withdraw.allows(withdrawn, announced) && max_withdraw.allows(rejected, used)
}

impl Journal {
    /// Notes a step of the view that was taken into the candidates in force.
    pub(super) fn note(&mut self, changes: &[ClusterChange]) {
        self.0.extend(changes.iter().cloned());
    }
}
