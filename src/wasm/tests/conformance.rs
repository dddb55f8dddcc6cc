//! The examination of modules: the default policy passes it, and every way to depend on more
//! than the candidate, or the learned route, is found out.

use std::sync::{Arc, Mutex};

use super::{BUILTIN, Limits, asked, hostile, pod_cidr, policy, routes};
use super::{ENGINE, Module};
use crate::candidates::Candidate;
use crate::facts::NodeFacts;
use crate::policy::{
    Acceptance, Batch, Decision, ImportBatch, ImportDecision, ImportPolicy, ImportVerdict,
    LearnedFrom, LearnedPath, PathOrigin, PeerGroup, PeerKind, PolicyFailure, ProposedImport,
    Reasons, RoutePolicy, Verdict,
};
use crate::types::{Asn, Installation, RouterId};
use crate::wasm::conformance::{Trial, Violation, check, check_any, check_any_imports};

/// A policy in plain Rust that sees the whole batch, and how often it was asked before.
struct Native<F>(Mutex<(usize, F)>);

impl<F: FnMut(usize, &Batch<'_>) -> Vec<Decision> + Send> RoutePolicy for Native<F> {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let (calls, decide) = &mut *self.0.lock().unwrap();
        *calls += 1;
        Ok(decide(*calls, batch))
    }
}

fn pods() -> Vec<Candidate> {
    (0..150u8)
        .map(|number| pod_cidr(&format!("10.{number}.0.0/24")))
        .collect()
}

