//! Whether a module keeps the contract's promise: a decision depends on nothing but the settings,
//! what the whole batch has in common, and the candidate or learned route itself.
//!
//! The agent relies on it when it splits batches, reorders them and remembers decisions; a module
//! that breaks it makes routes flap. Called by tests and by tools, never while routes are
//! announced: it asks the module many times over.

use std::fmt;

use super::{WasmImportPolicy, WasmPolicy};
use crate::policy::{
    Acceptance, Batch, Decision, ImportBatch, ImportDecision, ImportPolicy, ImportVerdict,
    PolicyFailure, ProposedImport, ProposedRoute, Reasons, RoutePolicy, Verdict,
};
use crate::types::Prefix;

/// Most routes that are asked about alone: each costs a start of the module.
const ALONE_MAX: usize = 64;

/// Most routes that one part of a split batch has.
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
    /// It decided otherwise about the same route.
    #[error("{trial}: {prefix} was answered with {first} at first, then with {then}")]
    Differs {
        /// How it was asked when the answer was another.
        trial: Trial,
        /// About what.
        prefix: Prefix,
        /// The decision of the batch as it was given, in words.
        first: String,
        /// The decision of the trial.
        then: String,
    },
    /// It gave another number of decisions than it was asked for.
    #[error("{trial}: {decisions} decisions for {routes} routes")]
    Count {
        /// How it was asked.
        trial: Trial,
        /// How many it was asked for.
        routes: usize,
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
    /// Every route twice.
    Doubled,
    /// Single routes.
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
            Self::Doubled => "the batch with each route twice",
            Self::Alone => "a route alone",
            Self::OtherReasons => "the batch with reasons switched",
        })
    }
}

/// Asks about a batch of candidates in every way that must make no difference, and compares the decisions.
///
/// Orders, parts and samples follow from `seed`, so that a violation can be shown again.
///
/// # Errors
/// The first difference, or the first failure of the module.
pub fn check(policy: &WasmPolicy, batch: &Batch<'_>, seed: u64) -> Result<(), Violation> {
    check_any(policy, batch, seed)
}

/// The same of a batch of learned routes.
///
/// # Errors
/// As [`check`].
pub fn check_imports(
    policy: &WasmImportPolicy,
    batch: &ImportBatch<'_>,
    seed: u64,
) -> Result<(), Violation> {
    check_any_imports(policy, batch, seed)
}

/// [`check`] for a policy of any kind.
pub(super) fn check_any(
    policy: &impl RoutePolicy,
    batch: &Batch<'_>,
    seed: u64,
) -> Result<(), Violation> {
    examine(&Announced { policy, batch }, seed)
}

/// [`check_imports`] for a policy of any kind.
pub(super) fn check_any_imports(
    policy: &impl ImportPolicy,
    batch: &ImportBatch<'_>,
    seed: u64,
) -> Result<(), Violation> {
    examine(&Imported { policy, batch }, seed)
}

/// A policy with a batch to ask it about.
trait Question {
    type Decision: PartialEq;

    /// How many routes the batch has.
    fn len(&self) -> usize;

    /// The prefix of the route at this place.
    fn prefix(&self, at: usize) -> Prefix;

    /// Asks about the routes at these places.
    fn ask(&self, places: &[usize], way: Way) -> Result<Vec<Self::Decision>, PolicyFailure>;

    /// Whether two decisions are the same but for their reasons.
    fn is_same_verdict(first: &Self::Decision, then: &Self::Decision) -> bool;

    /// In words.
    fn told(decision: &Self::Decision) -> String;
}

/// Whether reasons are wanted as the batch has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    AsGiven,
    OtherReasons,
}

impl Way {
    fn reasons(self, given: Reasons) -> Reasons {
        match (self, given) {
            (Self::AsGiven, given) => given,
            (Self::OtherReasons, Reasons::Wanted) => Reasons::Unwanted,
            (Self::OtherReasons, Reasons::Unwanted) => Reasons::Wanted,
        }
    }
}

struct Announced<'a, P> {
    policy: &'a P,
    batch: &'a Batch<'a>,
}

struct Imported<'a, P> {
    policy: &'a P,
    batch: &'a ImportBatch<'a>,
}

