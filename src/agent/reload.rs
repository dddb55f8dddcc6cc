//! Takes a changed configuration file into use without a restart, or refuses it and says why.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info};

use super::clock;
use super::driver::SpeakerHandle;
use super::load::{self, ConfigState, Loaded};
use super::pipeline::{PipelineHandle, Settings};
use crate::config::{Config, Overrides};
use crate::wasm::Engine;

/// An editor may write a file in several steps; what counts is what it leaves.
const SETTLE: Duration = Duration::from_millis(200);

/// Everything a reload may change.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    pub(super) overrides: Overrides,
    pub(super) text: String,
    pub(super) config: Arc<Config>,
    /// What the agent was started with: some of it is only read then.
    pub(super) started_with: Arc<Config>,
    pub(super) engine: Engine,
    pub(super) pipeline: PipelineHandle,
    pub(super) speaker: SpeakerHandle,
    pub(super) state: Arc<Mutex<ConfigState>>,
}

/// Whether the file's text must have changed to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unchanged {
    Ignore,
    /// SIGHUP: what the file names (keys, modules) may have changed.
    Reload,
}

impl Reloader {
    /// Watches the file until the process ends. SIGHUP reads it again whether it changed or not.
    ///
    /// # Errors
    /// The folder cannot be watched.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let (changed, mut changes) = mpsc::channel(1);
        // Dropping the watcher would end the watch.
        let _watcher = watch(&self.path, changed)?;
        let mut hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
        loop {
            // Cancel-safe: both only receive.
            let unchanged = tokio::select! {
                _ = changes.recv() => Unchanged::Ignore,
                _ = hangup.recv() => Unchanged::Reload,
            };
            self.settle(&mut changes).await;
            if let Err(refusal) = self.reload(unchanged).await {
                let text = format!("{refusal:#}");
                let mut state = self.state.lock().expect("no holder panics");
                if state.error.as_ref() != Some(&text) {
                    error!("configuration refused, the old one stays: {text}");
                }
                state.error = Some(text);
            }
        }
    }

    /// Waits until nothing has changed for a moment.
    async fn settle(&self, changes: &mut mpsc::Receiver<()>) {
        while let Ok(Some(())) = tokio::time::timeout(SETTLE, changes.recv()).await {}
    }

    async fn reload(&mut self, unchanged: Unchanged) -> anyhow::Result<()> {
        let (path, overrides) = (self.path.clone(), self.overrides.clone());
        let Loaded {
            text,
            config,
            passwords,
        } = tokio::task::spawn_blocking(move || load::load(&path, &overrides)).await??;
        if text == self.text && unchanged == Unchanged::Ignore {
            self.state.lock().expect("no holder panics").error = None;
            return Ok(());
        }
        let chain = if config.policies == self.config.policies && unchanged == Unchanged::Ignore {
            None
        } else {
            let (engine, config) = (self.engine.clone(), Arc::clone(&config));
            Some(tokio::task::spawn_blocking(move || load::chain(&engine, &config)).await??)
        };
        self.speaker
            .listen_on(config.bgp.listen.clone())
            .await
            .context("bgp.listen")?;
        let new_chain = chain.is_some();
        self.pipeline
            .configure(Settings {
                config: Arc::clone(&config),
                passwords,
                chain,
            })
            .await?;
        let waits = self.started_with.restart_needed(&config);
        let mut state = self.state.lock().expect("no holder panics");
        state.loaded_at = clock::unix_time();
        state.error = (!waits.is_empty())
            .then(|| format!("restart the agent to use the new {}", waits.join(", ")));
        if new_chain {
            state.chain_error = None;
        }
        info!(path = %self.path.display(), "configuration reloaded");
        self.text = text;
        self.config = config;
        Ok(())
    }
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
