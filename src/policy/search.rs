//! Which routes of a batch a policy fails on: halves of what failed are asked about, down to the
//! single routes, so that one route never stops a policy for all others.
//!
//! Used by [`chain`](super::chain). That the decision about a route does not depend on the others
//! of its batch is what makes halves worth asking about. What a search may cost is bounded by a
//! [`Budget`]; a policy on which it is spent in vain fails as a whole.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::PolicyFailure;

/// Most calls that one batch costs, the first included. One route among `n` is found in
/// `2 log2(n)` calls at most, 28 among ten thousand, so this is enough for two that are far apart
/// or some that are neighbours; what is found before it is used up need not be searched for again.
/// A call takes some 35 us and the time of its routes, which halves with each step.
pub(super) const CALLS_MAX: u32 = 64;

/// Calls without a single success after which a policy is taken for broken. With fewer, one that
/// fails on every hundredth of ten thousand routes would be.
const FRUITLESS_MAX: u32 = 16;

/// For how many of these a call counts that took all the time it may: three are enough, for routes
/// wait meanwhile.
const SLOW_CALL: u32 = 6;

/// Most time for calls besides the first of each batch, in one round. A route among ten thousand
/// that runs into the default limit of a second is found in less.
pub(super) const TIME_MAX: Duration = Duration::from_secs(16);

/// How long a table that decides in pieces searches for what a policy fails on, before it lets others
/// have their turn and then asks about fewer at a time: most searches are done by then.
const PATIENCE: Duration = Duration::from_millis(100);

/// Among so many, a search is ended however long it takes, for that there is nothing left to gain: of
/// one that runs out of time each time, after three calls.
pub(super) const FEW: usize = 4;

/// Tells the time that searches take; without one, they may take any.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    /// Reads it by this.
    pub fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// What searches may still cost.
#[derive(Debug)]
pub(super) struct Budget<'a> {
    pub(super) calls_left: u32,
    /// In this round.
    pub(super) time_left: &'a mut Duration,
    pub(super) clock: Option<&'a Clock>,
    pub(super) haste: Haste,
}

/// Whether somebody waits for the end of a round who must not wait for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// A search among more than [`FEW`] is given up after [`PATIENCE`].
    Yes,
    No,
}

/// What a policy says of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding<S> {
    /// It answered about all at once.
    All(Vec<S>),
    /// It failed on all at once in this way; about each, what it says or how it fails on that.
    Each(PolicyFailure, Vec<Result<S, PolicyFailure>>),
    /// It failed on all at once in this way, and there was no time to find out on which.
    Postponed(PolicyFailure),
    /// It fails, on whatever it is asked about or on too much of it.
    Broken {
        cause: PolicyFailure,
        /// Single routes that were found before the search was given up.
        found: Vec<(usize, PolicyFailure)>,
    },
}

/// Some of the routes, on which the policy fails or will.
struct Part {
    routes: Range<usize>,
    /// Absent where the policy was not asked about just these: it fails on more, and not on the
    /// rest of that.
    cause: Option<PolicyFailure>,
}

/// Asks about `count` routes by `ask`, and searches among them if it fails.
pub(super) fn search<S>(
    count: usize,
    budget: &mut Budget<'_>,
    mut ask: impl FnMut(Range<usize>) -> Result<Vec<S>, PolicyFailure>,
) -> Finding<S> {
    budget.calls_left = budget.calls_left.saturating_sub(1);
    let deadline = budget.deadline(count);
    let cause = match ask(0..count) {
        Ok(steps) => return Finding::All(steps),
        Err(cause) => cause,
    };
    let mut search = Search {
        budget,
        answers: std::iter::repeat_with(|| None).take(count).collect(),
        fruit: Fruit::None(weight(&cause)),
        deadline,
    };
    match search.run(cause.clone(), &mut ask) {
        Ok(()) => {
            let answers = search.answers.into_iter();
            // Every part was taken down to what was answered.
            let answers = answers.map(|answer| answer.unwrap_or_else(|| Err(cause.clone())));
            Finding::Each(cause.clone(), answers.collect())
        }
        Err(Stop::OfAll(cause)) => Finding::Broken {
            cause,
            found: Vec::new(),
        },
        Err(Stop::Postponed) => Finding::Postponed(cause),
        Err(Stop::Budget) => Finding::Broken {
            cause,
            found: search.found(),
        },
    }
}

struct Search<'b, 'a, S> {
    budget: &'b mut Budget<'a>,
    answers: Vec<Option<Result<S, PolicyFailure>>>,
    fruit: Fruit,
    /// When others have their turn.
    deadline: Option<Instant>,
}

/// Whether the policy answered about anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fruit {
    Some,
    /// Not in so many calls.
    None(u32),
}

