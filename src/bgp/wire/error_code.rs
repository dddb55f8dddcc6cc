//! Error codes and subcodes of NOTIFICATION (RFC 4271 section 4.5 and those that extend it), as
//! numbers and as words.

use std::fmt;

/// An error code with its subcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// 1: the header's marker (subcode 1), length (2) or type (3).
    MessageHeader(u8),
    /// 2: OPEN Message Error.
    Open(OpenSubcode),
    /// 3: UPDATE Message Error.
    Update(UpdateSubcode),
    /// 4: Hold Timer Expired.
    HoldTimerExpired,
    /// 5: Finite State Machine Error (RFC 6608 subcodes: 1 OpenSent, 2 OpenConfirm, 3 Established).
    FiniteStateMachine(u8),
    /// 6: Cease.
    Cease(CeaseSubcode),
    /// 8: Send Hold Timer Expired (RFC 9687).
    SendHoldTimerExpired,
    /// Any other pair, kept as it came.
    Unknown {
        /// The code.
        code: u8,
        /// The subcode.
        subcode: u8,
    },
}

/// What the registries call a code and its subcode: few, whatever peers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrorNames {
    /// `Cease`; `unknown` where the registry has no name.
    pub code: &'static str,
    /// `Administrative Shutdown`; `unspecific` where the subcode is 0 and has no name.
    pub subcode: &'static str,
}

/// Subcodes of OPEN Message Error (RFC 4271 section 6.2, RFC 5492).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenSubcode {
    /// 0.
    Unspecific,
    /// 1; data: the version we speak.
    UnsupportedVersion,
    /// 2.
    BadPeerAs,
    /// 3.
    BadBgpIdentifier,
    /// 4.
    UnsupportedOptionalParameter,
    /// 6.
    UnacceptableHoldTime,
    /// 7; data: the capabilities that are missing.
    UnsupportedCapability,
}

/// Subcodes of UPDATE Message Error (RFC 4271 section 6.3). RFC 7606 leaves most of them to
/// messages without reachable prefixes (its section 5.2), which cannot be treated as withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateSubcode {
    /// 1: the lengths inside the message disagree.
    MalformedAttributeList,
    /// 2; data: the attribute.
    UnrecognizedWellKnownAttribute,
    /// 3; data: the missing attribute's type.
    MissingWellKnownAttribute,
    /// 4; data: the attribute.
    AttributeFlagsError,
    /// 5; data: the attribute.
    AttributeLengthError,
    /// 6; data: the attribute.
    InvalidOrigin,
    /// 8; data: the attribute.
    InvalidNextHop,
    /// 9: an optional attribute, such as MP_REACH_NLRI; data: the attribute.
    OptionalAttributeError,
    /// 10: prefixes that cannot be read.
    InvalidNetworkField,
    /// 11.
    MalformedAsPath,
    /// Any other.
    Other(u8),
}

/// Subcodes of Cease (RFC 4486).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CeaseSubcode {
    /// 1.
    MaximumPrefixes,
    /// 2; data: the operator's text (RFC 9003).
    AdministrativeShutdown,
    /// 3: the peer was removed from the configuration.
    PeerDeconfigured,
    /// 4; data: the operator's text (RFC 9003).
    AdministrativeReset,
    /// 5.
    ConnectionRejected,
    /// 6.
    OtherConfigurationChange,
    /// 7.
    ConnectionCollisionResolution,
    /// 8.
    OutOfResources,
    /// 9: the session restarts without graceful restart (RFC 8538).
    HardReset,
    /// 10 (RFC 9384).
    BfdDown,
    /// Any other.
    Other(u8),
}

impl From<(u8, u8)> for ErrorCode {
    /// Total: a pair nobody defined is [`Self::Unknown`].
    fn from((code, subcode): (u8, u8)) -> Self {
        match (code, subcode) {
            (1, subcode) => Self::MessageHeader(subcode),
            (2, subcode) => match OpenSubcode::from_octet(subcode) {
                Some(subcode) => Self::Open(subcode),
                None => Self::Unknown { code, subcode },
            },
            (3, subcode) => Self::Update(UpdateSubcode::from_octet(subcode)),
            (4, 0) => Self::HoldTimerExpired,
            (5, subcode) => Self::FiniteStateMachine(subcode),
            (6, subcode) => Self::Cease(CeaseSubcode::from_octet(subcode)),
            (8, 0) => Self::SendHoldTimerExpired,
            (code, subcode) => Self::Unknown { code, subcode },
        }
    }
}

