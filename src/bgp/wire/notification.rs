//! NOTIFICATION (RFC 4271 sections 4.5 and 6, RFC 4486, RFC 9003).

/// Why the sender ends the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Code and subcode.
    pub error: ErrorCode,
    /// Data, as the error's section defines them.
    pub data: Vec<u8>,
}

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

/// Subcodes of UPDATE Message Error that RFC 7606 left in use (RFC 4271 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateSubcode {
    /// 1: the lengths inside the message disagree.
    MalformedAttributeList,
    /// 9: an attribute whose family cannot be told.
    OptionalAttributeError,
    /// 10.
    InvalidNetworkField,
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
    /// Any other.
    Other(u8),
}
