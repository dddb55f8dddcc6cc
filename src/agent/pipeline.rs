//! From facts to export decisions: the index, the candidates and the policy chain, and what comes
//! of them for the speaker. And from learned routes to what becomes of them, by a chain of its own.
//!
//! [`Pipeline`] takes events and configurations, and gives the inputs that the speaker is to have,
//! in order. It knows neither threads nor queues; [`runner`] is the thread that owns it.

mod effect;
mod imports;
mod own;
mod piece;
mod pulse;
mod runner;
mod stood_in;
#[cfg(test)]
mod tests;
mod trial;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tracing::{info, warn};

use super::clock;
use super::decider::Importing;
use super::events::Notice;
use super::meters::{Meters, Work};
use super::peering::{Passwords, Peering};
use super::resources::Said;
use super::router_id::OwnRouterId;
use crate::api::Withheld;
use crate::candidates::{CandidateChange, Candidates};
use crate::config::{CalicoResources, Config};
use crate::facts::{ClusterChange, ClusterView, ServiceKey};
use crate::kube::{Index, Outcome, SourceEvent};
use crate::policy::{Clock, Directed, Direction, ExportChange, Exports, NextLink, Table};
use crate::speaker::{Input, SpeakerConfig};
use crate::types::{GroupId, Prefix, RouteAttributes};
use own::Touched;

use imports::ImportSide;
pub(super) use runner::{PipelineHandle, spawn};
pub(super) use stood_in::StoodIn;
use trial::{Journal, Trial, Tried};
pub(super) use trial::{Judgement, Leave, TrialFailure};
use waiting::{News, Waiting};

/// A configuration with everything that had to be read or compiled for it.
pub(super) struct Settings {
    /// As parsed.
    pub(super) config: Arc<Config>,
    /// The peers' keys.
    pub(super) passwords: Passwords,
    /// The policy chain; `None` keeps the one that runs.
    pub(super) chain: Option<Vec<NextLink>>,
    /// The same for learned routes; with an empty one, all that may be used are.
    pub(super) import_chain: Option<Vec<NextLink<Importing>>>,
    /// What stands in for policies at present, and would not any more.
    pub(super) stood_in: Vec<StoodIn>,
}

/// Everything between the facts and the speaker.
pub(super) struct Pipeline {
    pub(super) config: Arc<Config>,
    pub(super) index: Index,
    pub(super) candidates: Candidates,
    pub(super) exports: Exports,
    pub(super) import_side: ImportSide,
    pub(super) peering: Peering,
    /// Our BGP Identifier, once it is known.
    pub(super) router_id: Option<OwnRouterId>,
    /// What the chain's policies cost.
    pub(super) meters: Meters,
    pub(super) work: Work,
    /// Whether facts still come.
    pub(super) source: SourceState,
    /// What came to pass and nobody was told yet.
    pub(super) notices: Vec<Notice>,
    waiting: Waiting,
    /// What of the node keeps routes for Services back, as far as it was logged.
    pub(super) told_withheld: Option<Withheld>,
    /// What the facts do while a configuration is tried.
    journal: Option<Journal>,
    stage: Stage,
    passwords: Passwords,
    /// Whether Calico's resources may mean another thing than was told.
    resources_changed: bool,
    /// Of the node's own prefixes, what may have changed since that was told.
    touched: Touched,
    /// What the speaker was last told.
    speaker_config: Option<SpeakerConfig>,
}

/// Whether facts still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceState {
    Alive,
    /// It died of a fault: what is announced stays, and nothing new is learned.
    Ended,
}

/// Whether the facts are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Some kind was never listed to its end: nothing is decided yet.
    Gathering,
    /// Everything was seen once. There is no way back: losing the source keeps its last state.
    Announcing,
}

/// How policies fail.
#[derive(Default)]
struct Failures {
    /// As a whole, by direction and name.
    failing: BTreeMap<(Direction, String), String>,
    /// On single routes, by direction, name and what they are of.
    held: BTreeMap<(Direction, String, String), Held>,
}

/// How a policy fails on a route.
struct Held {
    /// Whose it is.
    service: Option<ServiceKey>,
    error: String,
}

impl Failures {
    fn add<P: Directed>(&mut self, table: &Table<P>) {
        let direction = P::DIRECTION;
        for link in table.links() {
            if let Some(error) = link.error {
                let key = (direction, link.name.to_owned());
                self.failing.insert(key, error.to_string());
            }
        }
        for held in table.held() {
            let key = (direction, held.policy.to_owned(), held.subject());
            self.held.entry(key).or_insert_with(|| Held {
                service: P::service(held.key).cloned(),
                error: held.error.to_string(),
            });
        }
    }
}

