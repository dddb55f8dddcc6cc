//! A module as it came, with what proves that it is the one asked for.
//!
//! Downloads and the cache both end here: nothing becomes a module without [`Artifact::verify`].

use super::manifest::{ModuleLayer, Packing, module_layer};
use super::signature::{PublicKey, Signature};
use super::{Demands, Obtained, SourceError, archive, digest_of};
use crate::config::{OciReference, PolicyModule};
use crate::types::Digest;
use crate::wasm::MODULE_BYTES_MAX;

/// What a registry or a web server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Artifact {
    /// A registry's description of it, as it is digested; absent from a web server.
    pub(super) manifest: Option<String>,
    /// The file, or the layer that holds the module.
    pub(super) blob: Vec<u8>,
    /// None unless there was a demand for them.
    pub(super) signatures: Vec<Signature>,
}

impl Artifact {
    /// A file as it is, with the signature beside it.
    pub(super) fn plain(blob: Vec<u8>, signature: Option<String>) -> Self {
        let signature = signature.map(|signature| Signature {
            payload: None,
            signature,
        });
        Self {
            manifest: None,
            blob,
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
        let Self {
            manifest,
            blob,
            signatures,
        } = self;
        let (bytes, source, manifest) = match (source, manifest) {
            (PolicyModule::Oci(reference), Some(manifest)) => {
                let (bytes, digest) = unpack(reference, manifest.as_bytes(), blob)?;
                let source = PolicyModule::Oci(reference.pinned(digest));
                (bytes, source, Some(digest))
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
            let key_read = PublicKey::read(key)?;
            let good = |signature: &Signature| match manifest {
                Some(manifest) => key_read.vouches(manifest, signature),
                None => key_read.verifies(&bytes, &signature.signature),
            };
            if !signatures.iter().any(good) {
                return Err(SourceError::NotSigned {
                    what: source.to_string(),
                    key: key.clone(),
                    signatures: signatures.len(),
                });
            }
        }
        Ok(Obtained {
            bytes,
            digest,
            source,
            stands_in: None,
            cache_fault: None,
        })
    }
}

/// The module in the blob, and the digest of the manifest that describes it.
fn unpack(
    reference: &OciReference,
    manifest: &[u8],
    blob: Vec<u8>,
) -> Result<(Vec<u8>, Digest), SourceError> {
    let malformed = |what: &str, problem| SourceError::Malformed {
        what: format!("{what} of {reference}"),
        problem,
    };
    let digest = digest_of(manifest);
    if let Some(expected) = reference.digest() {
        same("the manifest", expected, digest)?;
    }
    let layer = module_layer(manifest).map_err(|problem| malformed("the manifest", problem))?;
    let ModuleLayer {
        digest: expected,
        size: _, // follows from the digest
        packing,
    } = layer;
    same("the layer", expected, digest_of(&blob))?;
    let bytes = match packing {
        Packing::Plain => blob,
        Packing::TarGzip => {
            archive::module_in(&blob).map_err(|problem| malformed("the layer", problem))?
        }
    };
    Ok((bytes, digest))
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
