//! What the agent tells over its Unix socket, as JSON: the daemon serves these, the command line
//! reads them, and scripts may too. Fields are added, never renamed.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/routes?rejected=true&peer=NAME` | [`Routes`] |
//! | `GET /v1/received?peer=NAME` | [`ReceivedRoutes`], each route on a line of its own |
//! | `GET /v1/explain?subject=PREFIX` or `NAMESPACE/SERVICE` | [`Explanation`] |
//! | `POST /v1/policy/approve?id=ID` | [`Approved`] |
//! | `POST /v1/leave`, `?if-removed=NAMESPACE/DAEMONSET` | [`Membership`] |
//! | `POST /v1/join` | [`Membership`] |
//! | `GET /v1/policy/batch?learned=BOOLEAN` | [`Document`](crate::cases::Document): all that policies are given; with `learned` what import policies are, too |
//! | `GET /v1/policy/shadow` | [`ShadowReport`] |
//!
//! `rejected=true` lists what the chain rejected instead of what it accepted. A subject that
//! nothing is known of, and a peer of another name than the configured ones, get a 404; so does an
//! approval where nothing is held back. One of another change than the one held back gets a 409.
//!
//! An error is any other HTTP status than 200, with an [`ApiError`].

mod faults;
mod kernel;
mod membership;
mod routes;
mod services;
mod sessions;
mod shadow;
mod stand_in;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::candidates::{AddressKind, Candidates, Concern, Exclusion};
use crate::facts::{FamilyCounts, ServiceFacts, ServiceKey, ServiceType, TrafficPolicy};
use crate::policy::{ChangeKind, Limits, Mode, OnError, PeerKind};
use crate::types::{Asn, Prefix, ROUTER_ID_ANNOTATION, RouterId};

pub use faults::{FaultCount, LastFault, PeerFaults};
pub use kernel::{KernelPath, KernelStatus};
pub use membership::Membership;
pub use routes::{
    DecisionReport, Lost, PassedOn, PathReport, ReceivedRoute, ReceivedRoutes, Route, Routes, Sent,
    StepReport, Usage,
};
pub use services::{ServiceRoutes, Withheld};
pub use sessions::{NotificationCount, SessionEnd, SessionRecord, StaleRoutes};
pub use shadow::{
    LearnedDifference, LearnedUse, ShadowComparison, ShadowCounts, ShadowDifference, ShadowPolicy,
    ShadowReport,
};
pub use stand_in::StandIn;

/// Answer of `/v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// The node it runs on.
    pub node: String,
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier; absent while the Node that gives it is unknown.
    pub router_id: Option<RouterId>,
    /// Where it comes from.
    #[serde(default)]
    pub router_id_origin: Option<RouterIdOrigin>,
    /// What the Node says that it should be, and why it is not.
    #[serde(default)]
    pub router_id_problem: Option<String>,
    /// When the agent started, in seconds since 1970.
    pub started_at: u64,
    /// Whether routes may be announced yet, and what is waited for if not.
    pub readiness: Readiness,
    /// Where facts come from and how it is.
    pub source: SourceStatus,
    /// The configuration in force.
    pub config: ConfigStatus,
    /// The policy chain, in order.
    pub policies: Vec<PolicyStatus>,
    /// The chain of import policies, in order; empty where every learned route is used.
    #[serde(default)]
    pub import_policies: Vec<PolicyStatus>,
    /// Routes for Services, and what is to be looked at.
    #[serde(default)]
    pub service_routes: ServiceRoutes,
    /// Every configured peer, ordered by family, then address.
    pub peers: Vec<PeerStatus>,
    /// Learned routes in the kernel; absent where the kernel is left alone.
    #[serde(default)]
    pub kernel: Option<KernelStatus>,
    /// A change that is not in force because it would withdraw too much.
    #[serde(default)]
    pub held: Option<HeldChange>,
}

/// Where our BGP Identifier comes from: the first of these that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouterIdOrigin {
    /// `bgp.router-id`.
    Configuration,
    /// The Node's annotation `rutter.io/router-id`.
    Annotation,
    /// The Node's first IPv4 InternalIP.
    InternalIp,
    /// Made of the Node's name.
    NodeName,
}

impl fmt::Display for RouterIdOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration => f.write_str("bgp.router-id"),
            Self::Annotation => write!(f, "the Node's annotation {ROUTER_ID_ANNOTATION}"),
            Self::InternalIp => f.write_str("the Node's first IPv4 InternalIP"),
            Self::NodeName => f.write_str("made of the Node's name"),
        }
    }
}

/// A change of the configuration, or of what it names, that waits for an operator's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeldChange {
    /// What to approve it by; the same on every node that reads the same.
    pub id: String,
    /// Since when, in seconds since 1970.
    pub held_at: u64,
    /// What changed: the file, or modules with their digests.
    pub parts: Vec<String>,
    /// `guard.max-withdraw` of the configuration in force.
    pub max_withdraw: String,
    /// What it would do, by the facts at `held-at`.
    pub effect: ChangeEffect,
}

