//! Routes of peers on their way in: the Loc-RIB follows the peers, keeps nothing of the dead,
//! and gives nothing away.

use super::*;

/// Host 0 is a router in AS 65000 with nodes 1 and 2, each an AS of its own.
pub(super) fn router_with_two_nodes() -> Network {
    let mut network = Network::new(1, Conditions::perfect());
    for host in 0..3 {
        network.add(Speaker::new(u64::try_from(host).unwrap()), address(host));
    }
    configure(
        &mut network,
        0,
        config(0, 65000, vec![peer(1, 65001), peer(2, 65002)]),
    );
    for node in 1..3 {
        let asn = 65000 + u32::try_from(node).unwrap();
        configure(&mut network, node, config(node, asn, vec![peer(0, 65000)]));
        network.input(node, Input::ExportsComplete);
    }
    network.input(0, Input::ExportsComplete);
    network.run(seconds(10));
    network
}

fn next_hops(network: &Network, text: &str) -> Vec<String> {
    let paths = network.hosts[0].speaker.loc_rib().selected(&prefix(text));
    paths
        .iter()
        .map(|path| path.attributes.next_hop.address.to_string())
        .collect()
}

#[test]
fn equal_paths_are_used_together() {
    let mut network = router_with_two_nodes();
    network.input(1, export(&["10.96.0.10/32"], &plain()));
    network.input(2, export(&["10.96.0.10/32"], &plain()));
    network.run(seconds(1));
    assert_eq!(next_hops(&network, "10.96.0.10"), ["10.0.0.2", "10.0.0.3"]);
    network.input(1, export(&["10.96.0.10/32"], &None));
    network.run(seconds(1));
    assert_eq!(next_hops(&network, "10.96.0.10"), ["10.0.0.3"]);
}

#[test]
fn without_graceful_restart_no_path_outlives_its_session() {
    let mut network = router_with_two_nodes();
    let node = PeerConfig {
        restart_time: None,
        ..peer(1, 65001)
    };
    configure(&mut network, 0, config(0, 65000, vec![node]));
    network.input(1, export(&["10.96.0.10/32"], &plain()));
    network.run(seconds(10));
    network.run(seconds(1));
    assert_eq!(next_hops(&network, "10.96.0.10"), ["10.0.0.2"]);
    network.hosts[0].listening = false;
    network.hosts[1].listening = false;
    network.cut(0, 1);
    network.run(Duration::from_millis(10));
    assert!(next_hops(&network, "10.96.0.10").is_empty());
    assert!(network.hosts[0].speaker.loc_rib().is_empty());
    assert_eq!(network.hosts[0].speaker.received(PeerId(1)).count(), 0);
}

#[test]
fn a_change_of_the_best_paths_is_said() {
    let mut network = router_with_two_nodes();
    network.input(1, export(&["10.96.0.10/32"], &plain()));
    network.run(seconds(1));
    let now = network.now;
    let speaker = &mut network.hosts[0].speaker;
    speaker.handle_input(
        now,
        Input::Configure(config(0, 65000, vec![peer(2, 65002)])),
    );
    let outputs: Vec<_> = std::iter::from_fn(|| speaker.poll_output()).collect();
    let changed = |output: &Output| matches!(output, Output::RouteChange { prefix: of } if *of == prefix("10.96.0.10"));
    assert_eq!(outputs.iter().filter(|output| changed(output)).count(), 1);
}

