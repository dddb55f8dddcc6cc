//! Questions about candidates.

use std::collections::BTreeMap;

use super::{Judged, Problem, Shown, because, held};
use crate::cases::{ExpectedDecision, RouteKind, Scene};
use crate::cli::policy::decisions::{self, Decided};
use crate::cli::policy::test::coverage::{Kind, Route};
use crate::cli::policy::test::snapshot::Snapshot;
use crate::cli::policy::workbench::LIMITS;
use crate::cli::text;
use crate::wasm::{Module, WasmPolicy};

/// Asks and compares.
///
/// # Errors
/// The module refuses the settings, or fails.
pub(super) fn judge(
    module: &Module,
    settings: &serde_json::Value,
    scene: &Scene,
    snapshot: &Snapshot,
) -> anyhow::Result<Judged> {
    let policy = WasmPolicy::new(module, settings, LIMITS)?;
    let decided = decisions::ask(&policy, scene)?;
    let shown = decided.iter().map(shown).collect();
    Ok(held(
        &scene.name,
        &scene.check,
        shown,
        snapshot,
        |expected| differences(expected, &decided),
    ))
}

fn shown(decided: &Decided) -> Shown {
    let Decided { candidate, answer } = decided;
    Shown {
        kind: Kind {
            route: Route::Candidate(RouteKind::from(&candidate.origin)),
            family: candidate.prefix.family(),
        },
        verdict: answer.verdict,
        reason: answer.reason.clone(),
        line: decided.to_string(),
    }
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
                let words = decisions::with_attributes(verdict, attributes, tell);
                format!("{words}{}", because(reason))
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
