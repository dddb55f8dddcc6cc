//! The module of an import policy that changes under a running agent with a session: what becomes
//! of the routes that a router announces, what is held back, and what is never taken.

use std::collections::BTreeMap;
use std::fs;

use rutter::api::{HeldChange, PolicyStatus, Usage};
use rutter::policy::ChangeKind;
use rutter::types::{Installation, Prefix};
use tempfile::TempDir;

use super::cluster::{self, CLUSTER_ASN, FABRIC_ASN, WORKERS, agent_config};
use super::fabric::{CHANGE_LIMIT, START_LIMIT};
use crate::support::agent::{Agent, AgentConfig, AgentPeer, Source};
use crate::support::bird::Bird;
use crate::support::guests;
use crate::support::hostile::{Recipe, Way};
use crate::support::netns::Network;
use crate::support::objects::{Manifests, replace};
use crate::support::router::{Neighbor, RouterConfig};
use crate::support::verdicts;
use crate::support::wait::{equal, eventually};

pub(super) const ANNOUNCED: [&str; 3] = ["100.64.0.0/24", "100.65.0.0/24", "100.66.0.0/16"];

/// An agent that takes the routes of a router by a filter, and behind that asks a module in a file,
/// which has no opinion.
pub(super) struct Learning {
    pub(super) agent: Agent,
    pub(super) config: AgentConfig,
    pub(super) folder: TempDir,
    /// They live as long as the agent.
    _bird: Bird,
    _network: Network,
    _manifests: Manifests,
}

impl Learning {
    pub(super) fn start(guard: &'static str) -> Self {
        let mut network = Network::new();
        let upstream = network.host(1);
        let nodes = cluster::nodes(&mut network);
        let manifests = Manifests::new(&cluster::objects(&nodes));
        let node = nodes.iter().find(|node| node.name == WORKERS[0]).unwrap();
        let announcing = RouterConfig {
            asn: FABRIC_ASN,
            neighbors: vec![Neighbor::new(node.host.ipv4, CLUSTER_ASN)],
            announced: ANNOUNCED
                .iter()
                .map(|prefix| prefix.parse::<Prefix>().unwrap())
                .collect(),
        };
        let bird = Bird::start(&upstream, &announcing);
        let folder = tempfile::tempdir().unwrap();
        let filter = folder.path().join("import-filter.wasm");
        fs::write(&filter, guests::compiled("import-filter")).unwrap();
        let last = folder.path().join("last.wasm");
        fs::write(&last, verdicts::abstains(Way::Learn)).unwrap();
        let peers = vec![AgentPeer::new("upstream", upstream.ipv4, FABRIC_ASN)];
        let config = AgentConfig {
            policies: format!(
                "[[import-policies]]\nname = \"import-filter\"\nmodule = {filter:?}\n\
                 settings = {{ rules = [{{ name = \"shared\", action = \"accept\", \
                 prefixes = [\"100.64.0.0/10\"], max-length = 24 }}] }}\n\
                 [[import-policies]]\nname = \"last\"\nmodule = {last:?}\npeers = [\"upstream\"]\n"
            ),
            guard,
            ..agent_config(Source::Files(manifests.path()), peers)
        };
        let agent = Agent::start(&node.host, node.name, &config);
        let learning = Self {
            agent,
            config,
            folder,
            _bird: bird,
            _network: network,
            _manifests: manifests,
        };
        eventually(START_LIMIT, || learning.uses(&ANNOUNCED));
        learning
    }

    /// Replaces the last module in one step.
    pub(super) fn replace(&self, module: &[u8]) {
        let folder = self.folder.path();
        replace(folder, &folder.join("last.wasm"), module);
    }

    fn policy(&self) -> Result<PolicyStatus, String> {
        let mut policies = self.agent.status()?.import_policies;
        policies.pop().ok_or("no import policies".to_owned())
    }

    /// Whether exactly these routes are used.
    pub(super) fn uses(&self, prefixes: &[&str]) -> Result<(), String> {
        let best = Usage::Best {
            installation: Installation::Install,
        };
        let routes = self.agent.received()?.routes.into_iter();
        let usages: BTreeMap<String, Usage> = routes
            .map(|route| (route.prefix.to_string(), route.usage))
            .collect();
        equal(usages.len(), ANNOUNCED.len())?;
        let used = usages.iter().filter(|(_, usage)| **usage == best);
        let used: Vec<&str> = used.map(|(prefix, _)| prefix.as_str()).collect();
        equal(used, prefixes.to_vec())
    }

    /// Waits until status says that these bytes run, and nothing newer is refused.
    fn runs(&self, module: &[u8]) {
        let digest = format!("sha256:{}", rutter::wasm::digest(module));
        eventually(CHANGE_LIMIT, || {
            let policy = self.policy()?;
            equal(policy.digest, Some(digest.clone()))?;
            equal(policy.refused, None)
        });
    }

    fn held(&self) -> HeldChange {
        eventually(CHANGE_LIMIT, || {
            let held = self.agent.status()?.held;
            held.ok_or("nothing is held back".to_owned())
        })
    }

    #[track_caller]
    pub(super) fn has_one_session(&self) {
        let peer = self.agent.peer("upstream").unwrap();
        assert_eq!((peer.established_count, peer.last_error), (1, None));
    }
}

