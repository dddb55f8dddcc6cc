//! Starts at which modules cannot be had: what decides meanwhile, and how it ends.

use super::*;
use crate::api::{PolicyStatus, Readiness, StandIn};
use crate::source::Keys;
use crate::wasm::tests::hostile::Way;
use crate::wasm::tests::verdicts::{self, Mind};
use crate::wasm::{self, builtin_bytes};

/// A guard that lets nothing go, and a policy from a file before the default.
const GUARD: &str = "guard = { max-withdraw = 0 }\n";
const OWN: &str = "[[policies]]\nname = 'own'\nmodule = 'own/own.wasm'\n";
const DEFAULT: &str = "[[policies]]\nname = 'default'\n";

/// What the default policy lets out of the node of these tests.
const ALL: usize = 3;

fn chain(more: &str) -> String {
    format!("{GUARD}{}", text(&format!("{OWN}{DEFAULT}{more}")))
}

fn abstains() -> Vec<u8> {
    verdicts::abstains(Way::Announce)
}

fn rejects() -> Vec<u8> {
    verdicts::rejects(Way::Announce)
}

fn digest(bytes: &[u8]) -> Option<String> {
    Some(format!("sha256:{}", wasm::digest(bytes)))
}

/// The folder of a node, with its module if it has one.
fn node(module: Option<&[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("own")).unwrap();
    if let Some(module) = module {
        std::fs::write(folder.path().join("own/own.wasm"), module).unwrap();
    }
    folder
}

fn put(parts: &Parts, module: &[u8]) {
    std::fs::write(parts.folder.path().join("own/own.wasm"), module).unwrap();
}

/// Ends an agent and starts another one on its node, after this was done to the folder.
async fn restarted(parts: Parts, meanwhile: impl FnOnce(&std::path::Path)) -> Parts {
    let Parts {
        folder, reloader, ..
    } = parts;
    let path = reloader.path.clone();
    drop(reloader);
    meanwhile(folder.path());
    Parts::start_in(folder, path).await
}

fn remove(folder: &std::path::Path) {
    std::fs::remove_file(folder.join("own/own.wasm")).unwrap();
}

/// How many routes this peer is announced, by the agent's own account.
async fn announced(parts: &Parts, peer: &str) -> usize {
    let routes = parts.reporter.routes(Some(peer.to_owned())).await.unwrap();
    let routes = routes.routes.iter();
    routes.filter(|route| route.decision.accepted).count()
}

async fn status(parts: &Parts) -> Status {
    parts.reporter.status().await.unwrap()
}

async fn own(parts: &Parts) -> PolicyStatus {
    status(parts).await.policies.swap_remove(0)
}

fn reason(status: &Status) -> &str {
    match &status.readiness {
        Readiness::Closed { reason } => reason,
        Readiness::Ready | Readiness::Waiting { .. } => panic!("{:?}", status.readiness),
    }
}

fn fallback(parts: &mut Parts) -> String {
    match parts.told.try_recv() {
        Ok(Notice::PolicyFallback { error }) => error,
        told => panic!("{told:?}"),
    }
}

