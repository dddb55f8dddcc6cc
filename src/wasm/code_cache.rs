//! Compiled code kept in a directory of the node, so that a restart does not compile again.
//!
//! The [`Engine`](super::Engine) asks it. It only ever speeds things up: an entry
//! that is missing, cut short, altered, of another engine or of another owner is as good as none,
//! and a directory that cannot be used is a fault that status tells, not a failure.
//!
//! What is in an entry runs with the agent's rights, so nothing but this file writes entries:
//! there is no way to hand the agent compiled code. wasmtime's own cache offers neither of the
//! following, and would keep the component only where the agent starts from a core module.
//!
//! # What keeps other code out
//! - The directory belongs to the agent's user with mode 0700, which is checked when the agent starts;
//!   an entry is a file of that user's, no link, with mode 0600, which is checked each time. Other
//!   users of the node neither write there nor plant a file.
//! - An entry begins with a seal, the SHA-256 of its name and contents, which is checked each time
//!   before wasmtime sees them. So what was cut short, altered by the disk, or put under another's name
//!   is none. The name holds the digest of the module and all that wasmtime wants equal, so that no
//!   entry outlives an upgrade of it.
//!
//! The seal has no key: it tells damage, not forgery. Whoever can write there as the agent's user,
//! which on a node is root, or a container of root's with that directory mounted, can seal code of their
//! own, and it would run in the agent. A key would have to lie where the same user can read it, and
//! would keep out nobody whom the modes do not. Where that is too much, `compile-cache = "off"`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

/// Begins every entry; changes with the layout of entries.
const MAGIC: &[u8; 8] = b"rutterc1";

/// Length of the digest that follows [`MAGIC`].
const DIGEST_BYTES: usize = 32;

/// Most that entries may take; the oldest go first. A module of Rust takes less than 1 MiB, one
/// with a JavaScript engine inside 40 MiB.
const ENTRIES_BYTES_MAX: u64 = 256 << 20;

/// Largest entry that is read.
const ENTRY_BYTES_MAX: u64 = 128 << 20;

const ENTRY_EXTENSION: &str = "compiled";
const UNFINISHED_EXTENSION: &str = "unfinished";

/// A directory of compiled modules.
#[derive(Debug)]
pub(super) struct CodeCache {
    folder: PathBuf,
    /// The agent's user.
    owner: u32,
    fault: Mutex<Option<String>>,
}

/// Names an entry: what was compiled, and by which engine with which settings.
#[derive(Debug)]
pub(super) struct Key(String);

impl Key {
    /// The engine is named by what wasmtime says must be equal for compiled code to be
    /// exchanged: its version, the target, every setting.
    pub(super) fn new(engine: &wasmtime::Engine, module: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(format!(
            "{}-{:016x}",
            super::digest(module),
            hasher.finish()
        ))
    }
}

