//! Modules' files that change under a running agent: what a peer sees of it, and what is held
//! back until an operator approves it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rutter::api::{HeldChange, PolicyStatus};
use tempfile::TempDir;

use super::cluster::{EXTERNAL_PREFIX, FABRIC_ASN, WORKERS, expected_table, external_slice};
use super::fabric::{CHANGE_LIMIT, Fabric};
use crate::support::hostile::Way;
use crate::support::objects::{Readiness, replace};
use crate::support::router::{RouterKind, Table};
use crate::support::verdicts;
use crate::support::wait::{equal, eventually};

/// An agent with a peer, and behind its default policy one in a file that has no opinion.
struct Guarded {
    fabric: Fabric,
    folder: TempDir,
}

impl Guarded {
    fn start(guard: &'static str) -> Self {
        let mut fabric = Fabric::start(&[WORKERS[2]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("last.wasm");
        fs::write(&module, verdicts::abstains(Way::Announce)).unwrap();
        fabric.config.guard = guard;
        fabric.config.policies = policies(&module);
        fabric.agents[0].configure(&fabric.config);
        let guarded = Self { fabric, folder };
        guarded.runs(&verdicts::abstains(Way::Announce));
        guarded.fabric.has_settled();
        guarded
    }

    /// Replaces the module in one step.
    fn replace(&self, module: &[u8]) {
        let folder = self.folder.path();
        replace(folder, &folder.join("last.wasm"), module);
    }

    fn policy(&self) -> Result<PolicyStatus, String> {
        let mut policies = self.fabric.agents[0].status()?.policies;
        policies.pop().ok_or("no policies".to_owned())
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
            let held = self.fabric.agents[0].status()?.held;
            held.ok_or("nothing is held back".to_owned())
        })
    }

    fn table_is(&self, table: &Table) {
        eventually(CHANGE_LIMIT, || self.fabric.routers[0].has_exactly(table));
    }
}

fn policies(module: &Path) -> String {
    format!(
        "[[policies]]\nname = \"default\"\n[[policies]]\nname = \"last\"\nmodule = {module:?}\n"
    )
}

#[test]
fn a_replaced_module_changes_routes_and_no_session() {
    let guarded = Guarded::start("\"100%\"");
    let histories = guarded.fabric.histories();
    guarded.replace(&verdicts::rejects(Way::Announce));
    guarded.table_is(&Table::default());
    guarded.runs(&verdicts::rejects(Way::Announce));
    guarded.replace(&verdicts::abstains(Way::Announce));
    guarded.fabric.has_settled();
    assert_eq!(guarded.fabric.histories(), histories, "a session moved");
}

