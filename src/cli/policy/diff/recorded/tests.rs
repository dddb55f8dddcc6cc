//! What differs between two modules, and how it is told.

use clap::Parser as _;
use serde_json::Value;

use super::*;
use crate::api::StepReport;
use crate::cli::policy::fixture::{Bench, RECORDING};
use crate::cli::testing::{prefix, printed};
use crate::types::RouteAttributes;
use crate::wasm::builtin_bytes;

fn decision(verdict: &str, med: Option<u32>) -> DecisionReport {
    DecisionReport {
        accepted: verdict == "accept",
        attributes: RouteAttributes {
            med,
            ..RouteAttributes::default()
        },
        steps: vec![StepReport {
            policy: "mine".to_owned(),
            verdict: verdict.to_owned(),
            installation: None,
            reason: Some(format!("{verdict} it")),
            kept: false,
        }],
    }
}

#[test]
fn modules_that_decide_alike_do_not_differ() {
    let bench = Bench::new(RECORDING);
    let copy = bench.directory().join("copy.wasm");
    std::fs::write(&copy, builtin_bytes()).unwrap();
    let copy = copy.to_str().unwrap();
    let arguments = ["diff", copy, "builtin:default", "--batch", "LIVE"];
    let ran = bench.run(&arguments);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    insta::assert_snapshot!(ran.out);
    let in_place = [&arguments[..], &["--as", "again", "-o", "json"]].concat();
    let report: Value = serde_json::from_str(&bench.run(&in_place).out).unwrap();
    assert_eq!((&report["added"], &report["same"]), (&0.into(), &8.into()));
}

#[test]
fn added_withdrawn_and_changed_routes_are_told_with_their_reasons() {
    let mut report = Report::default();
    let cases = [
        ("10.0.0.0/8", ("accept", None), ("accept", None)),
        ("10.1.0.0/16", ("accept", Some(10)), ("accept", Some(20))),
        ("10.2.0.0/16", ("reject", None), ("accept", Some(1))),
        ("10.3.0.0/16", ("accept", None), ("reject", None)),
        ("10.4.0.0/16", ("reject", None), ("reject", None)),
    ];
    let routes = |new: bool| -> Routes {
        cases
            .into_iter()
            .map(|(of, before, after)| {
                let (verdict, med) = if new { after } else { before };
                (prefix(of), decision(verdict, med))
            })
            .collect()
    };
    add(&mut report, "towards tor", routes(false), routes(true));
    add(&mut report, "towards mesh", routes(false), routes(false));
    insta::assert_snapshot!(printed(|out| print(&report, out)));
    let kinds: Vec<DifferenceKind> = report.groups[0].routes.iter().map(|d| d.kind).collect();
    assert_eq!(
        kinds,
        [
            DifferenceKind::Changed,
            DifferenceKind::Added,
            DifferenceKind::Withdrawn
        ]
    );
}

#[test]
fn a_running_agent_and_a_recording_are_not_compared_at_once() {
    for arguments in [
        &["diff"][..],
        &["diff", "a.wasm", "b.wasm"],
        &["diff", "a.wasm", "--batch", "live.toml"],
        &["diff", "--live", "a.wasm"],
        &["diff", "--live", "--batch", "live.toml"],
    ] {
        let arguments = [&["rutter", "policy"], arguments].concat();
        assert!(
            crate::cli::Cli::try_parse_from(&arguments).is_err(),
            "{arguments:?}"
        );
    }
}

fn add(report: &mut Report, name: &str, old: Routes, new: Routes) {
    let routes = report.differences(old, new);
    report.groups.push(GroupReport {
        name: name.to_owned(),
        routes,
    });
}
