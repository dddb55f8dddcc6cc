//! Every way a connection ends: what the peer is told, and what the operator reads.
//!
//! One enum, so that no connection can end without both being decided. `Display` is the text
//! of events and of the status table; it must name the side at fault.

use std::time::Duration;

use super::SessionState;
use super::wire::{
    CeaseSubcode, ErrorCode, GracefulRestart, MessageError, Notification, OpenSubcode,
};
use crate::types::{Asn, Family, HoldTime, ROUTER_ID_ANNOTATION, RouterId};

/// Why a connection, or an attempt at one, is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ending {
    /// The peer said so.
    #[error("peer sent NOTIFICATION {0}")]
    NotificationReceived(Notification),
    /// The TCP connection ended in order.
    #[error("peer closed the connection")]
    Closed,
    /// The TCP connection broke.
    #[error("connection lost: {0}")]
    Lost(String),
    /// It could not be opened.
    #[error("cannot connect: {0}")]
    ConnectFailed(String),
    /// Nobody answered the dial.
    #[error("cannot connect: no answer within {} s", .0.as_secs())]
    ConnectTimeout(Duration),
    /// Nobody answered the dial, as it is where the two ends sign with different keys.
    #[error(
        "cannot connect: no answer within {} s; is the TCP MD5 password the same at the peer?",
        .0.as_secs()
    )]
    SignedConnectTimeout(Duration),
    /// RFC 4271 section 6.5.
    #[error("hold timer expired: nothing heard from the peer for {} s", .0.as_secs())]
    HoldTimerExpired(HoldTime),
    /// The hold timer of OpenSent.
    #[error("hold timer expired: no OPEN from the peer within {} s", .0.as_secs())]
    NoOpen(Duration),
    /// RFC 9687.
    #[error("send hold timer expired: the peer took no octets for {} s", .0.as_secs())]
    SendHoldExpired(Duration),
    /// RFC 4271 section 6, RFC 7606.
    #[error("peer sent a malformed message: {0}")]
    Malformed(MessageError),
    /// RFC 6608.
    #[error("peer sent {message:?} in {state}, where it has no place")]
    Unexpected {
        /// Which message.
        message: MessageKind,
        /// The connection's state.
        state: SessionState,
    },
    /// RFC 4271 section 6.2.
    #[error("peer is in AS {sent}, the configuration says {expected}")]
    BadPeerAs {
        /// From the configuration.
        expected: Asn,
        /// From the OPEN.
        sent: Asn,
    },
    /// RFC 6286 section 2.2.
    #[error(
        "peer has our own router id {0} (RFC 6286 2.2): give one of the two another by \
         bgp.router-id or the Node's annotation {annotation}",
        annotation = ROUTER_ID_ANNOTATION
    )]
    BadIdentifier(RouterId),
    /// The same, seen by the peer first.
    #[error(
        "peer refuses our router id {0} (NOTIFICATION Bad BGP Identifier): if it is its own, too, \
         give one of the two another by bgp.router-id or the Node's annotation {annotation}",
        annotation = ROUTER_ID_ANNOTATION
    )]
    IdentifierRefused(RouterId),
    /// RFC 5492 section 5.
    #[error("peer carries neither IPv4 nor IPv6 unicast routes")]
    NoCommonFamily,
    /// More than an OPEN came before we answered.
    #[error("peer sent more than an OPEN before ours")]
    Impatient,
    /// RFC 4271 section 6.8: the peer's other connection is kept.
    #[error("collision: the other connection with the peer is kept")]
    Collision,
    /// RFC 4486.
    #[error(
        "peer sent more than {most} {family} prefixes, and is left alone for {} s (max-received)",
        restart.as_secs()
    )]
    MaximumPrefixes {
        /// Of which family.
        family: Family,
        /// How many are taken.
        most: usize,
        /// How long it is left alone.
        restart: Duration,
    },
    /// RFC 4486.
    #[error(
        "the path attributes of the peer's routes take more than {most} bytes, and it is left alone \
         for {} s (max-received.attributes)",
        restart.as_secs()
    )]
    AttributeMemory {
        /// What they may take.
        most: usize,
        /// How long it is left alone.
        restart: Duration,
    },
    /// The peer was taken out of the configuration.
    #[error("peer removed from the configuration")]
    Deconfigured,
    /// What the session is made of changed.
    #[error("configuration of the session changed")]
    ConfigurationChanged,
    /// The operator wants all sessions to end.
    #[error("shut down: {0}")]
    Shutdown(String),
    /// This process ends, and another will take its place: what the peer has of us stays good.
    #[error("agent restarting: the peer keeps our routes meanwhile (RFC 4724)")]
    Restarting,
}

