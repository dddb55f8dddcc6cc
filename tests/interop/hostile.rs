//! Policy modules that fail in the network's daily life: what is announced stays, and status
//! names the module and what it did.

use std::fs;
use std::path::{Path, PathBuf};

use super::cluster::{FABRIC_ASN, WORKERS};
use super::fabric::{CHANGE_LIMIT, Fabric};
use crate::support::hostile;
use crate::support::router::{RouterKind, Table};
use crate::support::wait::{equal, eventually};

/// A module's name, its octets, and what status must say of it.
type Hostile = (&'static str, Vec<u8>, &'static str);

fn modules() -> [Hostile; 4] {
    [
        ("endless-loop", hostile::endless_loop(), "ran longer than"),
        (
            "memory-bomb",
            hostile::allocates_without_end(),
            "wanted more than",
        ),
        ("trap", hostile::traps(), "the module trapped"),
        ("too-few", hostile::too_few_decisions(), "decisions"),
    ]
}

fn write(folder: &Path, (name, octets, _): &Hostile) -> PathBuf {
    let path = folder.join(format!("{name}.wasm"));
    fs::write(&path, octets).unwrap();
    path
}

/// The module in place of the default, under the default's or under its own name.
fn policies(name: &str, module: &Path) -> String {
    format!("[[policies]]\nname = \"{name}\"\nmodule = {module:?}\n")
}

#[test]
fn a_module_that_fails_on_the_routes_of_the_node_is_never_put_in_place() {
    let fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
    fabric.has_settled();
    let (histories, sent) = (fabric.histories(), fabric.updates_sent());
    let agent = &fabric.agents[0];
    let folder = tempfile::tempdir().unwrap();
    for module in &modules() {
        let (name, _, complaint) = module;
        let path = write(folder.path(), module);
        for link in ["default", name] {
            let mut config = fabric.config.clone();
            config.policies = policies(link, &path);
            agent.configure(&config);
            eventually(CHANGE_LIMIT, || {
                let error = agent.status()?.config.error.unwrap_or_default();
                let fails = format!("policy {link} fails on the routes of this node: ");
                if error.starts_with(&fails) && error.contains(complaint) {
                    Ok(())
                } else {
                    Err(format!("{name}: status says `{error}`"))
                }
            });
            let policy = agent.policy().unwrap();
            assert_eq!(
                (policy.module.as_str(), policy.failures),
                ("builtin:default", 0)
            );
        }
    }
    agent.configure(&fabric.config);
    eventually(CHANGE_LIMIT, || equal(agent.status()?.config.error, None));
    fabric.has_settled();
    assert_eq!(fabric.histories(), histories, "a session moved");
    assert_eq!(fabric.updates_sent(), sent, "something was sent");
}

#[test]
fn a_module_that_does_not_load_leaves_the_one_that_runs() {
    let fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
    fabric.has_settled();
    let (histories, sent) = (fabric.histories(), fabric.updates_sent());
    let agent = &fabric.agents[0];
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &("broken", b"no wasm".to_vec(), ""));
    let mut config = fabric.config.clone();
    config.policies = policies("broken", &path);
    agent.configure(&config);
    let error = eventually(CHANGE_LIMIT, || {
        agent.status()?.config.error.ok_or("not refused".to_owned())
    });
    assert!(error.contains("broken.wasm"), "{error}");
    assert_eq!(agent.policy().unwrap().module, "builtin:default");
    fabric.has_settled();
    assert_eq!(fabric.histories(), histories, "a session moved");
    assert_eq!(fabric.updates_sent(), sent, "something was sent");
}

#[test]
fn at_the_start_a_module_that_does_not_load_is_replaced_by_the_default() {
    let mut fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &("broken", b"no wasm".to_vec(), ""));
    restart_with(&mut fabric, &policies("broken", &path));
    fabric.is_up();
    fabric.has_settled();
    let policy = fabric.agents[0].policy().unwrap();
    let error = policy.error.unwrap_or_default();
    assert!(error.contains("broken.wasm"), "status says `{error}`");
}

#[test]
fn at_the_start_a_module_that_fails_announces_nothing_until_it_is_mended() {
    let mut fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
    let folder = tempfile::tempdir().unwrap();
    for module in &modules() {
        let (name, _, complaint) = module;
        let path = write(folder.path(), module);
        restart_with(&mut fabric, &policies(name, &path));
        fabric.is_up();
        let agent = &fabric.agents[0];
        eventually(CHANGE_LIMIT, || {
            let policy = agent.policy()?;
            let error = policy.error.unwrap_or_default();
            if policy.name == *name && error.contains(complaint) {
                Ok(())
            } else {
                Err(format!("{name}: status says `{error}`"))
            }
        });
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
