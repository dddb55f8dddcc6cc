//! Watchers and index against a real API server, in health and in every kind of trouble that a
//! cluster has: whatever happens to the server, no fact changes that no object changed.

mod calico;

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use rutter::facts::{ClusterChange, ClusterView, IpMode, ServiceFacts, ServiceKey, ServiceType};
use rutter::kube::watch::{self, WatchConfig};
use rutter::kube::{Index, Kind, Outcome, Source, SourceEvent};
use rutter::types::Family;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::apiserver::ApiServer;

/// The node the agent would run on.
const HERE: &str = "worker-1";

/// A test that waits this long has failed; the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// Trouble is noticed within seconds, so that tests see it.
fn impatient() -> WatchConfig {
    WatchConfig {
        request_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(3),
        backoff_min: Duration::from_millis(50),
        backoff_max: Duration::from_millis(500),
        ..WatchConfig::default()
    }
}

/// Watchers, the index they feed, and all that was seen.
struct Agent {
    source: Source,
    index: Index,
    changes: Vec<ClusterChange>,
    /// How often each kind was listed to the end.
    lists: Vec<Kind>,
}

impl Agent {
    fn start(client: &Client) -> Self {
        Self::with(client, &impatient())
    }

    fn with(client: &Client, config: &WatchConfig) -> Self {
        Self {
            source: watch::start(client, HERE, config),
            index: Index::new(HERE),
            changes: Vec::new(),
            lists: Vec::new(),
        }
    }

    /// Starts one and waits until it knows the cluster.
    async fn synchronised(client: &Client) -> Self {
        let mut agent = Self::start(client);
        agent
            .until("synchronised", |agent| agent.index.waiting_for().is_none())
            .await;
        agent.changes.clear();
        agent.lists.clear();
        agent
    }

    /// Takes in events and health until a condition holds.
    async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(DEADLINE, async {
            while !condition(self) {
                // Both are cancel-safe.
                tokio::select! {
                    event = self.source.events.recv() => {
                        self.take(event.expect("the watchers run"));
                    }
                    () = self.source.health.changed() => {}
                }
            }
        });
        if waited.await.is_err() {
            panic!(
                "not within {DEADLINE:?}: {what}; health {:?}, view {:#?}",
                self.source.health.error(),
                self.index.view()
            );
        }
    }

    fn take(&mut self, event: SourceEvent) {
        if let SourceEvent::ListCompleted(kind) = event {
            self.lists.push(kind);
        }
        let Outcome { changes, malformed } = self.index.handle(event);
        assert_eq!(malformed, []);
        self.changes.extend(changes);
    }

    async fn until_view(&mut self, what: &str, condition: impl Fn(&ClusterView) -> bool) {
        self.until(what, |agent| condition(agent.index.view()))
            .await;
    }

    async fn until_health(&mut self, what: &str, condition: impl Fn(Option<&str>) -> bool) {
        let condition = |agent: &Self| condition(agent.source.health.error().as_deref());
        self.until(what, condition).await;
    }

    /// Waits until all four watchers are in trouble; the list of Nodes is not asked for again yet.
    async fn until_all_in_trouble(&mut self) {
        self.until_in_trouble(4).await;
    }

    async fn until_in_trouble(&mut self, subjects: usize) {
        self.until("trouble", |agent| {
            agent.source.health.problems().len() == subjects
        })
        .await;
    }

    /// That the watchers are well and that nothing changed meanwhile but this new Service.
    async fn sees_only(&mut self, client: &Client, name: &str) {
        self.until_health("recovered", |error| error.is_none())
            .await;
        create(client, service(name, json!({ "ports": [{ "port": 80 }] }))).await;
        self.until_view(name, |view| view.services.contains_key(&key(name)))
            .await;
        assert_eq!(self.changes, [ClusterChange::Service(key(name))]);
        self.changes.clear();
    }

    fn service(&self, name: &str) -> &ServiceFacts {
        &self.index.view().services[&key(name)]
    }
}

