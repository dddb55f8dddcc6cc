//! The cluster: a folder of manifests and an agent process for each node.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::say;

/// A node of the demo's cluster.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    /// Its InternalIP, on loopback; as in the manifests.
    pub(crate) address: [u8; 4],
}

/// The cluster's nodes.
pub(crate) const NODES: [Node; 3] = [
    Node {
        name: "control-plane",
        address: [127, 0, 1, 10],
    },
    Node {
        name: "worker-1",
        address: [127, 0, 1, 11],
    },
    Node {
        name: "worker-2",
        address: [127, 0, 1, 12],
    },
];

/// The agents' AS; the fabric's is another, as in a routed data centre.
pub(crate) const CLUSTER_ASN: u32 = 64512;
pub(crate) const FABRIC_ASN: u32 = 65000;

/// How often the agents' processes are looked after.
const LOOK_AFTER_AGENTS: Duration = Duration::from_millis(200);

/// Running agents and the files they read. Dropping it ends them.
pub(crate) struct Cluster {
    folder: TempDir,
    agents: Mutex<Vec<Child>>,
}

impl Cluster {
    pub(crate) fn start(
        agent: &Path,
        manifests: &Path,
        fabric: SocketAddr,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("rutter-demo.").tempdir()?;
        let cluster = Self {
            folder,
            agents: Mutex::default(),
        };
        fs::create_dir(cluster.manifests())?;
        for entry in fs::read_dir(manifests)
            .with_context(|| format!("cannot read {}", manifests.display()))?
        {
            let path = entry?.path();
            let name = path.file_name().context("a manifest without a name")?;
            fs::copy(&path, cluster.manifests().join(name))?;
        }
        for node in &NODES {
            cluster.start_agent(agent, node, fabric)?;
        }
        Ok(cluster)
    }

    /// Waits until an agent ends by itself, which none should.
    pub(crate) async fn agent_ends(&self) -> anyhow::Error {
        loop {
            tokio::time::sleep(LOOK_AFTER_AGENTS).await;
            let mut agents = self.agents.lock().expect("no holder panics");
            for (agent, node) in agents.iter_mut().zip(&NODES) {
                if let Ok(Some(status)) = agent.try_wait() {
                    return anyhow::anyhow!("the agent on {} has ended: {status}", node.name);
                }
            }
        }
    }

    /// Replaces a manifest in one step, as `kubectl apply` would an object; `None` deletes it.
    pub(crate) fn set_manifest(&self, name: &str, text: Option<&str>) -> anyhow::Result<()> {
        let path = self.manifests().join(name);
        match text {
            None => fs::remove_file(path)?,
            Some(text) => {
                let new = self.folder.path().join(name);
                fs::write(&new, text)?;
                fs::rename(new, path)?;
            }
        }
        Ok(())
    }

    pub(crate) fn manifest(&self, name: &str) -> anyhow::Result<String> {
        fs::read_to_string(self.manifests().join(name)).with_context(|| name.to_owned())
    }

    /// What to try while it runs.
    pub(crate) fn invitation(&self, agent: &Path) -> String {
        let rutter = |node: &str| {
            format!(
                "{} --socket {}",
                agent.display(),
                self.socket(node).display()
            )
        };
        format!(
            "\nStill running. In another terminal:\n\
             \n  {} status\
             \n  {} routes\
             \n  {} routes --rejected\
             \n  {} explain shop/web\
             \n  {} explain 172.16.0.10\n\
             \nThe cluster is the folder {}: edit a file and watch `routes` change.\n\
             Ctrl-C ends it.",
            rutter("worker-1"),
            rutter("worker-1"),
            rutter("control-plane"),
            rutter("worker-2"),
            rutter("worker-1"),
            self.manifests().display(),
        )
    }

    /// Each agent's log, for whoever must find out what went wrong.
    pub(crate) fn print_logs(&self) {
        for node in &NODES {
            let log = fs::read_to_string(self.log(node.name)).unwrap_or_default();
            say(&format!("--- log of {} ---\n{log}", node.name));
        }
    }

    fn start_agent(&self, agent: &Path, node: &Node, fabric: SocketAddr) -> anyhow::Result<()> {
        let config = self.folder.path().join(format!("{}.toml", node.name));
        fs::write(&config, self.config(node, fabric))?;
        let log = File::create(self.log(node.name))?;
        let child = Command::new(agent)
            .arg("agent")
            .arg("--config")
            .arg(&config)
            .env("NODE_NAME", node.name)
            .env_remove("RUTTER_ADVERTISE_CLUSTER_IPS")
            .env_remove("CALICO_ADVERTISE_CLUSTER_IPS")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", agent.display()))?;
        self.agents.lock().expect("no holder panics").push(child);
        Ok(())
    }

    fn config(&self, node: &Node, fabric: SocketAddr) -> String {
        let address = std::net::Ipv4Addr::from(node.address);
        format!(
            r#"source = "files"
files = "{manifests}"

[bgp]
asn = {CLUSTER_ASN}
listen = ["{address}:0"]

[advertise]
service-cluster-cidrs = ["172.16.0.0/16", "fd00:10:96::/112"]
service-load-balancer-cidrs = ["198.51.100.0/24"]

[[peers]]
name = "fabric"
address = "{fabric_address}"
port = {fabric_port}
asn = {FABRIC_ASN}
local-address = "{address}"

[policy]
compile-cache = "{compiled}"
module-cache = "{modules}"

[api]
socket = "{socket}"
metrics = "off"
"#,
            compiled = self
                .folder
                .path()
                .join(format!("{}.compiled", node.name))
                .display(),
            modules = self
                .folder
                .path()
                .join(format!("{}.modules", node.name))
                .display(),
            manifests = self.manifests().display(),
            fabric_address = fabric.ip(),
            fabric_port = fabric.port(),
            socket = self.socket(node.name).display(),
        )
    }

    fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    fn socket(&self, node: &str) -> PathBuf {
        self.folder.path().join(format!("{node}.sock"))
    }

    fn log(&self, node: &str) -> PathBuf {
        self.folder.path().join(format!("{node}.log"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for agent in self.agents.get_mut().expect("no holder panics") {
            // It may have ended by itself; either way it is gone afterwards.
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}
