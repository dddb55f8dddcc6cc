//! Takes changed files into use without a restart: the configuration, the modules of its policies,
//! of both directions, and the keys of its peers. Or refuses them and says why, or holds them back for an operator.
//!
//! Files are compared by what they say, not by their times. What differs is compiled and tried on
//! a copy of all that decides, on threads of its own; only a change that loads, that makes no
//! policy fail, and that withdraws no more than `guard` allows is put in force, as one step. The
//! pipeline tries and judges; here is the order of things, and what is said about them.

mod fingerprint;
mod follow;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{error, info, warn};

use super::clock;
use super::decider::Decider;
use super::driver::SpeakerHandle;
use super::events::{Notice, Notices};
use super::last;
use super::links::{self, Chains, LinkRefused, Plan, Plans, RefusedAt, RefusedVersions, Without};
use super::load::{self, Loaded, ReadModule};
use super::peering::Passwords;
use super::pipeline::{Judgement, Leave, PipelineHandle, Settings};
use super::sources::{Asking, Sources};
use super::state::{self, ConfigState};
use super::watch::Folders;
use crate::api::{ChangeEffect, HeldChange};
use crate::config::{Config, MaxWithdraw, Overrides, PolicyLink};
use crate::policy::Direction;
use crate::wasm::Engine;
use fingerprint::Fingerprint;
pub(super) use follow::Following;
use follow::Refresh;

/// An editor may write a file in several steps; what counts is what it leaves.
const SETTLE: Duration = Duration::from_millis(200);
/// A folder in which something always changes must not keep a new configuration waiting.
const SETTLE_MAX: Duration = Duration::from_secs(2);
/// How often files are read although nobody told of a change: not every file system tells, and
/// what failed on the routes of one moment may not fail on those of another.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// How often a trial takes in the learned routes that changed while it ran before it is judged, where
/// the pipeline waits for what is left: each time there are fewer, unless peers never rest.
const CATCH_UPS_MAX: usize = 8;

/// Everything a reload may change.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    pub(super) overrides: Overrides,
    pub(super) in_force: InForce,
    /// What the agent was started with: some of it is only read then.
    pub(super) started_with: Arc<Config>,
    pub(super) engine: Engine,
    pub(super) sources: Arc<Sources>,
    pub(super) pipeline: PipelineHandle,
    pub(super) speaker: SpeakerHandle,
    pub(super) state: Arc<Mutex<ConfigState>>,
    pub(super) notices: Notices,
    /// Requests to let a change through.
    pub(super) approvals: mpsc::Receiver<Approval>,
    pub(super) considered: Considered,
    pub(super) following: Following,
}

/// What the agent runs with, as far as files say it.
pub(super) struct InForce {
    pub(super) text: String,
    pub(super) passwords: Passwords,
    pub(super) config: Arc<Config>,
    pub(super) chains: Chains,
}

/// What was looked at and needs no second look.
#[derive(Default)]
pub(super) struct Considered {
    /// Newer versions of modules that are not taken.
    refused: RefusedVersions,
    /// What there was to be read when all of it was last taken, held back, or found unusable.
    seen: Option<Fingerprint>,
    /// The files that the configuration named when it was last read, in force or not.
    named: Vec<PathBuf>,
}

/// A request to let the change of this id through.
pub(super) struct Approval {
    pub(super) id: String,
    /// What the change did, or why it is not in force.
    pub(super) answer: oneshot::Sender<Result<ChangeEffect, NotApproved>>,
}

/// Why a change was not let through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotApproved {
    /// There is nothing to approve.
    #[error("no change is held back: see `rutter status`")]
    NothingHeld,
    /// It is not the one asked for.
    #[error(
        "change {id} is not held back, but {held} is: see in `rutter status` what it would do \
         before you approve it"
    )]
    AnotherHeld { id: String, held: String },
    /// It was let through, and then refused.
    #[error("change {id} cannot be taken: {refusal}")]
    Refused { id: String, refusal: String },
}

