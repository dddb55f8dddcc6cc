//! Another chain in place of the present one: nothing flaps on the way.

use super::fixture::{
    Bench, Fake, Fault, abstain, accept, accept_with_endpoints, accept_with_endpoints_as_med,
    endpoints, local, pod, reject, text,
};
use crate::policy::{NextLink, OnError, Verdict};

const NOTHING: [&str; 0] = [];

/// One link `only` that has accepted two Local Services.
fn accepted() -> Bench {
    let fake = Fake::new(accept_with_endpoints);
    let mut bench = Bench::new(vec![fake.link("only", OnError::KeepLast)]);
    let changes = bench.upsert([local("a", "10.0.0.1", 1), local("b", "10.0.0.2", 2)]);
    assert_eq!(changes, ["1 +10.0.0.1/32", "1 +10.0.0.2/32"]);
    bench
}

fn failing() -> Fake {
    let fake = Fake::new(accept);
    fake.fail(Fault::Trap);
    fake
}

#[test]
fn a_new_chain_of_the_same_mind_changes_nothing() {
    let mut bench = accepted();
    let fake = Fake::new(accept);
    let links = vec![fake.link("other", OnError::KeepLast)];
    assert_eq!(bench.replace_chain(links), NOTHING);
    assert_eq!(fake.asked(), ["tor: 10.0.0.1/32 10.0.0.2/32"]);
}

#[test]
fn only_net_differences_between_two_chains_come_out() {
    let mut bench = accepted();
    let fake = Fake::new(accept_with_endpoints_as_med);
    let links = vec![fake.link("only", OnError::KeepLast)];
    assert_eq!(
        bench.replace_chain(links),
        ["1 +10.0.0.1/32 med=1", "1 +10.0.0.2/32 med=2"]
    );
    let (deny, allow) = (Fake::new(abstain), Fake::new(accept_with_endpoints_as_med));
    let links = vec![
        deny.link("deny", OnError::KeepLast),
        allow.link("only", OnError::KeepLast),
    ];
    assert_eq!(bench.replace_chain(links), NOTHING);
}

#[test]
fn a_new_module_that_fails_at_once_keeps_the_decisions_of_its_name() {
    let mut bench = accepted();
    let fake = failing();
    let links = vec![fake.link("only", OnError::KeepLast)];
    assert_eq!(bench.replace_chain(links), NOTHING);
    assert_eq!(bench.announced(), ["10.0.0.1/32", "10.0.0.2/32"]);
    assert_eq!(
        bench.steps(&local("a", "10.0.0.1", 1)),
        ["only accept (kept): by rule"]
    );
    fake.obey(reject);
    fake.fail(None);
    assert_eq!(
        bench.retry_when_due().1,
        ["1 -10.0.0.1/32", "1 -10.0.0.2/32"]
    );
}

#[test]
fn decisions_follow_their_link_to_another_place_in_the_chain() {
    let (first, second) = (Fake::new(abstain), Fake::new(accept));
    let mut bench = Bench::new(vec![
        first.link("first", OnError::KeepLast),
        second.link("second", OnError::KeepLast),
    ]);
    bench.upsert([pod("10.1.0.0/24")]);
    let links = vec![
        failing().link("second", OnError::KeepLast),
        failing().link("first", OnError::KeepLast),
    ];
    assert_eq!(bench.replace_chain(links), NOTHING);
    assert_eq!(
        bench.steps(&pod("10.1.0.0/24")),
        [
            "second accept (kept): by rule",
            "first abstain (kept): by rule"
        ]
    );
}

#[test]
fn a_link_of_a_new_name_that_fails_at_once_keeps_what_the_former_chain_accepted() {
    let mut bench = accepted();
    let fake = failing();
    let links = vec![fake.link("renamed", OnError::KeepLast)];
    assert_eq!(bench.replace_chain(links), NOTHING);
    assert_eq!(
        bench.steps(&local("a", "10.0.0.1", 1)),
        ["renamed accept (kept): accepted by the policies that were in force before"]
    );
    // Facts outrank this, too.
    let gone = local("a", "10.0.0.1", 0);
    assert_eq!(bench.upsert([gone]), ["1 -10.0.0.1/32"]);
}

#[test]
fn the_former_chain_stands_in_only_until_the_link_has_answered() {
    let mut bench = accepted();
    let (first, second) = (Fake::new(accept), Fake::new(abstain));
    let links = vec![
        first.link("only", OnError::KeepLast),
        second.link("second", OnError::KeepLast),
    ];
    first.obey(|_, candidate| match endpoints(candidate) {
        1 => Verdict::Reject,
        _ => Verdict::Accept(None),
    });
    assert_eq!(bench.replace_chain(links), ["1 -10.0.0.1/32"]);
    // The second was asked about the other route only. When it is asked about this one, and
    // fails, it has nothing to keep.
    second.fail(Fault::Trap);
    assert_eq!(bench.upsert([local("a", "10.0.0.1", 3)]), NOTHING);
    assert_eq!(
        bench.steps(&local("a", "10.0.0.1", 3))[1],
        "second reject: second is failing and has never decided about this route: \
         the module trapped: unreachable"
    );
}

