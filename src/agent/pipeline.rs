//! From facts to export decisions: one thread that owns the index, the candidates and the policy
//! chain, and feeds the speaker.
//!
//! A thread of its own because a policy may compute for as long as its limits let it; the
//! speaker's KEEPALIVEs do not wait for it. Events that came in while it was busy are taken
//! together: however many Services change in one moment, each is evaluated once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::clock;
use super::driver::{SpeakerHandle, SpeakerStopped};
use super::peering::{NoRouterId, Passwords, Peering};
use crate::candidates::Candidates;
use crate::config::Config;
use crate::facts::{ClusterChange, ClusterView};
use crate::kube::{Index, Outcome, Source, SourceEvent};
use crate::policy::{ExportChange, Exports, Link};
use crate::speaker::{Input, SpeakerConfig};
use crate::types::{GroupId, RouterId};

/// Questions and configurations waiting; both are rare.
const ORDERS_MAX: usize = 16;
/// How many events are taken together before their consequences are worked out.
const BATCH_EVENTS_MAX: usize = 4096;

/// A question to the pipeline, answered between two batches.
type Question = Box<dyn FnOnce(&Pipeline) + Send>;

enum Order {
    Configure(Settings),
    Ask(Question),
}

/// A configuration with everything that had to be read or compiled for it.
pub(super) struct Settings {
    /// As parsed.
    pub(super) config: Arc<Config>,
    /// The peers' keys.
    pub(super) passwords: Passwords,
    /// The policy chain; `None` keeps the one that runs.
    pub(super) chain: Option<Vec<Link>>,
}

/// How the rest of the agent reaches the pipeline.
#[derive(Clone)]
pub(super) struct PipelineHandle {
    orders: mpsc::Sender<Order>,
}

/// The pipeline's thread is gone: the process is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the route pipeline has stopped")]
pub(super) struct PipelineStopped;

impl PipelineHandle {
    /// Takes another configuration into use.
    pub(super) async fn configure(&self, settings: Settings) -> Result<(), PipelineStopped> {
        self.orders
            .send(Order::Configure(settings))
            .await
            .map_err(|_| PipelineStopped)
    }

    /// Asks something about the pipeline's state.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Pipeline) -> T + Send + 'static,
    ) -> Result<T, PipelineStopped> {
        let (answer, answered) = oneshot::channel();
        let ask = Order::Ask(Box::new(move |pipeline| {
            // Whoever asked may have given up waiting.
            let _ = answer.send(question(pipeline));
        }));
        self.orders.send(ask).await.map_err(|_| PipelineStopped)?;
        answered.await.map_err(|_| PipelineStopped)
    }
}

/// Everything between the facts and the speaker.
pub(super) struct Pipeline {
    pub(super) config: Arc<Config>,
    pub(super) index: Index,
    pub(super) candidates: Candidates,
    pub(super) exports: Exports,
    pub(super) peering: Peering,
    /// What keeps sessions from being configured.
    pub(super) no_router_id: Option<NoRouterId>,
    /// Changes that policies were asked about, and how long they took.
    pub(super) evaluations: u64,
    pub(super) evaluation_time: Duration,
    stage: Stage,
    passwords: Passwords,
    /// What the speaker was last told.
    speaker_config: Option<SpeakerConfig>,
    speaker: SpeakerHandle,
}

/// Whether the facts are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Some kind was never listed to its end: nothing is decided yet.
    Gathering,
    /// Everything was seen once. There is no way back: losing the source keeps its last state.
    Announcing,
}

