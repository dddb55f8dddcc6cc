//! Keys and certificates, made by openssl: what is not ours checks what is.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::{program, run};

/// A pair of keys for ECDSA on P-256.
#[derive(Debug)]
pub(crate) struct KeyPair {
    _folder: TempDir,
    /// PKCS #8 in PEM.
    pub(crate) private: PathBuf,
    /// `SubjectPublicKeyInfo` in PEM.
    pub(crate) public: PathBuf,
}

/// Who signs certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    folder: TempDir,
}

fn openssl(arguments: &[&str], paths: &[(&str, &Path)]) {
    let mut command = Command::new(program("RUTTER_TEST_OPENSSL"));
    command.args(arguments);
    for (option, path) in paths {
        command.arg(option).arg(path);
    }
    run(&mut command).unwrap();
}

const P256: &str = "ec_paramgen_curve:P-256";

impl KeyPair {
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (private, public) = (folder.path().join("private"), folder.path().join("public"));
        let generate = ["genpkey", "-algorithm", "EC", "-pkeyopt", P256];
        openssl(&generate, &[("-out", &private)]);
        openssl(
            &["pkey", "-pubout"],
            &[("-in", &private), ("-out", &public)],
        );
        Self {
            _folder: folder,
            private,
            public,
        }
    }

    /// Signs a file as `cosign sign-blob` does, into a file beside it.
    pub(crate) fn sign(&self, file: &Path) {
        let mut signature = file.as_os_str().to_owned();
        signature.push(".sig");
        let signature = PathBuf::from(signature);
        let der = signature.with_extension("der");
        let key = file.to_str().unwrap();
        let sign = ["dgst", "-sha256", "-out", der.to_str().unwrap()];
        let mut command = Command::new(program("RUTTER_TEST_OPENSSL"));
        command.args(sign).arg("-sign").arg(&self.private).arg(key);
        run(&mut command).unwrap();
        openssl(&["base64", "-A"], &[("-in", &der), ("-out", &signature)]);
        fs::remove_file(der).unwrap();
    }
}

impl Authority {
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        openssl(
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                P256,
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=test authority",
            ],
            &[("-keyout", &path("key")), ("-out", &path("certificate"))],
        );
        Self { folder }
    }

    /// Its certificate, to trust.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate")
    }

    /// A certificate for a server at this address, and its key, as files in `folder`.
    pub(crate) fn certificate_for(&self, address: IpAddr, folder: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join("certificate"), folder.join("key"));
        let name = format!("subjectAltName=IP:{address}");
        openssl(
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                P256,
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=registry",
                "-addext",
                &name,
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ],
            &[
                ("-keyout", &key),
                ("-out", &certificate),
                ("-CA", &self.certificate()),
                ("-CAkey", &self.folder.path().join("key")),
            ],
        );
        (certificate, key)
    }
}
