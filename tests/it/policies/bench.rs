//! A directory with modules and a recording, and `rutter policy` run in it as from a shell.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// The directory.
pub(super) struct Bench(TempDir);

/// What a command left behind.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) success: bool,
    pub(super) out: String,
    pub(super) err: String,
}

impl Bench {
    /// With `NAME.wasm` for each module, and the recording as `live.toml`, where DIR stands for the
    /// directory.
    pub(super) fn new(modules: &[(&str, Vec<u8>)], recording: &str) -> Self {
        let bench = Self(TempDir::new().unwrap());
        for (name, bytes) in modules {
            fs::write(bench.path(&format!("{name}.wasm")), bytes).unwrap();
        }
        let directory = bench.0.path().to_str().unwrap();
        bench.write("live.toml", &recording.replace("DIR", directory));
        bench
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs `rutter policy ARGUMENTS` in the directory.
    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_rutter"))
            .arg("policy")
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        Ran {
            success: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What a command prints that ends well.
    pub(super) fn out(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert!(ran.success, "{ran:#?}");
        ran.out
    }

    /// The words of a command that does not.
    pub(super) fn err(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert!(!ran.success && ran.out.is_empty(), "{ran:#?}");
        ran.err
    }

    /// The document that a command prints.
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let out = self.out(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&out).unwrap()
    }
}
