//! The policy commands, run as from a shell.

use axum::http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::{ApiError, Approved};
use crate::cli::Outcome;
use crate::cli::testing::{FakeAgent, Ran, held, run};

fn policy(arguments: &[&str]) -> Ran {
    run("/nonexistent".into(), &[&["policy"], arguments].concat())
}

#[test]
fn the_built_in_policy_is_valid_without_settings() {
    let ran = policy(&["validate", "builtin:default"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    assert_eq!(
        ran.out,
        "default 0.1.0 is valid with these settings; it decides on announced routes\n"
    );
}

#[test]
fn refused_settings_are_told_in_the_modules_words() {
    let directory = TempDir::new().unwrap();
    for (name, text) in [
        ("settings.toml", "colour = \"red\""),
        ("settings.yaml", "colour: red"),
        ("settings.json", "{\"colour\": \"red\"}"),
    ] {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let ran = policy(&["validate", "builtin:default", "--settings", file]);
        assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Failed, ""));
        assert!(ran.out.contains("unknown field `colour`"), "{}", ran.out);
    }
}

#[test]
fn a_file_that_is_no_module_is_not_valid() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("policy.wasm");
    std::fs::write(&file, "not wasm").unwrap();
    let ran = policy(&["validate", file.to_str().unwrap(), "-o", "json"]);
    assert_eq!(ran.outcome, Outcome::Failed);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["valid"], false);
    let error = report["error"].as_str().unwrap();
    assert!(error.contains("is not WebAssembly"), "{error}");
}

#[test]
fn a_builtin_that_does_not_exist_is_not_valid_and_the_nearest_is_named() {
    let ran = policy(&["validate", "builtin:defualt"]);
    assert_eq!(ran.outcome, Outcome::Failed);
    assert!(
        ran.out.contains("did you mean \"builtin:default\"?"),
        "{}",
        ran.out
    );
}

#[test]
fn an_approval_is_asked_for_by_id_and_tells_what_it_did() {
    let approved = Approved {
        id: "3f9a01c2".to_owned(),
        effect: held().effect,
    };
    let agent = FakeAgent::answering(StatusCode::OK, &approved);
    let ran = agent.run(&["policy", "approve", "3f9a01c2"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    assert_eq!(
        ran.out,
        "change 3f9a01c2 is in force: 10 of 30 routes withdrawn, 1 changed, 1 announced\n"
    );
    assert_eq!(agent.requests(), ["POST /v1/policy/approve?id=3f9a01c2"]);
    let ran = agent.run(&["policy", "approve", "3f9a01c2", "-o", "json"]);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["effect"]["withdrawn"], 10);
}

#[test]
fn an_approval_that_is_refused_fails_in_the_agents_words() {
    let error = "no change is held back: see `rutter status`".to_owned();
    let agent = FakeAgent::answering(StatusCode::NOT_FOUND, &ApiError { error });
    let ran = agent.run(&["policy", "approve", "3f9a01c2"]);
    assert_eq!(ran.outcome, Outcome::Failed);
    assert_eq!(
        ran.err,
        "error: no change is held back: see `rutter status`\n"
    );
}