/// What a change does to the routes that peers are sent. Each is counted once for each peer,
/// whether there is a session at present or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChangeEffect {
    /// Routes that are announced before it.
    pub announced: u64,
    /// Of these, those that no longer are.
    pub withdrawn: u64,
    /// Of these, those that are announced with other attributes.
    pub changed: u64,
    /// Routes that are announced only after it.
    pub added: u64,
    /// The first of those that it concerns: withdrawn ones before changed before added ones.
    pub examples: Vec<ChangedRoute>,
    /// The same of routes that peers announce to the node.
    #[serde(default)]
    pub learned: LearnedEffect,
}

/// What a change does to the routes that were learned from peers. Each is counted once for each
/// peer that announces it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LearnedEffect {
    /// Routes that import policies accept before it, or all where there are none.
    pub used: u64,
    /// Of these, those that are rejected by it, or whose peer is gone with it.
    pub rejected: u64,
    /// Of these, those that are used with other attributes, or another word on the kernel.
    pub changed: u64,
    /// Routes that are accepted only after it.
    pub added: u64,
    /// The first of those that it concerns: rejected ones, as withdrawn, before changed before added
    /// ones.
    pub examples: Vec<ChangedRoute>,
}

impl LearnedEffect {
    /// Whether no learned route is concerned.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.rejected == 0 && self.changed == 0 && self.added == 0
    }
}

/// One route that a change concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChangedRoute {
    /// What becomes of it.
    pub change: ChangeKind,
    /// Towards the peer of this name; of a learned route, from it.
    pub peer: String,
    /// What.
    pub prefix: Prefix,
    /// Why.
    pub reason: String,
}

/// Answer of `/v1/policy/approve`: the change is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Approved {
    /// Which.
    pub id: String,
    /// What it did.
    pub effect: ChangeEffect,
}

/// Whether the agent serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Readiness {
    /// Everything was seen once; routes are announced.
    Ready,
    /// Not yet; the text says what is missing.
    Waiting {
        /// For instance `the list of Services`.
        waiting_for: String,
    },
    /// Everything was seen once, but policies could not be had when the agent started: what they
    /// would decide about is let through to nobody.
    Closed {
        /// Which, why, and what is not announced.
        reason: String,
    },
}

/// The source of facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SourceStatus {
    /// `kubernetes` or `files`.
    pub kind: String,
    /// What is wrong at present; the last good state is kept meanwhile.
    pub error: Option<String>,
    /// Services known.
    pub services: u64,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConfigStatus {
    /// Its file.
    pub path: String,
    /// When it was taken into use, in seconds since 1970.
    pub loaded_at: u64,
    /// Why a newer version of the file was refused, or what of it waits for a restart.
    pub error: Option<String>,
    /// What does not work as configured, but costs no route: modules or compiled code that
    /// cannot be kept, a registry that cannot be asked while what it gave last is used.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One link of the policy chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyStatus {
    /// Its name in the configuration.
    pub name: String,
    /// `builtin:default`, a path, a URL, or a reference into a registry with the digest of what
    /// runs.
    pub module: String,
    /// SHA-256 of the module that runs, as registries write it; absent where another one runs in
    /// its place.
    #[serde(default)]
    pub digest: Option<String>,
    /// When that module was taken into use, in seconds since 1970.
    #[serde(default)]
    pub loaded_at: Option<u64>,
    /// Why a newer version of the module is not in force; absent when the last reload took what
    /// there was.
    #[serde(default)]
    pub refused: Option<String>,
    /// What decides in its place since the agent started; absent while it does itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<StandIn>,
    /// What becomes of its routes while it fails.
    pub on_error: OnError,
    /// What one call of it may use.
    pub limits: LimitsReport,
    /// Whether it decides.
    #[serde(default)]
    pub mode: Mode,
    /// In shadow mode, how much it would change, for each peer group, or of an import policy each
    /// peer, that it is for; absent while it has not compared anything.
    #[serde(default)]
    pub shadow: Option<Vec<ShadowCounts>>,
    /// Why it is failing, or why another module runs in its place.
    pub error: Option<String>,
    /// How often it has failed since the agent started.
    pub failures: u64,
    /// When it will be asked again, in seconds from now.
    pub retry_in: Option<u64>,
    /// On how many routes it fails while it is well about all others; each counts once for each
    /// peer group, or peer.
    #[serde(default)]
    pub held: u64,
    /// The first of them.
    #[serde(default)]
    pub held_routes: Vec<HeldRoute>,
}

/// A route that a policy fails on, while it is well about others: its `on-error` decides about that
/// alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeldRoute {
    /// Where to.
    pub prefix: Prefix,
    /// Whose address it is, where it is one.
    pub service: Option<ServiceKey>,
    /// The peer group that it would be announced to, or the peer that announced it.
    pub peers: String,
    /// How the policy fails.
    pub error: String,
    /// When it will be asked again, in seconds from now; at once if anything about it changes.
    pub retry_in: u64,
}

