//! All Nodes of the cluster: listed, and listed again, never watched.

use super::*;

/// A Node as the API server has it, of which little is of use.
fn node(name: &str, address: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "rack": "a1" }, "resourceVersion": "7" },
        "spec": { "podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"], "providerID": "x" },
        "status": {
            "addresses": [
                { "type": "Hostname", "address": name },
                { "type": "InternalIP", "address": address },
            ],
            "images": [{ "names": ["example.com/app:1"], "sizeBytes": 1 }],
            "nodeInfo": { "kubeletVersion": "v1.36.3" },
        },
    })
}

fn nodes(items: &[Value]) -> Value {
    json!({
        "kind": "NodeList",
        "apiVersion": "v1",
        "metadata": { "resourceVersion": "10" },
        "items": items,
    })
}

/// What a list of all Nodes shows, as far as it came.
async fn list_shown(rig: &mut Rig) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let event = rig.event().await;
        if event == SourceEvent::ListCompleted(Kind::ClusterNode) {
            return seen;
        }
        let SourceEvent::Listed(Object::ClusterNode(node)) = event else {
            seen.push(name_of(&event));
            continue;
        };
        let status = node.status.unwrap_or_default();
        let addresses = status.addresses.into_iter().flatten();
        let texts: Vec<_> = addresses.map(|address| address.address).collect();
        let pods = node.spec.and_then(|spec| spec.pod_cidrs);
        seen.push(format!("{texts:?} {pods:?}"));
    }
}

#[tokio::test]
async fn they_are_listed_in_pages_and_of_each_what_it_has_of_the_network_is_told() {
    let mut rig = Rig::playing(Kind::ClusterNode, &config());
    let first = rig.list().await;
    assert_eq!(first.query["limit"], "2");
    assert!(!first.query.contains_key("fieldSelector"));
    let mut page = nodes(&[node("a", "10.0.0.1"), node("b", "10.0.0.2")]);
    page["metadata"]["continue"] = "there is more".into();
    first.answer(&page);
    let second = rig.list().await;
    assert_eq!(second.query["continue"], "there is more");
    let odd = json!({ "metadata": { "name": "c" }, "spec": { "podCIDRs": 7 } });
    second.answer(&nodes(&[odd]));
    assert_eq!(
        list_shown(&mut rig).await,
        [
            "ListStarted(ClusterNode)",
            "[\"a\", \"10.0.0.1\"] Some([\"10.244.1.0/24\"])",
            "[\"b\", \"10.0.0.2\"] Some([\"10.244.1.0/24\"])",
            "unreadable Node c",
        ]
    );
    assert_eq!(rig.source.health.error(), None);
}

#[tokio::test]
async fn they_are_listed_again_after_a_while() {
    let mut config = config();
    config.nodes_interval_min = Duration::from_millis(1);
    config.nodes_interval_each = Duration::from_millis(1);
    let mut rig = Rig::playing(Kind::ClusterNode, &config);
    for address in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        rig.list().await.answer(&nodes(&[node("a", address)]));
        let shown = list_shown(&mut rig).await;
        assert!(shown[1].contains(address), "{shown:?}");
    }
}

#[tokio::test]
async fn trouble_is_told_and_over_with_the_next_list() {
    let mut rig = Rig::playing(Kind::ClusterNode, &config());
    rig.list().await.refuse(403, "no such right");
    rig.until_health(|error| error.is_some_and(|error| error.starts_with("Nodes: cannot list")))
        .await;
    // A page that cannot be continued is no list: what was shown of it takes nothing away.
    let mut page = nodes(&[node("a", "10.0.0.1")]);
    page["metadata"]["continue"] = "there is more".into();
    rig.list().await.answer(&page);
    rig.list().await.refuse(410, "too old");
    rig.list().await.answer(&nodes(&[]));
    rig.until_health(|error| error.is_none()).await;
    let shown = list_shown(&mut rig).await;
    let starts = shown.iter().filter(|it| *it == "ListStarted(ClusterNode)");
    assert_eq!(starts.count(), 3, "{shown:?}");
}

#[test]
fn agents_do_not_list_at_once_and_the_more_nodes_the_rarer() {
    let config = WatchConfig::default();
    let pause = |name: &str, nodes| super::super::nodes::pause(&config, name, 1, nodes);
    let minute = Duration::from_secs(60);
    let names: Vec<String> = (0..100).map(|n| format!("worker-{n}")).collect();
    let of_small: Vec<_> = names.iter().map(|name| pause(name, 10)).collect();
    assert!(
        of_small
            .iter()
            .all(|it| (minute / 2..=minute * 3 / 2).contains(it))
    );
    let distinct: std::collections::BTreeSet<_> = of_small.iter().collect();
    assert!(distinct.len() > 80, "spread over {} points", distinct.len());
    let large = Duration::from_secs(5000);
    let of_large = names.iter().map(|name| pause(name, 5000));
    assert!(
        of_large
            .into_iter()
            .all(|it| (large / 2..=large * 3 / 2).contains(&it))
    );
    assert_ne!(
        super::super::nodes::pause(&config, "worker-1", 1, 10),
        super::super::nodes::pause(&config, "worker-1", 2, 10),
        "nor at the same distance each time"
    );
}
