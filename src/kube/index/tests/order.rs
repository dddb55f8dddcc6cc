//! Whatever happened, and in which order: the view is that of an index that was given the final
//! objects only, and the changes told exactly what differed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};

use super::*;
use crate::kube::Calico;

/// Something that happens in the cluster or to the connection with it.
#[derive(Clone, Debug)]
enum Happening {
    /// An object is written, and the watch shows it.
    Apply(Value),
    /// An object is deleted, and the watch shows it.
    Delete(Pick),
    /// An object is written while the watch is away.
    ApplyUnseen(Value),
    /// An object is deleted while the watch is away.
    DeleteUnseen(Pick),
    /// A kind is listed.
    List(Kind),
    /// A list shows some objects and breaks off.
    BreakOff(Kind, Pick),
    /// An object is written that does not read as its kind.
    Unreadable(Pick),
}

type Cluster = BTreeMap<ObjectRef, Value>;

fn any_object() -> impl Strategy<Value = Value> {
    let conditions = select(vec![
        json!({}),
        json!({ "ready": true }),
        json!({ "ready": false }),
        json!({ "ready": false, "serving": false, "terminating": true }),
        json!({ "ready": false, "serving": true, "terminating": true }),
    ]);
    let endpoint = (0..4_u8, select(vec![HERE, "worker-2"]), conditions);
    let endpoint = endpoint.prop_map(|(n, node, conditions)| {
        json!({
            "addresses": [format!("10.0.0.{n}")], "nodeName": node, "conditions": conditions,
        })
    });
    let slice = (
        select(vec!["one", "two", "three"]),
        select(vec!["web", "shop", "gone", "kubernetes"]),
        proptest::collection::vec(endpoint, 0..4),
    );
    let slice =
        slice.prop_map(|(name, owner, endpoints)| super::slice(name, owner, "IPv4", endpoints));
    let service = (
        select(vec!["web", "shop"]),
        select(vec!["Local", "Cluster"]),
    );
    let service = service.prop_map(|(name, policy)| {
        let mut service = super::service(name);
        service["spec"]["externalTrafficPolicy"] = policy.into();
        service
    });
    let node = (select(vec![HERE, "worker-2"]), any::<bool>());
    let node = node.prop_map(|(name, unschedulable)| {
        let mut node = super::node(name);
        node["spec"]["unschedulable"] = unschedulable.into();
        node
    });
    let cluster_node = node.clone().prop_map(super::cluster_node);
    let namespace = (
        select(vec!["default", "other"]),
        select(vec!["gold", "silver"]),
    );
    let namespace = namespace.prop_map(|(name, tier)| super::namespace(name, tier));
    let block = (
        select(vec![HERE, "worker-2"]),
        select(vec!["10.244.1.0/26", "10.244.2.0/26"]),
        select(vec!["confirmed", "pending", "pendingDeletion"]),
    );
    let block = block.prop_map(|(node, cidr, state)| {
        let mut block = crate::kube::fixtures::block(node, cidr);
        block["spec"]["state"] = state.into();
        block
    });
    let pool = any::<bool>().prop_map(|silent| {
        let mut pool = crate::kube::fixtures::pool("pool", "10.244.0.0/16");
        pool["spec"]["disableBGPExport"] = silent.into();
        pool
    });
    let pod = select(vec!["10.244.1.9", "10.244.2.9"])
        .prop_map(|address| crate::kube::fixtures::pod("pod", HERE, address));
    prop_oneof![
        4 => slice, 2 => service, 1 => node, 1 => cluster_node, 1 => namespace, 2 => block,
        1 => pool, 1 => pod,
    ]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let kind = || select(Kind::all(Calico::Watched));
    let pick = any::<Pick>;
    prop_oneof![
        6 => any_object().prop_map(Happening::Apply),
        2 => pick().prop_map(Happening::Delete),
        2 => any_object().prop_map(Happening::ApplyUnseen),
        1 => pick().prop_map(Happening::DeleteUnseen),
        2 => kind().prop_map(Happening::List),
        1 => (kind(), pick()).prop_map(|(kind, pick)| Happening::BreakOff(kind, pick)),
        1 => pick().prop_map(Happening::Unreadable),
    ]
}

fn any_name(cluster: &Cluster, pick: &Pick) -> Option<ObjectRef> {
    let names: Vec<_> = cluster.keys().cloned().collect();
    (!names.is_empty()).then(|| names[pick.index(names.len())].clone())
}

fn list_events(cluster: &Cluster, kind: Kind) -> Vec<SourceEvent> {
    let mut events = vec![SourceEvent::ListStarted(kind)];
    let of_kind = cluster.iter().filter(|(name, _)| name.kind == kind);
    events.extend(of_kind.map(|(_, value)| SourceEvent::Listed(object(value.clone()))));
    events.push(SourceEvent::ListCompleted(kind));
    events
}

