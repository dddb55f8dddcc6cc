//! Numbers that identify speakers and bound their sessions.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The TCP port of BGP (RFC 4271 section 8.2.1).
pub const BGP_PORT: u16 = 179;

/// An autonomous system number of four octets (RFC 6793).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Asn(pub u32);

impl Asn {
    /// AS_TRANS, which stands for a number that does not fit two octets (RFC 6793 section 9).
    pub const TRANS: Self = Self(23456);

    /// A number that a network can have.
    ///
    /// # Errors
    /// It is reserved for something else.
    pub fn assignable(number: u32) -> Result<Self, UnfitAsn> {
        match number {
            0 => Err(UnfitAsn::Zero),
            23456 => Err(UnfitAsn::Trans),
            65535 | u32::MAX => Err(UnfitAsn::Last(number)),
            number => Ok(Self(number)),
        }
    }

    /// The number as the two-octet fields of OPEN and AS_PATH carry it: itself, or AS_TRANS.
    #[must_use]
    pub fn two_octets(self) -> u16 {
        u16::try_from(self.0).unwrap_or(23456)
    }
}

/// Why a number is no network's; to be read after the name of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitAsn {
    /// RFC 7607 reserves it.
    #[error("is 0, which is reserved (RFC 7607)")]
    Zero,
    /// AS_TRANS.
    #[error("is 23456 (AS_TRANS), which stands for numbers above 65535 (RFC 6793)")]
    Trans,
    /// The last of two octets or of four.
    #[error("is {0}, which is reserved (RFC 7300)")]
    Last(u32),
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A BGP Identifier: any four octets but zero (RFC 6286 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Ipv4Addr", into = "Ipv4Addr")]
pub struct RouterId(Ipv4Addr);

/// The Node's annotation that names its BGP Identifier.
pub const ROUTER_ID_ANNOTATION: &str = "rutter.io/router-id";

/// The one value that is no BGP Identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("router id 0.0.0.0 is reserved (RFC 6286 2.1)")]
pub struct InvalidRouterId;

/// What no speaker should be given as its BGP Identifier, though a peer may have it: RFC 6286 says
/// any four octets but zero, and some routers refuse what is no host's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitRouterId {
    /// 0.0.0.0.
    #[error(transparent)]
    Reserved(#[from] InvalidRouterId),
    /// In 127.0.0.0/8.
    #[error("router id {0} is a loopback address, which some routers refuse")]
    Loopback(Ipv4Addr),
    /// In 224.0.0.0/3: multicast, reserved and broadcast.
    #[error("router id {0} is no unicast address, which some routers refuse")]
    NotUnicast(Ipv4Addr),
}

impl RouterId {
    /// An identifier for a speaker of ours.
    ///
    /// # Errors
    /// Not every router would take it.
    pub fn assignable(address: Ipv4Addr) -> Result<Self, UnfitRouterId> {
        if address.is_loopback() {
            return Err(UnfitRouterId::Loopback(address));
        }
        if address.octets()[0] >= 224 {
            return Err(UnfitRouterId::NotUnicast(address));
        }
        Ok(Self::try_from(address)?)
    }
}

impl TryFrom<Ipv4Addr> for RouterId {
    type Error = InvalidRouterId;

    fn try_from(address: Ipv4Addr) -> Result<Self, Self::Error> {
        if address.is_unspecified() {
            Err(InvalidRouterId)
        } else {
            Ok(Self(address))
        }
    }
}

impl From<RouterId> for Ipv4Addr {
    fn from(id: RouterId) -> Self {
        id.0
    }
}

impl From<RouterId> for u32 {
    fn from(id: RouterId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A configured peer, for as long as the process runs. Given out by the speaker's owner; the
/// speaker never reads meaning into the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PeerId(pub u32);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer#{}", self.0)
    }
}

/// Peers that policy treats alike: they are sent the same routes with the same attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(pub u32);

/// How long a session lives without a message: zero (never checked) or at least three
/// seconds (RFC 4271 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldTime(u16);

/// A hold time the protocol forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hold time {0} s is neither 0 nor at least 3 s (RFC 4271 4.2)")]
pub struct InvalidHoldTime(pub u16);

impl HoldTime {
    /// What RFC 4271 section 10 suggests: 90 seconds.
    pub const DEFAULT: Self = Self(90);

    /// # Errors
    /// One and two seconds are not hold times.
    pub fn from_secs(seconds: u16) -> Result<Self, InvalidHoldTime> {
        if matches!(seconds, 1 | 2) {
            Err(InvalidHoldTime(seconds))
        } else {
            Ok(Self(seconds))
        }
    }

    /// Seconds, as OPEN carries them.
    #[must_use]
    pub fn as_secs(self) -> u16 {
        self.0
    }

    /// The time after which silence ends the session; none when the two agreed on zero.
    #[must_use]
    pub fn expiry(self) -> Option<Duration> {
        (self.0 > 0).then(|| Duration::from_secs(self.0.into()))
    }

    /// A third of the hold time, the interval between our KEEPALIVEs (RFC 4271 section 4.4).
    #[must_use]
    pub fn keepalive(self) -> Option<Duration> {
        self.expiry().map(|expiry| expiry / 3)
    }

    /// What two speakers agree on: the smaller (RFC 4271 section 4.2).
    #[must_use]
    pub fn negotiate(self, theirs: Self) -> Self {
        self.min(theirs)
    }
}

/// What the AS_PATH of routes from an external peer begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstAs {
    /// The peer's own AS (RFC 4271 section 6.3).
    #[default]
    Peers,
    /// Any, for a route server does not put its own there (RFC 7947 section 2.2.2.1).
    Any,
}

