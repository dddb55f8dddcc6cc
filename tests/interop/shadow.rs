//! Policies in shadow mode on a live node: nothing moves, and what they would change is what
//! changes when they come to decide.

use std::fs;
use std::path::Path;

use rutter::api::{PolicyStatus, ShadowCounts};

use super::cluster::{FABRIC_ASN, WORKERS, expected_table};
use super::fabric::{CHANGE_LIMIT, Fabric};
use crate::support::agent::Agent;
use crate::support::router::RouterKind;
use crate::support::wait::{equal, eventually};
use crate::support::{guests, hostile};

/// Rejects every address of a Service that is no cluster-wide one.
const NOBODYS: &str = r#"{ tenants = [{ name = "nobody", namespaces = ["nobody"], ranges = [] }], routes = ["external-ip", "load-balancer-ip", "cluster-ip"] }"#;

fn policy(name: &str, module: &Path, more: &str) -> String {
    format!("[[policies]]\nname = {name:?}\nmodule = {module:?}\n{more}\n")
}

/// The status of a policy, once it has compared something.
fn compared(agent: &Agent, name: &str) -> Result<(PolicyStatus, Vec<ShadowCounts>), String> {
    let status = agent.status()?;
    let mut policies = status.policies.into_iter();
    let policy = policies.find(|policy| policy.name == name);
    let policy = policy.ok_or_else(|| format!("no policy {name}"))?;
    let counts = policy.shadow.clone().unwrap_or_default();
    match counts.iter().map(|it| it.compared + it.waiting).sum() {
        0u64 => Err(format!("nothing compared yet: {policy:?}")),
        _ => Ok((policy, counts)),
    }
}

#[test]
fn a_shadow_moves_nothing_and_foretells_what_it_does_in_force() {
    let fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
    fabric.has_settled();
    let (histories, sent) = (fabric.histories(), fabric.updates_sent());
    let agent = &fabric.agents[0];
    let folder = tempfile::tempdir().unwrap();
    let allow_list = folder.path().join("allow-list.wasm");
    fs::write(&allow_list, guests::compiled("allow-list")).unwrap();
    let endless = folder.path().join("endless.wasm");
    fs::write(&endless, hostile::endless_loop(0)).unwrap();

    let default = "[[policies]]\nname = 'default'\n";
    let settings = format!("settings = {NOBODYS}");
    let shadow = format!("{settings}\nmode = 'shadow'");
    let mut config = fabric.config.clone();
    // What goes in the end may be more than half of all.
    config.guard = "\"100%\"";
    config.policies = [
        policy("endless", &endless, "mode = 'shadow'"),
        policy("allow-list", &allow_list, &shadow),
        default.to_owned(),
    ]
    .concat();
    agent.configure(&config);
    let (_, counts) = eventually(CHANGE_LIMIT, || compared(agent, "allow-list"));
    let (failing, _) = eventually(CHANGE_LIMIT, || {
        let (policy, counts) = compared(agent, "endless")?;
        match &policy.error {
            Some(_) => Ok((policy, counts)),
            None => Err("it does not fail yet".to_owned()),
        }
    });
    let error = failing.error.unwrap();
    assert!(error.contains("ran longer than"), "status says `{error}`");
    fabric.has_settled();
    assert_eq!(fabric.histories(), histories, "a session moved");
    assert_eq!(fabric.updates_sent(), sent, "something was sent");

    let report = agent.shadow_differences().unwrap();
    let names = report.policies.iter().map(|policy| &*policy.policy);
    assert_eq!(names.collect::<Vec<_>>(), ["endless", "allow-list"]);
    let groups = &report.policies[1].groups;
    let first = &groups[0].differences;
    assert!(!first.is_empty() && first.iter().all(|it| it.to.is_none()));
    let told: u64 = counts.iter().map(|it| it.withdrawn).sum();
    let listed: usize = groups.iter().map(|group| group.differences.len()).sum();
    assert_eq!(told, listed as u64);
    for group in groups {
        let name = &group.counts.group;
        let sample = format!(
            "rutter_policy_shadow_differences{{policy=\"allow-list\",direction=\"export\",group=\"{name}\",change=\"withdrawn\"}}"
        );
        equal(agent.metric(&sample).unwrap(), first.len() as f64).unwrap();
    }

    config.policies = policy("allow-list", &allow_list, &settings) + default;
    agent.configure(&config);
    let withdrawn: Vec<_> = first.iter().map(|difference| difference.prefix).collect();
    let from = fabric.node_addresses();
    let foretold = expected_table(&fabric.nodes).without(&from, &withdrawn);
    eventually(CHANGE_LIMIT, || fabric.routers[0].has_exactly(&foretold));
    assert_eq!(fabric.histories(), histories, "a session moved");
}
