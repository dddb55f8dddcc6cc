//! Modules' files that change under a running agent.

use std::path::PathBuf;

use super::*;
use crate::api::PolicyStatus;
use crate::wasm::tests::hostile;
use crate::wasm::{self, builtin_bytes};

/// A chain of one module in a file.
const CHAIN: &str = "[[policies]]\nname = 'own'\nmodule = 'own.wasm'\n";

/// Another build of the default policy: the same code, and a custom section.
fn build(number: u8) -> Vec<u8> {
    // The section's id, its size, and its name: one octet long.
    [builtin_bytes(), &[0, 2, 1, b'a' + number]].concat()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", wasm::digest(bytes))
}

/// An agent with its module in `own.wasm`, and `more` after the chain.
async fn started(module: &[u8], more: &str) -> Parts {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("own.wasm"), module).unwrap();
    Parts::start_with(folder, &text(&format!("{CHAIN}{more}"))).await
}

fn own(parts: &Parts) -> PathBuf {
    parts.folder.path().join("own.wasm")
}

/// Replaces the module, lets it be taken or refused, and tells how its policy stands.
async fn replaced(parts: &mut Parts, module: &[u8], trigger: Trigger) -> PolicyStatus {
    std::fs::write(own(parts), module).unwrap();
    looked(parts, trigger).await
}

async fn looked(parts: &mut Parts, trigger: Trigger) -> PolicyStatus {
    parts.reloader.look(trigger).await;
    let mut status = parts.reporter.status().await.unwrap();
    assert_eq!(status.config.error, None, "the file itself is well");
    status.policies.swap_remove(0)
}

#[tokio::test]
async fn another_build_is_taken_and_told_by_its_digest() {
    let mut parts = started(&build(0), "").await;
    let before = parts.reporter.status().await.unwrap();
    assert_eq!(before.policies[0].digest, Some(digest(&build(0))));
    let policy = replaced(&mut parts, &build(1), Trigger::Noticed).await;
    assert_eq!(policy.digest, Some(digest(&build(1))));
    assert_eq!((policy.refused, policy.error), (None, None));
    let after = parts.reporter.status().await.unwrap();
    assert_eq!(after.config.loaded_at, before.config.loaded_at);
    assert_eq!(parts.told.try_recv(), Ok(Notice::ConfigurationReloaded));
}

#[tokio::test]
async fn the_same_bytes_anew_are_no_change() {
    let mut parts = started(&build(0), "").await;
    for trigger in [Trigger::Noticed, Trigger::Clock, Trigger::Demanded] {
        let policy = replaced(&mut parts, &build(0), trigger).await;
        assert_eq!(policy.digest, Some(digest(&build(0))));
    }
    assert!(parts.told.is_empty());
}

#[tokio::test]
async fn a_broken_module_replaces_no_working_one_and_is_told_once() {
    let mut parts = started(&build(0), "").await;
    let truncated = &build(1)[..1000];
    for trigger in [Trigger::Noticed, Trigger::Noticed, Trigger::Demanded] {
        let policy = replaced(&mut parts, truncated, trigger).await;
        assert_eq!(policy.digest, Some(digest(&build(0))));
        assert_eq!(policy.error, None);
        let refused = policy.refused.unwrap();
        assert!(
            refused.starts_with("policies.module ") && refused.contains("own.wasm: module `own` "),
            "{refused}"
        );
    }
    let told = parts.told.try_recv().unwrap();
    let Notice::ModuleRefused { error } = told else {
        panic!("{told:?}");
    };
    assert!(error.ends_with("; the version before it stays"), "{error}");
    assert!(parts.told.is_empty());
    let policy = replaced(&mut parts, &build(0), Trigger::Noticed).await;
    assert_eq!(policy.refused, None, "the file is what it was");
}

#[tokio::test]
async fn a_module_that_is_gone_runs_on() {
    let mut parts = started(&build(0), "").await;
    std::fs::remove_file(own(&parts)).unwrap();
    let policy = looked(&mut parts, Trigger::Noticed).await;
    assert_eq!(policy.digest, Some(digest(&build(0))));
    assert!(policy.refused.unwrap().contains("cannot read"));
    let policy = replaced(&mut parts, &build(1), Trigger::Noticed).await;
    assert_eq!(policy.digest, Some(digest(&build(1))));
    assert_eq!(policy.refused, None);
}

#[tokio::test]
async fn a_module_that_fails_on_the_routes_of_the_node_is_not_taken_until_it_does_not() {
    let mut parts = started(&build(0), "").await;
    let failing = hostile::traps();
    for trigger in [Trigger::Noticed, Trigger::Clock] {
        let policy = replaced(&mut parts, &failing, trigger).await;
        assert_eq!(policy.digest, Some(digest(&build(0))));
        assert_eq!((policy.error, policy.failures), (None, 0));
        let refused = policy.refused.unwrap();
        assert!(
            refused.starts_with("policy own fails on the routes of this node: the module trapped"),
            "{refused}"
        );
    }
    // By the clock it is tried again, where a file that did not change is not.
    let state = &parts.reloader.considered;
    assert_eq!(
        state.refused[&(Direction::Export, "own".to_owned())].stage,
        RefusedAt::Trial
    );
    let policy = replaced(&mut parts, &build(1), Trigger::Noticed).await;
    assert_eq!(policy.digest, Some(digest(&build(1))));
}

#[tokio::test]
async fn a_broken_module_holds_up_no_other_change() {
    let mut parts = started(&build(0), "").await;
    for module in [b"broken".to_vec(), hostile::traps()] {
        for more in [SECOND_PEER, ""] {
            parts.write(&text(&format!("{CHAIN}{more}")));
            let policy = replaced(&mut parts, &module, Trigger::Noticed).await;
            assert_eq!(policy.digest, Some(digest(&build(0))));
            assert!(policy.refused.is_some());
            let status = parts.reporter.status().await.unwrap();
            assert_eq!(status.peers.len(), 1 + usize::from(!more.is_empty()));
        }
    }
}

