//! Policy modules that misbehave, in an agent with sessions: whatever one does, what is announced
//! stays, and the status, the metrics and an Event of the Node say which module did what.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use rutter::api::StandIn;
use rutter::policy::PolicyFailure;
use rutter::wasm::{Limits, MODULE_BYTES_MAX, builtin_bytes};

use super::cluster::{FABRIC_ASN, WORKERS};
use super::events::is_recorded;
use super::fabric::{CHANGE_LIMIT, Fabric};
use super::live::Cluster;
use crate::support::agent::Agent;
use crate::support::hostile;
use crate::support::router::{RouterKind, Table};
use crate::support::wait::{contains, equal, eventually};

/// A module and what comes of it.
struct Hostile {
    name: &'static str,
    octets: Vec<u8>,
    outcome: Outcome,
}

enum Outcome {
    /// It is not loaded; these are words of the refusal.
    Refused(&'static str),
    /// It is loaded and fails when it is tried: the kind of failure, and words of it.
    Fails(&'static str, &'static str),
    /// It keeps to the limits, if barely.
    Works,
}

/// What the agent may take beside what it had. Most is taken for the largest module that is loaded,
/// 85 MiB, and for a call that uses all the memory it may have, 65 MiB; all else was below 20.
const MEMORY_MAX: u64 = 128 << 20;

/// What may stay when all are gone: the allocator does not give everything back.
const MEMORY_LEFT_MAX: u64 = 48 << 20;

fn modules() -> Vec<Hostile> {
    let largest = hostile::takes_memory(Limits::DEFAULT.memory_bytes / 65_536);
    let barely = Hostile {
        name: "exactly-the-limits",
        octets: hostile::padded(largest, MODULE_BYTES_MAX),
        outcome: Outcome::Works,
    };
    let refused = refused().map(|(name, octets, words)| Hostile {
        name,
        octets,
        outcome: Outcome::Refused(words),
    });
    let failing = failing().map(|(name, octets, kind, words)| Hostile {
        name,
        octets,
        outcome: Outcome::Fails(kind, words),
    });
    refused.into_iter().chain(failing).chain([barely]).collect()
}

/// Modules that are not loaded, and words of the refusal.
fn refused() -> [(&'static str, Vec<u8>, &'static str); 6] {
    use hostile::{imports_wasi, later_version, padded, thousands_of_functions, traps};
    let whole = traps();
    let half = whole[..whole.len() / 2].to_vec();
    let too_large = padded(whole, 100_000_000);
    [
        ("no-module", b"no wasm".to_vec(), "is not WebAssembly"),
        ("truncated", half, "does not compile"),
        ("100-mb", too_large, "at most 16777216 are read"),
        ("wasi", imports_wasi(), "imports wasi_snapshot_preview1"),
        ("version", later_version(), "exports rutter:policy@2.0.0"),
        ("functions", thousands_of_functions(), "too many functions"),
    ]
}

/// Modules that fail when they are asked, the kind of failure, and words of it.
fn failing() -> [(&'static str, Vec<u8>, &'static str, &'static str); 10] {
    use hostile::{
        allocates_without_end, contradicts_itself, endless_loop, huge_answer, index_of_nothing,
        list_outside_of_memory, recursion, text_that_is_not_utf8, too_few_decisions,
        too_many_decisions,
    };
    let memory = "more than 67108864 bytes";
    let (bad, utf8) = ("bad-answer", text_that_is_not_utf8());
    [
        ("recursion", recursion(), "trap", "call stack exhausted"),
        ("loop", endless_loop(0), "out-of-time", "ran longer than 1s"),
        ("memory", allocates_without_end(), "out-of-memory", memory),
        ("too-few", too_few_decisions(), bad, "0 decisions about"),
        ("too-many", too_many_decisions(), bad, " decisions about"),
        ("index", index_of_nothing(), bad, "attribute set 7 of 0"),
        ("pointer", list_outside_of_memory(), bad, "out of bounds"),
        ("huge-answer", huge_answer(), bad, "too much data"),
        ("utf8", utf8, bad, "invalid utf-8"),
        (
            "fickle",
            contradicts_itself(),
            "inconsistent",
            "contradicts itself",
        ),
    ]
}

impl Hostile {
    /// What is said of it.
    fn words(&self) -> &'static str {
        match self.outcome {
            Outcome::Refused(words) | Outcome::Fails(_, words) => words,
            Outcome::Works => "",
        }
    }

    fn write(&self, folder: &Path) -> PathBuf {
        write(folder, self.name, &self.octets)
    }
}

fn write(folder: &Path, name: &str, octets: &[u8]) -> PathBuf {
    let path = folder.join(format!("{name}.wasm"));
    fs::write(&path, octets).unwrap();
    path
}

/// The module in place of the default, under this name.
fn policies(name: &str, module: &Path) -> String {
    format!("[[policies]]\nname = \"{name}\"\nmodule = {module:?}\n")
}

/// The built-in policy under the name that hostile ones get.
const WELL: &str = "[[policies]]\nname = \"own\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_module_does_routes_stay_and_it_is_told() {
    let mut cluster = Cluster::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]).await;
    cluster.config.policies = WELL.to_owned();
    cluster.agents[0].configure(&cluster.config);
    cluster.settles();
    eventually(CHANGE_LIMIT, || {
        equal(cluster.agents[0].policy()?.name.as_str(), "own")
    });
    let (histories, sent) = (cluster.histories(), cluster.sent());
    let times = cluster.routers[0].changed_at().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let before = cluster.agents[0].memory().resident;
    let mut report = String::new();
    for module in modules() {
        cluster.agents[0].forget_peak();
        put_in_place(&cluster, &module, &module.write(folder.path()));
        let memory = cluster.agents[0].memory();
        let _ = writeln!(
            report,
            "{:18} peak {:>4} MiB, then {:>4} MiB",
            module.name,
            memory.peak >> 20,
            memory.resident >> 20
        );
        assert!(memory.peak < before + MEMORY_MAX, "of {before}:\n{report}");
        assert_eq!(cluster.sent(), sent, "{} had something sent", module.name);
    }
    println!("the agent had {} MiB\n{report}", before >> 20);
    let left = cluster.agents[0].memory().resident;
    assert!(left < before + MEMORY_LEFT_MAX, "of {before}:\n{report}");
    cluster.settles();
    assert_eq!(cluster.routers[0].changed_at().unwrap(), times);
    assert_eq!(cluster.histories(), histories, "a session moved");
}

