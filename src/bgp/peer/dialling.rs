//! When a peer is dialled: at once, after a failed dial at a steady pace, and after an error at
//! a falling one (RFC 4271 section 8, ConnectRetryTimer and IdleHoldTimer).
//!
//! What the peer dials is accepted at any time, a back-off included: the back-off protects the
//! peer from us, not us from the peer.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Connection, Context, Direction, Ending, Peer, PeerOutput, Timer};
use crate::bgp::ConnectionId;
use crate::types::ConnectMode;

/// Between two dials, and how long one may take. RFC 4271 section 10 suggests 120 s, for links
/// across the Internet; a node and its router are one hop apart, and three SYNs fit into this
/// (at 0, 1 and 3 s).
const CONNECT_RETRY: Duration = Duration::from_secs(5);

/// The first back-off after an error: long enough that two ends that disagree do not spin,
/// short enough that a router's restart costs no noticeable time.
pub(super) const IDLE_HOLD_MIN: Duration = Duration::from_secs(1);

/// Back-offs double up to this: a peer that was misconfigured and is mended need not be waited
/// for longer. A session that stays up this long resets the back-off.
const IDLE_HOLD_MAX: Duration = Duration::from_secs(30);

/// Whether a dial is under way or to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dial {
    /// Never: the peer dials.
    Passive,
    /// Never again.
    Stopped,
    /// When ConnectRetry or IdleHold expires.
    Delayed,
    /// Under way.
    Connect(ConnectionId),
    /// Not while the connections there are live.
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
            self.attempt_failed(ending);
        }
    }

    pub(super) fn dial_timer_expired(&mut self, context: &mut Context<'_>) {
        if let Dial::Connect(id) = self.dial {
            self.outputs.push_back(PeerOutput::Close(id));
            if self.connections.is_empty() {
                self.attempt_failed(match self.settings.password {
                    // RFC 2385 section 4.2: segments with a wrong signature go unanswered.
                    Some(_) => Ending::SignedConnectTimeout(CONNECT_RETRY),
                    None => Ending::ConnectTimeout(CONNECT_RETRY),
                });
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

    /// The last connection ended: dial again, later each time.
    pub(super) fn back_off(&mut self, context: &mut Context<'_>) {
        match (self.settings.connect_mode, self.dial) {
            // Another dial is on its way already.
            (ConnectMode::Active, Dial::Connect(_)) => {}
            (ConnectMode::Active, Dial::Resting | Dial::Delayed) => {
                self.dial = Dial::Delayed;
                self.timers.stop(Timer::ConnectRetry);
                self.delay(Timer::IdleHold, self.idle_hold, context);
                self.idle_hold = (self.idle_hold * 2).min(IDLE_HOLD_MAX);
            }
            (ConnectMode::Passive, _) | (ConnectMode::Active, Dial::Passive | Dial::Stopped) => {}
        }
    }

    /// A session that lasted shows that what was wrong before is mended.
    pub(super) fn forgive_after(&mut self, uptime: Duration) {
        if uptime >= IDLE_HOLD_MAX {
            self.idle_hold = IDLE_HOLD_MIN;
        }
    }

    fn delay(&mut self, timer: Timer, interval: Duration, context: &mut Context<'_>) {
        let jittered = context.random.jitter(interval);
        self.timers.start(timer, context.now + jittered);
    }
}
