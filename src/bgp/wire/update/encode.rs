//! UPDATE to octets: as many prefixes to a message as fit it.
//!
//! RFC 7606 section 5.1: a message carries only one of withdrawn routes, own NLRI, MP_REACH_NLRI
//! and MP_UNREACH_NLRI, and the last two are its first attribute.

use std::iter::Peekable;
use std::net::{IpAddr, Ipv4Addr};

use super::{NextHop, Reach};
use crate::bgp::wire::attribute::{self, Kind};
use crate::bgp::wire::message::{self, HEADER_BYTES, MESSAGE_BYTES_MAX, put_u16};
use crate::bgp::wire::{AsWidth, CodecContext, PathAttributes, nlri};
use crate::types::{Family, Prefix};

/// Header, and the two lengths of an UPDATE.
const FIXED_BYTES: usize = HEADER_BYTES + 4;
/// Flags, type and a two-octet length of an attribute.
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// What MP_REACH_NLRI holds before its prefixes: family, length, two addresses, reserved octet.
const REACHABLE_BYTES_MAX: usize = 3 + 1 + 32 + 1;

/// An attribute set beside which a message has no room for a prefix. RFC 4271 section 9.2: a
/// route that has it must not be advertised; one that the peer holds must be withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "path attributes of {octets} bytes leave no room for a prefix in a message of 4096 \
     (RFC 4271 9.2); send fewer communities"
)]
pub struct AttributesTooLarge {
    /// What the attributes take, reachability attributes included.
    pub octets: usize,
}

/// Appends as few UPDATEs to `out` as carry the withdrawals and announcements of one attribute
/// set: many prefixes a message, none above [`MESSAGE_BYTES_MAX`]. Withdrawals come first.
///
/// IPv4 prefixes travel in the message's own fields where their next hop is IPv4, others in
/// MP_UNREACH_NLRI and MP_REACH_NLRI. Withdrawals and announcements, and the two families, never
/// share a message (RFC 7606 section 5.1). Returns the number of messages; nothing to say gives
/// none.
///
/// # Errors
/// Attributes too large for a message; `out` is left as it was.
pub fn encode_updates(
    withdrawn: &[Prefix],
    announced: Option<(&PathAttributes, &[Reach])>,
    context: CodecContext,
    out: &mut Vec<u8>,
) -> Result<usize, AttributesTooLarge> {
    let start = out.len();
    let mut messages = encode_withdrawn(of_family(withdrawn, Family::Ipv4Unicast), out);
    messages += encode_unreachable(Family::Ipv6Unicast, withdrawn, out);
    let Some((attributes, reach)) = announced else {
        return Ok(messages);
    };
    for reach in reach {
        match encode_reach(attributes, reach, context.as_width, out) {
            Ok(count) => messages += count,
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        }
    }
    Ok(messages)
}

/// Appends the End-of-RIB of a family (RFC 4724 section 2).
pub(in crate::bgp::wire) fn encode_end_of_rib(family: Family, out: &mut Vec<u8>) {
    let start = begin(out);
    match family {
        Family::Ipv4Unicast => {}
        Family::Ipv6Unicast => {
            attribute::known(Kind::MpUnreach, out, |out| push_family(family, out));
            finish_attributes(start, out);
        }
    }
    message::finish(start, out);
}

/// Withdrawn Routes, the message's own field.
fn encode_withdrawn<'a>(
    mut prefixes: Peekable<impl Iterator<Item = &'a Prefix>>,
    out: &mut Vec<u8>,
) -> usize {
    let mut messages = 0;
    while prefixes.peek().is_some() {
        let start = message::begin(message::Kind::Update, out);
        out.extend_from_slice(&[0; 2]);
        let field = out.len();
        // The length of the attributes follows.
        push_fitting(&mut prefixes, start + MESSAGE_BYTES_MAX - 2, out);
        let length = out.len() - field;
        put_u16(out, field - 2, length);
        out.extend_from_slice(&[0; 2]);
        message::finish(start, out);
        messages += 1;
    }
    messages
}

/// MP_UNREACH_NLRI, with every prefix of the family.
fn encode_unreachable(family: Family, prefixes: &[Prefix], out: &mut Vec<u8>) -> usize {
    let mut prefixes = of_family(prefixes, family);
    let mut messages = 0;
    while prefixes.peek().is_some() {
        let start = begin(out);
        let end = start + MESSAGE_BYTES_MAX - 1;
        attribute::known(Kind::MpUnreach, out, |out| {
            push_family(family, out);
            push_fitting(&mut prefixes, end, out);
        });
        finish_attributes(start, out);
        message::finish(start, out);
        messages += 1;
    }
    messages
}

