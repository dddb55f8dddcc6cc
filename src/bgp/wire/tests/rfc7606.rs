//! RFC 7606 rule by rule: what each malformed UPDATE does to its routes and to the session.

use super::*;

pub(super) const ORIGIN: &str = "40 01 01 00";
const AS_PATH: &str = "40 02 06 02 01 0000fde8";
pub(super) const NEXT_HOP: &str = "40 03 04 0a000001";
const LOCAL_PREF: &str = "40 05 04 00000064";
/// fd00::/16 by fd00::1.
const MP_REACH: &str = "80 0e 18 0002 01 10 fd000000000000000000000000000001 00 10 fd00";
/// Own prefixes: 10.1.2.0/24.
pub(super) const NLRI: &str = "18 0a0102";

/// What became of an UPDATE.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its routes are used; these attributes were discarded.
    Announced(Vec<u8>),
    /// Its routes are treated as withdrawn, because of this attribute.
    Withdrawn(u8),
    /// The session ends.
    Reset(UpdateSubcode),
}
use Outcome::{Announced, Reset, Withdrawn};

pub(super) fn update(withdrawn: &str, attributes: &[&str], nlri: &str) -> Vec<u8> {
    let field = |octets: Vec<u8>| {
        let length = u16::try_from(octets.len()).unwrap();
        [&length.to_be_bytes()[..], &octets].concat()
    };
    let attributes = field(hex(&attributes.concat()));
    message(2, &[field(hex(withdrawn)), attributes, hex(nlri)].concat())
}

pub(super) fn decoded(octets: &[u8], context: CodecContext) -> Update {
    match decode(octets, context) {
        Ok(Some((Message::Update(update), taken))) if taken == octets.len() => update,
        other => panic!("expected an UPDATE, got {other:?}"),
    }
}

fn outcome_of(octets: &[u8], context: CodecContext) -> Outcome {
    let update = match decode(octets, context) {
        Ok(Some((Message::Update(update), _))) => update,
        Ok(other) => panic!("expected an UPDATE, got {other:?}"),
        Err(error) => {
            let ErrorCode::Update(subcode) = error.notification.error else {
                panic!("expected an UPDATE error, got {error:?}");
            };
            return Reset(subcode);
        }
    };
    let of = |action| {
        let wanted = move |error: &&AttributeError| error.action == action;
        update.errors.iter().filter(wanted).map(|error| error.code)
    };
    match of(AttributeAction::TreatAsWithdraw).next() {
        Some(code) => {
            assert_eq!(update.reach, [], "withdrawn and announced");
            assert!(!update.withdrawn.is_empty(), "nothing withdrawn");
            assert_eq!(update.attributes, PathAttributes::default());
            Withdrawn(code)
        }
        None => {
            assert!(!update.reach.is_empty(), "nothing announced");
            Announced(of(AttributeAction::Discard).collect())
        }
    }
}

/// The outcome of an IPv4 announcement with these beside the mandatory attributes.
fn outcome_with(attribute: &str, context: CodecContext) -> Outcome {
    let as_path = match context.as_width {
        AsWidth::FourOctets => AS_PATH,
        AsWidth::TwoOctets => "40 02 04 02 01 fde8",
    };
    outcome_of(
        &update("", &[ORIGIN, as_path, NEXT_HOP, attribute], NLRI),
        context,
    )
}

#[track_caller]
pub(super) fn check(cases: &[(&str, CodecContext, Outcome)]) {
    for (attribute, context, expected) in cases {
        assert_eq!(&outcome_with(attribute, *context), expected, "{attribute}");
    }
}

/// The outcome of an IPv4 announcement with this in the place of a mandatory attribute.
fn outcome_instead(replaced: &str, by: &str) -> Outcome {
    let attributes = [ORIGIN, AS_PATH, NEXT_HOP].map(|it| if it == replaced { by } else { it });
    outcome_of(&update("", &attributes, NLRI), EXTERNAL)
}

