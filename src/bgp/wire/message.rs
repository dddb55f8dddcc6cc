//! The message header and the five kinds of message (RFC 4271 section 4, RFC 2918, RFC 7313).

use super::update::{decode_update, encode_end_of_rib, encode_updates};
use super::{CodecContext, ErrorCode, MessageError, Notification, Open, Update, nlri};
use crate::types::Family;

/// Marker, length and type.
pub const HEADER_BYTES: usize = 19;
/// The largest message without the extended-message capability.
pub const MESSAGE_BYTES_MAX: usize = 4096;

const MARKER: [u8; 16] = [0xFF; 16];

/// One BGP message.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every message is an UPDATE, and a box would cost each an allocation"
)]
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
    /// A ROUTE-REFRESH of another subtype: what was asked for begins here, or ends (RFC 7313).
    RefreshMark(RefreshMark, Family),
    /// A ROUTE-REFRESH to be ignored: of a family we do not speak (RFC 2918 section 4), or of a
    /// subtype that does not exist (RFC 7313 section 5).
    ForeignRouteRefresh {
        /// Address family identifier.
        afi: u16,
        /// Message subtype; 0 requests routes.
        subtype: u8,
        /// Subsequent address family identifier.
        safi: u8,
    },
}

/// The two ends of an answer to a ROUTE-REFRESH (RFC 7313 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RefreshMark {
    /// BoRR: what the sender has of the family follows.
    Begin = 1,
    /// EoRR: that was all of it.
    End = 2,
}

/// The first message in `received` and how many octets it took; none while it is incomplete.
///
/// # Errors
/// Anything that must end the session, with the NOTIFICATION to send. Errors that RFC 7606 wants
/// handled without ending it come inside the [`Update`].
pub fn decode(
    received: &[u8],
    context: CodecContext,
) -> Result<Option<(Message, usize)>, MessageError> {
    let Some(header) = received.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let (kind, length) = decode_header(header)?;
    let Some(message) = received.get(..length) else {
        return Ok(None);
    };
    let body = &message[HEADER_BYTES..];
    let decoded = match kind {
        Kind::Open => Message::Open(Open::decode(body)?),
        Kind::Update => with_octets(decode_update(body, context)?, message),
        Kind::Notification => Message::Notification(Notification::decode(body)?),
        Kind::Keepalive => Message::Keepalive,
        Kind::RouteRefresh => decode_route_refresh(body)?,
    };
    Ok(Some((decoded, length)))
}

/// Keeps the octets of an UPDATE that something was wrong with, for the log.
fn with_octets(mut decoded: Message, octets: &[u8]) -> Message {
    if let Message::Update(update) = &mut decoded
        && !update.errors.is_empty()
    {
        update.message = octets.to_vec();
    }
    decoded
}

impl Message {
    /// Appends the message, header included, to `out`.
    ///
    /// An [`Update`] goes through [`encode_updates`] and may take several messages, or none if it
    /// says nothing. Where its attributes leave no room for a prefix, what it announces is
    /// withdrawn instead: RFC 4271 section 9.2 forbids to advertise such a route, and a peer must
    /// not keep what it replaces.
    pub fn encode(&self, context: CodecContext, out: &mut Vec<u8>) {
        match self {
            Self::Open(open) => framed(Kind::Open, out, |out| open.encode_body(out)),
            Self::Update(update) => encode_update(update, context, out),
            Self::EndOfRib(family) => encode_end_of_rib(*family, out),
            Self::Notification(notification) => {
                framed(Kind::Notification, out, |out| notification.encode_body(out));
            }
            Self::Keepalive => framed(Kind::Keepalive, out, |_| ()),
            Self::RouteRefresh(family) => {
                let (afi, safi) = nlri::afi_safi(*family);
                encode_route_refresh(afi, 0, safi, out);
            }
            Self::RefreshMark(mark, family) => {
                let (afi, safi) = nlri::afi_safi(*family);
                encode_route_refresh(afi, *mark as u8, safi, out);
            }
            Self::ForeignRouteRefresh { afi, subtype, safi } => {
                encode_route_refresh(*afi, *subtype, *safi, out);
            }
        }
    }
}

/// Message types (RFC 4271 section 4.1, RFC 2918 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Open = 1,
    Update = 2,
    Notification = 3,
    Keepalive = 4,
    RouteRefresh = 5,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Open,
        Self::Update,
        Self::Notification,
        Self::Keepalive,
        Self::RouteRefresh,
    ];

    /// The lengths a message of this type can have, header included (RFC 4271 section 6.1,
    /// RFC 2918 section 3).
    fn lengths(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Open => 29..=MESSAGE_BYTES_MAX,
            Self::Update => 23..=MESSAGE_BYTES_MAX,
            Self::Notification => 21..=MESSAGE_BYTES_MAX,
            Self::Keepalive => HEADER_BYTES..=HEADER_BYTES,
            Self::RouteRefresh => 23..=23,
        }
    }
}

