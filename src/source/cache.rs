//! Modules from the network, kept in a directory of the node.
//!
//! A blob is a file named by its digest; a record, named by the digest of the source's text, says
//! which blob the source gave last and with which index and manifest. Whatever is read is checked as if it
//! had just been downloaded: an entry that is missing, cut short or altered is as good as none.
//! Only a name that is not pinned is believed, so that the directory must be one that nobody else can
//! write to, which is checked.
//!
//! Beside these [`last`](super::last) has records of its own, of the same blobs.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::artifact::{Artifact, Description};
use super::manifest::MANIFEST_BYTES_MAX;
use super::signature::Signature;
use super::{digest_of, last};
use crate::files;
use crate::types::Digest;
use crate::wasm::MODULE_BYTES_MAX;

/// Most that entries may take that the chain does not use; the oldest go first.
const UNUSED_BYTES_MAX: u64 = 64 << 20;

/// Most that a record takes: an index, a manifest, and signatures of the same order.
pub(super) const RECORD_BYTES_MAX: usize = 4 * MANIFEST_BYTES_MAX;

const BLOB: &str = "blob";
const RECORD: &str = "json";
const UNFINISHED: &str = "unfinished";

/// A directory of modules. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    pub(super) folder: PathBuf,
    pub(super) unused_bytes_max: u64,
    /// Two sources may give the same blob, and one source be named twice.
    writing: Arc<Mutex<()>>,
}

/// An artifact, but for its blob.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Record {
    /// What it is of: a source as the configuration writes it, or a policy as it is configured.
    pub(super) source: String,
    /// Its digest.
    blob: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<String>,
    manifest: Option<String>,
    signatures: Vec<Signature>,
}

impl Record {
    pub(super) fn of(source: &str, artifact: &Artifact) -> Self {
        let Artifact {
            description,
            blob,
            signatures,
        } = artifact;
        Self {
            source: source.to_owned(),
            blob: digest_of(blob).to_string(),
            index: description.as_ref().and_then(|it| it.index.clone()),
            manifest: description.as_ref().map(|it| it.manifest.clone()),
            signatures: signatures.clone(),
        }
    }
}

