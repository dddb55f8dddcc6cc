//! The checks of an answer, one impossible answer each.

use std::sync::Arc;

use super::{pod_cidr, routes};
use crate::policy::{Decision, PolicyFailure, Reasons, Verdict};
use crate::types::{Asn, Community, ExtendedCommunity, LargeCommunity, RouteAttributes};
use crate::wasm::bindings::exports::rutter::policy::announce::{self, Answer};
use crate::wasm::bindings::rutter::policy::types::{self as wit, RouteAttributesResult};
use crate::wasm::lift;

fn accept_with(set: RouteAttributesResult) -> Answer {
    Answer {
        decisions: vec![announce::Decision {
            verdict: announce::Verdict::Accept(Some(0)),
            reason: Some(0),
        }],
        attribute_sets: vec![set],
        reasons: vec!["because".into()],
    }
}

fn nothing_set() -> RouteAttributesResult {
    RouteAttributesResult {
        med: None,
        local_pref: None,
        prepend: 0,
        next_hop: None,
        communities: Vec::new(),
        large_communities: Vec::new(),
        extended_communities: Vec::new(),
        link_bandwidth: None,
    }
}

/// The decision about 10.0.0.0/24.
fn lift_one(answer: Answer, wanted: Reasons) -> Result<Decision, PolicyFailure> {
    let candidates = [pod_cidr("10.0.0.0/24")];
    let attributes = Arc::default();
    lift::decisions(
        answer,
        &routes(&candidates, &attributes),
        Asn(64512),
        wanted,
    )
    .map(|mut decisions| decisions.remove(0))
}

#[track_caller]
fn check_refused(answer: Answer, why: &str) {
    assert_eq!(
        lift_one(answer, Reasons::Wanted),
        Err(PolicyFailure::BadAnswer(why.into()))
    );
}

#[test]
fn attributes_come_out_sorted_and_without_duplicates() {
    let large = |local_data2| wit::LargeCommunity {
        global_administrator: 64512,
        local_data1: 1,
        local_data2,
    };
    let answer = accept_with(RouteAttributesResult {
        med: Some(5),
        local_pref: Some(200),
        prepend: 16,
        next_hop: Some(wit::IpAddress::Ipv4((192, 0, 2, 1))),
        communities: vec![9, 3, 9],
        large_communities: vec![large(2), large(1)],
        extended_communities: vec![0x0003_0000_0000_0001],
        link_bandwidth: None,
    });
    let decision = lift_one(answer, Reasons::Wanted).unwrap();
    let large = |local_data_2| LargeCommunity {
        global_administrator: 64512,
        local_data_1: 1,
        local_data_2,
    };
    let expected = RouteAttributes {
        med: Some(5),
        local_pref: Some(200),
        prepend: 16,
        next_hop: Some("192.0.2.1".parse().unwrap()),
        communities: vec![Community(3), Community(9)],
        large_communities: vec![large(1), large(2)],
        extended_communities: vec![ExtendedCommunity([0, 3, 0, 0, 0, 0, 0, 1])],
    };
    assert_eq!(decision.verdict, Verdict::Accept(Some(Arc::new(expected))));
    assert_eq!(decision.reason.as_deref(), Some("because"));
}

#[test]
fn a_reason_nobody_wants_is_dropped() {
    let decision = lift_one(accept_with(nothing_set()), Reasons::Unwanted).unwrap();
    assert_eq!(decision.reason, None);
}

#[test]
fn a_reason_cannot_drive_a_terminal() {
    let mut answer = accept_with(nothing_set());
    answer.reasons = vec!["\x1b[2Jgone\nnext".into()];
    let decision = lift_one(answer, Reasons::Wanted).unwrap();
    assert_eq!(decision.reason.as_deref(), Some(" [2Jgone next"));
}

#[test]
fn too_many_decisions_are_refused() {
    let mut answer = accept_with(nothing_set());
    answer.decisions.push(answer.decisions[0]);
    check_refused(answer, "2 decisions about 1 candidates");
}

