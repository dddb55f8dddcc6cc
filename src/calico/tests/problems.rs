//! What is said of what is wrong, unknown or not heeded, and what becomes of the rest.

use serde_json::{Value, json};

use super::*;
use crate::calico::fields::{RULE, Support, table};
use crate::policy::Direction;

/// One line for each problem of an object.
fn told(kind: &str, name: &str, spec: Value) -> Vec<String> {
    let resources = applied(&[calico(kind, name, spec)]);
    resources.problems().map(ToString::to_string).collect()
}

/// An object with this value at a path such as `communities[].name`.
fn with(path: &str, value: Value) -> Value {
    path.rsplit('.')
        .fold(value, |inner, key| match key.strip_suffix("[]") {
            Some(key) => json!({ key: [inner] }),
            None => json!({ key: inner }),
        })
}

#[test]
fn every_field_that_is_not_heeded_is_named() {
    let mut refused = 0;
    for kind in Kind::ALL {
        for (path, support) in table(kind) {
            let lines = told(kind.name(), "default", with(path, json!("any value")));
            let path = path.replace("[]", "[0]");
            let start =
                format!("{kind} default: spec.{path} is \"any value\", which is not heeded: ");
            let is_named = lines.iter().any(|line| line.starts_with(&start));
            match support {
                Support::Refused { unless, .. } => {
                    refused += 1;
                    assert!(is_named, "{path}: {lines:?}");
                    for value in *unless {
                        let value = serde_json::from_str(value).unwrap();
                        let lines = told(kind.name(), "default", with(&path, value));
                        let is_told = lines.iter().any(|line| line.contains("not heeded"));
                        assert!(!is_told, "{path}: {lines:?}");
                    }
                }
                Support::Read | Support::Elsewhere => assert!(!is_named, "{lines:?}"),
            }
        }
    }
    assert!(refused > 8);
}

#[test]
fn every_field_that_is_read_is_told_where_it_is_wrong() {
    for kind in Kind::ALL {
        for (path, support) in table(kind) {
            if *support != Support::Read {
                continue;
            }
            // What no field's value is.
            let lines = told(kind.name(), "default", with(path, json!({"no": ["value"]})));
            let top = path.split(['.', '[']).next().unwrap();
            let start = format!("{kind} default: spec.{top}");
            let is_named = lines.iter().any(|line| line.starts_with(&start));
            assert!(is_named, "{kind} {path}: {lines:?}");
        }
    }
}

#[test]
fn fields_that_nobody_knows_are_named_at_any_depth() {
    let spec = json!({
        "peerIP": "192.0.2.9",
        "asNumber": 65000,
        "colour": "red",
        "password": {"secretKeyRef": {"name": "a", "key": "b", "colour": 1}},
    });
    assert_eq!(
        told("BGPPeer", "tor", spec),
        [
            "BGPPeer tor: spec.colour is not known here and not heeded",
            "BGPPeer tor: spec.password.secretKeyRef.colour is not known here and not heeded",
        ]
    );
}