#[test]
fn a_correct_update_is_announced() {
    assert_eq!(outcome_with("", EXTERNAL), Announced(vec![]));
    assert_eq!(outcome_with("", OLD), Announced(vec![]));
    assert_eq!(outcome_with(LOCAL_PREF, INTERNAL), Announced(vec![]));
    assert_eq!(outcome_with(MP_REACH, EXTERNAL), Announced(vec![]));
}

#[test]
fn s3b_field_lengths_beyond_the_message_reset_the_session() {
    for body in [
        "0001 0000",
        "ffff 0000",
        "0000 0001",
        "0000 ffff",
        "0002 20 0a",
    ] {
        let octets = message(2, &hex(body));
        assert_eq!(
            outcome_of(&octets, EXTERNAL),
            Reset(UpdateSubcode::MalformedAttributeList),
            "{body}"
        );
    }
}

#[test]
fn s3c_contradicting_flags_are_treated_as_withdraw() {
    check(&[
        ("80 05 04 00000064", INTERNAL, Withdrawn(5)),
        ("40 04 04 00000064", EXTERNAL, Withdrawn(4)),
        ("c0 04 04 00000064", EXTERNAL, Withdrawn(4)),
        ("80 08 04 00000064", EXTERNAL, Withdrawn(8)),
        ("80 06 00", EXTERNAL, Withdrawn(6)),
        ("40 07 08 0000fde8 0a000001", EXTERNAL, Withdrawn(7)),
        (
            "40 20 0c 0000000100000002 00000003",
            EXTERNAL,
            Withdrawn(32),
        ),
    ]);
    assert_eq!(outcome_instead(ORIGIN, "80 01 01 00"), Withdrawn(1));
}

#[test]
fn s3c_partial_extended_and_unused_flag_bits_are_tolerated() {
    check(&[
        ("e0 08 04 00000064", EXTERNAL, Announced(vec![])),
        ("d0 08 0004 00000064", EXTERNAL, Announced(vec![])),
        ("cf 08 04 00000064", EXTERNAL, Announced(vec![])),
    ]);
}

#[test]
fn s3d_a_missing_mandatory_attribute_is_treated_as_withdraw() {
    assert_eq!(outcome_instead(ORIGIN, ""), Withdrawn(1));
    assert_eq!(outcome_instead(AS_PATH, ""), Withdrawn(2));
    assert_eq!(outcome_instead(NEXT_HOP, ""), Withdrawn(3));
    let octets = update("", &[MP_REACH, ORIGIN], "");
    assert_eq!(outcome_of(&octets, EXTERNAL), Withdrawn(2));
}

#[test]
fn s3d_next_hop_is_needed_by_own_prefixes_only() {
    let octets = update("", &[MP_REACH, ORIGIN, AS_PATH], "");
    assert_eq!(outcome_of(&octets, EXTERNAL), Announced(vec![]));
    // RFC 4760 section 3: ignored where the message has no prefixes of its own.
    let octets = update("", &[MP_REACH, ORIGIN, AS_PATH, "40 03 04 00000000"], "");
    assert_eq!(outcome_of(&octets, EXTERNAL), Announced(vec![]));
}

#[test]
fn s3e_a_next_hop_that_is_no_host_is_treated_as_withdraw() {
    for next_hop in ["00000000", "00000001", "e0000001", "f0000001", "ffffffff"] {
        let attribute = format!("40 03 04 {next_hop}");
        assert_eq!(outcome_instead(NEXT_HOP, &attribute), Withdrawn(3));
    }
    for next_hop in [
        "00000000000000000000000000000000",
        "ff020000000000000000000000000001",
    ] {
        let reach = format!("80 0e 18 0002 01 10 {next_hop} 00 10 fd00");
        assert_eq!(outcome_with(&reach, EXTERNAL), Withdrawn(14));
    }
}

#[test]
fn a_loopback_next_hop_is_a_host() {
    let octets = "40 03 04 7f000002";
    assert_eq!(outcome_instead(NEXT_HOP, octets), Announced(vec![]));
    let reach = "80 0e 18 0002 01 10 00000000000000000000000000000001 00 10 fd00";
    assert_eq!(outcome_with(reach, EXTERNAL), Announced(vec![]));
}

