//! From a reference to an artifact, and to what vouches for it.

use hyper::body::Bytes;

use super::SourceError;
use super::artifact::{Artifact, Description};
use super::index::module_manifest;
use super::manifest::{module_layer, signed_layers};
use super::registry::Repository;
use super::signature::Signature;
use crate::config::OciReference;
use crate::types::Digest;
use crate::wasm::MODULE_BYTES_MAX;

/// What a signature is over takes some hundred bytes.
const PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// Downloads the manifest, by way of an index where there is one, and the layer that holds the module. What a digest in the reference
/// demands is not checked here, but with everything else.
///
/// # Errors
/// There is no such artifact, it holds no module, or the registry gives it not or not whole.
pub(super) async fn pull(
    repository: &Repository<'_>,
    reference: &OciReference,
) -> Result<Artifact, SourceError> {
    let malformed = |problem| SourceError::Malformed {
        what: format!("the manifest of {reference}"),
        problem,
    };
    let named = repository.manifest(&reference.version()).await?;
    let named = named.ok_or_else(|| SourceError::Missing(reference.clone()))?;
    let (index, manifest) = match module_manifest(&named).map_err(malformed)? {
        None => (None, named),
        Some(digest) => {
            let manifest = repository.manifest(&digest.to_string()).await?;
            let missing = || malformed(format!("is an index, and its {digest} is not there"));
            (Some(named), manifest.ok_or_else(missing)?)
        }
    };
    let layer = module_layer(&manifest).map_err(malformed)?;
    if layer.size > MODULE_BYTES_MAX as u64 {
        return Err(SourceError::TooLarge {
            what: format!("the module of {reference}"),
            bytes_max: MODULE_BYTES_MAX,
        });
    }
    let blob = repository.blob(layer.digest, MODULE_BYTES_MAX).await?;
    let text = |document: Bytes| {
        let text = String::from_utf8(document.into());
        text.map_err(|_| malformed("is no text".to_owned()))
    };
    Ok(Artifact {
        description: Some(Description {
            index: index.map(text).transpose()?,
            manifest: text(manifest)?,
        }),
        blob,
        signatures: Vec::new(),
    })
}

/// Downloads the signatures of the artifact with this manifest: none where there are none. One whose
/// document the registry does not have is left out: another may be the one that is asked for.
///
/// # Errors
/// The registry gives something else, or breaks off.
pub(super) async fn signatures(
    repository: &Repository<'_>,
    manifest: Digest,
) -> Result<Vec<Signature>, SourceError> {
    let tag = signature_tag(manifest);
    let Some(signed) = repository.manifest(&tag).await? else {
        return Ok(Vec::new());
    };
    let layers = signed_layers(&signed).map_err(|problem| SourceError::Malformed {
        what: format!("the manifest {tag}"),
        problem,
    })?;
    let mut signatures = Vec::new();
    for (digest, signature) in layers {
        let payload = match repository.blob(digest, PAYLOAD_BYTES_MAX).await {
            Ok(payload) => payload,
            Err(
                SourceError::Refused { .. }
                | SourceError::WrongDigest { .. }
                | SourceError::TooLarge { .. },
            ) => continue,
            Err(error) => return Err(error),
        };
        // What is no text vouches for nothing.
        let payload = String::from_utf8(payload.into()).ok();
        signatures.push(Signature { payload, signature });
    }
    Ok(signatures)
}

/// Where cosign keeps the signatures of an artifact.
pub(super) fn signature_tag(manifest: Digest) -> String {
    format!("sha256-{}.sig", manifest.hex())
}