/// Configures the module, waits for all there is to see of it, and goes back.
fn put_in_place(cluster: &Cluster, module: &Hostile, path: &Path) {
    let Hostile { name, outcome, .. } = module;
    let agent = &cluster.agents[0];
    let failures = failures(agent, "own");
    let refusals = agent.metric(REFUSALS).unwrap();
    let mut config = cluster.config.clone();
    config.policies = match outcome {
        Outcome::Refused(_) | Outcome::Fails(..) => policies("own", path),
        // It abstains, so that it can only come after one that does not.
        Outcome::Works => format!("{WELL}{}", policies("second", path)),
    };
    agent.configure(&config);
    match outcome {
        Outcome::Refused(words) | Outcome::Fails(_, words) => {
            eventually(CHANGE_LIMIT, || {
                let status = agent.status()?;
                contains(&status.config.error.unwrap_or_default(), words)?;
                contains(&agent.policy()?.module, "builtin:default")?;
                equal(agent.policy()?.error, None)
            });
            // So many Events of one reason are written at once.
            if refusals < 10.0 {
                is_recorded(cluster, ("Warning", "ModuleRefused", words));
            }
            assert_eq!(agent.metric("rutter_config_up_to_date{}"), Ok(0.0));
            assert_eq!(agent.metric(REFUSALS), Ok(refusals + 1.0), "{name}");
            assert_eq!(self::failures(agent, "own"), failures, "{name}");
            assert_eq!(agent.metric(UP), Ok(1.0));
        }
        Outcome::Works => eventually(CHANGE_LIMIT, || {
            let policies = agent.status()?.policies;
            let modules: Vec<_> = policies.iter().map(|policy| &policy.module).collect();
            equal(modules.len(), 2)?;
            contains(modules[1], &path.display().to_string())?;
            equal(policies[1].error.clone(), None)
        }),
    }
    agent.configure(&cluster.config);
    eventually(CHANGE_LIMIT, || {
        equal(agent.status()?.config.error, None)?;
        contains(&agent.policy()?.module, "builtin:default")?;
        equal(agent.policy()?.error, None)
    });
}

const REFUSALS: &str = "rutter_notices_total{reason=\"ModuleRefused\"}";

const UP: &str = "rutter_policy_up{policy=\"own\",direction=\"export\"}";

/// How often the policy has failed, by kind.
fn failures(agent: &Agent, policy: &str) -> Vec<f64> {
    let of_kind = |kind| {
        let sample = format!(
            "rutter_policy_failures_total\
             {{policy=\"{policy}\",direction=\"export\",kind=\"{kind}\"}}"
        );
        agent.metric(&sample).unwrap()
    };
    PolicyFailure::KINDS.into_iter().map(of_kind).collect()
}