/// Why a search is given up.
enum Stop {
    /// What is left of the budget is not enough.
    Budget,
    /// Others have their turn.
    Postponed,
    /// The failure is none of single routes.
    OfAll(PolicyFailure),
}

impl<S> Search<'_, '_, S> {
    fn run(
        &mut self,
        cause: PolicyFailure,
        ask: &mut impl FnMut(Range<usize>) -> Result<Vec<S>, PolicyFailure>,
    ) -> Result<(), Stop> {
        if cause.is_of_all() {
            return Err(Stop::OfAll(cause));
        }
        // Depth first: what is found early need not be searched for again.
        let mut failing = vec![Part {
            routes: 0..self.answers.len(),
            cause: Some(cause),
        }];
        while let Some(Part { routes, cause }) = failing.pop() {
            if routes.len() == 1 {
                let cause = match cause {
                    Some(cause) => Some(cause),
                    None => self.ask(&routes, ask)?,
                };
                if let Some(cause) = cause {
                    self.answers[routes.start] = Some(Err(cause));
                }
                continue;
            }
            let middle = routes.start + routes.len() / 2;
            let (left, right) = (routes.start..middle, middle..routes.end);
            let Some(cause) = self.ask(&left, ask)? else {
                failing.push(Part {
                    routes: right,
                    cause: None,
                });
                continue;
            };
            let cause_right = self.ask(&right, ask)?;
            failing.extend(cause_right.map(|cause| Part {
                routes: right,
                cause: Some(cause),
            }));
            failing.push(Part {
                routes: left,
                cause: Some(cause),
            });
        }
        Ok(())
    }

    /// Asks about some, and takes the answer or gives how the policy fails.
    fn ask(
        &mut self,
        routes: &Range<usize>,
        ask: &mut impl FnMut(Range<usize>) -> Result<Vec<S>, PolicyFailure>,
    ) -> Result<Option<PolicyFailure>, Stop> {
        let is_fruitless = match self.fruit {
            Fruit::Some => false,
            Fruit::None(calls) => calls >= FRUITLESS_MAX,
        };
        if is_fruitless || !self.budget.has_some() {
            return Err(Stop::Budget);
        }
        if self.budget.is_past(self.deadline) {
            return Err(Stop::Postponed);
        }
        match self.budget.spend(|| ask(routes.clone())) {
            Ok(steps) => {
                self.fruit = Fruit::Some;
                for (answer, step) in self.answers[routes.clone()].iter_mut().zip(steps) {
                    *answer = Some(Ok(step));
                }
                Ok(None)
            }
            Err(cause) if cause.is_of_all() => Err(Stop::OfAll(cause)),
            Err(cause) => {
                self.fruit = match self.fruit {
                    Fruit::Some => Fruit::Some,
                    Fruit::None(calls) => Fruit::None(calls + weight(&cause)),
                };
                Ok(Some(cause))
            }
        }
    }

    /// The single routes that the policy fails on, unless it fails on whatever it is asked about.
    fn found(self) -> Vec<(usize, PolicyFailure)> {
        if self.fruit != Fruit::Some {
            return Vec::new();
        }
        let answers = self.answers.into_iter().enumerate();
        answers
            .filter_map(|(at, answer)| Some((at, answer?.err()?)))
            .collect()
    }
}

/// For how many calls in vain a failure counts.
fn weight(failure: &PolicyFailure) -> u32 {
    match failure {
        PolicyFailure::OutOfTime(_) | PolicyFailure::OutOfInstructions(_) => SLOW_CALL,
        PolicyFailure::Trap(_)
        | PolicyFailure::OutOfMemory(_)
        | PolicyFailure::BadAnswer(_)
        | PolicyFailure::Inconsistent(_)
        | PolicyFailure::NotLoaded(_) => 1,
    }
}

impl Budget<'_> {
    fn has_some(&self) -> bool {
        self.calls_left > 0 && !self.time_left.is_zero()
    }

    /// When a search among so many that begins now is to be given up.
    fn deadline(&self, count: usize) -> Option<Instant> {
        let Clock(clock) = self.clock?;
        match self.haste {
            Haste::Yes if count > FEW => Some(clock() + PATIENCE),
            Haste::Yes | Haste::No => None,
        }
    }

    fn is_past(&self, deadline: Option<Instant>) -> bool {
        let now = self.clock.map(|Clock(clock)| clock());
        deadline.zip(now).is_some_and(|(at, now)| now >= at)
    }

    /// Does what a call costs.
    pub(super) fn spend<T>(&mut self, call: impl FnOnce() -> T) -> T {
        self.calls_left = self.calls_left.saturating_sub(1);
        let Some(Clock(clock)) = self.clock else {
            return call();
        };
        let start = clock();
        let answer = call();
        let time = clock().saturating_duration_since(start);
        *self.time_left = self.time_left.saturating_sub(time);
        answer
    }
}
