//! A registry of OCI artifacts: Debian's `docker-registry`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::netns::Host;
use super::process::{Process, program, run};
use super::wait::eventually;

/// How long it may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);

/// `user` with the password `secret`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "user:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

/// The same as `docker login` writes it.
const AUTH: &str = "dXNlcjpzZWNyZXQ=";

/// A running registry; what it holds outlives a stop.
#[derive(Debug)]
pub(crate) struct Registry {
    host: Host,
    address: String,
    folder: TempDir,
    process: Option<Process>,
    starts: u32,
}

impl Registry {
    /// Without TLS, on port 5000 of the host's loopback.
    pub(crate) fn plain(host: &Host) -> Self {
        Self::new(host, "127.0.0.1:5000", |_| String::new())
    }

    /// With a certificate of `ca` and a password, on port 5000 of the host's own address.
    pub(crate) fn guarded(host: &Host, ca: &super::keys::Authority) -> Self {
        let address = format!("{}:5000", host.ipv4);
        Self::new(host, &address, |folder| {
            let (certificate, key) = ca.certificate_for(host.ipv4.into(), folder);
            let htpasswd = folder.join("htpasswd");
            fs::write(&htpasswd, HTPASSWD).unwrap();
            format!(
                "  tls: {{certificate: {certificate:?}, key: {key:?}}}\n\
                 auth: {{htpasswd: {{realm: test, path: {htpasswd:?}}}}}\n"
            )
        })
    }

    fn new(host: &Host, address: &str, more: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let text = format!(
            "version: 0.1\n\
             storage: {{filesystem: {{rootdirectory: {data:?}}}}}\n\
             http:\n  addr: \"{address}\"\n  secret: none\n{}",
            more(folder.path())
        );
        fs::write(folder.path().join("config.yml"), text).unwrap();
        let mut registry = Self {
            host: host.clone(),
            address: address.to_owned(),
            folder,
            process: None,
            starts: 0,
        };
        registry.start();
        registry
    }

    /// Starts it, with what it held before.
    pub(crate) fn start(&mut self) {
        self.starts += 1;
        let log = self.folder.path().join(format!("log.{}", self.starts));
        let mut command = self.host.command(&program("RUTTER_TEST_DOCKER_REGISTRY"));
        command
            .arg("serve")
            .arg(self.folder.path().join("config.yml"));
        let process = Process::spawn("docker-registry", &mut command, log);
        eventually(START_LIMIT, || {
            let log = process.log();
            if log.contains("listening on") {
                Ok(())
            } else {
                Err(log)
            }
        });
        self.process = Some(process);
    }

    /// Ends it; connections to it are refused.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// A reference into it: `repository:tag` or `repository@digest` follows the slash.
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("oci://{}/{name}", self.address)
    }

    /// A file of credentials for it.
    pub(crate) fn auth_file(&self) -> PathBuf {
        let path = self.folder.path().join("auth.json");
        let text = format!(
            r#"{{"auths": {{"{}": {{"auth": "{AUTH}"}}}}}}"#,
            self.address
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// Puts an index under a tag of a repository, as tools do that build for several platforms. Only
    /// for a plain one.
    pub(crate) fn put_index(&self, repository: &str, tag: &str, index: &str) {
        let request = self.folder.path().join("request");
        let head = format!(
            "PUT /v2/{repository}/manifests/{tag} HTTP/1.1\r\nHost: {}\r\n\
             Content-Type: application/vnd.oci.image.index.v1+json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            index.len()
        );
        fs::write(&request, head + index).unwrap();
        let (host, port) = self.address.split_once(':').unwrap();
        let exchange = "exec 3<>/dev/tcp/$0/$1; cat \"$2\" >&3; cat <&3";
        let mut command = self.host.command("bash");
        command.args(["-c", exchange, host, port]).arg(&request);
        let answer = run(&mut command).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }

    /// Spoils every blob that is these bytes: they come out altered.
    pub(crate) fn spoil(&self, bytes: &[u8]) {
        let mut spoilt = 0;
        let mut folders = vec![self.folder.path().join("data")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if fs::read(&path).unwrap() == bytes {
                    fs::write(&path, [&bytes[1..], &[0]].concat()).unwrap();
                    spoilt += 1;
                }
            }
        }
        assert_eq!(spoilt, 1);
    }
}
