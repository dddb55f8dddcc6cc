//! An index of artifacts, as tools write that build for several platforms, and which of them is the
//! module.
//!
//! It is the one for the architecture `wasm`. An index without platforms, or with others, is taken
//! only where it names a single artifact; what a build attests about another entry is none.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::http::shortened;
use super::manifest::parse;
use crate::types::Digest;

/// What is asked for beside manifests.
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The same of the time before OCI.
pub(super) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Architectures of modules: Go's name, and that of the first tools.
const WASM: [&str; 2] = ["wasm", "wasm32"];

/// Marks an entry that is about another one.
const ABOUT_ANOTHER: &str = "vnd.docker.reference.type";

#[derive(Debug, Deserialize)]
struct Index {
    /// Absent in what is no index.
    manifests: Option<Vec<Entry>>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

/// The manifest that an index names as the module's; nothing where this is no index.
///
/// # Errors
/// What is wrong with it, to be read after its name.
pub(super) fn module_manifest(document: &[u8]) -> Result<Option<Digest>, String> {
    let Index { manifests } = parse(document)?;
    let Some(mut entries) = manifests else {
        return Ok(None);
    };
    entries.retain(|entry| !entry.annotations.contains_key(ABOUT_ANOTHER));
    let all: Vec<&Entry> = entries.iter().collect();
    let modules: Vec<&Entry> = entries.iter().filter(|entry| entry.is_wasm()).collect();
    let entry = match (&modules[..], &all[..]) {
        ([only], _) | ([], [only]) => *only,
        ([], []) => return Err("is an index of nothing".to_owned()),
        (modules, all) => {
            let platforms: Vec<String> = all.iter().map(|entry| entry.platform()).collect();
            let platforms = shortened(&platforms.join(", "));
            return Err(format!(
                "is an index of {} artifacts, for {platforms}: {} are for the architecture wasm; name one \
                 of them by its digest",
                all.len(),
                modules.len()
            ));
        }
    };
    let digest = shortened(&entry.digest).parse();
    let digest =
        digest.map_err(|error| format!("has an entry whose digest cannot be used: {error}"))?;
    Ok(Some(digest))
}

impl Entry {
    fn is_wasm(&self) -> bool {
        let platform = self.platform.as_ref();
        platform.is_some_and(|platform| WASM.contains(&platform.architecture.as_str()))
    }

    fn platform(&self) -> String {
        match &self.platform {
            Some(Platform { architecture, os }) => format!("{os}/{architecture}"),
            None => "no platform".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn digest(of: u8) -> String {
        format!("sha256:{}", format!("{of:02x}").repeat(32))
    }

    fn entry(of: u8, platform: Option<&str>) -> Value {
        let mut entry = json!({"digest": digest(of), "size": 7});
        if let Some((os, architecture)) = platform.and_then(|it| it.split_once('/')) {
            entry["platform"] = json!({"architecture": architecture, "os": os});
        }
        entry
    }

    fn attestation(of: u8) -> Value {
        let mut entry = entry(of, Some("unknown/unknown"));
        entry["annotations"] = json!({(ABOUT_ANOTHER): "attestation-manifest"});
        entry
    }

    fn of(entries: &[Value]) -> Result<Option<Digest>, String> {
        let index = json!({"schemaVersion": 2, "manifests": entries});
        module_manifest(index.to_string().as_bytes())
    }

    #[test]
    fn the_module_is_the_one_for_wasm_or_the_only_one() {
        let amd64 = || entry(1, Some("linux/amd64"));
        let second = Ok(Some(digest(2).parse().unwrap()));
        for platform in ["wasi/wasm", "wasip1/wasm", "unknown/wasm32"] {
            assert_eq!(of(&[amd64(), entry(2, Some(platform))]), second);
        }
        assert_eq!(of(&[entry(2, Some("linux/amd64")), attestation(3)]), second);
        assert_eq!(of(&[entry(2, None)]), second);
        assert_eq!(module_manifest(br#"{"layers": []}"#), Ok(None));
    }

    #[test]
    fn an_index_that_leaves_a_choice_is_refused() {
        let two = [entry(1, Some("linux/amd64")), entry(2, None)];
        let both = [
            entry(1, Some("wasi/wasm")),
            entry(2, Some("wasip1/wasm")),
            attestation(3),
        ];
        for (entries, words) in [
            (
                &two[..],
                "of 2 artifacts, for linux/amd64, no platform: 0 are",
            ),
            (
                &both[..],
                "of 2 artifacts, for wasi/wasm, wasip1/wasm: 2 are",
            ),
            (&[attestation(3)][..], "is an index of nothing"),
            (&[][..], "is an index of nothing"),
            (&[json!({"digest": "md5:1"})][..], "md5:1"),
        ] {
            let error = of(entries).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let error = module_manifest(b"<html>").unwrap_err();
        assert!(error.starts_with("is no manifest"), "{error}");
    }
}
