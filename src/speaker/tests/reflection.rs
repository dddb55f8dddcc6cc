//! Learned routes on their way on: who gets them from a reflector, with what attributes, and what
//! no reflector does.

use super::*;
use crate::bgp::wire::{NextHop, PathAttributes, Reach, UnknownAttribute};
use crate::rib::{AttributeSet, Ineligible};
use crate::types::{ClusterId, Community, ExtendedCommunity, NextHopMode, Reflection};

const REFLECTOR: HostId = 0;
const CLUSTER: Ipv4Addr = Ipv4Addr::new(244, 0, 0, 1);
const OURS: u32 = 64512;

/// What a host is to the reflector.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Client,
    NonClient,
    External(u32),
}
use Role::{Client, External, NonClient};

impl Role {
    fn asn(self) -> u32 {
        match self {
            Client | NonClient => OURS,
            External(asn) => asn,
        }
    }
}

fn reflector_config(roles: &[Role]) -> SpeakerConfig {
    let peers = roles.iter().zip(1..).map(|(role, host)| PeerConfig {
        reflection: match role {
            Client => Reflection::Client,
            NonClient | External(_) => Reflection::NonClient,
        },
        ..peer(host, role.asn())
    });
    SpeakerConfig {
        cluster_id: Some(ClusterId(CLUSTER)),
        ..config(REFLECTOR, OURS, peers.collect())
    }
}

/// A reflector of such a configuration, and hosts from 1 that have these roles to it.
fn star_with(roles: &[Role], reflector: SpeakerConfig) -> Network {
    let mut network = Network::new(1, Conditions::perfect());
    for host in 0..=roles.len() {
        network.add(Speaker::new(u64::try_from(host).unwrap()), address(host));
        network.input(host, Input::ExportsComplete);
    }
    for (role, host) in roles.iter().zip(1..) {
        let our_asn = reflector.peers[host - 1].local_asn.unwrap_or(Asn(OURS));
        let of_node = config(host, role.asn(), vec![peer(REFLECTOR, our_asn.0)]);
        configure(&mut network, host, of_node);
    }
    configure(&mut network, REFLECTOR, reflector);
    network.run(seconds(10));
    network
}

fn star(roles: &[Role]) -> Network {
    star_with(roles, reflector_config(roles))
}

fn sends(network: &mut Network, host: HostId, prefixes: &[&str]) {
    network.input(host, export(prefixes, &plain()));
    network.run(seconds(1));
}

/// What a host has of the reflector to a prefix, and why it does not use it.
fn at(network: &Network, host: HostId, text: &str) -> Option<(AttributeSet, Option<Ineligible>)> {
    let id = PeerId(u32::try_from(REFLECTOR).unwrap());
    let (set, ineligible) = network.hosts[host]
        .speaker
        .received_route(id, &prefix(text))?;
    Some(((**set).clone(), ineligible))
}

/// The hosts that have a prefix of the reflector.
fn holders(network: &Network, text: &str) -> Vec<HostId> {
    let hosts = 1..network.hosts.len();
    hosts
        .filter(|host| at(network, *host, text).is_some())
        .collect()
}

fn why_not(network: &Network, host: HostId, text: &str) -> NotSent {
    let id = PeerId(u32::try_from(host).unwrap());
    let reflector = &network.hosts[REFLECTOR].speaker;
    match reflector.advertised(id, prefix(text)) {
        Advertised::NotSent(reason) => reason,
        other @ (Advertised::Announced(_) | Advertised::Pending) => panic!("{other:?}"),
    }
}

const ALL_ROLES: [Role; 6] = [
    Client,
    Client,
    NonClient,
    NonClient,
    External(65001),
    External(65002),
];

#[test]
fn what_a_client_announces_goes_to_everyone_else() {
    let mut network = star(&ALL_ROLES);
    sends(&mut network, 1, &["10.1.0.0/26"]);
    assert_eq!(holders(&network, "10.1.0.0/26"), [2, 3, 4, 5, 6]);
    assert_eq!(why_not(&network, 1, "10.1.0.0/26"), NotSent::PeersOwn);
}

