//! UPDATE (RFC 4271 section 4.3, RFC 4760).

mod decode;
mod encode;

use std::net::{IpAddr, Ipv6Addr};

use super::{AttributeError, PathAttributes};
use crate::types::Prefix;

pub(super) use decode::decode_update;
pub(super) use encode::encode_end_of_rib;
pub use encode::{AttributesTooLarge, encode_updates};

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
/// MP_REACH_NLRI. All share the attributes, which are the default ones where nothing is announced.
/// To apply it, withdraw first: a prefix in both is announced (RFC 4271 section 4.3).
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
    /// The whole message, header included, where something was wrong with it: RFC 7606 section 6
    /// wants it logged. Empty otherwise, and in one we send.
    pub message: Vec<u8>,
}

impl Update {
    /// Every prefix it names, announced or not.
    pub fn prefixes(&self) -> impl Iterator<Item = &Prefix> {
        self.withdrawn.iter().chain(self.announced())
    }

    /// Every prefix it announces.
    pub fn announced(&self) -> impl Iterator<Item = &Prefix> {
        self.reach.iter().flat_map(|reach| &reach.prefixes)
    }
}
