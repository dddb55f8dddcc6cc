//! `rutter policy test [PATHS] --module MODULE`: case files against the compiled module.
//!
//! Files are read and understood by [`cases`](crate::cases), questions are put by
//! [`judge`], decisions without an expectation are compared with [`snapshot`]s. Neither a
//! cluster nor an agent is asked, and nothing but snapshots and the JUnit file is written.

mod coverage;
mod judge;
mod junit;
mod report;
mod snapshot;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::decisions;
use super::module::{self, SettingsArg};
use super::purpose;
use super::workbench::{Heard, listening};
use crate::cases::CaseFile;
use crate::cli::Outcome;
use crate::cli::output::{self, OutputFormat};
use crate::wasm::Module;
use coverage::Coverage;
use judge::judge;
use report::{CaseReport, FileReport, Report, Verdict};
use snapshot::Snapshot;

const DETAILS: &str = "\
A case file says in TOML what a node, its cluster and its peers are like, or what routes they \
announce, and what the policy should decide there; policies/README.md tells all of it. A file that `rutter policy record` made \
is a case file, too. Decisions that no case expects are compared with a snapshot beside the file \
(local.snap for local.toml), which --update writes.

Exit code 1 says that something is not as expected, or that a file is not valid.";

/// Run case files against a compiled module
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct TestArgs {
    /// Case files, or directories of them (*.toml)
    #[arg(value_name = "PATH", default_value = "cases")]
    paths: Vec<PathBuf>,

    /// The module, as the configuration writes it: builtin:default, or a file
    #[arg(long, value_name = "MODULE")]
    module: String,

    #[command(flatten)]
    settings: SettingsArg,

    /// Write the decisions of cases that state none to the snapshots beside the files
    #[arg(long)]
    update: bool,

    /// Write the result as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// What becomes of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Snapshots {
    Compare,
    Update,
}

/// Runs every case and tells what came of it.
///
/// # Errors
/// The module does not load, a file cannot be read or is not valid, or writing fails; a case
/// that fails is an answer.
pub(super) fn run(
    args: &TestArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let files = read_all(&case_files(&args.paths)?)?;
    let (engine, heard) = listening()?;
    let module = module::load(&engine, &args.module)?;
    let runner = Runner {
        module: &module,
        heard: &heard,
        settings: args.settings.read()?,
        snapshots: if args.update {
            Snapshots::Update
        } else {
            Snapshots::Compare
        },
    };
    let mut coverage = Coverage::new(module.purpose());
    let files = files
        .iter()
        .map(|file| runner.run(file, &mut coverage))
        .collect::<anyhow::Result<Vec<FileReport>>>()?;
    let description = module.description();
    let report = Report::new(&args.module, description, files, coverage.report());
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::xml(&report))
            .with_context(|| format!("cannot write the JUnit file {}", path.display()))?;
    }
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => report::print(&report, out)?,
    }
    Ok(if report.failed == 0 {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

/// The files that the paths name, in order, each once.
fn case_files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let shown = path.display();
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("cannot read the directory {shown}"))?;
        let mut inside: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
        inside.retain(|file| file.extension().is_some_and(|is| is == "toml"));
        inside.sort();
        anyhow::ensure!(
            !inside.is_empty(),
            "there is no case file (*.toml) in {shown}"
        );
        files.extend(inside);
    }
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// Every file, or what is wrong with all those that are not valid.
fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<CaseFile>> {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    for path in paths {
        match decisions::read(path) {
            Ok(file) => files.push(file),
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    anyhow::ensure!(errors.is_empty(), "{}", errors.join("\n"));
    Ok(files)
}

/// What all files have in common.
struct Runner<'a> {
    module: &'a Module,
    /// What it writes to the log.
    heard: &'a Heard,
    /// Of cases that state none.
    settings: serde_json::Value,
    snapshots: Snapshots,
}

impl Runner<'_> {
    fn run(&self, file: &CaseFile, coverage: &mut Coverage) -> anyhow::Result<FileReport> {
        let snapshot_path = snapshot::path_of(Path::new(&file.name));
        let before = Snapshot::read(&snapshot_path)?;
        let mut after = before.clone();
        let mut cases = Vec::new();
        coverage.declare(&file.reasons);
        for question in purpose::questions(file, self.module)? {
            let settings = match question.settings() {
                Some(settings) => settings.clone().into(),
                None => self.settings.clone(),
            };
            self.heard.take(); // by nobody's case
            let mut judged = judge(self.module, &settings, question, &before);
            let decided = judged.decided.as_deref();
            coverage.add(decided.unwrap_or_default());
            let mut verdict = Verdict::of(&judged.problems);
            if let (Snapshots::Update, true, Some(decided)) =
                (self.snapshots, question.has_snapshot(), decided)
            {
                after.insert(question.name(), decided);
                if verdict == Verdict::Failed {
                    verdict = Verdict::Updated;
                    judged.problems.clear();
                }
            }
            cases.push(CaseReport {
                name: question.name().to_owned(),
                line: question.line(),
                verdict,
                decisions: decided.map_or(0, <[_]>::len),
                log: self.heard.take(),
                problems: judged.problems,
            });
        }
        let stale = before.stale(file);
        if self.snapshots == Snapshots::Update {
            after.remove(&stale);
            after.write(&snapshot_path)?;
        }
        Ok(FileReport {
            file: file.name.clone(),
            cases,
            stale_snapshots: match self.snapshots {
                Snapshots::Compare => stale,
                Snapshots::Update => Vec::new(),
            },
        })
    }
}
