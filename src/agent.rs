//! The daemon: sockets, clock, signals and files around the sans-IO core.
//!
//! Called by the command line alone; nothing else may import it.

use std::path::PathBuf;

use crate::config::Overrides;

/// What the operator decides outside the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The configuration file, watched for change.
    pub config: PathBuf,
    /// `metadata.name` of the Node this agent runs on.
    pub node_name: String,
    /// What the environment overrides in every version of the file.
    pub overrides: Overrides,
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let Options {
        config,
        node_name,
        overrides: _,
    } = options;
    anyhow::bail!(
        "this build has no agent: {} on node {node_name} was not started",
        config.display()
    )
}
