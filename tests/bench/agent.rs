//! The program under measurement, in a folder of its own.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rutter::api::Status;
use tempfile::TempDir;

use crate::manifests::NODE;
use crate::{cluster, memory};

/// The policy's file, as the configuration in the folder names it.
pub(crate) const MODULE: &str = "policy.wasm";

/// Longest that anything asked for may take: reading the manifests is what takes long.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two questions: short against what is measured, long enough to leave it the processor.
const PAUSE: Duration = Duration::from_millis(1);

/// Everything that an agent reads and writes.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(folder.manifests()).expect("a folder in it");
        folder
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.0.path().join("manifests")
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("rutter.sock")
    }

    /// Replaces the configuration's `[[policies]]`, in one step.
    pub(crate) fn write_config(&self, policies: &str) {
        let text = format!(
            "source = 'files'\nfiles = 'manifests'\n\
             [bgp]\nlisten = []\n\
             [advertise]\nservice-cluster-cidrs = ['{}']\nservice-load-balancer-cidrs = ['{}']\n\
             [policy]\ncompile-cache = 'compiled'\nmodule-cache = 'off'\n\
             [api]\nsocket = 'rutter.sock'\nmetrics = 'off'\n\
             [[peers]]\nname = 'tor'\naddress = '127.0.0.99'\nasn = 64513\nport = 1\n\
             {policies}",
            cluster::CLUSTER_RANGE,
            cluster::LOAD_BALANCER_RANGE
        );
        self.write("rutter.toml", text.as_bytes());
    }

    /// Replaces the policy's module, in one step.
    pub(crate) fn write_module(&self, module: &[u8]) {
        self.write(MODULE, module);
    }

    fn write(&self, name: &str, contents: &[u8]) {
        let next = self.0.path().join(format!("{name}.next"));
        fs::write(&next, contents).expect("the folder takes files");
        fs::rename(&next, self.0.path().join(name)).expect("the folder takes files");
    }
}

/// A running agent; dropped, it is killed.
pub(crate) struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    pub(crate) fn start(folder: &Folder) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_rutter"))
            .args(["agent", "--config", "rutter.toml"])
            .current_dir(folder.0.path())
            .env("NODE_NAME", NODE)
            .env("RUTTER_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .expect("the program starts");
        Self {
            process,
            socket: folder.socket(),
        }
    }

    /// Asks for the status until `is_so`; the answer is the longest time that one took.
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    pub(crate) fn ask_until(&mut self, is_so: impl Fn(&Status) -> bool) -> Duration {
        let deadline = Instant::now() + PATIENCE;
        let mut longest = Duration::ZERO;
        loop {
            // While it starts, nobody listens.
            if let Ok((status, took)) = self.try_ask() {
                longest = longest.max(took);
                if is_so(&status) {
                    return longest;
                }
            }
            let ended = self.process.try_wait().expect("a child can be asked about");
            assert_eq!(ended, None, "the agent runs");
            assert!(Instant::now() < deadline, "not so within {PATIENCE:?}");
            thread::sleep(PAUSE);
        }
    }

    /// Its status, and how long the answer took.
    pub(crate) fn ask(&self) -> (Status, Duration) {
        self.try_ask().expect("a running agent answers")
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    fn try_ask(&self) -> std::io::Result<(Status, Duration)> {
        let start = Instant::now();
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.write_all(
            b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let took = start.elapsed();
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        let status = serde_json::from_str(body.unwrap_or_default())?;
        Ok((status, took))
    }

    /// Its memory now, in octets.
    pub(crate) fn resident(&self) -> u64 {
        memory::of(self.process.id(), "VmRSS")
    }

    /// The most memory that it had so far, in octets.
    pub(crate) fn peak(&self) -> u64 {
        memory::of(self.process.id(), "VmHWM")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Fails only when it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
