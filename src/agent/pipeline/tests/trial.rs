//! A configuration that is tried before it is in force.

use super::*;
use crate::api::ChangeEffect;
use crate::config::MaxWithdraw;
use crate::policy::ChangeKind;

/// A chain with this rule in the place of the one that runs.
fn changed(text: &str, rule: Rule) -> Settings {
    settings(text, Some(rule))
}

fn tried(pipeline: &mut Pipeline, settings: Settings) -> Tried {
    pipeline.prepare(settings).run()
}

/// What is told of a change, and whether it is put in force.
fn judged(pipeline: &mut Pipeline, settings: Settings) -> Judgement {
    let mut tried = tried(pipeline, settings);
    pipeline.judge(&mut tried, Leave::Asked)
}

#[track_caller]
fn excessive(judgement: Judgement) -> ChangeEffect {
    let Judgement::Excessive(_, effect) = judgement else {
        panic!("{judgement:?}");
    };
    effect
}

#[track_caller]
fn fit(judgement: Judgement) -> ChangeEffect {
    let Judgement::Fit(effect) = judgement else {
        panic!("{judgement:?}");
    };
    effect
}

fn announced(pipeline: &Pipeline) -> Vec<String> {
    let prefixes = pipeline.exports.announced(GroupId(0));
    prefixes.map(|(prefix, _)| prefix.to_string()).collect()
}

fn service_at(name: &str, address: &str) -> SourceEvent {
    let mut service = service(name);
    service["spec"]["clusterIPs"] = json!([address]);
    service["status"] = json!({});
    SourceEvent::Applied(object(service))
}

#[test]
fn nothing_of_a_trial_is_in_force_before_it_is_adopted() {
    let mut pipeline = announcing(Rule::Accept);
    let before = announced(&pipeline);
    let mut tried = tried(&mut pipeline, changed(TEXT, Rule::Reject));
    assert_eq!(announced(&pipeline), before);
    pipeline.judge(&mut tried, Leave::Granted);
    assert_eq!(announced(&pipeline), before);
    let inputs = told(&pipeline.adopt(tried));
    assert_eq!(announced(&pipeline), Vec::<String>::new());
    assert_eq!(inputs.len(), before.len());
    assert!(
        inputs.iter().all(|line| line.starts_with("0 -")),
        "{inputs:?}"
    );
}

#[test]
fn facts_that_come_at_any_time_of_a_trial_are_in_what_comes_of_it() {
    let events = || {
        let gone = SourceEvent::Deleted(named(Kind::Service, "web"));
        [gone, service_at("other", "172.16.0.11")]
    };
    let mut expected = announcing(Rule::Accept);
    expected.on_events(events());
    for moment in 0..3 {
        let mut pipeline = announcing(Rule::Reject);
        let at = |when: i32, pipeline: &mut Pipeline| {
            if when == moment {
                pipeline.on_events(events());
            }
        };
        let trial = pipeline.prepare(changed(TEXT, Rule::Accept));
        at(0, &mut pipeline);
        let mut tried = trial.run();
        at(1, &mut pipeline);
        fit(pipeline.judge(&mut tried, Leave::Asked));
        at(2, &mut pipeline);
        pipeline.adopt(tried);
        assert_eq!(
            announced(&pipeline),
            announced(&expected),
            "moment {moment}"
        );
        // And those after it.
        let gone = SourceEvent::Deleted(named(Kind::Service, "other"));
        assert_eq!(told(&pipeline.on_events([gone])), ["0 -172.16.0.11/32"]);
    }
}

#[test]
fn a_policy_that_fails_is_found_out_although_former_decisions_stand_in() {
    let mut pipeline = announcing(Rule::Accept);
    let judgement = judged(&mut pipeline, changed(TEXT, Rule::Fail));
    let Judgement::Failing(failure) = judgement else {
        panic!("{judgement:?}");
    };
    assert_eq!(
        failure.to_string(),
        "policy rule fails on the routes of this node: the module trapped: unreachable"
    );
    assert!(pipeline.exports.links().all(|link| link.error.is_none()));
    assert_eq!(pipeline.exports.links().next().unwrap().failed(), 0);
    assert!(pipeline.notices.is_empty());
}

#[test]
fn a_policy_that_fails_on_what_came_in_meanwhile_is_found_out() {
    let mut pipeline = announcing(Rule::Accept);
    let new = changed(TEXT, Rule::FailOn("172.16.0.11/32"));
    let mut tried = tried(&mut pipeline, new);
    pipeline.on_events([service_at("other", "172.16.0.11")]);
    let judgement = pipeline.judge(&mut tried, Leave::Asked);
    assert!(matches!(judgement, Judgement::Failing(_)), "{judgement:?}");
}

