//! Policies replaced again and again, good ones and bad ones, while Services change all the time:
//! no session moves, no route of a Service that did not change is withdrawn for a moment, and in
//! the end every router has what the last of everything says.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kube::Client;
use rutter::types::{Community, Prefix};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::cluster::{
    FABRIC_ASN, LOAD_BALANCER_CIDRS, WORKERS, addresses, announced, expected_table, extra,
};
use super::fabric::{CHANGE_LIMIT, Plan};
use super::live::{Cluster, create, delete, patch};
use crate::support::agent::{Agent, AgentConfig};
use crate::support::objects::{Readiness, replace};
use crate::support::process::Signal;
use crate::support::router::{Router, RouterKind};
use crate::support::wait::{contains, equal, eventually};
use crate::support::{guests, hostile};

/// Services that change all the time.
const CHANGING: u16 = 20;

/// How often each [`Step`] is taken.
const ROUNDS: u16 = 3;

/// Fewer changes than this would be no stream: some thousands are usual.
const CHANGES_MIN: u64 = 500;

/// A range that comes and goes; no Service has an address in it.
const RANGE: &str = "198.51.101.0/24";

const ROUTERS: [Plan; 2] = [
    (RouterKind::Bird, FABRIC_ASN, "bird"),
    (RouterKind::Frr, FABRIC_ASN + 1, "frr"),
];

/// One replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The module is another file.
    OtherFile,
    /// The module's file has another content.
    OtherContent,
    /// The module has other settings: every route has another community.
    OtherSettings,
    /// Another range is announced, or not any more.
    OtherRange,
    /// The module's file is half of one.
    TruncatedModule,
    /// The settings are such as the module refuses.
    RefusedSettings,
    /// The configuration does not parse.
    BrokenConfiguration,
    /// The module loads, and fails when it is tried.
    FailingModule,
}

impl Step {
    const ALL: [Self; 8] = [
        Self::OtherFile,
        Self::OtherSettings,
        Self::TruncatedModule,
        Self::OtherContent,
        Self::RefusedSettings,
        Self::OtherRange,
        Self::BrokenConfiguration,
        Self::FailingModule,
    ];
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_a_stream_of_changes_move_no_session_and_lose_no_route() {
    let cluster = Cluster::start(&[WORKERS[0]], &ROUTERS).await;
    cluster.settles();
    let mut operator = Operator::new(cluster.config.clone());
    operator.put_in_force(&cluster);
    let histories = cluster.histories();

    let stream = Stream::start(cluster.admin.clone());
    for round in 0..ROUNDS {
        for step in Step::ALL {
            operator.take(step, round, &cluster);
        }
    }
    operator.take(Step::OtherSettings, ROUNDS, &cluster);
    let (changes, ready) = stream.end().await;
    assert!(changes > CHANGES_MIN, "{changes} changes are no stream");

    assert_ends_as_it_should(&cluster, &operator, &ready);
    assert_eq!(cluster.histories(), histories, "a session moved");
    for peer in cluster.agents[0].status().unwrap().peers {
        assert_eq!(peer.established_count, 1, "{peer:?}");
    }
    assert_nothing_stable_was_withdrawn(&cluster);
}

/// Every router has the routes of the cluster and those of the changing Services that are
/// `ready`, each with the last community.
fn assert_ends_as_it_should(cluster: &Cluster, operator: &Operator, ready: &BTreeSet<Prefix>) {
    let mut complete = expected_table(&cluster.nodes);
    let host = cluster.nodes[0].host.clone();
    let range = operator.announces_range.then(|| RANGE.parse().unwrap());
    for from in addresses(&host) {
        for prefix in ready.iter().copied().chain(range) {
            complete.insert(from, prefix, host.ipv4.into());
        }
    }
    cluster.settles_at(&complete);
    for router in &cluster.routers {
        eventually(CHANGE_LIMIT, || {
            let mut routes = router.learned()?.into_iter();
            let expected = BTreeSet::from([operator.community()]);
            let other = routes.find(|route| route.communities != expected);
            equal(other, None)
        });
    }
}

/// The routers' logs, in which no short loss can hide.
fn assert_nothing_stable_was_withdrawn(cluster: &Cluster) {
    let stable = announced(WORKERS[0]);
    for router in &cluster.routers {
        let withdrawn = router.withdrawn().unwrap();
        let lost: Vec<_> = withdrawn
            .iter()
            .filter(|(_, prefix)| stable.contains(prefix))
            .collect();
        assert!(lost.is_empty(), "{:?} lost {lost:?}", router.kind());
        // It does tell: both sessions brought withdrawals of what changed.
        for from in addresses(&cluster.nodes[0].host) {
            let told = |prefix: &Prefix| withdrawn.contains(&(from, *prefix));
            let changing = (0..CHANGING).map(prefix_of).filter(told).count();
            assert!(changing > 0, "{:?} saw no withdrawal", router.kind());
        }
    }
}

/// Who replaces things, and what is in force.
struct Operator {
    base: AgentConfig,
    folder: TempDir,
    module: Vec<u8>,
    /// Builds differ in their length only.
    padding: usize,
    /// The file that the configuration names.
    file: u16,
    /// The second half of the community that all routes get.
    community: u16,
    announces_range: bool,
}

impl Operator {
    fn new(base: AgentConfig) -> Self {
        let operator = Self {
            base,
            folder: tempfile::tempdir().unwrap(),
            module: guests::compiled("communities"),
            padding: 0,
            file: 0,
            community: 0,
            announces_range: false,
        };
        fs::create_dir(operator.folder.path().join("modules")).unwrap();
        operator
    }