#[test]
fn what_another_internal_peer_announces_goes_to_clients_and_external_peers_only() {
    let mut network = star(&ALL_ROLES);
    sends(&mut network, 3, &["10.3.0.0/26"]);
    assert_eq!(holders(&network, "10.3.0.0/26"), [1, 2, 5, 6]);
    let reason = NotSent::BetweenNonClients;
    assert_eq!(why_not(&network, 4, "10.3.0.0/26"), reason);
}

#[test]
fn what_an_external_peer_announces_goes_to_internal_peers_only() {
    let mut network = star(&ALL_ROLES);
    sends(&mut network, 5, &["0.0.0.0/0"]);
    assert_eq!(holders(&network, "0.0.0.0/0"), [1, 2, 3, 4]);
    assert_eq!(why_not(&network, 6, "0.0.0.0/0"), NotSent::Transit);
    let (set, _) = at(&network, 1, "0.0.0.0/0").unwrap();
    assert_eq!(set.next_hop.address, address(5), "RFC 4271 5.1.3");
    assert_eq!(set.path.as_path.to_string(), "65001");
    assert_eq!(set.path.local_pref, Some(100));
    // It was brought into the AS here: nothing is reflected.
    assert_eq!(set.path.originator_id, None);
    assert_eq!(set.path.cluster_list, Vec::<Ipv4Addr>::new());
}

#[test]
fn a_node_without_a_cluster_passes_on_nothing_to_anybody() {
    let config = SpeakerConfig {
        cluster_id: None,
        ..reflector_config(&ALL_ROLES)
    };
    let mut network = star_with(&ALL_ROLES, config);
    for (host, text) in [(1, "10.1.0.0/26"), (3, "10.3.0.0/26"), (5, "10.5.0.0/26")] {
        sends(&mut network, host, &[text]);
        assert_eq!(holders(&network, text), Vec::<HostId>::new(), "{text}");
        let best = network.hosts[REFLECTOR]
            .speaker
            .loc_rib()
            .best(&prefix(text));
        assert!(best.is_some(), "{text}");
    }
}

/// A route with everything that a route can have.
fn rich_update(next_hop: IpAddr, text: &str) -> Update {
    Update {
        withdrawn: Vec::new(),
        reach: vec![Reach {
            next_hop: NextHop {
                address: next_hop,
                link_local: None,
            },
            prefixes: vec![prefix(text)],
        }],
        attributes: PathAttributes {
            med: Some(7),
            local_pref: Some(333),
            atomic_aggregate: true,
            communities: vec![Community(9), Community(8)],
            extended_communities: vec![
                ExtendedCommunity([0x40, 4, 0, 0, 0, 0, 0, 1]),
                ExtendedCommunity([0, 2, 0, 0, 0, 0, 0, 2]),
            ],
            unknown: vec![UnknownAttribute {
                flags: 0xE0,
                code: 240,
                value: vec![1, 2, 3],
            }],
            ..PathAttributes::default()
        },
        errors: Vec::new(),
        message: Vec::new(),
    }
}

#[test]
fn a_reflected_route_is_as_it_was_but_for_its_originator_and_the_cluster() {
    let mut network = star(&ALL_ROLES);
    let elsewhere: IpAddr = "10.0.0.99".parse().unwrap();
    let update = rich_update(elsewhere, "10.1.0.0/26");
    assert!(network.interject(1, REFLECTOR, &Message::Update(update.clone())));
    network.run(seconds(1));
    for host in [2, 3] {
        let (set, ineligible) = at(&network, host, "10.1.0.0/26").unwrap();
        assert_eq!(ineligible, None);
        assert_eq!(set.next_hop.address, elsewhere, "never our own");
        let reflected = PathAttributes {
            originator_id: Some(router_id(1).into()),
            cluster_list: vec![CLUSTER],
            ..update.attributes.clone()
        };
        assert_eq!(set.path, reflected);
    }
    let (set, _) = at(&network, 5, "10.1.0.0/26").unwrap();
    assert_eq!(set.next_hop.address, address(REFLECTOR));
    let left = PathAttributes {
        as_path: crate::bgp::wire::AsPath::sequence(&[Asn(OURS)]),
        local_pref: None,
        extended_communities: vec![update.attributes.extended_communities[1]],
        ..update.attributes.clone()
    };
    assert_eq!(set.path, left);
}

