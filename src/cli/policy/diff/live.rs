//! `rutter policy diff --live`: what the policies in shadow mode of a running agent would change.

use std::io::{self, Write};

use crate::api::{ShadowCounts, ShadowDifference, ShadowGroup, ShadowPolicy, ShadowReport};
use crate::cli::client::Client;
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};

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
    let waits = |policy: &ShadowPolicy| policy.groups.iter().any(|group| group.counts.waiting > 0);
    let well = |policy: &ShadowPolicy| policy.error.is_none() && !waits(policy);
    if report.policies.iter().all(well) {
        Outcome::Done
    } else {
        Outcome::Degraded
    }
}

fn print(report: &ShadowReport, out: &mut dyn Write) -> io::Result<()> {
    let ShadowReport { policies } = report;
    if policies.is_empty() {
        return writeln!(
            out,
            "No policy is in shadow mode; give one `mode = \"shadow\"` to compare it."
        );
    }
    policies
        .iter()
        .try_for_each(|policy| print_policy(policy, out))
}

fn print_policy(policy: &ShadowPolicy, out: &mut dyn Write) -> io::Result<()> {
    let ShadowPolicy {
        policy: name,
        module,
        error,
        retry_in,
        groups,
    } = policy;
    writeln!(out, "{}", text::printable(&format!("{name} ({module})")))?;
    if let Some(error) = error {
        let retry = retry_in.map_or_else(String::new, |seconds| format!(", retry in {seconds} s"));
        writeln!(out, "  FAILING{retry}: {}", text::printable(error))?;
    }
    if groups.is_empty() {
        writeln!(out, "  for no peer that there is")?;
    }
    groups.iter().try_for_each(|group| print_group(group, out))
}

fn print_group(group: &ShadowGroup, out: &mut dyn Write) -> io::Result<()> {
    let ShadowGroup {
        counts,
        peers,
        differences,
    } = group;
    let mut whom = counts.group.clone();
    if *peers != [whom.as_str()] {
        whom = format!("{whom} ({})", peers.join(", "));
    }
    let line = format!("towards {whom}: {}", summary(counts));
    writeln!(out, "  {}", text::printable(&line))?;
    differences
        .iter()
        .try_for_each(|difference| writeln!(out, "    {}", text::printable(&shown(difference))))
}

/// How much a policy would change towards one peer group.
pub(in crate::cli) fn summary(counts: &ShadowCounts) -> String {
    let ShadowCounts {
        group: _,
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
    let compared = text::count(*compared, "candidate");
    format!(
        "would withdraw {withdrawn}, change {changed}, add {added} ({compared} compared{waiting})"
    )
}

fn shown(difference: &ShadowDifference) -> String {
    let ShadowDifference {
        prefix,
        origin,
        from,
        to,
        policy,
        reason,
    } = difference;
    let with = |route| match text::attributes(route).as_str() {
        "" => "no attributes".to_owned(),
        attributes => attributes.to_owned(),
    };
    let (sign, change) = match (from, to) {
        (Some(from), Some(to)) => ('~', format!("{} -> {}", with(from), with(to))),
        (Some(_), None) => ('-', "rejected".to_owned()),
        (None, Some(to)) => ('+', format!("accepted with {}", with(to))),
        (None, None) => (' ', "not announced".to_owned()),
    };
    let reason = reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(", because: {reason}"));
    format!("{sign} {prefix}, {origin}: {change} by {policy}{reason}")
}

#[cfg(test)]
mod tests;
