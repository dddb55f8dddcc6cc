//! How far a route has come on its way through a chain, in force or beside it.

use std::sync::Arc;

use super::{Directed, Step, StepVerdict};
use crate::types::{Installation, RouteAttributes};

/// Where a route stands after the policies that it has passed.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) state: State,
    /// What the next policy is proposed.
    pub(super) attributes: Arc<RouteAttributes>,
    installation: Installation,
}

/// What the policies so far made of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Every one abstained.
    Undecided,
    /// Some accepted and none rejected.
    Accepted,
    /// One rejected; that is final.
    Rejected,
}

impl Standing {
    /// Before the first policy, which is proposed these.
    pub(super) fn new(attributes: &Arc<RouteAttributes>) -> Self {
        Self {
            state: State::Undecided,
            attributes: Arc::clone(attributes),
            installation: Installation::default(),
        }
    }

    pub(super) fn take(&mut self, step: &Step) {
        match step.verdict {
            StepVerdict::Abstain | StepVerdict::NotAsked => {}
            StepVerdict::Accept => {
                self.state = State::Accepted;
                if let Some(attributes) = &step.attributes {
                    self.attributes = Arc::clone(attributes);
                }
                self.installation = step.installation.unwrap_or(self.installation);
            }
            StepVerdict::Reject => self.state = State::Rejected,
        }
    }

    /// What it comes to, if nothing follows.
    pub(super) fn accepted<P: Directed>(self) -> Option<P::Accepted> {
        match self.state {
            State::Accepted => Some(P::accepted(self.attributes, self.installation)),
            State::Undecided | State::Rejected => None,
        }
    }
}
