//! The commands of the workbench with an import policy: tests, recordings, comparisons and
//! conformance of what decides on learned routes.

use std::fs;

use serde_json::{Value, json};

use super::bench::Bench;
use crate::support::guests;

/// A recording of two peers, whose import chain is `import-filter` alone.
const RECORDING: &str = r#"
asn = 64512

[advertise]
service-load-balancer-cidrs = ["192.0.2.0/25"]

[node]
name = "worker-1"
pod-cidrs = ["10.244.1.0/24"]

[[peer-groups]]
name = "tors"
asn = 64600

[[peer-groups]]
name = "reflectors"
asn = 64512

[[policies]]
name = "default"
module = "builtin:default"

[[import-policies]]
name = "filter"
module = "DIR/import-filter.wasm"

[import-policies.settings]
max-path-length = 3

[[import-policies.settings.rules]]
name = "default route"
action = "accept"
prefixes = ["0.0.0.0/0"]
kernel = "keep"

[[import-policies.settings.rules]]
name = "data centre"
action = "accept"
prefixes = ["10.0.0.0/8"]
max-length = 24
local-pref = 200

[[peers]]
name = "tor-a"
address = "192.0.2.1"
peer-group = "tors"

[[peers]]
name = "reflector"
address = "192.0.2.2"
peer-group = "reflectors"

[[learned]]
peer = "tor-a"
prefix = "0.0.0.0/0"
as-path = "64600 64700"

[[learned]]
peer = "tor-a"
prefix = "10.20.0.0/16"
as-path = "64600 64700 64701 64702"

[[learned]]
peer = "reflector"
prefix = "10.20.0.0/16"
local-pref = 100
"#;

/// A directory with `import-filter.wasm` and the recording.
fn bench() -> Bench {
    let modules = [("import-filter", guests::compiled("import-filter"))];
    Bench::new(&modules, RECORDING)
}

const SETTINGS: &str = "\
settings = { rules = [{ name = 'all', action = 'accept', prefixes = ['10.0.0.0/8'] }] }
[[learned]]
prefix = '10.0.0.0/8'
[[learned]]
prefix = '11.0.0.0/8'
[[cases]]
name = 'a'
";

#[test]
fn a_recorded_policy_in_shadow_mode_decides_nothing_unless_it_is_chosen() {
    let bench = bench();
    let recording = fs::read_to_string(bench.path("live.toml")).unwrap();
    let shadow = recording.replace(
        "import-filter.wasm\"",
        "import-filter.wasm\"\nmode = \"shadow\"",
    );
    assert_ne!(shadow, recording);
    bench.write(
        "shadow.toml",
        &format!("import-policy-default = \"accept\"\n{shadow}"),
    );
    let replayed = bench.json(&["replay", "shadow.toml"]);
    let mut steps = Vec::new();
    for peer in replayed["peers"].as_array().unwrap() {
        for route in peer["routes"].as_array().unwrap() {
            assert_eq!(route["decision"]["accepted"], true, "{route}");
            let step = &route["decision"]["steps"][0];
            steps.push((step["policy"].clone(), step["verdict"].clone()));
        }
    }
    assert_eq!(steps, vec![(json!("filter"), json!("not asked")); 3]);
    // In its place a module is seen deciding.
    let chosen = [
        "replay",
        "shadow.toml",
        "--module",
        "import-filter.wasm",
        "--as",
        "filter",
    ];
    let decided = bench.json(&chosen);
    let first = &decided["peers"][0]["routes"][1]["decision"];
    assert_eq!(first["steps"][0]["verdict"], "reject", "{first}");
}

