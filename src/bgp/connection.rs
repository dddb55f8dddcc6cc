//! The FSM of one TCP connection: octets in, messages and octets out (RFC 4271 section 8.2.2).
//!
//! A [`Connection`] is born when TCP is open and never outlives it. It decodes, validates and
//! answers; it knows neither the peer's other connection nor any route. `peer` owns it, asks
//! it for one [`Step`] at a time, and decides about collisions between an OPEN and its answer.
//!
//! It must never read a message in a state that has no rule for it: [`Connection::step`]
//! matches every message in every state.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::ending::{Ending, MessageKind};
use super::random::Random;
use super::restart::OwnRestart;
use super::timers::{Timer, Timers};
use super::wire::{
    self, AsWidth, Capability, CodecContext, ErrorCode, GracefulRestart, MESSAGE_BYTES_MAX,
    Message, Notification, Open, OpenSubcode, Peering, RefreshMark, Update,
};
use super::{ConnectionId, SessionState};
use crate::types::{Asn, Family, FirstAs, HoldTime, OverNotification, RestartTime, RouterId};

/// How long a connection may wait for the peer's OPEN (RFC 4271 section 8.2.2, OpenSent: a
/// large value, 4 minutes suggested).
const OPEN_HOLD: Duration = Duration::from_secs(240);

/// The least time without progress after which a peer that takes no octets is given up
/// (RFC 9687 section 5).
const SEND_HOLD_MIN: Duration = Duration::from_secs(480);

/// Octets handed over and not yet taken by the kernel, above which no more UPDATEs are made.
///
/// Enough that a fast peer never waits for us between two reports of the driver; little enough
/// that a stuck peer costs next to nothing, and that what waits is still the RIB, where a newer
/// route replaces an older one, and not a queue of outdated messages.
pub(crate) const TRANSMIT_BYTES_MAX: usize = 256 * 1024;

/// How long the hold timer waits for octets that have arrived and are not read yet, before it is
/// asked again whether there are any. Moving them takes a fraction of it.
const ARRIVING: Duration = Duration::from_millis(100);

/// Octets kept for a connection that waits for its twin. Before our OPEN a peer may send its
/// own OPEN and a NOTIFICATION, and nothing else.
const WAITING_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// Who opened the TCP connection; the collision rule asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// We did.
    Dialled,
    /// The peer did.
    Accepted,
}

/// What a session's OPENs are made of and checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenParameters {
    /// Our AS.
    pub(crate) local_asn: Asn,
    /// Our BGP Identifier.
    pub(crate) router_id: RouterId,
    /// The AS the peer must name.
    pub(crate) peer_asn: Asn,
    /// What we propose.
    pub(crate) hold_time: HoldTime,
    /// How often to send a KEEPALIVE, where a third of the hold time is too rarely.
    pub(crate) keepalive_time: Option<Duration>,
    /// What its routes' AS_PATH must begin with.
    pub(crate) first_as: FirstAs,
    /// How long we ask the peer to keep our routes without us; none where neither end keeps any.
    pub(crate) restart_time: Option<RestartTime>,
    /// Whether either end keeps routes over a NOTIFICATION, too.
    pub(crate) over_notification: OverNotification,
}

impl OpenParameters {
    /// Whether the session stays inside our AS.
    pub(crate) fn peering(&self) -> Peering {
        if self.local_asn == self.peer_asn {
            Peering::Internal
        } else {
            Peering::External
        }
    }

    /// What our OPEN says of restarts: R, F and the families where we restart gracefully. Some send
    /// End-of-RIB only to those who say that they do, so where we do not, it is said of no family.
    fn restart_capability(&self, own: OwnRestart) -> Capability {
        let Some(time) = self.restart_time else {
            return Capability::END_OF_RIB;
        };
        let offer = GracefulRestart {
            restarted: own.is_under_way(),
            keeps_over_notification: self.over_notification == OverNotification::Keep,
            restart_time: time.duration(),
            families: Family::ALL.map(|family| (family, own.forwarding())).into(),
        };
        offer.capability()
    }

    /// The AS that the AS_PATH of everything it announces must begin with, where one is.
    fn required_first_as(&self) -> Option<Asn> {
        match (self.peering(), self.first_as) {
            (Peering::External, FirstAs::Peers) => Some(self.peer_asn),
            (Peering::External, FirstAs::Any) | (Peering::Internal, _) => None,
        }
    }
}