impl<P: RoutePolicy> Question for Announced<'_, P> {
    type Decision = Decision;

    fn len(&self) -> usize {
        self.batch.candidates.len()
    }

    fn prefix(&self, at: usize) -> Prefix {
        self.batch.candidates[at].candidate.key.prefix
    }

    fn ask(&self, places: &[usize], way: Way) -> Result<Vec<Decision>, PolicyFailure> {
        let routes = places.iter().map(|&at| self.batch.candidates[at]);
        let routes: Vec<ProposedRoute<'_>> = routes.collect();
        self.policy.evaluate(&Batch {
            candidates: &routes,
            reasons: way.reasons(self.batch.reasons),
            ..*self.batch
        })
    }

    fn is_same_verdict(first: &Decision, then: &Decision) -> bool {
        first.verdict == then.verdict
    }

    fn told(decision: &Decision) -> String {
        let verdict = match &decision.verdict {
            Verdict::Abstain => "abstain",
            Verdict::Accept(None) => "accept",
            Verdict::Accept(Some(_)) => "accept with attributes",
            Verdict::Reject => "reject",
        };
        with_reason(verdict, decision.reason.as_deref())
    }
}

impl<P: ImportPolicy> Question for Imported<'_, P> {
    type Decision = ImportDecision;

    fn len(&self) -> usize {
        self.batch.routes.len()
    }

    fn prefix(&self, at: usize) -> Prefix {
        self.batch.routes[at].prefix
    }

    fn ask(&self, places: &[usize], way: Way) -> Result<Vec<ImportDecision>, PolicyFailure> {
        let routes = places.iter().map(|&at| self.batch.routes[at]);
        let routes: Vec<ProposedImport<'_>> = routes.collect();
        self.policy.evaluate(&ImportBatch {
            routes: &routes,
            reasons: way.reasons(self.batch.reasons),
            ..*self.batch
        })
    }

    fn is_same_verdict(first: &ImportDecision, then: &ImportDecision) -> bool {
        first.verdict == then.verdict
    }

    fn told(decision: &ImportDecision) -> String {
        let verdict = match &decision.verdict {
            ImportVerdict::Abstain => "abstain".to_owned(),
            ImportVerdict::Accept(Acceptance {
                attributes,
                installation,
            }) => {
                let attributes = attributes.as_ref().map_or("", |_| " with attributes");
                let kernel = installation.map(|said| format!(", kernel: {said}"));
                format!("accept{attributes}{}", kernel.unwrap_or_default())
            }
            ImportVerdict::Reject => "reject".to_owned(),
        };
        with_reason(&verdict, decision.reason.as_deref())
    }
}

fn with_reason(verdict: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{verdict} ({reason})"),
        None => verdict.to_owned(),
    }
}

fn examine<Q: Question>(question: &Q, seed: u64) -> Result<(), Violation> {
    let as_given: Vec<usize> = (0..question.len()).collect();
    let first = ask(question, Trial::AsGiven, &as_given)?;
    let examiner = Examiner { question, first };
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
    examiner.compare(Trial::OtherReasons, &as_given)
}

/// A question with what was first decided about it.
struct Examiner<'a, Q: Question> {
    question: &'a Q,
    first: Vec<Q::Decision>,
}

impl<Q: Question> Examiner<'_, Q> {
    /// Asks about the routes at these places of the batch.
    fn compare(&self, trial: Trial, places: &[usize]) -> Result<(), Violation> {
        let decisions = ask(self.question, trial, places)?;
        for (&at, then) in places.iter().zip(decisions) {
            let first = &self.first[at];
            let is_same = match trial {
                // Reasons that nobody wants may be left out.
                Trial::OtherReasons => Q::is_same_verdict(first, &then),
                Trial::AsGiven
                | Trial::Repeated
                | Trial::Shuffled
                | Trial::Split
                | Trial::Doubled
                | Trial::Alone => *first == then,
            };
            if !is_same {
                return Err(Violation::Differs {
                    trial,
                    prefix: self.question.prefix(at),
                    first: Q::told(first),
                    then: Q::told(&then),
                });
            }
        }
        Ok(())
    }
}

fn ask<Q: Question>(
    question: &Q,
    trial: Trial,
    places: &[usize],
) -> Result<Vec<Q::Decision>, Violation> {
    let way = match trial {
        Trial::OtherReasons => Way::OtherReasons,
        Trial::AsGiven
        | Trial::Repeated
        | Trial::Shuffled
        | Trial::Split
        | Trial::Doubled
        | Trial::Alone => Way::AsGiven,
    };
    let decisions = question
        .ask(places, way)
        .map_err(|failure| Violation::Failed { trial, failure })?;
    if decisions.len() != places.len() {
        return Err(Violation::Count {
            trial,
            routes: places.len(),
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

/// Parts of 1 to [`PART_MAX`] routes, which together are all of them.
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
    usize::try_from(random.next_u64() % bound).expect("the bounds are numbers of routes")
}
