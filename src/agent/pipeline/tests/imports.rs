//! Learned routes through the pipeline: when they are decided about, what the speaker hears, and
//! what of a change is found out before it is in force.

use super::*;
use crate::api::LearnedEffect;
use crate::bgp::wire::{NextHop, PathAttributes};
use crate::policy::ChangeKind;
use crate::policy::{
    Acceptance, ImportBatch, ImportDecision, ImportLink, ImportPolicy, ImportVerdict,
};
use crate::rib::{AttributePool, AttributeSet};
use crate::speaker::{Learning, Undecided, UndecidedRoute};
use crate::types::{Installation, PeerId, RouteVersion};

const IMPORTING: &str = "[[import-policies]]\nname = 'filter'\nmodule = 'filter.wasm'\n";
const STRICT: &str = "guard = { max-withdraw = 0 }\n";

/// Uses everything, nothing, one prefix, everything but not for the kernel, or fails.
#[derive(Clone, Copy)]
enum ImportRule {
    Accept,
    Reject,
    Only(&'static str),
    Keep,
    Fail,
}

impl ImportPolicy for ImportRule {
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        let mut decisions = Vec::new();
        for route in batch.routes {
            let verdict = match self {
                Self::Accept => ImportVerdict::Accept(Acceptance::default()),
                Self::Reject => ImportVerdict::Reject,
                Self::Only(prefix) if route.prefix.to_string() == *prefix => {
                    ImportVerdict::Accept(Acceptance::default())
                }
                Self::Only(_) => ImportVerdict::Reject,
                Self::Keep => ImportVerdict::Accept(Acceptance {
                    attributes: None,
                    installation: Some(Installation::Keep),
                }),
                Self::Fail => return Err(PolicyFailure::Trap("unreachable".to_owned())),
            };
            decisions.push(ImportDecision {
                verdict,
                reason: Some("scripted".into()),
            });
        }
        Ok(decisions)
    }
}

fn link(rule: ImportRule) -> ImportLink {
    ImportLink {
        name: "filter".into(),
        module: "test".to_owned(),
        settings: Arc::default(),
        policy: Arc::new(rule),
        on_error: OnError::KeepLast,
        limits: Limits::DEFAULT,
        audience: Audience::Everyone,
        mode: Mode::Enforce,
    }
}

/// The configuration, with this rule for learned routes in the place of the one that runs.
fn with_rule(text: &str, rule: ImportRule) -> Settings {
    Settings {
        import_chain: Some(vec![link(rule).into()]),
        ..settings(text, None)
    }
}

/// 10.9.0.0/16, or others beside it, announced by the first peer.
fn learned_at(prefixes: &[&str], version: u64) -> Vec<Undecided> {
    let set = AttributeSet {
        next_hop: NextHop {
            address: "192.168.83.1".parse().unwrap(),
            link_local: None,
        },
        path: PathAttributes::default(),
    };
    let route = UndecidedRoute {
        version: RouteVersion(version),
        router_id: std::net::Ipv4Addr::new(192, 168, 83, 1).try_into().unwrap(),
        attributes: AttributePool::default().intern(set),
    };
    let undecided = prefixes.iter().map(|prefix| Undecided {
        peer: PeerId(0),
        prefix: prefix.parse().unwrap(),
        route: Some(route.clone()),
    });
    undecided.collect()
}

fn learned(version: u64) -> Vec<Undecided> {
    learned_at(&["10.9.0.0/16"], version)
}

fn text() -> String {
    format!("{STRICT}{TEXT}{IMPORTING}")
}

/// A pipeline that knows everything, with a policy on what it learns.
fn importing(rule: ImportRule) -> Pipeline {
    let settings = Settings {
        chain: settings(TEXT, Some(Rule::Accept)).chain,
        ..with_rule(&text(), rule)
    };
    let mut pipeline = Pipeline::new(HERE, &settings.config);
    pipeline.configure(settings);
    pipeline.on_events(everything_listed());
    pipeline
}

fn judged(pipeline: &mut Pipeline, settings: Settings) -> (Tried, Judgement) {
    let mut tried = pipeline.prepare(settings).run();
    let judgement = pipeline.judge(&mut tried, Leave::Asked);
    (tried, judgement)
}

#[track_caller]
fn excessive(judgement: Judgement) -> LearnedEffect {
    let Judgement::Excessive(_, effect) = judgement else {
        panic!("{judgement:?}");
    };
    assert_eq!((effect.withdrawn, effect.changed, effect.added), (0, 0, 0));
    effect.learned
}

/// What the speaker was told last about what it learns.
fn learning(inputs: &[Input]) -> Option<Learning> {
    let mut last = None;
    for input in inputs {
        if let Input::Configure(config) = input {
            last = Some(config.learning);
        }
    }
    last
}

#[test]
fn without_import_policies_the_speaker_learns_everything() {
    let (mut pipeline, mut inputs) = started(TEXT, Rule::Accept);
    inputs.extend(pipeline.on_events(everything_listed()));
    assert_eq!(learning(&inputs), Some(Learning::Everything));
}

