//! One module file under `[[policies]]` and `[[import-policies]]`, with a router that is announced
//! to and announces: each direction by its own rules, both swapped when the file is, and both in a
//! recording.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use rutter::api::{DecisionReport, PolicyStatus, Usage};
use rutter::types::{Community, Prefix};
use serde_json::Value;
use tempfile::TempDir;

use super::cluster::{self, CLUSTER_ASN, FABRIC_ASN, WORKERS, agent_config};
use super::fabric::{CHANGE_LIMIT, START_LIMIT};
use crate::support::agent::{Agent, AgentConfig, AgentPeer, Source};
use crate::support::bird::Bird;
use crate::support::guests;
use crate::support::netns::Network;
use crate::support::objects::{Manifests, replace};
use crate::support::process::run;
use crate::support::router::{Neighbor, Router, RouterConfig};
use crate::support::verdicts::{self, Mind};
use crate::support::wait::{equal, eventually};

/// What the router announces.
const LEARNED: [&str; 3] = ["100.64.0.0/24", "100.65.0.0/24", "100.66.0.0/16"];

/// Of what the node would announce, what the rules keep back, and what they mark.
const KEPT_BACK: &str = "198.51.100.0/24";
const MARKED: &str = "10.244.11.0/24";

/// What marks routes to the router, and routes from it.
const OUT: Community = Community(64512 << 16 | 7);
const IN: Community = Community(64512 << 16 | 8);

const SPEC: &str = r#"
exportV4 = [
  { action = "Reject", cidr = "198.51.100.0/24", matchOperator = "In" },
  { action = "Accept", cidr = "10.244.0.0/16", matchOperator = "In",
    operations = [{ addCommunity = { value = "64512:7" } }] },
]
importV4 = [
  { action = "Reject", cidr = "100.65.0.0/16", matchOperator = "In" },
  { action = "Accept", cidr = "100.64.0.0/16", matchOperator = "In", asPathPrefix = [4200000001],
    operations = [{ addCommunity = { value = "64512:8" } }] },
]
"#;

/// Other rules: what they keep back, and take, the first ones do not.
const OTHER_SPEC: &str = r#"
exportV4 = [{ action = "Reject", cidr = "10.244.0.0/16", matchOperator = "In" }]
importV4 = [{ action = "Accept", cidr = "100.65.0.0/16", matchOperator = "In" }]
"#;

/// Prefixes, and whether they are marked.
type Marks = BTreeMap<String, bool>;

/// An agent with a router, and `calico-filter` in both of its chains.
struct TwoWay {
    agent: Agent,
    bird: Bird,
    config: AgentConfig,
    folder: TempDir,
    /// They live as long as the agent.
    _network: Network,
    _manifests: Manifests,
}

impl TwoWay {
    fn start() -> Self {
        let mut network = Network::new();
        let upstream = network.host(1);
        let nodes = cluster::nodes(&mut network);
        let manifests = Manifests::new(&cluster::objects(&nodes));
        let node = nodes.iter().find(|node| node.name == WORKERS[0]).unwrap();
        let router = RouterConfig {
            asn: FABRIC_ASN,
            neighbors: vec![Neighbor::new(node.host.ipv4, CLUSTER_ASN)],
            announced: LEARNED
                .iter()
                .map(|prefix| prefix.parse::<Prefix>().unwrap())
                .collect(),
        };
        let bird = Bird::start(&upstream, &router);
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("calico.wasm");
        fs::write(&module, guests::compiled("calico-filter")).unwrap();
        let peers = vec![AgentPeer::new("upstream", upstream.ipv4, FABRIC_ASN)];
        let config = AgentConfig {
            // What the rules say is changed as a whole, and back.
            guard: "\"100%\"",
            ..agent_config(Source::Files(manifests.path()), peers)
        };
        let config = configured(&config, &folder, SPEC);
        let agent = Agent::start(&node.host, node.name, &config);
        Self {
            agent,
            bird,
            config,
            folder,
            _network: network,
            _manifests: manifests,
        }
    }

    /// Replaces the module in one step.
    fn replace(&self, module: &[u8]) {
        let folder = self.folder.path();
        replace(folder, &folder.join("calico.wasm"), module);
    }

