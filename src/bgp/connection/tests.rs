//! Every message in every state, every check of an OPEN, every timer, and octets that are no
//! messages at all.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::bgp::wire::{
    CeaseSubcode, ErrorCode, Forwarding, Notification, OpenSubcode, PathAttributes, decode,
};

const OURS: Asn = Asn(64512);
const CODEC: CodecContext = CodecContext {
    as_width: AsWidth::FourOctets,
    peering: Peering::Internal,
    first_as: None,
};

#[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
fn epoch() -> Instant {
    Instant::now()
}

fn router_id(last: u8) -> RouterId {
    RouterId::try_from(Ipv4Addr::new(10, 0, 0, last)).unwrap()
}

fn parameters(peer_asn: Asn) -> OpenParameters {
    OpenParameters {
        local_asn: OURS,
        router_id: router_id(1),
        peer_asn,
        hold_time: HoldTime::DEFAULT,
        keepalive_time: None,
        first_as: FirstAs::Peers,
        restart_time: Some(RestartTime::DEFAULT),
        over_notification: crate::types::OverNotification::Keep,
    }
}

fn their_open() -> Open {
    Open {
        asn: OURS,
        hold_time: HoldTime::from_secs(30).unwrap(),
        router_id: router_id(2),
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4Unicast),
            Capability::FourOctetAsn(OURS),
        ],
    }
}

fn bytes(message: &Message) -> Vec<u8> {
    let mut octets = Vec::new();
    message.encode(CODEC, &mut octets);
    octets
}

/// A connection and all it said, with OPENs answered as `peer` answers them.
struct Bench {
    now: Instant,
    connection: Connection,
    random: Random,
}

impl Bench {
    fn new(state: SessionState) -> Self {
        Self::with_peer(state, OURS)
    }

    fn with_peer(state: SessionState, peer_asn: Asn) -> Self {
        Self::of(state, parameters(peer_asn))
    }

    fn of(state: SessionState, parameters: OpenParameters) -> Self {
        let local = "10.0.0.1:179".parse().unwrap();
        let connection = Connection::new(ConnectionId(1), Direction::Accepted, local, parameters);
        let mut bench = Self {
            now: epoch(),
            connection,
            random: Random::new(1),
        };
        if state >= SessionState::OpenSent {
            bench.connection.open(bench.now, OwnRestart::Over);
        }
        if state >= SessionState::OpenConfirm {
            bench.receive(&Message::Open(their_open()));
        }
        if state >= SessionState::Established {
            bench.receive(&Message::Keepalive);
        }
        bench.sent();
        assert_eq!(bench.connection.state(), state);
        bench
    }

    fn receive(&mut self, message: &Message) -> Vec<Step> {
        self.receive_octets(&bytes(message))
    }

    fn receive_octets(&mut self, octets: &[u8]) -> Vec<Step> {
        self.connection.receive(octets);
        let mut steps = Vec::new();
        while let Some(step) = self.connection.step(self.now) {
            if let Step::Opened(negotiated) = &step {
                let random = &mut self.random;
                self.connection
                    .confirm(self.now, negotiated.clone(), random);
            }
            steps.push(step);
        }
        steps
    }

    fn sent(&mut self) -> Vec<Message> {
        let octets = self.connection.take_output().unwrap_or_default();
        let mut rest = &octets[..];
        let mut messages = Vec::new();
        while let Some((message, size)) = decode(rest, CODEC).unwrap() {
            messages.push(message);
            rest = &rest[size..];
        }
        messages
    }

    /// Lets time pass; the connection's end, if that ends it.
    fn wait(&mut self, seconds: u64) -> Option<Step> {
        self.now += Duration::from_secs(seconds);
        self.connection.handle_timeout(self.now)
    }
}

fn notification(error: ErrorCode, data: &[u8]) -> Message {
    Message::Notification(Notification {
        error,
        data: data.to_vec(),
    })
}

