//! What an operator should hear of without asking: Kubernetes Events on the agent's own Node, or on
//! the Service that something is about.
//!
//! Whoever sees something tells a [`Notice`], which costs a place in a bounded queue and never
//! waits. One task writes the Events: one that repeats itself becomes a series, and each reason has
//! a budget, so that a failure without end costs the API server an Event a minute. What does not
//! fit, and what the API server does not take, is dropped and counted; nothing is tried again.
//! Everything is in the log as well, by those who tell it; with `source = "files"` only there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::allowance::{Allowance, Rate};
use super::clock;
use super::links::LinkRefused;
use super::pipeline::TrialFailure;
use crate::api::HeldChange;
use crate::calico;
use crate::facts::ServiceKey;
use crate::kube::events::{Occurrence, Recorded, Recorder, Regarding, Severity};
use crate::policy::Direction;

/// Notices waiting to be written. More than a loss of every session at once brings.
const QUEUE_DEPTH: usize = 256;

/// How long the API server may take for one Event, while others wait.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);

/// The Events of one reason that may be written.
const RATE: Rate = Rate {
    burst: 10,
    pause: Duration::from_secs(60),
};

/// How long an Event is taken up again when the same comes to pass. The API server keeps one for
/// an hour.
const SERIES_TIME: Duration = Duration::from_secs(600);

/// Something that came to pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A policy began to fail, or fails in another way.
    PolicyFailing {
        direction: Direction,
        policy: String,
        error: String,
    },
    /// A policy began to fail on a route, while it is well about others.
    RouteHeld {
        direction: Direction,
        policy: String,
        /// What is not decided about: a Service, or a route.
        subject: String,
        /// Whose routes they are.
        service: Option<ServiceKey>,
        error: String,
    },
    /// A policy that failed answers again.
    PolicyRecovered {
        direction: Direction,
        policy: String,
    },
    /// Another chain than the configured one was started with.
    PolicyFallback { error: String },
    /// A new version of the configuration, or of what it names, is not taken into use.
    ConfigurationRefused { error: String },
    /// The same, because of a module.
    ModuleRefused { error: String },
    /// A new version of the configuration, or of what it names, withdraws too much to be taken
    /// without approval.
    ChangeHeld { change: String },
    /// A new version of the configuration is in force.
    ConfigurationReloaded,
    /// A session reached Established.
    SessionEstablished { peer: String },
    /// An established session ended.
    SessionDown { peer: String, reason: String },
    /// A session ended, and what its peer sent is kept until it is back.
    RoutesKept {
        peer: String,
        routes: usize,
        seconds: u64,
    },
    /// It was not back in time, or did not send them again.
    RoutesExpired { peer: String, routes: usize },
    /// An address of a Service is somebody else's, and not announced; in words.
    AddressRefused {
        service: ServiceKey,
        refusal: String,
    },
    /// Something about one of Calico's resources is not done as it is written; in words.
    ResourceNotHeeded {
        kind: calico::Kind,
        name: String,
        words: String,
    },
}

/// Every reason a notice can have: those that never came to pass are counted, too, as none.
const REASONS: [&str; 14] = [
    "PolicyFailing",
    "RouteHeld",
    "PolicyRecovered",
    "PolicyFallback",
    "ConfigurationRefused",
    "ModuleRefused",
    "ChangeHeld",
    "ConfigurationReloaded",
    "SessionEstablished",
    "SessionDown",
    "RoutesKept",
    "RoutesExpired",
    "AddressRefused",
    "ResourceNotHeeded",
];

impl Notice {
    /// Why a reload changes nothing.
    pub(super) fn refused(refusal: &anyhow::Error) -> Self {
        let error = format!("{refusal:#}");
        if refusal.is::<LinkRefused>() || refusal.is::<TrialFailure>() {
            Self::ModuleRefused { error }
        } else {
            Self::ConfigurationRefused { error }
        }
    }

    /// What a change that is held back would do, and what lets it through.
    pub(super) fn held(held: &HeldChange) -> Self {
        let HeldChange {
            id,
            held_at: _,
            parts,
            max_withdraw,
            effect,
        } = held;
        let learned = &effect.learned;
        let learned = match learned.rejected {
            0 => String::new(),
            rejected => format!(
                "; it would reject {rejected} of {} learned routes that are used, change {} and \
                 use {} more",
                learned.used, learned.changed, learned.added
            ),
        };
        let change = format!(
            "change {id} is held back: it would withdraw {} of {} announced routes \
             (guard.max-withdraw is {max_withdraw}), change {} and announce {} more{learned}; see \
             `rutter status`, and let it through with `rutter policy approve {id}`; what changed: {}",
            effect.withdrawn,
            effect.announced,
            effect.changed,
            effect.added,
            parts.join(", ")
        );
        Self::ChangeHeld { change }
    }

