//! From a module to an artifact in a registry, in the CNCF layout, signed where there is a key.
//!
//! `rutter policy push` uses it; the agent writes to no registry. The same module becomes the
//! same artifact each time: nothing in it tells when or by whom it was made.

use std::path::Path;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::LOCATION;
use hyper::{Method, StatusCode};
use serde_json::json;

use super::http::{HttpClient, resolve};
use super::manifest::{MANIFEST, of_module, of_signatures};
use super::pull::{signature_tag, signatures};
use super::registry::{Ask, Repository, escaped};
use super::signature::{Signature, SigningKey};
use super::{SourceError, digest_of};
use crate::config::OciReference;
use crate::types::Digest;
use crate::wasm::Inspection;
use crate::wasm::ModuleKind;

/// What is in a registry now.
#[derive(Debug)]
pub struct Pushed {
    /// The reference, with the digest of the manifest.
    pub reference: OciReference,
    /// Of the module.
    pub module: Digest,
}

/// Most that a registry says about an upload.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Configuration of an artifact of signatures: it has nothing to say.
const SIGNATURES_CONFIG: &str =
    r#"{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;

/// Puts a module under the tag of `reference`, and signs it with the key, if there is one.
///
/// # Errors
/// The registry does not take all of it. What it took stays, under no tag.
pub async fn push(
    module: &[u8],
    reference: &OciReference,
    key: Option<&SigningKey>,
    registry_auth: Option<&Path>,
    patience: Duration,
) -> Result<Pushed, SourceError> {
    let Some(tag) = reference.tag() else {
        return Err(SourceError::Malformed {
            what: reference.to_string(),
            problem: "has no tag to push to; add :TAG".to_owned(),
        });
    };
    let client = HttpClient::new()?;
    let repository = Repository::new(&client, reference, registry_auth)?;
    let pushing = async {
        let config = config_of(module);
        let manifest = of_module(config.as_bytes(), module);
        repository.put_blob(config.as_bytes()).await?;
        repository.put_blob(module).await?;
        let digest = digest_of(manifest.as_bytes());
        if let Some(key) = key {
            // Before the tag: nobody who demands a signature sees the artifact without.
            repository
                .put_manifest(&digest.to_string(), &manifest)
                .await?;
            sign(&repository, reference, digest, key).await?;
        }
        repository.put_manifest(tag, &manifest).await?;
        Ok(Pushed {
            reference: reference.pinned(digest),
            module: digest_of(module),
        })
    };
    let pushed = tokio::time::timeout(patience, pushing).await;
    pushed.map_err(|_| SourceError::TimedOut {
        from: reference.to_string(),
        limit: patience,
    })?
}

/// The configuration blob of the CNCF layout. The time is there because readers want one.
fn config_of(module: &[u8]) -> String {
    let Inspection {
        kind,
        imports,
        interfaces,
        damage: _, // the layout has no word for it
    } = Inspection::of(module);
    let exports: Vec<_> = interfaces
        .into_iter()
        .map(|(name, version)| format!("rutter:policy/{name}@{version}"))
        .collect();
    let (os, component) = match kind {
        Some(ModuleKind::Component) => (
            "wasip2",
            json!({"exports": exports, "imports": imports, "target": null}),
        ),
        Some(ModuleKind::Core) | None => ("wasip1", json!(null)),
    };
    json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": os,
        "layerDigests": [digest_of(module).to_string()],
        "component": component,
    })
    .to_string()
}

/// Adds a signature to those of an artifact, unless there is one of this key.
async fn sign(
    repository: &Repository<'_>,
    reference: &OciReference,
    digest: Digest,
    key: &SigningKey,
) -> Result<(), SourceError> {
    let name = format!("{}/{}", reference.registry(), reference.repository());
    let public = key.public();
    let is_ours = |there: &Signature| public.vouched_in(digest, there).as_ref() == Some(&name);
    if signatures(repository, digest).await?.iter().any(is_ours) {
        return Ok(());
    }
    let Signature { payload, signature } = key.vouch(&name, digest)?;
    let payload = payload.unwrap_or_default();
    repository.put_blob(payload.as_bytes()).await?;
    repository.put_blob(SIGNATURES_CONFIG.as_bytes()).await?;
    let tag = signature_tag(digest);
    let before = repository.manifest(&tag).await?;
    let config = SIGNATURES_CONFIG.as_bytes();
    let manifest = of_signatures(before.as_deref(), config, &payload, &signature);
    repository.put_manifest(&tag, &manifest).await
}

impl Repository<'_> {
    async fn put_blob(&self, blob: &[u8]) -> Result<(), SourceError> {
        let digest = digest_of(blob);
        let ask = |method, url, body| Ask {
            method,
            url,
            media_types: "application/octet-stream",
            body,
            body_bytes_max: ANSWER_BYTES_MAX,
        };
        let url = self.url(&format!("blobs/{digest}"));
        let there = self.ask(&ask(Method::HEAD, url, Bytes::new())).await?;
        if there.status == StatusCode::OK {
            return Ok(());
        }
        let url = self.url("blobs/uploads/");
        let started = self.ask(&ask(Method::POST, url, Bytes::new())).await?;
        let started = started.expect(&[StatusCode::ACCEPTED])?;
        let place = started.header(LOCATION);
        let place = place.and_then(|location| resolve(&started.url, location));
        let place = place.ok_or_else(|| SourceError::Malformed {
            what: "the answer to an upload".to_owned(),
            problem: "does not say where to".to_owned(),
        })?;
        let separator = if place.query().is_some() { '&' } else { '?' };
        let url = format!("{place}{separator}digest={}", escaped(&digest.to_string()));
        let body = Bytes::copy_from_slice(blob);
        let done = self.ask(&ask(Method::PUT, url, body)).await?;
        done.expect(&[StatusCode::CREATED]).map(drop)
    }

    async fn put_manifest(&self, version: &str, manifest: &str) -> Result<(), SourceError> {
        let ask = Ask {
            method: Method::PUT,
            url: self.url(&format!("manifests/{version}")),
            media_types: MANIFEST,
            body: Bytes::copy_from_slice(manifest.as_bytes()),
            body_bytes_max: ANSWER_BYTES_MAX,
        };
        let done = self.ask(&ask).await?;
        done.expect(&[StatusCode::CREATED, StatusCode::OK])
            .map(drop)
    }
}