#[test]
fn initial_routes_are_there_when_every_peer_has_sent_its_table_to_its_end() {
    let mut network = two_hosts();
    assert!(
        !network.hosts[A].speaker.has_initial_routes(),
        "no configuration"
    );
    configure(
        &mut network,
        A,
        config(A, 64512, vec![peer(B, 65000), peer(2, 65001)]),
    );
    configure(&mut network, B, config(B, 65000, vec![peer(A, 64512)]));
    network.input(A, Input::ExportsComplete);
    network.run(seconds(10));
    assert_eq!(state(&network, B), SessionState::Established);
    let one_peer = config(A, 64512, vec![peer(B, 65000)]);
    configure(&mut network, A, one_peer);
    network.run(seconds(1));
    assert!(
        !network.hosts[A].speaker.has_initial_routes(),
        "no End-of-RIB"
    );
    network.input(B, Input::ExportsComplete);
    network.run(seconds(1));
    assert!(network.hosts[A].speaker.has_initial_routes());
    configure(
        &mut network,
        A,
        config(A, 64512, vec![peer(B, 65000), peer(2, 65001)]),
    );
    assert!(
        !network.hosts[A].speaker.has_initial_routes(),
        "a peer without a session"
    );
    // Who does not come within the restart time has nothing that is worth waiting for.
    network.run(seconds(119));
    assert!(!network.hosts[A].speaker.has_initial_routes());
    network.run(seconds(2));
    assert!(network.hosts[A].speaker.has_initial_routes());
}

#[test]
fn a_node_is_no_transit() {
    let mut network = router_with_two_nodes();
    network.input(1, export(&["10.96.0.10/32"], &plain()));
    network.run(seconds(5));
    assert_eq!(network.hosts[2].speaker.received(PeerId(0)).count(), 0);
    assert_eq!(
        network.hosts[0].speaker.advertisements(PeerId(2)).count(),
        0
    );
}

#[test]
fn a_route_that_went_through_our_as_is_kept_but_not_used() {
    let mut network = pair_in(64512, 65000);
    // AS_PATH 65000 64512, towards AS 64512.
    let update = update_octets(&[2, 2, 0, 0, 0xFD, 0xE8, 0, 0, 0xFC, 0]);
    network.inject(A, &update);
    let speaker = &network.hosts[A].speaker;
    let (_, _, why) = speaker.received(PeerId(1)).next().unwrap();
    assert_eq!(why.unwrap().to_string(), "our AS 64512 is in its AS_PATH");
    assert!(speaker.loc_rib().is_empty());
}

#[test]
fn what_rfc_7606_tolerates_is_told_with_its_prefixes_and_its_octets_and_is_counted() {
    let mut network = pair_in(64512, 65000);
    network.hosts[A].events.clear();
    // A malformed AS_PATH: a segment that claims three numbers and has one.
    let malformed = update_octets(&[2, 3, 0, 0, 0xFD, 0xE8]);
    network.inject(A, &malformed);
    let [Event::Tolerated { peer, tolerated }] = &events(&network, A)[..] else {
        panic!("{:?}", events(&network, A));
    };
    assert_eq!(*peer, PeerId(1));
    assert_eq!(
        tolerated.text(),
        "AS_PATH: attribute 2 ends inside a segment (RFC 7606 7.2): treated as withdraw"
    );
    assert_eq!(tolerated.prefixes, [prefix("10.9.0.0/16")]);
    assert_eq!(tolerated.message, malformed);
    assert_eq!(state(&network, A), SessionState::Established);
    let view = view(&network, A);
    assert_eq!(view.prefixes_received, 0);
    let count = (("AS_PATH", Treatment::TreatAsWithdraw), 1);
    assert_eq!(view.faults.counts.into_iter().collect::<Vec<_>>(), [count]);
    let last = view.faults.last.unwrap();
    assert_eq!((last.prefixes, last.more), (vec![prefix("10.9.0.0/16")], 0));
}

