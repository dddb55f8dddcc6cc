//! How long a peer is left alone after a connection with it came to an end (RFC 4271 section
//! 8.1.1, DampPeerOscillations), whoever dialled: a peer that dials us, is given every route and
//! errs must not have all of it again at once.
//!
//! In a pause nobody dials: we do not, and what the peer dials is closed (section 8.2.2, Idle).
//! Pauses double from one end to the next, and a session that lasted starts them anew. The first
//! end without anybody's fault delays our own dial alone, for that is how a router's restart
//! looks from here: it may dial as soon as it can.
//!
//! Two ends that both pause must still meet. A dial that the peer closes before its OPEN is
//! therefore no end of this kind: the peer may be in a pause of its own, and is dialled again at
//! the pace of dials that fail, while its own dials are accepted.

use std::time::Duration;

use super::{Connection, Direction, Ending};

/// The first pause: long enough that two ends that disagree do not spin, short enough that a
/// router's restart costs no noticeable time.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Pauses double up to this: a peer that was misconfigured and is mended need not be waited
/// for longer. A session that stays up this long starts them anew.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What there is to remember of ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Damping {
    /// Since the last session that lasted.
    in_a_row: u32,
}

/// Who waits after an end, and for how long before jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// We do not dial; the peer may.
    Dials(Duration),
    /// Nobody dials.
    Everybody(Duration),
}

impl Damping {
    /// A session that lasted shows that what was wrong before is mended.
    pub(super) fn forgive_after(&mut self, uptime: Duration) {
        if uptime >= PAUSE_MAX {
            self.in_a_row = 0;
        }
    }

    /// Counts an end, and says what follows from it.
    pub(super) fn rest_after(&mut self, ending: &Ending) -> Rest {
        self.in_a_row = self.in_a_row.saturating_add(1);
        // Five doublings pass the longest.
        let pause = PAUSE_MAX.min(PAUSE_MIN * (1 << (self.in_a_row - 1).min(5)));
        if self.in_a_row == 1 && !ending.is_fault() {
            Rest::Dials(pause)
        } else {
            Rest::Everybody(pause)
        }
    }

    /// Ends in a row, none of them after a session that lasted.
    pub(super) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }
}

/// Whether the peer closed a connection that we dialled before it said who it is.
pub(super) fn is_refused(connection: &Connection, ending: &Ending) -> bool {
    connection.direction == Direction::Dialled
        && connection.negotiated().is_none()
        && matches!(ending, Ending::Closed | Ending::Lost(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pauses(damping: &mut Damping, ending: &Ending, count: usize) -> Vec<Rest> {
        (0..count).map(|_| damping.rest_after(ending)).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let all = pauses(&mut Damping::default(), &Ending::NoCommonFamily, 100);
        let first = [1, 2, 4, 8, 16, 30, 30].map(|count| Rest::Everybody(SECOND * count));
        assert_eq!(all[..7], first);
        assert_eq!(all[99], Rest::Everybody(PAUSE_MAX));
    }

    #[test]
    fn the_first_end_without_fault_keeps_nobody_out() {
        let all = pauses(&mut Damping::default(), &Ending::Closed, 3);
        let wanted = [
            Rest::Dials(SECOND),
            Rest::Everybody(SECOND * 2),
            Rest::Everybody(SECOND * 4),
        ];
        assert_eq!(all, wanted);
    }

    #[test]
    fn only_a_session_that_lasted_is_forgiven_for() {
        let mut damping = Damping::default();
        pauses(&mut damping, &Ending::Closed, 4);
        damping.forgive_after(PAUSE_MAX - SECOND);
        assert_eq!(damping.in_a_row(), 4);
        damping.forgive_after(PAUSE_MAX);
        assert_eq!(damping.rest_after(&Ending::Closed), Rest::Dials(SECOND));
    }
}
