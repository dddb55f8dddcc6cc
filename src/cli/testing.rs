//! For this command line's tests only: an agent that answers what it is told, and documents for
//! it to answer with.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use clap::Parser;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;

use super::{Cli, Outcome};
use crate::agent::LostLines;
use crate::api::{
    ChangeEffect, ChangedRoute, ConfigStatus, DecisionReport, HeldChange, KernelStatus,
    LearnedEffect, PeerFaults, PeerStatus, PolicyStatus, Readiness, Route, RouterIdOrigin, Sent,
    ServiceRoutes, SessionRecord, SourceStatus, Status, StepReport,
};
use crate::candidates::{AddressKind, Origin};
use crate::facts::ServiceKey;
use crate::policy::{ChangeKind, Limits, Mode, OnError, PeerKind};
use crate::types::{Asn, PeerType, Prefix, RouteAttributes, RouterId};

/// 2026-03-05 12:00:00 UTC, in seconds since 1970.
pub(super) const NOON: u64 = 1_772_712_000;

/// The clock of every test.
pub(super) fn now() -> Timestamp {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(NOON))
        .unwrap()
        .try_into()
        .unwrap()
}

/// An HTTP server on a Unix socket that gives one answer to whatever it is asked. It ends, and
/// its directory goes, when it is dropped.
pub(super) struct FakeAgent {
    directory: TempDir,
    requests: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

/// What a command left behind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    pub(super) out: String,
    pub(super) err: String,
}

impl FakeAgent {
    pub(super) fn answering(status: StatusCode, document: &impl Serialize) -> Self {
        let directory = TempDir::new().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new((status, serde_json::to_string(document).unwrap()));
        let router = Router::new()
            .fallback(record_and_answer)
            .with_state((Arc::clone(&requests), answer));
        let runtime = Runtime::new().unwrap();
        let listener = {
            let _context = runtime.enter();
            UnixListener::bind(directory.path().join("agent.sock")).unwrap()
        };
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            directory,
            requests,
            _runtime: runtime,
        }
    }

    /// The paths and queries it was asked for; after the method, where that is not GET.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Runs `rutter --socket SOCKET ARGUMENTS` against it.
    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        run(self.directory.path().join("agent.sock"), arguments)
    }
}

type Answering = (Arc<Mutex<Vec<String>>>, Arc<(StatusCode, String)>);

async fn record_and_answer(
    State((requests, answer)): State<Answering>,
    request: Request,
) -> (StatusCode, String) {
    let uri = request.uri().to_string();
    let asked = match request.method() {
        &Method::GET => uri,
        method => format!("{method} {uri}"),
    };
    requests.lock().unwrap().push(asked);
    (*answer).clone()
}

/// Runs `rutter --socket SOCKET ARGUMENTS` at [`NOON`].
pub(super) fn run(socket: PathBuf, arguments: &[&str]) -> Ran {
    let socket = socket.into_os_string().into_string().unwrap();
    let program = ["rutter", "--socket", &socket];
    let cli = Cli::try_parse_from(program.iter().chain(arguments)).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = cli.run(now().into(), LostLines::default(), &mut out, &mut err);
    Ran {
        outcome,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

/// A document with a field that this program does not know.
pub(super) fn with_unknown_field(document: &impl Serialize) -> Value {
    let mut document = serde_json::to_value(document).unwrap();
    document["field-of-a-later-version"] = Value::from(7);
    document
}

/// An agent where all is well, without peers.
pub(super) fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        node: "worker-1".to_owned(),
        asn: Asn(64512),
        router_id: Some(router_id("192.168.83.36")),
        router_id_origin: Some(RouterIdOrigin::InternalIp),
        router_id_problem: None,
        started_at: NOON - 3 * 86_400,
        readiness: Readiness::Ready,
        source: SourceStatus {
            kind: "kubernetes".to_owned(),
            error: None,
            services: 42,
        },
        config: ConfigStatus {
            path: "/etc/rutter/rutter.toml".to_owned(),
            loaded_at: NOON - 3600,
            error: None,
            warnings: Vec::new(),
        },
        policies: vec![policy("default", "builtin:default")],
        import_policies: Vec::new(),
        service_routes: ServiceRoutes {
            candidates: 3,
            offered: 2,
            ..ServiceRoutes::default()
        },
        peers: Vec::new(),
        kernel: None,
        held: None,
    }
}

pub(super) fn policy(name: &str, module: &str) -> PolicyStatus {
    PolicyStatus {
        name: name.to_owned(),
        module: module.to_owned(),
        digest: None,
        loaded_at: None,
        refused: None,
        stand_in: None,
        on_error: OnError::KeepLast,
        limits: Limits::DEFAULT.into(),
        mode: Mode::Enforce,
        shadow: None,
        error: None,
        failures: 0,
        retry_in: None,
        held: 0,
        held_routes: Vec::new(),
    }
}

