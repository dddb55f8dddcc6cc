//! The program alone, on loopback, with a folder of manifests: what it decides is asked of its own
//! socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rutter::api::{Explanation, Readiness, Routes, Status};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::agent::RUTTER;
use super::process::{Memory, Process, Signal};
use super::wait::eventually;

/// Far above what anything here takes; a test that waits this long has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A running agent, ended when dropped.
pub(crate) struct Solo {
    folder: TempDir,
    node: String,
    process: Process,
}

/// What the program finds when it starts, besides its files.
pub(crate) struct Given {
    /// How many files it may have open, if that is less than others may.
    pub(crate) open_files: Option<u32>,
    /// Where its log goes, if not into a file.
    pub(crate) stderr: Option<Stdio>,
    /// What is logged.
    pub(crate) log: &'static str,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            open_files: None,
            stderr: None,
            log: "info",
        }
    }
}

impl Solo {
    /// As the node of this name. The configuration names the folder `manifests` and the socket
    /// `rutter.sock`.
    pub(crate) fn start(node: &str, manifests: &str, config: &str) -> Self {
        Self::start_given(node, manifests, config, Given::default())
    }

    /// The same in other circumstances.
    pub(crate) fn start_given(node: &str, manifests: &str, config: &str, given: Given) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        fs::write(folder.path().join("manifests/all.yaml"), manifests).unwrap();
        fs::write(folder.path().join("rutter.toml"), config).unwrap();
        Self::spawn(node, folder, given)
    }

    /// With all that is in this folder.
    pub(crate) fn start_in(node: &str, folder: TempDir) -> Self {
        Self::spawn(node, folder, Given::default())
    }

    fn spawn(node: &str, folder: TempDir, given: Given) -> Self {
        let Given {
            open_files,
            stderr,
            log: filter,
        } = given;
        let mut command = match open_files {
            None => Command::new(RUTTER),
            Some(open_files) => {
                let mut command = Command::new("sh");
                let script = format!("ulimit -n {open_files} && exec \"$0\" \"$@\"");
                command.args(["-c", &script, RUTTER]);
                command
            }
        };
        command
            .args(["agent", "--config", "rutter.toml"])
            .current_dir(folder.path())
            .env("NODE_NAME", node)
            .env("RUTTER_LOG", filter);
        let log = folder.path().join("log");
        let process = match stderr {
            None => Process::spawn("the agent", &mut command, log),
            Some(stderr) => Process::spawn_telling("the agent", &mut command, log, stderr),
        };
        Self {
            folder,
            node: node.to_owned(),
            process,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// How it ended, if it has.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.exit_status()
    }

    /// Ends it, and starts another one after this was done to its folder.
    pub(crate) fn restarted(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self {
            folder,
            node,
            process,
        } = self;
        drop(process);
        meanwhile(folder.path());
        Self::start_in(&node, folder)
    }

    /// What is in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
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
