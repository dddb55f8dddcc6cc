//! How many learned routes are decided about in one go, before facts and orders have their turn: as
//! many as take some tens of milliseconds, whatever policies there are.

use std::time::Duration;

use crate::policy::Course;

/// How long the facts may wait for learned routes: a Service's withdrawal is not to be felt to be
/// late, and a call of a policy costs a thousandth of it.
const TARGET: Duration = Duration::from_millis(40);

/// To begin with: no policy that is usable takes long for so few.
const FIRST: usize = 64;

/// Enough for what a round costs by itself to vanish.
const MAX: usize = 4096;

/// By how much a piece shrinks at once: a route that runs a policy out of time is then alone after a
/// few of them.
const SHRINKS_MAX: usize = 8;

/// The size of the next piece.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    size: usize,
    /// What a round costs before it is about any route, as far as is known: a policy may have much
    /// to prepare.
    overhead: f64,
    /// The size and the time of the last one.
    last: Option<(usize, f64)>,
}

impl Default for Piece {
    fn default() -> Self {
        Self {
            size: FIRST,
            overhead: 0.0,
            last: None,
        }
    }
}

impl Piece {
    pub(super) fn routes(self) -> usize {
        self.size
    }

    /// Takes in how a round went that was about so many routes, and how long it took.
    pub(super) fn took(&mut self, routes: usize, course: Course, time: Duration) {
        match course {
            // Of how long a search took, nothing follows for routes that none is needed for.
            Course::Troubled => {}
            Course::Postponed => {
                self.size = (self.size.min(routes) / SHRINKS_MAX).max(1);
                self.last = None;
            }
            Course::Smooth if routes > 0 => self.fit(routes, time.as_secs_f64()),
            Course::Smooth => {}
        }
    }

    /// As many as take the time that there is. Where most of that would be overhead, as many as take
    /// as long again, or a table would take for ever.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "numbers of routes are small, and what comes out is clamped"
    )]
    fn fit(&mut self, routes: usize, time: f64) {
        let count = routes as f64;
        if let Some((before, earlier)) = self.last.filter(|(before, _)| *before != routes) {
            let each = (time - earlier) / (count - before as f64);
            self.overhead = (time - each * count).clamp(0.0, time.min(earlier));
        }
        self.last = Some((routes, time));
        let overhead = self.overhead.min(time);
        let goal = TARGET.as_secs_f64().max(2.0 * overhead);
        let fitting = (goal - overhead) / ((time - overhead) / count).max(1e-9);
        let most = if routes >= self.size {
            self.size * 2
        } else {
            self.size
        };
        self.size = (fitting as usize)
            .clamp(self.size.div_ceil(SHRINKS_MAX), most)
            .min(MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of so many pieces of a table, where a round takes this long and each route adds to
    /// it.
    fn sizes(overhead: Duration, each: Duration, pieces: usize) -> Vec<usize> {
        let mut piece = Piece::default();
        let next = |()| {
            let routes = piece.routes();
            let time = overhead + each * u32::try_from(routes).unwrap();
            piece.took(routes, Course::Smooth, time);
            routes
        };
        std::iter::repeat_n((), pieces).map(next).collect()
    }

    fn last_of(overhead: Duration, each: Duration) -> usize {
        *sizes(overhead, each, 20).last().unwrap()
    }

    #[test]
    fn pieces_grow_and_shrink_to_what_may_be_waited_for() {
        let free = sizes(Duration::ZERO, Duration::ZERO, 8);
        assert_eq!(free, [64, 128, 256, 512, 1024, 2048, 4096, 4096]);
        let none = Duration::ZERO;
        assert!((350..=400).contains(&last_of(none, Duration::from_micros(100))));
        assert!((7..=8).contains(&last_of(none, Duration::from_millis(5))));
        assert_eq!(last_of(none, Duration::from_secs(1)), 1, "one at least");
    }

    #[test]
    fn what_a_round_costs_by_itself_is_not_the_most_of_it() {
        let (overhead, each) = (Duration::from_millis(40), Duration::from_micros(100));
        let routes = last_of(overhead, each);
        assert!((350..=450).contains(&routes), "{routes}");
    }

    #[test]
    fn a_piece_that_was_not_full_says_nothing_about_a_larger_one() {
        let mut piece = Piece::default();
        piece.took(1, Course::Smooth, Duration::ZERO);
        piece.took(0, Course::Smooth, Duration::ZERO);
        assert_eq!(piece.routes(), FIRST);
    }

    #[test]
    fn a_route_that_is_searched_for_is_alone_after_a_few() {
        let mut piece = Piece::default();
        let slow = Duration::from_secs(1);
        let next = |()| {
            piece.took(piece.routes(), Course::Postponed, slow);
            piece.routes()
        };
        let sizes: Vec<_> = std::iter::repeat_n((), 3).map(next).collect();
        assert_eq!(sizes, [8, 1, 1]);
        piece.took(1, Course::Troubled, slow);
        piece.took(1, Course::Smooth, Duration::from_millis(1));
        assert_eq!(piece.routes(), 2);
    }
}
