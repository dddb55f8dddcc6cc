//! What can be wrong with a message, and what the RFCs want done about it.

use super::Notification;

/// A message that ends the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct MessageError {
    /// For the log: the field, its value and the section that forbids it.
    pub what: String,
    /// For the peer.
    pub notification: Notification,
}

/// What to do about an attribute that is wrong (RFC 7606 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttributeAction {
    /// Forget the attribute, use the routes.
    Discard,
    /// Treat every announced prefix of the message as withdrawn.
    TreatAsWithdraw,
    /// End the session.
    SessionReset,
}

/// An attribute that is wrong in a way the session survives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attribute {code}: {what}")]
pub struct AttributeError {
    /// The attribute's type code.
    pub code: u8,
    /// What is wrong, with the section.
    pub what: String,
    /// What was done about it.
    pub action: AttributeAction,
}
