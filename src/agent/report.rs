//! Reports: what the API tells, put together from the pipeline, the speaker and the source.
//!
//! Each owner is asked for its part between two of its steps; nothing is kept here. The parts of
//! one report may be a moment apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};

use super::clock;
use super::driver::SpeakerHandle;
use super::events::Notices;
use super::fib::KernelRoutes;
use super::metrics::{Load, Scrape};
use super::peering::peer_kind;
use super::pipeline::{Pipeline, PipelineHandle, SourceState};
use super::policy_status;
use super::received;
use super::record::{ImportRecording, LearnedRoutes, Recording};
use super::reload::{Approval, NotApproved};
use super::sources::Sources;
use super::state::ConfigState;
use crate::api::{
    ChangeEffect, ConfigStatus, DecisionReport, Explanation, PeerStatus, Readiness, Route, Routes,
    Sent, ServiceReport, ShadowReport, SourceStatus, Status,
};
use crate::bgp::SessionState;
use crate::candidates::{CandidateKey, addresses};
use crate::cases::Document;
use crate::config::{Config, Source};
use crate::facts::{ServiceFacts, ServiceKey};
use crate::kube::Health;
use crate::speaker::{Advertised, PeerView, Speaker};
use crate::types::{GroupId, PeerId, Prefix};
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
}

/// A subject that nothing is known about, in words for whoever asked.
pub(super) type Unknown = String;

/// What `explain` is asked about.
enum Subject {
    Prefix(Prefix),
    Service(ServiceKey),
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
        let mut warnings = self.sources.warnings();
        warnings.extend(self.engine.cache_fault());
        let shadows = self.pipeline.shadows().clone();
        let kernel = self.kernel.as_ref().map(KernelRoutes::status);
        let scrape = self
            .pipeline
            .ask(move |pipeline| {
                let config = &pipeline.config;
                let source = SourceStatus {
                    kind: source_kind(config).to_owned(),
                    error: source_error_of(pipeline, source_error),
                    services: count(pipeline.index.view().services.len()),
                };
                let links = pipeline.exports.links();
                let policies = policy_status::all(links, &shadows.exports, &config_state.exports);
                let links = pipeline.import_side.imports.links();
                let import_policies =
                    policy_status::all(links, &shadows.imports, &config_state.imports);
                let held = config_state.held.clone();
                let status = Status {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    node,
                    asn: config.bgp.asn,
                    router_id: pipeline.router_id(),
                    started_at,
                    readiness: readiness(pipeline),
                    source,
                    config: config_status(config_state, warnings),
                    policies,
                    import_policies,
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
                    },
                    imports: Load {
                        work: pipeline.import_side.work,
                        measured: pipeline.import_side.meters.measured(),
                    },
                    events,
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

    /// `/v1/routes`, accepted and rejected ones.
    pub(super) async fn routes(&self, peer: Option<String>) -> anyhow::Result<Routes> {
        let decided = self
            .pipeline
            .ask(move |pipeline| {
                let wanted = |name: &str| peer.as_ref().is_none_or(|peer| peer == name);
                decisions(pipeline, wanted, |_| true)
            })
            .await?;
        Ok(Routes {
            routes: self.with_sent(decided).await?,
        })
    }

    /// `/v1/policy/shadow`.
    pub(super) async fn shadow(&self) -> anyhow::Result<ShadowReport> {
        let peers = self.pipeline.ask(peers_by_group).await?;
        Ok(self.pipeline.shadows().report(peers).await?)
    }

    /// `/v1/explain`.
    pub(super) async fn explain(
        &self,
        subject: &str,
    ) -> anyhow::Result<Result<Explanation, Unknown>> {
        let parsed = match parse_subject(subject) {
            Ok(parsed) => parsed,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let learned = match parsed {
            Subject::Prefix(prefix) => self.learned(prefix).await?,
            Subject::Service(_) => Vec::new(),
        };
        let answer = self
            .pipeline
            .ask(move |pipeline| explain(pipeline, &parsed))
            .await?;
        let explained = match answer {
            Ok(explained) => explained,
            Err(unknown) if learned.is_empty() => return Ok(Err(unknown)),
            Err(_) => Explained::default(),
        };
        let Explained {
            services,
            decided,
            covered_by,
        } = explained;
        Ok(Ok(Explanation {
            subject: subject.to_owned(),
            services,
            routes: self.with_sent(decided).await?,
            covered_by,
            learned,
        }))
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
                let routes = self.speaker.ask(Speaker::eligible).await?;
                imports.write(routes, &mut document);
            }
        }
        Ok(Some(document))
    }

    /// Adds what each peer was sent.
    async fn with_sent(&self, decided: Vec<Decided>) -> anyhow::Result<Vec<Route>> {
        let routes = self
            .speaker
            .ask(move |speaker| {
                let route = |decided: Decided| {
                    let sent = sent(speaker, &decided);
                    Route {
                        sent,
                        ..decided.route
                    }
                };
                decided.into_iter().map(route).collect()
            })
            .await?;
        Ok(routes)
    }
}

/// A route of which it is not yet known whether it was sent.
struct Decided {
    peer: PeerId,
    route: Route,
    /// Whether another candidate of the same prefix is announced in its place.
    prefix_announced: bool,
}

/// The pipeline's part of an explanation.
#[derive(Default)]
struct Explained {
    services: Vec<ServiceReport>,
    decided: Vec<Decided>,
    covered_by: Vec<Prefix>,
}

fn parse_subject(subject: &str) -> Result<Subject, Unknown> {
    if let Ok(prefix) = subject.parse() {
        return Ok(Subject::Prefix(prefix));
    }
    match subject.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(Subject::Service(ServiceKey::new(namespace, name)))
        }
        Some(_) | None => Err(format!(
            "`{subject}` is neither a prefix such as 172.16.0.10/32 nor NAMESPACE/SERVICE"
        )),
    }
}

