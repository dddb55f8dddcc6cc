//! Path attributes from octets, each judged as RFC 7606 section 7 wants. Called by the UPDATE
//! decoder, which decides what the sum of the faults means for the message's prefixes.

use std::net::Ipv4Addr;

use super::as_path::{self, ConfederationSegments};
use super::kind::{EXTENDED_LENGTH, Kind, OPTIONAL, PARTIAL, TRANSITIVE};
use super::reach::{self, Unreachable};
use super::{Aggregator, AsPath, OriginCode, PathAttributes, UnknownAttribute};
use crate::bgp::wire::error::{Fault, Faults};
use crate::bgp::wire::reader::Reader;
use crate::bgp::wire::{AsWidth, CodecContext, MessageError, Peering, Reach, UpdateSubcode};
use crate::types::{Asn, Community, ExtendedCommunity, LargeCommunity};

/// What the attributes of one UPDATE say, and what is wrong with them.
#[derive(Default)]
pub(in crate::bgp::wire) struct Decoded {
    /// All but the reachability attributes.
    pub(in crate::bgp::wire) attributes: PathAttributes,
    /// NEXT_HOP, of the message's own NLRI.
    pub(in crate::bgp::wire) next_hop: Option<Ipv4Addr>,
    /// MP_REACH_NLRI of a family we speak.
    pub(in crate::bgp::wire) reachable: Option<Reach>,
    /// MP_UNREACH_NLRI of a family we speak.
    pub(in crate::bgp::wire) unreachable: Option<Unreachable>,
    /// What did not end the session so far.
    pub(in crate::bgp::wire) faults: Faults,
    seen: SeenCodes,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<Aggregator>,
}

/// Reads the attribute list of an UPDATE.
///
/// # Errors
/// Faults that end the session whatever else the message holds.
pub(in crate::bgp::wire) fn decode(
    list: &[u8],
    context: CodecContext,
) -> Result<Decoded, MessageError> {
    let mut decoded = Decoded::default();
    let mut reader = Reader::new(list);
    while !reader.is_empty() {
        let start = reader.rest();
        let Some(raw) = RawAttribute::read(&mut reader) else {
            decoded.overrun(start)?;
            break;
        };
        if let Err(fault) = decoded.take(&raw, context) {
            decoded.faults.add(raw.code, raw.octets, fault)?;
        }
    }
    decoded.merge_as4();
    Ok(decoded)
}

/// An attribute whose value has not been looked at.
struct RawAttribute<'a> {
    flags: u8,
    code: u8,
    value: &'a [u8],
    /// All of it, as a NOTIFICATION quotes it.
    octets: &'a [u8],
}

impl<'a> RawAttribute<'a> {
    /// None where the list ends inside it.
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let start = reader.rest();
        let [flags, code] = reader.array()?;
        let length = if flags & EXTENDED_LENGTH == 0 {
            reader.u8()?.into()
        } else {
            reader.u16()?
        };
        let value = reader.take(length.into())?;
        Some(Self {
            flags,
            code,
            value,
            octets: &start[..start.len() - reader.rest().len()],
        })
    }
}

impl Decoded {
    /// Whether an attribute of this kind was in the message, malformed or not.
    pub(in crate::bgp::wire) fn has(&self, kind: Kind) -> bool {
        self.seen.contains(kind as u8)
    }

    /// Whether the message has exactly one attribute: MP_UNREACH_NLRI, faultless.
    pub(in crate::bgp::wire) fn is_only_unreachable(&self) -> bool {
        let mut only = SeenCodes::default();
        only.insert(Kind::MpUnreach as u8);
        self.seen == only && self.faults.is_empty()
    }

    fn take(&mut self, raw: &RawAttribute<'_>, context: CodecContext) -> Result<(), Fault> {
        let kind = Kind::from_code(raw.code);
        if !self.seen.insert(raw.code) {
            return Err(repeated(kind));
        }
        match kind {
            Some(kind) => self.take_known(kind, raw, context),
            None => self.take_unknown(raw),
        }
    }

