//! How often each policy was asked, how long it took and how it failed, for metrics.
//!
//! The chain decides by what policies answer and knows no clock; here each is wrapped in one that
//! measures. Counts are kept by the policy's name as long as the chain has one of it, whatever
//! module it is. What a policy did while it was tried counts once it is in force.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::clock;
use crate::policy::{Batch, Decision, Exports, Link, PolicyFailure, RoutePolicy};

/// What is counted of the chain in force, by policy.
#[derive(Debug, Default)]
pub(super) struct Meters(BTreeMap<String, Metered>);

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

/// Counts what one link of a chain does. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Mutex<Measured>>);

/// The policies of one name, the one in force and those before it.
#[derive(Debug, Default)]
struct Metered {
    former: Measured,
    present: Meter,
}

impl Meters {
    /// Takes over the meters of the new links of a chain that comes into force. Policies that are
    /// not in it are forgotten.
    pub(super) fn adopt(&mut self, exports: &Exports, new: BTreeMap<Arc<str>, Meter>) {
        self.0
            .retain(|name, _| exports.links().any(|link| link.name == name));
        for (name, meter) in new {
            let metered = self.0.entry(name.to_string()).or_default();
            let before = std::mem::replace(&mut metered.present, meter);
            metered.former.add(before.measured());
        }
    }

    /// What was counted, by policy.
    pub(super) fn measured(&self) -> BTreeMap<String, Measured> {
        let measured = |metered: &Metered| {
            let mut measured = metered.former.clone();
            measured.add(metered.present.measured());
            measured
        };
        let policies = self.0.iter();
        policies
            .map(|(name, metered)| (name.clone(), measured(metered)))
            .collect()
    }
}

impl Meter {
    /// The same link, measured by this.
    pub(super) fn measure(&self, link: Link) -> Link {
        let policy = MeasuredPolicy {
            policy: link.policy,
            meter: self.clone(),
        };
        Link {
            policy: Arc::new(policy),
            ..link
        }
    }

    fn measured(&self) -> Measured {
        self.0.lock().expect("no holder panics").clone()
    }
}

impl Measured {
    fn add(&mut self, other: Self) {
        let Self {
            calls,
            time,
            failures,
        } = other;
        self.calls += calls;
        self.time += time;
        for (kind, count) in failures {
            *self.failures.entry(kind).or_default() += count;
        }
    }
}

struct MeasuredPolicy {
    policy: Arc<dyn RoutePolicy>,
    meter: Meter,
}

impl RoutePolicy for MeasuredPolicy {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let start = clock::now();
        let answer = self.policy.evaluate(batch);
        let time = clock::now().duration_since(start);
        let failures = answer.as_ref().err().map(|failure| (failure.kind(), 1));
        let call = Measured {
            calls: 1,
            time,
            failures: failures.into_iter().collect(),
        };
        self.meter.0.lock().expect("no holder panics").add(call);
        answer
    }
}
