//! OPEN (RFC 4271 section 4.2, RFC 5492, RFC 9072).
//!
//! Checks what RFC 4271 section 6.2 can check without a configuration. Whether the peer is the
//! one expected is for the session to judge.

use std::net::Ipv4Addr;

use super::capability::{self, Capability};
use super::message::{HEADER_BYTES, MESSAGE_BYTES_MAX};
use super::reader::Reader;
use super::{ErrorCode, MessageError, Notification, OpenSubcode};
use crate::types::{Asn, HoldTime, RouterId};

/// The protocol's version.
pub const VERSION: u8 = 4;

/// The optional parameter that carries capabilities (RFC 5492 section 4).
const CAPABILITIES_PARAMETER: u8 = 2;
/// In the place of a first parameter's type: the extended form follows (RFC 9072 section 2).
const EXTENDED_FORM: u8 = 255;
/// Version, AS, hold time, identifier, and the four octets of the extended form's lengths and the
/// three of the parameter's own header.
const FIXED_BYTES: usize = 9 + 4 + 3;

/// The first message on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The sender's AS: from the 4-octet AS capability where there is one, else the two-octet field.
    pub asn: Asn,
    /// The hold time it proposes.
    pub hold_time: HoldTime,
    /// Its BGP Identifier.
    pub router_id: RouterId,
    /// Its capabilities in the order sent, the 4-octet AS one included.
    pub capabilities: Vec<Capability>,
}

impl Open {
    pub(super) fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let Some((version, two_octet_asn, hold_time, router_id)) = read_fixed(&mut reader) else {
            return Err(refusal(
                OpenSubcode::Unspecific,
                format!("OPEN ends after {} octets (RFC 4271 4.2)", body.len()),
            ));
        };
        if version != VERSION {
            return Err(unsupported_version(version));
        }
        let capabilities = decode_parameters(reader.rest())?;
        let asn = agreed_asn(two_octet_asn, &capabilities)?;
        let hold_time = HoldTime::from_secs(hold_time)
            .map_err(|error| refusal(OpenSubcode::UnacceptableHoldTime, error.to_string()))?;
        let router_id = RouterId::try_from(router_id)
            .map_err(|error| refusal(OpenSubcode::BadBgpIdentifier, error.to_string()))?;
        Ok(Self {
            asn,
            hold_time,
            router_id,
            capabilities,
        })
    }

    /// Appends the message's body: every capability in one optional parameter, in the extended
    /// form of RFC 9072 where 255 octets do not hold it. Capabilities that no message can carry
    /// are left out.
    pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&self.asn.two_octets().to_be_bytes());
        out.extend_from_slice(&self.hold_time.as_secs().to_be_bytes());
        out.extend_from_slice(&Ipv4Addr::from(self.router_id).octets());

        let capabilities = self.encode_capabilities();
        if capabilities.is_empty() {
            out.push(0);
        } else if let Ok(length @ ..=253) = u8::try_from(capabilities.len()) {
            out.extend_from_slice(&[length + 2, CAPABILITIES_PARAMETER, length]);
        } else {
            let length = u16::try_from(capabilities.len())
                .expect("capabilities are bounded by the size of a message");
            // RFC 9072 section 2: the short length is 255 too, for those who do not know the form.
            out.extend_from_slice(&[255, EXTENDED_FORM]);
            out.extend_from_slice(&(length + 3).to_be_bytes());
            out.push(CAPABILITIES_PARAMETER);
            out.extend_from_slice(&length.to_be_bytes());
        }
        out.extend_from_slice(&capabilities);
    }

    fn encode_capabilities(&self) -> Vec<u8> {
        let room = MESSAGE_BYTES_MAX - HEADER_BYTES - FIXED_BYTES;
        let mut octets = Vec::new();
        for capability in &self.capabilities {
            let start = octets.len();
            if capability.encode(&mut octets).is_none() || octets.len() > room {
                octets.truncate(start);
            }
        }
        octets
    }
}

/// Version, two-octet AS, hold time and identifier.
fn read_fixed(reader: &mut Reader<'_>) -> Option<(u8, u16, u16, Ipv4Addr)> {
    Some((
        reader.u8()?,
        reader.u16()?,
        reader.u16()?,
        reader.array::<4>()?.into(),
    ))
}

/// The capabilities of all optional parameters, in either form.
fn decode_parameters(field: &[u8]) -> Result<Vec<Capability>, MessageError> {
    let disagreement = || {
        refusal(
            OpenSubcode::Unspecific,
            "length of the optional parameters disagrees with the message (RFC 4271 4.2)".into(),
        )
    };
    let mut reader = Reader::new(field);
    let length = reader.u8().ok_or_else(disagreement)?;
    // RFC 9072 section 2: the type 255 announces the extended form; any length but 0 goes with it.
    let extended = length != 0 && reader.rest().first() == Some(&EXTENDED_FORM);
    let length = if extended {
        reader.u8();
        reader.u16().ok_or_else(disagreement)?
    } else {
        length.into()
    };
    if usize::from(length) != reader.rest().len() {
        return Err(disagreement());
    }

    let mut capabilities = Vec::new();
    while let Some(parameter) = reader.u8() {
        let length = if extended {
            reader.u16()
        } else {
            reader.u8().map(u16::from)
        };
        let value = length
            .and_then(|length| reader.take(length.into()))
            .ok_or_else(disagreement)?;
        if parameter != CAPABILITIES_PARAMETER {
            return Err(refusal(
                OpenSubcode::UnsupportedOptionalParameter,
                format!("optional parameter {parameter} is unknown (RFC 4271 6.2)"),
            ));
        }
        capability::decode_all(value, &mut capabilities)
            .map_err(|error| refusal(OpenSubcode::Unspecific, error.to_string()))?;
    }
    Ok(capabilities)
}

/// The sender's AS, from both places that name it (RFC 6793 section 4.1, RFC 7607).
fn agreed_asn(two_octets: u16, capabilities: &[Capability]) -> Result<Asn, MessageError> {
    let announced = capabilities.iter().find_map(|capability| match capability {
        Capability::FourOctetAsn(asn) => Some(*asn),
        Capability::Multiprotocol(_)
        | Capability::RouteRefresh
        | Capability::EnhancedRouteRefresh
        | Capability::GracefulRestart { .. }
        | Capability::Unknown { .. } => None,
    });
    let field = Asn(two_octets.into());
    let asn = announced.unwrap_or(field);
    if field == Asn(0) || asn == Asn(0) {
        return Err(refusal(
            OpenSubcode::BadPeerAs,
            "AS 0 is reserved (RFC 7607 2)".into(),
        ));
    }
    if field != asn && field != Asn::TRANS {
        return Err(refusal(
            OpenSubcode::BadPeerAs,
            format!("OPEN names AS {field}, its capability AS {asn} (RFC 6793 4.1)"),
        ));
    }
    Ok(asn)
}

/// RFC 4271 section 6.2: the data is the version we speak, in two octets.
fn unsupported_version(version: u8) -> MessageError {
    MessageError {
        what: format!("version {version} is not {VERSION} (RFC 4271 6.2)"),
        notification: Notification {
            error: ErrorCode::Open(OpenSubcode::UnsupportedVersion),
            data: u16::from(VERSION).to_be_bytes().to_vec(),
        },
    }
}

fn refusal(subcode: OpenSubcode, what: String) -> MessageError {
    MessageError {
        what,
        notification: Notification {
            error: ErrorCode::Open(subcode),
            data: Vec::new(),
        },
    }
}
