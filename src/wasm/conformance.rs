//! Whether a module keeps the contract's promise: a decision depends on nothing but the settings,
//! the batch's node, AS and peer group, and the candidate itself.
//!
//! The agent relies on it when it splits batches, reorders them and remembers decisions; a module
//! that breaks it makes routes flap. Called by tests and by tools, never while routes are
//! announced: it asks the module many times over.

use std::fmt;

use super::WasmPolicy;
use crate::candidates::CandidateKey;
use crate::policy::{Batch, Decision, PolicyFailure, ProposedRoute, Reasons, RoutePolicy};

/// Most candidates that are asked about alone: each costs a start of the module.
const ALONE_MAX: usize = 64;

/// Most candidates that one part of a split batch has.
const PART_MAX: u64 = 100;

/// How often the whole batch is shuffled, each time in another order.
const SHUFFLES: usize = 3;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The module failed, so that there is nothing to compare.
    #[error("{trial}: {failure}")]
    Failed {
        /// How it was asked.
        trial: Trial,
        /// How it failed.
        #[source]
        failure: PolicyFailure,
    },
    /// It decided otherwise about the same candidate.
    #[error("{trial}: {} was answered with {} at first, then with {}", candidate.prefix,
        told(first), told(then))]
    Differs {
        /// How it was asked when the answer was another.
        trial: Trial,
        /// About what.
        candidate: Box<CandidateKey>,
        /// The decision of the batch as it was given.
        first: Box<Decision>,
        /// The decision of the trial.
        then: Box<Decision>,
    },
    /// It gave another number of decisions than it was asked for.
    #[error("{trial}: {decisions} decisions for {candidates} candidates")]
    Count {
        /// How it was asked.
        trial: Trial,
        /// How many it was asked for.
        candidates: usize,
        /// How many it gave.
        decisions: usize,
    },
}

/// A way to ask that must make no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The batch as it was given; every other trial is compared with it.
    AsGiven,
    /// The same once more.
    Repeated,
    /// In another order.
    Shuffled,
    /// In several parts.
    Split,
    /// Every candidate twice.
    Doubled,
    /// Single candidates.
    Alone,
    /// With reasons unwanted if they were wanted, and the reverse; only verdicts are compared.
    OtherReasons,
}

impl Trial {
    /// Every way, in the order of [`check`].
    pub const ALL: [Self; 7] = [
        Self::AsGiven,
        Self::Repeated,
        Self::Shuffled,
        Self::Split,
        Self::Doubled,
        Self::Alone,
        Self::OtherReasons,
    ];
}

impl Violation {
    /// How the module was asked when it broke its promise.
    #[must_use]
    pub fn trial(&self) -> Trial {
        match self {
            Self::Failed { trial, .. }
            | Self::Differs { trial, .. }
            | Self::Count { trial, .. } => *trial,
        }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsGiven => "the batch as it was given",
            Self::Repeated => "the same batch once more",
            Self::Shuffled => "the batch in another order",
            Self::Split => "the batch in parts",
            Self::Doubled => "the batch with each candidate twice",
            Self::Alone => "a candidate alone",
            Self::OtherReasons => "the batch with reasons switched",
        })
    }
}

/// Asks about a batch in every way that must make no difference, and compares the decisions.
///
/// Orders, parts and samples follow from `seed`, so that a violation can be shown again.
///
/// # Errors
/// The first difference, or the first failure of the module.
pub fn check(policy: &WasmPolicy, batch: &Batch<'_>, seed: u64) -> Result<(), Violation> {
    check_any(&mut policy.clone(), batch, seed)
}