#[test]
fn what_another_as_announced_elsewhere_does_not_leave_ours_again() {
    let mut network = star(&ALL_ROLES);
    let mut update = rich_update("10.0.0.99".parse().unwrap(), "10.1.0.0/26");
    update.attributes.as_path = crate::bgp::wire::AsPath::sequence(&[Asn(65099)]);
    assert!(network.interject(1, REFLECTOR, &Message::Update(update)));
    network.run(seconds(1));
    assert_eq!(holders(&network, "10.1.0.0/26"), [2, 3, 4]);
    assert_eq!(why_not(&network, 5, "10.1.0.0/26"), NotSent::Transit);
}

#[test]
fn communities_bind_a_reflector() {
    for (community, reached) in [
        (Community::NO_EXPORT, vec![2, 3, 4]),
        (Community::NO_ADVERTISE, vec![]),
    ] {
        let mut network = star(&ALL_ROLES);
        let mut update = rich_update("10.0.0.99".parse().unwrap(), "10.1.0.0/26");
        update.attributes.communities = vec![community];
        assert!(network.interject(1, REFLECTOR, &Message::Update(update)));
        network.run(seconds(1));
        assert_eq!(holders(&network, "10.1.0.0/26"), reached, "{community:?}");
    }
}

#[test]
fn next_hop_modes_say_whose_address_learned_routes_have() {
    let next_hop = |mode, host| {
        let mut config = reflector_config(&ALL_ROLES);
        for peer in &mut config.peers {
            peer.next_hop_mode = mode;
        }
        let mut network = star_with(&ALL_ROLES, config);
        sends(&mut network, 1, &["10.1.0.0/26"]);
        sends(&mut network, REFLECTOR, &["10.0.0.0/26"]);
        let (own, _) = at(&network, host, "10.0.0.0/26").unwrap();
        assert_eq!(own.next_hop.address, address(REFLECTOR), "{mode:?}");
        let (set, _) = at(&network, host, "10.1.0.0/26").unwrap();
        set.next_hop.address
    };
    for (mode, to_internal, to_external) in [
        (NextHopMode::Auto, address(1), address(REFLECTOR)),
        (
            NextHopMode::SelfAddress,
            address(REFLECTOR),
            address(REFLECTOR),
        ),
        (NextHopMode::Keep, address(1), address(1)),
    ] {
        assert_eq!(next_hop(mode, 2), to_internal, "{mode:?}");
        assert_eq!(next_hop(mode, 5), to_external, "{mode:?}");
    }
}

#[test]
fn no_peer_is_told_to_go_by_itself() {
    let mut network = star(&ALL_ROLES);
    let update = rich_update(address(2), "10.1.0.0/26");
    assert!(network.interject(1, REFLECTOR, &Message::Update(update)));
    network.run(seconds(1));
    assert_eq!(holders(&network, "10.1.0.0/26"), [3, 4, 5, 6]);
    assert_eq!(why_not(&network, 2, "10.1.0.0/26"), NotSent::PeersNextHop);
}

#[test]
fn an_own_route_goes_before_a_learned_one() {
    let mut network = star(&[Client, Client]);
    sends(&mut network, 1, &["10.96.0.10/32"]);
    let next_hop = |network: &Network| at(network, 2, "10.96.0.10").unwrap().0.next_hop.address;
    assert_eq!(next_hop(&network), address(1));
    sends(&mut network, REFLECTOR, &["10.96.0.10/32"]);
    assert_eq!(next_hop(&network), address(REFLECTOR));
    network.input(REFLECTOR, export(&["10.96.0.10/32"], &None));
    network.run(seconds(1));
    assert_eq!(
        next_hop(&network),
        address(1),
        "what was learned is there again"
    );
}