/// What both ends agreed on by their OPENs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    /// The smaller of the two proposals.
    pub(crate) hold_time: HoldTime,
    /// The peer's BGP Identifier.
    pub(crate) router_id: RouterId,
    /// Families both announced, in the order of [`Family::ALL`]; never empty.
    pub(crate) families: Vec<Family>,
    /// What the peer says of its restart; none where one of the two does not restart gracefully.
    pub(crate) restart: Option<GracefulRestart>,
    /// How a ROUTE-REFRESH is answered.
    pub(crate) refresh: Refresh,
    /// How octets are read and written.
    pub(crate) codec: CodecContext,
}

/// How a ROUTE-REFRESH is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// With the routes (RFC 2918).
    Plain,
    /// With the routes between two marks (RFC 7313).
    Marked,
}

/// What became of the next message received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The peer's OPEN is acceptable. [`Connection::confirm`] or [`Connection::end`] answers it.
    Opened(Negotiated),
    /// The session is up.
    Established,
    /// Routes.
    Update(Update),
    /// The peer's initial table of a family is complete.
    EndOfRib(Family),
    /// The peer wants a family's routes again.
    RefreshRequested(Family),
    /// The peer says a family's routes again, from here or to here.
    RefreshMark(RefreshMark, Family),
    /// Nothing to know about.
    Quiet,
    /// The connection is over; the NOTIFICATION, where one is due, is in the output.
    Ended(Ending),
}

#[derive(Clone, Debug)]
enum State {
    /// TCP is open; our OPEN is held back until the twin connection's fate is known. RFC 4271
    /// calls it Connect or Active with DelayOpen.
    Waiting,
    OpenSent,
    OpenConfirm(Negotiated),
    Established(Negotiated),
    /// Over; nothing is read or written any more.
    Ended,
}

/// One TCP connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) direction: Direction,
    pub(super) local: SocketAddr,
    parameters: OpenParameters,
    state: State,
    timers: Timers,
    keepalive_interval: Option<Duration>,
    received: Vec<u8>,
    /// Octets at the front of `received` that were decoded already.
    consumed: usize,
    output: Vec<u8>,
    /// Octets in `output`, or handed over and not yet taken by the kernel.
    outstanding: usize,
    /// What our NOTIFICATION said, once there is one.
    told: Option<ErrorCode>,
}

impl Connection {
    /// TCP is open. Nothing is sent before [`open`](Self::open).
    pub(super) fn new(
        id: ConnectionId,
        direction: Direction,
        local: SocketAddr,
        parameters: OpenParameters,
    ) -> Self {
        Self {
            id,
            direction,
            local,
            parameters,
            state: State::Waiting,
            timers: Timers::default(),
            keepalive_interval: None,
            received: Vec::new(),
            consumed: 0,
            output: Vec::new(),
            outstanding: 0,
            told: None,
        }
    }

    /// Sends our OPEN, unless it was sent before.
    pub(super) fn open(&mut self, now: Instant, own: OwnRestart) {
        if !matches!(self.state, State::Waiting) {
            return;
        }
        self.state = State::OpenSent;
        self.timers.start(Timer::Hold, now + OPEN_HOLD);
        let mut capabilities: Vec<_> = Family::ALL.map(Capability::Multiprotocol).into();
        capabilities.push(Capability::RouteRefresh);
        capabilities.push(Capability::EnhancedRouteRefresh);
        capabilities.push(self.parameters.restart_capability(own));
        capabilities.push(Capability::FourOctetAsn(self.parameters.local_asn));
        self.send_message(
            now,
            &Message::Open(Open {
                asn: self.parameters.local_asn,
                hold_time: self.parameters.hold_time,
                router_id: self.parameters.router_id,
                capabilities,
            }),
        );
    }

    /// Takes octets; [`step`](Self::step) makes messages of them. None are kept of a connection
    /// that is over.
    pub(super) fn receive(&mut self, octets: &[u8]) {
        if matches!(self.state, State::Ended) {
            return;
        }
        self.received.drain(..self.consumed);
        self.consumed = 0;
        self.received.extend_from_slice(octets);
    }

    /// Reads the next message; none while it is incomplete, or while our own OPEN is held back.
    pub(super) fn step(&mut self, now: Instant) -> Option<Step> {
        match self.state {
            State::Ended => return None,
            State::Waiting if self.received.len() > WAITING_BYTES_MAX => {
                return Some(self.end(now, Ending::Impatient));
            }
            State::Waiting => return None,
            State::OpenSent | State::OpenConfirm(_) | State::Established(_) => {}
        }
        let step = match wire::decode(&self.received[self.consumed..], self.codec()) {
            Ok(None) => return None,
            Ok(Some((message, octets))) => {
                self.consumed += octets;
                self.handle_message(now, message)
            }
            Err(error) => self.end(now, Ending::Malformed(error)),
        };
        Some(step)
    }

