//! A network with Nodes, an agent on each, and routers: what most of these tests begin with.

use std::net::IpAddr;
use std::time::Duration;

use super::cluster::{
    self, ClusterNode, addresses, agent_config, expected_table, neighbors, peers_at,
};
use crate::support::agent::{Agent, AgentConfig, Source};
use crate::support::netns::{Host, Network};
use crate::support::objects::Manifests;
use crate::support::router::{self, Router, RouterConfig, RouterKind};
use crate::support::wait::eventually;

/// Long enough for everything to come up while other tests keep both processors busy.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);

/// Long enough for a change to arrive everywhere; FRR alone may take some seconds.
pub(crate) const CHANGE_LIMIT: Duration = Duration::from_secs(30);

/// A router to be: its kind, its AS and its name in the agents' configuration.
pub(crate) type Plan = (RouterKind, u32, &'static str);

/// Agents with sessions of both families to every router. They read manifests from files.
#[derive(Debug)]
pub(crate) struct Fabric {
    pub(crate) agents: Vec<Agent>,
    pub(crate) routers: Vec<Box<dyn Router>>,
    pub(crate) nodes: Vec<ClusterNode>,
    pub(crate) manifests: Manifests,
    pub(crate) config: AgentConfig,
    pub(crate) network: Network,
}

impl Fabric {
    /// Starts the Nodes named and the routers planned, which get the hosts 1, 2, ...; returns
    /// when every session is established.
    pub(crate) fn start(names: &[&str], plans: &[Plan]) -> Self {
        let mut network = Network::new();
        let all = cluster::nodes(&mut network);
        let manifests = Manifests::new(&cluster::objects(&all));
        let nodes: Vec<ClusterNode> = all
            .into_iter()
            .filter(|node| names.contains(&node.name))
            .collect();
        let hosts: Vec<Host> = (1..).take(plans.len()).map(|n| network.host(n)).collect();
        let planned = plans.iter().zip(&hosts);
        let routers = planned.clone().map(|((kind, asn, _), host)| {
            let config = RouterConfig {
                asn: *asn,
                neighbors: neighbors(&nodes),
                announced: Vec::new(),
            };
            router::start(*kind, host, &config)
        });
        let routers = routers.collect();
        let peers = planned.flat_map(|((_, asn, name), host)| peers_at(host, *asn, name));
        let config = agent_config(Source::Files(manifests.path()), peers.collect());
        let agents = nodes
            .iter()
            .map(|node| Agent::start(&node.host, node.name, &config))
            .collect();
        let fabric = Self {
            agents,
            routers,
            nodes,
            manifests,
            config,
            network,
        };
        fabric.is_up();
        fabric
    }

    /// Waits until every session is established, by both ends' account.
    pub(crate) fn is_up(&self) {
        for agent in &self.agents {
            eventually(START_LIMIT, || agent.is_well());
        }
        for router in &self.routers {
            eventually(START_LIMIT, || {
                router.established_with(&self.node_addresses())
            });
        }
    }

    /// Waits until every router's table is what the Nodes announce, and nothing else.
    pub(crate) fn has_settled(&self) {
        let expected = expected_table(&self.nodes);
        for router in &self.routers {
            eventually(CHANGE_LIMIT, || router.has_exactly(&expected));
        }
    }

    /// What each router says of its sessions, to be compared later.
    pub(crate) fn histories(&self) -> Vec<String> {
        let sessions = self.routers.iter().map(|router| router.sessions().unwrap());
        sessions.map(|sessions| format!("{sessions:#?}")).collect()
    }

    /// How many UPDATE messages each agent has sent to each peer.
    pub(crate) fn updates_sent(&self) -> Vec<Vec<u64>> {
        let of = |agent: &Agent| -> Vec<u64> {
            let peers = agent.status().unwrap().peers.into_iter();
            peers.map(|peer| peer.updates_sent).collect()
        };
        self.agents.iter().map(of).collect()
    }

    /// Both addresses of every Node.
    pub(crate) fn node_addresses(&self) -> Vec<IpAddr> {
        let hosts = self.nodes.iter().map(|node| &node.host);
        hosts.flat_map(addresses).collect()
    }
}
