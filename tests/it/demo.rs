//! The demo, run as a newcomer runs it but for building: it checks its own tables.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Beside the test's own binary, where cargo puts examples.
fn demo() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let profile = deps.parent().and_then(Path::parent).unwrap();
    let demo = profile.join("examples/demo");
    assert!(
        demo.exists(),
        "{} is missing: run `cargo build --example demo`, or all tests with tests/run",
        demo.display()
    );
    demo
}

fn run(manifests: &Path) -> (bool, String) {
    let output = Command::new(demo())
        .arg("--agent")
        .arg(env!("CARGO_BIN_EXE_rutter"))
        .arg("--manifests")
        .arg(manifests)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text)
}

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/demo.d/manifests")
}

#[test]
fn the_demo_tells_its_story_and_exits_with_0() {
    let (success, text) = run(&manifests());
    assert!(success, "{text}");
    assert!(
        text.contains("  172.16.12.34/32        worker-1, worker-2"),
        "{text}"
    );
    assert!(text.contains("  - 172.16.12.34/32 via worker-2"), "{text}");
    assert!(text.contains("no session was lost"), "{text}");
}

#[test]
fn the_demo_fails_when_it_cannot_run_its_cluster() {
    let (success, text) = run(Path::new("/nonexistent"));
    assert!(!success, "{text}");
    assert!(
        text.contains("cannot start the agents: cannot read /nonexistent"),
        "{text}"
    );
}
