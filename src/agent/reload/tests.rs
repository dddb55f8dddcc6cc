//! Reloading real files.

mod calico;
mod files;
mod guard;
mod imports;
mod modules;
mod start;
mod two_way;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;

use tokio::signal::unix::{SignalKind, signal};

use super::*;
use crate::agent::peering::PeerKey;
use crate::agent::testing::{DEADLINE, Parts, text, until};
use crate::api::Status;
use crate::types::Password;

const SECOND_PEER: &str = "[[peers]]\nname = 'two'\naddress = '127.0.0.98'\nasn = 64513\n";

/// Writes the file, lets it be taken or refused, and tells how it stands.
async fn after(parts: &mut Parts, text: &str, trigger: Trigger) -> Status {
    parts.write(text);
    parts.reloader.look(trigger).await;
    parts.reporter.status().await.unwrap()
}

#[tokio::test]
async fn a_change_is_taken() {
    let mut parts = Parts::start(&text("")).await;
    let status = after(&mut parts, &text(SECOND_PEER), Trigger::Noticed).await;
    assert_eq!(status.peers.len(), 2);
    assert_eq!(status.config.error, None);
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_is_a_warning_and_no_failure() {
    // A file is where the directory should be.
    let parts = Parts::start(&text("[policy]\ncompile-cache = 'rutter.toml'\n")).await;
    let status = parts.reporter.status().await.unwrap();
    let [warning] = status.config.warnings.as_slice() else {
        panic!("not one warning: {:?}", status.config.warnings);
    };
    assert!(
        warning.starts_with("compiled code is not kept in"),
        "{warning}"
    );
    assert_eq!(status.policies[0].error, None);
}

#[tokio::test]
async fn an_invalid_file_is_refused_by_line_and_key_and_the_old_stays() {
    let mut parts = Parts::start(&text("")).await;
    let invalid = text(&SECOND_PEER.replace("asn", "as"));
    let status = after(&mut parts, &invalid, Trigger::Noticed).await;
    assert_eq!(status.peers.len(), 1);
    let error = status.config.error.unwrap();
    assert!(error.contains("rutter.toml:15:1: peers[1].as "), "{error}");
    let status = after(&mut parts, &text(""), Trigger::Noticed).await;
    assert_eq!(status.config.error, None, "the file is what it was");
}

#[tokio::test]
async fn an_empty_file_drops_no_peer() {
    let mut parts = Parts::start(&text("")).await;
    for empty in ["", " \n\n"] {
        let status = after(&mut parts, empty, Trigger::Demanded).await;
        assert_eq!(status.peers.len(), 1);
        assert!(status.config.error.unwrap().contains("the file is empty"));
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_read_refuses_the_file() {
    let mut parts = Parts::start(&text("")).await;
    let with_key = text("password-file = 'tor.key'\n");
    let status = after(&mut parts, &with_key, Trigger::Noticed).await;
    let error = status.config.error.unwrap();
    assert!(error.contains("tor.key of peer `tor`"), "{error}");
}

#[tokio::test]
async fn another_key_in_the_same_file_is_taken() {
    let mut parts = Parts::start(&text("")).await;
    let key = parts.folder.path().join("tor.key");
    std::fs::write(&key, "old\n").unwrap();
    let with_key = text("password-file = 'tor.key'\n");
    after(&mut parts, &with_key, Trigger::Noticed).await;
    assert_eq!(*parts.reloader.in_force.passwords.of("tor"), current("old"));
    std::fs::write(&key, "new\n").unwrap();
    after(&mut parts, &with_key, Trigger::Noticed).await;
    assert_eq!(*parts.reloader.in_force.passwords.of("tor"), current("new"));
}

fn current(key: &str) -> PeerKey {
    PeerKey::Current(Password::new(key.as_bytes()).unwrap())
}

#[tokio::test]
async fn a_key_whose_file_is_of_no_use_any_more_stays_in_force() {
    let mut parts = Parts::start(&text("")).await;
    let key = parts.folder.path().join("tor.key");
    std::fs::write(&key, "old\n").unwrap();
    let with_key = text("password-file = 'tor.key'\n");
    after(&mut parts, &with_key, Trigger::Noticed).await;
    let id = parts.reporter.speaker.ask(|speaker| speaker.peers().next());
    let before = id.await.unwrap().unwrap();
    for useless in [Some(Vec::new()), Some(vec![b'k'; 81]), None] {
        match &useless {
            Some(octets) => std::fs::write(&key, octets).unwrap(),
            None => std::fs::remove_file(&key).unwrap(),
        }
        let status = after(&mut parts, &with_key, Trigger::Noticed).await;
        assert_eq!(status.config.error, None);
        let [warning] = &status.config.warnings[..] else {
            panic!("{:?}", status.config.warnings);
        };
        assert!(warning.contains("tor.key of peer `tor`"), "{warning}");
        assert!(warning.contains("stays in force"), "{warning}");
        let in_force = parts.reloader.in_force.passwords.of("tor");
        assert!(matches!(in_force, PeerKey::Former(key, _) if key.expose() == b"old"));
        let after = parts.reporter.speaker.ask(|speaker| speaker.peers().next());
        let after = after.await.unwrap().unwrap();
        assert_eq!(
            (after.id, after.since),
            (before.id, before.since),
            "not even restarted"
        );
    }
    std::fs::write(&key, "new\n").unwrap();
    let status = after(&mut parts, &with_key, Trigger::Noticed).await;
    assert!(status.config.warnings.is_empty());
    assert_eq!(*parts.reloader.in_force.passwords.of("tor"), current("new"));
}

#[tokio::test]
async fn a_new_peer_whose_key_is_missing_is_down_alone_until_there_is_one() {
    let mut parts = Parts::start(&text("")).await;
    let second = format!("{SECOND_PEER}password-file = 'second.key'\n");
    let second = text(&second);
    let said = |status: &Status| {
        let two = status.peers.iter().find(|peer| peer.name == "two");
        two.and_then(|peer| Some((peer.state.clone(), peer.last_error.clone()?)))
    };
    let status = after(&mut parts, &second, Trigger::Noticed).await;
    assert_eq!(status.config.error, None);
    until(&parts.reporter, |status| {
        said(status).is_some_and(|(state, error)| {
            state == "Idle" && error.contains("second.key of peer `two`")
        })
    })
    .await;
    std::fs::write(parts.folder.path().join("second.key"), "key").unwrap();
    let status = after(&mut parts, &second, Trigger::Noticed).await;
    assert!(status.config.warnings.is_empty());
    until(&parts.reporter, |status| {
        said(status).is_none_or(|(_, error)| !error.contains("second.key"))
    })
    .await;
}

#[tokio::test]
async fn a_module_that_does_not_load_refuses_the_whole_file() {
    let mut parts = Parts::start(&text("")).await;
    let chain = "[[policies]]\nname = 'own'\nmodule = 'missing.wasm'\n";
    let status = after(
        &mut parts,
        &text(&format!("{SECOND_PEER}{chain}")),
        Trigger::Noticed,
    )
    .await;
    assert_eq!(status.peers.len(), 1);
    assert_eq!(status.policies[0].module, "builtin:default");
    assert!(status.config.error.unwrap().contains("missing.wasm"));
}

#[tokio::test]
async fn what_becomes_of_a_new_version_is_told_once() {
    let mut parts = Parts::start(&text("")).await;
    let chain = "[[policies]]\nname = 'own'\nmodule = 'missing.wasm'\n";
    for more in [chain, chain, "[[peers]]\n", SECOND_PEER] {
        after(&mut parts, &text(more), Trigger::Noticed).await;
    }
    let [refused, invalid, reloaded] = std::array::from_fn(|_| parts.told.try_recv().unwrap());
    assert!(
        matches!(&refused, Notice::ModuleRefused { error } if error.contains("missing.wasm")),
        "{refused:?}"
    );
    assert!(
        matches!(&invalid, Notice::ConfigurationRefused { error } if error.contains("peers[1]")),
        "{invalid:?}"
    );
    assert_eq!(reloaded, Notice::ConfigurationReloaded);
    assert!(parts.told.is_empty());
}

#[tokio::test]
async fn a_module_that_was_missing_at_start_holds_up_no_other_change() {
    let chain = "[[policies]]\nname = 'own'\nmodule = 'missing.wasm'\n";
    let mut parts = Parts::start(&text(chain)).await;
    let before = parts.reporter.status().await.unwrap();
    assert!(
        before.policies[0]
            .error
            .as_ref()
            .unwrap()
            .contains("missing.wasm")
    );
    let status = after(
        &mut parts,
        &text(&format!("{SECOND_PEER}{chain}")),
        Trigger::Noticed,
    )
    .await;
    assert_eq!(status.peers.len(), 2);
    assert_eq!(status.policies[0].error, before.policies[0].error);
}

#[tokio::test]
async fn what_waits_for_a_restart_is_said_until_it_is_done() {
    let mut parts = Parts::start(&text("")).await;
    let moved = text("[api]\nsocket = 'other.sock'\n");
    for _ in 0..2 {
        let status = after(&mut parts, &moved, Trigger::Noticed).await;
        let error = status.config.error.unwrap();
        assert_eq!(error, "restart the agent to use the new api.socket");
    }
    let status = after(&mut parts, &text(""), Trigger::Noticed).await;
    assert_eq!(status.config.error, None);
}

#[tokio::test]
async fn listening_elsewhere_needs_no_restart() {
    let mut parts = Parts::start(&text("")).await;
    let free = TcpListener::bind("127.0.0.24:0").unwrap();
    let address: SocketAddr = free.local_addr().unwrap();
    let listening = text("").replace("listen = []", &format!("listen = ['{address}']"));
    let status = after(&mut parts, &listening, Trigger::Noticed).await;
    assert!(
        status
            .config
            .error
            .unwrap()
            .contains("bgp.listen: cannot listen on")
    );
    drop(free);
    let status = after(&mut parts, &listening, Trigger::Noticed).await;
    assert_eq!(status.config.error, None);
    TcpStream::connect(address).unwrap();
}

/// As the kubelet does it: a new folder, then one rename of the link to it.
#[tokio::test]
async fn a_swapped_config_map_is_noticed() {
    let parts = Parts::start(&text("")).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::rename(parts.folder.path().join("manifests"), at("manifests")).unwrap();
    for (version, text) in [("..1", text("")), ("..2", text(SECOND_PEER))] {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("rutter.toml"), text).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/rutter.toml", at("rutter.toml")).unwrap();
    let path = at("rutter.toml");
    let Parts {
        reloader,
        reporter,
        folder,
        ..
    } = Parts::start_in(folder, path).await;
    // Watching begins before this returns to us, for the first poll of a task runs up to its wait.
    let running = tokio::spawn(reloader.run(signal(SignalKind::hangup()).unwrap()));
    tokio::task::yield_now().await;
    symlink("..2", folder.path().join("..data_tmp")).unwrap();
    std::fs::rename(
        folder.path().join("..data_tmp"),
        folder.path().join("..data"),
    )
    .unwrap();
    until(&reporter, |status| status.peers.len() == 2).await;
    running.abort();
}