#[test]
fn a_decision_about_a_learned_route_that_differs_fails_with_file_and_line() {
    let bench = bench();
    let expect = "expect = [
  { prefix = '10.0.0.0/8', verdict = 'accept', attributes = { med = 1 }, installation = 'keep' },
  { prefix = '11.0.0.0/8', verdict = 'reject', reason = 'because' },
]
";
    bench.write("a.toml", &format!("{SETTINGS}{expect}"));
    let ran = bench.run(&["test", "a.toml", "--module", "import-filter.wasm"]);
    assert!(!ran.success, "{ran:#?}");
    assert_eq!(
        ran.out,
        "\
a.toml
  FAILED  a
          a.toml:9: 10.0.0.0/8
            expected accept with MED 1, next hop 192.0.2.1, kernel: keep
            got accept with next hop 192.0.2.1, because: rule `all`
          a.toml:10: 11.0.0.0/8
            expected reject, because: because
            got reject, because: no rule takes this prefix

decisions: 1 accept, 1 reject, 0 abstain
never asked about: learned IPv6
import-filter 0.1.0: 0 passed, 1 failed
"
    );
}

#[test]
fn decisions_about_learned_routes_that_no_case_states_are_kept_in_a_snapshot() {
    let bench = bench();
    bench.write("a.toml", SETTINGS);
    let test = ["test", "a.toml", "--module", "import-filter.wasm"];
    assert!(!bench.run(&test).success);
    bench.out(&[&test[..], &["--update"]].concat());
    bench.out(&test);
    let snapshot = fs::read_to_string(bench.path("a.snap")).unwrap();
    let lines = "\
[a]
10.0.0.0/8: accept, because: rule `all`
11.0.0.0/8: reject, because: no rule takes this prefix
";
    assert!(snapshot.ends_with(lines), "{snapshot}");

    bench.write("a.toml", &SETTINGS.replace("accept'", "reject'"));
    let ran = bench.run(&test);
    let difference = "\
            - 10.0.0.0/8: accept, because: rule `all`
            + 10.0.0.0/8: reject, because: rule `all`
";
    assert!(!ran.success && ran.out.contains(difference), "{ran:#?}");
}

#[test]
fn a_case_about_routes_that_the_module_does_not_decide_on_is_an_error() {
    let bench = bench();
    bench.write("learned.toml", SETTINGS);
    bench.write(
        "services.toml",
        "[node]\npod-cidrs = ['10.244.1.0/24']\n[[cases]]\nname = 'b'",
    );
    bench.write("pods.toml", "[node]\npod-cidrs = ['10.244.1.0/24']");
    for (file, module, words) in [
        (
            "learned.toml",
            "builtin:default",
            "learned.toml:6: case \"a\": it asks about learned routes, and default decides on \
             announced routes; give it [node], [advertise] and [[services]]",
        ),
        (
            "services.toml",
            "import-filter.wasm",
            "services.toml:3: case \"b\": it asks about announced routes, and import-filter \
             decides on learned routes; give it [[learned]] routes",
        ),
        (
            "pods.toml",
            "import-filter.wasm",
            "pods.toml has nothing but announced routes, and import-filter decides on learned \
             routes; give it [[learned]] routes",
        ),
    ] {
        let expected = format!("error: {words}\n");
        assert_eq!(bench.err(&["test", file, "--module", module]), expected);
        let conformance = ["conformance", module, "--batch", file];
        assert_eq!(bench.err(&conformance), expected);
    }
}

#[test]
fn a_module_passes_over_the_questions_of_a_recording_that_are_not_for_it() {
    let bench = bench();
    let settings = "rules = [{ name = 'a', action = 'accept', prefixes = ['10.0.0.0/8'] }]";
    bench.write("settings.toml", settings);
    let import = [
        "test",
        "live.toml",
        "--update",
        "--module",
        "import-filter.wasm",
    ];
    let import = [&import[..], &["--settings", "settings.toml"]].concat();
    let out = bench.out(&import);
    assert!(out.contains("updated learned from reflector\n"), "{out}");
    assert!(!out.contains("towards"), "{out}");
    let default = [
        "test",
        "live.toml",
        "--update",
        "--module",
        "builtin:default",
    ];
    let out = bench.out(&default);
    assert!(out.contains("updated towards tors\n"), "{out}");
    assert!(!out.contains("learned from"), "{out}");
    // Both share the snapshot of the file.
    bench.out(&[&["test", "live.toml"], &import[3..]].concat());
    bench.out(&[&["test", "live.toml"], &default[3..]].concat());
}