    fn community(&self) -> Community {
        format!("64512:{}", self.community).parse().unwrap()
    }

    fn path(&self) -> PathBuf {
        let name = format!("{}.wasm", self.file);
        self.folder.path().join("modules").join(name)
    }

    fn write(&self, octets: &[u8]) {
        replace(self.folder.path(), &self.path(), octets);
    }

    /// The module as it never was before.
    fn write_new_build(&mut self) {
        self.padding += 1;
        let octets = self.module.len() + 64 + self.padding;
        self.write(&hostile::padded(self.module.clone(), octets));
    }

    fn config(&self) -> AgentConfig {
        let mut config = self.base.clone();
        if self.announces_range {
            config.load_balancer_cidrs = [&LOAD_BALANCER_CIDRS[..], &[RANGE]].concat();
        }
        config.policies = format!(
            "[[policies]]\nname = \"default\"\n\
             [[policies]]\nname = \"communities\"\nmodule = {:?}\n\
             [[policies.settings.rules]]\nadd = [\"{}\"]\n",
            self.path(),
            self.community()
        );
        config
    }

    /// Takes a step, and waits until its effect is seen.
    fn take(&mut self, step: Step, round: u16, cluster: &Cluster) {
        let agent = &cluster.agents[0];
        match step {
            Step::OtherFile => {
                self.file += 1;
                self.put_in_force(cluster);
            }
            Step::OtherSettings => {
                self.community += 1;
                self.put_in_force(cluster);
            }
            Step::OtherRange => {
                self.announces_range = !self.announces_range;
                self.put_in_force(cluster);
            }
            Step::OtherContent => {
                let reloads = reloads(agent);
                // Nobody tells the agent: it notices.
                self.write_new_build();
                eventually(CHANGE_LIMIT, || {
                    is_well(agent)?;
                    at_least(self::reloads(agent), reloads + 1.0)
                });
            }
            Step::TruncatedModule => {
                self.write(&self.module[..self.module.len() / 2]);
                agent.signal(Signal::Hangup);
                eventually(CHANGE_LIMIT, || {
                    let policies = agent.status()?.policies;
                    let refused = policies[1].refused.as_deref();
                    contains(refused.unwrap_or_default(), "does not compile")
                });
            }
            Step::RefusedSettings => {
                let good = agent.rendered(&self.config());
                let community = self.community().to_string();
                agent.configure_text(&good.replace(&community, "64512:65536"));
                is_refused(agent, "rules[0].add");
            }
            Step::BrokenConfiguration => {
                let good = agent.rendered(&self.config());
                agent.configure_text(&good.replace("[[policies]]", "[[polices]]"));
                is_refused(agent, "polices");
            }
            Step::FailingModule => {
                let (module, words) = match round % 3 {
                    0 => (hostile::traps(), "trapped"),
                    1 => (hostile::contradicts_itself(), "contradicts itself"),
                    _ => (hostile::endless_loop(0), "ran longer"),
                };
                self.file += 1;
                self.write(&module);
                agent.configure(&self.config());
                is_refused(agent, words);
            }
        }
    }

