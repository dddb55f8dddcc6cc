//! The simulation: speakers on a network that delays, splits, cuts, refuses and swallows, with
//! an owner who changes routes and configuration all the while. What must hold is in `check`.
//!
//! A run follows from its seed. `RUTTER_SIM_SEEDS=20000` runs more of them, `RUTTER_SIM_SEED=17`
//! runs one, and a failure prints the seed that repeats it. Seeds in `failed-seeds.txt` go first.

#![expect(
    clippy::unwrap_used,
    reason = "a simulation that cannot go on has failed"
)]

mod check;
mod importer;
#[expect(dead_code, reason = "the unit tests of the speaker use the rest")]
mod network;
mod reflection;
mod scenario;

use reflection::Reflected;
use scenario::{Scenario, Weather};

/// Runs of each test, unless the environment says otherwise.
const SEEDS: u64 = 1000;

/// Seeds that failed once; see the file.
const FAILED_ONCE: &str = include_str!("failed-seeds.txt");

/// What is told from a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    Pair,
    Router,
    Fair,
    Reflectors,
    Restarts,
}

impl Story {
    const ALL: [Self; 5] = [
        Self::Pair,
        Self::Router,
        Self::Fair,
        Self::Reflectors,
        Self::Restarts,
    ];

    /// What the file of failed seeds calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Router => "router",
            Self::Fair => "fair",
            Self::Reflectors => "reflectors",
            Self::Restarts => "restarts",
        }
    }

    /// How many runs of the others take as long as one of it.
    fn weight(self) -> u64 {
        match self {
            Self::Pair | Self::Router | Self::Fair | Self::Restarts => 1,
            Self::Reflectors => 20,
        }
    }

    fn run(self, seed: u64) {
        let (hosts, weather) = match self {
            Self::Pair => (2, Weather::Foul),
            Self::Router => (3, Weather::Foul),
            Self::Fair => (3, Weather::Fair),
            Self::Reflectors => return Reflected::new(seed).run(),
            Self::Restarts => return Scenario::new(seed, 2, Weather::Fair).run_restarts(),
        };
        Scenario::new(seed, hosts, weather).run();
    }
}

#[test]
fn two_speakers_agree_whatever_happens_between_them() {
    for_each_seed(Story::Pair);
}

#[test]
fn a_router_and_two_nodes_agree_whatever_happens_between_them() {
    for_each_seed(Story::Router);
}

#[test]
fn without_a_fault_no_session_ever_changes() {
    for_each_seed(Story::Fair);
}

#[test]
fn reflectors_pass_on_what_they_should_whatever_happens() {
    for_each_seed(Story::Reflectors);
}

#[test]
fn nothing_is_lost_when_either_end_restarts_or_both() {
    for_each_seed(Story::Restarts);
}

fn for_each_seed(story: Story) {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect(name))
    };
    let only = number("RUTTER_SIM_SEED");
    let count = number("RUTTER_SIM_SEEDS").unwrap_or(SEEDS) / story.weight();
    for seed in seeds(story, FAILED_ONCE, only, count) {
        let _guard = SeedGuard(seed);
        story.run(seed);
    }
}

/// One seed, or those that failed once and then as many as are wanted.
fn seeds(story: Story, failed_once: &str, only: Option<u64>, count: u64) -> Vec<u64> {
    let failed = failed_seeds(failed_once).into_iter();
    let failed = failed.filter_map(|(of, seed)| (of == story).then_some(seed));
    match only {
        Some(seed) => vec![seed],
        None => failed.chain(0..count).collect(),
    }
}

/// Lines of a story and a seed; `#` begins a comment.
fn failed_seeds(text: &str) -> Vec<(Story, u64)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap());
    let parse = |line: &str| {
        let (name, seed) = line.trim().split_once(' ')?;
        let story = Story::ALL.into_iter().find(|story| story.name() == name)?;
        Some((story, seed.trim().parse().ok()?))
    };
    lines
        .filter(|line| !line.trim().is_empty())
        .map(|line| parse(line).unwrap_or_else(|| panic!("`{line}` is no story and seed")))
        .collect()
}

#[test]
fn seeds_that_failed_once_come_first_and_again_in_their_own_story() {
    let file = "# why\nrouter 4711 # found by this\n\n  pair 12\nrouter 3\n";
    assert_eq!(seeds(Story::Router, file, None, 2), [4711, 3, 0, 1]);
    assert_eq!(seeds(Story::Pair, file, None, 1), [12, 0]);
    assert_eq!(seeds(Story::Fair, file, None, 2), [0, 1]);
    assert_eq!(seeds(Story::Router, file, Some(7), 2), [7]);
    // And the real one can be read.
    failed_seeds(FAILED_ONCE);
}

#[test]
#[should_panic(expected = "`ruoter 4711` is no story and seed")]
fn a_line_of_failed_seeds_that_means_nothing_is_not_passed_over() {
    failed_seeds("ruoter 4711");
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
