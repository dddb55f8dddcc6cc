//! One peer: when to dial it, when to leave it alone, and which of two connections to keep
//! (RFC 4271 sections 6.8 and 8, RFC 6286 section 2.3).
//!
//! The [`speaker`](crate::speaker) feeds a [`Peer`] and takes [`PeerOutput`]s from
//! [`Peer::poll`] until there are none. A peer has at most one connection of each direction and
//! at most one of them established. It must never end an established session because of
//! anything a second connection does.
//!
//! # Collisions
//!
//! Of two connections the one is kept that the speaker with the higher BGP Identifier dialled;
//! an established one is always kept. RFC 4271 decides when an OPEN arrives and lets the twin be
//! in OpenConfirm. Two TCP connections keep no order between each other, so that rule alone lets
//! each end keep the other connection, and both are lost. Two precautions, both within the
//! RFC, close the gap:
//!
//! - While one connection is in OpenConfirm our KEEPALIVE is on its way and the peer may be
//!   established already. A second connection therefore waits, its OPEN held back (DelayOpen,
//!   RFC 4271 section 8.1.1), until the first is up or gone.
//! - When the first OPEN arrives while both are in OpenSent, the peer's identifier is known, and
//!   the loser is closed there and then (RFC 4271 section 6.8 permits that). The peer cannot have
//!   established it: it lacks our KEEPALIVE.

mod damping;
mod dialling;
mod history;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::time::Instant;

use super::connection::{Connection, Direction, Negotiated, OpenParameters, Step};
use super::ending::Ending;
use super::random::Random;
use super::restart::OwnRestart;
use super::timers::{Deadline, Timer, Timers};
use super::wire::{RefreshMark, Update};
use super::{ConnectionId, SessionState};
use crate::types::{ConnectMode, Family, Password};
use damping::Damping;
use dialling::Dial;
pub use history::{NotificationCounts, SessionEnd, SessionHistory};

/// Everything a session is made of: where these are equal, a session can stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerSettings {
    /// Where it listens.
    pub(crate) remote: SocketAddr,
    /// Our end of dialled connections.
    pub(crate) local_address: Option<IpAddr>,
    /// Signs every segment.
    pub(crate) password: Option<Password>,
    /// Why nobody may dial.
    pub(crate) barred: Option<String>,
    /// Whether we dial.
    pub(crate) connect_mode: ConnectMode,
    /// How many hops away it is at most (RFC 5082).
    pub(crate) ttl_security: Option<NonZeroU8>,
    /// For the OPENs.
    pub(crate) open: OpenParameters,
}

/// Gives each connection a name that no other ever had.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionIds(u64);

impl ConnectionIds {
    /// The next one.
    pub(crate) fn allocate(&mut self) -> ConnectionId {
        self.0 += 1;
        ConnectionId(self.0)
    }
}

/// What a peer borrows from the speaker for each call.
pub(crate) struct Context<'a> {
    /// The time.
    pub(crate) now: Instant,
    /// For dialled connections.
    pub(crate) ids: &'a mut ConnectionIds,
    /// For jitter.
    pub(crate) random: &'a mut Random,
}

/// What the speaker must do or know.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every one is an UPDATE, and a box would cost each an allocation"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeerOutput {
    /// Dial the peer.
    Connect(ConnectionId),
    /// Send.
    Transmit {
        /// Where.
        connection: ConnectionId,
        /// What.
        octets: Vec<u8>,
    },
    /// Send what was handed over, then close; or stop dialling.
    Close(ConnectionId),
    /// The session is up.
    Established,
    /// The session is over.
    Down(Ending),
    /// An attempt at a session is over.
    AttemptFailed(Ending),
    /// Nobody dials for a while, see [`Peer::paused_until`].
    Paused,
    /// The peer announces or withdraws routes.
    Update(Update),
    /// The peer has sent its initial table of a family.
    EndOfRib(Family),
    /// The peer wants a family's routes again.
    RefreshRequested(Family),
    /// The peer says a family's routes again, from here or to here.
    RefreshMark(RefreshMark, Family),
}

