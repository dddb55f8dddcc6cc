//! The commands that run modules on a recording, with the modules that come with Rutter and with
//! some that misbehave: what an author sees before a policy is anywhere near a network.

use std::fs;

use serde_json::json;

use super::MODULES;
use super::bench::Bench;
use crate::support::{guests, hostile};

/// A recording whose chain is the default policy and `communities`.
const RECORDING: &str = r#"
asn = 64512

[advertise]
service-load-balancer-cidrs = ["192.0.2.0/25", "192.0.2.200/32"]

[node]
name = "worker-1"
pod-cidrs = ["10.244.1.0/24"]

[[peer-groups]]
name = "tor"
asn = 64513

[[policies]]
name = "default"
module = "builtin:default"

[[policies]]
name = "communities"
module = "DIR/communities.wasm"
settings = { rules = [{ match = { namespaces = ["shop"] }, add = ["64512:1"] }] }

[[services]]
name = "shop/web"
type = "LoadBalancer"
external-traffic-policy = "Local"
load-balancer-ips = ["192.0.2.10", "192.0.2.200"]
endpoints-here = 1
"#;

/// A directory with these modules and the recording.
fn bench(modules: &[(&str, Vec<u8>)]) -> Bench {
    Bench::new(modules, RECORDING)
}

#[test]
fn a_change_of_settings_is_seen_in_the_recorded_chain_before_it_is_made() {
    let bench = bench(&[("communities", guests::compiled("communities"))]);
    bench.write("new.toml", "rules = [{ add = ['64512:2'] }]");
    let ran = bench.run(&[
        "diff",
        "communities.wasm",
        "communities.wasm",
        "--batch",
        "live.toml",
        "--as",
        "communities",
        "--new-settings",
        "new.toml",
    ]);
    assert!(ran.success, "{}{}", ran.out, ran.err);
    assert_eq!(
        ran.out,
        "\
towards tor
  ~ 10.244.1.0/24: accepted (default, because: pod CIDR of this node)
                   accepted with communities 64512:2 (communities, because: adds 64512:2)
  ~ 192.0.2.0/25: accepted (default, because: every node announces the range of load-balancer IPs)
                  accepted with communities 64512:2 (communities, because: adds 64512:2)
  ~ 192.0.2.10/32: accepted with communities 64512:1 (communities, because: adds 64512:1)
                   accepted with communities 64512:2 (communities, because: adds 64512:2)
  ~ 192.0.2.200/32: accepted with communities 64512:1 (communities, because: adds 64512:1)
                    accepted with communities 64512:2 (communities, because: adds 64512:2)

0 added, 0 withdrawn, 4 changed, 0 the same
"
    );
}

#[test]
fn routes_that_another_policy_would_withdraw_are_seen_before_they_are() {
    let bench = bench(&[
        ("communities", guests::compiled("communities")),
        ("drain", guests::compiled("graceful-drain")),
    ]);
    let live = fs::read_to_string(bench.path("live.toml")).unwrap();
    let cordoned = live.replace("[node]\n", "[node]\nunschedulable = true\n");
    bench.write("live.toml", &cordoned);
    bench.write(
        "drain.toml",
        "match = { routes = ['load-balancer-ip'] }\nwithdraw = { cordoned = true }",
    );
    let report = bench.json(&[
        "diff",
        "communities.wasm",
        "drain.wasm",
        "--batch",
        "live.toml",
        "--as",
        "communities",
        "--new-settings",
        "drain.toml",
    ]);
    assert_eq!(
        (&report["withdrawn"], &report["added"], &report["same"]),
        (&json!(2), &json!(0), &json!(2))
    );
    let withdrawn = &report["groups"][0]["routes"][0];
    assert_eq!(withdrawn["kind"], "withdrawn");
    assert_eq!(
        withdrawn["new"]["steps"][1]["reason"],
        "this node is drained: it is cordoned"
    );
}

#[test]
fn each_module_of_a_chain_says_what_it_did_to_a_route() {
    let bench = bench(&[("communities", guests::compiled("communities"))]);
    let ran = bench.run(&["explain", "192.0.2.10/32", "--batch", "live.toml"]);
    assert!(ran.success, "{}{}", ran.out, ran.err);
    let walk = "\
192.0.2.10/32, load-balancer IP of shop/web
  accepted with communities 64512:1 towards tor
    policy default says accept, because: 1 usable IPv4 endpoint on this node
    policy communities says accept with communities 64512:1, because: adds 64512:1
";
    assert!(ran.out.ends_with(walk), "{}", ran.out);
}

#[test]
fn every_module_is_conformant_about_its_own_cases() {
    let modules = MODULES.map(|name| (name, guests::compiled(name)));
    let bench = bench(&modules);
    for name in MODULES {
        let cases = format!(
            "{}/policies/{name}/cases/{name}.toml",
            env!("CARGO_MANIFEST_DIR")
        );
        let module = format!("{name}.wasm");
        let report = bench.json(&["conformance", &module, "--batch", &cases]);
        assert_eq!(report["conformant"], true, "{name}");
        assert!(report["candidates"].as_u64().unwrap() > 20, "{report}");
    }
}

/// A recording is a case file: its decisions become a snapshot, and the snapshot holds.
#[test]
fn a_recording_becomes_a_test() {
    let bench = bench(&[("communities", guests::compiled("communities"))]);
    let test = ["test", "live.toml", "--module", "builtin:default"];
    assert!(!bench.run(&test).success);
    assert!(bench.run(&[&test[..], &["--update"]].concat()).success);
    assert!(bench.run(&test).success);
    let snapshot = fs::read_to_string(bench.path("live.snap")).unwrap();
    assert!(
        snapshot.contains("\n[towards tor]\n10.244.1.0/24, pod CIDR: accept"),
        "{snapshot}"
    );
}

#[test]
fn a_module_that_fails_makes_every_command_fail_with_its_words() {
    let bench = bench(&[("bad", hostile::traps())]);
    bench.write("a.toml", "[node]\npod-cidrs = ['10.244.1.0/24']");
    let words = "the module trapped: ";
    for arguments in [
        &["replay", "a.toml", "--module", "bad.wasm"][..],
        &["diff", "builtin:default", "bad.wasm", "--batch", "a.toml"],
        &[
            "explain",
            "10.244.1.0/24",
            "--batch",
            "a.toml",
            "--module",
            "bad.wasm",
        ],
    ] {
        let ran = bench.run(arguments);
        assert!(!ran.success, "{arguments:?}");
        let expected = "error: policy `hostile` towards peer: the module trapped: ";
        assert!(ran.err.starts_with(expected), "{}", ran.err);
    }
    let ran = bench.run(&["test", "a.toml", "--module", "bad.wasm", "--update"]);
    assert!(
        !ran.success && ran.out.contains(words),
        "{}{}",
        ran.out,
        ran.err
    );
    assert!(!bench.path("a.snap").exists());
    let ran = bench.run(&["conformance", "bad.wasm"]);
    assert!(!ran.success, "{}", ran.out);
    assert!(
        ran.out.contains(
            "FAILED  its answers are possible\n        towards tor: the module trapped: "
        ),
        "{}",
        ran.out
    );
}