/// The types of message, as RFC 6608 has them named in a NOTIFICATION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum MessageKind {
    /// 1.
    Open = 1,
    /// 2, an End-of-RIB included.
    Update = 2,
    /// 4.
    Keepalive = 4,
    /// 5.
    RouteRefresh = 5,
}

impl Ending {
    /// What to tell the peer; none where it ended the connection itself or cannot be told.
    pub(super) fn notification(&self) -> Option<Notification> {
        let notification = match self {
            Self::NotificationReceived(_)
            | Self::IdentifierRefused(_)
            | Self::Closed
            | Self::Lost(_)
            | Self::ConnectFailed(_)
            | Self::ConnectTimeout(_)
            | Self::SignedConnectTimeout(_)
            // RFC 4724 section 4.1: a NOTIFICATION would end what graceful restart keeps.
            | Self::Restarting => return None,
            Self::Malformed(error) => error.notification.clone(),
            Self::HoldTimerExpired(_) | Self::NoOpen(_) => ErrorCode::HoldTimerExpired.into(),
            Self::SendHoldExpired(_) => ErrorCode::SendHoldTimerExpired.into(),
            Self::Unexpected { message, state } => Notification {
                error: ErrorCode::FiniteStateMachine(state_subcode(*state)),
                data: vec![*message as u8],
            },
            Self::BadPeerAs { .. } => ErrorCode::Open(OpenSubcode::BadPeerAs).into(),
            Self::BadIdentifier(_) => ErrorCode::Open(OpenSubcode::BadBgpIdentifier).into(),
            Self::NoCommonFamily => Notification {
                error: ErrorCode::Open(OpenSubcode::UnsupportedCapability),
                data: MISSING_CAPABILITIES.to_vec(),
            },
            Self::Impatient => Notification::cease(CeaseSubcode::OutOfResources),
            Self::Collision => Notification::cease(CeaseSubcode::ConnectionCollisionResolution),
            Self::MaximumPrefixes { family, most, .. } => {
                Notification::maximum_prefixes(*family, *most)
            }
            Self::AttributeMemory { .. } => Notification::cease(CeaseSubcode::OutOfResources),
            Self::Deconfigured => Notification::cease(CeaseSubcode::PeerDeconfigured),
            Self::ConfigurationChanged => {
                Notification::cease(CeaseSubcode::OtherConfigurationChange)
            }
            Self::Shutdown(text) => {
                Notification::cease_with_text(CeaseSubcode::AdministrativeShutdown, text)
            }
        };
        Some(notification)
    }
}

impl Ending {
    /// What a NOTIFICATION of the peer said, if that is what this is.
    pub(super) fn received(&self) -> Option<ErrorCode> {
        match self {
            Self::NotificationReceived(notification) => Some(notification.error),
            Self::IdentifierRefused(_) => Some(ErrorCode::Open(OpenSubcode::BadBgpIdentifier)),
            Self::Closed
            | Self::Lost(_)
            | Self::ConnectFailed(_)
            | Self::ConnectTimeout(_)
            | Self::SignedConnectTimeout(_)
            | Self::HoldTimerExpired(_)
            | Self::NoOpen(_)
            | Self::SendHoldExpired(_)
            | Self::Malformed(_)
            | Self::Unexpected { .. }
            | Self::BadPeerAs { .. }
            | Self::BadIdentifier(_)
            | Self::NoCommonFamily
            | Self::Impatient
            | Self::Collision
            | Self::MaximumPrefixes { .. }
            | Self::AttributeMemory { .. }
            | Self::Deconfigured
            | Self::ConfigurationChanged
            | Self::Shutdown(_)
            | Self::Restarting => None,
        }
    }

    /// Whether the peer's routes outlive the session, where it said this of its restart: a session
    /// that ends with a NOTIFICATION, by either side, lets them do so only where both sides say so
    /// (RFC 8538 section 4); one that somebody wants to end never does.
    pub(crate) fn spares_routes(&self, offer: &GracefulRestart) -> bool {
        match self {
            Self::Closed | Self::Lost(_) | Self::Restarting => true,
            Self::NotificationReceived(notification) => {
                offer.keeps_over_notification
                    && notification.error != ErrorCode::Cease(CeaseSubcode::HardReset)
            }
            Self::HoldTimerExpired(_)
            | Self::SendHoldExpired(_)
            | Self::Malformed(_)
            | Self::Unexpected { .. } => offer.keeps_over_notification,
            Self::ConnectFailed(_)
            | Self::ConnectTimeout(_)
            | Self::SignedConnectTimeout(_)
            | Self::NoOpen(_)
            | Self::BadPeerAs { .. }
            | Self::BadIdentifier(_)
            | Self::IdentifierRefused(_)
            | Self::NoCommonFamily
            | Self::Impatient
            | Self::Collision
            | Self::MaximumPrefixes { .. }
            | Self::AttributeMemory { .. }
            | Self::Deconfigured
            | Self::ConfigurationChanged
            | Self::Shutdown(_) => false,
        }
    }

