//! Which addresses the program offers, on one node and on another: from manifests as an operator
//! writes them, told as an operator is told. What the real kube-proxy answers is asked elsewhere.

use std::fs;

use crate::support::solo::{LIMIT, Solo};
use crate::support::wait::{contains, equal, eventually};

const ADDRESS: &str = "198.51.100.9/32";

/// The nodes a (10.1.0.11) and b (10.1.0.2); `conditions` of a beside Ready.
fn nodes(conditions: &str) -> String {
    let node = |name: &str, address: &str, conditions: &str| {
        format!(
            "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nspec: {{podCIDRs: []}}\n\
             status:\n  addresses: [{{type: InternalIP, address: {address}}}]\n\
             \x20 conditions: [{{type: Ready, status: 'True'}}{conditions}]\n---\n"
        )
    };
    node("a", "10.1.0.11", conditions) + &node("b", "10.1.0.2", "")
}

/// A Service with a load-balancer address; `more` is the rest of its spec, `labels` its labels.
fn service(name: &str, port: u16, labels: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\n\
         metadata: {{namespace: default, name: {name}, labels: {{{labels}}}}}\n\
         spec:\n  type: LoadBalancer\n  clusterIPs: ['10.96.{}.{}']\n\
         \x20 ports: [{{name: p, port: {port}}}]\n{more}\
         status: {{loadBalancer: {{ingress: [{{ip: 198.51.100.9}}]}}}}\n---\n",
        port / 256,
        port % 256,
    )
}

const LOCAL: &str = "  externalTrafficPolicy: Local\n";

/// Endpoints of a Service, each as YAML.
fn slice(service: &str, endpoints: &[&str]) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{namespace: default, name: {service}-1, labels: {{kubernetes.io/service-name: {service}}}}}\n\
         addressType: IPv4\nendpoints: [{}]\n\
         ports: [{{name: p, protocol: TCP, port: 8080}}]\n---\n",
        endpoints.join(", ")
    )
}

fn ready(address: &str, node: &str) -> String {
    format!("{{addresses: ['{address}'], nodeName: {node}, conditions: {{ready: true}}}}")
}

/// The load-balancer address alone is configured, unless `advertise` says otherwise.
fn start(node: &str, manifests: &str, advertise: &str) -> Solo {
    let load_balancer = if advertise.contains("service-load-balancer-cidrs") {
        String::new()
    } else {
        format!("service-load-balancer-cidrs = ['{ADDRESS}']\n")
    };
    let agent = Solo::start(
        node,
        manifests,
        &format!(
            "source = 'files'\nfiles = 'manifests'\n[bgp]\nasn = 65001\nlisten = []\n\
             [advertise]\npod-cidrs = false\n{load_balancer}{advertise}\n\
             [[peers]]\nname = 'tor'\naddress = '10.1.0.1'\nport = 10179\nasn = 65002\n\
             [policy]\ncompile-cache = 'off'\n\
             [api]\nsocket = 'rutter.sock'\nmetrics = 'off'\n"
        ),
    );
    agent.until_ready();
    agent
}

/// Waits until the address is decided about like this, with these words.
fn is_decided(agent: &Solo, accepted: bool, words: &str) {
    eventually(LIMIT, || {
        let (decided, reason) = agent.decided(ADDRESS)?;
        equal(decided, accepted)?;
        contains(&reason, words)
    });
}

#[test]
fn a_pod_that_took_over_an_address_counts_where_it_is_and_not_where_the_old_one_ends() {
    let old = "{addresses: ['172.30.4.119'], nodeName: a, \
               conditions: {ready: false, serving: false, terminating: true}}";
    let new = ready("172.30.4.119", "b");
    let objects =
        |endpoints: &[&str]| nodes("") + &service("web", 80, "", LOCAL) + &slice("web", endpoints);
    let [a, b] = ["a", "b"].map(|node| start(node, &objects(&[old, &new]), ""));
    is_decided(&a, false, "no usable endpoint on this node");
    is_decided(&b, true, "1 usable IPv4 endpoint on this node");
    // In the other order, too.
    for agent in [&a, &b] {
        fs::write(agent.manifests(), objects(&[&new, old])).unwrap();
    }
    is_decided(&a, false, "no usable endpoint on this node");
    is_decided(&b, true, "1 usable IPv4 endpoint on this node");
}

