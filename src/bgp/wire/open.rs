//! OPEN (RFC 4271 section 4.2, RFC 5492, RFC 9072).

use super::Capability;
use crate::types::{Asn, HoldTime, RouterId};

/// The protocol's version.
pub const VERSION: u8 = 4;

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
