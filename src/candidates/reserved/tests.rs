//! Who holds what, and what follows for Services.

use super::super::tests::{
    config, everything, ingress, ips, load_balancer, node, prefixes, service, view,
};
use super::super::{Candidates, Exclusion};
use super::*;
use crate::facts::{ClusterChange, NodeNetworks};

/// The own node 10.1.0.11, node b, an API server and a peer, all within an external range.
fn surroundings(services: Vec<ServiceFacts>) -> (ClusterView, AdvertiseConfig) {
    let mut view = view(services);
    let mut own = crate::facts::NodeFacts::clone(&node(&["10.1.64.0/24"]));
    own.internal_ips = ips(&["10.1.0.11"]);
    view.node = Some(own.into());
    let networks = |addresses: &[&str], pods: &[&str]| NodeNetworks {
        addresses: ips(addresses),
        pod_cidrs: prefixes(pods),
    };
    view.nodes = [
        (
            "worker".to_owned(),
            networks(&["10.1.0.11", "10.1.0.12"], &[]),
        ),
        ("b".to_owned(), networks(&["10.1.0.2"], &["10.1.65.0/24"])),
    ]
    .into();
    view.api_servers = ips(&["10.1.0.3"]).into_iter().collect();
    let config = AdvertiseConfig {
        service_external_cidrs: prefixes(&["10.1.0.0/16", "10.96.0.0/16"]),
        peer_addresses: [(ips(&["10.1.0.1"])[0], "tor".to_owned())].into(),
        own_addresses: ips(&["10.1.0.99"]).into_iter().collect(),
        ..config()
    };
    (view, config)
}

fn with_external_ips(addresses: &[&str]) -> ServiceFacts {
    let mut web = service("web");
    web.external_ips = ips(addresses);
    web
}

#[test]
fn what_is_somebodys_is_refused_with_whose_it_is_and_the_rest_goes_on() {
    let web = with_external_ips(&[
        "10.1.0.11",
        "10.1.0.12",
        "10.1.0.2",
        "10.1.0.1",
        "10.1.0.99",
        "10.1.0.3",
        "10.1.65.7",
        "10.1.64.7",
        "10.1.0.50",
    ]);
    let (view, config) = surroundings(vec![web.clone()]);
    let mut candidates = Candidates::new(config);
    candidates.apply(&view, &everything(&view));
    let refused: Vec<String> = candidates
        .exclusions(&web)
        .into_iter()
        .map(|(address, _, exclusion)| format!("{address}: {exclusion}"))
        .collect();
    assert_eq!(
        refused,
        [
            "10.1.0.11: the address is node worker's: no Service may take it",
            "10.1.0.12: the address is node worker's: no Service may take it",
            "10.1.0.2: the address is node b's: no Service may take it",
            "10.1.0.1: the address is peer tor's: no Service may take it",
            "10.1.0.99: the address is the speaker's own: no Service may take it",
            "10.1.0.3: the address is the API server's: no Service may take it",
            "10.1.65.7: the address is in node b's pod CIDR 10.1.65.0/24: no Service may take it",
            "10.1.64.7: the address is in node worker's pod CIDR 10.1.64.0/24: no Service may take it",
        ]
    );
    let left: Vec<_> = candidates.of_service(&web.key).collect();
    assert_eq!(
        left.len(),
        1,
        "the range surrounds them all, and is no reason"
    );
    assert_eq!(left[0].key.prefix.to_string(), "10.1.0.50/32");
    let concerned = candidates.take_new_concerns();
    assert_eq!(concerned.len(), 8);
    assert_eq!(
        concerned[0].to_string(),
        "external IP 10.1.0.1 of shop/web is not announced: the address is peer tor's, and no \
         Service may take it"
    );
    assert_eq!(candidates.take_new_concerns(), []);
}

