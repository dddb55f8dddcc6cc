//! `rutter policy diff OLD NEW --batch FILE`: what one module announces of a recording, beside
//! another.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::api::DecisionReport;
use crate::cli::output::{self, OutputFormat};
use crate::cli::policy::chain::{self, Chosen, Played};
use crate::cli::policy::module::SettingsArg;
use crate::cli::policy::replay::decided;
use crate::cli::{Outcome, text};
use crate::types::Prefix;
use crate::wasm::Engine;

/// Two modules, and the recording to compare them on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison<'a> {
    pub(super) old: &'a str,
    pub(super) new: &'a str,
    pub(super) batch: &'a Path,
    pub(super) settings: &'a SettingsArg,
    /// The settings of the new one.
    pub(super) new_settings: &'a SettingsArg,
    /// The recorded policy that each takes the place of; alone where absent.
    pub(super) place: Option<&'a str>,
}

/// What differs; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    added: usize,
    withdrawn: usize,
    changed: usize,
    same: usize,
    groups: Vec<GroupReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct GroupReport {
    /// As scenes are called: `towards tor`.
    name: String,
    routes: Vec<Difference>,
}

/// A prefix that is not announced alike.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Difference {
    prefix: Prefix,
    kind: DifferenceKind,
    old: DecisionReport,
    new: DecisionReport,
}

/// What would happen to a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum DifferenceKind {
    Added,
    Withdrawn,
    /// Announced with other attributes.
    Changed,
}

/// Every prefix with its first accepted candidate's decision, or a rejection.
type Routes = BTreeMap<Prefix, DecisionReport>;

/// Decides with both, compares and prints.
///
/// # Errors
/// The file is not valid, a module does not load, or fails.
pub(super) fn run(
    comparison: Comparison<'_>,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let Comparison {
        old,
        new,
        batch,
        settings,
        new_settings,
        place,
    } = comparison;
    let file = chain::read(batch)?;
    let engine = Engine::new()?;
    let chain = |module, settings| {
        let chosen = Chosen {
            module,
            settings,
            place,
        };
        chain::links(&engine, &file, chosen)
    };
    let old = chain(old, settings)?;
    let new = chain(new, new_settings)?;
    let mut report = Report {
        added: 0,
        withdrawn: 0,
        changed: 0,
        same: 0,
        groups: Vec::new(),
    };
    for scene in &file.scenes {
        let old = routes(&chain::play(&file, &old, scene)?);
        let new = routes(&chain::play(&file, &new, scene)?);
        report.add(&scene.name, old, new);
    }
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(Outcome::Done)
}

/// As routes are announced: the first accepted candidate of a prefix speaks for it.
fn routes(played: &Played<'_>) -> Routes {
    let mut routes = Routes::new();
    for (key, decision) in played.decisions() {
        let route = routes.entry(key.prefix).or_insert_with(|| decision.clone());
        if !route.accepted && decision.accepted {
            *route = decision;
        }
    }
    routes
}

impl Report {
    /// Both were asked about the same prefixes.
    fn add(&mut self, group: &str, old: Routes, mut new: Routes) {
        let mut differences = Vec::new();
        for (prefix, old) in old {
            let Some(new) = new.remove(&prefix) else {
                continue;
            };
            let kind = match (old.accepted, new.accepted) {
                (false, false) => continue,
                (true, true) if old.attributes == new.attributes => {
                    self.same += 1;
                    continue;
                }
                (true, true) => DifferenceKind::Changed,
                (false, true) => DifferenceKind::Added,
                (true, false) => DifferenceKind::Withdrawn,
            };
            *match kind {
                DifferenceKind::Added => &mut self.added,
                DifferenceKind::Withdrawn => &mut self.withdrawn,
                DifferenceKind::Changed => &mut self.changed,
            } += 1;
            differences.push(Difference {
                prefix,
                kind,
                old,
                new,
            });
        }
        self.groups.push(GroupReport {
            name: group.to_owned(),
            routes: differences,
        });
    }
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for group in &report.groups {
        writeln!(out, "{}", text::printable(&group.name))?;
        if group.routes.is_empty() {
            writeln!(out, "  no difference")?;
        }
        for route in &group.routes {
            print_difference(route, out)?;
        }
        writeln!(out)?;
    }
    let Report {
        added,
        withdrawn,
        changed,
        same,
        groups: _,
    } = report;
    writeln!(
        out,
        "{added} added, {withdrawn} withdrawn, {changed} changed, {same} the same"
    )
}

fn print_difference(difference: &Difference, out: &mut dyn Write) -> io::Result<()> {
    let Difference {
        prefix,
        kind,
        old,
        new,
    } = difference;
    match kind {
        DifferenceKind::Added => writeln!(out, "  + {prefix}: {}", decided(new)),
        DifferenceKind::Withdrawn => writeln!(out, "  - {prefix}: {}", decided(new)),
        DifferenceKind::Changed => {
            writeln!(out, "  ~ {prefix}: {}", decided(old))?;
            let indent = prefix.to_string().len();
            writeln!(out, "    {:indent$}  {}", "", decided(new))
        }
    }
}

#[cfg(test)]
mod tests;
