//! UPDATE (RFC 4271 section 4.3, RFC 4760).

use std::net::{IpAddr, Ipv6Addr};

use super::{AttributeError, CodecContext, PathAttributes};
use crate::types::Prefix;

/// Where to send packets: one address, or a global IPv6 one with a link-local beside it
/// (RFC 2545 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHop {
    /// The address routes resolve through.
    pub address: IpAddr,
    /// The link-local address of the same router, where it sent one.
    pub link_local: Option<Ipv6Addr>,
}

/// Prefixes of one family that share a next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Their next hop.
    pub next_hop: NextHop,
    /// The prefixes, all of one family.
    pub prefixes: Vec<Prefix>,
}

/// Routes announced and withdrawn by one message.
///
/// `reach` has at most two entries: the message's own NLRI (IPv4, with NEXT_HOP) and
/// MP_REACH_NLRI. All share the attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// No longer reachable, of any family; what RFC 7606 wants treated as withdrawn included.
    pub withdrawn: Vec<Prefix>,
    /// Reachable.
    pub reach: Vec<Reach>,
    /// Of everything in `reach`.
    pub attributes: PathAttributes,
    /// What was wrong with the message and tolerated (RFC 7606); always empty in one we send.
    pub errors: Vec<AttributeError>,
}

/// Appends as few UPDATEs to `out` as carry the withdrawals and announcements of one attribute
/// set: many prefixes a message, none above [`MESSAGE_BYTES_MAX`](super::MESSAGE_BYTES_MAX).
///
/// Withdrawn IPv4 prefixes travel in the message's own field and share a message with
/// announcements where both fit; IPv6 travels in MP_UNREACH_NLRI and MP_REACH_NLRI.
/// Returns the number of messages. Nothing to say gives none.
pub fn encode_updates(
    _withdrawn: &[Prefix],
    _announced: Option<(&PathAttributes, &[Reach])>,
    _context: CodecContext,
    _out: &mut Vec<u8>,
) -> usize {
    unimplemented!()
}
