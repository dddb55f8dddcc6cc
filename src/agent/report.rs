//! Reports: what the API tells, put together from the pipeline, the speaker and the source.
//!
//! Each owner is asked for its part between two of its steps; nothing is kept here. The parts of
//! one report may be a moment apart. What there is to tell of candidates is in
//! [`routes`](super::routes), of learned routes in [`received`], of policies in [`policy_status`].

mod sessions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};

use super::clock;
use super::driver::SpeakerHandle;
use super::events::Notices;
use super::fib::KernelRoutes;
use super::lost_lines::LostLines;
use super::metrics::{Load, Scrape};
use super::peer_faults;
use super::peering::peer_kind;
use super::pipeline::{Pipeline, PipelineHandle, SourceState};
use super::policy_status;
use super::received;
use super::record::{ImportRecording, LearnedRoutes, Recording};
use super::reload::{Approval, NotApproved};
use super::service_routes;
use super::sources::Sources;
use super::state::ConfigState;
use crate::api::{
    ChangeEffect, ConfigStatus, PeerStatus, Readiness, ShadowReport, SourceStatus, Status,
};
use crate::bgp::SessionState;
use crate::cases::Document;
use crate::config::{Config, Source};
use crate::kube::Health;
use crate::policy::{FailureCounts, LinkStatus};
use crate::speaker::{PeerView, Speaker};
use crate::types::{GroupId, PeerId};
use crate::wasm::Engine;

/// Whom to ask for what.
pub(super) struct Reporter {
    pub(super) node: String,
    /// In seconds since 1970.
    pub(super) started_at: u64,
    pub(super) speaker: SpeakerHandle,
    pub(super) pipeline: PipelineHandle,
    pub(super) health: Health,
    /// Compiles the modules.
    pub(super) engine: Engine,
    /// Obtains the modules.
    pub(super) sources: Arc<Sources>,
    pub(super) state: Arc<Mutex<ConfigState>>,
    pub(super) notices: Notices,
    /// Learned routes in the kernel, where they are put there.
    pub(super) kernel: Option<KernelRoutes>,
    /// Where to ask for a change to be let through.
    pub(super) approve: mpsc::Sender<Approval>,
    pub(super) lost_lines: LostLines,
}

impl Reporter {
    /// Whether the agent's own parts are alive. It depends on no session and no API server, and
    /// waits for no policy: ending a slow agent would end its sessions, too.
    ///
    /// # Errors
    /// The part that is stuck or gone.
    pub(super) async fn alive(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.pipeline.is_stuck(), "the route pipeline is stuck");
        self.speaker.ask(|_| ()).await?;
        Ok(())
    }

    /// `/v1/status`.
    pub(super) async fn status(&self) -> anyhow::Result<Status> {
        Ok(self.scrape().await?.status)
    }

    /// Everything `/metrics` tells.
    pub(super) async fn scrape(&self) -> anyhow::Result<Scrape> {
        let views = self.speaker.ask(peer_views).await?;
        let config_state = self.state.lock().expect("no holder panics").clone();
        let source_error = self.health.error();
        let (node, started_at) = (self.node.clone(), self.started_at);
        let events = self.notices.counts();
        let refused = self.speaker.refused().collect();
        let log_lines_dropped = self.lost_lines.count();
        let mut warnings = self.sources.warnings();
        warnings.extend(self.engine.cache_fault());
        let shadows = self.pipeline.shadows().clone();
        let kernel = self.kernel.as_ref().map(KernelRoutes::status);
        let scrape = self
            .pipeline
            .ask(move |pipeline| {
                warnings.extend(pipeline.key_warnings());
                let config = &pipeline.config;
                let own = pipeline.router_id.as_ref();
                let source = SourceStatus {
                    kind: source_kind(config).to_owned(),
                    error: source_error_of(pipeline, source_error),
                    services: count(pipeline.index.view().services.len()),
                };
                let (exports, imports) = (&pipeline.exports, &pipeline.import_side.imports);
                let policies = policy_status::all(exports, &shadows.exports, &config_state.exports);
                let import_policies =
                    policy_status::all(imports, &shadows.imports, &config_state.imports);
                let held = config_state.held.clone();
                let closed = config_state.closed();
                let status = Status {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    node,
                    asn: config.bgp.asn,
                    router_id: own.map(|own| own.id),
                    router_id_origin: own.map(|own| own.origin),
                    router_id_problem: own.and_then(|own| own.problem.clone()),
                    started_at,
                    readiness: readiness(pipeline, closed),
                    source,
                    config: config_status(config_state, warnings),
                    policies,
                    import_policies,
                    service_routes: service_routes::of(pipeline),
                    peers: peers(pipeline, &views),
                    kernel,
                    held,
                };
                Scrape {
                    status,
                    candidates: count(pipeline.exports.candidates().count()),
                    learned: received::counts(pipeline),
                    exports: Load {
                        work: pipeline.work,
                        measured: pipeline.meters.measured(),
                        failures: failures(exports.links()),
                    },
                    imports: Load {
                        work: pipeline.import_side.work,
                        measured: pipeline.import_side.meters.measured(),
                        failures: failures(imports.links()),
                    },
                    events,
                    refused,
                    log_lines_dropped,
                }
            })
            .await?;
        Ok(scrape)
    }

    /// `/v1/policy/approve`.
    ///
    /// # Errors
    /// The reload task is gone: the process is ending.
    pub(super) async fn approve(
        &self,
        id: String,
    ) -> anyhow::Result<Result<ChangeEffect, NotApproved>> {
        let (answer, answered) = oneshot::channel();
        let ended = "the reload task has ended";
        self.approve
            .send(Approval { id, answer })
            .await
            .context(ended)?;
        answered.await.context(ended)
    }

    /// The peers' names, in the configuration's order.
    pub(super) async fn peer_names(&self) -> anyhow::Result<Vec<String>> {
        let names = |pipeline: &Pipeline| {
            pipeline
                .config
                .peers
                .iter()
                .map(|peer| peer.name.clone())
                .collect()
        };
        Ok(self.pipeline.ask(names).await?)
    }

    /// `/v1/policy/shadow`.
    pub(super) async fn shadow(&self) -> anyhow::Result<ShadowReport> {
        let peers = self.pipeline.ask(peers_by_group).await?;
        Ok(self.pipeline.shadows().report(peers).await?)
    }

    /// `/v1/policy/batch`; nothing while there is nothing to ask policies about.
    pub(super) async fn policy_batch(
        &self,
        learned: LearnedRoutes,
    ) -> anyhow::Result<Option<Document>> {
        let Some(recording) = self.pipeline.ask(Recording::of).await? else {
            return Ok(None);
        };
        let mut document = recording.into_document();
        match learned {
            LearnedRoutes::Unwanted => {}
            LearnedRoutes::Wanted => {
                let imports = self.pipeline.ask(ImportRecording::of).await?;
                let routes = self.speaker.eligible().await?;
                imports.write(routes, &mut document);
            }
        }
        Ok(Some(document))
    }
}

