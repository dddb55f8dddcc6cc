//! A recording of a live agent, taken away from it: run through the recorded chain on the
//! workbench, it gives the very routes that the agent gives its peers.

use std::collections::BTreeSet;
use std::fs;

use rutter::types::{Prefix, RouteAttributes};
use serde_json::Value;

use super::cluster::{FABRIC_ASN, WORKERS};
use super::fabric::{CHANGE_LIMIT, Fabric};
use crate::support::guests;
use crate::support::process::run;
use crate::support::router::RouterKind;
use crate::support::wait::{equal, eventually};

/// Towards whom, what, with which attributes.
type Routes = BTreeSet<(String, Prefix, RouteAttributes)>;

fn replayed(report: &Value) -> Routes {
    let mut routes = Routes::new();
    for group in report["groups"].as_array().unwrap() {
        for route in group["routes"].as_array().unwrap() {
            let decision = &route["decision"];
            if decision["accepted"] == true {
                routes.insert((
                    group["peer-group"].as_str().unwrap().to_owned(),
                    route["prefix"].as_str().unwrap().parse().unwrap(),
                    serde_json::from_value(decision["attributes"].clone()).unwrap(),
                ));
            }
        }
    }
    routes
}

#[test]
fn a_recording_replays_to_what_the_agent_announces() {
    let fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
    fabric.has_settled();
    let agent = &fabric.agents[0];
    let folder = tempfile::tempdir().unwrap();
    let communities = folder.path().join("communities.wasm");
    fs::write(&communities, guests::compiled("communities")).unwrap();
    let mut config = fabric.config.clone();
    config.policies = format!(
        "[[policies]]\nname = 'default'\n[[policies]]\nname = 'communities'\n\
         module = {communities:?}\nsettings = {{ rules = [{{ add = ['64512:7'] }}] }}\n"
    );
    agent.configure(&config);
    let live = eventually(CHANGE_LIMIT, || {
        let routes = agent.routes()?.routes.into_iter();
        let live: Routes = routes
            .map(|route| (route.peer, route.prefix, route.decision.attributes))
            .collect();
        let marked = |with: &RouteAttributes| with.communities.len() == 1;
        if !live.is_empty() && live.iter().all(|(_, _, with)| marked(with)) {
            Ok(live)
        } else {
            Err(format!("not all have the community: {live:?}"))
        }
    });

    let recording = folder.path().join("live.toml");
    fs::write(&recording, agent.recording().unwrap()).unwrap();
    let replay = ["policy", "replay", "-o", "json"];
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rutter"));
    let report = run(command.args(replay).arg(&recording)).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    equal(&replayed(&report), &live).unwrap();
}
