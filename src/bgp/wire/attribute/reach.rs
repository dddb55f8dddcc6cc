//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760), as RFC 7606 sections 5.3, 7.11 and 7.12 judge
//! them: what cannot be read ends the session, because its prefixes cannot be told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::bgp::wire::error::Fault;
use crate::bgp::wire::nlri;
use crate::bgp::wire::reader::Reader;
use crate::bgp::wire::{NextHop, Reach, UpdateSubcode};
use crate::types::{Family, Prefix};

/// An MP_UNREACH_NLRI; without prefixes it may mark the end of the family's table (RFC 4724
/// section 2).
pub(in crate::bgp::wire) struct Unreachable {
    pub(in crate::bgp::wire) family: Family,
    pub(in crate::bgp::wire) prefixes: Vec<Prefix>,
}

pub(super) fn decode_reachable(value: &[u8]) -> Result<Reach, Fault> {
    let mut reader = Reader::new(value);
    let (afi, safi) = read_family(&mut reader).ok_or_else(|| too_short(value, 5))?;
    let next_hop_length = reader.u8().ok_or_else(|| too_short(value, 5))?;
    let overrun = || incorrect("ends inside its next hop (RFC 7606 7.11)");
    let next_hop = reader.take(next_hop_length.into()).ok_or_else(overrun)?;
    let _reserved = reader.u8().ok_or_else(overrun)?;
    let family = nlri::family(afi, safi).ok_or_else(|| foreign(afi, safi))?;
    Ok(Reach {
        next_hop: decode_next_hop(next_hop, family)?,
        prefixes: decode_prefixes(reader.rest(), family)?,
    })
}

pub(super) fn decode_unreachable(value: &[u8]) -> Result<Unreachable, Fault> {
    let mut reader = Reader::new(value);
    let (afi, safi) = read_family(&mut reader).ok_or_else(|| too_short(value, 3))?;
    let family = nlri::family(afi, safi).ok_or_else(|| foreign(afi, safi))?;
    Ok(Unreachable {
        family,
        prefixes: decode_prefixes(reader.rest(), family)?,
    })
}

/// Why nothing can be sent to this next hop, if so. RFC 4271 section 6.3: it must be a host's
/// address. A loopback address is one: it reaches speakers on the same machine.
pub(in crate::bgp::wire) fn next_hop_fault(next_hop: IpAddr) -> Option<Fault> {
    let unusable = match next_hop {
        IpAddr::V4(address) => is_no_host(address),
        IpAddr::V6(address) => address.is_unspecified() || address.is_multicast(),
    };
    unusable.then(|| {
        Fault::withdraw(
            UpdateSubcode::InvalidNextHop,
            format!("next hop {next_hop} is no host (RFC 4271 6.3, RFC 7606 3 e)"),
        )
    })
}

/// 0.0.0.0/8, 224.0.0.0/4 and 240.0.0.0/4.
fn is_no_host(address: Ipv4Addr) -> bool {
    matches!(address.octets()[0], 0 | 224..)
}

fn read_family(reader: &mut Reader<'_>) -> Option<(u16, u8)> {
    Some((reader.u16()?, reader.u8()?))
}

/// One address of the family; for IPv6 a link-local one may follow (RFC 2545 section 3). RFC 7606
/// section 7.11: with any other length the prefixes behind it cannot be located.
///
/// A peer that has none but its link-local address writes that alone, or twice, or after `::`, which
/// says that there is no other. All three mean the same here.
fn decode_next_hop(octets: &[u8], family: Family) -> Result<NextHop, Fault> {
    let mut reader = Reader::new(octets);
    let addresses: Option<(IpAddr, Option<Ipv6Addr>)> = match family {
        Family::Ipv4Unicast => reader.array::<4>().map(|address| (address.into(), None)),
        Family::Ipv6Unicast => reader
            .array::<16>()
            .map(|address| (address.into(), reader.array::<16>().map(Ipv6Addr::from))),
    };
    match addresses {
        Some((address, link_local)) if reader.is_empty() => {
            // Some send a second address that is not link-local; it says nothing.
            let link_local = link_local.filter(Ipv6Addr::is_unicast_link_local);
            Ok(match link_local {
                Some(only) if address.is_unspecified() || address == IpAddr::V6(only) => NextHop {
                    address: only.into(),
                    link_local: None,
                },
                Some(_) | None => NextHop {
                    address,
                    link_local,
                },
            })
        }
        Some(_) | None => Err(incorrect(format!(
            "next hop of {} octets in {family} (RFC 7606 7.11)",
            octets.len()
        ))),
    }
}

fn decode_prefixes(field: &[u8], family: Family) -> Result<Vec<Prefix>, Fault> {
    let mut prefixes = Vec::new();
    nlri::decode(field, family, &mut prefixes).map_err(|error| incorrect(error.to_string()))?;
    Ok(prefixes)
}

/// Routes of a family that nobody negotiated are none of ours (RFC 4760 section 6).
fn foreign(afi: u16, safi: u8) -> Fault {
    Fault::discard(format!(
        "family {afi}/{safi} is not spoken here (RFC 4760 6)"
    ))
}

fn too_short(value: &[u8], least: usize) -> Fault {
    incorrect(format!(
        "length {} is below {least} (RFC 7606 5.3)",
        value.len()
    ))
}

/// RFC 4760 section 7.
fn incorrect(what: impl Into<String>) -> Fault {
    Fault::reset(UpdateSubcode::OptionalAttributeError, what)
}
