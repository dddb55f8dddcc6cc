//! The Link Bandwidth extended community (RFC 10005), which the contract gives a field of its own.
//!
//! Two octets of type and sub-type, two of AS number, four of an IEEE single of bytes a second.

use super::bindings::rutter::policy::types::LinkBandwidth;
use crate::types::{Asn, ExtendedCommunity};

const SUB_TYPE: u8 = 0x04;
/// Two-octet AS specific (RFC 7153), and not transitive: it does not leave the AS.
const NON_TRANSITIVE: u8 = 0x40;
const TRANSITIVE: u8 = 0x00;

/// Stands for an AS number that has more than two octets (RFC 6793 section 9).
const AS_TRANS: u16 = 23456;

/// The community of a bandwidth, with our AS number.
pub(super) fn encode(bandwidth: LinkBandwidth, asn: Asn) -> ExtendedCommunity {
    let kind = if bandwidth.transitive {
        TRANSITIVE
    } else {
        NON_TRANSITIVE
    };
    let [as_high, as_low] = u16::try_from(asn.0).unwrap_or(AS_TRANS).to_be_bytes();
    let [a, b, c, d] = (bandwidth.bytes_per_second as f32).to_be_bytes();
    ExtendedCommunity([kind, SUB_TYPE, as_high, as_low, a, b, c, d])
}

/// The bandwidth, where the community is one and it is a whole positive number. Any other stays
/// what it is: a community that nobody reads.
pub(super) fn decode(community: ExtendedCommunity) -> Option<LinkBandwidth> {
    let [
        kind @ (TRANSITIVE | NON_TRANSITIVE),
        SUB_TYPE,
        _,
        _,
        a,
        b,
        c,
        d,
    ] = community.0
    else {
        return None;
    };
    let number = f32::from_be_bytes([a, b, c, d]);
    // A number that is not finite or not positive becomes 0 or the largest.
    let bytes_per_second = number as u64;
    (number.is_finite() && bytes_per_second > 0).then_some(LinkBandwidth {
        bytes_per_second,
        transitive: kind == TRANSITIVE,
    })
}

/// Whether it is of this kind, whatever its number.
pub(super) fn is_one(community: ExtendedCommunity) -> bool {
    matches!(community.0, [TRANSITIVE | NON_TRANSITIVE, SUB_TYPE, ..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_type_and_the_as_number_are_encoded() {
        let at = |transitive, asn| {
            let bytes_per_second = 1_000_000;
            let bandwidth = LinkBandwidth {
                bytes_per_second,
                transitive,
            };
            u64::from_be_bytes(encode(bandwidth, Asn(asn)).0)
        };
        assert_eq!(at(false, 65535), 0x4004_FFFF_4974_2400);
        assert_eq!(at(true, 1), 0x0004_0001_4974_2400);
        // AS_TRANS.
        assert_eq!(at(false, 65536), 0x4004_5BA0_4974_2400);
    }

    #[test]
    fn what_is_no_usable_bandwidth_is_left_a_community() {
        for octets in [
            0x0002_FC00_0000_0001,
            0x4104_0001_4974_2400,
            // Zero, a half, infinity, no number, and less than nothing.
            0x4004_0001_0000_0000,
            0x4004_0001_3F00_0000,
            0x4004_0001_7F80_0000,
            0x4004_0001_7FC0_0000,
            0x4004_0001_C974_2400_u64,
        ] {
            let community = ExtendedCommunity(octets.to_be_bytes());
            assert!(decode(community).is_none(), "{octets:x}");
        }
    }

    proptest! {
        #[test]
        fn a_bandwidth_comes_back_with_24_significant_bits(
            number in 1_u64.., transitive: bool, asn: u32,
        ) {
            let given = LinkBandwidth { bytes_per_second: number, transitive };
            let community = encode(given, Asn(asn));
            let back = decode(community).unwrap();
            prop_assert!(is_one(community) && back.transitive == transitive);
            let off = back.bytes_per_second.abs_diff(number);
            prop_assert!(off <= number >> 24, "{number} came back as {back:?}");
            // And once it has lost what the wire cannot hold, it stays as it is.
            prop_assert_eq!(encode(back, Asn(asn)), community);
        }
    }
}
