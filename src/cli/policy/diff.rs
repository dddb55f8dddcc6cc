//! `rutter policy diff OLD NEW --batch FILE`: what one module announces of a recording, beside
//! another.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::chain::{self, Chosen, Played};
use super::module::SettingsArg;
use super::replay::decided;
use crate::api::DecisionReport;
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};
use crate::types::Prefix;
use crate::wasm::Engine;

const DETAILS: &str = "\
Each module runs alone, or with --as in the place of a policy of the recorded chain. Compared is \
what peers would be sent: routes that are added (+), withdrawn (-) or announced with other \
attributes (~). That there are differences is no failure.";

/// Compare what two modules announce of a recording
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct DiffArgs {
    /// The module to compare with, as the configuration writes it
    #[arg(value_name = "OLD")]
    old: String,

    /// The module that would take its place
    #[arg(value_name = "NEW")]
    new: String,

    /// What `rutter policy record` printed
    #[arg(long, value_name = "FILE")]
    batch: PathBuf,

    #[command(flatten)]
    settings: SettingsArg,

    /// The settings of NEW, where they are others
    #[arg(long, value_name = "FILE")]
    new_settings: Option<PathBuf>,

    /// Run the recorded chain with each module in place of this policy, with its settings unless
    /// there are others
    #[arg(long = "as", value_name = "POLICY")]
    place: Option<String>,
}

/// What differs; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    pub(super) added: usize,
    pub(super) withdrawn: usize,
    pub(super) changed: usize,
    pub(super) same: usize,
    pub(super) groups: Vec<GroupReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct GroupReport {
    /// As scenes are called: `towards tor`.
    pub(super) name: String,
    pub(super) routes: Vec<Difference>,
}

/// A prefix that is not announced alike.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Difference {
    pub(super) prefix: Prefix,
    pub(super) kind: DifferenceKind,
    pub(super) old: DecisionReport,
    pub(super) new: DecisionReport,
}

/// What would happen to a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DifferenceKind {
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
    args: &DiffArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let file = chain::read(&args.batch)?;
    let engine = Engine::new()?;
    let new_settings = SettingsArg::new(args.new_settings.clone());
    let chain = |module, settings| {
        let chosen = Chosen {
            module,
            settings,
            place: args.place.as_deref(),
        };
        chain::links(&engine, &file, chosen)
    };
    let old = chain(&args.old, &args.settings)?;
    let new = chain(
        &args.new,
        if new_settings.is_given() {
            &new_settings
        } else {
            &args.settings
        },
    )?;
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
