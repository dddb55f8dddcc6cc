//! The message header and the five kinds of message (RFC 4271 section 4).

use super::{CodecContext, MessageError, Notification, Open, Update};
use crate::types::Family;

/// Marker, length and type.
pub const HEADER_BYTES: usize = 19;
/// The largest message without the extended-message capability.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// One BGP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Opens a session.
    Open(Open),
    /// Announces and withdraws routes.
    Update(Update),
    /// An UPDATE that marks the end of the initial table of a family (RFC 4724 section 2).
    EndOfRib(Family),
    /// Says what went wrong; the session ends.
    Notification(Notification),
    /// Says that the sender lives.
    Keepalive,
    /// Asks for a family's routes again (RFC 2918).
    RouteRefresh(Family),
}

/// The first message in `received` and how many octets it took; none while it is incomplete.
///
/// # Errors
/// Anything that must end the session, with the NOTIFICATION to send. Errors that RFC 7606 wants
/// handled without ending it come inside the [`Update`].
pub fn decode(
    _received: &[u8],
    _context: CodecContext,
) -> Result<Option<(Message, usize)>, MessageError> {
    unimplemented!()
}

impl Message {
    /// Appends the message, header included, to `out`.
    pub fn encode(&self, _context: CodecContext, _out: &mut Vec<u8>) {
        unimplemented!()
    }
}
