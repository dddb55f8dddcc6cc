//! `rutter policy new` and `rutter policy build` with the toolchain that is here: what an author
//! with the program alone gets.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::guests;

fn rutter() -> Command {
    let mut rutter = Command::new(env!("CARGO_BIN_EXE_rutter"));
    rutter.arg("policy");
    rutter
}

/// A new policy in an empty directory, with the versions of crates that this checkout is locked
/// to: whatever a registry has today must not decide whether a test passes.
fn new_policy(directory: &Path) -> PathBuf {
    let output = rutter()
        .args(["new", "opt-in"])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let policy = directory.join("opt-in");
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    fs::copy(lock, policy.join("Cargo.lock")).unwrap();
    policy
}

/// Compiles it in the directory that all guests of this checkout are compiled in.
fn build(policy: &Path, arguments: &[&str], environment: &[(&str, &OsStr)]) -> Output {
    rutter()
        .args(["build", "--target-dir"])
        .arg(guests::target_dir())
        .args(arguments)
        .current_dir(policy)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

fn run(program: &str, arguments: &[&str], policy: &Path) -> Output {
    let mut command = Command::new(program);
    // What cargo tells this test about itself is not for another cargo.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO") && name != "CARGO_HOME" {
            command.env_remove(&*name);
        }
    }
    command
        .args(arguments)
        .current_dir(policy)
        .env("CARGO_TARGET_DIR", guests::target_dir().join("native"))
        .output()
        .unwrap()
}

#[test]
fn a_new_policy_passes_its_test_and_is_built_into_a_module_that_decides() {
    // Always the same one: cargo keeps what it compiles by its path.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffold");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let policy = new_policy(&directory);

    let tested = run("cargo", &["test"], &policy);
    assert!(tested.status.success(), "{}", told(&tested));
    assert!(told(&tested).contains("1 passed"), "{}", told(&tested));
    assert!(!told(&tested).contains("warning"), "{}", told(&tested));
    let formatted = run("cargo", &["fmt", "--check"], &policy);
    assert!(formatted.status.success(), "{}", told(&formatted));

    let built = build(&policy, &["-o", "json"], &[]);
    assert!(built.status.success(), "{}", told(&built));
    let report: Value = serde_json::from_slice(&built.stdout).unwrap();
    let module = policy.join("opt-in.wasm");
    assert_eq!(report["module"], "./opt-in.wasm");
    assert_eq!(
        (&report["name"], &report["version"]),
        (&json!("opt-in"), &json!("0.1.0"))
    );
    let bytes = fs::read(&module).unwrap();
    assert_eq!(report["bytes"], bytes.len());
    let digest = format!("sha256:{}", rutter::wasm::digest(&bytes));
    assert_eq!(report["digest"], digest);

    let validate = |settings: &str| {
        let file = policy.join("settings.json");
        fs::write(&file, settings).unwrap();
        rutter()
            .args(["validate", "opt-in.wasm", "--settings", "settings.json"])
            .current_dir(&policy)
            .output()
            .unwrap()
    };
    let valid = validate(r#"{"label": "announce"}"#);
    assert!(valid.status.success(), "{}", told(&valid));
    let refused = validate(r#"{"label": ""}"#);
    assert!(
        told(&refused).contains("label is empty"),
        "{}",
        told(&refused)
    );

    a_mistake_is_told_and_leaves_the_module_alone(&policy, &bytes);
    a_module_that_is_no_policy_is_refused(&policy, &bytes);
}

fn a_mistake_is_told_and_leaves_the_module_alone(policy: &Path, before: &[u8]) {
    let source = policy.join("src/lib.rs");
    let good = fs::read_to_string(&source).unwrap();
    fs::write(
        &source,
        good.replace("Decision::abstain()", "Decision::maybe()"),
    )
    .unwrap();
    let failed = build(policy, &[], &[]);
    fs::write(&source, good).unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let told = told(&failed);
    assert!(told.contains("src/lib.rs"), "{told}");
    assert!(told.contains("maybe"), "{told}");
    assert!(
        told.contains("error: the policy in . was not built: see above"),
        "{told}"
    );
    assert_eq!(fs::read(policy.join("opt-in.wasm")).unwrap(), before);
}

fn a_module_that_is_no_policy_is_refused(policy: &Path, before: &[u8]) {
    fs::write(policy.join("src/lib.rs"), "//! Nothing.\n").unwrap();
    let refused = build(policy, &[], &[]);
    assert_eq!(refused.status.code(), Some(1));
    let told = told(&refused);
    assert!(
        told.contains("compiles, but the agent would refuse it"),
        "{told}"
    );
    assert_eq!(fs::read(policy.join("opt-in.wasm")).unwrap(), before);
}

#[test]
fn a_toolchain_that_is_named_and_not_there_is_told() {
    let directory = TempDir::new().unwrap();
    let policy = new_policy(directory.path());
    let nowhere = [("RUTTER_GUEST_TOOLCHAIN", OsStr::new("/nonexistent"))];
    let failed = build(&policy, &[], &nowhere);
    assert_eq!(failed.status.code(), Some(1));
    let told = told(&failed);
    assert!(
        told.contains("RUTTER_GUEST_TOOLCHAIN is /nonexistent"),
        "{told}"
    );
    assert!(!policy.join("opt-in.wasm").exists());
}

/// Debian's toolchain, where it is installed, is found without `PATH`, but not the linker.
#[test]
fn without_rust_on_path_the_way_to_install_it_is_told() {
    let directory = TempDir::new().unwrap();
    let policy = new_policy(directory.path());
    let path = directory.path().join("bin");
    fs::create_dir(&path).unwrap();
    for program in ["bash", "dirname", "env", "sed", "sh", "sort"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|directory| directory.join(program))
            .find(|candidate| candidate.is_file());
        std::os::unix::fs::symlink(found.unwrap(), path.join(program)).unwrap();
    }
    let cache = directory.path().join("cache");
    let environment = [
        ("PATH", path.as_os_str()),
        ("RUTTER_GUEST_CACHE", cache.as_os_str()),
    ];
    let failed = build(&policy, &[], &environment);
    assert_eq!(failed.status.code(), Some(1));
    let told = told(&failed);
    assert!(told.contains("rustup"), "{told}");
    assert!(told.contains("was not built: see above"), "{told}");
    assert!(!policy.join("opt-in.wasm").exists());
}
