//! The watchers against an API server that the test plays itself, request by request: what a real
//! one does only when it is broken.

mod absent;
mod nodes;

use std::collections::{HashMap, VecDeque};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request};
use axum::response::Response;
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;
use crate::calico::{self, ApiGroup};
use crate::kube::fixtures::{HERE, named, service};
use crate::kube::{Health, ObjectRef};

/// Far above what anything here takes; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// Time limits of milliseconds where a test wants to see them pass, else far away.
fn config() -> WatchConfig {
    WatchConfig {
        page_size: 2,
        request_timeout: DEADLINE,
        watch_timeout: Duration::from_secs(290),
        idle_timeout: DEADLINE,
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(10),
        nodes_interval_min: DEADLINE,
        nodes_interval_each: Duration::ZERO,
        absent_interval: Duration::from_millis(1),
        calico: Calico::Ignored,
    }
}

/// A request that waits for the test to answer it.
struct Asked {
    query: HashMap<String, String>,
    reply: oneshot::Sender<Response>,
}

/// The source under test, and the requests it makes.
struct Rig {
    source: Source,
    kind: Kind,
    requests: mpsc::UnboundedReceiver<Asked>,
}

impl Rig {
    /// Watchers of an API server whose Services the test plays.
    fn start(config: &WatchConfig) -> Self {
        Self::playing(Kind::Service, config)
    }

    /// Watchers of an API server of which the test plays this kind, and that has no others.
    fn playing(kind: Kind, config: &WatchConfig) -> Self {
        let path = match kind {
            Kind::Node | Kind::ClusterNode => "/api/v1/nodes",
            Kind::Namespace => "/api/v1/namespaces",
            Kind::Service => "/api/v1/services",
            Kind::EndpointSlice => "/apis/discovery.k8s.io/v1/endpointslices",
            Kind::Pod => "/api/v1/pods",
            Kind::Calico(_) => "/apis/projectcalico.org/v3/bgppeers",
        };
        let (asked, requests) = mpsc::unbounded_channel();
        let server = Router::new().fallback(move |request: Request| {
            let asked = asked.clone();
            async move {
                let query = Query::<HashMap<String, String>>::try_from_uri(request.uri());
                let Query(query) = query.unwrap();
                // Of the two that are about Nodes, one asks for its own.
                let other = match kind {
                    Kind::Node => !query.contains_key("fieldSelector"),
                    Kind::ClusterNode => query.contains_key("fieldSelector"),
                    Kind::Namespace
                    | Kind::Service
                    | Kind::EndpointSlice
                    | Kind::Pod
                    | Kind::Calico(_) => false,
                };
                if request.uri().path() != path || other {
                    return quiet(&query);
                }
                let (reply, replied) = oneshot::channel();
                asked.send(Asked { query, reply }).unwrap();
                // Without a reply the request hangs until it is given up.
                match replied.await {
                    Ok(response) => response,
                    Err(_) => std::future::pending().await,
                }
            }
        });
        let client = Client::new(server, "default");
        Self {
            source: start(&client, HERE, config),
            kind,
            requests,
        }
    }

    /// The next request, which must be a list.
    async fn list(&mut self) -> Asked {
        let asked = self.asked().await;
        assert!(!asked.query.contains_key("watch"), "{:?}", asked.query);
        asked
    }

    /// The next request, which must be a watch from this version.
    async fn watch_from(&mut self, version: &str) -> Asked {
        let asked = self.asked().await;
        assert_eq!(asked.query.get("watch").map(String::as_str), Some("true"));
        assert_eq!(asked.query["resourceVersion"], version);
        assert_eq!(asked.query["allowWatchBookmarks"], "true");
        asked
    }

    async fn asked(&mut self) -> Asked {
        let asked = tokio::time::timeout(DEADLINE, self.requests.recv()).await;
        asked
            .expect("there is another request")
            .expect("the watchers run")
    }

