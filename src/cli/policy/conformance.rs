//! `rutter policy conformance MODULE`: whether a module keeps the contract's promises, however it
//! is asked.
//!
//! What can be checked from outside: a module that breaks its promises only for what is not asked
//! here passes. The questions are the author's own where there is a file, else a
//! [`situation`] that has a bit of everything.

mod situation;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::decisions;
use super::module::{ModuleArg, SettingsArg};
use super::workbench::{LIMITS, engine};
use super::{learned, purpose};
use crate::cases::{CaseFile, LearnedScene, Question, Scene};
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};
use crate::policy::PolicyFailure;
use crate::wasm::conformance::{Trial, Violation, check, check_imports};
use crate::wasm::{Module, ModuleError, WasmImportPolicy, WasmPolicy};

const DETAILS: &str = "\
The agent splits batches, reorders them and remembers decisions. So a decision may depend on \
nothing but the settings, the node, the peer group and the candidate itself, or the peer and the \
learned route; a module for which that is not so makes routes flap. Here a module is asked in every way that must make no difference.";

/// Check that a module keeps the contract's promises
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct ConformanceArgs {
    #[command(flatten)]
    module: ModuleArg,

    #[command(flatten)]
    settings: SettingsArg,

    /// What to ask about: a case file, or what `rutter policy record` printed; without it, a
    /// situation that has a bit of everything
    #[arg(long, value_name = "FILE")]
    batch: Option<PathBuf>,

    /// Orders and parts follow from this number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// What was found; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    module: String,
    conformant: bool,
    seed: u64,
    /// How many batches it was asked about, and what they had together.
    batches: usize,
    candidates: usize,
    learned_routes: usize,
    checks: Vec<CheckReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct CheckReport {
    check: String,
    result: CheckResult,
    /// What went wrong.
    problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum CheckResult {
    Ok,
    Failed,
    /// A check before it failed.
    NotRun,
}

/// What is checked, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    Loads,
    RefusesInWords,
    TakesSettings,
    PossibleAnswers,
    Same(Trial),
}

/// The first check that failed.
struct Broken {
    promise: Promise,
    problem: String,
}

/// Checks and prints.
///
/// # Errors
/// The file is not valid, or the engine does not start; a module that fails is an answer.
pub(super) fn run(
    args: &ConformanceArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let file = match &args.batch {
        Some(path) => decisions::read(path)?,
        None => CaseFile::from_document("the situation", situation::document())?,
    };
    let settings = args.settings.read()?;
    let loaded = args.module.load(&engine()?);
    let mut questions = match &loaded {
        Ok(module) => purpose::questions(&file, module)?,
        Err(_) => file.questions(),
    };
    questions.retain(|question| question.refusal().is_none());
    let broken = examine(loaded, &questions, &settings, args.seed).err();
    let count = |of: fn(&Question<'_>) -> usize| questions.iter().map(of).sum();
    let report = Report {
        module: args.module.text().to_owned(),
        conformant: broken.is_none(),
        seed: args.seed,
        batches: questions.len(),
        candidates: count(|question| match question {
            Question::Announced(scene) => scene.candidates.len(),
            Question::Learned(_) => 0,
        }),
        learned_routes: count(|question| match question {
            Question::Announced(_) => 0,
            Question::Learned(scene) => scene.routes.len(),
        }),
        checks: checks(broken),
    };
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(if report.conformant {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

/// A question with the policy that it is put to.
enum Asked<'a> {
    Announced(&'a Scene, WasmPolicy),
    Learned(&'a LearnedScene, WasmImportPolicy),
}

/// Asks until a promise is broken.
fn examine(
    loaded: anyhow::Result<Module>,
    questions: &[Question<'_>],
    settings: &serde_json::Value,
    seed: u64,
) -> Result<(), Broken> {
    let module = loaded.map_err(|error| Promise::Loads.broken(&error))?;
    refuses_in_words(&module)?;
    let mut asked = Vec::new();
    for question in questions {
        let own = question.settings().cloned().map(serde_json::Value::from);
        let policy = Asked::new(&module, *question, own.as_ref().unwrap_or(settings));
        asked.push(policy.map_err(|error| Promise::TakesSettings.broken(&error.into()))?);
    }
    for asked in &asked {
        asked.ask().map_err(|failure| {
            let error = anyhow::Error::from(failure).context(asked.name().to_owned());
            Promise::PossibleAnswers.broken(&error)
        })?;
    }
    for asked in &asked {
        asked.check(seed).map_err(|violation| {
            let promise = Promise::Same(violation.trial());
            // A violation's message has its cause in it.
            let problem = format!("{}: {violation}", asked.name());
            Broken { promise, problem }
        })?;
    }
    Ok(())
}

impl<'a> Asked<'a> {
    fn new(
        module: &Module,
        question: Question<'a>,
        settings: &serde_json::Value,
    ) -> Result<Self, ModuleError> {
        Ok(match question {
            Question::Announced(scene) => {
                Self::Announced(scene, WasmPolicy::new(module, settings, LIMITS)?)
            }
            Question::Learned(scene) => {
                Self::Learned(scene, WasmImportPolicy::new(module, settings, LIMITS)?)
            }
        })
    }

    fn name(&self) -> &str {
        match self {
            Self::Announced(scene, _) => &scene.name,
            Self::Learned(scene, _) => &scene.name,
        }
    }

    fn ask(&self) -> Result<(), PolicyFailure> {
        match self {
            Self::Announced(scene, policy) => decisions::ask(policy, scene).map(drop),
            Self::Learned(scene, policy) => learned::ask(policy, scene).map(drop),
        }
    }

    fn check(&self, seed: u64) -> Result<(), Violation> {
        match self {
            Self::Announced(scene, policy) => {
                let routes = decisions::routes(scene);
                check(policy, &decisions::batch(scene, &routes), seed)
            }
            Self::Learned(scene, policy) => {
                let routes = learned::routes(scene);
                check_imports(policy, &learned::batch(scene, &routes), seed)
            }
        }
    }
}

/// Whether nonsense leads to a refusal, or is taken, but never makes the module fail.
fn refuses_in_words(module: &Module) -> Result<(), Broken> {
    let nonsense = [
        json!(null),
        json!([]),
        json!("text"),
        json!(1.5),
        json!({"": {"": [[[]]]}}),
        json!({"\u{0}\u{1F600}": "\u{FFFD}"}),
    ];
    for settings in nonsense {
        match purpose::check_settings(module, &settings, LIMITS) {
            Ok(()) | Err(ModuleError::Settings { .. }) => {}
            Err(other) => {
                let error = anyhow::Error::from(other).context(settings.to_string());
                return Err(Promise::RefusesInWords.broken(&error));
            }
        }
    }
    Ok(())
}

impl Promise {
    fn all() -> impl Iterator<Item = Self> {
        let first = [
            Self::Loads,
            Self::RefusesInWords,
            Self::TakesSettings,
            Self::PossibleAnswers,
        ];
        first.into_iter().chain(Trial::ALL.map(Self::Same))
    }

    fn broken(self, error: &anyhow::Error) -> Broken {
        Broken {
            promise: self,
            problem: format!("{error:#}"),
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loads => "it loads, and imports nothing but the log",
            Self::RefusesInWords => "it does not fail over settings that make no sense",
            Self::TakesSettings => "it takes the settings",
            Self::PossibleAnswers => "its answers are possible",
            Self::Same(trial) => return write!(f, "the same decisions: {trial}"),
        })
    }
}

/// Every check, told by the one that failed.
fn checks(broken: Option<Broken>) -> Vec<CheckReport> {
    let mut result = CheckResult::Ok;
    let mut checks = Vec::new();
    for promise in Promise::all() {
        let problem = match &broken {
            Some(broken) if broken.promise == promise => Some(broken.problem.clone()),
            Some(_) | None => None,
        };
        checks.push(CheckReport {
            check: promise.to_string(),
            result: if problem.is_some() {
                CheckResult::Failed
            } else {
                result
            },
            problem,
        });
        if checks.iter().any(|check| check.problem.is_some()) {
            result = CheckResult::NotRun;
        }
    }
    checks
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for CheckReport {
        check,
        result,
        problem,
    } in &report.checks
    {
        let result = match result {
            CheckResult::Ok => "ok     ",
            CheckResult::Failed => "FAILED ",
            CheckResult::NotRun => "not run",
        };
        writeln!(out, "{result} {check}")?;
        if let Some(problem) = problem {
            writeln!(out, "        {}", text::printable(problem))?;
        }
    }
    let Report {
        conformant,
        seed,
        batches,
        candidates,
        learned_routes,
        module: _, // is what was typed
        checks: _,
    } = report;
    let verdict = if *conformant {
        "conformant"
    } else {
        "not conformant"
    };
    let kinds = [(candidates, "candidate"), (learned_routes, "learned route")];
    let asked: Vec<String> = kinds
        .iter()
        .filter(|(number, _)| **number > 0)
        .map(|(number, noun)| text::count(**number as u64, noun))
        .collect();
    let asked = match asked.as_slice() {
        [] => "nothing".to_owned(),
        kinds => kinds.join(" and "),
    };
    writeln!(
        out,
        "{verdict}, asked about {asked} in {} with seed {seed}",
        // No noun that `count` could make plural.
        match batches {
            1 => "1 batch".to_owned(),
            several => format!("{several} batches"),
        }
    )
}

#[cfg(test)]
mod tests;
