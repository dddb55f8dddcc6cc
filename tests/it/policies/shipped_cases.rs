//! The case files beside each policy, run as an author runs them: `rutter policy test` on the
//! compiled module, without cluster and root.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::MODULES;
use crate::support::guests;

/// Runs the cases of `policies/NAME` against a module. Panics with the report where one fails.
fn report(name: &str, module: &Path) -> Value {
    let cases = format!("{}/policies/{name}/cases", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO_BIN_EXE_rutter"))
        .args(["policy", "test", &cases, "-o", "json", "--module"])
        .arg(module)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{name}:\n{out}{err}");
    serde_json::from_str(&out).unwrap()
}

fn check(name: &str, module: &Path) {
    let report = report(name, module);
    assert_eq!(report["name"], name);
    assert!(report["passed"].as_u64().unwrap() >= 5, "{report}");
    let coverage = &report["coverage"];
    assert_eq!(coverage["reasons-never-seen"], json!([]), "{name}");
    assert_eq!(coverage["reasons-not-declared"], json!([]), "{name}");
    let families: Vec<&Value> = coverage["asked"]
        .as_array()
        .unwrap()
        .iter()
        .map(|asked| &asked["family"])
        .collect();
    assert!(
        families.contains(&&json!("ipv4-unicast")) && families.contains(&&json!("ipv6-unicast")),
        "{name} is asked about one family only"
    );
}

#[test]
fn the_cases_of_every_module_pass_and_see_every_reason() {
    let directory = TempDir::new().unwrap();
    for name in MODULES.into_iter().chain(["import-filter"]) {
        let module = directory.path().join(format!("{name}.wasm"));
        std::fs::write(&module, guests::compiled(name)).unwrap();
        check(name, &module);
    }
}

#[test]
fn the_cases_of_the_default_policy_pass_and_see_every_reason() {
    check("default", Path::new("builtin:default"));
}
