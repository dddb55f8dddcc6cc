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
mod watched;

use std::time::Duration;

use ::kube::api::{ListParams, WatchEvent, WatchParams};
use ::kube::core::DeserializeGuard;
use ::kube::{Api, Client, Resource as _};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::debug;

use self::backoff::Backoff;
use self::describe::{Trouble, is_absent, is_expired};
use self::nodes::NodeLister;
use self::watched::{Watched, Wrap, object};
use super::health::HealthReporter;
use super::{Calico, CalicoKind, EVENT_QUEUE_DEPTH, Kind, Object, Running, Source, SourceEvent};

/// What is watched, and the time limits of the watchers. The defaults are for production; tests
/// shorten them.
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
    /// After how long the API server is asked again for a kind that it does not serve.
    pub absent_interval: Duration,
    /// Whether Calico's resources are watched.
    pub calico: Calico,
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
            absent_interval: Duration::from_secs(120),
            calico: Calico::Ignored,
        }
    }
}

/// Starts watching for the agent on the node of this name. Needs a tokio runtime.
#[must_use]
pub fn start(client: &Client, node_name: &str, config: &WatchConfig) -> Source {
    let (sender, events) = mpsc::channel(EVENT_QUEUE_DEPTH);
    let (reporter, health) = HealthReporter::new();
    let output = || (sender.clone(), reporter.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(NodeLister::new(client, node_name, config, output()).run());
    let about = |kind, selector: Option<String>| About {
        kind,
        selector,
        node_name,
        config,
    };
    let here = |field: &str| Some(format!("{field}={node_name}"));
    let own_node = about(Kind::Node, here("metadata.name"));
    tasks.spawn(Watcher::new(client, &(), Object::Node, own_node, output()).run());
    let slices = about(Kind::EndpointSlice, None);
    tasks.spawn(Watcher::new(client, &(), Object::EndpointSlice, slices, output()).run());
    let services = about(Kind::Service, None);
    tasks.spawn(Watcher::new(client, &(), Object::Service, services, output()).run());
    let namespaces = about(Kind::Namespace, None);
    tasks.spawn(Watcher::new(client, &(), Object::Namespace, namespaces, output()).run());
    match config.calico {
        Calico::Watched => {
            for kind in CalicoKind::ALL {
                let resource = kind.api_resource();
                let about = about(Kind::Calico(kind), None);
                let wrap = move |object| Object::Calico(kind, object);
                tasks.spawn(Watcher::new(client, &resource, wrap, about, output()).run());
            }
            let own_pods = about(Kind::Pod, here("spec.nodeName"));
            tasks.spawn(Watcher::new(client, &(), Object::Pod, own_pods, output()).run());
        }
        Calico::Ignored => {}
    }
    Source {
        events,
        health,
        api_server: None,
        kinds: Kind::all(config.calico),
        _running: Running::Tasks(tasks),
    }
}

/// Follows one kind.
struct Watcher<K> {
    api: Api<DeserializeGuard<K>>,
    kind: Kind,
    wrap: Wrap<K>,
    field_selector: Option<String>,
    config: WatchConfig,
    events: mpsc::Sender<SourceEvent>,
    health: HealthReporter,
    backoff: Backoff,
    /// Watches that expired since one was last of use.
    expirations: u32,
    listed: Listed,
}

/// What a watcher is to follow, and for whom.
struct About<'a> {
    kind: Kind,
    /// Of all objects of the kind, those that count.
    selector: Option<String>,
    node_name: &'a str,
    config: &'a WatchConfig,
}

/// Whether there ever was a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    Never,
    Once,
}

/// Nobody receives the events any more: the source was dropped.
struct Unwanted;