impl From<ErrorCode> for (u8, u8) {
    /// Code and subcode.
    fn from(error: ErrorCode) -> Self {
        match error {
            ErrorCode::MessageHeader(subcode) => (1, subcode),
            ErrorCode::Open(subcode) => (2, subcode.octet()),
            ErrorCode::Update(subcode) => (3, subcode.octet()),
            ErrorCode::HoldTimerExpired => (4, 0),
            ErrorCode::FiniteStateMachine(subcode) => (5, subcode),
            ErrorCode::Cease(subcode) => (6, subcode.octet()),
            ErrorCode::SendHoldTimerExpired => (8, 0),
            ErrorCode::Unknown { code, subcode } => (code, subcode),
        }
    }
}

impl fmt::Display for ErrorCode {
    /// The registry's words, code and subcode: `OPEN Message Error/Bad Peer AS`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, subcode) = (*self).into();
        match code_name(code) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "error {code}")?,
        }
        match self.subcode_name() {
            Some(name) => write!(f, "/{name}"),
            None if subcode == 0 => Ok(()),
            None => write!(f, "/subcode {subcode}"),
        }
    }
}

impl ErrorCode {
    /// In words, for a label that must not have a value for each number there is.
    #[must_use]
    pub fn names(self) -> ErrorNames {
        let (code, subcode) = self.into();
        let unnamed = if subcode == 0 {
            "unspecific"
        } else {
            "unknown"
        };
        ErrorNames {
            code: code_name(code).unwrap_or("unknown"),
            subcode: self.subcode_name().unwrap_or(unnamed),
        }
    }

    fn subcode_name(self) -> Option<&'static str> {
        match self {
            Self::MessageHeader(1) => Some("Connection Not Synchronized"),
            Self::MessageHeader(2) => Some("Bad Message Length"),
            Self::MessageHeader(3) => Some("Bad Message Type"),
            Self::Open(subcode) => subcode.name(),
            Self::Update(subcode) => subcode.name(),
            Self::FiniteStateMachine(1) => Some("Unexpected Message in OpenSent State"),
            Self::FiniteStateMachine(2) => Some("Unexpected Message in OpenConfirm State"),
            Self::FiniteStateMachine(3) => Some("Unexpected Message in Established State"),
            Self::Cease(subcode) => subcode.name(),
            Self::MessageHeader(_)
            | Self::FiniteStateMachine(_)
            | Self::HoldTimerExpired
            | Self::SendHoldTimerExpired
            | Self::Unknown { .. } => None,
        }
    }
}

fn code_name(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "Message Header Error",
        2 => "OPEN Message Error",
        3 => "UPDATE Message Error",
        4 => "Hold Timer Expired",
        5 => "Finite State Machine Error",
        6 => "Cease",
        7 => "ROUTE-REFRESH Message Error",
        8 => "Send Hold Timer Expired",
        _ => return None,
    })
}

impl OpenSubcode {
    fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            0 => Self::Unspecific,
            1 => Self::UnsupportedVersion,
            2 => Self::BadPeerAs,
            3 => Self::BadBgpIdentifier,
            4 => Self::UnsupportedOptionalParameter,
            6 => Self::UnacceptableHoldTime,
            7 => Self::UnsupportedCapability,
            _ => return None,
        })
    }

    fn octet(self) -> u8 {
        match self {
            Self::Unspecific => 0,
            Self::UnsupportedVersion => 1,
            Self::BadPeerAs => 2,
            Self::BadBgpIdentifier => 3,
            Self::UnsupportedOptionalParameter => 4,
            Self::UnacceptableHoldTime => 6,
            Self::UnsupportedCapability => 7,
        }
    }

    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Unspecific => return None,
            Self::UnsupportedVersion => "Unsupported Version Number",
            Self::BadPeerAs => "Bad Peer AS",
            Self::BadBgpIdentifier => "Bad BGP Identifier",
            Self::UnsupportedOptionalParameter => "Unsupported Optional Parameter",
            Self::UnacceptableHoldTime => "Unacceptable Hold Time",
            Self::UnsupportedCapability => "Unsupported Capability",
        })
    }
}

