//! The real program, `rutter agent`, on a host of its own; asked as an operator would ask it.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rutter::api::{
    Explanation, PeerStatus, PolicyStatus, Readiness, ReceivedRoutes, Routes, ShadowReport, Status,
};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::netns::Host;
use super::objects::replace;
use super::process::{Memory, Process, Signal, impatient, run};

/// The program under test.
pub(crate) const RUTTER: &str = env!("CARGO_BIN_EXE_rutter");

/// What an agent's configuration file says.
#[derive(Clone, Debug)]
pub(crate) struct AgentConfig {
    pub(crate) source: Source,
    pub(crate) asn: u32,
    /// Seconds.
    pub(crate) hold_time: u16,
    pub(crate) cluster_cidrs: Vec<&'static str>,
    pub(crate) external_cidrs: Vec<&'static str>,
    pub(crate) load_balancer_cidrs: Vec<&'static str>,
    pub(crate) peers: Vec<AgentPeer>,
    /// `[[policies]]` as text; empty for the default.
    pub(crate) policies: String,
    /// `guard.max-withdraw` as TOML; empty for the default.
    pub(crate) guard: &'static str,
    /// Empty for the default.
    pub(crate) import_policy_default: &'static str,
}

/// Where an agent's facts come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// This directory.
    Files(PathBuf),
    /// The API server of this kubeconfig.
    Kubernetes(PathBuf),
}

/// One of `[[peers]]`.
#[derive(Clone, Debug)]
pub(crate) struct AgentPeer {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) asn: u32,
    pub(crate) password: Option<String>,
    pub(crate) passive: Passive,
}

/// Whether the agent leaves dialling to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passive {
    No,
    Yes,
}

/// A running agent.
#[derive(Debug)]
pub(crate) struct Agent {
    process: Process,
    folder: TempDir,
    host: Host,
    node: String,
    kubeconfig: Option<PathBuf>,
    powers: Powers,
}

/// What an agent may do on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Powers {
    /// Everything.
    Root,
    /// Everything but what needs CAP_NET_ADMIN.
    NoNetAdmin,
}

impl AgentPeer {
    /// A peer that is dialled, without a password.
    pub(crate) fn new(name: &str, address: impl Into<IpAddr>, asn: u32) -> Self {
        Self {
            name: name.to_owned(),
            address: address.into(),
            asn,
            password: None,
            passive: Passive::No,
        }
    }
}

impl Agent {
    /// Starts an agent for the Node `node` on `host`.
    pub(crate) fn start(host: &Host, node: &str, config: &AgentConfig) -> Self {
        Self::start_with(host, node, config, Powers::Root)
    }

    /// The same, with powers that are not root's.
    pub(crate) fn start_with(
        host: &Host,
        node: &str,
        config: &AgentConfig,
        powers: Powers,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        fs::write(config_file(folder.path()), render(folder.path(), config)).unwrap();
        let kubeconfig = match &config.source {
            Source::Files(_) => None,
            Source::Kubernetes(path) => Some(path.clone()),
        };
        let process = spawn(host, node, folder.path(), kubeconfig.as_deref(), powers);
        Self {
            process,
            folder,
            host: host.clone(),
            node: node.to_owned(),
            kubeconfig,
            powers,
        }
    }

    /// Starts it again with the same configuration, after it has ended.
    pub(crate) fn start_again(&mut self) {
        let kubeconfig = self.kubeconfig.as_deref();
        let (host, node) = (&self.host, &self.node);
        self.process = spawn(host, node, self.folder.path(), kubeconfig, self.powers);
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    pub(crate) fn memory(&self) -> Memory {
        self.process.memory()
    }

    pub(crate) fn forget_peak(&self) {
        self.process.forget_peak();
    }

    /// Replaces its configuration file, in one step.
    pub(crate) fn configure(&self, config: &AgentConfig) {
        self.configure_text(&render(self.folder.path(), config));
    }

    /// Replaces its configuration file by any text, in one step.
    pub(crate) fn configure_text(&self, text: &str) {
        let file = self.config_file();
        replace(self.folder.path(), &file, text.as_bytes());
    }

    /// What its configuration file would be.
    pub(crate) fn rendered(&self, config: &AgentConfig) -> String {
        render(self.folder.path(), config)
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        config_file(self.folder.path())
    }

    /// Where it answers.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(self.folder.path())
    }

