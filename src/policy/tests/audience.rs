//! Policies that decide for some peer groups only.

use super::fixture::{Bench, Fake, Fault, abstain, accept, pod, reject};
use crate::policy::{Link, OnError};

const NOTHING: [&str; 0] = [];

/// A chain of which the first link decides for `wan` only, towards `tor` (1) and `wan` (2).
fn bench(first: &Fake, second: &Fake) -> Bench {
    let mut bench = Bench::new(links(first, second, &["wan"]));
    bench.set_groups(&[(1, "tor"), (2, "wan")]);
    bench
}

fn links(first: &Fake, second: &Fake, groups: &[&str]) -> Vec<Link> {
    vec![
        first.link_for("first", groups),
        second.link("second", OnError::KeepLast),
    ]
}

#[test]
fn a_policy_is_asked_for_its_peer_groups_only() {
    let (first, second) = (Fake::new(reject), Fake::new(accept));
    let mut bench = bench(&first, &second);
    assert_eq!(bench.upsert([pod("10.1.0.0/24")]), ["1 +10.1.0.0/24"]);
    assert_eq!(first.asked(), ["wan: 10.1.0.0/24"]);
    assert_eq!(second.asked(), ["tor: 10.1.0.0/24"]);
}

#[test]
fn an_explanation_tells_which_policy_was_passed_over_and_why() {
    let (first, second) = (Fake::new(reject), Fake::new(accept));
    let mut bench = bench(&first, &second);
    bench.upsert([pod("10.1.0.0/24")]);
    let passed_over = "first not asked: it is for peer group wan only";
    assert_eq!(
        bench.steps(&pod("10.1.0.0/24")),
        [passed_over, "second accept: by rule"]
    );
    second.obey(abstain);
    bench.replace_chain(links(&first, &second, &["wan"]));
    assert_eq!(
        bench.steps(&pod("10.1.0.0/24")),
        [
            passed_over,
            "second abstain: by rule",
            "chain default reject: no policy decided about this route"
        ]
    );
}

#[test]
fn what_follows_a_reject_is_not_told_as_passed_over() {
    let (first, second) = (Fake::new(reject), Fake::new(accept));
    let mut bench = Bench::new(vec![
        first.link("first", OnError::KeepLast),
        second.link_for("second", &["wan"]),
    ]);
    bench.upsert([pod("10.1.0.0/24")]);
    assert_eq!(bench.steps(&pod("10.1.0.0/24")), ["first reject: by rule"]);
    first.obey(accept);
    bench.replace_chain(vec![
        first.link("first", OnError::KeepLast),
        second.link_for("second", &["wan", "lab"]),
    ]);
    assert_eq!(
        bench.steps(&pod("10.1.0.0/24")),
        [
            "first accept: by rule",
            "second not asked: it is for peer groups lab, wan only"
        ]
    );
}

#[test]
fn a_failure_concerns_the_peer_groups_of_the_policy_only() {
    let (first, second) = (Fake::new(abstain), Fake::new(accept));
    let mut bench = bench(&first, &second);
    bench.upsert([pod("10.1.0.0/24")]);
    first.fail(Fault::Trap);
    // It never decided about the new route, which keep-last rejects, for `wan` alone.
    assert_eq!(bench.upsert([pod("10.2.0.0/24")]), ["1 +10.2.0.0/24"]);
}

#[test]
fn a_policy_that_comes_to_a_group_and_fails_at_once_withdraws_nothing() {
    let (first, second) = (Fake::new(reject), Fake::new(accept));
    let mut bench = Bench::new(links(&first, &second, &["tor"]));
    assert_eq!(bench.upsert([pod("10.1.0.0/24")]), NOTHING);
    let away = links(&first, &second, &["wan"]);
    assert_eq!(bench.replace_chain(away), ["1 +10.1.0.0/24"]);
    first.fail(Fault::Trap);
    let back = links(&first, &second, &["tor"]);
    // What it said about them before is forgotten.
    assert_eq!(bench.replace_chain(back), NOTHING);
    let steps = bench.steps(&pod("10.1.0.0/24"));
    let kept = "first accept (kept): accepted by the policies that were in force before";
    assert_eq!(steps[0], kept);
}
