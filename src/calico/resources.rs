//! The index of objects as they are served.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::configuration::{self, ClusterConfiguration, NodeConfiguration};
use super::filter::{self, Filter};
use super::ipam::{self, Block, BlockState, IpPool};
use super::node::{self, NodeParts};
use super::node_config::{NodeConfig, node_config};
use super::object::{Reader, Unreadable};
use super::peer;
use super::{ApiGroup, Kind, Problem};
use crate::topology::PeerTemplate;
use crate::types::Prefix;

/// All objects of the kinds that are read, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// By kind and group those that are served, by name. A group that does not serve a kind has no
    /// entry.
    served: BTreeMap<(Kind, ApiGroup), BTreeMap<String, Entry>>,
}

/// Whether something means another thing than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does.
    Changed,
    /// It does not.
    Same,
}

/// What was made of an object.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    object: Object,
    problems: Vec<Problem>,
}

#[derive(Clone, Debug, PartialEq)]
enum Object {
    ClusterConfiguration(Box<ClusterConfiguration>),
    NodeConfiguration(NodeConfiguration),
    Peer(Box<PeerTemplate>),
    Filter(Filter),
    Node(NodeParts),
    Pool(IpPool),
    Block(Block),
    /// Of a name that says nothing.
    Ignored,
    /// Which is told in the problems.
    Unreadable,
}

/// The name of the cluster's BGPConfiguration.
const DEFAULT: &str = "default";
/// What the name of a node's BGPConfiguration begins with.
const OF_NODE: &str = "node.";

impl Resources {
    /// Takes an object as it is at present, served by this group.
    pub fn apply(&mut self, kind: Kind, group: ApiGroup, object: &Value) -> Effect {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let entry = Entry::read(kind, group, name, object);
        let of_kind = self.served.entry((kind, group)).or_default();
        if of_kind.get(name) == Some(&entry) {
            return Effect::Same;
        }
        of_kind.insert(name.to_owned(), entry);
        Effect::Changed
    }

    /// Forgets an object that is no more. That one was is news of a group, too: it serves the kind.
    pub fn delete(&mut self, kind: Kind, group: ApiGroup, name: &str) -> Effect {
        let is_new = !self.served.contains_key(&(kind, group));
        let of_kind = self.served.entry((kind, group)).or_default();
        Effect::of(of_kind.remove(name).is_some() || is_new)
    }

    /// Takes all objects of a kind that the group serves, in the place of those before.
    pub fn reset(&mut self, kind: Kind, group: ApiGroup, objects: &[Value]) -> Effect {
        let mut listed = Self::default();
        listed.served.insert((kind, group), BTreeMap::new());
        for object in objects {
            listed.apply(kind, group, object);
        }
        let Some(objects) = listed.served.remove(&(kind, group)) else {
            return Effect::Same;
        };
        let before = self.served.get(&(kind, group));
        let effect = Effect::of(before != Some(&objects));
        self.served.insert((kind, group), objects);
        effect
    }

    /// The group does not serve the kind.
    pub fn absent(&mut self, kind: Kind, group: ApiGroup) -> Effect {
        Effect::of(self.served.remove(&(kind, group)).is_some())
    }

