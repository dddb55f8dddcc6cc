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

fn changed(changes: &[(&str, Ownership)]) -> Option<OwnNews> {
    let changes = changes.iter();
    let changes = changes.map(|(prefix, ownership)| (prefix.parse().unwrap(), *ownership));
    Some(OwnNews {
        whole: None,
        changes: changes.collect(),
    })
}

#[test]
fn they_are_told_whole_once_and_from_then_on_what_changed() {
    let (mut pipeline, _) = started(TEXT, Rule::Reject);
    assert_eq!(pipeline.own_news(), None, "the facts are not complete");
    pipeline.on_events(everything_listed());
    let whole = pipeline.own_news().unwrap().whole.unwrap();
    let pods = &pipeline.index.view().node.as_ref().unwrap().pod_cidrs;
    assert!(!pods.is_empty() && pods.iter().all(|pods| whole.contains(pods)));
    assert!(whole.contains(&"172.16.0.0/16".parse().unwrap()));
    assert_eq!(pipeline.own_news(), None);

    // Two Services with one address: it is the node's own until the last is gone.
    applied(&mut pipeline, with_address("one", "172.16.0.77"));
    let own = changed(&[("172.16.0.77/32", Ownership::Own)]);
    assert_eq!(pipeline.own_news(), own);
    applied(&mut pipeline, with_address("two", "172.16.0.77"));
    assert_eq!(pipeline.own_news(), own, "again is no harm");
    applied(&mut pipeline, with_address("one", "172.16.0.78"));
    let moved = [
        ("172.16.0.77/32", Ownership::Own),
        ("172.16.0.78/32", Ownership::Own),
    ];
    assert_eq!(pipeline.own_news(), changed(&moved));
    applied(&mut pipeline, with_address("two", "172.16.0.78"));
    let gone = [
        ("172.16.0.77/32", Ownership::Foreign),
        ("172.16.0.78/32", Ownership::Own),
    ];
    assert_eq!(pipeline.own_news(), changed(&gone));

    // Another configuration may change any of them.
    pipeline.configure(settings(TEXT, None));
    let mut expected = whole;
    expected.insert("172.16.0.78/32".parse().unwrap());
    assert_eq!(pipeline.own_news().unwrap().whole, Some(expected));
}

#[test]
fn what_nobody_took_yet_is_merged_in_order() {
    let own = OwnPrefixes::default();
    assert!(!own.is_wanted());
    own.want();
    assert!(own.is_wanted());
    let change = |ownership| changed(&[("172.16.0.77/32", ownership)]).unwrap();
    let whole = OwnNews {
        whole: Some(BTreeSet::from(["172.16.0.0/16".parse().unwrap()])),
        ..OwnNews::default()
    };
    own.tell(change(Ownership::Own));
    own.tell(whole.clone());
    assert_eq!(own.take(), whole, "what was before says nothing any more");
    assert_eq!(own.take(), OwnNews::default());
    own.tell(whole.clone());
    own.tell(change(Ownership::Own));
    own.tell(change(Ownership::Foreign));
    let OwnNews {
        whole: told,
        changes,
    } = own.take();
    assert_eq!(told, whole.whole);
    assert_eq!(changes, change(Ownership::Foreign).changes);
}
