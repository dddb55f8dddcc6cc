//! Which questions of a file a module can be asked: a module decides on announced routes, on learned
//! ones, or on both, and so does a file ask about them.

use crate::cases::{Asks, CaseFile, Question};
use crate::wasm::{Limits, Module, ModuleError, Purpose, WasmImportPolicy, WasmPolicy};

/// What a question is about.
pub(super) fn of(question: Question<'_>) -> Purpose {
    match question {
        Question::Announced(_) => Purpose::Announce,
        Question::Learned(_) => Purpose::Learn,
    }
}

/// The questions of a file to a module. A recording has those of both kinds, and the module is
/// asked its own.
///
/// # Errors
/// A case asks about routes that the module does not decide on, or the file has nothing else.
pub(super) fn questions<'a>(
    file: &'a CaseFile,
    module: &Module,
) -> anyhow::Result<Vec<Question<'a>>> {
    let purpose = module.purpose();
    let mut questions = file.questions();
    // What is refused are settings, whatever the file has routes of.
    let serves =
        |question: &Question<'_>| question.refusal().is_some() || purpose.serves(of(*question));
    let name = &module.description().name;
    if let Some(other) = questions.iter().find(|question| !serves(question)) {
        let asks = of(*other);
        let line = other.line();
        match file.asks {
            Asks::Cases => anyhow::bail!(
                "{}:{line}: case {:?}: it asks about {asks}, and {name} decides on {purpose}; {}",
                file.name,
                other.name(),
                instead(purpose)
            ),
            Asks::Everything => {
                questions.retain(serves);
                anyhow::ensure!(
                    !questions.is_empty(),
                    "{} has nothing but {asks}, and {name} decides on {purpose}; {}",
                    file.name,
                    instead(purpose)
                );
            }
        }
    }
    Ok(questions)
}

/// What a file for a module of this purpose has.
fn instead(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Announce => "give it [node], [advertise] and [[services]]",
        Purpose::Learn | Purpose::Both => "give it [[learned]] routes",
    }
}

/// Lets a module check settings, for whatever it decides on.
///
/// # Errors
/// As [`WasmPolicy::new`].
pub(super) fn check_settings(
    module: &Module,
    settings: &serde_json::Value,
    limits: Limits,
) -> Result<(), ModuleError> {
    match module.purpose() {
        Purpose::Announce | Purpose::Both => WasmPolicy::new(module, settings, limits).map(drop),
        Purpose::Learn => WasmImportPolicy::new(module, settings, limits).map(drop),
    }
}