    /// Answers the peer's OPEN: OpenConfirm (RFC 4271 section 8.2.2, OpenSent, event 19).
    pub(super) fn confirm(&mut self, now: Instant, negotiated: Negotiated, random: &mut Random) {
        let third = negotiated.hold_time.keepalive();
        // RFC 4271 4.4: a third of the hold time is the longest that is reasonable.
        let wanted = self.parameters.keepalive_time.unwrap_or(Duration::MAX);
        self.keepalive_interval = third.map(|third| random.jitter(third.min(wanted)));
        self.state = State::OpenConfirm(negotiated);
        self.restart_hold(now);
        self.send_message(now, &Message::Keepalive);
    }

    /// Ends the connection: the NOTIFICATION the ending asks for is the last output.
    pub(super) fn end(&mut self, now: Instant, ending: Ending) -> Step {
        if !matches!(self.state, State::Ended) {
            if let Some(mut notification) = ending.notification() {
                if ending.is_final() && self.keeps_over_notification() {
                    notification = notification.into_hard_reset();
                }
                self.told = Some(notification.error);
                self.send_message(now, &Message::Notification(notification));
            }
            self.state = State::Ended;
            self.timers = Timers::default();
            self.received = Vec::new();
            self.consumed = 0;
        }
        Step::Ended(ending)
    }

    /// Sends encoded messages; they stand for a KEEPALIVE (RFC 4271 section 8.2.2, event 27).
    pub(super) fn send(&mut self, now: Instant, octets: &[u8]) {
        if self.outstanding == 0 {
            self.timers.start(Timer::SendHold, now + self.send_hold());
        }
        self.output.extend_from_slice(octets);
        self.outstanding += octets.len();
        if let Some(interval) = self.keepalive_interval {
            self.timers.start(Timer::Keepalive, now + interval);
        }
    }

    /// Octets to hand to the driver, in order.
    pub(super) fn take_output(&mut self) -> Option<Vec<u8>> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// The kernel took octets: progress, which is what RFC 9687 asks for.
    pub(super) fn transmitted(&mut self, now: Instant, octets: usize) {
        self.outstanding = self.outstanding.saturating_sub(octets);
        if self.outstanding == 0 {
            self.timers.stop(Timer::SendHold);
        } else if octets > 0 && self.timers.runs(Timer::SendHold) {
            self.timers.start(Timer::SendHold, now + self.send_hold());
        }
    }

    /// Whether anything waits for the kernel to take it.
    pub(super) fn is_writing(&self) -> bool {
        self.outstanding > 0
    }

    /// Octets of UPDATEs that may be made at present.
    pub(super) fn credit(&self) -> usize {
        TRANSMIT_BYTES_MAX.saturating_sub(self.outstanding)
    }

    /// Sends a KEEPALIVE if one is due. Apart from [`handle_timeout`](Self::handle_timeout),
    /// because it must not wait for a driver that is busy with input. Whether one was.
    pub(super) fn send_due_keepalive(&mut self, now: Instant) -> bool {
        let due = self.timers.expire_one(Timer::Keepalive, now);
        if due {
            self.send_message(now, &Message::Keepalive);
        }
        due
    }

