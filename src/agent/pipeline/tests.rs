//! The pipeline without its thread: events in, the speaker's inputs out.

mod imports;
mod incremental;
mod own;
mod services;
mod trial;

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::agent::record::Recording;
use crate::config::Overrides;
use crate::kube::fixtures::{HERE, cluster_node, endpoint, named, node, object, service, slice};
use crate::kube::{Kind, Object};
use crate::policy::{
    Audience, Batch, Decision, Limits, Link, Mode, OnError, PolicyFailure, RoutePolicy, Verdict,
};

const TEXT: &str = "
[advertise]
service-cluster-cidrs = ['172.16.0.0/16']
service-load-balancer-cidrs = ['198.51.100.0/24']
[[peers]]
name = 'a'
address = '192.168.83.1'
asn = 64512
";
const SECOND_PEER: &str = "
[[peers]]
name = 'b'
address = '192.168.83.2'
asn = 64600
";

/// Accepts everything, or fails.
#[derive(Clone, Copy)]
enum Rule {
    Accept,
    Reject,
    Fail,
    /// Fails where this is asked about.
    FailOn(&'static str),
    /// Rejects everything else.
    Only(&'static str),
    /// Accepts with this MED.
    Med(u32),
}

impl RoutePolicy for Rule {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let trap = || Err(PolicyFailure::Trap("unreachable".to_owned()));
        let mut decisions = Vec::new();
        for route in batch.candidates {
            let is = |prefix: &str| route.candidate.key.prefix.to_string() == prefix;
            let verdict = match self {
                Self::Accept => Verdict::Accept(None),
                Self::Reject => Verdict::Reject,
                Self::Fail => return trap(),
                Self::FailOn(prefix) if is(prefix) => return trap(),
                Self::FailOn(_) => Verdict::Accept(None),
                Self::Only(prefix) if is(prefix) => Verdict::Accept(None),
                Self::Only(_) => Verdict::Reject,
                Self::Med(med) => Verdict::Accept(Some(Arc::new(RouteAttributes {
                    med: Some(*med),
                    ..RouteAttributes::default()
                }))),
            };
            decisions.push(Decision {
                verdict,
                reason: None,
            });
        }
        Ok(decisions)
    }
}

fn settings(text: &str, rule: Option<Rule>) -> Settings {
    let config = Config::parse("rutter.toml", text, &Overrides::default()).unwrap();
    Settings {
        config: Arc::new(config),
        passwords: Passwords::default(),
        chain: rule.map(|rule| vec![link(rule).into()]),
        import_chain: None,
        stood_in: Vec::new(),
    }
}

fn link(rule: Rule) -> Link {
    Link {
        name: "rule".into(),
        module: "test".to_owned(),
        settings: Arc::default(),
        policy: Arc::new(rule),
        on_error: OnError::KeepLast,
        limits: Limits::DEFAULT,
        audience: Audience::Everyone,
        mode: Mode::Enforce,
    }
}

/// With a rule that is for this peer group only.
fn settings_for(group: &str, text: &str, rule: Rule) -> Settings {
    let mut settings = settings(text, None);
    let link = link(rule);
    let audience = Audience::Only([group.to_owned()].into());
    settings.chain = Some(vec![Link { audience, ..link }.into()]);
    settings
}

/// A pipeline with this configuration and rule, and what it had for the speaker at once.
fn started(text: &str, rule: Rule) -> (Pipeline, Vec<Input>) {
    let settings = settings(text, Some(rule));
    let mut pipeline = Pipeline::new(HERE, &settings.config);
    let inputs = pipeline.configure(settings);
    (pipeline, inputs)
}

fn listed(kind: Kind, objects: Vec<Object>) -> Vec<SourceEvent> {
    let objects = objects.into_iter().map(SourceEvent::Listed);
    std::iter::once(SourceEvent::ListStarted(kind))
        .chain(objects)
        .chain([SourceEvent::ListCompleted(kind)])
        .collect()
}

/// The node alone, and no Namespaces.
fn node_listed() -> Vec<SourceEvent> {
    [
        listed(Kind::Node, vec![object(node(HERE))]),
        listed(Kind::ClusterNode, vec![object(cluster_node(node(HERE)))]),
        listed(Kind::Namespace, Vec::new()),
    ]
    .concat()
}

/// Node, one Local load balancer, its endpoint: everything, listed once.
fn everything_listed() -> Vec<SourceEvent> {
    let endpoints = vec![endpoint("10.244.1.5", HERE)];
    [
        node_listed(),
        listed(Kind::Service, vec![object(service("web"))]),
        listed(
            Kind::EndpointSlice,
            vec![object(slice("web-1", "web", "IPv4", endpoints))],
        ),
    ]
    .concat()
}

/// A pipeline that announces.
fn announcing(rule: Rule) -> Pipeline {
    announcing_with(TEXT, rule)
}

fn announcing_with(text: &str, rule: Rule) -> Pipeline {
    let (mut pipeline, _) = started(text, rule);
    let inputs = pipeline.on_events(everything_listed());
    assert!(matches!(inputs.last(), Some(Input::ExportsComplete)));
    pipeline
}

/// What the speaker is told, a line each.
fn told(inputs: &[Input]) -> Vec<String> {
    let exports = |group: &GroupId, changes: &[(Prefix, Option<Arc<RouteAttributes>>)]| {
        let lines = changes.iter().map(|(prefix, route)| {
            let sign = if route.is_some() { '+' } else { '-' };
            format!("{} {sign}{prefix}", group.0)
        });
        lines.collect::<Vec<_>>()
    };
    inputs
        .iter()
        .flat_map(|input| match input {
            Input::Configure(config) => vec![format!("configure {} peers", config.peers.len())],
            Input::Export { group, changes } => exports(group, changes),
            Input::ExportsComplete => vec!["complete".to_owned()],
            Input::Import(decisions) => {
                let lines = decisions.iter().map(|decision| {
                    let sign = if decision.used.is_some() { '+' } else { '-' };
                    format!("import {sign}{} v{}", decision.prefix, decision.version.0)
                });
                lines.collect()
            }
            other @ (Input::Connected { .. }
            | Input::ConnectFailed { .. }
            | Input::Accepted { .. }
            | Input::Received { .. }
            | Input::Transmitted { .. }
            | Input::Closed { .. }
            | Input::Arriving { .. }
            | Input::Resolution(_)
            | Input::NextHops(_)
            | Input::Restart { .. }
            | Input::Leave { .. }
            | Input::Join) => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn nothing_is_decided_before_everything_was_listed_once() {
    let (mut pipeline, inputs) = started(TEXT, Rule::Accept);
    assert_eq!(told(&inputs), Vec::<String>::new(), "no node, no router id");
    let node = node_listed();
    assert_eq!(told(&pipeline.on_events(node)), ["configure 1 peers"]);
    let services = listed(Kind::Service, vec![object(service("web"))]);
    assert_eq!(told(&pipeline.on_events(services)), Vec::<String>::new());
    assert!(pipeline.waiting_for().is_some());
    let slices = listed(Kind::EndpointSlice, vec![]);
    let inputs = told(&pipeline.on_events(slices));
    assert_eq!(inputs.last().unwrap(), "complete");
    assert!(
        inputs.contains(&"0 +10.244.1.0/24".to_owned()),
        "{inputs:?}"
    );
    assert_eq!(pipeline.waiting_for(), None);
}

#[test]
fn one_service_more_says_nothing_about_others() {
    let mut pipeline = announcing(Rule::Accept);
    let mut other = service("other");
    other["spec"]["clusterIPs"] = json!(["172.16.0.11"]);
    other["status"] = json!({});
    let inputs = pipeline.on_events([SourceEvent::Applied(object(other))]);
    assert_eq!(told(&inputs), ["0 +172.16.0.11/32"]);
    let gone = SourceEvent::Deleted(named(Kind::Service, "other"));
    assert_eq!(told(&pipeline.on_events([gone])), ["0 -172.16.0.11/32"]);
}

#[test]
fn what_comes_and_goes_in_one_step_is_never_told() {
    let mut pipeline = announcing(Rule::Accept);
    let gone = SourceEvent::Deleted(named(Kind::Service, "web"));
    let back = SourceEvent::Applied(object(service("web")));
    assert_eq!(
        told(&pipeline.on_events([gone, back])),
        Vec::<String>::new()
    );
}

#[test]
fn a_list_that_starts_again_withdraws_nothing_until_it_is_complete() {
    let mut pipeline = announcing(Rule::Accept);
    let inputs = pipeline.on_events([SourceEvent::ListStarted(Kind::Service)]);
    assert_eq!(told(&inputs), Vec::<String>::new());
    assert_eq!(pipeline.waiting_for(), None, "ready stays ready");
}

#[test]
fn a_node_that_returns_keeps_the_router_id() {
    let mut pipeline = announcing(Rule::Accept);
    let id = pipeline.router_id.clone().unwrap();
    let name = crate::kube::ObjectRef::new(Kind::Node, "", HERE);
    let inputs = told(&pipeline.on_events([SourceEvent::Deleted(name)]));
    assert!(
        inputs.contains(&"0 -10.244.1.0/24".to_owned()),
        "{inputs:?}"
    );
    assert!(pipeline.waiting_for().unwrap().contains("NODE_NAME"));
    let mut moved = node(HERE);
    moved["status"]["addresses"] = json!([{ "type": "InternalIP", "address": "192.168.83.99" }]);
    let inputs = told(&pipeline.on_events([SourceEvent::Applied(object(moved))]));
    assert!(
        inputs.contains(&"0 +10.244.1.0/24".to_owned()),
        "{inputs:?}"
    );
    assert_eq!(pipeline.router_id, Some(id));
}

#[test]
fn an_equal_configuration_tells_the_speaker_nothing() {
    let mut pipeline = announcing(Rule::Accept);
    assert_eq!(
        told(&pipeline.configure(settings(TEXT, None))),
        Vec::<String>::new()
    );
    let again = pipeline.configure(settings(TEXT, Some(Rule::Accept)));
    assert_eq!(told(&again), Vec::<String>::new());
}

#[test]
fn a_new_peer_is_configured_before_its_routes_and_others_hear_nothing() {
    let mut pipeline = announcing(Rule::Accept);
    let inputs = pipeline.configure(settings(&format!("{TEXT}{SECOND_PEER}"), None));
    let inputs = told(&inputs);
    assert_eq!(inputs[0], "configure 2 peers");
    assert!(
        inputs.len() > 1 && inputs[1..].iter().all(|line| line.starts_with("1 +")),
        "{inputs:?}"
    );
    let inputs = told(&pipeline.configure(settings(TEXT, None)));
    assert_eq!(
        inputs[0], "configure 1 peers",
        "the session ends before its routes do"
    );
    assert!(
        inputs[1..].iter().all(|line| line.starts_with("1 -")),
        "{inputs:?}"
    );
}

/// Peer `a` with more in its table.
fn with(more: &str) -> String {
    format!("{TEXT}{more}\n")
}

/// What a speaker that follows the inputs has: the group of each peer, and each group's table.
#[derive(Default)]
struct Followed {
    groups: Vec<GroupId>,
    tables: BTreeMap<GroupId, BTreeSet<Prefix>>,
}

impl Followed {
    fn take(&mut self, inputs: Vec<Input>) {
        for input in inputs {
            if let Input::Configure(config) = input {
                self.groups = config.peers.iter().map(|peer| peer.group).collect();
            } else if let Input::Export { group, changes } = input {
                let table = self.tables.entry(group).or_default();
                for (prefix, route) in changes {
                    match route {
                        Some(_) => table.insert(prefix),
                        None => table.remove(&prefix),
                    };
                }
            }
        }
    }

    /// What the first peer is to have.
    fn announced(&self) -> &BTreeSet<Prefix> {
        &self.tables[&self.groups[0]]
    }
}

/// A pipeline that announces, and a speaker that follows it.
fn followed(rule: Rule) -> (Pipeline, Followed) {
    let mut speaker = Followed::default();
    let (mut pipeline, inputs) = started(TEXT, rule);
    speaker.take(inputs);
    speaker.take(pipeline.on_events(everything_listed()));
    (pipeline, speaker)
}

#[test]
fn a_peer_that_is_moved_or_labelled_keeps_its_routes() {
    let (mut pipeline, mut speaker) = followed(Rule::Accept);
    let before = speaker.announced().clone();
    assert!(!before.is_empty());
    for more in [
        "group = 'tors'",
        "group = 'spines'",
        "group = 'spines'\nlabels = { site = 'a' }",
        "labels = { site = 'a' }",
        "",
        "group = 'a'",
    ] {
        speaker.take(pipeline.configure(settings(&with(more), None)));
        assert_eq!(*speaker.announced(), before, "{more}");
        let (own, tables) = (speaker.groups[0], speaker.tables.iter());
        for (id, table) in tables.filter(|(id, _)| **id != own) {
            assert!(table.is_empty(), "{id:?} has no peer: {more}");
        }
    }
}

#[test]
fn a_peer_that_is_moved_while_the_module_fails_keeps_its_routes() {
    let (mut pipeline, mut speaker) = followed(Rule::Accept);
    let before = speaker.announced().clone();
    speaker.take(pipeline.configure(settings(TEXT, Some(Rule::Fail))));
    for more in ["group = 'tors'", "labels = { site = 'a' }"] {
        speaker.take(pipeline.configure(settings(&with(more), None)));
        assert_eq!(*speaker.announced(), before, "{more}");
    }
}

/// The new group never had a route, so there is none to withdraw from it.
#[test]
fn a_group_without_routes_is_told_of_so_that_its_peers_lose_what_they_had() {
    let settings_of_a = settings_for("a", TEXT, Rule::Accept);
    let mut pipeline = Pipeline::new(HERE, &settings_of_a.config);
    let mut speaker = Followed::default();
    speaker.take(pipeline.configure(settings_of_a));
    speaker.take(pipeline.on_events(everything_listed()));
    assert!(!speaker.announced().is_empty());
    speaker.take(pipeline.configure(settings(&with("group = 'tors'"), None)));
    assert!(speaker.announced().is_empty());
}

#[test]
fn a_policy_is_asked_for_its_peer_groups_only() {
    let (mut pipeline, mut speaker) = followed(Rule::Accept);
    let before = speaker.announced().clone();
    let text = format!("policy-default = 'accept'\n{TEXT}{SECOND_PEER}");
    speaker.take(pipeline.configure(settings_for("b", &text, Rule::Reject)));
    assert_eq!(*speaker.announced(), before);
    assert!(speaker.tables[&speaker.groups[1]].is_empty());
}

/// The new chain alone would announce the load balancer's address, the new ranges take it away.
#[test]
fn a_reload_tells_only_the_sum_of_its_steps() {
    let mut pipeline = announcing(Rule::Reject);
    let without = TEXT.replace("service-load-balancer-cidrs = ['198.51.100.0/24']", "");
    let inputs = told(&pipeline.configure(settings(&without, Some(Rule::Accept))));
    assert!(
        inputs.contains(&"0 +172.16.0.10/32".to_owned()),
        "{inputs:?}"
    );
    let announced = |line: &String| line.starts_with("0 +198.51.100.");
    assert!(!inputs.iter().any(announced), "{inputs:?}");
}

#[test]
fn a_module_that_fails_withdraws_nothing() {
    let mut pipeline = announcing(Rule::Accept);
    let inputs = pipeline.configure(settings(TEXT, Some(Rule::Fail)));
    assert_eq!(told(&inputs), Vec::<String>::new());
    assert!(pipeline.exports.retry_at().is_some());
    assert_eq!(told(&pipeline.retry()), Vec::<String>::new());
}

#[test]
fn a_policy_that_begins_to_fail_and_one_that_is_mended_are_noticed_once() {
    let mut pipeline = announcing(Rule::Accept);
    for rule in [Rule::Fail, Rule::Accept, Rule::Accept] {
        pipeline.configure(settings(TEXT, Some(rule)));
        pipeline.retry();
    }
    let measured = &pipeline.meters.measured()["rule"];
    assert_eq!(pipeline.exports.links().next().unwrap().failed(), 1);
    assert!(measured.calls > 1, "{measured:?}");
    let [failing, recovered] = pipeline.notices.as_slice() else {
        panic!("{:?}", pipeline.notices);
    };
    assert!(matches!(failing, Notice::PolicyFailing { .. }));
    assert!(matches!(recovered, Notice::PolicyRecovered { .. }));
}

#[test]
fn a_service_that_a_policy_fails_on_is_noticed_once_and_stops_no_other() {
    let mut pipeline = announcing(Rule::FailOn("172.16.0.11/32"));
    let at = |name: &str, address: &str| {
        let mut service = service(name);
        service["spec"]["clusterIPs"] = json!([address]);
        service["status"] = json!({});
        SourceEvent::Applied(object(service))
    };
    let inputs = pipeline.on_events([at("bad", "172.16.0.11"), at("good", "172.16.0.12")]);
    assert_eq!(told(&inputs), ["0 +172.16.0.12/32"]);
    let inputs = pipeline.on_events([at("better", "172.16.0.13")]);
    assert_eq!(told(&inputs), ["0 +172.16.0.13/32"]);
    pipeline.retry();
    let [
        Notice::RouteHeld {
            direction: Direction::Export,
            policy,
            subject,
            service: Some(service),
            error,
        },
    ] = pipeline.notices.as_slice()
    else {
        panic!("{:?}", pipeline.notices);
    };
    assert_eq!(
        (policy.as_str(), error.contains("unreachable")),
        ("rule", true)
    );
    assert_eq!(*subject, service.to_string());
    assert_eq!(&*service.name, "bad");
    let link = pipeline.exports.links().next().unwrap();
    assert_eq!((link.error, link.held, link.failed()), (None, 1, 1));
    let gone = SourceEvent::Deleted(named(Kind::Service, "bad"));
    pipeline.on_events([gone]);
    assert_eq!(pipeline.exports.held().count(), 0);
    assert_eq!(pipeline.retry_at(), None);
}

#[test]
fn a_service_that_goes_is_withdrawn_while_the_module_fails() {
    let mut pipeline = announcing(Rule::Accept);
    pipeline.configure(settings(TEXT, Some(Rule::Fail)));
    let gone = SourceEvent::Deleted(named(Kind::Service, "web"));
    let inputs = told(&pipeline.on_events([gone]));
    assert!(
        inputs.contains(&"0 -172.16.0.10/32".to_owned()),
        "{inputs:?}"
    );
}

#[test]
fn only_rounds_that_asked_a_policy_are_counted() {
    let (mut pipeline, _) = started(TEXT, Rule::Accept);
    assert_eq!(pipeline.work.rounds, 0, "nothing to ask about");
    pipeline.on_events(everything_listed());
    assert_eq!(pipeline.work.rounds, 1);
    pipeline.configure(settings(TEXT, None));
    pipeline.retry();
    assert_eq!(pipeline.work.rounds, 1);
}

/// A newer version of a policy may be refused while the rest of its configuration is in force.
#[test]
fn a_recording_has_the_settings_that_a_policy_was_made_with() {
    let newer = "[[policies]]\nname = 'rule'\nmodule = 'other.wasm'\nsettings = { allow = 'b' }\n";
    let older = json!({ "allow": "a" });
    let mut settings = settings(&format!("{TEXT}{newer}"), None);
    let running = Link {
        settings: Arc::new(older.clone()),
        ..link(Rule::Accept)
    };
    settings.chain = Some(vec![running.into()]);
    let mut pipeline = Pipeline::new(HERE, &settings.config);
    pipeline.configure(settings);
    pipeline.on_events(everything_listed());
    let recording = Recording::of(&pipeline).unwrap().into_document();
    let document = serde_json::to_value(recording).unwrap();
    assert_eq!(document.pointer("/policies/0/settings"), Some(&older));
    assert_eq!(document.pointer("/policies/0/module"), Some(&json!("test")));
}