fn fsm_error(subcode: u8, message: u8) -> Message {
    notification(ErrorCode::FiniteStateMachine(subcode), &[message])
}

fn update() -> Message {
    Message::Update(Update {
        withdrawn: vec!["10.1.0.0/16".parse().unwrap()],
        reach: Vec::new(),
        attributes: PathAttributes::default(),
        errors: Vec::new(),
        message: Vec::new(),
    })
}

fn every_message() -> [Message; 8] {
    [
        Message::Open(their_open()),
        update(),
        Message::EndOfRib(Family::Ipv4Unicast),
        Message::Notification(Notification::cease(CeaseSubcode::AdministrativeReset)),
        Message::Keepalive,
        Message::RouteRefresh(Family::Ipv4Unicast),
        Message::RefreshMark(RefreshMark::Begin, Family::Ipv4Unicast),
        Message::ForeignRouteRefresh {
            afi: 25,
            subtype: 0,
            safi: 70,
        },
    ]
}

/// The state after each message of [`every_message`], and what was answered.
fn transitions(from: SessionState) -> Vec<(SessionState, Vec<Message>)> {
    let outcome = |message: &Message| {
        let mut bench = Bench::new(from);
        bench.receive(message);
        (bench.connection.state(), bench.sent())
    };
    every_message().iter().map(outcome).collect()
}

#[test]
fn open_sent_takes_an_open_and_a_notification() {
    use SessionState::{Idle, OpenConfirm};
    let expected = [
        (OpenConfirm, vec![Message::Keepalive]),
        (Idle, vec![fsm_error(1, 2)]),
        (Idle, vec![fsm_error(1, 2)]),
        (Idle, vec![]),
        (Idle, vec![fsm_error(1, 4)]),
        (Idle, vec![fsm_error(1, 5)]),
        (Idle, vec![fsm_error(1, 5)]),
        (Idle, vec![fsm_error(1, 5)]),
    ];
    assert_eq!(transitions(SessionState::OpenSent), expected);
}

#[test]
fn open_confirm_takes_a_keepalive_and_a_notification() {
    use SessionState::{Established, Idle};
    let expected = [
        (Idle, vec![fsm_error(2, 1)]),
        (Idle, vec![fsm_error(2, 2)]),
        (Idle, vec![fsm_error(2, 2)]),
        (Idle, vec![]),
        (Established, vec![]),
        (Idle, vec![fsm_error(2, 5)]),
        (Idle, vec![fsm_error(2, 5)]),
        (Idle, vec![fsm_error(2, 5)]),
    ];
    assert_eq!(transitions(SessionState::OpenConfirm), expected);
}

#[test]
fn established_takes_everything_but_an_open() {
    use SessionState::{Established, Idle};
    let expected = [
        (Idle, vec![fsm_error(3, 1)]),
        (Established, vec![]),
        (Established, vec![]),
        (Idle, vec![]),
        (Established, vec![]),
        (Established, vec![]),
        (Established, vec![]),
        (Established, vec![]),
    ];
    assert_eq!(transitions(SessionState::Established), expected);
}

#[test]
fn a_connection_that_waits_reads_nothing_until_it_is_opened() {
    for message in every_message() {
        let mut bench = Bench::new(SessionState::Connect);
        assert_eq!(bench.receive(&message), []);
        assert_eq!(bench.sent(), []);
    }
    let mut bench = Bench::new(SessionState::Connect);
    bench.receive(&Message::Open(their_open()));
    bench.connection.open(bench.now, OwnRestart::Over);
    bench.receive_octets(&[]);
    assert_eq!(bench.connection.state(), SessionState::OpenConfirm);
}

#[test]
fn messages_arrive_in_pieces_of_any_size() {
    let mut bench = Bench::new(SessionState::OpenSent);
    let octets = [
        bytes(&Message::Open(their_open())),
        bytes(&Message::Keepalive),
        bytes(&update()),
    ]
    .concat();
    let steps: Vec<_> = octets
        .chunks(1)
        .flat_map(|octet| bench.receive_octets(octet))
        .collect();
    assert!(matches!(
        steps[..],
        [Step::Opened(_), Step::Established, Step::Update(_)]
    ));
}

