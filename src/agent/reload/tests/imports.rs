//! Modules of import policies that change under a running agent.

use super::*;
use crate::api::{PolicyStatus, StandIn};
use crate::wasm::tests::hostile::Way;
use crate::wasm::tests::verdicts;
use crate::wasm::{self, builtin_bytes};

const IMPORTS: &str = "[[import-policies]]\nname = 'own'\nmodule = 'imports/own.wasm'\n";

fn digest(bytes: &[u8]) -> Option<String> {
    Some(format!("sha256:{}", wasm::digest(bytes)))
}

fn one() -> Vec<u8> {
    verdicts::abstains(Way::Learn)
}

fn other() -> Vec<u8> {
    verdicts::rejects(Way::Learn)
}

/// An agent with this module for learned routes.
async fn started(module: &[u8]) -> Parts {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("imports")).unwrap();
    std::fs::write(folder.path().join("imports/own.wasm"), module).unwrap();
    Parts::start_with(folder, &text(IMPORTS)).await
}

/// Replaces the module, lets it be taken or refused, and tells how its policy stands.
async fn replaced(parts: &mut Parts, module: &[u8], trigger: Trigger) -> PolicyStatus {
    std::fs::write(parts.folder.path().join("imports/own.wasm"), module).unwrap();
    parts.reloader.look(trigger).await;
    let mut status = parts.reporter.status().await.unwrap();
    assert_eq!(status.config.error, None, "the file itself is well");
    status.import_policies.swap_remove(0)
}

#[tokio::test]
async fn another_module_is_taken_and_told_by_its_digest() {
    let mut parts = started(&one()).await;
    let before = parts.reporter.status().await.unwrap();
    let policy = &before.import_policies[0];
    assert_eq!(policy.digest, digest(&one()));
    assert!(policy.loaded_at.is_some());
    let policy = replaced(&mut parts, &other(), Trigger::Noticed).await;
    assert_eq!(policy.digest, digest(&other()));
    assert_eq!((policy.refused, policy.error), (None, None));
    let after = parts.reporter.status().await.unwrap();
    assert_eq!(after.policies, before.policies, "the other chain stays");
    assert_eq!(parts.told.try_recv(), Ok(Notice::ConfigurationReloaded));
}

#[tokio::test]
async fn a_broken_module_replaces_no_working_one_and_is_told_once() {
    let mut parts = started(&one()).await;
    // The last is a policy, but one on announced routes.
    let cases = [
        (b"no wasm".to_vec(), "imports/own.wasm: module `own` "),
        (builtin_bytes().to_vec(), "imports/own.wasm: module `own` "),
    ];
    for (broken, words) in cases {
        for trigger in [Trigger::Noticed, Trigger::Clock, Trigger::Demanded] {
            let policy = replaced(&mut parts, &broken, trigger).await;
            assert_eq!((policy.digest, policy.error), (digest(&one()), None));
            let refused = policy.refused.unwrap();
            assert!(
                refused.starts_with("import-policies.module ") && refused.contains(words),
                "{refused}"
            );
        }
        let told = parts.told.try_recv().unwrap();
        let Notice::ModuleRefused { error } = told else {
            panic!("{told:?}");
        };
        assert!(error.ends_with("; the version before it stays"), "{error}");
        assert!(parts.told.is_empty());
    }
    let policy = replaced(&mut parts, &one(), Trigger::Noticed).await;
    assert_eq!(policy.refused, None, "the file is what it was");
}

#[tokio::test]
async fn a_broken_module_holds_up_no_other_change() {
    let mut parts = started(&one()).await;
    parts.write(&text(&format!("{SECOND_PEER}{IMPORTS}")));
    let policy = replaced(&mut parts, b"broken", Trigger::Noticed).await;
    assert_eq!(policy.digest, digest(&one()));
    assert!(policy.refused.is_some());
    assert_eq!(parts.reporter.status().await.unwrap().peers.len(), 2);
}

#[tokio::test]
async fn import_policies_that_do_not_load_at_start_are_waited_for() {
    let mut parts = Parts::start(&text(IMPORTS)).await;
    let status = parts.reporter.status().await.unwrap();
    let [stand_in] = &status.import_policies[..] else {
        panic!("{:?}", status.import_policies);
    };
    assert_eq!(&*stand_in.name, "own");
    assert_eq!(stand_in.stand_in, Some(StandIn::Closed));
    let error = stand_in.error.as_ref().unwrap();
    assert!(
        error.starts_with("import-policies.module ")
            && error.contains("own.wasm")
            && error.ends_with("; no learned route is used"),
        "{error}"
    );
    // What else changes is taken meanwhile.
    let status = after(
        &mut parts,
        &text(&format!("{SECOND_PEER}{IMPORTS}")),
        Trigger::Noticed,
    )
    .await;
    assert_eq!((status.peers.len(), status.config.error), (2, None));
    std::fs::create_dir(parts.folder.path().join("imports")).unwrap();
    let policy = replaced(&mut parts, &one(), Trigger::Noticed).await;
    assert_eq!((policy.digest, policy.error), (digest(&one()), None));
    // Without import policies there is nothing left of either.
    let status = after(&mut parts, &text(""), Trigger::Noticed).await;
    assert_eq!(status.import_policies, []);
}

#[tokio::test]
async fn a_stand_in_goes_with_the_policies_it_stands_in_for() {
    let mut parts = Parts::start(&text(IMPORTS)).await;
    let status = after(&mut parts, &text(""), Trigger::Noticed).await;
    assert_eq!(
        (status.import_policies, status.config.error),
        (vec![], None)
    );
}

#[tokio::test]
async fn policies_of_both_directions_may_have_one_name() {
    let mut parts = started(&one()).await;
    let both = format!("[[policies]]\nname = 'own'\nmodule = 'announce.wasm'\n{IMPORTS}");
    let announce = parts.folder.path().join("announce.wasm");
    std::fs::write(&announce, builtin_bytes()).unwrap();
    let status = after(&mut parts, &text(&both), Trigger::Noticed).await;
    assert_eq!(status.policies[0].digest, digest(builtin_bytes()));
    std::fs::write(&announce, b"broken").unwrap();
    let import = replaced(&mut parts, &other(), Trigger::Noticed).await;
    assert_eq!((import.digest, import.refused), (digest(&other()), None));
    let status = parts.reporter.status().await.unwrap();
    assert!(status.policies[0].refused.is_some());
}

#[tokio::test]
async fn a_new_module_is_noticed_in_its_folder() {
    let parts = started(&one()).await;
    let Parts {
        reloader,
        reporter,
        folder,
        told: _told,
    } = parts;
    let running = tokio::spawn(reloader.run(signal(SignalKind::hangup()).unwrap()));
    tokio::task::yield_now().await;
    std::fs::write(folder.path().join("imports/own.wasm"), other()).unwrap();
    until(&reporter, |status| {
        status.import_policies[0].digest == digest(&other())
    })
    .await;
    running.abort();
}