    /// What `rutter status` says.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn status(&self) -> Result<Status, String> {
        self.ask(&["status"])
    }

    /// What `rutter routes --received` says.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn received(&self) -> Result<ReceivedRoutes, String> {
        self.ask(&["routes", "--received"])
    }

    /// What `rutter routes` says: the accepted ones.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn routes(&self) -> Result<Routes, String> {
        self.ask(&["routes"])
    }

    /// What `rutter explain` says of a prefix or Service.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn explanation(&self, subject: &str) -> Result<Explanation, String> {
        self.ask(&["explain", subject])
    }

    /// What `rutter explain` prints of a prefix or Service.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn explain(&self, subject: &str) -> Result<String, String> {
        self.print(&["explain", subject])
    }

    /// What `rutter policy record` prints.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn recording(&self) -> Result<String, String> {
        self.print(&["policy", "record"])
    }

    /// What `rutter policy record --learned` prints.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn recording_of_learned_routes(&self) -> Result<String, String> {
        self.print(&["policy", "record", "--learned"])
    }

    fn print(&self, arguments: &[&str]) -> Result<String, String> {
        let mut rutter = impatient(RUTTER);
        rutter.arg("--socket").arg(socket(self.folder.path()));
        run(rutter.args(arguments))
    }

    /// What `rutter policy diff --live` says.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn shadow_differences(&self) -> Result<ShadowReport, String> {
        self.ask(&["policy", "diff", "--live"])
    }

    /// What `rutter status` says of one peer.
    ///
    /// # Errors
    /// It does not answer, or has no such peer.
    pub(crate) fn peer(&self, name: &str) -> Result<PeerStatus, String> {
        let peers = self.status()?.peers.into_iter();
        let mut found = peers.filter(|peer| peer.name == name);
        found.next().ok_or(format!("no peer {name} in the status"))
    }

    /// What `rutter status` says of the only policy.
    ///
    /// # Errors
    /// It does not answer, or has not one policy.
    pub(crate) fn policy(&self) -> Result<PolicyStatus, String> {
        let status = self.status()?;
        let [policy] = status.policies.as_slice() else {
            return Err(format!("not one policy: {:?}", status.policies));
        };
        Ok(policy.clone())
    }

    /// An error unless it announces and every one of its sessions is established.
    ///
    /// # Errors
    /// It does not, with the status.
    pub(crate) fn is_well(&self) -> Result<(), String> {
        let status = self.status()?;
        let up = status.peers.iter().all(|peer| peer.state == "Established");
        if status.readiness == Readiness::Ready && up {
            Ok(())
        } else {
            Err(format!("{} is not well: {status:#?}", self.node))
        }
    }

    /// A sample of its metrics, by its name with labels as `/metrics` writes it.
    ///
    /// # Errors
    /// It does not answer, or has no such sample.
    pub(crate) fn metric(&self, sample: &str) -> Result<f64, String> {
        let text = self.host.get(9473, "/metrics")?;
        let mut lines = text.lines();
        lines
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
            .ok_or_else(|| format!("no {sample} in {text}"))
    }

    /// Lets the change of this id through.
    ///
    /// # Errors
    /// What `rutter policy approve` complains of.
    pub(crate) fn approve(&self, id: &str) -> Result<String, String> {
        self.rutter(&["policy", "approve", id])
    }

    /// `rutter` with these arguments.
    ///
    /// # Errors
    /// What it complains of.
    pub(crate) fn rutter(&self, arguments: &[&str]) -> Result<String, String> {
        let mut rutter = impatient(RUTTER);
        rutter.arg("--socket").arg(socket(self.folder.path()));
        run(rutter.args(arguments))
    }

    fn ask<T: DeserializeOwned>(&self, command: &[&str]) -> Result<T, String> {
        let mut rutter = impatient(RUTTER);
        rutter.arg("--socket").arg(socket(self.folder.path()));
        rutter.args(command).args(["-o", "json"]);
        // `status` exits with 3 when something is wrong, and prints all the same.
        let output = rutter.output().map_err(|error| error.to_string())?;
        serde_json::from_slice(&output.stdout).map_err(|error| {
            let complaint = String::from_utf8_lossy(&output.stderr);
            format!("rutter {command:?}: {error}: {complaint}")
        })
    }
}

