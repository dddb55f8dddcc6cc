//! What became of a peer's sessions, as the API tells of it.

use serde::{Deserialize, Serialize};

use crate::types::Family;

/// What happened to a peer's sessions since the agent has had the peer as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct SessionRecord {
    /// Times an established session ended.
    pub resets: u64,
    /// The last end of a session, or of an attempt at one.
    pub last_end: Option<SessionEnd>,
    /// Ends in a row of sessions and attempts, none of them after a session that lasted.
    pub ends_in_a_row: u32,
    /// Until when nobody dials, and what the peer dials is closed, in seconds since 1970; absent
    /// where there is no pause.
    pub paused_until: Option<u64>,
    /// NOTIFICATIONs that the peer was sent.
    pub notifications_sent: Vec<NotificationCount>,
    /// NOTIFICATIONs that the peer sent.
    pub notifications_received: Vec<NotificationCount>,
    /// Families that we announced in the OPEN of the session that is up, and the peer did not: no
    /// routes of theirs are exchanged.
    pub families_missing: Vec<Family>,
    /// What of the peer's routes is kept over the loss of its session.
    pub stale: Option<StaleRoutes>,
    /// Whether the agent, at its start, waits for the peer to say all that it has.
    pub awaited: bool,
}

/// Routes of a peer that restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StaleRoutes {
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// When they go, if the peer does not say them again.
    pub until: u64,
    /// How many it has not said again.
    pub routes: u64,
}

/// The end of a session, or of an attempt at one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SessionEnd {
    /// In seconds since 1970.
    pub at: u64,
    /// Why.
    pub reason: String,
}

/// How often a NOTIFICATION said the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NotificationCount {
    /// The registry's name of its code; `unknown` where there is none.
    pub code: String,
    /// That of its subcode; `unspecific` where it is 0 and has no name.
    pub subcode: String,
    /// How often.
    pub count: u64,
}
