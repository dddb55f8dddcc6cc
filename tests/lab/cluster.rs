//! The cluster: API server, controllers, and on each node kube-proxy, the agent and pods.
//!
//! There is no kubelet, and no scheduler: the lab plays their part. It makes the Node objects,
//! runs pods where a test says, and reports them ready, terminating and gone. It also gives the
//! Service of type LoadBalancer its addresses. All else is the work of programs as they ship: Nodes
//! get pod CIDRs and Services get EndpointSlices from kube-controller-manager.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use kube::Client as ApiClient;
use kube::api::{DeleteParams, Patch, PatchParams};
use rutter::types::{Family, Prefix};
use serde_json::{Value, json};

use super::plan::{HOLD_TIME, Plan, Seat};
use super::pod::{DnsServer, Sandbox, WEB_PORT, WebServer};
use super::site::{Place, Site};
use crate::interop::cluster::ClusterNode;
use crate::interop::live::{api, apply_deployment, create, relays};
use crate::support::agent::{Agent, AgentConfig, Source};
use crate::support::apiserver::ApiServer;
use crate::support::controllers::Controllers;
use crate::support::json::{array, parsed, text};
use crate::support::kube_proxy::KubeProxy;
use crate::support::process::Process;

/// Everything has come up, or a change has arrived, while other tests keep both processors busy.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Pods' addresses: each node has a part of each.
const POD_RANGES: [&str; 2] = ["172.15.0.0/16", "fd15::/48"];

/// Cluster IPs.
pub(super) const SERVICE_RANGES: [&str; 2] = ["172.16.0.0/16", "fd00:10:96::/112"];

/// Load-balancer addresses.
pub(super) const BALANCER_RANGES: [&str; 2] = ["203.0.113.0/24", "2001:db8:b::/64"];

const DNS_ADDRESSES: [&str; 2] = ["172.16.0.10", "fd00:10:96::a"];
const WEB_CLUSTER_ADDRESSES: [&str; 2] = ["172.16.0.80", "fd00:10:96::80"];
const WEB_ADDRESSES: [&str; 2] = ["203.0.113.80", "2001:db8:b::80"];

/// The namespace of the web pods and their Service.
const WEB_NAMESPACE: &str = "shop";

const KERNEL: &str = "[kernel]\nlearned-routes = true\n";

/// Everything, running.
pub(super) struct Lab {
    pub(super) plan: Plan,
    // Dropped in this order: what runs before what it runs on.
    pub(super) nodes: Vec<LabNode>,
    pub(super) pods: BTreeMap<String, Pod>,
    _controllers: Controllers,
    _relays: Vec<Process>,
    pub(super) server: ApiServer,
    admin: ApiClient,
    pub(super) site: Site,
    _folder: tempfile::TempDir,
}

/// A node and what runs on it.
pub(super) struct LabNode {
    pub(super) place: Place,
    pub(super) agent: Agent,
    pub(super) pod_cidrs: Vec<Prefix>,
    _proxy: KubeProxy,
    /// What its pods' addresses end in.
    pods_so_far: u16,
}

/// A pod.
pub(super) struct Pod {
    pub(super) namespace: &'static str,
    pub(super) node: usize,
    pub(super) state: PodState,
    server: Server,
    pub(super) sandbox: Sandbox,
}

/// What the API knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PodState {
    Ready,
    /// It ends, and answers nobody who asks anew.
    Leaving,
}

enum Server {
    Web { _server: WebServer },
    Dns(DnsServer),
}

