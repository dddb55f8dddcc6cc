//! The index: events of a source in, a [`ClusterView`] and what changed in it out.
//!
//! The agent's pipeline feeds it; it is pure and synchronous, so that tests need no API server.
//! It keeps facts, never objects. The state of a Service is always worked out from all of its
//! slices and never from the one an event was about: an EndpointSlice that goes must take its
//! endpoints along, and one that comes may be late, early, or somebody else's a moment ago.

mod calico;
mod endpoints;
mod ipam;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::convert::{
    Problems, SliceRecord, node_facts, node_networks, service_facts, slice_record,
};
use super::{Kind, Malformed, Object, ObjectRef, Source, SourceEvent};
use crate::facts::{
    ClusterChange, ClusterView, ServiceFacts, ServiceKey, StringMap, is_api_service,
};
use calico::{Calicos, Presence};
use endpoints::Counted;

/// How many problems of one object are worth a line of the log each.
const PROBLEMS_REPORTED_MAX: usize = 5;

/// What is known of the cluster, kept up to date event by event.
#[derive(Debug)]
pub struct Index {
    node_name: String,
    view: ClusterView,
    slices: BTreeMap<ObjectRef, SliceRecord>,
    /// The keys of `slices` by the Service they belong to, whether that exists or not.
    slices_of: BTreeMap<ServiceKey, BTreeSet<ObjectRef>>,
    /// The labels of each Namespace.
    namespaces: BTreeMap<String, Arc<StringMap>>,
    calicos: Calicos,
    /// Where the source asks the API server.
    api_server: Option<IpAddr>,
    /// How many Nodes the last complete list had.
    cluster_nodes: Option<u32>,
    /// What each list under way has shown to exist.
    listing: BTreeMap<Kind, BTreeSet<ObjectRef>>,
    /// Of which kinds there will be lists.
    kinds: Vec<Kind>,
    /// Of which kinds there was a complete list.
    listed: BTreeSet<Kind>,
    node_seen: NodeSeen,
    /// The problems of each object that were reported and still are there.
    reported: BTreeMap<ObjectRef, Problems>,
}

/// Whether the own Node was ever there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeSeen {
    Never,
    Once,
}

/// What one event came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What differs in the view, ordered, each once; empty when no fact changed.
    pub changes: Vec<ClusterChange>,
    /// What cannot be used of the object. Each problem is reported once, until it has gone.
    pub malformed: Vec<Malformed>,
}

impl Index {
    /// An empty index for the agent on the node of this name.
    #[must_use]
    pub fn new(node_name: &str) -> Self {
        Self {
            node_name: node_name.to_owned(),
            view: ClusterView::default(),
            slices: BTreeMap::new(),
            slices_of: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            calicos: Calicos::default(),
            api_server: None,
            cluster_nodes: None,
            listing: BTreeMap::new(),
            kinds: Kind::ALL.to_vec(),
            listed: BTreeSet::new(),
            node_seen: NodeSeen::Never,
            reported: BTreeMap::new(),
        }
    }

    /// Takes what the source is, before its first event.
    pub fn set_source(&mut self, source: &Source) {
        self.kinds.clone_from(&source.kinds);
        self.set_api_server(source.api_server);
    }

    fn set_api_server(&mut self, address: Option<IpAddr>) {
        self.api_server = address;
        self.view.api_servers.extend(address);
    }

    /// The facts as they are known.
    #[must_use]
    pub fn view(&self) -> &ClusterView {
        &self.view
    }