#[tokio::test]
async fn a_first_start_without_the_module_announces_nothing_until_it_is_there() {
    let mut parts = Parts::start_with(node(None), &chain("")).await;
    assert_eq!(announced(&parts, "tor").await, 0);
    let before = status(&parts).await;
    let words = |text: &str| {
        text.starts_with("policies.module ")
            && text.contains("own.wasm: cannot read the module")
            && text.ends_with("; nothing is announced")
    };
    assert!(words(reason(&before)), "{:?}", before.readiness);
    let policy = &before.policies[0];
    assert!(words(policy.error.as_ref().unwrap()), "{policy:?}");
    assert_eq!(
        (&*policy.name, policy.stand_in),
        ("own", Some(StandIn::Closed))
    );
    assert_eq!((&policy.digest, &policy.refused), (&None, &None));
    let told = fallback(&mut parts);
    assert!(words(&told), "{told}");

    let told = parts.told.try_recv();
    assert!(matches!(told, Ok(Notice::PolicyFailing { .. })), "{told:?}");

    // Looked for again, it is neither there nor told of again.
    for trigger in [Trigger::Noticed, Trigger::Clock, Trigger::Demanded] {
        parts.reloader.look(trigger).await;
        assert_eq!(announced(&parts, "tor").await, 0);
        reason(&status(&parts).await);
    }
    assert!(parts.told.is_empty());
    // What else changes is taken.
    let changed = after(&mut parts, &chain(SECOND_PEER), Trigger::Noticed).await;
    assert_eq!((changed.peers.len(), &changed.config.error), (2, &None));
    assert_eq!(announced(&parts, "two").await, 0);

    put(&parts, &abstains());
    parts.reloader.look(Trigger::Noticed).await;
    assert_eq!(announced(&parts, "tor").await, ALL);
    let status = status(&parts).await;
    assert_eq!((status.readiness, status.held), (Readiness::Ready, None));
    let policy = &status.policies[0];
    assert_eq!((policy.stand_in, &policy.error), (None, &None));
    assert_eq!(policy.digest, digest(&abstains()));
}

#[tokio::test]
async fn a_module_that_is_no_use_is_as_good_as_none() {
    let keys = Keys::make();
    let signed = format!("require-signature = {:?}\n", keys.public);
    let signed = chain("").replace(OWN, &format!("{OWN}{signed}"));
    for (module, text, words) in [
        (b"no wasm".to_vec(), chain(""), "own.wasm: module `own` "),
        (
            abstains()[..90].to_vec(),
            chain(""),
            "own.wasm: module `own` ",
        ),
        (
            verdicts::abstains(Way::Learn),
            chain(""),
            "decides on learned routes",
        ),
        (abstains(), signed, "is not signed by the owner of"),
    ] {
        let mut parts = Parts::start_with(node(Some(&module)), &text).await;
        assert_eq!(announced(&parts, "tor").await, 0);
        let status = status(&parts).await;
        assert!(reason(&status).contains(words), "{:?}", status.readiness);
        // Signed, or mended.
        std::fs::write(
            parts.folder.path().join("own/own.wasm.sig"),
            keys.sign(&abstains()),
        )
        .unwrap();
        put(&parts, &abstains());
        parts.reloader.look(Trigger::Noticed).await;
        assert_eq!(announced(&parts, "tor").await, ALL);
    }
}

#[tokio::test]
async fn what_was_in_force_last_decides_until_the_module_can_be_had() {
    let parts = Parts::start_with(node(Some(&abstains())), &chain("")).await;
    let mut parts = restarted(parts, remove).await;
    assert_eq!(announced(&parts, "tor").await, ALL);
    let before = status(&parts).await;
    assert_eq!(before.readiness, Readiness::Ready);
    let policy = &before.policies[0];
    assert_eq!(
        (policy.stand_in, &policy.error),
        (Some(StandIn::Last), &None)
    );
    assert_eq!(policy.digest, digest(&abstains()));
    assert!(policy.refused.as_ref().unwrap().contains("cannot read"));
    let told = fallback(&mut parts);
    assert!(
        told.ends_with("; the module that decided last stands in"),
        "{told}"
    );
    parts.reloader.look(Trigger::Demanded).await;
    assert!(parts.told.is_empty());

    // Once more, from what the agent before kept without having read it.
    let mut parts = restarted(parts, |_| {}).await;
    assert_eq!(own(&parts).await.stand_in, Some(StandIn::Last));
    fallback(&mut parts);

    // The same module: nothing changes but what is said of it.
    put(&parts, &abstains());
    parts.reloader.look(Trigger::Noticed).await;
    let policy = own(&parts).await;
    assert_eq!((policy.stand_in, policy.refused), (None, None));
    assert!(parts.told.is_empty());
}

