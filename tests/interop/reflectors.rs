//! Three masters as route reflectors of one cluster, workers as their clients, among them FRR and
//! GoBGP, and BIRD as the core switch, all in one AS: whose routes get where, by whose next hop.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::json;

use super::cluster::{CLUSTER_ASN, agent_config};
use super::fabric::{CHANGE_LIMIT, START_LIMIT};
use crate::support::agent::{Agent, AgentConfig, Source};
use crate::support::bird::Bird;
use crate::support::netns::{Host, Network};
use crate::support::objects::{Manifests, node};
use crate::support::router::{self, Neighbor, Router, RouterConfig, RouterKind, Table};
use crate::support::wait::eventually;

const MASTERS: [&str; 3] = ["master-1", "master-2", "master-3"];
const WORKERS: [&str; 2] = ["worker-1", "worker-2"];
const CLUSTER_ID: &str = "244.0.0.1";

/// Each host and the one prefix that it announces.
struct Plan(BTreeMap<&'static str, (Host, String)>);

impl Plan {
    fn new(network: &mut Network) -> Self {
        let names = MASTERS.into_iter().chain(WORKERS);
        let names = names.chain(["frr", "gobgp", "switch"]);
        let hosts = names.zip(21..).map(|(name, number)| {
            let prefix = format!("10.244.{number}.0/24");
            (name, (network.host(number), prefix))
        });
        Self(hosts.collect())
    }

    fn host(&self, name: &str) -> &Host {
        &self.0[name].0
    }

    fn address(&self, name: &str) -> IpAddr {
        self.host(name).ipv4.into()
    }

    /// The table of somebody who has the prefixes of `origins` from each of `neighbors`, by the next
    /// hop of whoever announces them, and from each reflector its own.
    fn table(&self, neighbors: &[&str], origins: &[&str]) -> Table {
        let mut table = Table::default();
        for from in neighbors {
            for origin in origins.iter().chain([from]) {
                let prefix = self.0[origin].1.parse().unwrap();
                table.insert(self.address(from), prefix, self.address(origin));
            }
        }
        table
    }

    /// Tables of peers for a configuration file.
    fn peers(&self, names: &[&str], options: &str) -> String {
        let mut text = String::new();
        for name in names {
            let address = self.address(name);
            let _ = write!(
                text,
                "[[peers]]\nname = \"{name}\"\naddress = \"{address}\"\nasn = {CLUSTER_ASN}\n{options}"
            );
        }
        text
    }

    fn router(&self, name: &str, neighbors: &[&str]) -> RouterConfig {
        let neighbors = neighbors.iter();
        RouterConfig {
            asn: CLUSTER_ASN,
            neighbors: neighbors
                .map(|neighbor| Neighbor::new(self.address(neighbor), CLUSTER_ASN))
                .collect(),
            announced: vec![self.0[name].1.parse().unwrap()],
        }
    }

    /// An agent with these peers. It becomes a reflector, and its peers clients, while it runs. Nobody
    /// keeps the routes of one that dies.
    fn agent(&self, name: &str, manifests: &Manifests, cluster: Cluster, peers: &str) -> Agent {
        let config = AgentConfig {
            cluster_cidrs: Vec::new(),
            external_cidrs: Vec::new(),
            load_balancer_cidrs: Vec::new(),
            ..agent_config(Source::Files(manifests.path()), Vec::new())
        };
        let agent = Agent::start(self.host(name), name, &config);
        let text = agent.rendered(&config) + peers;
        let cluster = match cluster {
            Cluster::Member => String::new(),
            Cluster::Reflector => format!("cluster-id = {CLUSTER_ID:?}\n"),
        };
        let bgp = format!("[bgp]\ngraceful-restart = \"off\"\n{cluster}");
        agent.configure_text(&text.replace("[bgp]\n", &bgp));
        agent
    }
}

/// What an agent is to the cluster.
#[derive(Clone, Copy)]
enum Cluster {
    Member,
    Reflector,
}

/// The other masters.
fn others(of: &str) -> Vec<&'static str> {
    MASTERS.into_iter().filter(|name| *name != of).collect()
}

