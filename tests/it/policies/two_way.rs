//! A module that decides both ways, compiled and on the workbench: `calico-filter`, and some
//! assembled from text. Every command serves either kind of route, or the one that is chosen;
//! those that run a recording are in [`recorded`].

mod recorded;

use std::fs;

use rutter::wasm::{Engine, Limits, Module, Purpose, WasmImportPolicy};
use serde_json::{Value, json};

use super::INSTRUCTIONS_MAX;
use super::bench::Bench;
use crate::support::guests;
use crate::support::hostile::Way;
use crate::support::verdicts::{self, Mind};

/// A recording whose two chains have `calico-filter` with the same settings.
const RECORDING: &str = r#"
asn = 64512

[node]
name = "worker-1"
pod-cidrs = ["10.244.1.0/24", "10.244.2.0/24"]

[[peer-groups]]
name = "tors"
asn = 64600

[[policies]]
name = "default"
module = "builtin:default"

[[policies]]
name = "calico"
module = "DIR/calico-filter.wasm"

[[policies.settings.exportV4]]
action = "Reject"
cidr = "10.244.2.0/24"
matchOperator = "Equal"

[[policies.settings.importV4]]
action = "Accept"
cidr = "10.0.0.0/8"
matchOperator = "In"

[[import-policies]]
name = "calico"
module = "DIR/calico-filter.wasm"

[[import-policies.settings.exportV4]]
action = "Reject"
cidr = "10.244.2.0/24"
matchOperator = "Equal"

[[import-policies.settings.importV4]]
action = "Accept"
cidr = "10.0.0.0/8"
matchOperator = "In"

[[peers]]
name = "tor-a"
address = "192.0.2.1"
peer-group = "tors"

[[learned]]
peer = "tor-a"
prefix = "0.0.0.0/0"

[[learned]]
peer = "tor-a"
prefix = "10.244.1.0/24"
"#;

/// Other rules for both directions.
const OTHER: &str = r#"
exportV4 = [{ action = "Reject", cidr = "10.244.1.0/24", matchOperator = "Equal" }]

[[importV4]]
action = "Accept"
cidr = "0.0.0.0/0"
matchOperator = "Equal"
operations = [{ addCommunity = { value = "64512:7" } }]
"#;

const MODULE: &str = "calico-filter.wasm";

/// With the compiled filter, the recording, and the other rules as `other.toml`.
fn bench() -> Bench {
    let modules = [("calico-filter", guests::compiled("calico-filter"))];
    let bench = Bench::new(&modules, RECORDING);
    bench.write("other.toml", OTHER);
    bench
}

/// The whole `spec` of the README's example is taken under the key of learned routes, too.
#[test]
fn the_example_of_the_readme_is_valid_for_learned_routes() {
    let engine = Engine::metered(INSTRUCTIONS_MAX).unwrap();
    let bytes = guests::compiled("calico-filter");
    let module = Module::from_bytes(&engine, "calico-filter", &bytes).unwrap();
    assert_eq!(module.purpose(), Purpose::Both);
    let readme = include_str!("../../../policies/calico-filter/README.md");
    let (_, example) = readme.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let example: Value = toml::from_str(example).unwrap();
    assert_eq!(example["import-policy-default"], "accept");
    let link = &example["import-policies"][0];
    assert_eq!(link["name"], "calico-filter");
    for settings in [&link["settings"], &example["policies"][0]["settings"]] {
        let policy = WasmImportPolicy::new(&module, settings, Limits::DEFAULT);
        assert!(policy.is_ok(), "{policy:?}");
    }
}

