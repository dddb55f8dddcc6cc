//! The policies beside the default one, compiled and asked through the host: what they decide
//! there, what they refuse, and that they keep the contract's promises. Their rules are tested
//! in full beside their sources.

mod bench;
mod cases;
mod imports;
mod javascript;
mod scaffold;
mod shipped_cases;
mod two_way;
mod workbench;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use rutter::policy::{
    Batch, Decision, PeerGroup, PeerKind, PolicyFailure, ProposedRoute, Reasons, RoutePolicy,
    Verdict,
};
use rutter::types::{Asn, RouteAttributes};
use rutter::wasm::{Engine, Limits, Module, ModuleError, WasmPolicy};
use serde_json::{Value, json};

use crate::support::guests;
use cases::{Case, every_case};

const MODULES: [&str; 8] = [
    "allow-list",
    "allowed-ports",
    "anycast-med",
    "calico-filter",
    "communities",
    "graceful-drain",
    "name-rules",
    "weighted-ecmp",
];

/// Time is not what these tests are about, and they share the machine with others: a call may execute
/// so many instructions, which are the same in every run.
pub(crate) const INSTRUCTIONS_MAX: u64 = 4_000_000_000;

/// Every module, compiled once a run.
static LOADED: LazyLock<BTreeMap<&str, Module>> = LazyLock::new(|| {
    let engine = Engine::metered(INSTRUCTIONS_MAX).unwrap();
    MODULES
        .into_iter()
        .map(|name| {
            let module = Module::from_bytes(&engine, name, &guests::compiled(name));
            (name, module.unwrap())
        })
        .collect()
});

fn policy(name: &str, settings: &Value) -> Result<WasmPolicy, ModuleError> {
    WasmPolicy::new(&LOADED[name], settings, Limits::DEFAULT)
}

/// Asks about the candidates of cases that differ in nothing else.
fn ask(policy: &mut WasmPolicy, cases: &[&Case], reasons: Reasons) -> Vec<Decision> {
    try_ask(policy, cases, reasons).unwrap()
}

fn try_ask(
    policy: &mut WasmPolicy,
    cases: &[&Case],
    reasons: Reasons,
) -> Result<Vec<Decision>, PolicyFailure> {
    let attributes = Arc::new(RouteAttributes::default());
    let candidates: Vec<_> = cases
        .iter()
        .map(|case| ProposedRoute {
            candidate: &case.candidate,
            attributes: &attributes,
        })
        .collect();
    policy.evaluate(&Batch {
        node: &cases[0].node,
        asn: Asn(64512),
        peer_group: &PeerGroup {
            name: "tor".into(),
            asn: Asn(64513),
            kind: PeerKind::Ebgp,
            labels: [].into(),
        },
        candidates: &candidates,
        reasons,
    })
}

#[test]
fn compiled_modules_decide_as_their_sources_say() {
    for case in every_case() {
        let mut policy = policy(case.module, &case.settings).unwrap();
        let decision = ask(&mut policy, &[&case], Reasons::Wanted).remove(0);
        let verdict = match &decision.verdict {
            Verdict::Abstain => json!("abstain"),
            Verdict::Reject => json!("reject"),
            Verdict::Accept(None) => json!("accept"),
            Verdict::Accept(Some(attributes)) => serde_json::to_value(&**attributes).unwrap(),
        };
        let told = (verdict, decision.reason.as_deref());
        assert_eq!(told, (case.verdict, case.reason), "{}", case.module);
    }
}

#[test]
fn an_annotation_that_is_longer_than_a_reason_makes_no_answer_unusable() {
    let mut cases = every_case().into_iter();
    let mut case = cases
        .find(|case| {
            let service = case.candidate.service.as_ref();
            case.module == "communities" && service.is_some_and(|it| !it.annotations.is_empty())
        })
        .unwrap();
    let service = Arc::make_mut(case.candidate.service.as_mut().unwrap());
    service.annotations = [("communities".to_owned(), "x".repeat(1_500))].into();
    let mut policy = policy(case.module, &case.settings).unwrap();
    let decision = ask(&mut policy, &[&case], Reasons::Wanted).remove(0);
    let reason = decision.reason.unwrap();
    assert!(reason.len() <= 1024 && reason.ends_with('…'), "{reason}");
}

#[test]
fn every_module_has_a_case_for_each_way_it_can_answer() {
    for name in MODULES {
        let cases: Vec<_> = every_case()
            .into_iter()
            .filter(|case| case.module == name)
            .collect();
        let answers = |verdict: &str| cases.iter().any(|case| case.verdict == verdict);
        assert!(answers("abstain"), "{name} never abstains");
        let changes = cases.iter().any(|case| case.verdict.is_object());
        assert!(changes || answers("reject"), "{name} never does anything");
    }
}