/// Both families, with flags and time, and with flags of each family.
fn restart_capability(restart: u16, flags: u8) -> Capability {
    Capability::GracefulRestart {
        restart,
        families: vec![[0, 1, 1, flags], [0, 2, 1, flags]],
    }
}

/// What our OPEN says of our own restart.
fn said_of_restart(time: Option<RestartTime>, own: OwnRestart) -> Capability {
    let mut bench = Bench::new(SessionState::Connect);
    bench.connection.parameters.restart_time = time;
    bench.connection.open(bench.now, own);
    let [Message::Open(open)] = &bench.sent()[..] else {
        panic!("one OPEN");
    };
    let is_it = |one: &&Capability| matches!(one, Capability::GracefulRestart { .. });
    open.capabilities.iter().find(is_it).unwrap().clone()
}

#[test]
fn our_open_says_that_we_restarted_and_whether_packets_went_on() {
    let time = RestartTime::from_secs(300).ok();
    let under_way = OwnRestart::UnderWay;
    assert_eq!(
        said_of_restart(time, under_way(Forwarding::Preserved)),
        restart_capability(0x8000 | 0x4000 | 300, 0x80)
    );
    assert_eq!(
        said_of_restart(time, under_way(Forwarding::Lost)),
        restart_capability(0x8000 | 0x4000 | 300, 0)
    );
    assert_eq!(
        said_of_restart(time, OwnRestart::Over),
        restart_capability(0x4000 | 300, 0x80)
    );
    assert_eq!(
        said_of_restart(None, under_way(Forwarding::Preserved)),
        Capability::END_OF_RIB
    );
}

#[test]
fn a_restart_is_agreed_on_where_both_ends_say_so() {
    let agreed = |theirs: Option<Capability>, ours: Option<RestartTime>| {
        let mut bench = Bench::new(SessionState::OpenSent);
        bench.connection.parameters.restart_time = ours;
        let mut open = their_open();
        open.capabilities.extend(theirs);
        bench.receive(&Message::Open(open));
        bench.connection.negotiated().unwrap().restart.clone()
    };
    let ours = Some(RestartTime::DEFAULT);
    let capability = || Some(restart_capability(0x4000 | 30, 0x80));
    let offer = agreed(capability(), ours).unwrap();
    assert!(offer.keeps_over_notification && !offer.restarted);
    assert_eq!(offer.restart_time, Duration::from_secs(30));
    assert_eq!(offer.families[&Family::Ipv6Unicast], Forwarding::Preserved);
    // One that helps and does not restart itself.
    let helper = agreed(Some(Capability::END_OF_RIB), ours).unwrap();
    assert!(helper.families.is_empty());
    assert_eq!(agreed(None, ours), None);
    assert_eq!(agreed(capability(), None), None);
}

/// The NOTIFICATION that ends an established session whose peer said this of restarts.
fn farewell(theirs: Capability, ending: Ending) -> Vec<Message> {
    let mut bench = Bench::new(SessionState::OpenSent);
    let mut open = their_open();
    open.capabilities.push(theirs);
    bench.receive(&Message::Open(open));
    bench.receive(&Message::Keepalive);
    bench.sent();
    bench.connection.end(bench.now, ending);
    bench.sent()
}

#[test]
fn what_ends_for_good_is_a_hard_reset_to_those_who_know_it() {
    let knows = || restart_capability(0x4000 | 30, 0x80);
    let shutdown = || Ending::Shutdown("bye".into());
    let hard = ErrorCode::Cease(CeaseSubcode::HardReset);
    assert_eq!(
        farewell(knows(), shutdown()),
        [notification(hard, b"\x06\x02\x03bye")]
    );
    assert_eq!(
        farewell(knows(), Ending::ConfigurationChanged),
        [Message::Notification(Notification::cease(
            CeaseSubcode::OtherConfigurationChange
        ))]
    );
    let plain = restart_capability(30, 0x80);
    let cease = CeaseSubcode::AdministrativeShutdown;
    assert_eq!(
        farewell(plain, shutdown()),
        [Message::Notification(Notification::cease_with_text(
            cease, "bye"
        ))]
    );
    assert_eq!(farewell(knows(), Ending::Restarting), []);
}

