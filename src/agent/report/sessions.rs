//! What became of a peer's sessions, for status and metrics.

use crate::agent::clock;
use crate::api::{NotificationCount, SessionEnd, SessionRecord, StaleRoutes};
use crate::speaker::{NotificationCounts, PeerView};
use crate::types::Family;

/// The speaker's account in the API's words.
pub(super) fn record(view: &PeerView) -> SessionRecord {
    let history = &view.history;
    let missing = |family: &Family| {
        let session = view.session.as_ref();
        session.is_some_and(|session| !session.families.contains(family))
    };
    SessionRecord {
        resets: history.resets,
        last_end: history.last_end.as_ref().map(|end| SessionEnd {
            at: clock::unix_time_of(end.at),
            reason: end.reason.clone(),
        }),
        ends_in_a_row: view.ends_in_a_row,
        paused_until: view.paused_until.map(clock::unix_time_of),
        notifications_sent: counts(&history.notifications_sent),
        notifications_received: counts(&history.notifications_received),
        families_missing: Family::ALL.into_iter().filter(missing).collect(),
        stale: view.stale.map(|stale| StaleRoutes {
            since: clock::unix_time_of(stale.since),
            until: clock::unix_time_of(stale.until),
            routes: stale.routes as u64,
        }),
        awaited: view.awaited,
    }
}

fn counts(counts: &NotificationCounts) -> Vec<NotificationCount> {
    counts
        .iter()
        .map(|(names, count)| NotificationCount {
            code: names.code.to_owned(),
            subcode: names.subcode.to_owned(),
            count,
        })
        .collect()
}
