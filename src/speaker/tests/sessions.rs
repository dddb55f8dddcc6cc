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
fn a_peer_that_errs_is_left_alone_ever_longer_and_then_taken_back() {
    let mut network = two_hosts();
    let mut wrong = peer(A, 64999);
    wrong.connect_mode = ConnectMode::Passive;
    configure(&mut network, A, config(A, 64512, vec![peer(B, 64512)]));
    configure(&mut network, B, config(B, 64512, vec![wrong]));
    network.run(seconds(200));
    // Between them are dials that B, in pauses of its own, closes: they are no new errors.
    let ends = view(&network, A).ends_in_a_row;
    assert!((5..=14).contains(&ends), "{ends}");
    let error = view(&network, A).last_error.unwrap();
    assert!(error.contains("AS"), "{error}");
    network.run_until(seconds(40), "a pause", |network| {
        state(network, A) == SessionState::Idle
    });
    configure(&mut network, B, config(B, 64512, vec![peer(A, 64512)]));
    network.run_until(seconds(40), "established again", both_established);
}

/// B dials A over and over, and sends something malformed as soon as there is a session.
fn sessions_that_b_spoils(connect_mode: ConnectMode, span: Duration) -> Network {
    let mut network = two_hosts();
    let mut victim = peer(B, 64512);
    victim.connect_mode = connect_mode;
    configure(&mut network, A, config(A, 64512, vec![victim]));
    configure(&mut network, B, config(B, 64512, vec![peer(A, 64512)]));
    network.input(A, Input::ExportsComplete);
    network.input(B, Input::ExportsComplete);
    let end = network.now + span;
    while network.now < end {
        if both_established(&network) {
            // A length that disagrees: RFC 4271 section 6.3, Malformed Attribute List.
            let mut update = vec![0xFF; 16];
            update.extend([0, 27, 2, 0, 0, 0, 4, 0x40, 1, 0x20, 0]);
            network.inject(A, &update);
            // A new B has forgotten its own pauses, as a hostile one would.
            configure(&mut network, B, config(B, 64512, vec![]));
            configure(&mut network, B, config(B, 64512, vec![peer(A, 64512)]));
        }
        network.run(Duration::from_millis(20));
    }
    network
}

#[test]
fn a_peer_that_dials_and_errs_over_and_over_is_let_in_ever_later() {
    for connect_mode in [ConnectMode::Active, ConnectMode::Passive] {
        let network = sessions_that_b_spoils(connect_mode, seconds(600));
        let view = view(&network, A);
        // 1, 2, 4, 8, 16 and then 30 s, less up to a quarter of jitter; B dials every 5 s.
        let resets = view.history.resets;
        assert!((18..=30).contains(&resets), "{resets} {connect_mode:?}");
        assert!(view.ends_in_a_row >= 18, "{view:?}");
        let reason = view.history.last_end.as_ref().unwrap().reason.clone();
        assert!(reason.contains("malformed"), "{reason}");
        let malformed = crate::bgp::wire::UpdateSubcode::MalformedAttributeList;
        let malformed = (ErrorCode::Update(malformed).names(), resets);
        let mut sent = view.history.notifications_sent.iter();
        assert!(sent.any(|counted| counted == malformed), "{view:?}");
        // Nothing is told of a connection that is closed unseen: the log stays short.
        assert!(events(&network, A).len() < 150);
    }
}

