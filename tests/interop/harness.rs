//! The harness alone: the other routers against each other, so that what the tests of the agent
//! rely on is itself tested.

use std::net::IpAddr;
use std::time::Duration;

use crate::support::netns::Network;
use crate::support::router::{
    self, Neighbor, Router, RouterConfig, RouterKind, SessionState, Table,
};
use crate::support::wait::{equal, eventually};

#[test]
fn every_router_lists_what_the_others_announce() {
    let mut network = Network::new();
    let members: Vec<_> = RouterKind::ALL
        .into_iter()
        .zip(1u8..)
        .map(|(kind, number)| {
            (
                kind,
                network.host(number),
                4_200_000_000 + u32::from(number),
            )
        })
        .collect();
    let announced = |number: usize| {
        [
            format!("192.0.{number}.0/24"),
            format!("2001:db8:{number}::/48"),
        ]
        .map(|prefix| prefix.parse().unwrap())
    };
    let routers: Vec<Box<dyn Router>> = members
        .iter()
        .enumerate()
        .map(|(number, (kind, host, asn))| {
            let others = members.iter().filter(|(other, _, _)| other != kind);
            let neighbors = others.flat_map(|(_, host, asn)| {
                [IpAddr::from(host.ipv4), host.ipv6.into()]
                    .map(|address| Neighbor::new(address, *asn))
            });
            let config = RouterConfig {
                asn: *asn,
                neighbors: neighbors.collect(),
                announced: announced(number).to_vec(),
            };
            router::start(*kind, host, &config)
        })
        .collect();

    for (router, (kind, ..)) in routers.iter().zip(&members) {
        let mut expected = Table::default();
        for (number, (other, host, _)) in members.iter().enumerate() {
            for prefix in announced(number) {
                let address = host.address_like(prefix.address());
                if other != kind {
                    expected.insert(address, prefix, address);
                }
            }
        }
        eventually(Duration::from_secs(40), || {
            let routes = router.learned()?.into_iter();
            // Not what one passes on from another, nor what has no next hop of the session's own
            // family: FRR and GoBGP invent one.
            let own = routes.filter(|route| {
                route.as_path.len() == 1 && route.from.is_ipv4() == route.prefix.address().is_ipv4()
            });
            let table = Table(own.map(|r| (r.from, r.prefix, r.next_hop)).collect());
            equal(&table, &expected)
        });
        for session in router.sessions().unwrap().values() {
            assert_eq!(session.state, SessionState::Established, "{kind:?}");
        }
    }
}