/// Kinds the tests write, in the namespace `default` where they have one.
trait Written: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned {
    fn api(client: &Client) -> Api<Self>;
}

macro_rules! written {
    ($($kind:ty: $scope:ident),*) => {$(
        impl Written for $kind {
            fn api(client: &Client) -> Api<Self> {
                Api::$scope(client.clone())
            }
        }
    )*};
}

written!(
    Node: all,
    Service: default_namespaced,
    EndpointSlice: default_namespaced,
    ConfigMap: default_namespaced,
    ClusterRole: all,
    ClusterRoleBinding: all
);

async fn create<K: Written>(client: &Client, object: K) {
    K::api(client)
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

async fn patch<K: Written>(client: &Client, name: &str, change: Value) {
    let (params, change) = (PatchParams::default(), Patch::Merge(change));
    K::api(client).patch(name, &params, &change).await.unwrap();
}

async fn patch_status<K: Written>(client: &Client, name: &str, status: Value) {
    let (params, change) = (
        PatchParams::default(),
        Patch::Merge(json!({ "status": status })),
    );
    K::api(client)
        .patch_status(name, &params, &change)
        .await
        .unwrap();
}

async fn delete<K: Written>(client: &Client, name: &str) {
    K::api(client)
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
}

fn read<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("default", name)
}

fn node(name: &str) -> Node {
    read(json!({
        "metadata": { "name": name, "labels": { "rack": "a1" } },
        "spec": { "podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:244:1::/64"] },
    }))
}

fn service(name: &str, spec: Value) -> Service {
    read(json!({ "metadata": { "name": name }, "spec": spec }))
}

fn slice(name: &str, service: &str, family: &str, endpoints: Value) -> EndpointSlice {
    read(json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": service } },
        "addressType": family,
        "endpoints": endpoints,
        "ports": [{ "name": "", "port": 8080 }],
    }))
}

fn endpoint(address: &str, node: &str, ready: bool) -> Value {
    json!({ "addresses": [address], "nodeName": node, "conditions": { "ready": ready } })
}

/// A server with the own Node and a Local Service that has an endpoint on it.
async fn cluster() -> (ApiServer, Client) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    create(&admin, node(HERE)).await;
    let spec = json!({
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "ports": [{ "port": 80 }],
    });
    create(&admin, service("web", spec)).await;
    let endpoints = json!([endpoint("10.244.1.5", HERE, true)]);
    create(&admin, slice("web-1", "web", "IPv4", endpoints)).await;
    (server, admin)
}

