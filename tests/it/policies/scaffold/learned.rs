//! `rutter policy new --learned`: the same for an import policy, and that the example decides alike
//! in all languages, whose kits read prefixes each in its own way.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rutter::policy::{
    Acceptance, ImportDecision, ImportVerdict, LearnedPath, PathOrigin, ProposedImport,
};
use rutter::types::{Community, ExtendedCommunity, Prefix, RouteAttributes};
use rutter::wasm::{Engine, Limits, Module, ModuleError, Purpose, WasmImportPolicy};
use serde_json::{Value, json};

use super::super::INSTRUCTIONS_MAX;
use super::{Author, module, run, rutter, told};
use crate::import_policies::decided;

const KNOWN: &[&str] = &["known-prefixes", "--learned"];

#[test]
fn a_new_import_policy_in_rust_passes_its_tests_is_built_and_decides() {
    let author = Author {
        language: "rust",
        arguments: KNOWN,
        test: &["cargo", "test"],
        passed: "2 passed",
        cases: 5,
    };
    let policy = author.goes_from_nothing_to_a_tested_module();
    let formatted = run(&["cargo", "fmt", "--check"], &policy);
    assert!(formatted.status.success(), "{}", told(&formatted));
    the_module_keeps_the_rule(&policy);
}

#[test]
fn a_new_import_policy_in_c_passes_its_tests_is_built_and_decides() {
    let author = Author {
        language: "c",
        arguments: KNOWN,
        test: &["sh", "rutter-policy/test"],
        passed: "2 passed",
        cases: 5,
    };
    let policy = author.goes_from_nothing_to_a_tested_module();
    the_module_keeps_the_rule(&policy);
}

#[test]
fn a_new_import_policy_in_javascript_passes_its_tests_is_built_and_decides() {
    let author = Author {
        language: "js",
        arguments: KNOWN,
        test: &["node", "--test"],
        passed: "# pass 2",
        cases: 5,
    };
    let policy = author.goes_from_nothing_to_a_tested_module();
    let module = the_module_keeps_the_rule(&policy);
    what_javascript_cannot_carry_is_rejected(&module);
}

fn the_module_keeps_the_rule(policy: &Path) -> Module {
    the_commands_accept_it(policy);
    let engine = Engine::metered(INSTRUCTIONS_MAX).unwrap();
    let bytes = fs::read(module(policy)).unwrap();
    let module = Module::from_bytes(&engine, "known-prefixes", &bytes).unwrap();
    assert_eq!(module.purpose(), Purpose::Learn);
    prefixes_are_read_as_people_write_them(&module);
    settings_that_make_no_sense_are_refused(&module);
    routes_are_taken_inside_prefixes_up_to_their_length(&module);
    module
}

/// With the settings that its README configures it with.
fn the_commands_accept_it(policy: &Path) {
    let readme = fs::read_to_string(policy.join("README.md")).unwrap();
    let (_, example) = readme.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let example: Value = toml::from_str(example).unwrap();
    let settings = policy.join("settings.json");
    let link = &example["import-policies"][0];
    fs::write(&settings, link["settings"].to_string()).unwrap();
    let told = |arguments: &[&str]| {
        let output = rutter()
            .args(arguments)
            .current_dir(policy)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", told(&output));
        told(&output)
    };
    let module = "known-prefixes.wasm";
    let inspected: Value = serde_json::from_str(&told(&["inspect", module, "-o", "json"])).unwrap();
    assert_eq!(inspected["world"]["name"], "import-policy");
    let settings = ["--settings", "settings.json"];
    let validated = told(&[&["validate", module][..], &settings].concat());
    assert!(validated.contains("it decides on learned routes"));
    let asked = told(&[&["conformance", module][..], &settings].concat());
    assert!(asked.contains("\nconformant, asked about "), "{asked}");
}

fn asked(module: &Module, settings: &Value) -> Result<WasmImportPolicy, ModuleError> {
    WasmImportPolicy::new(module, settings, Limits::DEFAULT)
}