impl CodeCache {
    /// Makes the directory where there is none.
    ///
    /// # Errors
    /// It cannot be made or written to, or others can look into it or change it.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        if !folder.is_dir() {
            if let Some(parent) = folder.parent() {
                fs::create_dir_all(parent)?;
            }
            DirBuilder::new().mode(0o700).create(folder)?;
        }
        // What a new file belongs to is who we are. One that is there may be anybody's.
        let probe = folder.join(format!("probe.{UNFINISHED_EXTENSION}"));
        match fs::remove_file(&probe) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let owner = File::create_new(&probe)?.metadata()?.uid();
        let metadata = fs::metadata(folder)?;
        if metadata.uid() != owner || metadata.mode() & 0o077 != 0 {
            fs::remove_file(&probe)?;
            return Err(io::Error::other(format!(
                "it belongs to user {} with mode {:o}; the agent, user {owner}, keeps code only \
                 where nobody else can get at it: mode 700",
                metadata.uid(),
                metadata.mode() & 0o7777
            )));
        }
        for (path, _) in files(folder, UNFINISHED_EXTENSION)? {
            fs::remove_file(path)?;
        }
        Ok(Self {
            folder: folder.into(),
            owner,
            fault: Mutex::new(None),
        })
    }

    /// Why the latest module could not be kept.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The component that was stored under this key, if all of it is there and is ours.
    #[expect(
        unsafe_code,
        reason = "loading machine code is unsafe whoever wrote it"
    )]
    pub(super) fn load(&self, engine: &wasmtime::Engine, key: &Key) -> Option<Component> {
        let entry = self.read(key).ok()?;
        let code = contents(key, &entry)?;
        // SAFETY: the bytes must be what `Component::serialize` returned. `read` saw a file that
        // only our user can have written, and nothing of ours but `store` writes there; `contents`
        // saw that they are whole and of this key; `store` is only given what `serialize` returned. wasmtime itself
        // compares version, target and settings, and refuses what does not fit.
        unsafe { Component::deserialize(engine, code) }.ok()
    }

    /// Keeps a component for later. Whether it worked makes no difference to anyone but status.
    pub(super) fn store(&self, key: &Key, component: &Component) {
        let outcome = component
            .serialize()
            .map_err(|error| io::Error::other(format!("{error:#}")))
            .and_then(|code| self.write(key, &code))
            .and_then(|()| self.prune());
        let fault = outcome.err().map(|error| {
            format!(
                "cannot keep compiled code in {}: {error}",
                self.folder.display()
            )
        });
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn entry(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.{ENTRY_EXTENSION}", key.0))
    }

    fn read(&self, key: &Key) -> io::Result<Vec<u8>> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(self.entry(key))?;
        let metadata = file.metadata()?;
        let private = metadata.uid() == self.owner && metadata.mode() & 0o077 == 0;
        if !metadata.is_file() || !private || metadata.len() > ENTRY_BYTES_MAX {
            return Err(io::Error::other("not an entry of ours"));
        }
        let mut entry = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        file.take(ENTRY_BYTES_MAX).read_to_end(&mut entry)?;
        Ok(entry)
    }

    /// Under another name first, so that an entry is whole or absent.
    fn write(&self, key: &Key, code: &[u8]) -> io::Result<()> {
        let name = format!("{}.{}.{UNFINISHED_EXTENSION}", key.0, std::process::id());
        let unfinished = self.folder.join(name);
        write_private(&unfinished, &[MAGIC, &seal(key, code), code])
            .and_then(|()| fs::rename(&unfinished, self.entry(key)))
            .inspect_err(|_| {
                // What cannot be removed either is removed by the next start.
                let _ = fs::remove_file(&unfinished);
            })
    }

    fn prune(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for (path, metadata) in files(&self.folder, ENTRY_EXTENSION)? {
            entries.push((metadata.modified()?, metadata.len(), path));
        }
        entries.sort_unstable();
        let mut total: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in entries {
            if total <= ENTRIES_BYTES_MAX {
                break;
            }
            fs::remove_file(path)?;
            total -= bytes;
        }
        Ok(())
    }
}

/// The code in an entry that says it is of this key and whose digest is right.
fn contents<'a>(key: &Key, entry: &'a [u8]) -> Option<&'a [u8]> {
    let sealed = entry.strip_prefix(MAGIC)?;
    let (digest, code) = sealed.split_at_checked(DIGEST_BYTES)?;
    (digest == seal(key, code)).then_some(code)
}

/// A digest of the name too: an entry under the name of another is none.
fn seal(key: &Key, code: &[u8]) -> [u8; DIGEST_BYTES] {
    Sha256::new()
        .chain_update(&key.0)
        .chain_update(code)
        .finalize()
        .into()
}

/// Writes a file that only its owner can read or write.
fn write_private(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    Ok(())
}

fn files(folder: &Path, extension: &str) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|its| its == extension) {
            found.push((path, entry.metadata()?));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