/// The prefixes of one next hop, each family by itself.
fn encode_reach(
    attributes: &PathAttributes,
    reach: &Reach,
    as_width: AsWidth,
    out: &mut Vec<u8>,
) -> Result<usize, AttributesTooLarge> {
    let mut messages = 0;
    for family in Family::ALL {
        let prefixes = of_family(&reach.prefixes, family);
        messages += match (family, reach.next_hop.address) {
            (Family::Ipv4Unicast, IpAddr::V4(next_hop)) => {
                encode_own(attributes, next_hop, prefixes, as_width, out)?
            }
            (Family::Ipv4Unicast, IpAddr::V6(_)) | (Family::Ipv6Unicast, _) => {
                let family = (family, reach.next_hop);
                encode_reachable(attributes, family, prefixes, as_width, out)?
            }
        };
    }
    Ok(messages)
}

/// IPv4 prefixes in the message's own NLRI.
fn encode_own<'a>(
    attributes: &PathAttributes,
    next_hop: Ipv4Addr,
    mut prefixes: Peekable<impl Iterator<Item = &'a Prefix>>,
    as_width: AsWidth,
    out: &mut Vec<u8>,
) -> Result<usize, AttributesTooLarge> {
    let mut messages = 0;
    let mut template = 0..0;
    while prefixes.peek().is_some() {
        let start = out.len();
        if messages == 0 {
            begin(out);
            attribute::encode(attributes, Some(next_hop), as_width, out);
            check_room(out.len() - start, Family::Ipv4Unicast)?;
            finish_attributes(start, out);
            template = start..out.len();
        } else {
            out.extend_from_within(template.clone());
        }
        push_fitting(&mut prefixes, start + MESSAGE_BYTES_MAX, out);
        message::finish(start, out);
        messages += 1;
    }
    Ok(messages)
}

/// Prefixes in MP_REACH_NLRI.
fn encode_reachable<'a>(
    attributes: &PathAttributes,
    (family, next_hop): (Family, NextHop),
    mut prefixes: Peekable<impl Iterator<Item = &'a Prefix>>,
    as_width: AsWidth,
    out: &mut Vec<u8>,
) -> Result<usize, AttributesTooLarge> {
    if prefixes.peek().is_none() {
        return Ok(0);
    }
    let mut others = Vec::with_capacity(128);
    attribute::encode(attributes, None, as_width, &mut others);
    let reachable_bytes = ATTRIBUTE_HEADER_BYTES + REACHABLE_BYTES_MAX;
    check_room(FIXED_BYTES + reachable_bytes + others.len(), family)?;
    let mut messages = 0;
    while prefixes.peek().is_some() {
        let start = begin(out);
        // One octet less, for the attribute's length may turn out to need two.
        let end = start + MESSAGE_BYTES_MAX - others.len() - 1;
        attribute::known(Kind::MpReach, out, |out| {
            push_family(family, out);
            push_next_hop(next_hop, out);
            push_fitting(&mut prefixes, end, out);
        });
        out.extend_from_slice(&others);
        finish_attributes(start, out);
        message::finish(start, out);
        messages += 1;
    }
    Ok(messages)
}

/// Whether a message of so many octets has room for one prefix, whatever its length.
fn check_room(message_bytes: usize, family: Family) -> Result<(), AttributesTooLarge> {
    if message_bytes + nlri::encoded_bytes_max(family) <= MESSAGE_BYTES_MAX {
        return Ok(());
    }
    Err(AttributesTooLarge {
        octets: message_bytes - FIXED_BYTES,
    })
}

fn of_family(prefixes: &[Prefix], family: Family) -> Peekable<impl Iterator<Item = &Prefix>> {
    prefixes
        .iter()
        .filter(move |prefix| prefix.family() == family)
        .peekable()
}

/// Appends prefixes as long as `out` does not grow beyond `end`.
fn push_fitting<'a>(
    prefixes: &mut Peekable<impl Iterator<Item = &'a Prefix>>,
    end: usize,
    out: &mut Vec<u8>,
) {
    while let Some(prefix) =
        prefixes.next_if(|prefix| out.len() + nlri::encoded_bytes(prefix) <= end)
    {
        nlri::encode(prefix, out);
    }
}

/// Appends the header and both lengths, zero so far, and says where the message starts.
fn begin(out: &mut Vec<u8>) -> usize {
    let start = message::begin(message::Kind::Update, out);
    out.extend_from_slice(&[0; 4]);
    start
}

/// Sets the length of the attributes of the message at `start`, which end where `out` does.
fn finish_attributes(start: usize, out: &mut [u8]) {
    let field = start + FIXED_BYTES;
    put_u16(out, field - 2, out.len() - field);
}

fn push_family(family: Family, out: &mut Vec<u8>) {
    let (afi, safi) = nlri::afi_safi(family);
    out.extend_from_slice(&afi.to_be_bytes());
    out.push(safi);
}

/// Appends the next hop with its length and the reserved octet behind it. An IPv4 address in this
/// place travels mapped into IPv6 (RFC 4291 section 2.5.5.2): four octets would end the session.
fn push_next_hop(next_hop: NextHop, out: &mut Vec<u8>) {
    let address = match next_hop.address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    match next_hop.link_local {
        Some(link_local) => {
            out.push(32);
            out.extend_from_slice(&address.octets());
            out.extend_from_slice(&link_local.octets());
        }
        None => {
            out.push(16);
            out.extend_from_slice(&address.octets());
        }
    }
    out.push(0);
}
