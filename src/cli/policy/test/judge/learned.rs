//! Questions about learned routes.

use std::collections::BTreeMap;

use super::{Judged, Problem, Shown, because, held};
use crate::cases::{ExpectedImport, LearnedScene};
use crate::cli::policy::decisions;
use crate::cli::policy::learned::{self, Decided, kernel};
use crate::cli::policy::test::coverage::{Kind, Learned, Route};
use crate::cli::policy::test::snapshot::Snapshot;
use crate::cli::policy::workbench::LIMITS;
use crate::cli::text;
use crate::wasm::{Module, WasmImportPolicy};

/// Asks and compares.
///
/// # Errors
/// The module refuses the settings, or fails.
pub(super) fn judge(
    module: &Module,
    settings: &serde_json::Value,
    scene: &LearnedScene,
    snapshot: &Snapshot,
) -> anyhow::Result<Judged> {
    let policy = WasmImportPolicy::new(module, settings, LIMITS)?;
    let decided = learned::ask(&policy, scene)?;
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
    let Decided { prefix, answer } = decided;
    Shown {
        kind: Kind {
            route: Route::Learned(Learned::Learned),
            family: prefix.family(),
        },
        verdict: answer.verdict,
        reason: answer.reason.clone(),
        line: decided.to_string(),
    }
}

fn differences(expected: &[ExpectedImport], decided: &[Decided]) -> Vec<Problem> {
    let answers: BTreeMap<_, _> = decided
        .iter()
        .map(|decided| (decided.prefix, &decided.answer))
        .collect();
    let mut problems = Vec::new();
    for expectation in expected {
        let ExpectedImport {
            line,
            prefix,
            verdict,
            attributes,
            installation,
            reason,
        } = expectation;
        let Some(answer) = answers.get(prefix) else {
            // The scene found it among its routes, and each was decided.
            continue;
        };
        let reason = reason.as_deref().map(text::printable);
        let as_expected = answer.verdict == *verdict
            && answer.attributes == *attributes
            && answer.installation == *installation
            && (reason.is_none() || answer.reason == reason);
        if !as_expected {
            // Attributes are told wherever they are the difference.
            let tell = answer.attributes_changed || answer.attributes != *attributes;
            let told = |verdict, attributes, installation, reason: Option<&String>| {
                let words = decisions::with_attributes(verdict, attributes, tell);
                format!("{words}{}{}", kernel(installation), because(reason))
            };
            problems.push(Problem::Decision {
                line: *line,
                candidate: prefix.to_string(),
                expected: told(*verdict, attributes, *installation, reason.as_ref()),
                got: told(
                    answer.verdict,
                    &answer.attributes,
                    answer.installation,
                    answer.reason.as_ref(),
                ),
            });
        }
    }
    problems
}
