//! What the header and OPEN checks refuse, and with which NOTIFICATION (RFC 4271 sections 6.1 and
//! 6.2, RFC 5492, RFC 6286, RFC 7607, RFC 9072).

use super::*;
use crate::types::Family;

/// The NOTIFICATION that answers `octets`.
#[track_caller]
fn refused(octets: &[u8]) -> Notification {
    decode(octets, EXTERNAL).unwrap_err().notification
}

fn open(body: &str) -> Vec<u8> {
    message(1, &hex(body))
}

#[track_caller]
fn opened(body: &str) -> Open {
    match decode(&open(body), EXTERNAL) {
        Ok(Some((Message::Open(open), _))) => open,
        other => panic!("expected an OPEN, got {other:?}"),
    }
}

#[track_caller]
fn check_refused(body: &str, subcode: OpenSubcode) {
    let refusal = refused(&open(body));
    assert_eq!(refusal.error, ErrorCode::Open(subcode), "{body}");
}

#[test]
fn an_incomplete_message_waits_for_more() {
    let octets = open("04 fc00 005a 0a000001 00");
    for end in 0..octets.len() {
        assert_eq!(decode(&octets[..end], EXTERNAL), Ok(None), "{end}");
    }
}

#[test]
fn a_second_message_is_left_alone() {
    let keepalive = message(4, &[]);
    let both = [keepalive.clone(), vec![0; 30]].concat();
    assert_eq!(
        decode(&both, EXTERNAL),
        Ok(Some((Message::Keepalive, keepalive.len())))
    );
}

#[test]
fn a_wrong_marker_is_not_synchronized() {
    let mut octets = message(4, &[]);
    octets[15] = 0;
    let expected = ErrorCode::MessageHeader(1).into();
    assert_eq!(refused(&octets), expected);
}

#[test]
fn a_length_that_cannot_be_is_quoted() {
    // Length and type; 4096 is the most, and each type has its own least.
    for (length, kind) in [
        (0u16, 4),
        (18, 4),
        (4097, 2),
        (65535, 2),
        (20, 4),
        (28, 1),
        (22, 2),
        (20, 3),
        (22, 5),
        (24, 5),
    ] {
        let mut octets = vec![0xFF; 16];
        octets.extend_from_slice(&length.to_be_bytes());
        octets.push(kind);
        let expected = Notification {
            error: ErrorCode::MessageHeader(2),
            data: length.to_be_bytes().to_vec(),
        };
        assert_eq!(refused(&octets), expected, "{length} {kind}");
    }
}

#[test]
fn an_unknown_type_is_quoted() {
    for kind in [0, 6, 128, 255] {
        let expected = Notification {
            error: ErrorCode::MessageHeader(3),
            data: vec![kind],
        };
        assert_eq!(refused(&message(kind, &[])), expected);
    }
}

#[test]
fn another_version_is_told_ours() {
    let refusal = refused(&open("03 fc00 005a 0a000001 00"));
    let error = ErrorCode::Open(OpenSubcode::UnsupportedVersion);
    assert_eq!((refusal.error, refusal.data), (error, vec![0, 4]));
}

#[test]
fn as_0_is_a_bad_peer_as() {
    check_refused("04 0000 005a 0a000001 00", OpenSubcode::BadPeerAs);
    check_refused(
        "04 fc00 005a 0a000001 08 02 06 41 04 00000000",
        OpenSubcode::BadPeerAs,
    );
}

#[test]
fn the_capability_names_the_as_if_the_field_agrees() {
    let as_trans = opened("04 5ba0 005a 0a000001 08 02 06 41 04 00010000");
    assert_eq!(as_trans.asn, Asn(65536));
    check_refused(
        "04 fc00 005a 0a000001 08 02 06 41 04 00010000",
        OpenSubcode::BadPeerAs,
    );
    assert_eq!(opened("04 fc00 005a 0a000001 00").asn, Asn(64512));
}

#[test]
fn hold_times_of_one_and_two_seconds_are_unacceptable() {
    for hold_time in ["0001", "0002"] {
        check_refused(
            &format!("04 fc00 {hold_time} 0a000001 00"),
            OpenSubcode::UnacceptableHoldTime,
        );
    }
    assert_eq!(opened("04 fc00 0000 0a000001 00").hold_time.as_secs(), 0);
    assert_eq!(opened("04 fc00 0003 0a000001 00").hold_time.as_secs(), 3);
}

