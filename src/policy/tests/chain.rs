//! What is asked of whom, and what is announced of the answers, while nothing fails.

use super::fixture::{
    Bench, Fake, Fault, abstain, accept, accept_with_endpoints, accept_with_endpoints_as_med,
    local, node, pod, service, text, with_med,
};
use crate::candidates::{Candidate, CandidateChange, CandidateKey, Origin};
use crate::facts::TrafficPolicy;
use crate::policy::{Batch, ChainDefault, OnError, Verdict};
use crate::types::{Asn, GroupId};

const NOTHING: [&str; 0] = [];

#[test]
fn each_link_is_asked_once_and_only_about_what_none_before_it_rejected() {
    let (first, second) = (Fake::new(accept_with_endpoints), Fake::new(abstain));
    let mut bench = Bench::new(vec![
        first.link("first", OnError::KeepLast),
        second.link("second", OnError::KeepLast),
    ]);
    let candidates = [
        pod("10.1.0.0/24"),
        local("a", "10.0.0.1", 1),
        local("b", "10.0.0.2", 0),
    ];
    assert_eq!(bench.upsert(candidates.clone()), ["1 +10.0.0.1/32"]);
    assert_eq!(first.asked(), ["tor: 10.0.0.1/32 10.0.0.2/32 10.1.0.0/24"]);
    assert_eq!(second.asked(), ["tor: 10.0.0.1/32 10.1.0.0/24"]);
    assert_eq!(
        bench.steps(&candidates[1]),
        ["first accept: by rule", "second abstain: by rule"]
    );
    assert_eq!(bench.steps(&candidates[2]), ["first reject: by rule"]);
}

#[test]
fn a_later_reject_outranks_an_earlier_accept() {
    let (first, second) = (Fake::new(accept), Fake::new(accept_with_endpoints));
    let mut bench = Bench::new(vec![
        first.link("first", OnError::KeepLast),
        second.link("second", OnError::KeepLast),
    ]);
    let candidates = [local("a", "10.0.0.1", 1), local("b", "10.0.0.2", 0)];
    assert_eq!(bench.upsert(candidates.clone()), ["1 +10.0.0.1/32"]);
    assert_eq!(
        bench.steps(&candidates[1]),
        ["first accept: by rule", "second reject: by rule"]
    );
}

/// Accepts with the proposed MED and one more.
fn raise_med(batch: &Batch<'_>, candidate: &Candidate) -> Verdict {
    let mut routes = batch.candidates.iter();
    let proposed = routes.find(|route| route.candidate == candidate);
    let med = proposed.and_then(|route| route.attributes.med);
    Verdict::Accept(Some(with_med(med.unwrap_or(0) + 1)))
}

#[test]
fn what_a_link_accepts_with_is_proposed_to_the_next() {
    let fakes = [endpoints_as_med(), Fake::new(raise_med), Fake::new(abstain)];
    let links = fakes.iter().zip(["first", "second", "third"]);
    let links = links.map(|(fake, name)| fake.link(name, OnError::KeepLast));
    let mut bench = Bench::new(links.collect());
    let candidate = local("a", "10.0.0.1", 7);
    bench.upsert([candidate.clone()]);
    let outcome = bench.exports.outcome(GroupId(1), &candidate.key).unwrap();
    assert_eq!(outcome.accepted, Some(with_med(8)));
}

#[test]
fn the_next_link_is_proposed_what_a_failing_one_accepted_last() {
    let (first, second) = (endpoints_as_med(), Fake::new(raise_med));
    let mut bench = Bench::new(vec![
        first.link("first", OnError::KeepLast),
        second.link("second", OnError::KeepLast),
    ]);
    bench.upsert([local("a", "10.0.0.1", 7)]);
    first.fail(Fault::Trap);
    let candidate = local("a", "10.0.0.1", 9);
    bench.upsert([candidate.clone()]);
    let outcome = bench.exports.outcome(GroupId(1), &candidate.key).unwrap();
    assert_eq!(outcome.accepted, Some(with_med(8)));
}

fn endpoints_as_med() -> Fake {
    Fake::new(accept_with_endpoints_as_med)
}

#[test]
fn a_candidate_that_nobody_decides_about_is_rejected_by_the_chain_default() {
    let fake = Fake::new(abstain);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    assert_eq!(bench.upsert([pod("10.1.0.0/24")]), NOTHING);
    assert_eq!(
        bench.steps(&pod("10.1.0.0/24")),
        [
            "only abstain: by rule",
            "chain default reject: no policy decided about this route"
        ]
    );
}

#[test]
fn a_chain_that_ends_in_accept_announces_what_nobody_rejected() {
    let fake = Fake::new(accept_with_endpoints);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    let candidates = [pod("10.1.0.0/24"), local("a", "10.0.0.1", 0)];
    assert_eq!(bench.upsert(candidates.clone()), NOTHING);
    assert_eq!(bench.set_default(ChainDefault::Accept), ["1 +10.1.0.0/24"]);
    assert_eq!(
        bench.steps(&candidates[0]),
        [
            "only abstain: by rule",
            "chain default accept: no policy decided about this route"
        ]
    );
    assert_eq!(bench.steps(&candidates[1]), ["only reject: by rule"]);
    assert_eq!(bench.set_default(ChainDefault::Reject), ["1 -10.1.0.0/24"]);
}