#[tokio::test]
async fn services_of_every_kind_become_facts() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    create(&admin, node(HERE)).await;
    create(&admin, node("worker-2")).await;
    let status = json!({
        "addresses": [{ "type": "InternalIP", "address": "192.168.83.11" }],
        "conditions": [{ "type": "Ready", "status": "True" }],
    });
    patch_status::<Node>(&admin, HERE, status).await;
    let ports = json!([{ "port": 80 }]);
    for (name, spec) in [
        ("cluster-ip", json!({ "ports": ports })),
        ("node-port", json!({ "type": "NodePort", "ports": ports })),
        ("headless", json!({ "clusterIP": "None", "ports": ports })),
        (
            "alias",
            json!({ "type": "ExternalName", "externalName": "example.com" }),
        ),
        (
            "external",
            json!({ "externalIPs": ["203.0.113.7"], "ports": ports }),
        ),
        (
            "balanced",
            json!({
                "type": "LoadBalancer",
                "ipFamilyPolicy": "RequireDualStack",
                "externalTrafficPolicy": "Local",
                "internalTrafficPolicy": "Local",
                "loadBalancerClass": "example.com/ours",
                "ports": ports,
            }),
        ),
    ] {
        create(&admin, service(name, spec)).await;
    }
    let ingress = json!([
        { "ip": "198.51.100.10", "ipMode": "VIP" },
        { "ip": "198.51.100.11", "ipMode": "Proxy" },
    ]);
    patch_status::<Service>(
        &admin,
        "balanced",
        json!({ "loadBalancer": { "ingress": ingress } }),
    )
    .await;

    let mut agent = Agent::start(&admin);
    assert_eq!(agent.index.waiting_for(), Some("the own Node"));
    agent
        .until("synchronised", |agent| agent.index.waiting_for().is_none())
        .await;

    let facts = agent
        .index
        .view()
        .node
        .clone()
        .expect("the own Node is known");
    assert_eq!(facts.name, HERE);
    assert_eq!(format!("{:?}", facts.internal_ips), "[192.168.83.11]");
    let pod_cidrs: Vec<_> = facts.pod_cidrs.iter().map(ToString::to_string).collect();
    assert_eq!(pod_cidrs, ["10.244.1.0/24", "fd00:244:1::/64"]);
    assert!(facts.ready && !facts.unschedulable);

    // The server makes default/kubernetes by itself.
    assert_eq!(agent.index.view().services.len(), 7);
    assert_eq!(agent.service("kubernetes").cluster_ips.len(), 1);
    assert_eq!(
        agent.service("cluster-ip").service_type,
        ServiceType::ClusterIP
    );
    assert_eq!(agent.service("cluster-ip").cluster_ips.len(), 1);
    assert_eq!(
        agent.service("node-port").service_type,
        ServiceType::NodePort
    );
    assert!(agent.service("node-port").ports[0].node_port.is_some());
    assert!(agent.service("headless").headless);
    assert_eq!(agent.service("headless").cluster_ips.len(), 0);
    assert_eq!(
        agent.service("alias").service_type,
        ServiceType::ExternalName
    );
    assert_eq!(
        format!("{:?}", agent.service("external").external_ips),
        "[203.0.113.7]"
    );
    let balanced = agent.service("balanced");
    assert_eq!(balanced.service_type, ServiceType::LoadBalancer);
    assert_eq!(
        balanced.load_balancer_class.as_deref(),
        Some("example.com/ours")
    );
    assert!(balanced.cluster_ips[0].is_ipv4() && balanced.cluster_ips[1].is_ipv6());
    let ingress = balanced.load_balancer_ips.iter();
    let ingress: Vec<_> = ingress
        .map(|ingress| (ingress.address.to_string(), ingress.mode))
        .collect();
    let entry = |address: &str, mode| (address.to_owned(), mode);
    assert_eq!(
        ingress,
        [
            entry("198.51.100.10", IpMode::VIP),
            entry("198.51.100.11", IpMode::Proxy),
        ]
    );
    assert_eq!(balanced.ip_families, Family::ALL);
    assert!(balanced.created > 0 && balanced.health_check_node_port.is_some());
    assert_eq!(
        balanced.namespace_labels["kubernetes.io/metadata.name"],
        "default"
    );

    // Of the other Node its place in the network, of which it has none yet.
    let nodes: Vec<_> = agent.index.view().nodes.keys().collect();
    assert_eq!(nodes, [HERE, "worker-2"]);
    assert_eq!(facts.cluster_nodes, Some(2));
    let own = &agent.index.view().nodes[HERE];
    assert_eq!(format!("{:?}", own.addresses), "[192.168.83.11]");
    assert_eq!(own.pod_cidrs, facts.pod_cidrs);
}