/// Lets it happen to the cluster; returns what a source would show of it.
fn happen(cluster: &mut Cluster, happening: Happening) -> Vec<SourceEvent> {
    let mut write = |value: Value| {
        let written = object(value.clone());
        cluster.insert(written.object_ref(), value);
        written
    };
    match happening {
        Happening::Apply(value) => vec![SourceEvent::Applied(write(value))],
        Happening::ApplyUnseen(value) => {
            write(value);
            vec![]
        }
        Happening::Delete(pick) => match any_name(cluster, &pick) {
            Some(name) => {
                cluster.remove(&name);
                vec![SourceEvent::Deleted(name)]
            }
            None => vec![],
        },
        Happening::DeleteUnseen(pick) => {
            if let Some(name) = any_name(cluster, &pick) {
                cluster.remove(&name);
            }
            vec![]
        }
        Happening::List(kind) => list_events(cluster, kind),
        Happening::BreakOff(kind, pick) => {
            let mut events = list_events(cluster, kind);
            events.truncate(pick.index(events.len()));
            events
        }
        Happening::Unreadable(pick) => {
            let name = any_name(cluster, &pick).into_iter();
            name.map(|name| SourceEvent::Applied(Object::Unreadable(name, "?".to_owned())))
                .collect()
        }
    }
}

/// What somebody has who looks only where a change was told.
#[derive(Default)]
struct Follower(ClusterView);

impl Follower {
    fn follow(&mut self, view: &ClusterView, changes: &[ClusterChange]) {
        assert!(
            changes.is_sorted_by(|a, b| a < b),
            "sorted, each once: {changes:?}"
        );
        for change in changes {
            match change {
                ClusterChange::Node => {
                    assert_ne!(self.0.node, view.node, "told, but nothing changed");
                    self.0.node.clone_from(&view.node);
                }
                ClusterChange::Networks => {
                    let networks = |view: &ClusterView| {
                        let ClusterView {
                            nodes,
                            api_servers,
                            blocks,
                            ..
                        } = view.clone();
                        (nodes, api_servers, blocks)
                    };
                    assert_ne!(
                        networks(&self.0),
                        networks(view),
                        "told, but nothing changed"
                    );
                    self.0.nodes.clone_from(&view.nodes);
                    self.0.api_servers.clone_from(&view.api_servers);
                    self.0.blocks.clone_from(&view.blocks);
                }
                ClusterChange::Peerings => {}
                ClusterChange::Service(key) => {
                    let (old, new) = (self.0.services.get(key), view.services.get(key));
                    assert_ne!(old, new, "told, but nothing changed");
                    match new.cloned() {
                        Some(new) => self.0.services.insert(key.clone(), new),
                        None => self.0.services.remove(key),
                    };
                }
            }
        }
        assert_eq!(self.0.node, view.node, "changed, but not told");
        assert_eq!(self.0.services, view.services, "changed, but not told");
        assert_eq!(self.0.nodes, view.nodes, "changed, but not told");
        assert_eq!(self.0.blocks, view.blocks, "changed, but not told");
        assert_eq!(
            self.0.api_servers, view.api_servers,
            "changed, but not told"
        );
    }
}

proptest! {
    #[test]
    fn the_view_is_a_function_of_the_objects_and_changes_tell_every_difference(
        happenings in proptest::collection::vec(any_happening(), 0..40),
        kinds in Just(Kind::all(Calico::Watched)).prop_shuffle(),
    ) {
        let mut cluster = Cluster::new();
        let mut index = Index::new(HERE);
        let mut follower = Follower::default();
        for happening in happenings {
            for event in happen(&mut cluster, happening) {
                let outcome = index.handle(event);
                follower.follow(index.view(), &outcome.changes);
            }
        }
        // What went unseen is found by listing everything.
        for event in kinds.iter().flat_map(|kind| list_events(&cluster, *kind)) {
            let outcome = index.handle(event);
            follower.follow(index.view(), &outcome.changes);
        }

        let all = cluster.clone();
        let mut fresh = Index::new(HERE);
        for value in cluster.into_values().rev() {
            fresh.handle(SourceEvent::Applied(object(value)));
        }
        // How many Nodes there are is known of a complete list only.
        for kind in Kind::all(Calico::Watched) {
            let known: Cluster = fresh.known(kind).into_iter().filter_map(|name| Some((name.clone(), all.get(&name)?.clone()))).collect();
            for event in list_events(&known, kind) {
                fresh.handle(event);
            }
        }
        prop_assert_eq!(&index.view().node, &fresh.view().node);
        prop_assert_eq!(&index.view().services, &fresh.view().services);
        prop_assert_eq!(&index.view().nodes, &fresh.view().nodes);
        prop_assert_eq!(&index.view().blocks, &fresh.view().blocks);
        prop_assert_eq!(&index.view().api_servers, &fresh.view().api_servers);
    }
}
