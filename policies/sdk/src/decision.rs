//! A policy's answer about one candidate.

use std::borrow::Cow;

use crate::RouteAttributes;

/// Yes, no, or no opinion, with a reason for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Yes, no, or no opinion.
    pub verdict: Verdict,
    /// In words the operator understands.
    pub reason: Option<Cow<'static, str>>,
}

/// Yes, no, or no opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No opinion: what other policies of the chain say counts.
    Abstain,
    /// Announce, with these attributes, or with the proposed ones, unless a later policy rejects.
    Accept(Option<RouteAttributes>),
    /// Do not announce, whatever other policies say.
    Reject,
}

impl Decision {
    /// Announce, with the proposed attributes.
    #[must_use]
    pub fn accept() -> Self {
        Verdict::Accept(None).into()
    }

    /// Announce with these attributes instead of the proposed ones. Start from a copy of
    /// [`Candidate::attributes`](crate::Candidate::attributes) to change only some.
    #[must_use]
    pub fn accept_with(attributes: RouteAttributes) -> Self {
        Verdict::Accept(Some(attributes)).into()
    }

    /// Do not announce. A reason is required: a missing route is what operators ask about.
    #[must_use]
    pub fn reject(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::from(Verdict::Reject).because(reason)
    }

    /// Leave it to the other policies of the chain.
    #[must_use]
    pub fn abstain() -> Self {
        Verdict::Abstain.into()
    }

    /// The same decision with a reason; see
    /// [`Context::explain`](crate::Context::explain) for texts that cost something to make.
    #[must_use]
    pub fn because(self, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..self
        }
    }
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            reason: None,
        }
    }
}
