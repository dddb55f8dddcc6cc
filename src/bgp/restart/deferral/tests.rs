//! The table of the module's first lines, cell by cell.

use std::time::Duration;

use super::*;
use crate::types::Family::{Ipv4Unicast as V4, Ipv6Unicast as V6};

#[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
fn epoch() -> Instant {
    Instant::now()
}

fn offer(restarted: bool) -> GracefulRestart {
    GracefulRestart {
        restarted,
        ..GracefulRestart::default()
    }
}

fn speaking(families: &[Family]) -> State {
    State::Speaking(families.iter().copied().collect())
}

/// What becomes of each state.
fn column(input: impl Fn(&mut Deferral)) -> [State; 5] {
    let states = [
        State::Absent,
        speaking(&[V4]),
        State::Excused,
        State::Settled,
        State::Missed,
    ];
    states.map(|state| {
        let until = epoch();
        let mut deferral = Deferral { state, until };
        input(&mut deferral);
        deferral.state
    })
}

/// The same, but for the first two.
fn with(absent: State, speaking: State) -> [State; 5] {
    let settled = [State::Excused, State::Settled, State::Missed];
    let [excused, settled, missed] = settled;
    [absent, speaking, excused, settled, missed]
}

#[test]
fn a_session_begins_the_wait_unless_the_peer_cannot_end_it() {
    assert_eq!(
        column(|deferral| deferral.up(Some(&offer(false)), &[V4, V6])),
        with(speaking(&[V4, V6]), speaking(&[V4]))
    );
    assert_eq!(
        column(|deferral| deferral.up(None, &[V4])),
        with(State::Excused, speaking(&[V4]))
    );
    // Both ends restart: each would wait for the other.
    assert_eq!(
        column(|deferral| deferral.up(Some(&offer(true)), &[V4])),
        with(State::Excused, speaking(&[V4]))
    );
}

#[test]
fn the_last_end_of_rib_ends_the_wait() {
    let absent = || State::Absent;
    assert_eq!(
        column(|deferral| deferral.end_of_rib(V6)),
        with(absent(), speaking(&[V4]))
    );
    assert_eq!(
        column(|deferral| deferral.end_of_rib(V4)),
        with(absent(), State::Settled)
    );
}

#[test]
fn a_loss_begins_the_wait_anew_without_moving_its_end() {
    assert_eq!(column(Deferral::down), with(State::Absent, State::Absent));
    let now = epoch();
    let mut deferral = Deferral::new(now, Some(RestartTime::DEFAULT));
    let end = Some(now + Duration::from_secs(120));
    assert_eq!(deferral.deadline(), end);
    deferral.up(Some(&offer(false)), &[V4, V6]);
    deferral.end_of_rib(V4);
    deferral.down();
    deferral.up(Some(&offer(false)), &[V4, V6]);
    assert_eq!(deferral.state, speaking(&[V4, V6]));
    assert_eq!(deferral.deadline(), end);
}

#[test]
fn nobody_is_waited_for_beyond_the_time() {
    assert_eq!(
        column(|deferral| deferral.expire(deferral.until - Duration::from_millis(1))),
        with(State::Absent, speaking(&[V4]))
    );
    assert_eq!(
        column(|deferral| deferral.expire(deferral.until)),
        with(State::Missed, State::Missed)
    );
}

#[test]
fn with_graceful_restart_off_nobody_is_waited_for() {
    let now = epoch();
    let deferral = Deferral::new(now, None);
    assert!(!deferral.is_waiting());
    assert_eq!(deferral.deadline(), None);
    // What it says is looked at for a while all the same.
    assert!(!deferral.is_past(now));
    assert!(deferral.is_past(now + Duration::from_secs(120)));
}