fn explain(pipeline: &Pipeline, subject: &Subject) -> Result<Explained, Unknown> {
    let services = &pipeline.index.view().services;
    let concerned: Vec<&Arc<ServiceFacts>> = match subject {
        Subject::Service(key) => match services.get(key) {
            Some(service) => vec![service],
            None => return Err(format!("there is no Service {key}")),
        },
        Subject::Prefix(prefix) => services
            .values()
            .filter(|service| has_address_in(service, prefix))
            .collect(),
    };
    let is_concerned = |candidate: &CandidateKey| match subject {
        Subject::Service(key) => candidate.origin.service() == Some(key),
        Subject::Prefix(prefix) => candidate.prefix == *prefix,
    };
    let decided = decisions(pipeline, |_| true, is_concerned);
    let prefixes: BTreeSet<Prefix> = match subject {
        Subject::Service(_) => decided.iter().map(|decided| decided.route.prefix).collect(),
        Subject::Prefix(prefix) => BTreeSet::from([*prefix]),
    };
    let covered_by: BTreeSet<Prefix> = pipeline
        .exports
        .candidates()
        .map(|candidate| candidate.key.prefix)
        .filter(|cover| {
            prefixes
                .iter()
                .any(|prefix| cover != prefix && cover.covers(prefix))
        })
        .collect();
    if concerned.is_empty() && decided.is_empty() && covered_by.is_empty() {
        return Err(
            "no Service has this address, no peer announced it, and nothing this node could announce \
             covers it"
                .to_owned(),
        );
    }
    let advertise = &pipeline.config.advertise;
    let report = |service: &&Arc<ServiceFacts>| ServiceReport::new(service, advertise);
    Ok(Explained {
        services: concerned.iter().map(report).collect(),
        decided,
        covered_by: covered_by.into_iter().collect(),
    })
}

fn has_address_in(service: &ServiceFacts, prefix: &Prefix) -> bool {
    prefix.is_host() && addresses(service).any(|(_, address)| prefix.contains(address))
}

/// What the chain decided, towards the peers asked about, of the candidates asked about.
fn decisions(
    pipeline: &Pipeline,
    is_peer: impl Fn(&str) -> bool,
    is_candidate: impl Fn(&CandidateKey) -> bool,
) -> Vec<Decided> {
    let mut decided = Vec::new();
    for peer in pipeline
        .config
        .peers
        .iter()
        .filter(|peer| is_peer(&peer.name))
    {
        let Some(id) = pipeline.peering.known_id(peer) else {
            continue;
        };
        let Some(group) = pipeline.peering.group_of(id) else {
            continue;
        };
        let announced: BTreeSet<Prefix> = pipeline
            .exports
            .announced(group)
            .map(|(prefix, _)| *prefix)
            .collect();
        for (key, outcome) in pipeline
            .exports
            .outcomes(group)
            .filter(|(key, _)| is_candidate(key))
        {
            decided.push(Decided {
                peer: id,
                prefix_announced: announced.contains(&key.prefix),
                route: Route {
                    peer: peer.name.clone(),
                    prefix: key.prefix,
                    origin: key.origin.clone(),
                    decision: DecisionReport::new(outcome, &pipeline.exports.steps(group, key)),
                    sent: Sent::Pending,
                },
            });
        }
    }
    decided
}

fn sent(speaker: &Speaker, decided: &Decided) -> Sent {
    let not_sent = |reason: &str| Sent::NotSent {
        reason: reason.to_owned(),
    };
    if !decided.route.decision.accepted {
        return if decided.prefix_announced {
            not_sent("rejected; the prefix is announced for another reason")
        } else {
            not_sent("rejected")
        };
    }
    match speaker.advertised(decided.peer, decided.route.prefix) {
        Advertised::Announced(route) => Sent::Announced {
            next_hop: route.next_hop.address,
        },
        Advertised::Pending => Sent::Pending,
        Advertised::NotSent(reason) => not_sent(&reason.to_string()),
    }
}

fn readiness(pipeline: &Pipeline) -> Readiness {
    match pipeline.waiting_for() {
        Some(waiting_for) => Readiness::Waiting { waiting_for },
        None => Readiness::Ready,
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

fn config_status(state: ConfigState, warnings: Vec<String>) -> ConfigStatus {
    let ConfigState {
        path,
        loaded_at,
        error,
        exports: _,
        imports: _,
        held: _,
    } = state;
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
                // The file speaks for every node that mounts it.
                peer_type: "global".to_owned(),
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
            }
        })
        .collect();
    peers.sort_by_key(|peer| (peer.address, peer.port));
    peers
}

fn count(number: usize) -> u64 {
    number as u64
}
