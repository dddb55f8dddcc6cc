//! Why a chain decides so about a part of a recording.

use serde_json::Value;

use crate::cli::Outcome;
use crate::cli::policy::fixture::{Bench, RECORDING};

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