#[test]
fn nothing_is_used_before_the_own_node_is_known() {
    let settings = with_rule(&text(), ImportRule::Accept);
    let mut pipeline = Pipeline::new(HERE, &settings.config);
    pipeline.configure(settings);
    assert!(pipeline.learn(learned(1)).is_none());
    let inputs = pipeline.on_events(everything_listed());
    assert_eq!(learning(&inputs), Some(Learning::Decided));
    assert!(
        told(&inputs).contains(&"import +10.9.0.0/16 v1".to_owned()),
        "{:?}",
        told(&inputs)
    );
}

#[test]
fn learned_routes_are_decided_as_they_come_and_anew_by_another_chain() {
    let mut pipeline = importing(ImportRule::Accept);
    let inputs: Vec<_> = pipeline.learn(learned(1)).into_iter().collect();
    assert_eq!(told(&inputs), ["import +10.9.0.0/16 v1"]);
    let inputs = pipeline.configure(with_rule(&text(), ImportRule::Reject));
    assert_eq!(told(&inputs), ["import -10.9.0.0/16 v1"]);
}

#[test]
fn only_what_a_new_chain_decides_otherwise_is_told() {
    let mut pipeline = importing(ImportRule::Accept);
    pipeline.learn(learned_at(&["10.8.0.0/16", "10.9.0.0/16"], 1));
    let inputs = pipeline.configure(with_rule(&text(), ImportRule::Only("10.9.0.0/16")));
    assert_eq!(told(&inputs), ["import -10.8.0.0/16 v1"]);
    let inputs = pipeline.configure(with_rule(&text(), ImportRule::Only("10.9.0.0/16")));
    assert!(told(&inputs).is_empty(), "{:?}", told(&inputs));
}

#[test]
fn a_failing_import_policy_is_told_of_and_asked_again() {
    let mut pipeline = importing(ImportRule::Fail);
    let inputs: Vec<_> = pipeline.learn(learned(1)).into_iter().collect();
    assert_eq!(told(&inputs), ["import -10.9.0.0/16 v1"]);
    assert!(pipeline.retry_at().is_some());
    let failing = pipeline.notices.iter().any(|notice| {
        matches!(
            notice,
            Notice::PolicyFailing { direction: Direction::Import, policy, .. } if policy == "filter"
        )
    });
    assert!(failing, "{:?}", pipeline.notices);
}

#[test]
fn a_new_version_that_fails_on_learned_routes_is_found_out() {
    let mut pipeline = importing(ImportRule::Accept);
    pipeline.learn(learned(1));
    let (_, judgement) = judged(&mut pipeline, with_rule(&text(), ImportRule::Fail));
    let Judgement::Failing(failure) = judgement else {
        panic!("{judgement:?}");
    };
    assert_eq!(
        failure.to_string(),
        "import policy filter fails on the routes of this node: the module trapped: unreachable"
    );
    let mut links = pipeline.import_side.imports.links();
    assert!(links.all(|link| link.error.is_none()));
    assert!(pipeline.notices.is_empty());
}

#[test]
fn what_rejects_too_much_is_excessive_and_says_what_it_would_do() {
    let mut pipeline = importing(ImportRule::Accept);
    pipeline.learn(learned_at(
        &["10.7.0.0/16", "10.8.0.0/16", "10.9.0.0/16"],
        1,
    ));
    let only = with_rule(&text(), ImportRule::Only("10.9.0.0/16"));
    let (_, judgement) = judged(&mut pipeline, only);
    let effect = excessive(judgement);
    assert_eq!((effect.used, effect.rejected), (3, 2));
    let [first, _] = &effect.examples[..] else {
        panic!("{effect:?}");
    };
    assert_eq!(first.change, ChangeKind::Withdrawn);
    assert_eq!(
        (first.peer.as_str(), &*first.reason),
        ("a", "filter reject: scripted")
    );
    // Another word on the kernel rejects nothing.
    let (tried, judgement) = judged(&mut pipeline, with_rule(&text(), ImportRule::Keep));
    let Judgement::Fit(effect) = judgement else {
        panic!("{judgement:?}");
    };
    assert_eq!((effect.learned.changed, effect.learned.rejected), (3, 0));
    assert_eq!(told(&pipeline.adopt(tried)).len(), 3);
}

#[test]
fn an_operators_leave_lets_it_through() {
    let mut pipeline = importing(ImportRule::Accept);
    pipeline.learn(learned(1));
    let mut tried = pipeline
        .prepare(with_rule(&text(), ImportRule::Reject))
        .run();
    let judgement = pipeline.judge(&mut tried, Leave::Granted);
    assert!(matches!(judgement, Judgement::Fit(_)), "{judgement:?}");
    assert_eq!(told(&pipeline.adopt(tried)), ["import -10.9.0.0/16 v1"]);
}

