//! The directory source, with real directories and the real index behind it.

mod bounds;
mod manifests;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use notify::event::{CreateKind, DataChange, Flag, MetadataKind, RemoveKind, RenameMode};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::facts::{ClusterChange, ClusterView, ServiceKey};
use crate::kube::fixtures::{HERE, endpoint, node, service, slice};
use crate::kube::{Index, Outcome};

/// Far above what a change takes to be seen; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// A directory, its source, and the index that is fed from it.
struct Rig {
    root: TempDir,
    source: Source,
    index: Index,
    /// All changes since the start, or since they were last looked at.
    changes: Vec<ClusterChange>,
}

impl Rig {
    /// A source over these files, read once.
    async fn start(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("manifests");
        fs::create_dir(&directory).unwrap();
        for (name, text) in files {
            fs::write(directory.join(name), text).unwrap();
        }
        Self::over(root, &directory).await
    }

    async fn over(root: TempDir, directory: &Path) -> Self {
        let mut rig = Self {
            source: start(directory, Calico::Ignored).unwrap(),
            root,
            index: Index::new(HERE),
            changes: Vec::new(),
        };
        rig.until("the first reading", |view| view.node.is_some())
            .await;
        rig.until_read().await;
        rig.changes.clear();
        rig
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("manifests").join(name)
    }

