//! What came of a run: the document of `-o json`, and the text that people read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::Serialize;

use super::coverage::{CoverageReport, Kind, Verdicts};
use super::judge::Problem;
use crate::cli::policy::workbench::LogLine;
use crate::cli::text;
use crate::types::Family;
use crate::wasm::Description;

/// A run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    /// As the command line names it.
    pub(super) module: String,
    /// As it calls itself.
    pub(super) name: String,
    pub(super) version: String,
    pub(super) passed: usize,
    /// Cases, and snapshots of cases that are gone.
    pub(super) failed: usize,
    /// Cases whose snapshot was written.
    pub(super) updated: usize,
    pub(super) files: Vec<FileReport>,
    pub(super) coverage: CoverageReport,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct FileReport {
    pub(super) file: String,
    pub(super) cases: Vec<CaseReport>,
    /// Cases that only the snapshot has.
    pub(super) stale_snapshots: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CaseReport {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) verdict: Verdict,
    /// How many candidates or learned routes were decided about.
    pub(super) decisions: usize,
    /// What the module wrote to the log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) log: Vec<LogLine>,
    pub(super) problems: Vec<Problem>,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    Passed,
    Failed,
    Updated,
}

impl Verdict {
    pub(super) fn of(problems: &[Problem]) -> Self {
        if problems.is_empty() {
            Self::Passed
        } else {
            Self::Failed
        }
    }
}

impl Report {
    pub(super) fn new(
        module: &str,
        description: &Description,
        files: Vec<FileReport>,
        coverage: CoverageReport,
    ) -> Self {
        let count = |verdict| {
            let cases = files.iter().flat_map(|file| &file.cases);
            cases.filter(|case| case.verdict == verdict).count()
        };
        let stale: usize = files.iter().map(|file| file.stale_snapshots.len()).sum();
        Self {
            module: module.to_owned(),
            name: description.name.clone(),
            version: description.version.clone(),
            passed: count(Verdict::Passed),
            failed: count(Verdict::Failed) + stale,
            updated: count(Verdict::Updated),
            files,
            coverage,
        }
    }
}

/// What is wrong, line by line; the first line names a place where there is one.
pub(super) fn lines(file: &FileReport, case: &CaseReport, problem: &Problem) -> Vec<String> {
    let at = |line: usize| format!("{}:{line}: ", file.file);
    let here = at(case.line);
    let lines = match problem {
        Problem::Decision {
            line,
            candidate,
            expected,
            got,
        } => vec![
            format!("{}{candidate}", at(*line)),
            format!("  expected {expected}"),
            format!("  got {got}"),
        ],
        Problem::Snapshot {
            missing,
            unexpected,
        } => {
            let mut lines = vec![format!(
                "{here}not as in the snapshot; if it is meant so, run again with --update"
            )];
            lines.extend(difference(missing, unexpected));
            lines
        }
        Problem::NoSnapshot => vec![format!(
            "{here}states no decision and has no snapshot; write expect, or run with --update and \
             read what it writes"
        )],
        Problem::Module { message } => vec![format!("{here}{message}")],
    };
    lines.into_iter().map(|line| printable(&line)).collect()
}

/// Lines of the snapshot with their sign, what belongs to one candidate together.
fn difference(missing: &[String], unexpected: &[String]) -> Vec<String> {
    let mut replaced: BTreeSet<&String> = BTreeSet::new();
    let by_subject: BTreeMap<&str, &String> = unexpected
        .iter()
        .map(|line| (subject(line), line))
        .collect();
    let mut lines = Vec::new();
    for line in missing {
        lines.push(format!("  - {line}"));
        if let Some(line) = by_subject.get(subject(line)) {
            lines.push(format!("  + {line}"));
            replaced.insert(line);
        }
    }
    let new = unexpected.iter().filter(|line| !replaced.contains(line));
    lines.extend(new.map(|line| format!("  + {line}")));
    lines
}

/// What a line of a snapshot is about.
fn subject(line: &str) -> &str {
    line.split(": ").next().unwrap_or_default()
}

/// [`text::printable`] that leaves the indent.
fn printable(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    format!("{:indent$}{}", "", text::printable(line))
}

/// For people.
pub(super) fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for file in &report.files {
        writeln!(out, "{}", text::printable(&file.file))?;
        for case in &file.cases {
            let verdict = match case.verdict {
                Verdict::Passed => "ok     ",
                Verdict::Failed => "FAILED ",
                Verdict::Updated => "updated",
            };
            writeln!(out, "  {verdict} {}", text::printable(&case.name))?;
            for line in &case.log {
                writeln!(out, "          {}", line.told())?;
            }
            for problem in &case.problems {
                for line in lines(file, case, problem) {
                    writeln!(out, "          {line}")?;
                }
            }
        }
        for name in &file.stale_snapshots {
            writeln!(
                out,
                "  FAILED  the snapshot has a case that the file has not: {}; run with --update",
                text::printable(name)
            )?;
        }
        writeln!(out)?;
    }
    print_coverage(&report.coverage, out)?;
    let Report {
        passed,
        failed,
        updated,
        name,
        version,
        ..
    } = report;
    let updated = match updated {
        0 => String::new(),
        number => format!(", {number} updated"),
    };
    writeln!(
        out,
        "{} {}: {passed} passed, {failed} failed{updated}",
        text::printable(name),
        text::printable(version)
    )
}

fn print_coverage(coverage: &CoverageReport, out: &mut dyn Write) -> io::Result<()> {
    let CoverageReport {
        decisions,
        asked: _, // in the document only
        never_asked,
        reasons_never_seen,
        reasons_not_declared,
    } = coverage;
    let Verdicts {
        accept,
        reject,
        abstain,
    } = decisions;
    writeln!(
        out,
        "decisions: {accept} accept, {reject} reject, {abstain} abstain"
    )?;
    if !never_asked.is_empty() {
        let kinds: Vec<String> = never_asked.iter().map(kind).collect();
        writeln!(out, "never asked about: {}", kinds.join(", "))?;
    }
    for reason in reasons_never_seen {
        writeln!(out, "reason never seen: {}", text::printable(reason))?;
    }
    for reason in reasons_not_declared {
        writeln!(
            out,
            "reason that no file declares: {}",
            text::printable(reason)
        )?;
    }
    Ok(())
}

fn kind(kind: &Kind) -> String {
    let family = match kind.family {
        Family::Ipv4Unicast => "IPv4",
        Family::Ipv6Unicast => "IPv6",
    };
    format!("{} {family}", kind.route.name())
}
