//! The table of the module's first lines, cell by cell.

use super::Task::{Forget, Mark, Sweep};
use super::*;
use crate::types::Family::{Ipv4Unicast as V4, Ipv6Unicast as V6};

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(100);

#[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
fn epoch() -> Instant {
    Instant::now()
}

/// An offer of 20 s for these families.
fn offer(families: &[(Family, Forwarding)]) -> GracefulRestart {
    GracefulRestart {
        restarted: true,
        keeps_over_notification: false,
        restart_time: 20 * SECOND,
        families: families.iter().copied().collect(),
    }
}

fn both() -> GracefulRestart {
    offer(&[(V4, Forwarding::Preserved), (V6, Forwarding::Preserved)])
}

/// Each row of the table, reached with IPv4 alone in it.
#[derive(Clone, Copy, Debug)]
enum Row {
    Fresh,
    Away,
    Back,
    Refreshing,
}

impl Row {
    const ALL: [Self; 4] = [Self::Fresh, Self::Away, Self::Back, Self::Refreshing];

    fn helper(self, now: Instant) -> Helper {
        let mut helper = Helper::default();
        let offer = offer(&[(V4, Forwarding::Preserved)]);
        match self {
            Self::Fresh => {}
            Self::Away => {
                helper.lost(now, Some(&offer));
            }
            Self::Back => {
                helper.lost(now, Some(&offer));
                helper.back(now, Some(&offer), &[V4], PATIENCE);
            }
            Self::Refreshing => {
                helper.refresh_begins(now, V4, PATIENCE);
            }
        }
        helper
    }
}

/// What each row answers to an input.
fn column<T>(input: impl Fn(&mut Helper, Instant) -> T) -> [T; 4] {
    let now = epoch();
    Row::ALL.map(|row| input(&mut row.helper(now), now))
}

#[test]
fn a_loss_makes_routes_stale_and_lets_go_what_was_stale_before() {
    let kept = offer(&[(V4, Forwarding::Lost)]);
    assert_eq!(
        column(|helper, now| helper.lost(now, Some(&kept))),
        [
            vec![Mark(V4), Forget(V6)],
            // An attempt that comes to nothing is no loss: the speaker never says this.
            vec![Sweep(V4), Mark(V4), Forget(V6)],
            vec![Sweep(V4), Mark(V4), Forget(V6)],
            vec![Sweep(V4), Mark(V4), Forget(V6)],
        ]
    );
    assert_eq!(
        column(|helper, now| helper.lost(now, None)),
        [(); 4].map(|()| vec![Forget(V4), Forget(V6)])
    );
}

#[test]
fn a_peer_without_a_restart_time_restarts_with_nothing_kept() {
    let mut offer = both();
    offer.restart_time = Duration::ZERO;
    let mut helper = Helper::default();
    assert_eq!(helper.lost(epoch(), Some(&offer)), [Forget(V4), Forget(V6)]);
    assert!(helper.is_idle());
}

#[test]
fn a_return_with_forwarding_kept_gives_the_peer_its_turn() {
    let now = epoch();
    let mut helper = Helper::default();
    helper.lost(now, Some(&both()));
    assert_eq!(helper.deadline(), Some(now + 20 * SECOND));
    let later = now + 19 * SECOND;
    let tasks = helper.back(later, Some(&both()), &Family::ALL, PATIENCE);
    assert_eq!(tasks, []);
    assert_eq!(helper.deadline(), Some(later + PATIENCE));
    assert_eq!(helper.lost_since(), Some((now, later + PATIENCE)));
}

#[test]
fn a_return_without_forwarding_capability_or_family_lets_all_of_it_go() {
    let lost = offer(&[(V4, Forwarding::Lost), (V6, Forwarding::Preserved)]);
    let left_out = offer(&[(V6, Forwarding::Preserved)]);
    let cases: [(Option<&GracefulRestart>, &[Family], &[Task]); 4] = [
        (Some(&lost), &Family::ALL, &[Sweep(V4)]),
        (Some(&left_out), &Family::ALL, &[Sweep(V4)]),
        (None, &Family::ALL, &[Sweep(V4), Sweep(V6)]),
        // The family is not spoken any more, whatever the other capability says.
        (Some(&both()), &[V6], &[Sweep(V4)]),
    ];
    for (offer, families, tasks) in cases {
        let now = epoch();
        let mut helper = Helper::default();
        helper.lost(now, Some(&both()));
        assert_eq!(helper.back(now, offer, families, PATIENCE), tasks);
        let expected = match tasks.len() {
            1 => vec![Sweep(V6)],
            _ => vec![],
        };
        assert_eq!(helper.expire(now + PATIENCE), expected);
    }
}

#[test]
fn the_restart_bit_decides_nothing_about_stale_routes() {
    // A peer that lost the session without a restart says F and not R (RFC 4724 section 4.2).
    let mut offer = both();
    offer.restarted = false;
    let mut helper = Helper::default();
    helper.lost(epoch(), Some(&offer));
    let tasks = helper.back(epoch(), Some(&offer), &Family::ALL, PATIENCE);
    assert_eq!(tasks, []);
    assert!(!helper.is_idle());
}

#[test]
fn end_of_rib_ends_a_loss_and_nothing_else() {
    assert_eq!(
        column(|helper, _| helper.end_of_rib(V4)),
        [None, Some(Sweep(V4)), Some(Sweep(V4)), None]
    );
    assert_eq!(column(|helper, _| helper.end_of_rib(V6)), [None; 4]);
}

#[test]
fn a_refresh_is_marked_at_both_ends_and_waits_for_the_end_of_rib() {
    assert_eq!(
        column(|helper, now| helper.refresh_begins(now, V4, PATIENCE)),
        [Some(Mark(V4)), None, None, Some(Mark(V4))]
    );
    assert_eq!(
        column(|helper, _| helper.refresh_ends(V4)),
        [None, None, None, Some(Sweep(V4))]
    );
}

#[test]
fn whatever_is_stale_goes_when_its_time_is_up_and_only_once() {
    assert_eq!(
        column(|helper, now| {
            (
                helper.expire(now + 20 * SECOND - Duration::from_millis(1)),
                helper.expire(now + 20 * SECOND),
                helper.expire(now + PATIENCE),
                helper.expire(now + PATIENCE),
                helper.deadline(),
            )
        }),
        [
            (vec![], vec![], vec![], vec![], None),
            (vec![], vec![Sweep(V4)], vec![], vec![], None),
            (vec![], vec![], vec![Sweep(V4)], vec![], None),
            (vec![], vec![], vec![Sweep(V4)], vec![], None),
        ]
    );
}

#[test]
fn a_refresh_is_no_loss_to_be_told_of() {
    assert_eq!(
        column(|helper, _| helper.lost_since().is_some()),
        [false, true, true, false]
    );
}
