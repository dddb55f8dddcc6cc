//! Messages as the kernel would read and write them.

use std::collections::BTreeMap;

use super::lookup::{reachability_by, take_longer};
use super::*;
use crate::types::Reachability;

const OURS: Ours = Ours {
    table: 254,
    protocol: 179,
};

fn key(prefix: &str) -> RouteKey {
    RouteKey {
        prefix: prefix.parse().unwrap(),
        metric: 4096,
    }
}

fn hops(gateways: &[&str]) -> BTreeSet<Hop> {
    let hop = |(gateway, interface): (&&str, u32)| Hop {
        gateway: gateway.parse().unwrap(),
        interface: InterfaceIndex(interface),
    };
    gateways.iter().zip(3..).map(hop).collect()
}

fn via(gateways: &[&str]) -> Target {
    Target::Hops(hops(gateways))
}

/// The message after its way to the kernel and back.
fn sent_and_received(route: RouteMessage) -> RouteMessage {
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::NewRoute(route));
    message.finalize();
    let mut octets = vec![0; message.buffer_len()];
    message.serialize(&mut octets);
    let message = NetlinkMessage::deserialize(&octets).unwrap();
    let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) = message.payload else {
        panic!("{message:?}");
    };
    route
}

fn view_of(route: &RouteMessage) -> KernelView {
    let mut view = KernelView::default();
    take(OURS, route, &mut view);
    view
}

/// A route of somebody else, without a gateway.
fn device_route(prefix: &str, table: u32, kind: RouteType) -> RouteMessage {
    let ours = Ours { table, protocol: 2 };
    let mut route = route_to(ours, key(prefix));
    route.header.kind = kind;
    route.attributes.push(RouteAttribute::Oif(3));
    sent_and_received(route)
}

#[test]
fn what_is_sent_is_what_is_read_again() {
    for (prefix, gateways) in [
        ("100.64.0.0/16", &["10.9.0.1"][..]),
        ("100.64.0.0/16", &["10.9.0.1", "10.9.0.2"]),
        ("0.0.0.0/0", &["10.9.0.1"]),
        ("10.0.0.1/32", &["10.9.0.1"]),
        ("100.64.0.0/16", &["fe80::1"]),
        ("100.64.0.0/16", &["fe80::1", "fe80::2"]),
        ("2001:db8::/32", &["fd09::1", "fe80::1"]),
        ("::/0", &["fe80::1"]),
    ] {
        for table in [254, 70_000] {
            let ours = Ours { table, ..OURS };
            let route = sent_and_received(route_of(ours, key(prefix), &via(gateways)));
            let mut view = KernelView::default();
            take(ours, &route, &mut view);
            assert_eq!(view.routes, [(key(prefix), via(gateways))].into());
            assert_eq!(view.connected, BTreeSet::new());
        }
    }
}

#[test]
fn a_blackhole_and_a_route_by_a_tunnel_are_read_as_they_are_sent() {
    let tunnels = [&["10.9.0.1"][..], &["10.9.0.1", "10.9.0.2"]];
    let tunnels = tunnels.map(|gateways| Target::Tunnel(hops(gateways)));
    for target in tunnels.into_iter().chain([Target::Blackhole]) {
        let route = sent_and_received(route_of(OURS, key("10.244.0.0/26"), &target));
        let view = view_of(&route);
        assert_eq!(view.routes, [(key("10.244.0.0/26"), target)].into());
        assert_eq!(view.connected, BTreeSet::new());
    }
}

#[test]
fn a_default_route_is_told_without_a_destination() {
    let mut route = route_of(OURS, key("::/0"), &via(&["fe80::1"]));
    let is_destination =
        |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::Destination(_));
    route
        .attributes
        .retain(|attribute| !is_destination(attribute));
    assert!(view_of(&route).routes.contains_key(&key("::/0")));
}

#[test]
fn another_table_protocol_or_kind_is_not_ours() {
    let route = |ours: Ours| route_of(ours, key("100.64.0.0/16"), &via(&["10.9.0.1"]));
    let mut special = route(OURS);
    special.header.tos = 8;
    let mut unreachable = route_to(OURS, key("100.64.0.0/16"));
    unreachable.header.kind = RouteType::Unreachable;
    let foreign = [
        route(Ours { table: 100, ..OURS }),
        route(Ours {
            table: 70_000,
            ..OURS
        }),
        route(Ours {
            protocol: 12,
            ..OURS
        }),
        special,
        unreachable,
    ];
    for route in foreign {
        assert_eq!(view_of(&sent_and_received(route)), KernelView::default());
    }
}

