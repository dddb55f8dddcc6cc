//! Graceful restart at work: what the two machines of [`bgp`](crate::bgp) answer is done here, to the
//! RIBs of one peer; and the ways in which the speaker itself ends.
//!
//! | the speaker ends by | peers that restart gracefully | others |
//! |---|---|---|
//! | the process (a crash, SIGKILL) | keep our routes | drop them |
//! | [`Input::Restart`](super::Input::Restart) | keep our routes: TCP is closed without a NOTIFICATION | Cease/Administrative Shutdown |
//! | [`Input::Leave`](super::Input::Leave) | each route is withdrawn, then Cease/Administrative Shutdown as a Hard Reset | the same without Hard Reset |

use std::time::{Duration, Instant};

use super::Speaker;
use super::config::PeerConfig;
use super::io::Event;
use super::reflection::Offer;
use super::session::Session;
use crate::bgp::wire::{Forwarding, RefreshMark};
use crate::bgp::{Ending, OwnRestart, Task};
use crate::types::{Family, PeerId, RestartTime};

/// How long a peer may take for the withdrawals of a speaker that leaves: as long as a driver waits
/// for the last words to be taken.
const LEAVE: Duration = Duration::from_secs(3);

/// What there is to know of our own restart.
#[derive(Debug)]
pub(super) struct Restart {
    /// How long the machine had been up when this process began.
    uptime: Duration,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    UnderWay,
    Over,
}

/// Why all sessions are over, or about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// Nothing is announced any more; sessions end as soon as the peers have the withdrawals.
    Leaving {
        /// For the peers' operators.
        message: String,
        /// When those end that are not done.
        until: Instant,
    },
    /// No session is up, nor will be.
    Gone {
        /// For the peers' operators.
        message: String,
    },
}

/// How our own restart is, for a status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestartView {
    /// Whether everything was said that this process has to say at its start. Until then OPENs have
    /// the restart bit.
    pub over: bool,
    /// Peers whose table is waited for.
    pub waiting_for: Vec<PeerId>,
    /// Why there are no sessions, where the speaker was told to end them all.
    pub left: Option<String>,
}

/// What of a peer's routes is kept over the loss of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleView {
    /// Since the session was lost.
    pub since: Instant,
    /// When it goes, if the peer does not say it again.
    pub until: Instant,
    /// How many routes were not said again.
    pub routes: usize,
}

impl Default for Restart {
    /// Of a machine that was up for ever.
    fn default() -> Self {
        Self {
            uptime: Duration::MAX,
            phase: Phase::UnderWay,
        }
    }
}

impl Restart {
    /// What OPENs to a peer say of it.
    pub(super) fn towards(&self, peer: &PeerConfig) -> OwnRestart {
        let time = peer.restart_time.unwrap_or(RestartTime::DEFAULT);
        match self.phase {
            Phase::Over => OwnRestart::Over,
            Phase::UnderWay if self.uptime >= time.duration() => {
                OwnRestart::UnderWay(Forwarding::Preserved)
            }
            Phase::UnderWay => OwnRestart::UnderWay(Forwarding::Lost),
        }
    }
}

impl Departure {
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Leaving { message, .. } | Self::Gone { message } => message,
        }
    }
}

impl Speaker {
    /// The machine had been up for this long when the process began. What peers may still know of a
    /// process before it is no older than their restart time: see `bgp::restart`.
    #[must_use]
    pub fn started_after(mut self, uptime: Duration) -> Self {
        self.restart.uptime = uptime;
        self
    }

    /// How our own restart is.
    #[must_use]
    pub fn restart(&self) -> RestartView {
        let over = self.is_restart_over();
        let waiting = self.sessions.iter();
        let waiting = waiting.filter(|(_, session)| !over && session.deferral.is_waiting());
        RestartView {
            over,
            waiting_for: waiting.map(|(id, _)| *id).collect(),
            left: self.departure.as_ref().map(|it| it.message().to_owned()),
        }
    }

    /// Does what a peer's helper asks for.
    pub(super) fn tend(&mut self, id: PeerId, tasks: impl IntoIterator<Item = Task>) {
        for task in tasks {
            match task {
                Task::Mark(family) => self.mark_stale(id, family),
                Task::Sweep(family) => self.sweep_stale(id, family),
                Task::Forget(family) => {
                    self.mark_stale(id, family);
                    self.sweep_stale(id, family);
                }
            }
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.forget_neighbor_without_routes();
        }
    }

