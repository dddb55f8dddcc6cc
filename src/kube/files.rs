//! A directory of manifests as a source: what `kubectl get -o yaml` prints, or what `kubectl
//! apply` takes. The agent calls [`start`]; a thread reads the directory and, whenever it
//! changes, reads it again as a whole. The index finds what differs.
//!
//! Read are the files named `*.yaml`, `*.yml` and `*.json` directly in the directory, but none
//! whose name begins with a dot. Files replaced by rename (as editors do) and mounted ConfigMaps
//! (a swapped `..data` link) are taken up whole; one that is rewritten in place is read when its
//! writer closes it. A change behind a link that leads out of the directory goes unnoticed.
//!
//! What is read has bounds, for a directory may be filled by whoever or whatever: of each file, of
//! all of them together, and of how many objects there are.
//!
//! **Trouble** changes no fact: a file that cannot be read, does not parse or is beyond a bound keeps the objects it
//! had, a directory that is gone keeps them all, and [`Health`](super::Health) says so. Only a
//! file that is no longer there takes its objects along.

mod manifest;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use anyhow::Context;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc as events;

use super::health::HealthReporter;
use super::{Calico, EVENT_QUEUE_DEPTH, Kind, Object, ObjectRef, Source, SourceEvent};
use crate::files;
use crate::types::shortened;

/// What is read of one file.
const FILE_BYTES_MAX: usize = 16 << 20;
/// What is read of all of them: a parsed file takes some times its size while it is read.
const FOLDER_BYTES_MAX: usize = 64 << 20;
const FILES_MAX: usize = 4096;
/// Some times what Kubernetes is made for: 10,000 Services, 5,000 Nodes.
const OBJECTS_MAX: usize = 50_000;
/// What is told of what is wrong.
const PROBLEMS_MAX: usize = 20;
const PROBLEM_BYTES_MAX: usize = 1024;

/// Starts reading `directory`, and keeps at it; Calico's resources in it only where they count.
///
/// # Errors
/// There is no such directory, or it cannot be watched.
pub fn start(directory: &Path, calico: Calico) -> anyhow::Result<Source> {
    let shown = directory.display();
    // Absolute, so that it has a parent; links are kept, so that swapping one is noticed.
    let directory = std::path::absolute(directory)
        .with_context(|| format!("{shown} cannot be a directory of manifests"))?;
    std::fs::read_dir(&directory)
        .with_context(|| format!("cannot read the directory of manifests {shown}: create it"))?;

    let (signals, signalled) = mpsc::channel();
    let running = Running(signals.clone());
    let watched = directory.clone();
    let mut watcher = notify::recommended_watcher(move |event| {
        if let Some(signal) = signal(&watched, event) {
            // Fails only when the reader has ended.
            let _ = signals.send(signal);
        }
    })
    .context("cannot watch files: is the inotify limit of this machine reached?")?;
    watcher
        .watch(&directory, RecursiveMode::NonRecursive)
        .with_context(|| format!("cannot watch the directory of manifests {shown}"))?;
    if let Some(parent) = directory.parent() {
        // Sees the directory itself removed, created, or swapped. Where that is not allowed, the
        // files are still seen.
        let _ = watcher.watch(parent, RecursiveMode::NonRecursive);
    }

    let (sender, receiver) = events::channel(EVENT_QUEUE_DEPTH);
    let (reporter, health) = HealthReporter::new();
    let reader = Reader {
        directory,
        watcher,
        signals: signalled,
        events: sender,
        health: reporter,
        files: BTreeMap::new(),
        calico,
    };
    std::thread::Builder::new()
        .name("manifests".to_owned())
        .spawn(move || reader.run())
        .context("cannot start a thread")?;
    Ok(Source {
        events: receiver,
        health,
        api_server: None,
        kinds: Kind::all(calico),
        _running: super::Running::Watcher(running),
    })
}

/// Ends the reader when dropped.
#[derive(Debug)]
pub(super) struct Running(mpsc::Sender<Signal>);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only when the reader has already ended.
        let _ = self.0.send(Signal::Stop);
    }
}

/// What the reader waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    /// Something in the directory changed.
    FilesChanged,
    /// The directory may be another one, which is not watched yet.
    DirectoryReplaced,
    /// The source is not wanted any more.
    Stop,
}