#[test]
fn more_table_entries_than_candidates_are_refused() {
    let mut answer = accept_with(nothing_set());
    answer.attribute_sets.push(nothing_set());
    check_refused(answer, "2 attribute sets for 1 candidates");
    let mut answer = accept_with(nothing_set());
    answer.reasons.push(String::new());
    check_refused(answer, "2 reasons for 1 candidates");
}

#[test]
fn an_index_just_past_its_table_is_refused() {
    let mut answer = accept_with(nothing_set());
    answer.decisions[0].verdict = announce::Verdict::Accept(Some(1));
    check_refused(answer, "10.0.0.0/24 gets attribute set 1 of 1");
    let mut answer = accept_with(nothing_set());
    answer.decisions[0].reason = Some(u32::MAX);
    check_refused(answer, "10.0.0.0/24 gets reason 4294967295 of 1");
}

#[test]
fn a_reason_that_is_no_sentence_is_refused() {
    let mut answer = accept_with(nothing_set());
    answer.reasons = vec!["x".repeat(1025)];
    check_refused(answer, "reason 0 has 1025 bytes, 1024 are allowed");
    let mut answer = accept_with(nothing_set());
    answer.reasons = vec!["x".repeat(1024)];
    let decision = lift_one(answer, Reasons::Wanted).unwrap();
    assert_eq!(decision.reason.map(|words| words.len()), Some(1024));
}

#[test]
fn a_prepend_above_16_is_refused() {
    let set = RouteAttributesResult {
        prepend: 17,
        ..nothing_set()
    };
    check_refused(
        accept_with(set),
        "attribute set 0 has prepend 17, 16 is the most",
    );
}

#[test]
fn more_than_64_communities_are_refused() {
    let set = RouteAttributesResult {
        communities: (0..65).collect(),
        ..nothing_set()
    };
    check_refused(
        accept_with(set),
        "attribute set 0 has 65 communities, 64 are the most",
    );
    let set = RouteAttributesResult {
        extended_communities: (0..65).collect(),
        ..nothing_set()
    };
    check_refused(
        accept_with(set),
        "attribute set 0 has 65 extended communities, 64 are the most",
    );
}

#[test]
fn a_next_hop_of_the_other_family_is_refused() {
    let set = RouteAttributesResult {
        next_hop: Some(wit::IpAddress::Ipv6((0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
        ..nothing_set()
    };
    check_refused(
        accept_with(set),
        "10.0.0.0/24 gets the next hop 2001:db8::1, of the other address family",
    );
}

#[test]
fn a_next_hop_no_router_can_send_to_is_refused() {
    for octets in [(0, 0, 0, 0), (127, 0, 0, 1), (224, 0, 0, 5)] {
        let set = RouteAttributesResult {
            next_hop: Some(wit::IpAddress::Ipv4(octets)),
            ..nothing_set()
        };
        let Err(PolicyFailure::BadAnswer(why)) = lift_one(accept_with(set), Reasons::Wanted) else {
            panic!("{octets:?} is no next hop");
        };
        assert!(why.ends_with("which no router can send to"), "{why}");
    }
}

#[test]
fn a_link_bandwidth_becomes_the_one_community_of_its_kind() {
    let answer = accept_with(RouteAttributesResult {
        extended_communities: vec![0x0004_0001_0000_0005, 0x0002_FC00_0000_0001],
        link_bandwidth: Some(wit::LinkBandwidth {
            bytes_per_second: 1_000_000,
            transitive: false,
        }),
        ..nothing_set()
    });
    let Verdict::Accept(Some(set)) = lift_one(answer, Reasons::Wanted).unwrap().verdict else {
        panic!("not accepted with attributes");
    };
    let octets = [0x0002_FC00_0000_0001_u64, 0x4004_FC00_4974_2400];
    let expected = octets.map(|octets| ExtendedCommunity(octets.to_be_bytes()));
    assert_eq!(set.extended_communities, expected);
}

#[test]
fn a_link_bandwidth_of_nothing_is_refused() {
    let answer = accept_with(RouteAttributesResult {
        link_bandwidth: Some(wit::LinkBandwidth {
            bytes_per_second: 0,
            transitive: true,
        }),
        ..nothing_set()
    });
    check_refused(
        answer,
        "attribute set 0 has a link bandwidth of 0, by which nothing would be sent",
    );
}