    /// The peer has said all that it has of a family.
    pub(super) fn end_of_rib(&mut self, id: PeerId, family: Family) {
        self.count_update(id);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.end_of_rib(family);
            session.deferral.end_of_rib(family);
            let task = session.helper.end_of_rib(family);
            self.tend(id, task);
        }
    }

    /// The peer begins or ends to say a family's routes again.
    pub(super) fn refresh_mark(
        &mut self,
        now: Instant,
        id: PeerId,
        mark: RefreshMark,
        family: Family,
    ) {
        if let Some(session) = self.sessions.get_mut(&id) {
            let patience = session.patience();
            let task = match mark {
                RefreshMark::Begin => session.helper.refresh_begins(now, family, patience),
                RefreshMark::End => session.helper.refresh_ends(family),
            };
            self.tend(id, task);
        }
    }

    /// What is stale for too long goes, and who is away for too long is waited for no more.
    pub(super) fn expire_restart(&mut self, now: Instant, id: PeerId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.deferral.expire(now);
        let tasks = session.helper.expire(now);
        self.deadlines.set(id, session.deadline());
        if tasks.is_empty() {
            return;
        }
        let before = session.stale();
        self.tend(id, tasks);
        if let Some(routes) = before.checked_sub(self.stale(id))
            && routes > 0
        {
            self.report(Event::RoutesExpired { peer: id, routes });
        }
    }

    /// A session's routes may be kept, or not.
    pub(super) fn tell_what_is_kept(&mut self, now: Instant, id: PeerId) {
        if let Some(stale) = self.sessions.get(&id).and_then(Session::stale_view)
            && stale.routes > 0
        {
            self.report(Event::RoutesKept {
                peer: id,
                routes: stale.routes,
                time: stale.until.saturating_duration_since(now),
            });
        }
    }

    /// Our restart is over once all decisions were made, and nobody's table is waited for.
    pub(super) fn settle_restart(&mut self) {
        if self.restart.phase == Phase::Over
            || !self.exports.is_complete()
            || self.config.is_none()
            || self.sessions.values().any(|it| it.deferral.is_waiting())
        {
            return;
        }
        self.restart.phase = Phase::Over;
        for (id, session) in &mut self.sessions {
            session.fsm.set_own_restart(OwnRestart::Over);
            self.unserved.insert(*id);
        }
    }

    /// Whether everything was said that this process has to say at its start.
    pub(super) fn is_restart_over(&self) -> bool {
        self.restart.phase == Phase::Over
    }

    /// Another process will take this one's place. Who keeps our routes meanwhile is told nothing.
    pub(super) fn make_way(&mut self, now: Instant, message: String) {
        let ids: Vec<PeerId> = self.sessions.keys().copied().collect();
        for id in ids {
            let keeps = self.sessions.get(&id).is_some_and(|it| it.offer.is_some());
            let ending = match keeps {
                true => Ending::Restarting,
                false => Ending::Shutdown(message.clone()),
            };
            self.on_peer(now, id, |peer, _| peer.stop(&ending, now));
        }
        self.departure = Some(Departure::Gone { message });
    }

    /// Every route is withdrawn, then every session ends.
    pub(super) fn leave(&mut self, now: Instant, message: String) {
        if self.departure.is_some() {
            return;
        }
        let until = now + LEAVE;
        self.departure = Some(Departure::Leaving { message, until });
        if let Some(config) = &self.config {
            let offer = Offer::new(config, self.exports.groups(), &self.loc_rib);
            self.update_groups.withdraw_all(&offer);
        }
        let ids: Vec<PeerId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.unserved.insert(id);
            self.see_off(now, id);
        }
    }

    /// Those that were given time to take the withdrawals and had it are told goodbye.
    pub(super) fn see_all_off(&mut self, now: Instant) {
        if self.leaving_until().is_some() {
            let ids: Vec<PeerId> = self.sessions.keys().copied().collect();
            for id in ids {
                self.see_off(now, id);
            }
        }
    }

    /// A peer that has all withdrawals, or has had the time for them, is told goodbye.
    pub(super) fn see_off(&mut self, now: Instant, id: PeerId) {
        let Some(Departure::Leaving { message, until }) = &self.departure else {
            return;
        };
        let (ending, until) = (Ending::Shutdown(message.clone()), *until);
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        if session.fsm.is_started()
            && (now >= until || session.has_sent_everything(self.update_groups.of(id)))
        {
            self.on_peer(now, id, |peer, _| peer.stop(&ending, now));
        }
        let mut left = self.sessions.values();
        if left.all(|session| !session.fsm.is_started()) {
            let Ending::Shutdown(message) = ending else {
                return;
            };
            self.departure = Some(Departure::Gone { message });
        }
    }

    /// When those go that were given time to take the withdrawals.
    pub(super) fn leaving_until(&self) -> Option<Instant> {
        match &self.departure {
            Some(Departure::Leaving { until, .. }) => Some(*until),
            Some(Departure::Gone { .. }) | None => None,
        }
    }

    /// Whether anything may be announced.
    pub(super) fn announces(&self) -> bool {
        self.exports.is_complete() && self.departure.is_none()
    }

    /// Sessions begin again after [`leave`](Self::leave).
    pub(super) fn join(&mut self, now: Instant) {
        if self.departure.take().is_none() {
            return;
        }
        let ids: Vec<PeerId> = self.sessions.keys().copied().collect();
        for id in ids {
            if let Some(session) = self.sessions.get(&id) {
                let peer = session.config.clone();
                self.remove(now, id, &Ending::ConfigurationChanged);
                self.add(now, peer);
            }
        }
    }

    /// Routes of a peer that are kept over the loss of a session and were not said again.
    fn stale(&self, id: PeerId) -> usize {
        self.sessions.get(&id).map_or(0, Session::stale)
    }
}

impl Session {
    /// How long the peer has to say its routes again once it is back.
    pub(super) fn patience(&self) -> Duration {
        let time = self.config.restart_time.unwrap_or(RestartTime::DEFAULT);
        time.duration()
    }

    /// For a status table; none where no session was lost, or nothing of it is kept.
    pub(super) fn stale_view(&self) -> Option<StaleView> {
        let (since, until) = self.helper.lost_since()?;
        Some(StaleView {
            since,
            until,
            routes: self.stale(),
        })
    }

    fn stale(&self) -> usize {
        let count = |family| self.adj_rib_in.stale_count(family);
        Family::ALL.map(count).iter().sum()
    }

    /// Without a session the peer's identity is kept for its routes only.
    fn forget_neighbor_without_routes(&mut self) {
        if self.fsm.session().is_none() && self.helper.is_idle() {
            self.neighbor = None;
            self.versions.clear();
            self.kept.clear();
            self.awaiting.clear();
        }
    }
}
