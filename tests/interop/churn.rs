//! A thousand changes of Services in a row: no session moves, and the table is right in the end.

use super::cluster::{FABRIC_ASN, NAMESPACE, WORKERS, expected_table, extra};
use super::fabric::{CHANGE_LIMIT, Fabric};
use crate::support::objects::Readiness;
use crate::support::router::RouterKind;
use crate::support::wait::eventually;

const SERVICES: u16 = 250;

/// Each changes four times: it appears, its endpoint becomes ready, unready, ready again.
const CHANGES: u16 = 4 * SERVICES;

#[test]
fn a_thousand_service_changes_move_no_session() {
    assert_eq!(CHANGES, 1_000);
    let fabric = Fabric::start(
        &[WORKERS[0]],
        &[
            (RouterKind::Bird, FABRIC_ASN, "bird"),
            (RouterKind::Frr, FABRIC_ASN + 1, "frr"),
            (RouterKind::Gobgp, FABRIC_ASN + 2, "gobgp"),
        ],
    );
    fabric.has_settled();
    let histories = fabric.histories();
    let sent_before = fabric.updates_sent();

    let mut complete = expected_table(&fabric.nodes);
    for readiness in [
        Readiness::Unready,
        Readiness::Ready,
        Readiness::Unready,
        Readiness::Ready,
    ] {
        for number in 0..SERVICES {
            let name = format!("extra-{number}");
            let [service, slice] = extra(&name, number, WORKERS[0], readiness);
            fabric.manifests.apply(&slice);
            fabric.manifests.apply(&service);
        }
    }
    let host = &fabric.nodes[0].host;
    for number in 0..SERVICES {
        let [service, _] = extra("any", number, WORKERS[0], Readiness::Ready);
        let address = service["spec"]["clusterIP"].as_str().unwrap();
        let prefix = format!("{address}/32").parse().unwrap();
        for from in super::cluster::addresses(host) {
            complete.insert(from, prefix, host.ipv4.into());
        }
    }
    for router in &fabric.routers {
        eventually(CHANGE_LIMIT, || router.has_exactly(&complete));
    }

    // Changes back to what was: the table shrinks to where it began.
    for number in 0..SERVICES {
        let name = format!("extra-{number}");
        for object in extra(&name, number, WORKERS[0], Readiness::Ready) {
            fabric.manifests.delete(&object);
        }
    }
    fabric.has_settled();
    assert_eq!(fabric.histories(), histories, "a session moved");
    for (agent, before) in fabric.agents.iter().zip(&sent_before) {
        let status = agent.status().unwrap();
        assert_eq!(status.source.error, None, "of {NAMESPACE}");
        for (peer, before) in status.peers.iter().zip(before) {
            assert_eq!(peer.established_count, 1, "{peer:?}");
            assert!(peer.updates_sent >= before + 2, "{peer:?} was {before}");
        }
    }
}
