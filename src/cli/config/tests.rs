//! What `rutter config check` prints and how it ends.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::testing::{Ran, printed, run};
use super::*;

const TWO_ERRORS: &str = "[bgp]\nasn = 0\nhold-tme = \"90s\"\n";

/// Checks a file of this text, and leaves its directory's own name out of the answer.
fn checked(text: &str, arguments: &[&str]) -> Ran {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("rutter.toml");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let ran = run(
        "/nonexistent".into(),
        &[&["config", "check", file], arguments].concat(),
    );
    Ran {
        out: ran.out.replace(file, "rutter.toml"),
        ..ran
    }
}

#[test]
fn a_valid_file_is_said_to_be_valid() {
    let ran = checked("[bgp]\nasn = 64512\n", &[]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    assert_eq!(ran.out, "rutter.toml is valid\n");
}

#[test]
fn every_error_is_printed_with_its_place() {
    let ran = checked(TWO_ERRORS, &[]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Failed, ""));
    // What the errors say is the configuration's to test.
    let lines: Vec<&str> = ran.out.lines().collect();
    let [first, second, verdict] = lines[..] else {
        panic!("two errors and a verdict: {}", ran.out);
    };
    assert!(first.starts_with("rutter.toml:2:7: bgp.asn "), "{first}");
    assert!(
        second.starts_with("rutter.toml:3:1: bgp.hold-tme "),
        "{second}"
    );
    assert_eq!(verdict, "rutter.toml is not valid: 2 errors");
}

#[test]
fn an_empty_file_is_refused_as_the_agent_does() {
    let ran = checked("\n", &[]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Failed, ""));
    assert!(
        ran.out.starts_with("rutter.toml: the file is empty"),
        "{}",
        ran.out
    );
}

#[test]
fn json_lists_the_errors() {
    let ran = checked(TWO_ERRORS, &["-o", "json"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Failed, ""));
    let errors = Config::parse("rutter.toml", TWO_ERRORS, &Overrides::default()).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        serde_json::from_str::<Value>(&ran.out).unwrap(),
        json!({"file": "rutter.toml", "valid": false, "errors": errors, "warnings": []})
    );
    let valid = checked("# defaults\n", &["-o", "json"]).out;
    assert_eq!(
        serde_json::from_str::<Value>(&valid).unwrap(),
        json!({"file": "rutter.toml", "valid": true, "errors": [], "warnings": []})
    );
}

#[test]
fn overrides_are_checked_too_and_warnings_are_no_errors() {
    let both = Overrides {
        rutter_advertise_cluster_ips: Some("172.16.0.0/16".to_owned()),
        calico_advertise_cluster_ips: Some("10.96.0.0/12".to_owned()),
    };
    let report = check("rutter.toml", "", &both);
    let text = printed(|out| print(&report, out));
    assert!(
        text.starts_with("warning: RUTTER_ADVERTISE_CLUSTER_IPS "),
        "{text}"
    );
    assert!(text.ends_with("\nrutter.toml is valid\n"), "{text}");

    let broken = Overrides {
        rutter_advertise_cluster_ips: Some("172.16.0.0/33".to_owned()),
        ..Overrides::default()
    };
    assert!(!check("rutter.toml", "", &broken).valid);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let ran = run(
        "/nonexistent".into(),
        &["config", "check", "/nonexistent/rutter.toml"],
    );
    assert_eq!((ran.outcome, ran.out.as_str()), (Outcome::Failed, ""));
    assert_eq!(
        ran.err,
        "error: cannot read the configuration /nonexistent/rutter.toml: \
         No such file or directory (os error 2)\n"
    );
}

#[test]
fn the_configuration_that_is_deployed_is_valid_also_with_its_examples_uncommented() {
    #[derive(Deserialize)]
    struct ConfigMap {
        data: std::collections::BTreeMap<String, String>,
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/configmap.yaml");
    let yaml = std::fs::read_to_string(file).unwrap();
    let ConfigMap { data } = serde_saphyr::from_str(&yaml).unwrap();
    let text = &data["rutter.toml"];
    let parse = |text: &str| Config::parse("rutter.toml", text, &Overrides::default()).unwrap();
    assert!(
        parse(text).peers.is_empty(),
        "as it stands it announces nothing"
    );
    assert_eq!(parse(text).warnings, [""; 0]);

    // Examples, and nothing else, have a bracket or `key = value` behind the mark.
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(example) if example.starts_with('[') || example.contains(" = ") => example,
        Some(_) | None => line,
    });
    let uncommented: Vec<&str> = lines.collect();
    assert_eq!(parse(&uncommented.join("\n")).peers.len(), 1);
}