/// A kernel that takes what it is given.
pub(super) fn kernel() -> KernelStatus {
    KernelStatus {
        installs: true,
        table: 254,
        metric: 4096,
        protocol: 179,
        waits_for_facts: false,
        routes: 12,
        blackholes: 0,
        leftovers: 0,
        unfit: 0,
        refused: 0,
        refusal: None,
        failures: 0,
        error: None,
    }
}

fn example(change: ChangeKind, prefix: &str, reason: &str) -> ChangedRoute {
    ChangedRoute {
        change,
        peer: "tor".to_owned(),
        prefix: prefix.parse().unwrap(),
        reason: reason.to_owned(),
    }
}

/// What it would do to learned routes: of three it concerns, one is shown.
pub(super) fn rejected_learned() -> LearnedEffect {
    LearnedEffect {
        used: 4,
        rejected: 3,
        changed: 0,
        added: 0,
        examples: vec![example(
            ChangeKind::Withdrawn,
            "10.9.0.0/16",
            "import-filter reject: no rule takes this prefix",
        )],
    }
}

/// A change that is held back: of twelve routes it concerns, three are shown.
pub(super) fn held() -> HeldChange {
    HeldChange {
        id: "3f9a01c2".to_owned(),
        held_at: NOON - 60,
        parts: vec!["configuration /etc/rutter/rutter.toml".to_owned()],
        max_withdraw: "20%".to_owned(),
        effect: ChangeEffect {
            learned: LearnedEffect::default(),
            announced: 30,
            withdrawn: 10,
            changed: 1,
            added: 1,
            examples: vec![
                example(
                    ChangeKind::Withdrawn,
                    "172.16.0.10/32",
                    "teams reject: no such team\nat all",
                ),
                example(
                    ChangeKind::Changed,
                    "10.244.1.0/24",
                    "teams accept: as MED 10",
                ),
                example(ChangeKind::Added, "fd00::1/128", "teams accept: team a"),
            ],
        },
    }
}

/// An established peer.
pub(super) fn peer(name: &str, address: &str) -> PeerStatus {
    PeerStatus {
        name: name.to_owned(),
        address: self::address(address),
        port: 179,
        asn: Asn(64512),
        kind: PeerKind::Ibgp,
        peer_type: PeerType::NodePeer.words().to_owned(),
        state: "Established".to_owned(),
        // 06:38:55 of the same day.
        since: NOON - 19_265,
        last_error: None,
        established_count: 1,
        prefixes_sent: 12,
        prefixes_received: 3,
        updates_sent: 4,
        updates_received: 2,
        hold_time: Some(90),
        router_id: Some(router_id("192.168.83.1")),
        faults: PeerFaults::default(),
        record: SessionRecord::default(),
    }
}

/// The same peer without a session.
pub(super) fn without_session(peer: PeerStatus, state: &str, error: Option<&str>) -> PeerStatus {
    PeerStatus {
        state: state.to_owned(),
        last_error: error.map(str::to_owned),
        prefixes_sent: 0,
        prefixes_received: 0,
        hold_time: None,
        router_id: None,
        ..peer
    }
}

/// A route of `default/web`'s load-balancer IP that the default policy accepted.
pub(super) fn accepted(peer: &str, prefix: &str, sent: Sent) -> Route {
    Route {
        peer: peer.to_owned(),
        prefix: self::prefix(prefix),
        origin: Origin::ServiceAddress {
            service: ServiceKey::new("default", "web"),
            address: AddressKind::LoadBalancerIp,
        },
        decision: DecisionReport {
            accepted: true,
            attributes: RouteAttributes::default(),
            steps: vec![step(
                "default",
                "accept",
                "a usable endpoint is on this node",
            )],
        },
        sent,
    }
}

/// The same route, rejected by a policy.
pub(super) fn rejected(peer: &str, prefix: &str, reason: &str) -> Route {
    let not_sent = Sent::NotSent {
        reason: "rejected by policy".to_owned(),
    };
    Route {
        decision: DecisionReport {
            accepted: false,
            attributes: RouteAttributes::default(),
            steps: vec![step("default", "reject", reason)],
        },
        ..accepted(peer, prefix, not_sent)
    }
}

pub(super) fn announced(next_hop: &str) -> Sent {
    Sent::Announced {
        next_hop: address(next_hop),
    }
}

pub(super) fn step(policy: &str, verdict: &str, reason: &str) -> StepReport {
    StepReport {
        installation: None,
        policy: policy.to_owned(),
        verdict: verdict.to_owned(),
        reason: (!reason.is_empty()).then(|| reason.to_owned()),
        kept: false,
    }
}

pub(super) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(super) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn router_id(text: &str) -> RouterId {
    RouterId::try_from(text.parse::<std::net::Ipv4Addr>().unwrap()).unwrap()
}

/// What `print` writes.
pub(super) fn printed(print: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    print(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}
