//! AS numbers of four octets through peers that know two (RFC 6793): how AS4_PATH and
//! AS4_AGGREGATOR are merged, and when they are discarded.

use super::rfc7606::Outcome::Announced;
use super::rfc7606::{NEXT_HOP, NLRI, ORIGIN, check, decoded, update};
use super::*;

/// The path and aggregator made of these attributes of a two-octet peer.
fn merged(attributes: &[&str]) -> (Vec<AsPathSegment>, Option<u32>) {
    let all = [&[ORIGIN, NEXT_HOP][..], attributes].concat();
    let attributes = decoded(&update("", &all, NLRI), OLD).attributes;
    let aggregator = attributes.aggregator.map(|aggregator| aggregator.asn.0);
    (attributes.as_path.segments, aggregator)
}

fn sequence(asns: &[u32]) -> Vec<AsPathSegment> {
    let asns: Vec<_> = asns.iter().copied().map(Asn).collect();
    AsPath::sequence(&asns).segments
}

#[test]
fn as4_path_replaces_the_tail_of_as_path() {
    let as_path = "40 02 08 02 03 fde8 5ba0 5ba0";
    let as4_path = "c0 11 0a 02 02 00010000 00010001";
    let expected = (sequence(&[65000, 65536, 65537]), None);
    assert_eq!(merged(&[as_path, as4_path]), expected);
    // The order of the two says nothing.
    assert_eq!(merged(&[as4_path, as_path]), expected);
}

#[test]
fn an_as4_path_longer_than_as_path_is_ignored() {
    let as_path = "40 02 04 02 01 fde8";
    let as4_path = "c0 11 0a 02 02 00010000 00010001";
    assert_eq!(merged(&[as_path, as4_path]).0, sequence(&[65000]));
}

#[test]
fn a_peer_known_as_as_trans_begins_paths_with_the_number_that_stands_for() {
    let of_trans = CodecContext {
        first_as: Some(Asn::TRANS),
        ..OLD
    };
    let begins = |first: &str| {
        let attributes = [ORIGIN, NEXT_HOP, "40 02 04 02 01 5ba0", first];
        let update = decoded(&update("", &attributes, NLRI), of_trans);
        update.errors.is_empty()
    };
    assert!(begins("c0 11 06 02 01 00010000"));
    assert!(!begins("c0 11 06 02 01 0000fde8"), "65000 fits two octets");
}

#[test]
fn a_set_counts_one_when_paths_are_merged() {
    let as_path = "40 02 0e 02 01 fde8 01 02 5ba0 0001 02 01 5ba0";
    let as4_path = "c0 11 06 02 01 00010000";
    let (segments, _) = merged(&[as_path, as4_path]);
    let set = AsPathSegment {
        kind: AsPathSegmentKind::Set,
        asns: vec![Asn(23456), Asn(1)],
    };
    let expected = [sequence(&[65000]), vec![set], sequence(&[65536])].concat();
    assert_eq!(segments, expected);
}

#[test]
fn as4_aggregator_counts_if_aggregator_is_as_trans() {
    let as_path = "40 02 04 02 01 5ba0";
    let as4 = "c0 11 06 02 01 00010000 c0 12 08 00010000 0a000001";
    let hidden = "c0 07 06 5ba0 0a000001";
    let expected = (sequence(&[65536]), Some(65536));
    assert_eq!(merged(&[as_path, hidden, as4]), expected);
    let mapped = "c0 07 06 fde8 0a000001";
    let expected = (sequence(&[23456]), Some(65000));
    assert_eq!(merged(&[as_path, mapped, as4]), expected);
    // Without AGGREGATOR, AS4_AGGREGATOR says nothing.
    assert_eq!(merged(&[as_path, as4]), (sequence(&[65536]), None));
}

#[test]
fn malformed_or_needless_as4_attributes_are_discarded() {
    check(&[
        ("c0 11 00", OLD, Announced(vec![17])),
        ("c0 11 02 02 00", OLD, Announced(vec![17])),
        ("c0 11 06 02 02 00010000", OLD, Announced(vec![17])),
        ("c0 11 06 02 01 00000000", OLD, Announced(vec![17])),
        ("c0 12 06 fde8 0a000001", OLD, Announced(vec![18])),
        ("c0 11 06 02 01 00010000", EXTERNAL, Announced(vec![17])),
        ("c0 12 08 00010000 0a000001", EXTERNAL, Announced(vec![18])),
    ]);
}

#[test]
fn confederation_segments_of_as4_path_are_left_out() {
    let as_path = "40 02 04 02 01 5ba0";
    let as4_path = "c0 11 0c 03 01 00010005 02 01 00010000";
    assert_eq!(merged(&[as_path, as4_path]).0, sequence(&[65536]));
}
