//! What became of a peer's sessions, for people: counted, never asked for a decision.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::bgp::wire::{ErrorCode, ErrorNames};

/// What happened to a peer's sessions since the peer was configured as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionHistory {
    /// Times an established session ended.
    pub resets: u64,
    /// The last end of a session, or of an attempt at one.
    pub last_end: Option<SessionEnd>,
    /// NOTIFICATIONs we sent.
    pub notifications_sent: NotificationCounts,
    /// NOTIFICATIONs the peer sent.
    pub notifications_received: NotificationCounts,
}

/// The end of a session, or of an attempt at one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// When.
    pub at: Instant,
    /// Why, in words an operator understands.
    pub reason: String,
}

/// NOTIFICATIONs by what they say. No more entries than there are names, whatever peers send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationCounts(BTreeMap<ErrorNames, u64>);

impl NotificationCounts {
    /// Those that came up at all, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (ErrorNames, u64)> {
        self.0.iter().map(|(names, count)| (*names, *count))
    }

    pub(super) fn count(&mut self, error: Option<ErrorCode>) {
        if let Some(error) = error {
            *self.0.entry(error.names()).or_default() += 1;
        }
    }
}

impl SessionHistory {
    pub(super) fn ended(&mut self, at: Instant, reason: String) {
        self.last_end = Some(SessionEnd { at, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_fill_memory_with_codes_of_its_own() {
        let mut counts = NotificationCounts::default();
        for code in 0..=u8::MAX {
            for subcode in 0..=u8::MAX {
                counts.count(Some((code, subcode).into()));
            }
        }
        let total: u64 = counts.iter().map(|(_, count)| count).sum();
        assert_eq!(total, 65_536);
        assert!(counts.iter().count() < 60, "{counts:?}");
    }
}