#[test]
fn the_words_for_what_is_wrong() {
    let peer = |spec| told("BGPPeer", "p", spec);
    let configuration = |name: &str, spec| told("BGPConfiguration", name, spec);
    let lines = [
        peer(json!({})),
        peer(json!({"peerIP": "192.0.2.300"})),
        peer(json!({"peerIP": "192.0.2.1:0"})),
        peer(json!({"peerIP": "224.0.0.1"})),
        peer(json!({"peerIP": "192.0.2.1", "asNumber": 23456})),
        peer(json!({"peerIP": "192.0.2.1", "asNumber": "1.2.3"})),
        peer(json!({"peerIP": "192.0.2.1", "asNumber": 4294967296_u64})),
        peer(json!({"peerIP": "192.0.2.1", "peerSelector": "all()"})),
        peer(json!({"asNumber": 1, "peerSelector": "all()"})),
        peer(json!({"node": "a", "nodeSelector": "has(", "peerSelector": "x"})),
        peer(json!({"node": "a", "nodeSelector": "all()", "peerSelector": "all()"})),
        peer(
            json!({"peerSelector": "all()", "nextHopMode": "self", "keepaliveTime": "1",
                    "maxRestartTime": "1 s", "sourceAddress": "Any", "reversePeering": "Off",
                    "ttlSecurity": 256, "numAllowedLocalASNumbers": -1, "filters": "f"}),
        ),
        peer(json!({"peerSelector": "all()", "password": {"secretKeyRef": {"name": "a"}}})),
        peer(json!({"localWorkloadSelector": "all()", "peerIP": "192.0.2.1"})),
        configuration("default", json!({"asNumber": 0, "listenPort": 70000})),
        configuration(
            "default",
            json!({"serviceClusterIPs": [
            {"cidr": "10.96.0.1/12"}, {"cidr": "0.0.0.0/0"}, {}, "10.0.0.0/8"]}),
        ),
        configuration(
            "default",
            json!({"communities": [{"name": "a", "value": "b"}],
            "prefixAdvertisements": [{"cidr": "10.0.0.0/8", "communities": ["a", 1, "65536:1"]},
                                     {"cidr": "10", "communities": []}]}),
        ),
        configuration("node.a", json!({"asNumber": 1, "listenPort": 1790})),
        configuration("other", json!({})),
        told("IPPool", "p", json!({"ipipMode": "always"})),
        told(
            "BlockAffinity",
            "b",
            json!({"cidr": "10.0.0.0", "deleted": "yes"}),
        ),
        told(
            "Node",
            "n",
            json!({"bgp": {"ipv4Address": "2001:db8::1", "asNumber": "x",
                                         "routeReflectorClusterID": "1"}}),
        ),
        told("BGPFilter", "f", json!(["x"])),
    ];
    insta::assert_snapshot!(lines.map(|lines| lines.join("\n")).join("\n\n"));
}

#[test]
fn annotations_of_nodes_are_named() {
    let mut bad = node("a", "192.0.2.1");
    let annotations = &mut bad["metadata"]["annotations"];
    annotations["projectcalico.org/ASNumber"] = json!("65535");
    annotations["projectcalico.org/labels"] = json!("{");
    let resources = applied(&[bad, node("b", "192.0.2.2")]);
    let lines: Vec<_> = resources.problems().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
    // Whose AS is not known is nobody's peer and has none.
    assert_eq!(resources.node("a"), None);
    assert_eq!(peers(&resources, "b"), [""; 0]);
}

#[test]
fn a_wrong_object_costs_itself_alone() {
    let tor = |name: &str, address| {
        calico(
            "BGPPeer",
            name,
            json!({"peerIP": address, "asNumber": 65000}),
        )
    };
    let resources = applied(&[
        node("a", "192.0.2.1"),
        calico("BGPConfiguration", "node.a", json!({"listenPort": "x"})),
        calico("BGPPeer", "bad", json!({"peerIP": "x"})),
        calico("BGPFilter", "bad", json!(1)),
        calico("IPPool", "bad", json!({})),
        calico("BlockAffinity", "bad", json!({})),
        calico("Node", "bad", json!({"bgp": {"asNumber": "x"}})),
        tor("good", "192.0.2.9"),
    ]);
    assert_eq!(peers(&resources, "a"), ["192.0.2.9:179 AS 65000 global"]);
    assert!(resources.problems().count() >= 6);
}

#[test]
fn no_as_is_guessed_where_the_configuration_cannot_be_read() {
    for spec in [
        json!({"asNumber": "x"}),
        json!({"nodeToNodeMeshEnabled": "x"}),
        json!({"listenPort": "x"}),
        json!({"nodeMeshPassword": {"secretKeyRef": {"name": "a"}}}),
    ] {
        let configuration = calico("BGPConfiguration", "default", spec);
        let resources = applied(&[node("a", "192.0.2.1"), configuration]);
        assert_eq!(resources.node("a"), None);
        let lines: Vec<_> = resources.problems().map(ToString::to_string).collect();
        assert!(lines[0].contains("no peer is dialled"), "{lines:?}");
    }
}

#[test]
fn a_filter_that_is_not_there_is_told_and_filters_nothing() {
    let tor = json!({"peerIP": "192.0.2.9", "asNumber": 65000, "filters": ["f", "g"]});
    let resources = applied(&[
        node("a", "192.0.2.1"),
        calico("BGPPeer", "tor", tor),
        calico(
            "BGPFilter",
            "g",
            json!({"exportV4": [{"action": "Reject"}]}),
        ),
    ]);
    let config = resources.node("a").unwrap();
    let [problem] = &config.problems[..] else {
        panic!("{:?}", config.problems);
    };
    assert_eq!(
        problem.to_string(),
        "BGPPeer tor: spec.filters[0] is \"f\", and there is no such BGPFilter: it filters nothing"
    );
    let filters = config.filters_of(&config.peerings.peers[0]);
    assert_eq!(filters.map(|(name, _)| name).collect::<Vec<_>>(), ["g"]);
}