    /// Waits until these bytes run in both chains, and nothing newer is refused.
    fn runs(&self, module: &[u8]) {
        let digest = format!("sha256:{}", rutter::wasm::digest(module));
        eventually(CHANGE_LIMIT, || {
            let status = self.agent.status()?;
            let calico = |policies: Vec<PolicyStatus>| {
                let mut policies = policies.into_iter();
                let found = policies.find(|policy| policy.name == "calico");
                found.ok_or("there is no such policy".to_owned())
            };
            for policy in [calico(status.policies)?, calico(status.import_policies)?] {
                equal(policy.digest, Some(digest.clone()))?;
                equal((policy.refused, policy.error), (None, None))?;
            }
            Ok(())
        });
    }

    /// What the router was sent, and whether it is marked.
    fn announced(&self) -> Result<Marks, String> {
        let routes = self.bird.learned()?.into_iter();
        let marks = routes.map(|route| (route.prefix, route.communities.contains(&OUT)));
        Ok(marks.map(|(prefix, is)| (prefix.to_string(), is)).collect())
    }

    /// What of the router's routes is used, and whether it is marked.
    fn used(&self) -> Result<Marks, String> {
        let routes = self.agent.received()?.routes;
        equal(routes.len(), LEARNED.len())?;
        let used = routes
            .into_iter()
            .filter(|route| matches!(route.usage, Usage::Best { .. }));
        let marks = used.map(|route| (route.prefix, route.attributes.communities.contains(&IN)));
        Ok(marks.map(|(prefix, is)| (prefix.to_string(), is)).collect())
    }

    /// Waits until the router was sent exactly these routes, and exactly those of its own are used.
    #[track_caller]
    fn becomes(&self, announced: &Marks, used: &[(&str, bool)]) {
        let used: Marks = used
            .iter()
            .map(|(of, is)| ((*of).to_owned(), *is))
            .collect();
        eventually(START_LIMIT, || equal(self.announced()?, announced.clone()));
        eventually(CHANGE_LIMIT, || equal(self.used()?, used.clone()));
    }

    #[track_caller]
    fn has_one_session(&self) {
        let peer = self.agent.peer("upstream").unwrap();
        assert_eq!((peer.established_count, peer.last_error), (1, None));
    }

    /// Runs `rutter policy ARGUMENTS -o json` in the folder, far from the agent.
    fn workbench(&self, arguments: &[&str]) -> Value {
        let mut rutter = Command::new(env!("CARGO_BIN_EXE_rutter"));
        let rutter = rutter.current_dir(self.folder.path()).arg("policy");
        let report = run(rutter.args(arguments).args(["-o", "json"])).unwrap();
        serde_json::from_str(&report).unwrap()
    }
}

/// This with the filter in both chains, with the same settings.
fn configured(config: &AgentConfig, folder: &TempDir, spec: &str) -> AgentConfig {
    let module = folder.path().join("calico.wasm");
    let filter = |key: &str| {
        let spec = spec.trim();
        format!("[[{key}]]\nname = \"calico\"\nmodule = {module:?}\n[{key}.settings]\n{spec}\n")
    };
    AgentConfig {
        policies: format!(
            "{}[[policies]]\nname = \"default\"\n{}",
            filter("policies"),
            filter("import-policies")
        ),
        ..config.clone()
    }
}

/// Everything that the node announces, with what is marked, without what is kept back.
fn everything(marked: Option<&str>, kept_back: &[&str]) -> Marks {
    let all = cluster::announced(WORKERS[0]).into_iter();
    let all = all.map(|prefix| prefix.to_string());
    all.filter(|prefix| !kept_back.contains(&prefix.as_str()))
        .map(|prefix| {
            let is_marked = marked == Some(prefix.as_str());
            (prefix, is_marked)
        })
        .collect()
}