/// RFC 4271 section 6.1, in the order of the header's fields but for the length, whose bounds
/// depend on the type.
fn decode_header(header: &[u8; HEADER_BYTES]) -> Result<(Kind, usize), MessageError> {
    let (marker, rest) = header.split_at(MARKER.len());
    if marker != MARKER {
        let what = "marker is not all ones (RFC 4271 6.1)".into();
        return Err(header_error(1, Vec::new(), what));
    }
    let length_octets = [rest[0], rest[1]];
    let length = usize::from(u16::from_be_bytes(length_octets));
    let bad_length = |allowed: std::ops::RangeInclusive<usize>| {
        let (least, most) = (allowed.start(), allowed.end());
        let what = format!("message length {length} is not in {least}..={most} (RFC 4271 6.1)");
        header_error(2, length_octets.to_vec(), what)
    };
    let any = HEADER_BYTES..=MESSAGE_BYTES_MAX;
    if !any.contains(&length) {
        return Err(bad_length(any));
    }
    let kind_octet = rest[2];
    let Some(kind) = Kind::ALL.into_iter().find(|kind| *kind as u8 == kind_octet) else {
        let what = format!("message type {kind_octet} does not exist (RFC 4271 6.1)");
        return Err(header_error(3, vec![kind_octet], what));
    };
    if !kind.lengths().contains(&length) {
        return Err(bad_length(kind.lengths()));
    }
    Ok((kind, length))
}

fn header_error(subcode: u8, data: Vec<u8>, what: String) -> MessageError {
    MessageError {
        what,
        notification: Notification {
            error: ErrorCode::MessageHeader(subcode),
            data,
        },
    }
}

fn decode_route_refresh(body: &[u8]) -> Result<Message, MessageError> {
    let &[afi_high, afi_low, subtype, safi] = body else {
        let what = format!("ROUTE-REFRESH has a body of {} octets", body.len());
        return Err(header_error(2, Vec::new(), what));
    };
    let afi = u16::from_be_bytes([afi_high, afi_low]);
    Ok(match (nlri::family(afi, safi), subtype) {
        (Some(family), 0) => Message::RouteRefresh(family),
        (Some(family), 1) => Message::RefreshMark(RefreshMark::Begin, family),
        (Some(family), 2) => Message::RefreshMark(RefreshMark::End, family),
        (Some(_) | None, _) => Message::ForeignRouteRefresh { afi, subtype, safi },
    })
}

fn encode_route_refresh(afi: u16, subtype: u8, safi: u8, out: &mut Vec<u8>) {
    framed(Kind::RouteRefresh, out, |out| {
        out.extend_from_slice(&afi.to_be_bytes());
        out.extend_from_slice(&[subtype, safi]);
    });
}

fn encode_update(update: &Update, context: CodecContext, out: &mut Vec<u8>) {
    let announced = Some((&update.attributes, update.reach.as_slice()));
    if encode_updates(&update.withdrawn, announced, context, out).is_err() {
        let announced = update.reach.iter().flat_map(|reach| &reach.prefixes);
        let withdrawn: Vec<_> = update.withdrawn.iter().chain(announced).copied().collect();
        encode_updates(&withdrawn, None, context, out).expect("withdrawals carry no attributes");
    }
}

/// Appends a header and what `body` appends, and sets the header's length. A body that does not
/// fit a message is the caller's mistake.
pub(super) fn framed(kind: Kind, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = begin(kind, out);
    body(out);
    finish(start, out);
}

/// Appends a header without its length and says where it starts.
pub(super) fn begin(kind: Kind, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&[0, 0, kind as u8]);
    start
}

/// Sets the length of the message that starts at `start` and ends where `out` does.
pub(super) fn finish(start: usize, out: &mut [u8]) {
    let length = out.len() - start;
    debug_assert!(length <= MESSAGE_BYTES_MAX, "message of {length} octets");
    put_u16(out, start + MARKER.len(), length);
}

/// Overwrites a length field; what a field cannot hold is the caller's mistake and saturates.
pub(super) fn put_u16(out: &mut [u8], at: usize, value: usize) {
    let value = u16::try_from(value).unwrap_or(u16::MAX);
    out[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