fn filter(spec: Value) -> (Filter, Vec<String>) {
    let resources = applied(&[node("a", "192.0.2.1"), calico("BGPFilter", "f", spec)]);
    let lines = resources.problems().map(ToString::to_string).collect();
    let config = resources.node("a").unwrap();
    (config.filters["f"].clone(), lines)
}

#[test]
fn the_rules_of_a_filter_are_settings_of_the_policy() {
    let rule = json!({
        "action": "Accept",
        "cidr": "10.0.0.0/8",
        "matchOperator": "In",
        "prefixLength": {"min": 24},
        "peerType": "eBGP",
        "communities": {"values": ["64512:1"]},
        "operations": [{"addCommunity": {"value": "64512:2"}}],
    });
    let learned = json!({"action": "Reject", "source": "RemotePeers", "asPathPrefix": [65000]});
    let (filter, lines) = filter(json!({"exportV4": [rule], "importV6": [learned]}));
    assert_eq!(lines, [""; 0]);
    assert_eq!(filter.rule_counts(), [1, 0, 0, 1]);
    assert_eq!(
        filter.settings(Direction::Export),
        Some(json!({"exportV4": [rule]}))
    );
    assert_eq!(
        filter.settings(Direction::Import),
        Some(json!({"importV6": [learned]}))
    );
}

#[test]
fn rules_that_routes_cannot_be_held_to_are_left_out_and_told() {
    let every = || {
        let fields = ["source", "asPathPrefix", "interface", "priority", "colour"];
        let rules = fields.map(|key| json!({"action": "Reject", key: "x"}));
        json!(rules)
    };
    let (filter, lines) = filter(json!({"exportV4": every(), "importV4": every()}));
    assert_eq!(filter.rule_counts(), [0, 0, 2, 0]);
    assert_eq!(filter.settings(Direction::Export), None);
    insta::assert_snapshot!(lines.join("\n"));
    for (key, _, _) in RULE {
        assert!(
            !lines
                .iter()
                .any(|line| line.contains(&format!("{key} is not known")))
        );
    }
}

#[test]
fn an_interface_of_any_name_and_empty_fields_say_nothing() {
    let rule = json!({"action": "Reject", "interface": "*", "source": "", "asPathPrefix": []});
    let (filter, lines) = filter(json!({"exportV4": [rule]}));
    assert_eq!(lines, [""; 0]);
    let settings = json!({"exportV4": [{"action": "Reject"}]});
    assert_eq!(filter.settings(Direction::Export), Some(settings));
}

#[test]
fn an_operation_that_there_is_not_is_told_and_the_others_are_done() {
    let add = json!({"addCommunity": {"value": "64512:2"}});
    let operations = json!([{"setPriority": {"value": 1}}, add]);
    let rule = json!({"action": "Accept", "operations": operations});
    let (filter, lines) = filter(json!({"importV4": [rule]}));
    assert_eq!(
        lines,
        [
            "BGPFilter f: spec.importV4[0].operations[0].setPriority is not done: routes have no \
          priority here"
        ]
    );
    let settings = json!({"importV4": [{"action": "Accept", "operations": [add]}]});
    assert_eq!(filter.settings(Direction::Import), Some(settings));
}

#[test]
fn a_filter_that_cannot_be_read_lets_nothing_through() {
    let (whole, _) = filter(json!("?"));
    let (filter, lines) = filter(json!({"exportV4": [{"action": "Accept"}, 7]}));
    assert_eq!(whole, filter);
    assert_eq!(filter.rule_counts(), [1; 4]);
    let reject = json!([{"action": "Reject"}]);
    let settings = json!({"exportV4": reject, "exportV6": reject});
    assert_eq!(filter.settings(Direction::Export), Some(settings));
    assert_eq!(
        lines,
        [
            "BGPFilter f: spec cannot be read; peers that name it are given no routes",
            "BGPFilter f: spec.exportV4[1] is 7, which is no rule",
        ]
    );
}