#[test]
fn import_filter_is_conformant_about_its_cases_and_about_a_bit_of_everything() {
    let bench = bench();
    let cases = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/policies/import-filter/cases/import-filter.toml"
    );
    let module = ["conformance", "import-filter.wasm"];
    let report = bench.json(&[&module[..], &["--batch", cases]].concat());
    assert_eq!(report["conformant"], true, "{report}");
    assert_eq!(report["candidates"], 0);
    assert!(report["learned-routes"].as_u64().unwrap() > 20, "{report}");

    let settings = "rules = [{ name = 'a', action = 'accept', prefixes = ['10.0.0.0/8'], \
                    max-length = 32, add-communities = ['64512:1'], kernel = 'keep' }]";
    bench.write("settings.toml", settings);
    let out = bench.out(&[&module[..], &["--settings", "settings.toml"]].concat());
    assert!(
        out.ends_with("conformant, asked about 480 learned routes in 2 batches with seed 1\n"),
        "{out}"
    );
    let refused = bench.run(&module);
    assert!(!refused.success, "{refused:#?}");
    let words = "FAILED  it takes the settings\n";
    assert!(refused.out.contains(words), "{}", refused.out);
}

#[test]
fn the_recorded_chains_decide_about_either_kind_of_route() {
    let bench = bench();
    let out = bench.out(&["replay", "live.toml"]);
    let learned = "
learned from tor-a (eBGP, AS 64600)
  0.0.0.0/0: used as received, not by the kernel (filter, because: rule `default route`)
  10.20.0.0/16: not used (filter, because: its path has 4 AS numbers, 3 are the most)

learned from reflector (iBGP, AS 64512)
  10.20.0.0/16: used with local preference 200, next hop 192.0.2.2 (filter, because: rule `data centre`)
";
    assert!(out.starts_with("towards tors (eBGP, AS 64600)\n"), "{out}");
    assert!(out.ends_with(learned), "{out}");
    let report = bench.json(&["replay", "live.toml"]);
    assert_eq!(report["import-policies"], json!(["filter"]));
    let route = &report["peers"][0]["routes"][0];
    assert_eq!(route["installation"], "keep");
    assert_eq!(route["decision"]["steps"][0]["verdict"], "accept");
}

#[test]
fn an_import_policy_for_some_peers_is_not_asked_about_routes_of_others() {
    let bench = bench();
    let live = fs::read_to_string(bench.path("live.toml")).unwrap();
    let module = "[[import-policies]]\n";
    let for_tors = live.replace(module, &format!("{module}peers = ['tors']\n"));
    bench.write("live.toml", &for_tors);
    let report = bench.json(&["replay", "live.toml"]);
    let reflector = &report["peers"][1];
    assert_eq!(reflector["peer"], "reflector");
    let decision = &reflector["routes"][0]["decision"];
    assert_eq!(decision["accepted"], false);
    let steps = decision["steps"].as_array().unwrap();
    let verdicts: Vec<&Value> = steps.iter().map(|step| &step["verdict"]).collect();
    assert_eq!(verdicts, ["not asked", "reject"]);
}

#[test]
fn what_other_settings_of_an_import_policy_change_is_seen_before_they_do() {
    let bench = bench();
    bench.write(
        "new.toml",
        "rules = [
  { name = 'default route', action = 'accept', prefixes = ['0.0.0.0/0'] },
  { name = 'data centre', action = 'reject', prefixes = ['10.20.0.0/16'] },
]",
    );
    let module = "import-filter.wasm";
    let diff = [
        "diff",
        module,
        module,
        "--batch",
        "live.toml",
        "--as",
        "filter",
    ];
    let out = bench.out(&[&diff[..], &["--new-settings", "new.toml"]].concat());
    assert_eq!(
        out,
        "\
learned from tor-a
  ~ 0.0.0.0/0: used as received, not by the kernel (filter, because: rule `default route`)
               used as received (filter, because: rule `default route`)

learned from reflector
  - 10.20.0.0/16: not used (filter, because: rule `data centre`)

0 added, 1 withdrawn, 1 changed, 0 the same
"
    );
    let same = bench.json(&diff);
    assert_eq!((&same["changed"], &same["same"]), (&json!(0), &json!(2)));
}

