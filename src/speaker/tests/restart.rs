//! Graceful restart in both roles, and the ways in which a speaker goes.

use super::*;
use crate::bgp::wire::{
    CeaseSubcode, Forwarding, GracefulRestart, Notification, Open, RefreshMark,
};
use crate::types::RestartTime;

const TWO: [&str; 2] = ["10.96.0.10/32", "10.96.0.11/32"];

/// A pair in which B has two routes of A's, and is asked of nothing else.
fn pair_with_routes() -> Network {
    let mut network = pair_in(64512, 65000);
    network.input(A, export(&TWO, &plain()));
    network.run(seconds(1));
    network.sent.clear();
    network.hosts[B].changed.clear();
    assert_eq!(received_by_b(&network), TWO);
    network
}

fn config_of_a(peers: Vec<PeerConfig>) -> SpeakerConfig {
    config(A, 64512, peers)
}

/// A's process is killed; another is there, and has nothing yet.
fn kill_a(network: &mut Network) {
    network.replace(A, Speaker::new(7));
    network.hosts[A].listening = false;
}

/// It has its configuration, and these exports so far.
fn start_a(network: &mut Network, exports: &[&str]) {
    network.hosts[A].listening = true;
    network.input(A, export(exports, &plain()));
    configure(network, A, config_of_a(vec![peer(B, 65000)]));
}

fn expired(network: &Network) -> Vec<usize> {
    let mut expired = Vec::new();
    for event in events(network, B) {
        if let Event::RoutesExpired { routes, .. } = event {
            expired.push(routes);
        }
    }
    expired
}

/// What the OPENs of a host said of its restart.
fn offers(network: &Network, host: HostId) -> Vec<GracefulRestart> {
    let mut offers = Vec::new();
    for message in sent_by(network, host) {
        if let Message::Open(Open { capabilities, .. }) = message {
            offers.extend(GracefulRestart::among(&capabilities));
        }
    }
    offers
}

#[test]
fn a_peer_that_restarts_in_time_loses_nothing_but_what_it_has_no_more() {
    let mut network = pair_with_routes();
    kill_a(&mut network);
    network.run(seconds(60));
    assert_eq!(received_by_b(&network), TWO);
    let stale = view(&network, B).stale.expect("A is away");
    assert_eq!(stale.routes, 2);
    assert_eq!(stale.until - stale.since, seconds(120));
    assert_eq!(
        network.hosts[B]
            .speaker
            .loc_rib()
            .count(Family::Ipv4Unicast),
        2
    );
    start_a(&mut network, &TWO[..1]);
    network.run(seconds(20));
    assert!(both_established(&network));
    // It has yet to say what it has.
    assert_eq!(view(&network, B).stale.map(|stale| stale.routes), Some(2));
    assert!(network.hosts[B].changed.is_empty());
    network.input(A, Input::ExportsComplete);
    network.run(seconds(1));
    assert_eq!(received_by_b(&network), TWO[..1]);
    assert_eq!(view(&network, B).stale, None);
    let gone = BTreeSet::from([prefix(TWO[1])]);
    assert_eq!(network.hosts[B].changed, gone);
    assert!(expired(&network).is_empty());
}

#[test]
fn a_peer_that_never_returns_is_waited_for_until_its_restart_time_is_up() {
    let mut network = pair_with_routes();
    let lost = network.now;
    kill_a(&mut network);
    network.run(seconds(119));
    assert_eq!(received_by_b(&network), TWO);
    network.run(seconds(2));
    assert!(received_by_b(&network).is_empty());
    assert!(network.hosts[B].speaker.loc_rib().is_empty());
    assert_eq!(expired(&network), [2]);
    let events = &network.hosts[B].events;
    let (at, _) = events
        .iter()
        .find(|(_, event)| matches!(event, Event::RoutesExpired { .. }))
        .unwrap();
    assert!(*at >= lost + seconds(120));
    // And whoever comes back later begins anew.
    start_a(&mut network, &TWO);
    network.input(A, Input::ExportsComplete);
    network.run(seconds(40));
    assert_eq!(received_by_b(&network), TWO);
}

#[test]
fn a_peer_that_is_back_and_never_says_what_it_has_is_not_waited_for_for_ever() {
    let mut network = pair_with_routes();
    kill_a(&mut network);
    network.run(seconds(1));
    start_a(&mut network, &TWO);
    network.run(seconds(119));
    assert_eq!(received_by_b(&network), TWO);
    network.run(seconds(20));
    assert!(both_established(&network));
    assert_eq!(expired(&network), [2]);
}

