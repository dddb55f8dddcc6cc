//! What a chain, or a module, decides about a recording.

use serde_json::{Value, json};

use crate::cli::Outcome;
use crate::cli::policy::fixture::{Bench, RECORDING};

#[test]
fn the_recorded_chain_decides_for_each_group() {
    let ran = Bench::new(RECORDING).run(&["replay", "LIVE"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    insta::assert_snapshot!(ran.out);
}

#[test]
fn json_has_every_step() {
    let ran = Bench::new(RECORDING).run(&["replay", "LIVE", "-o", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["policies"], json!(["default", "again"]));
    let group = &report["groups"][0];
    assert_eq!(group["peer-group"], "reflectors");
    assert_eq!(group["kind"], "ibgp");
    let route = &group["routes"][0];
    assert_eq!(route["prefix"], "10.96.0.0/12");
    assert_eq!(route["decision"]["accepted"], true);
    let verdicts: Vec<&Value> = route["decision"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["verdict"])
        .collect();
    assert_eq!(verdicts, ["accept", "not asked"]);
}

#[test]
fn a_module_decides_alone_or_in_the_place_of_another() {
    let bench = Bench::new(RECORDING);
    let names = |arguments: &[&str]| {
        let json = [&["replay", "LIVE", "-o", "json"], arguments].concat();
        let ran = bench.run(&json);
        assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        report["policies"].clone()
    };
    let module = ["--module", "builtin:default"];
    assert_eq!(names(&module), json!(["default"]));
    let inside = [&module[..], &["--as", "again"]].concat();
    assert_eq!(names(&inside), json!(["default", "again"]));
}

#[test]
fn what_cannot_be_replayed_is_told() {
    let bench = Bench::new(RECORDING);
    let settings = bench.directory().join("settings.toml");
    std::fs::write(&settings, "colour = 1").unwrap();
    let settings = settings.to_str().unwrap();
    let with_cases = Bench::new("[[cases]]\nname = 'a'");
    let without_policies = Bench::new("asn = 1");
    let elsewhere = Bench::new("[[policies]]\nname = 'mine'\nmodule = '/nonexistent/mine.wasm'\n");
    let module = ["--module", "builtin:default"];
    let wrong_place = [&["replay", "LIVE"], &module[..], &["--as", "mine"]].concat();
    let bad_settings = [&["replay", "LIVE"], &module[..], &["--settings", settings]].concat();
    let words: Vec<String> = [
        with_cases.run(&["replay", "LIVE"]),
        without_policies.run(&["replay", "LIVE"]),
        elsewhere.run(&["replay", "LIVE"]),
        bench.run(&wrong_place),
        bench.run(&bad_settings),
        bench.run(&["replay", "LIVE", "--settings", settings]),
    ]
    .into_iter()
    .map(|ran| {
        assert_eq!((ran.outcome, ran.out.as_str()), (Outcome::Failed, ""));
        ran.err
    })
    .collect();
    insta::assert_snapshot!(words.concat());
}
