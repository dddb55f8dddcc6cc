//! `rutter policy diff OLD NEW --batch FILE`: what one module announces of a recording, or uses of
//! its learned routes, beside another.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::api::DecisionReport;
use crate::cases::CaseFile;
use crate::cli::output::{self, OutputFormat};
use crate::cli::policy::chain::{self, Chains, Chosen, LearnedReport, Played};
use crate::cli::policy::module::SettingsArg;
use crate::cli::policy::replay::decided;
use crate::cli::policy::workbench::engine;
use crate::cli::{Outcome, text};
use crate::policy::{ChangeKind, compare};
use crate::types::{Installation, Prefix, RouteAttributes};
use crate::wasm::Purpose;

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
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    added: usize,
    withdrawn: usize,
    changed: usize,
    same: usize,
    groups: Vec<GroupReport<DecisionReport>>,
    /// Routes that are learned: those that are used, no longer used or used otherwise.
    peers: Vec<GroupReport<LearnedReport>>,
    /// What the recording has besides, and one of the modules only decides on.
    not_compared: Vec<NotCompared>,
}

/// Routes that one of the modules says nothing of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct NotCompared {
    /// In words.
    routes: String,
    /// The one that does not decide on them, as the command line names it.
    module: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct GroupReport<D> {
    /// As scenes are called: `towards tor`, `learned from tor-a`.
    name: String,
    routes: Vec<Difference<D>>,
}

/// A prefix that is not announced, or used, alike.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Difference<D> {
    prefix: Prefix,
    kind: ChangeKind,
    old: D,
    new: D,
}

/// What a chain makes of a prefix.
trait Decided {
    /// How it is announced, or used, if it is.
    fn accepted(&self) -> Option<(&RouteAttributes, Option<Installation>)>;

    /// With who made it so.
    fn words(&self) -> String;
}

impl Decided for DecisionReport {
    fn accepted(&self) -> Option<(&RouteAttributes, Option<Installation>)> {
        self.accepted.then_some((&self.attributes, None))
    }

    fn words(&self) -> String {
        decided(self)
    }
}

impl Decided for LearnedReport {
    fn accepted(&self) -> Option<(&RouteAttributes, Option<Installation>)> {
        let (attributes, _) = self.decision.accepted()?;
        Some((attributes, self.installation))
    }

    fn words(&self) -> String {
        self.words()
    }
}

/// Every prefix with its first accepted candidate's decision, or a rejection.
type Routes<D = DecisionReport> = BTreeMap<Prefix, D>;

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
    let engine = engine()?;
    let chain = |module, settings| {
        let chosen = Chosen {
            module,
            settings,
            place,
        };
        chain::chains(&engine, &file, chosen)
    };
    let modules = [old, new];
    let old = chain(old, settings)?;
    let new = chain(new, new_settings)?;
    let mut report = Report {
        not_compared: not_compared(&file, modules, [&old, &new]),
        ..Report::default()
    };
    if !old.announced.is_empty() && !new.announced.is_empty() {
        for scene in &file.scenes {
            let old = routes(&chain::play(&file, &old.announced, scene)?);
            let new = routes(&chain::play(&file, &new.announced, scene)?);
            let differences = report.differences(old, new);
            report.groups.push(GroupReport {
                name: scene.name.clone(),
                routes: differences,
            });
        }
    }
    if !old.learned.is_empty() && !new.learned.is_empty() {
        for scene in &file.learned {
            let routes = |links| -> anyhow::Result<Routes<LearnedReport>> {
                let played = chain::play_learned(&file, links, scene)?;
                let routes = played.into_iter();
                Ok(routes.map(|route| (route.prefix, route)).collect())
            };
            let (old, new) = (routes(&old.learned)?, routes(&new.learned)?);
            let differences = report.differences(old, new);
            report.peers.push(GroupReport {
                name: scene.name.clone(),
                routes: differences,
            });
        }
    }
    anyhow::ensure!(
        !report.groups.is_empty() || !report.peers.is_empty(),
        "there is nothing to compare: one of the modules decides on announced routes, the other \
         on learned ones"
    );
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(Outcome::Done)
}