/// Why the files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    /// Something in one of their folders changed, or a registry is to be asked again.
    Noticed,
    /// Time has passed: what failed on the routes of the node is tried again.
    Clock,
    /// SIGHUP: what was refused or held back is tried again, and registries are asked again.
    Demanded,
}

/// What came of a change.
enum Attempt {
    /// There is none.
    Nothing,
    Taken(ChangeEffect),
    Held,
}

/// What wakes the task.
enum Wake {
    Look(Trigger),
    Approve(Approval),
    /// Calico's resources say another thing, or a step of what they said is due.
    Follow,
}

impl Considered {
    /// What was looked at at the start.
    pub(super) fn at_start(refused: RefusedVersions) -> Self {
        Self {
            refused,
            ..Self::default()
        }
    }
}

impl Reloader {
    /// Watches the configuration and the files that it names until the process ends. `hangup`
    /// considers them again whether they changed or not.
    ///
    /// # Errors
    /// The folder of the configuration cannot be watched.
    pub(super) async fn run(mut self, mut hangup: Signal) -> anyhow::Result<()> {
        let (changed, mut changes) = mpsc::channel(1);
        let mut folders = Folders::of(&self.path, changed)?;
        let mut clock = interval_at(Instant::now() + LOOK_AGAIN, LOOK_AGAIN);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.doubt_stood_in();
        loop {
            folders.follow(self.files());
            // Cancel-safe: all only receive, or wait for a time.
            let wake = tokio::select! {
                Some(()) = changes.recv() => Wake::Look(Trigger::Noticed),
                Some(()) = hangup.recv() => Wake::Look(Trigger::Demanded),
                Some(approval) = self.approvals.recv() => Wake::Approve(approval),
                _ = clock.tick() => Wake::Look(Trigger::Clock),
                () = self.sources.retry_due() => Wake::Look(Trigger::Noticed),
                () = self.following.due() => Wake::Follow,
            };
            match wake {
                Wake::Look(trigger) => {
                    // A file that never comes to rest is read as it is.
                    let _ = tokio::time::timeout(SETTLE_MAX, settle(&mut changes)).await;
                    self.look(trigger).await;
                    match trigger {
                        // Time to look whether Secrets are what they were.
                        Trigger::Clock | Trigger::Demanded => {
                            self.follow(Refresh::AllSecrets).await;
                        }
                        Trigger::Noticed => {}
                    }
                }
                Wake::Follow => self.follow(Refresh::NewSecrets).await,
                Wake::Approve(Approval { id, answer }) => {
                    // Whoever asked may have given up waiting.
                    let _ = answer.send(self.approve(id).await);
                }
            }
        }
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let in_force = load::named_files(&self.in_force.config);
        let named = self.considered.named.iter().cloned();
        std::iter::once(self.path.clone())
            .chain(in_force)
            .chain(named)
    }

    /// Reads everything, and considers what differs from what was there when it last did.
    async fn look(&mut self, trigger: Trigger) {
        let asking = match trigger {
            Trigger::Noticed | Trigger::Clock => Asking::WhatIsNotKnown,
            Trigger::Demanded => Asking::Everything,
        };
        match self.read(asking).await {
            Ok(found) => {
                self.consider(&found, trigger).await;
                self.keep(&found).await;
                self.doubt_stood_in();
            }
            Err(refusal) => {
                self.considered.seen = None;
                self.refuse(&refusal);
            }
        }
    }

    /// Keeps the modules in force for the next start.
    async fn keep(&self, found: &Loaded) {
        let InForce { config, chains, .. } = &self.in_force;
        last::keep(&self.sources, config, chains, found).await;
    }

    /// Has sources asked again whose modules are of no use while something stands in for them.
    fn doubt_stood_in(&self) {
        let chains = &self.in_force.chains;
        let links = chains.links().filter(|(_, link)| link.stand_in.is_some());
        let modules: Vec<_> = links
            .map(|(_, link)| link.config.module.to_string())
            .collect();
        self.sources.doubt(&modules);
    }

