//! Own routes on their way out: nothing too early, nothing twice, nothing forgotten, and the
//! right attributes.

use super::*;
use crate::bgp::wire::AsPath;
use crate::types::{Community, LargeCommunity};

#[test]
fn nothing_is_announced_before_exports_are_complete() {
    let mut network = two_hosts();
    configure(&mut network, A, config(A, 64512, vec![peer(B, 64512)]));
    configure(&mut network, B, config(B, 64512, vec![peer(A, 64512)]));
    network.input(A, export(&["10.1.0.0/16"], &plain()));
    network.run_until(seconds(10), "established", both_established);
    network.run(seconds(10));
    assert_eq!(updates_by(&network, A), []);
    assert!(
        !network
            .sent
            .iter()
            .any(|sent| matches!(sent.message, Message::EndOfRib(_)))
    );
    let waits = network.hosts[A]
        .speaker
        .advertised(PeerId(1), prefix("10.1.0.0/16"));
    assert_eq!(waits, Advertised::NotSent(NotSent::Incomplete));
    network.sent.clear();
    network.input(A, Input::ExportsComplete);
    network.run(seconds(1));
    let sent = sent_by(&network, A);
    assert!(matches!(&sent[0], Message::Update(update) if update.reach.len() == 1));
    let ends = [
        Message::EndOfRib(Family::Ipv4Unicast),
        Message::EndOfRib(Family::Ipv6Unicast),
    ];
    assert_eq!(sent[1..], ends);
}

#[test]
fn an_empty_table_ends_too() {
    let mut network = two_hosts();
    configure(&mut network, A, config(A, 64512, vec![peer(B, 64512)]));
    configure(&mut network, B, config(B, 64512, vec![peer(A, 64512)]));
    network.input(A, Input::ExportsComplete);
    network.run(seconds(5));
    let ends = sent_by(&network, A);
    assert_eq!(
        ends.iter()
            .filter(|m| matches!(m, Message::EndOfRib(_)))
            .count(),
        2
    );
}

#[test]
fn one_change_is_one_update_to_each_peer_of_the_group() {
    let mut network = pair();
    let many: Vec<String> = (0..200).map(|n| format!("10.1.{n}.0/24")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    network.input(A, export(&many, &plain()));
    assert_eq!(
        sent_by(&network, A).len(),
        1,
        "one attribute set, one message"
    );
    network.sent.clear();
    network.input(
        A,
        export(&["10.1.7.0/24"], &route(|route| route.med = Some(5))),
    );
    network.input(A, export_to(GroupId(3), &["10.1.8.0/24"], &None));
    let updates = updates_by(&network, A);
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].reach[0].prefixes, [prefix("10.1.7.0/24")]);
    assert_eq!(updates[0].withdrawn, []);
    network.sent.clear();
    network.input(A, export(&["10.1.7.0/24"], &None));
    let updates = updates_by(&network, A);
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].withdrawn, [prefix("10.1.7.0/24")]);
    network.run(seconds(1));
    assert_eq!(received_by_b(&network).len(), 199);
}

#[test]
fn what_the_peer_has_is_not_sent_again() {
    let mut network = pair();
    network.input(A, export(&["10.1.0.0/16"], &plain()));
    network.run(seconds(1));
    network.sent.clear();
    network.input(A, export(&["10.1.0.0/16"], &plain()));
    network.input(A, export(&["10.2.0.0/16"], &None));
    assert_eq!(sent_by(&network, A), []);
}

#[test]
fn a_change_and_its_reversal_before_sending_send_nothing() {
    let mut network = pair();
    network.input(A, export(&["10.1.0.0/16"], &plain()));
    network.run(seconds(1));
    network.sent.clear();
    network.input_without_draining(A, export(&["10.1.0.0/16"], &None));
    network.input_without_draining(A, export(&["10.2.0.0/16"], &plain()));
    let pending = network.hosts[A]
        .speaker
        .advertised(PeerId(1), prefix("10.2.0.0/16"));
    assert_eq!(pending, Advertised::Pending);
    network.input_without_draining(A, export(&["10.2.0.0/16"], &None));
    network.input(A, export(&["10.1.0.0/16"], &plain()));
    network.run(seconds(1));
    assert_eq!(sent_by(&network, A), []);
}

