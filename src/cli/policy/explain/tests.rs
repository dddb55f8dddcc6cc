//! Why a chain decides so about a part of a recording.

use serde_json::Value;

use crate::cli::Outcome;
use crate::cli::policy::fixture::{Bench, RECORDING};
use crate::wasm::tests::hostile;

fn explain(subject: &str, more: &[&str]) -> crate::cli::testing::Ran {
    let arguments = [&["explain", subject, "--batch", "LIVE"], more].concat();
    Bench::new(RECORDING).run(&arguments)
}

#[test]
fn a_prefix_is_explained_module_by_module() {
    let ran = explain("2001:db8::10", &[]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    insta::assert_snapshot!(ran.out);
}

#[test]
fn a_service_is_explained_with_its_facts_and_all_its_addresses() {
    let ran = explain("shop/web", &["--module", "builtin:default"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    insta::assert_snapshot!(ran.out);
}

#[test]
fn an_address_that_is_no_candidate_is_explained_by_its_service() {
    let ran = explain("203.0.113.7", &["-o", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["subject"], "203.0.113.7/32");
    assert_eq!(
        report["services"][0]["excluded"][0]["reason"],
        "outside-ranges"
    );
    assert_eq!(report["routes"], serde_json::json!([]));
}

#[test]
fn what_the_recording_does_not_have_is_unknown() {
    for subject in ["198.51.100.1", "shop/none"] {
        let ran = explain(subject, &[]);
        assert_eq!(ran.outcome, Outcome::Unknown);
        assert!(
            ran.out.contains("is no candidate in dir/live.toml"),
            "{}",
            ran.out
        );
    }
}

#[test]
fn what_a_module_writes_to_the_log_is_told_once() {
    let bench = Bench::new(RECORDING);
    let module = bench.directory().join("talks.wasm");
    std::fs::write(&module, hostile::logs(2, "it talks", 1)).unwrap();
    let module = module.to_str().unwrap();
    let arguments = [
        "explain",
        "192.0.2.10",
        "--batch",
        "LIVE",
        "--module",
        module,
    ];
    let ran = bench.run(&arguments);
    assert_eq!(ran.outcome, Outcome::Done, "{}", ran.out);
    let towards = ran.out.matches(" towards ").count();
    assert!(towards > 0, "{}", ran.out);
    let told = ran.out.matches("talks.wasm: log info: it talks\n").count();
    assert_eq!(told, towards, "{}", ran.out);
}