    /// Writes the module and the configuration, and waits until BIRD has what it says.
    fn put_in_force(&mut self, cluster: &Cluster) {
        let agent = &cluster.agents[0];
        self.write_new_build();
        agent.configure(&self.config());
        eventually(CHANGE_LIMIT, || {
            is_well(agent)?;
            let policies = agent.status()?.policies;
            equal(
                policies[1].module.clone(),
                self.path().display().to_string(),
            )
        });
        // The other router is asked in the end only: it takes long to tell all it knows.
        let bird = cluster.routers[0].as_ref();
        eventually(CHANGE_LIMIT, || self.is_in_force_at(bird));
    }

    /// Every stable route has the community, and the range is there or not.
    fn is_in_force_at(&self, router: &dyn Router) -> Result<(), String> {
        let stable = announced(WORKERS[0]);
        let learned = router.learned()?;
        let has_range = learned
            .iter()
            .any(|route| route.prefix.to_string() == RANGE);
        equal(has_range, self.announces_range)?;
        let with_community = learned.iter().filter(|route| {
            let communities = [self.community()].into();
            stable.contains(&route.prefix) && route.communities == communities
        });
        equal(with_community.count(), 2 * stable.len())
    }
}

fn is_refused(agent: &Agent, words: &str) {
    eventually(CHANGE_LIMIT, || {
        contains(&agent.status()?.config.error.unwrap_or_default(), words)
    });
}

fn is_well(agent: &Agent) -> Result<(), String> {
    let status = agent.status()?;
    equal(status.config.error, None)?;
    equal(status.policies.len(), 2)?;
    let errors = status.policies.into_iter().map(|policy| policy.error);
    equal(errors.flatten().collect::<Vec<_>>(), Vec::new())
}

/// How often a configuration was taken into use.
fn reloads(agent: &Agent) -> f64 {
    agent
        .metric("rutter_notices_total{reason=\"ConfigurationReloaded\"}")
        .unwrap()
}

fn at_least(value: f64, least: f64) -> Result<(), String> {
    if value >= least {
        Ok(())
    } else {
        Err(format!("{value} is less than {least}"))
    }
}

/// Somebody who changes Services until told to end.
struct Stream {
    ending: Arc<AtomicBool>,
    task: JoinHandle<u64>,
}

impl Stream {
    fn start(admin: Client) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ending);
        let task = tokio::spawn(async move {
            let mut changes = 0;
            while !told.load(Ordering::Relaxed) {
                change(&admin, changes).await;
                changes += 1;
            }
            changes
        });
        Self { ending, task }
    }

    /// How many changes there were, and the prefixes of the Services that are left with a ready
    /// endpoint.
    async fn end(self) -> (u64, BTreeSet<Prefix>) {
        self.ending.store(true, Ordering::Relaxed);
        let changes = self.task.await.unwrap();
        let ready = (0..CHANGING).filter(|service| {
            // The phase of its last change; see `change`.
            let done = changes
                .saturating_sub(u64::from(*service))
                .div_ceil(CHANGING.into());
            done > 0 && matches!((done - 1) % 4, 0 | 2)
        });
        (changes, ready.map(prefix_of).collect())
    }
}

/// The n-th change of all: each Service appears, ready; its endpoint becomes unready, ready again;
/// and it is deleted.
async fn change(admin: &Client, nth: u64) {
    let number = u16::try_from(nth % u64::from(CHANGING)).unwrap();
    let name = format!("changing-{number}");
    let readiness = match nth / u64::from(CHANGING) % 4 {
        1 => Readiness::Unready,
        _ => Readiness::Ready,
    };
    let [service, slice] = extra(&name, number, WORKERS[0], readiness);
    match nth / u64::from(CHANGING) % 4 {
        0 => {
            create(admin, slice).await;
            create(admin, service).await;
        }
        1 | 2 => patch(admin, &slice).await,
        _ => {
            delete(admin, &service).await;
            delete(admin, &slice).await;
        }
    }
}

fn prefix_of(number: u16) -> Prefix {
    let [service, _] = extra("any", number, WORKERS[0], Readiness::Ready);
    let address = service["spec"]["clusterIP"].as_str().unwrap();
    format!("{address}/32").parse().unwrap()
}