impl Cache {
    /// The cache in a directory, which is made when something is to be kept.
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            unused_bytes_max: UNUSED_BYTES_MAX,
            writing: Arc::default(),
        }
    }

    /// What `source` gave last, if all of it is there. Whether it is what it should be is for
    /// [`Artifact::verify`] to say.
    pub(super) fn load(&self, source: &str) -> Option<Artifact> {
        self.check_ours().ok()?;
        let record = self.record(&self.record_path(source))?;
        (record.source == source).then(|| self.artifact(record))?
    }

    /// What a record is of, if the blob is there and whole.
    pub(super) fn artifact(&self, record: Record) -> Option<Artifact> {
        let Record {
            source: _,
            blob,
            index,
            manifest,
            signatures,
        } = record;
        let digest: Digest = blob.parse().ok()?;
        let blob = files::read(&self.blob_path(digest), MODULE_BYTES_MAX).ok()?;
        let artifact = Artifact {
            description: manifest.map(|manifest| Description { index, manifest }),
            blob: blob.into(),
            signatures,
        };
        (digest_of(&artifact.blob) == digest).then_some(artifact)
    }

    /// Keeps what `source` gave.
    ///
    /// # Errors
    /// The directory cannot be made or written to, or is full; what was there before still is.
    pub(super) fn store(&self, source: &str, artifact: &Artifact) -> io::Result<()> {
        let record = serde_json::to_vec(&Record::of(source, artifact))?;
        self.put(&self.record_path(source), &record, &artifact.blob)
    }

    /// Writes a record and the blob that it names.
    ///
    /// # Errors
    /// As [`Self::store`].
    pub(super) fn put(&self, path: &Path, record: &[u8], blob: &[u8]) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.folder.is_dir() {
            if let Some(parent) = self.folder.parent() {
                fs::create_dir_all(parent)?;
            }
            DirBuilder::new().mode(0o700).create(&self.folder)?;
        }
        self.check_ours()?;
        // The blob first: a record never names one that is not there.
        self.write(&self.blob_path(digest_of(blob)), blob)?;
        self.write(path, record)
    }

    /// Whether nobody but us can write to the directory.
    ///
    /// # Errors
    /// Somebody can, or there is none.
    pub(super) fn check_ours(&self) -> io::Result<()> {
        let metadata = fs::metadata(&self.folder)?;
        // A socket belongs to who made it.
        let (socket, _) = UnixStream::pair()?;
        let us = File::from(OwnedFd::from(socket)).metadata()?.uid();
        let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
        if owner != us || mode & 0o022 != 0 {
            return Err(io::Error::other(format!(
                "{} belongs to user {owner} with mode {mode:o}; the agent, user {us}, keeps modules \
                 only where nobody else can write: mode 700",
                self.folder.display()
            )));
        }
        Ok(())
    }

    /// Removes what nothing in `used` needs and is too much, and what was never finished.
    ///
    /// # Errors
    /// The directory cannot be read or written to.
    pub(super) fn prune(&self, used: &[String]) -> io::Result<()> {
        if !self.folder.is_dir() {
            return Ok(());
        }
        let mut kept = Vec::new();
        for source in used {
            let record = self.record_path(source);
            kept.extend(self.record(&record).and_then(|it| self.blob_of(&it)));
            kept.push(record);
        }
        for (_, record) in last::records(self)? {
            kept.extend(record.and_then(|it| self.blob_of(&it.record)));
        }
        let mut unused = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let (path, metadata) = (entry.path(), entry.metadata()?);
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(UNFINISHED) => fs::remove_file(path)?,
                Some(BLOB | RECORD) if !kept.contains(&path) => {
                    let age: SystemTime = metadata.modified()?;
                    unused.push((age, metadata.len(), path));
                }
                Some(_) | None => {}
            }
        }
        unused.sort();
        let mut bytes = 0;
        for (_, length, path) in unused.iter().rev() {
            bytes += length;
            if bytes > self.unused_bytes_max {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn record(&self, path: &Path) -> Option<Record> {
        let record = files::read(path, RECORD_BYTES_MAX).ok()?;
        serde_json::from_slice(&record).ok()
    }

    fn record_path(&self, source: &str) -> PathBuf {
        let name = digest_of(source.as_bytes()).hex();
        self.folder.join(format!("{name}.{RECORD}"))
    }

    /// The file of a record's blob.
    pub(super) fn blob_of(&self, record: &Record) -> Option<PathBuf> {
        Some(self.blob_path(record.blob.parse().ok()?))
    }

    fn blob_path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{}.{BLOB}", digest.hex()))
    }

    /// Under another name first, and on the disk before it gets its own: whole or absent, also
    /// after a loss of power.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let unfinished = path.with_extension(UNFINISHED);
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        };
        write().inspect_err(|_| {
            // What cannot be removed either is removed when the cache is next pruned.
            let _ = fs::remove_file(&unfinished);
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    const SOURCE: &str = "oci://r.example/a:1";

    fn artifact(blob: &[u8]) -> Artifact {
        Artifact {
            description: Some(Description {
                index: Some("{}".into()),
                manifest: "{}".into(),
            }),
            blob: blob.to_vec().into(),
            signatures: vec![Signature {
                payload: Some("{}".into()),
                signature: "c2lnbmVk".into(),
            }],
        }
    }

    fn cache() -> (TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(&folder.path().join("new/modules"));
        (folder, cache)
    }

    fn names(cache: &Cache) -> Vec<String> {
        let entries = fs::read_dir(&cache.folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }

    #[test]
    fn what_a_source_gave_last_is_found_again() {
        let (_folder, cache) = cache();
        assert_eq!(cache.load(SOURCE), None);
        for blob in [b"one", b"two"] {
            cache.store(SOURCE, &artifact(blob)).unwrap();
            assert_eq!(cache.load(SOURCE), Some(artifact(blob)));
        }
        assert_eq!(cache.load("oci://r.example/a:2"), None);
        assert_eq!(fs::metadata(&cache.folder).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_damaged_entry_is_none() {
        let (_folder, cache) = cache();
        let blob = cache.blob_path(digest_of(b"module"));
        let record = cache.record_path(SOURCE);
        for damage in ["", "modul", "other!"] {
            for path in [&blob, &record] {
                cache.store(SOURCE, &artifact(b"module")).unwrap();
                fs::write(path, damage).unwrap();
                assert_eq!(cache.load(SOURCE), None, "{damage:?} in {}", path.display());
            }
        }
        cache.store(SOURCE, &artifact(b"module")).unwrap();
        assert_eq!(cache.load(SOURCE), Some(artifact(b"module")));
        fs::remove_file(&blob).unwrap();
        assert_eq!(cache.load(SOURCE), None);
        // A record under the name of another source's.
        cache.store(SOURCE, &artifact(b"module")).unwrap();
        fs::rename(&record, cache.record_path("other")).unwrap();
        assert_eq!(cache.load("other"), None);
    }

    #[test]
    fn where_nothing_can_be_kept_is_told_and_leaves_what_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = Cache::new(&folder.path().join("file/modules"))
            .store(SOURCE, &artifact(b"module"))
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);

        // A disk that is full.
        let (_folder, cache) = cache();
        cache.store(SOURCE, &artifact(b"old")).unwrap();
        let blob = cache.blob_path(digest_of(b"new"));
        symlink("/dev/full", blob.with_extension(UNFINISHED)).unwrap();
        let error = cache.store(SOURCE, &artifact(b"new")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(cache.load(SOURCE), Some(artifact(b"old")));
    }

    #[test]
    fn what_the_chain_uses_is_never_removed_and_the_rest_is_bounded() {
        let (_folder, mut cache) = cache();
        let sources: Vec<String> = (0..6)
            .map(|version| format!("oci://r/a:{version}"))
            .collect();
        for (age, source) in sources.iter().rev().enumerate() {
            cache.store(source, &artifact(source.as_bytes())).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(9 - age as u64);
            let blob = cache.blob_path(digest_of(source.as_bytes()));
            for path in [cache.record_path(source), blob] {
                let file = File::options().append(true).open(path).unwrap();
                file.set_modified(time).unwrap();
            }
        }
        let bytes = |cache: &Cache| -> u64 {
            let length = |name: &String| fs::metadata(cache.folder.join(name)).unwrap().len();
            names(cache).iter().map(length).sum()
        };
        let each = bytes(&cache) / 6;
        fs::write(cache.folder.join("cut.unfinished"), "").unwrap();
        cache.unused_bytes_max = 3 * each;
        // The oldest of all is in use.
        cache.prune(&sources[..1]).unwrap();
        let kept: Vec<bool> = sources
            .iter()
            .map(|source| cache.load(source).is_some())
            .collect();
        assert_eq!(kept, [true, false, false, true, true, true]);
        assert!(bytes(&cache) <= 4 * each);
        assert!(!names(&cache).contains(&"cut.unfinished".to_owned()));
    }
}
