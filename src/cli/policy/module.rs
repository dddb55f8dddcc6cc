//! Arguments that every policy command has in common: which module, with which settings.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::config::{Builtin, PolicyModule};
use crate::wasm::{Engine, Limits, Module, WasmPolicy, builtin_bytes};

/// A module as the configuration names it.
#[derive(Clone, Debug, Args)]
pub(super) struct ModuleArg {
    /// The module, as the configuration writes it: builtin:default, or a file
    #[arg(value_name = "MODULE")]
    module: String,
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
    pub(super) fn bytes(&self) -> anyhow::Result<Cow<'static, [u8]>> {
        match parse(&self.module)? {
            PolicyModule::Builtin(Builtin::Default) => Ok(builtin_bytes().into()),
            PolicyModule::File(path) => std::fs::read(&path)
                .map(Into::into)
                .with_context(|| format!("cannot read the module {}", path.display())),
        }
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
    let loaded = match &parse(text)? {
        PolicyModule::Builtin(Builtin::Default) => Module::builtin(engine, text),
        PolicyModule::File(path) => Module::from_file(engine, text, path),
    };
    Ok(loaded?)
}

impl SettingsArg {
    /// The settings in this file.
    pub(super) fn new(settings: Option<PathBuf>) -> Self {
        Self { settings }
    }

    /// A policy of this module with these settings.
    ///
    /// # Errors
    /// The file cannot be read, or the module refuses what is in it.
    pub(super) fn apply(&self, module: &Module) -> anyhow::Result<WasmPolicy> {
        Ok(WasmPolicy::new(module, &self.read()?, Limits::default())?)
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
    let text = std::fs::read_to_string(path)
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
