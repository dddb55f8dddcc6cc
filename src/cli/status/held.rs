//! A change that is held back, in `rutter status`.

use std::io::{self, Write};

use jiff::Timestamp;

use super::{detail, field};
use crate::api::{ChangeEffect, ChangedRoute, HeldChange, LearnedEffect};
use crate::cli::text;
use crate::policy::ChangeKind;

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
        learned,
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
    print_examples(examples, withdrawn + changed + added, "to", out)?;
    print_learned(learned, out)?;
    detail(
        &format!("to let it through: rutter policy approve {id}"),
        out,
    )
}

fn print_learned(effect: &LearnedEffect, out: &mut dyn Write) -> io::Result<()> {
    if effect.is_none() {
        return Ok(());
    }
    let LearnedEffect {
        used,
        rejected,
        changed,
        added,
        examples,
    } = effect;
    let effect = format!(
        "would reject {rejected} of {used} learned routes, change {changed}, accept {added} more"
    );
    detail(&effect, out)?;
    print_examples(examples, rejected + changed + added, "from", out)
}

/// Examples of so many routes, to their peers or from them.
fn print_examples(
    examples: &[ChangedRoute],
    all: u64,
    way: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    for example in examples {
        detail(&shown(example, way), out)?;
    }
    match all.saturating_sub(examples.len() as u64) {
        0 => Ok(()),
        rest => detail(&format!("and {rest} more"), out),
    }
}

fn shown(example: &ChangedRoute, way: &str) -> String {
    let ChangedRoute {
        change,
        peer,
        prefix,
        reason,
    } = example;
    let sign = match change {
        ChangeKind::Withdrawn => '-',
        ChangeKind::Changed => '~',
        ChangeKind::Added => '+',
    };
    format!("{sign} {prefix} {way} {peer}: {reason}")
}
