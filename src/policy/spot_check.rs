//! Whether a policy, of either direction, keeps the promise that remembered decisions rest on:
//! asked again about the same route, on the same node and about the same peers, it says the same,
//! whatever else it is asked about at that moment.
//!
//! A policy that breaks it makes routes flap without a cause: a Service that changes is asked
//! about alone, and everything is asked about together after a change of the Node. So the agent
//! puts a [`SpotChecked`] around each policy of its chain, which now and then asks a second time
//! about a few of the routes, in another order and number. A contradiction is a failure like any
//! other: on-error decides. The check samples; `rutter policy conformance` looks closely, without
//! routes at stake.

use std::sync::{Mutex, MutexGuard};

use super::{
    Acceptance, Batch, Decision, ImportBatch, ImportDecision, ImportPolicy, ImportVerdict,
    PolicyFailure, RoutePolicy, StepVerdict, Verdict,
};

/// Small batches are checked once in so many calls: few enough not to be felt. A prime, so that
/// with any number of peer groups, which are asked in turn, each is checked.
const EVERY: u32 = 17;

/// A batch of so many routes is always checked: next to it the second question costs little.
const LARGE: usize = 256;

/// How many routes are asked about a second time.
const SAMPLE_MAX: usize = 16;

/// A policy that is asked twice at times, and fails when its answers differ.
#[derive(Debug)]
pub struct SpotChecked<P> {
    policy: P,
    /// Decides when to check, and never what is decided.
    record: Mutex<Record>,
}

/// What the policy has to show for itself.
#[derive(Clone, Copy, Debug)]
struct Record {
    trust: Trust,
    /// Checks so far: each begins at another route.
    checks: usize,
}

/// How closely a policy is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// So many calls go unchecked.
    For(u32),
    /// It has failed a check: every call is checked in full for as long as it is used.
    Lost,
}

/// A decision, as far as it is compared.
trait Compared {
    /// What is compared: reasons are not.
    type Verdict: PartialEq;

    fn verdict(&self) -> &Self::Verdict;

    /// The verdict in words.
    fn told(&self) -> String;
}

impl<P> SpotChecked<P> {
    /// A policy whose first answer is checked.
    pub fn new(policy: P) -> Self {
        Self {
            policy,
            record: Mutex::new(Record {
                trust: Trust::For(0),
                checks: 0,
            }),
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no holder panics")
    }

    /// The decisions about `asked` routes, unless the policy says otherwise when `ask` asks it
    /// again about those at some places. `name` names the route at a place.
    fn checked<D: Compared>(
        &self,
        asked: usize,
        decisions: Vec<D>,
        ask: impl FnOnce(&[usize]) -> Result<Vec<D>, PolicyFailure>,
        name: impl FnOnce(usize) -> String,
    ) -> Result<Vec<D>, PolicyFailure> {
        // The chain refuses an answer of the wrong length; there is nothing to compare.
        if asked > 0 && decisions.len() == asked {
            let plan = self.record().plan(asked);
            if let Some(plan) = plan {
                check(&decisions, plan, ask, name)
                    .inspect_err(|_| self.record().trust = Trust::Lost)?;
            }
        }
        Ok(decisions)
    }
}

/// Asks again about some of the routes that `decisions` are about.
fn check<D: Compared>(
    decisions: &[D],
    plan: Plan,
    ask: impl FnOnce(&[usize]) -> Result<Vec<D>, PolicyFailure>,
    name: impl FnOnce(usize) -> String,
) -> Result<(), PolicyFailure> {
    let places = places(decisions.len(), plan);
    let again = ask(&places)?;
    if again.len() != places.len() {
        return Err(PolicyFailure::BadAnswer(format!(
            "{} decisions for {} candidates",
            again.len(),
            places.len()
        )));
    }
    let mut pairs = places.iter().zip(&again);
    let Some((&at, then)) = pairs.find(|&(&at, then)| decisions[at].verdict() != then.verdict())
    else {
        return Ok(());
    };
    Err(PolicyFailure::Inconsistent(format!(
        "{}: {} of {}, {} of {}",
        name(at),
        decisions[at].told(),
        counted(decisions.len()),
        then.told(),
        counted(places.len()),
    )))
}

impl<P: RoutePolicy> RoutePolicy for SpotChecked<P> {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let decisions = self.policy.evaluate(batch)?;
        let routes = batch.candidates;
        let again = |places: &[usize]| {
            let sample: Vec<_> = places.iter().map(|&at| routes[at]).collect();
            self.policy.evaluate(&Batch {
                candidates: &sample,
                ..*batch
            })
        };
        self.checked(routes.len(), decisions, again, |at| {
            let prefix = routes[at].candidate.key.prefix;
            format!("{prefix} towards {}", batch.peer_group.name)
        })
    }
}

