//! Modules that keep their promises, and how it is told of one that does not.

use serde_json::Value;

use super::*;
use crate::cases::Received;
use crate::cli::policy::fixture::{Bench, RECORDING};
use crate::cli::testing::printed;
use crate::policy::{PeerKind, SegmentKind};

#[test]
fn the_built_in_policy_is_conformant() {
    let bench = Bench::new(RECORDING);
    let ran = bench.run(&["conformance", "builtin:default"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    insta::assert_snapshot!(ran.out);
    let recorded = bench.run(&[
        "conformance",
        "builtin:default",
        "--batch",
        "LIVE",
        "--seed",
        "7",
        "-o",
        "json",
    ]);
    let report: Value = serde_json::from_str(&recorded.out).unwrap();
    assert_eq!(report["conformant"], true);
    assert_eq!(
        (&report["batches"], &report["seed"]),
        (&2.into(), &7.into())
    );
}

#[test]
fn a_file_that_is_no_module_fails_the_first_check() {
    let ran = Bench::new("").run(&["conformance", "LIVE"]);
    assert_eq!(ran.outcome, Outcome::Failed);
    assert!(
        ran.out.starts_with(
            "FAILED  it loads, and imports nothing but the log\n        module `dir/live.toml` is not"
        ),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("\nnot run it takes the settings\n"),
        "{}",
        ran.out
    );
}

#[test]
fn settings_that_are_refused_fail_their_check() {
    let bench = Bench::new("colour = 'red'");
    let ran = bench.run(&["conformance", "builtin:default", "--settings", "LIVE"]);
    assert_eq!(ran.outcome, Outcome::Failed);
    assert!(
        ran.out.contains("FAILED  it takes the settings\n"),
        "{}",
        ran.out
    );
}

#[test]
fn the_checks_before_a_broken_promise_are_told_as_kept() {
    let report = Report {
        module: "m.wasm".to_owned(),
        conformant: false,
        seed: 1,
        batches: 1,
        candidates: 2,
        learned_routes: 0,
        checks: checks(Some(Broken {
            promise: Promise::Same(Trial::Split),
            problem: "towards tor: it differs".to_owned(),
        })),
    };
    insta::assert_snapshot!(printed(|out| print(&report, out)));
}

#[test]
fn the_situation_has_learned_routes_of_either_family_and_kind_of_peer() {
    let file = CaseFile::from_document("it", situation::document()).unwrap();
    let kinds: Vec<_> = file
        .learned
        .iter()
        .map(|scene| scene.peer_group.kind)
        .collect();
    assert_eq!(kinds, [PeerKind::Ebgp, PeerKind::Ibgp]);
    for scene in &file.learned {
        for family in crate::types::Family::ALL {
            let routes = scene.routes.iter();
            let of_family = routes.filter(|route| route.prefix.family() == family);
            assert!(of_family.count() > 50, "{} of {family}", scene.name);
        }
        let sets = |route: &Received| {
            let mut segments = route.path.as_path.iter();
            segments.any(|segment| segment.kind == SegmentKind::Set)
        };
        assert!(scene.routes.iter().any(sets), "{}", scene.name);
    }
}

#[test]
fn the_situation_has_a_bit_of_everything() {
    let file = CaseFile::from_document("it", situation::document()).unwrap();
    let candidates = &file.scenes[0].candidates;
    assert!(candidates.len() > 200, "{}", candidates.len());
    // A node has pod CIDRs or blocks.
    let kinds = crate::cases::RouteKind::ALL.into_iter();
    for route in kinds.filter(|kind| *kind != crate::cases::RouteKind::IpamBlock) {
        for family in crate::types::Family::ALL {
            assert!(
                candidates.iter().any(|candidate| {
                    crate::cases::RouteKind::from(&candidate.key.origin) == route
                        && candidate.key.prefix.family() == family
                }),
                "no {route:?} of {family}"
            );
        }
    }
}
