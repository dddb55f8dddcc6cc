//! The configuration file: TOML text in, a valid [`Config`] or every error in it out.
//!
//! Called by the agent at start and whenever the file changes, and by `rutter config check`.
//! It is pure: the caller reads the file and the environment. Raw forms end here; a [`Config`]
//! that exists has been checked in every way that needs no file, socket or cluster.
//!
//! This is every key, with its default unless it says otherwise. A relative path is relative to
//! the directory of the configuration file.
//!
//! ```toml
#![doc = include_str!("config/reference.toml")]
//! ```

mod advertise;
mod bgp;
mod calico;
mod error;
mod guard;
mod hold_time;
mod import_policies;
mod ip_pools;
mod kernel;
mod limits;
mod max_received;
mod peer_options;
mod peers;
mod policies;
mod raw;
mod remote;
mod restart_time;
mod trust;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use advertise::Overrides;
pub(crate) use advertise::range as service_range;
pub use calico::{CalicoConfig, CalicoResources};
pub use error::{ConfigError, ConfigErrors, Place};
pub use guard::{Guard, MaxWithdraw};
pub use kernel::{KernelConfig, LearnedRoutes};
pub use remote::{HttpUrl, OciReference, RepositoryName, is_loopback};

use crate::candidates::AdvertiseConfig;
use crate::policy::{Audience, ChainDefault, Limits, Mode, OnError};
use crate::types::{
    Asn, ClusterId, ConnectMode, Digest, FirstAs, HoldTime, IpPool, NextHopMode, PeerType,
    ReceiveLimits, Reflection, RestartTime, RouterId,
};
use raw::{Report, Section, Value};

/// A valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `source` and `files`.
    pub source: Source,
    /// `[bgp]`.
    pub bgp: BgpConfig,
    /// `[calico]`.
    pub calico: CalicoConfig,
    /// `[advertise]`, with the environment's overrides.
    pub advertise: AdvertiseConfig,
    /// `[[peers]]`, in the order of the file; names and addresses are unique.
    pub peers: Vec<Peer>,
    /// `guard`.
    pub guard: Guard,
    /// `policy-default`.
    pub policy_default: ChainDefault,
    /// `[[policies]]`, in the order of the file; never empty, names are unique.
    pub policies: Vec<PolicyLink>,
    /// `import-policy-default`.
    pub import_policy_default: ChainDefault,
    /// `[[import-policies]]`, in the order of the file, names are unique. None: every learned
    /// route is used.
    pub import_policies: Vec<PolicyLink>,
    /// `[kernel]`; none leaves the kernel alone.
    pub kernel: Option<KernelConfig>,
    /// `[[ip-pools]]`, which do not overlap.
    pub ip_pools: Vec<IpPool>,
    /// `[policy]`.
    pub policy: PolicyConfig,
    /// `[api]`.
    pub api: ApiConfig,
    /// What is valid, but probably not what was meant; for the log.
    pub warnings: Vec<String>,
}

/// Where facts about the cluster come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The API server.
    #[default]
    Kubernetes,
    /// Manifests in this directory.
    Files(PathBuf),
}

/// `[bgp]`: what is ours in every session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BgpConfig {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterIdConfig,
    /// `cluster-id`; whoever has one is a route reflector.
    pub cluster_id: Option<ClusterId>,
    /// Where peers may dial us.
    pub listen: Vec<SocketAddr>,
    /// What we propose.
    pub hold_time: HoldTime,
    /// `graceful-restart`: for peers that do not say otherwise; none where it is off.
    pub restart_time: Option<RestartTime>,
}

/// Where our BGP Identifier comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterIdConfig {
    /// From the Node: its annotation, its first IPv4 InternalIP, or else its name.
    Auto,
    /// From the file.
    Fixed(RouterId),
}