#[tokio::test]
async fn what_happens_to_objects_changes_their_facts_and_no_others() {
    let (_server, admin) = cluster().await;
    let mut agent = Agent::synchronised(&admin).await;
    let changed = || ClusterChange::Service(key("web"));
    let local = |count| {
        move |view: &ClusterView| {
            let facts = view.services.get(&key("web"));
            facts.map(|facts| facts.node_endpoints.ipv4.usable()) == count
        }
    };
    assert!(local(Some(1))(agent.index.view()));

    let unready = json!({ "endpoints": [endpoint("10.244.1.5", HERE, false)] });
    patch::<EndpointSlice>(&admin, "web-1", unready).await;
    agent.until_view("unready", local(Some(0))).await;
    let ready = json!({ "endpoints": [endpoint("10.244.1.5", HERE, true)] });
    patch::<EndpointSlice>(&admin, "web-1", ready).await;
    agent.until_view("ready", local(Some(1))).await;
    let second = json!([endpoint("fd00:244:1::5", HERE, true)]);
    create(&admin, slice("web-2", "web", "IPv6", second)).await;
    let both = |view: &ClusterView| view.services[&key("web")].node_endpoints.ipv6.ready == 1;
    agent.until_view("a second slice", both).await;
    delete::<EndpointSlice>(&admin, "web-1").await;
    agent.until_view("a slice deleted", local(Some(0))).await;
    assert_eq!(agent.changes, vec![changed(); 4]);

    // The kubelet's heartbeat is no fact; the condition is, and the label after it.
    agent.changes.clear();
    let heartbeat = |time: &str| {
        json!({
            "conditions": [{ "type": "Ready", "status": "False", "lastHeartbeatTime": time }],
        })
    };
    patch_status::<Node>(&admin, HERE, heartbeat("2026-01-01T00:00:00Z")).await;
    let beaten = |view: &ClusterView| !view.node.as_ref().unwrap().conditions.is_empty();
    agent.until_view("a condition", beaten).await;
    patch_status::<Node>(&admin, HERE, heartbeat("2026-01-01T00:05:00Z")).await;
    patch::<Node>(
        &admin,
        HERE,
        json!({ "metadata": { "labels": { "rack": "b2" } } }),
    )
    .await;
    let moved = |view: &ClusterView| view.node.as_ref().unwrap().labels["rack"] == "b2";
    agent.until_view("a label", moved).await;
    assert_eq!(agent.changes, [ClusterChange::Node, ClusterChange::Node]);

    agent.changes.clear();
    delete::<Service>(&admin, "web").await;
    agent.until_view("a Service deleted", local(None)).await;
    delete::<Node>(&admin, HERE).await;
    agent
        .until_view("the Node deleted", |view| view.node.is_none())
        .await;
    assert_eq!(agent.changes, [changed(), ClusterChange::Node]);
    assert_eq!(agent.source.health.error(), None);
}

#[tokio::test]
async fn a_frozen_api_server_changes_nothing() {
    let (server, admin) = cluster().await;
    let mut agent = Agent::synchronised(&admin).await;

    server.freeze();
    agent.until_all_in_trouble().await;
    assert_eq!(agent.changes, []);
    assert_eq!(agent.index.waiting_for(), None);
    assert_eq!(agent.service("web").node_endpoints.ipv4.usable(), 1);

    server.thaw();
    agent.sees_only(&admin, "afterwards").await;
    assert_eq!(agent.lists, [], "the watches go on where they were");
}

#[tokio::test]
async fn a_restart_with_an_empty_watch_cache_changes_nothing() {
    let (mut server, admin) = cluster().await;
    let mut agent = Agent::synchronised(&admin).await;

    // The history goes on without our kinds: the versions the watches would continue from are
    // then older than anything the new cache has, and the server answers 410.
    for n in 0..5 {
        create(
            &admin,
            read::<ConfigMap>(json!({ "metadata": { "name": format!("n{n}") } })),
        )
        .await;
    }
    server.kill();
    agent.until_all_in_trouble().await;
    let error = agent.source.health.error().expect("all are in trouble");
    assert!(error.contains("Services: cannot watch: "), "{error}");
    assert!(error.contains("Connection refused"), "{error}");

    server.start_again();
    server.until_ready().await;
    let listed_again = |agent: &Agent| Kind::ALL.iter().all(|kind| agent.lists.contains(kind));
    agent.until("listed again", listed_again).await;
    agent.sees_only(&admin, "afterwards").await;
    assert_eq!(agent.service("web").node_endpoints.ipv4.usable(), 1);
}

