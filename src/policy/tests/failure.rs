//! What stands while a policy fails, one test for each rule.

use std::net::IpAddr;
use std::time::Duration;

use super::fixture::{
    Bench, Fake, Fault, abstain, accept, accept_with_endpoints, accept_with_endpoints_as_med,
    local, node, pod, reject, served, service, text,
};
use crate::facts::TrafficPolicy;
use crate::policy::{OnError, PolicyFailure};
use crate::types::RouteAttributes;

const NOTHING: [&str; 0] = [];
const SECOND: Duration = Duration::from_secs(1);

/// One link with this on-error, which has accepted a Local Service with one endpoint.
fn accepted(on_error: OnError) -> (Bench, Fake) {
    let fake = Fake::new(accept_with_endpoints);
    let mut bench = Bench::new(vec![fake.link("only", on_error)]);
    assert_eq!(
        bench.upsert([local("a", "10.0.0.1", 1)]),
        ["1 +10.0.0.1/32"]
    );
    fake.asked();
    (bench, fake)
}

#[test]
fn keep_last_keeps_what_was_decided_and_rejects_what_never_was() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    let b = local("b", "10.0.0.2", 1);
    assert_eq!(
        bench.upsert([local("a", "10.0.0.1", 2), b.clone()]),
        NOTHING
    );
    assert_eq!(bench.announced(), ["10.0.0.1/32"]);
    assert_eq!(
        bench.steps(&local("a", "10.0.0.1", 2)),
        ["only accept (kept): by rule"]
    );
    assert_eq!(
        bench.steps(&b),
        [
            "only reject: only is failing and has never decided about this route: \
             the module trapped: unreachable"
        ]
    );
}

#[test]
fn a_kept_step_is_marked_even_where_nothing_was_asked() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    bench.upsert([local("b", "10.0.0.2", 1)]);
    assert_eq!(fake.asked(), ["tor: 10.0.0.2/32"]);
    assert_eq!(
        bench.steps(&local("a", "10.0.0.1", 1)),
        ["only accept (kept): by rule"]
    );
}

#[test]
fn keep_last_keeps_rejections_and_abstentions_too() {
    let (first, second) = (Fake::new(accept_with_endpoints), Fake::new(accept));
    let mut bench = Bench::new(vec![
        first.link("first", OnError::KeepLast),
        second.link("second", OnError::KeepLast),
    ]);
    let (rejected, abstained) = (local("a", "10.0.0.1", 0), pod("10.1.0.0/24"));
    bench.upsert([rejected.clone(), abstained.clone()]);
    first.fail(Fault::Trap);
    let changed = local("a", "10.0.0.1", 1);
    assert_eq!(bench.upsert([changed]), NOTHING);
    assert_eq!(bench.steps(&rejected), ["first reject (kept): by rule"]);
    assert_eq!(
        bench.steps(&abstained),
        ["first abstain (kept): by rule", "second accept: by rule"]
    );
}

#[test]
fn withdraw_takes_back_every_route_of_the_failing_policy() {
    let (mut bench, fake) = accepted(OnError::Withdraw);
    fake.fail(Fault::Trap);
    // Only the new candidate was asked about, yet on-error speaks about all.
    assert_eq!(
        bench.upsert([local("b", "10.0.0.2", 1)]),
        ["1 -10.0.0.1/32"]
    );
    assert_eq!(
        bench.steps(&local("a", "10.0.0.1", 1)),
        [
            "only reject: only is failing and its routes are withdrawn: \
             the module trapped: unreachable"
        ]
    );
}

#[test]
fn skip_leaves_every_route_to_the_rest_of_the_chain() {
    let (first, second) = (Fake::new(reject), Fake::new(accept));
    let mut bench = Bench::new(vec![
        first.link("first", OnError::Skip),
        second.link("second", OnError::KeepLast),
    ]);
    assert_eq!(bench.upsert([pod("10.1.0.0/24")]), NOTHING);
    first.fail(Fault::Trap);
    let changes = bench.upsert([pod("10.2.0.0/24")]);
    assert_eq!(changes, ["1 +10.1.0.0/24", "1 +10.2.0.0/24"]);
    assert_eq!(
        bench.steps(&pod("10.1.0.0/24")),
        [
            "first abstain: first is failing and skipped: the module trapped: unreachable",
            "second accept: by rule"
        ]
    );
}

