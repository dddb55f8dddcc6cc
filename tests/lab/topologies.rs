//! The topologies: each works in each family; and what a cluster's network goes through costs no
//! request.

use std::time::Duration;

use tokio::time::Instant;

use super::cluster::{LIMIT, Lab};
use super::plan::{Families, HOLD_TIME, Plan, Topology};
use super::traffic::{Flow, Traffic};
use crate::support::apiserver::outage;
use crate::support::netns::Port;
use crate::support::router::RouterKind;
use crate::support::wait::{eventually, throughout};

/// How many nodes have web pods.
const WEB_NODES: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_of_both_families_serves_through_all_that_happens_to_it() {
    lives(Plan {
        topology: Topology::Mesh,
        families: Families::Both,
        switches: RouterKind::Bird,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racks_of_both_families_serve_through_all_that_happens_to_them() {
    lives(Plan {
        topology: Topology::Racks,
        families: Families::Both,
        switches: RouterKind::Frr,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_of_ipv4_alone_works() {
    works(Plan {
        topology: Topology::Mesh,
        families: Families::Ipv4,
        switches: RouterKind::Frr,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_of_ipv6_alone_works() {
    works(Plan {
        topology: Topology::Mesh,
        families: Families::Ipv6,
        switches: RouterKind::Bird,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racks_of_ipv4_alone_work() {
    works(Plan {
        topology: Topology::Racks,
        families: Families::Ipv4,
        switches: RouterKind::Bird,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racks_of_ipv6_alone_work() {
    works(Plan {
        topology: Topology::Racks,
        families: Families::Ipv6,
        switches: RouterKind::Frr,
    })
    .await;
}

async fn works(plan: Plan) -> Lab {
    let start = Instant::now();
    let mut lab = Lab::start(plan).await;
    // The last node has none: it answers for no local Service.
    for node in 0..WEB_NODES {
        lab.run_web(&format!("web-{node}"), node).await;
    }
    lab.works();
    println!("lab: {plan}: works after {:?}", start.elapsed());
    lab
}

async fn lives(plan: Plan) {
    let start = Instant::now();
    let mut lab = works(plan).await;
    endpoints_roll(&mut lab).await;
    a_node_is_cut_off(&lab);
    the_api_server_goes_away(&mut lab).await;
    println!("lab: {plan}: done after {:?}", start.elapsed());
}

/// A new pod on the next node is ready; the old one is told to end, and ends when nobody asks it
/// any more; until each node had its turn.
async fn endpoints_roll(lab: &mut Lab) {
    let traffic = Traffic::start(&lab.site.vm, lab.web_targets());
    let count = lab.nodes.len();
    for turn in 0..count {
        let new = (turn + WEB_NODES) % count;
        lab.run_web(&format!("web-{}", turn + WEB_NODES), new).await;
        lab.routes_settle();
        let old = format!("web-{turn}");
        lab.begin_to_end(&old).await;
        lab.routes_settle();
        lab.end(&old).await;
    }
    lab.web_keeps_clients();
    for flow in traffic.end() {
        println!("lab: endpoints roll: {flow}");
        assert!(flow.asked.len() > count, "{flow}");
        if flow.is_of_requests() {
            assert!(
                flow.lost().is_empty(),
                "requests are lost: {:#?}",
                flow.lost()
            );
        }
    }
}

/// The links of a node with an endpoint are cut: the other one gets all when the hold time has
/// passed, and everything is as before when they are mended.
fn a_node_is_cut_off(lab: &Lab) {
    let cut = *lab.web_nodes().last().unwrap();
    let seat = lab.nodes[cut].place.seat;
    let traffic = Traffic::start(&lab.site.vm, lab.web_targets());
    lab.site.set_link(seat, Port::Cut);
    let since = Instant::now();
    lab.routes_settle_without(Some(cut));
    let moved = Instant::now();
    println!(
        "lab: {} cut off: switched to others after {} ms, hold time {HOLD_TIME} s",
        seat.name,
        (moved - since).as_millis()
    );
    // Some traffic on the ways that are left.
    let asked = lab.web_targets()[0].ask(&lab.site.vm, 60);
    assert!(asked.iter().all(|asked| asked.answer.is_ok()), "{asked:#?}");
    let flows = traffic.end();
    for flow in &flows {
        report_loss(flow, since);
        let late = flow.lost().into_iter().filter(|asked| asked.at > moved);
        assert_eq!(late.count(), 0, "lost after all traffic had moved: {flow}");
    }
    lab.site.set_link(seat, Port::Open);
    lab.is_established();
    lab.routes_settle();
    lab.web_keeps_clients();
}

fn report_loss(flow: &Flow, since: Instant) {
    let last = flow.lost_until(since).unwrap_or(Duration::ZERO);
    println!(
        "lab: cut off: {flow}; the last lost {} ms after the cut",
        last.as_millis()
    );
}

/// The API server is away, and comes back with an empty watch cache: nothing changes.
async fn the_api_server_goes_away(lab: &mut Lab) {
    let mut targets = lab.web_targets();
    for name in lab.pods.keys().filter(|name| name.starts_with("web")) {
        targets.extend(lab.pod_targets(name));
    }
    let traffic = Traffic::start(&lab.site.vm, targets);
    let (sent, routes) = (lab.sent(), lab.core_routes().unwrap());
    let outage = outage();
    lab.server.freeze();
    throughout(outage, || {
        if lab.core_routes()? == routes {
            Ok(())
        } else {
            Err("the core switch's routes have changed".to_owned())
        }
    });
    lab.server.kill();
    for node in &lab.nodes {
        eventually(LIMIT, || {
            let error = node.agent.status()?.source.error;
            error
                .map(drop)
                .ok_or("status knows of no trouble".to_owned())
        });
    }
    lab.server.start_again();
    lab.server.until_ready().await;
    for node in &lab.nodes {
        eventually(LIMIT, || {
            let error = node.agent.status()?.source.error;
            error.map_or(Ok(()), Err)
        });
    }
    lab.is_established();
    lab.routes_settle();
    lab.web_keeps_clients();
    assert_eq!(lab.sent(), sent, "something was withdrawn or sent again");
    for flow in traffic.end() {
        println!("lab: API server away for {outage:?}: {flow}");
        assert!(flow.lost().is_empty(), "{:#?}", flow.lost());
    }
}

impl Lab {
    /// How many UPDATEs each agent has sent to each peer.
    fn sent(&self) -> Vec<Vec<u64>> {
        let of = |agent: &crate::support::agent::Agent| -> Vec<u64> {
            let peers = agent.status().unwrap().peers.into_iter();
            peers.map(|peer| peer.updates_sent).collect()
        };
        self.nodes.iter().map(|node| of(&node.agent)).collect()
    }
}