#[test]
fn reflectors_pass_on_what_their_clients_announce_by_the_next_hops_of_those() {
    let mut network = Network::new();
    let plan = Plan::new(&mut network);
    let nodes = MASTERS.into_iter().chain(WORKERS);
    let nodes: Vec<_> = nodes
        .map(|name| {
            let cidr = [plan.0[name].1.clone()];
            node(name, plan.host(name), &cidr, json!({}))
        })
        .collect();
    let manifests = Manifests::new(&nodes);

    let clients = ["worker-1", "worker-2", "frr", "gobgp"];
    let mut masters = BTreeMap::new();
    for name in MASTERS {
        let peers = plan.peers(&others(name), "")
            + &plan.peers(&["switch"], "")
            + &plan.peers(&clients, "route-reflector-client = true\n");
        let agent = plan.agent(name, &manifests, Cluster::Reflector, &peers);
        masters.insert(name, agent);
    }
    let member = |name, peers| plan.agent(name, &manifests, Cluster::Member, peers);
    // An ordinary node with a peer of its own beside the reflectors: it is no way to anybody.
    let with_frr = plan.peers(&MASTERS, "") + &plan.peers(&["frr"], "");
    let workers = [
        member("worker-1", &with_frr),
        member("worker-2", &plan.peers(&MASTERS, "")),
    ];
    let bird = Bird::start(plan.host("switch"), &plan.router("switch", &MASTERS));
    let frrs = [&MASTERS[..], &["worker-1"]].concat();
    let frr = router::start(
        RouterKind::Frr,
        plan.host("frr"),
        &plan.router("frr", &frrs),
    );
    let gobgp = plan.router("gobgp", &MASTERS);
    let gobgp = router::start(RouterKind::Gobgp, plan.host("gobgp"), &gobgp);
    for agent in masters.values().chain(&workers) {
        eventually(START_LIMIT, || agent.is_well());
    }

    // The switch is no client: it has what clients announce, and each master's own from that alone.
    let at_switch = plan.table(&MASTERS, &clients);
    eventually(START_LIMIT, || bird.has_exactly(&at_switch));
    // A client has everything of the others, the masters' and the switch's included.
    let all_but = |own: &str| -> Vec<&str> {
        let names = plan.0.keys().copied();
        names.filter(|name| *name != own).collect()
    };
    let from_reflectors = plan.table(&MASTERS, &all_but("gobgp"));
    eventually(CHANGE_LIMIT, || gobgp.has_exactly(&from_reflectors));
    let mut at_frr = plan.table(&MASTERS, &all_but("frr"));
    at_frr.0.extend(plan.table(&["worker-1"], &[]).0);
    // It lists its own as if from nobody.
    let nobody = IpAddr::from([0; 4]);
    at_frr.insert(nobody, plan.0["frr"].1.parse().unwrap(), nobody);
    eventually(CHANGE_LIMIT, || frr.has_exactly(&at_frr));

    // Who brought the route into the AS, and what reflected it.
    let (worker, prefix) = &plan.0["worker-2"];
    let told = bird.ask(&format!("show route all for {prefix}")).unwrap();
    let lines = |text: &str| told.lines().filter(|line| line.trim() == text).count();
    let originator = format!("BGP.originator_id: {}", worker.ipv4);
    assert_eq!(lines(&originator), MASTERS.len(), "{told}");
    let clusters = format!("BGP.cluster_list: {CLUSTER_ID}");
    assert_eq!(lines(&clusters), MASTERS.len(), "{told}");

    // One reflector dies: the others have it all.
    masters.remove("master-1");
    let left = ["master-2", "master-3"];
    let at_switch = plan.table(&left, &clients);
    eventually(CHANGE_LIMIT, || bird.has_exactly(&at_switch));
    // A worker leaves: no reflector keeps its route alive.
    drop(workers);
    let at_switch = plan.table(&left, &["frr", "gobgp"]);
    eventually(CHANGE_LIMIT, || bird.has_exactly(&at_switch));
}
