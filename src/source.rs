//! Where the bytes of a policy module come from, and whether they are the right ones.
//!
//! The agent and `rutter policy` ask it for what a configuration's `module` names: something on
//! the node, in a registry or on a web server. It hands out bytes only after everything that was
//! demanded of them has been checked, whichever way they came; whether they are a policy is for
//! `wasm` to judge. It decides nothing about what runs, and never tries again by itself.
//!
//! ```text
//! local ------------------------------------> Artifact --verify--> Obtained
//! registry (http, auth, index, manifest, archive) ^
//!                                                 v
//!                                               cache
//! ```
//! What was in force last is kept beside the cache, and found again, by [`LastModules`].

mod archive;
mod artifact;
mod auth;
mod cache;
mod error;
mod http;
mod index;
mod last;
mod local;
mod manifest;
mod origin;
mod pull;
mod push;
mod registry;
mod signature;

pub use artifact::Artifact;
pub use error::SourceError;
pub use last::{LastModule, LastModules};
pub use push::{Pushed, push};
pub use signature::SigningKey;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::body::Bytes;
use sha2::Digest as _;

use crate::config::{Builtin, OciReference, PolicyConfig, PolicyModule, RepositoryName};
use crate::types::Digest;
use crate::wasm::MODULE_BYTES_MAX;
use crate::wasm::{builtin_bytes, calico_filter_bytes};
use cache::Cache;
use http::HttpClient;
use registry::Repository;

/// Obtains modules.
#[derive(Clone, Debug)]
pub struct Fetcher {
    cache: Option<Cache>,
    registry_auth: Option<PathBuf>,
    /// How long one module from the network may take.
    patience: Duration,
}

/// A module that is what was asked for.
#[derive(Debug)]
pub struct Obtained {
    /// The module.
    pub bytes: Bytes,
    /// Of the bytes.
    pub digest: Digest,
    /// What was asked for; a reference into a registry has the digest that its tag stood for.
    pub source: PolicyModule,
    /// What it was checked by.
    pub artifact: Artifact,
    /// Why the source did not give it, so that what it gave last stands in.
    pub stands_in: Option<SourceError>,
    /// Why it cannot be kept for the next time.
    pub cache_fault: Option<String>,
}

/// What a module must be, other than a policy.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// Its bytes have this digest.
    pub digest: Option<Digest>,
    /// The owner of this public key stands by it; a module that comes with the program needs no
    /// signature.
    pub signed_by: Option<PathBuf>,
    /// The repository that the signature of an artifact must name; its own unless it is said here,
    /// because it is in a mirror.
    pub signed_for: Option<RepositoryName>,
}

impl Fetcher {
    /// One that does as `[policy]` says.
    #[must_use]
    pub fn new(policy: &PolicyConfig, patience: Duration) -> Self {
        Self {
            cache: policy.module_cache.as_deref().map(Cache::new),
            registry_auth: policy.registry_auth.clone(),
            patience,
        }
    }

    /// One that keeps nothing.
    #[must_use]
    pub fn without_cache(registry_auth: Option<PathBuf>, patience: Duration) -> Self {
        Self {
            cache: None,
            registry_auth,
            patience,
        }
    }

    /// Gets what `module` names. What is pinned and in the cache is not asked for; what is not
    /// pinned is, and the cache stands in where that fails.
    ///
    /// # Errors
    /// There is none, or none that is what it should be.
    pub async fn obtain(
        &self,
        module: &PolicyModule,
        demands: &Demands,
    ) -> Result<Obtained, SourceError> {
        match module {
            PolicyModule::Builtin(_) | PolicyModule::File(_) => {
                let artifact = self.fetch(module, demands).await?;
                let (module, demands) = (module.clone(), demands.clone());
                aside(move || artifact.verify(&module, &demands)).await
            }
            PolicyModule::Oci(_) | PolicyModule::Http(_) => self.remote(module, demands).await,
        }
    }

    async fn remote(
        &self,
        module: &PolicyModule,
        demands: &Demands,
    ) -> Result<Obtained, SourceError> {
        let kept = self.kept(module, demands).await;
        let kept = match (kept, is_pinned(module, demands)) {
            (Some(kept), true) => return Ok(kept),
            (kept, _) => kept,
        };
        match self.download(module, demands).await {
            Ok(obtained) => Ok(obtained),
            Err(error) => match kept {
                Some(kept) => Ok(Obtained {
                    stands_in: Some(error),
                    ..kept
                }),
                None => Err(error),
            },
        }
    }