#[test]
fn a_module_that_fails_under_another_name_is_never_put_in_place_either() {
    let fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
    fabric.has_settled();
    let (histories, sent) = (fabric.histories(), fabric.updates_sent());
    let agent = &fabric.agents[0];
    let folder = tempfile::tempdir().unwrap();
    for module in one_of_each_kind() {
        let path = module.write(folder.path());
        let mut config = fabric.config.clone();
        config.policies = policies(module.name, &path);
        agent.configure(&config);
        eventually(CHANGE_LIMIT, || {
            let error = agent.status()?.config.error.unwrap_or_default();
            let fails = format!("policy {} fails on the routes of this node: ", module.name);
            contains(&error, &fails)?;
            contains(&error, module.words())
        });
        let policy = agent.policy().unwrap();
        let runs = (policy.module.as_str(), policy.failures);
        assert_eq!(runs, ("builtin:default", 0));
    }
    agent.configure(&fabric.config);
    eventually(CHANGE_LIMIT, || equal(agent.status()?.config.error, None));
    fabric.has_settled();
    assert_eq!(fabric.histories(), histories, "a session moved");
    assert_eq!(fabric.updates_sent(), sent, "something was sent");
}

/// One module for each kind of failure.
fn one_of_each_kind() -> impl Iterator<Item = Hostile> {
    let mut kinds = PolicyFailure::KINDS.to_vec();
    modules().into_iter().filter(move |module| {
        let kind = kinds.iter().position(|kind| match module.outcome {
            Outcome::Fails(of, _) => of == *kind,
            Outcome::Refused(_) | Outcome::Works => false,
        });
        kind.map(|at| kinds.remove(at)).is_some()
    })
}

/// The only policy is this one, and status says how it fails.
fn is_failing(agent: &Agent, module: &Hostile) -> Result<(), String> {
    let policy = agent.policy()?;
    equal(policy.name.as_str(), module.name)?;
    match module.outcome {
        Outcome::Fails(_, words) => contains(&policy.error.unwrap_or_default(), words),
        Outcome::Refused(_) | Outcome::Works => Err(format!("{} does not fail", module.name)),
    }
}

#[test]
fn at_the_start_a_module_that_does_not_load_announces_nothing_until_it_is_mended() {
    let mut fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "broken", b"no wasm");
    restart_with(&mut fabric, &policies("broken", &path));
    eventually(CHANGE_LIMIT, || {
        fabric.routers[0].established_with(&fabric.node_addresses())?;
        fabric.routers[0].has_exactly(&Table::default())
    });
    let policy = fabric.agents[0].policy().unwrap();
    assert_eq!(policy.stand_in, Some(StandIn::Closed));
    let error = policy.error.unwrap_or_default();
    assert!(error.contains("broken.wasm"), "status says `{error}`");

    let histories = fabric.histories();
    write(folder.path(), "broken", builtin_bytes());
    fabric.has_settled();
    fabric.is_up();
    assert_eq!(fabric.histories(), histories, "a session moved");
    assert_eq!(fabric.agents[0].policy().unwrap().stand_in, None);
}

#[test]
fn at_the_start_a_module_that_fails_announces_nothing_until_it_is_mended() {
    let mut fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
    let folder = tempfile::tempdir().unwrap();
    for module in one_of_each_kind() {
        let path = module.write(folder.path());
        restart_with(&mut fabric, &policies(module.name, &path));
        fabric.is_up();
        let agent = &fabric.agents[0];
        eventually(CHANGE_LIMIT, || is_failing(agent, &module));
        let failures = failures(agent, module.name);
        for (counted, failures) in PolicyFailure::KINDS.into_iter().zip(failures) {
            let expected = matches!(module.outcome, Outcome::Fails(kind, _) if kind == counted);
            assert_eq!(failures > 0.0, expected, "{} as {counted}", module.name);
        }
        // No decision was ever made, so there is none to keep.
        eventually(CHANGE_LIMIT, || {
            fabric.routers[0].has_exactly(&Table::default())
        });

        let histories = fabric.histories();
        agent.configure(&fabric.config);
        fabric.has_settled();
        assert_eq!(fabric.histories(), histories, "a session moved");
    }
}

/// Ends the only agent and starts it with these policies.
fn restart_with(fabric: &mut Fabric, policies: &str) {
    let mut config = fabric.config.clone();
    config.policies = policies.to_owned();
    let agent = &mut fabric.agents[0];
    agent.process().stop();
    agent.configure(&config);
    agent.start_again();
}
