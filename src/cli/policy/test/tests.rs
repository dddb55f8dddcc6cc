//! Running case files: what passes, what fails and how it is told, and what is written.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::Outcome;
use crate::cli::testing::{Ran, run};
use crate::wasm::tests::hostile;

const SITUATION: &str = r#"
[advertise]
service-load-balancer-cidrs = ["192.0.2.10/32", "2001:db8::10/128"]
[node]
pod-cidrs = ["10.244.1.0/24"]
[[services]]
name = "shop/web"
type = "LoadBalancer"
external-traffic-policy = "Local"
load-balancer-ips = ["192.0.2.10", "2001:db8::10"]
endpoints-here = { ipv4 = { ready = 1 } }
"#;

/// A directory with one case file.
struct Cases(TempDir);

impl Cases {
    fn new(text: &str) -> Self {
        let cases = Self(TempDir::new().unwrap());
        cases.write(text);
        cases
    }

    fn write(&self, text: &str) {
        std::fs::write(self.0.path().join("local.toml"), text).unwrap();
    }

    fn snapshot(&self) -> PathBuf {
        self.0.path().join("local.snap")
    }

    fn test(&self, more: &[&str]) -> Ran {
        let directory = self.0.path().to_str().unwrap();
        let arguments = ["policy", "test", directory, "--module", "builtin:default"];
        let ran = run("/nonexistent".into(), &[&arguments[..], more].concat());
        let short = |text: String| text.replace(directory, "cases");
        Ran {
            outcome: ran.outcome,
            out: short(ran.out),
            err: short(ran.err),
        }
    }
}

fn expecting(expect: &str) -> String {
    format!("{SITUATION}[[cases]]\nname = \"a case\"\nexpect = [{expect}]\n")
}

#[test]
fn a_decision_as_expected_passes() {
    let cases = Cases::new(&expecting(
        r#"{ prefix = "192.0.2.10/32", verdict = "accept", reason = "1 usable IPv4 endpoint on this node" },
           { prefix = "2001:db8::10/128", verdict = "reject" }"#,
    ));
    let ran = cases.test(&[]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    insta::assert_snapshot!(ran.out);
    assert!(!cases.snapshot().exists());
}

#[test]
fn a_decision_that_differs_fails_with_file_and_line() {
    let cases = Cases::new(&expecting(
        r#"
        { prefix = "192.0.2.10/32", verdict = "reject" },
        { prefix = "2001:db8::10/128", verdict = "reject", reason = "because" },
        { prefix = "10.244.1.0/24", verdict = "accept", attributes = { med = 10 } },
        "#,
    ));
    let ran = cases.test(&[]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Failed, ""));
    insta::assert_snapshot!(ran.out);
}

#[test]
fn what_failed_is_told_as_json_and_as_junit() {
    let cases = Cases::new(&expecting(
        r#"{ prefix = "192.0.2.10/32", verdict = "reject", reason = "<none> & \"such\"" }"#,
    ));
    let junit = cases.0.path().join("junit.xml");
    let ran = cases.test(&["-o", "json", "--junit", junit.to_str().unwrap()]);
    assert_eq!(ran.outcome, Outcome::Failed);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&report["passed"], &report["failed"], &report["updated"]),
        (&json!(0), &json!(1), &json!(0))
    );
    assert_eq!(
        report["files"][0]["cases"][0]["problems"],
        json!([{
            "kind": "decision",
            "line": 14,
            "candidate": "192.0.2.10/32, load-balancer IP of shop/web",
            "expected": "reject, because: <none> & \"such\"",
            "got": "accept, because: 1 usable IPv4 endpoint on this node",
        }])
    );
    let asked = &report["coverage"]["asked"];
    assert_eq!(
        asked[0],
        json!({"route": "pod-cidr", "family": "ipv4-unicast", "accept": 1, "reject": 0, "abstain": 0})
    );
    let directory = cases.0.path().to_str().unwrap();
    let xml = std::fs::read_to_string(junit).unwrap();
    insta::assert_snapshot!(xml.replace(directory, "cases"));
}

#[test]
fn a_case_that_states_nothing_is_compared_with_its_snapshot() {
    let cases = Cases::new(SITUATION);
    let without = cases.test(&[]);
    assert_eq!(without.outcome, Outcome::Failed);
    assert!(without.out.contains("has no snapshot"), "{}", without.out);
    assert!(!cases.snapshot().exists());

    let update = cases.test(&["--update"]);
    assert_eq!(update.outcome, Outcome::Done, "{}", update.out);
    assert!(
        update.out.contains("updated towards peer\n"),
        "{}",
        update.out
    );
    let snapshot = std::fs::read_to_string(cases.snapshot()).unwrap();
    insta::assert_snapshot!(snapshot);
    assert_eq!(cases.test(&[]).outcome, Outcome::Done);

    let more = SITUATION.replace("ready = 1", "ready = 2");
    let excluded = more.replace("10.244.1.0/24", "10.244.2.0/24");
    cases.write(&excluded);
    let differs = cases.test(&[]);
    assert_eq!(differs.outcome, Outcome::Failed);
    insta::assert_snapshot!(differs.out);
    let kept = std::fs::read_to_string(cases.snapshot()).unwrap();
    assert_eq!(kept, snapshot);
    assert_eq!(cases.test(&["--update"]).outcome, Outcome::Done);
    assert_eq!(cases.test(&[]).outcome, Outcome::Done);
}