    /// Handles what has expired; [`Step::Ended`] if that ends the connection.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Step> {
        while let Some(timer) = self.timers.expire(now) {
            match timer {
                Timer::Hold => return Some(self.hold_expired(now)),
                Timer::SendHold => {
                    return Some(self.end(now, Ending::SendHoldExpired(self.send_hold())));
                }
                Timer::Keepalive => self.send_message(now, &Message::Keepalive),
                // The peer's, which has a table of its own.
                Timer::ConnectRetry | Timer::IdleHold => {}
            }
        }
        None
    }

    /// Whether its hold timer has expired.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.timers.at(Timer::Hold).is_some_and(|at| at <= now)
    }

    /// The peer was not silent: what it sent is about to be read.
    pub(super) fn postpone_hold(&mut self, now: Instant) {
        if self.is_overdue(now) {
            self.timers.start(Timer::Hold, now + ARRIVING);
        }
    }

    /// What our NOTIFICATION said, if one was sent.
    pub(super) fn told(&self) -> Option<ErrorCode> {
        self.told
    }

    /// The next timer to expire.
    pub(super) fn deadline(&self) -> Option<(Instant, Timer)> {
        self.timers.next()
    }

    /// What both ends agreed on; none before OpenConfirm.
    pub(super) fn negotiated(&self) -> Option<&Negotiated> {
        match &self.state {
            State::OpenConfirm(negotiated) | State::Established(negotiated) => Some(negotiated),
            State::Waiting | State::OpenSent | State::Ended => None,
        }
    }

    /// In the RFC's words. A connection that waits for its twin counts as Connect.
    pub(super) fn state(&self) -> SessionState {
        match self.state {
            State::Waiting => SessionState::Connect,
            State::OpenSent => SessionState::OpenSent,
            State::OpenConfirm(_) => SessionState::OpenConfirm,
            State::Established(_) => SessionState::Established,
            State::Ended => SessionState::Idle,
        }
    }

    fn handle_message(&mut self, now: Instant, message: Message) -> Step {
        match &self.state {
            // `step` decodes nothing in these.
            State::Waiting | State::Ended => Step::Quiet,
            State::OpenSent => self.message_in_open_sent(now, message),
            State::OpenConfirm(negotiated) => {
                let negotiated = negotiated.clone();
                self.message_in_open_confirm(now, message, negotiated)
            }
            State::Established(_) => self.message_in_established(now, message),
        }
    }

    fn message_in_open_sent(&mut self, now: Instant, message: Message) -> Step {
        match message {
            Message::Open(open) => match self.negotiate(&open) {
                Ok(negotiated) => Step::Opened(negotiated),
                Err(ending) => self.end(now, ending),
            },
            Message::Notification(notification) => self.end(now, self.told_by(notification)),
            Message::Update(_) | Message::EndOfRib(_) => self.unexpected(now, MessageKind::Update),
            Message::Keepalive => self.unexpected(now, MessageKind::Keepalive),
            Message::RouteRefresh(_)
            | Message::RefreshMark(..)
            | Message::ForeignRouteRefresh { .. } => {
                self.unexpected(now, MessageKind::RouteRefresh)
            }
        }
    }

    fn message_in_open_confirm(
        &mut self,
        now: Instant,
        message: Message,
        negotiated: Negotiated,
    ) -> Step {
        match message {
            Message::Keepalive => {
                self.state = State::Established(negotiated);
                self.restart_hold(now);
                Step::Established
            }
            Message::Notification(notification) => self.end(now, self.told_by(notification)),
            Message::Open(_) => self.unexpected(now, MessageKind::Open),
            Message::Update(_) | Message::EndOfRib(_) => self.unexpected(now, MessageKind::Update),
            Message::RouteRefresh(_)
            | Message::RefreshMark(..)
            | Message::ForeignRouteRefresh { .. } => {
                self.unexpected(now, MessageKind::RouteRefresh)
            }
        }
    }

    fn message_in_established(&mut self, now: Instant, message: Message) -> Step {
        match message {
            // RFC 2918 section 4: a family we never announced is none of our business.
            Message::Keepalive | Message::ForeignRouteRefresh { .. } => {
                self.restart_hold(now);
                Step::Quiet
            }
            Message::Update(update) => {
                self.restart_hold(now);
                Step::Update(update)
            }
            Message::EndOfRib(family) => {
                self.restart_hold(now);
                Step::EndOfRib(family)
            }
            Message::RouteRefresh(family) => {
                self.restart_hold(now);
                Step::RefreshRequested(family)
            }
            Message::RefreshMark(mark, family) => {
                self.restart_hold(now);
                Step::RefreshMark(mark, family)
            }
            Message::Notification(notification) => {
                self.end(now, Ending::NotificationReceived(notification))
            }
            Message::Open(_) => self.unexpected(now, MessageKind::Open),
        }
    }

    /// How our OPEN was answered, where the answer is a NOTIFICATION.
    fn told_by(&self, notification: Notification) -> Ending {
        if notification.error == ErrorCode::Open(OpenSubcode::BadBgpIdentifier) {
            return Ending::IdentifierRefused(self.parameters.router_id);
        }
        Ending::NotificationReceived(notification)
    }

    /// RFC 6608: a message that its state has no use for.
    fn unexpected(&mut self, now: Instant, message: MessageKind) -> Step {
        let state = self.state();
        self.end(now, Ending::Unexpected { message, state })
    }

    /// Checks the peer's OPEN (RFC 4271 section 6.2) and works out what both ends can do.
    fn negotiate(&self, open: &Open) -> Result<Negotiated, Ending> {
        let ours = &self.parameters;
        if open.asn != ours.peer_asn {
            return Err(Ending::BadPeerAs {
                expected: ours.peer_asn,
                sent: open.asn,
            });
        }
        // RFC 6286 2.2: the same identifier is an error inside an AS only.
        if open.router_id == ours.router_id && ours.peering() == Peering::Internal {
            return Err(Ending::BadIdentifier(open.router_id));
        }
        let families = common_families(&open.capabilities);
        if families.is_empty() {
            return Err(Ending::NoCommonFamily);
        }
        let four_octets =
            |capability: &Capability| matches!(capability, Capability::FourOctetAsn(_));
        let offer = GracefulRestart::among(&open.capabilities);
        let refresh = match open
            .capabilities
            .contains(&Capability::EnhancedRouteRefresh)
        {
            true => Refresh::Marked,
            false => Refresh::Plain,
        };
        let as_width = if open.capabilities.iter().any(four_octets) {
            AsWidth::FourOctets
        } else {
            AsWidth::TwoOctets
        };
        Ok(Negotiated {
            hold_time: ours.hold_time.negotiate(open.hold_time),
            router_id: open.router_id,
            families,
            restart: offer
                .filter(|_| ours.restart_time.is_some())
                .map(|offer| GracefulRestart {
                    // RFC 8538 section 4: only where both say so.
                    keeps_over_notification: offer.keeps_over_notification
                        && ours.over_notification == OverNotification::Keep,
                    ..offer
                }),
            refresh,
            codec: CodecContext {
                as_width,
                peering: ours.peering(),
                first_as: ours.required_first_as(),
            },
        })
    }

    /// Whether the peer keeps our routes over a NOTIFICATION that is no Hard Reset (RFC 8538).
    fn keeps_over_notification(&self) -> bool {
        let offer = self.negotiated().and_then(|agreed| agreed.restart.as_ref());
        offer.is_some_and(|offer| offer.keeps_over_notification)
    }

    fn hold_expired(&mut self, now: Instant) -> Step {
        let ending = match self.negotiated() {
            Some(negotiated) => Ending::HoldTimerExpired(negotiated.hold_time),
            None => Ending::NoOpen(OPEN_HOLD),
        };
        self.end(now, ending)
    }

    fn restart_hold(&mut self, now: Instant) {
        match self
            .negotiated()
            .and_then(|agreed| agreed.hold_time.expiry())
        {
            Some(expiry) => self.timers.start(Timer::Hold, now + expiry),
            None => self.timers.stop(Timer::Hold),
        }
    }

    /// RFC 9687 section 5: the greater of 8 minutes and twice the hold time.
    fn send_hold(&self) -> Duration {
        self.negotiated()
            .and_then(|agreed| agreed.hold_time.expiry())
            .map_or(SEND_HOLD_MIN, |hold| SEND_HOLD_MIN.max(2 * hold))
    }

    fn send_message(&mut self, now: Instant, message: &Message) {
        let mut octets = Vec::new();
        message.encode(self.codec(), &mut octets);
        self.send(now, &octets);
    }

    /// Before OPENs are exchanged no message depends on the width of AS numbers.
    fn codec(&self) -> CodecContext {
        self.negotiated()
            .map_or_else(|| self.opening_codec(), |negotiated| negotiated.codec)
    }

    fn opening_codec(&self) -> CodecContext {
        CodecContext {
            as_width: AsWidth::FourOctets,
            peering: self.parameters.peering(),
            first_as: None,
        }
    }
}

/// Families both ends announced. A peer without any multiprotocol capability carries IPv4
/// unicast and nothing else (RFC 4760 section 8 leaves it what RFC 4271 gives).
fn common_families(theirs: &[Capability]) -> Vec<Family> {
    /// What [`Capability::Unknown`] has as the code of a family we do not know.
    const MULTIPROTOCOL_CODE: u8 = 1;
    let multiprotocol = |capability: &Capability| match capability {
        Capability::Multiprotocol(_) => true,
        Capability::Unknown { code, .. } => *code == MULTIPROTOCOL_CODE,
        Capability::RouteRefresh
        | Capability::EnhancedRouteRefresh
        | Capability::GracefulRestart { .. }
        | Capability::FourOctetAsn(_) => false,
    };
    if !theirs.iter().any(multiprotocol) {
        return vec![Family::Ipv4Unicast];
    }
    let announced = |family: &Family| theirs.contains(&Capability::Multiprotocol(*family));
    Family::ALL.into_iter().filter(announced).collect()
}

#[cfg(test)]
mod tests;
