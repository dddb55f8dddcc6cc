//! The API server as a source: own Node, all Services, EndpointSlices and Namespaces; and all
//! Nodes, which are listed only (see `nodes`).
//!
//! Each kind has a task that lists it once, in pages, and then follows it by watches. The agent
//! calls [`start`]; the tasks decide nothing but when to try again.
//!
//! **Lists** leave `resourceVersion` unset: a quorum read. With `resourceVersion=0` an API server
//! may answer from a cache that is behind, or, in a cluster of several, far behind what a watch
//! has already shown, and routes would be withdrawn and announced again. A quorum read costs the
//! server more, but happens at start and after an expired watch only.
//!
//! **Why no `kube::runtime::watcher`:** it does not tell when it has recovered (a quiet kind would
//! show an old error for hours), puts no time limit on a list or on the start of a watch (a
//! stopped API server would hang it for good), and takes up an ended watch again without a pause.
//!
//! **Trouble** (no connection, no answer, refused credentials, missing rights) changes no fact:
//! it is shown in the [`Health`](super::Health) and tried again, with exponential back-off.
//! An expired watch (410) is followed by a list. An object that does not read as its kind
//! is passed on as [`Object::Unreadable`] and does not disturb the others.

mod backoff;
mod describe;
mod nodes;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use ::kube::api::{ListParams, WatchEvent, WatchParams};
use ::kube::core::DeserializeGuard;
use ::kube::{Api, Client, Resource};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::debug;

use self::backoff::Backoff;
use self::describe::{Trouble, is_expired};
use self::nodes::NodeLister;
use super::convert::slim;
use super::health::HealthReporter;
use super::{EVENT_QUEUE_DEPTH, Kind, Object, ObjectRef, Running, Source, SourceEvent};

/// Time limits of the watchers. The defaults are for production; tests shorten them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchConfig {
    /// Objects in one answer to a list. What it bounds is memory.
    pub page_size: u32,
    /// For the answer to a list's page, and for the first byte of a watch.
    pub request_timeout: Duration,
    /// How long the server is to keep one watch open; whole seconds.
    pub watch_timeout: Duration,
    /// A watch that is silent for this long is begun anew: it may hang on a connection that is no
    /// longer there. API servers send a bookmark each minute.
    pub idle_timeout: Duration,
    /// The pause after a first failure; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// How long a list of all Nodes serves, in a small cluster.
    pub nodes_interval_min: Duration,
    /// How long it serves for each Node that there is, where that is more.
    pub nodes_interval_each: Duration,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            page_size: 500,
            request_timeout: Duration::from_secs(30),
            watch_timeout: Duration::from_secs(290),
            idle_timeout: Duration::from_secs(90),
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(15),
            nodes_interval_min: Duration::from_secs(60),
            nodes_interval_each: Duration::from_secs(1),
        }
    }
}

/// Starts watching for the agent on the node of this name. Needs a tokio runtime.
#[must_use]
pub fn start(client: &Client, node_name: &str, config: &WatchConfig) -> Source {
    let (sender, events) = mpsc::channel(EVENT_QUEUE_DEPTH);
    let (reporter, health) = HealthReporter::new();
    let own_node = format!("metadata.name={node_name}");
    let mut tasks = JoinSet::new();
    let output = || (sender.clone(), reporter.clone());
    tasks.spawn(Watcher::<Node>::new(client, Some(own_node), node_name, config, output()).run());
    tasks.spawn(Watcher::<EndpointSlice>::new(client, None, node_name, config, output()).run());
    tasks.spawn(Watcher::<Service>::new(client, None, node_name, config, output()).run());
    tasks.spawn(Watcher::<Namespace>::new(client, None, node_name, config, output()).run());
    tasks.spawn(NodeLister::new(client, node_name, config, output()).run());
    Source {
        events,
        health,
        api_server: None,
        _running: Running::Tasks(tasks),
    }
}

/// A kind of object that can be watched.
trait Watched: Resource<DynamicType = ()> + DeserializeOwned + Clone + fmt::Debug + Send {
    const KIND: Kind;
    fn object(self: Box<Self>) -> Object;
}