/// Why a list or a watch is not there any more.
enum Stopped {
    /// The source was dropped.
    Unwanted,
    /// The server no longer has the history to continue from.
    Expired,
    /// The server knows no such kind.
    Absent,
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
        resource: &K::DynamicType,
        wrap: impl Fn(Box<K>) -> Object + Send + Sync + 'static,
        about: About<'_>,
        (events, health): (mpsc::Sender<SourceEvent>, HealthReporter),
    ) -> Self {
        let About {
            kind,
            selector,
            node_name,
            config,
        } = about;
        Self {
            api: Api::all_with(client.clone(), resource),
            kind,
            wrap: Box::new(wrap),
            field_selector: selector,
            config: config.clone(),
            events,
            health,
            backoff: Backoff::new((node_name, kind), config.backoff_min..=config.backoff_max),
            expirations: 0,
            listed: Listed::Never,
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
                Err(Stopped::Absent) => self.wait_for_kind().await?,
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
                // The list will wait for it.
                Stopped::Absent => return Ok(()),
                Stopped::Ended => {
                    debug!(kind = %self.kind, "watch ended, watching again");
                    // Without a pause only if the last watch was of use.
                    self.backoff.pause_unless_first().await;
                }
                Stopped::Expired => {
                    debug!(kind = %self.kind, "watch expired, listing again");
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

    /// A kind that is not served has no objects. One that was served before keeps those it had:
    /// a definition that is removed takes its objects along one by one, and that was seen.
    async fn wait_for_kind(&mut self) -> Result<(), Unwanted> {
        if self.listed == Listed::Never {
            debug!(kind = %self.kind, "not served: looked for again now and then");
            self.listed = Listed::Once;
            self.send(SourceEvent::NotServed(self.kind)).await?;
        }
        self.health.recovered(self.kind.plural());
        let pause = self.backoff.spread(self.config.absent_interval);
        tokio::time::sleep(pause).await;
        Ok(())
    }

    async fn list(&mut self) -> Result<String, Stopped> {
        let mut params = ListParams::default().limit(self.config.page_size);
        params.field_selector = self.field_selector.clone();
        loop {
            let limit = self.config.request_timeout;
            let page = match timeout(limit, self.api.list(&params)).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) if is_expired(&error) => return Err(Stopped::Expired),
                Ok(Err(error)) if self.may_be_absent(&error) => return Err(Stopped::Absent),
                Ok(Err(error)) => return Err(Stopped::Failed(Trouble::List(error))),
                Err(_) => return Err(Stopped::Failed(Trouble::NoAnswer(limit))),
            };
            if params.continue_token.is_none() {
                self.send(SourceEvent::ListStarted(self.kind)).await?;
            }
            for item in page.items {
                self.send(SourceEvent::Listed(self.object(item))).await?;
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_some() {
                continue;
            }
            let version = page.metadata.resource_version;
            let Some(version) = version.filter(|version| !version.is_empty()) else {
                return Err(Stopped::Failed(Trouble::NoVersion));
            };
            self.listed = Listed::Once;
            self.send(SourceEvent::ListCompleted(self.kind)).await?;
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
            Ok(Err(error)) if self.may_be_absent(&error) => return Err(Stopped::Absent),
            Ok(Err(error)) => return Err(Stopped::Failed(Trouble::Watch(error))),
            Err(_) => return Err(Stopped::Failed(Trouble::NoAnswer(limit))),
        };
        self.health.recovered(self.kind.plural());
        let mut stream = std::pin::pin!(stream);
        loop {
            let event = self.next(&mut stream).await?;
            let (event, newer) = match event {
                WatchEvent::Added(item) | WatchEvent::Modified(item) => {
                    let newer = item.meta().resource_version.clone();
                    (Some(SourceEvent::Applied(self.object(item))), newer)
                }
                WatchEvent::Deleted(item) => {
                    let newer = item.meta().resource_version.clone();
                    (
                        Some(SourceEvent::Deleted(self.object(item).object_ref())),
                        newer,
                    )
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

    fn object(&self, item: DeserializeGuard<K>) -> Object {
        object(self.kind, &self.wrap, item)
    }

    /// Whether the server does not know the kind, and that is no trouble.
    fn may_be_absent(&self, error: &::kube::Error) -> bool {
        match self.kind {
            Kind::Calico(_) => is_absent(error),
            Kind::Node
            | Kind::ClusterNode
            | Kind::Namespace
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::Pod => false,
        }
    }

    /// A watch was of use.
    fn works(&mut self) {
        self.backoff.reset();
        self.expirations = 0;
    }

    async fn fail(&mut self, trouble: &Trouble) {
        self.health.failed(self.kind.plural(), &trouble.to_string());
        self.backoff.pause().await;
    }
}
