//! Whom the sockets that peers dial let in: asked for each connection before anything is kept,
//! started or told for it, so that whoever dials without being expected costs next to nothing.
//!
//! The speaker decides, by [`Speaker::admissions`](crate::speaker::Speaker::admissions); the
//! driver copies that here whenever it changes. All there is of its own is a bound on how often
//! one address is let in, for a peer that dials without end beside its session.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::info;

/// Connections from one address that are let in at once: several peers may share one, and each
/// may dial again at once when it loses a collision.
const BURST: u32 = 16;
/// After which time one more is let in.
const REFILL: Duration = Duration::from_millis(500);
/// How often a refusal is logged; between, they are only counted.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// What the accepting tasks and the driver share. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Doors(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// None before the speaker has a configuration.
    guests: Mutex<Option<BTreeMap<IpAddr, Guest>>>,
    refused: [AtomicU64; Refusal::ALL.len()],
    logged: Mutex<Option<Instant>>,
}

/// An address that some peer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Guest {
    /// Its pause.
    not_before: Option<Instant>,
    /// How many more are let in.
    room: u32,
    /// When `room` last grew.
    refilled: Instant,
}

/// Why a connection is closed unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The speaker has no configuration yet.
    NotReady,
    /// No peer has the address.
    Stranger,
    /// The peer is in a pause.
    Paused,
    /// The peer dials too often.
    TooOften,
}

impl Refusal {
    pub(super) const ALL: [Self; 4] =
        [Self::NotReady, Self::Stranger, Self::Paused, Self::TooOften];

    /// For metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::NotReady => "not-ready",
            Self::Stranger => "stranger",
            Self::Paused => "paused",
            Self::TooOften => "too-often",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::NotReady => "the speaker has no configuration yet",
            Self::Stranger => "no peer has this address",
            Self::Paused => "the peer is in a pause after errors, see `rutter status`",
            Self::TooOften => "the peer dials too often",
        }
    }
}

impl Doors {
    /// Only these are expected from now on.
    pub(super) fn expect(&self, admissions: BTreeMap<IpAddr, Option<Instant>>, now: Instant) {
        let mut guests = self.0.guests.lock().expect("no holder panics");
        let before = guests.take().unwrap_or_default();
        let guest = |(address, not_before)| {
            let known = before.get(&address).copied();
            let guest = known.unwrap_or(Guest {
                not_before: None,
                room: BURST,
                refilled: now,
            });
            (
                address,
                Guest {
                    not_before,
                    ..guest
                },
            )
        };
        *guests = Some(admissions.into_iter().map(guest).collect());
    }

    /// Whether a connection from this address is let in at present; a refusal is counted.
    pub(super) fn admit(&self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        let outcome = self.judge(address.to_canonical(), now);
        if let Err(refusal) = outcome {
            self.0.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
            self.log(address, refusal, now);
        }
        outcome
    }

    /// Connections closed unseen since the agent started.
    pub(super) fn refused(&self) -> [(Refusal, u64); Refusal::ALL.len()] {
        Refusal::ALL.map(|refusal| {
            let count = &self.0.refused[refusal as usize];
            (refusal, count.load(Ordering::Relaxed))
        })
    }

    fn judge(&self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        let mut guests = self.0.guests.lock().expect("no holder panics");
        let guests = guests.as_mut().ok_or(Refusal::NotReady)?;
        let guest = guests.get_mut(&address).ok_or(Refusal::Stranger)?;
        if guest.not_before.is_some_and(|until| now < until) {
            return Err(Refusal::Paused);
        }
        while guest.room < BURST && now.saturating_duration_since(guest.refilled) >= REFILL {
            guest.room += 1;
            guest.refilled += REFILL;
        }
        if guest.room == BURST {
            guest.refilled = now;
        }
        guest.room = guest.room.checked_sub(1).ok_or(Refusal::TooOften)?;
        Ok(())
    }

    fn log(&self, address: IpAddr, refusal: Refusal, now: Instant) {
        let mut logged = self.0.logged.lock().expect("no holder panics");
        if logged.is_none_or(|at| now.saturating_duration_since(at) >= LOG_PAUSE) {
            *logged = Some(now);
            info!(
                %address,
                "refused a connection: {}; others are only counted for a minute",
                refusal.words()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::clock;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn doors(not_before: Option<Instant>, now: Instant) -> Doors {
        let doors = Doors::default();
        doors.expect(BTreeMap::from([(PEER, not_before)]), now);
        doors
    }

    #[test]
    fn only_peers_are_let_in_and_refusals_are_counted() {
        let now = clock::now();
        assert_eq!(Doors::default().admit(PEER, now), Err(Refusal::NotReady));
        let doors = doors(None, now);
        assert_eq!(doors.admit(PEER, now), Ok(()));
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(doors.admit(mapped, now), Ok(()));
        for _ in 0..3 {
            assert_eq!(doors.admit(OTHER, now), Err(Refusal::Stranger));
        }
        let counts = doors.refused().map(|(_, count)| count);
        assert_eq!(counts, [0, 3, 0, 0]);
    }

    #[test]
    fn a_peer_in_a_pause_is_let_in_when_it_is_over() {
        let now = clock::now();
        let doors = doors(Some(now + Duration::from_secs(4)), now);
        assert_eq!(doors.admit(PEER, now), Err(Refusal::Paused));
        assert_eq!(doors.admit(PEER, now + Duration::from_secs(4)), Ok(()));
    }

    #[test]
    fn a_peer_that_dials_without_end_is_let_in_now_and_then() {
        let now = clock::now();
        let doors = doors(None, now);
        let mut admitted = 0;
        for millisecond in 0..60_000 {
            // A pause that begins or ends does not give it more.
            if millisecond % 1000 == 0 {
                doors.expect(BTreeMap::from([(PEER, None)]), now);
            }
            let at = now + Duration::from_millis(millisecond);
            admitted += u32::from(doors.admit(PEER, at).is_ok());
        }
        assert_eq!(admitted, BURST + 119);
        let later = now + Duration::from_secs(600);
        let burst = (0..100).filter(|_| doors.admit(PEER, later).is_ok());
        assert_eq!(burst.count(), usize::try_from(BURST).unwrap());
    }
}
