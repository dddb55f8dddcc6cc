//! How often each policy was asked, and how long it took, for metrics.
//!
//! The chain decides by what policies answer, and counts how they fail; here each is wrapped in one
//! that measures. Counts are kept by the policy's name as long as the chain has one of it, whatever
//! module it is. What a policy did while it was tried counts once it is in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::clock;
use super::decider::{Decider, Exporting, Importing};
use crate::policy::{
    Batch, Decision, ImportBatch, ImportDecision, ImportPolicy, Link, LinkStatus, NextLink,
    PolicyFailure, RoutePolicy,
};

/// What is counted of one direction's chain in force, by policy.
#[derive(Debug, Default)]
pub(super) struct Meters(BTreeMap<String, Metered>);

/// What was counted of one policy since the agent started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// Batches it was asked about.
    pub(super) calls: u64,
    /// How long those took together.
    pub(super) time: Duration,
}

/// Counts what one link of a chain does. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Mutex<Measured>>);

/// Rounds in which policies of one direction were asked something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) rounds: u64,
    /// How long they took together.
    pub(super) time: Duration,
}

impl Work {
    /// Runs a round on `decider`, and counts it if policies were asked: `asked` tells how often
    /// they were so far.
    pub(super) fn round<T, C>(
        &mut self,
        decider: &mut T,
        asked: impl Fn(&T) -> u64,
        step: impl FnOnce(&mut T) -> C,
    ) -> C {
        let (before, start) = (asked(decider), clock::now());
        let changes = step(decider);
        if asked(decider) > before {
            self.rounds += 1;
            self.time += clock::now().duration_since(start);
        }
        changes
    }

    /// Adds what was done for a chain before it came into force.
    pub(super) fn add(&mut self, other: Self) {
        let Self { rounds, time } = other;
        self.rounds += rounds;
        self.time += time;
    }
}

/// The same chain, its new links measured by what goes to `meters`.
pub(super) fn measured<P: Decider>(
    chain: Vec<NextLink<P>>,
    meters: &mut BTreeMap<Arc<str>, Meter>,
) -> Vec<NextLink<P>> {
    let measure = |link: NextLink<P>| match link {
        NextLink::Kept(name) => NextLink::Kept(name),
        NextLink::New(link) => {
            let meter = meters.entry(Arc::clone(&link.name)).or_default().clone();
            NextLink::New(Link {
                policy: link.policy.clone().measured(meter),
                ..link
            })
        }
    };
    chain.into_iter().map(measure).collect()
}

/// The policies of one name, the one in force and those before it.
#[derive(Debug, Default)]
struct Metered {
    former: Measured,
    present: Meter,
}

impl Meters {
    /// Takes over the meters of the new links of a chain that comes into force. Policies that are
    /// not in it are forgotten.
    pub(super) fn adopt<'a>(
        &mut self,
        chain: impl Iterator<Item = LinkStatus<'a>>,
        new: BTreeMap<Arc<str>, Meter>,
    ) {
        let names: BTreeSet<&str> = chain.map(|link| link.name).collect();
        self.0.retain(|name, _| names.contains(name.as_str()));
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
    fn measured(&self) -> Measured {
        self.0.lock().expect("no holder panics").clone()
    }
}

impl Measured {
    fn add(&mut self, other: Self) {
        let Self { calls, time } = other;
        self.calls += calls;
        self.time += time;
    }
}

/// A policy of either direction, counted.
pub(super) struct MeasuredPolicy<P> {
    policy: P,
    meter: Meter,
}

impl<P> MeasuredPolicy<P> {
    pub(super) fn new(policy: P, meter: Meter) -> Self {
        Self { policy, meter }
    }

    fn call<D>(
        &self,
        evaluate: impl FnOnce(&P) -> Result<Vec<D>, PolicyFailure>,
    ) -> Result<Vec<D>, PolicyFailure> {
        let start = clock::now();
        let answer = evaluate(&self.policy);
        let time = clock::now().duration_since(start);
        let call = Measured { calls: 1, time };
        self.meter.0.lock().expect("no holder panics").add(call);
        answer
    }
}

impl RoutePolicy for MeasuredPolicy<Exporting> {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        self.call(|policy| policy.evaluate(batch))
    }
}

impl ImportPolicy for MeasuredPolicy<Importing> {
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        self.call(|policy| policy.evaluate(batch))
    }
}
