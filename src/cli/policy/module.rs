//! Arguments that every policy command has in common: which module, with which settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::cli::wait_for;
use crate::config::PolicyModule;
use crate::files;
use crate::source::{Demands, Fetcher, Obtained};
use crate::wasm::{Engine, Module};

/// How long a module from the network may take. A person waits, and can end it.
pub(super) const DOWNLOAD_TIME_MAX: Duration = Duration::from_secs(120);

/// A module as the configuration names it.
#[derive(Clone, Debug, Args)]
pub(super) struct ModuleArg {
    /// The module, as the configuration writes it: builtin:default, a file, a directory
    /// with one in it, oci://... or https://...
    #[arg(value_name = "MODULE")]
    module: String,
}

/// Whom a registry takes us for.
#[derive(Clone, Debug, Args)]
pub(super) struct RegistryArg {
    /// Credentials of registries, in the form of ~/.docker/config.json
    #[arg(
        long,
        value_name = "FILE",
        env = "RUTTER_REGISTRY_AUTH",
        hide_env_values = true
    )]
    registry_auth: Option<PathBuf>,
}

impl RegistryArg {
    /// The file, if there is one.
    pub(super) fn auth(&self) -> Option<&Path> {
        self.registry_auth.as_deref()
    }
}

/// The settings to use it with.
#[derive(Clone, Debug, Args)]
pub(super) struct SettingsArg {
    /// Its settings: a file of TOML (.toml), YAML (.yaml, .yml) or JSON (anything else); none
    /// means no settings
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

impl ModuleArg {
    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.module
    }

    /// The module's bytes, whatever they are.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        bytes(&self.module)
    }

    /// The module, if it is what is demanded.
    ///
    /// # Errors
    /// It cannot be had, or is not.
    pub(super) fn obtain(
        &self,
        demands: &Demands,
        registry_auth: Option<&Path>,
    ) -> anyhow::Result<Obtained> {
        obtain(&self.module, demands, registry_auth)
    }

    /// Reads, compiles and checks it. A relative path starts from the working directory.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn load(&self, engine: &Engine) -> anyhow::Result<Module> {
        load(engine, &self.module)
    }
}

fn parse(text: &str) -> anyhow::Result<PolicyModule> {
    PolicyModule::parse(text, Path::new(""))
        .map_err(|problem| anyhow::anyhow!("the module {problem}"))
}

/// Loads the module that `text` names.
///
/// # Errors
/// Why it cannot be used.
pub(super) fn load(engine: &Engine, text: &str) -> anyhow::Result<Module> {
    Ok(Module::from_bytes(engine, text, &bytes(text)?)?)
}

fn bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    Ok(obtain(text, &Demands::default(), None)?.bytes.into())
}

fn obtain(text: &str, demands: &Demands, registry_auth: Option<&Path>) -> anyhow::Result<Obtained> {
    let module = parse(text)?;
    let fetcher = Fetcher::without_cache(registry_auth.map(Path::to_owned), DOWNLOAD_TIME_MAX);
    wait_for(async { Ok(fetcher.obtain(&module, demands).await?) })
}

impl SettingsArg {
    /// The settings in this file.
    pub(super) fn new(settings: Option<PathBuf>) -> Self {
        Self { settings }
    }

    /// Whether there is a file of settings.
    pub(super) fn is_given(&self) -> bool {
        self.settings.is_some()
    }

    /// The settings as JSON; an empty object where none are given.
    ///
    /// # Errors
    /// The file cannot be read, or is no table.
    pub(super) fn read(&self) -> anyhow::Result<serde_json::Value> {
        match &self.settings {
            Some(path) => read(path),
            None => Ok(serde_json::json!({})),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<serde_json::Value> {
    let name = || path.display().to_string();
    let text = files::read_any_text(path, files::CONFIG_BYTES_MAX)
        .with_context(|| format!("cannot read the settings {}", path.display()))?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    let settings: serde_json::Value = match extension {
        Some("toml") => toml::from_str(&text).with_context(name)?,
        Some("yaml" | "yml") => serde_saphyr::from_str(&text).with_context(name)?,
        Some(_) | None => serde_json::from_str(&text).with_context(name)?,
    };
    anyhow::ensure!(
        settings.is_object(),
        "{}: settings are a table of keys and values",
        path.display()
    );
    Ok(settings)
}
