//! What can be wrong with a message, and what the RFCs want done about it.

use super::{ErrorCode, Notification, UpdateSubcode};

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

/// Bounds what one message can make us log; later faults still count.
const ERRORS_LISTED_MAX: usize = 16;

/// What is wrong with one attribute, before it is known whose.
pub(super) struct Fault {
    action: AttributeAction,
    subcode: UpdateSubcode,
    what: String,
}

impl Fault {
    pub(super) fn discard(what: impl Into<String>) -> Self {
        Self {
            action: AttributeAction::Discard,
            subcode: UpdateSubcode::OptionalAttributeError,
            what: what.into(),
        }
    }

    pub(super) fn withdraw(subcode: UpdateSubcode, what: impl Into<String>) -> Self {
        Self {
            action: AttributeAction::TreatAsWithdraw,
            subcode,
            what: what.into(),
        }
    }

    pub(super) fn reset(subcode: UpdateSubcode, what: impl Into<String>) -> Self {
        Self {
            action: AttributeAction::SessionReset,
            subcode,
            what: what.into(),
        }
    }
}

/// The faults of one UPDATE so far, none of which ends the session by itself.
#[derive(Default)]
pub(super) struct Faults {
    errors: Vec<AttributeError>,
    /// The first that wants the prefixes withdrawn, for a message that has none to withdraw.
    withdraw: Option<MessageError>,
}

impl Faults {
    /// Notes a fault of the attribute `code`; `octets` are what a NOTIFICATION says about it.
    ///
    /// # Errors
    /// A fault that ends the session comes back as the message's error.
    pub(super) fn add(
        &mut self,
        code: u8,
        octets: &[u8],
        fault: Fault,
    ) -> Result<(), MessageError> {
        let message_error = || {
            update_error(
                fault.subcode,
                octets,
                format!("attribute {code}: {}", fault.what),
            )
        };
        match fault.action {
            AttributeAction::Discard => {}
            AttributeAction::TreatAsWithdraw if self.withdraw.is_some() => {}
            AttributeAction::TreatAsWithdraw => self.withdraw = Some(message_error()),
            AttributeAction::SessionReset => return Err(message_error()),
        }
        if self.errors.len() < ERRORS_LISTED_MAX {
            self.errors.push(AttributeError {
                code,
                what: fault.what,
                action: fault.action,
            });
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether the message's prefixes are to be treated as withdrawn.
    pub(super) fn withdraws(&self) -> bool {
        self.withdraw.is_some()
    }

    /// Why the message's prefixes are to be treated as withdrawn, as the error it is where there
    /// are none.
    pub(super) fn withdraw(&mut self) -> Option<MessageError> {
        self.withdraw.take()
    }

    /// All that were noted.
    pub(super) fn into_errors(self) -> Vec<AttributeError> {
        self.errors
    }
}

/// An UPDATE Message Error, with the attribute as data where the subcode has data (RFC 4271
/// section 6.3).
pub(super) fn update_error(subcode: UpdateSubcode, attribute: &[u8], what: String) -> MessageError {
    let data = match subcode {
        UpdateSubcode::UnrecognizedWellKnownAttribute
        | UpdateSubcode::MissingWellKnownAttribute
        | UpdateSubcode::AttributeFlagsError
        | UpdateSubcode::AttributeLengthError
        | UpdateSubcode::InvalidOrigin
        | UpdateSubcode::InvalidNextHop
        | UpdateSubcode::OptionalAttributeError => attribute.to_vec(),
        UpdateSubcode::MalformedAttributeList
        | UpdateSubcode::InvalidNetworkField
        | UpdateSubcode::MalformedAsPath
        | UpdateSubcode::Other(_) => Vec::new(),
    };
    MessageError {
        what,
        notification: Notification {
            error: ErrorCode::Update(subcode),
            data,
        },
    }
}
