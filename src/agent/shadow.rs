//! The threads on which policies in shadow mode are asked, one a direction.
//!
//! Threads of their own, so that a policy that computes for as long as its limits let it delays
//! no decision in force. The pipeline hands over what it decided and goes on; while a thread is
//! busy, what comes in is put together. Reports read what it published last, and only a question
//! about each difference ([`report`]) waits for it.

mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::clock;
use super::decider::{Exporting, Importing};
use crate::api::ShadowCounts;
use crate::policy::{Directed, Fault, Observation, Shadow, Shadows};

pub(super) use report::told;

/// Questions waiting; people ask, one at a time.
const QUESTIONS_MAX: usize = 16;

/// A question about the differences, answered between two comparisons.
type Question<P> = Box<dyn FnOnce(&Shadows<P>) + Send>;

/// How the rest of the agent reaches the thread of each direction.
#[derive(Clone, Debug)]
pub(super) struct ShadowHandles {
    pub(super) exports: ShadowHandle<Exporting>,
    pub(super) imports: ShadowHandle<Importing>,
}

/// The threads of both directions.
#[derive(Debug)]
pub(super) struct ShadowThreads {
    pub(super) exports: ShadowThread<Exporting>,
    pub(super) imports: ShadowThread<Importing>,
}

/// How the rest of the agent reaches a thread.
#[derive(Clone, Debug)]
pub(super) struct ShadowHandle<P: Directed>(Arc<Shared<P>>);

/// The end of this ends the thread.
#[derive(Debug)]
pub(super) struct ShadowThread<P: Directed>(ShadowHandle<P>);

struct Shared<P: Directed> {
    inbox: Mutex<Inbox<P>>,
    arrived: Condvar,
    published: Mutex<Published>,
}

/// What the thread has not taken yet.
struct Inbox<P: Directed> {
    observation: Option<Observation<P>>,
    questions: Vec<Question<P>>,
    ended: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    No,
    Yes,
}

/// What came of the last comparison, by policy.
type Published = BTreeMap<String, Summary>;

/// How a policy in shadow mode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) fault: Option<Fault>,
    pub(super) failures: u64,
    pub(super) counts: Vec<ShadowCounts>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("too many questions about policies in shadow mode are waiting; ask again")]
    Busy,
    #[error("the thread of policies in shadow mode has ended; see the agent's log")]
    Ended,
}

impl ShadowThreads {
    /// Starts both.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn spawn() -> std::io::Result<Self> {
        Ok(Self {
            exports: ShadowThread::spawn()?,
            imports: ShadowThread::spawn()?,
        })
    }

    pub(super) fn handles(&self) -> ShadowHandles {
        ShadowHandles {
            exports: self.exports.handle(),
            imports: self.imports.handle(),
        }
    }
}

impl<P: Directed + 'static> ShadowThread<P> {
    /// Starts it.
    ///
    /// # Errors
    /// The system has no thread left.
    fn spawn() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new());
        let handle = ShadowHandle(Arc::clone(&shared));
        std::thread::Builder::new()
            .name(format!("shadow-{}", P::DIRECTION.label()))
            .spawn(move || {
                // However it ends, whoever asks shall hear of it.
                let _ending = Ending(Arc::clone(&shared));
                run(&shared);
            })?;
        Ok(Self(handle))
    }

    fn handle(&self) -> ShadowHandle<P> {
        self.0.clone()
    }

    /// Hands over what the chain in force decided. Never waits.
    pub(super) fn offer(&self, observation: Observation<P>) {
        let mut inbox = self.0.0.inbox();
        if inbox.ended == Ended::Yes {
            return;
        }
        match &mut inbox.observation {
            Some(earlier) => earlier.add(observation),
            none => *none = Some(observation),
        }
        self.0.0.arrived.notify_one();
    }
}

impl<P: Directed> Drop for ShadowThread<P> {
    fn drop(&mut self) {
        self.0.0.end();
    }
}

/// Within the thread.
struct Ending<P: Directed>(Arc<Shared<P>>);

impl<P: Directed> Drop for Ending<P> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<P: Directed> ShadowHandle<P> {
    /// How a policy was when it last compared; nothing before that, and for one in force.
    pub(super) fn summary(&self, policy: &str) -> Option<Summary> {
        self.0.published().get(policy).cloned()
    }