#[test]
fn the_best_path_goes_on_and_another_takes_its_place() {
    let roles = [Client, Client, Client];
    let mut reflector = reflector_config(&roles);
    // Whoever restarts gracefully is reflected from for a while without a session.
    reflector.peers[0].restart_time = None;
    let mut network = star_with(&roles, reflector);
    for host in [1, 2] {
        sends(&mut network, host, &["10.96.0.10/32"]);
    }
    let next_hop = |network: &Network, host| {
        let route = at(network, host, "10.96.0.10");
        route.map(|(set, _)| set.next_hop.address)
    };
    assert_eq!(
        next_hop(&network, 3),
        Some(address(1)),
        "the lower router id"
    );
    assert_eq!(next_hop(&network, 2), Some(address(1)));
    assert_eq!(next_hop(&network, 1), None, "the best path is its own");
    network.hosts[1].listening = false;
    network.hosts[REFLECTOR].listening = false;
    network.cut(REFLECTOR, 1);
    network.run(Duration::from_millis(100));
    assert_eq!(next_hop(&network, 3), Some(address(2)));
    assert_eq!(next_hop(&network, 2), None);
    network.input(2, export(&["10.96.0.10/32"], &None));
    network.run(Duration::from_millis(100));
    assert_eq!(next_hop(&network, 3), None);
}

#[test]
fn a_session_that_comes_later_gets_what_was_learned_before_and_then_end_of_rib() {
    let roles = [Client, Client];
    let mut config = reflector_config(&roles);
    let late = config.peers.pop().unwrap();
    let mut network = star_with(&roles[..1], config.clone());
    network.add(Speaker::new(9), address(2));
    sends(&mut network, 1, &["10.1.0.0/26"]);
    configure(
        &mut network,
        2,
        super::config(2, OURS, vec![peer(REFLECTOR, OURS)]),
    );
    config.peers.push(late);
    configure(&mut network, REFLECTOR, config);
    network.sent.clear();
    network.run(seconds(10));
    assert_eq!(holders(&network, "10.1.0.0/26"), [2]);
    let to_late = network.sent.iter().filter(|sent| sent.to == 2);
    let to_late: Vec<&Message> = to_late.map(|sent| &sent.message).collect();
    let place = |is: fn(&&Message) -> bool| to_late.iter().position(is);
    let route = place(|message| matches!(message, Message::Update(_))).unwrap();
    let end = place(|message| matches!(message, Message::EndOfRib(_))).unwrap();
    assert!(route < end, "{to_late:?}");
}

#[test]
fn roles_change_under_live_sessions() {
    let mut network = star(&ALL_ROLES);
    sends(&mut network, 3, &["10.3.0.0/26"]);
    network.hosts[REFLECTOR].events.clear();
    let mut step = |config: SpeakerConfig, reached: &[HostId]| {
        configure(&mut network, REFLECTOR, config);
        network.run(seconds(1));
        assert_eq!(holders(&network, "10.3.0.0/26"), reached);
    };
    let mut config = reflector_config(&ALL_ROLES);
    config.peers[3].reflection = Reflection::Client;
    step(config.clone(), &[1, 2, 4, 5, 6]);
    config.peers[3].reflection = Reflection::NonClient;
    config.peers[1].reflection = Reflection::NonClient;
    step(config.clone(), &[1, 5, 6]);
    config.cluster_id = None;
    step(config.clone(), &[]);
    config.cluster_id = Some(ClusterId(CLUSTER));
    step(config.clone(), &[1, 5, 6]);
    config.peers[0].next_hop_mode = NextHopMode::SelfAddress;
    step(config, &[1, 5, 6]);
    let (set, _) = at(&network, 1, "10.3.0.0/26").unwrap();
    assert_eq!(set.next_hop.address, address(REFLECTOR));
    assert_eq!(events(&network, REFLECTOR), [], "no session was touched");
}