#[test]
fn a_route_that_a_policy_fails_on_already_holds_up_no_other_change() {
    let mut pipeline = announcing(Rule::FailOn("172.16.0.11/32"));
    pipeline.on_events([service_at("other", "172.16.0.11")]);
    assert_eq!(pipeline.exports.held().count(), 1);
    let failed = pipeline.exports.links().next().unwrap().failed();
    let text = format!("{TEXT}{SECOND_PEER}");
    let mut tried = tried(
        &mut pipeline,
        changed(&text, Rule::FailOn("172.16.0.11/32")),
    );
    fit(pipeline.judge(&mut tried, Leave::Asked));
    pipeline.adopt(tried);
    assert!(pipeline.exports.links().next().unwrap().failed() > failed);
    // One that it does not fail on yet is another matter.
    let judgement = judged(&mut pipeline, changed(TEXT, Rule::FailOn("172.16.0.10/32")));
    let Judgement::Failing(failure) = judgement else {
        panic!("{judgement:?}");
    };
    let words = failure.to_string();
    assert!(
        words.contains("on the routes of this node: on default/web: "),
        "{words}"
    );
}

#[test]
fn a_policy_that_fails_already_holds_up_no_other_change() {
    let mut pipeline = announcing(Rule::Accept);
    pipeline.configure(changed(TEXT, Rule::Fail));
    let failures = pipeline.exports.links().next().unwrap().failed();
    let text = format!("{TEXT}{SECOND_PEER}");
    let mut tried = tried(&mut pipeline, settings(&text, None));
    fit(pipeline.judge(&mut tried, Leave::Asked));
    pipeline.adopt(tried);
    let link = pipeline.exports.links().next().unwrap();
    assert!(link.error.is_some());
    assert_eq!(link.failed(), failures, "it was not asked before its time");
}

#[test]
fn a_change_that_withdraws_everything_is_excessive_and_says_what_and_why() {
    let mut pipeline = announcing(Rule::Accept);
    let before = announced(&pipeline);
    let effect = excessive(judged(&mut pipeline, changed(TEXT, Rule::Reject)));
    let ChangeEffect {
        announced: count,
        withdrawn,
        changed: others,
        added,
        examples,
        learned: _,
    } = effect;
    assert_eq!(
        (count, withdrawn),
        (before.len() as u64, before.len() as u64)
    );
    assert_eq!((others, added), (0, 0));
    let shown: Vec<_> = examples
        .iter()
        .map(|route| route.prefix.to_string())
        .collect();
    assert_eq!(shown, before);
    for example in examples {
        assert_eq!(example.change, ChangeKind::Withdrawn);
        assert_eq!(example.peer, "a");
        assert_eq!(example.reason, "rule reject: no reason given");
    }
    let mut tried = tried(&mut pipeline, changed(TEXT, Rule::Reject));
    fit(pipeline.judge(&mut tried, Leave::Granted));
}

#[test]
fn routes_are_counted_for_each_peer_and_a_peer_that_goes_takes_its_own() {
    let both = format!("guard = {{ max-withdraw = '49%' }}\n{TEXT}{SECOND_PEER}");
    let mut pipeline = announcing_with(&both, Rule::Accept);
    let routes = announced(&pipeline).len() as u64;
    let one = format!("guard = {{ max-withdraw = '49%' }}\n{TEXT}");
    let effect = excessive(judged(&mut pipeline, settings(&one, None)));
    assert_eq!((effect.announced, effect.withdrawn), (2 * routes, routes));
    let example = &effect.examples[0];
    assert_eq!(example.peer, "b");
    assert_eq!(example.reason, "the new configuration has no such peer");
    let both = both.replace("49", "50");
    pipeline.configure(settings(&both, None));
    assert_eq!(
        fit(judged(&mut pipeline, settings(&one, None))).withdrawn,
        routes
    );
}

#[test]
fn a_new_peer_is_given_routes_and_takes_none() {
    let mut pipeline = announcing_with(&strict(TEXT), Rule::Accept);
    let routes = announced(&pipeline).len() as u64;
    let both = strict(&format!("{TEXT}{SECOND_PEER}"));
    let effect = fit(judged(&mut pipeline, settings(&both, None)));
    assert_eq!((effect.withdrawn, effect.added), (0, routes));
}

#[test]
fn a_peer_that_moves_to_another_group_loses_nothing() {
    let mut pipeline = announcing_with(&strict(TEXT), Rule::Accept);
    let moved = strict(&with("group = 'tors'"));
    let effect = fit(judged(&mut pipeline, settings(&moved, None)));
    assert_eq!((effect.withdrawn, effect.changed, effect.added), (0, 0, 0));
    assert_eq!(effect.announced, announced(&pipeline).len() as u64);
}

/// With a guard that lets nothing be withdrawn.
fn strict(text: &str) -> String {
    format!("guard = {{ max-withdraw = 0 }}\n{text}")
}