#[test]
fn a_removed_candidate_is_withdrawn_while_its_policy_fails() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    bench.upsert([local("b", "10.0.0.2", 1)]);
    let changes = bench.remove(&local("a", "10.0.0.1", 1));
    assert_eq!(changes, ["1 -10.0.0.1/32"]);
}

#[test]
fn a_candidate_that_comes_back_has_no_decision_to_keep() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    let a = local("a", "10.0.0.1", 1);
    bench.remove(&a);
    assert_eq!(bench.upsert([a]), NOTHING);
    assert_eq!(bench.announced(), NOTHING);
}

#[test]
fn a_local_service_that_lost_its_last_endpoint_is_withdrawn_while_its_policy_fails() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    let gone = local("a", "10.0.0.1", 0);
    assert_eq!(bench.upsert([gone.clone()]), ["1 -10.0.0.1/32"]);
    assert_eq!(
        bench.steps(&gone),
        [
            "only reject: only is failing, and the node no longer answers for this address, as it \
             did when it decided: the module trapped: unreachable"
        ]
    );
    // The decision holds again as soon as what it rested on is back.
    assert_eq!(
        bench.upsert([local("a", "10.0.0.1", 1)]),
        ["1 +10.0.0.1/32"]
    );
}

#[test]
fn endpoints_of_the_other_family_do_not_hold_a_kept_decision() {
    let fake = Fake::new(accept);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    let ipv6 = |ready: u32| {
        let mut candidate = local("a", "fd00::1", 7);
        let service = candidate.service.as_mut().unwrap();
        let service = std::sync::Arc::make_mut(service);
        service.node_endpoints.ipv6.ready = ready;
        service.cluster_endpoints.ipv6.ready = ready;
        served(candidate)
    };
    bench.upsert([ipv6(1)]);
    fake.fail(Fault::Trap);
    assert_eq!(bench.upsert([ipv6(0)]), ["1 -fd00::1/128"]);
}

#[test]
fn a_cluster_service_keeps_its_decision_without_endpoints_here() {
    let fake = Fake::new(accept);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    let cluster = |usable| service("a", "10.0.0.1", TrafficPolicy::Cluster, usable);
    bench.upsert([cluster(1)]);
    fake.fail(Fault::Trap);
    assert_eq!(bench.upsert([cluster(0)]), NOTHING);
    assert_eq!(bench.announced(), ["10.0.0.1/32"]);
}

#[test]
fn a_kept_abstention_does_not_fall_with_an_endpoint() {
    let (first, second) = (Fake::new(abstain), Fake::new(accept));
    let mut bench = Bench::new(vec![
        first.link("first", OnError::KeepLast),
        second.link("second", OnError::KeepLast),
    ]);
    bench.upsert([local("a", "10.0.0.1", 1)]);
    first.fail(Fault::Trap);
    // The second is well, and may announce what it likes.
    assert_eq!(bench.upsert([local("a", "10.0.0.1", 0)]), NOTHING);
    assert_eq!(bench.announced(), ["10.0.0.1/32"]);
}

#[test]
fn an_acceptance_that_never_rested_on_an_endpoint_is_kept_without_one() {
    let fake = Fake::new(accept);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    bench.upsert([local("a", "10.0.0.1", 0)]);
    fake.fail(Fault::Trap);
    assert_eq!(bench.upsert([pod("10.1.0.0/24")]), NOTHING);
    assert_eq!(bench.announced(), ["10.0.0.1/32"]);
}

#[test]
fn a_kept_decision_keeps_its_attributes() {
    let fake = Fake::new(accept_with_endpoints_as_med);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    assert_eq!(
        bench.upsert([local("a", "10.0.0.1", 5)]),
        ["1 +10.0.0.1/32 med=5"]
    );
    fake.fail(Fault::Trap);
    assert_eq!(bench.upsert([local("a", "10.0.0.1", 6)]), NOTHING);
    fake.fail(None);
    assert_eq!(bench.retry_after(SECOND), ["1 +10.0.0.1/32 med=6"]);
}

