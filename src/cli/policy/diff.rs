//! `rutter policy diff`: what other policies would change, on a running agent ([`live`]) or on a
//! recording ([`recorded`]).

mod live;
mod recorded;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::module::SettingsArg;
use crate::cli::client::Client;
use crate::cli::output::OutputFormat;
use crate::cli::{Outcome, wait_for};
use recorded::Comparison;

pub(in crate::cli) use live::summary as shadow_summary;

const DETAILS: &str = "\
With --batch each of two modules runs alone, or with --as in the place of a policy of the recorded \
chain. Compared is what peers would be sent: routes that are added (+), withdrawn (-) or announced \
with other attributes (~). For import policies it is what is done with learned routes: used (+), used \
no longer (-), or used otherwise (~).

With --live the agent is asked. A policy with `mode = \"shadow\"` is asked beside the chain, at its \
place, and decides nothing; what its peers would be told otherwise if it did is printed, and of an \
import policy what would be done otherwise with the routes they announce.

Exit codes:
  0  printed, whether anything would change or not
  1  the request failed, a module fails, or the recording is not valid
  2  the command line is not understood
  3  --live: not all is compared, as a policy in shadow mode fails, or one after it on its behalf";

const USAGE: &str = "\
rutter policy diff [OPTIONS] <OLD> <NEW> --batch <FILE>
       rutter policy diff [OPTIONS] --live";

/// Print what another module, or the policies in shadow mode, would change
#[derive(Debug, Args)]
#[command(after_help = DETAILS, override_usage = USAGE)]
pub(super) struct DiffArgs {
    /// The module to compare with, as the configuration writes it
    #[arg(value_name = "OLD", required_unless_present = "live")]
    old: Option<String>,

    /// The module that would take its place
    #[arg(value_name = "NEW", required_unless_present = "live")]
    new: Option<String>,

    /// What `rutter policy record` printed
    #[arg(long, value_name = "FILE", required_unless_present = "live")]
    batch: Option<PathBuf>,

    #[command(flatten)]
    settings: SettingsArg,

    /// The settings of NEW, where they are others
    #[arg(long, value_name = "FILE")]
    new_settings: Option<PathBuf>,

    /// Run the recorded chain with each module in place of this policy, with its settings unless
    /// there are others
    #[arg(long = "as", value_name = "POLICY")]
    place: Option<String>,

    /// The policies in shadow mode, on what a running agent could announce at present
    #[arg(
        long,
        conflicts_with_all = ["old", "new", "batch", "settings", "new_settings", "place"]
    )]
    live: bool,
}

/// Compares and prints.
///
/// # Errors
/// Those of [`live::run`] and [`recorded::run`].
pub(super) fn run(
    args: &DiffArgs,
    client: &Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let DiffArgs {
        old,
        new,
        batch,
        settings,
        new_settings,
        place,
        live: _, // is what is left without the others
    } = args;
    let (Some(old), Some(new), Some(batch)) = (old, new, batch) else {
        return wait_for(live::run(client, format, out));
    };
    let batch: &Path = batch;
    let given = SettingsArg::new(new_settings.clone());
    let comparison = Comparison {
        old,
        new,
        batch,
        settings,
        new_settings: if given.is_given() { &given } else { settings },
        place: place.as_deref(),
    };
    recorded::run(comparison, format, out)
}