    /// What there is to tell of each policy in shadow mode, in the chain's order.
    ///
    /// # Errors
    /// Too many others ask, or the thread has ended.
    async fn each<T: Send + 'static>(
        &self,
        tell: impl Fn(&Shadow<P>) -> T + Send + 'static,
    ) -> Result<Vec<T>, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        let question: Question<P> = Box::new(move |shadows| {
            // Whoever asked may have given up waiting.
            let _ = answer.send(shadows.iter().map(tell).collect());
        });
        self.ask(question)?;
        answered.await.map_err(|_| NoAnswer::Ended)
    }

    fn ask(&self, question: Question<P>) -> Result<(), NoAnswer> {
        let mut inbox = self.0.inbox();
        if inbox.ended == Ended::Yes {
            return Err(NoAnswer::Ended);
        }
        if inbox.questions.len() >= QUESTIONS_MAX {
            return Err(NoAnswer::Busy);
        }
        inbox.questions.push(question);
        self.0.arrived.notify_one();
        Ok(())
    }
}

impl Summary {
    fn of<P: Directed>(shadow: &Shadow<P>) -> Self {
        let comparisons = shadow.comparisons();
        let counts = comparisons.map(|(_, comparison)| report::counts(comparison));
        Self {
            fault: shadow.fault(),
            failures: shadow.failures(),
            counts: counts.collect(),
        }
    }
}

impl<P: Directed> Shared<P> {
    fn new() -> Self {
        let inbox = Inbox {
            observation: None,
            questions: Vec::new(),
            ended: Ended::No,
        };
        Self {
            inbox: Mutex::new(inbox),
            arrived: Condvar::new(),
            published: Mutex::default(),
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox<P>> {
        self.inbox.lock().expect("no holder panics")
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().expect("no holder panics")
    }

    fn end(&self) {
        let mut inbox = self.inbox();
        inbox.ended = Ended::Yes;
        inbox.observation = None;
        // Whoever waits for an answer learns that there will be none.
        inbox.questions.clear();
        self.arrived.notify_one();
    }

    /// Waits until there is something to do, at `retry_at` at the latest.
    fn wait(&self, retry_at: Option<Instant>) -> (Option<Observation<P>>, Vec<Question<P>>, Ended) {
        let mut inbox = self.inbox();
        loop {
            let idle = inbox.observation.is_none() && inbox.questions.is_empty();
            let pause = retry_at.map(|at| at.saturating_duration_since(clock::now()));
            if !idle || inbox.ended == Ended::Yes || pause.is_some_and(|pause| pause.is_zero()) {
                let questions = std::mem::take(&mut inbox.questions);
                return (inbox.observation.take(), questions, inbox.ended);
            }
            inbox = match pause {
                Some(pause) => {
                    let woken = self.arrived.wait_timeout(inbox, pause);
                    woken.expect("no holder panics").0
                }
                None => self.arrived.wait(inbox).expect("no holder panics"),
            };
        }
    }

    fn publish(&self, shadows: &Shadows<P>) {
        let summary = |shadow: &Shadow<P>| (shadow.link().name.to_string(), Summary::of(shadow));
        let published: Published = shadows.iter().map(summary).collect();
        let before = std::mem::replace(&mut *self.published(), published.clone());
        for (policy, summary) in published {
            let former = before.get(&policy).and_then(|it| it.fault.as_ref());
            match (&former, &summary.fault) {
                (None, Some(fault)) => warn!(
                    policy,
                    error = fault.error,
                    asked = fault.policy,
                    "{} in shadow mode failing; nothing in force depends on it",
                    P::DIRECTION.noun()
                ),
                (Some(_), None) => {
                    info!(policy, "{} in shadow mode well again", P::DIRECTION.noun());
                }
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
    }
}

impl<P: Directed> std::fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

fn run<P: Directed>(shared: &Shared<P>) {
    let mut shadows = Shadows::default();
    loop {
        let (observation, questions, ended) = shared.wait(shadows.retry_at());
        if ended == Ended::Yes {
            return;
        }
        // Whoever asks hears of what is in force at present, but does not wait for another
        // attempt at a policy that fails.
        let answer = |shadows: &Shadows<P>| questions.into_iter().for_each(|ask| ask(shadows));
        match observation {
            Some(observation) => {
                shadows.observe(clock::now(), observation);
                answer(&shadows);
            }
            None => {
                answer(&shadows);
                shadows.compare(clock::now());
            }
        }
        shared.publish(&shadows);
    }
}
