//! Which blocks of pod addresses the nodes have, where an IPAM gives them blocks.
//!
//! One object may be shown by two API groups: a block is there as long as one of them shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::facts::PodBlocks;
use crate::kube::ObjectRef;
use crate::kube::convert::{Block, Export, Pool};
use crate::types::Prefix;

/// What the IPAM gave whom.
#[derive(Debug, Default)]
pub(super) struct Ipam {
    blocks: BTreeMap<ObjectRef, Block>,
    pools: BTreeMap<ObjectRef, Pool>,
    /// Of the own node.
    pods: BTreeMap<ObjectRef, Vec<IpAddr>>,
    /// Everything that was shown, of use or not.
    shown: BTreeSet<ObjectRef>,
}

impl Ipam {
    pub(super) fn show(&mut self, name: &ObjectRef) {
        self.shown.insert(name.clone());
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = &ObjectRef> {
        self.shown.iter()
    }

    /// Takes the block that an object stands for; returns whether that is news.
    pub(super) fn set_block(&mut self, name: &ObjectRef, block: Option<Block>) -> bool {
        set(&mut self.blocks, name, block)
    }

    pub(super) fn set_pool(&mut self, name: &ObjectRef, pool: Pool) -> bool {
        set(&mut self.pools, name, Some(pool))
    }

    pub(super) fn set_pod(&mut self, name: &ObjectRef, addresses: Vec<IpAddr>) -> bool {
        let addresses = (!addresses.is_empty()).then_some(addresses);
        set(&mut self.pods, name, addresses)
    }

    /// Forgets an object; returns whether that is news.
    pub(super) fn delete(&mut self, name: &ObjectRef) -> bool {
        self.shown.remove(name);
        let block = self.blocks.remove(name).is_some();
        let pool = self.pools.remove(name).is_some();
        block || pool || self.pods.remove(name).is_some()
    }

    /// Every block, with the node that has it.
    pub(super) fn blocks(&self) -> BTreeMap<Prefix, String> {
        let blocks = self.blocks.values();
        blocks
            .map(|block| (block.cidr, block.node.clone()))
            .collect()
    }

    /// What a node has; nothing where no node has a block: pods are then in the Nodes' pod CIDRs.
    pub(super) fn of_node(&self, node: &str) -> Option<PodBlocks> {
        if self.blocks.is_empty() {
            return None;
        }
        let own = self.blocks.values().filter(|block| block.node == node);
        let own: BTreeSet<Prefix> = own.map(|block| block.cidr).collect();
        let in_own = |address: &IpAddr| own.iter().any(|block| block.contains(*address));
        let pods = self.pods.values().flatten().copied();
        let borrowed = pods.filter(|address| !in_own(address) && self.is_pooled(*address));
        let mut all: BTreeSet<Prefix> = borrowed.map(Prefix::host).collect();
        all.extend(&own);
        let announced = all.iter().filter(|prefix| self.may_be_announced(prefix));
        Some(PodBlocks {
            announced: announced.copied().collect(),
            own: all.into_iter().collect(),
        })
    }

    /// Whether the IPAM gives such addresses: pods may have others, from elsewhere.
    fn is_pooled(&self, address: IpAddr) -> bool {
        self.pools.values().any(|pool| pool.cidr.contains(address))
    }

    /// The smallest pool around it says so. One without a pool is a block all the same: the pool
    /// went, and pods still have its addresses.
    fn may_be_announced(&self, prefix: &Prefix) -> bool {
        let around = self.pools.values().filter(|pool| {
            pool.cidr.length() <= prefix.length() && pool.cidr.contains(prefix.address())
        });
        let Some(length) = around.clone().map(|pool| pool.cidr.length()).max() else {
            return true;
        };
        let mut nearest = around.filter(|pool| pool.cidr.length() == length);
        nearest.all(|pool| match pool.export {
            Export::Enabled => true,
            Export::Disabled => false,
        })
    }
}

fn set<T: PartialEq>(all: &mut BTreeMap<ObjectRef, T>, name: &ObjectRef, value: Option<T>) -> bool {
    if all.get(name) == value.as_ref() {
        return false;
    }
    match value {
        Some(value) => all.insert(name.clone(), value),
        None => all.remove(name),
    };
    true
}
