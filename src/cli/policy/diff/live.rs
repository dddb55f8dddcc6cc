//! `rutter policy diff --live`: what the policies in shadow mode of a running agent would change.

use std::io::{self, Write};

use crate::api::{
    LearnedDifference, LearnedUse, ShadowComparison, ShadowCounts, ShadowDifference, ShadowPolicy,
    ShadowReport,
};
use crate::cli::client::Client;
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};
use crate::policy::Direction;
use crate::types::{Installation, RouteAttributes};

/// Asks and prints.
///
/// # Errors
/// There is no answer, or `out` fails.
pub(super) async fn run(
    client: &Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let answer = client.ask("/v1/policy/shadow", &[]).await?;
    let report: ShadowReport = answer.read()?;
    match format {
        OutputFormat::Text => print(&report, out)?,
        OutputFormat::Json => output::json(answer.document(), out)?,
    }
    Ok(outcome(&report))
}

fn outcome(report: &ShadowReport) -> Outcome {
    let ShadowReport {
        policies,
        import_policies,
    } = report;
    if policies.iter().all(is_compared) && import_policies.iter().all(is_compared) {
        Outcome::Done
    } else {
        Outcome::Degraded
    }
}

/// Whether there is nothing left to compare.
fn is_compared<D>(policy: &ShadowPolicy<D>) -> bool {
    let mut groups = policy.groups.iter();
    policy.error.is_none() && groups.all(|comparison| comparison.counts.waiting == 0)
}

fn print(report: &ShadowReport, out: &mut dyn Write) -> io::Result<()> {
    let ShadowReport {
        policies,
        import_policies,
    } = report;
    if policies.is_empty() && import_policies.is_empty() {
        return writeln!(
            out,
            "No policy is in shadow mode; give one `mode = \"shadow\"` to compare it."
        );
    }
    let mut exports = policies.iter();
    exports.try_for_each(|policy| print_policy(Direction::Export, policy, announced, out))?;
    let mut imports = import_policies.iter();
    imports.try_for_each(|policy| print_policy(Direction::Import, policy, learned, out))
}

fn print_policy<D>(
    direction: Direction,
    policy: &ShadowPolicy<D>,
    shown: fn(&D) -> String,
    out: &mut dyn Write,
) -> io::Result<()> {
    let ShadowPolicy {
        policy: name,
        module,
        error,
        retry_in,
        groups,
    } = policy;
    let heading = format!("{} {name} ({module})", direction.noun());
    writeln!(out, "{}", text::printable(&heading))?;
    if let Some(error) = error {
        let retry = retry_in.map_or_else(String::new, |seconds| format!(", retry in {seconds} s"));
        writeln!(out, "  FAILING{retry}: {}", text::printable(error))?;
    }
    if groups.is_empty() {
        writeln!(out, "  for no peer that there is")?;
    }
    let mut groups = groups.iter();
    groups.try_for_each(|comparison| print_comparison(comparison, shown, out))
}

fn print_comparison<D>(
    comparison: &ShadowComparison<D>,
    shown: fn(&D) -> String,
    out: &mut dyn Write,
) -> io::Result<()> {
    let ShadowComparison {
        counts,
        peers,
        differences,
    } = comparison;
    let who = if counts.peer.is_some() || *peers == [counts.group.as_str()] {
        String::new()
    } else {
        format!(" ({})", peers.join(", "))
    };
    let line = summary(counts, &who);
    writeln!(out, "  {}", text::printable(&line))?;
    differences
        .iter()
        .try_for_each(|difference| writeln!(out, "    {}", text::printable(&shown(difference))))
}

/// How much a policy would change towards one peer group, whose members are `who`, or of what one
/// peer announces.
pub(in crate::cli) fn summary(counts: &ShadowCounts, who: &str) -> String {
    let ShadowCounts {
        group,
        peer,
        compared,
        waiting,
        withdrawn,
        changed,
        added,
    } = counts;
    let waiting = match waiting {
        0 => String::new(),
        waiting => format!(", {waiting} not"),
    };
    match peer {
        None => {
            let compared = text::count(*compared, "candidate");
            format!(
                "towards {group}{who}: would withdraw {withdrawn}, change {changed}, add {added} \
                 ({compared} compared{waiting})"
            )
        }
        Some(peer) => {
            let compared = text::count(*compared, "route");
            format!(
                "from {peer}: would use {withdrawn} no longer, {changed} otherwise, {added} more \
                 ({compared} compared{waiting})"
            )
        }
    }
}

fn announced(difference: &ShadowDifference) -> String {
    let ShadowDifference {
        prefix,
        origin,
        from,
        to,
        policy,
        reason,
    } = difference;
    let sides = (from.as_ref().map(attributes), to.as_ref().map(attributes));
    line(
        &format!("{prefix}, {origin}"),
        sides,
        policy,
        reason.as_deref(),
    )
}

fn learned(difference: &LearnedDifference) -> String {
    let LearnedDifference {
        prefix,
        from,
        to,
        policy,
        reason,
    } = difference;
    let sides = (from.as_ref().map(used), to.as_ref().map(used));
    line(&prefix.to_string(), sides, policy, reason.as_deref())
}

fn used(used: &LearnedUse) -> String {
    let kernel = match used.installation {
        Installation::Install => "",
        Installation::Keep => " (kernel: keep)",
    };
    attributes(&used.attributes) + kernel
}

fn attributes(route: &RouteAttributes) -> String {
    match text::attributes(route).as_str() {
        "" => "no attributes".to_owned(),
        attributes => attributes.to_owned(),
    }
}

/// A route with how it is and how it would be.
fn line(
    route: &str,
    sides: (Option<String>, Option<String>),
    policy: &str,
    reason: Option<&str>,
) -> String {
    let (sign, change) = match sides {
        (Some(from), Some(to)) => ('~', format!("{from} -> {to}")),
        (Some(_), None) => ('-', "rejected".to_owned()),
        (None, Some(to)) => ('+', format!("accepted with {to}")),
        (None, None) => (' ', "rejected".to_owned()),
    };
    let reason = reason.map_or_else(String::new, |reason| format!(", because: {reason}"));
    format!("{sign} {route}: {change} by {policy}{reason}")
}

#[cfg(test)]
mod tests;