/// What an event of the file system means, if anything.
fn signal(directory: &Path, event: notify::Result<Event>) -> Option<Signal> {
    let Ok(event) = event else {
        return Some(Signal::DirectoryReplaced);
    };
    if event.need_rescan() {
        return Some(Signal::DirectoryReplaced);
    }
    let meaningful = match event.kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        // A file that is being written: reading it half-way would lose objects. Its writer closes
        // it in the end.
        EventKind::Modify(ModifyKind::Data(_)) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    };
    if !meaningful {
        return None;
    }
    if event.paths.iter().any(|path| path == directory) {
        return Some(Signal::DirectoryReplaced);
    }
    let inside = |path: &PathBuf| path.parent() == Some(directory);
    // Else it is about a neighbour of the directory.
    event
        .paths
        .iter()
        .any(inside)
        .then_some(Signal::FilesChanged)
}

/// The thread that reads.
struct Reader {
    directory: PathBuf,
    watcher: RecommendedWatcher,
    signals: mpsc::Receiver<Signal>,
    events: events::Sender<SourceEvent>,
    health: HealthReporter,
    /// The objects that each file held when it was last in order.
    files: BTreeMap<String, Vec<Object>>,
    calico: Calico,
}

/// What may still be read.
struct Room {
    bytes: usize,
    objects: usize,
    calico: Calico,
}

impl Room {
    /// The objects in a file, if there is room for them.
    fn parse(&mut self, text: &str) -> Result<Vec<Object>, String> {
        let Some(bytes) = self.bytes.checked_sub(text.len()) else {
            return Err(format!(
                "is too much: of one directory, at most {FOLDER_BYTES_MAX} bytes are read"
            ));
        };
        let objects = manifest::parse(text, self.calico)?;
        let Some(room) = self.objects.checked_sub(objects.len()) else {
            return Err(format!(
                "is too much: of one directory, at most {OBJECTS_MAX} objects are read"
            ));
        };
        (self.bytes, self.objects) = (bytes, room);
        Ok(objects)
    }
}

/// Nobody wants the source any more.
struct Stopped;

/// What is wrong at present, by what it is about.
type Problems = BTreeMap<String, String>;

impl Reader {
    fn run(mut self) {
        while self.read().and_then(|()| self.wait()).is_ok() {}
    }

    fn read(&mut self) -> Result<(), Stopped> {
        let mut problems = Problems::new();
        match self.read_files(&mut problems) {
            Ok(()) => {
                let objects = self.merge(&mut problems);
                // Before the facts: whoever sees them change finds the health that goes with them.
                self.health.replace(&self.bounded(problems));
                self.send(objects)
            }
            Err(error) => {
                problems.insert(self.subject(), format!("cannot be read: {error}"));
                self.health.replace(&problems);
                Ok(())
            }
        }
    }

    fn read_files(&mut self, problems: &mut Problems) -> io::Result<()> {
        let Listing { names, left_out } = self.list()?;
        if left_out > 0 {
            let text = format!("has {left_out} files more than the {FILES_MAX} that are read");
            problems.insert(self.subject(), text);
        }
        self.files.retain(|name, _| names.contains(name));
        let mut room = Room {
            bytes: FOLDER_BYTES_MAX,
            objects: OBJECTS_MAX,
            calico: self.calico,
        };
        for name in names {
            let path = self.directory.join(&name);
            let text = match files::read_text(&path, FILE_BYTES_MAX) {
                Ok(text) => text,
                Err(_) if path.symlink_metadata().is_err() => {
                    // Removed since the directory was listed.
                    self.files.remove(&name);
                    continue;
                }
                Err(error) => {
                    problems.insert(format!("file {name}"), format!("cannot be read: {error}"));
                    continue;
                }
            };
            match room.parse(&text) {
                Ok(objects) => {
                    self.files.insert(name, objects);
                }
                Err(error) => {
                    problems.insert(format!("file {name}"), error);
                }
            }
        }
        Ok(())
    }

    fn list(&self) -> io::Result<Listing> {
        manifest_names(&self.directory, |name| self.files.contains_key(name))
    }

    fn subject(&self) -> String {
        format!("directory {}", self.directory.display())
    }

