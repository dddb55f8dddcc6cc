//! Each message as octets written by hand from the RFCs, read and written.

use std::time::Duration;

use super::*;
use crate::types::{Community, ExtendedCommunity, Family, LargeCommunity};

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
        &hex("04 fc00 005a 0a000001  1c
              02 1a                 # one Capabilities parameter
              01 04 0001 00 01      # IPv4 unicast
              01 04 0002 00 01      # IPv6 unicast
              02 00                 # route refresh
              46 00                 # enhanced route refresh
              40 02 0000            # graceful restart, no families
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
            Capability::EnhancedRouteRefresh,
            Capability::END_OF_RIB,
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
fn an_answer_to_a_refresh_has_two_ends() {
    for (subtype, mark) in [("01", RefreshMark::Begin), ("02", RefreshMark::End)] {
        let octets = message(5, &hex(&format!("0001 {subtype} 01")));
        let mark = Message::RefreshMark(mark, Family::Ipv4Unicast);
        check(&octets, &mark, EXTERNAL);
    }
}

#[test]
fn graceful_restart_is_flags_a_time_and_families_with_flags() {
    let offer = GracefulRestart {
        restarted: true,
        keeps_over_notification: true,
        restart_time: Duration::from_secs(120),
        families: [
            (Family::Ipv4Unicast, Forwarding::Preserved),
            (Family::Ipv6Unicast, Forwarding::Lost),
        ]
        .into(),
    };
    let capability = Capability::GracefulRestart {
        restart: 0xC078,
        families: vec![[0, 1, 1, 0x80], [0, 2, 1, 0]],
    };
    assert_eq!(offer.capability(), capability);
    let all = [Capability::RouteRefresh, capability];
    assert_eq!(GracefulRestart::among(&all), Some(offer));
    assert_eq!(GracefulRestart::among(&all[..1]), None);
    // Of families that nobody here speaks nothing is known; of no families, that there is no F.
    let foreign = Capability::GracefulRestart {
        restart: 0x0FFF,
        families: vec![[0, 25, 65, 0x80]],
    };
    let read = GracefulRestart::among(&[foreign]).unwrap();
    assert_eq!(read.restart_time, Duration::from_secs(4095));
    assert!(read.families.is_empty() && !read.restarted && !read.keeps_over_notification);
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
        message: Vec::new(),
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
        message: Vec::new(),
    };
    check(&octets, &Message::Update(update), EXTERNAL);
}

/// Every attribute there is, reachability first and the others in ascending order.
#[test]
fn ipv6_routes_travel_in_mp_reach_before_all_other_attributes() {
    let octets = message(
        2,
        &hex("0000 008e
              80 0e 30 0002 01 20   # MP_REACH_NLRI
                fd000000000000000000000000000001
                fe800000000000000000000000000001
                00 40 fd000000000000a1 00 00
              40 01 01 02           # ORIGIN incomplete
              40 02 00              # AS_PATH
              40 05 04 000000c8     # LOCAL_PREF
              40 06 00              # ATOMIC_AGGREGATE
              c0 07 08 00010000 0a000009 # AGGREGATOR
              c0 08 08 ffffff01 fde80064 # COMMUNITIES
              80 09 04 0a000002     # ORIGINATOR_ID
              80 0a 08 0a000003 0a000004 # CLUSTER_LIST
              c0 10 08 0002fde800000001 # EXTENDED COMMUNITIES
              e0 1f 00              # unknown, passed on
              c0 20 0c 00010000 00000001 00000002 # LARGE_COMMUNITY
              e0 63 02 0102         # unknown, passed on"),
    );
    let unknown = |code, value: &[u8]| UnknownAttribute {
        flags: 0xE0,
        code,
        value: value.to_vec(),
    };
    let update = Update {
        withdrawn: Vec::new(),
        reach: vec![Reach {
            next_hop: NextHop {
                address: "fd00::1".parse().unwrap(),
                link_local: Some("fe80::1".parse().unwrap()),
            },
            prefixes: prefixes(&["fd00:0:0:a1::/64", "::/0", "::/0"]),
        }],
        attributes: PathAttributes {
            origin: OriginCode::Incomplete,
            as_path: AsPath::default(),
            med: None,
            local_pref: Some(200),
            atomic_aggregate: true,
            aggregator: Some(Aggregator {
                asn: Asn(65536),
                router: "10.0.0.9".parse().unwrap(),
            }),
            communities: vec![Community::NO_EXPORT, "65000:100".parse().unwrap()],
            extended_communities: vec![ExtendedCommunity([0, 2, 0xFD, 0xE8, 0, 0, 0, 1])],
            large_communities: vec![LargeCommunity {
                global_administrator: 65536,
                local_data_1: 1,
                local_data_2: 2,
            }],
            originator_id: Some("10.0.0.2".parse().unwrap()),
            cluster_list: vec!["10.0.0.3".parse().unwrap(), "10.0.0.4".parse().unwrap()],
            unknown: vec![unknown(31, &[]), unknown(99, &[1, 2])],
        },
        errors: Vec::new(),
        message: Vec::new(),
    };
    check(&octets, &Message::Update(update), INTERNAL);
}

#[test]
fn withdrawn_ipv6_routes_travel_in_mp_unreach() {
    let octets = message(2, &hex("0000 000f 80 0f 0c 0002 01 40 fd000000000000a1"));
    let update = Update {
        withdrawn: prefixes(&["fd00:0:0:a1::/64"]),
        reach: Vec::new(),
        attributes: PathAttributes::default(),
        errors: Vec::new(),
        message: Vec::new(),
    };
    check(&octets, &Message::Update(update), EXTERNAL);
}

/// RFC 6793 section 4.2.2.
#[test]
fn two_octet_peers_get_as_trans_and_the_truth_beside_it() {
    let octets = message(
        2,
        &hex("0000 0035
              40 01 01 00
              40 02 06 02 02 fde8 5ba0 # AS_PATH
              40 03 04 0a000001
              c0 07 06 5ba0 0a000009 # AGGREGATOR
              c0 11 0a 02 02 0000fde8 00010000 # AS4_PATH
              c0 12 08 00010000 0a000009 # AS4_AGGREGATOR
              08 0a"),
    );
    let update = Update {
        withdrawn: Vec::new(),
        reach: vec![Reach {
            next_hop: NextHop {
                address: "10.0.0.1".parse().unwrap(),
                link_local: None,
            },
            prefixes: prefixes(&["10.0.0.0/8"]),
        }],
        attributes: PathAttributes {
            as_path: AsPath::sequence(&[Asn(65000), Asn(65536)]),
            aggregator: Some(Aggregator {
                asn: Asn(65536),
                router: "10.0.0.9".parse().unwrap(),
            }),
            ..PathAttributes::default()
        },
        errors: Vec::new(),
        message: Vec::new(),
    };
    check(&octets, &Message::Update(update), OLD);
}