#[test]
fn a_thousand_changes_are_no_transition() {
    let mut network = pair();
    let before = (view(&network, A).since, view(&network, B).since);
    for change in 0..1000 {
        let text = format!("10.{}.{}.0/24", change % 7, change % 11);
        let attributes = if change % 3 == 0 { None } else { plain() };
        network.input(A, export(&[&text], &attributes));
        network.run(Duration::from_millis(20));
    }
    assert_eq!((view(&network, A).since, view(&network, B).since), before);
    assert_eq!(events(&network, A).len(), 1);
    assert_eq!(events(&network, B).len(), 1);
}

#[test]
fn a_new_session_is_sent_the_table_of_the_day() {
    let mut network = pair();
    network.input(A, export(&["10.1.0.0/16", "10.2.0.0/16"], &plain()));
    network.run(seconds(1));
    network.cut(A, B);
    network.run(Duration::from_millis(100));
    network.input(A, export(&["10.1.0.0/16"], &None));
    network.input(A, export(&["10.3.0.0/16"], &plain()));
    assert_eq!(
        network.hosts[A]
            .speaker
            .advertised(PeerId(1), prefix("10.3.0.0/16")),
        Advertised::NotSent(NotSent::NoSession)
    );
    network.run(seconds(10));
    assert_eq!(received_by_b(&network), ["10.2.0.0/16", "10.3.0.0/16"]);
}

#[test]
fn a_peer_that_asks_is_sent_a_family_again() {
    let mut network = pair();
    network.input(A, export(&["10.1.0.0/16", "fd01::/64"], &plain()));
    network.run(seconds(1));
    network.sent.clear();
    let mut refresh = vec![0xFF; 16];
    refresh.extend([0, 23, 5, 0, 1, 0, 1]);
    network.inject(A, &refresh);
    let updates = updates_by(&network, A);
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].reach[0].prefixes, [prefix("10.1.0.0/16")]);
}

#[test]
fn a_peer_that_does_not_read_costs_little_and_gets_the_newest_when_it_does() {
    let mut network = pair();
    network.hosts[A].writable = false;
    for round in 0..20_u32 {
        for block in 0..20 {
            let texts: Vec<_> = (0..200).map(|n| format!("10.{block}.{n}.0/24")).collect();
            let changes = texts.iter().enumerate().map(|(n, text)| {
                let med = round * 1000 + u32::try_from(n).unwrap();
                (prefix(text), route(|route| route.med = Some(med)))
            });
            let changes = changes.collect();
            network.input(
                A,
                Input::Export {
                    group: GroupId(0),
                    changes,
                },
            );
        }
    }
    // The bound, one more message, and a KEEPALIVE or two.
    let bound = 256 * 1024 + 4096 + 100;
    assert!(
        network.backlog_bytes(A) <= bound,
        "{}",
        network.backlog_bytes(A)
    );
    assert!(
        network.backlog_bytes(A) > 200 * 1024,
        "the test fills the queue"
    );
    assert!(view(&network, A).prefixes_pending > 0);
    network.sent.clear();
    network.set_writable(A);
    network.run(seconds(1));
    assert_eq!(view(&network, A).prefixes_pending, 0);
    assert!(
        updates_by(&network, A).len() <= 4000,
        "each prefix at most once more"
    );
    for (prefix, attributes, _) in network.hosts[B].speaker.received(PeerId(0)) {
        assert!(attributes.path.med >= Some(19_000), "{prefix} is outdated");
    }
    assert_eq!(received_by_b(&network).len(), 4000);
    assert!(both_established(&network));
}

