//! Signatures by a key of the operator's, as cosign makes them: ECDSA on P-256 with SHA-256.
//!
//! An artifact's signature is over a small document that names the manifest's digest and the repository
//! that it was made for ("simple signing"); a file's is over the file itself. Keys are PEM files: what `cosign
//! generate-key-pair` and `openssl` write as public keys, and private keys that are not encrypted.
//! The time of a signature and transparency logs are not looked at.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::SourceError;
use crate::files::{self, ReadError};
use crate::types::Digest;

/// A signature, and the document it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signature {
    /// Absent where it is over the module itself.
    pub(super) payload: Option<String>,
    /// Of the DER form, in base64.
    pub(super) signature: String,
}

/// A key that signatures are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey(Vec<u8>);

/// A key that signs.
pub struct SigningKey(EcdsaKeyPair);

/// Everything before the point of a P-256 key in its `SubjectPublicKeyInfo` (RFC 5480 2), which
/// is of fixed length: the two object identifiers, and that the point is not compressed.
const P256_INFO: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

const P256_INFO_BYTES: usize = 91;

impl PublicKey {
    /// Reads a file of `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub(super) fn read(path: &Path) -> Result<Self, SourceError> {
        let unusable = |problem: String| SourceError::Setup {
            path: path.into(),
            problem,
        };
        let text = files::read(path, files::KEY_BYTES_MAX);
        let (label, der) = pem(text).map_err(unusable)?;
        if label != "PUBLIC KEY" {
            return Err(unusable(format!("it is a {label}, not a PUBLIC KEY")));
        }
        if der.len() != P256_INFO_BYTES || !der.starts_with(&P256_INFO) {
            let problem = "it is no key for ECDSA on P-256, as cosign generate-key-pair makes them";
            return Err(unusable(problem.to_owned()));
        }
        Ok(Self(der[P256_INFO.len() - 1..].to_vec()))
    }

    /// Whether a signature is of this key, over this message.
    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = BASE64.decode(signature.trim()) else {
            return false;
        };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0)
            .verify(message, &signature)
            .is_ok()
    }

    /// The repository, as the signature names it, in which this key's owner stands by the artifact of
    /// this digest; nothing where the signature does not say so.
    pub(super) fn vouched_in(&self, manifest: Digest, signature: &Signature) -> Option<String> {
        let Signature { payload, signature } = signature;
        let payload = payload.as_ref()?;
        let is_ours = self.verifies(payload.as_bytes(), signature);
        is_ours.then(|| named_with(payload, manifest))?
    }
}

