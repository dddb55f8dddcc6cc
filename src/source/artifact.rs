//! A module as it came, with what proves that it is the one asked for.
//!
//! Downloads and the cache both end here: nothing becomes a module without [`Artifact::verify`].

use std::path::Path;

use hyper::body::Bytes;

use super::http::shortened;
use super::index::module_manifest;
use super::manifest::{ModuleLayer, Packing, module_layer};
use super::signature::{PublicKey, Signature};
use super::{Demands, Obtained, SourceError, archive, digest_of};
use crate::config::{OciReference, PolicyModule, RepositoryName};
use crate::types::Digest;
use crate::wasm::MODULE_BYTES_MAX;

/// What a source gave: everything that a module is checked by. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// A registry's description of it; absent from a web server.
    pub(super) description: Option<Description>,
    /// The file, or the layer that holds the module.
    pub(super) blob: Bytes,
    /// None unless there was a demand for them.
    pub(super) signatures: Vec<Signature>,
}

/// What a registry says of an artifact, as it is digested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// Absent where the name is that of the manifest itself.
    pub(super) index: Option<String>,
    pub(super) manifest: String,
}

impl Description {
    /// What a tag stands for, and a signature is over.
    pub(super) fn digest(&self) -> Digest {
        let named = self.index.as_ref().unwrap_or(&self.manifest);
        digest_of(named.as_bytes())
    }
}

impl Artifact {
    /// A file as it is, with the signature beside it.
    pub(super) fn plain(blob: impl Into<Bytes>, signature: Option<String>) -> Self {
        let signature = signature.map(|signature| Signature {
            payload: None,
            signature,
        });
        Self {
            description: None,
            blob: blob.into(),
            signatures: signature.into_iter().collect(),
        }
    }

    /// The module, if it is the one that `source` names and everything demanded.
    ///
    /// # Errors
    /// What of it is not.
    pub(super) fn verify(
        self,
        source: &PolicyModule,
        demands: &Demands,
    ) -> Result<Obtained, SourceError> {
        let artifact = self.clone();
        let Self {
            description,
            blob,
            signatures,
        } = self;
        let (bytes, source, signed) = match (source, description) {
            (PolicyModule::Oci(reference), Some(description)) => {
                let bytes = unpack(reference, &description, blob)?;
                let digest = description.digest();
                let source = PolicyModule::Oci(reference.pinned(digest));
                (bytes, source, Some((digest, reference.repository_name())))
            }
            (PolicyModule::Oci(_), None) => {
                return Err(SourceError::Malformed {
                    what: source.to_string(),
                    problem: "has no manifest".to_owned(),
                });
            }
            (PolicyModule::Builtin(_) | PolicyModule::File(_) | PolicyModule::Http(_), _) => {
                (blob, source.clone(), None)
            }
        };
        if bytes.len() > MODULE_BYTES_MAX {
            return Err(SourceError::TooLarge {
                what: "the module".to_owned(),
                bytes_max: MODULE_BYTES_MAX,
            });
        }
        let digest = digest_of(&bytes);
        if let Some(expected) = demands.digest {
            same("the module", expected, digest)?;
        }
        if let Some(key) = &demands.signed_by
            && !matches!(source, PolicyModule::Builtin(_))
        {
            check_signed(&source, signed, &bytes, &signatures, key, demands)?;
        }
        Ok(Obtained {
            bytes,
            digest,
            source,
            artifact,
            stands_in: None,
            cache_fault: None,
        })
    }
}

/// Whether one of the signatures, whichever it is, is of this key for the artifact of the digest
/// and the repository `signed` or, where it is in none, over these bytes.
fn check_signed(
    source: &PolicyModule,
    signed: Option<(Digest, RepositoryName)>,
    bytes: &[u8],
    signatures: &[Signature],
    key: &Path,
    demands: &Demands,
) -> Result<(), SourceError> {
    let public = PublicKey::read(key)?;
    let mut elsewhere = None;
    for signature in signatures {
        let Some((digest, own)) = &signed else {
            if public.verifies(bytes, &signature.signature) {
                return Ok(());
            }
            continue;
        };
        if let Some(named) = public.vouched_in(*digest, signature) {
            let expected = demands.signed_for.as_ref().unwrap_or(own);
            if RepositoryName::of_signed(&named).as_ref() == Some(expected) {
                return Ok(());
            }
            elsewhere = Some((named, expected.clone()));
        }
    }
    let (what, key) = (source.to_string(), key.to_owned());
    Err(match elsewhere {
        Some((named, expected)) => SourceError::SignedElsewhere {
            what,
            key,
            named: shortened(&named),
            expected,
        },
        None => SourceError::NotSigned {
            what,
            key,
            signatures: signatures.len(),
        },
    })
}

/// The module in the blob.
fn unpack(
    reference: &OciReference,
    description: &Description,
    blob: Bytes,
) -> Result<Bytes, SourceError> {
    let Description { index, manifest } = description;
    let manifest = manifest.as_bytes();
    let malformed = |what: &str, problem| SourceError::Malformed {
        what: format!("{what} of {reference}"),
        problem,
    };
    if let Some(expected) = reference.digest() {
        let what = match index {
            Some(_) => "the index",
            None => "the manifest",
        };
        same(what, expected, description.digest())?;
    }
    if let Some(index) = index {
        let named = module_manifest(index.as_bytes());
        let named = named.map_err(|problem| malformed("the index", problem))?;
        let named = named.ok_or_else(|| malformed("the index", "is none".to_owned()))?;
        same("the manifest", named, digest_of(manifest))?;
    }
    let layer = module_layer(manifest).map_err(|problem| malformed("the manifest", problem))?;
    let ModuleLayer {
        digest: expected,
        size: _, // follows from the digest
        packing,
    } = layer;
    same("the layer", expected, digest_of(&blob))?;
    match packing {
        Packing::Plain => Ok(blob),
        Packing::TarGzip => archive::module_in(&blob)
            .map(Bytes::from)
            .map_err(|problem| malformed("the layer", problem)),
    }
}

fn same(what: &str, expected: Digest, found: Digest) -> Result<(), SourceError> {
    if found == expected {
        return Ok(());
    }
    Err(SourceError::WrongDigest {
        what: what.to_owned(),
        expected,
        found,
    })
}
