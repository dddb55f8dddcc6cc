//! The real kube-proxy, in nftables mode, for the Node that a host is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::netns::Host;
use super::process::{Process, program};
use super::wait::eventually;

/// Both are of the loopback address of the host.
const HEALTH_PORT: u16 = 10256;
const METRICS_PORT: u16 = 10249;

/// Far above the second it takes on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running kube-proxy. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct KubeProxy {
    _process: Process,
    _folder: TempDir,
}

impl KubeProxy {
    /// Starts one for the Node `node`, and waits until it has written the rules of both families
    /// once. What comes from `cluster_cidrs`, a range of each family at most, is traffic of pods.
    ///
    /// # Panics
    /// It ends, or is not healthy in time.
    pub(crate) fn start(
        host: &Host,
        node: &str,
        kubeconfig: &Path,
        cluster_cidrs: &[&str],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        let text = configuration(node, kubeconfig, cluster_cidrs).to_string();
        fs::write(&config, text).unwrap();
        let mut command = host.command(&program("RUTTER_TEST_KUBE_PROXY"));
        command.arg("--config").arg(config);
        let log = folder.path().join("log");
        let mut process = Process::spawn(&format!("kube-proxy of {node}"), &mut command, log);
        eventually(START_LIMIT, || {
            let ended = process.exit_status();
            assert!(ended.is_none(), "kube-proxy ended: {ended:?}");
            let answer = host.get(HEALTH_PORT, "/healthz")?;
            // Healthy from the start, but silent about a family until its rules are there.
            let synced = ["200 OK", "IPv4", "IPv6"].map(|words| answer.contains(words));
            if synced == [true; 3] {
                Ok(())
            } else {
                Err(format!("kube-proxy of {node} says {answer}"))
            }
        });
        Self {
            _process: process,
            _folder: folder,
        }
    }
}

fn configuration(node: &str, kubeconfig: &Path, cluster_cidrs: &[&str]) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        // A full sync is tried again this soon after one that failed.
        "nftables": { "minSyncPeriod": "100ms", "syncPeriod": "1s" },
        "hostnameOverride": node,
        "clientConnection": { "kubeconfig": kubeconfig, "qps": 50, "burst": 100 },
        "detectLocalMode": "ClusterCIDR",
        "clusterCIDR": cluster_cidrs.join(","),
        "healthzBindAddress": format!("127.0.0.1:{HEALTH_PORT}"),
        "metricsBindAddress": format!("127.0.0.1:{METRICS_PORT}"),
        // The kernel's limits are not a namespace's to change, and zero leaves them alone.
        "conntrack": { "maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
        "oomScoreAdj": 0,
    })
}
