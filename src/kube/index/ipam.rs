//! Where the pods of nodes are, if an IPAM gives nodes blocks of addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::calico::{IpPool, Resources};
use crate::facts::PodBlocks;
use crate::types::Prefix;

/// Every block, with the node that has it.
pub(super) fn blocks(resources: &Resources) -> BTreeMap<Prefix, String> {
    let blocks = resources.confirmed_blocks();
    blocks
        .map(|block| (block.cidr, block.node.clone()))
        .collect()
}

/// What a node has whose pods have these addresses; nothing where no node has a block: pods are then
/// in the Nodes' pod CIDRs.
pub(super) fn of_node(
    resources: &Resources,
    node: &str,
    pods: impl Iterator<Item = IpAddr>,
) -> Option<PodBlocks> {
    resources.confirmed_blocks().next()?;
    let own: BTreeSet<Prefix> = resources.blocks(node);
    let in_own = |address: &IpAddr| own.iter().any(|block| block.contains(*address));
    // Pods may have addresses from elsewhere as well.
    let is_pooled = |address: &IpAddr| {
        let mut pools = resources.pools();
        pools.any(|(_, pool)| pool.cidr.contains(*address))
    };
    let borrowed = pods.filter(|address| !in_own(address) && is_pooled(address));
    let mut all: BTreeSet<Prefix> = borrowed.map(Prefix::host).collect();
    all.extend(&own);
    let announced = all
        .iter()
        .filter(|prefix| may_be_announced(resources, prefix));
    Some(PodBlocks {
        announced: announced.copied().collect(),
        own: all.into_iter().collect(),
    })
}

/// The smallest pool around it says so. One without a pool is a block all the same: the pool went, and
/// pods still have its addresses.
fn may_be_announced(resources: &Resources, prefix: &Prefix) -> bool {
    let around: Vec<&IpPool> = resources
        .pools()
        .map(|(_, pool)| pool)
        .filter(|pool| pool.cidr.covers(prefix))
        .collect();
    let nearest = around.iter().map(|pool| pool.cidr.length()).max();
    let mut nearest = around
        .into_iter()
        .filter(|pool| Some(pool.cidr.length()) == nearest);
    nearest.all(|pool| !pool.disable_bgp_export)
}