/// One of `[[peers]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// For people; unique.
    pub name: String,
    /// Why it is one.
    pub peer_type: PeerType,
    /// Where it is, and where its own connections come from; unique, and never one that cannot
    /// be a peer's (unspecified, multicast, link-local).
    pub address: IpAddr,
    /// Where it listens.
    pub port: u16,
    /// Its AS.
    pub asn: Asn,
    /// Our end of the connections we dial, of the same family as `address`.
    pub local_address: Option<IpAddr>,
    /// The key of TCP MD5 signatures is in here.
    pub password_file: Option<PathBuf>,
    /// Whether we dial.
    pub connect_mode: ConnectMode,
    /// The group that policies decide for; absent for a peer that stands alone, which is a group
    /// by its own name. No peer that stands alone has the name of a group.
    pub group: Option<String>,
    /// For policies.
    pub labels: BTreeMap<String, String>,
    /// `enforce-first-as`.
    pub first_as: FirstAs,
    /// `max-received`.
    pub limits: ReceiveLimits,
    /// `route-reflector-client`.
    pub reflection: Reflection,
    /// `next-hop`.
    pub next_hop_mode: NextHopMode,
    /// `local-asn`.
    pub local_asn: Option<Asn>,
    /// `allow-own-asn`.
    pub own_asn_allowed: u8,
    /// `ttl-security`.
    pub ttl_security: Option<NonZeroU8>,
    /// `keepalive-time`, shorter than the hold time.
    pub keepalive_time: Option<Duration>,
    /// `restart-time`; none where there is no graceful restart.
    pub restart_time: Option<RestartTime>,
}

/// One of `[[policies]]` or `[[import-policies]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyLink {
    /// Unique in the chain.
    pub name: String,
    /// The policy itself.
    pub module: PolicyModule,
    /// Of the module's bytes, where they must be these and no others.
    pub digest: Option<Digest>,
    /// The public key whose owner stands by the module, where one must.
    pub require_signature: Option<PathBuf>,
    /// The repository that the signature was made for, where the module is in a mirror of it.
    pub signed_for: Option<RepositoryName>,
    /// For the module to judge; always an object.
    pub settings: serde_json::Value,
    /// What becomes of its routes while it fails.
    pub on_error: OnError,
    /// What one call of it may use.
    pub limits: Limits,
    /// Whom it decides for; every name in it is a group's.
    pub audience: Audience,
    /// Whether it decides. Some policy of the chain does; every import policy does.
    pub mode: Mode,
}

/// Where a policy comes from. Prints as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyModule {
    /// `builtin:NAME`.
    Builtin(Builtin),
    /// A WebAssembly module in a file, or the one in a directory.
    File(PathBuf),
    /// An artifact in a registry.
    Oci(OciReference),
    /// A file on a web server.
    Http(HttpUrl),
}

/// A policy that is part of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// The rule for pod CIDRs and Services that fits most clusters.
    Default,
    /// The rules of Calico's BGPFilter, for routes to announce and for learned ones.
    CalicoFilter,
}

/// `[policy]`: what all policies have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyConfig {
    /// Where compiled modules are kept; absent when off.
    pub compile_cache: Option<PathBuf>,
    /// Where modules from the network are kept; absent when off.
    pub module_cache: Option<PathBuf>,
    /// Whether a module from the network may be another one tomorrow.
    pub pinning: Pinning,
    /// The public key of whoever stands by every module that does not name another.
    pub require_signature: Option<PathBuf>,
    /// A docker-config file with the credentials of registries.
    pub registry_auth: Option<PathBuf>,
    /// What a starting agent does without a module.
    pub on_start_failure: OnStartFailure,
}

/// `on-start-failure`: what decides in the place of a policy whose module a starting agent cannot
/// have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStartFailure {
    /// The module that decided for it on this node last. Where there is none, no route that it
    /// would decide about is let through.
    #[default]
    KeepLast,
    /// The default policy that comes with the agent, in the place of the whole chain; of learned
    /// routes none is used.
    Builtin,
}

/// `require-digest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// Every module from the network has a digest.
    #[default]
    Required,
    /// A tag or a URL may stand for whatever it names at the time.
    Optional,
}

/// `[api]`: where the agent itself can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiConfig {
    /// The Unix socket of the command line.
    pub socket: PathBuf,
    /// Metrics and health over TCP; absent when off.
    pub metrics: Option<SocketAddr>,
}

/// A file with nothing in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the file is empty: it may be about to be written; for a configuration of defaults only, \
     write a comment into it"
)]
pub struct EmptyFile;

impl Config {
    /// Refuses the text of an empty file. Every key has a default, so that it would be valid and
    /// end every session; but it is what a file is while an editor writes it.
    ///
    /// # Errors
    /// There is nothing but white space.
    pub fn refuse_empty(text: &str) -> Result<(), EmptyFile> {
        if text.trim().is_empty() {
            return Err(EmptyFile);
        }
        Ok(())
    }