    /// The next event about the kind the test plays.
    async fn event(&mut self) -> SourceEvent {
        loop {
            let event = tokio::time::timeout(DEADLINE, self.source.events.recv()).await;
            let event = event
                .expect("there is another event")
                .expect("the watchers run");
            let kind = match &event {
                SourceEvent::ListStarted(kind)
                | SourceEvent::ListCompleted(kind)
                | SourceEvent::NotServed(kind) => *kind,
                SourceEvent::Listed(object) | SourceEvent::Applied(object) => {
                    object.object_ref().kind
                }
                SourceEvent::Deleted(name) => name.kind,
            };
            if kind == self.kind {
                return event;
            }
        }
    }

    /// Takes in a first list without objects at version 10.
    async fn listed(&mut self) {
        self.list().await.answer(&list_of(&[], "10"));
        assert_eq!(self.event().await, SourceEvent::ListStarted(Kind::Service));
        assert_eq!(
            self.event().await,
            SourceEvent::ListCompleted(Kind::Service)
        );
    }

    async fn until_health(&mut self, right: impl Fn(Option<&str>) -> bool) {
        until_health(&mut self.source.health, right).await;
    }
}

async fn until_health(health: &mut Health, right: impl Fn(Option<&str>) -> bool) {
    while !right(health.error().as_deref()) {
        let changed = tokio::time::timeout(DEADLINE, health.changed()).await;
        changed.unwrap_or_else(|_| panic!("health stays {:?}", health.error()));
    }
}

impl Asked {
    fn answer(self, body: &Value) {
        self.respond(200, Body::from(body.to_string()));
    }

    fn refuse(self, code: u16, message: &str) {
        self.respond(code, Body::from(status(code, message).to_string()));
    }

    /// Answers a watch; returns what sends its events and ends it when dropped.
    fn stream(self) -> Stream {
        let (sender, receiver) = mpsc::unbounded_channel::<Value>();
        let lines = stream::unfold(receiver, |mut receiver| async {
            let event = receiver.recv().await?;
            let line = Bytes::from(format!("{event}\n"));
            Some((Ok::<_, std::convert::Infallible>(line), receiver))
        });
        self.respond(200, Body::from_stream(lines));
        Stream(sender)
    }

    fn respond(self, code: u16, body: Body) {
        let response = Response::builder().status(code).body(body).unwrap();
        // Given up meanwhile: the test sees that by the next request.
        let _ = self.reply.send(response);
    }
}

struct Stream(mpsc::UnboundedSender<Value>);

impl Stream {
    fn send(&self, kind: &str, object: &Value) {
        let event = json!({ "type": kind, "object": object });
        self.0.send(event).expect("the watcher reads");
    }
}

