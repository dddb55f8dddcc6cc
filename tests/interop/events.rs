//! What an operator hears of without asking: the Events that an agent records on its own Node,
//! with the rights that `deploy/` gives it and no more.

use std::path::Path;
use std::process::Command;

use k8s_openapi::api::events::v1::Event;
use serde_json::Value;

use super::cluster::{EXTERNAL, FABRIC_ASN, NAMESPACE, WORKERS};
use super::fabric::CHANGE_LIMIT;
use super::live::Cluster;
use crate::support::agent::AgentConfig;
use crate::support::hostile;
use crate::support::process::{program, run};
use crate::support::router::RouterKind;
use crate::support::wait::{equal, eventually};

/// Normal or Warning, a reason, and what the note contains.
pub(crate) type Expected = (&'static str, &'static str, &'static str);

/// The Event about the first worker that is as expected, if the API server has it.
fn recorded(cluster: &Cluster, (severity, reason, words): Expected) -> Result<Event, String> {
    let listed = kubectl(cluster, &["get", "events.events.k8s.io", "-o", "json"])?;
    let mut listed: Value = serde_json::from_str(&listed).map_err(|error| error.to_string())?;
    let listed: Vec<Event> = serde_json::from_value(listed["items"].take()).unwrap();
    let is_expected = |event: &&Event| {
        let regarding = event
            .regarding
            .as_ref()
            .and_then(|node| node.name.as_deref());
        let note = event.note.as_deref().unwrap_or_default();
        regarding == Some(WORKERS[0])
            && event.reporting_controller.as_deref() == Some("rutter")
            && event.type_.as_deref() == Some(severity)
            && event.reason.as_deref() == Some(reason)
            && note.contains(words)
    };
    let found = listed.iter().find(is_expected).cloned();
    found.ok_or_else(|| format!("no {reason} with `{words}` in {:#?}", listed))
}

/// Waits for that Event.
pub(crate) fn is_recorded(cluster: &Cluster, expected: Expected) {
    eventually(CHANGE_LIMIT, || recorded(cluster, expected));
}

fn kubectl(cluster: &Cluster, command: &[&str]) -> Result<String, String> {
    let mut kubectl = Command::new(program("RUTTER_TEST_KUBECTL"));
    kubectl
        .arg("--kubeconfig")
        .arg(cluster.server.admin_kubeconfig());
    run(kubectl.args(command))
}

fn policies(module: &Path) -> String {
    format!("[[policies]]\nname = \"own\"\nmodule = {module:?}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_policy_a_refused_module_and_a_session_are_events_of_the_node() {
    let mut cluster = Cluster::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]).await;
    cluster.settles();
    is_recorded(&cluster, ("Normal", "SessionEstablished", "tor-v4"));
    is_recorded(&cluster, ("Normal", "SessionEstablished", "tor-v6"));

    let folder = tempfile::tempdir().unwrap();
    let module = |name: &str, octets: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, octets).unwrap();
        path
    };
    let trap = module("trap.wasm", &hostile::traps());
    let broken = module("broken.wasm", b"no wasm");
    let with = |config: &AgentConfig, policies: &str| AgentConfig {
        policies: policies.to_owned(),
        ..config.clone()
    };
    // At the start there is nothing better to run, so one that fails is put in force.
    let failing = with(&cluster.config, &policies(&trap));
    cluster.agents[0].process().stop();
    cluster.agents[0].configure(&failing);
    cluster.agents[0].start_again();
    let failing = ("Warning", "PolicyFailing", "policy own: the module trapped");
    is_recorded(&cluster, failing);
    let configure = |policies: &str| {
        cluster.agents[0].configure(&with(&cluster.config, policies));
    };
    configure("[[policies]]\nname = \"own\"\n");
    is_recorded(&cluster, ("Normal", "PolicyRecovered", "policy own"));
    is_recorded(&cluster, ("Normal", "ConfigurationReloaded", "in force"));
    cluster.settles();
    let (histories, sent) = (cluster.histories(), cluster.sent());

    configure(&policies(&broken));
    is_recorded(&cluster, ("Warning", "ModuleRefused", "broken.wasm"));
    configure("[[policies]]\nmodul = 1\n");
    is_recorded(&cluster, ("Warning", "ConfigurationRefused", "modul"));
    let mut nowhere = cluster.config.clone();
    nowhere.peers.clear();
    cluster.agents[0].configure(&nowhere);
    is_recorded(&cluster, ("Warning", "ChangeHeld", "rutter policy approve"));

    // The same again is the same Event, with a count.
    let refused = ("Warning", "ModuleRefused", "policy own fails on the routes");
    for _ in 0..3 {
        configure(&policies(&trap));
        eventually(CHANGE_LIMIT, || {
            let error = cluster.agents[0].status()?.config.error;
            error.ok_or("not refused".to_owned())
        });
        configure("[[policies]]\nname = \"own\"\n");
        eventually(CHANGE_LIMIT, || {
            cluster.agents[0].status()?.config.error.map_or(Ok(()), Err)
        });
    }
    eventually(CHANGE_LIMIT, || {
        let series = recorded(&cluster, refused)?.series;
        equal(series.map(|series| series.count), Some(3))
    });

    // As an operator reads it.
    let described = kubectl(&cluster, &["describe", "node", WORKERS[0]]).unwrap();
    for words in [
        "PolicyFailing",
        "ModuleRefused",
        "the module trapped",
        "rutter",
    ] {
        assert!(described.contains(words), "{words}: {described}");
    }

    // Without the API server they are dropped, counted, and nothing else happens.
    let dropped = cluster.agents[0]
        .metric("rutter_events_dropped_total{}")
        .unwrap();
    assert!(dropped < 1.0, "{dropped} were dropped");
    let agent = &cluster.agents[0];
    cluster.server.kill();
    agent.configure(&with(&cluster.config, &policies(&trap)));
    eventually(CHANGE_LIMIT, || {
        let dropped = agent.metric("rutter_events_dropped_total{}")?;
        if dropped > 0.0 {
            Ok(())
        } else {
            Err(format!("{dropped} were dropped"))
        }
    });
    assert_eq!(cluster.histories(), histories, "a session moved");
    assert_eq!(cluster.sent(), sent, "something was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_a_nodes_is_an_event_of_the_service_once_for_all_agents() {
    let peers = &[(RouterKind::Bird, FABRIC_ASN, "tor")];
    let cluster = Cluster::start(&[WORKERS[0], WORKERS[1]], peers).await;
    cluster.settles();
    // Node worker-2's, within a range that surrounds all nodes and is no matter.
    let taken = "10.9.0.12";
    for agent in &cluster.agents {
        let mut config = cluster.config.clone();
        config.external_cidrs.push("10.9.0.0/24");
        agent.configure(&config);
    }
    let patch = format!(r#"{{"spec":{{"externalIPs":["198.51.100.40","{taken}"]}}}}"#);
    let service = ["patch", "service", "-n", NAMESPACE, EXTERNAL, "-p", &patch];
    kubectl(&cluster, &service).unwrap();

    let events = || {
        let of_service = ["get", "events.events.k8s.io", "-n", NAMESPACE, "-o", "json"];
        let listed = kubectl(&cluster, &of_service)?;
        let listed: Value = serde_json::from_str(&listed).map_err(|error| error.to_string())?;
        let items = listed["items"].as_array().cloned().unwrap_or_default();
        let refused = items
            .into_iter()
            .filter(|it| it["reason"] == "AddressRefused");
        Ok::<Vec<Value>, String>(refused.collect())
    };
    // Every agent has said it, and the API server has it once.
    eventually(CHANGE_LIMIT, || {
        cluster.agents.iter().try_for_each(|agent| {
            let told = agent.metric("rutter_notices_total{reason=\"AddressRefused\"}")?;
            let recorded = agent.metric("rutter_events_recorded_total{}")?;
            if told < 1.0 || recorded < 1.0 {
                return Err(format!("told {told}, recorded {recorded}"));
            }
            Ok(())
        })
    });
    eventually(CHANGE_LIMIT, || match &events()?[..] {
        [event] if event["regarding"]["name"] == EXTERNAL => Ok(()),
        other => Err(format!("{other:#?}")),
    });
    let note = events().unwrap()[0]["note"].as_str().unwrap().to_owned();
    assert!(
        note.contains(taken) && note.contains("no Service may take it"),
        "{note}"
    );
    let described = ["describe", "service", "-n", NAMESPACE, EXTERNAL];
    let described = kubectl(&cluster, &described).unwrap();
    assert!(described.contains("AddressRefused"), "{described}");
}