    /// What all objects mean for the node of this name. Nothing while that is not known, or where
    /// the cluster's AS cannot be read.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<NodeConfig> {
        node_config(self, name)
    }

    /// What is not as it was written, of the objects by themselves; ordered.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let kinds = Kind::ALL.into_iter();
        let entries = kinds.flat_map(|kind| {
            let groups = self.groups_of(kind).into_iter();
            groups.flat_map(|objects| objects.values())
        });
        entries.flat_map(|entry| &entry.problems)
    }

    /// The blocks of addresses that this node has, confirmed, in order.
    #[must_use]
    pub fn blocks(&self, node: &str) -> BTreeSet<Prefix> {
        let own = self.confirmed_blocks().filter(|block| block.node == node);
        own.map(|block| block.cidr).collect()
    }

    /// The blocks of addresses that nodes have, confirmed.
    pub fn confirmed_blocks(&self) -> impl Iterator<Item = &Block> {
        let objects = self.objects(Kind::BlockAffinity);
        let blocks = objects.filter_map(|(_, object)| object.block());
        blocks.filter(|block| match block.state {
            BlockState::Confirmed => true,
            BlockState::Pending | BlockState::Leaving => false,
        })
    }

    /// The pools of pods' addresses, by name.
    pub fn pools(&self) -> impl Iterator<Item = (&str, &IpPool)> {
        let objects = self.objects(Kind::IpPool);
        objects.filter_map(|(name, object)| Some((name, object.pool()?)))
    }

    /// The names of all Nodes, in order.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        let groups = self.groups_of(Kind::Node).into_iter();
        let names: BTreeSet<_> = groups.flat_map(|nodes| nodes.keys()).collect();
        names.into_iter().map(String::as_str)
    }

    /// The BGPFilters, by name.
    pub(super) fn filters(&self) -> impl Iterator<Item = (&str, &Filter)> {
        let objects = self.objects(Kind::BgpFilter);
        objects.filter_map(|(name, object)| Some((name, object.filter()?)))
    }

    pub(super) fn templates(&self) -> impl Iterator<Item = &PeerTemplate> {
        let objects = self.objects(Kind::BgpPeer);
        objects.filter_map(|(_, object)| object.peer())
    }

    /// `default`, or what is so without it; nothing where it cannot be read.
    pub(super) fn cluster_configuration(&self) -> Option<ClusterConfiguration> {
        let mut objects = self.objects(Kind::BgpConfiguration);
        match objects.find(|(name, _)| *name == DEFAULT) {
            Some((_, object)) => object.cluster_configuration().cloned(),
            None => Some(ClusterConfiguration::default()),
        }
    }

    /// What BGPConfigurations say of nodes, by the node's name.
    pub(super) fn node_configurations(&self) -> BTreeMap<&str, &NodeConfiguration> {
        let objects = self.objects(Kind::BgpConfiguration);
        let of_nodes = objects.filter_map(|(name, object)| {
            let node = name.strip_prefix(OF_NODE)?;
            Some((node, object.node_configuration()?))
        });
        of_nodes.collect()
    }

    /// What is known of each node, but for those of which something cannot be read: who they are
    /// is not known.
    pub(super) fn nodes(&self) -> BTreeMap<&str, NodeParts> {
        let mut nodes: BTreeMap<&str, Option<NodeParts>> = BTreeMap::new();
        // Calico's own first, which count where both say something.
        for group in [ApiGroup::V3, ApiGroup::Core] {
            let of_group = self.served.get(&(Kind::Node, group));
            for (name, entry) in of_group.into_iter().flatten() {
                let parts = entry.object.node();
                let merged = match (nodes.remove(name.as_str()), parts) {
                    (None, parts) => parts.cloned(),
                    (Some(Some(before)), Some(parts)) => Some(before.or(parts)),
                    (Some(Some(_) | None), None) | (Some(None), Some(_)) => None,
                };
                nodes.insert(name, merged);
            }
        }
        let known = nodes.into_iter();
        known
            .filter_map(|(name, parts)| Some((name, parts?)))
            .collect()
    }

    /// Every object of the kind but for Nodes, of which there may be two of one name.
    fn objects(&self, kind: Kind) -> impl Iterator<Item = (&str, &Object)> {
        let groups = self.groups_of(kind).into_iter();
        groups.flat_map(|objects| {
            let objects = objects.iter();
            objects.map(|(name, entry)| (name.as_str(), &entry.object))
        })
    }

    /// What is served of a kind, from where it counts: Calico's own API serves what is stored in
    /// the other group, too, and where it is stored by itself, the other group has what was left
    /// there.
    fn groups_of(&self, kind: Kind) -> Vec<&BTreeMap<String, Entry>> {
        let of = |group| self.served.get(&(kind, group));
        match kind {
            Kind::Node => [ApiGroup::Core, ApiGroup::V3]
                .into_iter()
                .filter_map(of)
                .collect(),
            Kind::BgpConfiguration
            | Kind::BgpPeer
            | Kind::BgpFilter
            | Kind::IpPool
            | Kind::BlockAffinity => of(ApiGroup::V3)
                .or_else(|| of(ApiGroup::Crd))
                .into_iter()
                .collect(),
        }
    }
}

impl Effect {
    fn of(changed: bool) -> Self {
        if changed { Self::Changed } else { Self::Same }
    }
}

impl Entry {
    fn read(kind: Kind, group: ApiGroup, name: &str, object: &Value) -> Self {
        // Kubernetes' own Nodes have a `spec` that is none of this.
        let empty = Value::Null;
        let spec_of = match group {
            ApiGroup::Core => &empty,
            ApiGroup::Crd | ApiGroup::V3 => object,
        };
        let mut reader = Reader::new(kind, name, spec_of);
        let read = match kind {
            Kind::BgpConfiguration => configuration(name, &mut reader),
            Kind::BgpPeer => peer::read(name, &mut reader)
                .map(Box::new)
                .map(Object::Peer),
            Kind::BgpFilter => Ok(Object::Filter(filter::read(&mut reader))),
            Kind::Node => node::read(group, object, &mut reader).map(Object::Node),
            Kind::IpPool => ipam::pool(&mut reader).map(Object::Pool),
            Kind::BlockAffinity => ipam::block(&mut reader).map(Object::Block),
        };
        let object = read.unwrap_or_else(|Unreadable| {
            let words = match kind {
                Kind::BgpConfiguration if name == DEFAULT => {
                    "cannot be read: no peer is dialled while that is so"
                }
                Kind::Node => "cannot be read: it is nobody's peer while that is so",
                Kind::BgpConfiguration
                | Kind::BgpPeer
                | Kind::BgpFilter
                | Kind::IpPool
                | Kind::BlockAffinity => "cannot be read and is left out",
            };
            reader.note(String::new(), words.to_owned());
            Object::Unreadable
        });
        let mut problems = reader.into_problems();
        problems.sort();
        Self { object, problems }
    }
}

fn configuration(name: &str, reader: &mut Reader<'_>) -> Result<Object, Unreadable> {
    if name == DEFAULT {
        let cluster = configuration::cluster(reader)?;
        return Ok(Object::ClusterConfiguration(Box::new(cluster)));
    }
    if name.starts_with(OF_NODE) {
        return configuration::node(reader).map(Object::NodeConfiguration);
    }
    let words = "is not heeded: call it `default`, or `node.` and the name of a node";
    reader.note("metadata.name".to_owned(), words.to_owned());
    Ok(Object::Ignored)
}

/// Each kind's objects, where they are what their kind says.
macro_rules! as_kind {
    ($($method:ident $variant:ident $type:ty;)*) => {
        impl Object {
            $(fn $method(&self) -> Option<&$type> {
                if let Self::$variant(object) = self {
                    Some(object)
                } else {
                    None
                }
            })*
        }
    };
}

as_kind! {
    cluster_configuration ClusterConfiguration ClusterConfiguration;
    node_configuration NodeConfiguration NodeConfiguration;
    peer Peer PeerTemplate;
    filter Filter Filter;
    node Node NodeParts;
    pool Pool IpPool;
    block Block Block;
}
