//! Peer groups that come, change and go: what their peers keep on the way.

use std::collections::BTreeMap;

use super::fixture::{
    Bench, Fake, Fault, abstain, accept, accept_with_endpoints_as_med, groups, local, pod, text,
};
use crate::policy::{OnError, PeerGroups};
use crate::types::GroupId;

const NOTHING: [&str; 0] = [];

/// Group 1, `tor`, with one route of MED 1.
fn bench(fake: &Fake) -> Bench {
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    assert_eq!(
        bench.upsert([local("a", "10.0.0.1", 1)]),
        ["1 +10.0.0.1/32 med=1"]
    );
    bench
}

/// Takes these groups, of which 2 inherits from 1.
fn inherit(bench: &mut Bench, names: &[(u32, &str)]) -> Vec<String> {
    let groups = PeerGroups {
        heirs: BTreeMap::from([(GroupId(2), GroupId(1))]),
        ..groups(names)
    };
    text(&bench.exports.set_groups(bench.now, groups))
}

#[test]
fn a_new_group_has_its_whole_table_and_the_one_that_is_gone_is_withdrawn() {
    let fake = Fake::new(accept_with_endpoints_as_med);
    let mut bench = bench(&fake);
    assert_eq!(
        inherit(&mut bench, &[(2, "tors")]),
        ["1 -10.0.0.1/32", "2 +10.0.0.1/32 med=1"]
    );
    assert_eq!(inherit(&mut bench, &[(2, "tors")]), NOTHING);
}

#[test]
fn a_group_of_the_same_name_and_labels_is_evaluated_all_the_same() {
    let fake = Fake::new(accept_with_endpoints_as_med);
    let mut bench = bench(&fake);
    let changes = inherit(&mut bench, &[(1, "tor"), (2, "tor")]);
    assert_eq!(changes, ["2 +10.0.0.1/32 med=1"]);
}

#[test]
fn peers_that_move_while_a_policy_fails_keep_what_it_decided_about_them() {
    let fake = Fake::new(accept_with_endpoints_as_med);
    let mut bench = bench(&fake);
    fake.fail(Fault::Trap);
    let changes = inherit(&mut bench, &[(2, "tors")]);
    assert_eq!(changes, ["1 -10.0.0.1/32", "2 +10.0.0.1/32 med=1"]);
    // Facts outrank it in the new group, too.
    let gone = bench.upsert([local("a", "10.0.0.1", 0)]);
    assert_eq!(gone, ["2 -10.0.0.1/32"]);
}

#[test]
fn a_new_group_that_nobody_comes_from_has_nothing_to_keep() {
    let fake = Fake::new(accept);
    let mut bench = bench(&Fake::new(accept_with_endpoints_as_med));
    bench.replace_chain(vec![fake.link("only", OnError::KeepLast)]);
    fake.fail(Fault::Trap);
    assert_eq!(bench.set_groups(&[(1, "tor"), (3, "wan")]), NOTHING);
}

#[test]
fn what_was_inherited_is_not_kept_once_the_policy_has_answered() {
    let (first, second) = (Fake::new(accept), Fake::new(accept_with_endpoints_as_med));
    let mut bench = Bench::new(vec![
        first.link("first", OnError::KeepLast),
        second.link("second", OnError::KeepLast),
    ]);
    bench.upsert([local("a", "10.0.0.1", 1), pod("10.1.0.0/24")]);
    // Towards the new group the second is not asked about the first route.
    first.obey(|batch, candidate| {
        if batch.peer_group.name == "tors" && candidate.service.is_some() {
            return crate::policy::Verdict::Reject;
        }
        abstain(batch, candidate)
    });
    inherit(&mut bench, &[(2, "tors")]);
    first.obey(accept);
    second.fail(Fault::Trap);
    let changes = bench.upsert([local("a", "10.0.0.1", 2)]);
    assert_eq!(changes, NOTHING, "what it said to others is not its word");
}
