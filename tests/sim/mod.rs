//! The simulation: speakers on a network that delays, splits, cuts, refuses and swallows, with
//! an owner who changes routes and configuration all the while. What must hold is in `check`.
//!
//! A run follows from its seed. `RUTTER_SIM_SEEDS=20000` runs more of them, `RUTTER_SIM_SEED=17`
//! runs one, and a failure prints the seed that repeats it.

#![expect(
    clippy::unwrap_used,
    reason = "a simulation that cannot go on has failed"
)]

mod check;
mod importer;
#[expect(dead_code, reason = "the unit tests of the speaker use the rest")]
mod network;
mod scenario;

use scenario::{Scenario, Weather};

/// Runs of each test, unless the environment says otherwise.
const SEEDS: u64 = 1000;

#[test]
fn two_speakers_agree_whatever_happens_between_them() {
    for_each_seed(|seed| Scenario::new(seed, 2, Weather::Foul).run());
}

#[test]
fn a_router_and_two_nodes_agree_whatever_happens_between_them() {
    for_each_seed(|seed| Scenario::new(seed, 3, Weather::Foul).run());
}

#[test]
fn without_a_fault_no_session_ever_changes() {
    for_each_seed(|seed| Scenario::new(seed, 3, Weather::Fair).run());
}

fn for_each_seed(run: impl Fn(u64)) {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect(name))
    };
    let seeds = match number("RUTTER_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RUTTER_SIM_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let _guard = SeedGuard(seed);
        run(seed);
    }
}

/// Says which seed failed.
struct SeedGuard(u64);

impl Drop for SeedGuard {
    #[expect(
        clippy::print_stderr,
        reason = "a failure is of no use without its seed"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("RUTTER_SIM_SEED={} repeats this", self.0);
        }
    }
}
