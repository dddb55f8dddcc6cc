//! Changes that withdraw too much: held back, approved, replaced and taken back.

use super::*;
use crate::api::HeldChange;

/// A guard that lets nothing go.
const STRICT: &str = "guard = { max-withdraw = 0 }\n";

fn strict(more: &str) -> String {
    format!("{STRICT}{}", text(more))
}

/// Without the Services' range.
fn reduced(more: &str) -> String {
    strict(more).replace("'172.16.0.0/16'", "")
}

async fn held(parts: &mut Parts, text: &str, trigger: Trigger) -> HeldChange {
    let status = after(parts, text, trigger).await;
    assert_eq!(status.config.error, None);
    status.held.expect("held back")
}

/// Routes that are announced, by the agent's own account.
async fn routes(parts: &Parts) -> usize {
    let routes = parts.reporter.routes(None).await.unwrap().routes;
    routes
        .iter()
        .filter(|route| route.decision.accepted)
        .count()
}

#[tokio::test]
async fn what_withdraws_too_much_is_held_back_and_says_what_it_would_do() {
    let mut parts = Parts::start(&strict("")).await;
    let before = routes(&parts).await;
    let held = held(&mut parts, &reduced(SECOND_PEER), Trigger::Noticed).await;
    assert_eq!(held.id.len(), 8);
    assert_eq!(held.max_withdraw, "0");
    assert_eq!(held.parts.len(), 1);
    assert!(held.parts[0].starts_with("configuration "), "{held:?}");
    assert_eq!(held.effect.announced, before as u64);
    // The range and the Service's address; the second peer would get what is left.
    assert_eq!((held.effect.withdrawn, held.effect.added), (2, 1));
    assert_eq!(held.effect.examples[0].prefix.to_string(), "172.16.0.0/16");
    assert_eq!(routes(&parts).await, before);
    let status = parts.reporter.status().await.unwrap();
    assert_eq!(status.peers.len(), 1, "nothing of it is in force");
    let told = parts.told.try_recv().unwrap();
    let Notice::ChangeHeld { change } = told else {
        panic!("{told:?}");
    };
    assert!(
        change.contains(&format!("rutter policy approve {}", held.id))
            && change.contains("would withdraw 2 of 3 announced routes"),
        "{change}"
    );
}

#[tokio::test]
async fn looking_again_neither_takes_it_nor_tells_it_again() {
    let mut parts = Parts::start(&strict("")).await;
    let first = held(&mut parts, &reduced(""), Trigger::Noticed).await;
    for trigger in [Trigger::Noticed, Trigger::Clock, Trigger::Demanded] {
        assert_eq!(held(&mut parts, &reduced(""), trigger).await.id, first.id);
    }
    assert!(matches!(
        parts.told.try_recv(),
        Ok(Notice::ChangeHeld { .. })
    ));
    assert!(parts.told.is_empty());
}

#[tokio::test]
async fn approval_lets_exactly_that_one_through() {
    let mut parts = Parts::start(&strict("")).await;
    let approve = |id: &str| id.to_owned();
    assert_eq!(
        parts.reloader.approve(approve("1234abcd")).await,
        Err(NotApproved::NothingHeld)
    );
    let first = held(&mut parts, &reduced(""), Trigger::Noticed).await;
    let wrong = parts
        .reloader
        .approve(approve("1234abcd"))
        .await
        .unwrap_err();
    assert_eq!(
        wrong.to_string(),
        format!(
            "change 1234abcd is not held back, but {} is: see in `rutter status` what it would do \
             before you approve it",
            first.id
        )
    );
    let effect = parts.reloader.approve(first.id.clone()).await.unwrap();
    assert_eq!(effect.withdrawn, 2);
    let status = parts.reporter.status().await.unwrap();
    assert_eq!(status.held, None);
    assert_eq!(routes(&parts).await, 1);
    assert_eq!(
        parts.reloader.approve(first.id).await,
        Err(NotApproved::NothingHeld),
        "once"
    );
}

#[tokio::test]
async fn a_newer_change_replaces_the_one_held_back() {
    let mut parts = Parts::start(&strict("")).await;
    let first = held(&mut parts, &reduced(""), Trigger::Noticed).await;
    // Written, and not looked at before the approval comes.
    parts.write(&reduced(SECOND_PEER));
    let error = parts.reloader.approve(first.id.clone()).await.unwrap_err();
    assert!(matches!(error, NotApproved::AnotherHeld { .. }), "{error}");
    let second = parts.reporter.status().await.unwrap().held.unwrap();
    assert_ne!(second.id, first.id);
    parts.reloader.approve(second.id).await.unwrap();
    assert_eq!(parts.reporter.status().await.unwrap().peers.len(), 2);
}

#[tokio::test]
async fn a_newer_change_that_withdraws_little_is_taken_in_its_place() {
    let mut parts = Parts::start(&strict("")).await;
    held(&mut parts, &reduced(""), Trigger::Noticed).await;
    let status = after(&mut parts, &strict(SECOND_PEER), Trigger::Noticed).await;
    assert_eq!((status.held, status.peers.len()), (None, 2));
}

#[tokio::test]
async fn a_newer_change_that_is_refused_leaves_nothing_to_approve() {
    let mut parts = Parts::start(&strict("")).await;
    let first = held(&mut parts, &reduced(""), Trigger::Noticed).await;
    let status = after(&mut parts, "guard = 7", Trigger::Noticed).await;
    assert_eq!(status.held, None);
    assert!(status.config.error.is_some());
    let error = parts.reloader.approve(first.id).await.unwrap_err();
    assert!(matches!(error, NotApproved::Refused { .. }), "{error}");
}

#[tokio::test]
async fn taking_the_change_back_clears_it() {
    let mut parts = Parts::start(&strict("")).await;
    held(&mut parts, &reduced(""), Trigger::Noticed).await;
    let status = after(&mut parts, &strict(""), Trigger::Noticed).await;
    assert_eq!((status.held, status.config.error), (None, None));
    // The same again is held back again.
    held(&mut parts, &reduced(""), Trigger::Noticed).await;
}

#[tokio::test]
async fn the_id_is_that_of_what_the_files_say() {
    let mut one = Parts::start(&strict("")).await;
    let mut other = Parts::start(&strict("")).await;
    let id = held(&mut one, &reduced(""), Trigger::Noticed).await.id;
    assert_eq!(
        held(&mut other, &reduced(""), Trigger::Noticed).await.id,
        id
    );
    let peer = reduced(SECOND_PEER);
    assert_ne!(held(&mut other, &peer, Trigger::Noticed).await.id, id);
}
