//! Sessions come up, stay up while both ends live, and end when one does not.

use super::*;
use crate::bgp::wire::{CeaseSubcode, ErrorCode, Notification};

#[test]
fn two_speakers_that_dial_each_other_have_one_session() {
    let mut network = pair();
    network.run(seconds(600));
    for host in [A, B] {
        let view = view(&network, host);
        assert_eq!(view.state, SessionState::Established);
        assert_eq!(view.established_count, 1);
        assert_eq!(view.last_error, None);
        assert_eq!(
            events(&network, host).len(),
            1,
            "{:?}",
            events(&network, host)
        );
    }
}

#[test]
fn one_active_end_suffices_whichever_it_is() {
    for passive in [A, B] {
        let mut network = two_hosts();
        let mut peers = [peer(A, 64512), peer(B, 64512)];
        peers[1 - passive].connect_mode = ConnectMode::Passive;
        let [a, b] = peers;
        configure(&mut network, A, config(A, 64512, vec![b]));
        configure(&mut network, B, config(B, 64512, vec![a]));
        network.run_until(seconds(10), "established", both_established);
    }
}

#[test]
fn ends_with_the_same_router_id_say_so_and_what_to_do() {
    let mut network = two_hosts();
    for (host, other) in [(A, B), (B, A)] {
        let config = SpeakerConfig {
            router_id: router_id(7),
            ..config(host, 64512, vec![peer(other, 64512)])
        };
        configure(&mut network, host, config);
    }
    network.run(seconds(600));
    for host in [A, B] {
        let view = view(&network, host);
        assert_eq!(view.established_count, 0);
        let error = view.last_error.unwrap();
        for words in [
            "peer has our own router id 10.0.0.8",
            "bgp.router-id or the Node's annotation rutter.io/router-id",
        ] {
            assert!(error.contains(words), "{error}");
        }
    }
}

#[test]
fn external_peers_may_have_the_same_router_id() {
    let mut network = two_hosts();
    for (host, other) in [(A, B), (B, A)] {
        let asn = |host: HostId| 65000 + u32::try_from(host).unwrap();
        let config = SpeakerConfig {
            router_id: router_id(7),
            ..config(host, asn(host), vec![peer(other, asn(other))])
        };
        configure(&mut network, host, config);
    }
    network.run_until(seconds(10), "established", both_established);
}

#[test]
fn two_passive_ends_never_connect() {
    let mut network = two_hosts();
    for (host, other) in [(A, B), (B, A)] {
        let mut peer = peer(other, 64512);
        peer.connect_mode = ConnectMode::Passive;
        configure(&mut network, host, config(host, 64512, vec![peer]));
    }
    network.run(seconds(3600));
    assert_eq!(state(&network, A), SessionState::Active);
    assert_eq!(state(&network, B), SessionState::Active);
    assert!(network.sent.is_empty());
    assert_eq!(network.hosts[A].speaker.poll_timeout(), None);
}

#[test]
fn the_session_is_what_both_ends_can_do() {
    let mut network = two_hosts();
    let mut short = peer(A, 64512);
    short.hold_time = HoldTime::from_secs(9).unwrap();
    configure(&mut network, A, config(A, 64512, vec![peer(B, 65000)]));
    short.asn = Asn(64512);
    configure(&mut network, B, config(B, 65000, vec![short]));
    network.run_until(seconds(10), "established", both_established);
    let session = view(&network, A).session.unwrap();
    assert_eq!(session.hold_time.as_secs(), 9);
    assert_eq!(session.router_id, router_id(B));
    assert_eq!(session.families, Family::ALL);
    assert_eq!(session.local_address, address(A));
}

#[test]
fn keepalives_come_within_a_third_of_the_hold_time() {
    let mut network = pair();
    network.run(seconds(300));
    let by_a = network.sent.iter().filter(|sent| sent.from == A);
    // 30 s less up to a quarter of jitter.
    assert!((10..=14).contains(&by_a.count()));
    assert!(both_established(&network));
}

#[test]
fn a_hold_time_of_zero_needs_no_keepalives_and_no_timer() {
    let mut network = two_hosts();
    for (host, other) in [(A, B), (B, A)] {
        let mut peer = peer(other, 64512);
        peer.hold_time = HoldTime::from_secs(0).unwrap();
        configure(&mut network, host, config(host, 64512, vec![peer]));
    }
    network.run_until(seconds(10), "established", both_established);
    network.run(seconds(1));
    network.sent.clear();
    network.run(seconds(100_000));
    assert!(both_established(&network));
    assert!(network.sent.is_empty());
}

#[test]
fn silence_ends_the_session_at_the_hold_time_and_not_before() {
    let mut network = pair();
    network.blackhole(A, B);
    network.run(seconds(59));
    assert!(both_established(&network));
    network.run(seconds(32));
    let down = |event: &Event| matches!(event, Event::Down { reason, .. } if reason.contains("hold timer expired"));
    assert!(events(&network, A).iter().any(down));
    let expired = Message::Notification(ErrorCode::HoldTimerExpired.into());
    assert!(sent_by(&network, A).contains(&expired));
    assert_eq!(view(&network, A).session, None);
}

#[test]
fn input_that_came_in_time_saves_a_session_whose_timer_is_judged_late() {
    let mut network = pair();
    network.blackhole(A, B);
    network.run(seconds(50));
    // The driver slept; what it read meanwhile it gives first.
    network.now += seconds(100);
    let mut keepalive = vec![0xFF; 16];
    keepalive.extend([0, 19, 4]);
    network.inject(A, &keepalive);
    let now = network.now;
    network.hosts[A].speaker.handle_timeout(now);
    assert_eq!(state(&network, A), SessionState::Established);
}