    /// Reads a configuration file's text. `file_name` is its path as the operator knows it: errors
    /// begin with it, and relative paths in the text start from its directory.
    ///
    /// # Errors
    /// Everything that is wrong with the text, in its order, then with the overrides. A text that
    /// is no TOML is not looked at further.
    pub fn parse(file_name: &str, text: &str, overrides: &Overrides) -> Result<Self, ConfigErrors> {
        let mut report = Report::new(file_name, text);
        let Some(document) = raw::parse(text, &mut report) else {
            return Err(report.into_errors());
        };
        let directory = Path::new(file_name).parent().unwrap_or(Path::new(""));
        let config = read(&raw::root(&document), directory, overrides, &mut report);
        report.into_result(config)
    }

    /// What of `new` cannot be taken into use by a running agent, as the keys that differ;
    /// everything else can.
    #[must_use]
    pub fn restart_needed(&self, new: &Self) -> Vec<&'static str> {
        // Taken apart in full, so that a new field is not forgotten here.
        let Self {
            source,
            bgp,
            calico,
            advertise: _,
            peers: _,
            guard: _,
            policy_default: _,
            policies: _,
            import_policy_default: _,
            import_policies: _,
            kernel,
            ip_pools: _,
            policy,
            api,
            warnings: _,
        } = self;
        let PolicyConfig {
            compile_cache,
            module_cache: _,
            pinning: _,
            require_signature: _,
            registry_auth: _,
            // The next start heeds it anyway.
            on_start_failure: _,
        } = policy;
        let BgpConfig {
            asn: _,
            router_id: _,
            cluster_id: _,
            listen: _,
            hold_time: _,
            restart_time: _,
        } = bgp;
        let ApiConfig { socket, metrics } = api;
        let differing = [
            ("source", *source != new.source),
            (
                "calico.resources",
                calico.resources.is_watched() != new.calico.resources.is_watched(),
            ),
            ("kernel", *kernel != new.kernel),
            (
                "policy.compile-cache",
                *compile_cache != new.policy.compile_cache,
            ),
            ("api.socket", *socket != new.api.socket),
            ("api.metrics", *metrics != new.api.metrics),
        ];
        let keys = differing.into_iter().filter(|(_, differs)| *differs);
        keys.map(|(key, _)| key).collect()
    }
}

impl Peer {
    /// Our AS in the peer's eyes.
    #[must_use]
    pub fn local_asn(&self, bgp: &BgpConfig) -> Asn {
        self.local_asn.unwrap_or(bgp.asn)
    }

    /// The name of the group that policies decide for.
    #[must_use]
    pub fn group_name(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.name)
    }
}

impl fmt::Display for PolicyModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(builtin) => write!(f, "builtin:{}", builtin.name()),
            Self::File(path) => path.display().fmt(f),
            Self::Oci(reference) => reference.fmt(f),
            Self::Http(url) => url.fmt(f),
        }
    }
}

impl Builtin {
    /// Every policy that is part of the agent.
    pub const ALL: [Self; 2] = [Self::Default, Self::CalicoFilter];

    /// What follows `builtin:`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::CalicoFilter => "calico-filter",
        }
    }

    /// Whether it decides on learned routes, too.
    #[must_use]
    pub fn is_import_policy(self) -> bool {
        match self {
            Self::Default => false,
            Self::CalicoFilter => true,
        }
    }
}

const TOP_KEYS: &[&str] = &[
    "source",
    "files",
    "bgp",
    "calico",
    "advertise",
    "peers",
    "guard",
    "policy-default",
    "policies",
    "import-policy-default",
    "import-policies",
    "kernel",
    "ip-pools",
    "policy",
    "api",
];
const API_KEYS: &[&str] = &["socket", "metrics"];

/// The longest path that fits a Unix socket's address on Linux, with its closing zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

