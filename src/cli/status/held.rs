//! A change that is held back, in `rutter status`.

use std::io::{self, Write};

use jiff::Timestamp;

use super::{detail, field};
use crate::api::{ChangeEffect, ChangedRoute, HeldChange, RouteChange};
use crate::cli::text;

/// Prints what it would do, and how to let it through.
pub(super) fn print(held: &HeldChange, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let HeldChange {
        id,
        held_at,
        parts,
        max_withdraw,
        effect,
    } = held;
    let ChangeEffect {
        announced,
        withdrawn,
        changed,
        added,
        examples,
    } = effect;
    let since = text::since(*held_at, now);
    let what = format!("change {id}, not in force, since {since}");
    field("Held", &what, out)?;
    parts.iter().try_for_each(|part| detail(part, out))?;
    let effect = format!(
        "would withdraw {withdrawn} of {announced} routes (guard.max-withdraw is \
         {max_withdraw}), change {changed}, announce {added} more"
    );
    detail(&effect, out)?;
    let mut examples_shown = examples.iter();
    examples_shown.try_for_each(|example| detail(&shown(example), out))?;
    let all = withdrawn + changed + added;
    let rest = all.saturating_sub(examples.len() as u64);
    if rest > 0 {
        detail(&format!("and {rest} more"), out)?;
    }
    detail(
        &format!("to let it through: rutter policy approve {id}"),
        out,
    )
}

fn shown(example: &ChangedRoute) -> String {
    let ChangedRoute {
        change,
        peer,
        prefix,
        reason,
    } = example;
    let sign = match change {
        RouteChange::Withdrawn => '-',
        RouteChange::Changed => '~',
        RouteChange::Added => '+',
    };
    format!("{sign} {prefix} to {peer}: {reason}")
}
