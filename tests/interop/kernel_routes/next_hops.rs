//! Next hops of routes that BIRD and FRR announce, as a real kernel reaches them: one that is not
//! reached is not used, one behind a router is reached by that router, and a route that changes is
//! followed.

use super::*;

/// What is announced by the next hop.
const ROUTE: &str = "100.64.0.0/16";
/// Where the next hop is.
const NET: &str = "10.2.0.0/24";
const NEXT_HOP: &str = "10.2.0.12";

/// What became of a router's path.
fn usage(agent: &Agent, prefix: &str, peer: &str) -> Result<Usage, String> {
    let prefix = prefix.parse().unwrap();
    let mut routes = agent.received()?.routes.into_iter();
    let route = routes.find(|route| route.prefix == prefix && route.peer == peer);
    Ok(route.ok_or("not received")?.usage)
}

#[track_caller]
fn is_unused(agent: &Agent, prefix: &str, peer: &str, reason: &str) {
    let expected = Usage::Unused {
        reason: reason.to_owned(),
    };
    eventually(CHANGE_LIMIT, || {
        equal(&usage(agent, prefix, peer)?, &expected)
    });
}

#[track_caller]
fn is_used(agent: &Agent, prefix: &str, peer: &str) {
    eventually(CHANGE_LIMIT, || match usage(agent, prefix, peer)? {
        Usage::Best { .. } | Usage::Multipath { .. } => Ok(()),
        other @ (Usage::Unused { .. } | Usage::Undecided) => Err(format!("{other:?}")),
    });
}

#[test]
fn a_path_by_a_next_hop_that_is_not_reached_hides_no_other_and_returns_with_it() {
    let site = Site::new();
    let mut bird = site.bird(&[ROUTE]);
    let _frr = site.frr(&[ROUTE]);
    // The kernel is left alone.
    let agent = site.agent(2, "");
    is_used(&agent, ROUTE, "r1");
    let config = site.announcing(0, &[ROUTE]);
    let host = &site.node.host;
    ip(host, "addr add 10.77.0.1/32 dev lo");
    ip(host, "route add prohibit 198.51.100.0/24");
    for (next_hop, words) in [
        (NEXT_HOP, "next hop 10.2.0.12 is unreachable: no route"),
        (
            "198.51.100.1",
            "next hop 198.51.100.1 is unreachable: Permission denied",
        ),
        ("10.77.0.1", "next hop 10.77.0.1 is this node's own address"),
        ("127.0.0.5", "next hop 127.0.0.5 is a loopback address"),
    ] {
        bird.configure_next_hop(&config, next_hop);
        is_unused(&agent, ROUTE, "r0", words);
        is_used(&agent, ROUTE, "r1");
    }
    // Whatever way appears, by a router or as a neighbour, is seen; and so is its end.
    bird.configure_next_hop(&config, NEXT_HOP);
    let gone = "next hop 10.2.0.12 is unreachable: no route";
    is_unused(&agent, ROUTE, "r0", gone);
    for (appears, disappears) in [
        (
            "route add 10.2.0.0/24 via 10.9.0.2",
            "route del 10.2.0.0/24",
        ),
        ("route add default via 10.9.0.2", "route del default"),
        (
            "addr add 10.2.0.1/24 dev eth0",
            "addr del 10.2.0.1/24 dev eth0",
        ),
    ] {
        ip(host, appears);
        is_used(&agent, ROUTE, "r0");
        ip(host, disappears);
        is_unused(&agent, ROUTE, "r0", gone);
    }
    assert_eq!(routes(host, OURS).unwrap(), KernelTable::new());
}

#[test]
fn a_next_hop_behind_a_router_is_reached_by_it_and_the_kernels_route_is_followed() {
    let site = Site::new();
    let mut bird = site.bird(&[]);
    let host = &site.node.host;
    ip(host, "route add default via 10.9.0.2");
    bird.configure_next_hop(&site.announcing(0, &[ROUTE]), NEXT_HOP);
    let agent = site.agent(1, INSTALL);
    site.kernel_has(&[(ROUTE, &[1])]);
    eventually(CHANGE_LIMIT, || {
        equal(path(&agent, ROUTE, "r0")?, Some(KernelPath::Installed))
    });
    let monitor = Monitor::start(host);
    ip(host, "route add 10.2.0.0/24 via 10.9.0.1");
    site.kernel_has(&[(ROUTE, &[0])]);
    // By several routers, by all of them.
    let several = "nexthop via 10.9.0.1 nexthop via 10.9.0.2";
    ip(host, &format!("route replace 10.2.0.0/24 {several}"));
    site.kernel_has(&[(ROUTE, &[0, 1])]);
    ip(host, "route del 10.2.0.0/24");
    site.kernel_has(&[(ROUTE, &[1])]);
    assert_eq!(deletions(&monitor, ROUTE), [""; 0], "replaced, in one step");
    ip(host, "route del default");
    site.kernel_has(&[]);
    is_unused(
        &agent,
        ROUTE,
        "r0",
        "next hop 10.2.0.12 is unreachable: no route",
    );
    ip(host, "route add default via 10.9.0.1");
    site.kernel_has(&[(ROUTE, &[0])]);
}

#[test]
fn a_next_hop_behind_a_learned_route_is_reached_by_it_and_none_by_itself() {
    let site = Site::new();
    let mut bird = site.bird(&[]);
    bird.configure_next_hop(&site.announcing(0, &[ROUTE]), NEXT_HOP);
    let frr = site.frr(&[NET]);
    let agent = site.agent(2, INSTALL);
    site.kernel_has(&[(NET, &[1]), (ROUTE, &[1])]);
    // With the route it goes, although our own route to it is still there when it is asked about.
    drop(frr);
    site.kernel_has(&[]);
    let nowhere = "next hop 10.2.0.12 is unreachable: no route";
    is_unused(&agent, ROUTE, "r0", nowhere);

    // The next hop is inside the route itself: that is no way there.
    bird.configure_next_hop(&site.announcing(0, &[ROUTE, NET]), NEXT_HOP);
    is_unused(&agent, NET, "r0", nowhere);
    let host = &site.node.host;
    ip(host, "route add default via 10.9.0.2");
    site.kernel_has(&[(NET, &[1]), (ROUTE, &[1])]);
    ip(host, "route replace default via 10.9.0.1");
    site.kernel_has(&[(NET, &[0]), (ROUTE, &[0])]);
    ip(host, "route del default");
    site.kernel_has(&[]);
    is_unused(&agent, NET, "r0", nowhere);
    is_unused(&agent, ROUTE, "r0", nowhere);
}