#[tokio::test]
async fn the_guard_measures_the_repair_by_no_stand_in() {
    // Of what another module let out, and of what the built-in default does.
    let builtin = "[policy]\non-start-failure = 'builtin'\n";
    for more in ["", builtin] {
        let parts = Parts::start_with(node(Some(&abstains())), &chain(more)).await;
        let mut parts = restarted(parts, remove).await;
        assert_eq!(announced(&parts, "tor").await, ALL);
        put(&parts, &rejects());
        parts.reloader.look(Trigger::Noticed).await;
        assert_eq!(status(&parts).await.held, None);
        assert_eq!(announced(&parts, "tor").await, 0, "it is in force");
        assert_eq!(own(&parts).await.digest, digest(&rejects()));
        // From then on it does.
        let mut parts = restarted(parts, |folder| {
            std::fs::write(folder.join("own/own.wasm"), abstains()).unwrap();
        })
        .await;
        put(&parts, &rejects());
        parts.reloader.look(Trigger::Noticed).await;
        assert!(status(&parts).await.held.is_some());
    }
}

#[tokio::test]
async fn what_a_stand_in_does_not_decide_is_measured_beside_the_repair() {
    let to_two = OWN.replace("own.wasm'\n", "own.wasm'\npeers = ['two']\n");
    let text = chain(SECOND_PEER).replace(OWN, &to_two);
    let parts = Parts::start_with(node(Some(&abstains())), &text).await;
    let mut parts = restarted(parts, remove).await;
    put(&parts, &rejects());
    let fewer = text.replace("'172.16.0.0/16'", "");
    let held = after(&mut parts, &fewer, Trigger::Noticed).await.held;
    assert_eq!(
        held.unwrap().effect.withdrawn,
        2 + ALL as u64,
        "all is shown"
    );
    assert_eq!(announced(&parts, "two").await, ALL);
    let status = after(&mut parts, &text, Trigger::Noticed).await;
    assert_eq!(status.held, None);
    assert_eq!(announced(&parts, "two").await, 0);
    assert_eq!(announced(&parts, "tor").await, ALL);
}

#[tokio::test]
async fn what_was_held_back_is_last_once_it_is_approved() {
    let mut parts = Parts::start_with(node(Some(&abstains())), &chain("")).await;
    put(&parts, &rejects());
    parts.reloader.look(Trigger::Noticed).await;
    let held = status(&parts).await.held.unwrap();
    let mut parts = restarted(parts, remove).await;
    assert_eq!(
        own(&parts).await.digest,
        digest(&abstains()),
        "not in force"
    );
    put(&parts, &abstains());
    parts.reloader.look(Trigger::Noticed).await;
    put(&parts, &rejects());
    parts.reloader.approve(held.id).await.unwrap();
    let parts = restarted(parts, remove).await;
    let policy = own(&parts).await;
    assert_eq!(policy.stand_in, Some(StandIn::Last));
    assert_eq!(policy.digest, digest(&rejects()));
    assert_eq!(announced(&parts, "tor").await, 0);
}

#[tokio::test]
async fn what_is_configured_otherwise_is_not_what_was_in_force_last() {
    let otherwise = OWN.replace("own.wasm'\n", "own.wasm'\non-error = 'skip'\n");
    for text in [
        chain("").replace(OWN, &otherwise),
        // Nor is what another configuration took the place of.
        chain(""),
    ] {
        let parts = Parts::start_with(node(Some(&abstains())), &chain("")).await;
        let mut parts = restarted(parts, |_| {}).await;
        assert_eq!(announced(&parts, "tor").await, ALL);
        let without = format!("{GUARD}{}", super::text(""));
        let status = after(&mut parts, &without, Trigger::Noticed).await;
        assert_eq!(status.config.error, None);
        let parts = restarted(parts, |folder| {
            remove(folder);
            std::fs::write(folder.join("rutter.toml"), &text).unwrap();
        })
        .await;
        assert_eq!(
            announced(&parts, "tor").await,
            0,
            "on-error decides nothing"
        );
        assert_eq!(own(&parts).await.stand_in, Some(StandIn::Closed));
    }
}

