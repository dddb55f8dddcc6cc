//! `rutter policy bench MODULE`: what a module costs, on this machine.
//!
//! It is asked as the agent asks, with the agent's limits, about the Services of a [`cluster`] that
//! is made up. This command reads the clock: its answer is times.

mod cluster;

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::module::{ModuleArg, SettingsArg};
use super::scratch::Scratch;
use crate::candidates::Candidate;
use crate::cli::output::{self, OutputFormat};
use crate::cli::{Outcome, text};
use crate::facts::NodeFacts;
use crate::policy::{Batch, PeerGroup, PeerKind, ProposedRoute, Reasons, RoutePolicy};
use crate::types::{Asn, RouteAttributes};
use crate::wasm::{Engine, WasmPolicy};

const DETAILS: &str = "\
The candidates are a cluster IP and a load-balancer IP of each of half as many Services, with three
labels, two annotations and two ports each. Times are medians. Give settings that make the policy
look at every candidate, and run it on a machine that does nothing else.";

/// Measure what a module costs: loading it, asking it, and its memory
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    module: ModuleArg,

    #[command(flatten)]
    settings: SettingsArg,

    /// How many candidates the large batch has
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    candidates: u32,
}

/// What was measured; printed as it is with `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    name: String,
    version: String,
    module_bytes: usize,
    /// Of compiled code, which stays in the agent's memory.
    code_bytes: usize,
    /// From the file to a module that can be asked.
    load_ms: f64,
    /// The same where the node has the compiled code from an earlier time.
    load_cached_ms: f64,
    one_candidate_us: f64,
    candidates: u32,
    /// Each of the large batch.
    candidate_us: f64,
    /// The same where someone reads the reasons.
    candidate_with_reason_us: f64,
    /// Most that a call has taken.
    call_memory_bytes: usize,
}

/// Loads the module and asks it.
///
/// # Errors
/// It cannot be loaded, refuses the settings, or fails; the compiled code cannot be kept; or `out`
/// fails.
pub(super) fn run(
    args: &BenchArgs,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let report = measure(args)?;
    match format {
        OutputFormat::Json => output::json(&report, out)?,
        OutputFormat::Text => print(&report, out)?,
    }
    Ok(Outcome::Done)
}

fn measure(args: &BenchArgs) -> anyhow::Result<Report> {
    let engine = Engine::new()?;
    let module = args.module.load(&engine)?;
    let mut policy = args.settings.apply(&module)?;
    let load = median(|| args.module.load(&engine).map(drop))?;
    let load_cached = load_cached(&args.module)?;

    let services = 0..args.candidates.div_ceil(2);
    let candidates: Vec<Candidate> = services.flat_map(cluster::addresses_of).collect();
    let attributes = Arc::new(RouteAttributes::default());
    let mut routes: Vec<_> = candidates
        .iter()
        .map(|candidate| ProposedRoute {
            candidate,
            attributes: &attributes,
        })
        .collect();
    routes.truncate(args.candidates as usize);
    let one = median(|| ask(&mut policy, &routes[..1], Reasons::Wanted))?;
    let all = median(|| ask(&mut policy, &routes, Reasons::Unwanted))?;
    let with_reasons = median(|| ask(&mut policy, &routes, Reasons::Wanted))?;
    let each = |all: Duration| all.as_secs_f64() * 1e6 / f64::from(args.candidates);
    let description = module.description();
    Ok(Report {
        name: description.name.clone(),
        version: description.version.clone(),
        module_bytes: args.module.bytes()?.len(),
        code_bytes: module.code_bytes(),
        load_ms: load.as_secs_f64() * 1e3,
        load_cached_ms: load_cached.as_secs_f64() * 1e3,
        one_candidate_us: one.as_secs_f64() * 1e6,
        candidates: args.candidates,
        candidate_us: each(all),
        candidate_with_reason_us: each(with_reasons),
        call_memory_bytes: module.memory_bytes_peak(),
    })
}

/// How long a load takes that finds the compiled code.
fn load_cached(module: &ModuleArg) -> anyhow::Result<Duration> {
    let directory = std::env::temp_dir();
    let folder = Scratch::inside(&directory)
        .with_context(|| format!("cannot make a directory in {}", directory.display()))?;
    let engine = Engine::new()?.caching(folder.path());
    module.load(&engine)?;
    let load = median(|| module.load(&engine).map(drop))?;
    match engine.cache_fault() {
        Some(fault) => anyhow::bail!("{fault}"),
        None => Ok(load),
    }
}

fn ask(
    policy: &mut WasmPolicy,
    routes: &[ProposedRoute<'_>],
    reasons: Reasons,
) -> anyhow::Result<()> {
    let batch = Batch {
        node: &NodeFacts::default(),
        asn: Asn(64512),
        peer_group: &PeerGroup {
            name: "tor".into(),
            asn: Asn(64513),
            kind: PeerKind::Ebgp,
            labels: [].into(),
        },
        candidates: routes,
        reasons,
    };
    let asked = policy.evaluate(&batch).map(drop);
    asked.with_context(|| format!("asked about {} candidates, the module failed", routes.len()))
}

/// Enough for a figure that stays the same, and a patience that lasts for a few figures.
const ROUNDS_MAX: usize = 1001;
const ROUNDS_TIME_MAX: Duration = Duration::from_secs(1);

/// The median time of doing the work again and again, at least once.
///
/// # Errors
/// The first of the work's.
#[expect(clippy::disallowed_methods, reason = "times are what is asked for")]
fn median(mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < ROUNDS_MAX && (times.is_empty() || begin.elapsed() < ROUNDS_TIME_MAX) {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Report {
        name,
        version,
        module_bytes,
        code_bytes,
        load_ms,
        load_cached_ms,
        one_candidate_us,
        candidates,
        candidate_us,
        candidate_with_reason_us,
        call_memory_bytes,
    } = report;
    let policy = format!("{} {}", text::printable(name), text::printable(version));
    let mut line = |name: &str, value: &dyn Display| writeln!(out, "{name:<22} {value}");
    line("Policy:", &policy)?;
    line("Module:", &format_args!("{module_bytes} bytes"))?;
    line("Compiled code:", &format_args!("{code_bytes} bytes"))?;
    line("Load, compiling:", &format_args!("{load_ms:.2} ms"))?;
    line(
        "Load, compiled before:",
        &format_args!("{load_cached_ms:.2} ms"),
    )?;
    line("One candidate:", &format_args!("{one_candidate_us:.1} µs"))?;
    line(
        &format!("Of {candidates}:"),
        &format_args!("{candidate_us:.2} µs each, {candidate_with_reason_us:.2} with reasons"),
    )?;
    line(
        "Memory of a call:",
        &format_args!("{call_memory_bytes} bytes"),
    )
}

#[cfg(test)]
mod tests;
