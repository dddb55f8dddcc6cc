//! The codec: octets to messages and back, without state and without I/O.
//!
//! [`decode`] takes whatever has been received so far and gives the first complete message;
//! [`Message::encode`] appends one to a buffer. Errors carry what RFC 4271 section 6 and
//! RFC 7606 want done about them. Nothing in here panics on any input.

mod attribute;
mod capability;
mod error;
mod error_code;
mod graceful_restart;
mod message;
mod nlri;
mod notification;
mod open;
mod reader;
mod update;

pub use attribute::{
    Aggregator, AsPath, AsPathSegment, AsPathSegmentKind, OriginCode, PathAttributes,
    UnknownAttribute, attribute_name,
};
pub use capability::Capability;
pub use error::{AttributeAction, AttributeError, MessageError};
pub use error_code::{CeaseSubcode, ErrorCode, ErrorNames, OpenSubcode, UpdateSubcode};
pub use graceful_restart::{Forwarding, GracefulRestart};
pub use message::{HEADER_BYTES, MESSAGE_BYTES_MAX, Message, RefreshMark, decode};
pub use notification::Notification;
pub use open::{Open, VERSION};
pub use update::{AttributesTooLarge, NextHop, Reach, Update, encode_updates};

use crate::types::Asn;

/// What two speakers agreed on that changes how octets are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecContext {
    /// The width of AS numbers in AS_PATH and AGGREGATOR (RFC 6793).
    pub as_width: AsWidth,
    /// Whether the peer is in our AS; decides which attributes it may send (RFC 7606 section 7).
    pub peering: Peering,
    /// What the AS_PATH of everything it announces must begin with, where that is checked (RFC
    /// 4271 section 6.3).
    pub first_as: Option<Asn>,
}

/// The width of AS numbers in path attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsWidth {
    /// The peer did not announce the 4-octet AS capability.
    TwoOctets,
    /// Both sides did.
    FourOctets,
}

/// Whether a session stays inside the AS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peering {
    /// Same AS on both sides.
    Internal,
    /// Different ones.
    External,
}

#[cfg(test)]
mod tests;
