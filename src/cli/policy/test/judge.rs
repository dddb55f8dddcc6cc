//! One scene: the question is put, and the answer is held against what the author expects.

use std::collections::BTreeMap;

use serde::Serialize;

use super::snapshot::{Compared, Snapshot};
use crate::cases::{Check, ExpectedDecision, Scene};
use crate::cli::policy::decisions::{self, Decided, LIMITS};
use crate::cli::text;
use crate::wasm::{Module, ModuleError, WasmPolicy};

/// What came of a scene.
#[derive(Debug)]
pub(super) struct Judged {
    /// Every decision, for coverage and the snapshot; absent where there was none to be had.
    pub(super) decided: Option<Vec<Decided>>,
    /// Nothing where all is as expected.
    pub(super) problems: Vec<Problem>,
}

/// What is not as expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Problem {
    /// A decision is another one.
    Decision {
        /// Of the expectation.
        line: usize,
        candidate: String,
        expected: String,
        got: String,
    },
    /// The snapshot has other decisions. Lines of the snapshot file.
    Snapshot {
        /// In the snapshot only.
        missing: Vec<String>,
        /// Decided, but not in the snapshot.
        unexpected: Vec<String>,
    },
    /// There is no snapshot of the scene.
    NoSnapshot,
    /// The module failed, refused the settings, or did not.
    Module {
        /// In its words.
        message: String,
    },
}

/// Asks and compares.
pub(super) fn judge(
    module: &Module,
    settings: &serde_json::Value,
    scene: &Scene,
    snapshot: &Snapshot,
) -> Judged {
    let policy = WasmPolicy::new(module, settings, LIMITS);
    let policy = match (policy, &scene.check) {
        (Ok(policy), Check::Decisions(_) | Check::Snapshot) => policy,
        (refused, Check::Refusal(words)) => return Judged::undecided(refusal(refused, words)),
        (Err(refused), Check::Decisions(_) | Check::Snapshot) => {
            return Judged::undecided(Some(message(&refused.into())));
        }
    };
    let decided = match decisions::ask(&policy, scene) {
        Ok(decided) => decided,
        Err(failure) => return Judged::undecided(Some(message(&failure.into()))),
    };
    let problems = match &scene.check {
        Check::Decisions(expected) => differences(expected, &decided),
        Check::Snapshot | Check::Refusal(_) => {
            compare(snapshot, scene, &decided).into_iter().collect()
        }
    };
    Judged {
        decided: Some(decided),
        problems,
    }
}

impl Judged {
    fn undecided(problem: Option<Problem>) -> Self {
        Self {
            decided: None,
            problems: problem.into_iter().collect(),
        }
    }
}

fn message(error: &anyhow::Error) -> Problem {
    Problem::Module {
        message: format!("{error:#}"),
    }
}

/// What is wrong with a refusal that should be in these words.
fn refusal(policy: Result<WasmPolicy, ModuleError>, expected: &str) -> Option<Problem> {
    let got = match policy {
        Ok(_) => "it takes them".to_owned(),
        Err(ModuleError::Settings { words, .. }) if words == expected => return None,
        Err(ModuleError::Settings { words, .. }) => format!("it says: {words}"),
        Err(other) => format!("{:#}", anyhow::Error::from(other)),
    };
    Some(Problem::Module {
        message: format!("the module should refuse the settings, saying: {expected}; {got}"),
    })
}

fn differences(expected: &[ExpectedDecision], decided: &[Decided]) -> Vec<Problem> {
    let answers: BTreeMap<_, _> = decided
        .iter()
        .map(|decided| (&decided.candidate, &decided.answer))
        .collect();
    let mut problems = Vec::new();
    for expectation in expected {
        let ExpectedDecision {
            line,
            candidate,
            verdict,
            attributes,
            reason,
        } = expectation;
        let Some(answer) = answers.get(candidate) else {
            // The scene found it among its candidates, and each was decided.
            continue;
        };
        let reason = reason.as_deref().map(text::printable);
        let as_expected = answer.verdict == *verdict
            && answer.attributes == *attributes
            && (reason.is_none() || answer.reason == reason);
        if !as_expected {
            // Attributes are told wherever they are the difference.
            let tell = answer.attributes_changed || answer.attributes != *attributes;
            let told = |verdict, attributes, reason: Option<&String>| {
                let reason = reason.map_or_else(String::new, |r| format!(", because: {r}"));
                format!(
                    "{}{reason}",
                    decisions::with_attributes(verdict, attributes, tell)
                )
            };
            problems.push(Problem::Decision {
                line: *line,
                candidate: decisions::shown(candidate),
                expected: told(*verdict, attributes, reason.as_ref()),
                got: told(answer.verdict, &answer.attributes, answer.reason.as_ref()),
            });
        }
    }
    problems
}

fn compare(snapshot: &Snapshot, scene: &Scene, decided: &[Decided]) -> Option<Problem> {
    match snapshot.compare(&scene.name, decided) {
        Compared::Same => None,
        Compared::Absent => Some(Problem::NoSnapshot),
        Compared::Differs {
            missing,
            unexpected,
        } => Some(Problem::Snapshot {
            missing,
            unexpected,
        }),
    }
}