#[test]
fn keepalives_are_sent_by_a_driver_that_never_gets_to_its_timeouts() {
    let mut network = pair();
    let now = network.now;
    for second in 0..100 {
        let speaker = &mut network.hosts[A].speaker;
        let prefixes = if second % 2 == 0 { plain() } else { None };
        speaker.handle_input(now + seconds(second), export(&["10.9.0.0/16"], &prefixes));
        while speaker.poll_output().is_some() {}
    }
    let Deadline { at, reason } = network.hosts[A].speaker.poll_timeout().unwrap();
    assert_eq!(reason, "HoldTimer", "the keepalive timer lies after it");
    assert!(at <= now + seconds(100));
}

#[test]
fn a_lost_connection_is_dialled_again_within_seconds() {
    let mut network = pair();
    network.cut(A, B);
    network.run(seconds(1));
    let reason = "connection lost: connection reset by peer".to_owned();
    assert!(events(&network, A).contains(&Event::Down {
        peer: PeerId(1),
        reason
    }));
    network.run_until(seconds(2), "established again", both_established);
    assert_eq!(view(&network, A).established_count, 2);
}

#[test]
fn a_peer_that_refuses_is_dialled_at_a_steady_pace() {
    let mut network = two_hosts();
    network.hosts[B].listening = false;
    configure(&mut network, A, config(A, 64512, vec![peer(B, 64512)]));
    network.run(seconds(100));
    let attempts = events(&network, A).len();
    assert!((20..=27).contains(&attempts), "{attempts}");
    let last = view(&network, A).last_error.unwrap();
    assert_eq!(last, "cannot connect: connection refused");
    assert_eq!(state(&network, A), SessionState::Active);
}

#[test]
fn a_dial_that_nobody_answers_is_given_up_and_repeated() {
    let mut network = two_hosts();
    network.blackhole(A, B);
    configure(&mut network, A, config(A, 64512, vec![peer(B, 64512)]));
    network.run(seconds(20));
    assert_eq!(state(&network, A), SessionState::Connect);
    let attempts = events(&network, A).len();
    assert!((3..=6).contains(&attempts), "{attempts}");
    configure(&mut network, B, config(B, 64512, vec![peer(A, 64512)]));
    network.restore(A, B);
    network.run_until(seconds(6), "established", both_established);
}

#[test]
fn a_peer_that_errs_is_left_alone_ever_longer_but_may_dial() {
    let mut network = two_hosts();
    let mut wrong = peer(A, 64999);
    wrong.connect_mode = ConnectMode::Passive;
    configure(&mut network, A, config(A, 64512, vec![peer(B, 64512)]));
    configure(&mut network, B, config(B, 64512, vec![wrong]));
    network.run(seconds(200));
    let attempts = events(&network, A).len();
    assert!((8..=14).contains(&attempts), "{attempts}");
    network.run_until(seconds(40), "a back-off", |network| {
        state(network, A) == SessionState::Idle
    });
    configure(&mut network, B, config(B, 64512, vec![peer(A, 64512)]));
    network.run_until(seconds(1), "established by B's dial", both_established);
}

#[test]
fn a_stranger_is_shown_the_door() {
    let mut network = two_hosts();
    configure(&mut network, A, config(A, 64512, vec![peer(B, 64512)]));
    configure(&mut network, B, config(B, 64512, vec![]));
    network.run(seconds(1));
    let stranger =
        |event: &Event| matches!(event, Event::Stranger { remote } if remote.ip() == address(A));
    assert!(events(&network, B).iter().all(stranger));
    assert!(!events(&network, B).is_empty());
}

#[test]
fn a_mapped_address_is_known_for_what_it_is() {
    let mut speaker = Speaker::new(1);
    let start = network::epoch();
    speaker.handle_input(
        start,
        Input::Configure(config(A, 64512, vec![peer(B, 64512)])),
    );
    let connection = speaker.allocate_connection();
    let input = Input::Accepted {
        connection,
        local: "[::ffff:10.0.0.1]:179".parse().unwrap(),
        remote: "[::ffff:10.0.0.2]:40000".parse().unwrap(),
    };
    speaker.handle_input(start, input);
    let outputs: Vec<_> = std::iter::from_fn(|| speaker.poll_output()).collect();
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Transmit { .. }))
    );
}

#[test]
fn shutdown_says_why_and_is_final() {
    let mut network = pair();
    let message = "node goes away for maintenance".to_owned();
    network.input(
        A,
        Input::Shutdown {
            message: message.clone(),
        },
    );
    let text = Notification::cease_with_text(CeaseSubcode::AdministrativeShutdown, &message);
    assert_eq!(sent_by(&network, A), [Message::Notification(text)]);
    network.run(seconds(1));
    let told =
        |event: &Event| matches!(event, Event::Down { reason, .. } if reason.contains(&message));
    assert!(events(&network, B).iter().any(told));
    network.sent.clear();
    network.run(seconds(100));
    assert!(sent_by(&network, A).is_empty(), "neither dials nor answers");
    assert_eq!(state(&network, A), SessionState::Idle);
    configure(
        &mut network,
        A,
        config(A, 64512, vec![peer(B, 64512), peer(2, 64512)]),
    );
    network.run(seconds(100));
    assert!(
        sent_by(&network, A).is_empty(),
        "nor do peers that are added later"
    );
}

#[test]
fn equal_seeds_and_inputs_give_equal_runs() {
    let run = || {
        let mut network = pair();
        let start = network.now;
        network.cut(A, B);
        network.run(seconds(100));
        let events = network.hosts[A].events.iter();
        events
            .map(|(at, event)| (at.duration_since(start), event.clone()))
            .skip(1)
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