#[tokio::test]
async fn a_policy_configured_otherwise_has_nothing_to_fall_back_on() {
    let mut parts = started(&build(0), "").await;
    std::fs::write(own(&parts), hostile::traps()).unwrap();
    let other = text(&format!("{CHAIN}on-error = 'skip'\n{SECOND_PEER}"));
    let status = after(&mut parts, &other, Trigger::Noticed).await;
    assert_eq!(status.peers.len(), 1);
    let error = status.config.error.unwrap();
    assert!(
        error.starts_with("policy own fails on the routes"),
        "{error}"
    );
    let policy = &status.policies[0];
    assert_eq!(policy.digest, Some(digest(&build(0))));
    assert_eq!(policy.on_error, crate::policy::OnError::KeepLast);
    // What it is tried on may be better by now; the file need not change for that.
    std::fs::write(own(&parts), build(1)).unwrap();
    let status = after(&mut parts, &other, Trigger::Clock).await;
    assert_eq!((status.config.error, status.peers.len()), (None, 2));
}

#[tokio::test]
async fn only_the_policy_whose_module_changed_is_made_anew() {
    let second = "[[policies]]\nname = 'second'\nmodule = 'builtin:default'\n";
    let mut parts = started(&build(0), second).await;
    let loaded_at = |parts: &Parts| {
        let state = parts.reloader.state.lock().unwrap();
        state.exports.modules["second"].loaded_at
    };
    parts.reloader.in_force.chains.exports[1].loaded_at = 7;
    replaced(&mut parts, &build(1), Trigger::Noticed).await;
    assert_eq!(loaded_at(&parts), 7);
    let status = parts.reporter.status().await.unwrap();
    assert_eq!(status.policies[0].digest, Some(digest(&build(1))));
}

/// The module is in a folder of its own, as a ConfigMap is mounted: a new folder, then one rename
/// of the link to it.
#[tokio::test]
async fn a_swapped_config_map_of_modules_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path().join("policies");
    let version = |name: &str, module: &[u8]| {
        std::fs::create_dir_all(mount.join(name)).unwrap();
        std::fs::write(mount.join(name).join("own.wasm"), module).unwrap();
        symlink(name, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    version("..1", &build(0));
    symlink("..data/own.wasm", mount.join("own.wasm")).unwrap();
    let chain = CHAIN.replace("own.wasm", "policies/own.wasm");
    let Parts {
        reloader,
        reporter,
        folder: _folder,
        told: _told,
    } = Parts::start_with(folder, &text(&chain)).await;
    let running = tokio::spawn(reloader.run(signal(SignalKind::hangup()).unwrap()));
    tokio::task::yield_now().await;
    for number in 1..4 {
        let name = format!("..{}", number + 1);
        version(&name, &build(number));
        std::fs::remove_dir_all(mount.join(format!("..{number}"))).unwrap();
        let expected = Some(digest(&build(number)));
        until(&reporter, |status| status.policies[0].digest == expected).await;
    }
    running.abort();
}

/// The built-in policy, and beside it one in shadow mode from a file.
const SHADOW: &str = "[[policies]]\nname = 'default'\n\
                      [[policies]]\nname = 'own'\nmodule = 'own.wasm'\nmode = 'shadow'\n";

#[tokio::test]
async fn a_shadow_without_a_module_holds_up_nothing_and_is_asked_once_there_is_one() {
    let mut parts = Parts::start(&text(SHADOW)).await;
    until(&parts.reporter, |status| status.policies[1].error.is_some()).await;
    parts.reloader.look(Trigger::Noticed).await;
    assert!(parts.told.is_empty(), "nothing is refused");

    let default = replaced(&mut parts, &build(0), Trigger::Noticed).await;
    assert_eq!((default.refused, default.error), (None, None));
    until(&parts.reporter, |status| {
        let shadow = &status.policies[1];
        let mut counts = shadow.shadow.iter().flatten();
        shadow.digest == Some(digest(&build(0)))
            && shadow.error.is_none()
            && counts.any(|counts| counts.compared > 0 && counts.waiting == 0)
    })
    .await;

    replaced(&mut parts, b"no module", Trigger::Noticed).await;
    let status = parts.reporter.status().await.unwrap();
    let shadow = &status.policies[1];
    assert!(shadow.refused.is_some(), "{shadow:?}");
    assert_eq!(shadow.digest, Some(digest(&build(0))), "it stays");
}

/// The configuration that names the module is refused for want of it.
#[tokio::test]
async fn a_module_that_a_refused_configuration_waits_for_is_noticed_when_it_comes() {
    let mut parts = Parts::start(&text("")).await;
    let later = parts.folder.path().join("later");
    std::fs::create_dir(&later).unwrap();
    let chain = CHAIN.replace("own.wasm", "later/own.wasm");
    let status = after(&mut parts, &text(&chain), Trigger::Noticed).await;
    assert!(status.config.error.unwrap().contains("cannot read"));
    let Parts {
        reloader,
        reporter,
        folder: _folder,
        told: _told,
    } = parts;
    let running = tokio::spawn(reloader.run(signal(SignalKind::hangup()).unwrap()));
    tokio::task::yield_now().await;
    std::fs::write(later.join("own.wasm"), build(1)).unwrap();
    let expected = Some(digest(&build(1)));
    until(&reporter, |status| status.policies[0].digest == expected).await;
    running.abort();
}
