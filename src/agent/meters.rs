//! How often each policy was asked, how long it took and how it failed, for metrics.
//!
//! The chain decides by what policies answer and knows no clock; here each is wrapped in one that
//! measures. Counts are kept by the policy's name as long as the chain has one of it, whatever
//! module it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::clock;
use crate::policy::{Batch, Decision, Link, PolicyFailure, RoutePolicy};

/// What is counted, by policy. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Meters(Arc<Mutex<BTreeMap<String, Measured>>>);

/// What was counted of one policy since the agent started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// Batches it was asked about.
    pub(super) calls: u64,
    /// How long those took together.
    pub(super) time: Duration,
    /// Calls that failed, by [`PolicyFailure::kind`].
    pub(super) failures: BTreeMap<&'static str, u64>,
}

impl Meters {
    /// The same chain, measured. Policies that are not in it are forgotten.
    pub(super) fn measure(&self, chain: Vec<Link>) -> Vec<Link> {
        let mut meters = self.0.lock().expect("no holder panics");
        meters.retain(|name, _| chain.iter().any(|link| *link.name == **name));
        let measure = |link: Link| {
            meters.entry(link.name.to_string()).or_default();
            let policy = MeasuredPolicy {
                name: link.name.to_string(),
                policy: link.policy,
                meters: self.clone(),
            };
            Link {
                policy: Arc::new(policy),
                ..link
            }
        };
        chain.into_iter().map(measure).collect()
    }

    /// What was counted, by policy.
    pub(super) fn measured(&self) -> BTreeMap<String, Measured> {
        self.0.lock().expect("no holder panics").clone()
    }

    fn add(&self, policy: &str, time: Duration, failure: Option<&PolicyFailure>) {
        let mut meters = self.0.lock().expect("no holder panics");
        // One that was replaced counts no more.
        let Some(measured) = meters.get_mut(policy) else {
            return;
        };
        measured.calls += 1;
        measured.time += time;
        if let Some(failure) = failure {
            *measured.failures.entry(failure.kind()).or_default() += 1;
        }
    }
}

struct MeasuredPolicy {
    name: String,
    policy: Arc<dyn RoutePolicy>,
    meters: Meters,
}

impl RoutePolicy for MeasuredPolicy {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let start = clock::now();
        let answer = self.policy.evaluate(batch);
        let time = clock::now().duration_since(start);
        self.meters.add(&self.name, time, answer.as_ref().err());
        answer
    }
}