#[test]
fn a_peer_that_takes_no_octets_is_given_up() {
    // Without hold timers nothing but RFC 9687 can notice.
    let mut network = two_hosts();
    for (host, other) in [(A, B), (B, A)] {
        let mut peer = peer(other, 64512);
        peer.hold_time = HoldTime::from_secs(0).unwrap();
        configure(&mut network, host, config(host, 64512, vec![peer]));
    }
    network.input(A, Input::ExportsComplete);
    network.run_until(seconds(10), "established", both_established);
    network.run(seconds(1));
    network.hosts[A].writable = false;
    network.input(A, export(&["10.1.0.0/16"], &plain()));
    network.run(seconds(479));
    assert_eq!(state(&network, A), SessionState::Established);
    network.run(seconds(2));
    let down = |event: &Event| matches!(event, Event::Down { reason, .. } if reason.contains("send hold timer"));
    assert!(
        events(&network, A).iter().any(down),
        "{:?}",
        events(&network, A)
    );
}

#[test]
fn internal_peers_get_an_empty_path_and_a_local_preference() {
    let mut network = pair();
    let attributes = route(|route| {
        route.prepend = 3;
        route.med = Some(7);
        route.large_communities = vec![LargeCommunity {
            global_administrator: 1,
            local_data_1: 2,
            local_data_2: 3,
        }];
    });
    network.input(A, export(&["10.1.0.0/16"], &attributes));
    let update = updates_by(&network, A).remove(0);
    assert_eq!(update.attributes.as_path, AsPath::default());
    assert_eq!(update.attributes.local_pref, Some(100));
    assert_eq!(update.attributes.med, Some(7));
    assert_eq!(update.attributes.large_communities.len(), 1);
    assert_eq!(update.reach[0].next_hop.address, address(A));
}

#[test]
fn external_peers_get_our_as_and_no_local_preference() {
    let mut network = pair_in(64512, 65000);
    let attributes = route(|route| {
        route.prepend = 2;
        route.local_pref = Some(200);
    });
    network.input(A, export(&["10.1.0.0/16"], &attributes));
    network.run(seconds(1));
    let update = updates_by(&network, A).remove(0);
    assert_eq!(
        update.attributes.as_path,
        AsPath::sequence(&[Asn(64512); 3])
    );
    assert_eq!(update.attributes.local_pref, None);
    assert_eq!(update.attributes.med, None);
    assert_eq!(received_by_b(&network), ["10.1.0.0/16"]);
}

#[test]
fn communities_that_forbid_bind_us_first() {
    let no_export = route(|route| route.communities = vec![Community::NO_EXPORT]);
    let no_advertise = route(|route| route.communities = vec![Community::NO_ADVERTISE]);
    for (asn_b, expected) in [(64512, vec!["10.1.0.0/16"]), (65000, vec![])] {
        let mut network = pair_in(64512, asn_b);
        network.input(A, export(&["10.1.0.0/16"], &no_export));
        network.input(A, export(&["10.2.0.0/16"], &no_advertise));
        network.run(seconds(1));
        assert_eq!(received_by_b(&network), expected);
        let withheld = network.hosts[A]
            .speaker
            .advertised(PeerId(1), prefix("10.2.0.0/16"));
        assert_eq!(withheld, Advertised::NotSent(NotSent::NoAdvertise));
    }
}

#[test]
fn ipv6_routes_leave_an_ipv4_session_by_the_configured_next_hop() {
    let mut network = pair();
    network.input(A, export(&["fd01::/64"], &plain()));
    network.run(seconds(1));
    let update = updates_by(&network, A).remove(0);
    assert_eq!(update.reach[0].next_hop.address.to_string(), "fd00::1");
    assert_eq!(received_by_b(&network), ["fd01::/64"]);
    let sent: Vec<_> = network.hosts[A].speaker.advertisements(PeerId(1)).collect();
    assert_eq!(sent[0].0, prefix("fd01::/64"));
}