/// One peer.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    settings: PeerSettings,
    /// What its next OPEN says of our restart.
    own_restart: OwnRestart,
    dial: Dial,
    timers: Timers,
    /// At most one of each direction.
    connections: Vec<Connection>,
    /// The connection whose session the speaker was told is up.
    established: Option<ConnectionId>,
    damping: Damping,
    since: Instant,
    established_count: u64,
    last_error: Option<String>,
    history: SessionHistory,
    outputs: VecDeque<PeerOutput>,
}

impl Peer {
    /// A peer that is dialled at once, if it is to be dialled; stopped, if it is barred.
    pub(crate) fn new(
        settings: PeerSettings,
        own_restart: OwnRestart,
        context: &mut Context<'_>,
    ) -> Self {
        let mut peer = Self {
            settings,
            own_restart,
            dial: Dial::Passive,
            timers: Timers::default(),
            connections: Vec::with_capacity(2),
            established: None,
            damping: Damping::default(),
            since: context.now,
            established_count: 0,
            last_error: None,
            history: SessionHistory::default(),
            outputs: VecDeque::new(),
        };
        match (&peer.settings.barred, peer.settings.connect_mode) {
            (Some(why), _) => {
                peer.last_error = Some(why.clone());
                peer.dial = Dial::Stopped;
            }
            (None, ConnectMode::Active) => peer.dial(context),
            (None, ConnectMode::Passive) => {}
        }
        peer
    }