#[test]
fn one_module_file_decides_both_ways_and_is_swapped_for_both() {
    let both = TwoWay::start();
    let filtered = everything(Some(MARKED), &[KEPT_BACK]);
    let taken = (LEARNED[0], true);
    both.becomes(&filtered, &[taken]);

    let reloads = || {
        let agent = &both.agent;
        agent.metric("rutter_notices_total{reason=\"ConfigurationReloaded\"}")
    };
    let at_start = reloads().unwrap();
    let reloaded = |times: f64| eventually(CHANGE_LIMIT, || equal(reloads()?, at_start + times));

    // What no rule matches is used where the chain ends so, as in Calico.
    let text = both.agent.rendered(&both.config);
    let text = format!("import-policy-default = \"accept\"\n{text}");
    both.agent.configure_text(&text);
    both.becomes(&filtered, &[taken, (LEARNED[2], false)]);
    reloaded(1.0);
    both.agent.configure(&both.config);
    both.becomes(&filtered, &[taken]);
    reloaded(2.0);

    // Another module in the same file.
    let other = verdicts::two_ways(Mind::Abstains, Mind::Rejects);
    both.replace(&other);
    both.becomes(&everything(None, &[]), &[]);
    both.runs(&other);
    reloaded(3.0);

    // A broken one changes nothing in either direction.
    both.replace(b"broken");
    eventually(CHANGE_LIMIT, || {
        let status = both.agent.status()?;
        let refused = |policies: &[PolicyStatus]| {
            let mut refused = policies.iter().filter_map(|policy| policy.refused.as_ref());
            refused.next().map(|_| ()).ok_or("not refused".to_owned())
        };
        refused(&status.policies)?;
        refused(&status.import_policies)
    });
    both.becomes(&everything(None, &[]), &[]);

    let first = guests::compiled("calico-filter");
    both.replace(&first);
    both.becomes(&filtered, &[taken]);
    both.runs(&first);
    reloaded(4.0);
    both.has_one_session();
}

#[test]
fn a_recording_of_both_directions_tells_what_is_and_what_other_rules_would_do() {
    let both = TwoWay::start();
    both.becomes(
        &everything(Some(MARKED), &[KEPT_BACK]),
        &[(LEARNED[0], true)],
    );

    // Without learned routes there is nothing of the other chain in it.
    let write = |name: &str, text: &str| fs::write(both.folder.path().join(name), text).unwrap();
    write("announced.toml", &both.agent.recording().unwrap());
    let replayed = both.workbench(&["replay", "announced.toml"]);
    assert_eq!(
        replayed["policies"],
        serde_json::json!(["calico", "default"])
    );
    assert_eq!(replayed["import-policies"], serde_json::json!([]));
    let groups = replayed["groups"].clone();

    write(
        "live.toml",
        &both.agent.recording_of_learned_routes().unwrap(),
    );
    let replayed = both.workbench(&["replay", "live.toml"]);
    assert_eq!(replayed["groups"], groups);
    assert_eq!(replayed["import-policies"], serde_json::json!(["calico"]));
    let decisions = |routes: &Value| -> BTreeMap<String, DecisionReport> {
        let routes = routes.as_array().unwrap().iter();
        let read = |route: &Value| {
            let decision = serde_json::from_value(route["decision"].clone()).unwrap();
            (route["prefix"].as_str().unwrap().to_owned(), decision)
        };
        routes.map(read).collect()
    };
    let live = both.agent.received().unwrap().routes.into_iter();
    let live = live.map(|route| (route.prefix.to_string(), route.decision.unwrap()));
    assert_eq!(decisions(&replayed["peers"][0]["routes"]), live.collect());
    let mut announced = decisions(&groups[0]["routes"]);
    announced.retain(|_, decision| decision.accepted);
    let live = both.agent.routes().unwrap().routes.into_iter();
    let live = live.map(|route| (route.prefix.to_string(), route.decision));
    assert_eq!(announced, live.collect());

    // What the agent does with other rules is what was told before.
    write("other.toml", OTHER_SPEC);
    let diff = ["diff", "calico.wasm", "calico.wasm", "--batch", "live.toml"];
    let other = ["--as", "calico", "--new-settings", "other.toml"];
    let diff = both.workbench(&[&diff[..], &other].concat());
    let told = |of: &Value| -> Vec<(String, String)> {
        let routes = of[0]["routes"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        routes
            .map(|route| (text(&route["prefix"]), text(&route["kind"])))
            .collect()
    };
    let owned = |told: &[(&str, &str)]| -> Vec<(String, String)> {
        let told = told.iter();
        told.map(|(prefix, kind)| ((*prefix).to_owned(), (*kind).to_owned()))
            .collect()
    };
    assert_eq!(
        told(&diff["groups"]),
        owned(&[(MARKED, "withdrawn"), (KEPT_BACK, "added")])
    );
    assert_eq!(
        told(&diff["peers"]),
        owned(&[(LEARNED[0], "withdrawn"), (LEARNED[1], "added")])
    );
    both.agent
        .configure(&configured(&both.config, &both.folder, OTHER_SPEC));
    both.becomes(&everything(None, &[MARKED]), &[(LEARNED[1], false)]);
    both.has_one_session();
}