    /// What has to be seen before the view may be acted upon; `None` once everything was. It
    /// stays `None`: later trouble does not make known facts unknown.
    ///
    /// The own Node has to exist once: without its labels it cannot be said whether Services may
    /// be announced from it, and a misspelt node name would go unnoticed.
    #[must_use]
    pub fn waiting_for(&self) -> Option<&'static str> {
        let mut kinds = self.kinds.iter();
        let missing = kinds.find(|kind| !self.listed.contains(kind));
        match (missing, self.node_seen) {
            (Some(Kind::Node), _) => Some("the own Node"),
            (Some(Kind::ClusterNode), _) => Some("the list of Nodes"),
            (Some(Kind::Namespace), _) => Some("the list of Namespaces"),
            (Some(Kind::EndpointSlice), _) => Some("the list of EndpointSlices"),
            (Some(Kind::Service), _) => Some("the list of Services"),
            (Some(Kind::Pod), _) => Some("the list of the node's Pods"),
            (Some(Kind::Calico(_)), _) => Some("the lists of Calico's resources"),
            (None, NodeSeen::Never) => Some("a Node of the name in NODE_NAME"),
            (None, NodeSeen::Once) => None,
        }
    }

    /// Takes in one event.
    pub fn handle(&mut self, event: SourceEvent) -> Outcome {
        let mut changes = BTreeSet::new();
        let mut malformed = Vec::new();
        match event {
            SourceEvent::ListStarted(kind) => {
                self.listing.insert(kind, BTreeSet::new());
            }
            SourceEvent::Listed(object) | SourceEvent::Applied(object) => {
                let name = object.object_ref();
                if let Some(seen) = self.listing.get_mut(&name.kind) {
                    seen.insert(name.clone());
                }
                let problems = self.apply(&name, object, &mut changes);
                malformed = self.newly_reported(name, problems);
            }
            SourceEvent::Deleted(name) => {
                if let Some(seen) = self.listing.get_mut(&name.kind) {
                    seen.remove(&name);
                }
                self.delete(&name, &mut changes);
            }
            SourceEvent::ListCompleted(kind) => self.complete_list(kind, &mut changes),
            SourceEvent::NotServed(kind) => {
                self.listed.insert(kind);
                self.take_presence(kind, Presence::Absent, &mut changes);
                self.update_blocks(&mut changes);
            }
        }
        Outcome {
            changes: changes.into_iter().collect(),
            malformed,
        }
    }

    /// What a complete list did not show is gone. Its objects were applied as they came: each is
    /// at least as new as what was known, and what replaces a slice is there before that goes.
    fn complete_list(&mut self, kind: Kind, changes: &mut BTreeSet<ClusterChange>) {
        let Some(seen) = self.listing.remove(&kind) else {
            return;
        };
        let mut gone = self.known(kind);
        gone.retain(|name| !seen.contains(name));
        for name in gone {
            self.delete(&name, changes);
        }
        self.listed.insert(kind);
        self.take_presence(kind, Presence::Served, changes);
        self.update_blocks(changes);
        if kind == Kind::ClusterNode {
            self.cluster_nodes = Some(u32::try_from(self.view.nodes.len()).unwrap_or(u32::MAX));
            if let Some(node) = &mut self.view.node
                && node.cluster_nodes != self.cluster_nodes
            {
                Arc::make_mut(node).cluster_nodes = self.cluster_nodes;
                changes.insert(ClusterChange::Node);
            }
        }
    }

    fn known(&self, kind: Kind) -> BTreeSet<ObjectRef> {
        let reported = self.reported.keys().filter(|name| name.kind == kind);
        let mut known: BTreeSet<ObjectRef> = reported.cloned().collect();
        match kind {
            Kind::Node => {
                let node = self.view.node.iter();
                known.extend(node.map(|node| ObjectRef::new(kind, "", &node.name)));
            }
            Kind::Service => {
                let keys = self.view.services.keys();
                known.extend(keys.map(|key| ObjectRef::new(kind, &key.namespace, &key.name)));
            }
            Kind::EndpointSlice => known.extend(self.slices.keys().cloned()),
            Kind::ClusterNode => {
                let names = self.view.nodes.keys();
                known.extend(names.map(|name| ObjectRef::new(kind, "", name)));
                known.extend(self.known_peer_nodes());
            }
            Kind::Namespace => {
                let names = self.namespaces.keys();
                known.extend(names.map(|name| ObjectRef::new(kind, "", name)));
            }
            Kind::Pod | Kind::Calico(_) => {
                known.extend(self.known_calicos(kind));
            }
        }
        known
    }

    /// Takes an object in and says what is wrong with it. One that is unusable as a whole
    /// changes nothing: the facts that its last usable version gave stand.
    fn apply(
        &mut self,
        name: &ObjectRef,
        object: Object,
        changes: &mut BTreeSet<ClusterChange>,
    ) -> Problems {
        match object {
            Object::Node(node) => self.apply_node(*node, changes),
            Object::Service(service) => self.apply_service(*service, changes),
            Object::EndpointSlice(slice) => self.apply_slice(name, &slice, changes),
            Object::ClusterNode(node) => self.apply_cluster_node(name, *node, changes),
            Object::NodeMetadata(metadata) => {
                self.apply_node_metadata(&metadata, changes);
                Problems::new()
            }
            Object::Namespace(namespace) => self.apply_namespace(name, *namespace, changes),
            Object::Pod(pod) => self.apply_pod(name, &pod, changes),
            Object::Calico(kind, object) => self.apply_calico(name, kind, *object, changes),
            Object::Unreadable(_, why) => {
                vec![format!("it cannot be read: {why}; its last facts stand")]
            }
        }
    }

    fn apply_node(&mut self, node: Node, changes: &mut BTreeSet<ClusterChange>) -> Problems {
        let mut problems = Problems::new();
        if node.metadata.name.as_deref() != Some(self.node_name.as_str()) {
            return problems;
        }
        self.node_seen = NodeSeen::Once;
        let mut facts = node_facts(node, &mut problems);
        facts.cluster_nodes = self.cluster_nodes;
        facts.blocks = self.own_blocks();
        if self.view.node.as_deref() != Some(&facts) {
            self.view.node = Some(Arc::new(facts));
            changes.insert(ClusterChange::Node);
        }
        problems
    }

    fn apply_cluster_node(
        &mut self,
        name: &ObjectRef,
        node: Node,
        changes: &mut BTreeSet<ClusterChange>,
    ) -> Problems {
        let mut problems = Problems::new();
        self.apply_peer_node(&node, changes);
        let networks = node_networks(node, &mut problems);
        if self.view.nodes.get(&name.name) != Some(&networks) {
            self.view.nodes.insert(name.name.clone(), networks);
            changes.insert(ClusterChange::Networks);
        }
        if name.name == self.node_name {
            // They are told of the own Node, which is watched.
            problems.clear();
        }
        problems
    }

    fn apply_namespace(
        &mut self,
        name: &ObjectRef,
        namespace: Namespace,
        changes: &mut BTreeSet<ClusterChange>,
    ) -> Problems {
        let labels = Arc::new(namespace.metadata.labels.unwrap_or_default());
        let before = self
            .namespaces
            .insert(name.name.clone(), Arc::clone(&labels));
        if before.unwrap_or_default() != labels {
            self.label_services(&name.name, &labels, changes);
        }
        Problems::new()
    }

    /// Gives the Services of a Namespace its labels.
    fn label_services(
        &mut self,
        namespace: &str,
        labels: &Arc<StringMap>,
        changes: &mut BTreeSet<ClusterChange>,
    ) {
        let first = ServiceKey::new(namespace, "");
        let services = self.view.services.range_mut(first..);
        for (key, facts) in services.take_while(|(key, _)| *key.namespace == *namespace) {
            Arc::make_mut(facts).namespace_labels = Arc::clone(labels);
            changes.insert(ClusterChange::Service(key.clone()));
        }
    }

    fn apply_service(
        &mut self,
        service: Service,
        changes: &mut BTreeSet<ClusterChange>,
    ) -> Problems {
        let mut problems = Problems::new();
        let mut facts = match service_facts(service, &mut problems) {
            Ok(facts) => facts,
            Err(unusable) => return vec![unusable.to_string()],
        };
        let key = facts.key.clone();
        if let Some(labels) = self.namespaces.get(&*key.namespace) {
            facts.namespace_labels = Arc::clone(labels);
        }
        self.count_endpoints(&facts).write_to(&mut facts);
        if self.view.services.get(&key).map(Arc::as_ref) != Some(&facts) {
            self.view.services.insert(key.clone(), Arc::new(facts));
            changes.insert(ClusterChange::Service(key));
        }
        problems
    }

    fn apply_slice(
        &mut self,
        name: &ObjectRef,
        slice: &EndpointSlice,
        changes: &mut BTreeSet<ClusterChange>,
    ) -> Problems {
        let mut problems = Problems::new();
        let record = match slice_record(slice, &self.node_name, &mut problems) {
            Ok(record) => record,
            Err(unusable) => return vec![unusable.to_string()],
        };
        if self.slices.get(name) == record.as_ref() {
            return problems;
        }
        let owners = [
            self.remove_slice(name),
            record.map(|record| self.insert_slice(name, record)),
        ];
        for owner in owners.into_iter().flatten() {
            self.recount(&owner, changes);
        }
        problems
    }

    fn insert_slice(&mut self, name: &ObjectRef, record: SliceRecord) -> ServiceKey {
        let owner = record.service.clone();
        let siblings = self.slices_of.entry(owner.clone()).or_default();
        siblings.insert(name.clone());
        self.slices.insert(name.clone(), record);
        owner
    }

    fn remove_slice(&mut self, name: &ObjectRef) -> Option<ServiceKey> {
        let owner = self.slices.remove(name)?.service;
        if let Some(siblings) = self.slices_of.get_mut(&owner) {
            siblings.remove(name);
            if siblings.is_empty() {
                self.slices_of.remove(&owner);
            }
        }
        Some(owner)
    }

    fn delete(&mut self, name: &ObjectRef, changes: &mut BTreeSet<ClusterChange>) {
        self.reported.remove(name);
        match name.kind {
            Kind::Node => {
                if self
                    .view
                    .node
                    .take_if(|node| node.name == name.name)
                    .is_some()
                {
                    changes.insert(ClusterChange::Node);
                }
            }
            Kind::Service => {
                let key = ServiceKey::new(&name.namespace, &name.name);
                if self.view.services.remove(&key).is_some() {
                    changes.insert(ClusterChange::Service(key));
                }
            }
            Kind::EndpointSlice => {
                if let Some(owner) = self.remove_slice(name) {
                    self.recount(&owner, changes);
                }
            }
            Kind::ClusterNode => {
                self.delete_peer_node(&name.name, changes);
                if self.view.nodes.remove(&name.name).is_some() {
                    changes.insert(ClusterChange::Networks);
                }
            }
            Kind::Namespace => {
                let labels = self.namespaces.remove(&name.name);
                if labels.is_some_and(|labels| !labels.is_empty()) {
                    self.label_services(&name.name, &Arc::default(), changes);
                }
            }
            Kind::Pod | Kind::Calico(_) => {
                self.delete_calico(name, changes);
            }
        }
    }

    fn recount(&mut self, key: &ServiceKey, changes: &mut BTreeSet<ClusterChange>) {
        if is_api_service(key) {
            self.find_api_servers(key, changes);
        }
        let Some(facts) = self.view.services.get(key) else {
            return;
        };
        let counted = self.count_endpoints(facts);
        if counted == Counted::of(facts) {
            return;
        }
        if let Some(facts) = self.view.services.get_mut(key) {
            counted.write_to(Arc::make_mut(facts));
            changes.insert(ClusterChange::Service(key.clone()));
        }
    }

    fn count_endpoints(&self, service: &ServiceFacts) -> Counted {
        endpoints::count(service, self.slices_of(&service.key))
    }

    fn find_api_servers(&mut self, key: &ServiceKey, changes: &mut BTreeSet<ClusterChange>) {
        let endpoints = self.slices_of(key).flat_map(|slice| &slice.endpoints);
        let addresses = endpoints.map(|endpoint| endpoint.address);
        let servers = addresses.chain(self.api_server).collect();
        if self.view.api_servers != servers {
            self.view.api_servers = servers;
            changes.insert(ClusterChange::Networks);
        }
    }

    fn slices_of(&self, key: &ServiceKey) -> impl Iterator<Item = &SliceRecord> {
        let names = self.slices_of.get(key).into_iter().flatten();
        names.filter_map(|name| self.slices.get(name))
    }

    /// Remembers the problems of an object, and returns those that were not there before.
    fn newly_reported(&mut self, object: ObjectRef, mut problems: Problems) -> Vec<Malformed> {
        if problems.is_empty() {
            self.reported.remove(&object);
            return Vec::new();
        }
        if problems.len() > PROBLEMS_REPORTED_MAX {
            let more = problems.len() - PROBLEMS_REPORTED_MAX;
            problems.truncate(PROBLEMS_REPORTED_MAX);
            problems.push(format!("and {more} more problems of the kind"));
        }
        let before = self.reported.insert(object.clone(), problems.clone());
        let before = before.unwrap_or_default();
        problems.retain(|problem| !before.contains(problem));
        let malformed = problems.into_iter().map(|what| Malformed {
            object: object.clone(),
            what,
        });
        malformed.collect()
    }
}
