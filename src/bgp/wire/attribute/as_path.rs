//! AS_PATH and AS4_PATH (RFC 4271 section 4.3, RFC 6793): octets to segments and back, and the
//! merging of the two.

use super::{AsPath, AsPathSegment, AsPathSegmentKind};
use crate::bgp::wire::AsWidth;
use crate::bgp::wire::reader::Reader;
use crate::types::Asn;

/// A segment's count is one octet.
const SEGMENT_ASNS_MAX: usize = 255;

/// What is wrong with a path (RFC 7606 section 7.2, RFC 7607 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidAsPath {
    #[error("segment type {0} does not exist here (RFC 7606 7.2)")]
    SegmentKind(u8),
    #[error("segment without AS numbers (RFC 7606 7.2)")]
    EmptySegment,
    #[error("ends inside a segment (RFC 7606 7.2)")]
    Truncated,
    #[error("contains AS 0 (RFC 7607 2)")]
    ZeroAsn,
}

/// What becomes of the segments of confederations, in which we take no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConfederationSegments {
    /// An error, in AS_PATH (RFC 5065 section 5).
    Refuse,
    /// Left out, of AS4_PATH (RFC 6793 section 6).
    Drop,
}

/// Reads a path of numbers of the given width.
pub(super) fn decode(
    value: &[u8],
    as_width: AsWidth,
    confederation: ConfederationSegments,
) -> Result<AsPath, InvalidAsPath> {
    let mut reader = Reader::new(value);
    let mut path = AsPath::default();
    while let Some(kind) = reader.u8() {
        let count = usize::from(reader.u8().ok_or(InvalidAsPath::Truncated)?);
        let octets = reader
            .take(count * octets_per_asn(as_width))
            .ok_or(InvalidAsPath::Truncated)?;
        if count == 0 {
            return Err(InvalidAsPath::EmptySegment);
        }
        let kind = match (kind, confederation) {
            (1, _) => AsPathSegmentKind::Set,
            (2, _) => AsPathSegmentKind::Sequence,
            (3 | 4, ConfederationSegments::Drop) => continue,
            (other, _) => return Err(InvalidAsPath::SegmentKind(other)),
        };
        let asns = decode_asns(octets, as_width);
        if asns.contains(&Asn(0)) {
            return Err(InvalidAsPath::ZeroAsn);
        }
        path.segments.push(AsPathSegment { kind, asns });
    }
    Ok(path)
}

/// Appends a path's segments; empty ones, which cannot travel, are left out, and longer ones than
/// a count can say are split.
pub(super) fn encode(path: &AsPath, as_width: AsWidth, out: &mut Vec<u8>) {
    for segment in &path.segments {
        let kind = match segment.kind {
            AsPathSegmentKind::Set => 1,
            AsPathSegmentKind::Sequence => 2,
        };
        for asns in segment.asns.chunks(SEGMENT_ASNS_MAX) {
            let count = u8::try_from(asns.len()).expect("chunks of at most 255");
            out.extend_from_slice(&[kind, count]);
            asns.iter().for_each(|asn| encode_asn(*asn, as_width, out));
        }
    }
}

/// Appends a number; AS_TRANS where two octets do not hold it (RFC 6793 section 4.2.2).
pub(super) fn encode_asn(asn: Asn, as_width: AsWidth, out: &mut Vec<u8>) {
    match as_width {
        AsWidth::TwoOctets => out.extend_from_slice(&asn.two_octets().to_be_bytes()),
        AsWidth::FourOctets => out.extend_from_slice(&asn.0.to_be_bytes()),
    }
}

/// RFC 6793 section 4.2.3: the leading part of AS_PATH that AS4_PATH does not cover, then
/// AS4_PATH; AS_PATH alone where it is the shorter of the two.
pub(super) fn merge(two_octets: AsPath, four_octets: AsPath) -> AsPath {
    let Some(mut missing) = two_octets.length().checked_sub(four_octets.length()) else {
        return two_octets;
    };
    let mut merged = AsPath::default();
    for mut segment in two_octets.segments {
        if missing == 0 {
            break;
        }
        missing = match segment.kind {
            AsPathSegmentKind::Set => missing - 1,
            AsPathSegmentKind::Sequence => {
                segment.asns.truncate(missing);
                missing - segment.asns.len()
            }
        };
        merged.segments.push(segment);
    }
    for segment in four_octets.segments {
        append(&mut merged, segment);
    }
    merged
}

/// Joins a sequence to the one before it where a count can say the sum: a path cut in two by
/// [`merge`] becomes what it was.
fn append(path: &mut AsPath, segment: AsPathSegment) {
    match path.segments.last_mut() {
        Some(last)
            if last.kind == AsPathSegmentKind::Sequence
                && segment.kind == AsPathSegmentKind::Sequence
                && last.asns.len() + segment.asns.len() <= SEGMENT_ASNS_MAX =>
        {
            last.asns.extend(segment.asns);
        }
        Some(_) | None => path.segments.push(segment),
    }
}

fn decode_asns(octets: &[u8], as_width: AsWidth) -> Vec<Asn> {
    match as_width {
        AsWidth::TwoOctets => {
            let (numbers, _) = octets.as_chunks();
            let asn = |number: &[u8; 2]| Asn(u16::from_be_bytes(*number).into());
            numbers.iter().map(asn).collect()
        }
        AsWidth::FourOctets => {
            let (numbers, _) = octets.as_chunks();
            let asn = |number: &[u8; 4]| Asn(u32::from_be_bytes(*number));
            numbers.iter().map(asn).collect()
        }
    }
}

fn octets_per_asn(as_width: AsWidth) -> usize {
    match as_width {
        AsWidth::TwoOctets => 2,
        AsWidth::FourOctets => 4,
    }
}
