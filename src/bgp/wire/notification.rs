//! NOTIFICATION (RFC 4271 sections 4.5 and 6, RFC 4486, RFC 8538, RFC 9003), on the wire and in
//! words.

use std::fmt;

use super::message::{HEADER_BYTES, MESSAGE_BYTES_MAX};
use super::{CeaseSubcode, ErrorCode, MessageError, nlri};
use crate::types::Family;

/// What a NOTIFICATION can carry after its code and subcode.
const DATA_BYTES_MAX: usize = MESSAGE_BYTES_MAX - HEADER_BYTES - 2;
/// The longest text sent: what receivers of RFC 8203 take; RFC 9003 allows 255.
const TEXT_BYTES_MAX: usize = 128;
/// How much data that means nothing to us is shown.
const DATA_BYTES_SHOWN: usize = 32;

/// Why the sender ends the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Code and subcode.
    pub error: ErrorCode,
    /// Data, as the error's section defines them.
    pub data: Vec<u8>,
}

impl Notification {
    /// A Cease without data.
    #[must_use]
    pub fn cease(subcode: CeaseSubcode) -> Self {
        Self {
            error: ErrorCode::Cease(subcode),
            data: Vec::new(),
        }
    }

    /// A Cease that says how many prefixes of a family are taken (RFC 4486 section 4).
    #[must_use]
    pub fn maximum_prefixes(family: Family, most: usize) -> Self {
        let (afi, safi) = nlri::afi_safi(family);
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        Self {
            error: ErrorCode::Cease(CeaseSubcode::MaximumPrefixes),
            data: [&afi.to_be_bytes()[..], &[safi], &most.to_be_bytes()].concat(),
        }
    }

    /// A Cease with a text for the peer's operator, cut at 128 octets between characters. Meant
    /// for [`CeaseSubcode::AdministrativeShutdown`] and [`CeaseSubcode::AdministrativeReset`],
    /// the two RFC 9003 gives a text.
    #[must_use]
    pub fn cease_with_text(subcode: CeaseSubcode, text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let length = u8::try_from(text.len()).expect("cut at 128 octets");
        Self {
            error: ErrorCode::Cease(subcode),
            data: [&[length], text.as_bytes()].concat(),
        }
    }

    /// The same as a Hard Reset, which ends what graceful restart would keep (RFC 8538 section 3).
    #[must_use]
    pub fn into_hard_reset(self) -> Self {
        let (code, subcode) = self.error.into();
        Self {
            error: ErrorCode::Cease(CeaseSubcode::HardReset),
            data: [&[code, subcode], &self.data[..]].concat(),
        }
    }

    /// What a Hard Reset carries, where it carries something.
    #[must_use]
    pub fn hard_reset(&self) -> Option<Self> {
        let hard = self.error == ErrorCode::Cease(CeaseSubcode::HardReset);
        let [code, subcode, data @ ..] = &self.data[..] else {
            return None;
        };
        hard.then(|| Self {
            error: (*code, *subcode).into(),
            data: data.to_vec(),
        })
    }

    /// The text of a Cease that carries one (RFC 9003 section 2), fit for a log: octets that are
    /// no UTF-8 and control characters are replaced. None where there is none, or its length
    /// disagrees with the data.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let has_text = matches!(
            self.error,
            ErrorCode::Cease(
                CeaseSubcode::AdministrativeShutdown | CeaseSubcode::AdministrativeReset
            )
        );
        let (&length, text) = self.data.split_first()?;
        if !has_text || length == 0 || usize::from(length) != text.len() {
            return None;
        }
        let printable = |character: char| {
            if character.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            }
        };
        Some(
            String::from_utf8_lossy(text)
                .chars()
                .map(printable)
                .collect(),
        )
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let [code, subcode, data @ ..] = body else {
            return Err(MessageError {
                what: format!("NOTIFICATION has a body of {} octets", body.len()),
                notification: Self {
                    error: ErrorCode::MessageHeader(2),
                    data: Vec::new(),
                },
            });
        };
        Ok(Self {
            error: (*code, *subcode).into(),
            data: data.to_vec(),
        })
    }

    /// Appends the message's body; data that no message can carry is cut.
    pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
        let (code, subcode) = self.error.into();
        out.extend_from_slice(&[code, subcode]);
        out.extend_from_slice(&self.data[..self.data.len().min(DATA_BYTES_MAX)]);
    }
}

impl From<ErrorCode> for Notification {
    /// Without data.
    fn from(error: ErrorCode) -> Self {
        Self {
            error,
            data: Vec::new(),
        }
    }
}

impl fmt::Display for Notification {
    /// For operators: `Cease/Administrative Shutdown: maintenance until noon`. Data that has no
    /// text follows in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        // Only one deep: what a peer sends decides nothing about our stack.
        if let Some(inside) = self.hard_reset()
            && inside.error != self.error
        {
            return write!(f, " of {inside}");
        }
        if let Some(text) = self.text() {
            return write!(f, ": {text}");
        }
        let shown = &self.data[..self.data.len().min(DATA_BYTES_SHOWN)];
        if shown.is_empty() || shown == [0] {
            return Ok(());
        }
        f.write_str(" (data 0x")?;
        shown
            .iter()
            .try_for_each(|octet| write!(f, "{octet:02x}"))?;
        if self.data.len() > shown.len() {
            write!(f, "... of {} bytes", self.data.len())?;
        }
        f.write_str(")")
    }
}
