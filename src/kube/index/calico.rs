//! What the index makes of Calico's resources, and of the Pods whose addresses depend on them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::kube::core::DynamicObject;
use k8s_openapi::api::core::v1::Pod;

use super::Index;
use crate::facts::ClusterChange;
use crate::kube::convert::{Problems, block, pod_addresses, pool};
use crate::kube::{CalicoKind, CalicoResource, Kind, ObjectRef};

impl Index {
    pub(super) fn apply_pod(
        &mut self,
        name: &ObjectRef,
        pod: &Pod,
        changes: &mut BTreeSet<ClusterChange>,
    ) -> Problems {
        let mut problems = Problems::new();
        let addresses = pod_addresses(pod, &self.node_name, &mut problems);
        self.ipam.show(name);
        if self.ipam.set_pod(name, addresses) {
            self.update_own_blocks(changes);
        }
        problems
    }

    pub(super) fn apply_calico(
        &mut self,
        name: &ObjectRef,
        kind: CalicoKind,
        object: &DynamicObject,
        changes: &mut BTreeSet<ClusterChange>,
    ) -> Problems {
        self.ipam.show(name);
        let news = match kind.resource {
            CalicoResource::BlockAffinity => {
                block(object).map(|block| self.ipam.set_block(name, block))
            }
            CalicoResource::IpPool => pool(object).map(|pool| self.ipam.set_pool(name, pool)),
            CalicoResource::BgpConfiguration
            | CalicoResource::BgpPeer
            | CalicoResource::BgpFilter
            | CalicoResource::Node => Ok(false),
        };
        match news {
            Ok(true) => self.update_blocks(changes),
            Ok(false) => {}
            Err(problem) => return vec![problem],
        }
        Problems::new()
    }

    /// Takes over which blocks there are. Not before all of them were seen once: of a first list, each
    /// would have all of them gone through.
    pub(super) fn update_blocks(&mut self, changes: &mut BTreeSet<ClusterChange>) {
        if self.awaits_blocks() {
            return;
        }
        let blocks = self.ipam.blocks();
        if self.view.blocks != blocks {
            self.view.blocks = blocks;
            changes.insert(ClusterChange::Networks);
        }
        self.update_own_blocks(changes);
    }

    fn awaits_blocks(&self) -> bool {
        let mut kinds = self.kinds.iter();
        kinds.any(|kind| match kind {
            Kind::Calico(calico) => {
                calico.resource == CalicoResource::BlockAffinity && !self.listed.contains(kind)
            }
            Kind::Node
            | Kind::ClusterNode
            | Kind::Namespace
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::Pod => false,
        })
    }

    fn update_own_blocks(&mut self, changes: &mut BTreeSet<ClusterChange>) {
        let blocks = self.ipam.of_node(&self.node_name);
        if let Some(node) = &mut self.view.node
            && node.blocks != blocks
        {
            Arc::make_mut(node).blocks = blocks;
            changes.insert(ClusterChange::Node);
        }
    }
}
