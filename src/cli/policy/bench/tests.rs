//! That `rutter policy bench` measures what it says; how much, is the machine's affair.

use std::time::Duration;

use serde_json::Value;

use super::{ROUNDS_MAX, median};
use crate::cli::Outcome;
use crate::cli::testing::{Ran, run};

fn bench(arguments: &[&str]) -> Ran {
    run(
        "/nonexistent".into(),
        &[&["policy", "bench"], arguments].concat(),
    )
}

#[test]
fn every_cost_is_a_figure_above_nothing() {
    let ran = bench(&["builtin:default", "--candidates", "3", "-o", "json"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&report["name"], &report["candidates"]),
        (&"default".into(), &3.into())
    );
    for cost in [
        "module-bytes",
        "code-bytes",
        "load-ms",
        "load-cached-ms",
        "one-candidate-us",
        "candidate-us",
        "candidate-with-reason-us",
        "call-memory-bytes",
    ] {
        assert!(
            report[cost].as_f64().unwrap() > 0.0,
            "{cost}: {}",
            report[cost]
        );
    }
}

#[test]
fn figures_have_their_units() {
    let ran = bench(&["builtin:default", "--candidates", "1"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    let mut shape = ran
        .out
        .replace(|c: char| c.is_ascii_digit() || c == '.', "");
    shape.insert(0, '\n');
    assert_eq!(
        shape,
        "
Policy:                default\u{20}
Asked about:           announced routes
Module:                 bytes
Compiled code:          bytes
Load, compiling:        ms
Load, compiled before:  ms
One of them:            µs
Of :                   µs each,  with reasons
Memory of a call:       bytes
"
    );
}

#[test]
fn settings_that_are_refused_are_the_error() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("settings.toml");
    std::fs::write(&file, "colour = 1").unwrap();
    let ran = bench(&["builtin:default", "--settings", file.to_str().unwrap()]);
    assert_eq!((ran.outcome, ran.out.as_str()), (Outcome::Failed, ""));
    assert!(ran.err.contains("unknown field `colour`"), "{}", ran.err);
}

#[test]
fn learned_routes_are_measured_of_modules_that_decide_on_them() {
    let ran = bench(&["builtin:default", "--learned"]);
    assert_eq!((ran.outcome, ran.out.as_str()), (Outcome::Failed, ""));
    assert_eq!(
        ran.err,
        "error: default decides on announced routes only: leave out --learned\n"
    );
}

#[test]
fn the_routes_that_are_made_up_are_all_different() {
    let routes = super::learned::routes(1 << 10);
    let prefixes: std::collections::BTreeSet<_> = routes.iter().map(|r| r.prefix).collect();
    assert_eq!(prefixes.len(), 1 << 10);
    let last = super::learned::routes(1_000_000).pop().unwrap().prefix;
    assert_eq!(last.to_string(), "10.244.35.240/28");
}

#[test]
fn the_median_is_of_many_rounds_and_a_failure_ends_them() {
    let mut rounds = 0;
    let time = median(|| {
        rounds += 1;
        Ok(())
    });
    assert!(time.unwrap() < Duration::from_secs(1));
    assert!((2..=ROUNDS_MAX).contains(&rounds), "{rounds}");
    let error = median(|| anyhow::bail!("no")).unwrap_err();
    assert_eq!(error.to_string(), "no");
}