/// Nothing to list, and nothing ever happens.
fn quiet(query: &HashMap<String, String>) -> Response {
    if query.contains_key("watch") {
        return Response::new(Body::from_stream(
            stream::pending::<Result<Bytes, BoxError>>(),
        ));
    }
    Response::new(Body::from(list_of(&[], "1").to_string()))
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn list_of(items: &[Value], version: &str) -> Value {
    json!({
        "kind": "ServiceList",
        "apiVersion": "v1",
        "metadata": { "resourceVersion": version },
        "items": items,
    })
}

fn status(code: u16, message: &str) -> Value {
    json!({ "kind": "Status", "status": "Failure", "code": code, "message": message })
}

fn at(name: &str, version: &str) -> Value {
    let mut service = service(name);
    service["metadata"]["resourceVersion"] = version.into();
    service
}

/// A Service whose port is no number: it does not read as one.
fn malformed(name: &str, version: &str) -> Value {
    let mut service = at(name, version);
    service["spec"]["ports"][0]["port"] = "http".into();
    service
}

fn bookmark(version: &str) -> Value {
    json!({
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": { "resourceVersion": version },
    })
}

fn name_of(event: &SourceEvent) -> String {
    match event {
        SourceEvent::Listed(object) | SourceEvent::Applied(object) => {
            let readable = match object {
                Object::Unreadable(..) => "unreadable ",
                Object::Node(_)
                | Object::ClusterNode(_)
                | Object::NodeMetadata(_)
                | Object::Namespace(_)
                | Object::Service(_)
                | Object::EndpointSlice(_)
                | Object::Pod(_)
                | Object::Calico(..) => "",
            };
            format!("{readable}{}", object.object_ref())
        }
        SourceEvent::ListStarted(_)
        | SourceEvent::ListCompleted(_)
        | SourceEvent::NotServed(_)
        | SourceEvent::Deleted(_) => {
            format!("{event:?}")
        }
    }
}

#[tokio::test]
async fn lists_are_quorum_reads_in_pages_and_the_watch_follows_on() {
    let mut rig = Rig::start(&config());
    let first = rig.list().await;
    assert_eq!(first.query["limit"], "2");
    assert!(
        !first.query.contains_key("resourceVersion"),
        "{:?}",
        first.query
    );
    let mut page = list_of(&[at("a", "3"), at("b", "4")], "10");
    page["metadata"]["continue"] = "there is more".into();
    first.answer(&page);
    let second = rig.list().await;
    assert_eq!(second.query["continue"], "there is more");
    second.answer(&list_of(&[at("c", "5")], "10"));

    let mut seen = VecDeque::new();
    while seen.back() != Some(&SourceEvent::ListCompleted(Kind::Service)) {
        seen.push_back(rig.event().await);
    }
    let names: Vec<_> = seen.iter().map(name_of).collect();
    assert_eq!(
        names,
        [
            "ListStarted(Service)",
            "Service default/a",
            "Service default/b",
            "Service default/c",
            "ListCompleted(Service)",
        ]
    );

    let watch = rig.watch_from("10").await.stream();
    watch.send("MODIFIED", &at("a", "11"));
    assert_eq!(name_of(&rig.event().await), "Service default/a");
    watch.send("DELETED", &at("b", "12"));
    assert_eq!(
        rig.event().await,
        SourceEvent::Deleted(named(Kind::Service, "b"))
    );
    // An ended watch is taken up where it ended.
    drop(watch);
    rig.watch_from("12").await;
    assert_eq!(rig.source.health.error(), None);
}

#[tokio::test]
async fn of_all_nodes_only_the_own_is_asked_for() {
    let mut rig = Rig::playing(Kind::Node, &config());
    let list = rig.list().await;
    assert_eq!(list.query["fieldSelector"], "metadata.name=worker-1");
    list.answer(&list_of(&[], "10"));
    let watch = rig.watch_from("10").await;
    assert_eq!(watch.query["fieldSelector"], "metadata.name=worker-1");
}

#[tokio::test]
async fn an_object_that_does_not_read_as_its_kind_stops_nothing() {
    let mut rig = Rig::start(&config());
    let items = [at("a", "3"), malformed("bad", "4"), at("c", "5")];
    rig.list().await.answer(&list_of(&items, "10"));
    assert_eq!(rig.event().await, SourceEvent::ListStarted(Kind::Service));
    for expected in [
        "Service default/a",
        "unreadable Service default/bad",
        "Service default/c",
    ] {
        assert_eq!(name_of(&rig.event().await), expected);
    }
    assert_eq!(rig.event().await, SourceEvent::ListCompleted(Kind::Service));

    let watch = rig.watch_from("10").await.stream();
    watch.send("ADDED", &malformed("worse", "11"));
    watch.send("MODIFIED", &at("c", "12"));
    assert_eq!(
        name_of(&rig.event().await),
        "unreadable Service default/worse"
    );
    assert_eq!(name_of(&rig.event().await), "Service default/c");
    drop(watch);
    rig.watch_from("12").await;
    assert_eq!(rig.source.health.error(), None);
}

#[tokio::test]
async fn a_silent_watch_is_begun_anew_where_its_bookmark_was() {
    let mut config = config();
    config.idle_timeout = Duration::from_millis(50);
    let mut rig = Rig::start(&config);
    rig.listed().await;
    let watch = rig.watch_from("10").await.stream();
    watch.send("BOOKMARK", &bookmark("15"));
    // Nothing further comes, and the connection stays open.
    rig.watch_from("15").await;
    assert_eq!(rig.source.health.error(), None);
    drop(watch);
}

#[tokio::test]
async fn an_expired_watch_is_followed_by_a_list_and_is_no_trouble() {
    let mut rig = Rig::start(&config());
    rig.listed().await;
    let watch = rig.watch_from("10").await.stream();
    watch.send("ERROR", &status(410, "too old resource version: 10 (20)"));
    rig.list().await.answer(&list_of(&[at("a", "3")], "20"));
    assert_eq!(rig.event().await, SourceEvent::ListStarted(Kind::Service));
    assert_eq!(name_of(&rig.event().await), "Service default/a");
    assert_eq!(rig.source.health.error(), None);
    // Nor is it when the connection was lost before, as when the API server restarts.
    let watch = rig.watch_from("20").await.stream();
    watch.send("MODIFIED", &at("a", "21"));
    drop(watch);
    rig.watch_from("21").await.refuse(503, "starting");
    rig.watch_from("21").await.refuse(410, "too old");
    rig.list().await.answer(&list_of(&[], "30"));
    // Nor is it each time, as long as watches are of use in between.
    let watch = rig.watch_from("30").await.stream();
    watch.send("BOOKMARK", &bookmark("31"));
    watch.send("ERROR", &status(410, "too old resource version: 31 (40)"));
    rig.list().await;
    assert_eq!(rig.source.health.error(), None);
}

#[tokio::test]
async fn watches_that_expire_again_and_again_are_trouble() {
    let mut rig = Rig::start(&config());
    rig.listed().await;
    rig.watch_from("10").await.refuse(410, "too old");
    rig.list().await.answer(&list_of(&[], "10"));
    rig.watch_from("10").await.refuse(410, "too old");
    let text = "Services: the API server keeps too little history to follow";
    rig.until_health(|error| error == Some(text)).await;
    rig.list().await;
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_is_asked_again() {
    let mut config = config();
    config.request_timeout = Duration::from_millis(50);
    let mut rig = Rig::start(&config);
    let unanswered = rig.list().await;
    let text = "Services: no answer from the API server in 50ms";
    rig.until_health(|error| error == Some(text)).await;
    drop(unanswered);

    rig.list().await.answer(&list_of(&[], "10"));
    let unanswered = rig.watch_from("10").await;
    rig.watch_from("10")
        .await
        .stream()
        .send("BOOKMARK", &bookmark("11"));
    rig.until_health(|error| error.is_none()).await;
    drop(unanswered);
}

#[tokio::test]
async fn a_refused_watch_is_retried_without_a_list_and_recovers() {
    let mut rig = Rig::start(&config());
    rig.listed().await;
    for _ in 0..3 {
        rig.watch_from("10")
            .await
            .refuse(403, "services is forbidden: cannot watch");
    }
    let text = "Services: cannot watch: services is forbidden: cannot watch (403); bind the \
                agent's service account to a role that may";
    rig.until_health(|error| error == Some(text)).await;
    let watch = rig.watch_from("10").await.stream();
    // A watch that is open has recovered, even if nothing happens.
    rig.until_health(|error| error.is_none()).await;
    watch.send("ERROR", &status(500, "etcdserver: leader changed"));
    let text = "Services: cannot watch: etcdserver: leader changed (500)";
    rig.until_health(|error| error == Some(text)).await;
    rig.watch_from("10").await;
}

#[tokio::test]
async fn a_list_that_breaks_off_is_begun_anew() {
    let mut rig = Rig::start(&config());
    let mut page = list_of(&[at("a", "3")], "10");
    page["metadata"]["continue"] = "there is more".into();
    rig.list().await.answer(&page);
    rig.list()
        .await
        .refuse(410, "the provided continue parameter is too old");
    let again = rig.list().await;
    assert!(!again.query.contains_key("continue"), "{:?}", again.query);
    again.answer(&list_of(&[], "20"));
    for expected in [
        "ListStarted(Service)",
        "Service default/a",
        "ListStarted(Service)",
        "ListCompleted(Service)",
    ] {
        assert_eq!(name_of(&rig.event().await), expected);
    }
    rig.watch_from("20").await.stream();
    rig.until_health(|error| error.is_none()).await;
}

#[tokio::test]
async fn dropping_the_source_ends_the_watchers() {
    let mut rig = Rig::start(&config());
    rig.listed().await;
    let watch = rig.watch_from("10").await.stream();
    drop(rig.source);
    tokio::time::timeout(DEADLINE, watch.0.closed())
        .await
        .expect("the watch is closed");
    // The server, and with it its end of the queue, goes with the last client.
    let asked = tokio::time::timeout(DEADLINE, rig.requests.recv()).await;
    assert!(asked.expect("nobody is left to ask").is_none());
}
