//! The checks of an answer about learned routes, one impossible answer each, and what a module is
//! not shown.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::wasm::bindings::rutter::policy::types::{self as wit, RouteAttributesResult};
use crate::wasm::{Engine, Module};

fn accept(attributes: Option<u32>) -> learn::Verdict {
    learn::Verdict::Accept(learn::Acceptance {
        attributes,
        installation: Some(learn::Installation::Keep),
    })
}

fn answer(verdict: learn::Verdict, sets: Vec<RouteAttributesResult>) -> Answer {
    Answer {
        decisions: vec![learn::Decision {
            verdict,
            reason: Some(0),
        }],
        attribute_sets: sets,
        reasons: vec!["because".into()],
    }
}

fn set(change: impl FnOnce(&mut RouteAttributesResult)) -> RouteAttributesResult {
    let mut set = RouteAttributesResult {
        med: None,
        local_pref: None,
        prepend: 0,
        next_hop: None,
        communities: Vec::new(),
        large_communities: Vec::new(),
        extended_communities: Vec::new(),
        link_bandwidth: None,
    };
    change(&mut set);
    set
}

/// The decision about 10.0.0.0/24.
fn lift_one(answer: Answer) -> Result<ImportDecision, String> {
    let path = Arc::new(LearnedPath {
        origin: PathOrigin::Igp,
        as_path: Vec::new(),
    });
    let route = ProposedImport {
        prefix: "10.0.0.0/24".parse().unwrap(),
        path: &path,
        attributes: &Arc::default(),
    };
    let decisions = lift(answer, &[route], Asn(64512), Reasons::Wanted);
    decisions.map(|mut decisions| decisions.remove(0))
}

#[test]
fn an_acceptance_comes_out_with_its_attributes_and_its_word_on_the_kernel() {
    let sets = vec![set(|set| set.local_pref = Some(200))];
    let expected = RouteAttributes {
        local_pref: Some(200),
        ..RouteAttributes::default()
    };
    assert_eq!(
        lift_one(answer(accept(Some(0)), sets)),
        Ok(ImportDecision {
            verdict: ImportVerdict::Accept(Acceptance {
                attributes: Some(Arc::new(expected)),
                installation: Some(Installation::Keep),
            }),
            reason: Some("because".into()),
        })
    );
}

#[test]
fn impossible_answers_are_refused_by_what_is_wrong_with_them() {
    let accept_with =
        |change: fn(&mut RouteAttributesResult)| answer(accept(Some(0)), vec![set(change)]);
    let mut two_decisions = answer(learn::Verdict::Reject, Vec::new());
    two_decisions.decisions.push(two_decisions.decisions[0]);
    let mut no_reason = answer(learn::Verdict::Reject, Vec::new());
    no_reason.reasons.clear();
    for (answer, why) in [
        (two_decisions, "2 decisions about 1 routes"),
        (no_reason, "10.0.0.0/24 gets reason 0 of 0"),
        (
            answer(accept(Some(1)), vec![set(|_| ())]),
            "10.0.0.0/24 gets attribute set 1 of 1",
        ),
        (
            answer(learn::Verdict::Reject, vec![set(|_| ()), set(|_| ())]),
            "2 attribute sets for 1 routes",
        ),
        (
            accept_with(|set| set.prepend = 17),
            "attribute set 0 has prepend 17, 16 is the most",
        ),
        (
            accept_with(|set| set.communities = (0..1025).collect()),
            "attribute set 0 has 1025 communities, 1024 are the most",
        ),
        (
            accept_with(|set| {
                set.next_hop = Some(wit::IpAddress::Ipv6((0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)));
            }),
            "10.0.0.0/24 gets the next hop 2001:db8::1, of the other address family",
        ),
        (
            accept_with(|set| set.next_hop = Some(wit::IpAddress::Ipv4((127, 0, 0, 1)))),
            "attribute set 0 has next hop 127.0.0.1, which no router can send to",
        ),
    ] {
        assert_eq!(lift_one(answer), Err(why.to_owned()));
    }
}

#[test]
fn as_many_communities_as_a_message_can_carry_may_stay_on_a_route() {
    let sets = vec![set(|set| set.communities = (0..1024).collect())];
    assert!(lift_one(answer(accept(Some(0)), sets)).is_ok());
}

#[test]
fn a_received_next_hop_that_no_answer_may_have_is_not_shown() {
    let prefix = "10.0.0.0/24".parse().unwrap();
    for (next_hop, is_shown) in [
        ("192.0.2.1", true),
        ("127.0.0.1", false),
        ("0.0.0.0", false),
        ("224.0.0.1", false),
        ("2001:db8::1", false),
    ] {
        let received = RouteAttributes {
            next_hop: Some(next_hop.parse().unwrap()),
            ..RouteAttributes::default()
        };
        assert_eq!(shown(prefix, &received).next_hop.is_some(), is_shown);
    }
}

#[test]
fn a_module_for_announced_routes_is_not_asked_about_learned_ones() {
    let engine = Engine::new().unwrap();
    let module = Module::builtin(&engine, "default").unwrap();
    let error = WasmImportPolicy::new(&module, &json!({}), Limits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "module `default` decides on announced routes and is asked about learned routes"
    );
}