#[test]
fn without_a_next_hop_a_family_is_kept_back_and_said_so_once() {
    let mut network = pair();
    let mut lacking = config(A, 64512, vec![peer(B, 64512)]);
    lacking.next_hops.ipv6 = None;
    configure(&mut network, A, lacking.clone());
    network.hosts[A].events.clear();
    network.input(A, export(&["fd01::/64", "fd02::/64"], &plain()));
    network.input(A, export(&["fd03::/64"], &plain()));
    let first = Event::NoNextHop {
        peer: PeerId(1),
        prefix: prefix("fd01::/64"),
    };
    assert_eq!(events(&network, A), [first]);
    let withheld = network.hosts[A]
        .speaker
        .advertised(PeerId(1), prefix("fd03::/64"));
    assert_eq!(
        withheld,
        Advertised::NotSent(NotSent::NoNextHop(Family::Ipv6Unicast))
    );
    assert_eq!(sent_by(&network, A), []);
    configure(&mut network, A, config(A, 64512, vec![peer(B, 64512)]));
    network.run(seconds(1));
    assert_eq!(received_by_b(&network).len(), 3);
}

#[test]
fn a_policys_next_hop_goes_before_our_own_if_it_can_be_one() {
    let mut network = pair();
    let chosen = route(|route| route.next_hop = Some("10.0.0.77".parse().unwrap()));
    network.input(A, export(&["10.1.0.0/16", "fd01::/64"], &chosen));
    let updates = updates_by(&network, A);
    assert_eq!(updates.len(), 1);
    assert_eq!(
        updates[0].reach[0].next_hop.address.to_string(),
        "10.0.0.77"
    );
    let last = events(&network, A).pop();
    assert!(matches!(
        last,
        Some(Event::CannotSend {
            reason: NotSent::UnusableNextHop(_),
            ..
        })
    ));
}

#[test]
fn attributes_that_no_message_holds_are_not_announced() {
    let mut network = pair();
    network.input(A, export(&["10.1.0.0/16"], &plain()));
    network.run(seconds(1));
    let huge = route(|route| route.communities = (0..1100).map(Community).collect());
    network.input(A, export(&["10.1.0.0/16"], &huge));
    network.run(seconds(1));
    assert_eq!(received_by_b(&network), Vec::<String>::new());
    let last = events(&network, A).pop();
    assert!(matches!(
        last,
        Some(Event::CannotSend {
            reason: NotSent::TooLarge(_),
            ..
        })
    ));
}

#[test]
fn an_ipv6_session_from_a_link_local_address_never_names_it_as_next_hop() {
    let mut network = Network::new(1, Conditions::perfect());
    let addresses: [IpAddr; 2] = ["fe80::a".parse().unwrap(), "fe80::b".parse().unwrap()];
    for (host, address) in addresses.into_iter().enumerate() {
        network.add(Speaker::new(u64::try_from(host).unwrap()), address);
    }
    for (host, other) in [(A, B), (B, A)] {
        let mut peer = peer(other, 64512);
        peer.address = addresses[other];
        configure(&mut network, host, config(host, 64512, vec![peer]));
        network.input(host, Input::ExportsComplete);
    }
    network.run_until(seconds(10), "established", both_established);
    network.input(A, export(&["fd01::/64"], &plain()));
    network.run(seconds(1));
    let update = updates_by(&network, A).remove(0);
    assert_eq!(update.reach[0].next_hop.address.to_string(), "fd00::1");
}