#[test]
fn a_change_cannot_lift_the_guard_that_judges_it() {
    let mut pipeline = announcing_with(&strict(TEXT), Rule::Accept);
    let lifted = format!("guard = {{ max-withdraw = '100%' }}\n{TEXT}");
    let judgement = judged(&mut pipeline, changed(&lifted, Rule::Reject));
    let Judgement::Excessive(max_withdraw, _) = judgement else {
        panic!("{judgement:?}");
    };
    assert_eq!(max_withdraw, MaxWithdraw::Routes(0));
    // Lifting it withdraws nothing; the next change has it.
    let mut tried = tried(&mut pipeline, settings(&lifted, None));
    fit(pipeline.judge(&mut tried, Leave::Asked));
    pipeline.adopt(tried);
    fit(judged(&mut pipeline, changed(&lifted, Rule::Reject)));
}

/// The ranges lose one, the chain accepts what it rejected: what one step takes away and another
/// brings is no withdrawal.
#[test]
fn a_change_is_judged_by_the_sum_of_its_steps() {
    let mut pipeline = announcing_with(&strict(TEXT), Rule::Only("10.244.1.0/24"));
    assert_eq!(announced(&pipeline), ["10.244.1.0/24"]);
    let without = TEXT.replace("service-load-balancer-cidrs = ['198.51.100.0/24']", "");
    let without = strict(&without);
    let effect = fit(judged(&mut pipeline, changed(&without, Rule::Accept)));
    assert_eq!(effect.withdrawn, 0);
    let of_range = |route: &crate::api::ChangedRoute| route.prefix.to_string().starts_with("198.");
    assert!(!effect.examples.iter().any(of_range), "{effect:?}");
    assert_eq!(effect.examples[0].change, ChangeKind::Added);
}

#[test]
fn a_range_that_goes_is_told_from_a_rejection() {
    let mut pipeline = announcing_with(&strict(TEXT), Rule::Accept);
    let without = strict(&TEXT.replace("'172.16.0.0/16'", ""));
    let effect = excessive(judged(&mut pipeline, settings(&without, None)));
    let example = &effect.examples[0];
    assert_eq!(example.prefix.to_string(), "172.16.0.0/16");
    assert_eq!(example.reason, "the new configuration makes no such route");
}

#[test]
fn other_attributes_are_changes_and_no_withdrawals() {
    let mut pipeline = announcing_with(&strict(TEXT), Rule::Accept);
    let routes = announced(&pipeline).len() as u64;
    let effect = fit(judged(&mut pipeline, changed(&strict(TEXT), Rule::Med(7))));
    assert_eq!(
        (effect.withdrawn, effect.changed, effect.added),
        (0, routes, 0)
    );
    assert_eq!(effect.examples[0].reason, "rule accept: no reason given");
}

#[test]
fn facts_withdraw_whatever_the_guard_says() {
    let mut pipeline = announcing_with(&strict(TEXT), Rule::Accept);
    let gone = crate::kube::ObjectRef::new(Kind::Node, "", HERE);
    let inputs = told(&pipeline.on_events([SourceEvent::Deleted(gone)]));
    assert!(
        inputs.contains(&"0 -10.244.1.0/24".to_owned()),
        "{inputs:?}"
    );
    assert_eq!(announced(&pipeline), Vec::<String>::new());
}

#[test]
fn before_anything_is_announced_nothing_is_excessive() {
    let (mut pipeline, _) = started(&strict(TEXT), Rule::Accept);
    let effect = fit(judged(&mut pipeline, changed(TEXT, Rule::Reject)));
    assert_eq!(effect, ChangeEffect::default());
}

#[test]
fn a_range_that_comes_while_facts_are_gathered_is_announced_with_them() {
    let without = TEXT.replace("'172.16.0.0/16'", "");
    for moment in 0..3 {
        let (mut pipeline, _) = started(&without, Rule::Accept);
        // Node and Services are there, endpoints are not.
        let events = everything_listed();
        let last = events.len() - 3;
        let mut events = events.into_iter();
        pipeline.on_events(events.by_ref().take(last));
        assert!(pipeline.waiting_for().is_some());
        let mut rest: Vec<SourceEvent> = events.collect();
        let mut at = |when: i32, pipeline: &mut Pipeline| {
            if when == moment {
                pipeline.on_events(rest.drain(..));
            }
        };
        let trial = pipeline.prepare(settings(TEXT, None));
        at(0, &mut pipeline);
        let tried = trial.run();
        at(1, &mut pipeline);
        pipeline.adopt(tried);
        at(2, &mut pipeline);
        let announced = announced(&pipeline);
        for prefix in ["10.244.1.0/24", "172.16.0.0/16", "172.16.0.10/32"] {
            assert!(
                announced.contains(&prefix.to_owned()),
                "{moment}: {announced:?}"
            );
        }
    }
}

#[test]
fn what_a_policy_did_on_trial_counts_once_it_is_in_force() {
    let mut pipeline = announcing(Rule::Accept);
    let before = pipeline.meters.measured()["rule"].calls;
    let tried = tried(&mut pipeline, changed(TEXT, Rule::Accept));
    assert_eq!(pipeline.meters.measured()["rule"].calls, before);
    pipeline.adopt(tried);
    assert_eq!(pipeline.meters.measured()["rule"].calls, before + 1);
}