#[test]
fn no_default_announces_anything_without_a_node() {
    let mut bench = Bench::new(Vec::new());
    bench.set_default(ChainDefault::Accept);
    assert_eq!(bench.upsert([pod("10.1.0.0/24")]), ["1 +10.1.0.0/24"]);
    let changes = bench.exports.update(bench.now, None, Vec::new());
    assert_eq!(text(&changes), ["1 -10.1.0.0/24"]);
}

#[test]
fn an_empty_chain_announces_nothing() {
    let mut bench = Bench::new(Vec::new());
    assert_eq!(bench.upsert([pod("10.1.0.0/24")]), NOTHING);
    assert_eq!(bench.announced(), NOTHING);
}

#[test]
fn one_service_change_asks_about_that_service_only() {
    let fake = Fake::new(accept_with_endpoints);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    bench.upsert([local("a", "10.0.0.1", 1), local("b", "10.0.0.2", 1)]);
    fake.asked();
    assert_eq!(
        bench.upsert([local("b", "10.0.0.2", 0)]),
        ["1 -10.0.0.2/32"]
    );
    assert_eq!(fake.asked(), ["tor: 10.0.0.2/32"]);
}

#[test]
fn a_candidate_given_again_unchanged_asks_nobody() {
    let fake = Fake::new(accept);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    bench.upsert([local("a", "10.0.0.1", 1)]);
    fake.asked();
    assert_eq!(bench.upsert([local("a", "10.0.0.1", 1)]), NOTHING);
    assert_eq!(fake.asked(), NOTHING);
}

#[test]
fn a_new_decision_with_equal_attributes_is_no_change() {
    let fake = Fake::new(accept_with_endpoints_as_med);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    let before = service("a", "10.0.0.1", TrafficPolicy::Local, 2);
    let after = service("a", "10.0.0.1", TrafficPolicy::Cluster, 2);
    assert_eq!(bench.upsert([before]), ["1 +10.0.0.1/32 med=2"]);
    assert_eq!(bench.upsert([after]), NOTHING);
    let more = service("a", "10.0.0.1", TrafficPolicy::Cluster, 3);
    assert_eq!(bench.upsert([more]), ["1 +10.0.0.1/32 med=3"]);
}

#[test]
fn a_shared_prefix_is_withdrawn_with_its_last_accepted_candidate() {
    let fake = Fake::new(accept_with_endpoints_as_med);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    let (a, b) = (local("a", "10.0.0.1", 5), local("b", "10.0.0.1", 6));
    assert_eq!(bench.upsert([b.clone()]), ["1 +10.0.0.1/32 med=6"]);
    // The first in key order gives the attributes, whichever came first.
    assert_eq!(bench.upsert([a.clone()]), ["1 +10.0.0.1/32 med=5"]);
    assert_eq!(bench.remove(&a), ["1 +10.0.0.1/32 med=6"]);
    assert_eq!(bench.remove(&b), ["1 -10.0.0.1/32"]);
    assert_eq!(bench.announced(), NOTHING);
}

#[test]
fn a_rejected_candidate_leaves_its_prefix_to_the_next_one() {
    let fake = Fake::new(accept_with_endpoints);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    let (a, b) = (local("a", "10.0.0.1", 0), local("b", "10.0.0.1", 1));
    assert_eq!(bench.upsert([a, b.clone()]), ["1 +10.0.0.1/32"]);
    assert_eq!(bench.remove(&b), ["1 -10.0.0.1/32"]);
}

#[test]
fn an_address_that_moves_between_services_in_one_step_is_no_change() {
    let fake = Fake::new(accept);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    let (a, b) = (local("a", "10.0.0.1", 1), local("b", "10.0.0.1", 1));
    bench.upsert([a.clone()]);
    let step = vec![CandidateChange::Removed(a.key), CandidateChange::Upsert(b)];
    assert_eq!(bench.update(step), NOTHING);
}

#[test]
fn the_last_of_several_changes_of_one_key_counts() {
    let fake = Fake::new(accept);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    let a = pod("10.1.0.0/24");
    let upsert = || CandidateChange::Upsert(a.clone());
    let removed = || CandidateChange::Removed(a.key.clone());
    assert_eq!(bench.update(vec![upsert(), removed()]), NOTHING);
    assert_eq!(fake.asked(), NOTHING);
    assert_eq!(bench.update(vec![removed(), upsert()]), ["1 +10.1.0.0/24"]);
    assert_eq!(bench.update(vec![removed(), upsert()]), NOTHING);
    assert_eq!(bench.update(vec![removed(), removed()]), ["1 -10.1.0.0/24"]);
}

fn by_node_label(batch: &Batch<'_>, _: &Candidate) -> Verdict {
    if batch.node.labels["label"] == "drained" {
        Verdict::Reject
    } else {
        Verdict::Accept(None)
    }
}

