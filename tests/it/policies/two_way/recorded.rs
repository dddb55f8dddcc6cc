//! A module that decides both ways, run on a recording: explained, replayed and compared.

use std::fs;

use serde_json::{Value, json};

use super::{MODULE, RECORDING, bench};
use crate::policies::bench::Bench;
use crate::support::hostile::Way;
use crate::support::verdicts::{self, Mind};

#[test]
fn a_prefix_that_is_announced_and_learned_is_explained_both_ways() {
    let bench = bench();
    let explain = ["explain", "10.244.1.0/24", "--batch", "live.toml"];
    assert_eq!(
        bench.out(&explain),
        "\
10.244.1.0/24, pod CIDR
  accepted towards tors
    policy default says accept, because: pod CIDR of this node
    policy calico says abstain

10.244.1.0/24, learned from tor-a
  received with next hop 192.0.2.1
  used as received
    policy calico says accept with next hop 192.0.2.1, because: accepted by importV4[0]
"
    );
    let other = [
        "--module",
        MODULE,
        "--settings",
        "other.toml",
        "--as",
        "calico",
    ];
    let report = bench.json(&[&explain[..], &other].concat());
    let steps = |of: &Value| of["decision"]["steps"].clone();
    assert_eq!(
        steps(&report["routes"][0])[1]["reason"],
        "rejected by exportV4[0]"
    );
    assert_eq!(steps(&report["learned"][0])[0]["verdict"], "abstain");
}

#[test]
fn a_recording_is_replayed_through_both_chains() {
    let bench = bench();
    assert_eq!(
        bench.out(&["replay", "live.toml"]),
        "\
towards tors (eBGP, AS 64600)
  10.244.1.0/24, pod CIDR: accepted (default, because: pod CIDR of this node)
  10.244.2.0/24, pod CIDR: rejected (calico, because: rejected by exportV4[0])

learned from tor-a (eBGP, AS 64600)
  0.0.0.0/0: not used (chain default, because: no policy decided about this route)
  10.244.1.0/24: used as received (calico, because: accepted by importV4[0])
"
    );
    let other = [
        "replay",
        "live.toml",
        "--module",
        MODULE,
        "--settings",
        "other.toml",
    ];
    let alone = bench.json(&other);
    assert_eq!(alone["policies"], json!(["calico-filter"]));
    assert_eq!(alone["import-policies"], json!(["calico-filter"]));
    let in_place = bench.json(&[&other[..], &["--as", "calico"]].concat());
    assert_eq!(in_place["policies"], json!(["default", "calico"]));
    assert_eq!(in_place["import-policies"], json!(["calico"]));
    for report in [&alone, &in_place] {
        let used = &report["peers"][0]["routes"];
        assert_eq!(used[0]["decision"]["accepted"], true, "{report}");
        assert_eq!(used[1]["decision"]["accepted"], false, "{report}");
    }
}

#[test]
fn a_failure_in_either_direction_makes_a_replay_fail_with_the_chain_it_is_in() {
    let modules = [
        ("in", verdicts::traps_on(Way::Learn)),
        ("out", verdicts::traps_on(Way::Announce)),
    ];
    let bench = Bench::new(&modules, RECORDING);
    for (module, words) in [
        (
            "in.wasm",
            "policy `hostile` learned from tor-a: the module trapped: ",
        ),
        (
            "out.wasm",
            "policy `hostile` towards tors: the module trapped: ",
        ),
    ] {
        let error = bench.err(&["replay", "live.toml", "--module", module]);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn what_other_settings_change_is_seen_in_both_directions() {
    let bench = bench();
    let diff = [
        "diff",
        MODULE,
        MODULE,
        "--batch",
        "live.toml",
        "--as",
        "calico",
    ];
    let out = bench.out(&[&diff[..], &["--new-settings", "other.toml"]].concat());
    assert_eq!(
        out,
        "\
towards tors
  - 10.244.1.0/24: rejected (calico, because: rejected by exportV4[0])
  + 10.244.2.0/24: accepted (default, because: pod CIDR of this node)

learned from tor-a
  + 0.0.0.0/0: used with next hop 192.0.2.1, communities 64512:7 (calico, because: accepted by importV4[0])
  - 10.244.1.0/24: not used (chain default, because: no policy decided about this route)

2 added, 2 withdrawn, 0 changed, 0 the same
"
    );
    let same = bench.json(&diff);
    assert_eq!((&same["same"], &same["added"]), (&json!(2), &json!(0)));
    assert_eq!(same["not-compared"], json!([]));
}

#[test]
fn a_diff_says_which_routes_only_one_of_the_modules_decides_on() {
    let modules = [
        ("both", verdicts::two_ways(Mind::Abstains, Mind::Abstains)),
        ("in", verdicts::abstains(Way::Learn)),
        ("out", verdicts::abstains(Way::Announce)),
    ];
    let bench = Bench::new(&modules, RECORDING);
    for (old, new, note) in [
        (
            "out.wasm",
            "both.wasm",
            "learned routes are not compared: out.wasm",
        ),
        (
            "both.wasm",
            "out.wasm",
            "learned routes are not compared: out.wasm",
        ),
        (
            "both.wasm",
            "in.wasm",
            "announced routes are not compared: in.wasm",
        ),
    ] {
        let diff = ["diff", old, new, "--batch", "live.toml"];
        let out = bench.out(&diff);
        let note = format!("\n{note} does not decide on them\n0 added, ");
        assert!(out.contains(&note), "{out}");
        let report = bench.json(&diff);
        assert_eq!(report["not-compared"].as_array().unwrap().len(), 1);
    }
    let out = bench.out(&["diff", "both.wasm", "both.wasm", "--batch", "live.toml"]);
    assert!(!out.contains("not compared"), "{out}");
    // Where there is nothing of a kind, nothing is missing.
    bench.write("pods.toml", "[node]\npod-cidrs = ['10.244.1.0/24']");
    let out = bench.out(&["diff", "out.wasm", "both.wasm", "--batch", "pods.toml"]);
    assert!(!out.contains("not compared"), "{out}");
}

#[test]
fn settings_that_a_place_in_a_chain_does_not_fit_are_refused_with_the_place() {
    let bench = bench();
    let replay = ["replay", "live.toml", "--module", MODULE, "--as"];
    assert_eq!(
        bench.err(&[&replay[..], &["default"]].concat()),
        "error: in the place of policy `default`: settings of module `calico-filter.wasm`: none of \
         exportV4, exportV6, importV4 and importV6 has a rule\n"
    );
    // The settings of one direction are well, those of the other are not.
    let live = fs::read_to_string(bench.path("live.toml")).unwrap();
    let (before, after) = live.rsplit_once("\"Accept\"").unwrap();
    bench.write("live.toml", &format!("{before}\"Take\"{after}"));
    assert_eq!(
        bench.err(&[&replay[..], &["calico"]].concat()),
        "error: in the place of import policy `calico`: settings of module `calico-filter.wasm`: \
         importV4[0].action: unknown variant `Take`, expected `Accept` or `Reject`\n"
    );
}