#[test]
fn an_address_that_any_node_answers_for_goes_with_the_last_endpoint_and_returns_with_the_first() {
    let objects =
        |endpoints: &[&str]| nodes("") + &service("web", 80, "", "") + &slice("web", endpoints);
    let agent = start("a", &objects(&[]), "");
    is_decided(&agent, false, "no usable endpoint in the cluster");
    fs::write(agent.manifests(), objects(&[&ready("172.30.5.1", "b")])).unwrap();
    is_decided(&agent, true, "any node can pass its traffic on");
    let unready = "{addresses: ['172.30.5.1'], nodeName: b, conditions: {ready: false}}";
    fs::write(agent.manifests(), objects(&[unready])).unwrap();
    is_decided(&agent, false, "no usable endpoint in the cluster");
}

#[test]
fn the_internal_policy_makes_a_route_of_a_cluster_ip_under_its_range() {
    let objects = nodes("")
        + &service("web", 80, "", "  internalTrafficPolicy: Local\n")
        + &slice("web", &[&ready("172.30.5.1", "b")]);
    let advertise = "service-cluster-cidrs = ['10.96.0.0/12']";
    let [a, b] = ["a", "b"].map(|node| start(node, &objects, advertise));
    // The load-balancer address is not bound by it.
    let everywhere = ["10.96.0.0/12", ADDRESS];
    eventually(LIMIT, || {
        equal(a.offered()?, everywhere.map(str::to_owned).to_vec())
    });
    let here = ["10.96.0.0/12", "10.96.0.80/32", ADDRESS];
    eventually(LIMIT, || {
        equal(b.offered()?, here.map(str::to_owned).to_vec())
    });
    contains(
        &a.rutter(&["explain", "default/web"]),
        "internalTrafficPolicy Local",
    )
    .unwrap();
}

#[test]
fn of_two_services_that_share_an_address_the_one_that_a_node_drops_is_named() {
    let objects = nodes("")
        + &service("s1", 80, "", LOCAL)
        + &service("s2", 443, "", LOCAL)
        + &slice("s1", &[&ready("172.30.4.1", "a")])
        + &slice("s2", &[&ready("172.30.5.1", "b")]);
    for (node, served, dropped, port) in [("a", "s1", "s2", 443), ("b", "s2", "s1", 80)] {
        let agent = start(node, &objects, "");
        is_decided(&agent, true, "1 usable IPv4 endpoint on this node");
        let told = format!(
            "198.51.100.9 is shared by default/{served}, which this node serves, and \
             default/{dropped}, which it does not: it drops what comes for TCP {port}"
        );
        eventually(LIMIT, || contains(&agent.rutter(&["status"]), &told));
        contains(&agent.log(), &told).unwrap();
        contains(&agent.rutter(&["explain", "198.51.100.9"]), &told).unwrap();
    }
}

#[test]
fn addresses_of_nodes_and_peers_are_refused_and_the_rest_of_the_service_goes_on() {
    let taken = "  externalIPs: ['10.1.0.2', '10.1.0.1', '10.1.0.50']\n";
    let objects = nodes("")
        + &service("web", 80, "", &format!("{LOCAL}{taken}"))
        + &slice("web", &[&ready("172.30.4.1", "a")]);
    let agent = start("a", &objects, "service-external-cidrs = ['10.1.0.0/24']");
    let rest = ["10.1.0.0/24", "10.1.0.50/32", ADDRESS];
    eventually(LIMIT, || {
        equal(agent.offered()?, rest.map(str::to_owned).to_vec())
    });
    let explained = agent.rutter(&["explain", "default/web"]);
    for (address, whose) in [("10.1.0.2", "node b's"), ("10.1.0.1", "peer tor's")] {
        let excluded = format!(
            "external IP {address} is no candidate: the address is {whose}: no Service may take it"
        );
        contains(&explained, &excluded).unwrap();
        let told = format!("external IP {address} of default/web is not announced");
        contains(&agent.rutter(&["status"]), &told).unwrap();
        contains(&agent.log(), &told).unwrap();
    }
}

