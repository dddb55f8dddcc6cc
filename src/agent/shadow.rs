//! The thread on which policies in shadow mode are asked.
//!
//! A thread of its own, so that one that computes for as long as its limits let it delays no
//! decision in force. The pipeline hands over what it decided and goes on; while this thread is
//! busy, what comes in is put together. Reports read what it published last, and only a question
//! about each difference waits for it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::clock;
use crate::api::{ShadowCounts, ShadowDifference, ShadowGroup, ShadowPolicy};
use crate::policy::{Change, Comparison, Difference, Fault, Observation, Shadow, Shadows};
use crate::types::{GroupId, Prefix};

/// Questions waiting; people ask, one at a time.
const QUESTIONS_MAX: usize = 16;

/// A question about the differences, answered between two comparisons.
type Question = Box<dyn FnOnce(&Shadows) + Send>;

/// How the rest of the agent reaches the thread.
#[derive(Clone, Debug, Default)]
pub(super) struct ShadowHandle(Arc<Shared>);

/// The end of this ends the thread.
#[derive(Debug)]
pub(super) struct ShadowThread(ShadowHandle);

#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    arrived: Condvar,
    published: Mutex<Published>,
}

/// What the thread has not taken yet.
#[derive(Default)]
struct Inbox {
    observation: Option<Observation>,
    questions: Vec<Question>,
    ended: Ended,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ended {
    #[default]
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
    pub(super) groups: Vec<ShadowCounts>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("too many questions about policies in shadow mode are waiting; ask again")]
    Busy,
    #[error("the thread of policies in shadow mode has ended; see the agent's log")]
    Ended,
}

/// Starts the thread.
///
/// # Errors
/// The system has no thread left.
pub(super) fn spawn() -> std::io::Result<ShadowThread> {
    let handle = ShadowHandle::default();
    let shared = Arc::clone(&handle.0);
    std::thread::Builder::new()
        .name("shadow".to_owned())
        .spawn(move || {
            // However it ends, whoever asks shall hear of it.
            let _ending = Ending(Arc::clone(&shared));
            run(&shared);
        })?;
    Ok(ShadowThread(handle))
}

impl ShadowThread {
    pub(super) fn handle(&self) -> ShadowHandle {
        self.0.clone()
    }

    /// Hands over what the chain in force decided. Never waits.
    pub(super) fn offer(&self, observation: Observation) {
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

impl Drop for ShadowThread {
    fn drop(&mut self) {
        self.0.0.end();
    }
}

/// Within the thread.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl ShadowHandle {
    /// How a policy was when it last compared; nothing before that, and for one in force.
    pub(super) fn summary(&self, policy: &str) -> Option<Summary> {
        self.0.published().get(policy).cloned()
    }

    /// Each policy in shadow mode with all it would change. `peers` tells who is in a group.
    ///
    /// # Errors
    /// Too many others ask, or the thread has ended.
    pub(super) async fn report(
        &self,
        peers: BTreeMap<GroupId, Vec<String>>,
    ) -> Result<Vec<ShadowPolicy>, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        let question: Question = Box::new(move |shadows| {
            let now = clock::now();
            let policies = shadows.iter().map(|shadow| policy(shadow, &peers, now));
            // Whoever asked may have given up waiting.
            let _ = answer.send(policies.collect());
        });
        self.ask(question)?;
        answered.await.map_err(|_| NoAnswer::Ended)
    }

    fn ask(&self, question: Question) -> Result<(), NoAnswer> {
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
    fn of(shadow: &Shadow) -> Self {
        let groups = shadow.comparisons();
        Self {
            fault: shadow.fault(),
            failures: shadow.failures(),
            groups: groups.map(|(_, comparison)| counts(comparison)).collect(),
        }
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
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
    fn wait(&self, retry_at: Option<Instant>) -> (Option<Observation>, Vec<Question>, Ended) {
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

    fn publish(&self, shadows: &Shadows) {
        let summary = |shadow: &Shadow| (shadow.link().name.to_string(), Summary::of(shadow));
        let published: Published = shadows.iter().map(summary).collect();
        let before = std::mem::replace(&mut *self.published(), published.clone());
        for (policy, summary) in published {
            let former = before.get(&policy).and_then(|it| it.fault.as_ref());
            match (&former, &summary.fault) {
                (None, Some(fault)) => warn!(
                    policy,
                    error = fault.error,
                    asked = fault.policy,
                    "policy in shadow mode failing; nothing in force depends on it"
                ),
                (Some(_), None) => info!(policy, "policy in shadow mode well again"),
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

fn run(shared: &Shared) {
    let mut shadows = Shadows::default();
    loop {
        let (observation, questions, ended) = shared.wait(shadows.retry_at());
        if ended == Ended::Yes {
            return;
        }
        // Whoever asks hears of what is in force at present, but does not wait for another
        // attempt at a policy that fails.
        let answer = |shadows: &Shadows| questions.into_iter().for_each(|ask| ask(shadows));
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

fn policy(shadow: &Shadow, peers: &BTreeMap<GroupId, Vec<String>>, now: Instant) -> ShadowPolicy {
    let fault = shadow.fault();
    let retry_in = fault.as_ref().map(|fault| {
        let pause = fault.retry_at.saturating_duration_since(now);
        pause.as_secs()
    });
    let group = |(id, comparison): (GroupId, &Comparison)| ShadowGroup {
        counts: counts(comparison),
        peers: peers.get(&id).cloned().unwrap_or_default(),
        differences: comparison.differences().map(difference).collect(),
    };
    ShadowPolicy {
        policy: shadow.link().name.to_string(),
        module: shadow.link().module.clone(),
        error: fault.map(|fault| told(&fault, &shadow.link().name)),
        retry_in,
        groups: shadow.comparisons().map(group).collect(),
    }
}

/// A fault in words; whose it is where it is not the policy's own.
pub(super) fn told(fault: &Fault, policy: &str) -> String {
    let Fault {
        policy: asked,
        error,
        retry_at: _,
    } = fault;
    if asked == policy {
        error.clone()
    } else {
        format!("{asked}, which comes after it, fails on what it makes of routes: {error}")
    }
}

fn counts(comparison: &Comparison) -> ShadowCounts {
    let mut counts = ShadowCounts {
        group: comparison.peers().name.clone(),
        compared: comparison.compared() as u64,
        waiting: comparison.waiting() as u64,
        withdrawn: 0,
        changed: 0,
        added: 0,
    };
    for (_, Difference { change, .. }) in comparison.differences() {
        match change {
            Change::Withdrawn(_) => counts.withdrawn += 1,
            Change::Changed { .. } => counts.changed += 1,
            Change::Added(_) => counts.added += 1,
        }
    }
    counts
}

fn difference((prefix, difference): (&Prefix, &Difference)) -> ShadowDifference {
    let Difference {
        change,
        origin,
        step,
    } = difference;
    let (from, to) = match change {
        Change::Withdrawn(from) => (Some(from), None),
        Change::Added(to) => (None, Some(to)),
        Change::Changed { from, to } => (Some(from), Some(to)),
    };
    ShadowDifference {
        prefix: *prefix,
        origin: origin.clone(),
        from: from.map(|route| (**route).clone()),
        to: to.map(|route| (**route).clone()),
        policy: step.policy.to_string(),
        reason: step.reason.as_deref().map(str::to_owned),
    }
}
