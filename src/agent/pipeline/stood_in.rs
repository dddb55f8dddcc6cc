//! What stood in, since the start, for policies whose modules could not be had.
//!
//! A configuration in which the module decides again is the repair. What stood in is no measure of
//! it: routes that nobody else than the stand-in let through may go, and a policy in whose place
//! nothing was let through need not be well about everything to be better than that.

use crate::api::StandIn;
use crate::policy::{Audience, Direction, PeerGroup};

/// Something that stands in at present, and would not by the configuration that is tried.
#[derive(Clone, Debug)]
pub(in crate::agent) struct StoodIn {
    pub(in crate::agent) direction: Direction,
    /// Its name in the configuration.
    pub(in crate::agent) policy: String,
    /// Whom it decides for.
    pub(in crate::agent) audience: Audience,
    pub(in crate::agent) kind: StandIn,
}

/// All there are.
#[derive(Clone, Debug, Default)]
pub(super) struct AllStoodIn(pub(super) Vec<StoodIn>);

impl AllStoodIn {
    /// Whether what is let through to these peers, or from them, was by a stand-in.
    pub(super) fn decided_for(&self, direction: Direction, peers: &PeerGroup) -> bool {
        let mut stood_in = self.0.iter().filter(|it| it.direction == direction);
        stood_in.any(|it| it.audience.includes(peers))
    }

    /// Whether nothing was let through in the place of this policy.
    pub(super) fn closed(&self, direction: Direction, policy: &str) -> bool {
        let mut stood_in = self.0.iter().filter(|it| it.direction == direction);
        stood_in.any(|it| it.policy == policy && it.kind == StandIn::Closed)
    }
}
