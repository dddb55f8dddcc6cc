//! What a router announces goes through import policies: taken, refused or changed, and all of
//! that anew when their settings change, while the session stays.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use rutter::api::{DecisionReport, ReceivedRoute, Usage};
use rutter::types::{Community, Installation, Prefix};

use super::cluster::{self, CLUSTER_ASN, FABRIC_ASN, WORKERS, agent_config};
use super::fabric::{CHANGE_LIMIT, START_LIMIT};
use crate::support::agent::{Agent, AgentConfig, AgentPeer, Source};
use crate::support::bird::Bird;
use crate::support::guests;
use crate::support::netns::Network;
use crate::support::objects::Manifests;
use crate::support::router::{Neighbor, RouterConfig};
use crate::support::wait::eventually;

const ANNOUNCED: [&str; 3] = ["100.64.0.0/24", "100.65.0.0/24", "100.66.0.0/16"];

/// What there is to say of a received route: whether it is used, its local preference, whether it
/// carries 64512:7, and who decided with which words.
type Told = (Usage, Option<u32>, bool, Option<String>);

fn received(agent: &Agent) -> Result<BTreeMap<String, Told>, String> {
    let told = |route: ReceivedRoute| {
        let step = route.decision.and_then(|made| made.steps.last().cloned());
        let words =
            step.map(|step| format!("{}: {}", step.policy, step.reason.unwrap_or_default()));
        let marked = route
            .attributes
            .communities
            .contains(&Community(64512 << 16 | 7));
        let told = (route.usage, route.attributes.local_pref, marked, words);
        (route.prefix.to_string(), told)
    };
    Ok(agent.received()?.routes.into_iter().map(told).collect())
}

#[track_caller]
fn becomes(agent: &Agent, expected: [Told; 3]) {
    let expected: BTreeMap<_, _> = ANNOUNCED
        .map(str::to_owned)
        .into_iter()
        .zip(expected)
        .collect();
    eventually(START_LIMIT, || {
        let received = received(agent)?;
        if received == expected {
            Ok(())
        } else {
            Err(format!("{received:#?}"))
        }
    });
}

fn best() -> Usage {
    Usage::Best {
        installation: Installation::Install,
    }
}

fn rejected() -> Usage {
    Usage::Unused {
        reason: "rejected".to_owned(),
    }
}

fn says(words: &str) -> Option<String> {
    Some(format!("import-filter: {words}"))
}

/// What a recording says of each route is what the agent says of it.
#[track_caller]
fn replays_what_is_live(agent: &Agent, folder: &Path) {
    let file = folder.join("live.toml");
    fs::write(&file, agent.recording_of_learned_routes().unwrap()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rutter"))
        .args(["policy", "replay", "-o", "json"])
        .arg(&file)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let replayed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let replayed = &replayed["peers"][0];
    assert_eq!(replayed["peer"], "upstream");
    let live = agent.received().unwrap().routes;
    let explained = agent.explanation(ANNOUNCED[1]).unwrap();
    let of_prefix = live
        .iter()
        .filter(|route| route.prefix.to_string() == ANNOUNCED[1]);
    assert!(explained.learned.iter().eq(of_prefix), "{explained:#?}");
    let decisions: Vec<_> = replayed["routes"].as_array().unwrap().iter().collect();
    assert_eq!(decisions.len(), live.len());
    for (replayed, live) in decisions.iter().zip(live) {
        assert_eq!(replayed["prefix"], live.prefix.to_string());
        let decision: DecisionReport =
            serde_json::from_value(replayed["decision"].clone()).unwrap();
        assert_eq!(Some(decision), live.decision);
    }
}

#[test]
fn a_router_s_routes_are_taken_refused_and_changed_by_settings() {
    let mut network = Network::new();
    let upstream = network.host(1);
    let nodes = cluster::nodes(&mut network);
    let manifests = Manifests::new(&cluster::objects(&nodes));
    let node = nodes.iter().find(|node| node.name == WORKERS[0]).unwrap();
    let announcing = |prefixes: &[&str]| RouterConfig {
        asn: FABRIC_ASN,
        neighbors: vec![Neighbor::new(node.host.ipv4, CLUSTER_ASN)],
        announced: prefixes
            .iter()
            .map(|prefix| prefix.parse::<Prefix>().unwrap())
            .collect(),
    };
    let mut bird = Bird::start(&upstream, &announcing(&ANNOUNCED));
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("import-filter.wasm");
    fs::write(&module, guests::compiled("import-filter")).unwrap();
    let peers = vec![AgentPeer::new("upstream", upstream.ipv4, FABRIC_ASN)];
    let open = AgentConfig {
        // The other settings reject most of what the first accept.
        guard: "\"100%\"",
        ..agent_config(Source::Files(manifests.path()), peers)
    };
    let filtered = |rules: &str| AgentConfig {
        policies: format!(
            "[[import-policies]]\nname = \"import-filter\"\nmodule = {module:?}\n\
             settings = {{ rules = [{rules}] }}\n"
        ),
        ..open.clone()
    };
    let agent = Agent::start(
        &node.host,
        node.name,
        &filtered(
            r#"{ name = "secret", action = "reject", prefixes = ["100.65.0.0/16"], max-length = 32 },
               { name = "shared", action = "accept", prefixes = ["100.64.0.0/10"], max-length = 24,
                 local-pref = 200, kernel = "keep" }"#,
        ),
    );
    let kept = Usage::Best {
        installation: Installation::Keep,
    };
    becomes(
        &agent,
        [
            (kept.clone(), Some(200), false, says("rule `shared`")),
            (rejected(), None, false, says("rule `secret`")),
            (kept, Some(200), false, says("rule `shared`")),
        ],
    );

    replays_what_is_live(&agent, folder.path());

    // Other settings: what was refused is taken, and the other way round.
    agent.configure(&filtered(
        r#"{ name = "marked", action = "accept", prefixes = ["100.65.0.0/24"],
             add-communities = ["64512:7"] }"#,
    ));
    let refused = || (rejected(), None, false, says("no rule takes this prefix"));
    becomes(
        &agent,
        [
            refused(),
            (best(), None, true, says("rule `marked`")),
            refused(),
        ],
    );

    // Without import policies everything is used, as received.
    agent.configure(&open);
    let as_received = || (best(), None, false, None);
    becomes(&agent, [as_received(), as_received(), as_received()]);

    bird.configure(&announcing(&ANNOUNCED[..1]));
    eventually(CHANGE_LIMIT, || {
        let received = received(&agent)?;
        if received.keys().eq(&ANNOUNCED[..1]) {
            Ok(())
        } else {
            Err(format!("{received:#?}"))
        }
    });
    let peer = agent.peer("upstream").unwrap();
    assert_eq!((peer.established_count, peer.last_error), (1, None));
}
