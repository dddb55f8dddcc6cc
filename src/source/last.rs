//! The modules of the policies in force, for a start at which their sources give nothing.
//!
//! They are kept in the directory of the [cache](super::cache), whatever they are from: a record for
//! each policy, named by the digest of how it is configured, and the blobs that the cache has as well.
//! So a policy that is configured otherwise by now has no record, and where another module took its
//! place the record is that one's. What is found is checked as if it had just been fetched, by what
//! is demanded now: a signature of a key that was taken back is as good as none. A record begins
//! with the digest of what follows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::artifact::Artifact;
use super::cache::{Cache, RECORD_BYTES_MAX, Record};
use super::{Demands, Obtained, digest_of};
use crate::config::{PolicyConfig, PolicyModule};
use crate::files;

const LAST: &str = "last";

/// The modules that were in force last.
#[derive(Clone, Debug)]
pub struct LastModules(Cache);

/// The module of one policy in force.
#[derive(Clone, Debug)]
pub struct LastModule {
    /// How the policy is configured, in whole.
    pub policy: String,
    /// Of the module; absent where none could be had, so that what is kept is still the last.
    pub digest: Option<String>,
    /// The module with what it was checked by; absent where its source has another by now.
    pub artifact: Option<Artifact>,
}

/// What is written of one.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastRecord {
    /// Digest of the module.
    module: String,
    #[serde(flatten)]
    pub(super) record: Record,
}

impl LastModules {
    /// Those in the directory that `[policy]` names, if it names one.
    #[must_use]
    pub fn new(policy: &PolicyConfig) -> Option<Self> {
        let folder = policy.module_cache.as_deref()?;
        Some(Self(Cache::new(folder)))
    }

    /// The module that decided for this policy last; nothing where none is kept.
    ///
    /// # Errors
    /// Why the one that is kept cannot be used: it is damaged, or not what it must be now.
    pub fn recall(
        &self,
        policy: &str,
        module: &PolicyModule,
        demands: &Demands,
    ) -> Result<Option<Obtained>, String> {
        let Self(cache) = self;
        let path = self.path(policy);
        if !path.exists() {
            return Ok(None);
        }
        cache.check_ours().map_err(|error| error.to_string())?;
        let damaged = || format!("its record {} is damaged", path.display());
        let LastRecord { module: _, record } = read(&path)
            .filter(|it| it.record.source == policy)
            .ok_or_else(damaged)?;
        let artifact = cache.artifact(record).ok_or_else(damaged)?;
        let obtained = artifact.verify(module, demands);
        obtained
            .map(Some)
            .map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    }

    /// Keeps the modules of all policies in force, and forgets all others. `used` are the sources
    /// whose modules the cache may not drop.
    ///
    /// # Errors
    /// Not all can be kept: the directory cannot be written to, or is full. What is kept of the
    /// policies concerned is then forgotten, for it is not what is in force.
    pub fn keep(&self, modules: &[LastModule], used: &[&PolicyModule]) -> Result<(), String> {
        let Self(cache) = self;
        let mut fault = None;
        let mut named = BTreeSet::new();
        let mut changed = false;
        for module in modules {
            let path = self.path(&module.policy);
            let there = read(&path);
            let known = module.digest.as_ref().zip(module.artifact.as_ref());
            let record = known.map(|(digest, artifact)| LastRecord {
                module: digest.clone(),
                record: Record::of(&module.policy, artifact),
            });
            let is_it = match (&there, &record) {
                (Some(there), Some(record)) => {
                    let blob = cache.blob_of(&there.record);
                    there == record && blob.is_some_and(|blob| blob.is_file())
                }
                (Some(there), None) => {
                    let digest = module.digest.as_ref();
                    digest.is_none_or(|digest| there.module == *digest)
                }
                (None, _) => false,
            };
            if is_it {
                named.insert(path);
                continue;
            }
            changed = true;
            let (Some(record), Some(artifact)) = (record, &module.artifact) else {
                continue;
            };
            match sealed(&record).and_then(|record| cache.put(&path, &record, &artifact.blob)) {
                Ok(()) => {
                    named.insert(path);
                }
                Err(error) => fault = Some(error),
            }
        }
        let forgotten = self.forget_all_but(&named);
        changed |= forgotten.as_ref().is_ok_and(|count| *count > 0);
        if changed && fault.is_none() {
            let used: Vec<_> = used.iter().map(ToString::to_string).collect();
            fault = cache.prune(&used).err();
        }
        match fault.or(forgotten.err()) {
            None => Ok(()),
            Some(error) => Err(format!(
                "the modules in force cannot be kept for a start without their sources: {error}"
            )),
        }
    }

    /// Returns how many were removed.
    fn forget_all_but(&self, named: &BTreeSet<PathBuf>) -> io::Result<usize> {
        let mut count = 0;
        for (path, _) in records(&self.0)? {
            if !named.contains(&path) {
                fs::remove_file(path)?;
                count += 1;
            }
        }
        Ok(count)
    }

    fn path(&self, policy: &str) -> PathBuf {
        let name = digest_of(policy.as_bytes()).hex();
        self.0.folder.join(format!("{name}.{LAST}"))
    }
}

/// Every record there is, with its file; nothing of one that is damaged.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn records(cache: &Cache) -> io::Result<Vec<(PathBuf, Option<LastRecord>)>> {
    let entries = match fs::read_dir(&cache.folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut records = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|its| its == LAST) {
            let record = read(&path);
            records.push((path, record));
        }
    }
    Ok(records)
}

fn read(path: &Path) -> Option<LastRecord> {
    let octets = files::read(path, RECORD_BYTES_MAX).ok()?;
    let end_of_seal = octets.iter().position(|octet| *octet == b'\n')?;
    let (seal, record) = (&octets[..end_of_seal], &octets[end_of_seal + 1..]);
    if seal != digest_of(record).to_string().as_bytes() {
        return None;
    }
    serde_json::from_slice(record).ok()
}

fn sealed(record: &LastRecord) -> io::Result<Vec<u8>> {
    let record = serde_json::to_vec(record)?;
    let sealed = [digest_of(&record).to_string().as_bytes(), b"\n", &record].concat();
    if sealed.len() > RECORD_BYTES_MAX {
        return Err(io::Error::other(format!(
            "a record of {} bytes is more than {RECORD_BYTES_MAX}: are the settings that large?",
            sealed.len()
        )));
    }
    Ok(sealed)
}

#[cfg(test)]
mod tests;
