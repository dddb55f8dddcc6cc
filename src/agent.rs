//! The daemon: sockets, clock, signals and files around the sans-IO core.
//!
//! Called by the command line alone; nothing else may import it.

use std::path::PathBuf;

/// What the operator decides outside the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The configuration file, watched for change.
    pub config: PathBuf,
    /// `metadata.name` of the Node this agent runs on.
    pub node_name: String,
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting.
pub async fn run(options: Options) -> anyhow::Result<()> {
    anyhow::bail!(
        "this build has no agent: {} on node {} was not started",
        options.config.display(),
        options.node_name
    )
}