fn read(root: &Value<'_>, directory: &Path, overrides: &Overrides, report: &mut Report) -> Config {
    let top = Section::of(Some(root), TOP_KEYS, report);
    let mut warnings = Vec::new();
    let bgp = bgp::read(&top, report);
    let policy = policies::common(&top, directory, report);
    let peers = peers::read(&top, directory, &bgp, report);
    // Where a peer is not valid, its group is not known either.
    let known: Option<Vec<&Peer>> = peers.iter().map(Option::as_ref).collect();
    let surroundings = policies::Surroundings {
        directory,
        common: &policy,
        peers: known.as_deref(),
    };
    let policies = policies::read(&top, &surroundings, report);
    let import_policy_default = import_policies::read_default(&top, report, &mut warnings);
    let import_policies = import_policies::read(&top, import_policy_default, &surroundings, report);
    Config {
        source: source(&top, directory, report),
        calico: calico::read(&top, report),
        advertise: AdvertiseConfig {
            peer_addresses: peers
                .iter()
                .flatten()
                .map(|peer| (peer.address, peer.name.clone()))
                .collect(),
            own_addresses: own_addresses(&bgp, peers.iter().flatten()),
            ..advertise::read(&top, overrides, report, &mut warnings)
        },
        peers: peers.into_iter().flatten().collect(),
        guard: guard::read(&top, report),
        policy_default: policies::read_default(&top, report, &mut warnings),
        policies,
        import_policy_default,
        import_policies,
        kernel: kernel::read(&top, report),
        ip_pools: ip_pools::read(&top, report),
        policy,
        api: api(&top, directory, &bgp, report),
        bgp,
        warnings,
    }
}

/// The addresses that the speaker is known by, as far as the configuration says.
fn own_addresses<'a>(bgp: &BgpConfig, peers: impl Iterator<Item = &'a Peer>) -> BTreeSet<IpAddr> {
    let listen = bgp.listen.iter().map(SocketAddr::ip);
    let dials = peers.filter_map(|peer| peer.local_address);
    let addresses = listen.filter(|address| !address.is_unspecified());
    addresses.chain(dials).collect()
}

fn source(top: &Section<'_>, directory: &Path, report: &mut Report) -> Source {
    const CHOICES: [(&str, Source); 2] = [
        ("kubernetes", Source::Kubernetes),
        ("files", Source::Files(PathBuf::new())),
    ];
    let value = top.value("source");
    let choice = match &value {
        Some(value) => value.choice(&CHOICES, report),
        None => Some(Source::Kubernetes),
    };
    match (choice, top.value("files")) {
        (Some(Source::Files(_)), Some(files)) => match files.path(directory, report) {
            Some(path) => Source::Files(path),
            None => Source::Kubernetes,
        },
        (Some(Source::Files(_)), None) => {
            if let Some(value) = value {
                let advice = "set it to the directory of the manifests";
                let problem = format!("is \"files\", but files is missing; {advice}");
                value.problem(problem, report);
            }
            Source::Kubernetes
        }
        (Some(Source::Kubernetes), Some(files)) => {
            let advice = "set source = \"files\", or remove this";
            let problem = format!("is set, but source is \"kubernetes\"; {advice}");
            files.problem(problem, report);
            Source::Kubernetes
        }
        (Some(Source::Kubernetes), None) | (None, _) => Source::Kubernetes,
    }
}

fn api(top: &Section<'_>, directory: &Path, bgp: &BgpConfig, report: &mut Report) -> ApiConfig {
    const METRICS_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9473);
    let section = Section::of(top.value("api").as_ref(), API_KEYS, report);
    let socket = section
        .value("socket")
        .and_then(|value| socket(&value, directory, report));
    let metrics = match section.value("metrics") {
        Some(value) if value.is_text("off") => None,
        Some(value) => {
            let address = value.socket_address("such as 0.0.0.0:9473, or \"off\"", report);
            if address.is_some_and(|address| bgp.listen.contains(&address)) {
                value.problem("is in bgp.listen, too; choose another port", report);
            }
            address
        }
        None => Some(METRICS_DEFAULT),
    };
    ApiConfig {
        socket: socket.unwrap_or_else(|| "/run/rutter/rutter.sock".into()),
        metrics,
    }
}

fn socket(value: &Value<'_>, directory: &Path, report: &mut Report) -> Option<PathBuf> {
    let path = value.path(directory, report)?;
    let bytes = path.as_os_str().len();
    if bytes > SOCKET_PATH_BYTES_MAX {
        value.problem(
            format!("is {bytes} bytes long; a socket's path has at most {SOCKET_PATH_BYTES_MAX}"),
            report,
        );
        return None;
    }
    Some(path)
}

/// Why no session can be held with, or from, this address.
pub(crate) fn unusable(address: IpAddr) -> Option<&'static str> {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    let mapped = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Ipv6Addr::to_ipv4_mapped(&address),
    };
    if address.is_unspecified() {
        Some("which is no host's address")
    } else if address.is_multicast() || broadcast {
        Some("which is no single host's address")
    } else if link_local {
        Some("which is link-local and needs an interface; write a routed address")
    } else if mapped.is_some() {
        Some("which is an IPv4 address in IPv6 form; write the IPv4 address")
    } else {
        None
    }
}