#[test]
fn in_a_pause_what_the_peer_dials_is_closed_without_a_word() {
    let mut network = pair();
    // Malformed Attribute List.
    let mut update = vec![0xFF; 16];
    update.extend([0, 27, 2, 0, 0, 0, 4, 0x40, 1, 0x20, 0]);
    network.inject(A, &update);
    let until = view(&network, A).paused_until.expect("a pause");
    let now = network.now;
    let speaker = &mut network.hosts[A].speaker;
    assert_eq!(speaker.admissions()[&address(B)], Some(until));
    let mut dial = |at| {
        let connection = speaker.allocate_connection();
        let input = Input::Accepted {
            connection,
            local: "10.0.0.1:179".parse().unwrap(),
            remote: "10.0.0.2:40000".parse().unwrap(),
        };
        speaker.handle_input(at, input);
        let outputs = std::iter::from_fn(|| speaker.poll_output());
        (connection, outputs.collect::<Vec<_>>())
    };
    let (refused, outputs) = dial(now);
    let closed =
        |output: &Output| matches!(output, Output::Close { connection } if *connection == refused);
    assert!(outputs.iter().any(closed), "{outputs:?}");
    let speaks = |output: &Output| matches!(output, Output::Transmit { .. });
    assert!(!outputs.iter().any(speaks), "{outputs:?}");
    network.hosts[A].speaker.handle_timeout(until);
    assert_eq!(
        network.hosts[A].speaker.admissions()[&address(B)],
        None,
        "let in again"
    );
}

#[test]
fn a_router_that_restarts_is_taken_back_as_soon_as_it_dials() {
    let mut network = two_hosts();
    let mut router = peer(B, 64512);
    router.connect_mode = ConnectMode::Passive;
    configure(&mut network, A, config(A, 64512, vec![router]));
    configure(&mut network, B, config(B, 64512, vec![peer(A, 64512)]));
    network.run_until(seconds(10), "established", both_established);
    network.run(seconds(60));
    configure(&mut network, B, config(B, 64512, vec![]));
    network.run(Duration::from_millis(10));
    assert_eq!(view(&network, A).paused_until, None);
    configure(&mut network, B, config(B, 64512, vec![peer(A, 64512)]));
    let soon = Duration::from_millis(100);
    network.run_until(soon, "established again", both_established);
}

#[test]
fn a_change_of_the_peers_configuration_ends_a_pause() {
    let mut network = sessions_that_b_spoils(ConnectMode::Active, seconds(100));
    network.run_until(seconds(40), "a pause", |network| {
        view(network, A).paused_until.is_some()
    });
    let mut mended = peer(B, 64512);
    mended.hold_time = HoldTime::from_secs(30).unwrap();
    configure(&mut network, A, config(A, 64512, vec![mended]));
    let view = view(&network, A);
    assert_eq!((view.paused_until, view.ends_in_a_row), (None, 0));
    network.run_until(seconds(40), "established", both_established);
}

#[test]
fn what_has_arrived_and_is_not_read_yet_postpones_the_hold_timer_a_little() {
    let mut network = pair();
    network.blackhole(A, B);
    let late = network.now + seconds(100);
    network.now = late;
    let speaker = &mut network.hosts[A].speaker;
    let overdue = speaker.overdue(late);
    let [connection] = overdue[..] else {
        panic!("{overdue:?}");
    };
    speaker.handle_input(late, Input::Arriving { connection });
    speaker.handle_timeout(late);
    assert_eq!(state(&network, A), SessionState::Established);
    let speaker = &mut network.hosts[A].speaker;
    assert!(speaker.overdue(late).is_empty());
    let deadline = speaker.poll_timeout().unwrap();
    assert!(deadline.at <= late + seconds(1), "{deadline:?}");
    // Nothing came after all.
    speaker.handle_timeout(deadline.at);
    assert_ne!(state(&network, A), SessionState::Established);
}

#[test]
fn arriving_octets_change_no_timer_that_runs_still() {
    let mut network = pair();
    let speaker = &mut network.hosts[A].speaker;
    let now = network.now;
    let connection = speaker.overdue(now + seconds(1000))[0];
    let before = speaker.poll_timeout();
    speaker.handle_input(now, Input::Arriving { connection });
    assert_eq!(speaker.poll_timeout(), before);
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
        Input::Leave {
            message: message.clone(),
        },
    );
    let text = Notification::cease_with_text(CeaseSubcode::AdministrativeShutdown, &message);
    let hard = Message::Notification(text.into_hard_reset());
    assert_eq!(sent_by(&network, A), [hard]);
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