#[test]
fn our_open_names_what_we_can_do() {
    let mut bench = Bench::new(SessionState::Connect);
    bench.connection.open(bench.now, OwnRestart::Over);
    let [Message::Open(open)] = &bench.sent()[..] else {
        panic!("one OPEN");
    };
    let expected = Open {
        asn: OURS,
        hold_time: HoldTime::DEFAULT,
        router_id: router_id(1),
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4Unicast),
            Capability::Multiprotocol(Family::Ipv6Unicast),
            Capability::RouteRefresh,
            Capability::EnhancedRouteRefresh,
            restart_capability(0x4078, 0x80),
            Capability::FourOctetAsn(OURS),
        ],
    };
    assert_eq!(*open, expected);
}

/// What is answered to an OPEN, and what was agreed on if it was acceptable.
fn answer(peer_asn: Asn, open: Open) -> (Option<Negotiated>, Vec<Message>) {
    let mut bench = Bench::with_peer(SessionState::OpenSent, peer_asn);
    bench.receive(&Message::Open(open));
    (bench.connection.negotiated().cloned(), bench.sent())
}

#[test]
fn a_peer_of_another_as_than_configured_is_refused() {
    let (agreed, sent) = answer(Asn(65000), their_open());
    assert_eq!(agreed, None);
    let error = ErrorCode::Open(OpenSubcode::BadPeerAs);
    assert_eq!(sent, [notification(error, &[])]);
}

#[test]
fn our_own_identifier_is_refused_inside_the_as_only() {
    let mut open = their_open();
    open.router_id = router_id(1);
    let (agreed, sent) = answer(OURS, open.clone());
    assert_eq!(agreed, None);
    let error = ErrorCode::Open(OpenSubcode::BadBgpIdentifier);
    assert_eq!(sent, [notification(error, &[])]);
    open.asn = Asn(65000);
    open.capabilities = vec![Capability::FourOctetAsn(Asn(65000))];
    let (agreed, _) = answer(Asn(65000), open);
    assert_eq!(agreed.unwrap().router_id, router_id(1));
}

#[test]
fn a_peer_that_refuses_our_identifier_is_told_apart() {
    let refusal = ErrorCode::Open(OpenSubcode::BadBgpIdentifier);
    for state in [
        SessionState::OpenSent,
        SessionState::OpenConfirm,
        SessionState::Established,
    ] {
        let mut bench = Bench::new(state);
        let steps = bench.receive(&notification(refusal, &[]));
        let ending = match state {
            // Too late to be about an OPEN.
            SessionState::Established => Ending::NotificationReceived(refusal.into()),
            SessionState::OpenSent | SessionState::OpenConfirm => {
                Ending::IdentifierRefused(router_id(1))
            }
            SessionState::Idle | SessionState::Connect | SessionState::Active => unreachable!(),
        };
        assert_eq!(steps, [Step::Ended(ending)]);
        assert_eq!(bench.sent(), []);
    }
}

#[test]
fn a_peer_without_a_family_of_ours_is_told_which_we_have() {
    let mut open = their_open();
    open.capabilities = vec![Capability::Unknown {
        code: 1,
        value: vec![0, 25, 0, 70],
    }];
    let (agreed, sent) = answer(OURS, open);
    assert_eq!(agreed, None);
    let mut capabilities = Vec::new();
    for afi in [1, 2] {
        capabilities.extend([1, 4, 0, afi, 0, 1]);
    }
    let error = ErrorCode::Open(OpenSubcode::UnsupportedCapability);
    assert_eq!(sent, [notification(error, &capabilities)]);
}

