//! What a pool's mode makes of a route to one of its blocks.

use super::*;
use crate::types::{Encapsulation, IpPool, PoolRoutes, Tunnelled};

const TUNNEL_INDEX: InterfaceIndex = InterfaceIndex(7);

fn pools(encapsulation: Encapsulation) -> Pools {
    Pools {
        pools: vec![IpPool {
            cidr: prefix("10.244.0.0/16"),
            encapsulation,
            routes: PoolRoutes::Bgp,
        }],
        subnets: vec![prefix("192.168.83.0/24")],
    }
}

/// A path by this next hop, which a router leads to.
fn path(next_hop: &str) -> PathWay {
    PathWay {
        next_hop: next_hop.parse().unwrap(),
        hops: hops(&["192.168.83.1"]),
    }
}

fn neighbour(next_hop: &str) -> PathWay {
    PathWay {
        next_hop: next_hop.parse().unwrap(),
        hops: hops(&[next_hop]),
    }
}

fn target(pools: &Pools, text: &str, paths: &[PathWay]) -> Result<Target, Unfit> {
    pools.target(&prefix(text), paths.to_vec(), Some(TUNNEL_INDEX))
}

fn by_tunnel(gateways: &[&str]) -> Target {
    let hop = |gateway: &&str| Hop {
        gateway: gateway.parse().unwrap(),
        interface: TUNNEL_INDEX,
    };
    Target::Tunnel(gateways.iter().map(hop).collect())
}

const BLOCK: &str = "10.244.7.64/26";
const FAR: &str = "192.168.84.12";
const NEAR: &str = "192.168.83.12";

#[test]
fn without_encapsulation_and_outside_of_pools_a_route_leads_where_its_next_hop_is() {
    let plain = Ok(via(&["192.168.83.1"]));
    let pool = pools(Encapsulation::None);
    assert_eq!(target(&pool, BLOCK, &[path(FAR)]), plain);
    let pool = pools(Encapsulation::Vxlan(Tunnelled::Always));
    for text in ["10.245.0.0/16", "10.0.0.0/8", "0.0.0.0/0"] {
        assert_eq!(target(&pool, text, &[path(FAR)]), plain, "{text}");
    }
    let unknown = PathWay {
        hops: BTreeSet::new(),
        ..path(FAR)
    };
    let found = target(&pool, "0.0.0.0/0", &[unknown]);
    assert_eq!(found, Err(Unfit::UnknownWay));
}

#[test]
fn in_ip_in_ip_the_next_hop_itself_is_at_the_other_end_of_the_tunnel() {
    let always = pools(Encapsulation::IpInIp(Tunnelled::Always));
    for next_hop in [NEAR, FAR] {
        let found = target(&always, BLOCK, &[path(next_hop)]);
        assert_eq!(found, Ok(by_tunnel(&[next_hop])));
    }
    let cross_subnet = pools(Encapsulation::IpInIp(Tunnelled::CrossSubnet));
    let found = target(&cross_subnet, BLOCK, &[path(FAR)]);
    assert_eq!(found, Ok(by_tunnel(&[FAR])));
    let found = target(&cross_subnet, BLOCK, &[neighbour(NEAR)]);
    assert_eq!(found, Ok(via(&[NEAR])));
    // Of several paths that are as good, those count that need no tunnel.
    let found = target(&cross_subnet, BLOCK, &[path(FAR), neighbour(NEAR)]);
    assert_eq!(found, Ok(via(&[NEAR])));
    let found = target(&always, BLOCK, &[path(FAR), neighbour(NEAR)]);
    assert_eq!(found, Ok(by_tunnel(&[NEAR, FAR])));
}

#[test]
fn where_the_node_s_networks_are_not_known_neighbours_are_near() {
    let mut pool = pools(Encapsulation::IpInIp(Tunnelled::CrossSubnet));
    pool.subnets.clear();
    let found = target(&pool, BLOCK, &[neighbour(FAR)]);
    assert_eq!(found, Ok(via(&[FAR])));
    let found = target(&pool, BLOCK, &[path(NEAR)]);
    assert_eq!(found, Ok(by_tunnel(&[NEAR])));
}

#[test]
fn what_felix_makes_is_left_to_it_and_said() {
    let words = "it is in the IPPool 10.244.0.0/16, whose routes Felix makes";
    let mut felix = pools(Encapsulation::None);
    felix.pools[0].routes = PoolRoutes::Felix;
    let vxlan = [Tunnelled::Always, Tunnelled::CrossSubnet].map(Encapsulation::Vxlan);
    for pool in vxlan.map(pools).into_iter().chain([felix]) {
        for path in [path(FAR), neighbour(NEAR)] {
            let found = target(&pool, BLOCK, &[path]).map_err(|unfit| unfit.to_string());
            assert_eq!(found, Err(words.to_owned()));
        }
    }
    let pool = pools(Encapsulation::IpInIp(Tunnelled::CrossSubnet));
    let found = pool.target(&prefix(BLOCK), vec![path(FAR)], None);
    let words = "it is in the IPPool 10.244.0.0/16, whose traffic goes by tunl0, which Felix has \
                 to make";
    assert_eq!(
        found.map_err(|unfit| unfit.to_string()),
        Err(words.to_owned())
    );
    let found = pool.target(&prefix(BLOCK), vec![neighbour(NEAR)], None);
    assert_eq!(found, Ok(via(&[NEAR])), "near ones need none");
}

#[test]
fn a_route_that_becomes_felix_s_goes_and_one_by_a_tunnel_replaces_one_without() {
    let mut bench = Bench::start(Kernel::default());
    let cross_subnet = pools(Encapsulation::IpInIp(Tunnelled::CrossSubnet));
    let near = target(&cross_subnet, BLOCK, &[neighbour(NEAR)]);
    let far = target(&cross_subnet, BLOCK, &[path(FAR)]);
    let vxlan = target(
        &pools(Encapsulation::Vxlan(Tunnelled::Always)),
        BLOCK,
        &[path(FAR)],
    );
    bench.fib.want(prefix(BLOCK), Some(near));
    assert_eq!(bench.settle().len(), 1);
    bench.fib.want(prefix(BLOCK), Some(far.clone()));
    let replaced = Change::Replace {
        key: key(BLOCK),
        target: by_tunnel(&[FAR]),
    };
    assert_eq!(bench.settle(), [replaced]);
    assert_eq!(
        bench.fib.path_state(prefix(BLOCK), &far),
        PathState::Installed
    );
    assert_eq!(
        bench.fib.wanted_within(&prefix("10.244.0.0/16")),
        [prefix(BLOCK)]
    );
    bench.fib.want(prefix(BLOCK), Some(vxlan));
    assert_eq!(bench.settle(), [Change::Remove(key(BLOCK))]);
    assert_eq!(bench.fib.counts().unfit, 1);
    assert_eq!(bench.settle(), []);
}
