//! When each peer's next timer runs out, in order: of a hundred sessions only those are looked at
//! that have something to do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::bgp::Deadline;
use crate::types::PeerId;

/// The next timer of each peer that has one.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    of: BTreeMap<PeerId, Deadline>,
    in_order: BTreeSet<(Instant, PeerId)>,
}

impl Deadlines {
    /// The next timer of a peer is this, or none.
    pub(super) fn set(&mut self, peer: PeerId, next: Option<Deadline>) {
        let before = match next {
            Some(next) if self.of.get(&peer).map(|known| known.at) == Some(next.at) => {
                self.of.insert(peer, next);
                return;
            }
            Some(next) => {
                self.in_order.insert((next.at, peer));
                self.of.insert(peer, next)
            }
            None => self.of.remove(&peer),
        };
        if let Some(before) = before {
            self.in_order.remove(&(before.at, peer));
        }
    }

    /// The first of all.
    pub(super) fn first(&self) -> Option<Deadline> {
        let (_, peer) = self.in_order.first()?;
        self.of.get(peer).copied()
    }

    /// Peers of which a timer has run out, ordered by id.
    pub(super) fn due(&self, now: Instant) -> BTreeSet<PeerId> {
        let due = self.in_order.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, peer)| *peer).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a run needs some first instant")]
    fn the_first_is_the_earliest_of_what_was_said_last() {
        let start = Instant::now();
        let at = |seconds| {
            Some(Deadline {
                at: start + Duration::from_secs(seconds),
                reason: "hold timer",
            })
        };
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.first(), None);
        deadlines.set(PeerId(1), at(3));
        deadlines.set(PeerId(2), at(2));
        deadlines.set(PeerId(3), at(2));
        deadlines.set(PeerId(2), at(4));
        deadlines.set(PeerId(1), at(3));
        assert_eq!(deadlines.first(), at(2));
        deadlines.set(PeerId(3), None);
        deadlines.set(PeerId(4), None);
        assert_eq!(deadlines.first(), at(3));
        assert!(deadlines.due(start + Duration::from_secs(2)).is_empty());
        let both = BTreeSet::from([PeerId(1), PeerId(2)]);
        assert_eq!(deadlines.due(start + Duration::from_secs(4)), both);
        assert_eq!(deadlines.in_order.len(), 2);
    }
}