impl Lab {
    /// Starts everything: a DNS server as a pod behind the Service `kube-system/kube-dns`, and the
    /// Service `shop/web`, for which no pod is there.
    pub(super) async fn start(plan: Plan) -> Self {
        let ours = |texts: &[&'static str]| plan.families.of(texts);
        let (pods, services) = (ours(&POD_RANGES), ours(&SERVICE_RANGES));
        let server = ApiServer::start_with(&services).await;
        let admin = server.admin().await;
        let controllers = Controllers::start(&server.admin_kubeconfig(), &pods, &services);
        apply_deployment(&server);
        create(&admin, namespace()).await;

        let site = Site::new(plan);
        for place in &site.places {
            create(&admin, node(plan, place)).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let hosts = site.places.iter().map(|place| ClusterNode {
            name: place.seat.name,
            host: place.host.clone(),
        });
        let hosts: Vec<ClusterNode> = hosts.collect();
        let relays = relays(folder.path(), &hosts, server.port());
        let token = server.token_of("rutter-system", "rutter").await;
        let mut nodes = Vec::new();
        for place in &site.places {
            let pod_cidrs = pod_cidrs(&admin, place.seat, plan).await;
            let config = AgentConfig {
                source: Source::Kubernetes(server.kubeconfig(&token)),
                asn: plan.topology.asn(place.seat.rack),
                hold_time: HOLD_TIME,
                cluster_cidrs: services.clone(),
                external_cidrs: Vec::new(),
                load_balancer_cidrs: ours(&BALANCER_RANGES),
                peers: place.peers.clone(),
                policies: KERNEL.to_owned(),
                guard: "",
                import_policy_default: "",
            };
            let kubeconfig = server.admin_kubeconfig();
            let name = place.seat.name;
            nodes.push(LabNode {
                agent: Agent::start(&place.host, name, &config),
                _proxy: KubeProxy::start(&place.host, name, &kubeconfig, &pods),
                place: place.clone(),
                pod_cidrs,
                pods_so_far: 1,
            });
        }
        for service in [dns_service(plan), web_service(plan)] {
            create(&admin, service).await;
        }
        let mut lab = Self {
            plan,
            nodes,
            pods: BTreeMap::new(),
            _controllers: controllers,
            _relays: relays,
            server,
            admin,
            site,
            _folder: folder,
        };
        lab.run_dns(0).await;
        lab
    }

    /// The cluster IPs of kube-dns.
    pub(super) fn dns_addresses(&self) -> Vec<IpAddr> {
        addresses(self.plan, DNS_ADDRESSES)
    }

    /// The cluster IPs of the web Service.
    pub(super) fn web_cluster_addresses(&self) -> Vec<IpAddr> {
        addresses(self.plan, WEB_CLUSTER_ADDRESSES)
    }

    /// The load-balancer addresses of the web Service: nodes with pods of it answer for them.
    pub(super) fn web_addresses(&self) -> Vec<IpAddr> {
        addresses(self.plan, WEB_ADDRESSES)
    }

    /// The nodes that have pods of the web Service.
    pub(super) fn web_nodes(&self) -> BTreeSet<usize> {
        let pods = self
            .pods
            .values()
            .filter(|pod| pod.namespace == WEB_NAMESPACE && pod.state == PodState::Ready);
        pods.map(|pod| pod.node).collect()
    }

    /// Runs a web pod on a node, and reports it ready.
    pub(super) async fn run_web(&mut self, name: &str, node: usize) {
        let sandbox = self.sandbox(node);
        let host = self.nodes[node].place.seat.name;
        let server = Server::Web {
            _server: WebServer::start(&sandbox.host, host, name),
        };
        let labels = json!({ "app": "web" });
        self.report(name, WEB_NAMESPACE, labels, node, sandbox, server)
            .await;
    }

    async fn run_dns(&mut self, node: usize) {
        let sandbox = self.sandbox(node);
        let server = Server::Dns(DnsServer::start(&sandbox));
        let labels = json!({ "k8s-app": "kube-dns" });
        self.report("dns", "kube-system", labels, node, sandbox, server)
            .await;
    }

    /// As the kubelet of its node does it when somebody has deleted a pod: it is terminating, and
    /// soon fails its readiness probe. It still serves what has begun.
    pub(super) async fn begin_to_end(&mut self, name: &str) {
        let pod = self.pods.get_mut(name).unwrap();
        pod.state = PodState::Leaving;
        let object = pod_object(name, pod.namespace, json!({}));
        let api = api(&self.admin, &object);
        api.delete(name, &DeleteParams::default()).await.unwrap();
        let unready = Patch::Merge(json!({ "status": { "conditions": conditions("False") } }));
        let params = PatchParams::default();
        api.patch_status(name, &params, &unready).await.unwrap();
    }

    /// And this when its containers have ended.
    pub(super) async fn end(&mut self, name: &str) {
        let pod = self.pods.remove(name).unwrap();
        let object = pod_object(name, pod.namespace, json!({}));
        let at_once = DeleteParams::default().grace_period(0);
        api(&self.admin, &object)
            .delete(name, &at_once)
            .await
            .unwrap();
        self.tell_names();
    }

    /// The address of a pod of this family.
    pub(super) fn pod_address(&self, name: &str, family: Family) -> IpAddr {
        let addresses = self.pods[name].sandbox.addresses.iter();
        let mut ours = addresses.filter(|address| Family::of(**address) == family);
        *ours.next().unwrap()
    }

    /// The name that a pod's address has.
    pub(super) fn pod_name(&self, name: &str, address: IpAddr) -> String {
        let pod = &self.pods[name];
        let service = match pod.namespace {
            WEB_NAMESPACE => "web",
            _ => "kube-dns",
        };
        let dashed = address.to_string().replace(['.', ':'], "-");
        format!("{dashed}.{service}.{}.svc.cluster.local", pod.namespace)
    }

    fn sandbox(&mut self, node: usize) -> Sandbox {
        let LabNode {
            place,
            pod_cidrs,
            pods_so_far,
            ..
        } = &mut self.nodes[node];
        *pods_so_far += 1;
        let nth = |cidr: &Prefix| -> IpAddr {
            match cidr.address() {
                IpAddr::V4(first) => {
                    let address = first.to_bits() + u32::from(*pods_so_far);
                    std::net::Ipv4Addr::from_bits(address).into()
                }
                IpAddr::V6(first) => {
                    let address = first.to_bits() + u128::from(*pods_so_far);
                    std::net::Ipv6Addr::from_bits(address).into()
                }
            }
        };
        Sandbox::new(&place.host, pod_cidrs.iter().map(nth).collect())
    }

    async fn report(
        &mut self,
        name: &str,
        namespace: &'static str,
        labels: Value,
        node: usize,
        sandbox: Sandbox,
        server: Server,
    ) {
        let place = &self.nodes[node].place;
        let mut object = pod_object(name, namespace, labels);
        object["spec"] = json!({
            "nodeName": place.seat.name,
            "containers": [{ "name": "server", "image": "example.com/server" }],
        });
        let ips = |addresses: &[IpAddr]| -> Vec<Value> {
            addresses.iter().map(|ip| json!({ "ip": ip })).collect()
        };
        object["status"] = json!({
            "phase": "Running",
            "podIP": sandbox.addresses[0],
            "podIPs": ips(&sandbox.addresses),
            "conditions": conditions("True"),
        });
        create(&self.admin, object).await;
        let pod = Pod {
            namespace,
            node,
            state: PodState::Ready,
            server,
            sandbox,
        };
        self.pods.insert(name.to_owned(), pod);
        self.tell_names();
    }

    fn tell_names(&self) {
        let names = self.pods.iter().flat_map(|(name, pod)| {
            let addresses = pod.sandbox.addresses.iter();
            addresses.map(|address| (*address, self.pod_name(name, *address)))
        });
        let names: Vec<(IpAddr, String)> = names.collect();
        for pod in self.pods.values() {
            match &pod.server {
                Server::Dns(server) => server.learn(&names),
                Server::Web { .. } => {}
            }
        }
    }
}

fn addresses(plan: Plan, [ipv4, ipv6]: [&str; 2]) -> Vec<IpAddr> {
    let [ipv4, ipv6] = [ipv4, ipv6].map(|text| text.parse::<IpAddr>().unwrap());
    plan.families.addresses(ipv4, ipv6)
}

fn namespace() -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": WEB_NAMESPACE } })
}

/// As a kubelet registers it: without pod CIDRs.
fn node(plan: Plan, place: &Place) -> Value {
    let Place { seat, host, .. } = place;
    let addresses = plan.families.addresses(host.ipv4, host.ipv6);
    let internal = addresses
        .iter()
        .map(|ip| json!({ "type": "InternalIP", "address": ip }));
    let internal: Vec<Value> = internal.collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": seat.name, "labels": { "example.com/rack": seat.rack.to_string() } },
        "status": { "addresses": internal, "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

/// Waits until a controller has given a node its pod CIDRs.
async fn pod_cidrs(admin: &ApiClient, seat: Seat, plan: Plan) -> Vec<Prefix> {
    let object = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": seat.name },
    });
    let api = api(admin, &object);
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let node = api.get(seat.name).await.unwrap();
        let cidrs = array(&node.data["spec"]["podCIDRs"]);
        let cidrs: Vec<Prefix> = cidrs.filter_map(|cidr| parsed(text(cidr)?)).collect();
        if cidrs.len() == plan.families.all().len() {
            return cidrs;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{} gets no pod CIDRs",
            seat.name
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn pod_object(name: &str, namespace: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "namespace": namespace, "name": name, "labels": labels },
    })
}