#[test]
fn a_snapshot_of_a_case_that_is_gone_fails_until_it_is_updated() {
    let cases = Cases::new(SITUATION);
    cases.test(&["--update"]);
    cases.write(&expecting(
        r#"{ prefix = "192.0.2.10/32", verdict = "accept" }"#,
    ));
    let ran = cases.test(&[]);
    assert_eq!(ran.outcome, Outcome::Failed);
    assert!(
        ran.out
            .contains("the snapshot has a case that the file has not: towards peer"),
        "{}",
        ran.out
    );
    assert_eq!(cases.test(&["--update"]).outcome, Outcome::Done);
    assert!(!cases.snapshot().exists());
}

#[test]
fn refused_settings_are_expected_in_the_modules_words() {
    let refused = |words: &str| {
        Cases::new(&format!(
            "[[cases]]\nname = 'a'\nsettings = {{ colour = 'red' }}\nrefused = '{words}'"
        ))
        .test(&[])
    };
    let ran = refused("unknown field `colour`, expected `exclude-label`");
    assert_eq!(ran.outcome, Outcome::Done, "{}", ran.out);
    let ran = refused("no colours");
    assert_eq!(ran.outcome, Outcome::Failed);
    let got = "saying: no colours; it says: unknown field `colour`";
    assert!(ran.out.contains(got), "{}", ran.out);
    let unexpected = Cases::new("[settings]\ncolour = 'red'\n[[cases]]\nname = 'a'").test(&[]);
    assert_eq!(unexpected.outcome, Outcome::Failed);
    let got = "cases/local.toml:3: settings of module `builtin:default`: unknown field";
    assert!(unexpected.out.contains(got), "{}", unexpected.out);
}

#[test]
fn settings_of_the_command_line_are_for_cases_that_state_none() {
    let cases = Cases::new("[[cases]]\nname = 'own'\nsettings = {}\n[[cases]]\nname = 'other'");
    assert_eq!(cases.test(&["--update"]).outcome, Outcome::Done);
    let file = cases.0.path().join("settings.json");
    std::fs::write(&file, r#"{"colour": "red"}"#).unwrap();
    let ran = cases.test(&["--settings", file.to_str().unwrap()]);
    assert_eq!(ran.outcome, Outcome::Failed);
    assert!(
        ran.out.contains("  ok      own\n  FAILED  other\n"),
        "{}",
        ran.out
    );
}

#[test]
fn reasons_that_no_case_saw_are_told() {
    let cases = Cases::new(&format!(
        "reasons = ['pod CIDR of this node', '* usable * on this node', 'covered by *']\n{}",
        expecting(r#"{ prefix = "10.244.1.0/24", verdict = "accept" }"#)
    ));
    let ran = cases.test(&["-o", "json"]);
    assert_eq!(ran.outcome, Outcome::Done);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let coverage = &report["coverage"];
    assert_eq!(coverage["reasons-never-seen"], json!(["covered by *"]));
    let undeclared = coverage["reasons-not-declared"].as_array().unwrap();
    assert_eq!(undeclared.len(), 1, "{undeclared:?}");
}

#[test]
fn every_file_that_is_not_valid_is_told_and_nothing_runs() {
    let cases = Cases::new("[[cases]]\nname = 'a'\npeer-group = 'tor'");
    std::fs::write(cases.0.path().join("other.toml"), "colour = 1").unwrap();
    let ran = cases.test(&[]);
    assert_eq!((ran.outcome, ran.out.as_str()), (Outcome::Failed, ""));
    insta::assert_snapshot!(ran.err);
}

#[test]
fn a_directory_without_case_files_fails() {
    let empty = TempDir::new().unwrap();
    let directory = empty.path().to_str().unwrap();
    let arguments = ["policy", "test", directory, "--module", "builtin:default"];
    let ran = run("/nonexistent".into(), &arguments);
    assert_eq!(ran.outcome, Outcome::Failed);
    assert!(ran.err.contains("there is no case file"), "{}", ran.err);
}

#[test]
fn what_a_module_writes_to_the_log_is_printed_with_the_case() {
    let cases = Cases::new(
        "[node]\npod-cidrs = ['10.244.1.0/24']\n[[cases]]\nname = 'a'\n\
         expect = [{ prefix = '10.244.1.0/24', verdict = 'abstain' }]",
    );
    let module = cases.0.path().join("talks.wasm");
    std::fs::write(&module, hostile::logs(1, "it\x1b[2J talks", 66)).unwrap();
    let arguments = [
        "policy",
        "test",
        cases.0.path().to_str().unwrap(),
        "--module",
        module.to_str().unwrap(),
    ];
    let ran = run("/nonexistent".into(), &arguments);
    assert_eq!(ran.outcome, Outcome::Done, "{}", ran.out);
    let line = "          log warn: it\\u{1b}[2J talks\n";
    let case = format!(
        "  ok      a\n{}          log warn: 2 more lines of this call were dropped\n\n",
        line.repeat(64)
    );
    assert!(ran.out.contains(&case), "{}", ran.out);

    let ran = run(
        "/nonexistent".into(),
        &[&arguments[..], &["-o", "json"]].concat(),
    );
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let first = json!({
        "module": module.to_str().unwrap(),
        "level": "warn",
        "text": "it\\u{1b}[2J talks",
    });
    assert_eq!(report["files"][0]["cases"][0]["log"][0], first);
}