/// As the kubelet mounts it: a new folder, then one rename of the link to it.
#[test]
fn a_module_in_a_swapped_config_map_is_taken_into_use() {
    let mut guarded = Guarded::start("\"100%\"");
    let mount = guarded.folder.path().join("mount");
    let version = |name: &str, module: &[u8]| {
        fs::create_dir_all(mount.join(name)).unwrap();
        fs::write(mount.join(name).join("last.wasm"), module).unwrap();
        symlink(name, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    version("..2026_01", &verdicts::abstains(Way::Announce));
    symlink("..data/last.wasm", mount.join("last.wasm")).unwrap();
    guarded.fabric.config.policies = policies(&mount.join("last.wasm"));
    let histories = guarded.fabric.histories();
    let agent = &guarded.fabric.agents[0];
    agent.configure(&guarded.fabric.config);
    eventually(CHANGE_LIMIT, || {
        let module = guarded.policy()?.module;
        equal(module, mount.join("last.wasm").display().to_string())
    });
    version("..2026_02", &verdicts::rejects(Way::Announce));
    fs::remove_dir_all(mount.join("..2026_01")).unwrap();
    guarded.table_is(&Table::default());
    version("..2026_03", &verdicts::abstains(Way::Announce));
    fs::remove_dir_all(mount.join("..2026_02")).unwrap();
    guarded.fabric.has_settled();
    assert_eq!(guarded.fabric.histories(), histories, "a session moved");
}

#[test]
fn a_broken_module_changes_nothing_and_status_says_why() {
    let guarded = Guarded::start("");
    let (histories, sent) = (guarded.fabric.histories(), guarded.fabric.updates_sent());
    let digest = guarded.policy().unwrap().digest;
    let whole = verdicts::rejects(Way::Announce);
    for broken in [&whole[..whole.len() / 2], b"no wasm", b""] {
        guarded.replace(broken);
        let refused = eventually(CHANGE_LIMIT, || {
            guarded.policy()?.refused.ok_or("not refused".to_owned())
        });
        let file = guarded.folder.path().join("last.wasm");
        let names = format!("policies.module {}: module `last` ", file.display());
        assert!(refused.starts_with(&names), "{refused}");
        let policy = guarded.policy().unwrap();
        assert_eq!((policy.digest, policy.error), (digest.clone(), None));
        guarded.fabric.has_settled();
        guarded.replace(&verdicts::abstains(Way::Announce));
        guarded.runs(&verdicts::abstains(Way::Announce));
    }
    assert_eq!(guarded.fabric.histories(), histories, "a session moved");
    assert_eq!(guarded.fabric.updates_sent(), sent, "something was sent");
}

#[test]
fn what_withdraws_too_much_waits_for_approval() {
    let guarded = Guarded::start("");
    let (histories, sent) = (guarded.fabric.histories(), guarded.fabric.updates_sent());
    let agent = &guarded.fabric.agents[0];
    let nothing = agent.approve("1234abcd").unwrap_err();
    assert!(nothing.contains("no change is held back"), "{nothing}");

    guarded.replace(&verdicts::rejects(Way::Announce));
    let held = guarded.held();
    assert_eq!(held.max_withdraw, "50%");
    assert_eq!(held.effect.withdrawn, held.effect.announced);
    assert!(held.effect.announced > 0);
    let reason = &held.effect.examples[0].reason;
    assert!(reason.starts_with("last reject: "), "{reason}");
    let [part] = held.parts.as_slice() else {
        panic!("{held:?}");
    };
    assert!(part.starts_with("module of policy last: "), "{part}");
    let metric = agent.metric("rutter_change_held{}").unwrap();
    assert!(metric > 0.0, "{metric}");
    guarded.fabric.has_settled();
    assert_eq!(guarded.fabric.updates_sent(), sent, "something was sent");

    let wrong = agent.approve("1234abcd").unwrap_err();
    assert!(wrong.contains(&format!("but {} is", held.id)), "{wrong}");
    guarded.fabric.has_settled();

    let done = agent.approve(&held.id).unwrap();
    assert!(done.contains("is in force"), "{done}");
    guarded.table_is(&Table::default());
    guarded.runs(&verdicts::rejects(Way::Announce));
    assert_eq!(agent.status().unwrap().held, None);
    assert_eq!(guarded.fabric.histories(), histories, "a session moved");
}

#[test]
fn a_change_that_is_taken_back_needs_no_approval_and_facts_never_do() {
    let guarded = Guarded::start("0");
    let agent = &guarded.fabric.agents[0];
    let histories = guarded.fabric.histories();
    guarded.replace(&verdicts::rejects(Way::Announce));
    let held = guarded.held();

    // An endpoint that goes is a fact.
    let complete = expected_table(&guarded.fabric.nodes);
    let gone = [EXTERNAL_PREFIX.parse().unwrap()];
    let reduced = complete.without(&guarded.fabric.node_addresses(), &gone);
    assert_ne!(reduced, complete);
    let manifests = &guarded.fabric.manifests;
    manifests.apply(&external_slice(Readiness::Unready));
    guarded.table_is(&reduced);
    manifests.apply(&external_slice(Readiness::Ready));
    guarded.table_is(&complete);

    guarded.replace(&verdicts::abstains(Way::Announce));
    eventually(CHANGE_LIMIT, || equal(agent.status()?.held, None));
    let stale = agent.approve(&held.id).unwrap_err();
    assert!(stale.contains("no change is held back"), "{stale}");
    guarded.table_is(&complete);
    assert_eq!(guarded.fabric.histories(), histories, "a session moved");
}