fn prefixes_are_read_as_people_write_them(module: &Module) {
    for (text, longest) in [
        ("0.0.0.0/0", 32),
        ("192.0.2.0/24", 24),
        ("192.0.2.255/32", 32),
        ("128.0.0.0/1", 2),
        ("::/0", 128),
        ("::1/128", 128),
        ("2001:db8::/32", 48),
        ("2001:DB8:0:0:8::/80", 128),
        ("1:2:3:4:5:6:7:8/128", 128),
        ("::2:3:4:5:6:7:8/128", 128),
        ("1:2:3:4:5:6:7::/112", 128),
        ("fe80:0:0:0:0:0:0:0/10", 64),
    ] {
        let policy = asked(module, &json!({"prefixes": {text: longest}}));
        // What is inside it is found there.
        let prefix: Prefix = text.parse().unwrap();
        let [decision] = &*decide(&policy.unwrap(), &[prefix], &received()) else {
            panic!("{text}: not one decision");
        };
        let reason = decision.reason.as_deref().unwrap();
        assert!(reason.starts_with("inside "), "{text}: {reason}");
    }
    for text in [
        "/",
        "/8",
        "10.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/8/8",
        "10.0.0.0/8 ",
        "10.0.0/8",
        "10.0.0.0.0/8",
        "256.0.0.0/8",
        "010.0.0.0/8",
        "10.0.0.1/8",
        "128.0.0.0/0",
        "a/8",
        "::/129",
        "::1/127",
        ":/0",
        ":::/0",
        "1::2::/32",
        "1:/16",
        ":1/16",
        "1:2:3:4:5:6:7/128",
        "1:2:3:4:5:6:7:8::/128",
        "::1:2:3:4:5:6:7:8/128",
        "1:2:3:4:5:6:7:8:9/128",
        "10000::/16",
        "g::/16",
    ] {
        let settings = json!({"prefixes": {text: 128}});
        let error = asked(module, &settings).unwrap_err().to_string();
        let named = error.contains("prefixes") && error.contains(text);
        assert!(named, "{text}: {error}");
    }
}

/// Each names the key; the rest is the language's own.
fn settings_that_make_no_sense_are_refused(module: &Module) {
    let known = |more: Value| {
        let mut settings = json!({"prefixes": {"10.0.0.0/8": 24}});
        settings["local-pref"] = more;
        settings
    };
    for (settings, key) in [
        (json!({}), "prefixes"),
        (json!({"prefixes": {}}), "prefixes is empty"),
        (json!({"prefixes": ["10.0.0.0/8"]}), "prefixes"),
        (json!({"prefixes": {"10.0.0.0/8": "24"}}), "prefixes"),
        (json!({"prefixes": {"10.0.0.0/8": 24.5}}), "prefixes"),
        (
            json!({"prefixes": {"10.0.0.0/8": 24, "192.0.2.0/24": 8}}),
            "prefixes.192.0.2.0/24 is 8: write 24 to 32",
        ),
        (known(json!(-1)), "local-pref"),
        (known(json!(1.5)), "local-pref"),
        (known(json!(4_294_967_296_u64)), "local-pref"),
        (known(json!("200")), "local-pref"),
        (
            json!({"prefixes": {"10.0.0.0/8": 24}, "med": 5}),
            "`med`, expected ",
        ),
    ] {
        let error = asked(module, &settings).unwrap_err().to_string();
        assert!(error.contains(key), "{settings}: {error}");
    }
}

/// What a route came with.
fn received() -> RouteAttributes {
    RouteAttributes {
        med: Some(7),
        next_hop: Some("192.0.2.1".parse().unwrap()),
        communities: vec![Community(64512 << 16 | 7)],
        ..RouteAttributes::default()
    }
}

/// IPv6 routes are given the same, but for the next hop.
fn decide(
    policy: &WasmImportPolicy,
    prefixes: &[Prefix],
    received: &RouteAttributes,
) -> Vec<ImportDecision> {
    let path = Arc::new(LearnedPath {
        origin: PathOrigin::Igp,
        as_path: Vec::new(),
    });
    let ipv4 = Arc::new(received.clone());
    let ipv6 = Arc::new(RouteAttributes {
        next_hop: Some("2001:db8:1::1".parse().unwrap()),
        ..received.clone()
    });
    let route = |prefix: &Prefix| ProposedImport {
        prefix: *prefix,
        path: &path,
        attributes: if prefix.address().is_ipv4() {
            &ipv4
        } else {
            &ipv6
        },
    };
    let routes: Vec<_> = prefixes.iter().map(route).collect();
    decided(policy, &routes)
}