#[test]
fn a_path_through_our_own_cluster_is_kept_apart_with_the_reason() {
    let roles = [NonClient, Client];
    let mut network = star(&roles);
    let mut update = rich_update("10.0.0.99".parse().unwrap(), "10.1.0.0/26");
    update.attributes.originator_id = Some("10.0.0.77".parse().unwrap());
    update.attributes.cluster_list = vec!["244.0.0.9".parse().unwrap(), CLUSTER];
    assert!(network.interject(1, REFLECTOR, &Message::Update(update.clone())));
    network.run(seconds(1));
    let reason = |network: &Network| {
        let reflector = &network.hosts[REFLECTOR].speaker;
        let route = reflector.received_route(PeerId(1), &prefix("10.1.0.0/26"));
        route.unwrap().1
    };
    assert_eq!(reason(&network), Some(Ineligible::OwnCluster(CLUSTER)));
    assert_eq!(holders(&network, "10.1.0.0/26"), Vec::<HostId>::new());
    update.attributes.cluster_list.pop();
    update.attributes.originator_id = Some(router_id(REFLECTOR).into());
    assert!(network.interject(1, REFLECTOR, &Message::Update(update.clone())));
    network.run(seconds(1));
    let own = Ineligible::OwnOriginator(router_id(REFLECTOR).into());
    assert_eq!(reason(&network), Some(own));
    update.attributes.originator_id = Some("10.0.0.77".parse().unwrap());
    assert!(network.interject(1, REFLECTOR, &Message::Update(update.clone())));
    network.run(seconds(1));
    assert_eq!(reason(&network), None);
    let (set, _) = at(&network, 2, "10.1.0.0/26").unwrap();
    assert_eq!(set.path.originator_id, update.attributes.originator_id);
    let list = [CLUSTER, "244.0.0.9".parse().unwrap()];
    assert_eq!(set.path.cluster_list, list, "ours in front");
    // With another id the node is in another cluster, and with that one in this.
    let other = SpeakerConfig {
        cluster_id: Some(ClusterId("244.0.0.9".parse().unwrap())),
        ..reflector_config(&roles)
    };
    configure(&mut network, REFLECTOR, other);
    network.run(seconds(1));
    let cluster = Ineligible::OwnCluster("244.0.0.9".parse().unwrap());
    assert_eq!(reason(&network), Some(cluster));
    assert_eq!(holders(&network, "10.1.0.0/26"), Vec::<HostId>::new());
}

#[test]
fn a_local_as_is_ours_on_its_session_alone() {
    let roles = [Client, External(65001), External(65002)];
    let mut config = reflector_config(&roles);
    config.peers[1].local_asn = Some(Asn(64999));
    let mut network = star_with(&roles, config);
    sends(&mut network, 1, &["10.1.0.0/26"]);
    sends(&mut network, REFLECTOR, &["10.0.0.0/26"]);
    for text in ["10.1.0.0/26", "10.0.0.0/26"] {
        let path = |host| at(&network, host, text).unwrap().0.path.as_path.to_string();
        assert_eq!(path(2), "64999", "{text}");
        assert_eq!(path(3), "64512", "{text}");
    }
}

#[test]
fn to_whom_a_learned_route_went_can_be_asked() {
    let mut network = star(&ALL_ROLES);
    sends(&mut network, 3, &["10.3.0.0/26"]);
    let reflector = &network.hosts[REFLECTOR].speaker;
    let asked = reflector.passed_on(prefix("10.3.0.0/26"));
    let told: Vec<(u32, Option<NotSent>)> = asked
        .map(|(peer, advertised)| match advertised {
            Advertised::Announced(set) => {
                assert!(set.path.cluster_list.is_empty() || set.path.cluster_list == [CLUSTER]);
                (peer.0, None)
            }
            Advertised::NotSent(reason) => (peer.0, Some(reason)),
            Advertised::Pending => panic!("{peer} is quiet"),
        })
        .collect();
    let expected = [
        (1, None),
        (2, None),
        (3, Some(NotSent::PeersOwn)),
        (4, Some(NotSent::BetweenNonClients)),
        (5, None),
        (6, None),
    ];
    assert_eq!(told, expected);
    assert_eq!(reflector.passed_on(prefix("10.9.0.0/26")).count(), 0);
}
