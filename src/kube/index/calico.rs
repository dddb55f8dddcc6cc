//! What the index makes of Calico's resources, and of what depends on them: the addresses of the own
//! node's Pods, and what all Nodes are to their peers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ::kube::core::DynamicObject;
use k8s_openapi::api::core::v1::{Node, NodeAddress, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::{Index, ipam};
use crate::calico::{self, ApiGroup, Effect, Resources};
use crate::facts::ClusterChange;
use crate::kube::convert::{Problems, pod_addresses};
use crate::kube::{CalicoKind, Kind, ObjectRef};

/// What is known of Calico's, and of what depends on it.
#[derive(Debug, Default)]
pub(super) struct Calicos {
    pub(super) resources: Resources,
    /// Addresses of the own node's Pods.
    pods: BTreeMap<ObjectRef, Vec<IpAddr>>,
    /// What the Nodes' status said of where they are.
    placed: BTreeMap<String, Vec<NodeAddress>>,
    /// The Nodes that are known, be it of their metadata alone.
    nodes: BTreeSet<String>,
    /// Every object but Nodes that was shown, of use or not.
    shown: BTreeSet<ObjectRef>,
}

impl Index {
    /// Calico's resources, and of Kubernetes' Nodes what matters to them.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.calicos.resources
    }

    /// The own Node's name.
    #[must_use]
    pub fn node_name(&self) -> &str {
        &self.node_name
    }

    pub(super) fn known_peer_nodes(&self) -> impl Iterator<Item = ObjectRef> {
        let names = self.calicos.nodes.iter();
        names.map(|name| ObjectRef::new(Kind::ClusterNode, "", name))
    }

    pub(super) fn known_calicos(&self, kind: Kind) -> impl Iterator<Item = ObjectRef> {
        let shown = self.calicos.shown.iter();
        shown.filter(move |name| name.kind == kind).cloned()
    }

    pub(super) fn apply_pod(
        &mut self,
        name: &ObjectRef,
        pod: &Pod,
        changes: &mut BTreeSet<ClusterChange>,
    ) -> Problems {
        let mut problems = Problems::new();
        let addresses = pod_addresses(pod, &self.node_name, &mut problems);
        self.calicos.shown.insert(name.clone());
        let before = if addresses.is_empty() {
            self.calicos.pods.remove(name)
        } else {
            self.calicos.pods.insert(name.clone(), addresses.clone())
        };
        if before.unwrap_or_default() != addresses {
            self.update_own_blocks(changes);
        }
        problems
    }

    pub(super) fn apply_calico(
        &mut self,
        name: &ObjectRef,
        kind: CalicoKind,
        object: DynamicObject,
        changes: &mut BTreeSet<ClusterChange>,
    ) -> Problems {
        self.calicos.shown.insert(name.clone());
        let CalicoKind { kind, group } = kind;
        let mut value = object.data;
        value["metadata"] = json!(object.metadata);
        let effect = self.calicos.resources.apply(kind, group, &value);
        self.take_effect(kind, effect, changes);
        // What is wrong with it is told with all resources.
        Problems::new()
    }

    /// A kind was listed whole, or is not served, which is another thing than to have no objects: then
    /// the other group counts.
    pub(super) fn take_presence(
        &mut self,
        kind: Kind,
        presence: Presence,
        changes: &mut BTreeSet<ClusterChange>,
    ) {
        let Kind::Calico(CalicoKind { kind: what, group }) = kind else {
            return;
        };
        let effect = match presence {
            Presence::Served if self.known_calicos(kind).next().is_some() => Effect::Same,
            Presence::Served => self.calicos.resources.reset(what, group, &[]),
            Presence::Absent => self.calicos.resources.absent(what, group),
        };
        self.take_effect(what, effect, changes);
    }

    pub(super) fn delete_calico(
        &mut self,
        name: &ObjectRef,
        changes: &mut BTreeSet<ClusterChange>,
    ) {
        self.calicos.shown.remove(name);
        if self.calicos.pods.remove(name).is_some() {
            self.update_own_blocks(changes);
        }
        if let Kind::Calico(CalicoKind { kind, group }) = name.kind {
            let effect = self.calicos.resources.delete(kind, group, &name.name);
            self.take_effect(kind, effect, changes);
        }
    }

    /// A Node is a peer of others, as well.
    pub(super) fn apply_peer_node(&mut self, node: &Node, changes: &mut BTreeSet<ClusterChange>) {
        let status = node.status.as_ref();
        let addresses = status.and_then(|status| status.addresses.clone());
        let name = node.metadata.name.clone().unwrap_or_default();
        self.calicos
            .placed
            .insert(name, addresses.unwrap_or_default());
        self.apply_node_metadata(&node.metadata, changes);
    }

    /// What matters of it to peers, with what its status said last.
    pub(super) fn apply_node_metadata(
        &mut self,
        metadata: &ObjectMeta,
        changes: &mut BTreeSet<ClusterChange>,
    ) {
        let is_watched = |kind: &Kind| match kind {
            Kind::Calico(_) => true,
            Kind::Node
            | Kind::ClusterNode
            | Kind::Namespace
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::Pod => false,
        };
        if !self.kinds.iter().any(is_watched) {
            return;
        }
        let name = metadata.name.as_deref().unwrap_or_default();
        self.calicos.nodes.insert(name.to_owned());
        let mut annotations = metadata.annotations.clone().unwrap_or_default();
        annotations.retain(|key, _| key.starts_with("projectcalico.org/"));
        let node = json!({
            "metadata": { "name": name, "labels": metadata.labels, "annotations": annotations },
            "status": { "addresses": self.calicos.placed.get(name) },
        });
        let resources = &mut self.calicos.resources;
        let effect = resources.apply(calico::Kind::Node, ApiGroup::Core, &node);
        self.take_effect(calico::Kind::Node, effect, changes);
    }

    pub(super) fn delete_peer_node(&mut self, name: &str, changes: &mut BTreeSet<ClusterChange>) {
        self.calicos.placed.remove(name);
        if !self.calicos.nodes.remove(name) {
            return;
        }
        let resources = &mut self.calicos.resources;
        let effect = resources.delete(calico::Kind::Node, ApiGroup::Core, name);
        self.take_effect(calico::Kind::Node, effect, changes);
    }

    fn take_effect(
        &mut self,
        kind: calico::Kind,
        effect: Effect,
        changes: &mut BTreeSet<ClusterChange>,
    ) {
        match effect {
            Effect::Same => return,
            Effect::Changed => {}
        }
        changes.insert(ClusterChange::Peerings);
        match kind {
            calico::Kind::IpPool | calico::Kind::BlockAffinity => self.update_blocks(changes),
            calico::Kind::BgpConfiguration
            | calico::Kind::BgpPeer
            | calico::Kind::BgpFilter
            | calico::Kind::Node => {}
        }
    }

    /// Takes over which blocks there are. Not before all of them were seen once: of a first list, each
    /// would have all of them gone through.
    pub(super) fn update_blocks(&mut self, changes: &mut BTreeSet<ClusterChange>) {
        if self.awaits_blocks() {
            return;
        }
        let blocks = ipam::blocks(&self.calicos.resources);
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
                calico.kind == calico::Kind::BlockAffinity && !self.listed.contains(kind)
            }
            Kind::Node
            | Kind::ClusterNode
            | Kind::Namespace
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::Pod => false,
        })
    }

    /// What the own node has for its pods.
    pub(super) fn own_blocks(&self) -> Option<crate::facts::PodBlocks> {
        let pods = self.calicos.pods.values().flatten().copied();
        ipam::of_node(&self.calicos.resources, &self.node_name, pods)
    }

    fn update_own_blocks(&mut self, changes: &mut BTreeSet<ClusterChange>) {
        let blocks = self.own_blocks();
        if let Some(node) = &mut self.view.node
            && node.blocks != blocks
        {
            Arc::make_mut(node).blocks = blocks;
            changes.insert(ClusterChange::Node);
        }
    }
}

/// Whether the API has a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Served,
    Absent,
}
