//! What policies are asked about when something changes: counted from the watch event on.

use std::sync::Mutex;

use serde_json::Value;

use super::*;

const SERVICES: usize = 2000;

/// Accepts everything, and remembers what it was asked about: a line for each candidate.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<Vec<String>>>);

impl Counting {
    /// What it was asked since the last look.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl RoutePolicy for Counting {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let group = &batch.peer_group.name;
        let line = |route: &crate::policy::ProposedRoute<'_>| {
            let key = &route.candidate.key;
            format!("{group}: {}", key.prefix)
        };
        let lines = batch.candidates.iter().map(line);
        self.0.lock().unwrap().extend(lines);
        Rule::Accept.evaluate(batch)
    }
}

/// Service `n`, with an address of its own.
fn numbered(n: usize) -> Value {
    let mut service = service(&format!("web-{n}"));
    service["spec"]["clusterIP"] = json!(address(n));
    service["spec"]["clusterIPs"] = json!([address(n)]);
    service["status"] = json!({});
    service
}

fn address(n: usize) -> String {
    format!("172.16.{}.{}", 1 + n / 250, 1 + n % 250)
}

/// The endpoint of service `n`, on this node or on another.
fn endpoint_of(n: usize, node: &str) -> SourceEvent {
    let endpoints = vec![endpoint("10.244.1.5", node)];
    let slice = slice(
        &format!("web-{n}-1"),
        &format!("web-{n}"),
        "IPv4",
        endpoints,
    );
    SourceEvent::Applied(object(slice))
}

/// A pipeline with many Services, and its policy, which was asked about all of them.
fn large(more: &str) -> (Pipeline, Counting) {
    let policy = Counting::default();
    let text = format!("{TEXT}{more}");
    let counting: Link = Link {
        policy: Arc::new(policy.clone()),
        ..link(Rule::Accept)
    };
    let settings = Settings {
        chain: Some(vec![counting.into()]),
        ..settings(&text, None)
    };
    let mut pipeline = Pipeline::new(HERE, &settings.config);
    pipeline.configure(settings);
    let services = (0..SERVICES).map(|n| object(numbered(n))).collect();
    pipeline.on_events(node_listed());
    pipeline.on_events(listed(Kind::Service, services));
    pipeline.on_events(listed(Kind::EndpointSlice, Vec::new()));
    assert!(policy.asked().len() > SERVICES);
    (pipeline, policy)
}

#[test]
fn a_service_that_changes_is_the_only_one_asked_about() {
    let (mut pipeline, policy) = large("");
    let own = format!("a: {}/32", address(700));
    pipeline.on_events([endpoint_of(700, HERE)]);
    assert_eq!(policy.asked(), [&*own]);
    pipeline.on_events([endpoint_of(700, HERE)]);
    assert_eq!(policy.asked(), [""; 0], "the same again");

    let mut labelled = numbered(700);
    labelled["metadata"]["labels"] = json!({ "tier": "gold" });
    pipeline.on_events([SourceEvent::Applied(object(labelled))]);
    assert_eq!(policy.asked(), [&*own]);
    let gone = SourceEvent::Deleted(named(Kind::Service, "web-700"));
    let inputs = told(&pipeline.on_events([gone]));
    assert_eq!(inputs, [format!("0 -{}/32", address(700))]);
    assert_eq!(policy.asked(), [""; 0], "what is gone is withdrawn unasked");
}

#[test]
fn services_that_change_at_once_are_asked_about_once() {
    let (mut pipeline, policy) = large("");
    let there = [1, 2, 1].map(|n| endpoint_of(n, HERE));
    pipeline.on_events(there);
    let own = [1, 2].map(|n| format!("a: {}/32", address(n)));
    assert_eq!(policy.asked(), own);
    assert_eq!(pipeline.work.rounds, 2, "all there was, then these");
}

#[test]
fn each_group_is_asked_about_once_however_many_peers_it_has() {
    let tors = "group = 'tors'\n";
    let peer = |name: &str, address: &str, more: &str| {
        format!("[[peers]]\nname = '{name}'\naddress = '{address}'\nasn = 64512\n{more}")
    };
    let more = [
        tors.to_owned(),
        peer("b", "192.168.83.2", tors),
        peer("c", "192.168.83.3", tors),
        peer("d", "192.168.83.4", ""),
    ];
    let (mut pipeline, policy) = large(&more.concat());
    pipeline.on_events([endpoint_of(3, HERE)]);
    let own = ["tors", "d"].map(|group| format!("{group}: {}/32", address(3)));
    assert_eq!(policy.asked(), own);
}

#[test]
fn a_heartbeat_of_the_node_asks_nothing_and_a_label_of_it_everything() {
    let (mut pipeline, policy) = large("");
    let mut beating = node(HERE);
    beating["metadata"]["resourceVersion"] = json!("7");
    beating["status"]["conditions"][1]["lastHeartbeatTime"] = json!("2026-03-05T12:00:00Z");
    pipeline.on_events([SourceEvent::Applied(object(beating))]);
    assert_eq!(policy.asked(), [""; 0]);
    let mut moved = node(HERE);
    moved["metadata"]["labels"] = json!({ "rack": "b2" });
    pipeline.on_events([SourceEvent::Applied(object(moved))]);
    assert!(policy.asked().len() > SERVICES);
}
