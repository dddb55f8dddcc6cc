//! What is wrong with a source at present: written by the source, read by whoever reports status.
//!
//! A problem is logged once when it appears and once when it has gone, however often it was met
//! in between; that is what an operator can act upon, retries are not.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

/// How many different texts of one problem are logged before it is called known. A server that
/// words the same trouble differently each time would fill the log otherwise.
const TEXTS_LOGGED_MAX: usize = 5;

/// A view of a source's problems that is always up to date. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Health(watch::Receiver<BTreeMap<String, Problem>>);

/// Something that is wrong with a source while its last good state stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What, with what to do about it where that is known.
    pub text: String,
    /// Since when without a break, on the monotonic clock.
    pub since: Instant,
    logged: BTreeSet<String>,
}

/// The writing end of [`Health`]. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct HealthReporter(watch::Sender<BTreeMap<String, Problem>>);

impl Health {
    /// The present problems by what they are about, for instance `Services` or `file a.yaml`.
    #[must_use]
    pub fn problems(&self) -> BTreeMap<String, Problem> {
        self.0.borrow().clone()
    }

    /// All present problems in one line; `None` when there is none.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        let problems = self.0.borrow();
        let texts = problems.iter().map(|(subject, problem)| {
            let text = &problem.text;
            format!("{subject}: {text}")
        });
        let joined = texts.collect::<Vec<_>>().join("; ");
        Some(joined).filter(|text| !text.is_empty())
    }

    /// Waits until something appeared, changed or went since this was last called. Once the
    /// source has ended, it never returns.
    ///
    /// Cancel-safe: a change that was not returned is returned by the next call.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl HealthReporter {
    /// A source in good health, and the view of it.
    pub(super) fn new() -> (Self, Health) {
        let (sender, receiver) = watch::channel(BTreeMap::new());
        (Self(sender), Health(receiver))
    }

    /// Something is wrong with `subject`.
    pub(super) fn failed(&self, subject: &str, text: &str) {
        self.0.send_if_modified(|problems| {
            let problem = problems.entry(subject.to_owned());
            let problem = problem.or_insert_with(|| Problem {
                text: String::new(),
                since: Instant::now(),
                logged: BTreeSet::new(),
            });
            if problem.logged.len() < TEXTS_LOGGED_MAX && problem.logged.insert(text.to_owned()) {
                warn!(%subject, problem = %text, "source in trouble, its last state stands");
            }
            let changed = problem.text != text;
            text.clone_into(&mut problem.text);
            changed
        });
    }

    /// Nothing is wrong with `subject`.
    pub(super) fn recovered(&self, subject: &str) {
        self.0.send_if_modified(|problems| {
            let Some(problem) = problems.remove(subject) else {
                return false;
            };
            info!(%subject, after = ?problem.since.elapsed(), "source recovered");
            true
        });
    }

    /// Exactly these things are wrong, and nothing else.
    pub(super) fn replace(&self, present: &BTreeMap<String, String>) {
        let gone: Vec<String> = {
            let problems = self.0.borrow();
            let subjects = problems.keys();
            subjects
                .filter(|subject| !present.contains_key(*subject))
                .cloned()
                .collect()
        };
        for subject in gone {
            self.recovered(&subject);
        }
        for (subject, text) in present {
            self.failed(subject, text);
        }
    }
}
