//! Reads a configuration file and everything it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use hyper::body::Bytes;
use tracing::warn;

use super::decider::Decider;
use super::peering::{Passwords, PeerKey};
use super::sources::{Asking, Sources};
use crate::config::{Builtin, Config, Overrides, PolicyLink, PolicyModule};
use crate::files;
use crate::policy::{Audience, Direction, Link, Mode, OnError};
use crate::source::{Artifact, digest_of};
use crate::types::Password;
use crate::wasm::{Engine, Limits, Module, builtin_bytes};

/// A configuration with all that it names.
pub(super) struct Loaded {
    /// The file's text, to tell whether it changed.
    pub(super) text: String,
    pub(super) config: Arc<Config>,
    pub(super) passwords: Passwords,
    pub(super) modules: Modules,
}

/// The module of each policy, in the order of its chain.
pub(super) struct Modules {
    pub(super) exports: Vec<ReadModule>,
    pub(super) imports: Vec<ReadModule>,
}

/// Reads and checks a configuration file and the peers' keys, and obtains the modules.
///
/// # Errors
/// Names the file, and where there is one the line and the key. A module that cannot be had is
/// no error here, nor is a peer's key.
pub(super) async fn load(
    path: &Path,
    overrides: &Overrides,
    sources: &Sources,
    asking: Asking,
) -> anyhow::Result<Loaded> {
    let (path, overrides) = (path.to_owned(), overrides.clone());
    let (text, config, passwords) =
        tokio::task::spawn_blocking(move || read(&path, &overrides)).await??;
    Ok(Loaded {
        text,
        modules: sources.obtain(&config, asking).await,
        config: Arc::new(config),
        passwords,
    })
}

fn read(path: &Path, overrides: &Overrides) -> anyhow::Result<(String, Config, Passwords)> {
    let text = files::read_text(path, files::CONFIG_BYTES_MAX)
        .with_context(|| format!("cannot read the configuration {}", path.display()))?;
    Config::refuse_empty(&text).with_context(|| path.display().to_string())?;
    let config = Config::parse(&path.display().to_string(), &text, overrides)?;
    let passwords = passwords(&config);
    Ok((text, config, passwords))
}

/// Logs what is valid, but probably not what was meant, and which keys are of no use; once for
/// each version of the files.
pub(super) fn log_warnings(config: &Config, passwords: &Passwords) {
    let keys = passwords.warnings();
    for warning in config.warnings.iter().cloned().chain(keys) {
        warn!("{warning}");
    }
}

/// One that cannot be read is its peer's trouble alone.
fn passwords(config: &Config) -> Passwords {
    let with_key = config.peers.iter().filter_map(|peer| {
        let file = peer.password_file.as_ref()?;
        let key = match password(file) {
            Ok(key) => PeerKey::Current(key),
            Err(error) => PeerKey::Missing(format!(
                "password-file {} of peer `{}`: {error:#}",
                file.display(),
                peer.name
            )),
        };
        Some((peer.name.clone(), key))
    });
    with_key.collect()
}

fn password(file: &Path) -> anyhow::Result<Password> {
    let octets = files::read(file, files::PASSWORD_BYTES_MAX)?;
    Ok(Password::new(octets.trim_ascii_end())?)
}

/// A module as its source has it, or why it cannot be had.
pub(super) type ReadModule = Result<Arc<ModuleBytes>, String>;

/// A module's bytes, whatever they are.
pub(super) struct ModuleBytes {
    pub(super) bytes: Bytes,
    /// Of the bytes, as registries write it.
    pub(super) digest: String,
    /// As it is configured; of an artifact in a registry with the digest that was given for it.
    pub(super) source: String,
    /// What it was checked by; absent of what comes with the agent or is kept already.
    pub(super) artifact: Option<Artifact>,
}

/// The files that the configuration names and the agent reads, besides manifests. Where a
/// directory is named, one in it.
pub(super) fn named_files(config: &Config) -> impl Iterator<Item = PathBuf> {
    let of_policy = |link: &PolicyLink| {
        let module = match &link.module {
            PolicyModule::File(path) if path.is_dir() => Some(path.join("module.wasm")),
            PolicyModule::File(path) => Some(path.clone()),
            PolicyModule::Builtin(_) | PolicyModule::Oci(_) | PolicyModule::Http(_) => None,
        };
        [module, link.require_signature.clone()]
    };
    let policies = config.policies.iter().chain(&config.import_policies);
    let of_policies = policies.flat_map(of_policy).flatten();
    let passwords = config.peers.iter();
    of_policies.chain(passwords.filter_map(|peer| peer.password_file.clone()))
}

/// What runs where the configured chain could not be had, if it is to: the built-in default alone.
///
/// # Errors
/// Only where a packager embedded something that is no policy.
pub(super) fn fallback(engine: &Engine) -> anyhow::Result<(PolicyLink, Link)> {
    let link = PolicyLink {
        name: "default".to_owned(),
        module: PolicyModule::Builtin(Builtin::Default),
        digest: None,
        require_signature: None,
        signed_for: None,
        settings: serde_json::json!({}),
        on_error: OnError::KeepLast,
        limits: Limits::DEFAULT,
        audience: Audience::Everyone,
        mode: Mode::Enforce,
    };
    let bytes = builtin_bytes();
    let module = ModuleBytes {
        bytes: bytes.into(),
        digest: digest_of(bytes).to_string(),
        source: link.module.to_string(),
        artifact: None,
    };
    let loaded = self::link(engine, &link, &module).map_err(anyhow::Error::msg)?;
    Ok((link, loaded))
}

/// What lets no route through that a policy would decide about, whatever its on-error is.
pub(super) fn closed<P: Decider>(link: &PolicyLink, reason: String) -> Link<P> {
    Link {
        on_error: OnError::Withdraw,
        ..not_loaded(link, reason)
    }
}

/// Compiles a module, and lets it check the settings of its policy.
///
/// # Errors
/// Why it cannot be used, with the module as it is configured.
pub(super) fn link<P: Decider>(
    engine: &Engine,
    link: &PolicyLink,
    module: &ModuleBytes,
) -> Result<Link<P>, String> {
    let policy = Module::from_bytes(engine, &link.name, &module.bytes)
        .map_err(anyhow::Error::from)
        .and_then(|module| P::of_module(&module, link))
        .map_err(|error| refused_because(P::DIRECTION, link, error))?;
    Ok(link_of(link, &module.source, policy))
}

/// A policy that fails with this reason whenever it is asked.
pub(super) fn not_loaded<P: Decider>(link: &PolicyLink, reason: String) -> Link<P> {
    let module = link.module.to_string();
    link_of(link, &module, P::not_loaded(reason))
}

fn link_of<P>(link: &PolicyLink, module: &str, policy: P) -> Link<P> {
    Link {
        name: link.name.as_str().into(),
        module: module.to_owned(),
        settings: Arc::new(link.settings.clone()),
        policy,
        on_error: link.on_error,
        limits: link.limits,
        audience: link.audience.clone(),
        mode: link.mode,
    }
}

/// Why a policy cannot be had, with its module as it is configured.
pub(super) fn refused_because(
    direction: Direction,
    link: &PolicyLink,
    error: anyhow::Error,
) -> String {
    format!("{}.module {}: {error:#}", direction.key(), link.module)
}