/// An UPDATE as it was sent once, its octets in hexadecimal.
fn octets(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2);
    digits
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn updates_that_are_treated_as_withdraw_are_told_and_counted_by_their_attribute() {
    let mut network = pair_in(64512, 65002);
    network.hosts[A].events.clear();
    // Without any attribute; NEXT_HOP of 3 octets; ORIGIN of a wrong length; the IPv4 unicast prefixes
    // twice, in MP_REACH_NLRI and behind it, the latter without NEXT_HOP.
    let cases = [
        (
            "ffffffffffffffffffffffffffffffff001b020000000018cb0071",
            "NEXT_HOP",
        ),
        (
            "ffffffffffffffffffffffffffffffff002e02000000134001010040020602010000fdea400303c0000218cb0071",
            "NEXT_HOP",
        ),
        (
            "ffffffffffffffffffffffffffffffff002f02000000140001010040020602010000fdea400304c000020118cb0071",
            "ORIGIN",
        ),
        (
            "ffffffffffffffffffffffffffffffff0038020000001d4001010040020602010000fdea800e0d00010104c00002010018c6336418cb0071",
            "NEXT_HOP",
        ),
    ];
    for (hex, attribute) in cases {
        network.hosts[A].events.clear();
        network.inject(A, &octets(hex));
        let [Event::Tolerated { tolerated, .. }] = &events(&network, A)[..] else {
            panic!("{hex}: {:?}", events(&network, A));
        };
        assert!(
            tolerated.prefixes.contains(&prefix("203.0.113.0/24")),
            "{hex}"
        );
        assert_eq!(tolerated.message, octets(hex));
        let subjects: Vec<_> = tolerated.faults.iter().map(|it| it.subject).collect();
        assert!(subjects.contains(&attribute), "{hex}: {subjects:?}");
    }
    assert_eq!(state(&network, A), SessionState::Established);
    let counts = view(&network, A).faults.counts;
    assert_eq!(counts[&("NEXT_HOP", Treatment::TreatAsWithdraw)], 3);
}

#[test]
fn an_external_peers_routes_begin_with_its_as_unless_it_is_a_route_server() {
    // AS_PATH 65001 65000, and nothing at all, from AS 65000.
    for path in [&[2, 2, 0, 0, 0xFD, 0xE9, 0, 0, 0xFD, 0xE8][..], &[]] {
        let mut network = pair_in(64512, 65000);
        network.inject(A, &update_octets(&[2, 1, 0, 0, 0xFD, 0xE8]));
        assert_eq!(view(&network, A).prefixes_received, 1);
        network.hosts[A].events.clear();
        network.inject(A, &update_octets(path));
        assert_eq!(
            view(&network, A).prefixes_received,
            0,
            "treated as withdraw"
        );
        let [Event::Tolerated { tolerated, .. }] = &events(&network, A)[..] else {
            panic!("{:?}", events(&network, A));
        };
        let text = tolerated.text();
        assert!(
            text.contains("not with the peer's 65000 (RFC 4271 6.3)"),
            "{text}"
        );

        let route_server = PeerConfig {
            first_as: FirstAs::Any,
            ..peer(B, 65000)
        };
        configure(&mut network, A, config(A, 64512, vec![route_server]));
        network.run_until(seconds(60), "both established", both_established);
        network.inject(A, &update_octets(path));
        assert_eq!(view(&network, A).prefixes_received, 1);
    }
}

#[test]
fn an_internal_peers_routes_begin_with_any_as() {
    let mut network = pair();
    network.inject(A, &update_octets(&[2, 1, 0, 0, 0xFD, 0xE9]));
    assert_eq!(view(&network, A).prefixes_received, 1);
}

