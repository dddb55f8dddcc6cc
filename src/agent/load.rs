//! Reads a configuration file and everything it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tracing::warn;

use super::peering::Passwords;
use super::shadow::NotLoaded;
use crate::config::{Builtin, Config, Overrides, PolicyLink, PolicyModule};
use crate::policy::{Audience, Link, Mode, OnError, RoutePolicy, SpotChecked};
use crate::types::Password;
use crate::wasm::{Engine, Limits, Module, WasmPolicy};

/// A configuration with its secrets.
pub(super) struct Loaded {
    /// The file's text, to tell whether it changed.
    pub(super) text: String,
    pub(super) config: Arc<Config>,
    pub(super) passwords: Passwords,
}

/// Reads and checks a configuration file and the peers' keys.
///
/// # Errors
/// Names the file, and where there is one the line and the key.
pub(super) fn load(path: &Path, overrides: &Overrides) -> anyhow::Result<Loaded> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration {}", path.display()))?;
    Config::refuse_empty(&text).with_context(|| path.display().to_string())?;
    let config = Config::parse(&path.display().to_string(), &text, overrides)?;
    let passwords = passwords(&config)?;
    Ok(Loaded {
        text,
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

/// Compiles every module of the chain.
///
/// # Errors
/// The first that does not load or refuses its settings, by name; unless it is in shadow mode.
pub(super) fn chain(engine: &Engine, config: &Config) -> anyhow::Result<Vec<Link>> {
    config
        .policies
        .iter()
        .map(|link| self::link(engine, link))
        .collect()
}

/// The chain of a configuration whose own could not be had: the built-in default alone.
pub(super) fn fallback_chain(engine: &Engine) -> anyhow::Result<Vec<Link>> {
    let link = PolicyLink {
        name: "default".to_owned(),
        module: PolicyModule::Builtin(Builtin::Default),
        settings: serde_json::json!({}),
        on_error: OnError::KeepLast,
        limits: Limits::DEFAULT,
        audience: Audience::Everyone,
        mode: Mode::Enforce,
    };
    Ok(vec![self::link(engine, &link)?])
}

fn link(engine: &Engine, link: &PolicyLink) -> anyhow::Result<Link> {
    let module = match &link.module {
        PolicyModule::Builtin(Builtin::Default) => Module::builtin(engine, &link.name),
        PolicyModule::File(path) => Module::from_file(engine, &link.name, path),
    };
    let policy = module
        .and_then(|module| WasmPolicy::new(&module, &link.settings, link.limits))
        .with_context(|| format!("policies.module {}", link.module));
    let policy: Arc<dyn RoutePolicy> = match (policy, link.mode) {
        (Ok(policy), _) => Arc::new(SpotChecked::new(policy)),
        (Err(refusal), Mode::Enforce) => return Err(refusal),
        // What decides nothing keeps nothing from being decided.
        (Err(refusal), Mode::Shadow) => Arc::new(NotLoaded(format!("{refusal:#}"))),
    };
    Ok(Link {
        name: link.name.as_str().into(),
        module: link.module.to_string(),
        policy,
        on_error: link.on_error,
        limits: link.limits,
        audience: link.audience.clone(),
        mode: link.mode,
    })
}

/// The configuration as it stands, for status.
#[derive(Clone, Debug)]
pub(super) struct ConfigState {
    pub(super) path: PathBuf,
    /// In seconds since 1970.
    pub(super) loaded_at: u64,
    /// Why a newer file was refused, or what of it waits for a restart.
    pub(super) error: Option<String>,
    /// Why the configured chain does not run.
    pub(super) chain_error: Option<String>,
}