#[test]
fn an_address_outside_the_ranges_is_no_concern_of_ours() {
    let web = with_external_ips(&["203.0.113.99"]);
    let (mut view, mut config) = surroundings(vec![web.clone()]);
    view.nodes.get_mut("b").unwrap().addresses = ips(&["203.0.113.99"]);
    config.service_external_cidrs.truncate(1);
    let mut candidates = Candidates::new(config);
    candidates.apply(&view, &everything(&view));
    let exclusions = candidates.exclusions(&web);
    assert_eq!(exclusions[0].2, Exclusion::OutsideRanges);
    assert_eq!(candidates.take_new_concerns(), []);
}

#[test]
fn the_api_servers_service_keeps_its_own_address_and_nobody_else_takes_it() {
    let mut api = service("kubernetes");
    api.key = api_service();
    api.cluster_ips = ips(&["10.96.0.1"]);
    let mut thief = load_balancer("thief");
    thief.external_ips = ips(&["10.96.0.1"]);
    let (view, config) = surroundings(vec![api.clone(), thief.clone()]);
    let mut candidates = Candidates::new(config);
    candidates.apply(&view, &everything(&view));
    assert_eq!(candidates.of_service(&api.key).count(), 1);
    assert_eq!(
        candidates.exclusions(&thief)[0].2,
        Exclusion::Reserved(Holder::ApiServer)
    );
}

#[test]
fn a_node_that_comes_takes_the_address_away_and_one_that_goes_gives_it_back() {
    let web = with_external_ips(&["10.1.0.77", "10.1.0.50"]);
    let (mut view, config) = surroundings(vec![web.clone()]);
    let mut candidates = Candidates::new(config);
    candidates.apply(&view, &everything(&view));
    assert_eq!(candidates.of_service(&web.key).count(), 2);

    let came = NodeNetworks {
        addresses: ips(&["10.1.0.77"]),
        pod_cidrs: Vec::new(),
    };
    view.nodes.insert("c".to_owned(), came);
    let changes = candidates.apply(&view, &[ClusterChange::Networks]);
    assert_eq!(changes.len(), 1, "no other address is touched: {changes:?}");
    assert_eq!(candidates.of_service(&web.key).count(), 1);
    assert_eq!(candidates.take_new_concerns().len(), 1);
    assert_eq!(candidates.apply(&view, &[ClusterChange::Networks]), []);

    view.nodes.remove("c");
    assert_eq!(candidates.apply(&view, &[ClusterChange::Networks]).len(), 1);
    assert_eq!(candidates.of_service(&web.key).count(), 2);
    assert_eq!(candidates.concerns().count(), 0);
}

#[test]
fn a_load_balancer_that_hands_out_node_addresses_is_refused_them() {
    let mut web = load_balancer("web");
    web.load_balancer_ips = ingress(&["10.1.0.2"]);
    let (view, mut config) = surroundings(vec![web.clone()]);
    config.service_load_balancer_cidrs = prefixes(&["10.1.0.0/25"]);
    let mut candidates = Candidates::new(config);
    candidates.apply(&view, &everything(&view));
    let refused = Exclusion::Reserved(Holder::Node("b".to_owned()));
    assert_eq!(candidates.exclusions(&web)[0].2, refused);
}

#[test]
fn an_address_in_a_block_of_pods_is_refused_to_services() {
    let web = with_external_ips(&["10.1.66.5"]);
    let (mut view, config) = surroundings(vec![web.clone()]);
    let mut candidates = Candidates::new(config);
    candidates.apply(&view, &everything(&view));
    assert_eq!(candidates.of_service(&web.key).count(), 1);
    let block = prefixes(&["10.1.66.0/26"])[0];
    view.blocks.insert(block, "b".to_owned());
    candidates.apply(&view, &[ClusterChange::Networks]);
    let refused = Exclusion::Reserved(Holder::Pods(block, "b".to_owned()));
    assert_eq!(candidates.exclusions(&web)[0].2, refused);
}
