//! From Kubernetes objects to the facts that decide routes.
//!
//! Two sources see objects, the API server ([`watch`]) and a directory of manifests ([`files`]);
//! both give a [`Source`]: a bounded queue of [`SourceEvent`]s and a [`Health`]. One pure,
//! synchronous [`Index`] turns events into a [`ClusterView`](crate::facts::ClusterView). The
//! agent's pipeline joins them:
//!
//! ```no_run
//! # async fn pipeline() -> anyhow::Result<()> {
//! use rutter::kube::watch::{self, WatchConfig};
//! use rutter::kube::{Index, Outcome, connect, node_name};
//!
//! let node_name = node_name()?;
//! let (client, api_server) = connect().await?;
//! let mut source = watch::start(&client, &node_name, &WatchConfig::default());
//! source.api_server = api_server;
//! let mut index = Index::new(&node_name);
//! index.set_source(&source);
//! while let Some(event) = source.events.recv().await {
//!     let Outcome { changes, malformed } = index.handle(event);
//!     for problem in malformed {
//!         tracing::warn!(%problem, "unusable object"); // Each is reported once.
//!     }
//!     if index.waiting_for().is_none() {
//!         // Hand `changes` and `index.view()` on; the first time, the whole view.
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A source that is in trouble sends nothing, so its last state stands; its [`Health`] says what
//! is wrong. Only an object that was seen to change or to go changes a fact. Nothing in here
//! knows BGP, and only [`watch`], [`events`], [`removal`] and [`connect()`] are async.

mod calico;
mod connect;
mod convert;
pub mod events;
pub mod files;
#[cfg(test)]
pub(crate) mod fixtures;
mod health;
mod index;
pub mod removal;
pub mod secrets;
pub mod watch;

use std::fmt;
use std::net::IpAddr;

use ::kube::core::DynamicObject;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::mpsc;

pub use calico::CalicoKind;
pub use connect::{client, connect, node_name};
pub use health::{Health, Problem};
pub use index::{Index, Outcome};

use crate::config::CalicoResources;

/// How many events may wait for the pipeline. A source that fills it waits, and the API server or
/// the file system holds the rest: a slow pipeline costs delay, never memory or an event.
const EVENT_QUEUE_DEPTH: usize = 256;

/// What `tracing`'s filter needs besides the operator's level: the client library logs every
/// single retry, while [`Health`] logs each problem once.
pub const LOG_DIRECTIVES: &str = "kube_client=off,kube_runtime=off";

/// Where objects come from. Dropping it stops it.
#[derive(Debug)]
pub struct Source {
    /// What it saw, in order. Closed only when the source has died.
    pub events: mpsc::Receiver<SourceEvent>,
    /// What is wrong with it at present.
    pub health: Health,
    /// The API server's address, where there is one and whoever made the source knows it.
    pub api_server: Option<IpAddr>,
    /// What it shows: of each of these kinds there will be a list.
    pub kinds: Vec<Kind>,
    /// Stops the source's tasks or threads when dropped.
    _running: Running,
}

/// What keeps a source going for as long as it is held.
#[derive(Debug)]
#[expect(dead_code, reason = "held only to be dropped")]
enum Running {
    /// One task for each kind, aborted on drop.
    Tasks(tokio::task::JoinSet<()>),
    /// A thread that ends when the watcher that feeds it is dropped.
    Watcher(files::Running),
}

/// A kind of object that facts are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` Node; only the agent's own counts.
    Node,
    /// `v1` Node, every one of the cluster, for what it has of the network. Apart from
    /// [`Self::Node`], for it is listed now and then and not watched.
    ClusterNode,
    /// `v1` Namespace.
    Namespace,
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `v1` Pod; only those of the agent's own node, and only where Calico's resources count.
    Pod,
    /// One of Calico's resources, where they count.
    Calico(CalicoKind),
}

/// Whether Calico's resources count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calico {
    /// They do.
    Watched,
    /// Nobody asks for them.
    #[default]
    Ignored,
}

