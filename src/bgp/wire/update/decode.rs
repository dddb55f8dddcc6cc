//! UPDATE from octets, with the error handling of RFC 7606. Called by the message decoder only.

use std::net::IpAddr;

use super::{NextHop, Reach, Update};
use crate::bgp::wire::attribute::{self, Decoded, Kind, Unreachable, next_hop_fault};
use crate::bgp::wire::error::{Fault, update_error};
use crate::bgp::wire::reader::Reader;
use crate::bgp::wire::{CodecContext, Message, MessageError, PathAttributes, UpdateSubcode, nlri};
use crate::types::{Asn, Family, Prefix};

/// Reads the body of an UPDATE; the empty one, and the one that is nothing but an empty
/// MP_UNREACH_NLRI, mark the end of a family's table (RFC 4724 section 2).
pub(in crate::bgp::wire) fn decode_update(
    body: &[u8],
    context: CodecContext,
) -> Result<Message, MessageError> {
    let fields = Fields::read(body)?;
    if body.len() == EMPTY_BODY_BYTES {
        return Ok(Message::EndOfRib(Family::Ipv4Unicast));
    }
    let mut withdrawn = decode_prefixes(fields.withdrawn)?;
    let announced = decode_prefixes(fields.announced)?;
    let mut decoded = attribute::decode(fields.attributes, context)?;

    if let Some(Unreachable { family, prefixes }) = decoded.unreachable.take() {
        let says_nothing = prefixes.is_empty() && withdrawn.is_empty() && announced.is_empty();
        if says_nothing && decoded.is_only_unreachable() {
            return Ok(Message::EndOfRib(family));
        }
        withdrawn.extend(prefixes);
    }
    conclude(decoded, withdrawn, announced, context).map(Message::Update)
}

/// Two lengths, both zero.
const EMPTY_BODY_BYTES: usize = 4;

/// The three variable parts of an UPDATE.
struct Fields<'a> {
    withdrawn: &'a [u8],
    attributes: &'a [u8],
    announced: &'a [u8],
}

impl<'a> Fields<'a> {
    /// RFC 7606 section 3 b: lengths that do not fit the message end the session.
    fn read(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let mut field = |name: &str| {
            let length = reader.u16();
            let octets = length.and_then(|length| reader.take(length.into()));
            octets.ok_or_else(|| {
                let what = format!("{name} run past the message (RFC 7606 3 b)");
                update_error(UpdateSubcode::MalformedAttributeList, &[], what)
            })
        };
        Ok(Self {
            withdrawn: field("withdrawn routes")?,
            attributes: field("path attributes")?,
            announced: reader.rest(),
        })
    }
}

/// A field of the message's own prefixes. RFC 7606 sections 3 j and 5.3: one that cannot be read
/// leaves nothing to withdraw, so RFC 4271 section 6.3 stands and the session ends.
fn decode_prefixes(field: &[u8]) -> Result<Vec<Prefix>, MessageError> {
    let mut prefixes = Vec::new();
    nlri::decode(field, Family::Ipv4Unicast, &mut prefixes).map_err(|error| {
        update_error(UpdateSubcode::InvalidNetworkField, &[], error.to_string())
    })?;
    Ok(prefixes)
}