    /// Puts a file in place as editors do.
    fn replace(&self, name: &str, text: &str) {
        let new = self.root.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    async fn next(&mut self, what: &str) -> SourceEvent {
        let event = tokio::time::timeout(DEADLINE, self.source.events.recv()).await;
        let event = event.unwrap_or_else(|_| panic!("{what}: {:?}", self.source.health));
        let event = event.expect("the reader runs");
        let Outcome { changes, malformed } = self.index.handle(event.clone());
        assert_eq!(malformed, []);
        self.changes.extend(changes);
        event
    }

    async fn until(&mut self, what: &str, seen: impl Fn(&ClusterView) -> bool) {
        while !seen(self.index.view()) {
            self.next(what).await;
        }
    }

    /// Takes in the rest of a reading.
    async fn until_read(&mut self) {
        while self.next("a reading").await != SourceEvent::ListCompleted(Kind::Service) {}
    }

    async fn until_trouble(&mut self, text: &str) {
        self.until_health(|error| error.is_some_and(|error| error.contains(text)))
            .await;
    }

    async fn until_health(&mut self, right: impl Fn(Option<&str>) -> bool) {
        while !right(self.source.health.error().as_deref()) {
            let Self { source, index, .. } = self;
            let waited = tokio::time::timeout(DEADLINE, async {
                // Both are cancel-safe.
                tokio::select! {
                    event = source.events.recv() => {
                        index.handle(event.expect("the reader runs")).changes
                    }
                    () = source.health.changed() => Vec::new(),
                }
            });
            let waited = waited.await;
            let error = self.source.health.error();
            self.changes
                .extend(waited.unwrap_or_else(|_| panic!("health is {error:?}")));
        }
    }
}

fn yaml(objects: &[Value]) -> String {
    let texts = objects
        .iter()
        .map(|object| serde_saphyr::to_string(object).unwrap());
    texts.collect::<Vec<_>>().join("---\n")
}

fn has(view: &ClusterView, name: &str) -> bool {
    view.services
        .contains_key(&ServiceKey::new("default", name))
}

fn changed(name: &str) -> ClusterChange {
    ClusterChange::Service(ServiceKey::new("default", name))
}

#[tokio::test]
async fn a_directory_gives_nodes_services_and_slices() {
    let endpoints = vec![endpoint("10.0.0.1", HERE), endpoint("10.0.0.2", "worker-2")];
    let cluster = yaml(&[
        node(HERE),
        node("worker-2"),
        service("web"),
        slice("web-1", "web", "IPv4", endpoints),
    ]);
    let rig = Rig::start(&[("cluster.yaml", &cluster), ("README.md", "no: [manifest")]).await;
    assert_eq!(rig.index.waiting_for(), None);
    assert_eq!(rig.source.health.error(), None);
    let web = &rig.index.view().services[&ServiceKey::new("default", "web")];
    assert_eq!(web.node_endpoints.ipv4.usable(), 1);
    assert_eq!(web.cluster_endpoints.ipv4.usable(), 2);
}

#[tokio::test]
async fn files_that_come_change_and_go_change_just_their_objects() {
    let node = yaml(&[node(HERE)]);
    let mut rig = Rig::start(&[("node.yaml", &node), ("a.yaml", &yaml(&[service("a")]))]).await;

    // Written in place, not renamed.
    fs::write(rig.path("b.yml"), yaml(&[service("b")])).unwrap();
    rig.until("b", |view| has(view, "b")).await;
    assert_eq!(rig.changes, [changed("b")]);

    rig.replace("a.yaml", &yaml(&[service("a"), service("c")]));
    rig.until("c", |view| has(view, "c")).await;
    assert_eq!(rig.changes, [changed("b"), changed("c")]);

    fs::remove_file(rig.path("b.yml")).unwrap();
    rig.until("b gone", |view| !has(view, "b")).await;
    assert_eq!(rig.changes, [changed("b"), changed("c"), changed("b")]);
    assert!(has(rig.index.view(), "a") && rig.index.view().node.is_some());
}

#[tokio::test]
async fn a_config_maps_swap_is_seen_as_one_step() {
    // As the kubelet mounts it: name -> ..data/name, ..data -> ..2026_1, and a swap of ..data.
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("manifests");
    for (version, name) in [("..2026_1", "before"), ("..2026_2", "after")] {
        fs::create_dir_all(directory.join(version)).unwrap();
        let text = yaml(&[node(HERE), service("same"), service(name)]);
        fs::write(directory.join(version).join("cluster.yaml"), text).unwrap();
    }
    symlink("..2026_1", directory.join("..data")).unwrap();
    symlink("..data/cluster.yaml", directory.join("cluster.yaml")).unwrap();
    let mut rig = Rig::over(root, &directory).await;
    assert!(has(rig.index.view(), "before"));

    symlink("..2026_2", directory.join("..data_tmp")).unwrap();
    fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    rig.until("the swap", |view| {
        has(view, "after") && !has(view, "before")
    })
    .await;
    assert_eq!(rig.changes, [changed("after"), changed("before")]);
}

#[tokio::test]
async fn a_file_with_a_mistake_keeps_its_objects_and_hinders_no_other() {
    let files = [
        ("a.yaml", &yaml(&[node(HERE), service("a")])[..]),
        ("b.yaml", ""),
    ];
    let mut rig = Rig::start(&files).await;

    rig.replace("a.yaml", "kind: Service\nmetadata: [oops\n");
    rig.until_trouble("file a.yaml: unclosed bracket").await;
    rig.replace("b.yaml", &yaml(&[service("b")]));
    rig.until("b", |view| has(view, "b")).await;
    assert_eq!(rig.changes, [changed("b")]);
    assert!(has(rig.index.view(), "a"));

    rig.replace("a.yaml", &yaml(&[node(HERE), service("a"), service("c")]));
    rig.until_health(|error| error.is_none()).await;
    rig.until("c", |view| has(view, "c")).await;
    assert_eq!(rig.changes, [changed("b"), changed("c")]);
}

#[tokio::test]
async fn a_link_that_leads_nowhere_keeps_the_objects_until_it_is_removed() {
    let mut rig = Rig::start(&[("node.yaml", &yaml(&[node(HERE)]))]).await;
    let target = rig.root.path().join("target");
    fs::write(&target, yaml(&[service("a")])).unwrap();
    symlink(&target, rig.path("a.yaml")).unwrap();
    rig.until("a", |view| has(view, "a")).await;

    fs::remove_file(&target).unwrap();
    rig.replace("touch.yaml", "");
    rig.until_trouble("file a.yaml: cannot be read").await;
    assert_eq!(rig.changes, [changed("a")]);

    fs::remove_file(rig.path("a.yaml")).unwrap();
    rig.until("a gone", |view| !has(view, "a")).await;
    assert_eq!(rig.source.health.error(), None);
}

#[tokio::test]
async fn of_an_object_in_two_files_the_last_by_file_name_counts() {
    let mut other = service("web");
    other["spec"]["externalTrafficPolicy"] = "Cluster".into();
    let first = yaml(&[node(HERE), service("web")]);
    let mut rig = Rig::start(&[("a.yaml", &first), ("b.yaml", &yaml(&[other]))]).await;
    let policy = |view: &ClusterView| {
        view.services[&ServiceKey::new("default", "web")].external_traffic_policy
    };
    assert_eq!(
        policy(rig.index.view()).to_owned(),
        crate::facts::TrafficPolicy::Cluster
    );
    assert_eq!(
        rig.source.health.error().as_deref(),
        Some("Service default/web: is in a.yaml and again in b.yaml, which counts")
    );

    fs::remove_file(rig.path("b.yaml")).unwrap();
    rig.until("the first", |view| {
        policy(view) == crate::facts::TrafficPolicy::Local
    })
    .await;
    assert_eq!(rig.source.health.error(), None);
    assert_eq!(rig.changes, [changed("web")]);
}

#[tokio::test]
async fn a_directory_that_is_gone_keeps_everything_and_may_come_back() {
    let cluster = yaml(&[node(HERE), service("a")]);
    let mut rig = Rig::start(&[("cluster.yaml", &cluster)]).await;
    let (directory, away) = (
        rig.root.path().join("manifests"),
        rig.root.path().join("away"),
    );

    fs::rename(&directory, &away).unwrap();
    rig.until_trouble("cannot be read").await;
    assert_eq!(rig.changes, []);

    // Another directory takes its place: the watch must follow.
    let new = rig.root.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::write(
        new.join("cluster.yaml"),
        yaml(&[node(HERE), service("a"), service("b")]),
    )
    .unwrap();
    fs::rename(&new, &directory).unwrap();
    rig.until("b", |view| has(view, "b")).await;
    assert_eq!(rig.source.health.error(), None);
    rig.replace("more.yaml", &yaml(&[service("c")]));
    rig.until("c", |view| has(view, "c")).await;
    assert_eq!(rig.changes, [changed("b"), changed("c")]);
}

#[tokio::test]
async fn a_directory_that_is_a_link_is_followed_when_it_is_swapped() {
    let root = tempfile::tempdir().unwrap();
    for (version, name) in [("v1", "before"), ("v2", "after")] {
        fs::create_dir(root.path().join(version)).unwrap();
        let text = yaml(&[node(HERE), service(name)]);
        fs::write(root.path().join(version).join("cluster.yaml"), text).unwrap();
    }
    let directory = root.path().join("manifests");
    symlink("v1", &directory).unwrap();
    let mut rig = Rig::over(root, &directory).await;

    symlink("v2", rig.root.path().join("next")).unwrap();
    fs::rename(rig.root.path().join("next"), &directory).unwrap();
    rig.until("the swap", |view| {
        has(view, "after") && !has(view, "before")
    })
    .await;
    rig.replace("more.yaml", &yaml(&[service("c")]));
    rig.until("c", |view| has(view, "c")).await;
}

#[tokio::test]
async fn an_empty_directory_is_an_empty_cluster() {
    let root = tempfile::tempdir().unwrap();
    let mut source = start(root.path(), Calico::Ignored).unwrap();
    let mut index = Index::new(HERE);
    for _ in 0..2 * Kind::ALL.len() {
        let event = tokio::time::timeout(DEADLINE, source.events.recv()).await;
        index.handle(event.unwrap().unwrap());
    }
    assert_eq!(index.waiting_for(), Some("a Node of the name in NODE_NAME"));
    assert_eq!(source.health.error(), None);
}

#[test]
fn a_directory_that_is_not_there_at_the_start_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let error = start(&root.path().join("absent"), Calico::Ignored)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot read the directory of manifests"),
        "{error}"
    );
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(start(&file, Calico::Ignored).is_err());
}

