//! How [`encode_updates`] divides prefixes among messages, and what it refuses.

use super::*;
use crate::types::Community;

fn next_hop(address: &str) -> NextHop {
    NextHop {
        address: address.parse().unwrap(),
        link_local: None,
    }
}

fn hosts(count: u32) -> Vec<Prefix> {
    let host = |number: u32| std::net::Ipv4Addr::from(0x0A00_0000 + number);
    (0..count)
        .map(|number| Prefix::host(host(number).into()))
        .collect()
}

fn communities(count: u32) -> PathAttributes {
    PathAttributes {
        communities: (0..count).map(Community).collect(),
        ..PathAttributes::default()
    }
}

fn announce(
    attributes: &PathAttributes,
    address: &str,
    prefixes: Vec<Prefix>,
) -> Result<Vec<u8>, AttributesTooLarge> {
    let reach = [Reach {
        next_hop: next_hop(address),
        prefixes,
    }];
    let mut out = Vec::new();
    encode_updates(&[], Some((attributes, &reach)), EXTERNAL, &mut out).map(|_| out)
}

#[test]
fn nothing_to_say_gives_no_message() {
    let mut out = Vec::new();
    let attributes = PathAttributes::default();
    for announced in [None, Some((&attributes, &[][..]))] {
        assert_eq!(encode_updates(&[], announced, EXTERNAL, &mut out), Ok(0));
    }
    assert_eq!(announce(&attributes, "10.0.0.1", vec![]), Ok(vec![]));
    assert_eq!(announce(&attributes, "fd00::1", vec![]), Ok(vec![]));
    assert!(out.is_empty());
}

#[test]
fn eight_hundred_host_routes_share_one_message() {
    let attributes = PathAttributes {
        as_path: AsPath::sequence(&[Asn(64512)]),
        med: Some(0),
        ..communities(6)
    };
    let octets = announce(&attributes, "10.0.0.1", hosts(800)).unwrap();
    assert_eq!(decode_all(&octets, EXTERNAL).len(), 1);
}

#[test]
fn withdrawn_host_routes_fill_a_message() {
    // 4096 less header and two lengths is 4073: 814 host routes of five octets.
    for (count, messages) in [(814, 1), (815, 2)] {
        let mut out = Vec::new();
        assert_eq!(
            encode_updates(&hosts(count), None, EXTERNAL, &mut out),
            Ok(messages)
        );
    }
}

#[test]
fn withdrawals_and_announcements_travel_apart_and_withdrawals_first() {
    let mut out = Vec::new();
    let attributes = PathAttributes::default();
    let reach = [Reach {
        next_hop: next_hop("10.0.0.1"),
        prefixes: prefixes(&["10.1.0.0/16"]),
    }];
    let withdrawn = prefixes(&["fd00::/64", "10.2.0.0/16"]);
    let announced = Some((&attributes, &reach[..]));
    assert_eq!(
        encode_updates(&withdrawn, announced, EXTERNAL, &mut out),
        Ok(3)
    );
    let updates: Vec<_> = decode_all(&out, EXTERNAL)
        .into_iter()
        .map(into_update)
        .map(|update| (update.withdrawn, update.reach.len()))
        .collect();
    let expected = [
        (prefixes(&["10.2.0.0/16"]), 0),
        (prefixes(&["fd00::/64"]), 0),
        (prefixes(&[]), 1),
    ];
    assert_eq!(updates, expected);
}

#[test]
fn attributes_that_leave_no_room_are_refused_and_nothing_is_written() {
    // The most communities that fit: header and lengths 23, ORIGIN 4, AS_PATH 3, NEXT_HOP 7, the
    // attribute's header 4, a host route 5; for IPv6, MP_REACH_NLRI 41 and 17 in place of 7 and 5.
    for (address, host, most) in [
        ("10.0.0.1", "10.1.1.1", (4096 - 46) / 4),
        ("fd00::1", "fd00::2", (4096 - 92) / 4),
    ] {
        let fits = announce(&communities(most), address, prefixes(&[host])).unwrap();
        assert_eq!(decode_all(&fits, EXTERNAL).len(), 1);
        let refused = announce(&communities(most + 1), address, prefixes(&[host]));
        assert!(refused.unwrap_err().octets > 4000);
    }
    let absurd = announce(&communities(40_000), "10.0.0.1", hosts(1));
    assert!(absurd.is_err());

    let mut out = b"earlier".to_vec();
    let reach = [Reach {
        next_hop: next_hop("10.0.0.1"),
        prefixes: hosts(1),
    }];
    let attributes = communities(2000);
    let announced = Some((&attributes, &reach[..]));
    assert!(encode_updates(&hosts(9), announced, EXTERNAL, &mut out).is_err());
    assert_eq!(out, b"earlier");
}

#[test]
fn a_message_whose_attributes_do_not_fit_withdraws_its_routes() {
    let update = Update {
        withdrawn: prefixes(&["10.9.0.0/16"]),
        reach: vec![Reach {
            next_hop: next_hop("10.0.0.1"),
            prefixes: prefixes(&["10.1.0.0/16"]),
        }],
        attributes: communities(2000),
        errors: Vec::new(),
        message: Vec::new(),
    };
    let octets = encoded(&Message::Update(update), EXTERNAL);
    let expected = Update {
        withdrawn: prefixes(&["10.9.0.0/16", "10.1.0.0/16"]),
        reach: Vec::new(),
        attributes: PathAttributes::default(),
        errors: Vec::new(),
        message: Vec::new(),
    };
    assert_eq!(decode_all(&octets, EXTERNAL), [Message::Update(expected)]);
}

#[test]
fn an_ipv6_prefix_by_an_ipv4_next_hop_maps_the_address() {
    let octets = announce(
        &PathAttributes::default(),
        "10.0.0.1",
        prefixes(&["fd00::/64"]),
    );
    let messages = decode_all(&octets.unwrap(), EXTERNAL);
    let [Message::Update(update)] = &messages[..] else {
        panic!("expected one UPDATE, got {messages:?}");
    };
    assert_eq!(update.reach[0].next_hop, next_hop("::ffff:10.0.0.1"));
}

#[test]
fn segments_that_cannot_travel_are_split_or_left_out() {
    let segment = |count: u32| AsPathSegment {
        kind: AsPathSegmentKind::Sequence,
        asns: (1..=count).map(Asn).collect(),
    };
    let attributes = PathAttributes {
        as_path: AsPath {
            segments: vec![segment(0), segment(300)],
        },
        ..PathAttributes::default()
    };
    let octets = announce(&attributes, "10.0.0.1", hosts(1)).unwrap();
    let messages = decode_all(&octets, EXTERNAL);
    let [Message::Update(update)] = &messages[..] else {
        panic!("expected one UPDATE, got {messages:?}");
    };
    let lengths: Vec<_> = update
        .attributes
        .as_path
        .segments
        .iter()
        .map(|it| it.asns.len())
        .collect();
    assert_eq!(lengths, [255, 45]);
}