impl UpdateSubcode {
    fn from_octet(octet: u8) -> Self {
        match octet {
            1 => Self::MalformedAttributeList,
            2 => Self::UnrecognizedWellKnownAttribute,
            3 => Self::MissingWellKnownAttribute,
            4 => Self::AttributeFlagsError,
            5 => Self::AttributeLengthError,
            6 => Self::InvalidOrigin,
            8 => Self::InvalidNextHop,
            9 => Self::OptionalAttributeError,
            10 => Self::InvalidNetworkField,
            11 => Self::MalformedAsPath,
            other => Self::Other(other),
        }
    }

    fn octet(self) -> u8 {
        match self {
            Self::MalformedAttributeList => 1,
            Self::UnrecognizedWellKnownAttribute => 2,
            Self::MissingWellKnownAttribute => 3,
            Self::AttributeFlagsError => 4,
            Self::AttributeLengthError => 5,
            Self::InvalidOrigin => 6,
            Self::InvalidNextHop => 8,
            Self::OptionalAttributeError => 9,
            Self::InvalidNetworkField => 10,
            Self::MalformedAsPath => 11,
            Self::Other(octet) => octet,
        }
    }

    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::MalformedAttributeList => "Malformed Attribute List",
            Self::UnrecognizedWellKnownAttribute => "Unrecognized Well-known Attribute",
            Self::MissingWellKnownAttribute => "Missing Well-known Attribute",
            Self::AttributeFlagsError => "Attribute Flags Error",
            Self::AttributeLengthError => "Attribute Length Error",
            Self::InvalidOrigin => "Invalid ORIGIN Attribute",
            Self::InvalidNextHop => "Invalid NEXT_HOP Attribute",
            Self::OptionalAttributeError => "Optional Attribute Error",
            Self::InvalidNetworkField => "Invalid Network Field",
            Self::MalformedAsPath => "Malformed AS_PATH",
            Self::Other(_) => return None,
        })
    }
}

impl CeaseSubcode {
    fn from_octet(octet: u8) -> Self {
        match octet {
            1 => Self::MaximumPrefixes,
            2 => Self::AdministrativeShutdown,
            3 => Self::PeerDeconfigured,
            4 => Self::AdministrativeReset,
            5 => Self::ConnectionRejected,
            6 => Self::OtherConfigurationChange,
            7 => Self::ConnectionCollisionResolution,
            8 => Self::OutOfResources,
            9 => Self::HardReset,
            10 => Self::BfdDown,
            other => Self::Other(other),
        }
    }

    fn octet(self) -> u8 {
        match self {
            Self::MaximumPrefixes => 1,
            Self::AdministrativeShutdown => 2,
            Self::PeerDeconfigured => 3,
            Self::AdministrativeReset => 4,
            Self::ConnectionRejected => 5,
            Self::OtherConfigurationChange => 6,
            Self::ConnectionCollisionResolution => 7,
            Self::OutOfResources => 8,
            Self::HardReset => 9,
            Self::BfdDown => 10,
            Self::Other(octet) => octet,
        }
    }

    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::MaximumPrefixes => "Maximum Number of Prefixes Reached",
            Self::AdministrativeShutdown => "Administrative Shutdown",
            Self::PeerDeconfigured => "Peer De-configured",
            Self::AdministrativeReset => "Administrative Reset",
            Self::ConnectionRejected => "Connection Rejected",
            Self::OtherConfigurationChange => "Other Configuration Change",
            Self::ConnectionCollisionResolution => "Connection Collision Resolution",
            Self::OutOfResources => "Out of Resources",
            Self::HardReset => "Hard Reset",
            Self::BfdDown => "BFD Down",
            Self::Other(_) => return None,
        })
    }
}