    async fn read(&mut self, asking: Asking) -> anyhow::Result<Loaded> {
        let mut found = load::load(&self.path, &self.overrides, &self.sources, asking).await?;
        self.considered.named = load::named_files(&found.config).collect();
        let InForce {
            passwords, config, ..
        } = &self.in_force;
        found.passwords.keep(passwords, config)?;
        Ok(found)
    }

    async fn consider(&mut self, found: &Loaded, trigger: Trigger) {
        let refused = &mut self.considered.refused;
        let before = refused.len();
        match trigger {
            Trigger::Noticed => {}
            Trigger::Clock => refused.retain(|_, version| version.stage == RefusedAt::Loading),
            Trigger::Demanded => refused.clear(),
        }
        let again = trigger == Trigger::Demanded || refused.len() != before;
        let seen = Fingerprint::of(found);
        if !again && self.considered.seen.as_ref() == Some(&seen) {
            return;
        }
        // Failed for want of something that is not in the files, it is tried again next time.
        self.considered.seen = None;
        match self.attempt(found, Leave::Asked).await {
            Ok(Attempt::Nothing | Attempt::Taken(_) | Attempt::Held) => {
                self.considered.seen = Some(seen);
            }
            Err(refusal) => {
                if refusal.is::<LinkRefused>() {
                    self.considered.seen = Some(seen);
                }
                self.refuse(&refusal);
            }
        }
    }

    /// Lets the change that is held back through, if it is still there and is the one meant.
    async fn approve(&mut self, id: String) -> Result<ChangeEffect, NotApproved> {
        let refused = |id, refusal: &anyhow::Error| NotApproved::Refused {
            id,
            refusal: format!("{refusal:#}"),
        };
        let found = match self.read(Asking::WhatIsNotKnown).await {
            Ok(found) => found,
            Err(refusal) => {
                self.refuse(&refusal);
                return Err(refused(id, &refusal));
            }
        };
        // Should it have changed again, it is considered first, and has another id.
        self.consider(&found, Trigger::Noticed).await;
        let held = self.state.lock().expect("no holder panics").held.clone();
        let held = held.ok_or(NotApproved::NothingHeld)?;
        if held.id != id {
            return Err(NotApproved::AnotherHeld { id, held: held.id });
        }
        match self.attempt(&found, Leave::Granted).await {
            Ok(Attempt::Taken(effect)) => {
                self.keep(&found).await;
                info!(id, "a change that was held back is approved and in force");
                Ok(effect)
            }
            Ok(Attempt::Nothing | Attempt::Held) => Err(NotApproved::NothingHeld),
            Err(refusal) => {
                self.considered.seen = None;
                self.refuse(&refusal);
                Err(refused(id, &refusal))
            }
        }
    }

    /// The old configuration stays, and status says why. Nothing waits for approval any more: it
    /// is not what is there.
    fn refuse(&self, refusal: &anyhow::Error) {
        let text = format!("{refusal:#}");
        let mut state = self.state.lock().expect("no holder panics");
        state.held = None;
        if state.error.as_ref() != Some(&text) {
            error!("configuration refused, the old one stays: {text}");
            self.notices.tell(Notice::refused(refusal));
        }
        state.error = Some(text);
    }

