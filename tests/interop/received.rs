//! Peers that announce to us: their routes are counted and go nowhere.

use std::time::Duration;

use rutter::types::Prefix;

use super::cluster::{
    self, CLUSTER_ASN, EXTERNAL_PREFIX, FABRIC_ASN, WORKERS, agent_config, external_slice,
};
use super::fabric::{CHANGE_LIMIT, START_LIMIT};
use crate::support::agent::{Agent, AgentPeer, Source};
use crate::support::bird::Bird;
use crate::support::netns::Network;
use crate::support::objects::{Manifests, Readiness};
use crate::support::router::{self, Neighbor, Router, RouterConfig, RouterKind, Table};
use crate::support::wait::{eventually, throughout};

const ROUTES: u32 = 20_000;

#[test]
fn a_large_table_from_a_peer_goes_nowhere_and_delays_nothing() {
    let mut network = Network::new();
    let (upstream, other) = (network.host(1), network.host(2));
    let nodes = cluster::nodes(&mut network);
    let manifests = Manifests::new(&cluster::objects(&nodes));
    let node = nodes.iter().find(|node| node.name == WORKERS[2]).unwrap();
    let from = node.host.ipv4.into();
    let config = |asn, announced| RouterConfig {
        asn,
        neighbors: vec![Neighbor::new(from, CLUSTER_ASN)],
        announced,
    };
    let large: Vec<Prefix> = (0..ROUTES).map(route).collect();
    let bird = Bird::start(&upstream, &config(FABRIC_ASN, large));
    // Inside our AS: what comes from one router must not reach the other.
    let inside = router::start(RouterKind::Gobgp, &other, &config(CLUSTER_ASN, Vec::new()));
    let peers = vec![
        AgentPeer::new("upstream", upstream.ipv4, FABRIC_ASN),
        AgentPeer::new("inside", other.ipv4, CLUSTER_ASN),
    ];
    let agent = Agent::start(
        &node.host,
        node.name,
        &agent_config(Source::Files(manifests.path()), peers),
    );
    let prefix: Prefix = EXTERNAL_PREFIX.parse().unwrap();
    let mut expected = Table::default();
    for announced in cluster::announced(node.name) {
        expected.insert(from, announced, node.host.address_like(announced.address()));
    }
    let reduced = expected.without(&[from], &[prefix]);

    // The table arrives while our own routes change.
    eventually(START_LIMIT, || inside.has_exactly(&expected));
    for (readiness, table) in [
        (Readiness::Unready, &reduced),
        (Readiness::Ready, &expected),
    ] {
        manifests.apply(&external_slice(readiness));
        eventually(CHANGE_LIMIT, || inside.has_exactly(table));
    }
    eventually(START_LIMIT, || {
        let received = agent.peer("upstream")?.prefixes_received;
        if received == u64::from(ROUTES) {
            Ok(())
        } else {
            Err(format!("{received} received"))
        }
    });
    eventually(CHANGE_LIMIT, || bird.has_exactly(&expected));
    throughout(Duration::from_secs(2), || inside.has_exactly(&expected));
    let peer = agent.peer("upstream").unwrap();
    assert_eq!((peer.established_count, peer.last_error), (1, None));

    // Withdrawn again, they are forgotten.
    let mut bird = bird;
    bird.configure(&config(FABRIC_ASN, vec![route(0)]));
    eventually(START_LIMIT, || {
        let received = agent.peer("upstream")?.prefixes_received;
        if received == 1 {
            Ok(())
        } else {
            Err(format!("{received} received"))
        }
    });
    assert_eq!(agent.peer("upstream").unwrap().established_count, 1);
}

fn route(number: u32) -> Prefix {
    format!("100.{}.{}.0/24", 64 + number / 256, number % 256)
        .parse()
        .unwrap()
}
