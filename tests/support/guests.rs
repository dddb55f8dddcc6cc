//! Policy modules compiled for tests and benchmarks, from this checkout's sources.
//!
//! A plain `cargo build` compiles none of them but the default policy, so whoever needs another
//! asks here, and `policies/build` makes it: seconds the first time, and a fraction of one to see
//! that nothing changed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The module of `policies/NAME`, compiled. Panics with the compiler's words if it does not.
pub(crate) fn compiled(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = target_dir();
    fs::create_dir_all(&target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
    // The compiler copies its result to a path that others read: one at a time, reading included.
    let lock = target.join("tests.lock");
    let lock = File::create(&lock)
        .and_then(|file| file.lock().map(|()| file))
        .unwrap_or_else(|error| panic!("cannot lock {}: {error}", lock.display()));
    let module = target.join(format!("{name}.wasm"));
    let output = Command::new(root.join("policies/build"))
        .args(["--locked", "--target-dir"])
        .arg(&target)
        .arg(root.join("policies").join(name))
        .arg(&module)
        .output()
        .unwrap_or_else(|error| panic!("policies/build does not start: {error}"));
    assert!(
        output.status.success(),
        "policies/{name} does not compile:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let bytes = fs::read(&module);
    drop(lock);
    bytes.unwrap_or_else(|error| panic!("{}: {error}", module.display()))
}

/// The directory that the build script compiles the default policy in, beside the profiles.
pub(crate) fn target_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_else(|error| panic!("who am I? {error}"));
    program
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").exists())
        .unwrap_or_else(|| panic!("{} is in no target directory", program.display()))
        .join("guest")
}
