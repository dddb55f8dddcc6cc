//! A real Kubernetes API server with its own etcd, on free ports of the loopback address. It ends
//! with the test, also when that fails.
//!
//! There are no controllers but where a test starts them ([`super::controllers`]): nobody makes
//! EndpointSlices or ServiceAccounts but the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use axum::http::Request;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use super::process::{Process, Signal, program};

/// Far above the three seconds it takes on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// How often a server that starts is asked whether it is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Who may do everything.
const ADMIN_TOKEN: &str = "admin-token";

/// A P-256 key of a scalar that everybody knows; it signs the tokens of ServiceAccounts that live
/// as long as a test (SEC 1, in Base64).
const SIGNING_KEY: &str = "MDECAQEEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBoAoGCCqGSM49AwEH";

/// A running API server.
#[derive(Debug)]
pub(crate) struct ApiServer {
    // Dropped in this order: the server before its etcd, and both before their files.
    server: Process,
    _etcd: Process,
    directory: TempDir,
    ports: Ports,
    service_ranges: String,
}

/// Where Services get their cluster IPs from, unless somebody chose otherwise.
const SERVICE_RANGES: [&str; 2] = ["172.16.0.0/16", "fd00:10:96::/112"];

/// How long tests have it stand still: long enough for every watch to be given up. The variable
/// widens it.
const OUTAGE: Duration = Duration::from_secs(8);
const OUTAGE_VARIABLE: &str = "RUTTER_TEST_OUTAGE_SECONDS";

/// For how long tests leave agents without an API server.
pub(crate) fn outage() -> Duration {
    std::env::var(OUTAGE_VARIABLE).map_or(OUTAGE, |seconds| {
        Duration::from_secs(seconds.parse().expect(OUTAGE_VARIABLE))
    })
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    server: u16,
    etcd: u16,
    etcd_peer: u16,
}

impl ApiServer {
    /// Starts one with an empty etcd, and waits until it serves and has made what it makes by
    /// itself (the Service `default/kubernetes`).
    pub(crate) async fn start() -> Self {
        Self::start_with(&SERVICE_RANGES).await
    }

    /// The same with these ranges for cluster IPs, one of each family at most.
    pub(crate) async fn start_with(service_ranges: &[&str]) -> Self {
        let service_ranges = service_ranges.join(",");
        let directory = tempfile::tempdir().unwrap();
        let ports = Ports::free();
        std::fs::write(
            directory.path().join("tokens.csv"),
            format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n"),
        )
        .unwrap();
        let block = "EC PRIVATE KEY";
        let key = format!("-----BEGIN {block}-----\n{SIGNING_KEY}\n-----END {block}-----\n");
        std::fs::write(directory.path().join("sa.key"), key).unwrap();
        let mut server = Self {
            _etcd: spawn_etcd(directory.path(), ports),
            server: spawn_server(directory.path(), ports, &service_ranges),
            directory,
            ports,
            service_ranges,
        };
        server.until_ready().await;
        let services: Api<Service> = Api::namespaced(server.admin().await, "default");
        let deadline = Instant::now() + START_LIMIT;
        while services.get_opt("kubernetes").await.unwrap().is_none() {
            assert!(
                Instant::now() < deadline,
                "the Service default/kubernetes does not appear"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        server
    }

    /// Suspends it: connections stay open and nothing is answered.
    pub(crate) fn freeze(&self) {
        self.server.signal(Signal::Stop);
    }

    /// Takes it up again.
    pub(crate) fn thaw(&self) {
        self.server.signal(Signal::Continue);
    }

    /// Ends it; its etcd stays.
    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again after [`Self::kill`], with the same data and credentials and with an empty
    /// watch cache. It serves after [`Self::until_ready`].
    pub(crate) fn start_again(&mut self) {
        self.server = spawn_server(self.directory.path(), self.ports, &self.service_ranges);
    }

    /// Waits until it serves.
    pub(crate) async fn until_ready(&mut self) {
        let deadline = Instant::now() + START_LIMIT;
        while !self.is_ready().await {
            let ended = self.server.exit_status();
            assert!(ended.is_none(), "kube-apiserver ended: {ended:?}");
            assert!(
                Instant::now() < deadline,
                "kube-apiserver is not ready in {START_LIMIT:?}"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The port of the loopback address that it serves on.
    pub(crate) fn port(&self) -> u16 {
        self.ports.server
    }

    /// A kubeconfig file of somebody who may do everything.
    pub(crate) fn admin_kubeconfig(&self) -> PathBuf {
        self.kubeconfig(ADMIN_TOKEN)
    }

    /// A client that may do everything.
    pub(crate) async fn admin(&self) -> Client {
        self.client(ADMIN_TOKEN).await
    }

    /// A client as the agent has it, with this token.
    pub(crate) async fn client(&self, token: &str) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig(token)).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        rutter::kube::client(config).unwrap()
    }

    /// A kubeconfig file with this token.
    pub(crate) fn kubeconfig(&self, token: &str) -> PathBuf {
        let server = format!("https://127.0.0.1:{}", self.ports.server);
        let authority = self.certificate();
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "test",
                "cluster": { "server": server, "certificate-authority": authority },
            }],
            "users": [{ "name": "test", "user": { "token": token } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
            "current-context": "test",
        });
        // Each call its own file: an agent may still be reading the one before.
        let file = tempfile::Builder::new()
            .prefix("kubeconfig")
            .tempfile_in(self.directory.path());
        let (_, path) = file.unwrap().keep().unwrap();
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
        path
    }

    /// A new ServiceAccount without rights in the namespace `default`; returns a token of it.
    pub(crate) async fn service_account(&self, name: &str) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin().await, "default");
        let account = json!({ "metadata": { "name": name } });
        let account = serde_json::from_value(account).unwrap();
        accounts
            .create(&PostParams::default(), &account)
            .await
            .unwrap();
        self.token_of("default", name).await
    }

    /// A token of a ServiceAccount.
    pub(crate) async fn token_of(&self, namespace: &str, name: &str) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin().await, namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec::default(),
            ..TokenRequest::default()
        };
        let params = PostParams::default();
        let answer = accounts.create_token_request(name, &params, &request).await;
        answer.unwrap().status.expect("a token was asked for").token
    }

    /// The self-signed certificate the server makes at its first start.
    fn certificate(&self) -> PathBuf {
        self.directory.path().join("pki/apiserver.crt")
    }

    async fn is_ready(&self) -> bool {
        // The file is there a moment before all of it is.
        let written = std::fs::read_to_string(self.certificate());
        if !written.is_ok_and(|text| text.trim_end().ends_with("-----END CERTIFICATE-----")) {
            return false;
        }
        let request = Request::get("/readyz").body(Vec::new()).unwrap();
        self.admin().await.request_text(request).await.is_ok()
    }
}