#[test]
fn where_either_end_does_not_restart_gracefully_routes_go_with_the_session() {
    for quiet in [A, B] {
        let mut network = pair_with_routes();
        let (host, asn, other, other_asn) = match quiet {
            A => (A, 64512, B, 65000),
            _ => (B, 65000, A, 64512),
        };
        let off = PeerConfig {
            restart_time: None,
            ..peer(other, other_asn)
        };
        configure(&mut network, host, config(host, asn, vec![off]));
        network.run(seconds(40));
        assert_eq!(received_by_b(&network), TWO);
        kill_a(&mut network);
        network.run(seconds(1));
        assert!(received_by_b(&network).is_empty(), "off at {quiet}");
        assert_eq!(view(&network, B).stale, None);
    }
}

#[test]
fn a_silent_peer_is_given_up_and_its_routes_are_kept() {
    let mut network = pair_with_routes();
    network.blackhole(A, B);
    network.run(seconds(100));
    let Some(stale) = view(&network, B).stale else {
        panic!("{:?}", view(&network, B));
    };
    assert_eq!(stale.routes, 2, "RFC 8538: both ends say N");
}

#[test]
fn a_peer_that_is_taken_out_leaves_nothing_behind() {
    let mut network = pair_with_routes();
    kill_a(&mut network);
    network.run(seconds(1));
    assert_eq!(
        network.hosts[B]
            .speaker
            .loc_rib()
            .count(Family::Ipv4Unicast),
        2
    );
    configure(&mut network, B, config(B, 65000, vec![]));
    assert!(network.hosts[B].speaker.loc_rib().is_empty());
}

#[test]
fn the_restart_bit_stands_in_every_open_until_all_is_said() {
    let mut network = pair_with_routes();
    assert!(network.hosts[A].speaker.restart().over);
    for _ in 0..2 {
        kill_a(&mut network);
        network.sent.clear();
        start_a(&mut network, &TWO);
        network.run(seconds(40));
        let offers = offers(&network, A);
        assert!(!offers.is_empty());
        for offer in offers {
            assert!(offer.restarted);
            assert_eq!(offer.families[&Family::Ipv4Unicast], Forwarding::Preserved);
        }
        assert!(!network.hosts[A].speaker.restart().over);
    }
    network.input(A, Input::ExportsComplete);
    network.run(seconds(1));
    assert!(network.hosts[A].speaker.restart().over);
    network.sent.clear();
    network.cut(A, B);
    network.run(seconds(40));
    let offers = offers(&network, A);
    assert!(!offers.is_empty());
    assert!(offers.iter().all(|offer| !offer.restarted));
    assert_eq!(received_by_b(&network), TWO);
}

#[test]
fn after_a_boot_packets_did_not_go_on() {
    for (uptime, kept) in [(119, 0), (120, 2)] {
        let mut network = pair_with_routes();
        network.replace(A, Speaker::new(7).started_after(seconds(uptime)));
        start_a(&mut network, &TWO);
        network.run(seconds(20));
        assert!(both_established(&network));
        assert_eq!(received_by_b(&network).len(), kept, "after {uptime} s");
    }
}

#[test]
fn each_peer_that_restarts_gracefully_is_waited_for_and_none_for_ever() {
    let mut network = two_hosts();
    let lacks = PeerConfig {
        restart_time: None,
        ..peer(3, 65003)
    };
    let peers = vec![peer(B, 65000), peer(2, 65002), lacks];
    configure(&mut network, A, config_of_a(peers));
    configure(&mut network, B, config(B, 65000, vec![peer(A, 64512)]));
    network.input(A, Input::ExportsComplete);
    let waiting = |network: &Network| network.hosts[A].speaker.restart().waiting_for;
    assert_eq!(waiting(&network), [PeerId(1), PeerId(2)]);
    network.run(seconds(20));
    // B restarts as well: each would wait for the other.
    assert_eq!(waiting(&network), [PeerId(2)]);
    network.run(seconds(99));
    assert!(!network.hosts[A].speaker.restart().over);
    network.run(seconds(2));
    assert!(network.hosts[A].speaker.restart().over);
}

