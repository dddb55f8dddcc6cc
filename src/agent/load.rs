//! Reads a configuration file and everything it names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tracing::warn;

use super::peering::Passwords;
use super::shadow::NotLoaded;
use crate::config::{Builtin, Config, Overrides, PolicyLink, PolicyModule};
use crate::policy::{Audience, Link, Mode, OnError, RoutePolicy, SpotChecked};
use crate::types::Password;
use crate::wasm::{self, Engine, Limits, Module, WasmPolicy, builtin_bytes};

/// A configuration with all that it names.
pub(super) struct Loaded {
    /// The file's text, to tell whether it changed.
    pub(super) text: String,
    pub(super) config: Arc<Config>,
    pub(super) passwords: Passwords,
    /// The module of each policy, in the order of the chain.
    pub(super) modules: Vec<ReadModule>,
}

/// Reads and checks a configuration file and the peers' keys, and reads the modules.
///
/// # Errors
/// Names the file, and where there is one the line and the key. A module that cannot be read is
/// no error here.
pub(super) fn load(path: &Path, overrides: &Overrides) -> anyhow::Result<Loaded> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration {}", path.display()))?;
    Config::refuse_empty(&text).with_context(|| path.display().to_string())?;
    let config = Config::parse(&path.display().to_string(), &text, overrides)?;
    let passwords = passwords(&config)?;
    Ok(Loaded {
        text,
        modules: config.policies.iter().map(read_module).collect(),
        config: Arc::new(config),
        passwords,
    })
}

/// Logs what is valid, but probably not what was meant; once for each version of the file.
pub(super) fn log_warnings(config: &Config) {
    for warning in &config.warnings {
        warn!("{warning}");
    }
}

fn passwords(config: &Config) -> anyhow::Result<Passwords> {
    let mut passwords = BTreeMap::new();
    for peer in &config.peers {
        let Some(file) = &peer.password_file else {
            continue;
        };
        let context = || format!("password-file {} of peer `{}`", file.display(), peer.name);
        let octets = std::fs::read(file).with_context(context)?;
        let password = Password::new(octets.trim_ascii_end()).with_context(context)?;
        passwords.insert(peer.name.clone(), password);
    }
    Ok(passwords)
}

/// A module as its source has it, or why it cannot be had.
pub(super) type ReadModule = Result<Arc<ModuleBytes>, String>;

/// A module's bytes, whatever they are.
pub(super) struct ModuleBytes {
    pub(super) bytes: Cow<'static, [u8]>,
    /// Of the bytes, as registries write it.
    pub(super) digest: String,
}

fn read_module(link: &PolicyLink) -> ReadModule {
    let bytes: Cow<'static, [u8]> = match &link.module {
        PolicyModule::Builtin(Builtin::Default) => builtin_bytes().into(),
        PolicyModule::File(path) => Module::read(&link.name, path)
            .map_err(|error| refused_because(link, error.into()))?
            .into(),
    };
    let digest = format!("sha256:{}", wasm::digest(&bytes));
    Ok(Arc::new(ModuleBytes { bytes, digest }))
}

/// The files that the configuration names and the agent reads, besides manifests.
pub(super) fn named_files(config: &Config) -> impl Iterator<Item = &Path> {
    let modules = config
        .policies
        .iter()
        .filter_map(|link| match &link.module {
            PolicyModule::File(path) => Some(path.as_path()),
            PolicyModule::Builtin(_) => None,
        });
    let keys = config
        .peers
        .iter()
        .filter_map(|peer| peer.password_file.as_deref());
    modules.chain(keys)
}

/// What runs where the configured chain could not be had: the built-in default alone.
///
/// # Errors
/// Only where a packager embedded something that is no policy.
pub(super) fn fallback(engine: &Engine) -> anyhow::Result<Link> {
    let link = PolicyLink {
        name: "default".to_owned(),
        module: PolicyModule::Builtin(Builtin::Default),
        settings: serde_json::json!({}),
        on_error: OnError::KeepLast,
        limits: Limits::DEFAULT,
        audience: Audience::Everyone,
        mode: Mode::Enforce,
    };
    let made = read_module(&link).and_then(|module| self::link(engine, &link, &module));
    made.map_err(anyhow::Error::msg)
}

/// Compiles a module, and lets it check the settings of its policy.
///
/// # Errors
/// Why it cannot be used, with the module as it is configured.
pub(super) fn link(
    engine: &Engine,
    link: &PolicyLink,
    module: &ModuleBytes,
) -> Result<Link, String> {
    let policy = Module::from_bytes(engine, &link.name, &module.bytes)
        .and_then(|module| WasmPolicy::new(&module, &link.settings, link.limits))
        .map_err(|error| refused_because(link, error.into()))?;
    Ok(link_of(link, Arc::new(SpotChecked::new(policy))))
}

/// A policy that fails with this reason whenever it is asked.
pub(super) fn not_loaded(link: &PolicyLink, reason: String) -> Link {
    link_of(link, Arc::new(NotLoaded(reason)))
}

fn link_of(link: &PolicyLink, policy: Arc<dyn RoutePolicy>) -> Link {
    Link {
        name: link.name.as_str().into(),
        module: link.module.to_string(),
        policy,
        on_error: link.on_error,
        limits: link.limits,
        audience: link.audience.clone(),
        mode: link.mode,
    }
}

fn refused_because(link: &PolicyLink, error: anyhow::Error) -> String {
    format!("policies.module {}: {error:#}", link.module)
}