    /// What the source gave last, if it is still what is wanted.
    async fn kept(&self, module: &PolicyModule, demands: &Demands) -> Option<Obtained> {
        let cache = self.cache.clone()?;
        let (module, demands) = (module.clone(), demands.clone());
        aside(move || {
            cache
                .load(&module.to_string())?
                .verify(&module, &demands)
                .ok()
        })
        .await
    }

    /// Downloads, checks and keeps.
    async fn download(
        &self,
        module: &PolicyModule,
        demands: &Demands,
    ) -> Result<Obtained, SourceError> {
        let limit = self.patience;
        let fetched = tokio::time::timeout(limit, self.fetch(module, demands)).await;
        let artifact = fetched.map_err(|_| SourceError::TimedOut {
            from: module.to_string(),
            limit,
        })??;
        let (module, demands, cache) = (module.clone(), demands.clone(), self.cache.clone());
        aside(move || {
            let mut obtained = artifact.clone().verify(&module, &demands)?;
            if let Some(cache) = cache
                && let Err(error) = cache.store(&module.to_string(), &artifact)
            {
                obtained.cache_fault = Some(format!("cannot keep {module}: {error}"));
            }
            Ok(obtained)
        })
        .await
    }

    /// Everything that the demands are about, unchecked.
    async fn fetch(
        &self,
        module: &PolicyModule,
        demands: &Demands,
    ) -> Result<Artifact, SourceError> {
        let signatures = match demands.signed_by {
            Some(_) => Signatures::Wanted,
            None => Signatures::Ignored,
        };
        match module {
            PolicyModule::Builtin(Builtin::Default) => Ok(Artifact::plain(builtin_bytes(), None)),
            PolicyModule::Builtin(Builtin::CalicoFilter) => {
                Ok(Artifact::plain(calico_filter_bytes(), None))
            }
            PolicyModule::File(path) => {
                let path = path.clone();
                aside(move || read(&path, signatures)).await
            }
            PolicyModule::Oci(reference) => self.pull(reference, signatures).await,
            PolicyModule::Http(url) => {
                let client = HttpClient::new()?;
                let bytes = client.file(url, MODULE_BYTES_MAX).await?;
                let signature = match signatures {
                    Signatures::Wanted => client.signature_of(url).await?,
                    Signatures::Ignored => None,
                };
                Ok(Artifact::plain(bytes, signature))
            }
        }
    }

    async fn pull(
        &self,
        reference: &OciReference,
        signatures: Signatures,
    ) -> Result<Artifact, SourceError> {
        let client = HttpClient::new()?;
        let repository = Repository::new(&client, reference, self.registry_auth.as_deref())?;
        let mut artifact = pull::pull(&repository, reference).await?;
        match signatures {
            Signatures::Wanted => {
                if let Some(description) = &artifact.description {
                    let digest = description.digest();
                    artifact.signatures = pull::signatures(&repository, digest).await?;
                }
            }
            Signatures::Ignored => {}
        }
        Ok(artifact)
    }

    /// Removes from the cache what is too much and none of these modules.
    ///
    /// # Errors
    /// The cache cannot be written to.
    pub async fn tidy(&self, used: &[&PolicyModule]) -> Result<(), String> {
        let Some(cache) = self.cache.clone() else {
            return Ok(());
        };
        let used: Vec<_> = used.iter().map(ToString::to_string).collect();
        let tidied = aside(move || cache.prune(&used)).await;
        tidied.map_err(|error| format!("cannot tidy the cache of modules: {error}"))
    }
}

/// Whether signatures are to be fetched with a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signatures {
    Wanted,
    Ignored,
}

fn read(path: &Path, signatures: Signatures) -> Result<Artifact, SourceError> {
    let (file, bytes) = local::read(path)?;
    let signature = match signatures {
        Signatures::Wanted => local::signature_of(&file)?,
        Signatures::Ignored => None,
    };
    Ok(Artifact::plain(bytes, signature))
}

/// Runs what reads disks and computes digests where it holds up no session.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Whether what the source gives can be no other than what it gave before.
fn is_pinned(module: &PolicyModule, demands: &Demands) -> bool {
    demands.digest.is_some()
        || match module {
            PolicyModule::Oci(reference) => reference.digest().is_some(),
            PolicyModule::Builtin(_) | PolicyModule::File(_) | PolicyModule::Http(_) => false,
        }
}

/// The digest of some bytes.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::new(sha2::Sha256::digest(bytes).into())
}

#[cfg(test)]
pub(crate) use signature::tests::Keys;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