#[test]
fn a_process_that_makes_way_says_nothing_to_those_who_wait_for_the_next() {
    for (restart_time, words) in [(Some(RestartTime::DEFAULT), 0), (None, 1)] {
        let mut network = two_hosts();
        let b = PeerConfig {
            restart_time,
            ..peer(B, 65000)
        };
        configure(&mut network, A, config_of_a(vec![b]));
        configure(&mut network, B, config(B, 65000, vec![peer(A, 64512)]));
        network.input(A, Input::ExportsComplete);
        network.run(seconds(20));
        network.sent.clear();
        let message = "upgrade".to_owned();
        network.input(A, Input::Restart { message });
        assert_eq!(sent_by(&network, A).len(), words);
        network.run(seconds(100));
        assert_eq!(sent_by(&network, A).len(), words, "and does not come back");
        assert_eq!(state(&network, A), SessionState::Idle);
    }
}

#[test]
fn whoever_leaves_withdraws_and_says_so_and_may_join_again() {
    let mut network = pair_with_routes();
    let message = "rutter leave".to_owned();
    network.input(A, Input::Leave { message });
    // Not before the kernel has taken the withdrawals.
    let [Message::Update(update)] = &sent_by(&network, A)[..] else {
        panic!("{:?}", sent_by(&network, A));
    };
    assert_eq!(update.withdrawn, TWO.map(prefix));
    network.run(seconds(1));
    let cease = CeaseSubcode::AdministrativeShutdown;
    let notification = Notification::cease_with_text(cease, "rutter leave").into_hard_reset();
    assert_eq!(
        sent_by(&network, A).last(),
        Some(&Message::Notification(notification))
    );
    assert!(received_by_b(&network).is_empty());
    assert_eq!(view(&network, B).stale, None);
    let left = network.hosts[A].speaker.restart().left;
    assert_eq!(left.as_deref(), Some("rutter leave"));
    network.input(A, export(&["10.96.0.12/32"], &plain()));
    network.run(seconds(60));
    assert_eq!(state(&network, A), SessionState::Idle);
    network.input(A, Input::Join);
    network.run(seconds(60));
    assert!(both_established(&network));
    assert_eq!(received_by_b(&network).len(), 3);
    assert_eq!(network.hosts[A].speaker.restart().left, None);
}

#[test]
fn a_peer_that_takes_nothing_is_not_waited_for_by_whoever_leaves() {
    let mut network = pair_with_routes();
    network.hosts[A].writable = false;
    let message = "rutter leave".to_owned();
    network.input(A, Input::Leave { message });
    network.run(Duration::from_millis(2900));
    assert_eq!(state(&network, A), SessionState::Established);
    network.run(Duration::from_millis(200));
    assert_eq!(state(&network, A), SessionState::Idle);
}

#[test]
fn a_refresh_is_answered_between_its_marks() {
    let mut network = pair_with_routes();
    let asked = Message::RouteRefresh(Family::Ipv4Unicast);
    assert!(network.interject(B, A, &asked));
    network.run(seconds(1));
    let mark = |mark| Message::RefreshMark(mark, Family::Ipv4Unicast);
    let sent = sent_by(&network, A);
    assert_eq!(sent.first(), Some(&mark(RefreshMark::Begin)));
    assert_eq!(sent.last(), Some(&mark(RefreshMark::End)));
    assert!(matches!(&sent[1..sent.len() - 1], [Message::Update(_)]));
    assert_eq!(received_by_b(&network), TWO);
    assert!(network.hosts[B].changed.is_empty());
}

#[test]
fn what_a_refresh_does_not_name_has_gone() {
    let mut network = pair_with_routes();
    let mark = |mark| Message::RefreshMark(mark, Family::Ipv4Unicast);
    assert!(network.interject(A, B, &mark(RefreshMark::Begin)));
    network.run(seconds(1));
    assert_eq!(received_by_b(&network), TWO);
    assert_eq!(view(&network, B).stale, None, "no session was lost");
    network.input(A, export(&TWO[..1], &route(|route| route.med = Some(7))));
    network.run(seconds(1));
    assert!(network.interject(A, B, &mark(RefreshMark::End)));
    network.run(seconds(1));
    assert_eq!(received_by_b(&network), TWO[..1]);
}

#[test]
fn what_a_peer_says_again_does_not_count_twice() {
    let mut network = pair_with_routes();
    let mut a = peer(A, 64512);
    a.limits.ipv4_prefixes = 2;
    configure(&mut network, B, config(B, 65000, vec![a]));
    kill_a(&mut network);
    network.run(seconds(1));
    let others = ["10.96.0.20/32", "10.96.0.21/32"];
    start_a(&mut network, &others);
    network.input(A, Input::ExportsComplete);
    network.run(seconds(20));
    assert!(both_established(&network));
    assert_eq!(received_by_b(&network), others);
    assert_eq!(view(&network, B).established_count, 2);
}