    /// The next thing to do, until there is none. Decodes received octets one message at a time,
    /// so that what the speaker does about one (ending the session, say) is done before the next.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Option<PeerOutput> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            self.collect_transmits();
            if self.outputs.is_empty() && !self.step(context) {
                return None;
            }
        }
    }

    /// The peer dialled us.
    pub(crate) fn accepted(
        &mut self,
        connection: ConnectionId,
        local: SocketAddr,
        context: &mut Context<'_>,
    ) {
        if !self.admits() {
            // Without a word, so that it costs next to nothing.
            self.outputs.push_back(PeerOutput::Close(connection));
            return;
        }
        let new = Connection::new(connection, Direction::Accepted, local, self.settings.open);
        if self.established.is_some() {
            // RFC 4271 6.8: an established connection is kept, whoever dialled it.
            self.dismiss(new, context.now);
            return;
        }
        // A peer has no use for two dials: the newer one tells that it gave the older one up.
        let older = |one: &Connection| one.direction == Direction::Accepted;
        if let Some(index) = self.connections.iter().position(older) {
            let old = self.connections.remove(index);
            self.dismiss(old, context.now);
        }
        self.connections.push(new);
        self.open_unless_awaiting_keepalive(context.now);
    }

    /// Octets arrived.
    pub(crate) fn received(&mut self, connection: ConnectionId, octets: &[u8]) {
        if let Some(connection) = self.connection_mut(connection) {
            connection.receive(octets);
        }
    }

    /// Octets have arrived and will be given soon.
    pub(crate) fn arriving(&mut self, connection: ConnectionId, now: Instant) {
        if let Some(connection) = self.connection_mut(connection) {
            connection.postpone_hold(now);
        }
    }

    /// Connections whose hold timer has expired.
    pub(crate) fn overdue(&self, now: Instant) -> impl Iterator<Item = ConnectionId> {
        let connections = self.connections.iter();
        connections
            .filter(move |connection| connection.is_overdue(now))
            .map(|connection| connection.id)
    }

    /// The kernel took octets.
    pub(crate) fn transmitted(&mut self, connection: ConnectionId, octets: usize, now: Instant) {
        if let Some(connection) = self.connection_mut(connection) {
            connection.transmitted(now, octets);
        }
    }

    /// A connection, or a dial, ended by itself.
    pub(crate) fn closed(
        &mut self,
        connection: ConnectionId,
        error: Option<String>,
        context: &mut Context<'_>,
    ) {
        let ending = error.map_or(Ending::Closed, Ending::Lost);
        if self.dial == Dial::Connect(connection) {
            self.dial_failed(ending, context);
        } else if let Some(connection) = self.remove(connection) {
            self.after_end(&connection, ending, context);
        }
    }

    /// Ends the established session, if there is one, and starts anew after a pause.
    pub(crate) fn end_session(&mut self, ending: Ending, context: &mut Context<'_>) {
        if let Some(connection) = self.established_mut() {
            let id = connection.id;
            let step = connection.end(context.now, ending);
            self.handle_step(id, step, context);
        }
    }

    /// What OPENs say of our restart from here on.
    pub(crate) fn set_own_restart(&mut self, own_restart: OwnRestart) {
        self.own_restart = own_restart;
    }

    /// Ends everything for good.
    pub(crate) fn stop(&mut self, ending: &Ending, now: Instant) {
        self.cancel_dial();
        self.dial = Dial::Stopped;
        for mut connection in std::mem::take(&mut self.connections) {
            connection.end(now, ending.clone());
            self.farewell(&mut connection);
        }
        self.last_error = Some(ending.to_string());
        if self.established.take().is_some() {
            self.since = now;
            self.history.resets += 1;
            self.history.ended(now, ending.to_string());
            self.outputs.push_back(PeerOutput::Down(ending.clone()));
        }
    }

    /// Handles every timer that has expired.
    pub(crate) fn handle_timeout(&mut self, context: &mut Context<'_>) {
        while let Some(timer) = self.timers.expire(context.now) {
            match timer {
                Timer::ConnectRetry => self.dial_timer_expired(context),
                Timer::IdleHold => self.pause_over(context),
                // The connections', which have tables of their own.
                Timer::Hold | Timer::Keepalive | Timer::SendHold => {}
            }
        }
        let ids: Vec<_> = self
            .connections
            .iter()
            .map(|connection| connection.id)
            .collect();
        for id in ids {
            let step = self
                .connection_mut(id)
                .and_then(|connection| connection.handle_timeout(context.now));
            if let Some(step) = step {
                self.handle_step(id, step, context);
            }
        }
    }

    /// Sends KEEPALIVEs that are due, however busy the driver is with input; whether any was.
    pub(crate) fn send_due_keepalives(&mut self, now: Instant) -> bool {
        let mut sent = false;
        for connection in &mut self.connections {
            sent |= connection.send_due_keepalive(now);
        }
        sent
    }

    /// Sends encoded UPDATEs on the established connection; without one they are dropped.
    pub(crate) fn send(&mut self, now: Instant, octets: &[u8]) {
        if let Some(connection) = self.established_mut() {
            connection.send(now, octets);
        }
    }

    /// Octets of UPDATEs that may be made at present; none without a session.
    pub(crate) fn credit(&self) -> usize {
        self.established().map_or(0, Connection::credit)
    }

    /// Whether octets were handed over that the kernel has not taken yet.
    pub(crate) fn is_writing(&self) -> bool {
        self.established().is_some_and(Connection::is_writing)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and for which timer.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        let connections = self.connections.iter().filter_map(Connection::deadline);
        let (at, timer) = connections
            .chain(self.timers.next())
            .min_by_key(|(at, _)| *at)?;
        Some(Deadline {
            at,
            reason: timer.reason(),
        })
    }

    /// What the sessions are made of.
    pub(crate) fn settings(&self) -> &PeerSettings {
        &self.settings
    }

    /// The state of its further connection; without one, of dialling.
    pub(crate) fn state(&self) -> SessionState {
        let paused = self.timers.runs(Timer::IdleHold);
        let dialling = match self.dial {
            Dial::Stopped => SessionState::Idle,
            Dial::Passive | Dial::Resting | Dial::Delayed if paused => SessionState::Idle,
            Dial::Passive | Dial::Resting | Dial::Delayed => SessionState::Active,
            Dial::Connect(_) => SessionState::Connect,
        };
        let connections = self.connections.iter().map(Connection::state);
        connections.max().unwrap_or(dialling)
    }

    /// When the session came up; without one, when it was last lost, or first tried.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Why there is no session.
    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Until when nobody dials; none where somebody may.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.timers.at(Timer::IdleHold)
    }

    /// Whether it is not stopped: for good, or because it is barred.
    pub(crate) fn is_started(&self) -> bool {
        self.dial != Dial::Stopped
    }

    /// Whether what the peer dials is accepted.
    pub(crate) fn admits(&self) -> bool {
        self.is_started() && !self.timers.runs(Timer::IdleHold)
    }

    /// Ends in a row of sessions and attempts, none of them after a session that lasted.
    pub(crate) fn ends_in_a_row(&self) -> u32 {
        self.damping.in_a_row()
    }

    /// What became of its sessions.
    pub(crate) fn history(&self) -> &SessionHistory {
        &self.history
    }

    /// Times the session came up.
    pub(crate) fn established_count(&self) -> u64 {
        self.established_count
    }

    /// What both ends agreed on, and our end's address; none without a session.
    pub(crate) fn session(&self) -> Option<(&Negotiated, SocketAddr)> {
        let connection = self.established()?;
        Some((connection.negotiated()?, connection.local))
    }

    /// Reads one message of one connection; whether there was one.
    fn step(&mut self, context: &mut Context<'_>) -> bool {
        let next = self.connections.iter_mut().find_map(|connection| {
            let step = connection.step(context.now)?;
            Some((connection.id, step))
        });
        let Some((id, step)) = next else {
            return false;
        };
        self.handle_step(id, step, context);
        true
    }

    fn handle_step(&mut self, id: ConnectionId, step: Step, context: &mut Context<'_>) {
        match step {
            Step::Quiet => {}
            Step::Opened(negotiated) => self.opened(id, negotiated, context),
            Step::Established => self.went_up(id, context.now),
            Step::Update(update) => self.outputs.push_back(PeerOutput::Update(update)),
            Step::EndOfRib(family) => self.outputs.push_back(PeerOutput::EndOfRib(family)),
            Step::RefreshRequested(family) => {
                self.outputs.push_back(PeerOutput::RefreshRequested(family));
            }
            Step::RefreshMark(mark, family) => {
                self.outputs
                    .push_back(PeerOutput::RefreshMark(mark, family));
            }
            Step::Ended(ending) => {
                let Some(mut ended) = self.remove(id) else {
                    return;
                };
                self.history.notifications_received.count(ending.received());
                self.farewell(&mut ended);
                self.after_end(&ended, ending, context);
            }
        }
    }

    /// An acceptable OPEN arrived: the point at which RFC 4271 section 6.8 resolves a collision.
    fn opened(&mut self, id: ConnectionId, negotiated: Negotiated, context: &mut Context<'_>) {
        let winner = self.dominant_direction(&negotiated);
        let twin = self.connections.iter().find(|twin| twin.id != id);
        let loses = twin.is_some_and(|twin| {
            twin.state() == SessionState::Established || twin.direction == winner
        });
        let keep = match twin {
            Some(twin) if loses => twin.id,
            Some(_) | None => id,
        };
        self.dismiss_all_but(keep, context.now);
        if keep == id
            && let Some(connection) = self.connection_mut(id)
        {
            connection.confirm(context.now, negotiated, context.random);
        }
    }

    /// Of two connections, which direction's is kept (RFC 6286 section 2.3: identifiers compare
    /// as numbers, and where they are equal AS numbers do).
    fn dominant_direction(&self, negotiated: &Negotiated) -> Direction {
        let open = &self.settings.open;
        let ours = (u32::from(open.router_id), open.local_asn);
        let theirs = (u32::from(negotiated.router_id), open.peer_asn);
        if ours > theirs {
            Direction::Dialled
        } else {
            Direction::Accepted
        }
    }

    fn went_up(&mut self, id: ConnectionId, now: Instant) {
        self.dismiss_all_but(id, now);
        self.cancel_dial();
        self.established = Some(id);
        self.since = now;
        self.established_count += 1;
        self.last_error = None;
        self.outputs.push_back(PeerOutput::Established);
    }

    /// A connection is gone: tell, let its twin go on, see when to dial again.
    fn after_end(&mut self, ended: &Connection, ending: Ending, context: &mut Context<'_>) {
        if self.established == Some(ended.id) {
            self.established = None;
            self.session_lost(ending.clone(), context);
        } else if self.connections.is_empty() && !matches!(self.dial, Dial::Connect(_)) {
            self.attempt_failed(ending.clone(), context.now);
        }
        // Otherwise the attempt goes on: the end of one of two connections that are not up is
        // how a collision looks from here.
        self.open_unless_awaiting_keepalive(context.now);
        if self.connections.is_empty() {
            self.rest(ended, &ending, context);
        }
    }

    fn session_lost(&mut self, ending: Ending, context: &Context<'_>) {
        let uptime = context.now.saturating_duration_since(self.since);
        self.damping.forgive_after(uptime);
        self.since = context.now;
        self.last_error = Some(ending.to_string());
        self.history.resets += 1;
        self.history.ended(context.now, ending.to_string());
        self.outputs.push_back(PeerOutput::Down(ending));
    }

    fn attempt_failed(&mut self, ending: Ending, now: Instant) {
        // What closes our dials is, as a rule, the other end's pause: the error that led to it
        // says more.
        if self.damping.in_a_row() == 0 || ending != Ending::Closed {
            self.last_error = Some(ending.to_string());
            self.history.ended(now, ending.to_string());
        }
        self.outputs.push_back(PeerOutput::AttemptFailed(ending));
    }

    /// Sends the OPENs that are held back, unless a connection is in OpenConfirm or further.
    fn open_unless_awaiting_keepalive(&mut self, now: Instant) {
        if self.connections.iter().any(is_confirmed) {
            return;
        }
        for connection in &mut self.connections {
            connection.open(now, self.own_restart);
        }
    }

    /// Closes all connections but one: they lost a collision.
    fn dismiss_all_but(&mut self, keep: ConnectionId, now: Instant) {
        let (kept, lost) = std::mem::take(&mut self.connections)
            .into_iter()
            .partition(|connection| connection.id == keep);
        self.connections = kept;
        for connection in lost {
            self.dismiss(connection, now);
        }
    }

    fn dismiss(&mut self, mut connection: Connection, now: Instant) {
        connection.end(now, Ending::Collision);
        self.farewell(&mut connection);
    }

    /// The last octets of a connection, and its end.
    fn farewell(&mut self, connection: &mut Connection) {
        self.history.notifications_sent.count(connection.told());
        let id = connection.id;
        let last = connection.take_output().map(|octets| PeerOutput::Transmit {
            connection: id,
            octets,
        });
        self.outputs.extend(last);
        self.outputs.push_back(PeerOutput::Close(id));
    }

    fn collect_transmits(&mut self) {
        for connection in &mut self.connections {
            if let Some(octets) = connection.take_output() {
                self.outputs.push_back(PeerOutput::Transmit {
                    connection: connection.id,
                    octets,
                });
            }
        }
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let index = self.connections.iter().position(|one| one.id == id)?;
        Some(self.connections.remove(index))
    }

    fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|one| one.id == id)
    }

    fn established(&self) -> Option<&Connection> {
        self.connections
            .iter()
            .find(|one| self.established == Some(one.id))
    }

    fn established_mut(&mut self) -> Option<&mut Connection> {
        self.connections
            .iter_mut()
            .find(|one| self.established == Some(one.id))
    }
}

/// Whether the peer may hold this connection for established, or does.
fn is_confirmed(connection: &Connection) -> bool {
    connection.state() >= SessionState::OpenConfirm
}

#[cfg(test)]
mod tests;