/// How often each policy has failed.
fn failures<'l>(links: impl Iterator<Item = LinkStatus<'l>>) -> BTreeMap<String, FailureCounts> {
    links
        .map(|link| (link.name.to_owned(), link.failures.clone()))
        .collect()
}

fn readiness(pipeline: &Pipeline, closed: Option<String>) -> Readiness {
    match (pipeline.waiting_for(), closed) {
        (Some(waiting_for), _) => Readiness::Waiting { waiting_for },
        (None, Some(reason)) => Readiness::Closed { reason },
        (None, None) => Readiness::Ready,
    }
}

/// What is wrong with the source. One that has ended says nothing about itself any more.
fn source_error_of(pipeline: &Pipeline, said: Option<String>) -> Option<String> {
    match pipeline.source {
        SourceState::Alive => said,
        SourceState::Ended => {
            Some("it has ended: nothing new is learned; restart the agent".to_owned())
        }
    }
}

fn source_kind(config: &Config) -> &'static str {
    match config.source {
        Source::Kubernetes => "kubernetes",
        Source::Files(_) => "files",
    }
}

fn config_status(state: ConfigState, mut warnings: Vec<String>) -> ConfigStatus {
    let ConfigState {
        path,
        loaded_at,
        error,
        exports: _,
        imports: _,
        resources,
        held: _,
    } = state;
    warnings.extend(resources);
    ConfigStatus {
        path: path.display().to_string(),
        loaded_at,
        error,
        warnings,
    }
}

/// The names of each group's peers.
fn peers_by_group(pipeline: &Pipeline) -> BTreeMap<GroupId, Vec<String>> {
    let mut peers: BTreeMap<GroupId, Vec<String>> = BTreeMap::new();
    for peer in &pipeline.config.peers {
        let group = pipeline.peering.known_id(peer);
        if let Some(group) = group.and_then(|id| pipeline.peering.group_of(id)) {
            peers.entry(group).or_default().push(peer.name.clone());
        }
    }
    peers
}

/// The speaker's part of a peer's status, by peer.
fn peer_views(speaker: &Speaker) -> BTreeMap<PeerId, PeerView> {
    speaker.peers().map(|view| (view.id, view)).collect()
}

/// Every configured peer; one the speaker has not heard of yet is idle.
fn peers(pipeline: &Pipeline, views: &BTreeMap<PeerId, PeerView>) -> Vec<PeerStatus> {
    let config = &pipeline.config;
    let now = clock::now();
    let mut peers: Vec<_> = config
        .peers
        .iter()
        .map(|peer| {
            let view = pipeline
                .peering
                .known_id(peer)
                .and_then(|id| views.get(&id));
            let session = view.and_then(|view| view.session.as_ref());
            let since = view.map_or(now, |view| view.since);
            PeerStatus {
                name: peer.name.clone(),
                address: peer.address,
                port: peer.port,
                asn: peer.asn,
                kind: peer_kind(config, peer),
                peer_type: peer.peer_type.words().to_owned(),
                state: view.map_or_else(
                    || SessionState::Idle.to_string(),
                    |view| view.state.to_string(),
                ),
                since: clock::unix_time_of(since),
                last_error: view.and_then(|view| view.last_error.clone()),
                established_count: view.map_or(0, |view| view.established_count),
                prefixes_sent: view.map_or(0, |view| count(view.prefixes_sent)),
                prefixes_received: view.map_or(0, |view| count(view.prefixes_received)),
                updates_sent: view.map_or(0, |view| view.updates_sent),
                updates_received: view.map_or(0, |view| view.updates_received),
                hold_time: session.map(|session| session.hold_time.as_secs()),
                router_id: session.map(|session| session.router_id),
                faults: view
                    .map(|view| peer_faults::of(&view.faults))
                    .unwrap_or_default(),
                record: view.map(sessions::record).unwrap_or_default(),
            }
        })
        .collect();
    peers.sort_by_key(|peer| (peer.address, peer.port));
    peers
}

fn count(number: usize) -> u64 {
    number as u64
}