/// What is found out about a policy that decides by the number of the call and the batch.
fn examine(decide: impl FnMut(usize, &Batch<'_>) -> Vec<Decision> + Send) -> Result<(), Violation> {
    let candidates = pods();
    let attributes = Arc::default();
    let routes = routes(&candidates, &attributes);
    let native = Native(Mutex::new((0, decide)));
    asked(&NodeFacts::default(), &routes, |batch| {
        check_any(&native, batch, 1)
    })
}

fn accept_if(accept: bool) -> Decision {
    Decision {
        verdict: if accept {
            Verdict::Accept(None)
        } else {
            Verdict::Reject
        },
        reason: None,
    }
}

#[track_caller]
fn check_found(trial: Trial, decide: impl FnMut(usize, &Batch<'_>) -> Vec<Decision> + Send) {
    match examine(decide) {
        Err(Violation::Differs { trial: found, .. }) => assert_eq!(found, trial),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_default_policy_conforms() {
    let candidates = pods();
    let attributes = Arc::default();
    let routes = routes(&candidates, &attributes);
    let default = policy(&BUILTIN, Limits::default());
    for seed in 0..3 {
        let outcome = asked(&NodeFacts::default(), &routes, |batch| {
            check(&default, batch, seed)
        });
        assert_eq!(outcome, Ok(()));
    }
}

#[test]
fn a_policy_that_looks_at_the_candidate_only_conforms() {
    let by_address = |_, batch: &Batch<'_>| {
        let accepts = |text: String| text.starts_with("10.1");
        batch
            .candidates
            .iter()
            .map(|route| accept_if(accepts(route.candidate.key.prefix.to_string())))
            .collect()
    };
    assert_eq!(examine(by_address), Ok(()));
}

#[test]
fn an_empty_batch_conforms() {
    let default = policy(&BUILTIN, Limits::default());
    let outcome = asked(&NodeFacts::default(), &[], |batch| {
        check(&default, batch, 1)
    });
    assert_eq!(outcome, Ok(()));
}

#[test]
fn deciding_by_the_number_of_the_call_is_found() {
    check_found(Trial::Repeated, |call, batch| {
        vec![accept_if(call == 1); batch.candidates.len()]
    });
}

#[test]
fn deciding_by_the_place_in_the_batch_is_found() {
    check_found(Trial::Shuffled, |_, batch| {
        (0..batch.candidates.len())
            .map(|at| accept_if(at < 10))
            .collect()
    });
}

#[test]
fn deciding_by_the_size_of_the_batch_is_found() {
    check_found(Trial::Split, |_, batch| {
        vec![accept_if(batch.candidates.len() >= 150); batch.candidates.len()]
    });
    check_found(Trial::Doubled, |_, batch| {
        vec![accept_if(batch.candidates.len() <= 150); batch.candidates.len()]
    });
}

#[test]
fn deciding_by_whether_reasons_are_read_is_found() {
    check_found(Trial::OtherReasons, |_, batch| {
        let accept = batch.reasons == Reasons::Wanted;
        vec![accept_if(accept); batch.candidates.len()]
    });
}

#[test]
fn a_wrong_number_of_decisions_is_found() {
    assert_eq!(
        examine(|_, _| vec![accept_if(true)]),
        Err(Violation::Count {
            trial: Trial::AsGiven,
            routes: 150,
            decisions: 1
        })
    );
}

#[test]
fn a_module_that_fails_is_reported_with_its_failure() {
    let module = Module::from_bytes(&ENGINE, "hostile", &hostile::traps()).unwrap();
    let traps = policy(&module, Limits::default());
    let candidates = [pod_cidr("10.0.0.0/24")];
    let attributes = Arc::default();
    let routes = routes(&candidates, &attributes);
    let violation = asked(&NodeFacts::default(), &routes, |batch| {
        check(&traps, batch, 1)
    })
    .unwrap_err();
    assert!(matches!(
        violation,
        Violation::Failed {
            trial: Trial::AsGiven,
            failure: PolicyFailure::Trap(_)
        }
    ));
}

#[test]
fn a_difference_names_the_candidate_and_both_answers() {
    let violation = examine(|call, batch| {
        batch
            .candidates
            .iter()
            .map(|_| accept_if(call == 1))
            .collect()
    })
    .unwrap_err();
    assert_eq!(
        violation.to_string(),
        "the same batch once more: 10.0.0.0/24 was answered with accept at first, then with reject"
    );
}

/// An import policy in plain Rust that sees the whole batch.
struct NativeImports<F>(F);

impl<F: Fn(&ImportBatch<'_>) -> Vec<ImportDecision> + Send + Sync> ImportPolicy
    for NativeImports<F>
{
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        Ok(self.0(batch))
    }
}

/// What is found out about an import policy that decides by the batch, asked about 150 routes.
fn examine_imports(
    decide: impl Fn(&ImportBatch<'_>) -> Vec<ImportDecision> + Send + Sync,
) -> Result<(), Violation> {
    let path = Arc::new(LearnedPath {
        origin: PathOrigin::Igp,
        as_path: Vec::new(),
    });
    let attributes = Arc::default();
    let routes: Vec<ProposedImport<'_>> = (0..150u8)
        .map(|number| ProposedImport {
            prefix: format!("10.{number}.0.0/16").parse().unwrap(),
            path: &path,
            attributes: &attributes,
        })
        .collect();
    let address = std::net::Ipv4Addr::new(192, 0, 2, 1);
    let batch = ImportBatch {
        node: &NodeFacts::default(),
        asn: Asn(64512),
        peer_group: &PeerGroup {
            name: "tor".to_owned(),
            asn: Asn(64513),
            kind: PeerKind::Ebgp,
            labels: [].into(),
        },
        peer: &LearnedFrom {
            name: "tor".to_owned(),
            address: address.into(),
            router_id: RouterId::try_from(address).unwrap(),
        },
        routes: &routes,
        reasons: Reasons::Wanted,
    };
    check_any_imports(&NativeImports(decide), &batch, 1)
}

fn keep_if(keep: bool) -> ImportDecision {
    ImportDecision {
        verdict: ImportVerdict::Accept(Acceptance {
            attributes: None,
            installation: keep.then_some(Installation::Keep),
        }),
        reason: None,
    }
}

#[test]
fn an_import_policy_that_looks_at_the_route_alone_passes() {
    let by_prefix = |batch: &ImportBatch<'_>| {
        let routes = batch.routes.iter();
        let odd = |route: &ProposedImport<'_>| route.prefix.to_string().len() % 2 == 1;
        routes.map(|route| keep_if(odd(route))).collect()
    };
    assert_eq!(examine_imports(by_prefix), Ok(()));
}

#[test]
fn an_import_policy_that_looks_at_the_place_in_the_batch_is_found() {
    let by_place = |batch: &ImportBatch<'_>| {
        let places = 0..batch.routes.len();
        places.map(|place| keep_if(place == 0)).collect()
    };
    let violation = examine_imports(by_place).unwrap_err();
    assert_eq!(violation.trial(), Trial::Shuffled);
    let words = violation.to_string();
    assert!(words.contains("accept, kernel: keep"), "{words}");
}

#[test]
fn an_import_policy_that_looks_at_the_number_of_routes_is_found() {
    let by_number = |batch: &ImportBatch<'_>| {
        let routes = batch.routes.len();
        vec![keep_if(routes == 150); routes]
    };
    let violation = examine_imports(by_number).unwrap_err();
    assert_eq!(violation.trial(), Trial::Split);
}
