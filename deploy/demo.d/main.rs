//! The demo: three agents as they run on nodes, and a fabric router made of our own speaker.
//!
//! Agents are processes of the real binary with `source = "files"`; the router runs in here, as
//! the top-of-rack switch would, and prints the table it learned. A story then changes the
//! manifests; each difference in the router's table is printed with the time it took, and
//! checked against what it should be: a wrong table is exit code 1.

mod agents;
mod fabric;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

use agents::Cluster;
use fabric::Fabric;

/// Runs Rutter on three nodes of a cluster that exists in files only.
#[derive(Parser)]
struct Arguments {
    /// The rutter binary.
    #[arg(long)]
    agent: PathBuf,
    /// The folder of manifests that describe the cluster.
    #[arg(long)]
    manifests: PathBuf,
    /// Stay up after the story, for a look around.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("demo failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let fabric = Fabric::start(agents::NODES.map(|node| node.address)).await?;
    let cluster = Cluster::start(&arguments.agent, &arguments.manifests, fabric.address())
        .context("cannot start the agents")?;
    let outcome = tokio::select! {
        outcome = tell(&arguments, &fabric, &cluster) => outcome,
        ended = cluster.agent_ends() => Err(ended),
    };
    if outcome.is_err() {
        cluster.print_logs();
    }
    fabric.stop().await;
    outcome
}

async fn tell(arguments: &Arguments, fabric: &Fabric, cluster: &Cluster) -> anyhow::Result<()> {
    story::tell(fabric, cluster).await?;
    if arguments.keep {
        say(&cluster.invitation(&arguments.agent));
        tokio::signal::ctrl_c()
            .await
            .context("cannot wait for Ctrl-C")?;
    }
    Ok(())
}

/// The one place that prints.
#[expect(clippy::print_stdout, reason = "a demo is for reading")]
fn say(text: &str) {
    println!("{text}");
}