#[test]
fn what_is_no_route_is_kept_for_whoever_asks_and_never_used() {
    let mut network = pair_in(64512, 65000);
    network.hosts[A].events.clear();
    let mut octets = update_octets(&[2, 1, 0, 0, 0xFD, 0xE8]);
    // 127.0.0.0/8 in place of 10.9.0.0/16, and 224.0.0.0/4 and 0.0.0.0/0 behind it.
    octets.truncate(octets.len() - 3);
    octets.extend([8, 127, 4, 224, 0]);
    let length = u8::try_from(octets.len()).unwrap();
    octets[17] = length;
    network.inject(A, &octets);
    let speaker = &network.hosts[A].speaker;
    let learned: Vec<_> = speaker.loc_rib().iter().map(|(prefix, _)| prefix).collect();
    assert_eq!(learned, [prefix("0.0.0.0/0")]);
    let received = speaker.received(PeerId(1));
    let reasons: Vec<_> = received
        .filter_map(|(prefix, _, why)| Some(format!("{prefix}: {}", why?)))
        .collect();
    assert_eq!(
        reasons,
        [
            "127.0.0.0/8: its addresses are loopback: no route may lead there",
            "224.0.0.0/4: its addresses are multicast: no route may lead there",
        ]
    );
    let [Event::Tolerated { tolerated, .. }] = &events(&network, A)[..] else {
        panic!("{:?}", events(&network, A));
    };
    assert_eq!(
        tolerated.text(),
        "NLRI: 127.0.0.0/8 is loopback, where no route may lead: ignored"
    );
    assert_eq!(
        tolerated.prefixes,
        [prefix("127.0.0.0/8"), prefix("224.0.0.0/4")]
    );
    assert!(tolerated.message.is_empty(), "the message is well-formed");
    assert_eq!(
        view(&network, A).faults.counts[&("NLRI", Treatment::Ignore)],
        1
    );
}

#[test]
fn a_next_hop_that_is_our_own_address_is_ignored_and_told_of() {
    let mut network = pair_in(64512, 65000);
    network.hosts[A].events.clear();
    let mut update = update_octets(&[2, 1, 0, 0, 0xFD, 0xE8]);
    let next_hop = update.windows(4).position(|octets| octets == [10, 0, 0, 2]);
    update[next_hop.unwrap() + 3] = 1;
    network.inject(A, &update);
    let [Event::Tolerated { tolerated, .. }] = &events(&network, A)[..] else {
        panic!("{:?}", events(&network, A));
    };
    assert_eq!(
        tolerated.text(),
        "NEXT_HOP: next hop 10.0.0.1 is our own address (RFC 4271 6.3): ignored"
    );
    assert_eq!(tolerated.prefixes, [prefix("10.9.0.0/16")]);
    assert!(network.hosts[A].speaker.loc_rib().is_empty());
}

/// 10.9.0.0/16 by 10.0.0.2 with an AS_PATH of these octets.
fn update_octets(as_path: &[u8]) -> Vec<u8> {
    let length = u8::try_from(as_path.len()).unwrap();
    let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, length];
    attributes.extend(as_path);
    attributes.extend([0x40, 3, 4, 10, 0, 0, 2]);
    let size = u8::try_from(attributes.len()).unwrap();
    let mut message = vec![0xFF; 16];
    message.extend([0, 19 + 4 + size + 3, 2, 0, 0, 0, size]);
    message.extend(attributes);
    message.extend([16, 10, 9]);
    message
}

#[test]
fn stale_routes_are_used_until_they_are_swept() {
    let mut network = router_with_two_nodes();
    network.input(1, export(&["10.96.0.10/32", "10.96.0.11/32"], &plain()));
    network.run(seconds(1));
    let speaker = &mut network.hosts[0].speaker;
    speaker.mark_stale(PeerId(1), Family::Ipv4Unicast);
    assert_eq!(next_hops(&network, "10.96.0.10"), ["10.0.0.2"]);
    network.input(
        1,
        export(&["10.96.0.10/32"], &route(|route| route.med = Some(5))),
    );
    network.run(seconds(1));
    let speaker = &mut network.hosts[0].speaker;
    speaker.sweep_stale(PeerId(1), Family::Ipv4Unicast);
    assert_eq!(next_hops(&network, "10.96.0.10"), ["10.0.0.2"]);
    assert!(next_hops(&network, "10.96.0.11").is_empty());
    let mut said = std::iter::from_fn(|| network.hosts[0].speaker.poll_output());
    let gone = prefix("10.96.0.11/32");
    assert!(said.any(|output| matches!(output, Output::RouteChange { prefix } if prefix == gone)));
}
