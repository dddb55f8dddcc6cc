//! Who peers with whom, and whose word counts.

use proptest::prelude::*;

use super::*;
use crate::types::BGP_PORT;

fn node(number: u8, labels: &[(&str, &str)]) -> ClusterNode {
    let labels = labels.iter();
    let labels = labels.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    ClusterNode {
        labels: Arc::new(labels.collect()),
        ipv4: Some(Ipv4Addr::new(192, 0, 2, number)),
        ..ClusterNode::default()
    }
}

fn with_ipv6(number: u8) -> ClusterNode {
    ClusterNode {
        ipv6: Some(format!("2001:db8::{number:x}").parse().unwrap()),
        ..node(number, &[])
    }
}

fn reflector(number: u8, cluster: u8) -> ClusterNode {
    ClusterNode {
        cluster_id: Some(ClusterId(Ipv4Addr::new(0, 0, 0, cluster))),
        ..node(number, &[("reflector", "yes")])
    }
}

fn topology<const N: usize>(nodes: [(&str, ClusterNode); N]) -> Topology {
    Topology {
        asn: Asn(64512),
        listen_port: BGP_PORT,
        mesh: None,
        templates: Vec::new(),
        nodes: nodes.map(|(name, node)| (name.to_owned(), node)).into(),
    }
}

fn template(name: &str, nodes: Nodes, target: Target) -> PeerTemplate {
    PeerTemplate {
        name: name.to_owned(),
        origin: format!("BGPPeer {name}"),
        nodes,
        target,
        reverse: Reverse::Auto,
        options: PeerOptions::default(),
    }
}

fn selected(selector: &str) -> Nodes {
    Nodes::Selected(selector.parse().unwrap())
}

fn to_nodes(selector: &str) -> Target {
    Target::Nodes(selector.parse().unwrap())
}

fn at(address: &str, port: Option<u16>, asn: Option<u32>) -> Target {
    Target::Address {
        address: address.parse().unwrap(),
        port,
        asn: asn.map(Asn),
    }
}

/// One line for each peer and each conflict.
fn lines(topology: &Topology, name: &str) -> Vec<String> {
    let Peerings {
        peers, conflicts, ..
    } = peerings(topology, name).unwrap();
    let peers = peers.into_iter().map(|peer| {
        let reflection = match peer.reflection {
            Reflection::Client => ", client",
            Reflection::NonClient => "",
        };
        let mode = match peer.connect_mode {
            ConnectMode::Active => "",
            ConnectMode::Passive => ", passive",
        };
        let Peering {
            name,
            peer_type,
            address,
            port,
            asn,
            ..
        } = peer;
        let words = peer_type.words();
        format!("{name}: {address}:{port} AS {asn}, {words}{mode}{reflection}")
    });
    peers
        .chain(conflicts.iter().map(ToString::to_string))
        .collect()
}

#[test]
fn nothing_is_known_of_the_peers_of_a_node_that_is_not_known() {
    let topology = Topology {
        mesh: Some(PeerOptions::default()),
        ..topology([("a", node(1, &[]))])
    };
    assert_eq!(peerings(&topology, "b"), None);
    assert_eq!(lines(&topology, "a"), [""; 0]);
}

#[test]
fn of_a_pair_of_the_mesh_one_end_dials_by_the_order_of_their_addresses_as_text() {
    let mesh = Topology {
        mesh: Some(PeerOptions::default()),
        ..topology([
            ("a", with_ipv6(1)),
            ("b", with_ipv6(10)),
            ("c", node(9, &[])),
        ])
    };
    insta::assert_snapshot!(
        ["a", "b", "c"]
            .map(|name| lines(&mesh, name).join("\n"))
            .join("\n\n")
    );
}