/// [`check`] for a policy of any kind.
pub(super) fn check_any(
    policy: &mut impl RoutePolicy,
    batch: &Batch<'_>,
    seed: u64,
) -> Result<(), Violation> {
    let as_given: Vec<usize> = (0..batch.candidates.len()).collect();
    let first = ask(policy, batch, Trial::AsGiven, &as_given)?;
    let mut examiner = Examiner {
        policy,
        batch,
        first,
    };
    let mut random = Random::new(seed);
    examiner.compare(Trial::Repeated, &as_given)?;
    for _ in 0..SHUFFLES {
        examiner.compare(Trial::Shuffled, &shuffled(&as_given, &mut random))?;
    }
    for part in split(&as_given, &mut random) {
        examiner.compare(Trial::Split, part)?;
    }
    let doubled: Vec<usize> = as_given.iter().flat_map(|&at| [at, at]).collect();
    examiner.compare(Trial::Doubled, &doubled)?;
    for at in shuffled(&as_given, &mut random).iter().take(ALONE_MAX) {
        examiner.compare(Trial::Alone, std::slice::from_ref(at))?;
    }
    examiner.switch_reasons(&as_given)
}

/// A policy with what it first decided about a batch.
struct Examiner<'a, P> {
    policy: &'a mut P,
    batch: &'a Batch<'a>,
    first: Vec<Decision>,
}

impl<P: RoutePolicy> Examiner<'_, P> {
    /// Asks about the candidates at these places of the batch.
    fn compare(&mut self, trial: Trial, places: &[usize]) -> Result<(), Violation> {
        let decisions = ask(self.policy, self.batch, trial, places)?;
        for (&at, then) in places.iter().zip(decisions) {
            if self.first[at] != then {
                return Err(self.differs(trial, at, then));
            }
        }
        Ok(())
    }

    fn switch_reasons(&mut self, places: &[usize]) -> Result<(), Violation> {
        let trial = Trial::OtherReasons;
        let switched = Batch {
            reasons: match self.batch.reasons {
                Reasons::Wanted => Reasons::Unwanted,
                Reasons::Unwanted => Reasons::Wanted,
            },
            ..*self.batch
        };
        let decisions = ask(self.policy, &switched, trial, places)?;
        for (&at, then) in places.iter().zip(decisions) {
            if self.first[at].verdict != then.verdict {
                return Err(self.differs(trial, at, then));
            }
        }
        Ok(())
    }

    fn differs(&self, trial: Trial, at: usize, then: Decision) -> Violation {
        Violation::Differs {
            trial,
            candidate: Box::new(self.batch.candidates[at].candidate.key.clone()),
            first: Box::new(self.first[at].clone()),
            then: Box::new(then),
        }
    }
}

fn ask(
    policy: &mut impl RoutePolicy,
    batch: &Batch<'_>,
    trial: Trial,
    places: &[usize],
) -> Result<Vec<Decision>, Violation> {
    let routes: Vec<ProposedRoute<'_>> = places.iter().map(|&at| batch.candidates[at]).collect();
    let decisions = policy
        .evaluate(&Batch {
            candidates: &routes,
            ..*batch
        })
        .map_err(|failure| Violation::Failed { trial, failure })?;
    if decisions.len() != places.len() {
        return Err(Violation::Count {
            trial,
            candidates: places.len(),
            decisions: decisions.len(),
        });
    }
    Ok(decisions)
}

/// Chance that a seed fully determines: SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// Fisher and Yates's shuffle.
fn shuffled(places: &[usize], random: &mut Random) -> Vec<usize> {
    let mut places = places.to_vec();
    for last in (1..places.len()).rev() {
        places.swap(last, below(last as u64 + 1, random));
    }
    places
}

/// Parts of 1 to [`PART_MAX`] candidates, which together are all of them.
fn split<'a>(mut places: &'a [usize], random: &mut Random) -> Vec<&'a [usize]> {
    let mut parts = Vec::new();
    while !places.is_empty() {
        let length = 1 + below(PART_MAX, random);
        let (part, rest) = places.split_at(length.min(places.len()));
        parts.push(part);
        places = rest;
    }
    parts
}

fn below(bound: u64, random: &mut Random) -> usize {
    usize::try_from(random.next_u64() % bound).expect("the bounds are numbers of candidates")
}

fn told(decision: &Decision) -> String {
    use crate::policy::Verdict;
    let verdict = match &decision.verdict {
        Verdict::Abstain => "abstain",
        Verdict::Accept(None) => "accept",
        Verdict::Accept(Some(_)) => "accept with attributes",
        Verdict::Reject => "reject",
    };
    match &decision.reason {
        Some(reason) => format!("{verdict} ({reason})"),
        None => verdict.to_owned(),
    }
}
