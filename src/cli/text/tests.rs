//! Times, attributes and foreign words.

use super::super::testing::{NOON, now};
use super::*;
use crate::types::{Community, ExtendedCommunity, LargeCommunity};

#[test]
fn a_moment_within_a_day_is_a_time_else_a_date() {
    for (at, text) in [
        (NOON, "12:00:00"),
        (NOON - 86_399, "12:00:01"),
        (NOON - 86_400, "2026-03-04"),
        // Clocks of two machines differ.
        (NOON + 60, "12:01:00"),
        (0, "1970-01-01"),
        (u64::MAX, NOTHING),
    ] {
        assert_eq!(since(at, now()), text, "{at}");
    }
}

#[test]
fn every_attribute_is_named() {
    let all = RouteAttributes {
        med: Some(0),
        local_pref: Some(200),
        prepend: 2,
        next_hop: Some("192.0.2.1".parse().unwrap()),
        communities: vec![Community(1 << 16 | 2), Community::NO_EXPORT],
        large_communities: vec![LargeCommunity {
            global_administrator: 1,
            local_data_1: 2,
            local_data_2: 3,
        }],
        extended_communities: vec![ExtendedCommunity([0, 2, 0, 0, 0, 0, 0, 9])],
    };
    assert_eq!(
        attributes(&all),
        "MED 0, local preference 200, prepend 2, next hop 192.0.2.1, \
         communities 1:2 65535:65281, large communities 1:2:3, \
         extended communities 0x0002000000000009"
    );
    assert_eq!(attributes(&RouteAttributes::default()), "");
}

#[test]
fn foreign_words_become_one_line_without_control_characters() {
    assert_eq!(printable(" a\r\n\tb  c "), "a b c");
    assert_eq!(printable("\u{1b}[31mred\u{7}"), "\\u{1b}[31mred\\u{7}");
    assert_eq!(printable("überall ✓"), "überall ✓");
}