impl From<CalicoResources> for Calico {
    fn from(resources: CalicoResources) -> Self {
        if resources.is_watched() {
            Self::Watched
        } else {
            Self::Ignored
        }
    }
}

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// `metadata.namespace`; empty for a Node.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// An object as a source saw it. Boxed: the kinds differ much in size.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// The own Node.
    Node(Box<Node>),
    /// Any Node of the cluster.
    ClusterNode(Box<Node>),
    /// The metadata of any Node of the cluster; the rest of it is as it was.
    NodeMetadata(Box<ObjectMeta>),
    /// A Namespace.
    Namespace(Box<Namespace>),
    /// A Service.
    Service(Box<Service>),
    /// An EndpointSlice.
    EndpointSlice(Box<EndpointSlice>),
    /// A Pod of the own node.
    Pod(Box<Pod>),
    /// One of Calico's resources.
    Calico(CalicoKind, Box<DynamicObject>),
    /// Something there is under this name, but it does not read as its kind; the text says why.
    Unreadable(ObjectRef, String),
}

/// One step of what a source saw.
///
/// The objects of a kind that existed before and are not `Listed` between its `ListStarted` and
/// its `ListCompleted` are gone. A list that breaks off is followed by another `ListStarted`,
/// and takes nothing away.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvent {
    /// A list of everything of this kind begins.
    ListStarted(Kind),
    /// An object of the list that was started for its kind.
    Listed(Object),
    /// The list was complete.
    ListCompleted(Kind),
    /// The API has no such kind, and so no objects of it.
    NotServed(Kind),
    /// An object appeared or changed.
    Applied(Object),
    /// An object went.
    Deleted(ObjectRef),
}

/// Something about an object that cannot be used. What is wrong is left out of the facts; where
/// the whole object is unusable, its last facts stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Malformed {
    /// Which object.
    pub object: ObjectRef,
    /// The field, its value, and what is done about it.
    pub what: String,
}

impl Kind {
    /// Every kind of Kubernetes' own that all agents see, in an order that shows a Service its
    /// endpoints and Namespace before itself.
    pub const ALL: [Self; 5] = [
        Self::Node,
        Self::ClusterNode,
        Self::Namespace,
        Self::EndpointSlice,
        Self::Service,
    ];

    /// Every kind that there will be lists of.
    pub(crate) fn all(calico: Calico) -> Vec<Self> {
        let mut kinds = Self::ALL.to_vec();
        match calico {
            Calico::Watched => {
                kinds.extend(CalicoKind::ALL.map(Self::Calico));
                kinds.push(Self::Pod);
            }
            Calico::Ignored => {}
        }
        kinds
    }

    /// What [`Health`] calls all objects of this kind.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Node => "own Node",
            Self::ClusterNode => "Nodes",
            Self::Namespace => "Namespaces",
            Self::Service => "Services",
            Self::EndpointSlice => "EndpointSlices",
            Self::Pod => "own Pods",
            Self::Calico(kind) => kind.subject(),
        }
    }
}

impl Object {
    /// Its name.
    #[must_use]
    pub fn object_ref(&self) -> ObjectRef {
        let (kind, metadata) = match self {
            Self::Node(node) => (Kind::Node, &node.metadata),
            Self::ClusterNode(node) => (Kind::ClusterNode, &node.metadata),
            Self::NodeMetadata(metadata) => (Kind::ClusterNode, &**metadata),
            Self::Namespace(namespace) => (Kind::Namespace, &namespace.metadata),
            Self::Service(service) => (Kind::Service, &service.metadata),
            Self::EndpointSlice(slice) => (Kind::EndpointSlice, &slice.metadata),
            Self::Pod(pod) => (Kind::Pod, &pod.metadata),
            Self::Calico(kind, object) => (Kind::Calico(*kind), &object.metadata),
            Self::Unreadable(object, _) => return object.clone(),
        };
        ObjectRef::new(
            kind,
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        )
    }
}

impl ObjectRef {
    /// A name from its parts; `namespace` is empty for a Node.
    #[must_use]
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node | Self::ClusterNode => f.write_str("Node"),
            Self::Namespace => f.write_str("Namespace"),
            Self::Service => f.write_str("Service"),
            Self::EndpointSlice => f.write_str("EndpointSlice"),
            Self::Pod => f.write_str("Pod"),
            Self::Calico(kind) => kind.fmt(f),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.what)
    }
}
