//! Path attributes to octets, in ascending order of type as RFC 4271 section 5 wants. Called by
//! the UPDATE encoder, which checks that the result fits.

use std::net::Ipv4Addr;
use std::ops::Range;

use super::kind::{EXTENDED_LENGTH, Kind, PARTIAL};
use super::{Aggregator, AsPath, PathAttributes, as_path};
use crate::bgp::wire::AsWidth;
use crate::bgp::wire::message::put_u16;
use crate::types::Asn;

/// Appends every attribute but the reachability ones. Attributes larger than their length field
/// can say come out wrong, and larger than any message: the caller does not send them.
pub(in crate::bgp::wire) fn encode(
    attributes: &PathAttributes,
    next_hop: Option<Ipv4Addr>,
    as_width: AsWidth,
    out: &mut Vec<u8>,
) {
    known(Kind::Origin, out, |out| out.push(attributes.origin.octet()));
    known(Kind::AsPath, out, |out| {
        as_path::encode(&attributes.as_path, as_width, out);
    });
    if let Some(next_hop) = next_hop {
        known_value(Kind::NextHop, &next_hop.octets(), out);
    }
    if let Some(med) = attributes.med {
        known_value(Kind::Med, &med.to_be_bytes(), out);
    }
    if let Some(local_pref) = attributes.local_pref {
        known_value(Kind::LocalPref, &local_pref.to_be_bytes(), out);
    }
    if attributes.atomic_aggregate {
        known_value(Kind::AtomicAggregate, &[], out);
    }
    if let Some(aggregator) = attributes.aggregator {
        encode_aggregator(aggregator, as_width, out);
    }
    list(
        Kind::Communities,
        &attributes.communities,
        out,
        |community, out| {
            out.extend_from_slice(&community.0.to_be_bytes());
        },
    );
    if let Some(originator) = attributes.originator_id {
        known_value(Kind::OriginatorId, &originator.octets(), out);
    }
    list(
        Kind::ClusterList,
        &attributes.cluster_list,
        out,
        |cluster, out| {
            out.extend_from_slice(&cluster.octets());
        },
    );
    encode_unknown(attributes, 0..16, out);
    list(
        Kind::ExtendedCommunities,
        &attributes.extended_communities,
        out,
        |community, out| out.extend_from_slice(&community.0),
    );
    if as_width == AsWidth::TwoOctets {
        encode_as4(attributes, out);
    }
    encode_unknown(attributes, 16..32, out);
    list(
        Kind::LargeCommunities,
        &attributes.large_communities,
        out,
        |community, out| {
            out.extend_from_slice(&community.global_administrator.to_be_bytes());
            out.extend_from_slice(&community.local_data_1.to_be_bytes());
            out.extend_from_slice(&community.local_data_2.to_be_bytes());
        },
    );
    encode_unknown(attributes, 32..256, out);
}

/// Appends one attribute this codec knows, its value being what `value` appends.
pub(in crate::bgp::wire) fn known(kind: Kind, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    attribute(kind.flags(), kind as u8, out, value);
}

fn known_value(kind: Kind, value: &[u8], out: &mut Vec<u8>) {
    known(kind, out, |out| out.extend_from_slice(value));
}

/// An attribute that is a list of things; absent where there are none (RFC 7606 section 4: these
/// must not be empty).
fn list<T>(kind: Kind, items: &[T], out: &mut Vec<u8>, item: impl Fn(&T, &mut Vec<u8>)) {
    if !items.is_empty() {
        known(kind, out, |out| items.iter().for_each(|one| item(one, out)));
    }
}

fn encode_aggregator(aggregator: Aggregator, as_width: AsWidth, out: &mut Vec<u8>) {
    known(Kind::Aggregator, out, |out| {
        as_path::encode_asn(aggregator.asn, as_width, out);
        out.extend_from_slice(&aggregator.router.octets());
    });
}

/// AS4_PATH and AS4_AGGREGATOR, where AS_TRANS hides a number (RFC 6793 section 4.2.2).
fn encode_as4(attributes: &PathAttributes, out: &mut Vec<u8>) {
    if has_hidden(&attributes.as_path) {
        known(Kind::As4Path, out, |out| {
            as_path::encode(&attributes.as_path, AsWidth::FourOctets, out);
        });
    }
    if let Some(aggregator) = attributes.aggregator
        && is_hidden(aggregator.asn)
    {
        known(Kind::As4Aggregator, out, |out| {
            as_path::encode_asn(aggregator.asn, AsWidth::FourOctets, out);
            out.extend_from_slice(&aggregator.router.octets());
        });
    }
}

fn has_hidden(path: &AsPath) -> bool {
    let mut segments = path.segments.iter();
    segments.any(|segment| segment.asns.iter().copied().any(is_hidden))
}

fn is_hidden(asn: Asn) -> bool {
    asn.0 > u32::from(u16::MAX)
}

/// Attributes passed on unread, those with a code in `codes`. RFC 4271 section 5: with the
/// Partial bit, whoever set it.
fn encode_unknown(attributes: &PathAttributes, codes: Range<u16>, out: &mut Vec<u8>) {
    for unknown in &attributes.unknown {
        if codes.contains(&unknown.code.into()) {
            let flags = (unknown.flags | PARTIAL) & !EXTENDED_LENGTH;
            attribute(flags, unknown.code, out, |out| {
                out.extend_from_slice(&unknown.value);
            });
        }
    }
}

/// Appends one attribute, with a two-octet length only where one octet does not hold it.
fn attribute(flags: u8, code: u8, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[flags, code, 0]);
    value(out);
    let length = out.len() - start - 3;
    match u8::try_from(length) {
        Ok(length) => out[start + 2] = length,
        Err(_) => {
            out[start] |= EXTENDED_LENGTH;
            out.insert(start + 2, 0);
            put_u16(out, start + 2, length);
        }
    }
}