impl SigningKey {
    /// Reads a file of `-----BEGIN PRIVATE KEY-----` (PKCS #8).
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let unusable = |problem: String| SourceError::Setup {
            path: path.into(),
            problem,
        };
        let text = files::read_anything(path, files::KEY_BYTES_MAX);
        let (label, der) = pem(text).map_err(unusable)?;
        if label != "PRIVATE KEY" {
            return Err(unusable(format!(
                "it is a {label}, not a PRIVATE KEY; make one with openssl genpkey -algorithm EC \
                 -pkeyopt ec_paramgen_curve:P-256, or sign with cosign what was pushed"
            )));
        }
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der, &SystemRandom::new())
            .map(Self)
            .map_err(|error| unusable(format!("it is no key for ECDSA on P-256: {error}")))
    }

    /// The key that checks what this one signs.
    pub(super) fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().to_vec())
    }

    /// Vouches for the artifact of this digest in this repository.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn vouch(
        &self,
        repository: &str,
        manifest: Digest,
    ) -> Result<Signature, SourceError> {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": repository},
                "image": {"docker-manifest-digest": manifest.to_string()},
                "type": TYPE,
            },
            "optional": null,
        });
        let payload = payload.to_string();
        let signature = self.0.sign(&SystemRandom::new(), payload.as_bytes());
        let signature = signature.map_err(|_| SourceError::Malformed {
            what: "the system".to_owned(),
            problem: "has no random numbers".to_owned(),
        })?;
        Ok(Signature {
            payload: Some(payload),
            signature: BASE64.encode(signature),
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// What the type of a document of the simple signing format must be: a key may sign others.
const TYPE: &str = "cosign container image signature";

/// The repository in a document of the simple signing format, if that is about this manifest.
fn named_with(payload: &str, manifest: Digest) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(payload).ok()?;
    let text = |pointer| document.pointer(pointer)?.as_str();
    let is_about = text("/critical/image/docker-manifest-digest")? == manifest.to_string()
        && text("/critical/type")? == TYPE;
    let named = text("/critical/identity/docker-reference")?;
    is_about.then(|| named.to_owned())
}

/// The first block of a PEM file (RFC 7468): its label and its octets.
fn pem(text: Result<Vec<u8>, ReadError>) -> Result<(String, Vec<u8>), String> {
    let text = text.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&text);
    let block = || {
        let (label, rest) = text.split_once("-----BEGIN ")?.1.split_once("-----")?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        let body: String = body.split_whitespace().collect();
        Some((label.to_owned(), BASE64.decode(body).ok()?))
    };
    block().ok_or_else(|| "it is no key in PEM form".to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;
    use crate::files::tests::make_pipe;
    use crate::source::digest_of;

    /// A pair of keys, made by ring and written as openssl does.
    pub(crate) struct Keys {
        _folder: TempDir,
        pub(crate) private: PathBuf,
        pub(crate) public: PathBuf,
    }

    impl Keys {
        pub(crate) fn make() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let random = SystemRandom::new();
            let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
            let point = pair.public_key().as_ref();
            let write = |name: &str, label: &str, der: &[u8]| {
                let path = folder.path().join(name);
                let body = BASE64.encode(der);
                let (one, other) = body.split_at(64);
                let text =
                    format!("-----BEGIN {label}-----\n{one}\n{other}\n-----END {label}-----\n");
                std::fs::write(&path, text).unwrap();
                path
            };
            let info = [&P256_INFO, &point[1..]].concat();
            Self {
                private: write("private", "PRIVATE KEY", pkcs8.as_ref()),
                public: write("public", "PUBLIC KEY", &info),
                _folder: folder,
            }
        }

        /// A signature over some bytes, as `cosign sign-blob` prints it.
        pub(crate) fn sign(&self, bytes: &[u8]) -> String {
            let SigningKey(pair) = SigningKey::read(&self.private).unwrap();
            let signature = pair.sign(&SystemRandom::new(), bytes).unwrap();
            format!("{}\n", BASE64.encode(signature))
        }
    }

    #[test]
    fn a_signature_is_of_one_key_over_one_artifact() {
        let (keys, others) = (Keys::make(), Keys::make());
        let signing = SigningKey::read(&keys.private).unwrap();
        let key = PublicKey::read(&keys.public).unwrap();
        assert_eq!(signing.public(), key);
        let digest = digest_of(b"manifest");
        let signature = signing.vouch("r.example/p", digest).unwrap();
        assert_eq!(
            key.vouched_in(digest, &signature).as_deref(),
            Some("r.example/p")
        );
        assert_eq!(key.vouched_in(digest_of(b"other"), &signature), None);
        let other = PublicKey::read(&others.public).unwrap();
        assert_eq!(other.vouched_in(digest, &signature), None);
        let altered = |payload: Option<String>, text: &str| Signature {
            payload,
            signature: text.to_owned(),
        };
        let payload = signature.payload.clone().unwrap();
        let about_another = payload.replace(&digest.hex(), &digest_of(b"other").hex());
        for altered in [
            altered(None, &signature.signature),
            altered(Some(about_another), &signature.signature),
            altered(Some(payload.clone()), ""),
            altered(Some(payload.clone()), "not base64"),
            altered(Some(payload), &signature.signature[4..]),
        ] {
            for about in [digest, digest_of(b"other")] {
                assert_eq!(key.vouched_in(about, &altered), None, "{altered:?}");
            }
        }
    }

    #[test]
    fn a_signed_text_that_is_no_voucher_vouches_for_nothing() {
        let keys = Keys::make();
        let key = PublicKey::read(&keys.public).unwrap();
        let digest = digest_of(b"manifest");
        let image = format!(r#""image": {{"docker-manifest-digest": "{digest}"}}"#);
        let identity = r#""identity": {"docker-reference": "r.example/p"}"#;
        let cosigns = format!(r#""type": "{TYPE}""#);
        let document = |parts: &str| format!(r#"{{"critical": {{{parts}}}}}"#);
        let whole = document(&format!("{image}, {identity}, {cosigns}"));
        let signature = Signature {
            signature: keys.sign(whole.as_bytes()),
            payload: Some(whole),
        };
        assert!(key.vouched_in(digest, &signature).is_some());
        for payload in [
            "",
            "{}",
            "[]",
            "sha256:0",
            &document(&format!("{image}, {identity}")),
            &document(&format!("{image}, {cosigns}")),
            &document(&format!("{identity}, {cosigns}")),
            &document(&format!(r#"{image}, {identity}, "type": "another""#)),
        ] {
            let signature = Signature {
                payload: Some(payload.into()),
                signature: keys.sign(payload.as_bytes()),
            };
            let named = key.vouched_in(digest_of(b"manifest"), &signature);
            assert_eq!(named, None, "{payload}");
        }
    }

    #[test]
    fn what_is_no_key_says_what_it_is() {
        let keys = Keys::make();
        let error = |path: &Path| PublicKey::read(path).unwrap_err().to_string();
        let private = error(&keys.private);
        assert!(
            private.ends_with("it is a PRIVATE KEY, not a PUBLIC KEY"),
            "{private}"
        );
        let public = SigningKey::read(&keys.public).unwrap_err().to_string();
        assert!(
            public.contains("it is a PUBLIC KEY, not a PRIVATE KEY; make one"),
            "{public}"
        );
        let missing = error(Path::new("/nonexistent/cosign.pub"));
        assert!(missing.contains("No such file"), "{missing}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        make_pipe(&path);
        let pipe = error(&path);
        assert!(
            pipe.ends_with("it is a named pipe; name a regular file"),
            "{pipe}"
        );
        std::fs::remove_file(&path).unwrap();
        for (text, problem) in [
            ("", "no key in PEM form"),
            (
                "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----",
                "no key in PEM form",
            ),
            (
                "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
                "ECDSA on P-256",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(error(&path).contains(problem), "{}", error(&path));
        }
    }

    /// Its `sign --key cosign.key --tlog-upload=false`, version 2.6.5, of an artifact that `rutter
    /// policy push` put into a registry.
    #[test]
    fn what_cosign_signed_is_vouched_for() {
        const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAESkkzLROG62bU/NmW+wynsxjtI9g6
M7PxQd34WZS/GYwMU8nToiuzDVK+rP2WawSqfiTpsGO501L5/4D5bEWW5w==
-----END PUBLIC KEY-----
";
        const MANIFEST: &str =
            "sha256:637e5c27c727895873bec52ddf29576e71d8b7969a6405f6f0a9221abe4c47d3";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cosign.pub");
        std::fs::write(&path, KEY).unwrap();
        let key = PublicKey::read(&path).unwrap();
        let signature = Signature {
            payload: Some(format!(
                r#"{{"critical":{{"identity":{{"docker-reference":"127.0.0.1:5077/policies/allow-list"}},"image":{{"docker-manifest-digest":"{MANIFEST}"}},"type":"cosign container image signature"}},"optional":null}}"#
            )),
            signature: "MEQCIBK5k3r7UeHLxVdlw5md2FHli8w7QHgcNg3VcCw2wQ5KAiATBejh2SZYNUmszCXTXNRgI6DlIIHeC2x36nkqe/EK7g==".to_owned(),
        };
        let named = key.vouched_in(MANIFEST.parse().unwrap(), &signature);
        assert_eq!(named.as_deref(), Some("127.0.0.1:5077/policies/allow-list"));
        assert_eq!(key.vouched_in(digest_of(b"other"), &signature), None);
    }
}