    /// Compiles, tries and judges what was found, and puts it in force if it may be.
    async fn attempt(&mut self, found: &Loaded, leave: Leave) -> anyhow::Result<Attempt> {
        loop {
            let plans = self.plan(found).await?;
            let (chain, import_chain) = plans.changes(&self.in_force.chains);
            if chain.is_none() && import_chain.is_none() && self.is_in_force(found) {
                self.stays(plans);
                return Ok(Attempt::Nothing);
            }
            let (config, passwords) = self.over(&found.config, &found.passwords).await;
            let sample = import_chain.is_some() && self.in_force.config.import_policies.is_empty();
            let settings = Settings {
                config: Arc::clone(&config),
                passwords: passwords.clone(),
                chain,
                import_chain,
                stood_in: plans.stood_in(&self.in_force.chains),
            };
            let mut trial = self.pipeline.prepare(settings).await?;
            if sample {
                trial.sample(self.speaker.eligible().await?);
            }
            let mut tried = tokio::task::spawn_blocking(move || trial.run()).await?;
            for _ in 0..CATCH_UPS_MAX {
                let news = self.pipeline.import_news().await?;
                if news.is_empty() {
                    break;
                }
                let catch_up = move || {
                    tried.take_news(news);
                    tried
                };
                tried = tokio::task::spawn_blocking(catch_up).await?;
            }
            let (tried, judgement) = self.pipeline.judge(tried, leave).await?;
            match judgement {
                Judgement::Failing(failure) => {
                    let refused = plans.refuse(&failure, &self.in_force.chains);
                    // Without that version, the rest of the change may do.
                    let version = refused.ok_or_else(|| failure.clone())?;
                    let key = (failure.direction, failure.policy);
                    self.considered.refused.insert(key, version);
                }
                Judgement::Excessive(max_withdraw, effect) => {
                    self.hold(found, plans, max_withdraw, effect);
                    return Ok(Attempt::Held);
                }
                Judgement::Fit(effect) => {
                    let listen = config.bgp.listen.clone();
                    self.speaker.listen_on(listen).await.context("bgp.listen")?;
                    self.pipeline.adopt(tried).await?;
                    self.followed(config, passwords);
                    self.take(found, plans);
                    return Ok(Attempt::Taken(effect));
                }
            }
        }
    }

    /// The next chains.
    async fn plan(&self, found: &Loaded) -> anyhow::Result<Plans> {
        let (config, before) = (&found.config, &self.in_force.config);
        let Chains { exports, imports } = &self.in_force.chains;
        let (new, old) = (&config.policies, &before.policies);
        let exports = self.plan_chain(new, old, &found.modules.exports, exports);
        let (new, old) = (&config.import_policies, &before.import_policies);
        let imports = self.plan_chain(new, old, &found.modules.imports, imports);
        Ok(Plans {
            exports: exports.await?,
            imports: imports.await?,
        })
    }

