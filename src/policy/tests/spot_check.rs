//! A policy that contradicts itself is caught, one that does not is never accused.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::fixture::{
    Bench, Fake, accept, accept_with_endpoints_as_med, local, pod, reject, with_med,
};
use crate::candidates::Candidate;
use crate::policy::{
    Batch, Decision, Link, OnError, PeerGroup, PeerKind, PolicyFailure, ProposedRoute, Reasons,
    RoutePolicy, SpotChecked, Verdict,
};
use crate::types::{Asn, RouteAttributes};

type Rule = fn(&Batch<'_>, usize) -> Verdict;

/// Decides by a rule that sees the whole batch and the place in it, which no policy may.
struct Cheat(Rule);

impl RoutePolicy for Cheat {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let decide = |place| Decision {
            verdict: (self.0)(batch, place),
            reason: None,
        };
        Ok((0..batch.candidates.len()).map(decide).collect())
    }
}

/// What is said about so many pod CIDRs towards `tor`.
fn ask(policy: &impl RoutePolicy, routes: u8) -> Result<Vec<Decision>, PolicyFailure> {
    let candidates: Vec<Candidate> = (0..routes)
        .map(|n| pod(&format!("10.{n}.0.0/24")))
        .collect();
    let attributes = Arc::new(RouteAttributes::default());
    let proposed = |candidate| ProposedRoute {
        candidate,
        attributes: &attributes,
    };
    let routes: Vec<_> = candidates.iter().map(proposed).collect();
    policy.evaluate(&Batch {
        node: &super::fixture::node("any"),
        asn: Asn(64512),
        peer_group: &PeerGroup {
            name: "tor".into(),
            asn: Asn(64512),
            kind: PeerKind::Ibgp,
            labels: [].into(),
        },
        candidates: &routes,
        reasons: Reasons::Wanted,
    })
}

fn accept_or_reject(accepted: bool) -> Verdict {
    if accepted {
        Verdict::Accept(None)
    } else {
        Verdict::Reject
    }
}

const CHEATS: [(&str, Rule); 5] = [
    ("the first of a batch", |_, place| {
        accept_or_reject(place == 0)
    }),
    ("the last of a batch", |batch, place| {
        accept_or_reject(place + 1 == batch.candidates.len())
    }),
    ("even batches", |batch, _| {
        accept_or_reject(batch.candidates.len().is_multiple_of(2))
    }),
    ("every other route", |_, place| {
        accept_or_reject(place.is_multiple_of(2))
    }),
    ("the size as a MED", |batch, _| {
        Verdict::Accept(Some(with_med(
            u32::try_from(batch.candidates.len()).unwrap(),
        )))
    }),
];

#[test]
fn a_decision_that_depends_on_the_batch_is_a_failure() {
    for (name, rule) in CHEATS {
        for routes in [1, 2, 3, 4, 5, 16, 17, 18, 19, 100, 255] {
            let answer = ask(&SpotChecked::new(Cheat(rule)), routes);
            let caught = matches!(answer, Err(PolicyFailure::Inconsistent(_)));
            assert!(caught, "{name} of {routes}: {answer:?}");
        }
    }
}

#[test]
fn the_failure_names_the_route_the_peers_and_both_decisions() {
    let policy = SpotChecked::new(Cheat(CHEATS[0].1));
    assert_eq!(
        ask(&policy, 2).unwrap_err().to_string(),
        "the module contradicts itself: 10.1.0.0/24 towards tor: reject in a batch of 2 routes, \
         accept in a batch of 3 routes"
    );
}

#[test]
fn a_policy_that_was_caught_is_checked_at_every_call() {
    let policy = SpotChecked::new(Cheat(CHEATS[2].1));
    for _ in 0..20 {
        assert!(ask(&policy, 3).is_err());
    }
}

#[test]
fn failing_only_when_asked_again_is_a_failure_each_time() {
    struct Alone;
    impl RoutePolicy for Alone {
        fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
            match batch.candidates.len() {
                1 => Cheat(|_, _| Verdict::Reject).evaluate(batch),
                _ => Err(PolicyFailure::Trap("unreachable".into())),
            }
        }
    }
    let policy = SpotChecked::new(Alone);
    for _ in 0..3 {
        assert_eq!(
            ask(&policy, 1),
            Err(PolicyFailure::Trap("unreachable".into()))
        );
    }
}

#[test]
fn small_batches_are_checked_once_in_seventeen_calls() {
    let fake = Fake::new(accept);
    let policy = SpotChecked::new(fake.clone());
    for _ in 0..34 {
        ask(&policy, 1).unwrap();
    }
    let asked = fake.asked();
    let checks = asked
        .iter()
        .filter(|call| call.matches("10.0").count() == 2);
    assert_eq!((asked.len(), checks.count()), (36, 2));
}

#[test]
fn a_contradiction_withdraws_nothing_under_keep_last() {
    let honest = Fake::new(accept_with_endpoints_as_med);
    let mut bench = Bench::new(vec![honest.link("own", OnError::KeepLast)]);
    let (a, b) = (local("a", "10.0.0.1", 1), local("b", "10.0.0.2", 2));
    bench.upsert([a, b]);
    let cheat: Link = Link {
        module: "cheat".into(),
        policy: Arc::new(SpotChecked::new(Cheat(CHEATS[2].1))),
        ..honest.link("own", OnError::KeepLast)
    };
    let now = bench.now;
    assert_eq!(bench.exports.replace_chain(now, vec![cheat]), []);
    assert_eq!(bench.retry_after(Duration::from_secs(1)), [""; 0]);
    assert_eq!(bench.announced(), ["10.0.0.1/32", "10.0.0.2/32"]);
    let link = bench.exports.links().next().unwrap();
    assert_eq!(link.error.unwrap().kind(), "inconsistent");
    assert_eq!(link.failed(), 2);
}

proptest! {
    #[test]
    fn a_policy_that_keeps_its_promise_is_never_accused(
        sizes in proptest::collection::vec(0..=255u8, 1..40),
        rule in prop_oneof![
            Just(accept as super::fixture::Rule),
            Just(reject as super::fixture::Rule),
            Just(accept_with_endpoints_as_med as super::fixture::Rule),
        ],
    ) {
        let policy = SpotChecked::new(Fake::new(rule));
        for size in sizes {
            prop_assert_eq!(ask(&policy, size).map(|answer| answer.len()), Ok(size.into()));
        }
    }
}