    fn event(&self) -> Occurrence {
        use Severity::{Normal, Warning};
        let (severity, reason, action, note) = match self {
            Self::PolicyFailing {
                direction,
                policy,
                error,
            } => (
                Warning,
                "PolicyFailing",
                "Evaluate",
                format!(
                    "{} {policy}: {error}; its on-error decides about its routes",
                    direction.noun()
                ),
            ),
            Self::RouteHeld {
                direction,
                policy,
                subject,
                service: _,
                error,
            } => (
                Warning,
                "RouteHeld",
                "Evaluate",
                format!(
                    "{} {policy} fails on {subject}, and its on-error decides about that alone: \
                     {error}",
                    direction.noun()
                ),
            ),
            Self::PolicyRecovered { direction, policy } => (
                Normal,
                "PolicyRecovered",
                "Evaluate",
                format!("{} {policy} answers again", direction.noun()),
            ),
            Self::PolicyFallback { error } => {
                (Warning, "PolicyFallback", "Start", error.to_owned())
            }
            Self::ConfigurationRefused { error } => (
                Warning,
                "ConfigurationRefused",
                "Reload",
                format!("the configuration in force stays: {error}"),
            ),
            Self::ModuleRefused { error } => (
                Warning,
                "ModuleRefused",
                "Reload",
                format!("the policies in force stay: {error}"),
            ),
            Self::ChangeHeld { change } => (Warning, "ChangeHeld", "Reload", change.to_owned()),
            Self::ConfigurationReloaded => (
                Normal,
                "ConfigurationReloaded",
                "Reload",
                "a new configuration is in force".to_owned(),
            ),
            Self::SessionEstablished { peer } => (
                Normal,
                "SessionEstablished",
                "Peer",
                format!("BGP session with {peer} established"),
            ),
            Self::SessionDown { peer, reason } => (
                Warning,
                "SessionDown",
                "Peer",
                format!("BGP session with {peer} down: {reason}"),
            ),
            Self::RoutesKept {
                peer,
                routes,
                seconds,
            } => (
                Normal,
                "RoutesKept",
                "Peer",
                format!("{routes} routes of {peer} are kept for {seconds} s while it restarts"),
            ),
            Self::RoutesExpired { peer, routes } => (
                Warning,
                "RoutesExpired",
                "Peer",
                format!(
                    "{routes} routes that were kept for {peer} are gone: it did not send them again \
                     within its restart time"
                ),
            ),
            Self::AddressRefused { refusal, .. } => {
                (Warning, "AddressRefused", "Advertise", refusal.to_owned())
            }
            Self::ResourceNotHeeded { words, .. } => {
                (Warning, "ResourceNotHeeded", "Configure", words.to_owned())
            }
        };
        Occurrence {
            regarding: self.regarding(),
            severity,
            reason,
            action,
            note,
        }
    }

    fn regarding(&self) -> Regarding {
        match self {
            Self::RouteHeld {
                service: Some(service),
                ..
            }
            | Self::AddressRefused { service, .. } => Regarding::Service(service.clone()),
            Self::ResourceNotHeeded { kind, name, .. } => Regarding::Calico(*kind, name.clone()),
            Self::RouteHeld { service: None, .. }
            | Self::PolicyFailing { .. }
            | Self::PolicyRecovered { .. }
            | Self::PolicyFallback { .. }
            | Self::ConfigurationRefused { .. }
            | Self::ModuleRefused { .. }
            | Self::ChangeHeld { .. }
            | Self::ConfigurationReloaded
            | Self::SessionEstablished { .. }
            | Self::SessionDown { .. }
            | Self::RoutesKept { .. }
            | Self::RoutesExpired { .. } => Regarding::Node,
        }
    }
}

/// Where notices are told. The default counts them and tells nobody. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Notices {
    queue: Option<mpsc::Sender<Notice>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// By reason.
    told: Mutex<BTreeMap<&'static str, u64>>,
    recorded: AtomicU64,
    dropped: AtomicU64,
}

/// What came to pass since the agent started, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventCounts {
    /// How often each reason came to pass.
    pub(super) told: BTreeMap<&'static str, u64>,
    /// The API server has them.
    pub(super) recorded: u64,
    /// It was away or refused them, or there were too many.
    pub(super) dropped: u64,
}

impl Notices {
    /// A place to tell notices, and the queue they go to.
    pub(super) fn queue() -> (Self, mpsc::Receiver<Notice>) {
        let (queue, told) = mpsc::channel(QUEUE_DEPTH);
        let notices = Self {
            queue: Some(queue),
            counts: Arc::default(),
        };
        (notices, told)
    }

