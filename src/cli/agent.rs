//! `rutter agent`: runs the daemon on this node.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::Outcome;
use super::logging::LogFormat;
use crate::agent::{LostLines, Options};
use crate::config::Overrides;

/// What is still being done when the agent has ended may take a moment to come to its end.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_millis(500);

const ENVIRONMENT: &str = "\
Environment:
  RUTTER_ADVERTISE_CLUSTER_IPS, CALICO_ADVERTISE_CLUSTER_IPS
               replace advertise.service-cluster-cidrs; ranges with commas between them
  NODE_NAME    the node's name, where --node-name is not given
  KUBECONFIG   credentials for the API server; without it, the pod's own service account
  RUTTER_LOG   what is logged to standard error: info, debug, or info,rutter::speaker=trace";

/// Run the agent: watch the cluster, decide, announce
///
/// It runs in the foreground until SIGTERM or SIGINT. The configuration file is read again
/// whenever it changes; a version that is not valid is refused, and the one in force stays.
#[derive(Debug, Args)]
#[command(after_help = ENVIRONMENT)]
pub(super) struct AgentArgs {
    /// The configuration file; `rutter config check` tells whether it is valid
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// The name of the Kubernetes Node this agent runs on
    #[arg(long, value_name = "NAME", env = "NODE_NAME", hide_env = true)]
    node_name: String,

    /// How each line of the log is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

impl AgentArgs {
    pub(super) fn log_format(&self) -> LogFormat {
        self.log_format
    }
}

/// Runs the daemon on a runtime of its own.
///
/// # Errors
/// Whatever keeps the agent from starting.
pub(super) fn run(
    args: AgentArgs,
    overrides: Overrides,
    lost_lines: LostLines,
) -> anyhow::Result<Outcome> {
    let AgentArgs {
        config,
        node_name,
        log_format: _,
    } = args;
    let options = Options {
        config,
        node_name,
        overrides,
        lost_lines,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(crate::agent::run(options));
    // A thread that reads a file or tries a policy may be stuck: by itself, the runtime would wait
    // for it for ever.
    runtime.shutdown_timeout(SHUTDOWN_TIME_MAX);
    outcome.map(|()| Outcome::Done)
}
