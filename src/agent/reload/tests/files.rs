//! Names that lead to something that is no file, or to too much of one.

use super::*;
use crate::files::CONFIG_BYTES_MAX;
use crate::files::tests::make_pipe;

/// A configuration that names this file is refused, and said to be for that, while the file is a
/// pipe that nobody writes to, and while it is huge.
async fn refused(parts: &mut Parts, name: &str, text: &str) {
    let path = parts.folder.path().join(name);
    make_pipe(&path);
    let status = after(parts, text, Trigger::Noticed).await;
    let error = status.config.error.unwrap();
    assert!(error.contains(name), "{error}");
    assert!(
        error.ends_with("it is a named pipe; name a regular file"),
        "{error}"
    );
    assert_eq!(status.peers.len(), 1);
    std::fs::remove_file(&path).unwrap();
    std::fs::File::create(&path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let status = after(parts, text, Trigger::Noticed).await;
    let error = status.config.error.unwrap();
    assert!(error.contains(name), "{error}");
    assert!(error.contains("it has 1099511627776 bytes"), "{error}");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_name_that_leads_to_a_pipe_or_to_too_much_stops_no_reload() {
    let mut parts = Parts::start(&text("")).await;
    let key = text("password-file = 'tor.key'\n");
    refused(&mut parts, "tor.key", &key).await;
    let module = text("[[policies]]\nname = 'own'\nmodule = 'own.wasm'\n");
    refused(&mut parts, "own.wasm", &module).await;
    let status = after(&mut parts, &text(SECOND_PEER), Trigger::Noticed).await;
    assert_eq!((status.peers.len(), status.config.error), (2, None));
}

#[tokio::test]
async fn a_key_of_signatures_that_is_a_pipe_stops_no_reload() {
    let mut parts = Parts::start(&text("")).await;
    std::fs::write(parts.folder.path().join("own.wasm"), "").unwrap();
    let signed = "[[policies]]\nname = 'own'\nmodule = 'own.wasm'\nrequire-signature = 'own.pub'\n";
    refused(&mut parts, "own.pub", &text(signed)).await;
    let status = after(&mut parts, &text(SECOND_PEER), Trigger::Noticed).await;
    assert_eq!((status.peers.len(), status.config.error), (2, None));
}

#[tokio::test]
async fn a_configuration_that_is_a_pipe_or_too_large_leaves_the_old_one_in_force() {
    let mut parts = Parts::start(&text(SECOND_PEER)).await;
    let path = parts.reloader.path.clone();
    std::fs::remove_file(&path).unwrap();
    make_pipe(&path);
    parts.reloader.look(Trigger::Noticed).await;
    let status = parts.reporter.status().await.unwrap();
    let error = status.config.error.unwrap();
    assert!(
        error.ends_with("rutter.toml: it is a named pipe; name a regular file"),
        "{error}"
    );
    assert_eq!(status.peers.len(), 2);
    std::fs::remove_file(&path).unwrap();
    let large = format!("{}\n#{}", text(""), " ".repeat(CONFIG_BYTES_MAX));
    let status = after(&mut parts, &large, Trigger::Noticed).await;
    let error = status.config.error.unwrap();
    assert!(error.ends_with("and at most 1048576 are read"), "{error}");
    assert_eq!(status.peers.len(), 2);
    let status = after(&mut parts, &text(""), Trigger::Noticed).await;
    assert_eq!((status.peers.len(), status.config.error), (1, None));
}