#[test]
fn dropping_the_source_ends_the_reader() {
    let root = tempfile::tempdir().unwrap();
    let mut source = start(root.path(), Calico::Ignored).unwrap();
    let (_sender, receiver) = events::channel(1);
    let mut events = std::mem::replace(&mut source.events, receiver);
    drop(source);
    // Ends, as the reader drops its end.
    while events.blocking_recv().is_some() {}
}

#[test]
fn only_what_leaves_files_whole_asks_for_a_reading() {
    let directory = Path::new("/manifests");
    let meaning =
        |kind: EventKind, path: &str| signal(directory, Ok(Event::new(kind).add_path(path.into())));
    let rename = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    let close = |mode| EventKind::Access(AccessKind::Close(mode));
    for (kind, path, expected) in [
        (
            close(AccessMode::Write),
            "/manifests/a.yaml",
            Some(Signal::FilesChanged),
        ),
        (close(AccessMode::Read), "/manifests/a.yaml", None),
        (
            EventKind::Access(AccessKind::Open(AccessMode::Any)),
            "/manifests/a.yaml",
            None,
        ),
        (
            EventKind::Modify(ModifyKind::Data(DataChange::Any)),
            "/manifests/a.yaml",
            None,
        ),
        (rename, "/manifests/..data", Some(Signal::FilesChanged)),
        (
            EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
            "/manifests/a.yaml",
            Some(Signal::FilesChanged),
        ),
        (
            EventKind::Create(CreateKind::File),
            "/manifests/a.yaml",
            Some(Signal::FilesChanged),
        ),
        (
            EventKind::Remove(RemoveKind::File),
            "/manifests/a.yaml",
            Some(Signal::FilesChanged),
        ),
        (rename, "/manifests", Some(Signal::DirectoryReplaced)),
        (
            EventKind::Remove(RemoveKind::Folder),
            "/manifests",
            Some(Signal::DirectoryReplaced),
        ),
        (rename, "/neighbour", None),
        (
            EventKind::Create(CreateKind::File),
            "/neighbour/a.yaml",
            None,
        ),
    ] {
        assert_eq!(meaning(kind, path), expected, "{kind:?} {path}");
    }
    let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
    assert_eq!(signal(directory, Ok(lost)), Some(Signal::DirectoryReplaced));
    let failed = notify::Error::generic("queue overflow");
    assert_eq!(
        signal(directory, Err(failed)),
        Some(Signal::DirectoryReplaced)
    );
}