#[test]
fn a_module_that_rejects_too_much_of_what_is_learned_waits_for_approval() {
    let learning = Learning::start("");
    let agent = &learning.agent;
    let rejects = verdicts::rejects(Way::Learn);
    learning.replace(&rejects);
    let held = learning.held();
    assert_eq!(held.max_withdraw, "50%");
    assert_eq!(held.effect.withdrawn, 0, "{held:?}");
    let learned = &held.effect.learned;
    assert_eq!((learned.used, learned.rejected), (3, 3));
    let example = &learned.examples[0];
    assert_eq!(example.change, ChangeKind::Withdrawn);
    assert_eq!(example.peer, "upstream");
    assert!(
        example.reason.starts_with("last reject: "),
        "{}",
        example.reason
    );
    let [part] = held.parts.as_slice() else {
        panic!("{held:?}");
    };
    assert!(part.starts_with("module of import policy last: "), "{part}");
    let metric = agent.metric("rutter_change_held_rejections{}").unwrap();
    assert!((metric - 3.0).abs() < f64::EPSILON, "{metric}");
    learning.uses(&ANNOUNCED).unwrap();

    let wrong = agent.approve("1234abcd").unwrap_err();
    assert!(wrong.contains(&format!("but {} is", held.id)), "{wrong}");
    learning.uses(&ANNOUNCED).unwrap();
    let done = agent.approve(&held.id).unwrap();
    assert!(done.contains("is in force"), "{done}");
    assert!(
        done.contains("of learned routes: 3 of 3 rejected"),
        "{done}"
    );
    eventually(CHANGE_LIMIT, || learning.uses(&[]));
    learning.runs(&rejects);
    assert_eq!(agent.status().unwrap().held, None);
    let rejected = agent.metric("rutter_learned_routes{decision=\"rejected\"}");
    assert!((rejected.unwrap() - 3.0).abs() < f64::EPSILON);

    // The way back takes nothing away.
    learning.replace(&verdicts::abstains(Way::Learn));
    eventually(CHANGE_LIMIT, || learning.uses(&ANNOUNCED));
    learning.has_one_session();
}

#[test]
fn the_first_import_policies_of_a_node_wait_where_they_reject_most_of_what_is_used() {
    let mut learning = Learning::start("");
    let policies = std::mem::take(&mut learning.config.policies);
    learning.agent.configure(&learning.config);
    eventually(CHANGE_LIMIT, || {
        equal(learning.agent.status()?.import_policies, Vec::new())
    });
    eventually(CHANGE_LIMIT, || learning.uses(&ANNOUNCED));
    // The rules take other prefixes only.
    learning.config.policies = policies.replace("100.64.0.0/10", "100.65.0.0/16");
    learning.agent.configure(&learning.config);
    let held = learning.held();
    let learned = &held.effect.learned;
    assert_eq!((learned.used, learned.rejected, learned.changed), (3, 2, 0));
    learning.uses(&ANNOUNCED).unwrap();
    learning.agent.approve(&held.id).unwrap();
    eventually(CHANGE_LIMIT, || learning.uses(&["100.65.0.0/24"]));
    learning.has_one_session();
}

#[test]
fn a_broken_module_changes_nothing_of_what_is_learned() {
    let learning = Learning::start("");
    let abstains = verdicts::abstains(Way::Learn);
    let rejects = verdicts::rejects(Way::Learn);
    let traps = Recipe {
        way: Way::Learn,
        ..Recipe::default()
    };
    let loading = "import-policies.module ";
    let trial = "import policy last fails on the routes of this node: the module trapped";
    for (broken, words) in [
        (rejects[..rejects.len() / 2].to_vec(), loading),
        (b"no wasm".to_vec(), loading),
        (verdicts::rejects(Way::Announce), loading),
        (traps.build(), trial),
    ] {
        learning.replace(&broken);
        let refused = eventually(CHANGE_LIMIT, || {
            learning.policy()?.refused.ok_or("not refused".to_owned())
        });
        assert!(refused.starts_with(words), "{refused}");
        assert_eq!(learning.policy().unwrap().error, None);
        learning.uses(&ANNOUNCED).unwrap();
        learning.replace(&abstains);
        learning.runs(&abstains);
    }
    learning.has_one_session();
}

#[test]
fn what_the_guard_allows_is_swapped_under_the_session() {
    let mut learning = Learning::start("\"100%\"");
    learning.replace(&verdicts::rejects(Way::Learn));
    eventually(CHANGE_LIMIT, || learning.uses(&[]));
    // Configured otherwise, it is the same module.
    let policies = learning.config.policies.clone();
    learning.config.policies =
        policies.replace("peers = [\"upstream\"]\n", "on-error = \"skip\"\n");
    learning.agent.configure(&learning.config);
    eventually(CHANGE_LIMIT, || {
        equal(learning.policy()?.on_error, rutter::policy::OnError::Skip)
    });
    learning.uses(&[]).unwrap();
    learning.replace(&verdicts::abstains(Way::Learn));
    eventually(CHANGE_LIMIT, || learning.uses(&ANNOUNCED));
    learning.has_one_session();
}