/// What the recording has that one of two modules decides on, and the other does not.
fn not_compared(file: &CaseFile, modules: [&str; 2], chains: [&Chains; 2]) -> Vec<NotCompared> {
    let kinds = [
        (
            Purpose::Announce,
            file.scenes.is_empty(),
            chains.map(|chains| chains.announced.is_empty()),
        ),
        (
            Purpose::Learn,
            file.learned.is_empty(),
            chains.map(|chains| chains.learned.is_empty()),
        ),
    ];
    let recorded = kinds.into_iter().filter(|(_, is_absent, _)| !is_absent);
    recorded
        .filter_map(|(routes, _, is_silent)| {
            let module = match is_silent {
                [true, false] => modules[0],
                [false, true] => modules[1],
                [true, true] | [false, false] => return None,
            };
            Some(NotCompared {
                routes: routes.to_string(),
                module: module.to_owned(),
            })
        })
        .collect()
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

/// Those that are announced, or used.
fn accepted<D: Decided>(
    routes: &Routes<D>,
) -> impl Iterator<Item = (Prefix, (&RouteAttributes, Option<Installation>))> {
    let routes = routes.iter();
    routes.filter_map(|(prefix, decided)| Some((*prefix, decided.accepted()?)))
}

impl Report {
    /// What differs between two that were asked about the same prefixes, counted.
    fn differences<D: Decided>(
        &mut self,
        mut old: Routes<D>,
        mut new: Routes<D>,
    ) -> Vec<Difference<D>> {
        self.same += accepted(&old).count();
        let changes = compare(accepted(&old), accepted(&new)).into_iter();
        let kinds = changes.map(|(prefix, change)| (prefix, change.kind()));
        let kinds: Vec<(Prefix, ChangeKind)> = kinds.collect();
        let mut differences = Vec::new();
        for (prefix, kind) in kinds {
            match kind {
                ChangeKind::Added => self.added += 1,
                ChangeKind::Withdrawn => {
                    self.withdrawn += 1;
                    self.same -= 1;
                }
                ChangeKind::Changed => {
                    self.changed += 1;
                    self.same -= 1;
                }
            }
            if let (Some(old), Some(new)) = (old.remove(&prefix), new.remove(&prefix)) {
                differences.push(Difference {
                    prefix,
                    kind,
                    old,
                    new,
                });
            }
        }
        differences
    }
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Report {
        added,
        withdrawn,
        changed,
        same,
        groups,
        peers,
        not_compared,
    } = report;
    groups
        .iter()
        .try_for_each(|group| print_group(group, out))?;
    peers.iter().try_for_each(|peer| print_group(peer, out))?;
    for NotCompared { routes, module } in not_compared {
        let note = format!("{routes} are not compared: {module} does not decide on them");
        writeln!(out, "{}", text::printable(&note))?;
    }
    writeln!(
        out,
        "{added} added, {withdrawn} withdrawn, {changed} changed, {same} the same"
    )
}

fn print_group<D: Decided>(group: &GroupReport<D>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", text::printable(&group.name))?;
    if group.routes.is_empty() {
        writeln!(out, "  no difference")?;
    }
    for route in &group.routes {
        print_difference(route, out)?;
    }
    writeln!(out)
}

fn print_difference<D: Decided>(difference: &Difference<D>, out: &mut dyn Write) -> io::Result<()> {
    let Difference {
        prefix,
        kind,
        old,
        new,
    } = difference;
    match kind {
        ChangeKind::Added => writeln!(out, "  + {prefix}: {}", new.words()),
        ChangeKind::Withdrawn => writeln!(out, "  - {prefix}: {}", new.words()),
        ChangeKind::Changed => {
            writeln!(out, "  ~ {prefix}: {}", old.words())?;
            let indent = prefix.to_string().len();
            writeln!(out, "    {:indent$}  {}", "", new.words())
        }
    }
}

#[cfg(test)]
mod tests;