#[test]
fn s3g_the_first_of_repeated_attributes_counts() {
    let twice = update("", &[ORIGIN, "40 01 01 02", AS_PATH, NEXT_HOP], NLRI);
    assert_eq!(outcome_of(&twice, EXTERNAL), Announced(vec![1]));
    assert_eq!(decoded(&twice, EXTERNAL).attributes.origin, OriginCode::Igp);
    let unknown = "c0 63 01 01 c0 63 01 02";
    assert_eq!(outcome_with(unknown, EXTERNAL), Announced(vec![0x63]));
}

#[test]
fn s3g_repeated_reachability_attributes_reset_the_session() {
    for attribute in [MP_REACH, "80 0f 03 0002 01"] {
        let twice = attribute.repeat(2);
        assert_eq!(
            outcome_with(&twice, EXTERNAL),
            Reset(UpdateSubcode::MalformedAttributeList)
        );
    }
}

#[test]
fn s3h_the_strongest_action_of_several_is_taken() {
    let discard_and_withdraw = "c0 07 01 00 40 05 01 00";
    let octets = update("", &[ORIGIN, AS_PATH, NEXT_HOP, discard_and_withdraw], NLRI);
    assert_eq!(outcome_of(&octets, INTERNAL), Withdrawn(5));
    assert_eq!(decoded(&octets, INTERNAL).errors.len(), 2);
    let and_reset = "40 05 01 00 80 0f 02 0002";
    assert_eq!(
        outcome_with(and_reset, INTERNAL),
        Reset(UpdateSubcode::OptionalAttributeError)
    );
}

#[test]
fn s4_an_attribute_beyond_the_list_is_treated_as_withdraw() {
    for attribute in [
        "c0",
        "c0 08",
        "c0 08 04 0000",
        "d0 08 00",
        "d0 08 ffff 00000064",
    ] {
        let code = hex(attribute).get(1).copied().unwrap_or(0);
        assert_eq!(
            outcome_with(attribute, EXTERNAL),
            Withdrawn(code),
            "{attribute}"
        );
    }
}

#[test]
fn s4_a_reachability_attribute_beyond_the_list_resets_the_session() {
    for attribute in ["80 0e 20 0002 01", "80 0f ff 0002 01"] {
        assert_eq!(
            outcome_with(attribute, EXTERNAL),
            Reset(UpdateSubcode::MalformedAttributeList)
        );
    }
}

#[test]
fn s5_1_reachability_attributes_are_found_anywhere() {
    let octets = update(
        "20 0a010203",
        &[
            ORIGIN,
            "80 0f 06 0002 01 10 fd01",
            AS_PATH,
            NEXT_HOP,
            MP_REACH,
        ],
        NLRI,
    );
    let update = decoded(&octets, EXTERNAL);
    assert_eq!(update.withdrawn, prefixes(&["10.1.2.3", "fd01::/16"]));
    let announced: Vec<_> = update.reach.iter().flat_map(|it| &it.prefixes).collect();
    assert_eq!(announced, [&prefix("10.1.2.0/24"), &prefix("fd00::/16")]);
    assert_eq!(update.errors, []);
}

#[test]
fn s5_2_faults_without_reachable_prefixes_reset_the_session() {
    let cases = [
        ("40 01 01 03", UpdateSubcode::InvalidOrigin),
        ("40 02 02 02 00", UpdateSubcode::MalformedAsPath),
        ("80 01 01 00", UpdateSubcode::AttributeFlagsError),
        ("c0 08 03 000000", UpdateSubcode::AttributeLengthError),
        ("c0 08 04 00", UpdateSubcode::MalformedAttributeList),
        // An end of table with more behind it.
        ("80 0f 03 0002 01 c0", UpdateSubcode::MalformedAttributeList),
    ];
    for (attribute, subcode) in cases {
        let octets = update("20 0a010203", &[attribute], "");
        assert_eq!(outcome_of(&octets, EXTERNAL), Reset(subcode), "{attribute}");
    }
}

