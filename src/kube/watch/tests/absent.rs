//! Kinds that the API server may not serve.

use super::*;

const PEERS: Kind = Kind::Calico(CalicoKind {
    group: ApiGroup::V3,
    kind: calico::Kind::BgpPeer,
});

fn watched() -> WatchConfig {
    WatchConfig {
        calico: Calico::Watched,
        ..config()
    }
}

fn peer(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "projectcalico.org/v3",
        "kind": "BGPPeer",
        "metadata": { "name": name, "resourceVersion": version },
        "spec": { "peerIP": "192.168.83.1" },
    })
}

/// The names of the next events about it.
async fn told<const N: usize>(rig: &mut Rig) -> [String; N] {
    let mut told = Vec::new();
    while told.len() < N {
        told.push(name_of(&rig.event().await));
    }
    told.try_into().unwrap()
}

#[tokio::test]
async fn a_kind_that_is_not_served_has_no_objects_and_is_looked_for_again() {
    let mut rig = Rig::playing(PEERS, &watched());
    rig.list().await.refuse(404, "404 page not found");
    let empty = [
        SourceEvent::ListStarted(PEERS),
        SourceEvent::ListCompleted(PEERS),
    ];
    let absent = SourceEvent::NotServed(PEERS);
    assert_eq!(rig.event().await, absent);
    assert_eq!(rig.source.health.error(), None);
    rig.list().await.refuse(404, "404 page not found");
    // It appears later.
    rig.list().await.answer(&list_of(&[peer("tor", "3")], "10"));
    let listed = [
        name_of(&empty[0]),
        "BGPPeer tor".to_owned(),
        name_of(&empty[1]),
    ];
    assert_eq!(told(&mut rig).await, listed);
    rig.watch_from("10").await;
    assert_eq!(rig.source.health.error(), None);
}

#[tokio::test]
async fn a_kind_that_is_served_no_more_keeps_the_objects_that_were_not_seen_to_go() {
    let mut rig = Rig::playing(PEERS, &watched());
    let both = [peer("tor", "3"), peer("spine", "4")];
    rig.list().await.answer(&list_of(&both, "10"));
    let _: [String; 4] = told(&mut rig).await;
    let watch = rig.watch_from("10").await.stream();
    watch.send("DELETED", &peer("tor", "11"));
    drop(watch);
    rig.watch_from("11").await.refuse(404, "404 page not found");
    rig.list().await.refuse(404, "404 page not found");
    rig.list().await.answer(&list_of(&[], "20"));
    let SourceEvent::Deleted(gone) = rig.event().await else {
        panic!("the deletion is told first");
    };
    assert_eq!(gone, ObjectRef::new(PEERS, "", "tor"));
    // The list is the first to say anything of the other.
    let empty = [
        SourceEvent::ListStarted(PEERS),
        SourceEvent::ListCompleted(PEERS),
    ];
    assert_eq!(told(&mut rig).await, empty.each_ref().map(name_of));
}

#[tokio::test]
async fn a_kind_that_may_not_be_listed_is_trouble_all_the_same() {
    let mut rig = Rig::playing(PEERS, &watched());
    rig.list().await.refuse(403, "bgppeers is forbidden");
    let text = "BGPPeers (projectcalico.org/v3): cannot list: bgppeers is forbidden (403); bind \
                the agent's service account to a role that may";
    rig.until_health(|error| error == Some(text)).await;
}

#[tokio::test]
async fn what_every_cluster_serves_is_not_taken_for_absent() {
    let mut rig = Rig::start(&watched());
    rig.list().await.refuse(404, "404 page not found");
    rig.until_health(|error| error.is_some_and(|it| it.starts_with("Services: cannot list")))
        .await;
}