#[tokio::test]
async fn what_went_while_the_api_server_was_away_is_withdrawn_by_the_list() {
    let (mut server, admin) = cluster().await;
    let mut agent = Agent::synchronised(&admin).await;

    make_watches_expire_at_restart(&admin).await;
    server.kill();
    agent.until_all_in_trouble().await;
    server.start_again();
    // The watchers run on this thread: while it waits for the other, they stand still.
    std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                server.until_ready().await;
                delete::<EndpointSlice>(&server.admin().await, "web-1").await;
            });
        });
        elsewhere.join().unwrap();
    });
    let none = |view: &ClusterView| view.services[&key("web")].node_endpoints.ipv4.ready == 0;
    agent.until_view("the slice gone", none).await;
    assert_eq!(agent.changes, [ClusterChange::Service(key("web"))]);
    assert!(agent.lists.contains(&Kind::EndpointSlice));
}

/// Lets the history go on without our kinds: the versions the watches would continue from are
/// then older than anything a new watch cache has, and the server answers 410.
async fn make_watches_expire_at_restart(client: &Client) {
    for n in 0..5 {
        let name = format!("history-{n}");
        create(
            client,
            read::<ConfigMap>(json!({ "metadata": { "name": name } })),
        )
        .await;
    }
}

#[tokio::test]
async fn missing_rights_are_named_and_their_grant_is_noticed() {
    let (server, admin) = cluster().await;
    let token = server.service_account("agent").await;
    // The server ends watches each second, so that a right that was taken away shows.
    let config = WatchConfig {
        watch_timeout: Duration::from_secs(1),
        ..impatient()
    };
    let mut agent = Agent::with(&server.client(&token).await, &config);

    // The list of Nodes is among them, for it has not come once.
    agent.until_in_trouble(5).await;
    let error = agent.source.health.error().expect("all are in trouble");
    for resource in ["nodes", "namespaces", "services", "endpointslices"] {
        assert!(
            error.contains(&format!("cannot list resource \"{resource}\"")),
            "{error}"
        );
    }
    assert!(
        error.contains("system:serviceaccount:default:agent"),
        "{error}"
    );
    assert_eq!(agent.index.waiting_for(), Some("the own Node"));

    let role = json!({
        "metadata": { "name": "agent" },
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["namespaces", "nodes", "services"],
                "verbs": ["list", "watch"],
            },
            {
                "apiGroups": ["discovery.k8s.io"],
                "resources": ["endpointslices"],
                "verbs": ["list", "watch"],
            },
        ],
    });
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": { "name": "agent" },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "agent" },
        "subjects": [{ "kind": "ServiceAccount", "name": "agent", "namespace": "default" }],
    });
    create(&admin, read::<ClusterRole>(role)).await;
    create(&admin, read::<ClusterRoleBinding>(binding)).await;
    agent
        .until("synchronised", |agent| agent.index.waiting_for().is_none())
        .await;
    agent
        .until_health("recovered", |error| error.is_none())
        .await;

    agent.changes.clear();
    delete::<ClusterRoleBinding>(&admin, "agent").await;
    agent.until_all_in_trouble().await;
    let error = agent.source.health.error().expect("all are in trouble");
    assert!(
        error.contains("cannot watch resource \"services\""),
        "{error}"
    );
    assert_eq!(agent.changes, []);
}

#[tokio::test]
async fn a_wrong_token_is_told_as_such() {
    let server = ApiServer::start().await;
    let mut agent = Agent::start(&server.client("not-a-token").await);
    agent.until_in_trouble(5).await;
    let error = agent.source.health.error().expect("all are in trouble");
    let expected = "Services: cannot list: Unauthorized (401); check the token or certificate the \
                    agent was given";
    assert!(error.contains(expected), "{error}");
    assert!(agent.index.waiting_for().is_some());
}