impl<P: ImportPolicy> ImportPolicy for SpotChecked<P> {
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        let decisions = self.policy.evaluate(batch)?;
        let routes = batch.routes;
        let again = |places: &[usize]| {
            let sample: Vec<_> = places.iter().map(|&at| routes[at]).collect();
            self.policy.evaluate(&ImportBatch {
                routes: &sample,
                ..*batch
            })
        };
        self.checked(routes.len(), decisions, again, |at| {
            format!("{} from {}", routes[at].prefix, batch.peer.name)
        })
    }
}

impl Compared for Decision {
    type Verdict = Verdict;

    fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    fn told(&self) -> String {
        match &self.verdict {
            Verdict::Accept(Some(attributes)) => format!("accept with {attributes:?} in a batch"),
            Verdict::Accept(None) | Verdict::Abstain | Verdict::Reject => {
                format!("{} in a batch", StepVerdict::from(&self.verdict))
            }
        }
    }
}

impl Compared for ImportDecision {
    type Verdict = ImportVerdict;

    fn verdict(&self) -> &ImportVerdict {
        &self.verdict
    }

    fn told(&self) -> String {
        let verdict = StepVerdict::from(&self.verdict);
        match &self.verdict {
            ImportVerdict::Accept(acceptance) if *acceptance != Acceptance::default() => {
                format!("accept with {acceptance:?} in a batch")
            }
            ImportVerdict::Accept(_) | ImportVerdict::Abstain | ImportVerdict::Reject => {
                format!("{verdict} in a batch")
            }
        }
    }
}

/// What to ask about again.
#[derive(Clone, Copy, Debug)]
struct Plan {
    sample_max: usize,
    turn: usize,
}

impl Record {
    /// What to ask about again of a batch of so many routes; `None` where nothing is.
    fn plan(&mut self, asked: usize) -> Option<Plan> {
        let sample_max = match self.trust {
            Trust::For(calls @ 1..) if asked < LARGE => {
                self.trust = Trust::For(calls - 1);
                return None;
            }
            Trust::For(_) => {
                self.trust = Trust::For(EVERY - 1);
                SAMPLE_MAX
            }
            Trust::Lost => usize::MAX,
        };
        let turn = self.checks;
        self.checks = self.checks.wrapping_add(1);
        Some(Plan { sample_max, turn })
    }
}

/// The places of the routes to ask about again, of `asked` in a batch: some of them from the back
/// to the front, the first of these twice in a row, and an odd number where `asked` is even and
/// the reverse.
fn places(asked: usize, Plan { sample_max, turn }: Plan) -> Vec<usize> {
    let sample = sample_max.min(asked);
    let stride = asked / sample;
    let first = asked - 1 - turn % asked;
    let mut places = vec![first];
    places.extend((0..sample).map(|nth| (first + asked - nth * stride) % asked));
    if places.len() % 2 == asked % 2 {
        places.pop();
    }
    places
}

fn counted(routes: usize) -> String {
    match routes {
        1 => "1 route".to_owned(),
        _ => format!("{routes} routes"),
    }
}
