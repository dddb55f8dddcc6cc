//! Decisions written down: beside `local.toml`, `local.snap` has those of every case that states
//! none itself, a line each, so that a change reads as a change in review.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::judge::Shown;
use crate::cases::CaseFile;

const HEADING: &str =
    "# Decisions of the cases that state none. Written by `rutter policy test --update`.\n";

/// Stands for a case that asks about nothing.
const NO_CANDIDATE: &str = "(no candidate)";

/// One file's snapshot: the lines of each case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    cases: BTreeMap<String, Vec<String>>,
}

/// A snapshot beside decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    Same,
    Differs {
        missing: Vec<String>,
        unexpected: Vec<String>,
    },
    Absent,
}

/// Where the snapshot of a file is.
pub(super) fn path_of(cases: &Path) -> PathBuf {
    cases.with_extension("snap")
}

impl Snapshot {
    /// Reads one; a file that is not there is empty.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                Err(error).with_context(|| format!("cannot read the snapshot {}", path.display()))
            }
        }
    }

    fn parse(text: &str) -> Self {
        let mut snapshot = Self::default();
        let mut lines: Option<&mut Vec<String>> = None;
        for line in text.lines().map(str::trim_end) {
            let name = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'));
            if let Some(name) = name {
                lines = Some(snapshot.cases.entry(name.to_owned()).or_default());
            } else if let Some(lines) = &mut lines
                && !line.is_empty()
                && !line.starts_with('#')
            {
                lines.push(line.to_owned());
            }
        }
        snapshot
    }

    /// Takes a case's decisions down.
    pub(super) fn insert(&mut self, case: &str, decided: &[Shown]) {
        self.cases.insert(case.to_owned(), lines(decided));
    }

    /// What differs between a case's lines and its decisions.
    pub(super) fn compare(&self, case: &str, decided: &[Shown]) -> Compared {
        let Some(before) = self.cases.get(case) else {
            return Compared::Absent;
        };
        let after = lines(decided);
        if *before == after {
            return Compared::Same;
        }
        let only_in = |these: &[String], those: &[String]| {
            let those: BTreeSet<&String> = those.iter().collect();
            let only = these.iter().filter(|line| !those.contains(line));
            only.cloned().collect()
        };
        Compared::Differs {
            missing: only_in(before, &after),
            unexpected: only_in(&after, before),
        }
    }

    /// The cases that it has and that the file does not have, or not without expectations.
    pub(super) fn stale(&self, file: &CaseFile) -> Vec<String> {
        let uses = |name: &String| {
            let questions = file.questions();
            let mut uses = questions.iter();
            uses.any(|question| question.has_snapshot() && question.name() == name)
        };
        self.cases
            .keys()
            .filter(|name| !uses(name))
            .cloned()
            .collect()
    }

    /// Forgets cases.
    pub(super) fn remove(&mut self, names: &[String]) {
        self.cases.retain(|name, _| !names.contains(name));
    }

    /// Makes the file at `path` say the same; where there is nothing to say, there is no file.
    ///
    /// # Errors
    /// It cannot be written or removed.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let context = || format!("cannot write the snapshot {}", path.display());
        if self.cases.is_empty() {
            return match std::fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed.with_context(context),
            };
        }
        if Self::read(path)? == *self {
            return Ok(());
        }
        let mut text = HEADING.to_owned();
        for (case, lines) in &self.cases {
            // Writing to a string does not fail.
            let _ = write!(text, "\n[{case}]\n{}\n", lines.join("\n"));
        }
        std::fs::write(path, text).with_context(context)
    }
}

fn lines(decided: &[Shown]) -> Vec<String> {
    if decided.is_empty() {
        return vec![NO_CANDIDATE.to_owned()];
    }
    decided.iter().map(|shown| shown.line.clone()).collect()
}
