//! What a session is like: reflection, next hops, AS numbers, distance, KEEPALIVEs.

use super::*;

/// A reflector's file with one peer that has these keys.
fn with(keys: &str) -> String {
    format!(
        "[bgp]\ncluster-id = '244.0.0.1'\n[[peers]]\naddress = '192.0.2.1'\nasn = 64512\n{keys}"
    )
}

#[test]
fn each_option_is_read() {
    let text = "next-hop = 'self'\nlocal-asn = 64512\nallow-own-asn = 3\nttl-security = 254\n\
                keepalive-time = '89s'\nroute-reflector-client = true";
    let config = parse(&with(text));
    assert_eq!(config.bgp.cluster_id.unwrap().to_string(), "244.0.0.1");
    let peer = &config.peers[0];
    assert_eq!(peer.reflection, Reflection::Client);
    assert_eq!(peer.next_hop_mode, NextHopMode::SelfAddress);
    assert_eq!(peer.local_asn, Some(Asn(64512)));
    assert_eq!(peer.own_asn_allowed, 3);
    assert_eq!(peer.ttl_security.unwrap().get(), 254);
    assert_eq!(peer.keepalive_time.unwrap().as_secs(), 89);
    let keep = parse(&with("next-hop = 'keep'"));
    assert_eq!(keep.peers[0].next_hop_mode, NextHopMode::Keep);
    let not = parse(&with("route-reflector-client = false\nnext-hop = 'auto'"));
    assert_eq!(not.peers[0].reflection, Reflection::NonClient);
    assert_eq!(not.peers[0].next_hop_mode, NextHopMode::Auto);
}

#[test]
fn the_words_for_reflection_and_options() {
    let without_cluster = with("route-reflector-client = true").replace("cluster-id", "# ");
    let cluster = with("").replace("244.0.0.1", "seven");
    let texts = [
        &without_cluster,
        &cluster,
        &with("route-reflector-client = true\nlocal-asn = 64999"),
        &with("route-reflector-client = 'yes'"),
        &with("next-hop = 'slef'"),
        &with("local-asn = 0"),
        &with("allow-own-asn = 256"),
        &with("ttl-security = 0"),
        &with("keepalive-time = '0s'"),
        &with("keepalive-time = '90s'"),
        &with("keepalive-time = 'often'"),
        &with("keepalive-time = 5"),
    ];
    insta::assert_snapshot!(catalogue(&texts.map(String::as_str)));
}