fn routes_are_taken_inside_prefixes_up_to_their_length(module: &Module) {
    let ranges = [
        ("10.0.0.0/9", 24),
        ("192.0.2.128/25", 32),
        ("2001:db8:8000::/33", 64),
    ];
    let prefixes: Value = ranges
        .iter()
        .map(|(range, longest)| ((*range).to_owned(), json!(longest)))
        .collect();
    let routes: Vec<Prefix> = [
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.0.0.0/9",
        "10.127.255.0/24",
        "10.127.255.0/25",
        "10.128.0.0/16",
        "192.0.2.128/32",
        "192.0.2.127/32",
        "::/0",
        "2001:db8::/32",
        "2001:db8:8000::/33",
        "2001:db8:ffff:1::/64",
        "2001:db8:ffff:1::/65",
        "2001:db8:7fff::/48",
        // The bits of 10.0.0.0/16, in the other family.
        "a00::/16",
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect();
    // A number that is none to an engine whose numbers have a sign.
    for local_pref in [None, Some(0), Some(200), Some(u32::MAX)] {
        let mut settings = json!({ "prefixes": prefixes });
        if let Some(local_pref) = local_pref {
            settings["local-pref"] = json!(local_pref);
        }
        let decisions = decide(&asked(module, &settings).unwrap(), &routes, &received());
        for (route, decision) in routes.iter().zip(decisions) {
            let taker = ranges.iter().find(|(range, longest)| {
                let range: Prefix = range.parse().unwrap();
                range.covers(route) && route.length() <= *longest
            });
            let Some((range, _)) = taker else {
                let rejected = (
                    ImportVerdict::Reject,
                    "inside none of the prefixes, or too long",
                );
                let told = (decision.verdict, decision.reason.as_deref().unwrap());
                assert_eq!(told, rejected, "{route}");
                continue;
            };
            assert_eq!(decision.reason, Some(format!("inside {range}").into()));
            let ImportVerdict::Accept(Acceptance {
                attributes,
                installation: None,
            }) = decision.verdict
            else {
                panic!("{route}: {:?}", decision.verdict);
            };
            let used = attributes.map(|attributes| (*attributes).clone());
            let preferred = local_pref.map(|_| RouteAttributes {
                local_pref,
                next_hop: used.as_ref().and_then(|used| used.next_hop),
                ..received()
            });
            assert_eq!(used, preferred, "{route}");
        }
    }
}

/// The engine rounds numbers of 64 bits, and stops at some: no peer may stop the policy so.
fn what_javascript_cannot_carry_is_rejected(module: &Module) {
    let prefix: Prefix = "10.1.0.0/16".parse().unwrap();
    for (number, carried) in [
        (0x0002_FC00_0000_0064_u64, true),
        ((1 << 53) - 1, true),
        ((1 << 53) + 1, false),
        (0x4002_FC00_4DB2_D05F, false),
        (u64::MAX, false),
    ] {
        let received = RouteAttributes {
            extended_communities: vec![ExtendedCommunity(number.to_be_bytes())],
            ..received()
        };
        for (settings, taken) in [
            (
                json!({"prefixes": {"10.0.0.0/8": 24}, "local-pref": 5}),
                carried,
            ),
            (json!({"prefixes": {"10.0.0.0/8": 24}}), true),
        ] {
            let policy = asked(module, &settings).unwrap();
            let decision = decide(&policy, &[prefix], &received).remove(0);
            match decision.verdict {
                ImportVerdict::Accept(Acceptance { attributes, .. }) => {
                    assert!(taken, "{number:#x}");
                    let kept = attributes.is_none_or(|attributes| {
                        attributes.extended_communities == received.extended_communities
                    });
                    assert!(kept, "{number:#x}");
                }
                ImportVerdict::Reject => {
                    assert!(!taken, "{number:#x}");
                    let reason = decision.reason.unwrap();
                    assert!(reason.contains("extended community"), "{reason}");
                }
                ImportVerdict::Abstain => panic!("{number:#x}: it has an opinion"),
            }
        }
    }
}
