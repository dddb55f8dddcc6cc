//! The policies on learned routes, compiled and asked through the host: that what they are shown
//! and what they say cross the boundary whole, and that they keep the contract's promises. Their
//! rules are tested beside their sources.

use std::sync::{Arc, LazyLock};

use rutter::facts::NodeFacts;
use rutter::policy::{
    Acceptance, ImportBatch, ImportDecision, ImportPolicy, ImportVerdict, LearnedFrom, LearnedPath,
    PathOrigin, PathSegment, PeerGroup, PeerKind, ProposedImport, Reasons, SegmentKind,
};
use rutter::types::{Asn, Community, Installation, Prefix, RouteAttributes};
use rutter::wasm::{Engine, Limits, Module, ModuleError, WasmImportPolicy, WasmPolicy};
use serde_json::{Value, json};

use crate::policies::INSTRUCTIONS_MAX;
use crate::support::guests;

static IMPORT_FILTER: LazyLock<Module> = LazyLock::new(|| {
    let engine = Engine::metered(INSTRUCTIONS_MAX).unwrap();
    Module::from_bytes(&engine, "import-filter", &guests::compiled("import-filter")).unwrap()
});

fn filter(settings: &Value) -> WasmImportPolicy {
    WasmImportPolicy::new(&IMPORT_FILTER, settings, Limits::DEFAULT).unwrap()
}

/// A route: its prefix, its path, and the communities it came with.
struct Learned {
    prefix: Prefix,
    path: Arc<LearnedPath>,
    attributes: Arc<RouteAttributes>,
}

fn learned(prefix: &str, asns: &[u32], communities: u32) -> Learned {
    let segment = PathSegment {
        kind: SegmentKind::Sequence,
        asns: asns.iter().map(|asn| Asn(*asn)).collect(),
    };
    Learned {
        prefix: prefix.parse().unwrap(),
        path: Arc::new(LearnedPath {
            origin: PathOrigin::Incomplete,
            as_path: vec![segment],
        }),
        attributes: Arc::new(RouteAttributes {
            med: Some(7),
            next_hop: Some("192.0.2.1".parse().unwrap()),
            communities: (0..communities).map(Community).collect(),
            ..RouteAttributes::default()
        }),
    }
}

fn ask(policy: &WasmImportPolicy, routes: &[&Learned]) -> Vec<ImportDecision> {
    let routes: Vec<_> = routes
        .iter()
        .map(|learned| ProposedImport {
            prefix: learned.prefix,
            path: &learned.path,
            attributes: &learned.attributes,
        })
        .collect();
    decided(policy, &routes)
}