impl Ports {
    /// Three that nobody uses at the moment.
    fn free() -> Self {
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [server, etcd, etcd_peer] =
            listeners.map(|listener| listener.local_addr().unwrap().port());
        Self {
            server,
            etcd,
            etcd_peer,
        }
    }
}

fn spawn_etcd(directory: &Path, ports: Ports) -> Process {
    let clients = format!("http://127.0.0.1:{}", ports.etcd);
    let peers = format!("http://127.0.0.1:{}", ports.etcd_peer);
    let mut command = bound_to_the_test(&program("RUTTER_TEST_ETCD"));
    command
        .arg("--data-dir")
        .arg(directory.join("etcd"))
        .args([
            "--listen-client-urls",
            &clients,
            "--advertise-client-urls",
            &clients,
        ])
        .args([
            "--listen-peer-urls",
            &peers,
            "--initial-advertise-peer-urls",
            &peers,
        ])
        .args(["--initial-cluster", &format!("default={peers}")])
        .args([
            "--unsafe-no-fsync",
            "--logger",
            "zap",
            "--log-level",
            "error",
        ]);
    Process::spawn("etcd", &mut command, directory.join("etcd.log"))
}

fn spawn_server(directory: &Path, ports: Ports, service_ranges: &str) -> Process {
    let file = |name: &str| directory.join(name).display().to_string();
    let key = file("sa.key");
    let mut command = bound_to_the_test(&program("RUTTER_TEST_KUBE_APISERVER"));
    command.args([
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", ports.server),
        "--advertise-address=127.0.0.1".to_owned(),
        // Loopback addresses are no legal endpoints.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--cert-dir={}", file("pki")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=RBAC".to_owned(),
        format!("--service-cluster-ip-range={service_ranges}"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={key}"),
        format!("--service-account-signing-key-file={key}"),
        // It would wait for the ServiceAccounts that a controller makes.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ]);
    Process::spawn(
        "kube-apiserver",
        &mut command,
        directory.join("kube-apiserver.log"),
    )
}

/// A command that is killed with the thread that runs the test, even when that is killed itself
/// and drops nothing.
pub(super) fn bound_to_the_test(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}