#[test]
fn the_node_is_connected_to_what_needs_no_gateway() {
    for (prefix, table, kind, connected) in [
        ("10.9.0.0/24", 254, RouteType::Unicast, true),
        ("fd09::/64", 254, RouteType::Unicast, true),
        ("10.9.0.11/32", 255, RouteType::Local, true),
        ("10.9.0.255/32", 255, RouteType::Broadcast, false),
        ("ff00::/8", 255, RouteType::Multicast, false),
        ("10.244.1.0/24", 254, RouteType::BlackHole, false),
        // By a tunnel without addresses: everything is there, and nothing is a neighbour.
        ("0.0.0.0/0", 254, RouteType::Unicast, false),
    ] {
        let view = view_of(&device_route(prefix, table, kind));
        assert_eq!(!view.connected.is_empty(), connected, "{prefix}");
        assert_eq!(view.routes.len(), 0);
    }
}

#[test]
fn an_address_is_a_neighbour_our_own_behind_a_router_or_nowhere() {
    let mut own = device_route("10.9.0.11/32", 255, RouteType::Local);
    assert_eq!(reachability_by(&own), Reachability::Own);
    own.header.kind = RouteType::Unicast;
    let on_link = Reachability::OnLink(InterfaceIndex(3));
    assert_eq!(reachability_by(&own), on_link);
    let gateways = ["10.9.0.1", "10.9.0.2"];
    for count in 1..=2 {
        let hops = hops(&gateways[..count]);
        let routed = sent_and_received(route_of(
            OURS,
            key("192.0.2.0/24"),
            &Target::Hops(hops.clone()),
        ));
        let by = "192.0.2.0/24".parse().unwrap();
        assert_eq!(reachability_by(&routed), Reachability::Routed { hops, by });
    }
    let unreachable = device_route("192.0.2.1/32", 254, RouteType::Unreachable);
    let words = "the kernel's route there is unreachable".to_owned();
    assert_eq!(reachability_by(&unreachable), Reachability::Refused(words));
}

#[test]
fn of_the_routes_that_lead_somewhere_the_longest_and_then_the_lowest_metric_counts() {
    let addresses = ["192.0.2.1", "192.0.2.200", "10.9.0.5", "2001:db8::1"];
    let addresses = addresses.map(|address| address.parse().unwrap()).into();
    let mut longest = BTreeMap::new();
    for (prefix, metric, gateway) in [
        ("192.0.2.0/24", 20, "10.9.0.1"),
        ("0.0.0.0/0", 1, "10.9.0.2"),
        ("192.0.2.128/25", 100, "10.9.0.3"),
        ("192.0.2.0/24", 10, "10.9.0.4"),
        ("192.0.2.0/24", 30, "10.9.0.5"),
    ] {
        let key = RouteKey {
            metric,
            ..key(prefix)
        };
        let route = sent_and_received(route_of(OURS, key, &via(&[gateway])));
        take_longer(&addresses, &route, &mut longest);
    }
    let throw = device_route("192.0.2.1/32", 254, RouteType::Throw);
    take_longer(&addresses, &throw, &mut longest);
    let gateways: Vec<_> = longest
        .iter()
        .map(|(address, route)| {
            let hops = hops_of(route);
            format!("{address} by {}", hops.first().unwrap().gateway)
        })
        .collect();
    let expected = [
        "10.9.0.5 by 10.9.0.2",
        "192.0.2.1 by 10.9.0.4",
        "192.0.2.200 by 10.9.0.3",
    ];
    assert_eq!(gateways, expected);
}

#[test]
fn of_others_changes_only_those_matter_that_routes_depend_on() {
    let deleted = |route| NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelRoute(route));
    let matters = |route| super::matters(&deleted(route), OURS, Interest::OurRoutes);
    let matters_to_next_hops = |route| super::matters(&deleted(route), OURS, Interest::NextHops);
    assert!(matters(route_of(
        OURS,
        key("100.64.0.0/16"),
        &via(&["10.9.0.1"])
    )));
    assert!(matters(device_route(
        "10.9.0.0/24",
        254,
        RouteType::Unicast
    )));
    let theirs = Ours {
        protocol: 12,
        ..OURS
    };
    assert!(!matters(route_of(
        theirs,
        key("100.64.0.0/16"),
        &via(&["10.9.0.1"])
    )));
    let route = |ours| route_of(ours, key("100.64.0.0/16"), &via(&["10.9.0.1"]));
    assert!(matters_to_next_hops(route(theirs)));
    assert!(!matters_to_next_hops(route(OURS)));
    // By our blackholes, next hops are as unreachable as by anybody's.
    let blackhole = route_of(OURS, key("10.244.0.0/26"), &Target::Blackhole);
    assert!(matters_to_next_hops(blackhole.clone()) && matters(blackhole));
    for interest in [Interest::OurRoutes, Interest::NextHops] {
        let lost = NetlinkPayload::Overrun(Vec::new());
        let matters = super::matters(&lost, OURS, interest);
        assert!(matters, "messages were lost");
    }
}

#[test]
fn errors_are_told_in_the_system_s_words() {
    assert_eq!(
        KernelError::Refused(libc::EEXIST).to_string(),
        "File exists"
    );
    assert_eq!(
        KernelError::Refused(libc::ENETUNREACH).to_string(),
        "Network is unreachable"
    );
}