#[test]
fn the_first_import_policies_are_tried_on_what_was_used_without_them() {
    let strict = format!("{STRICT}{TEXT}");
    let (mut pipeline, _) = started(&strict, Rule::Accept);
    pipeline.on_events(everything_listed());
    let mut trial = pipeline.prepare(with_rule(&text(), ImportRule::Only("10.9.0.0/16")));
    trial.sample(learned_at(&["10.8.0.0/16", "10.9.0.0/16"], 0));
    let mut tried = trial.run();
    let effect = excessive(pipeline.judge(&mut tried, Leave::Asked));
    assert_eq!((effect.used, effect.rejected, effect.changed), (2, 1, 0));
    // The speaker asks about them itself.
    let inputs = pipeline.adopt(tried);
    assert_eq!(told(&inputs), ["configure 1 peers"]);
    assert_eq!(learning(&inputs), Some(Learning::Decided));
    let inputs: Vec<_> = pipeline.learn(learned(1)).into_iter().collect();
    assert_eq!(told(&inputs), ["import +10.9.0.0/16 v1"]);
}

/// What is taken in on another thread is not left for the pipeline's own.
#[test]
fn a_trial_catches_up_with_a_table_before_it_is_judged() {
    let mut pipeline = importing(ImportRule::Accept);
    pipeline.learn(learned(1));
    let trial = pipeline.prepare(with_rule(&text(), ImportRule::Reject));
    let mut tried = trial.run();
    pipeline.learn(learned_at(&["10.7.0.0/16", "10.8.0.0/16"], 2));
    let news = pipeline.import_news();
    assert!(!news.is_empty());
    tried.take_news(news);
    assert!(pipeline.import_news().is_empty());
    let asked = tried.imports.imports.asked();
    pipeline.judge(&mut tried, Leave::Granted);
    assert_eq!(
        tried.imports.imports.asked(),
        asked,
        "nothing is left to ask"
    );
    let inputs = told(&pipeline.adopt(tried));
    let expected = [
        "import -10.7.0.0/16 v2",
        "import -10.8.0.0/16 v2",
        "import -10.9.0.0/16 v1",
    ];
    assert_eq!(inputs, expected);
}

#[test]
fn routes_that_change_at_any_time_of_a_trial_are_in_what_comes_of_it() {
    for moment in 0..3 {
        let mut pipeline = importing(ImportRule::Accept);
        pipeline.learn(learned(1));
        let happens = |when: i32, pipeline: &mut Pipeline| {
            if when == moment {
                pipeline.learn(learned_at(&["10.8.0.0/16"], 2));
                let gone = Undecided {
                    peer: PeerId(0),
                    prefix: "10.9.0.0/16".parse().unwrap(),
                    route: None,
                };
                pipeline.learn(vec![gone]);
            }
        };
        let trial = pipeline.prepare(with_rule(&text(), ImportRule::Reject));
        happens(0, &mut pipeline);
        let mut tried = trial.run();
        happens(1, &mut pipeline);
        pipeline.judge(&mut tried, Leave::Granted);
        happens(2, &mut pipeline);
        let inputs = told(&pipeline.adopt(tried));
        assert_eq!(inputs, ["import -10.8.0.0/16 v2"], "moment {moment}");
    }
}

#[test]
fn a_policy_is_asked_for_its_peers_only() {
    let mut pipeline = importing(ImportRule::Accept);
    let link = ImportLink {
        audience: Audience::Only(["other".to_owned()].into()),
        ..link(ImportRule::Reject)
    };
    pipeline.learn(learned(1));
    pipeline.configure(Settings {
        import_chain: Some(vec![link.into()]),
        ..settings(&text(), None)
    });
    let imports = &pipeline.import_side.imports;
    let steps = imports.steps(PeerId(0), &"10.9.0.0/16".parse().unwrap());
    let words: Vec<_> = steps
        .iter()
        .map(|step| format!("{} {}", step.policy, step.verdict))
        .collect();
    assert_eq!(words, ["filter not asked", "chain default reject"]);
}

#[test]
fn what_import_policies_cost_is_counted() {
    let mut pipeline = importing(ImportRule::Accept);
    assert_eq!(pipeline.import_side.work.rounds, 0);
    pipeline.learn(learned(1));
    assert_eq!(pipeline.import_side.work.rounds, 1);
    let measured = pipeline.import_side.meters.measured();
    assert_eq!(measured["filter"].calls, 1);
    let link = pipeline.import_side.imports.links().next().unwrap();
    assert_eq!(link.failed(), 0);
}

#[test]
fn without_policies_again_the_speaker_learns_everything_again() {
    let mut pipeline = importing(ImportRule::Accept);
    pipeline.learn(learned(1));
    let none = Settings {
        import_chain: Some(Vec::new()),
        ..settings(&format!("{STRICT}{TEXT}"), None)
    };
    let (tried, judgement) = judged(&mut pipeline, none);
    let Judgement::Fit(effect) = judgement else {
        panic!("{judgement:?}");
    };
    assert_eq!((effect.learned.used, effect.learned.rejected), (1, 0));
    let inputs = pipeline.adopt(tried);
    assert_eq!(learning(&inputs), Some(Learning::Everything));
    // Whoever asks for decisions again begins anew.
    let inputs = pipeline.configure(with_rule(&text(), ImportRule::Reject));
    assert_eq!(told(&inputs), ["configure 1 peers"]);
}