#[test]
fn a_service_of_another_proxy_is_left_to_it_unless_that_is_ours_too() {
    let label = "service.kubernetes.io/service-proxy-name: other";
    let objects = |labels: &str| {
        nodes("") + &service("web", 80, labels, LOCAL) + &slice("web", &[&ready("172.30.4.1", "a")])
    };
    let agent = start("a", &objects(label), "");
    is_decided(&agent, false, "another service proxy answers for it: other");
    // The label alone takes effect.
    fs::write(agent.manifests(), objects("")).unwrap();
    is_decided(&agent, true, "1 usable IPv4 endpoint on this node");
    fs::write(agent.manifests(), objects(label)).unwrap();
    is_decided(&agent, false, "another service proxy");

    let ours = start("a", &objects(label), "service-proxy-names = ['other']");
    is_decided(&ours, true, "1 usable IPv4 endpoint on this node");
}

#[test]
fn a_class_that_is_not_ours_is_no_candidate() {
    let objects = |class: &str| {
        nodes("")
            + &service("web", 80, "", &format!("{LOCAL}{class}"))
            + &slice("web", &[&ready("172.30.4.1", "a")])
    };
    let ours = "  loadBalancerClass: example.com/ours\n";
    let agent = start(
        "a",
        &objects(ours),
        "load-balancer-classes = ['example.com/ours']",
    );
    is_decided(&agent, true, "1 usable IPv4 endpoint on this node");
    fs::write(agent.manifests(), objects("")).unwrap();
    is_decided(&agent, false, "no candidate");
    let why = "its loadBalancerClass is not among advertise.load-balancer-classes";
    contains(&agent.rutter(&["explain", "default/web"]), why).unwrap();
}

#[test]
fn a_node_whose_network_is_not_set_up_offers_no_service_until_it_is() {
    let objects = |condition: &str| {
        nodes(condition)
            + &service("web", 80, "", LOCAL)
            + &slice("web", &[&ready("172.30.4.1", "a")])
    };
    let unavailable = ", {type: NetworkUnavailable, status: 'True'}";
    let agent = start("a", &objects(unavailable), "");
    is_decided(&agent, false, "its condition NetworkUnavailable is True");
    let told = "0 of 1 Service routes offered: the node's condition NetworkUnavailable is True";
    eventually(LIMIT, || contains(&agent.log(), told));
    contains(
        &agent.rutter(&["status"]),
        "none is offered: the node's condition",
    )
    .unwrap();
    fs::write(agent.manifests(), objects("")).unwrap();
    is_decided(&agent, true, "1 usable IPv4 endpoint on this node");
    eventually(LIMIT, || {
        contains(&agent.log(), "Service routes are offered again")
    });
}

#[test]
fn endpoints_that_name_no_node_are_the_reason_where_they_are() {
    let nowhere = "{addresses: ['172.30.4.1'], conditions: {ready: true}}";
    let objects = nodes("") + &service("web", 80, "", LOCAL) + &slice("web", &[nowhere]);
    let agent = start("a", &objects, "");
    is_decided(&agent, false, "1 usable IPv4 endpoint names no node");
}

#[test]
fn a_local_service_without_endpoints_under_a_range_is_warned_about() {
    let objects = nodes("") + &service("web", 80, "", LOCAL) + &slice("web", &[]);
    let agent = start(
        "a",
        &objects,
        "service-load-balancer-cidrs = ['198.51.100.0/24']",
    );
    let told = "default/web has no usable endpoint in the cluster, and its traffic policy is Local";
    eventually(LIMIT, || contains(&agent.rutter(&["status"]), told));
    contains(&agent.log(), told).unwrap();
}