    fn take_known(
        &mut self,
        kind: Kind,
        raw: &RawAttribute<'_>,
        context: CodecContext,
    ) -> Result<(), Fault> {
        check_admissible(kind, context)?;
        check_flags(kind, raw.flags)?;
        let found = &mut self.attributes;
        match kind {
            Kind::Origin => found.origin = origin(raw.value)?,
            Kind::AsPath => found.as_path = as_path(raw.value, context.as_width)?,
            Kind::NextHop => self.next_hop = Some(fixed(raw.value, "7.3")?.into()),
            Kind::Med => found.med = Some(u32::from_be_bytes(fixed(raw.value, "7.4")?)),
            Kind::LocalPref => {
                found.local_pref = Some(u32::from_be_bytes(fixed(raw.value, "7.5")?));
            }
            Kind::AtomicAggregate => found.atomic_aggregate = atomic_aggregate(raw.value)?,
            Kind::Aggregator => {
                found.aggregator = Some(aggregator(raw.value, context.as_width)?);
            }
            Kind::Communities => {
                let community = |octets| Community(u32::from_be_bytes(octets));
                found.communities = list(raw.value, "RFC 7606 7.8", community)?;
            }
            Kind::OriginatorId => found.originator_id = Some(fixed(raw.value, "7.9")?.into()),
            Kind::ClusterList => {
                found.cluster_list =
                    list(raw.value, "RFC 7606 7.10", |octets: [u8; 4]| octets.into())?;
            }
            Kind::MpReach => self.reachable = Some(reach::decode_reachable(raw.value)?),
            Kind::MpUnreach => self.unreachable = Some(reach::decode_unreachable(raw.value)?),
            Kind::ExtendedCommunities => {
                found.extended_communities = list(raw.value, "RFC 7606 7.14", ExtendedCommunity)?;
            }
            Kind::As4Path => self.as4_path = Some(as4_path(raw.value)?),
            Kind::As4Aggregator => {
                self.as4_aggregator = Some(aggregator(raw.value, AsWidth::FourOctets)?);
            }
            Kind::LargeCommunities => found.large_communities = large_communities(raw.value)?,
        }
        Ok(())
    }

    fn take_unknown(&mut self, raw: &RawAttribute<'_>) -> Result<(), Fault> {
        if raw.flags & OPTIONAL == 0 {
            return Err(Fault::reset(
                UpdateSubcode::UnrecognizedWellKnownAttribute,
                "well-known and unknown to us (RFC 4271 6.3)",
            ));
        }
        // RFC 4271 section 9: non-transitive ones are quietly ignored, others are passed on.
        if raw.flags & TRANSITIVE != 0 {
            self.attributes.unknown.push(UnknownAttribute {
                flags: raw.flags & (OPTIONAL | TRANSITIVE | PARTIAL),
                code: raw.code,
                value: raw.value.to_vec(),
            });
        }
        Ok(())
    }

    /// RFC 7606 section 4: the list ends inside an attribute, so those after it are unknown. The
    /// prefixes of a reachability attribute are lost with it (section 3 j).
    fn overrun(&mut self, rest: &[u8]) -> Result<(), MessageError> {
        let code = rest.get(1).copied().unwrap_or(0);
        let what = "runs past the attribute list (RFC 7606 4)";
        let subcode = UpdateSubcode::MalformedAttributeList;
        let fault = match Kind::from_code(code) {
            Some(Kind::MpReach | Kind::MpUnreach) => Fault::reset(subcode, what),
            Some(_) | None => Fault::withdraw(subcode, what),
        };
        self.faults.add(code, rest, fault)
    }

    /// RFC 6793 section 4.2.3.
    fn merge_as4(&mut self) {
        let aggregator = self.attributes.aggregator;
        if let (Some(two_octets), Some(four_octets)) = (aggregator, self.as4_aggregator) {
            if two_octets.asn != Asn::TRANS {
                // Somebody who knew nothing of AS4_PATH aggregated: both AS4 attributes are stale.
                return;
            }
            self.attributes.aggregator = Some(four_octets);
        }
        if let Some(four_octets) = self.as4_path.take() {
            let two_octets = std::mem::take(&mut self.attributes.as_path);
            self.attributes.as_path = as_path::merge(two_octets, four_octets);
        }
    }
}

/// The attributes a message has had so far, one bit a code.
#[derive(Default, PartialEq, Eq)]
struct SeenCodes([u128; 2]);

impl SeenCodes {
    fn contains(&self, code: u8) -> bool {
        self.0[usize::from(code >> 7)] & Self::bit(code) != 0
    }

    /// Whether it is the first of its code.
    fn insert(&mut self, code: u8) -> bool {
        let first = !self.contains(code);
        self.0[usize::from(code >> 7)] |= Self::bit(code);
        first
    }

    fn bit(code: u8) -> u128 {
        1 << (code & 0x7F)
    }
}

/// RFC 7606 section 3 g.
fn repeated(kind: Option<Kind>) -> Fault {
    match kind {
        Some(Kind::MpReach | Kind::MpUnreach) => Fault::reset(
            UpdateSubcode::MalformedAttributeList,
            "appears more than once (RFC 7606 3 g)",
        ),
        Some(_) | None => Fault::discard("appears more than once, the first counts (RFC 7606 3 g)"),
    }
}

/// Attributes that this peer has no business sending.
fn check_admissible(kind: Kind, context: CodecContext) -> Result<(), Fault> {
    let internal_only = matches!(
        kind,
        Kind::LocalPref | Kind::OriginatorId | Kind::ClusterList
    );
    if internal_only && context.peering == Peering::External {
        return Err(Fault::discard(
            "came from an external peer (RFC 7606 7.5, 7.9, 7.10)",
        ));
    }
    let two_octets_only = matches!(kind, Kind::As4Path | Kind::As4Aggregator);
    if two_octets_only && context.as_width == AsWidth::FourOctets {
        return Err(Fault::discard(
            "came from a peer of 4-octet AS numbers (RFC 6793 3)",
        ));
    }
    Ok(())
}

