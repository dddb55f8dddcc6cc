//! Policies in JavaScript: what `policies/build` makes of them, what it says where it cannot, and
//! that the engine they carry fits into the limits that every module has.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rutter::policy::{PolicyFailure, Reasons, Verdict};
use rutter::wasm::Inspection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::cases::{self, Case};
use super::{INSTRUCTIONS_MAX, ask, guests, policy, try_ask};

/// Most candidates that a module is asked about in one call.
const FULL_BATCH: usize = 1024;

fn name_rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/name-rules")
}

/// A copy of the policy to be spoilt.
fn copy() -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("src")).unwrap();
    for file in [
        "package.json",
        "package-lock.json",
        "src/policy.js",
        "src/rules.js",
        "src/schema.js",
    ] {
        fs::copy(name_rules().join(file), directory.path().join(file)).unwrap();
    }
    directory
}

/// Builds what is in a directory; the packer is the one that the policy itself is built with.
fn build(directory: &Path, path: Option<&Path>) -> Output {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/build"));
    command
        .arg("--target-dir")
        .arg(guests::target_dir())
        .arg(directory)
        .arg(directory.join("out.wasm"));
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.output().unwrap()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "it was built");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The engine imports the log whether the policy writes to it or not.
#[test]
fn a_module_with_a_javascript_engine_imports_nothing_but_the_log() {
    let Inspection { imports, .. } = Inspection::of(&guests::compiled("name-rules"));
    let expected = ["rutter:policy/types@1.0.0", "rutter:policy/log@1.0.0"];
    assert!(
        imports.len() == 2
            && expected
                .iter()
                .all(|name| imports.iter().any(|import| import == name)),
        "{imports:?}"
    );
}

/// The memory of any module is enough for the engine and for the largest question.
#[test]
fn javascript_decides_about_a_full_batch_within_the_memory_of_any_module() {
    let cases: Vec<Case> = (0..FULL_BATCH)
        .map(|number| cases::crowded(number, &format!("team-{number}")))
        .collect();
    let cases: Vec<&Case> = cases.iter().collect();
    let settings = json!({"rules": [
        {"labels": {"example.com/part-of": "7$"}, "then": "reject"},
        {"annotations": {"example.com/owner": "^team-\\d+$"}, "then": "accept"},
    ]});
    let mut policy = policy("name-rules", &settings).unwrap();
    let decisions = ask(&mut policy, &cases, Reasons::Wanted);
    for (number, decision) in decisions.into_iter().enumerate() {
        let expected = if number % 10 == 7 {
            Verdict::Reject
        } else {
            Verdict::Accept(None)
        };
        assert_eq!(decision.verdict, expected, "{number}");
    }
}

#[test]
fn a_pattern_that_backtracks_for_ever_is_stopped() {
    let settings = json!({"rules": [
        {"annotations": {"example.com/owner": "^(a+)+$"}, "then": "accept"},
    ]});
    let mut policy = policy("name-rules", &settings).unwrap();
    let case = cases::crowded(0, &format!("{}!", "a".repeat(64)));
    let failure = try_ask(&mut policy, &[&case], Reasons::Unwanted).unwrap_err();
    assert_eq!(failure, PolicyFailure::OutOfInstructions(INSTRUCTIONS_MAX));
}

#[test]
fn broken_javascript_is_refused_with_its_place() {
    let policy = copy();
    let rules = policy.path().join("src/rules.js");
    let source = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("const = 1;\n{source}")).unwrap();
    let words = refusal(&build(policy.path(), None));
    assert!(
        words.contains("build-js: error: the policy does not compile\n"),
        "{words}"
    );
    assert!(words.contains("/src/rules.js:1:"), "{words}");
}

#[test]
fn an_entry_that_is_not_there_is_named() {
    let policy = copy();
    fs::remove_file(policy.path().join("src/policy.js")).unwrap();
    let words = refusal(&build(policy.path(), None));
    let expected = "src/policy.js, which package.json names as \"main\"\n";
    assert!(words.ends_with(expected), "{words}");
}

/// Makes package.json name a world.
fn of_world(policy: &TempDir, world: &str) {
    let file = policy.path().join("package.json");
    let mut package: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    package["rutter"] = json!({ "world": world });
    fs::write(&file, package.to_string()).unwrap();
}

#[test]
fn a_world_that_the_contract_does_not_have_is_refused_with_those_it_has() {
    let policy = copy();
    for world in ["imports", "", "policy import-policy"] {
        of_world(&policy, world);
        let words = refusal(&build(policy.path(), None));
        let expected = format!(
            "/package.json names the world \"{world}\", and there is none: \
             write one of policy import-policy two-way-policy\n"
        );
        assert!(words.ends_with(&expected), "{words}");
    }
}

#[test]
fn a_world_that_the_entry_is_not_of_is_refused_with_what_it_lacks() {
    let policy = copy();
    for world in ["import-policy", "two-way-policy"] {
        of_world(&policy, world);
        let words = refusal(&build(policy.path(), None));
        let expected =
            format!("/src/policy.js does not export learn, as the world \"{world}\" asks: ");
        assert!(words.contains(&expected), "{words}");
    }
    assert!(!policy.path().join("out.wasm").exists());
    of_world(&policy, "policy");
    let built = build(policy.path(), None);
    assert!(built.status.success(), "{built:?}");
}

#[test]
fn without_node_it_is_said_what_to_install() {
    let programs = TempDir::new().unwrap();
    for name in ["dirname", "env", "sed", "sh"] {
        symlink(Path::new("/usr/bin").join(name), programs.path().join(name)).unwrap();
    }
    let policy = copy();
    let words = refusal(&build(policy.path(), Some(programs.path())));
    assert_eq!(
        words,
        "build-js: error: node is missing: install Node.js 18 or later, on Debian 12 as root: \
         apt-get install -y --no-install-recommends nodejs npm\n"
    );
}
