//! What is handed out, and what is not.

use super::*;

/// A file with these bytes, and the module it is.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PolicyModule) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.wasm"), bytes).unwrap();
    let module = PolicyModule::File(folder.path().to_owned());
    (folder, module)
}

#[test]
fn a_pinned_module_is_these_bytes_or_none() {
    let (folder, module) = file(b"one");
    let demands = Demands {
        digest: Some(digest_of(b"one")),
    };
    assert_eq!(obtain(&module, &demands).unwrap().bytes, b"one");
    std::fs::write(folder.path().join("a.wasm"), "two").unwrap();
    let error = obtain(&module, &demands).unwrap_err().to_string();
    let (one, two) = (digest_of(b"one"), digest_of(b"two"));
    assert_eq!(error, format!("the module has the digest {two}, not {one}"));
    assert_eq!(
        obtain(&module, &Demands::default()).unwrap().digest,
        digest_of(b"two")
    );
}