/// What one call of a policy may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LimitsReport {
    /// In milliseconds.
    pub time_ms: u64,
    /// Linear memory, in bytes.
    pub memory_bytes: u64,
    /// One answer, in bytes.
    pub output_bytes: u64,
}

impl From<Limits> for LimitsReport {
    fn from(limits: Limits) -> Self {
        let Limits {
            time,
            memory_bytes,
            output_bytes,
        } = limits;
        Self {
            time_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: memory_bytes as u64,
            output_bytes: output_bytes as u64,
        }
    }
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PeerStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its AS.
    pub asn: Asn,
    /// Internal or external.
    pub kind: PeerKind,
    /// Why it is one: `node-to-node mesh`, `node specific`, as all that the file names, or `global`.
    pub peer_type: String,
    /// The FSM's state, in RFC 4271's words: `Idle`, `Connect`, `Active`, `OpenSent`,
    /// `OpenConfirm`, `Established`.
    pub state: String,
    /// When it entered the state, in seconds since 1970. While a session cannot be established:
    /// when it was last lost, or first tried.
    pub since: u64,
    /// Why there is no session, when there is none.
    pub last_error: Option<String>,
    /// Times it reached Established.
    pub established_count: u64,
    /// Prefixes it was sent and not since withdrawn.
    pub prefixes_sent: u64,
    /// Prefixes it sent us and has not withdrawn.
    pub prefixes_received: u64,
    /// UPDATE messages sent in this session.
    pub updates_sent: u64,
    /// UPDATE messages received in this session.
    pub updates_received: u64,
    /// Agreed, in seconds; absent without a session.
    pub hold_time: Option<u16>,
    /// Its BGP Identifier; absent without a session.
    pub router_id: Option<RouterId>,
    /// What it sent wrong.
    #[serde(default)]
    pub faults: PeerFaults,
    /// What became of its sessions.
    #[serde(default)]
    pub record: SessionRecord,
}

/// Answer of `/v1/explain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// What was asked about.
    pub subject: String,
    /// The facts about each Service it concerns.
    pub services: Vec<ServiceReport>,
    /// Every candidate it concerns, towards every peer.
    pub routes: Vec<Route>,
    /// Candidates that cover the prefix asked about, for their traffic takes those routes.
    pub covered_by: Vec<Prefix>,
    /// What peers announced for exactly this prefix, ordered by peer.
    #[serde(default)]
    pub learned: Vec<ReceivedRoute>,
    /// To whom the best of these went on, and why not to others; empty where this node is no route
    /// reflector, or announces the prefix itself.
    #[serde(default)]
    pub passed_on: Vec<PassedOn>,
}

/// A Service's facts, as far as they decide routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceReport {
    /// Namespace and name.
    pub service: ServiceKey,
    /// `spec.type`.
    pub service_type: ServiceType,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: TrafficPolicy,
    /// `spec.internalTrafficPolicy`.
    pub internal_traffic_policy: TrafficPolicy,
    /// The proxy that serves it in place of kube-proxy, where a label names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_proxy_name: Option<String>,
    /// Endpoints on this node.
    pub node_endpoints: FamilyCounts,
    /// Endpoints in the cluster.
    pub cluster_endpoints: FamilyCounts,
    /// Of these, endpoints that name no node.
    pub unplaced_endpoints: FamilyCounts,
    /// Its addresses that are no candidates, and why.
    pub excluded: Vec<ExcludedAddress>,
    /// What its owner should look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub concerns: Vec<Concern>,
}

/// An address that is no candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExcludedAddress {
    /// The address.
    pub address: IpAddr,
    /// Which of the Service's.
    pub kind: AddressKind,
    /// Why not.
    pub reason: Exclusion,
}

impl ServiceReport {
    /// A Service's facts, with its addresses that are none of the candidates.
    #[must_use]
    pub fn new(service: &ServiceFacts, candidates: &Candidates) -> Self {
        let excluded = |(address, kind, reason)| ExcludedAddress {
            address,
            kind,
            reason,
        };
        Self {
            service: service.key.clone(),
            service_type: service.service_type,
            external_traffic_policy: service.external_traffic_policy,
            internal_traffic_policy: service.internal_traffic_policy,
            service_proxy_name: service.proxy_name().map(str::to_owned),
            node_endpoints: service.node_endpoints,
            cluster_endpoints: service.cluster_endpoints,
            unplaced_endpoints: service.unplaced_endpoints,
            excluded: candidates
                .exclusions(service)
                .into_iter()
                .map(excluded)
                .collect(),
            concerns: candidates.concerns_of(&service.key).cloned().collect(),
        }
    }
}

/// An answer that is not the one asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// What is wrong, and what to do.
    pub error: String,
}