/// Cases of one module that differ in their candidates only make a batch: whole, backwards,
/// doubled and without reasons, it is decided as its candidates are alone.
#[test]
fn a_decision_depends_on_nothing_but_its_candidate() {
    for (name, settings) in cases::settings() {
        let all = every_case();
        let cases: Vec<&Case> = all.iter().filter(|case| case.module == name).collect();
        let Some(first) = cases.first() else {
            panic!("{name} has no case");
        };
        let same_node: Vec<&Case> = cases
            .iter()
            .copied()
            .filter(|case| case.node == first.node)
            .collect();
        let mut policy = policy(name, &settings).unwrap();
        let alone: Vec<Decision> = same_node
            .iter()
            .map(|case| ask(&mut policy, &[case], Reasons::Wanted).remove(0))
            .collect();
        assert_eq!(
            ask(&mut policy, &same_node, Reasons::Wanted),
            alone,
            "{name}"
        );
        let doubled: Vec<&Case> = same_node.iter().rev().flat_map(|case| [*case; 2]).collect();
        let expected: Vec<Decision> = alone
            .iter()
            .rev()
            .flat_map(|decision| [decision.clone(), decision.clone()])
            .collect();
        assert_eq!(
            ask(&mut policy, &doubled, Reasons::Wanted),
            expected,
            "{name}"
        );
        let silent = ask(&mut policy, &same_node, Reasons::Unwanted);
        for (silent, told) in silent.iter().zip(&alone) {
            assert_eq!(silent.verdict, told.verdict, "{name}");
            assert_eq!(silent.reason, None, "{name}");
        }
    }
}

#[test]
fn modules_describe_themselves_by_the_name_of_their_directory() {
    for (name, module) in &*LOADED {
        let description = module.description();
        assert_eq!(description.name, *name);
        assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
        assert!(!description.summary.is_empty(), "{name} has no summary");
    }
}

/// A setting that is unknown is refused with the list of those that are known; the schema has
/// exactly these.
#[test]
fn the_schema_has_every_setting_of_the_module() {
    for (name, module) in &*LOADED {
        let schema = module.description().settings_schema.as_deref().unwrap();
        let schema: Value = serde_json::from_str(schema).unwrap();
        assert_eq!(schema["additionalProperties"], false, "{name}");
        let described: BTreeSet<&str> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let error = policy(name, &json!({"?": 0})).map(drop).unwrap_err();
        let error = error.to_string();
        let (_, expected) = error.split_once("expected ").unwrap();
        let known: BTreeSet<&str> = expected.split('`').skip(1).step_by(2).collect();
        assert_eq!(described, known, "{name}");
    }
}

/// The first TOML of each README configures the module it is about.
#[test]
fn the_examples_of_the_readmes_are_valid() {
    for name in MODULES {
        let readme = format!("{}/policies/{name}/README.md", env!("CARGO_MANIFEST_DIR"));
        let readme = std::fs::read_to_string(readme).unwrap();
        let (_, example) = readme.split_once("```toml\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let example: Value = toml::from_str(example).unwrap();
        let link = &example["policies"][0];
        assert_eq!(link["name"], name);
        if let Err(error) = policy(name, &link["settings"]) {
            panic!("{error}");
        }
    }
}

#[test]
fn settings_are_refused_in_the_modules_own_words() {
    for (name, settings, words) in [
        (
            "communities",
            json!({}),
            "neither rules nor annotation is set: nothing would be added",
        ),
        (
            "communities",
            json!({"rules": [{"add": [5]}]}),
            "rules[0].add[0]: invalid type: integer `5`, expected a string",
        ),
        (
            "allow-list",
            json!({"tenants": [{"name": "a", "namespaces": ["a"], "ranges": ["10.0.0.1/8"]}]}),
            "tenants[0].ranges[0]: `10.0.0.1/8` has host bits set beyond /8",
        ),
        (
            "anycast-med",
            json!({"steps": [{"endpoints": 1, "prepend": 17}]}),
            "steps[0].prepend: 17 is above 16",
        ),
        (
            "graceful-drain",
            json!({"shutdown": {"cordoned": 1}}),
            "shutdown.cordoned: invalid type: integer `1`, expected a boolean",
        ),
        (
            "weighted-ecmp",
            json!({"megabits-per-endpoint": 0}),
            "megabits-per-endpoint is 0: routers would send nothing; write 1 or more",
        ),
        (
            "allowed-ports",
            json!({"tcp": [443, 65536]}),
            "tcp is not a list of whole numbers from 1 to 65535",
        ),
        (
            "allowed-ports",
            json!({"tpc": [443]}),
            "unknown key `tpc`, expected one of `tcp`, `udp`, `sctp`",
        ),
        (
            "allowed-ports",
            json!({"udp": []}),
            r#"no port is allowed: list some, as in {"tcp": [80, 443]}"#,
        ),
        (
            "name-rules",
            json!({"rules": [{"namespace": "(", "then": "accept"}]}),
            "rules[0].namespace is no regular expression: expecting ')'",
        ),
        (
            "calico-filter",
            json!({"importV4": [{"action": "Reject", "interface": "eth*"}]}),
            "importV4[0].interface: policies are not told by which one traffic would leave; leave \
             the rule out",
        ),
    ] {
        let error = policy(name, &settings).map(drop).unwrap_err();
        let expected = format!("settings of module `{name}`: {words}");
        assert_eq!(error.to_string(), expected);
    }
}

/// As Rust's and JavaScript's are by their own tools.
#[test]
fn the_policy_in_c_passes_its_native_test() {
    guests::compiled("allowed-ports");
    let test = guests::target_dir().join("c/allowed-ports/rutter-policy/test");
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/allowed-ports");
    let output = Command::new("sh").arg(test).arg(policy).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"4 passed\n");
    assert_eq!(output.stderr, b"");
}