#[test]
fn s5_2_discarded_attributes_without_reachable_prefixes_are_tolerated() {
    let update = decoded(&update("20 0a010203", &[LOCAL_PREF], ""), EXTERNAL);
    assert_eq!(update.withdrawn, prefixes(&["10.1.2.3"]));
    assert_eq!(update.errors.len(), 1);
}

#[test]
fn s5_3_own_prefixes_that_cannot_be_read_reset_the_session() {
    for nlri in ["21 0a010203 00", "ff", "18 0a01", "20"] {
        let expected = Reset(UpdateSubcode::InvalidNetworkField);
        let announced = update("", &[ORIGIN, AS_PATH, NEXT_HOP], nlri);
        assert_eq!(outcome_of(&announced, EXTERNAL), expected, "{nlri}");
        let withdrawn = update(nlri, &[], "");
        assert_eq!(outcome_of(&withdrawn, EXTERNAL), expected, "{nlri}");
    }
}

#[test]
fn s5_3_incorrect_reachability_attributes_reset_the_session() {
    let attributes = [
        "80 0e 04 0002 01 00",
        "80 0e 00",
        "80 0f 02 0002",
        "80 0f 00",
        "c0 0f 03 0002 01",                                                // flags
        "40 0e 18 0002 01 10 fd000000000000000000000000000001 00 10 fd00", // flags
        "80 0e 17 0002 01 10 fd000000000000000000000000000001 00 10 fd",   // cut
        "80 0e 16 0002 01 10 fd000000000000000000000000000001 00 81",      // above 128
        "80 0f 05 0002 01 10 fd",
        "80 0f 08 0001 01 21 0a010203",
    ];
    for attribute in attributes {
        assert_eq!(
            outcome_with(attribute, EXTERNAL),
            Reset(UpdateSubcode::OptionalAttributeError),
            "{attribute}"
        );
    }
}

#[test]
fn s7_1_origin_is_one_octet_and_defined() {
    for origin in ["40 01 01 03", "40 01 00", "40 01 02 0000"] {
        assert_eq!(outcome_instead(ORIGIN, origin), Withdrawn(1));
    }
}

#[test]
fn s7_2_a_malformed_as_path_is_treated_as_withdraw() {
    let paths = [
        "40 02 02 02 00",             // empty segment
        "40 02 06 05 01 0000fde8",    // unknown segment type
        "40 02 06 03 01 0000fde8",    // confederation, RFC 5065
        "40 02 06 02 02 0000fde8",    // overrun
        "40 02 07 02 01 0000fde8 02", // underrun
        "40 02 04 02 01 fde8",        // two octets an AS
        "50 02 0002 02 ff",           // a count that lies
    ];
    for path in paths {
        assert_eq!(outcome_instead(AS_PATH, path), Withdrawn(2), "{path}");
    }
    assert_eq!(outcome_instead(AS_PATH, "40 02 00"), Announced(vec![]));
}

#[test]
fn rfc7607_as_0_in_a_path_is_treated_as_withdraw() {
    let path = "40 02 0a 02 02 0000fde8 00000000";
    assert_eq!(outcome_instead(AS_PATH, path), Withdrawn(2));
}

#[test]
fn s7_3_to_7_5_lengths_of_next_hop_med_and_local_pref() {
    assert_eq!(outcome_instead(NEXT_HOP, "40 03 03 0a0000"), Withdrawn(3));
    assert_eq!(outcome_instead(NEXT_HOP, "40 03 00"), Withdrawn(3));
    check(&[
        ("80 04 03 000000", EXTERNAL, Withdrawn(4)),
        ("80 04 00", EXTERNAL, Withdrawn(4)),
        ("40 05 05 0000000000", INTERNAL, Withdrawn(5)),
    ]);
}

