//! From a reference to an artifact.

use super::SourceError;
use super::artifact::Artifact;
use super::manifest::module_layer;
use super::registry::Repository;
use crate::config::OciReference;
use crate::wasm::MODULE_BYTES_MAX;

/// Downloads the manifest and the layer that holds the module. What a digest in the reference
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
    let manifest = repository.manifest(&reference.version()).await?;
    let manifest = manifest.ok_or_else(|| SourceError::Missing(reference.clone()))?;
    let layer = module_layer(&manifest).map_err(malformed)?;
    if layer.size > MODULE_BYTES_MAX as u64 {
        return Err(SourceError::TooLarge {
            what: format!("the module of {reference}"),
            bytes_max: MODULE_BYTES_MAX,
        });
    }
    let blob = repository.blob(layer.digest, MODULE_BYTES_MAX).await?;
    let manifest = String::from_utf8(manifest.into());
    Ok(Artifact {
        manifest: Some(manifest.map_err(|_| malformed("is no text".to_owned()))?),
        blob: blob.into(),
    })
}