    /// Counts one and tells it, or drops it where too many wait. Never blocks.
    pub(super) fn tell(&self, notice: Notice) {
        let reason = notice.event().reason;
        let mut told = self.counts.told.lock().expect("no holder panics");
        *told.entry(reason).or_default() += 1;
        drop(told);
        if let Some(queue) = &self.queue
            && queue.try_send(notice).is_err()
        {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of those told.
    pub(super) fn counts(&self) -> EventCounts {
        let Counts {
            told,
            recorded,
            dropped,
        } = &*self.counts;
        let told = told.lock().expect("no holder panics");
        let of = |reason| (reason, told.get(reason).copied().unwrap_or(0));
        EventCounts {
            told: REASONS.map(of).into(),
            recorded: recorded.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
        }
    }

    /// Writes what is told until nobody can tell anything any more.
    pub(super) async fn write(self, mut told: mpsc::Receiver<Notice>, recorder: Recorder) {
        // With a sender of its own it would wait for itself.
        let Self { queue, counts } = self;
        drop(queue);
        let mut ledger = Ledger::default();
        let mut trouble = false;
        while let Some(notice) = told.recv().await {
            let event = notice.event();
            match write(&mut ledger, &recorder, event).await {
                Ok(Written::Yes) => {
                    counts.recorded.fetch_add(1, Ordering::Relaxed);
                    if std::mem::take(&mut trouble) {
                        info!("Kubernetes Events are recorded again");
                    }
                }
                Ok(Written::OverBudget) => {
                    counts.dropped.fetch_add(1, Ordering::Relaxed);
                    debug!(?notice, "no Kubernetes Event: too many of its reason");
                }
                Err(error) => {
                    counts.dropped.fetch_add(1, Ordering::Relaxed);
                    if !std::mem::replace(&mut trouble, true) {
                        warn!("a Kubernetes Event cannot be recorded and is dropped: {error:#}");
                    }
                }
            }
        }
    }
}

enum Written {
    Yes,
    OverBudget,
}

async fn write(
    ledger: &mut Ledger<Recorded>,
    recorder: &Recorder,
    event: Occurrence,
) -> anyhow::Result<Written> {
    let step = ledger.enter(clock::now(), &event);
    let writing = async {
        match &step {
            Step::Create => recorder.create(&event).await.map(Some),
            Step::Repeat { recorded, count } => {
                recorder.repeat(recorded, *count).await.map(|()| None)
            }
            Step::Drop => Ok(None),
        }
    };
    let written = tokio::time::timeout(WRITE_TIME_MAX, writing).await;
    let written = written.with_context(|| format!("no answer within {WRITE_TIME_MAX:?}"));
    match written.flatten() {
        Ok(Some(recorded)) => {
            ledger.recorded(clock::now(), event, recorded);
            Ok(Written::Yes)
        }
        Ok(None) => Ok(match step {
            Step::Create | Step::Repeat { .. } => Written::Yes,
            Step::Drop => Written::OverBudget,
        }),
        Err(error) => {
            // Should the API server have forgotten the series, the next one begins anew.
            ledger.series.remove(&event);
            Err(error)
        }
    }
}

/// What was written lately, and what may be. `R` names an Event that was.
#[derive(Debug)]
struct Ledger<R> {
    /// By reason; there are as many as kinds of notices.
    budgets: BTreeMap<&'static str, Allowance>,
    /// No more than the budgets allow within [`SERIES_TIME`].
    series: BTreeMap<Occurrence, Series<R>>,
}

#[derive(Debug)]
struct Series<R> {
    recorded: R,
    /// How often it came to pass, whether that was written or not.
    count: u32,
    last: Instant,
}

/// What is to be done about an event.
#[derive(Debug, PartialEq, Eq)]
enum Step<R> {
    Create,
    Repeat { recorded: R, count: u32 },
    Drop,
}

impl<R> Default for Ledger<R> {
    fn default() -> Self {
        Self {
            budgets: BTreeMap::new(),
            series: BTreeMap::new(),
        }
    }
}

impl<R: Clone> Ledger<R> {
    fn enter(&mut self, now: Instant, event: &Occurrence) -> Step<R> {
        self.series
            .retain(|_, series| now.duration_since(series.last) < SERIES_TIME);
        let budget = self.budgets.entry(event.reason);
        let budget = budget.or_insert_with(|| Allowance::full(RATE, now));
        let affordable = budget.take(now).is_some();
        let series = self.series.get_mut(event).map(|series| {
            series.count = series.count.saturating_add(1);
            series.last = now;
            &*series
        });
        match (affordable, series) {
            (false, _) => Step::Drop,
            (true, None) => Step::Create,
            (true, Some(series)) => Step::Repeat {
                recorded: series.recorded.clone(),
                count: series.count,
            },
        }
    }

    fn recorded(&mut self, now: Instant, event: Occurrence, recorded: R) {
        let series = Series {
            recorded,
            count: 1,
            last: now,
        };
        self.series.insert(event, series);
    }
}

#[cfg(test)]
mod tests;
