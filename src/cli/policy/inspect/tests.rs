//! Inspecting modules good and bad.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::Outcome;
use crate::cli::testing::{Ran, run};
use crate::wasm::{builtin_bytes, digest};

fn inspect(module: &str, more: &[&str]) -> Ran {
    let arguments = [&["policy", "inspect", module], more].concat();
    run("/nonexistent".into(), &arguments)
}

/// The report about a module of these bytes, and the text.
fn inspected(bytes: &[u8]) -> (Value, String) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("m.wasm");
    std::fs::write(&file, bytes).unwrap();
    let file = file.to_str().unwrap();
    let ran = inspect(file, &["-o", "json"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    let text = inspect(file, &[]);
    assert_eq!(text.outcome, Outcome::Done);
    (serde_json::from_str(&ran.out).unwrap(), text.out)
}

#[test]
fn the_built_in_policy_is_told_from_its_digest_to_its_description() {
    let report = inspect("builtin:default", &["-o", "json"]).out;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["kind"], "core-module");
    assert_eq!(report["bytes"], builtin_bytes().len());
    let digest = format!("sha256:{}", digest(builtin_bytes()));
    assert_eq!(report["digest"], digest);
    assert_eq!(report["imports"], json!([]));
    let mut interfaces: Vec<&str> = report["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|interface| interface["name"].as_str().unwrap())
        .collect();
    interfaces.sort_unstable();
    assert_eq!(interfaces, ["announce", "module"]);
    assert_eq!(
        report["world"],
        json!({"name": "policy", "decides-on": "announced routes"})
    );
    assert_eq!(report["description"]["name"], "default");
    assert_eq!(report["refusal"], Value::Null);

    let text = inspect("builtin:default", &[]).out;
    assert!(text.contains(&format!("Digest:   {digest}\n")), "{text}");
    let world = "World:    policy: decides on announced routes\nImports:  nothing\n";
    assert!(text.contains(world), "{text}");
    assert!(text.contains("Settings:\n  {\n"), "{text}");
}

#[test]
fn a_module_that_wants_wasi_is_told_with_what_it_wants() {
    let (report, text) = inspected(
        &wat::parse_str(r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#).unwrap(),
    );
    let import = json!({"name": "wasi_snapshot_preview1, fd_write", "refused": true});
    assert_eq!(report["imports"], json!([import]));
    assert_eq!(report["description"], Value::Null);
    let refusal = report["refusal"].as_str().unwrap();
    assert!(
        refusal.contains("imports wasi_snapshot_preview1, fd_write"),
        "{refusal}"
    );
    assert!(
        text.contains("Imports:  wasi_snapshot_preview1, fd_write: refused\n"),
        "{text}"
    );
    assert!(text.contains("Refused:  module"), "{text}");
}

#[test]
fn a_component_that_wants_wasi_is_told_with_what_it_wants() {
    let (report, _) = inspected(
        &wat::parse_str(
            r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance
                (export "now" (func (result u64))))))"#,
        )
        .unwrap(),
    );
    assert_eq!(report["kind"], "component");
    let import = json!({"name": "wasi:clocks/wall-clock@0.2.0", "refused": true});
    assert_eq!(report["imports"], json!([import]));
}

#[test]
fn imports_inside_a_component_are_not_its_own() {
    let (report, _) =
        inspected(&wat::parse_str(r#"(component (core module (import "a" "b" (func))))"#).unwrap());
    assert_eq!(report["imports"], json!([]));
}

#[test]
fn what_is_no_module_is_told_to_be_none() {
    let (report, text) = inspected(b"#!/bin/sh");
    assert_eq!(report["kind"], Value::Null);
    assert_eq!(report["bytes"], 9);
    assert!(text.contains("Kind:     not WebAssembly\n"), "{text}");
    assert!(text.contains("Refused:  module"), "{text}");
}

#[test]
fn a_module_that_was_cut_short_is_told_as_far_as_it_goes() {
    let whole = builtin_bytes();
    let (report, _) = inspected(&whole[..whole.len() - 1000]);
    assert_eq!(report["kind"], "core-module");
    assert_ne!(report["interfaces"], json!([]));
    assert!(report["refusal"].is_string());
}

#[test]
fn a_file_that_is_not_there_fails() {
    let ran = inspect("/nonexistent/m.wasm", &[]);
    assert_eq!(ran.outcome, Outcome::Failed);
    assert!(
        ran.err.starts_with("error: cannot read the module"),
        "{}",
        ran.err
    );
}
