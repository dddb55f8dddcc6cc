//! The node's own prefixes as they are told to who programs the kernel.

use super::*;
use crate::agent::own_prefixes::{OwnNews, OwnPrefixes};
use crate::fib::Ownership;

/// A Service with this address alone.
fn with_address(name: &str, address: &str) -> serde_json::Value {
    let mut service = service(name);
    service["spec"]["clusterIP"] = json!(address);
    service["spec"]["clusterIPs"] = json!([address]);
    service["status"] = json!({});
    service
}

fn applied(pipeline: &mut Pipeline, service: serde_json::Value) {
    pipeline.on_events([SourceEvent::Applied(object(service))]);
}

const SERVICES: Option<Ownership> = Some(Ownership::Services);

fn changed(changes: &[(&str, Option<Ownership>)]) -> Option<OwnNews> {
    let changes = changes.iter();
    let changes = changes.map(|(prefix, ownership)| (prefix.parse().unwrap(), *ownership));
    Some(OwnNews {
        changes: changes.collect(),
        ..OwnNews::default()
    })
}

#[test]
fn they_are_told_whole_once_and_from_then_on_what_changed() {
    let (mut pipeline, _) = started(TEXT, Rule::Reject);
    assert_eq!(pipeline.own_news(), None, "the facts are not complete");
    pipeline.on_events(everything_listed());
    let whole = pipeline.own_news().unwrap().whole.unwrap();
    let pods = &pipeline.index.view().node.as_ref().unwrap().pod_cidrs;
    assert!(
        !pods.is_empty()
            && pods
                .iter()
                .all(|pods| whole.get(pods) == Some(&Ownership::Block))
    );
    assert_eq!(
        whole.get(&"172.16.0.0/16".parse().unwrap()),
        SERVICES.as_ref()
    );
    assert_eq!(pipeline.own_news(), None);

    // Two Services with one address: it is the node's own until the last is gone.
    applied(&mut pipeline, with_address("one", "172.16.0.77"));
    let own = changed(&[("172.16.0.77/32", SERVICES)]);
    assert_eq!(pipeline.own_news(), own);
    applied(&mut pipeline, with_address("two", "172.16.0.77"));
    assert_eq!(pipeline.own_news(), own, "again is no harm");
    applied(&mut pipeline, with_address("one", "172.16.0.78"));
    let moved = [("172.16.0.77/32", SERVICES), ("172.16.0.78/32", SERVICES)];
    assert_eq!(pipeline.own_news(), changed(&moved));
    applied(&mut pipeline, with_address("two", "172.16.0.78"));
    let gone = [("172.16.0.77/32", None), ("172.16.0.78/32", SERVICES)];
    assert_eq!(pipeline.own_news(), changed(&gone));

    // Another configuration may change any of them.
    pipeline.configure(settings(TEXT, None));
    let mut expected = whole;
    expected.insert("172.16.0.78/32".parse().unwrap(), Ownership::Services);
    assert_eq!(pipeline.own_news().unwrap().whole, Some(expected));
}

#[test]
fn a_service_s_addresses_are_told_whether_or_not_they_may_be_announced() {
    let (mut pipeline, _) = started(TEXT, Rule::Reject);
    pipeline.on_events(everything_listed());
    let whole = pipeline.own_news().unwrap().whole.unwrap();
    let of = |address: &str| format!("{address}/32").parse::<Prefix>().unwrap();
    // Of no range of the configuration's.
    let mut outside = with_address("outside", "10.50.0.7");
    outside["spec"]["type"] = json!("LoadBalancer");
    outside["spec"]["externalIPs"] = json!(["198.51.100.7"]);
    outside["status"] = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}});
    let addresses = ["10.50.0.7", "198.51.100.7", "203.0.113.7"];
    assert!(
        addresses
            .iter()
            .all(|address| !whole.contains_key(&of(address)))
    );
    applied(&mut pipeline, outside.clone());
    let told = pipeline.own_news().unwrap().changes;
    assert_eq!(
        told,
        addresses.map(|address| (of(address), SERVICES)).into()
    );
    // A load balancer that answers itself is elsewhere, and so is whatever another proxy serves.
    outside["status"]["loadBalancer"]["ingress"][0]["ipMode"] = json!("Proxy");
    applied(&mut pipeline, outside.clone());
    let told = pipeline.own_news().unwrap().changes;
    assert_eq!(told, [(of("203.0.113.7"), None)].into());
    outside["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": "other"});
    applied(&mut pipeline, outside);
    let told = pipeline.own_news().unwrap().changes;
    let gone = ["10.50.0.7", "198.51.100.7"].map(|address| (of(address), None));
    assert_eq!(told, gone.into());
    // Whoever may create a Service could else keep the route to a node from the kernel.
    let node = pipeline.index.view().node.as_ref().unwrap().internal_ips[0];
    let mut greedy = with_address("greedy", "10.50.0.8");
    greedy["spec"]["externalIPs"] = json!([node.to_string()]);
    applied(&mut pipeline, greedy);
    let told = pipeline.own_news().unwrap().changes;
    assert_eq!(told, [(of("10.50.0.8"), SERVICES)].into());
}

#[test]
fn the_pools_and_the_node_s_networks_are_told_with_a_configuration() {
    let text = format!("{TEXT}\n[[ip-pools]]\ncidr = '10.244.0.0/16'\nipip = 'cross-subnet'\n");
    let (mut pipeline, _) = started(&text, Rule::Reject);
    pipeline.on_events(everything_listed());
    let pools = pipeline.own_news().unwrap().pools.unwrap();
    assert_eq!(pools.pools, pipeline.config.ip_pools);
    assert_eq!((pools.pools.len(), pools.subnets.len()), (1, 0));
    pipeline.configure(settings(TEXT, None));
    assert_eq!(pipeline.own_news().unwrap().pools.unwrap().pools, []);
}

#[test]
fn what_nobody_took_yet_is_merged_in_order() {
    let own = OwnPrefixes::default();
    assert!(!own.is_wanted());
    own.want();
    assert!(own.is_wanted());
    let change = |ownership| changed(&[("172.16.0.77/32", ownership)]).unwrap();
    let whole = OwnNews {
        whole: Some([("172.16.0.0/16".parse().unwrap(), Ownership::Services)].into()),
        ..OwnNews::default()
    };
    own.tell(change(SERVICES));
    own.tell(whole.clone());
    assert_eq!(own.take(), whole, "what was before says nothing any more");
    assert_eq!(own.take(), OwnNews::default());
    own.tell(whole.clone());
    own.tell(change(SERVICES));
    own.tell(change(None));
    let OwnNews {
        whole: told,
        changes,
        pools,
    } = own.take();
    assert_eq!(pools, None);
    assert_eq!(told, whole.whole);
    assert_eq!(changes, change(None).changes);
}
