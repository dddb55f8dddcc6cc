//! Who makes the routes to the addresses of an IPPool, and by which way they lead: what Calico's
//! BIRD would put into the kernel.
//!
//! | the pool's mode | the route |
//! |---|---|
//! | none | by the next hop, as any other |
//! | IP-in-IP, always | by [`TUNNEL`], with the next hop at its other end |
//! | IP-in-IP, across subnets | the same, but for a next hop in one of the node's own networks |
//! | VXLAN | none: Felix makes it, from what it knows of the pools |
//!
//! The tunnels themselves are the CNI's, and a pool may be [left to Felix](PoolRoutes) altogether.
//! Where Felix makes a route, too, its own is preferred to ours by the metric, and leads the same
//! way.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::kernel::Target;
use super::target::Unfit;
use crate::types::{Encapsulation, Hop, InterfaceIndex, IpPool, PoolRoutes, Prefix, Tunnelled};

/// The interface of IP-in-IP tunnels.
pub const TUNNEL: &str = "tunl0";

/// What is known of the pools, and of the node as far as they need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// They do not overlap.
    pub pools: Vec<IpPool>,
    /// The networks of the node's addresses: whoever is in one needs no tunnel across subnets.
    /// Where none is known, that is who the kernel reaches as a neighbour.
    pub subnets: Vec<Prefix>,
}

/// A path in use: its next hop, and the ways there; none where they are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathWay {
    /// The next hop as BGP has it.
    pub next_hop: IpAddr,
    /// Where packets to it leave.
    pub hops: BTreeSet<Hop>,
}

impl Pools {
    /// Where a route to the prefix leads by these paths, which are as good as each other, if there
    /// is an interface for tunnels, or none. Of paths by a tunnel and without one, those count that
    /// need none.
    ///
    /// # Errors
    /// There must be none, or can be none.
    pub fn target(
        &self,
        prefix: &Prefix,
        paths: Vec<PathWay>,
        tunnel: Option<InterfaceIndex>,
    ) -> Result<Target, Unfit> {
        let plain = |paths: Vec<PathWay>| {
            let hops: BTreeSet<Hop> = paths.into_iter().flat_map(|path| path.hops).collect();
            match hops.is_empty() {
                true => Err(Unfit::UnknownWay),
                false => Ok(Target::Hops(hops)),
            }
        };
        let Some(pool) = self.of(prefix) else {
            return plain(paths);
        };
        let tunnelled = match (pool.routes, pool.encapsulation) {
            (PoolRoutes::Felix, _) | (PoolRoutes::Bgp, Encapsulation::Vxlan(_)) => {
                return Err(Unfit::FelixPool { pool: pool.cidr });
            }
            (PoolRoutes::Bgp, Encapsulation::None) => return plain(paths),
            (PoolRoutes::Bgp, Encapsulation::IpInIp(tunnelled)) => tunnelled,
        };
        let (near, far): (Vec<PathWay>, Vec<PathWay>) =
            paths.into_iter().partition(|path| match tunnelled {
                Tunnelled::Always => false,
                Tunnelled::CrossSubnet => self.is_near(path),
            });
        if !near.is_empty() {
            return plain(near);
        }
        let interface = tunnel.ok_or(Unfit::NoTunnel { pool: pool.cidr })?;
        let hops = far.into_iter().map(|path| Hop {
            gateway: path.next_hop,
            interface,
        });
        Ok(Target::Tunnel(hops.collect()))
    }

    fn of(&self, prefix: &Prefix) -> Option<&IpPool> {
        self.pools.iter().find(|pool| pool.cidr.covers(prefix))
    }

    fn is_near(&self, path: &PathWay) -> bool {
        let next_hop = path.next_hop;
        match self.subnets.is_empty() {
            true => path.hops.iter().any(|hop| hop.gateway == next_hop),
            false => self.subnets.iter().any(|subnet| subnet.contains(next_hop)),
        }
    }
}
