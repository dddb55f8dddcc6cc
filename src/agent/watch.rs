//! Tells when something happens in the folders of the files that the agent has read.
//!
//! Folders, not files: editors and ConfigMaps replace what a name points to. What happened, and
//! whether it means anything, is for whoever is told to find out by reading.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tracing::warn;

/// Watches folders for as long as it lives.
pub(super) struct Folders {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    /// Watches the folder of `file`. What happens there, and in folders that are added later, is
    /// told to `changed`.
    ///
    /// # Errors
    /// The folder cannot be watched.
    pub(super) fn of(file: &Path, changed: mpsc::Sender<()>) -> anyhow::Result<Self> {
        let on_event = move |event: notify::Result<notify::Event>| {
            // Reading a file is an event, too: ours must not lead to another.
            if event.is_ok_and(|event| event.kind.is_access()) {
                return;
            }
            // Full means that a change is already waiting to be looked at.
            let _ = changed.try_send(());
        };
        let mut watcher =
            notify::recommended_watcher(on_event).context("cannot watch files (inotify)")?;
        let folder = folder(file);
        watcher
            .watch(&folder, RecursiveMode::NonRecursive)
            .with_context(|| format!("cannot watch {}", folder.display()))?;
        Ok(Self {
            watcher,
            watched: BTreeSet::from([folder]),
        })
    }

    /// Watches the folders of these files and no others. A name that is a link is watched at both
    /// ends. A folder that cannot be watched, for instance because it is not there yet, is left to
    /// whoever looks by the clock.
    pub(super) fn follow<'f>(&mut self, files: impl Iterator<Item = &'f Path>) {
        let wanted: BTreeSet<PathBuf> = files.flat_map(folders).collect();
        for gone in self.watched.difference(&wanted) {
            // One that was deleted is no longer watched anyway.
            let _ = self.watcher.unwatch(gone);
        }
        let mut watched = BTreeSet::new();
        for folder in wanted {
            // Watched or not: a folder of the same name may be another by now.
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(folder)),
                Err(error) if self.watched.contains(&folder) => {
                    warn!(folder = %folder.display(), "cannot be watched any more: {error}");
                }
                Err(_) => {}
            }
        }
        self.watched = watched;
    }
}

/// Where the name is, and where the file is that it leads to.
fn folders(file: &Path) -> impl Iterator<Item = PathBuf> {
    let target = file.canonicalize().ok();
    [Some(folder(file)), target.map(|target| folder(&target))]
        .into_iter()
        .flatten()
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}