/// Host 0 with hosts 1 and 2 in its AS and host 3 in another, all sent the same decisions.
fn one_with_three_peers() -> Network {
    let mut network = Network::new(1, Conditions::perfect());
    for host in 0..4 {
        network.add(Speaker::new(u64::try_from(host).unwrap()), address(host));
    }
    let peers = vec![peer(1, 64512), peer(2, 64512), peer(3, 65000)];
    configure(&mut network, 0, config(0, 64512, peers));
    for (host, asn) in [(1, 64512), (2, 64512), (3, 65000)] {
        configure(&mut network, host, config(host, asn, vec![peer(0, 64512)]));
        network.input(host, Input::ExportsComplete);
    }
    network.input(0, Input::ExportsComplete);
    network.run(seconds(10));
    network
}

fn sent_to(network: &Network, host: HostId) -> Vec<Message> {
    let sent = network.sent.iter().filter(|sent| sent.to == host);
    let messages = sent.map(|sent| sent.message.clone());
    messages
        .filter(|message| *message != Message::Keepalive)
        .collect()
}

#[test]
fn peers_that_are_told_the_same_share_one_adj_rib_out_and_others_do_not() {
    let mut network = one_with_three_peers();
    network.sent.clear();
    network.input(0, export(&["10.1.0.0/16", "10.2.0.0/16"], &plain()));
    network.run(seconds(1));
    assert_eq!(sent_to(&network, 1).len(), 1);
    assert_eq!(sent_to(&network, 1), sent_to(&network, 2));
    assert_ne!(sent_to(&network, 1), sent_to(&network, 3));
    let groups = &network.hosts[0].speaker.update_groups;
    let members = |peer| groups.of(PeerId(peer)).unwrap().members();
    assert_eq!(members(1).collect::<Vec<_>>(), [PeerId(1), PeerId(2)]);
    assert_eq!(members(3).collect::<Vec<_>>(), [PeerId(3)]);
}

#[test]
fn a_session_that_is_new_in_its_group_is_sent_the_table_and_the_others_nothing() {
    let mut network = one_with_three_peers();
    network.input(0, export(&["10.1.0.0/16", "10.2.0.0/16"], &plain()));
    network.run(seconds(1));
    network.cut(0, 2);
    network.run(Duration::from_millis(10));
    let waits = network.hosts[0]
        .speaker
        .advertised(PeerId(2), prefix("10.1.0.0/16"));
    assert_eq!(waits, Advertised::NotSent(NotSent::NoSession));
    network.sent.clear();
    network.input(0, export(&["10.2.0.0/16"], &None));
    network.run(seconds(30));
    let updates = |host| sent_to(&network, host);
    assert_eq!(updates(1).len(), 1, "{:?}", updates(1));
    let to_2 = network.hosts[2].speaker.received(PeerId(0));
    let to_2: Vec<Prefix> = to_2.map(|(prefix, ..)| prefix).collect();
    assert_eq!(to_2, [prefix("10.1.0.0/16")]);
    let ends = updates(2);
    let ends = ends
        .iter()
        .filter(|message| matches!(message, Message::EndOfRib(_)));
    assert_eq!(ends.count(), 2);
}

/// One of them moves to other decisions: no route of the rest is touched.
#[test]
fn a_peer_that_leaves_its_group_for_another_is_sent_the_difference_alone() {
    let mut network = one_with_three_peers();
    network.input(0, export(&["10.1.0.0/16", "10.2.0.0/16"], &plain()));
    network.input(0, export_to(GroupId(7), &["10.2.0.0/16"], &plain()));
    network.run(seconds(1));
    network.sent.clear();
    let mut moved = peer(2, 64512);
    moved.group = GroupId(7);
    let peers = vec![peer(1, 64512), moved, peer(3, 65000)];
    configure(&mut network, 0, config(0, 64512, peers));
    network.run(seconds(1));
    assert_eq!(sent_to(&network, 1), []);
    let to_2 = sent_to(&network, 2);
    assert!(
        matches!(&to_2[..], [Message::Update(update)] if update.withdrawn == [prefix("10.1.0.0/16")]),
        "{to_2:?}"
    );
}
