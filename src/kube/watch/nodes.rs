//! Every Node of the cluster, for what it has of the network: listed at start, then now and then.
//!
//! Not watched in between as long as nobody peers with Nodes: a kubelet writes its Node every few
//! minutes, and each of 5,000 agents would be sent every one of these. Addresses of Nodes hardly
//! ever change, and what is missed until the next list is the address of a new Node that a Service
//! takes for its own.
//!
//! Where Calico's resources count, a label decides who peers with whom, and sessions are to follow
//! within a second. Then the metadata of all Nodes is watched between lists: a heartbeat is 3.0 kB
//! of it where a whole Node with fifty images is 13.6 kB, so that 5,000 Nodes that write every five
//! minutes are 17 events and 50 kB a second. A Node that no list had yet is asked for once if its
//! annotations do not say where it is.
//!
//! The pause grows with the cluster, so that all agents together ask for one list a second, and is
//! spread by the agent's own name. Lists are read in pages, in which an API server keeps what
//! it serves to a few megabytes; of a Node only what is needed is decoded.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use ::kube::api::{ApiResource, ListParams, WatchEvent, WatchParams};
use ::kube::core::{DeserializeGuard, Object as Parts};
use ::kube::{Api, Client, ResourceExt as _};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeSpec, NodeStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::backoff::Backoff;
use super::describe::{Trouble, is_expired};
use super::{Unwanted, WatchConfig};
use crate::kube::convert::{is_placed, slim};
use crate::kube::health::HealthReporter;
use crate::kube::{Calico, Kind, Object, ObjectRef, SourceEvent};

/// A Node without what is of no use here.
type NodeParts = Parts<SpecParts, StatusParts>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SpecParts {
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct StatusParts {
    addresses: Option<Vec<NodeAddress>>,
}

/// Lists them.
pub(super) struct NodeLister {
    api: Api<DeserializeGuard<NodeParts>>,
    metadata: Api<Node>,
    node_name: String,
    config: WatchConfig,
    events: mpsc::Sender<SourceEvent>,
    health: HealthReporter,
    backoff: Backoff,
    /// Lists so far: each pause is at another point of its range.
    lists: u32,
    /// The Nodes whose addresses were told.
    known: BTreeSet<String>,
}

/// Why a list or a watch did not end as it should.
enum Stopped {
    Unwanted,
    /// The server no longer has the history to continue from.
    Expired,
    Failed(Trouble),
}

impl From<Unwanted> for Stopped {
    fn from(Unwanted: Unwanted) -> Self {
        Self::Unwanted
    }
}

impl NodeLister {
    pub(super) fn new(
        client: &Client,
        node_name: &str,
        config: &WatchConfig,
        (events, health): (mpsc::Sender<SourceEvent>, HealthReporter),
    ) -> Self {
        let resource = ApiResource::erase::<Node>(&());
        Self {
            api: Api::all_with(client.clone(), &resource),
            metadata: Api::all(client.clone()),
            node_name: node_name.to_owned(),
            config: config.clone(),
            events,
            health,
            backoff: Backoff::new(
                (node_name, Kind::ClusterNode),
                config.backoff_min..=config.backoff_max,
            ),
            lists: 0,
            known: BTreeSet::new(),
        }
    }

    /// Ends when the source is dropped.
    pub(super) async fn run(mut self) {
        loop {
            match self.list().await {
                Ok(version) => {
                    self.health.recovered(Kind::ClusterNode.plural());
                    self.backoff.reset();
                    self.lists = self.lists.wrapping_add(1);
                    let nodes = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
                    let pause = pause(&self.config, &self.node_name, self.lists, nodes);
                    let until = Instant::now() + pause;
                    match self.config.calico {
                        Calico::Ignored => tokio::time::sleep_until(until).await,
                        Calico::Watched => {
                            if self.follow(version, until).await.is_err() {
                                return;
                            }
                        }
                    }
                }
                Err(Stopped::Unwanted) => return,
                Err(Stopped::Expired) => self.fail(&Trouble::Expired).await,
                Err(Stopped::Failed(trouble)) => self.fail(&trouble).await,
            }
        }
    }

    /// Watches the metadata of all Nodes until it is time for another list.
    async fn follow(&mut self, mut version: String, until: Instant) -> Result<(), Unwanted> {
        while Instant::now() < until {
            match timeout_at(until, self.watch(&mut version)).await {
                Err(_) => return Ok(()),
                Ok(Ok(())) => self.backoff.pause_unless_first().await,
                Ok(Err(Stopped::Unwanted)) => return Err(Unwanted),
                Ok(Err(Stopped::Expired)) => {
                    debug!("the watch of Nodes expired, listing again");
                    self.backoff.pause_unless_first().await;
                    return Ok(());
                }
                Ok(Err(Stopped::Failed(trouble))) => self.fail(&trouble).await,
            }
        }
        Ok(())
    }

    /// One watch, from `version` on, which is moved along.
    async fn watch(&mut self, version: &mut String) -> Result<(), Stopped> {
        let limit = self.config.request_timeout;
        let params = WatchParams {
            timeout: u32::try_from(self.config.watch_timeout.as_secs()).ok(),
            bookmarks: true,
            ..WatchParams::default()
        };
        let stream = match timeout(limit, self.metadata.watch_metadata(&params, version)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if is_expired(&error) => return Err(Stopped::Expired),
            Ok(Err(error)) => return Err(Stopped::Failed(Trouble::Watch(error))),
            Err(_) => return Err(Stopped::Failed(Trouble::NoAnswer(limit))),
        };
        self.health.recovered(Kind::ClusterNode.plural());
        let mut stream = std::pin::pin!(stream);
        loop {
            // If the server is in trouble, the next watch will show it.
            let Ok(Some(event)) = timeout(self.config.idle_timeout, stream.next()).await else {
                return Ok(());
            };
            let newer = match event {
                Ok(WatchEvent::Added(node) | WatchEvent::Modified(node)) => {
                    let newer = node.resource_version();
                    self.tell(node.metadata).await?;
                    newer
                }
                Ok(WatchEvent::Deleted(node)) => {
                    let name = node.name_any();
                    self.known.remove(&name);
                    let name = ObjectRef::new(Kind::ClusterNode, "", &name);
                    self.send(SourceEvent::Deleted(name)).await?;
                    node.resource_version()
                }
                Ok(WatchEvent::Bookmark(mark)) => Some(mark.metadata.resource_version),
                Ok(WatchEvent::Error(status)) => {
                    return Err(broken_off(::kube::Error::Api(status)));
                }
                Err(error) => return Err(broken_off(error)),
            };
            // Only after the event was handed on: a watch that breaks off before is repeated.
            if let Some(newer) = newer.filter(|newer| !newer.is_empty()) {
                *version = newer;
            }
            self.backoff.reset();
        }
    }

    /// Tells what a Node's metadata is, and where it is if nobody knows that yet.
    async fn tell(&mut self, mut metadata: ObjectMeta) -> Result<(), Stopped> {
        let name = metadata.name.clone().unwrap_or_default();
        if !self.known.contains(&name) && !is_placed(&metadata) {
            let limit = self.config.request_timeout;
            match timeout(limit, self.api.get_opt(&name)).await {
                Ok(Ok(Some(node))) => {
                    self.known.insert(name);
                    self.send(SourceEvent::Applied(object(node))).await?;
                }
                // Gone again.
                Ok(Ok(None)) => {}
                Ok(Err(error)) => return Err(Stopped::Failed(Trouble::List(error))),
                Err(_) => return Err(Stopped::Failed(Trouble::NoAnswer(limit))),
            }
            return Ok(());
        }
        slim(&mut metadata);
        let object = Object::NodeMetadata(Box::new(metadata));
        Ok(self.send(SourceEvent::Applied(object)).await?)
    }

    async fn fail(&mut self, trouble: &Trouble) {
        let subject = Kind::ClusterNode.plural();
        self.health.failed(subject, &trouble.to_string());
        self.backoff.pause().await;
    }

    /// Lists every Node once; returns the version to watch from.
    async fn list(&mut self) -> Result<String, Stopped> {
        self.send(SourceEvent::ListStarted(Kind::ClusterNode))
            .await?;
        let mut params = ListParams::default().limit(self.config.page_size);
        let mut known = BTreeSet::new();
        loop {
            let limit = self.config.request_timeout;
            let page = match timeout(limit, self.api.list(&params)).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) if is_expired(&error) => return Err(Stopped::Expired),
                Ok(Err(error)) => return Err(Stopped::Failed(Trouble::List(error))),
                Err(_) => return Err(Stopped::Failed(Trouble::NoAnswer(limit))),
            };
            for item in page.items {
                let object = object(item);
                known.insert(object.object_ref().name);
                self.send(SourceEvent::Listed(object)).await?;
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                self.known = known;
                let completed = SourceEvent::ListCompleted(Kind::ClusterNode);
                self.send(completed).await?;
                return Ok(page.metadata.resource_version.unwrap_or_default());
            }
        }
    }

    async fn send(&self, event: SourceEvent) -> Result<(), Unwanted> {
        self.events.send(event).await.map_err(|_| Unwanted)
    }
}

