//! One question: it is put, and the answer is held against what the author expects.

mod announced;
mod learned;

use serde::Serialize;

use super::coverage::Kind;
use super::snapshot::{Compared, Snapshot};
use crate::cases::{Check, ExpectedVerdict, Question};
use crate::cli::policy::purpose;
use crate::cli::policy::workbench::LIMITS;
use crate::wasm::{Module, ModuleError};

/// What came of a question.
#[derive(Debug)]
pub(super) struct Judged {
    /// Every decision, for coverage and the snapshot; absent where there was none to be had.
    pub(super) decided: Option<Vec<Shown>>,
    /// Nothing where all is as expected.
    pub(super) problems: Vec<Problem>,
}

/// A decision, for coverage and the snapshot.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) kind: Kind,
    pub(super) verdict: ExpectedVerdict,
    pub(super) reason: Option<String>,
    /// All of it, in words.
    pub(super) line: String,
}

/// What is not as expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Problem {
    /// A decision is another one.
    Decision {
        /// Of the expectation.
        line: usize,
        /// The candidate, or the prefix of a learned route.
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
    /// There is no snapshot of the case.
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
    question: Question<'_>,
    snapshot: &Snapshot,
) -> Judged {
    if let Some(words) = question.refusal() {
        let problem = refusal(purpose::check_settings(module, settings, LIMITS), words);
        return Judged {
            decided: None,
            problems: problem.into_iter().collect(),
        };
    }
    let judged = match question {
        Question::Announced(scene) => announced::judge(module, settings, scene, snapshot),
        Question::Learned(scene) => learned::judge(module, settings, scene, snapshot),
    };
    judged.unwrap_or_else(|failure| Judged {
        decided: None,
        problems: vec![Problem::Module {
            message: format!("{failure:#}"),
        }],
    })
}

/// What is wrong with a refusal that should be in these words.
fn refusal(checked: Result<(), ModuleError>, expected: &str) -> Option<Problem> {
    let got = match checked {
        Ok(()) => "it takes them".to_owned(),
        Err(ModuleError::Settings { words, .. }) if words == expected => return None,
        Err(ModuleError::Settings { words, .. }) => format!("it says: {words}"),
        Err(other) => format!("{:#}", anyhow::Error::from(other)),
    };
    Some(Problem::Module {
        message: format!("the module should refuse the settings, saying: {expected}; {got}"),
    })
}

/// Holds the decisions against the expectations, or where there are none against the snapshot.
fn held<D>(
    name: &str,
    check: &Check<D>,
    decided: Vec<Shown>,
    snapshot: &Snapshot,
    differences: impl FnOnce(&[D]) -> Vec<Problem>,
) -> Judged {
    let problems = match check {
        Check::Decisions(expected) => differences(expected),
        Check::Snapshot | Check::Refusal(_) => {
            compare(snapshot, name, &decided).into_iter().collect()
        }
    };
    Judged {
        decided: Some(decided),
        problems,
    }
}

fn compare(snapshot: &Snapshot, name: &str, decided: &[Shown]) -> Option<Problem> {
    match snapshot.compare(name, decided) {
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

/// `, because: ...`, where there is a reason.
fn because(reason: Option<&String>) -> String {
    reason.map_or_else(String::new, |reason| format!(", because: {reason}"))
}
