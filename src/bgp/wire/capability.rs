//! Capabilities (RFC 5492), for the OPEN codec.

use super::nlri;
use super::reader::Reader;
use crate::types::{Asn, Family};

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const GRACEFUL_RESTART: u8 = 64;
const FOUR_OCTET_ASN: u8 = 65;
const ENHANCED_ROUTE_REFRESH: u8 = 70;

/// One capability of an OPEN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Carries routes of this family (RFC 4760). Families we do not know are [`Self::Unknown`].
    Multiprotocol(Family),
    /// Answers ROUTE-REFRESH (RFC 2918).
    RouteRefresh,
    /// Marks where its answer to a ROUTE-REFRESH begins and ends (RFC 7313).
    EnhancedRouteRefresh,
    /// Speaks AS numbers of four octets (RFC 6793).
    FourOctetAsn(Asn),
    /// Sends End-of-RIB, and keeps forwarding through a restart where families are named (RFC
    /// 4724 section 3). [`GracefulRestart`](super::GracefulRestart) says what it means.
    GracefulRestart {
        /// The flags, and the restart time in the lower twelve bits.
        restart: u16,
        /// AFI, SAFI and flags of each family, as they came.
        families: Vec<[u8; 4]>,
    },
    /// Any other, kept as it came.
    Unknown {
        /// Its code.
        code: u8,
        /// Its value: at most 255 octets, or it cannot be sent and [`Open`](super::Open) leaves
        /// it out.
        value: Vec<u8>,
    },
}

/// A capability that is recognized and malformed, or a list that ends inside one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidCapability {
    #[error("capability list ends inside a capability (RFC 5492 4)")]
    Truncated,
    #[error("capability {code} has {length} octets, expected {expected} (RFC 5492 4)")]
    Length {
        code: u8,
        length: usize,
        expected: usize,
    },
}

/// Appends the capabilities of one Capabilities optional parameter.
pub(super) fn decode_all(
    parameter: &[u8],
    capabilities: &mut Vec<Capability>,
) -> Result<(), InvalidCapability> {
    let mut reader = Reader::new(parameter);
    while let Some(code) = reader.u8() {
        let value = reader.u8().and_then(|length| reader.take(length.into()));
        capabilities.push(decode(code, value.ok_or(InvalidCapability::Truncated)?)?);
    }
    Ok(())
}

fn decode(code: u8, value: &[u8]) -> Result<Capability, InvalidCapability> {
    let wrong_length = |expected| InvalidCapability::Length {
        code,
        length: value.len(),
        expected,
    };
    let unknown = || Capability::Unknown {
        code,
        value: value.to_vec(),
    };
    match code {
        MULTIPROTOCOL => {
            let &[afi_high, afi_low, _reserved, safi] = value else {
                return Err(wrong_length(4));
            };
            let family = nlri::family(u16::from_be_bytes([afi_high, afi_low]), safi);
            Ok(family.map_or_else(unknown, Capability::Multiprotocol))
        }
        ROUTE_REFRESH if value.is_empty() => Ok(Capability::RouteRefresh),
        ROUTE_REFRESH => Err(wrong_length(0)),
        ENHANCED_ROUTE_REFRESH if value.is_empty() => Ok(Capability::EnhancedRouteRefresh),
        ENHANCED_ROUTE_REFRESH => Err(wrong_length(0)),
        GRACEFUL_RESTART => Ok(graceful_restart(value).unwrap_or_else(unknown)),
        FOUR_OCTET_ASN => {
            let octets = value.try_into().map_err(|_| wrong_length(4))?;
            Ok(Capability::FourOctetAsn(Asn(u32::from_be_bytes(octets))))
        }
        _ => Ok(unknown()),
    }
}

/// One of another length is nothing we know: RFC 4724 does not say what it would be.
fn graceful_restart(value: &[u8]) -> Option<Capability> {
    let (restart, families) = value.split_first_chunk()?;
    let (families, []) = families.as_chunks() else {
        return None;
    };
    Some(Capability::GracefulRestart {
        restart: u16::from_be_bytes(*restart),
        families: families.to_vec(),
    })
}

impl Capability {
    /// What a speaker has that sends End-of-RIB and keeps nothing through its own restart.
    pub const END_OF_RIB: Self = Self::GracefulRestart {
        restart: 0,
        families: Vec::new(),
    };

    /// Appends code, length and value; nothing and `None` where the value is too long to be sent.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Multiprotocol(family) => {
                let (afi, safi) = nlri::afi_safi(*family);
                out.extend_from_slice(&[MULTIPROTOCOL, 4]);
                out.extend_from_slice(&afi.to_be_bytes());
                out.extend_from_slice(&[0, safi]);
            }
            Self::RouteRefresh => out.extend_from_slice(&[ROUTE_REFRESH, 0]),
            Self::EnhancedRouteRefresh => out.extend_from_slice(&[ENHANCED_ROUTE_REFRESH, 0]),
            Self::GracefulRestart { restart, families } => {
                let length = u8::try_from(2 + 4 * families.len()).ok()?;
                out.extend_from_slice(&[GRACEFUL_RESTART, length]);
                out.extend_from_slice(&restart.to_be_bytes());
                out.extend_from_slice(families.as_flattened());
            }
            Self::FourOctetAsn(asn) => {
                out.extend_from_slice(&[FOUR_OCTET_ASN, 4]);
                out.extend_from_slice(&asn.0.to_be_bytes());
            }
            Self::Unknown { code, value } => {
                let length = u8::try_from(value.len()).ok()?;
                out.extend_from_slice(&[*code, length]);
                out.extend_from_slice(value);
            }
        }
        Some(())
    }
}