    /// Whether our routes are to go from the peer with the session, whatever was agreed: a Hard
    /// Reset says so (RFC 8538 section 3). A session whose configuration changed is back at once.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::MaximumPrefixes { .. }
            | Self::AttributeMemory { .. }
            | Self::Deconfigured
            | Self::Shutdown(_) => true,
            Self::NotificationReceived(_)
            | Self::Closed
            | Self::Lost(_)
            | Self::ConnectFailed(_)
            | Self::ConnectTimeout(_)
            | Self::SignedConnectTimeout(_)
            | Self::HoldTimerExpired(_)
            | Self::NoOpen(_)
            | Self::SendHoldExpired(_)
            | Self::Malformed(_)
            | Self::Unexpected { .. }
            | Self::BadPeerAs { .. }
            | Self::BadIdentifier(_)
            | Self::IdentifierRefused(_)
            | Self::NoCommonFamily
            | Self::Impatient
            | Self::Collision
            | Self::ConfigurationChanged
            | Self::Restarting => false,
        }
    }

    /// Whether one of the two ends did wrong, in its own or in the other's eyes. A router that
    /// restarts, or whose operator wants it so, says Cease or closes the connection.
    pub(super) fn is_fault(&self) -> bool {
        match self {
            Self::NotificationReceived(notification) => {
                !matches!(notification.error, ErrorCode::Cease(_))
            }
            Self::Closed
            | Self::Lost(_)
            | Self::ConnectFailed(_)
            | Self::ConnectTimeout(_)
            | Self::SignedConnectTimeout(_)
            | Self::Collision
            | Self::Deconfigured
            | Self::ConfigurationChanged
            | Self::Shutdown(_)
            | Self::Restarting => false,
            Self::HoldTimerExpired(_)
            | Self::NoOpen(_)
            | Self::SendHoldExpired(_)
            | Self::Malformed(_)
            | Self::Unexpected { .. }
            | Self::BadPeerAs { .. }
            | Self::BadIdentifier(_)
            | Self::IdentifierRefused(_)
            | Self::NoCommonFamily
            | Self::Impatient
            | Self::MaximumPrefixes { .. }
            | Self::AttributeMemory { .. } => true,
        }
    }

    /// How long the peer is left alone where that is the operator's to say: another session would
    /// come to the same end.
    pub(super) fn restart(&self) -> Option<Duration> {
        match self {
            Self::MaximumPrefixes { restart, .. } | Self::AttributeMemory { restart, .. } => {
                Some(*restart)
            }
            Self::NotificationReceived(_)
            | Self::Closed
            | Self::Lost(_)
            | Self::ConnectFailed(_)
            | Self::ConnectTimeout(_)
            | Self::SignedConnectTimeout(_)
            | Self::HoldTimerExpired(_)
            | Self::NoOpen(_)
            | Self::SendHoldExpired(_)
            | Self::Malformed(_)
            | Self::Unexpected { .. }
            | Self::BadPeerAs { .. }
            | Self::BadIdentifier(_)
            | Self::IdentifierRefused(_)
            | Self::NoCommonFamily
            | Self::Impatient
            | Self::Collision
            | Self::Deconfigured
            | Self::ConfigurationChanged
            | Self::Shutdown(_)
            | Self::Restarting => None,
        }
    }
}

/// The multiprotocol capabilities of IPv4 and IPv6 unicast as OPEN carries them, which is how
/// RFC 5492 section 5 wants missing ones listed.
const MISSING_CAPABILITIES: [u8; 12] = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1];

/// RFC 6608 section 3. States without a connection receive no messages.
fn state_subcode(state: SessionState) -> u8 {
    match state {
        SessionState::Idle | SessionState::Connect | SessionState::Active => 0,
        SessionState::OpenSent => 1,
        SessionState::OpenConfirm => 2,
        SessionState::Established => 3,
    }
}
