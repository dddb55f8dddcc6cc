//! The program alone, on loopback, with a folder of manifests and nobody to talk to: what it decides
//! is asked of its own socket.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rutter::api::{Explanation, Readiness, Routes, Status};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::agent::RUTTER;
use super::process::{Memory, Process};
use super::wait::eventually;

/// Far above what anything here takes; a test that waits this long has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A running agent, ended when dropped.
pub(crate) struct Solo {
    folder: TempDir,
    process: Process,
}

impl Solo {
    /// As the node of this name. The configuration names the folder `manifests` and the socket
    /// `rutter.sock`.
    pub(crate) fn start(node: &str, manifests: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        fs::write(folder.path().join("manifests/all.yaml"), manifests).unwrap();
        fs::write(folder.path().join("rutter.toml"), config).unwrap();
        let mut command = Command::new(RUTTER);
        command
            .args(["agent", "--config", "rutter.toml"])
            .current_dir(folder.path())
            .env("NODE_NAME", node)
            .env("RUTTER_LOG", "info");
        let process = Process::spawn("the agent", &mut command, folder.path().join("log"));
        Self { folder, process }
    }

    /// What the command line prints.
    pub(crate) fn rutter(&self, arguments: &[&str]) -> String {
        let output = Command::new(RUTTER)
            .arg("--socket")
            .arg(self.folder.path().join("rutter.sock"))
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, String> {
        let text = self.rutter(&[&["-o", "json"], arguments].concat());
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    pub(crate) fn status(&self) -> Result<Status, String> {
        self.json(&["status"])
    }

    pub(crate) fn until_ready(&self) -> Status {
        eventually(LIMIT, || match self.status()? {
            status if status.readiness == Readiness::Ready => Ok(status),
            status => Err(format!("{:?}", status.readiness)),
        })
    }

    /// Whether the policies let any candidate of the prefix be announced, and their last words on the
    /// first one, or on the one that is.
    pub(crate) fn decided(&self, prefix: &str) -> Result<(bool, String), String> {
        let Explanation { routes, .. } = self.json(&["explain", prefix])?;
        let accepted = routes.iter().find(|route| route.decision.accepted);
        let Some(route) = accepted.or(routes.first()) else {
            return Ok((false, "no candidate".to_owned()));
        };
        let reason = route
            .decision
            .steps
            .last()
            .and_then(|step| step.reason.clone());
        Ok((route.decision.accepted, reason.unwrap_or_default()))
    }

    /// What is announced, or would be if there were a session.
    pub(crate) fn offered(&self) -> Result<Vec<String>, String> {
        let Routes { routes, .. } = self.json(&["routes"])?;
        let accepted = routes.iter().filter(|route| route.decision.accepted);
        let mut prefixes: Vec<_> = accepted.map(|route| route.prefix.to_string()).collect();
        prefixes.sort();
        prefixes.dedup();
        Ok(prefixes)
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn memory(&self) -> Memory {
        self.process.memory()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The file of manifests.
    pub(crate) fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests/all.yaml")
    }
}
