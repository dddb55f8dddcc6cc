//! Rutter beside BIRD, FRR and GoBGP, each between the same source and the same sinks: how long routes
//! take from one to the others, what memory and processor time that costs, and the same of their
//! withdrawal. Run as root with `cargo bench --bench peers`; words after `--` choose cases and
//! programs (`-- transit bird rutter`), as they are named in the output.
//!
//! | case | what happens |
//! |---|---|
//! | `intake-N` | a source announces 500,000 /24, N to a set of attributes, and nobody is told |
//! | `transit-N` | the same, and a sink is told by reflection; then all of it is withdrawn |
//! | `clients-N` | 50,000, 10 to a set, are reflected to N clients, and withdrawn |
//! | `own` | a peer comes and is told a million /32 of the program's own; BIRD's are static, Rutter's are addresses of Services |
//!
//! The source sends what was encoded before, and a sink counts prefixes without looking at attributes,
//! so that neither holds up what is measured. Rounds go through all programs in turn: a machine that
//! is busy for a while is so for each. Programs that are not installed are left out.
//!
//! | variable | |
//! |---|---|
//! | `RUTTER_BENCH_ROUNDS` | how often each is measured; the median is told (3) |
//! | `RUTTER_BENCH_SCALE` | a part of the routes, as in 0.1 (1) |
//! | `RUTTER_BENCH_AGENT` | another program in Rutter's place: an older one, say |

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod device;
mod load;
mod network;
mod peer;
mod usage;

use std::collections::BTreeMap;
use std::env;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use device::{Device, Kind, Setup};
use load::Load;
use network::Network;
use peer::{Counted, Sink, Source};

/// Far above what the slowest takes for the most.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is measured.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    routes: u32,
    /// How many prefixes have a set of attributes in common.
    to_a_set: u32,
    sinks: u8,
    origin: Origin,
}

/// Whose the routes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Source,
    Own,
}

const fn case(name: &'static str, routes: u32, to_a_set: u32, sinks: u8) -> Case {
    Case {
        name,
        routes,
        to_a_set,
        sinks,
        origin: Origin::Source,
    }
}

const CASES: [Case; 9] = [
    case("intake-1", 500_000, 1, 0),
    case("intake-10", 500_000, 10, 0),
    case("intake-100", 500_000, 100, 0),
    case("transit-1", 500_000, 1, 1),
    case("transit-10", 500_000, 10, 1),
    case("transit-100", 500_000, 100, 1),
    case("clients-1", 50_000, 10, 1),
    case("clients-100", 50_000, 10, 100),
    Case {
        origin: Origin::Own,
        ..case("own", 1_000_000, 1_000_000, 1)
    },
];

