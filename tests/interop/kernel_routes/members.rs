//! What a member of the cluster must not learn from anybody: where its own pods are, and the
//! cluster's Services.

use serde_json::json;

use super::*;
use crate::support::objects::{node, service};
use crate::support::process::run;

const BLOCK: &str = "10.244.11.0/24";
const BLOCKS: [&str; 2] = [BLOCK, "fd00:10:244:11::/64"];
/// In the block.
const POD: &str = "10.244.11.5";
const NOBODY: &str = "10.244.11.77";

#[track_caller]
fn discards(site: &Site, blocks: &[&str]) {
    let expected = blocks.iter().map(|block| (block.parse().unwrap(), METRIC));
    let expected: BTreeSet<(rutter::types::Prefix, u32)> = expected.collect();
    eventually(START_LIMIT, || {
        equal(&blackholes(&site.node.host, OURS)?, &expected)
    });
}

/// What becomes of a packet that a router sends there.
fn ping(from: &Host, address: &str) -> String {
    let mut ping = from.command("ping");
    match run(ping.args(["-c", "1", "-W", "1", "-t", "8", address])) {
        Ok(printed) | Err(printed) => printed,
    }
}

#[test]
fn a_packet_to_a_pod_that_is_gone_is_discarded_and_one_to_a_pod_arrives() {
    let mut site = Site::new();
    let bird = site.bird(&["0.0.0.0/0"]);
    let (host, router) = (site.node.host.clone(), site.hosts[0].clone());
    let client = site.hosts[1].clone();
    // A pod as network plugins have them: a route of its own, of a prefix that is longer.
    let pod = site._network.behind(&host, 11);
    ip(&pod, &format!("addr add {POD}/32 dev lo"));
    ip(&host, &format!("route add {POD} via {}", pod.ipv4));
    ip(&router, &format!("route add {BLOCK} via {}", host.ipv4));
    ip(&client, &format!("route add {BLOCK} via {}", router.ipv4));
    for host in [&host, &router] {
        host.sysctl(&[
            ("ipv4/ip_forward", "1"),
            ("ipv4/conf/all/send_redirects", "0"),
            ("ipv4/conf/eth0/send_redirects", "0"),
        ]);
    }
    let learned = "[kernel]\nlearned-routes = true\nblackhole-own-blocks = false\n";
    let mut agent = site.agent(1, learned);
    site.kernel_has(&[("0.0.0.0/0", &[0])]);
    assert_eq!(blackholes(&host, OURS), Ok(BTreeSet::new()));
    let looped = ping(&client, NOBODY);
    assert!(
        looped.contains("Time to live exceeded"),
        "no loop: {looped}"
    );

    agent.process().stop();
    agent.configure(&site.config(1, INSTALL));
    agent.start_again();
    discards(&site, &BLOCKS);
    let discarded = ping(&client, NOBODY);
    assert!(discarded.contains("100% packet loss"), "{discarded}");
    assert!(!discarded.contains("exceeded"), "{discarded}");
    let answered = ping(&client, POD);
    assert!(answered.contains(" 0% packet loss"), "{answered}");
    drop(bird);
}

#[test]
fn a_block_s_blackhole_leaves_the_network_plugin_s_routes_alone_and_goes_with_the_block() {
    let site = Site::new();
    let host = &site.node.host;
    // A bridge for the pods, and what Calico's BIRD and Felix have for a block.
    ip(host, "link add cni0 type bridge");
    ip(host, "addr add 10.244.11.1/24 dev cni0");
    ip(host, "link set cni0 up");
    ip(
        host,
        "route add blackhole 10.244.11.0/24 proto bird metric 1",
    );
    ip(
        host,
        "route add blackhole 10.244.11.0/24 proto 80 metric 1024",
    );
    let others = || {
        let mut shown = host.command("ip");
        let shown = run(shown.args(["route", "show", "table", "all", "10.244.11.0/24"])).unwrap();
        let others = shown.lines().filter(|line| !line.contains("proto 179"));
        others.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = others();
    assert_eq!(before.len(), 3, "{before:?}");
    // Nothing is learned: it is told by itself.
    let mut agent = site.agent(0, "[kernel]\nblackhole-own-blocks = true\n");
    discards(&site, &BLOCKS);
    assert_eq!(others(), before);
    eventually(CHANGE_LIMIT, || equal(kernel(&agent)?.blackholes, 2));
    assert_eq!(kernel(&agent).unwrap().routes, 0);

    // The agent's end and its start touch nothing.
    let monitor = Monitor::start(host);
    agent.process().stop();
    agent.start_again();
    eventually(START_LIMIT, || equal(kernel(&agent)?.blackholes, 2));
    for block in BLOCKS {
        assert_eq!(monitor.about(block), [""; 0], "nobody touched it");
    }

    // Somebody takes it away, and it returns.
    ip(host, "route del blackhole 10.244.11.0/24 proto 179");
    discards(&site, &BLOCKS);
    // The node gets another block.
    let moved = node(
        site.node.name,
        host,
        &["10.244.99.0/24".to_owned()],
        json!({}),
    );
    site.manifests.apply(&moved);
    discards(&site, &["10.244.99.0/24"]);
    // And none, while no agent runs.
    agent.process().stop();
    let mut without = moved;
    without["spec"] = json!({});
    site.manifests.apply(&without);
    agent.start_again();
    discards(&site, &[]);
    assert_eq!(others(), before);
}

#[test]
fn what_is_a_service_s_is_not_learned_from_anybody_whether_or_not_it_is_announced() {
    let site = Site::new();
    // Of no range that the configuration names; another node, or a ToR, announces it.
    let cluster_ip = "10.50.0.7/32";
    let others = "100.64.0.0/16";
    // In such a range, and no Service's.
    let unused = "172.16.77.0/24";
    let _bird = site.bird(&[cluster_ip, unused, others]);
    let spec = json!({ "type": "ClusterIP", "clusterIPs": ["10.50.0.7"] });
    let service = service(cluster::NAMESPACE, "elsewhere", spec, &[]);
    site.manifests.apply(&service);
    let agent = site.agent(1, INSTALL);
    site.kernel_has(&[(others, &[0])]);
    for (prefix, within) in [(cluster_ip, cluster_ip), (unused, "172.16.0.0/16")] {
        let words = format!(
            "it is in {within}, which is of the cluster's Services: this node answers itself"
        );
        eventually(CHANGE_LIMIT, || {
            equal(path(&agent, prefix, "r0")?, unfit(&words))
        });
    }
    site.manifests.delete(&service);
    site.kernel_has(&[(cluster_ip, &[0]), (others, &[0])]);
    site.manifests.apply(&service);
    site.kernel_has(&[(others, &[0])]);
}