#[test]
fn reflectors_stay_out_of_the_mesh_on_both_sides() {
    let mesh = Topology {
        mesh: Some(PeerOptions::default()),
        ..topology([
            ("a", node(1, &[])),
            ("b", node(2, &[])),
            ("r", reflector(3, 1)),
        ])
    };
    assert_eq!(lines(&mesh, "a").len(), 1);
    assert_eq!(lines(&mesh, "r"), [""; 0]);
}

#[test]
fn nodes_with_an_as_or_a_port_of_their_own_are_peered_with_there() {
    let own = ClusterNode {
        asn: Some(Asn(65001)),
        listen_port: Some(1790),
        ..node(2, &[])
    };
    let mut mesh = topology([("a", node(1, &[])), ("b", own)]);
    mesh.mesh = Some(PeerOptions::default());
    assert_eq!(
        lines(&mesh, "a"),
        ["mesh/192.0.2.2: 192.0.2.2:1790 AS 65001, node-to-node mesh, passive"]
    );
    // The cluster's AS, not the own of whoever looks.
    assert_eq!(
        lines(&mesh, "b"),
        ["mesh/192.0.2.1: 192.0.2.1:179 AS 64512, node-to-node mesh"]
    );
    let peerings = peerings(&mesh, "b").unwrap();
    assert_eq!((peerings.asn, peerings.listen_port), (Asn(65001), 1790));
}

/// Three reflectors in front of two workers, and a switch, as the cluster's documents have it.
#[test]
fn reflectors_have_clients_fellows_and_a_switch() {
    let mut cluster = topology([
        ("m1", reflector(1, 1)),
        ("m2", reflector(2, 1)),
        ("m3", reflector(3, 2)),
        ("w1", node(4, &[])),
        ("w2", node(5, &[])),
    ]);
    cluster.templates = vec![
        template(
            "fellows",
            selected("has(reflector)"),
            to_nodes("has(reflector)"),
        ),
        template(
            "clients",
            selected("!has(reflector)"),
            to_nodes("has(reflector)"),
        ),
        template(
            "switch",
            selected("has(reflector)"),
            at("192.0.2.254", None, Some(64512)),
        ),
    ];
    insta::assert_snapshot!(
        ["m1", "m3", "w1"]
            .map(|name| lines(&cluster, name).join("\n"))
            .join("\n\n")
    );
    let m1 = peerings(&cluster, "m1").unwrap();
    assert_eq!(m1.cluster_id, Some(ClusterId(Ipv4Addr::new(0, 0, 0, 1))));
}

#[test]
fn a_reflector_reflects_to_nobody_in_another_as() {
    let mut cluster = topology([("r", reflector(1, 1))]);
    cluster.templates = vec![template(
        "tor",
        Nodes::All,
        at("192.0.2.9", None, Some(65000)),
    )];
    assert!(!lines(&cluster, "r")[0].contains("client"));
    // Inside and outside are told apart by the AS that the peer knows us by.
    cluster.templates[0].options.local_asn = Some(Asn(65000));
    assert!(lines(&cluster, "r")[0].ends_with(", client"));
}

#[test]
fn a_peering_by_address_with_a_node_is_held_by_that_node_too() {
    let mut cluster = topology([
        ("a", node(1, &[])),
        ("b", with_ipv6(2)),
        ("c", with_ipv6(3)),
    ]);
    cluster.listen_port = 1790;
    cluster.templates = vec![template("center", Nodes::All, at("192.0.2.2", None, None))];
    assert_eq!(
        lines(&cluster, "a"),
        // Whoever sees the greater address waits, for the other end has the reverse and dials.
        ["center: 192.0.2.2:1790 AS 64512, global, passive"]
    );
    assert_eq!(
        lines(&cluster, "b"),
        // Of the address's family only.
        [
            "center/192.0.2.1: 192.0.2.1:1790 AS 64512, node specific",
            "center/192.0.2.3: 192.0.2.3:1790 AS 64512, node specific",
        ]
    );
    assert_eq!(
        lines(&cluster, "c"),
        ["center: 192.0.2.2:1790 AS 64512, global"]
    );
    // Without the reverse nobody would dial but us.
    cluster.templates[0].reverse = Reverse::Manual;
    assert_eq!(
        lines(&cluster, "a"),
        ["center: 192.0.2.2:1790 AS 64512, global"]
    );
    assert_eq!(lines(&cluster, "b"), [""; 0]);
}