#[test]
fn a_second_replacement_while_failing_still_keeps() {
    let mut bench = accepted();
    for name in ["renamed", "renamed", "once-more"] {
        let links = vec![failing().link(name, OnError::KeepLast)];
        assert_eq!(bench.replace_chain(links), NOTHING);
    }
    assert_eq!(bench.announced(), ["10.0.0.1/32", "10.0.0.2/32"]);
    let link = bench.exports.links().next().unwrap();
    assert_eq!(link.failed(), 1, "counted under this name");
}

#[test]
fn a_new_chain_under_withdraw_that_fails_at_once_withdraws() {
    let mut bench = accepted();
    let links = vec![failing().link("only", OnError::Withdraw)];
    assert_eq!(
        bench.replace_chain(links),
        ["1 -10.0.0.1/32", "1 -10.0.0.2/32"]
    );
}

#[test]
fn failures_are_counted_on_under_the_same_name() {
    let mut bench = accepted();
    let name = "only";
    bench.replace_chain(vec![failing().link(name, OnError::KeepLast)]);
    bench.replace_chain(vec![failing().link(name, OnError::KeepLast)]);
    let link = bench.exports.links().next().unwrap();
    assert_eq!(link.failed(), 2);
    assert_eq!(
        link.retry_at,
        Some(bench.now + std::time::Duration::from_secs(1)),
        "a new module starts with the first pause"
    );
}

#[test]
fn decisions_that_the_withdraw_setting_overruled_are_there_for_keep_last() {
    let mut bench = accepted();
    bench.replace_chain(vec![failing().link("only", OnError::Withdraw)]);
    let links = vec![failing().link("only", OnError::KeepLast)];
    assert_eq!(
        bench.replace_chain(links),
        ["1 +10.0.0.1/32", "1 +10.0.0.2/32"]
    );
}

#[test]
fn decisions_of_its_own_outlive_what_stood_in_for_a_link() {
    let mut bench = accepted();
    let fake = Fake::new(accept_with_endpoints_as_med);
    bench.replace_chain(vec![fake.link("renamed", OnError::KeepLast)]);
    fake.fail(Fault::Trap);
    assert_eq!(bench.upsert([local("a", "10.0.0.1", 7)]), NOTHING);
    assert_eq!(
        bench.steps(&local("a", "10.0.0.1", 7)),
        ["renamed accept (kept): by rule"]
    );
}

#[test]
fn what_stands_in_for_a_link_goes_however_often_the_link_was_replaced() {
    let mut bench = accepted();
    let (first, second) = (Fake::new(accept), failing());
    let links = || {
        vec![
            first.link("only", OnError::KeepLast),
            second.link("second", OnError::KeepLast),
        ]
    };
    first.obey(abstain);
    assert_eq!(bench.replace_chain(links()), NOTHING);
    assert_eq!(bench.replace_chain(links()), NOTHING);
    // The second recovers while the first rejects everything, so it is never heard.
    first.obey(reject);
    second.fail(None);
    assert_eq!(
        bench.replace_chain(links()),
        ["1 -10.0.0.1/32", "1 -10.0.0.2/32"]
    );
    first.obey(abstain);
    second.fail(Fault::Trap);
    assert_eq!(bench.upsert([local("a", "10.0.0.1", 3)]), NOTHING);
}

#[test]
fn a_kept_link_stays_as_it_was_however_the_chain_changes_around_it() {
    let (kept, other) = (failing(), Fake::new(abstain));
    let mut bench = Bench::new(vec![kept.link("kept", OnError::Skip)]);
    bench.upsert([local("a", "10.0.0.1", 1)]);
    let before = bench.exports.links().next().unwrap().retry_at;
    assert!(before.is_some());
    kept.asked();
    bench.now += std::time::Duration::from_millis(10);
    bench.replace_chain([
        NextLink::New(other.link("other", OnError::KeepLast)),
        NextLink::Kept("kept".into()),
        NextLink::Kept("never there".into()),
    ]);
    let links: Vec<_> = bench.exports.links().collect();
    let [_, kept_now] = links[..] else {
        panic!("{links:?}");
    };
    assert_eq!((kept_now.name, kept_now.failed()), ("kept", 1));
    assert_eq!(kept_now.retry_at, before);
    assert_eq!(kept.asked(), NOTHING, "its pause is not over");
    assert_eq!(other.asked(), ["tor: 10.0.0.1/32"]);
}

#[test]
fn what_is_tried_on_a_clone_changes_nothing() {
    let bench = accepted();
    let mut trial = bench.exports.clone();
    let links = [Fake::new(reject).link("only", OnError::KeepLast)];
    let changes = trial.replace_chain(bench.now, links);
    assert_eq!(text(&changes), ["1 -10.0.0.1/32", "1 -10.0.0.2/32"]);
    let links = [failing().link("other", OnError::KeepLast)];
    trial.replace_chain(bench.now, links);
    assert_eq!(bench.announced(), ["10.0.0.1/32", "10.0.0.2/32"]);
    let link = bench.exports.links().next().unwrap();
    assert_eq!((link.name, link.error), ("only", None));
}
