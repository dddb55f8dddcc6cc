//! `rutter policy bench MODULE`: what a module costs, on this machine.
//!
//! It is asked as the agent asks, with the agent's limits, about the Services of a [`cluster`] that
//! is made up, or the routes of a peer that is ([`learned`]). This command reads the clock: its answer is times.

mod cluster;
mod learned;

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
use crate::policy::{
    Batch, ImportBatch, ImportPolicy, LearnedFrom, PeerGroup, PeerKind, PolicyFailure,
    ProposedImport, ProposedRoute, Reasons, RoutePolicy,
};
use crate::types::{Asn, RouteAttributes};
use crate::wasm::{Engine, Limits, Purpose, WasmImportPolicy, WasmPolicy};

const DETAILS: &str = "\
The candidates are a cluster IP and a load-balancer IP of each of half as many Services, with three
labels, two annotations and two ports each. A module that decides on learned routes is asked about
as many of those, from one peer: a /28 each, a path of four AS numbers and two communities, which
seven of them share. Times are medians. Give settings that make the policy
look at every candidate, and run it on a machine that does nothing else.";

/// Measure what a module costs: loading it, asking it, and its memory
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    module: ModuleArg,

    #[command(flatten)]
    settings: SettingsArg,

    /// Of a module that decides both ways, measure learned routes
    #[arg(long)]
    learned: bool,

    /// How many candidates, or learned routes, the large batch has
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
    /// What it was asked about: announced routes, or learned ones.
    asked_about: String,
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
    let purpose = match (module.purpose(), args.learned) {
        (Purpose::Announce | Purpose::Both, false) => Purpose::Announce,
        (Purpose::Learn, _) | (Purpose::Both, true) => Purpose::Learn,
        (Purpose::Announce, true) => anyhow::bail!(
            "{} decides on announced routes only: leave out --learned",
            module.description().name
        ),
    };
    let settings = args.settings.read()?;
    let load = median(|| args.module.load(&engine).map(drop))?;
    let load_cached = load_cached(&args.module)?;

    let times = match purpose {
        Purpose::Announce | Purpose::Both => {
            let policy = WasmPolicy::new(&module, &settings, Limits::default())?;
            announced(&policy, args.candidates)?
        }
        Purpose::Learn => {
            let policy = WasmImportPolicy::new(&module, &settings, Limits::default())?;
            learned_routes(&policy, args.candidates)?
        }
    };
    let each = |all: Duration| all.as_secs_f64() * 1e6 / f64::from(args.candidates);
    let description = module.description();
    Ok(Report {
        name: description.name.clone(),
        version: description.version.clone(),
        asked_about: purpose.to_string(),
        module_bytes: args.module.bytes()?.len(),
        code_bytes: module.code_bytes(),
        load_ms: load.as_secs_f64() * 1e3,
        load_cached_ms: load_cached.as_secs_f64() * 1e3,
        one_candidate_us: times.one.as_secs_f64() * 1e6,
        candidates: args.candidates,
        candidate_us: each(times.all),
        candidate_with_reason_us: each(times.with_reasons),
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

/// Of one route, of all of them, and of all with reasons.
struct Times {
    one: Duration,
    all: Duration,
    with_reasons: Duration,
}

impl Times {
    /// Of asking about the first so many routes.
    fn of(
        count: usize,
        ask: impl Fn(usize, Reasons) -> Result<(), PolicyFailure>,
    ) -> anyhow::Result<Self> {
        let time = |count: usize, reasons| {
            median(|| {
                ask(count, reasons)
                    .with_context(|| format!("asked about {count} routes, the module failed"))
            })
        };
        Ok(Self {
            one: time(1, Reasons::Wanted)?,
            all: time(count, Reasons::Unwanted)?,
            with_reasons: time(count, Reasons::Wanted)?,
        })
    }
}

fn announced(policy: &WasmPolicy, count: u32) -> anyhow::Result<Times> {
    let services = 0..count.div_ceil(2);
    let candidates: Vec<Candidate> = services.flat_map(cluster::addresses_of).collect();
    let attributes = Arc::new(RouteAttributes::default());
    let routes = candidates.iter().map(|candidate| ProposedRoute {
        candidate,
        attributes: &attributes,
    });
    let routes: Vec<_> = routes.collect();
    Times::of(count as usize, |count, reasons| {
        let batch = Batch {
            node: &NodeFacts::default(),
            asn: Asn(64512),
            peer_group: &tor(),
            candidates: &routes[..count],
            reasons,
        };
        policy.evaluate(&batch).map(drop)
    })
}

fn learned_routes(policy: &WasmImportPolicy, count: u32) -> anyhow::Result<Times> {
    let routes = learned::routes(count);
    let routes = routes.iter().map(|route| ProposedImport {
        prefix: route.prefix,
        path: &route.path,
        attributes: &route.attributes,
    });
    let routes: Vec<_> = routes.collect();
    let peer = LearnedFrom {
        name: "tor".into(),
        address: learned::ADDRESS.into(),
        router_id: learned::ADDRESS.try_into().context("it is not 0.0.0.0")?,
    };
    Times::of(count as usize, |count, reasons| {
        let batch = ImportBatch {
            node: &NodeFacts::default(),
            asn: Asn(64512),
            peer_group: &tor(),
            peer: &peer,
            routes: &routes[..count],
            reasons,
        };
        policy.evaluate(&batch).map(drop)
    })
}

fn tor() -> PeerGroup {
    PeerGroup {
        name: "tor".into(),
        asn: Asn(64513),
        kind: PeerKind::Ebgp,
        labels: [].into(),
    }
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
        asked_about,
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
    line("Asked about:", asked_about)?;
    line("Module:", &format_args!("{module_bytes} bytes"))?;
    line("Compiled code:", &format_args!("{code_bytes} bytes"))?;
    line("Load, compiling:", &format_args!("{load_ms:.2} ms"))?;
    line(
        "Load, compiled before:",
        &format_args!("{load_cached_ms:.2} ms"),
    )?;
    line("One of them:", &format_args!("{one_candidate_us:.1} µs"))?;
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