#[test]
fn the_reverse_is_of_the_node_with_the_address_the_as_and_the_port() {
    let of = |port, asn| {
        let mut cluster = topology([("a", node(1, &[])), ("b", node(2, &[]))]);
        let target = at("192.0.2.2", port, asn);
        cluster.templates = vec![template("b", Nodes::Named("a".into()), target)];
        (lines(&cluster, "a").concat(), lines(&cluster, "b").len())
    };
    let peer = |port, asn| format!("b: 192.0.2.2:{port} AS {asn}, node specific");
    assert_eq!(of(None, None), (peer(179, 64512), 1));
    assert_eq!(of(Some(179), Some(64512)), (peer(179, 64512), 1));
    assert_eq!(of(Some(1179), None), (peer(1179, 64512), 0));
    assert_eq!(of(None, Some(65000)), (peer(179, 65000), 0));
}

#[test]
fn the_reverse_of_a_peering_from_another_as_is_with_that_as() {
    let mut cluster = topology([("a", node(1, &[])), ("b", node(2, &[("b", "")]))]);
    cluster.templates = vec![PeerTemplate {
        options: PeerOptions {
            local_asn: Some(Asn(65001)),
            ..PeerOptions::default()
        },
        ..template("b", Nodes::Named("a".into()), to_nodes("has(b)"))
    }];
    let local_asns = |name| {
        let peers = peerings(&cluster, name).unwrap().peers;
        let [peer] = &peers[..] else {
            panic!("{peers:?}")
        };
        (peer.local_asn, peer.asn)
    };
    assert_eq!(local_asns("a"), (Some(Asn(65001)), Asn(64512)));
    assert_eq!(local_asns("b"), (None, Asn(65001)));
}

#[test]
fn a_port_that_is_not_written_is_the_nodes_or_the_usual_one() {
    let port = |address, asn| {
        let mut cluster = topology([("a", node(1, &[])), ("b", node(2, &[]))]);
        cluster.listen_port = 1790;
        cluster.templates = vec![template("peer", selected("all()"), at(address, None, asn))];
        peerings(&cluster, "a").unwrap().peers[0].port
    };
    assert_eq!(port("192.0.2.2", None), 1790);
    // The address of a node, and not the node.
    assert_eq!(port("192.0.2.2", Some(65000)), BGP_PORT);
    assert_eq!(port("192.0.2.200", None), BGP_PORT);
}

#[test]
fn options_reach_the_peers() {
    let options = PeerOptions {
        next_hop: NextHop::Mode(NextHopMode::SelfAddress),
        local_asn: None,
        own_asn_allowed: 2,
        ttl_security: NonZeroU8::new(3),
        keepalive_time: Some(Duration::from_secs(4)),
        restart_time: Some(Duration::from_secs(5)),
        source_address: SourceAddress::Kernel,
        password: Some(PasswordSource::Secret {
            name: "bgp".into(),
            key: "tor".into(),
        }),
        filters: vec!["f".into()],
    };
    let mut cluster = topology([("a", node(1, &[]))]);
    let tor = template("tor", Nodes::All, at("192.0.2.9", None, Some(65000)));
    cluster.templates = vec![PeerTemplate {
        options: options.clone(),
        ..tor
    }];
    let peer = || peerings(&cluster, "a").unwrap().peers.remove(0);
    assert_eq!(
        peer(),
        Peering {
            name: "tor".into(),
            peer_type: PeerType::GlobalPeer,
            node: None,
            address: "192.0.2.9".parse().unwrap(),
            port: BGP_PORT,
            asn: Asn(65000),
            connect_mode: ConnectMode::Active,
            reflection: Reflection::NonClient,
            next_hop_mode: NextHopMode::SelfAddress,
            local_address: None,
            local_asn: None,
            own_asn_allowed: 2,
            ttl_security: NonZeroU8::new(3),
            keepalive_time: Some(Duration::from_secs(4)),
            restart_time: Some(Duration::from_secs(5)),
            password: options.password,
            filters: vec!["f".into()],
        }
    );
    let options = PeerOptions::default();
    cluster.templates[0].options = options;
    let peer = peerings(&cluster, "a").unwrap().peers.remove(0);
    assert_eq!(peer.local_address, Some("192.0.2.1".parse().unwrap()));
    assert_eq!(peer.next_hop_mode, NextHopMode::Auto);
}

