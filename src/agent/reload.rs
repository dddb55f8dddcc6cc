//! Takes a changed configuration file into use without a restart, or refuses it and says why.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tracing::{error, info};

use super::clock;
use super::driver::SpeakerHandle;
use super::events::{Notice, Notices};
use super::imports::{self, ImportChain};
use super::load::{self, ConfigState, Loaded};
use super::peering::Passwords;
use super::pipeline::{PipelineHandle, Settings};
use crate::config::{Config, Overrides};
use crate::policy::Link;
use crate::wasm::Engine;

/// An editor may write a file in several steps; what counts is what it leaves.
const SETTLE: Duration = Duration::from_millis(200);
/// A folder in which something always changes must not keep a new configuration waiting.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// Everything a reload may change.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    pub(super) overrides: Overrides,
    pub(super) text: String,
    pub(super) passwords: Passwords,
    pub(super) config: Arc<Config>,
    /// What the agent was started with: some of it is only read then.
    pub(super) started_with: Arc<Config>,
    pub(super) engine: Engine,
    pub(super) pipeline: PipelineHandle,
    pub(super) speaker: SpeakerHandle,
    pub(super) state: Arc<Mutex<ConfigState>>,
    pub(super) notices: Notices,
}

/// What becomes of a file that reads as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unchanged {
    /// Something in its folder changed: nothing, unless the peers' keys did.
    Ignore,
    /// SIGHUP: what the file names (modules) may have changed.
    Reload,
}

impl Reloader {
    /// Watches the file until the process ends. `hangup` reads it again whether it changed or not.
    ///
    /// Files that it names are read with it, but not watched: after a change of a key or a module
    /// in another folder, send SIGHUP.
    ///
    /// # Errors
    /// The folder cannot be watched.
    pub(super) async fn run(mut self, mut hangup: Signal) -> anyhow::Result<()> {
        let (changed, mut changes) = mpsc::channel(1);
        // Dropping the watcher would end the watch.
        let _watcher = watch(&self.path, changed)?;
        loop {
            // Cancel-safe: both only receive.
            let unchanged = tokio::select! {
                Some(()) = changes.recv() => Unchanged::Ignore,
                Some(()) = hangup.recv() => Unchanged::Reload,
                else => anyhow::bail!("nothing watches the configuration any more"),
            };
            // A file that never comes to rest is read as it is.
            let _ = tokio::time::timeout(SETTLE_MAX, settle(&mut changes)).await;
            self.reload_or_refuse(unchanged).await;
        }
    }

    /// Reads the file; refused, the old configuration stays and status says why.
    async fn reload_or_refuse(&mut self, unchanged: Unchanged) {
        if let Err(refusal) = self.reload(unchanged).await {
            let text = format!("{refusal:#}");
            let mut state = self.state.lock().expect("no holder panics");
            if state.error.as_ref() != Some(&text) {
                error!("configuration refused, the old one stays: {text}");
                self.notices.tell(Notice::refused(&refusal));
            }
            state.error = Some(text);
        }
    }

    async fn reload(&mut self, unchanged: Unchanged) -> anyhow::Result<()> {
        let (path, overrides) = (self.path.clone(), self.overrides.clone());
        let Loaded {
            text,
            config,
            passwords,
        } = tokio::task::spawn_blocking(move || load::load(&path, &overrides)).await??;
        let same = text == self.text && passwords == self.passwords;
        if same && unchanged == Unchanged::Ignore {
            let mut state = self.state.lock().expect("no holder panics");
            state.error = self.waits_for_restart(&self.config);
            return Ok(());
        }
        let chain = self.chain(&config, unchanged).await?;
        let imports = self.imports(&config, unchanged).await?;
        self.speaker
            .listen_on(config.bgp.listen.clone())
            .await
            .context("bgp.listen")?;
        let new_chain = chain.is_some();
        self.pipeline
            .configure(Settings {
                config: Arc::clone(&config),
                passwords: passwords.clone(),
                chain,
            })
            .await?;
        if let Some(imports) = imports {
            self.pipeline.replace_imports(imports).await?;
        }
        load::log_warnings(&config);
        let mut state = self.state.lock().expect("no holder panics");
        state.loaded_at = clock::unix_time();
        state.error = self.waits_for_restart(&config);
        if new_chain {
            state.chain_error = None;
        }
        drop(state);
        info!(path = %self.path.display(), "configuration reloaded");
        self.notices.tell(Notice::ConfigurationReloaded);
        self.text = text;
        self.passwords = passwords;
        self.config = config;
        Ok(())
    }

    /// The chain, where it is to be another; `None` keeps the one that runs.
    async fn chain(
        &self,
        config: &Arc<Config>,
        unchanged: Unchanged,
    ) -> anyhow::Result<Option<Vec<Link>>> {
        let same = config.policies == self.config.policies && unchanged == Unchanged::Ignore;
        let stands_in = {
            let state = self.state.lock().expect("no holder panics");
            state.chain_error.is_some()
        };
        if same && !stands_in {
            return Ok(None);
        }
        let (engine, config) = (self.engine.clone(), Arc::clone(config));
        let chain = tokio::task::spawn_blocking(move || load::chain(&engine, &config)).await?;
        match chain {
            Ok(chain) => Ok(Some(chain)),
            // It did not load at start either: the rest of the file must not wait for it.
            Err(_) if same => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// The import policies, where they are to be others; `None` keeps those that run.
    async fn imports(
        &self,
        config: &Arc<Config>,
        unchanged: Unchanged,
    ) -> anyhow::Result<Option<ImportChain>> {
        let same = config.import_policies == self.config.import_policies
            && config.import_policy_default == self.config.import_policy_default;
        if same && unchanged == Unchanged::Ignore {
            return Ok(None);
        }
        let (engine, config) = (self.engine.clone(), Arc::clone(config));
        let chain = tokio::task::spawn_blocking(move || imports::chain(&engine, &config)).await??;
        Ok(Some(chain))
    }

    fn waits_for_restart(&self, config: &Config) -> Option<String> {
        let waits = self.started_with.restart_needed(config);
        (!waits.is_empty())
            .then(|| format!("restart the agent to use the new {}", waits.join(", ")))
    }
}

/// Waits until nothing has changed for a moment.
async fn settle(changes: &mut mpsc::Receiver<()>) {
    while let Ok(Some(())) = tokio::time::timeout(SETTLE, changes.recv()).await {}
}

/// Watches the folder, not the file: editors and ConfigMaps replace what the name points to.
fn watch(path: &Path, changed: mpsc::Sender<()>) -> anyhow::Result<RecommendedWatcher> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let on_event = move |event: notify::Result<notify::Event>| {
        // Reading the file is an event, too: ours must not lead to another.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        // Full means that a change is already waiting to be looked at.
        let _ = changed.try_send(());
    };
    let mut watcher =
        notify::recommended_watcher(on_event).context("cannot watch files (inotify)")?;
    watcher
        .watch(folder, RecursiveMode::NonRecursive)
        .with_context(|| format!("cannot watch {}", folder.display()))?;
    Ok(watcher)
}

#[cfg(test)]
mod tests;