impl Watched for Node {
    const KIND: Kind = Kind::Node;
    fn object(self: Box<Self>) -> Object {
        Object::Node(self)
    }
}

impl Watched for Namespace {
    const KIND: Kind = Kind::Namespace;
    fn object(self: Box<Self>) -> Object {
        Object::Namespace(self)
    }
}

impl Watched for Service {
    const KIND: Kind = Kind::Service;
    fn object(self: Box<Self>) -> Object {
        Object::Service(self)
    }
}

impl Watched for EndpointSlice {
    const KIND: Kind = Kind::EndpointSlice;
    fn object(self: Box<Self>) -> Object {
        Object::EndpointSlice(self)
    }
}

/// Follows one kind.
struct Watcher<K> {
    api: Api<DeserializeGuard<K>>,
    field_selector: Option<String>,
    config: WatchConfig,
    events: mpsc::Sender<SourceEvent>,
    health: HealthReporter,
    backoff: Backoff,
    /// Watches that expired since one was last of use.
    expirations: u32,
}

/// Nobody receives the events any more: the source was dropped.
struct Unwanted;

/// Why a list or a watch is not there any more.
enum Stopped {
    /// The source was dropped.
    Unwanted,
    /// The server no longer has the history to continue from.
    Expired,
    /// It ended as watches do after a while, or fell silent.
    Ended,
    /// Something is wrong.
    Failed(Trouble),
}

impl From<Unwanted> for Stopped {
    fn from(_: Unwanted) -> Self {
        Self::Unwanted
    }
}

