//! The daemon: sockets, clock, signals, files and servers around the core.
//!
//! ```text
//! source (kube or files) --events--> pipeline thread --Input--> driver task <--octets--> peers
//!                                        ^    |                    |
//!                      reload task ------+    +---- reporter ------+--> HTTP (status, metrics)
//!                           ^                           |
//!                           +---------- approval -------+
//! ```
//! `next_hops` tells the speaker how the kernel reaches the next hops that it learns. Where the
//! configuration says so, `fib` puts what it chose into the kernel.
//!
//! Every arrow is a bounded queue. The pipeline may be slow (policies compute there); the driver
//! never waits for anything but its own queues. Policies in shadow mode are asked on threads of
//! their own, one a direction, which nothing waits for.

mod accepting;
mod allowance;
mod changed;
pub(crate) mod clock;
mod connection;
mod decider;
mod descriptors;
mod doors;
mod driver;
mod events;
mod fib;
mod http;
mod imports;
mod last;
mod leaving;
mod links;
mod load;
mod lost_lines;
mod meters;
mod metrics;
mod netlink;
mod next_hops;
mod own_prefixes;
mod pace;
mod peer_faults;
mod peering;
mod pipeline;
mod policy_log;
mod policy_status;
mod received;
mod record;
mod reload;
mod report;
mod resources;
mod router_id;
mod routes;
mod service_routes;
mod shadow;
mod sockets;
mod sources;
mod start;
mod state;
mod tcp_md5;
#[cfg(test)]
pub(crate) mod testing;
mod tolerated_log;
mod ttl;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

pub use changed::ChangedRoutes;
pub use driver::{SpeakerHandle, SpeakerStopped};
pub use lost_lines::LostLines;

use crate::config::{Config, LearnedRoutes, Overrides, Source};
use crate::kube;
use crate::kube::secrets::Secrets;
use crate::policy::Direction;
use crate::wasm::Engine;
use descriptors::Descriptors;
use events::Notices;
use fib::Programming;
use http::SocketFile;
use load::Loaded;
use next_hops::Resolving;
use pipeline::Settings;
use policy_log::PolicyLog;
use reload::{Considered, Following, InForce, Reloader};
use report::Reporter;
use sources::{Asking, Sources};
use state::{ChainState, ConfigState};

/// Approvals that wait; each is a person's.
const APPROVALS_MAX: usize = 4;

/// How long the end may take once it is asked for. Peers have three seconds to take their
/// farewell; more is for what should not happen, and less than what Kubernetes grants.
const STOP_TIME_MAX: Duration = Duration::from_secs(6);

/// What the command line gives the agent.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// `metadata.name` of the Node this agent runs on.
    pub node_name: String,
    /// What the environment overrides in every version of the file.
    pub overrides: Overrides,
    /// How much of the log was lost.
    pub lost_lines: LostLines,
}

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps it from starting, and the end of a part it cannot do without.
pub async fn run(options: Options) -> anyhow::Result<()> {
    // From the beginning: the first process of a container is not ended by a signal that it does
    // not listen for, and a start may take a while.
    let mut signals = StopSignals::listen()?;
    // A task of its own: what it waits for may keep its thread.
    let starting = tokio::spawn(start(options));
    let mut running = tokio::select! {
        started = starting => started.context("the start panicked")??,
        name = signals.next() => {
            info!(name, "stopping before the start was over");
            return Ok(());
        }
    };
    let outcome = tokio::select! {
        name = signals.next() => {
            info!(name, "stopping");
            Ok(())
        }
        Some(ended) = running.parts.join_next() => match ended {
            Ok(result) => result.context("a part of the agent ended"),
            Err(panicked) => Err(panicked).context("a part of the agent panicked"),
        },
    };
    // What takes longer, or is asked for again, is not waited for.
    let untold = tokio::select! {
        () = running.stop() => return outcome,
        name = signals.next() => format!("stopped by a second {name}"),
        () = tokio::time::sleep(STOP_TIME_MAX) => "something is stuck".to_owned(),
    };
    outcome.and_then(|()| anyhow::bail!("{untold} before every peer was told"))
}

/// What is to be ended.
struct Running {
    parts: JoinSet<anyhow::Result<()>>,
    speaker: SpeakerHandle,
    programming: Option<Programming>,
    _resolving: Resolving,
    _socket_file: SocketFile,
}

impl Running {
    async fn stop(&mut self) {
        // Before the sessions end, for their routes are to stay in the kernel.
        if let Some(programming) = self.programming.take() {
            programming.stop().await;
        }
        self.speaker.stop("agent stopping").await;
    }
}