#[tokio::test]
async fn a_key_that_was_taken_back_is_not_got_round() {
    let keys = Keys::make();
    let signed = format!("{OWN}require-signature = {:?}\n", keys.public);
    let text = chain("").replace(OWN, &signed);
    let folder = node(Some(&abstains()));
    let signature = folder.path().join("own/own.wasm.sig");
    std::fs::write(&signature, keys.sign(&abstains())).unwrap();
    let parts = Parts::start_with(folder, &text).await;
    let parts = restarted(parts, remove).await;
    assert_eq!(own(&parts).await.stand_in, Some(StandIn::Last));
    assert_eq!(announced(&parts, "tor").await, ALL);
    let successor = Keys::make();
    std::fs::copy(&successor.public, &keys.public).unwrap();
    let mut parts = restarted(parts, |_| {}).await;
    assert_eq!(announced(&parts, "tor").await, 0);
    let status = status(&parts).await;
    let words = "nor can the module be used that decided last: ";
    let why = reason(&status);
    assert!(
        why.contains(words) && why.contains("is not signed by"),
        "{why}"
    );
    // Signed by the key there is.
    let path = parts.folder.path().join("own/own.wasm.sig");
    std::fs::write(path, successor.sign(&abstains())).unwrap();
    put(&parts, &abstains());
    parts.reloader.look(Trigger::Noticed).await;
    assert_eq!(announced(&parts, "tor").await, ALL);
}

#[tokio::test]
async fn only_those_are_announced_nothing_whom_the_missing_policy_decides_for() {
    let to_two = OWN.replace("own.wasm'\n", "own.wasm'\npeers = ['two']\n");
    let text = chain(SECOND_PEER).replace(OWN, &to_two);
    let parts = Parts::start_with(node(None), &text).await;
    assert_eq!(announced(&parts, "tor").await, ALL);
    assert_eq!(announced(&parts, "two").await, 0);
    let status = status(&parts).await;
    let why = reason(&status);
    assert!(
        why.ends_with("; nothing is announced to peer group two"),
        "{why}"
    );
}

#[tokio::test]
async fn of_several_policies_the_others_are_what_they_are() {
    let text = chain("[[policies]]\nname = 'third'\nmodule = 'third.wasm'\n");
    let folder = node(Some(&abstains()));
    std::fs::write(folder.path().join("third.wasm"), abstains()).unwrap();
    let parts = Parts::start_with(folder, &text).await;
    let parts = restarted(parts, |folder| {
        std::fs::remove_file(folder.join("third.wasm")).unwrap();
        std::fs::write(folder.join("own/own.wasm"), rejects()).unwrap();
    })
    .await;
    let policies = status(&parts).await.policies;
    let told = policies
        .iter()
        .map(|it| (&*it.name, it.stand_in, it.digest.clone()));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("own", None, digest(&rejects())),
            ("default", None, digest(builtin_bytes())),
            ("third", Some(StandIn::Last), digest(&abstains())),
        ]
    );
}

#[tokio::test]
async fn a_policy_in_shadow_mode_is_not_waited_for() {
    let shadow = OWN.replace("own.wasm'\n", "own.wasm'\nmode = 'shadow'\n");
    let mut parts = Parts::start_with(node(None), &chain("").replace(OWN, &shadow)).await;
    assert_eq!(status(&parts).await.readiness, Readiness::Ready);
    assert_eq!(announced(&parts, "tor").await, ALL);
    assert!(parts.told.try_recv().is_err());
}