/// What came of one round.
#[derive(Clone, Copy, Debug)]
struct Figures {
    announced: Duration,
    /// Absent where nobody is told.
    withdrawn: Option<Duration>,
    /// Of the processor, for the announcement.
    processor: Duration,
    /// Resident, when all was announced; and before.
    memory: u64,
    idle: u64,
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // As `cargo test` runs it: does it still work?
    let measures = words.contains(&"--bench");
    let words: Vec<&str> = match measures {
        true => words
            .into_iter()
            .filter(|word| !word.starts_with('-'))
            .collect(),
        false => vec!["transit-100", "clients-1", "own", "rutter", "bird"],
    };
    let (rounds, scale) = if measures { (3.0, 1.0) } else { (1.0, 0.002) };
    let rounds = variable("RUTTER_BENCH_ROUNDS", rounds).max(1.0) as usize;
    let scale = variable("RUTTER_BENCH_SCALE", scale);
    let chosen = |names: &[&'static str]| -> Vec<&'static str> {
        let exact = |name: &&'static str| words.contains(name);
        let begun = |name: &&'static str| words.iter().any(|word| name.starts_with(word));
        let some = |is_meant: &dyn Fn(&&'static str) -> bool| -> Vec<&'static str> {
            names.iter().copied().filter(is_meant).collect()
        };
        let choices = [some(&exact), some(&begun)].into_iter();
        let mut choices = choices.filter(|choice| !choice.is_empty());
        choices.next().unwrap_or_else(|| names.to_vec())
    };
    let names = CASES.map(|case| case.name);
    let cases = chosen(&names);
    let kinds = chosen(&Kind::ALL.map(Kind::name));
    let kinds = Kind::ALL
        .into_iter()
        .filter(|kind| kinds.contains(&kind.name()));
    let (kinds, missing): (Vec<Kind>, Vec<Kind>) = kinds.partition(|kind| kind.is_installed());
    for kind in missing {
        println!("{}: not installed", kind.name());
    }
    let network = Network::new();
    let mut complete = true;
    for case in CASES.into_iter().filter(|case| cases.contains(&case.name)) {
        let routes = (f64::from(case.routes) * scale) as u32;
        let case = Case { routes, ..case };
        complete &= compare(&network, case, &kinds, rounds);
    }
    match complete {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Measures the programs in turn; whether each gave figures.
fn compare(network: &Network, case: Case, kinds: &[Kind], rounds: usize) -> bool {
    println!(
        "\n{} ({} routes, {} sinks)",
        case.name, case.routes, case.sinks
    );
    let kinds = kinds.iter().filter(|kind| match case.origin {
        Origin::Source => true,
        Origin::Own => kind.has_own_routes(),
    });
    let mut complete = true;
    let mut figures: BTreeMap<Kind, Vec<Figures>> = BTreeMap::new();
    let kinds: Vec<Kind> = kinds.copied().collect();
    for _ in 0..rounds {
        for kind in &kinds {
            match measure(network, case, *kind) {
                Ok(round) => {
                    println!("  {:8} {}", kind.name(), round.text());
                    figures.entry(*kind).or_default().push(round);
                }
                Err(why) => {
                    println!("  {:8} {why}", kind.name());
                    complete = false;
                }
            }
        }
    }
    let medians = figures
        .into_iter()
        .map(|(kind, rounds)| (kind, median(&rounds)));
    let medians: BTreeMap<Kind, Figures> = medians.collect();
    let bird = medians.get(&Kind::Bird).copied();
    println!("  median of {rounds}, and the time beside BIRD's:");
    for (kind, median) in &medians {
        let beside = bird.map_or_else(String::new, |bird| median.beside(&bird));
        println!("  {:8} {}{beside}", kind.name(), median.text());
    }
    complete
}

/// One round.
///
/// # Errors
/// It did not come to an end, and why.
fn measure(network: &Network, case: Case, kind: Kind) -> Result<Figures, String> {
    let setup = Setup {
        sinks: case.sinks,
        own: match case.origin {
            Origin::Source => 0,
            Origin::Own => case.routes,
        },
    };
    let mut device = Device::start(kind, network, setup)?;
    match case.origin {
        Origin::Source => from_source(case, &mut device),
        Origin::Own => of_its_own(case, &mut device),
    }
}

fn from_source(case: Case, device: &mut Device) -> Result<Figures, String> {
    let load = Load::new(case.routes, case.to_a_set);
    let mut sinks = Vec::new();
    for number in 0..case.sinks {
        sinks.push(Sink::establish(number, device)?);
    }
    let mut source = Source::establish(device)?;
    device.settle()?;
    let before = device.usage()?;
    let start = now();
    source.send(load.announcements);
    let announced = match sinks.is_empty() {
        // Nobody tells, but it has nothing to do any more.
        true => device.settle()?.duration_since(start),
        false => all_have(&sinks, device, |counted| counted.announced >= case.routes)?
            .duration_since(start),
    };
    let after = device.usage()?;
    device.settle()?;
    for sink in &sinks {
        sink.has_exactly(case.routes)?;
    }
    let memory = device.usage()?.memory;
    let withdrawn = match sinks.is_empty() {
        true => None,
        false => {
            let start = now();
            source.send(load.withdrawals);
            let end = all_have(&sinks, device, |counted| counted.withdrawn >= case.routes)?;
            Some(end.duration_since(start))
        }
    };
    Ok(Figures {
        announced,
        withdrawn,
        processor: after.processor - before.processor,
        memory,
        idle: before.memory,
    })
}

fn of_its_own(case: Case, device: &mut Device) -> Result<Figures, String> {
    device.settle()?;
    let before = device.usage()?;
    let sink = [Sink::establish(0, device)?];
    // From their first KEEPALIVE on: how soon a peer is listened to is none of this.
    let start = now();
    let end = all_have(&sink, device, |counted| counted.announced >= case.routes)?;
    let after = device.usage()?;
    Ok(Figures {
        announced: end.duration_since(start),
        withdrawn: None,
        processor: after.processor - before.processor,
        memory: after.memory,
        idle: before.memory,
    })
}

/// Waits until all sinks have counted so many; when the last one had.
fn all_have(
    sinks: &[Sink],
    device: &mut Device,
    is_so: impl Fn(Counted) -> bool,
) -> Result<Instant, String> {
    let deadline = now() + PATIENCE;
    let mut last = None;
    for sink in sinks {
        let reached = sink.wait(deadline, &is_so);
        let Ok(reached) = reached else {
            let why = reached.expect_err("looked at");
            return Err(format!("{why}; {}", device.last_words()));
        };
        last = last.max(Some(reached));
    }
    last.ok_or_else(|| "there are no sinks".to_owned())
}

impl Figures {
    fn text(&self) -> String {
        let mebibytes = |octets: u64| octets as f64 / f64::from(1 << 20);
        let withdrawn = self.withdrawn.map_or_else(String::new, |withdrawn| {
            format!(", withdrawn in {:.2} s", withdrawn.as_secs_f64())
        });
        format!(
            "{:6.2} s{withdrawn}, {:.2} s of processor, {:.0} MiB resident ({:.0} before)",
            self.announced.as_secs_f64(),
            self.processor.as_secs_f64(),
            mebibytes(self.memory),
            mebibytes(self.idle),
        )
    }

    fn beside(&self, bird: &Self) -> String {
        let ratio = self.announced.as_secs_f64() / bird.announced.as_secs_f64();
        format!(", {ratio:.2}")
    }
}

/// Of each figure by itself.
fn median(rounds: &[Figures]) -> Figures {
    fn middle<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
        let mut values: Vec<T> = values.collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied()
    }
    let of = |pick: fn(&Figures) -> Duration| middle(rounds.iter().map(pick)).expect("a round");
    let size = |pick: fn(&Figures) -> u64| middle(rounds.iter().map(pick)).expect("a round");
    Figures {
        announced: of(|round| round.announced),
        withdrawn: middle(rounds.iter().filter_map(|round| round.withdrawn)),
        processor: of(|round| round.processor),
        memory: size(|round| round.memory),
        idle: size(|round| round.idle),
    }
}

fn variable(name: &str, default: f64) -> f64 {
    let value = env::var(name).ok();
    let number = value.map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    });
    number.unwrap_or(default)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