/// What came of one or more rounds: by group and prefix, the newest decision.
///
/// The speaker is given the sum of a configuration's rounds only: a route that one of them takes
/// away and the next brings back must not flap.
#[derive(Default)]
struct Decisions(BTreeMap<GroupId, BTreeMap<Prefix, Option<Arc<RouteAttributes>>>>);

impl Decisions {
    fn add(&mut self, changes: Vec<ExportChange>) {
        for ExportChange {
            group,
            prefix,
            attributes,
        } in changes
        {
            let group = self.0.entry(group).or_default();
            group.insert(prefix, attributes);
        }
    }

    fn into_inputs(self) -> impl Iterator<Item = Input> {
        self.0.into_iter().map(|(group, changes)| Input::Export {
            group,
            changes: changes.into_iter().collect(),
        })
    }
}

impl Pipeline {
    /// Knows nothing yet; [`Self::configure`] comes first.
    pub(super) fn new(node_name: &str, config: &Arc<Config>) -> Self {
        let mut exports = Exports::new(config.bgp.asn);
        exports.set_clock(Clock::new(clock::now));
        Self {
            candidates: Candidates::new(config.advertise.clone()),
            exports,
            import_side: ImportSide::new(config),
            config: Arc::clone(config),
            index: Index::new(node_name),
            peering: Peering::default(),
            router_id: None,
            meters: Meters::default(),
            work: Work::default(),
            source: SourceState::Alive,
            notices: Vec::new(),
            waiting: Waiting::default(),
            told_withheld: None,
            journal: None,
            stage: Stage::Gathering,
            resources_changed: true,
            touched: Touched::default(),
            passwords: Passwords::default(),
            speaker_config: None,
        }
    }

    /// What is still missing before anything may be announced.
    pub(super) fn waiting_for(&self) -> Option<String> {
        if let Some(missing) = self.index.waiting_for() {
            return Some(missing.to_string());
        }
        self.index
            .view()
            .node
            .is_none()
            .then(|| "the own Node (there is none of that name: is NODE_NAME right?)".to_owned())
    }

    /// What is wrong with the peers' keys.
    pub(super) fn key_warnings(&self) -> impl Iterator<Item = String> {
        self.passwords.warnings()
    }

    /// Logs what is waited for, once when that changes and once when it is over.
    pub(super) fn log_waiting(&mut self) {
        match self.waiting.step(self.waiting_for()) {
            Some(News::WaitingFor(what)) => info!("waiting for {what}"),
            Some(News::Over) => info!("ready: nothing more is waited for"),
            None => {}
        }
    }

    /// Takes events as one step, and gives what the speaker is to have, in order.
    pub(super) fn on_events(
        &mut self,
        events: impl IntoIterator<Item = SourceEvent>,
    ) -> Vec<Input> {
        let mut changes = Vec::new();
        for event in events {
            let Outcome {
                changes: new,
                malformed,
            } = self.index.handle(event);
            for what in malformed {
                warn!(object = %what.object, what = what.what, "part of an object is not usable");
            }
            changes.extend(new);
        }
        changes.sort_unstable();
        changes.dedup();
        self.on_changes(&changes)
    }

    fn on_changes(&mut self, changes: &[ClusterChange]) -> Vec<Input> {
        let mut inputs = Vec::new();
        self.resources_changed |= changes.contains(&ClusterChange::Peerings);
        if changes.contains(&ClusterChange::Node) {
            self.touched = Touched::All;
            inputs.extend(self.configure_speaker());
            inputs.extend(self.update_import_node());
        }
        if self.stage == Stage::Gathering {
            if self.index.waiting_for().is_none() {
                inputs.extend(self.start_announcing());
            }
            return inputs;
        }
        if changes.is_empty() {
            return inputs;
        }
        let candidates = self.candidates.apply(self.index.view(), changes);
        self.note(changes);
        inputs.extend(self.update(candidates).into_inputs());
        inputs
    }

    /// The facts are complete for the first time.
    fn start_announcing(&mut self) -> Vec<Input> {
        let view = self.index.view();
        let changes: Vec<_> = everything(view);
        let candidates = self.candidates.apply(view, &changes);
        info!(
            services = view.services.len(),
            candidates = candidates.len(),
            "everything was seen once: announcing"
        );
        self.note(&changes);
        self.stage = Stage::Announcing;
        let mut inputs: Vec<_> = self.update(candidates).into_inputs().collect();
        inputs.push(Input::ExportsComplete);
        inputs
    }

    /// Remembers a step of the view for a configuration that is being tried.
    fn note(&mut self, changes: &[ClusterChange]) {
        if let Some(journal) = &mut self.journal {
            journal.note(changes);
        }
    }