#[test]
fn a_peer_without_capabilities_carries_ipv4_and_two_octet_as_numbers() {
    let mut open = their_open();
    open.capabilities.clear();
    let agreed = answer(OURS, open).0.unwrap();
    assert_eq!(agreed.families, [Family::Ipv4Unicast]);
    assert_eq!(agreed.codec.as_width, AsWidth::TwoOctets);
}

#[test]
fn the_smaller_hold_time_and_the_common_families_count() {
    let agreed = answer(OURS, their_open()).0.unwrap();
    assert_eq!(agreed.hold_time.as_secs(), 30);
    assert_eq!(agreed.families, [Family::Ipv4Unicast]);
    assert_eq!(agreed.codec.as_width, AsWidth::FourOctets);
}

#[test]
fn a_silent_peer_has_four_minutes_for_its_open() {
    let mut bench = Bench::new(SessionState::OpenSent);
    assert_eq!(bench.wait(239), None);
    assert!(matches!(
        bench.wait(1),
        Some(Step::Ended(Ending::NoOpen(_)))
    ));
    assert_eq!(
        bench.sent(),
        [notification(ErrorCode::HoldTimerExpired, &[])]
    );
}

#[test]
fn the_agreed_hold_time_runs_from_open_confirm_on() {
    for state in [SessionState::OpenConfirm, SessionState::Established] {
        let mut bench = Bench::new(state);
        assert_eq!(bench.wait(29), None);
        assert!(matches!(
            bench.wait(1),
            Some(Step::Ended(Ending::HoldTimerExpired(_)))
        ));
        let sent = bench.sent();
        assert_eq!(
            sent.last(),
            Some(&notification(ErrorCode::HoldTimerExpired, &[]))
        );
    }
}

#[test]
fn every_message_but_an_incomplete_one_restarts_the_hold_timer() {
    let keep = [
        Message::Keepalive,
        update(),
        Message::EndOfRib(Family::Ipv4Unicast),
        Message::RouteRefresh(Family::Ipv4Unicast),
    ];
    for message in keep {
        let mut bench = Bench::new(SessionState::Established);
        bench.wait(29);
        bench.receive(&message);
        assert_eq!(bench.wait(29), None, "{message:?}");
        let half = bytes(&message);
        bench.receive_octets(&half[..half.len() - 1]);
        assert!(bench.wait(1).is_some(), "{message:?}");
    }
}

#[test]
fn updates_stand_for_keepalives() {
    let mut bench = Bench::new(SessionState::Established);
    for _ in 0..10 {
        bench.wait(7);
        bench.receive(&Message::Keepalive);
        let octets = bytes(&update());
        bench.connection.send(bench.now, &octets);
        assert_eq!(bench.sent(), [update()]);
    }
}

/// When the first KEEPALIVE after the session is up is due, of a hold time of 30 seconds.
fn first_keepalive(keepalive_time: Option<u64>) -> Duration {
    let parameters = OpenParameters {
        keepalive_time: keepalive_time.map(Duration::from_secs),
        ..parameters(OURS)
    };
    let bench = Bench::of(SessionState::Established, parameters);
    bench.connection.timers.at(Timer::Keepalive).unwrap() - bench.now
}

#[test]
fn keepalives_come_as_often_as_wanted_and_never_more_rarely_than_each_third() {
    // Jitter takes up to a quarter off (RFC 4271 10).
    let around = |seconds: u64| {
        let time = Duration::from_secs(seconds);
        time * 3 / 4..=time
    };
    assert!(around(10).contains(&first_keepalive(None)));
    assert!(around(4).contains(&first_keepalive(Some(4))));
    assert!(around(10).contains(&first_keepalive(Some(25))));
}

