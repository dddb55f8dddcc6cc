//! A peer that sent too much is left alone for a time that its limits name: we do not dial it, and
//! what it dials is closed at once. A session would bring the same again, and cost the same.

use std::time::{Duration, Instant};

use super::dialling::Dial;
use super::{Context, Peer, Timer};
use crate::types::ConnectMode;

impl Peer {
    /// Until when the peer is left alone, if it is.
    pub(crate) fn left_alone_until(&self) -> Option<Instant> {
        self.timers.at(Timer::Restart)
    }

    /// Whether what the peer dials is accepted.
    pub(crate) fn admits(&self) -> bool {
        self.dial != Dial::Stopped && self.left_alone_until().is_none()
    }

    /// What the peer was left alone for is no reason any more.
    pub(crate) fn stop_leaving_alone(&mut self, context: &mut Context<'_>) {
        if self.left_alone_until().is_some() {
            self.timers.stop(Timer::Restart);
            self.restart(context);
        }
    }

    pub(super) fn leave_alone(&mut self, time: Duration, context: &Context<'_>) {
        if self.dial != Dial::Stopped {
            self.cancel_dial();
            self.timers.start(Timer::Restart, context.now + time);
        }
    }

    /// The time is over.
    pub(super) fn restart(&mut self, context: &mut Context<'_>) {
        match self.settings.connect_mode {
            ConnectMode::Active => self.dial(context),
            ConnectMode::Passive => {}
        }
    }
}