impl Pipeline {
    /// Starts the thread. It ends when the speaker or the last handle has.
    pub(super) fn spawn(
        node_name: &str,
        settings: Settings,
        speaker: SpeakerHandle,
        source: Source,
    ) -> std::io::Result<PipelineHandle> {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let mut pipeline = Self {
            candidates: Candidates::new(settings.config.advertise.clone()),
            exports: Exports::new(settings.config.bgp.asn),
            config: Arc::clone(&settings.config),
            index: Index::new(node_name),
            peering: Peering::default(),
            no_router_id: None,
            evaluations: 0,
            evaluation_time: Duration::ZERO,
            stage: Stage::Gathering,
            passwords: Passwords::new(),
            speaker_config: None,
            speaker,
        };
        let runtime = Handle::current();
        std::thread::Builder::new()
            .name("pipeline".to_owned())
            .spawn(move || {
                let outcome = pipeline
                    .configure(settings)
                    .and_then(|()| pipeline.run(&runtime, source, inbox));
                if let Err(SpeakerStopped) = outcome {
                    info!("the route pipeline ends with the speaker");
                }
            })?;
        Ok(PipelineHandle { orders })
    }

    /// Our BGP Identifier, once it is known.
    pub(super) fn router_id(&self) -> Option<RouterId> {
        self.speaker_config.as_ref().map(|config| config.router_id)
    }

    /// What is still missing before anything may be announced.
    pub(super) fn waiting_for(&self) -> Option<String> {
        if let Some(missing) = self.index.waiting_for() {
            return Some(missing.to_string());
        }
        if self.index.view().node.is_none() {
            return Some(
                "the own Node (there is none of that name: is NODE_NAME right?)".to_owned(),
            );
        }
        self.no_router_id.map(|missing| missing.to_string())
    }

    fn run(
        &mut self,
        runtime: &Handle,
        mut source: Source,
        mut orders: mpsc::Receiver<Order>,
    ) -> Result<(), SpeakerStopped> {
        let mut source_alive = true;
        loop {
            let events = &mut source.events;
            let retry_at = self.exports.retry_at();
            let next = runtime.block_on(wait(events, &mut orders, retry_at, source_alive));
            match next {
                Next::Events(first) => {
                    let mut changes = Vec::new();
                    self.take(first, &mut changes);
                    for _ in 1..BATCH_EVENTS_MAX {
                        let Ok(event) = events.try_recv() else { break };
                        self.take(event, &mut changes);
                    }
                    changes.sort_unstable();
                    changes.dedup();
                    self.on_changes(&changes)?;
                }
                Next::SourceEnded => {
                    error!("the source of facts has ended; what is announced stays");
                    source_alive = false;
                }
                Next::Order(Order::Configure(settings)) => self.configure(settings)?,
                Next::Order(Order::Ask(question)) => question(self),
                Next::Retry => self.evaluate(Exports::retry)?,
                Next::Ended => return Ok(()),
            }
        }
    }

    fn take(&mut self, event: SourceEvent, changes: &mut Vec<ClusterChange>) {
        let Outcome {
            changes: new,
            malformed,
        } = self.index.handle(event);
        for what in malformed {
            warn!(object = %what.object, what = what.what, "part of an object is not usable");
        }
        changes.extend(new);
    }

    fn on_changes(&mut self, changes: &[ClusterChange]) -> Result<(), SpeakerStopped> {
        if changes.contains(&ClusterChange::Node) {
            self.configure_speaker()?;
        }
        if self.stage == Stage::Gathering {
            if self.index.waiting_for().is_some() {
                return Ok(());
            }
            return self.start_announcing();
        }
        if changes.is_empty() {
            return Ok(());
        }
        let candidates = self.candidates.apply(self.index.view(), changes);
        let node = self.index.view().node.clone();
        self.evaluate(move |exports, now| exports.update(now, node, candidates))
    }

    /// The facts are complete for the first time.
    fn start_announcing(&mut self) -> Result<(), SpeakerStopped> {
        let view = self.index.view();
        let changes: Vec<_> = everything(view);
        let candidates = self.candidates.apply(view, &changes);
        let node = view.node.clone();
        info!(
            services = view.services.len(),
            candidates = candidates.len(),
            "everything was seen once: announcing"
        );
        self.stage = Stage::Announcing;
        self.evaluate(move |exports, now| exports.update(now, node, candidates))?;
        self.speaker.blocking_feed(Input::ExportsComplete)
    }

