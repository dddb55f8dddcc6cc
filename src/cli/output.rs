//! The two forms every answer can be printed in.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

/// How to print an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// For people; its layout may change
    #[default]
    Text,
    /// For scripts: the agent's own document, indented; fields are added, never renamed
    Json,
}

/// Prints a document as indented JSON with a newline at its end.
///
/// # Errors
/// Only those of `out`.
pub(super) fn json(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)
}