#[test]
fn credit_is_what_the_kernel_has_taken() {
    let mut bench = Bench::new(SessionState::Established);
    let spent = TRANSMIT_BYTES_MAX - bench.connection.credit();
    assert_eq!(spent, bench.connection.outstanding);
    bench.connection.send(bench.now, &[0; 100]);
    assert_eq!(bench.connection.credit(), TRANSMIT_BYTES_MAX - spent - 100);
    bench.connection.transmitted(bench.now, spent + 100);
    assert_eq!(bench.connection.credit(), TRANSMIT_BYTES_MAX);
    bench.connection.transmitted(bench.now, 1);
    assert_eq!(
        bench.connection.credit(),
        TRANSMIT_BYTES_MAX,
        "a driver that miscounts"
    );
}

#[test]
fn progress_restarts_the_send_hold_timer() {
    let mut bench = Bench::new(SessionState::Established);
    bench.connection.send(bench.now, &[0; 100]);
    let live = |bench: &mut Bench, seconds: u64| {
        let mut ended = None;
        for _ in 0..seconds {
            bench.receive(&Message::Keepalive);
            ended = ended.or(bench.wait(1));
        }
        ended
    };
    assert_eq!(live(&mut bench, 470), None);
    bench.connection.transmitted(bench.now, 1);
    assert_eq!(live(&mut bench, 470), None);
    let ended = live(&mut bench, 11);
    assert!(matches!(
        ended,
        Some(Step::Ended(Ending::SendHoldExpired(_)))
    ));
}

#[test]
fn malformed_headers_are_answered_as_rfc_4271_6_1_says() {
    let mut marker = bytes(&Message::Keepalive);
    marker[3] = 0;
    let mut length = bytes(&Message::Keepalive);
    length[17] = 18;
    let mut kind = bytes(&Message::Keepalive);
    kind[18] = 9;
    let cases = [
        (marker, ErrorCode::MessageHeader(1), vec![]),
        (length, ErrorCode::MessageHeader(2), vec![0, 18]),
        (kind, ErrorCode::MessageHeader(3), vec![9]),
    ];
    for (octets, error, data) in cases {
        let mut bench = Bench::new(SessionState::Established);
        let steps = bench.receive_octets(&octets);
        assert!(matches!(steps[..], [Step::Ended(Ending::Malformed(_))]));
        assert_eq!(bench.sent(), [notification(error, &data)]);
    }
}

#[test]
fn nothing_is_read_or_said_after_the_end() {
    let mut bench = Bench::new(SessionState::Established);
    bench.receive(&Message::Open(their_open()));
    bench.sent();
    assert_eq!(bench.receive(&update()), []);
    assert_eq!(bench.wait(1000), None);
    assert_eq!(
        bench.connection.end(bench.now, Ending::Collision),
        Step::Ended(Ending::Collision)
    );
    assert_eq!(bench.sent(), []);
}

fn any_state() -> impl Strategy<Value = SessionState> {
    prop::sample::select(vec![
        SessionState::Connect,
        SessionState::OpenSent,
        SessionState::OpenConfirm,
        SessionState::Established,
    ])
}

proptest! {
    #[test]
    fn no_octets_make_it_panic_or_end_twice(
        state in any_state(),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6),
    ) {
        let mut bench = Bench::new(state);
        let steps: Vec<_> = pieces.iter().flat_map(|piece| bench.receive_octets(piece)).collect();
        let ends = steps.iter().filter(|step| matches!(step, Step::Ended(_))).count();
        prop_assert!(ends <= 1);
        prop_assert!(bench.sent().len() <= 1);
    }

    #[test]
    fn a_message_with_any_octet_changed_is_read_or_answered(
        state in any_state(),
        which in 0..7_usize,
        place in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let mut octets = bytes(&every_message()[which]);
        let place = place.index(octets.len());
        octets[place] = value;
        let mut bench = Bench::new(state);
        let steps = bench.receive_octets(&octets);
        let ended = steps.iter().any(|step| matches!(step, Step::Ended(_)));
        prop_assert_eq!(ended, bench.connection.state() == SessionState::Idle);
    }
}
