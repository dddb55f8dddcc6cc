//! Every Node of the cluster, for what it has of the network: listed at start, then now and then.
//!
//! Not watched: a kubelet writes its Node every few minutes, and each of 5,000 agents would be
//! sent every one of these. Addresses of Nodes hardly ever change, and what is missed until the
//! next list is the address of a new Node that a Service takes for its own.
//!
//! The pause grows with the cluster, so that all agents together ask for one list a second, and is
//! spread by the agent's own name. Lists are read in pages, in which an API server keeps what
//! it serves to a few megabytes; of a Node only what is needed is decoded.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use ::kube::api::{ApiResource, ListParams};
use ::kube::core::{DeserializeGuard, Object as Parts};
use ::kube::{Api, Client};
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeSpec, NodeStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::backoff::Backoff;
use super::describe::{Trouble, is_expired};
use super::{Unwanted, WatchConfig};
use crate::kube::health::HealthReporter;
use crate::kube::{Kind, Object, ObjectRef, SourceEvent};

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
    node_name: String,
    config: WatchConfig,
    events: mpsc::Sender<SourceEvent>,
    health: HealthReporter,
    backoff: Backoff,
    /// Lists so far: each pause is at another point of its range.
    lists: u32,
}

/// Why a list did not end.
enum Stopped {
    Unwanted,
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
            node_name: node_name.to_owned(),
            config: config.clone(),
            events,
            health,
            backoff: Backoff::new(
                (node_name, Kind::ClusterNode),
                config.backoff_min..=config.backoff_max,
            ),
            lists: 0,
        }
    }

    /// Ends when the source is dropped.
    pub(super) async fn run(mut self) {
        loop {
            match self.list().await {
                Ok(nodes) => {
                    self.health.recovered(Kind::ClusterNode.plural());
                    self.backoff.reset();
                    self.lists = self.lists.wrapping_add(1);
                    let pause = pause(&self.config, &self.node_name, self.lists, nodes);
                    tokio::time::sleep(pause).await;
                }
                Err(Stopped::Unwanted) => return,
                Err(Stopped::Failed(trouble)) => {
                    let subject = Kind::ClusterNode.plural();
                    self.health.failed(subject, &trouble.to_string());
                    self.backoff.pause().await;
                }
            }
        }
    }

    /// Lists every Node once; returns how many there are.
    async fn list(&mut self) -> Result<u32, Stopped> {
        self.send(SourceEvent::ListStarted(Kind::ClusterNode))
            .await?;
        let mut params = ListParams::default().limit(self.config.page_size);
        let mut nodes = 0_u32;
        loop {
            let limit = self.config.request_timeout;
            let page = match timeout(limit, self.api.list(&params)).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) if is_expired(&error) => {
                    return Err(Stopped::Failed(Trouble::Expired));
                }
                Ok(Err(error)) => return Err(Stopped::Failed(Trouble::List(error))),
                Err(_) => return Err(Stopped::Failed(Trouble::NoAnswer(limit))),
            };
            for item in page.items {
                nodes = nodes.saturating_add(1);
                self.send(SourceEvent::Listed(object(item))).await?;
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                break;
            }
        }
        self.send(SourceEvent::ListCompleted(Kind::ClusterNode))
            .await?;
        Ok(nodes)
    }

    async fn send(&self, event: SourceEvent) -> Result<(), Unwanted> {
        self.events.send(event).await.map_err(|_| Unwanted)
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
        metadata: ObjectMeta {
            name: parts.metadata.name,
            ..ObjectMeta::default()
        },
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