#[test]
fn a_failing_policy_is_not_asked_before_its_time() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    bench.upsert([local("b", "10.0.0.2", 1)]);
    assert_eq!(fake.asked().len(), 1);
    fake.fail(None);
    bench.now += SECOND / 2;
    bench.upsert([local("c", "10.0.0.3", 1)]);
    bench
        .exports
        .update(bench.now, Some(node("new")), Vec::new());
    bench.retry_after(Duration::ZERO);
    assert_eq!(fake.asked(), NOTHING);
}

#[test]
fn when_its_time_has_come_everything_is_asked_again_and_success_clears() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    bench.upsert([local("a", "10.0.0.1", 0), local("b", "10.0.0.2", 1)]);
    fake.fail(None);
    fake.asked();
    assert_eq!(bench.retry_after(SECOND), ["1 +10.0.0.2/32"]);
    assert_eq!(fake.asked(), ["tor: 10.0.0.1/32 10.0.0.2/32"]);
    assert_eq!(
        bench.steps(&local("b", "10.0.0.2", 1)),
        ["only accept: by rule"]
    );
    assert_eq!(bench.exports.retry_at(), None);
    let link = bench.exports.links().next().unwrap();
    assert_eq!((link.error, link.failures), (None, 1));
}

#[test]
fn a_change_after_the_time_has_come_serves_as_the_retry() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    bench.upsert([local("b", "10.0.0.2", 1)]);
    fake.fail(None);
    fake.asked();
    bench.now += SECOND;
    assert_eq!(
        bench.upsert([local("c", "10.0.0.3", 1)]),
        ["1 +10.0.0.2/32", "1 +10.0.0.3/32"]
    );
    assert_eq!(fake.asked(), ["tor: 10.0.0.1/32 10.0.0.2/32 10.0.0.3/32"]);
}

#[test]
fn the_pause_doubles_from_a_second_to_a_minute_and_starts_over_after_success() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    bench.upsert([local("b", "10.0.0.2", 1)]);
    let pauses: Vec<u64> = (0..9).map(|_| bench.retry_when_due().0.as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(bench.exports.links().next().unwrap().failures, 10);
    fake.fail(None);
    assert_eq!(bench.retry_when_due().1, ["1 +10.0.0.2/32"]);
    fake.fail(Fault::Trap);
    bench.upsert([local("c", "10.0.0.3", 1)]);
    assert_eq!(bench.retry_when_due().0, SECOND);
}

#[test]
fn status_names_the_link_its_failure_and_the_time_of_the_retry() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    bench.upsert([local("b", "10.0.0.2", 1)]);
    let link = bench.exports.links().next().unwrap();
    assert_eq!((link.name, link.module), ("only", "fake:only"));
    assert_eq!(link.on_error, OnError::KeepLast);
    assert_eq!(link.error, Some(&PolicyFailure::Trap("unreachable".into())));
    assert_eq!(link.failures, 1);
    assert_eq!(link.retry_at, Some(bench.now + SECOND));
    assert_eq!(bench.exports.retry_at(), link.retry_at);
}

/// What the only link is failing with, after `fault` met two candidates.
fn failure_of(fault: Fault) -> String {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(fault);
    let changes = bench.upsert([local("a", "10.0.0.1", 2), local("b", "10.0.0.2", 1)]);
    assert_eq!(changes, NOTHING);
    assert_eq!(bench.announced(), ["10.0.0.1/32"]);
    let link = bench.exports.links().next().unwrap();
    link.error.unwrap().to_string()
}

#[test]
fn an_answer_of_the_wrong_length_is_a_failure() {
    assert_eq!(
        failure_of(Fault::TooFew),
        "the module's answer is unusable: 1 decisions for 2 candidates"
    );
}