fn conditions(ready: &str) -> Value {
    json!([
        { "type": "PodScheduled", "status": "True" },
        { "type": "Initialized", "status": "True" },
        { "type": "ContainersReady", "status": ready },
        { "type": "Ready", "status": ready },
    ])
}

fn dns_service(plan: Plan) -> Value {
    let mut service = service("kube-system", "kube-dns", plan, DNS_ADDRESSES);
    service["spec"]["selector"] = json!({ "k8s-app": "kube-dns" });
    service["spec"]["ports"] = json!([
        { "name": "dns", "protocol": "UDP", "port": 53 },
        { "name": "dns-tcp", "protocol": "TCP", "port": 53 },
    ]);
    service
}

fn web_service(plan: Plan) -> Value {
    let mut service = service(WEB_NAMESPACE, "web", plan, WEB_CLUSTER_ADDRESSES);
    service["spec"]["type"] = json!("LoadBalancer");
    service["spec"]["externalTrafficPolicy"] = json!("Local");
    service["spec"]["selector"] = json!({ "app": "web" });
    service["spec"]["ports"] = json!([
        { "name": "http", "protocol": "TCP", "port": 80, "targetPort": WEB_PORT },
        { "name": "echo", "protocol": "UDP", "port": 80, "targetPort": WEB_PORT },
    ]);
    let ingress = addresses(plan, WEB_ADDRESSES);
    let ingress: Vec<Value> = ingress.iter().map(|ip| json!({ "ip": ip })).collect();
    service["status"] = json!({ "loadBalancer": { "ingress": ingress } });
    service
}

fn service(namespace: &str, name: &str, plan: Plan, cluster_ips: [&str; 2]) -> Value {
    let cluster_ips = addresses(plan, cluster_ips);
    let families = plan.families.all().iter().map(|family| match family {
        Family::Ipv4Unicast => "IPv4",
        Family::Ipv6Unicast => "IPv6",
    });
    let families: Vec<&str> = families.collect();
    let policy = match families.len() {
        2 => "RequireDualStack",
        _ => "SingleStack",
    };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "namespace": namespace, "name": name },
        "spec": {
            "clusterIP": cluster_ips[0],
            "clusterIPs": cluster_ips,
            "ipFamilies": families,
            "ipFamilyPolicy": policy,
        },
    })
}