#[test]
fn a_next_hop_that_is_kept_to_external_peers_is_not_to_internal_ones() {
    let mode = |asn| {
        let mut cluster = topology([("a", node(1, &[]))]);
        let mut tor = template("tor", Nodes::All, at("192.0.2.9", None, Some(asn)));
        tor.options.next_hop = NextHop::KeepToExternal;
        cluster.templates = vec![tor];
        peerings(&cluster, "a").unwrap().peers[0].next_hop_mode
    };
    assert_eq!(mode(65000), NextHopMode::Keep);
    assert_eq!(mode(64512), NextHopMode::Auto);
}

#[test]
fn a_global_peer_wins_over_a_nodes_over_a_reverse_over_the_mesh() {
    let mut cluster = topology([("a", node(1, &[])), ("b", node(2, &[("b", "")]))]);
    cluster.mesh = Some(PeerOptions::default());
    let kind = |cluster: &Topology| {
        let Peerings {
            peers, conflicts, ..
        } = peerings(cluster, "a").unwrap();
        assert_eq!((peers.len(), conflicts), (1, Vec::new()));
        (peers[0].name.clone(), peers[0].peer_type)
    };
    let is = |name: &str, peer_type| (name.to_owned(), peer_type);
    assert_eq!(kind(&cluster), is("mesh/192.0.2.2", PeerType::NodeMesh));
    let reverse = template("z", Nodes::Named("b".into()), at("192.0.2.1", None, None));
    cluster.templates.push(reverse);
    assert_eq!(kind(&cluster), is("z/192.0.2.2", PeerType::NodePeer));
    let some = template("y", Nodes::Named("a".into()), to_nodes("has(b)"));
    cluster.templates.push(some);
    assert_eq!(kind(&cluster), is("y/192.0.2.2", PeerType::NodePeer));
    cluster
        .templates
        .push(template("x", Nodes::All, to_nodes("has(b)")));
    assert_eq!(kind(&cluster), is("x/192.0.2.2", PeerType::GlobalPeer));
}

#[test]
fn the_words_for_what_is_not_as_it_was_written() {
    let mut cluster = topology([("a", node(1, &[]))]);
    let tor = |name, port, asn| template(name, Nodes::All, at("192.0.2.9", port, Some(asn)));
    cluster.templates = vec![
        tor("b", None, 65000),
        tor("a", None, 65001),
        // The same again is no conflict.
        tor("c", Some(179), 65001),
        tor("d", Some(1179), 65001),
        template("e", Nodes::All, at("2001:db8::9", None, Some(65000))),
    ];
    insta::assert_snapshot!(lines(&cluster, "a").join("\n"));
}

