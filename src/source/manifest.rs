//! An artifact's manifest, and which of its layers is the module.
//!
//! | layout | layer |
//! |---|---|
//! | CNCF Wasm OCI artifact | `application/wasm` |
//! | before that, wasm-to-oci and others | `application/vnd.wasm.content.layer.v1+wasm` |
//! | Wasm image specification of the proxies | `application/vnd.module.wasm.content.layer.v1+wasm` |
//! | its "compat" variant: a container image | the only layer, a packed archive with one `.wasm` |
//!
//! The type of the configuration blob says nothing more, so that it is not looked at. Where there are
//! several artifacts under a name, [`index`](super::index) says which is meant.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::digest_of;
use super::http::shortened;
use crate::types::Digest;

/// What is asked for, and written.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The same of the time before OCI.
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A module's layer, as it is written.
pub(super) const WASM_LAYER: &str = "application/wasm";

const WASM_LAYERS: [&str; 3] = [
    WASM_LAYER,
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
];

const ARCHIVE_LAYERS: [&str; 2] = [
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];

/// What its configuration blob is.
pub(super) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// Layer of an artifact of signatures, as cosign writes them.
const SIGNED_LAYER: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// Configuration blob of one.
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Where a layer of those has the signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// More nobody needs, and each costs a request.
const SIGNATURES_MAX: usize = 16;

/// A manifest is some hundred bytes.
pub(super) const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// The part of a manifest that is read.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    layers: Option<Vec<Layer>>,
    /// Of an index.
    manifests: Option<Vec<serde::de::IgnoredAny>>,
}

/// One blob of an artifact.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Layer {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Where an artifact has its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModuleLayer {
    pub(super) digest: Digest,
    /// In bytes.
    pub(super) size: u64,
    pub(super) packing: Packing,
}

/// How a layer holds a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// It is the module.
    Plain,
    /// It is an archive with the module in it.
    TarGzip,
}

/// Finds the module in a manifest.
///
/// # Errors
/// What is wrong with it, to be read after its name.
pub(super) fn module_layer(manifest: &[u8]) -> Result<ModuleLayer, String> {
    let Manifest { layers, manifests } = parse(manifest)?;
    if manifests.is_some() {
        return Err("is an index, in an index".to_owned());
    }
    let layers = layers.unwrap_or_default();
    let kind = |layer: &Layer, kinds: &[&str]| kinds.contains(&layer.media_type.as_str());
    let modules = || layers.iter().filter(|layer| kind(layer, &WASM_LAYERS));
    let (layer, packing) = match (modules().count(), &layers[..]) {
        (1, _) => (modules().next(), Packing::Plain),
        (0, [only]) if kind(only, &ARCHIVE_LAYERS) => (Some(only), Packing::TarGzip),
        (0, _) => {
            let types: Vec<_> = layers.iter().map(|layer| &layer.media_type).collect();
            let types = shortened(&format!("{types:?}"));
            return Err(format!("has no layer that is a module, only {types}"));
        }
        (several, _) => return Err(format!("has {several} layers that are modules")),
    };
    let layer = layer.ok_or("has no layer")?;
    Ok(ModuleLayer {
        digest: layer.digest()?,
        size: layer.size,
        packing,
    })
}

/// The signatures in a manifest of those, the first [`SIGNATURES_MAX`] that can be used at all: the
/// blob that each is over, and the signature.
///
/// # Errors
/// What is wrong with it, to be read after its name.
pub(super) fn signed_layers(manifest: &[u8]) -> Result<Vec<(Digest, String)>, String> {
    let Manifest { layers, .. } = parse(manifest)?;
    let layers = layers.unwrap_or_default();
    let signed = layers
        .into_iter()
        .filter(|layer| layer.media_type == SIGNED_LAYER);
    let signed = signed.filter_map(|mut layer| {
        let signature = layer.annotations.remove(SIGNATURE)?;
        Some((layer.digest().ok()?, signature))
    });
    Ok(signed.take(SIGNATURES_MAX).collect())
}

/// The manifest of a module in the CNCF layout.
pub(super) fn of_module(config: &[u8], module: &[u8]) -> String {
    manifest(
        descriptor(WASM_CONFIG, config),
        vec![descriptor(WASM_LAYER, module)],
    )
}

/// A manifest of signatures with one more, over this payload; `before` is the one that there was.
pub(super) fn of_signatures(
    before: Option<&[u8]>,
    config: &[u8],
    payload: &str,
    signature: &str,
) -> String {
    let before = before.and_then(|before| serde_json::from_slice::<Value>(before).ok());
    let layers = before.and_then(|before| before.get("layers")?.as_array().cloned());
    let mut layers = layers.unwrap_or_default();
    let mut layer = descriptor(SIGNED_LAYER, payload.as_bytes());
    layer["annotations"] = json!({ SIGNATURE: signature });
    layers.push(layer);
    manifest(descriptor(IMAGE_CONFIG, config), layers)
}

fn manifest(config: Value, layers: Vec<Value>) -> String {
    let layers = Value::Array(layers);
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})
        .to_string()
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    let digest = digest_of(blob).to_string();
    json!({"mediaType": media_type, "digest": digest, "size": blob.len()})
}

impl Layer {
    fn digest(&self) -> Result<Digest, String> {
        shortened(&self.digest)
            .parse()
            .map_err(|error| format!("has a layer whose digest cannot be used: {error}"))
    }
}

/// Any document that a registry keeps under `manifests`.
pub(super) fn parse<M: DeserializeOwned>(manifest: &[u8]) -> Result<M, String> {
    // Its own words may hold all of what a server wrote.
    serde_json::from_slice(manifest).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("is no manifest: it cannot be read from line {line}, column {column} on")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn layer(media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": DIGEST, "size": 7})
    }

    fn of(layers: &[Value]) -> Result<ModuleLayer, String> {
        module_layer(
            json!({"schemaVersion": 2, "layers": layers})
                .to_string()
                .as_bytes(),
        )
    }

    #[test]
    fn every_layout_seen_in_the_wild_is_read() {
        let expected = |packing| {
            Ok(ModuleLayer {
                digest: DIGEST.parse().unwrap(),
                size: 7,
                packing,
            })
        };
        for media_type in WASM_LAYERS {
            assert_eq!(of(&[layer(media_type)]), expected(Packing::Plain));
            let beside = [layer("application/json"), layer(media_type)];
            assert_eq!(of(&beside), expected(Packing::Plain));
        }
        for media_type in ARCHIVE_LAYERS {
            assert_eq!(of(&[layer(media_type)]), expected(Packing::TarGzip));
        }
    }

    #[test]
    fn an_artifact_without_one_module_is_refused() {
        let archive = || layer(ARCHIVE_LAYERS[0]);
        for (layers, problem) in [
            (vec![], "has no layer that is a module"),
            (vec![layer("text/plain")], "only [\"text/plain\"]"),
            (vec![archive(), archive()], "has no layer that is a module"),
            (vec![layer(WASM_LAYER), layer(WASM_LAYER)], "has 2 layers"),
        ] {
            let error = of(&layers).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
        let index = module_layer(br#"{"manifests": [{}, {}]}"#).unwrap_err();
        assert!(index.starts_with("is an index"), "{index}");
        assert!(
            module_layer(b"<html>")
                .unwrap_err()
                .starts_with("is no manifest")
        );
        let md5 =
            br#"{"layers": [{"mediaType": "application/wasm", "digest": "md5:1", "size": 1}]}"#;
        assert!(module_layer(md5).unwrap_err().contains("md5:1"));
    }
}
