//! One link asked about one batch: what it is not known to fail on together, and what it failed on
//! before apart from that.
//!
//! Used by [`chain`](super::chain), which keeps what comes of it.

use std::time::Instant;

use super::chain::{Answer, Control};
use super::held::{Held, Parts};
use super::search::{Budget, Finding, search};
use super::{Asked, Directed, Inquiry, Link, PolicyFailure, Step, progress};

/// A link that is about to be asked.
pub(super) struct Asking<'a, P: Directed> {
    pub(super) link: &'a Link<P>,
    pub(super) inquiry: &'a Inquiry<'a, P>,
    pub(super) budget: Budget<'a>,
    /// Counts the calls.
    pub(super) asked: &'a mut u64,
}

/// What the link says, and in which ways it was found to fail on routes.
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) failures: Vec<&'static str>,
}

/// How it fails as a whole, and in which ways on routes before that was clear.
pub(super) struct Broken {
    pub(super) cause: PolicyFailure,
    pub(super) failures: Vec<&'static str>,
}

/// For each route of the batch, what the link says or how it fails; absent where that is not known
/// yet.
type Answers = Vec<Option<Result<Step, PolicyFailure>>>;

impl<P: Directed> Asking<'_, P> {
    pub(super) fn run(
        mut self,
        now: Instant,
        held: &mut Held<P>,
        controls: impl FnOnce(&Held<P>) -> Vec<Control<P>>,
    ) -> Result<Reply, Broken> {
        let count = self.inquiry.routes.len();
        let parts = (!held.is_empty()).then(|| held.part(now, self.inquiry));
        let found = match &parts {
            Some(parts) => self.search_among(&parts.fresh),
            None => self.search(self.inquiry.routes),
        };
        let found = match found {
            Finding::All(steps) if steps.len() == count => {
                return Ok(Reply {
                    answer: Answer::Steps(steps),
                    failures: Vec::new(),
                });
            }
            found @ (Finding::All(_)
            | Finding::Each(..)
            | Finding::Postponed(_)
            | Finding::Broken { .. }) => found,
        };
        let Parts {
            fresh,
            suspects,
            resting,
        } = parts.unwrap_or_else(|| Parts {
            fresh: (0..count).collect(),
            ..Parts::default()
        });
        let mut answers: Answers = std::iter::repeat_with(|| None).take(count).collect();
        match found {
            Finding::All(steps) => note(&mut answers, &fresh, steps.into_iter().map(Ok)),
            Finding::Each(cause, each) => {
                let fails_on_all = each.iter().all(Result::is_err);
                if fails_on_all && !self.is_well_about(&controls(held)) {
                    return Err(Broken {
                        cause,
                        failures: Vec::new(),
                    });
                }
                note(&mut answers, &fresh, each);
            }
            Finding::Postponed(cause) => {
                return Ok(Reply {
                    answer: Answer::Postponed,
                    failures: vec![cause.kind()],
                });
            }
            Finding::Broken { cause, found } => {
                let failures = found.iter().map(|(_, cause)| cause.kind()).collect();
                for (at, cause) in found {
                    held.hold(now, self.inquiry, self.inquiry.routes[fresh[at]], cause);
                }
                return Err(Broken { cause, failures });
            }
        }
        self.ask_about_suspects(&suspects, &mut answers)?;
        Ok(self.conclude(now, held, &resting, answers))
    }

    /// Asks about what it failed on before: on that it fails, as far as it is not found otherwise.
    fn ask_about_suspects(
        &mut self,
        suspects: &[usize],
        answers: &mut Answers,
    ) -> Result<(), Broken> {
        match self.search_among(suspects) {
            Finding::All(steps) => note(answers, suspects, steps.into_iter().map(Ok)),
            Finding::Each(_, each) => note(answers, suspects, each),
            Finding::Postponed(cause) => {
                note(
                    answers,
                    suspects,
                    suspects.iter().map(|_| Err(cause.clone())),
                );
            }
            Finding::Broken { cause, .. } if cause.is_of_all() => {
                return Err(Broken {
                    cause,
                    failures: Vec::new(),
                });
            }
            Finding::Broken { cause, found } => {
                let all = suspects.iter().map(|_| Err(cause.clone()));
                note(answers, suspects, all);
                for (at, cause) in found {
                    answers[suspects[at]] = Some(Err(cause));
                }
            }
        }
        Ok(())
    }

    /// Holds what it was found to fail on, and lets go of what it answered about.
    fn conclude(
        &self,
        now: Instant,
        held: &mut Held<P>,
        resting: &[usize],
        mut answers: Answers,
    ) -> Reply {
        let mut failures = Vec::new();
        for (asked, answer) in self.inquiry.routes.iter().zip(&answers) {
            match answer {
                Some(Ok(_)) => {
                    held.release(self.inquiry.id, asked.0);
                }
                Some(Err(cause)) => {
                    failures.push(cause.kind());
                    held.hold(now, self.inquiry, *asked, cause.clone());
                }
                None => {}
            }
        }
        for place in resting {
            let key = self.inquiry.routes[*place].0;
            let hold = held.get(self.inquiry.id, key);
            answers[*place] = hold.map(|hold| Err(hold.cause.clone()));
        }
        let answers = answers.into_iter().flatten().collect();
        Reply {
            answer: Answer::Each(self.link.on_error, answers),
            failures,
        }
    }

    /// Asks about the routes at these places, and searches among them where it fails.
    fn search_among(&mut self, places: &[usize]) -> Finding<Step> {
        let all = self.inquiry.routes;
        let routes: Vec<Asked<'_, P>> = places.iter().map(|place| all[*place]).collect();
        self.search(&routes)
    }

    /// Asks about these routes, and searches among them where it fails.
    fn search(&mut self, routes: &[Asked<'_, P>]) -> Finding<Step> {
        if routes.is_empty() {
            return Finding::All(Vec::new());
        }
        let (link, inquiry, asked) = (self.link, self.inquiry, &mut *self.asked);
        search(routes.len(), &mut self.budget, |range| {
            *asked += 1;
            let part = Inquiry {
                routes: &routes[range],
                ..*inquiry
            };
            let answer = link.policy.ask(&link.name, &part);
            progress::made();
            answer
        })
    }

    /// Whether it answers about one of these.
    fn is_well_about(&mut self, controls: &[Control<P>]) -> bool {
        controls.iter().any(|(key, route, attributes)| {
            let inquiry = Inquiry {
                routes: &[(key, route, attributes)],
                ..*self.inquiry
            };
            *self.asked += 1;
            let ask = || self.link.policy.ask(&self.link.name, &inquiry);
            let answer = self.budget.spend(ask);
            progress::made();
            answer.is_ok()
        })
    }
}

fn note(
    answers: &mut Answers,
    places: &[usize],
    each: impl IntoIterator<Item = Result<Step, PolicyFailure>>,
) {
    for (place, answer) in places.iter().zip(each) {
        answers[*place] = Some(answer);
    }
}
