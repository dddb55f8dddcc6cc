//! Prefixes as they travel (RFC 4271 section 4.3, RFC 4760 section 5) and the numbers of their
//! families. Used by the UPDATE, capability and ROUTE-REFRESH codecs.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::types::{Family, Prefix};

/// A field of prefixes that RFC 7606 section 5.3 calls syntactically incorrect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidNlri {
    /// Longer than an address.
    #[error("prefix length {length} does not exist in {family} (RFC 7606 5.3)")]
    Length { length: u8, family: Family },
    /// The field ends inside a prefix.
    #[error("prefix of length {length} has {left} octets left of it (RFC 7606 5.3)")]
    Truncated { length: u8, left: usize },
}

/// The AFI and SAFI of a family (RFC 4760 section 3).
pub(super) fn afi_safi(family: Family) -> (u16, u8) {
    match family {
        Family::Ipv4Unicast => (1, 1),
        Family::Ipv6Unicast => (2, 1),
    }
}

/// The family of an AFI and SAFI; none for those we do not speak.
pub(super) fn family(afi: u16, safi: u8) -> Option<Family> {
    Family::ALL
        .into_iter()
        .find(|family| afi_safi(*family) == (afi, safi))
}

/// Appends every prefix of the field to `prefixes`; appends nothing where one is wrong.
pub(super) fn decode(
    field: &[u8],
    family: Family,
    prefixes: &mut Vec<Prefix>,
) -> Result<(), InvalidNlri> {
    prefixes.reserve(count(field, family)?);
    let mut rest = field;
    while let Some((&length, tail)) = rest.split_first() {
        let (octets, tail) = tail.split_at(octets_of(length));
        prefixes.push(prefix(octets, length, family));
        rest = tail;
    }
    Ok(())
}

/// Appends one prefix.
#[inline]
pub(super) fn encode(prefix: &Prefix, out: &mut Vec<u8>) {
    let length = prefix.length();
    out.push(length);
    match prefix.net() {
        IpNet::V4(net) => out.extend_from_slice(&net.addr().octets()[..octets_of(length)]),
        IpNet::V6(net) => out.extend_from_slice(&net.addr().octets()[..octets_of(length)]),
    }
}

/// How many octets [`encode`] appends.
#[inline]
pub(super) fn encoded_bytes(prefix: &Prefix) -> usize {
    1 + octets_of(prefix.length())
}

/// The most octets [`encode`] appends for a prefix of the family.
pub(super) fn encoded_bytes_max(family: Family) -> usize {
    1 + octets_of(length_max(family))
}

/// How many prefixes the field holds, and thereby that each of them is whole.
fn count(field: &[u8], family: Family) -> Result<usize, InvalidNlri> {
    let length_max = length_max(family);
    let mut count = 0;
    let mut rest = field;
    while let Some((&length, tail)) = rest.split_first() {
        if length > length_max {
            return Err(InvalidNlri::Length { length, family });
        }
        rest = tail
            .get(octets_of(length)..)
            .ok_or(InvalidNlri::Truncated {
                length,
                left: tail.len(),
            })?;
        count += 1;
    }
    Ok(count)
}

/// Bits beyond the length may be anything (RFC 4271 section 4.3); [`Prefix`] clears them.
fn prefix(octets: &[u8], length: u8, family: Family) -> Prefix {
    match family {
        Family::Ipv4Unicast => {
            let mut address = [0; 4];
            address[..octets.len()].copy_from_slice(octets);
            let net = Ipv4Net::new(Ipv4Addr::from(address), length);
            net.expect("length checked by count").into()
        }
        Family::Ipv6Unicast => {
            let mut address = [0; 16];
            address[..octets.len()].copy_from_slice(octets);
            let net = Ipv6Net::new(Ipv6Addr::from(address), length);
            net.expect("length checked by count").into()
        }
    }
}

fn length_max(family: Family) -> u8 {
    match family {
        Family::Ipv4Unicast => 32,
        Family::Ipv6Unicast => 128,
    }
}

#[inline]
fn octets_of(length: u8) -> usize {
    usize::from(length).div_ceil(8)
}