    fn configure(&mut self, settings: Settings) -> Result<(), SpeakerStopped> {
        let Settings {
            config,
            passwords,
            chain,
        } = settings;
        self.config = config;
        self.passwords = passwords;
        // New peers are configured before their routes are decided; those of peers that are gone
        // go with them.
        self.configure_speaker()?;
        let groups = self.peering.groups(&self.config);
        let asn = self.config.bgp.asn;
        self.evaluate(move |exports, now| exports.set_asn(now, asn))?;
        self.evaluate(move |exports, now| exports.set_groups(now, groups))?;
        if let Some(chain) = chain {
            self.evaluate(move |exports, now| exports.replace_chain(now, chain))?;
        }
        let advertise = self.config.advertise.clone();
        let candidates = self.candidates.configure(advertise, self.index.view());
        if self.stage == Stage::Gathering || candidates.is_empty() {
            return Ok(());
        }
        let node = self.index.view().node.clone();
        self.evaluate(move |exports, now| exports.update(now, node, candidates))
    }

    /// Tells the speaker what it should be, if that has changed.
    fn configure_speaker(&mut self) -> Result<(), SpeakerStopped> {
        let node = self.index.view().node.as_deref();
        match self
            .peering
            .speaker_config(&self.config, &self.passwords, node)
        {
            Ok(config) => {
                self.no_router_id = None;
                if self.speaker_config.as_ref() != Some(&config) {
                    self.speaker_config = Some(config.clone());
                    self.speaker.blocking_feed(Input::Configure(config))?;
                }
            }
            Err(missing) => self.no_router_id = Some(missing),
        }
        Ok(())
    }

    /// Lets the policies decide about something, and the speaker know what came of it.
    fn evaluate(
        &mut self,
        step: impl FnOnce(&mut Exports, Instant) -> Vec<ExportChange>,
    ) -> Result<(), SpeakerStopped> {
        let failures = self.failures();
        let start = clock::now();
        let changes = step(&mut self.exports, start);
        self.evaluations += 1;
        self.evaluation_time += clock::now().duration_since(start);
        self.log_failures(&failures);
        let mut by_group: BTreeMap<GroupId, Vec<_>> = BTreeMap::new();
        for ExportChange {
            group,
            prefix,
            attributes,
        } in changes
        {
            by_group
                .entry(group)
                .or_default()
                .push((prefix, attributes));
        }
        for (group, changes) in by_group {
            self.speaker
                .blocking_feed(Input::Export { group, changes })?;
        }
        Ok(())
    }

    fn failures(&self) -> BTreeMap<String, String> {
        let links = self
            .exports
            .links()
            .filter_map(|link| Some((link.name.to_owned(), link.error?.to_string())));
        links.collect()
    }

    /// Once when a policy begins to fail, or fails in another way, and once when it is well.
    fn log_failures(&self, before: &BTreeMap<String, String>) {
        let after = self.failures();
        for (policy, error) in &after {
            if before.get(policy) != Some(error) {
                warn!(
                    policy,
                    error, "policy failing; see on-error for what its routes do"
                );
            }
        }
        for policy in before.keys().filter(|policy| !after.contains_key(*policy)) {
            info!(policy, "policy well again");
        }
    }
}

fn everything(view: &ClusterView) -> Vec<ClusterChange> {
    let services = view.services.keys().cloned().map(ClusterChange::Service);
    std::iter::once(ClusterChange::Node)
        .chain(services)
        .collect()
}

enum Next {
    Events(SourceEvent),
    SourceEnded,
    Order(Order),
    Retry,
    Ended,
}

/// What happens next. Orders go first: they are few, and somebody waits for the answer.
async fn wait(
    events: &mut mpsc::Receiver<SourceEvent>,
    orders: &mut mpsc::Receiver<Order>,
    retry_at: Option<Instant>,
    source_alive: bool,
) -> Next {
    let retry = async {
        match retry_at {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    };
    // Cancel-safe: receiving from a channel loses nothing when dropped.
    tokio::select! {
        biased;
        order = orders.recv() => order.map_or(Next::Ended, Next::Order),
        () = retry => Next::Retry,
        event = events.recv(), if source_alive => event.map_or(Next::SourceEnded, Next::Events),
    }
}