/// RFC 7606 section 3 c; section 5.3 for the reachability attributes.
fn check_flags(kind: Kind, flags: u8) -> Result<(), Fault> {
    if flags & (OPTIONAL | TRANSITIVE) == kind.flags() {
        return Ok(());
    }
    let what = format!("flags {flags:#04x} contradict its type");
    Err(if matches!(kind, Kind::MpReach | Kind::MpUnreach) {
        Fault::reset(
            UpdateSubcode::OptionalAttributeError,
            format!("{what} (RFC 7606 5.3)"),
        )
    } else {
        Fault::withdraw(
            UpdateSubcode::AttributeFlagsError,
            format!("{what} (RFC 7606 3 c)"),
        )
    })
}

fn origin(value: &[u8]) -> Result<OriginCode, Fault> {
    let [octet] = fixed(value, "7.1")?;
    OriginCode::from_octet(octet).ok_or_else(|| {
        Fault::withdraw(
            UpdateSubcode::InvalidOrigin,
            format!("value {octet} is undefined (RFC 7606 7.1)"),
        )
    })
}

fn as_path(value: &[u8], as_width: AsWidth) -> Result<AsPath, Fault> {
    as_path::decode(value, as_width, ConfederationSegments::Refuse)
        .map_err(|error| Fault::withdraw(UpdateSubcode::MalformedAsPath, error.to_string()))
}

/// RFC 6793 section 6: a malformed AS4_PATH is discarded.
fn as4_path(value: &[u8]) -> Result<AsPath, Fault> {
    if value.is_empty() {
        return Err(Fault::discard("is empty (RFC 6793 6)"));
    }
    as_path::decode(value, AsWidth::FourOctets, ConfederationSegments::Drop)
        .map_err(|error| Fault::discard(error.to_string()))
}

fn atomic_aggregate(value: &[u8]) -> Result<bool, Fault> {
    if value.is_empty() {
        return Ok(true);
    }
    Err(Fault::discard(format!(
        "length {} is not 0 (RFC 7606 7.6)",
        value.len()
    )))
}

/// AGGREGATOR or AS4_AGGREGATOR: discarded where malformed (RFC 7606 section 7.7, RFC 6793
/// section 6).
fn aggregator(value: &[u8], as_width: AsWidth) -> Result<Aggregator, Fault> {
    let (asn, router) = match (as_width, value) {
        (AsWidth::TwoOctets, &[a, b, ref router @ ..]) => {
            (u16::from_be_bytes([a, b]).into(), router)
        }
        (AsWidth::FourOctets, &[a, b, c, d, ref router @ ..]) => {
            (u32::from_be_bytes([a, b, c, d]), router)
        }
        (AsWidth::TwoOctets | AsWidth::FourOctets, short) => (0, short),
    };
    let Ok(router) = <[u8; 4]>::try_from(router) else {
        return Err(Fault::discard(format!(
            "length {} is wrong (RFC 7606 7.7)",
            value.len()
        )));
    };
    if asn == 0 {
        return Err(Fault::discard("AS 0 is reserved (RFC 7607 2)"));
    }
    Ok(Aggregator {
        asn: Asn(asn),
        router: router.into(),
    })
}

/// RFC 8092 section 5: redundant values are silently removed.
fn large_communities(value: &[u8]) -> Result<Vec<LargeCommunity>, Fault> {
    let number = |octets: &[u8]| {
        octets
            .iter()
            .fold(0, |sum, octet| sum << 8 | u32::from(*octet))
    };
    let community = |octets: [u8; 12]| LargeCommunity {
        global_administrator: number(&octets[..4]),
        local_data_1: number(&octets[4..8]),
        local_data_2: number(&octets[8..]),
    };
    let mut communities = list(value, "RFC 8092 6", community)?;
    let mut seen = std::collections::BTreeSet::new();
    communities.retain(|community| seen.insert(*community));
    Ok(communities)
}

/// A value of exactly `N` octets.
fn fixed<const N: usize>(value: &[u8], section: &str) -> Result<[u8; N], Fault> {
    value.try_into().map_err(|_| {
        Fault::withdraw(
            UpdateSubcode::AttributeLengthError,
            format!("length {} is not {N} (RFC 7606 {section})", value.len()),
        )
    })
}

/// A value of one or more items of `N` octets.
fn list<const N: usize, T>(
    value: &[u8],
    section: &str,
    item: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, Fault> {
    let (items, rest) = value.as_chunks();
    if items.is_empty() || !rest.is_empty() {
        return Err(Fault::withdraw(
            UpdateSubcode::AttributeLengthError,
            format!(
                "length {} is not a multiple of {N} ({section})",
                value.len()
            ),
        ));
    }
    Ok(items.iter().map(|octets| item(*octets)).collect())
}