    /// Asks failing policies again, and gives what the speaker is to have.
    pub(super) fn retry(&mut self) -> Vec<Input> {
        let decisions = self.evaluate(Exports::retry);
        let imports = self.retry_imports();
        decisions.into_inputs().chain(imports).collect()
    }

    /// What Calico's resources mean, if that may have changed; nothing before all was seen once.
    pub(super) fn resources_news(&mut self) -> Option<Said> {
        let is_watched = self.config.calico.resources.is_watched();
        if !is_watched || !self.resources_changed || self.index.waiting_for().is_some() {
            return None;
        }
        self.resources_changed = false;
        Some(Said::of(self.index.resources(), self.index.node_name()))
    }

    /// What the speaker should be, if that has changed. Nothing while somebody else has yet to say
    /// whom it peers with, and as whom.
    fn configure_speaker(&mut self) -> Option<Input> {
        if self.config.calico.resources == CalicoResources::Awaited {
            return None;
        }
        let node = self.index.view().node.as_deref();
        let own = self.peering.router_id(&self.config, node)?;
        let config = self
            .peering
            .speaker_config(&self.config, &self.passwords, node, own.id);
        self.take_router_id(own);
        let learning = self.import_side.learning;
        let config = SpeakerConfig { learning, ..config };
        if self.speaker_config.as_ref() == Some(&config) {
            return None;
        }
        self.speaker_config = Some(config.clone());
        Some(Input::Configure(config))
    }

    fn take_router_id(&mut self, own: OwnRouterId) {
        if self.router_id.as_ref() == Some(&own) {
            return;
        }
        if let Some(problem) = &own.problem {
            warn!("{problem}");
        }
        info!(router_id = %own.id, origin = %own.origin, "our BGP Identifier");
        self.router_id = Some(own);
    }

    fn update(&mut self, candidates: Vec<CandidateChange>) -> Decisions {
        let addresses = self.candidates.take_answered_changes();
        self.touched.add(&candidates, addresses);
        let node = self.index.view().node.clone();
        self.evaluate(|exports, now| exports.update(now, node, candidates))
    }

    fn evaluate(
        &mut self,
        step: impl FnOnce(&mut Exports, Instant) -> Vec<ExportChange>,
    ) -> Decisions {
        let mut decisions = Decisions::default();
        decisions.add(self.round(step));
        decisions
    }

    /// Lets the policies decide about something.
    fn round(
        &mut self,
        step: impl FnOnce(&mut Exports, Instant) -> Vec<ExportChange>,
    ) -> Vec<ExportChange> {
        let failures = self.failures();
        let changes = self
            .work
            .round(&mut self.exports, Exports::asked, |exports| {
                step(exports, clock::now())
            });
        self.log_failures(&failures);
        changes
    }

    fn failures(&self) -> Failures {
        let mut failures = Failures::default();
        failures.add(&self.exports);
        failures.add(&self.import_side.imports);
        failures
    }

    /// Once when a policy begins to fail, or fails in another way, and once when it is well.
    fn log_failures(&mut self, before: &Failures) {
        let after = self.failures();
        self.log_held(&before.held, after.held);
        let (before, after) = (&before.failing, after.failing);
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            let (direction, policy) = key.clone();
            info!(policy, "{} well again", direction.noun());
            self.notices
                .push(Notice::PolicyRecovered { direction, policy });
        }
        for (key, error) in after {
            if before.get(&key) != Some(&error) {
                let (direction, policy) = key;
                warn!(
                    policy,
                    error,
                    "{} failing; see on-error for what its routes do",
                    direction.noun()
                );
                self.notices.push(Notice::PolicyFailing {
                    direction,
                    policy,
                    error,
                });
            }
        }
    }
}

impl Pipeline {
    /// Once when a policy begins to fail on a route, and once when it decides about it again.
    fn log_held(
        &mut self,
        before: &BTreeMap<(Direction, String, String), Held>,
        after: BTreeMap<(Direction, String, String), Held>,
    ) {
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            let (direction, policy, subject) = key;
            let noun = direction.noun();
            info!(policy, subject, "{noun} no longer failing on a route");
        }
        for (key, Held { service, error }) in after {
            if before.contains_key(&key) {
                continue;
            }
            let (direction, policy, subject) = key;
            warn!(
                policy,
                subject,
                error,
                "{} failing on a route; see on-error for what that does",
                direction.noun()
            );
            self.notices.push(Notice::RouteHeld {
                direction,
                policy,
                subject,
                service,
                error,
            });
        }
    }
}

fn everything(view: &ClusterView) -> Vec<ClusterChange> {
    let services = view.services.keys().cloned().map(ClusterChange::Service);
    std::iter::once(ClusterChange::Node)
        .chain(services)
        .collect()
}