#[test]
fn changed_node_facts_and_candidates_are_one_evaluation_of_everything() {
    let fake = Fake::new(by_node_label);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    bench.upsert([local("a", "10.0.0.1", 1)]);
    fake.asked();
    let upsert = vec![CandidateChange::Upsert(local("b", "10.0.0.2", 1))];
    let changes = bench
        .exports
        .update(bench.now, Some(node("drained")), upsert);
    assert_eq!(text(&changes), ["1 -10.0.0.1/32"]);
    assert_eq!(fake.asked(), ["tor: 10.0.0.1/32 10.0.0.2/32"]);
}

#[test]
fn equal_node_facts_evaluate_nothing() {
    let fake = Fake::new(accept);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    bench.upsert([local("a", "10.0.0.1", 1)]);
    fake.asked();
    assert_eq!(bench.update(Vec::new()), NOTHING);
    assert_eq!(fake.asked(), NOTHING);
}

#[test]
fn nothing_is_announced_from_a_node_that_is_not_known() {
    let fake = Fake::new(accept);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    let a = local("a", "10.0.0.1", 1);
    bench.upsert([a.clone()]);
    fake.asked();
    let changes = bench.exports.update(bench.now, None, Vec::new());
    assert_eq!(text(&changes), ["1 -10.0.0.1/32"]);
    assert_eq!(fake.asked(), NOTHING);
    assert_eq!(
        bench.steps(&a),
        ["own node reject: the Node object of this node is not known"]
    );
    assert_eq!(bench.update(Vec::new()), ["1 +10.0.0.1/32"]);
}

fn tor_only(batch: &Batch<'_>, _: &Candidate) -> Verdict {
    if batch.peer_group.name == "tor" {
        Verdict::Accept(None)
    } else {
        Verdict::Reject
    }
}

#[test]
fn each_group_has_its_own_decisions_in_order_of_group_then_prefix() {
    let fake = Fake::new(tor_only);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    bench.set_groups(&[(3, "tor"), (2, "wan"), (1, "tor")]);
    let changes = bench.upsert([pod("10.2.0.0/24"), pod("10.1.0.0/24")]);
    assert_eq!(
        changes,
        [
            "1 +10.1.0.0/24",
            "1 +10.2.0.0/24",
            "3 +10.1.0.0/24",
            "3 +10.2.0.0/24"
        ]
    );
    assert_eq!(bench.exports.outcomes(GroupId(2)).count(), 2);
}

#[test]
fn a_group_that_comes_changes_or_goes_concerns_that_group_only() {
    let fake = Fake::new(tor_only);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    bench.upsert([pod("10.1.0.0/24")]);
    fake.asked();
    let changes = bench.set_groups(&[(1, "tor"), (2, "tor")]);
    assert_eq!(changes, ["2 +10.1.0.0/24"]);
    assert_eq!(fake.asked(), ["tor: 10.1.0.0/24"]);
    let changes = bench.set_groups(&[(1, "tor"), (2, "wan")]);
    assert_eq!(changes, ["2 -10.1.0.0/24"]);
    assert_eq!(fake.asked(), ["wan: 10.1.0.0/24"]);
    assert_eq!(bench.set_groups(&[(2, "wan")]), ["1 -10.1.0.0/24"]);
    assert_eq!(fake.asked(), NOTHING);
    assert_eq!(bench.exports.outcomes(GroupId(1)).count(), 0);
}

#[test]
fn a_group_id_used_again_starts_with_nothing() {
    let fake = Fake::new(tor_only);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    bench.upsert([pod("10.1.0.0/24")]);
    assert_eq!(bench.set_groups(&[]), ["1 -10.1.0.0/24"]);
    assert_eq!(bench.set_groups(&[(1, "tor")]), ["1 +10.1.0.0/24"]);
}

fn private_asn_only(batch: &Batch<'_>, _: &Candidate) -> Verdict {
    if batch.asn == Asn(64512) {
        Verdict::Accept(None)
    } else {
        Verdict::Reject
    }
}

#[test]
fn another_as_of_our_own_evaluates_everything() {
    let fake = Fake::new(private_asn_only);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    bench.upsert([pod("10.1.0.0/24")]);
    fake.asked();
    assert_eq!(bench.exports.set_asn(bench.now, Asn(64512)), []);
    assert_eq!(fake.asked(), NOTHING);
    let changes = bench.exports.set_asn(bench.now, Asn(64513));
    assert_eq!(text(&changes), ["1 -10.1.0.0/24"]);
}

#[test]
fn no_origin_sorts_before_a_pod_cidr() {
    // What the search for a prefix's first candidate starts from.
    let prefix = "10.0.0.1".parse().unwrap();
    let least = CandidateKey {
        prefix,
        origin: Origin::PodCidr,
    };
    let range = Origin::ServiceCidr {
        addresses: crate::candidates::AddressKind::ClusterIp,
    };
    assert!(
        least
            < CandidateKey {
                prefix,
                origin: range
            }
    );
    assert!(least < local("", "10.0.0.1", 0).key);
}