fn any_cluster() -> impl Strategy<Value = Topology> {
    let drawn = (0..4_u8, any::<bool>(), any::<bool>(), 0..3_u8, 0..3_u32);
    let nodes = proptest::collection::vec(drawn, 1..6).prop_map(|nodes| {
        let nodes = nodes.into_iter().zip(1_u8..);
        let nodes = nodes.map(|((labels, ipv4, ipv6, cluster, asn), number)| {
            let bits = [("a", labels & 1), ("b", labels & 2)];
            let labels = bits.into_iter().filter(|(_, bit)| *bit > 0);
            let labels: Vec<_> = labels.map(|(label, _)| (label, "")).collect();
            let all = with_ipv6(number);
            let node = ClusterNode {
                ipv4: all.ipv4.filter(|_| ipv4),
                ipv6: all.ipv6.filter(|_| ipv6),
                cluster_id: (cluster > 0).then_some(ClusterId(Ipv4Addr::new(0, 0, 0, cluster))),
                asn: (asn > 0).then_some(Asn(65000 + asn)),
                ..node(number, &labels)
            };
            (format!("n{number}"), node)
        });
        nodes.collect::<BTreeMap<_, _>>()
    });
    let selector = || {
        prop_oneof![
            Just("all()"),
            Just("has(a)"),
            Just("has(b)"),
            Just("!has(a)")
        ]
    };
    let holders = prop_oneof![
        Just(Nodes::All),
        (1..6_u8).prop_map(|number| Nodes::Named(format!("n{number}"))),
        selector().prop_map(selected),
    ];
    let template = (0..3_u8, holders, selector(), 0..2_u8).prop_map(|(name, nodes, to, hops)| {
        let mut template = template(&format!("t{name}"), nodes, to_nodes(to));
        template.options.ttl_security = NonZeroU8::new(hops);
        template
    });
    let templates = proptest::collection::vec(template, 0..5);
    (nodes, templates, any::<bool>()).prop_map(|(nodes, mut templates, mesh)| {
        // Names are unique, as those of resources are.
        let mut names = std::collections::BTreeSet::new();
        templates.retain(|template| names.insert(template.name.clone()));
        Topology {
            mesh: mesh.then(PeerOptions::default),
            templates,
            nodes,
            ..topology([])
        }
    })
}

proptest! {
    #[test]
    fn the_order_of_templates_does_not_matter(cluster in any_cluster(), by in 0..5_usize) {
        let mut turned = cluster.clone();
        let by = by.min(turned.templates.len());
        turned.templates.rotate_left(by);
        for name in cluster.nodes.keys() {
            prop_assert_eq!(peerings(&cluster, name), peerings(&turned, name));
        }
    }

    #[test]
    fn both_ends_hold_a_session_and_one_of_them_dials(cluster in any_cluster()) {
        for (name, node) in &cluster.nodes {
            let own = peerings(&cluster, name).unwrap();
            for peer in &own.peers {
                let other = peerings(&cluster, peer.node.as_ref().unwrap()).unwrap();
                let back = node.address(Family::of(peer.address)).unwrap();
                let back = other.peers.iter().find(|peer| peer.address == back);
                let Some(back) = back else {
                    return Err(TestCaseError::fail(format!("{name} alone has {peer:?}")));
                };
                prop_assert_eq!((peer.asn, back.asn), (other.asn, own.asn));
                let modes = [peer.connect_mode, back.connect_mode];
                prop_assert!(modes.contains(&ConnectMode::Active), "{peer:?} {back:?}");
                if peer.peer_type == PeerType::NodeMesh && back.peer_type == PeerType::NodeMesh {
                    prop_assert!(modes.contains(&ConnectMode::Passive));
                    prop_assert!(own.cluster_id.is_none() && other.cluster_id.is_none());
                }
            }
        }
    }

    #[test]
    fn each_address_is_one_peer_and_never_our_own(cluster in any_cluster()) {
        for (name, node) in &cluster.nodes {
            let peers = peerings(&cluster, name).unwrap().peers;
            let addresses: Vec<_> = peers.iter().map(|peer| peer.address).collect();
            prop_assert!(addresses.is_sorted_by(|a, b| a < b));
            for family in Family::ALL {
                prop_assert!(!addresses.iter().any(|at| Some(*at) == node.address(family)));
            }
        }
    }
}