#[test]
fn impossible_attributes_are_a_failure() {
    let prepend = RouteAttributes {
        prepend: 17,
        ..RouteAttributes::default()
    };
    assert_eq!(
        failure_of(Fault::Attributes(prepend)),
        "the module's answer is unusable: 10.0.0.1/32 with 17 prepended AS numbers, \
         at most 16 are possible"
    );
    for next_hop in ["fd00::1", "0.0.0.0", "224.0.0.1"] {
        let address: IpAddr = next_hop.parse().unwrap();
        let attributes = RouteAttributes {
            next_hop: Some(address),
            ..RouteAttributes::default()
        };
        assert_eq!(
            failure_of(Fault::Attributes(attributes)),
            format!(
                "the module's answer is unusable: 10.0.0.1/32 with next hop {next_hop}, \
                 which is no next hop for ipv4-unicast"
            )
        );
    }
}

#[test]
fn the_rest_of_the_chain_goes_on_beside_a_failing_link() {
    let (first, second) = (Fake::new(abstain), Fake::new(accept_with_endpoints));
    let mut bench = Bench::new(vec![
        first.link("first", OnError::Skip),
        second.link("second", OnError::KeepLast),
    ]);
    first.fail(Fault::Trap);
    assert_eq!(
        bench.upsert([local("a", "10.0.0.1", 1)]),
        ["1 +10.0.0.1/32"]
    );
    assert_eq!(
        bench.upsert([local("a", "10.0.0.1", 0)]),
        ["1 -10.0.0.1/32"]
    );
}

#[test]
fn a_group_added_while_a_policy_fails_has_nothing_to_keep() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    bench.upsert([local("b", "10.0.0.2", 1)]);
    assert_eq!(bench.set_groups(&[(1, "tor"), (2, "wan")]), NOTHING);
    fake.fail(None);
    assert_eq!(
        bench.retry_after(SECOND),
        ["1 +10.0.0.2/32", "2 +10.0.0.1/32", "2 +10.0.0.2/32"]
    );
}

#[test]
fn a_group_whose_facts_change_while_a_policy_fails_keeps_its_decisions() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    assert_eq!(bench.set_groups(&[(1, "renamed")]), NOTHING);
    assert_eq!(bench.announced(), ["10.0.0.1/32"]);
}

#[test]
fn a_policy_that_fails_for_one_group_is_failing_for_all() {
    let (mut bench, fake) = accepted(OnError::Withdraw);
    assert_eq!(
        bench.set_groups(&[(1, "tor"), (2, "wan")]),
        ["2 +10.0.0.1/32"]
    );
    fake.fail(Fault::TrapFor("wan"));
    let changes = bench.upsert([local("b", "10.0.0.2", 1)]);
    assert_eq!(changes, ["1 -10.0.0.1/32", "2 -10.0.0.1/32"]);
    // Its answer for the first group does not count as success: the pause keeps doubling.
    let pauses: Vec<_> = (0..3).map(|_| bench.retry_when_due()).collect();
    let expected = [1, 2, 4].map(|seconds| (Duration::from_secs(seconds), Vec::new()));
    assert_eq!(pauses, expected);
}

#[test]
fn keep_last_keeps_fresh_answers_of_other_groups_of_the_same_round() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    bench.set_groups(&[(1, "tor"), (2, "wan")]);
    fake.fail(Fault::TrapFor("wan"));
    assert_eq!(
        bench.upsert([local("b", "10.0.0.2", 1)]),
        ["1 +10.0.0.2/32"]
    );
}

#[test]
fn a_retry_with_nothing_left_to_ask_ends_the_failure() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    bench.upsert([local("a", "10.0.0.1", 2)]);
    bench.remove(&local("a", "10.0.0.1", 2));
    bench.retry_when_due();
    assert_eq!(bench.exports.retry_at(), None);
}

#[test]
fn node_facts_that_change_while_a_policy_fails_withdraw_nothing() {
    let (mut bench, fake) = accepted(OnError::KeepLast);
    fake.fail(Fault::Trap);
    let changes = bench
        .exports
        .update(bench.now, Some(node("new")), Vec::new());
    assert_eq!(text(&changes), NOTHING);
    assert_eq!(bench.announced(), ["10.0.0.1/32"]);
}