fn broken_off(error: ::kube::Error) -> Stopped {
    if is_expired(&error) {
        Stopped::Expired
    } else {
        Stopped::Failed(Trouble::Watch(error))
    }
}

/// From half to one and a half of the interval for so many Nodes, by who asks and how often it has.
pub(super) fn pause(config: &WatchConfig, node_name: &str, lists: u32, nodes: u32) -> Duration {
    let interval = config
        .nodes_interval_each
        .saturating_mul(nodes)
        .max(config.nodes_interval_min);
    let mut hasher = DefaultHasher::new();
    (node_name, lists).hash(&mut hasher);
    let spread = u32::try_from(hasher.finish() % 1000).unwrap_or_default();
    interval / 2 + interval * spread / 1000
}

fn object(item: DeserializeGuard<NodeParts>) -> Object {
    match item.0 {
        Ok(parts) => Object::ClusterNode(Box::new(node(parts))),
        Err(invalid) => {
            let name = invalid.metadata.name.unwrap_or_default();
            let name = ObjectRef::new(Kind::ClusterNode, "", &name);
            Object::Unreadable(name, invalid.error)
        }
    }
}

fn node(parts: NodeParts) -> Node {
    let SpecParts {
        pod_cidr,
        pod_cidrs,
    } = parts.spec;
    let StatusParts { addresses } = parts.status.unwrap_or_default();
    Node {
        metadata: metadata(parts.metadata),
        spec: Some(NodeSpec {
            pod_cidr,
            pod_cidrs,
            ..NodeSpec::default()
        }),
        status: Some(NodeStatus {
            addresses,
            ..NodeStatus::default()
        }),
    }
}

/// What of it decides on peers.
fn metadata(mut all: ObjectMeta) -> ObjectMeta {
    slim(&mut all);
    ObjectMeta {
        name: all.name,
        labels: all.labels,
        annotations: all.annotations,
        ..ObjectMeta::default()
    }
}