#[test]
fn a_learned_route_is_explained_module_by_module() {
    let bench = bench();
    let out = bench.out(&["explain", "10.20.0.0/16", "--batch", "live.toml"]);
    assert_eq!(
        out,
        "\
10.20.0.0/16, learned from tor-a
  received with next hop 192.0.2.1
  not used
    policy filter says reject, because: its path has 4 AS numbers, 3 are the most

10.20.0.0/16, learned from reflector
  received with local preference 100, next hop 192.0.2.2
  used with local preference 200, next hop 192.0.2.2
    policy filter says accept with local preference 200, next hop 192.0.2.2, because: rule `data centre`
"
    );
    let unknown = bench.run(&["explain", "10.21.0.0/16", "--batch", "live.toml"]);
    assert_eq!(
        unknown.out,
        "10.21.0.0/16 is no candidate in live.toml, no Service's, and not learned\n"
    );
}

#[test]
fn a_module_in_a_place_that_is_not_for_it_is_refused_with_what_either_decides_on() {
    let bench = bench();
    let as_filter = ["--as", "filter", "--module", "builtin:default"];
    assert_eq!(
        bench.err(&[&["replay", "live.toml"], &as_filter[..]].concat()),
        "error: policy \"filter\" of live.toml decides on learned routes, and default on announced \
         routes\n"
    );
    let both = [
        "diff",
        "builtin:default",
        "import-filter.wasm",
        "--settings",
        "any.toml",
    ];
    bench.write("any.toml", "rules = []");
    let out = bench.run(&[&both[..], &["--batch", "live.toml"]].concat());
    // The settings of one are not those of the other, so each is given its own.
    assert!(!out.success, "{out:#?}");
    bench.write("none.toml", "");
    let both = [
        "diff",
        "builtin:default",
        "import-filter.wasm",
        "--settings",
        "none.toml",
        "--new-settings",
        "any.toml",
        "--batch",
        "live.toml",
    ];
    let words =
        "error: there is nothing to compare: one of the modules decides on announced routes, ";
    assert!(bench.err(&both).starts_with(words));
    bench.write("pods.toml", "[node]\npod-cidrs = ['10.244.1.0/24']");
    let replay = ["replay", "pods.toml", "--module", "import-filter.wasm"];
    assert_eq!(
        bench.err(&[&replay[..], &["--settings", "any.toml"]].concat()),
        "error: pods.toml has no learned routes, which import-filter decides on\n"
    );
}

#[test]
fn an_import_policy_is_measured_inspected_and_validated_as_what_it_is() {
    let bench = bench();
    let settings = "rules = [{ name = 'a', action = 'accept', prefixes = ['10.0.0.0/8'] }]";
    bench.write("settings.toml", settings);
    let with = ["import-filter.wasm", "--settings", "settings.toml"];
    let report = bench.json(&[&["bench"], &with[..], &["--candidates", "20"]].concat());
    assert_eq!(report["asked-about"], "learned routes");
    assert!(report["candidate-us"].as_f64().unwrap() > 0.0, "{report}");
    assert_eq!(
        bench.out(&[&["validate"], &with[..]].concat()),
        "import-filter 0.1.0 is valid with these settings; it decides on learned routes\n"
    );
    let text = bench.out(&["inspect", "import-filter.wasm"]);
    let world = "World:    import-policy: decides on learned routes\n";
    assert!(text.contains(world), "{text}");
}