#[test]
fn the_zero_router_id_is_a_bad_identifier() {
    check_refused("04 fc00 005a 00000000 00", OpenSubcode::BadBgpIdentifier);
}

#[test]
fn malformed_optional_parameters_are_unspecific_errors() {
    for parameters in [
        "01",                  // length beyond the message
        "00 00",               // octets beyond the length
        "01 02",               // no length
        "03 02 02 02",         // capability without a length
        "04 02 03 02 00",      // parameter beyond the field
        "05 02 03 41 04 00",   // capability beyond the parameter
        "05 02 03 01 01 00",   // multiprotocol of one octet
        "05 02 03 02 01 00",   // route refresh of one octet
        "06 02 04 41 02 fc00", // AS of two octets
        "ff ff",               // extended, cut
        "ff ff 00",            // extended, cut
        "ff ff 0001",          // extended, length beyond the message
        "ff ff 0002 02 00",    // extended, parameter cut
    ] {
        check_refused(
            &format!("04 fc00 005a 0a000001 {parameters}"),
            OpenSubcode::Unspecific,
        );
    }
}

#[test]
fn other_optional_parameters_are_unsupported() {
    for parameters in ["03 01 01 00", "02 fe 00", "ff ff 0003 ff 0000"] {
        check_refused(
            &format!("04 fc00 005a 0a000001 {parameters}"),
            OpenSubcode::UnsupportedOptionalParameter,
        );
    }
}

#[test]
fn capabilities_may_come_in_several_parameters_repeated_and_unknown() {
    let open = opened(
        "04 fc00 005a 0a000001 1a
         02 02 02 00
         02 0c 01 04 0002 ff 01  01 04 0001 00 80
         02 04 02 00 46 00
         02 00",
    );
    let expected = [
        Capability::RouteRefresh,
        Capability::Multiprotocol(Family::Ipv6Unicast),
        Capability::Unknown {
            code: 1,
            value: hex("0001 00 80"),
        },
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
    ];
    assert_eq!(open.capabilities, expected);
}

#[test]
fn the_extended_form_is_read_whatever_its_short_length_says() {
    for short in ["ff", "01", "07"] {
        let open = opened(&format!(
            "04 fc00 005a 0a000001 {short} ff 000a 02 0002 0200 02 0002 4600"
        ));
        assert_eq!(open.capabilities.len(), 2);
    }
}

fn open_with(capabilities: Vec<Capability>) -> Open {
    Open {
        asn: Asn(64512),
        hold_time: HoldTime::DEFAULT,
        router_id: router_id("10.0.0.1"),
        capabilities,
    }
}

fn unknown(length: usize) -> Capability {
    Capability::Unknown {
        code: 200,
        value: vec![7; length],
    }
}

#[test]
fn the_extended_form_is_sent_where_255_octets_do_not_hold_the_parameters() {
    for (length, extended) in [(251, false), (252, true), (255, true)] {
        let open = open_with(vec![unknown(length)]);
        let octets = encoded(&Message::Open(open.clone()), EXTERNAL);
        assert_eq!(octets[HEADER_BYTES + 10] == 255, extended, "{length}");
        assert_eq!(
            decode_all(&octets, EXTERNAL),
            [Message::Open(open)],
            "{length}"
        );
    }
}

#[test]
fn capabilities_that_no_open_can_carry_are_left_out() {
    let octets = encoded(&Message::Open(open_with(vec![unknown(256)])), EXTERNAL);
    assert_eq!(
        decode_all(&octets, EXTERNAL),
        [Message::Open(open_with(vec![]))]
    );
    let octets = encoded(&Message::Open(open_with(vec![unknown(255); 20])), EXTERNAL);
    assert!(octets.len() <= MESSAGE_BYTES_MAX);
    assert_eq!(
        decode_all(&octets, EXTERNAL),
        [Message::Open(open_with(vec![unknown(255); 15]))]
    );
}

#[test]
fn route_refresh_of_a_foreign_family_or_subtype_is_told_apart() {
    for (body, afi, subtype, safi) in [("0001 00 80", 1, 0, 128), ("0001 03 01", 1, 3, 1)] {
        let octets = message(5, &hex(body));
        let message = Message::ForeignRouteRefresh { afi, subtype, safi };
        assert_eq!(encoded(&message, EXTERNAL), octets);
        assert_eq!(decode_all(&octets, EXTERNAL), [message]);
    }
}
