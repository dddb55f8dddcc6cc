//! Each message as octets written by hand from the RFCs, read and written.

use super::*;
use crate::types::Family;

/// `octets` read as `message`, and `message` is written as `octets`.
#[track_caller]
fn check(octets: &[u8], message: &Message, context: CodecContext) {
    assert_eq!(
        decode(octets, context),
        Ok(Some((message.clone(), octets.len())))
    );
    assert_eq!(encoded(message, context), octets);
}

#[test]
fn keepalive_is_a_bare_header() {
    let octets = hex("ffffffffffffffffffffffffffffffff 0013 04");
    check(&octets, &Message::Keepalive, EXTERNAL);
}

#[test]
fn open_carries_all_capabilities_in_one_parameter() {
    let octets = message(
        1,
        &hex("04 fc00 005a 0a000001  16
              02 14                 # one Capabilities parameter
              01 04 0001 00 01      # IPv4 unicast
              01 04 0002 00 01      # IPv6 unicast
              02 00                 # route refresh
              41 04 0000fc00        # AS 64512"),
    );
    let open = Open {
        asn: Asn(64512),
        hold_time: HoldTime::DEFAULT,
        router_id: router_id("10.0.0.1"),
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4Unicast),
            Capability::Multiprotocol(Family::Ipv6Unicast),
            Capability::RouteRefresh,
            Capability::FourOctetAsn(Asn(64512)),
        ],
    };
    check(&octets, &Message::Open(open), EXTERNAL);
}

#[test]
fn notification_carries_code_subcode_and_data() {
    let octets = message(3, &hex("06 02 03 62 79 65"));
    let notification = Notification::cease_with_text(CeaseSubcode::AdministrativeShutdown, "bye");
    check(&octets, &Message::Notification(notification), EXTERNAL);
}

#[test]
fn route_refresh_names_a_family() {
    let octets = message(5, &hex("0002 00 01"));
    check(
        &octets,
        &Message::RouteRefresh(Family::Ipv6Unicast),
        EXTERNAL,
    );
}

#[test]
fn end_of_rib_is_an_update_that_says_nothing() {
    let octets = message(2, &hex("0000 0000"));
    check(&octets, &Message::EndOfRib(Family::Ipv4Unicast), EXTERNAL);
    let octets = message(2, &hex("0000 0006 80 0f 03 0002 01"));
    check(&octets, &Message::EndOfRib(Family::Ipv6Unicast), EXTERNAL);
}

#[test]
fn ipv4_routes_travel_in_the_messages_own_fields() {
    let octets = message(
        2,
        &hex("0000 001b
              40 01 01 00           # ORIGIN
              40 02 06 02 01 0000fde8 # AS_PATH
              40 03 04 0a000001     # NEXT_HOP
              80 04 04 00000064     # MED
              18 0a0102
              20 0a010203
              00"),
    );
    let update = Update {
        withdrawn: Vec::new(),
        reach: vec![Reach {
            next_hop: NextHop {
                address: "10.0.0.1".parse().unwrap(),
                link_local: None,
            },
            prefixes: prefixes(&["10.1.2.0/24", "10.1.2.3", "0.0.0.0/0"]),
        }],
        attributes: PathAttributes {
            as_path: AsPath::sequence(&[Asn(65000)]),
            med: Some(100),
            ..PathAttributes::default()
        },
        errors: Vec::new(),
    };
    check(&octets, &Message::Update(update), EXTERNAL);
}

#[test]
fn withdrawn_ipv4_routes_travel_without_attributes() {
    let octets = message(2, &hex("0005 20 0a010203 0000"));
    let update = Update {
        withdrawn: prefixes(&["10.1.2.3"]),
        reach: Vec::new(),
        attributes: PathAttributes::default(),
        errors: Vec::new(),
    };
    check(&octets, &Message::Update(update), EXTERNAL);
}
