//! An agent of the tests: its parts on a folder of manifests, without signals and servers.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::driver::SpeakerHandle;
use super::events::{Notice, Notices};
use super::last;
use super::load::{self, Loaded};
use super::lost_lines::LostLines;
use super::pipeline::{self, Settings};
use super::reload::{Considered, Following, InForce, Reloader};
use super::report::Reporter;
use super::resources::Environment;
use super::sources::{Asking, Sources};
use super::start::{self, FirstChains};
use super::state::{ChainState, ConfigState};
use crate::api::{Readiness, Status};
use crate::config::Overrides;
use crate::kube::files;
use crate::policy::Direction;
use crate::wasm::Engine;

/// How long a condition may take to come true.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// A Node, and a Local load balancer with an endpoint on it and one address in no range.
const MANIFEST: &str = r#"
apiVersion: v1
kind: Node
metadata: { name: worker-1 }
spec: { podCIDRs: ["10.244.1.0/24"] }
status: { addresses: [{ type: InternalIP, address: 127.0.0.1 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  clusterIP: 172.16.0.10
  clusterIPs: ["172.16.0.10"]
  externalIPs: ["203.0.113.9"]
  ports: [{ port: 80 }]
---
apiVersion: v1
kind: Service
metadata: { name: idle, namespace: shop }
spec:
  type: ClusterIP
  clusterIP: 172.16.0.11
  clusterIPs: ["172.16.0.11"]
  ports: [{ port: 80 }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  namespace: shop
  labels: { kubernetes.io/service-name: web }
addressType: IPv4
endpoints: [{ addresses: ["10.244.1.5"], nodeName: worker-1, conditions: { ready: true } }]
ports: [{ port: 8080 }]
"#;

/// Everything but signals and servers.
pub(super) struct Parts {
    pub(super) folder: TempDir,
    pub(super) reloader: Reloader,
    pub(super) reporter: Arc<Reporter>,
    /// What would become Kubernetes Events.
    pub(super) told: mpsc::Receiver<Notice>,
}

/// A configuration with one peer that refuses to be dialled; `more` follows it. Modules are kept
/// beside it: a test has no business in a directory of the machine.
pub(super) fn text(more: &str) -> String {
    let (policy, more) = match more.split_once("[policy]\n") {
        Some((before, after)) => (after.to_owned(), before),
        None => (String::new(), more),
    };
    format!(
        "source = 'files'\nfiles = 'manifests'\n\
         [bgp]\nlisten = []\n\
         [advertise]\nservice-cluster-cidrs = ['172.16.0.0/16']\n\
         [[peers]]\nname = 'tor'\naddress = '127.0.0.99'\nasn = 64512\nport = 1\n{more}\n\
         [policy]\nmodule-cache = 'modules'\n{policy}"
    )
}

impl Parts {
    /// Starts the parts with this configuration.
    pub(super) async fn start(text: &str) -> Self {
        Self::start_with(tempfile::tempdir().unwrap(), text).await
    }

    /// Starts the parts with this configuration, beside whatever is in the folder.
    pub(super) async fn start_with(folder: TempDir, text: &str) -> Self {
        let manifests = folder.path().join("manifests");
        std::fs::create_dir(&manifests).unwrap();
        std::fs::write(manifests.join("all.yaml"), MANIFEST).unwrap();
        let path = folder.path().join("rutter.toml");
        std::fs::write(&path, text).unwrap();
        Self::start_in(folder, path).await
    }

    /// Starts the parts with the configuration and the manifests that are there.
    pub(super) async fn start_in(folder: TempDir, path: PathBuf) -> Self {
        let overrides = Overrides::default();
        let sources = Arc::new(Sources::new(1));
        let loaded = load::load(&path, &overrides, &sources, Asking::AtStart).await;
        let loaded = loaded.unwrap();
        let config = Arc::clone(&loaded.config);
        let engine = match &config.policy.compile_cache {
            Some(cache) if cache.starts_with(folder.path()) => {
                Engine::new().unwrap().caching(cache)
            }
            // A test has no business in a directory of the machine.
            Some(_) | None => Engine::new().unwrap(),
        };
        let FirstChains {
            exports,
            imports,
            in_force: chains,
            refused,
            fallback,
        } = start::chains(&engine, &loaded).unwrap();
        last::keep(&sources, &config, &chains, &loaded).await;
        let Loaded {
            text, passwords, ..
        } = loaded;
        let state = Arc::new(Mutex::new(ConfigState {
            path: path.clone(),
            loaded_at: 0,
            error: None,
            exports: ChainState::first(
                Direction::Export,
                &chains.exports,
                &refused,
                fallback.clone(),
            ),
            imports: ChainState::first(Direction::Import, &chains.imports, &refused, None),
            resources: Vec::new(),
            held: None,
        }));
        let (notices, told) = Notices::queue();
        start::tell(&chains, &refused, fallback.as_deref(), &notices);
        let speaker = SpeakerHandle::spawn_telling(1, None, notices.clone());
        let calico = config.calico.resources.into();
        let source = files::start(&folder.path().join("manifests"), calico).unwrap();
        let health = source.health.clone();
        let settings = Settings {
            config: Arc::clone(&config),
            passwords: passwords.clone(),
            chain: Some(exports),
            import_chain: Some(imports),
            stood_in: Vec::new(),
        };
        let telling = notices.clone();
        let pipeline =
            pipeline::spawn("worker-1", settings, speaker.clone(), source, telling).unwrap();
        let (approve, approvals) = mpsc::channel(1);
        let reporter = Arc::new(Reporter {
            node: "worker-1".to_owned(),
            started_at: 0,
            speaker: speaker.clone(),
            pipeline: pipeline.clone(),
            health,
            engine: engine.clone(),
            sources: Arc::clone(&sources),
            state: Arc::clone(&state),
            notices: notices.clone(),
            kernel: None,
            approve,
            lost_lines: LostLines::default(),
        });
        let environment = Environment::of(&overrides);
        let reloader = Reloader {
            following: Following::new(pipeline.hearing(), None, environment),
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
            pipeline,
            speaker,
            state,
            notices,
            approvals,
            considered: Considered::at_start(refused),
        };
        let parts = Self {
            folder,
            reloader,
            reporter,
            told,
        };
        until(&parts.reporter, |status| match status.readiness {
            Readiness::Ready | Readiness::Closed { .. } => true,
            Readiness::Waiting { .. } => false,
        })
        .await;
        parts
    }

    /// Puts this text in place of the configuration.
    pub(super) fn write(&self, text: &str) {
        std::fs::write(&self.reloader.path, text).unwrap();
    }
}

/// Asks for the status until `is_so`, for at most [`DEADLINE`].
pub(super) async fn until(reporter: &Reporter, is_so: impl Fn(&Status) -> bool) {
    let asking = async {
        while !is_so(&reporter.status().await.unwrap()) {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(DEADLINE, asking).await.is_err() {
        panic!("not so in time: {:#?}", reporter.status().await);
    }
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged while `work` runs, a line an event.
pub(crate) fn logged(work: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .without_time()
        .with_ansi(false)
        .with_target(false)
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = log.0.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8(bytes.clone()).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}