/// Weighs what is announced against what is wrong.
fn conclude(
    mut decoded: Decoded,
    mut withdrawn: Vec<Prefix>,
    announced: Vec<Prefix>,
    context: CodecContext,
) -> Result<Update, MessageError> {
    let reachable = decoded.reachable.take();
    let announces = !announced.is_empty()
        || match &reachable {
            Some(reach) => !reach.prefixes.is_empty(),
            // Of a family we do not speak: any other fault of it has ended the session.
            None => decoded.has(Kind::MpReach),
        };
    check_mandatory(&mut decoded, &announced, reachable.as_ref(), context)?;

    if let Some(error) = decoded.faults.withdraw() {
        // RFC 7606 section 5.2: attributes but no prefixes, so some may have gone unread.
        if !announces {
            return Err(error);
        }
        withdrawn.extend(announced);
        withdrawn.extend(reachable.into_iter().flat_map(|reach| reach.prefixes));
        return Ok(Update {
            withdrawn,
            reach: Vec::new(),
            attributes: PathAttributes::default(),
            errors: decoded.faults.into_errors(),
            message: Vec::new(),
        });
    }

    let own = decoded.next_hop.map(|address| Reach {
        next_hop: NextHop {
            address: address.into(),
            link_local: None,
        },
        prefixes: announced,
    });
    // RFC 4760 section 3: a NEXT_HOP without prefixes of its own is ignored.
    let reach: Vec<_> = own
        .into_iter()
        .chain(reachable)
        .filter(|reach| !reach.prefixes.is_empty())
        .collect();
    let attributes = if reach.is_empty() {
        PathAttributes::default()
    } else {
        decoded.attributes
    };
    Ok(Update {
        withdrawn,
        reach,
        attributes,
        errors: decoded.faults.into_errors(),
        message: Vec::new(),
    })
}

/// What every announcement needs: ORIGIN, AS_PATH, by whom the peer says it is, and a next hop that
/// is a host (RFC 7606 sections 3 d and 3 e, RFC 4271 section 6.3). NEXT_HOP is for the message's
/// own prefixes (RFC 4760 section 3).
fn check_mandatory(
    decoded: &mut Decoded,
    announced: &[Prefix],
    reachable: Option<&Reach>,
    context: CodecContext,
) -> Result<(), MessageError> {
    let reachable = reachable.filter(|reach| !reach.prefixes.is_empty());
    if !announced.is_empty() {
        require(decoded, Kind::NextHop)?;
        if let Some(fault) = decoded.next_hop.map(IpAddr::V4).and_then(next_hop_fault) {
            decoded.faults.add(Kind::NextHop as u8, &[], fault)?;
        }
    }
    if let Some(fault) = reachable.and_then(|reach| next_hop_fault(reach.next_hop.address)) {
        decoded.faults.add(Kind::MpReach as u8, &[], fault)?;
    }
    if !announced.is_empty() || reachable.is_some() {
        require(decoded, Kind::Origin)?;
        require(decoded, Kind::AsPath)?;
        check_first_as(decoded, context)?;
    }
    Ok(())
}

/// RFC 4271 section 6.3: an external peer puts its own AS before all others. A path that is empty, or
/// begins with a set, names no such AS. One that could not be read has been judged by then.
fn check_first_as(decoded: &mut Decoded, context: CodecContext) -> Result<(), MessageError> {
    let Some(expected) = context.first_as else {
        return Ok(());
    };
    let first = decoded.attributes.as_path.neighbor();
    // A peer that two octets name AS_TRANS names itself in AS4_PATH (RFC 6793 section 4.2.3).
    let is_peers = |first: Asn| {
        first == expected || expected == Asn::TRANS && first.two_octets() == Asn::TRANS.two_octets()
    };
    if first.is_some_and(is_peers) || decoded.faults.withdraws() {
        return Ok(());
    }
    let begins = match first {
        Some(first) => format!("begins with AS {first}"),
        None => "begins with no AS".to_owned(),
    };
    let fault = Fault::withdraw(
        UpdateSubcode::MalformedAsPath,
        format!("{begins}, not with the peer's {expected} (RFC 4271 6.3)"),
    );
    decoded.faults.add(Kind::AsPath as u8, &[], fault)
}

fn require(decoded: &mut Decoded, kind: Kind) -> Result<(), MessageError> {
    if decoded.has(kind) {
        return Ok(());
    }
    let code = kind as u8;
    let subcode = UpdateSubcode::MissingWellKnownAttribute;
    let fault = Fault::withdraw(subcode, "is missing (RFC 7606 3 d)");
    decoded.faults.add(code, &[code], fault)
}