    /// As much of it as somebody reads.
    fn bounded(&self, mut problems: Problems) -> Problems {
        for text in problems.values_mut() {
            if let Cow::Owned(shorter) = shortened(text, PROBLEM_BYTES_MAX) {
                *text = shorter;
            }
        }
        let more = problems.len().saturating_sub(PROBLEMS_MAX);
        if more > 0 {
            while problems.len() > PROBLEMS_MAX {
                problems.pop_last();
            }
            problems.insert(self.subject(), format!("has {more} more problems"));
        }
        problems
    }

    /// All objects. Of those that are there more than once, the last counts, in the order of file
    /// names.
    fn merge(&self, problems: &mut Problems) -> BTreeMap<ObjectRef, Object> {
        let mut objects = BTreeMap::new();
        let mut origin = BTreeMap::new();
        for (file, in_file) in &self.files {
            for object in in_file {
                let name = object.object_ref();
                objects.insert(name.clone(), object.clone());
                match origin.entry(name) {
                    Entry::Vacant(entry) => {
                        entry.insert(file);
                    }
                    Entry::Occupied(mut entry) => {
                        let subject = entry.key().to_string();
                        let first = entry.insert(file);
                        let text = format!("is in {first} and again in {file}, which counts");
                        problems.insert(subject, text);
                    }
                }
            }
        }
        objects
    }

    fn send(&self, mut objects: BTreeMap<ObjectRef, Object>) -> Result<(), Stopped> {
        // Each stands for itself, and, should it be the own one, for more.
        let mut nodes = BTreeMap::new();
        for kind in Kind::all(self.calico) {
            self.send_event(SourceEvent::ListStarted(kind))?;
            let mut is_served = false;
            for (_, object) in objects.extract_if(.., |name, _| name.kind == kind) {
                if let Object::Node(node) = &object {
                    let name = ObjectRef {
                        kind: Kind::ClusterNode,
                        ..object.object_ref()
                    };
                    nodes.insert(name, Object::ClusterNode(node.clone()));
                }
                is_served = true;
                self.send_event(SourceEvent::Listed(object))?;
            }
            objects.append(&mut nodes);
            self.send_event(SourceEvent::ListCompleted(kind))?;
            // Files do not say which of Calico's groups there is: the one that they have objects of.
            if !is_served && matches!(kind, Kind::Calico(_)) {
                self.send_event(SourceEvent::NotServed(kind))?;
            }
        }
        Ok(())
    }

    fn send_event(&self, event: SourceEvent) -> Result<(), Stopped> {
        self.events.blocking_send(event).map_err(|_| Stopped)
    }

    /// Waits for a change. Changes that are there already are taken in together.
    fn wait(&mut self) -> Result<(), Stopped> {
        let first = self.signals.recv().map_err(|_| Stopped)?;
        for signal in std::iter::once(first).chain(self.signals.try_iter()) {
            match signal {
                Signal::FilesChanged => {}
                Signal::DirectoryReplaced => {
                    // The old watch is bound to the old directory. While there is none, the watch
                    // of the parent tells when there is one again.
                    let _ = self.watcher.unwatch(&self.directory);
                    let _ = self
                        .watcher
                        .watch(&self.directory, RecursiveMode::NonRecursive);
                }
                Signal::Stop => return Err(Stopped),
            }
        }
        Ok(())
    }
}

/// The names of the manifests in a directory.
struct Listing {
    names: BTreeSet<String>,
    /// How many there are besides.
    left_out: usize,
}

/// The first manifests of a directory, but those that are `held` in any case.
fn manifest_names(directory: &Path, held: impl Fn(&str) -> bool) -> io::Result<Listing> {
    let mut names = BTreeSet::new();
    let mut left_out = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let extension = Path::new(&name).extension().and_then(|text| text.to_str());
        let manifest = matches!(extension, Some("yaml" | "yml" | "json"));
        if manifest && !name.starts_with('.') && !entry.file_type()?.is_dir() {
            names.insert(name);
        }
        if names.len() > FILES_MAX {
            let last = names.iter().rev().find(|name| !held(name)).cloned();
            left_out += usize::from(last.is_some_and(|last| names.remove(&last)));
        }
    }
    Ok(Listing { names, left_out })
}
