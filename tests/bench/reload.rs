//! What taking a changed policy into use costs a whole agent: how long it takes, how long
//! questions wait meanwhile, and the agent's memory, with 100,000 candidates of 50,000 Services.
//! The program itself runs, on a directory of manifests and without a peer. Run with
//! `cargo bench --bench reload`.

mod agent;
mod cluster;
#[path = "../support/guests.rs"]
mod guests;
mod manifests;
#[path = "../support/memory.rs"]
mod memory;

use std::time::{Duration, Instant};

use agent::{Agent, Folder};
use rutter::api::{PolicyStatus, Readiness};

/// A policy that says something about every route.
const POLICY: &str = "communities";

/// How often an agent is asked that should be doing nothing else.
const IDLE_QUESTIONS: usize = 101;

/// Something to change about a running agent.
struct Change {
    what: &'static str,
    make: fn(&Folder),
    /// Whether it is in force, by what its policy's status was before and is now.
    is_made: fn(&PolicyStatus, &PolicyStatus) -> bool,
}

/// Of the settings, status says nothing; of the limits it does.
const CHANGES: &[Change] = &[
    Change {
        what: "another module, the same decisions",
        make: |folder| folder.write_module(&another(guests::compiled(POLICY))),
        is_made: |before, now| before.digest != now.digest,
    },
    Change {
        what: "other settings, another attribute for each route",
        make: |folder| folder.write_config(&policy("64512:2", "2s")),
        is_made: |before, now| before.limits != now.limits,
    },
];

fn main() {
    // As `cargo test` runs it: does it still work?
    let measures = std::env::args().any(|argument| argument == "--bench");
    let services = if measures { cluster::SERVICES } else { 100 };
    let folder = Folder::new();
    folder.write_module(&guests::compiled(POLICY));
    folder.write_config(&policy("64512:1", "1s"));
    manifests::write(&folder.manifests(), 0);
    drop(started(&folder, 0));

    manifests::write(&folder.manifests(), services);
    let mut agent = started(&folder, services);
    for change in CHANGES {
        reload(&mut agent, &folder, change);
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn started(folder: &Folder, services: u32) -> Agent {
    let start = now();
    let mut agent = Agent::start(folder);
    agent.ask_until(|status| status.readiness == Readiness::Ready);
    println!(
        "start: {services} Services, ready after {:.2} s, {} of memory",
        start.elapsed().as_secs_f64(),
        mebibytes(agent.resident())
    );
    agent
}

/// Makes a change, asks without a pause until it is in force, and prints what it cost.
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn reload(agent: &mut Agent, folder: &Folder, change: &Change) {
    let mut idle: Vec<Duration> = (0..IDLE_QUESTIONS).map(|_| agent.ask().1).collect();
    idle.sort_unstable();
    let before = policy_of(agent);
    let start = now();
    (change.make)(folder);
    let longest = agent.ask_until(|status| (change.is_made)(&before, &status.policies[0]));
    println!(
        "reload: {}, in force after {:.0} ms, a question waited {:.1} ms at most \
         ({:.1} ms before), {} of memory, {} at most",
        change.what,
        milliseconds(start.elapsed()),
        milliseconds(longest),
        milliseconds(idle[IDLE_QUESTIONS / 2]),
        mebibytes(agent.resident()),
        mebibytes(agent.peak()),
    );
}

fn policy_of(agent: &Agent) -> PolicyStatus {
    let (mut status, _) = agent.ask();
    let policy = status.policies.remove(0);
    assert_eq!(policy.error, None, "the policy works");
    policy
}

/// The policy's table of the configuration.
fn policy(community: &str, time: &str) -> String {
    format!(
        "[[policies]]\nname = '{POLICY}'\nmodule = '{}'\nlimits = {{ time = '{time}' }}\n\
         settings = {{ rules = [{{ match = {{ labels = {{ team = '*' }} }}, add = ['{community}'] }}] }}\n",
        agent::MODULE
    )
}

/// Another file with the same code: a custom section at its end.
fn another(mut module: Vec<u8>) -> Vec<u8> {
    const CUSTOM_SECTION: &[u8] = &[0, 5, 4, b'n', b'o', b't', b'e'];
    module.extend_from_slice(CUSTOM_SECTION);
    module
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