#[test]
fn s7_5_7_9_7_10_internal_attributes_of_external_peers_are_discarded() {
    check(&[
        (LOCAL_PREF, EXTERNAL, Announced(vec![5])),
        ("40 05 01 00", EXTERNAL, Announced(vec![5])),
        ("80 09 04 0a000001", EXTERNAL, Announced(vec![9])),
        ("80 0a 04 0a000001", EXTERNAL, Announced(vec![10])),
    ]);
    let octets = update("", &[ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF], NLRI);
    assert_eq!(decoded(&octets, EXTERNAL).attributes.local_pref, None);
    assert_eq!(decoded(&octets, INTERNAL).attributes.local_pref, Some(100));
}

#[test]
fn s7_6_and_7_7_malformed_aggregation_attributes_are_discarded() {
    check(&[
        ("40 06 01 00", EXTERNAL, Announced(vec![6])),
        ("c0 07 06 fde8 0a000001", EXTERNAL, Announced(vec![7])),
        ("c0 07 08 0000fde8 0a000001", OLD, Announced(vec![7])),
        ("c0 07 00", EXTERNAL, Announced(vec![7])),
        ("c0 07 08 00000000 0a000001", EXTERNAL, Announced(vec![7])), // RFC 7607
        ("c0 07 08 0000fde8 0a000001", EXTERNAL, Announced(vec![])),
    ]);
}

#[test]
fn s7_8_to_7_14_lists_hold_whole_items_and_at_least_one() {
    check(&[
        ("c0 08 00", EXTERNAL, Withdrawn(8)),
        ("c0 08 05 0000000000", EXTERNAL, Withdrawn(8)),
        ("80 09 05 0000000000", INTERNAL, Withdrawn(9)),
        ("80 0a 00", INTERNAL, Withdrawn(10)),
        ("80 0a 06 000000000000", INTERNAL, Withdrawn(10)),
        ("c0 10 00", EXTERNAL, Withdrawn(16)),
        ("c0 10 0c 000000000000000000000000", EXTERNAL, Withdrawn(16)),
        ("c0 20 00", EXTERNAL, Withdrawn(32)),
        ("c0 20 08 0000000000000000", EXTERNAL, Withdrawn(32)),
    ]);
}

#[test]
fn s7_11_a_next_hop_of_unexpected_length_resets_the_session() {
    let reset = || Reset(UpdateSubcode::OptionalAttributeError);
    check(&[
        ("80 0e 0b 0002 01 04 0a000001 00 10 fd", EXTERNAL, reset()),
        ("80 0e 07 0002 01 00 00 08 fd", EXTERNAL, reset()),
        ("80 0e 06 0002 01 ff 00 00", EXTERNAL, reset()),
        // IPv4 by way of IPv6, which nobody negotiated (RFC 8950).
        (
            "80 0e 17 0001 01 10 fd000000000000000000000000000001 00 08 0a",
            EXTERNAL,
            reset(),
        ),
    ]);
}

#[test]
fn a_second_next_hop_counts_if_it_is_link_local() {
    let reach = |second: &str| {
        let global = "fd000000000000000000000000000001";
        let attribute = format!("80 0e 28 0002 01 20 {global} {second} 00 10 fd00");
        let octets = update("", &[&attribute, ORIGIN, AS_PATH], "");
        decoded(&octets, EXTERNAL).reach[0].next_hop.link_local
    };
    let link_local = "fe800000000000000000000000000002";
    assert_eq!(reach(link_local), Some("fe80::2".parse().unwrap()));
    assert_eq!(reach("00000000000000000000000000000000"), None);
}

#[test]
fn a_link_local_address_alone_twice_or_after_none_is_the_same_next_hop() {
    let link_local = "fe800000000000000000000000000001";
    let none = "00000000000000000000000000000000";
    for (length, octets) in [
        ("1a 0002 01 10", link_local.to_owned()),
        ("2a 0002 01 20", format!("{link_local}{link_local}")),
        ("2a 0002 01 20", format!("{none}{link_local}")),
    ] {
        let attribute = format!("80 0e {length} {octets} 00 20 fd222222");
        let octets = update("", &[&attribute, ORIGIN, AS_PATH], "");
        let update = decoded(&octets, EXTERNAL);
        assert_eq!(update.errors, []);
        assert_eq!(
            update.reach[0].next_hop,
            NextHop {
                address: "fe80::1".parse().unwrap(),
                link_local: None,
            },
            "{attribute}"
        );
    }
}