impl<K: Watched + 'static> Watcher<K> {
    fn new(
        client: &Client,
        field_selector: Option<String>,
        node_name: &str,
        config: &WatchConfig,
        (events, health): (mpsc::Sender<SourceEvent>, HealthReporter),
    ) -> Self {
        Self {
            api: Api::all(client.clone()),
            field_selector,
            config: config.clone(),
            events,
            health,
            backoff: Backoff::new(
                (node_name, K::KIND),
                config.backoff_min..=config.backoff_max,
            ),
            expirations: 0,
        }
    }

    async fn run(mut self) {
        // Ends when the source is dropped.
        while let Ok(version) = self.list_until_complete().await {
            if self.watch_until_expired(version).await.is_err() {
                return;
            }
        }
    }

    /// Lists until it has succeeded; returns the version to watch from.
    async fn list_until_complete(&mut self) -> Result<String, Unwanted> {
        loop {
            match self.list().await {
                Ok(version) => return Ok(version),
                Err(Stopped::Unwanted) => return Err(Unwanted),
                Err(Stopped::Failed(trouble)) => self.fail(&trouble).await,
                // The list took longer than the server keeps history.
                Err(Stopped::Expired | Stopped::Ended) => self.fail(&Trouble::Expired).await,
            }
        }
    }

    /// Watches, again and again, until the history that `version` stands for has expired.
    async fn watch_until_expired(&mut self, mut version: String) -> Result<(), Unwanted> {
        loop {
            let began = Instant::now();
            let Err(stopped) = self.watch(&mut version).await;
            // A watch that lasted did its work, whether it had something to tell or not.
            if began.elapsed() >= self.config.backoff_max {
                self.works();
            }
            match stopped {
                Stopped::Unwanted => return Err(Unwanted),
                Stopped::Failed(trouble) => self.fail(&trouble).await,
                Stopped::Ended => {
                    debug!(kind = %K::KIND, "watch ended, watching again");
                    // Without a pause only if the last watch was of use.
                    self.backoff.pause_unless_first().await;
                }
                Stopped::Expired => {
                    debug!(kind = %K::KIND, "watch expired, listing again");
                    self.expirations += 1;
                    // Once is what happens after a while without a connection.
                    if self.expirations > 1 {
                        self.fail(&Trouble::Expired).await;
                    }
                    return Ok(());
                }
            }
        }
    }

    async fn list(&mut self) -> Result<String, Stopped> {
        self.send(SourceEvent::ListStarted(K::KIND)).await?;
        let mut params = ListParams::default().limit(self.config.page_size);
        params.field_selector = self.field_selector.clone();
        loop {
            let limit = self.config.request_timeout;
            let page = match timeout(limit, self.api.list(&params)).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) if is_expired(&error) => return Err(Stopped::Expired),
                Ok(Err(error)) => return Err(Stopped::Failed(Trouble::List(error))),
                Err(_) => return Err(Stopped::Failed(Trouble::NoAnswer(limit))),
            };
            for item in page.items {
                self.send(SourceEvent::Listed(object(item))).await?;
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_some() {
                continue;
            }
            let version = page.metadata.resource_version;
            let Some(version) = version.filter(|version| !version.is_empty()) else {
                return Err(Stopped::Failed(Trouble::NoVersion));
            };
            self.send(SourceEvent::ListCompleted(K::KIND)).await?;
            return Ok(version);
        }
    }

    /// One watch, from `version` on, which is moved along.
    async fn watch(&mut self, version: &mut String) -> Result<std::convert::Infallible, Stopped> {
        let limit = self.config.request_timeout;
        let params = WatchParams {
            field_selector: self.field_selector.clone(),
            timeout: u32::try_from(self.config.watch_timeout.as_secs()).ok(),
            bookmarks: true,
            ..WatchParams::default()
        };
        let stream = match timeout(limit, self.api.watch(&params, version)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if is_expired(&error) => return Err(Stopped::Expired),
            Ok(Err(error)) => return Err(Stopped::Failed(Trouble::Watch(error))),
            Err(_) => return Err(Stopped::Failed(Trouble::NoAnswer(limit))),
        };
        self.health.recovered(K::KIND.plural());
        let mut stream = std::pin::pin!(stream);
        loop {
            let event = self.next(&mut stream).await?;
            let (event, newer) = match event {
                WatchEvent::Added(item) | WatchEvent::Modified(item) => {
                    let newer = item.meta().resource_version.clone();
                    (Some(SourceEvent::Applied(object(item))), newer)
                }
                WatchEvent::Deleted(item) => {
                    let newer = item.meta().resource_version.clone();
                    (Some(SourceEvent::Deleted(object(item).object_ref())), newer)
                }
                WatchEvent::Bookmark(mark) => (None, Some(mark.metadata.resource_version)),
                WatchEvent::Error(status) => {
                    let error = ::kube::Error::Api(status);
                    return Err(if is_expired(&error) {
                        Stopped::Expired
                    } else {
                        Stopped::Failed(Trouble::Watch(error))
                    });
                }
            };
            if let Some(event) = event {
                self.send(event).await?;
            }
            // Only after the event was handed on: a watch that breaks off before is repeated.
            if let Some(newer) = newer.filter(|newer| !newer.is_empty()) {
                *version = newer;
            }
            self.works();
        }
    }

    async fn next<T>(
        &self,
        stream: &mut (impl Stream<Item = ::kube::Result<T>> + Unpin),
    ) -> Result<T, Stopped> {
        match timeout(self.config.idle_timeout, stream.next()).await {
            Ok(Some(Ok(event))) => Ok(event),
            Ok(Some(Err(error))) if is_expired(&error) => Err(Stopped::Expired),
            Ok(Some(Err(error))) => Err(Stopped::Failed(Trouble::Watch(error))),
            // If the server is in trouble, the next watch will show it.
            Ok(None) | Err(_) => Err(Stopped::Ended),
        }
    }

    async fn send(&self, event: SourceEvent) -> Result<(), Unwanted> {
        self.events.send(event).await.map_err(|_| Unwanted)
    }

    /// A watch was of use.
    fn works(&mut self) {
        self.backoff.reset();
        self.expirations = 0;
    }

    async fn fail(&mut self, trouble: &Trouble) {
        self.health.failed(K::KIND.plural(), &trouble.to_string());
        self.backoff.pause().await;
    }
}

fn object<K: Watched>(item: DeserializeGuard<K>) -> Object {
    match item.0 {
        Ok(mut object) => {
            slim(object.meta_mut());
            Box::new(object).object()
        }
        Err(invalid) => {
            let metadata = invalid.metadata;
            let name = ObjectRef::new(
                K::KIND,
                metadata.namespace.as_deref().unwrap_or_default(),
                metadata.name.as_deref().unwrap_or_default(),
            );
            Object::Unreadable(name, invalid.error)
        }
    }
}