#[test]
fn inspect_tells_that_a_module_decides_both_ways() {
    let bench = bench();
    let report = bench.json(&["inspect", MODULE]);
    let world = json!({
        "name": "two-way-policy",
        "decides-on": "announced and learned routes",
    });
    assert_eq!(report["world"], world);
    let interfaces = report["interfaces"].as_array().unwrap().iter();
    let mut names: Vec<&str> = interfaces.map(|i| i["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["announce", "learn", "module"]);
    assert_eq!(report["imports"], json!([]));
    let text = bench.out(&["inspect", MODULE]);
    let world = "World:    two-way-policy: decides on announced and learned routes\n";
    assert!(text.contains(world), "{text}");
}

#[test]
fn validate_checks_the_settings_of_both_directions() {
    let bench = bench();
    let validate = ["validate", MODULE, "--settings"];
    assert_eq!(
        bench.out(&[&validate[..], &["other.toml"]].concat()),
        "calico-filter 0.1.0 is valid with these settings; it decides on announced and learned \
         routes\n"
    );
    for (right, wrong) in [("exportV4", "importV4"), ("importV4", "exportV4")] {
        let rules = format!("[[{right}]]\naction = 'Reject'\n[[{wrong}]]\naction = 'Drop'\n");
        bench.write("wrong.toml", &rules);
        let ran = bench.run(&[&validate[..], &["wrong.toml"]].concat());
        assert!(!ran.success, "{ran:#?}");
        assert_eq!(
            ran.out,
            format!(
                "not valid: settings of module `{MODULE}`: {wrong}[0].action: unknown variant \
                 `Drop`, expected `Accept` or `Reject`\n"
            )
        );
    }
}

/// Cases about either kind of route, in one file.
const CASES: &str = r#"
settings = { exportV4 = [{ action = "Reject" }], importV4 = [{ action = "Accept" }] }

[node]
pod-cidrs = ["10.244.1.0/24"]

[[services]]
name = "shop/web"

[[peer-groups]]
name = "tors"
asn = 64600

[[learned]]
prefix = "10.20.0.0/16"
med = 5
"#;

#[test]
fn one_file_has_cases_about_announced_and_learned_routes() {
    let bench = bench();
    let cases = r#"
[[cases]]
name = "out"
peer-group = "tors"
expect = [{ prefix = "10.244.1.0/24", verdict = "reject", reason = "rejected by exportV4[0]" }]

[[cases]]
name = "in"
peer = "peer"
expect = [{ prefix = "10.20.0.0/16", verdict = "accept", reason = "accepted by importV4[0]" }]
"#;
    bench.write("a.toml", &format!("{CASES}{cases}"));
    let test = ["test", "a.toml", "--module", MODULE];
    let out = bench.out(&test);
    let told = "a.toml\n  ok      out\n  ok      in\n\ndecisions: 1 accept, 1 reject, 0 abstain\n";
    assert!(out.starts_with(told), "{out}");
    // What either kind of route has that no case asked about.
    let never = "never asked about: pod-cidr IPv6, ";
    assert!(
        out.contains(never) && out.contains(", learned IPv6\n"),
        "{out}"
    );

    let swapped = cases
        .replace(
            "\"reject\", reason = \"rejected by",
            "\"abstain\", reason = \"made by",
        )
        .replace("accepted by", "taken by");
    bench.write("a.toml", &format!("{CASES}{swapped}"));
    let ran = bench.run(&test);
    assert!(!ran.success, "{ran:#?}");
    let told = "\
a.toml
  FAILED  out
          a.toml:21: 10.244.1.0/24, pod CIDR
            expected abstain, because: made by exportV4[0]
            got reject, because: rejected by exportV4[0]
  FAILED  in
          a.toml:26: 10.20.0.0/16
            expected accept, because: taken by importV4[0]
            got accept, because: accepted by importV4[0]
";
    assert!(ran.out.starts_with(told), "{}", ran.out);
}

#[test]
fn a_case_that_does_not_say_which_kind_of_route_it_is_about_is_an_error() {
    let bench = bench();
    bench.write("a.toml", &format!("{CASES}\n[[cases]]\nname = 'a'\n"));
    assert_eq!(
        bench.err(&["test", "a.toml", "--module", MODULE]),
        "error: a.toml:18: case \"a\": the file has Services and learned routes: name a \
         peer-group to ask about routes towards it, or a peer to ask about routes learned from it\n"
    );
}

#[test]
fn a_module_for_one_direction_is_not_asked_the_cases_of_a_two_way_one() {
    let bench = bench();
    let cases = "\n[[cases]]\nname = 'in'\npeer = 'peer'\n";
    bench.write("a.toml", &format!("{CASES}{cases}"));
    assert_eq!(
        bench.err(&["test", "a.toml", "--module", "builtin:default"]),
        "error: a.toml:18: case \"in\": it asks about learned routes, and default decides on \
         announced routes; give it [node], [advertise] and [[services]]\n"
    );
}

#[test]
fn a_recording_becomes_a_test_of_both_directions() {
    let bench = bench();
    let test = ["test", "live.toml", "--module", MODULE];
    let test = [&test[..], &["--settings", "other.toml"]].concat();
    assert!(!bench.run(&test).success);
    bench.out(&[&test[..], &["--update"]].concat());
    bench.out(&test);
    let snapshot = fs::read_to_string(bench.path("live.snap")).unwrap();
    assert!(
        snapshot.ends_with(
            "
[learned from tor-a]
0.0.0.0/0: accept with next hop 192.0.2.1, communities 64512:7, because: accepted by importV4[0]
10.244.1.0/24: abstain

[towards tors]
10.244.1.0/24, pod CIDR: reject, because: rejected by exportV4[0]
10.244.2.0/24, pod CIDR: abstain
"
        ),
        "{snapshot}"
    );
}

#[test]
fn conformance_asks_by_both_interfaces() {
    let bench = bench();
    let cases = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/policies/calico-filter/cases/calico-filter.toml"
    );
    let report = bench.json(&["conformance", MODULE, "--batch", cases]);
    assert_eq!(report["conformant"], true, "{report}");
    for kind in ["candidates", "learned-routes"] {
        assert!(report[kind].as_u64().unwrap() > 20, "{report}");
    }
    let out = bench.out(&["conformance", MODULE, "--settings", "other.toml"]);
    let asked = "conformant, asked about 426 candidates and 480 learned routes in 4 batches";
    assert!(out.contains(asked), "{out}");
}

#[test]
fn a_module_that_keeps_its_promises_one_way_only_is_not_conformant() {
    let modules = [
        ("in", verdicts::traps_on(Way::Learn)),
        ("out", verdicts::traps_on(Way::Announce)),
        ("well", verdicts::two_ways(Mind::Abstains, Mind::Rejects)),
    ];
    let bench = Bench::new(&modules, RECORDING);
    bench.out(&["conformance", "well.wasm"]);
    for (module, question) in [
        ("in.wasm", "learned from tor-a"),
        ("out.wasm", "towards tor"),
    ] {
        let ran = bench.run(&["conformance", module]);
        assert!(!ran.success, "{ran:#?}");
        let words =
            format!("FAILED  its answers are possible\n        {question}: the module trapped: ");
        assert!(ran.out.contains(&words), "{}", ran.out);
    }
}

#[test]
fn bench_measures_announced_routes_or_learned_ones_as_it_is_told() {
    let bench = bench();
    let measure = ["bench", MODULE, "--settings", "other.toml"];
    let measure = [&measure[..], &["--candidates", "20"]].concat();
    for (more, asked) in [
        (&[][..], "announced routes"),
        (&["--learned"], "learned routes"),
    ] {
        let report = bench.json(&[&measure[..], more].concat());
        assert_eq!(report["asked-about"], asked);
        assert!(report["candidate-us"].as_f64().unwrap() > 0.0, "{report}");
    }
    // Each by its own interface.
    let modules = [("in", verdicts::traps_on(Way::Learn))];
    let bench = Bench::new(&modules, RECORDING);
    let measure = ["bench", "in.wasm", "--candidates", "20"];
    bench.out(&measure);
    let words = bench.err(&[&measure[..], &["--learned"]].concat());
    assert!(words.contains("the module trapped"), "{words}");
    assert_eq!(
        bench.err(&["bench", "builtin:default", "--learned"]),
        "error: default decides on announced routes only: leave out --learned\n"
    );
}