#[test]
fn families_we_do_not_speak_are_ignored() {
    check(&[
        ("80 0e 05 4004 47 00 00", EXTERNAL, Announced(vec![14])),
        ("80 0f 03 0001 80", EXTERNAL, Announced(vec![15])),
    ]);
    let octets = update("", &["80 0e 06 4004 47 00 00 ff", "40 01 01 09"], "");
    let update = decoded(&octets, EXTERNAL);
    assert_eq!((update.withdrawn.len(), update.reach.len()), (0, 0));
}

#[test]
fn ipv4_routes_may_travel_in_reachability_attributes() {
    let reach = "80 0e 0c 0001 01 04 0a000001 00 10 0a02";
    let octets = update("", &[reach, ORIGIN, AS_PATH], "");
    let announced = decoded(&octets, EXTERNAL).reach;
    assert_eq!(announced[0].prefixes, prefixes(&["10.2.0.0/16"]));
    let octets = update("", &["80 0f 06 0001 01 10 0a02"], "");
    let withdrawn = decoded(&octets, EXTERNAL).withdrawn;
    assert_eq!(withdrawn, prefixes(&["10.2.0.0/16"]));
}

#[test]
fn unknown_well_known_attributes_reset_the_session_and_are_quoted() {
    let octets = update("", &[ORIGIN, AS_PATH, NEXT_HOP, "40 63 02 0102"], NLRI);
    let error = decode(&octets, EXTERNAL).unwrap_err();
    let subcode = UpdateSubcode::UnrecognizedWellKnownAttribute;
    assert_eq!(error.notification.error, ErrorCode::Update(subcode));
    assert_eq!(error.notification.data, hex("40 63 02 0102"));
}

#[test]
fn unknown_transitive_attributes_are_passed_on_with_partial() {
    let octets = update("", &[ORIGIN, AS_PATH, NEXT_HOP, "d0 63 0002 0102"], NLRI);
    let passed_on = update("", &[ORIGIN, AS_PATH, NEXT_HOP, "e0 63 02 0102"], NLRI);
    let update = decoded(&octets, EXTERNAL);
    assert_eq!(encoded(&Message::Update(update), EXTERNAL), passed_on);
}

#[test]
fn unknown_non_transitive_attributes_are_dropped_quietly() {
    let octets = update("", &[ORIGIN, AS_PATH, NEXT_HOP, "80 63 02 0102"], NLRI);
    let update = decoded(&octets, EXTERNAL);
    assert_eq!((update.attributes.unknown, update.errors), (vec![], vec![]));
}

#[test]
fn treat_as_withdraw_takes_every_prefix_of_both_families() {
    let octets = update(
        "20 0a010203",
        &[MP_REACH, "40 01 01 07", AS_PATH, NEXT_HOP],
        NLRI,
    );
    let update = decoded(&octets, EXTERNAL);
    let expected = prefixes(&["10.1.2.3", "10.1.2.0/24", "fd00::/16"]);
    assert_eq!(update.withdrawn, expected);
    assert_eq!(update.reach, []);
}

#[test]
fn a_flood_of_faults_is_listed_up_to_a_bound() {
    let repeated = "c0 63 00".repeat(1000);
    let octets = update(
        "",
        &[ORIGIN, AS_PATH, NEXT_HOP, &repeated, "40 05 00"],
        NLRI,
    );
    let update = decoded(&octets, INTERNAL);
    assert_eq!(update.errors.len(), 16);
    assert_eq!(update.withdrawn, prefixes(&["10.1.2.0/24"]));
}

#[test]
fn rfc8092_redundant_large_communities_are_removed() {
    let community = "0000000100000002 00000003";
    let attribute = format!("c0 20 18 {community} {community}");
    let octets = update("", &[ORIGIN, AS_PATH, NEXT_HOP, &attribute], NLRI);
    let update = decoded(&octets, EXTERNAL);
    assert_eq!(update.attributes.large_communities.len(), 1);
    assert_eq!(update.errors, []);
}
