//! Modules that decide both ways: each way is asked of the one module, and fails by itself.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::json;

use super::hostile::Way;
use super::verdicts::{Mind, traps_on, two_ways};
use super::{ENGINE, evaluate, pod_cidr, policy};
use crate::facts::NodeFacts;
use crate::policy::{
    ImportBatch, ImportDecision, ImportPolicy, ImportVerdict, LearnedFrom, LearnedPath, PathOrigin,
    PeerGroup, PeerKind, PolicyFailure, ProposedImport, Reasons, Verdict,
};
use crate::types::Asn;
use crate::wasm::{Limits, Module, Purpose, WasmImportPolicy};

/// What the module makes of one candidate.
fn announced(module: &Module) -> Result<Verdict, PolicyFailure> {
    let mut policy = policy(module, Limits::default());
    let candidates = [pod_cidr("10.0.0.0/24")];
    let decisions = evaluate(&mut policy, &NodeFacts::default(), &candidates);
    decisions.map(|mut decisions| decisions.remove(0).verdict)
}

/// What it makes of one route of a peer.
fn learned(module: &Module) -> Result<ImportVerdict, PolicyFailure> {
    let policy = WasmImportPolicy::new(module, &json!({}), Limits::default()).unwrap();
    let path = Arc::new(LearnedPath {
        origin: PathOrigin::Igp,
        as_path: Vec::new(),
    });
    let route = ProposedImport {
        prefix: "10.0.0.0/24".parse().unwrap(),
        path: &path,
        attributes: &Arc::default(),
    };
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
            name: "tor-a".into(),
            address: Ipv4Addr::new(192, 0, 2, 1).into(),
            router_id: Ipv4Addr::new(192, 0, 2, 1).try_into().unwrap(),
        },
        routes: &[route],
        reasons: Reasons::Wanted,
    });
    decisions.map(|mut decisions: Vec<ImportDecision>| decisions.remove(0).verdict)
}

#[test]
fn a_module_with_both_interfaces_is_asked_by_either() {
    let rejects_own = two_ways(Mind::Rejects, Mind::Abstains);
    let module = Module::from_bytes(&ENGINE, "both", &rejects_own).unwrap();
    assert_eq!(module.purpose(), Purpose::Both);
    assert_eq!(announced(&module), Ok(Verdict::Reject));
    assert_eq!(learned(&module), Ok(ImportVerdict::Abstain));

    let rejects_theirs = two_ways(Mind::Abstains, Mind::Rejects);
    let module = Module::from_bytes(&ENGINE, "both", &rejects_theirs).unwrap();
    assert_eq!(announced(&module), Ok(Verdict::Abstain));
    assert_eq!(learned(&module), Ok(ImportVerdict::Reject));
}

#[test]
fn a_module_that_fails_one_way_goes_on_deciding_the_other() {
    let module = Module::from_bytes(&ENGINE, "both", &traps_on(Way::Learn)).unwrap();
    let failure = learned(&module).unwrap_err();
    assert!(matches!(failure, PolicyFailure::Trap(_)), "{failure}");
    assert_eq!(announced(&module), Ok(Verdict::Abstain));

    let module = Module::from_bytes(&ENGINE, "both", &traps_on(Way::Announce)).unwrap();
    let failure = announced(&module).unwrap_err();
    assert!(matches!(failure, PolicyFailure::Trap(_)), "{failure}");
    assert_eq!(learned(&module), Ok(ImportVerdict::Abstain));
}
