//! Steps and a fresh start agree, whatever the steps were.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::fixture::{Bench, Fake, Fault, endpoints, groups, local, node, pod, with_med};
use crate::candidates::{Candidate, CandidateChange};
use crate::policy::{
    Batch, ChainDefault, ExportChange, Exports, Link, OnError, StepVerdict, Verdict,
};
use crate::types::{GroupId, Prefix, RouteAttributes};

/// What happens to exports.
#[derive(Clone, Debug)]
enum Event {
    Changes(Vec<CandidateChange>),
    Node(Option<&'static str>),
    Groups(Vec<(u32, &'static str)>),
    Default(ChainDefault),
    Fault(usize, bool),
    Wait(u64),
}

/// A rule with every verdict, which depends on all that a policy may depend on.
fn first_rule(batch: &Batch<'_>, candidate: &Candidate) -> Verdict {
    let drained = batch.node.labels["label"] == "drained";
    match endpoints(candidate) {
        0 => Verdict::Abstain,
        _ if drained => Verdict::Reject,
        med if batch.peer_group.name == "tor" => Verdict::Accept(Some(with_med(med))),
        1 => Verdict::Reject,
        _ => Verdict::Abstain,
    }
}

fn second_rule(_: &Batch<'_>, candidate: &Candidate) -> Verdict {
    match (&candidate.service, endpoints(candidate)) {
        (None, _) => Verdict::Accept(None),
        (Some(_), 3) => Verdict::Accept(None),
        (Some(_), _) => Verdict::Abstain,
    }
}

/// Changes attributes, for the peer groups it decides for.
fn third_rule(batch: &Batch<'_>, _: &Candidate) -> Verdict {
    assert_eq!(batch.peer_group.name, "wan", "asked for others");
    Verdict::Accept(Some(with_med(99)))
}

fn links(fakes: &[Fake; 3]) -> Vec<Link> {
    vec![
        fakes[0].link("first", OnError::KeepLast),
        fakes[1].link("second", OnError::Skip),
        fakes[2].link_for("third", &["wan"]),
    ]
}

fn fakes() -> [Fake; 3] {
    [
        Fake::new(first_rule),
        Fake::new(second_rule),
        Fake::new(third_rule),
    ]
}

/// Few keys, so that they meet: three Services share three addresses.
fn candidate() -> impl Strategy<Value = Candidate> {
    prop_oneof![
        (0..3u8).prop_map(|third| pod(&format!("10.{third}.0.0/24"))),
        (0..3usize, 1..4u8, 0..4u32).prop_map(|(name, last, usable)| {
            local(["a", "b", "c"][name], &format!("10.9.0.{last}"), usable)
        }),
    ]
}

fn change() -> impl Strategy<Value = CandidateChange> {
    prop_oneof![
        3 => candidate().prop_map(CandidateChange::Upsert),
        1 => candidate().prop_map(|candidate| CandidateChange::Removed(candidate.key)),
    ]
}

fn healthy_event() -> impl Strategy<Value = Event> {
    let label = prop_oneof![Just(None), Just(Some("")), Just(Some("drained"))];
    let default = prop_oneof![Just(ChainDefault::Reject), Just(ChainDefault::Accept)];
    let group = (1..4u32, prop_oneof![Just("tor"), Just("wan")]);
    prop_oneof![
        6 => vec(change(), 0..4).prop_map(Event::Changes),
        1 => label.prop_map(Event::Node),
        1 => vec(group, 0..3).prop_map(Event::Groups),
        1 => default.prop_map(Event::Default),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => healthy_event(),
        1 => (0..3usize, any::<bool>()).prop_map(|(link, broken)| Event::Fault(link, broken)),
        1 => (0..90u64).prop_map(Event::Wait),
    ]
}

/// Exports on their way through events, with what the peers have been told.
struct Run {
    bench: Bench,
    fakes: [Fake; 3],
    label: Option<&'static str>,
    groups: Vec<(u32, &'static str)>,
    default: ChainDefault,
    told: BTreeMap<(GroupId, Prefix), Arc<RouteAttributes>>,
}

impl Run {
    fn new() -> Self {
        let fakes = fakes();
        Self {
            bench: Bench::new(links(&fakes)),
            fakes,
            label: Some(""),
            groups: vec![(1, "tor")],
            default: ChainDefault::Reject,
            told: BTreeMap::new(),
        }
    }

    fn step(&mut self, event: Event) {
        let now = self.bench.now;
        let exports = &mut self.bench.exports;
        let changes = match event {
            Event::Changes(changes) => exports.update(now, self.label.map(node), changes),
            Event::Node(label) => {
                self.label = label;
                exports.update(now, label.map(node), Vec::new())
            }
            Event::Groups(names) => {
                self.groups = names;
                exports.set_groups(now, groups(&self.groups))
            }
            Event::Default(default) => {
                self.default = default;
                exports.set_default(now, default)
            }
            Event::Fault(link, broken) => {
                self.fakes[link].fail(broken.then_some(Fault::Trap));
                Vec::new()
            }
            Event::Wait(seconds) => {
                self.bench.now += Duration::from_secs(seconds);
                exports.retry(self.bench.now)
            }
        };
        self.hear(changes);
    }

    /// Takes changes as a peer would; each must say something new, in order.
    fn hear(&mut self, changes: Vec<ExportChange>) {
        let keys: Vec<_> = changes
            .iter()
            .map(|change| (change.group, change.prefix))
            .collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "not in order: {keys:?}");
        for change in changes {
            let key = (change.group, change.prefix);
            let before = match &change.attributes {
                Some(attributes) => self.told.insert(key, Arc::clone(attributes)),
                None => self.told.remove(&key),
            };
            assert_ne!(before, change.attributes, "said twice: {key:?}");
        }
    }

    fn announced(&self) -> BTreeMap<(GroupId, Prefix), Arc<RouteAttributes>> {
        let ids = groups(&self.groups).groups.into_keys();
        ids.flat_map(|id| {
            let announced = self.bench.exports.announced(id);
            announced.map(move |(prefix, attributes)| ((id, *prefix), Arc::clone(attributes)))
        })
        .collect()
    }

    /// New exports that are given the present state at once.
    fn fresh_start(&self) -> Exports {
        let present = self.bench.exports.candidates().cloned();
        let upserts = present.map(CandidateChange::Upsert).collect();
        let mut bench = Bench::new(links(&fakes()));
        bench.exports.set_groups(bench.now, groups(&self.groups));
        bench.exports.set_default(bench.now, self.default);
        bench
            .exports
            .update(bench.now, self.label.map(node), upserts);
        bench.exports
    }

    fn assert_equals_fresh_start(&self) {
        let fresh = self.fresh_start();
        for id in groups(&self.groups).groups.into_keys() {
            let stepwise = &self.bench.exports;
            assert!(stepwise.outcomes(id).eq(fresh.outcomes(id)));
            assert!(stepwise.announced(id).eq(fresh.announced(id)));
        }
    }
}

proptest! {
    #[test]
    fn steps_lead_where_a_fresh_start_leads(events in vec(healthy_event(), 0..30)) {
        let mut run = Run::new();
        for event in events {
            run.step(event);
            run.assert_equals_fresh_start();
            prop_assert_eq!(&run.told, &run.announced());
        }
    }

    #[test]
    fn after_any_failures_everything_is_as_if_there_had_been_none(
        events in vec(event(), 0..40)
    ) {
        let mut run = Run::new();
        for event in events {
            run.step(event);
            prop_assert_eq!(&run.told, &run.announced());
        }
        for link in 0..3 {
            run.step(Event::Fault(link, false));
        }
        run.step(Event::Wait(60));
        prop_assert_eq!(run.bench.exports.retry_at(), None);
        run.assert_equals_fresh_start();
        prop_assert_eq!(&run.told, &run.announced());
    }

    #[test]
    fn nothing_is_announced_that_neither_a_policy_nor_the_default_accepted(events in vec(event(), 0..40)) {
        let mut run = Run::new();
        for event in events {
            run.step(event);
            for (id, prefix) in run.told.keys() {
                let mut outcomes = run.bench.exports.outcomes(*id);
                let accepted = outcomes.any(|(key, outcome)| {
                    key.prefix == *prefix && outcome.accepted.is_some()
                });
                prop_assert!(accepted, "{} is announced", prefix);
            }
            for id in groups(&run.groups).groups.into_keys() {
                for (key, outcome) in run.bench.exports.outcomes(id) {
                    let said = |verdict| outcome.steps.iter().any(|step| step.verdict == verdict);
                    let yes = said(StepVerdict::Accept) && !said(StepVerdict::Reject);
                    prop_assert_eq!(outcome.accepted.is_some(), yes, "{:?}", key);
                }
            }
        }
    }
}

#[test]
fn a_hundred_thousand_candidates_are_asked_about_once_and_one_change_alone() {
    let fakes = fakes();
    let mut bench = Bench::new(links(&fakes));
    let address = |n: u32| format!("10.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255);
    let candidates: Vec<_> = (0..100_000)
        .map(|n| local(&format!("service-{n}"), &address(n), 1 + n % 3))
        .collect();
    assert_eq!(bench.upsert(candidates.clone()).len(), 100_000);
    assert_eq!(fakes[0].asked().len(), 1);
    let change = bench.upsert([local("service-70000", &address(70_000), 0)]);
    assert_eq!(change, ["1 -10.1.17.112/32"]);
    assert_eq!(fakes[0].asked(), ["tor: 10.1.17.112/32"]);
}