/// Had it been there at the start, it would decide about the rest.
#[tokio::test]
async fn a_module_that_fails_takes_the_place_of_nothing() {
    let mut parts = Parts::start_with(node(None), &chain("")).await;
    put(&parts, &crate::wasm::tests::hostile::traps());
    parts.reloader.look(Trigger::Noticed).await;
    let policy = own(&parts).await;
    assert_eq!(policy.stand_in, None);
    assert!(policy.error.unwrap().contains("trapped"));
    assert_eq!(status(&parts).await.readiness, Readiness::Ready);
}

#[tokio::test]
async fn the_built_in_default_decides_where_it_is_to() {
    let builtin = "[policy]\non-start-failure = 'builtin'\n";
    let parts = Parts::start_with(node(Some(&rejects())), &chain(builtin)).await;
    assert_eq!(announced(&parts, "tor").await, 0);
    let mut parts = restarted(parts, remove).await;
    assert_eq!(announced(&parts, "tor").await, ALL);
    let status = status(&parts).await;
    assert_eq!(status.readiness, Readiness::Ready);
    let policy = &status.policies[0];
    assert_eq!(policy.module, "builtin:default");
    assert_eq!(
        (policy.stand_in, &policy.digest),
        (Some(StandIn::Builtin), &None)
    );
    let error = policy.error.clone().unwrap();
    assert!(
        error.ends_with("; the built-in default runs in its place"),
        "{error}"
    );
    assert_eq!(fallback(&mut parts), error);
    // What else changes is taken.
    let status = after(
        &mut parts,
        &chain(&format!("{SECOND_PEER}{builtin}")),
        Trigger::Noticed,
    )
    .await;
    assert_eq!((status.peers.len(), &status.config.error), (2, &None));
    assert_eq!(status.policies[0].error, Some(error));
}

#[tokio::test]
async fn without_a_place_to_keep_modules_in_nothing_is_let_through() {
    for (cache, warns) in [("'off'", false), ("'rutter.toml/modules'", true)] {
        let text = chain("").replace(
            "module-cache = 'modules'",
            &format!("module-cache = {cache}"),
        );
        let parts = Parts::start_with(node(Some(&abstains())), &text).await;
        assert_eq!(announced(&parts, "tor").await, ALL);
        let warnings = status(&parts).await.config.warnings;
        let told = warnings
            .iter()
            .any(|it| it.contains("cannot be kept for a start"));
        assert_eq!(told, warns, "{warnings:?}");
        let parts = restarted(parts, remove).await;
        assert_eq!(announced(&parts, "tor").await, 0);
    }
}

#[tokio::test]
async fn both_directions_of_one_module_stand_or_fall_on_their_own() {
    let imports = "[[import-policies]]\nname = 'own'\nmodule = 'own/own.wasm'\n";
    let both = verdicts::two_ways(Mind::Abstains, Mind::Abstains);
    let parts = Parts::start_with(node(Some(&both)), &chain(imports)).await;
    let mut parts = restarted(parts, remove).await;
    let stand_ins = |status: &Status| {
        let policies = status
            .policies
            .iter()
            .take(1)
            .chain(&status.import_policies);
        policies.map(|it| it.stand_in).collect::<Vec<_>>()
    };
    let last = Some(StandIn::Last);
    assert_eq!(stand_ins(&status(&parts).await), [last, last]);
    // It comes back with one direction.
    put(&parts, &abstains());
    parts.reloader.look(Trigger::Noticed).await;
    let now = status(&parts).await;
    assert_eq!(stand_ins(&now), [None, last]);
    assert!(now.import_policies[0].refused.is_some());
    // A start that never had the other one uses no learned route.
    let parts = Parts::start_with(node(Some(&abstains())), &chain(imports)).await;
    let now = status(&parts).await;
    assert_eq!(stand_ins(&now), [None, Some(StandIn::Closed)]);
    assert!(reason(&now).ends_with("; no learned route is used"));
    assert_eq!(announced(&parts, "tor").await, ALL);
}