/// What `rutter config check` says of a text; `Err` holds its complaint.
pub(crate) fn config_check(file: &Path) -> Result<String, String> {
    run(impatient(RUTTER).args(["config", "check"]).arg(file))
}

fn spawn(
    host: &Host,
    node: &str,
    folder: &Path,
    kubeconfig: Option<&Path>,
    powers: Powers,
) -> Process {
    let mut command = match powers {
        Powers::Root => host.command(RUTTER),
        Powers::NoNetAdmin => {
            let mut command = host.command("setpriv");
            command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
            command.arg(RUTTER);
            command
        }
    };
    command
        .arg("agent")
        .arg("--config")
        .arg(config_file(folder));
    command.env("NODE_NAME", node).env("RUTTER_LOG", "debug");
    for variable in [
        "RUTTER_ADVERTISE_CLUSTER_IPS",
        "CALICO_ADVERTISE_CLUSTER_IPS",
        "KUBECONFIG",
    ] {
        command.env_remove(variable);
    }
    if let Some(kubeconfig) = kubeconfig {
        command.env("KUBECONFIG", kubeconfig);
    }
    Process::spawn(
        &format!("the agent of {node}"),
        &mut command,
        folder.join("log"),
    )
}

fn config_file(folder: &Path) -> PathBuf {
    folder.join("etc/rutter.toml")
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("rutter.sock")
}

fn render(folder: &Path, config: &AgentConfig) -> String {
    let AgentConfig {
        source,
        asn,
        hold_time,
        cluster_cidrs,
        external_cidrs,
        load_balancer_cidrs,
        peers,
        policies,
        guard,
        import_policy_default,
    } = config;
    let source = match source {
        Source::Files(path) => format!("source = \"files\"\nfiles = {path:?}\n"),
        Source::Kubernetes(_) => "source = \"kubernetes\"\n".to_owned(),
    };
    let guard = match *guard {
        "" => String::new(),
        guard => format!("guard = {{ max-withdraw = {guard} }}\n"),
    };
    let default = match *import_policy_default {
        "" => String::new(),
        default => format!("import-policy-default = {default:?}\n"),
    };
    let mut text = format!(
        "{source}{default}{guard}\
         [bgp]\nasn = {asn}\nhold-time = \"{hold_time}s\"\n\
         [advertise]\n\
         service-cluster-cidrs = {cluster_cidrs:?}\n\
         service-external-cidrs = {external_cidrs:?}\n\
         service-load-balancer-cidrs = {load_balancer_cidrs:?}\n\
         [policy]\ncompile-cache = {:?}\nmodule-cache = {:?}\n\
         [api]\nsocket = {:?}\nmetrics = \"127.0.0.1:9473\"\n",
        folder.join("compiled"),
        folder.join("modules"),
        socket(folder)
    );
    for peer in peers {
        let AgentPeer {
            name,
            address,
            asn,
            password,
            passive,
        } = peer;
        let _ = write!(
            text,
            "[[peers]]\nname = \"{name}\"\naddress = \"{address}\"\nasn = {asn}\npassive = {}\n",
            *passive == Passive::Yes
        );
        if let Some(password) = password {
            let file = folder.join(format!("{name}.key"));
            fs::write(&file, password).unwrap();
            let _ = writeln!(text, "password-file = {file:?}");
        }
    }
    text + policies
}
