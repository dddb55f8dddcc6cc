//! `rutter policy approve ID`: lets the change that an agent holds back through.

use std::io::{self, Write};

use clap::Args;

use crate::api::{Approved, ChangeEffect, LearnedEffect};
use crate::cli::client::Client;
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};

const DETAILS: &str = "\
Each agent holds its own change back: approve it on every node. The id is the same wherever the
same files are read. An agent that restarts takes the files as they are, approved or not.";

/// Let a change through that withdraws more than guard.max-withdraw
///
/// `rutter status` shows the change that is held back, what it would withdraw, and its id. It is taken as the files are now: a change that came after is held back by itself, under another id.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct ApproveArgs {
    /// The change's id, as `rutter status` shows it
    #[arg(value_name = "ID")]
    id: String,
}

/// Asks, and prints what the change did.
///
/// # Errors
/// There is no answer, no such change, or `out` fails.
pub(super) async fn run(
    args: &ApproveArgs,
    client: &Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let query = [("id", args.id.as_str())];
    let answer = client.post("/v1/policy/approve", &query).await?;
    let approved: Approved = answer.read()?;
    match format {
        OutputFormat::Text => print(&approved, out)?,
        OutputFormat::Json => output::json(answer.document(), out)?,
    }
    Ok(Outcome::Done)
}

fn print(approved: &Approved, out: &mut dyn Write) -> io::Result<()> {
    let Approved { id, effect } = approved;
    let ChangeEffect {
        announced,
        withdrawn,
        changed,
        added,
        examples: _, // were there to be seen before
        learned,
    } = effect;
    let id = text::printable(id);
    writeln!(
        out,
        "change {id} is in force: {withdrawn} of {announced} routes withdrawn, {changed} changed, \
         {added} announced",
    )?;
    if learned.is_none() {
        return Ok(());
    }
    let LearnedEffect {
        used,
        rejected,
        changed,
        added,
        examples: _,
    } = learned;
    writeln!(
        out,
        "of learned routes: {rejected} of {used} rejected, {changed} changed, {added} accepted"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing;

    fn printed(learned: LearnedEffect) -> String {
        let approved = Approved {
            id: "3f9a01c2".to_owned(),
            effect: ChangeEffect {
                learned,
                ..testing::held().effect
            },
        };
        let mut out = Vec::new();
        print(&approved, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_change_did_is_told_of_the_directions_that_it_concerns() {
        let announced = "change 3f9a01c2 is in force: 10 of 30 routes withdrawn, 1 changed, \
                         1 announced\n";
        assert_eq!(printed(LearnedEffect::default()), announced);
        let both =
            format!("{announced}of learned routes: 3 of 4 rejected, 0 changed, 0 accepted\n");
        assert_eq!(printed(testing::rejected_learned()), both);
    }
}