    /// The next chain of one direction; nothing where the present one is to stay because the
    /// configured one could not be had at start and cannot be had now: the rest of the file must
    /// not wait for it.
    async fn plan_chain<P: Decider>(
        &self,
        new: &[PolicyLink],
        old: &[PolicyLink],
        modules: &[ReadModule],
        in_force: &links::InForce,
    ) -> anyhow::Result<Option<Plan<P>>> {
        let engine = self.engine.clone();
        let (links, modules) = (new.to_vec(), modules.to_vec());
        let (former, refused) = (in_force.to_vec(), self.considered.refused.clone());
        let plan = tokio::task::spawn_blocking(move || {
            let without = Without::Refused;
            Plan::make(&engine, &links, &modules, &former, &refused, without)
        });
        match plan.await? {
            Ok(plan) => Ok(Some(plan)),
            Err(_) if new == old && links::is_builtin_instead(in_force) => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }

    fn is_in_force(&self, found: &Loaded) -> bool {
        found.text == self.in_force.text && found.passwords == self.in_force.passwords
    }

    /// What was found is what runs, but for versions of modules that are not taken.
    fn stays(&mut self, plans: Plans) {
        let mut state = self.state.lock().expect("no holder panics");
        state.error = self.waits_for_restart(&self.in_force.config);
        if state.held.take().is_some() {
            info!("the change that was held back is gone: the files say what is in force");
        }
        drop(state);
        let refused = plans.refused();
        // The same modules; but what stood in may have turned out to be the one configured.
        plans.take_into(&mut self.in_force.chains);
        self.refuse_versions(refused);
    }

    /// Says once of each newer version that it is not taken.
    fn refuse_versions(&mut self, refused: RefusedVersions) {
        let chains = &self.in_force.chains;
        let mut state = self.state.lock().expect("no holder panics");
        for (direction, link) in chains.links() {
            let Some(version) = refused.get(&(direction, link.name().to_owned())) else {
                continue;
            };
            let known = state.chain(direction).modules.get(link.name());
            let known = known.and_then(|module| module.refused.as_ref());
            if known != Some(&version.reason) {
                let error = format!("{}; {}", version.reason, link.meanwhile(direction));
                warn!(policy = link.name(), "{error}");
                self.notices.tell(Notice::ModuleRefused { error });
            }
        }
        let Chains { exports, imports } = chains;
        for (direction, chain) in [(Direction::Export, exports), (Direction::Import, imports)] {
            state.chain(direction).modules = state::modules(direction, chain, &refused);
        }
        self.considered.refused = refused;
    }

    /// What was found is in force.
    fn take(&mut self, found: &Loaded, plans: Plans) {
        let is_new = !self.is_in_force(found);
        if is_new {
            load::log_warnings(&found.config, &found.passwords);
        }
        let mut state = self.state.lock().expect("no holder panics");
        if is_new {
            state.loaded_at = clock::unix_time();
        }
        state.error = self.waits_for_restart(&found.config);
        state.held = None;
        if plans.exports.is_some() {
            state.exports.error = None;
        }
        if plans.imports.is_some() {
            state.imports.error = None;
        }
        drop(state);
        if is_new {
            info!(path = %self.path.display(), "configuration reloaded");
        } else {
            info!("policy modules reloaded");
        }
        self.notices.tell(Notice::ConfigurationReloaded);
        self.in_force.text.clone_from(&found.text);
        self.in_force.passwords.clone_from(&found.passwords);
        self.in_force.config = Arc::clone(&found.config);
        let refused = plans.refused();
        plans.take_into(&mut self.in_force.chains);
        self.refuse_versions(refused);
    }

    /// What was found would withdraw too much: it waits for an operator.
    fn hold(
        &mut self,
        found: &Loaded,
        plans: Plans,
        max_withdraw: MaxWithdraw,
        effect: ChangeEffect,
    ) {
        let held = HeldChange {
            id: Fingerprint::of(found).id(),
            held_at: clock::unix_time(),
            parts: self.parts(found, &plans),
            max_withdraw: max_withdraw.to_string(),
            effect,
        };
        let mut state = self.state.lock().expect("no holder panics");
        state.error = None;
        if state.held.as_ref().map(|held| &held.id) != Some(&held.id) {
            let notice = Notice::held(&held);
            warn!(?notice, "too much would be withdrawn");
            self.notices.tell(notice);
        }
        state.held = Some(held);
        drop(state);
        self.refuse_versions(plans.refused());
    }

    /// What of the files is another than that in force.
    fn parts(&self, found: &Loaded, plans: &Plans) -> Vec<String> {
        let mut parts = Vec::new();
        if found.text != self.in_force.text {
            parts.push(format!("configuration {}", self.path.display()));
        }
        if found.passwords != self.in_force.passwords {
            parts.push("keys of peers".to_owned());
        }
        parts.extend(plans.parts(&self.in_force.chains));
        parts
    }

    fn waits_for_restart(&self, config: &Config) -> Option<String> {
        let waits = self.started_with.restart_needed(config);
        (!waits.is_empty())
            .then(|| format!("restart the agent to use the new {}", waits.join(", ")))
    }
}

/// Waits until nothing has changed for a moment.
async fn settle(changes: &mut mpsc::Receiver<()>) {
    while let Ok(Some(())) = tokio::time::timeout(SETTLE, changes.recv()).await {}
}

#[cfg(test)]
mod tests;