async fn start(options: Options) -> anyhow::Result<Running> {
    let Options {
        config: path,
        node_name,
        overrides,
        lost_lines,
    } = options;
    let descriptors = Descriptors::claim();
    let sources = Arc::new(Sources::new(seed(&node_name)));
    let loaded = load::load(&path, &overrides, &sources, Asking::AtStart).await?;
    let config = Arc::clone(&loaded.config);
    load::log_warnings(&config, &loaded.passwords);
    // From here on, SIGHUP reloads; by default it would end the process.
    let hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let engine = engine(&config)?;
    let start::FirstChains {
        exports,
        imports,
        in_force: chains,
        refused,
        fallback,
    } = start::chains(&engine, &loaded)?;
    last::keep(&sources, &config, &chains, &loaded).await;
    let (source, notices, secrets) = start_source(&config, &node_name).await?;
    start::tell(&chains, &refused, fallback.as_deref(), &notices);
    let Loaded {
        text, passwords, ..
    } = loaded;
    let state = Arc::new(Mutex::new(ConfigState {
        path: path.clone(),
        loaded_at: clock::unix_time(),
        error: None,
        exports: ChainState::first(Direction::Export, &chains.exports, &refused, fallback),
        imports: ChainState::first(Direction::Import, &chains.imports, &refused, None),
        resources: Vec::new(),
        held: None,
    }));

    let (socket, socket_file) = http::bind_socket(&config.api.socket).await?;
    let metrics = match config.api.metrics {
        Some(address) => Some(TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}: is the port taken? set another api.metrics")
        })?),
        None => None,
    };
    let changed = ChangedRoutes::default();
    let installs = config
        .kernel
        .is_some_and(|kernel| kernel.learned_routes == LearnedRoutes::Install);
    let told = installs.then(|| changed.clone());
    let speaker = SpeakerHandle::spawn_telling(seed(&node_name), told, notices.clone());
    speaker
        .listen_on(config.bgp.listen.clone())
        .await
        .context("bgp.listen")?;
    let resolving = next_hops::spawn(config.kernel, speaker.clone()).await?;
    let health = source.health.clone();
    let settings = Settings {
        config: Arc::clone(&config),
        passwords: passwords.clone(),
        chain: Some(exports),
        import_chain: Some(imports),
        stood_in: Vec::new(),
    };
    let pipeline = pipeline::spawn(
        &node_name,
        settings,
        speaker.clone(),
        source,
        notices.clone(),
    )
    .context("cannot start the pipeline thread")?;
    let (kernel, programming) = match config.kernel {
        Some(kernel) => {
            let own = pipeline.own_prefixes().await?;
            let (routes, programming) = fib::spawn(kernel, speaker.clone(), changed, own);
            (Some(routes), Some(programming))
        }
        None => (None, None),
    };
    let (approve, approvals) = mpsc::channel(APPROVALS_MAX);
    let reporter = Arc::new(Reporter {
        node: node_name.clone(),
        started_at: clock::unix_time(),
        speaker: speaker.clone(),
        pipeline: pipeline.clone(),
        health,
        engine: engine.clone(),
        sources: Arc::clone(&sources),
        state: Arc::clone(&state),
        notices: notices.clone(),
        kernel,
        approve,
        lost_lines,
    });
    let environment = resources::Environment::of(&overrides);
    let reloader = Reloader {
        following: Following::new(pipeline.hearing(), secrets, environment),
        path,
        overrides,
        in_force: InForce {
            text,
            passwords,
            config: Arc::clone(&config),
            chains,
        },
        started_with: config,
        engine,
        sources,
        pipeline: pipeline.clone(),
        speaker: speaker.clone(),
        state,
        notices,
        approvals,
        considered: Considered::at_start(refused),
    };

    let mut parts = JoinSet::new();
    let serving = http::serve_socket(socket, Arc::clone(&reporter), descriptors.api);
    parts.spawn(serving);
    if let Some(listener) = metrics {
        info!(address = %listener.local_addr()?, "serving health and metrics");
        parts.spawn(http::serve_metrics(listener, reporter, descriptors.metrics));
    }
    parts.spawn(reloader.run(hangup));
    let ended = {
        let (speaker, pipeline) = (speaker.clone(), pipeline.clone());
        async move {
            tokio::select! {
                () = speaker.stopped() => anyhow::bail!("the speaker has stopped"),
                () = pipeline.stopped() => anyhow::bail!("the route pipeline has stopped"),
            }
        }
    };
    parts.spawn(ended);
    info!(
        node = node_name,
        version = env!("CARGO_PKG_VERSION"),
        "agent started"
    );

    Ok(Running {
        parts,
        speaker,
        programming,
        _resolving: resolving,
        _socket_file: socket_file,
    })
}

fn engine(config: &Config) -> anyhow::Result<Engine> {
    let engine = Engine::new()?.logging(Arc::new(PolicyLog::default()));
    let engine = match &config.policy.compile_cache {
        Some(folder) => engine.caching(folder),
        None => engine,
    };
    if let Some(fault) = engine.cache_fault() {
        warn!("{fault}; every start compiles anew");
    }
    Ok(engine)
}

/// The source of facts, where to tell what an operator should hear of, and where Secrets
/// are to be had.
async fn start_source(
    config: &Config,
    node_name: &str,
) -> anyhow::Result<(kube::Source, Notices, Option<Secrets>)> {
    let calico = config.calico.resources.into();
    match &config.source {
        Source::Kubernetes => {
            let (client, api_server) = kube::connect().await?;
            let watched = kube::watch::WatchConfig {
                calico,
                ..kube::watch::WatchConfig::default()
            };
            let mut source = kube::watch::start(&client, node_name, &watched);
            source.api_server = api_server;
            let (notices, told) = Notices::queue();
            // Not a part that the agent ends with: sessions are worth more than Events.
            let recorder = kube::events::Recorder::new(client.clone(), node_name);
            tokio::spawn(notices.clone().write(told, recorder));
            Ok((source, notices, Some(Secrets::new(client))))
        }
        Source::Files(folder) => {
            let source = kube::files::start(folder, calico)?;
            Ok((source, Notices::default(), None))
        }
    }
}

/// Jitter differs from node to node, and is the same each time on one.
fn seed(node_name: &str) -> u64 {
    // FNV-1a: any spread will do.
    node_name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What asks the agent to end.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?,
        })
    }

    /// The name of the next one. Cancel-safe: one that was not returned is by the next call.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
