//! When a peer is dialled: at once, after a failed dial at a steady pace, and after an error at
//! a falling one (RFC 4271 section 8, ConnectRetryTimer and IdleHoldTimer; see `damping`).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::damping::{self, Rest};
use super::{Connection, Context, Direction, Ending, Peer, PeerOutput, Timer};
use crate::bgp::ConnectionId;
use crate::types::ConnectMode;

/// Between two dials, and how long one may take. RFC 4271 section 10 suggests 120 s, for links
/// across the Internet; a node and its router are one hop apart, and three SYNs fit into this
/// (at 0, 1 and 3 s).
const CONNECT_RETRY: Duration = Duration::from_secs(5);

/// Whether a dial is under way or to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dial {
    /// Never: the peer dials.
    Passive,
    /// Never again.
    Stopped,
    /// When ConnectRetry expires.
    Delayed,
    /// Under way.
    Connect(ConnectionId),
    /// Not while the connections there are live, or before IdleHold expires.
    Resting,
}

impl Peer {
    /// The dial has succeeded.
    pub(crate) fn connected(
        &mut self,
        connection: ConnectionId,
        local: SocketAddr,
        context: &Context<'_>,
    ) {
        if self.dial != Dial::Connect(connection) {
            return;
        }
        self.dial = Dial::Resting;
        self.timers.stop(Timer::ConnectRetry);
        let new = Connection::new(connection, Direction::Dialled, local, self.settings.open);
        self.connections.push(new);
        self.open_unless_awaiting_keepalive(context.now);
    }

    /// The dial has failed.
    pub(crate) fn connect_failed(
        &mut self,
        connection: ConnectionId,
        error: String,
        context: &mut Context<'_>,
    ) {
        if self.dial == Dial::Connect(connection) {
            self.dial_failed(Ending::ConnectFailed(error), context);
        }
    }

    pub(super) fn dial(&mut self, context: &mut Context<'_>) {
        let id = context.ids.allocate();
        self.dial = Dial::Connect(id);
        self.delay(Timer::ConnectRetry, CONNECT_RETRY, context);
        self.outputs.push_back(PeerOutput::Connect(id));
    }

    /// Not the peer's fault until proven: the pace stays (RFC 4271 section 8.2.2, Active).
    pub(super) fn dial_failed(&mut self, ending: Ending, context: &mut Context<'_>) {
        self.dial = Dial::Delayed;
        self.delay(Timer::ConnectRetry, CONNECT_RETRY, context);
        if self.connections.is_empty() {
            self.attempt_failed(ending, context.now);
        }
    }

    pub(super) fn dial_timer_expired(&mut self, context: &mut Context<'_>) {
        if let Dial::Connect(id) = self.dial {
            self.outputs.push_back(PeerOutput::Close(id));
            if self.connections.is_empty() {
                let ending = match self.settings.password {
                    // RFC 2385 section 4.2: segments with a wrong signature go unanswered.
                    Some(_) => Ending::SignedConnectTimeout(CONNECT_RETRY),
                    None => Ending::ConnectTimeout(CONNECT_RETRY),
                };
                self.attempt_failed(ending, context.now);
            }
        }
        // An accepted connection on which the peer says nothing must not keep us from dialling.
        let in_use =
            |one: &Connection| one.direction == Direction::Dialled || super::is_confirmed(one);
        if self.connections.iter().any(in_use) {
            self.dial = Dial::Resting;
        } else {
            self.dial(context);
        }
    }

    /// Gives up the dial that is under way or to come.
    pub(super) fn cancel_dial(&mut self) {
        self.timers.stop(Timer::ConnectRetry);
        self.timers.stop(Timer::IdleHold);
        match self.dial {
            Dial::Connect(id) => {
                self.outputs.push_back(PeerOutput::Close(id));
                self.dial = Dial::Resting;
            }
            Dial::Delayed => self.dial = Dial::Resting,
            Dial::Passive | Dial::Stopped | Dial::Resting => {}
        }
    }

    /// The last connection ended: see who waits, and how long.
    pub(super) fn rest(&mut self, ended: &Connection, ending: &Ending, context: &mut Context<'_>) {
        if self.dial == Dial::Stopped {
            return;
        }
        if let Some(restart) = ending.restart() {
            self.pause(context.now + restart);
            return;
        }
        if damping::is_refused(ended, ending) {
            self.dial_in(CONNECT_RETRY, context);
            return;
        }
        if matches!(self.dial, Dial::Connect(_)) && !ending.is_fault() {
            // Another dial is on its way already: this is how a collision looks from here.
            return;
        }
        match self.damping.rest_after(ending) {
            Rest::Dials(pause) => self.dial_in(pause, context),
            Rest::Everybody(pause) => {
                let jittered = context.random.jitter(pause);
                self.pause(context.now + jittered);
            }
        }
    }

    fn pause(&mut self, until: Instant) {
        self.cancel_dial();
        self.timers.start(Timer::IdleHold, until);
        self.outputs.push_back(PeerOutput::Paused);
    }

    /// What the peer is left alone for is no reason any more.
    pub(crate) fn end_pause(&mut self, context: &mut Context<'_>) {
        if self.paused_until().is_some() {
            self.timers.stop(Timer::IdleHold);
            self.pause_over(context);
        }
    }

    /// Anybody may dial again.
    pub(super) fn pause_over(&mut self, context: &mut Context<'_>) {
        match self.settings.connect_mode {
            ConnectMode::Active => self.dial_timer_expired(context),
            ConnectMode::Passive => {}
        }
    }

    fn dial_in(&mut self, interval: Duration, context: &mut Context<'_>) {
        match self.settings.connect_mode {
            ConnectMode::Active => {
                self.dial = Dial::Delayed;
                self.delay(Timer::ConnectRetry, interval, context);
            }
            ConnectMode::Passive => {}
        }
    }

    fn delay(&mut self, timer: Timer, interval: Duration, context: &mut Context<'_>) {
        let jittered = context.random.jitter(interval);
        self.timers.start(timer, context.now + jittered);
    }
}