/// What a policy says of routes of one external peer.
pub(crate) fn decided(
    policy: &WasmImportPolicy,
    routes: &[ProposedImport<'_>],
) -> Vec<ImportDecision> {
    let decisions = policy.evaluate(&ImportBatch {
        node: &NodeFacts::default(),
        asn: Asn(64512),
        peer_group: &PeerGroup {
            name: "tor".into(),
            asn: Asn(64513),
            kind: PeerKind::Ebgp,
            labels: [].into(),
        },
        peer: &LearnedFrom {
            name: "tor-1".into(),
            address: "192.0.2.1".parse().unwrap(),
            router_id: std::net::Ipv4Addr::new(192, 0, 2, 1).try_into().unwrap(),
        },
        routes,
        reasons: Reasons::Wanted,
    });
    decisions.unwrap()
}

fn settings() -> Value {
    json!({
        "max-path-length": 3,
        "rules": [
            {"name": "secret", "action": "reject", "prefixes": ["10.9.0.0/16"], "max-length": 32},
            {"name": "own", "action": "accept", "prefixes": ["10.0.0.0/8"], "max-length": 24,
             "local-pref": 200, "add-communities": ["64512:7"], "kernel": "keep"},
            {"name": "default", "action": "accept", "prefixes": ["0.0.0.0/0"]}
        ]
    })
}

#[test]
fn a_compiled_import_policy_decides_as_its_source_says() {
    let policy = filter(&settings());
    let routes = [
        learned("10.1.0.0/24", &[64513], 2),
        learned("0.0.0.0/0", &[64513, 64514], 0),
        learned("10.9.1.0/24", &[64513], 0),
        learned("10.1.0.0/24", &[1, 2, 3, 4], 0),
        learned("192.0.2.0/24", &[64513], 0),
    ];
    let routes: Vec<_> = routes.iter().collect();
    let decisions = ask(&policy, &routes);
    let reasons: Vec<_> = decisions
        .iter()
        .map(|decision| decision.reason.as_deref().unwrap())
        .collect();
    assert_eq!(
        reasons,
        [
            "rule `own`",
            "rule `default`",
            "rule `secret`",
            "its path has 4 AS numbers, 3 are the most",
            "no rule takes this prefix",
        ]
    );
    let changed = RouteAttributes {
        local_pref: Some(200),
        communities: vec![Community(0), Community(1), Community(64512 << 16 | 7)],
        ..(*routes[0].attributes).clone()
    };
    assert_eq!(
        decisions[0].verdict,
        ImportVerdict::Accept(Acceptance {
            attributes: Some(Arc::new(changed)),
            installation: Some(Installation::Keep),
        })
    );
    assert_eq!(
        decisions[1].verdict,
        ImportVerdict::Accept(Acceptance::default())
    );
    for decision in &decisions[2..] {
        assert_eq!(decision.verdict, ImportVerdict::Reject);
    }
}

/// More communities than an announced route may have come through: a peer that sends them must
/// not make the module fail.
#[test]
fn a_route_full_of_communities_is_decided_like_any_other() {
    let policy = filter(&settings());
    let full = learned("10.1.0.0/24", &[64513], 1000);
    let decision = ask(&policy, &[&full]).remove(0);
    let ImportVerdict::Accept(Acceptance {
        attributes: Some(attributes),
        ..
    }) = decision.verdict
    else {
        panic!("{decision:?}");
    };
    assert_eq!(attributes.communities.len(), 1001);
}

#[test]
fn a_decision_depends_on_nothing_but_its_route() {
    let policy = filter(&settings());
    let routes: Vec<_> = (0..60_u32)
        .map(|number| {
            let prefix = format!("10.{}.0.0/{}", number % 12, 16 + number % 12);
            learned(&prefix, &vec![64513; 1 + number as usize % 5], number % 3)
        })
        .collect();
    let forwards: Vec<_> = routes.iter().collect();
    let backwards: Vec<_> = routes.iter().rev().collect();
    let whole = ask(&policy, &forwards);
    let mut reversed = ask(&policy, &backwards);
    reversed.reverse();
    assert_eq!(whole, reversed);
    let doubled: Vec<_> = forwards.iter().chain(&forwards).copied().collect();
    assert_eq!(
        ask(&policy, &doubled),
        [whole.clone(), whole.clone()].concat()
    );
    for (route, decision) in routes.iter().zip(whole) {
        assert_eq!(ask(&policy, &[route]), [decision]);
    }
}

/// More routes than one call is about are asked about in several.
#[test]
fn a_large_table_is_decided_whole() {
    let policy = filter(&settings());
    let routes: Vec<_> = (0..10_000_u32)
        .map(|number| {
            learned(
                &format!("10.{}.{}.0/24", number / 256, number % 256),
                &[1],
                0,
            )
        })
        .collect();
    let routes: Vec<_> = routes.iter().collect();
    let decisions = ask(&policy, &routes);
    assert_eq!(decisions.len(), routes.len());
    let rejected = decisions
        .iter()
        .filter(|decision| decision.verdict == ImportVerdict::Reject);
    // 10.9.0.0/16 is secret.
    assert_eq!(rejected.count(), 256);
}

#[test]
fn settings_are_refused_in_the_modules_words() {
    let settings = json!({"rules": [{"name": "own", "action": "accept", "prefixes": []}]});
    let error = WasmImportPolicy::new(&IMPORT_FILTER, &settings, Limits::DEFAULT).unwrap_err();
    let ModuleError::Settings { words, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(words, "rules[0].prefixes is empty: name at least one");
}

#[test]
fn an_import_policy_is_not_asked_what_to_announce() {
    let error =
        WasmPolicy::new(&IMPORT_FILTER, &json!({"rules": []}), Limits::DEFAULT).unwrap_err();
    assert_eq!(
        error.to_string(),
        "module `import-filter` decides on learned routes and is asked about announced routes"
    );
}

#[test]
fn the_example_of_the_readme_is_valid() {
    let readme = include_str!("../../policies/import-filter/README.md");
    let (_, example) = readme.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let example: Value = toml::from_str(example).unwrap();
    let link = &example["import-policies"][0];
    assert_eq!(link["name"], "import-filter");
    let policy = WasmImportPolicy::new(&IMPORT_FILTER, &link["settings"], Limits::DEFAULT);
    assert!(policy.is_ok(), "{policy:?}");
}