/// Why there is a peering, in the words of `calicoctl node status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerType {
    /// Of the mesh of all nodes.
    NodeMesh,
    /// For this node, as all that its own file names; of a template for some nodes, or the reverse
    /// of one.
    NodePeer,
    /// Of a template for all nodes.
    GlobalPeer,
}

impl PeerType {
    /// As `calicoctl node status` prints it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NodeMesh => "node-to-node mesh",
            Self::NodePeer => "node specific",
            Self::GlobalPeer => "global",
        }
    }
}

/// Who opens the TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectMode {
    /// Dial, and accept what the peer dials.
    Active,
    /// Only accept.
    Passive,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_times_of_one_and_two_seconds_do_not_exist() {
        assert_eq!(HoldTime::from_secs(2), Err(InvalidHoldTime(2)));
        assert_eq!(HoldTime::from_secs(0).unwrap().expiry(), None);
        assert_eq!(
            HoldTime::from_secs(3).unwrap().keepalive(),
            Some(Duration::from_secs(1))
        );
    }

    #[test]
    fn a_number_above_two_octets_travels_as_as_trans() {
        assert_eq!(Asn(65536).two_octets(), 23456);
        assert_eq!(Asn(64512).two_octets(), 64512);
    }

    #[test]
    fn a_router_id_of_ours_is_a_hosts_address() {
        let assignable = |text: &str| RouterId::assignable(text.parse().unwrap());
        for fit in ["0.0.0.1", "126.255.255.255", "128.0.0.0", "223.255.255.255"] {
            assert_eq!(assignable(fit).unwrap().to_string(), fit);
        }
        let reserved = UnfitRouterId::Reserved(InvalidRouterId);
        assert_eq!(assignable("0.0.0.0"), Err(reserved));
        for loopback in ["127.0.0.0", "127.255.255.255"] {
            let error = UnfitRouterId::Loopback(loopback.parse().unwrap());
            assert_eq!(assignable(loopback), Err(error));
        }
        for other in ["224.0.0.0", "239.1.2.3", "240.0.0.1", "255.255.255.255"] {
            let error = UnfitRouterId::NotUnicast(other.parse().unwrap());
            assert_eq!(assignable(other), Err(error));
        }
    }

    #[test]
    fn the_zero_router_id_is_refused() {
        assert_eq!(
            RouterId::try_from(Ipv4Addr::UNSPECIFIED),
            Err(InvalidRouterId)
        );
    }
}
