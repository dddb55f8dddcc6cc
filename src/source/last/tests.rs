//! What is kept of the modules in force, what is found of it, and what is not.

use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;
use crate::source::Keys;

const POLICY: &str = "export own";

fn last() -> (TempDir, LastModules) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(&folder.path().join("modules"));
    (folder, LastModules(cache))
}

fn file() -> PolicyModule {
    PolicyModule::File("/gone/own.wasm".into())
}

fn module(policy: &str, bytes: &'static [u8], signature: Option<String>) -> LastModule {
    LastModule {
        policy: policy.to_owned(),
        digest: Some(digest_of(bytes).to_string()),
        artifact: Some(Artifact::plain(bytes, signature)),
    }
}

fn recalled(last: &LastModules, policy: &str) -> Result<Option<Vec<u8>>, String> {
    let recalled = last.recall(policy, &file(), &Demands::default());
    recalled.map(|obtained| obtained.map(|it| it.bytes.to_vec()))
}

fn names(last: &LastModules) -> Vec<String> {
    let entries = fs::read_dir(&last.0.folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn the_module_that_was_in_force_last_is_found_and_no_other() {
    let (_folder, last) = last();
    assert_eq!(recalled(&last, POLICY), Ok(None));
    for bytes in [b"one", b"two"] {
        last.keep(&[module(POLICY, bytes, None)], &[]).unwrap();
        assert_eq!(recalled(&last, POLICY), Ok(Some(bytes.to_vec())));
    }
    assert_eq!(recalled(&last, "export own, otherwise"), Ok(None));
    // Its source has another by now, or nothing: what is kept is still what runs.
    let runs = |bytes: Option<&[u8]>| LastModule {
        digest: bytes.map(|bytes| digest_of(bytes).to_string()),
        artifact: None,
        ..module(POLICY, b"", None)
    };
    for still in [runs(Some(b"two")), runs(None)] {
        last.keep(&[still], &[]).unwrap();
        assert_eq!(recalled(&last, POLICY), Ok(Some(b"two".to_vec())));
    }
    // Something runs that was never kept.
    last.keep(&[runs(Some(b"three"))], &[]).unwrap();
    assert_eq!(recalled(&last, POLICY), Ok(None));
    // Another policy has taken its place.
    last.keep(&[module(POLICY, b"two", None)], &[]).unwrap();
    last.keep(&[module("export other", b"other", None)], &[])
        .unwrap();
    assert_eq!(recalled(&last, POLICY), Ok(None));
    last.keep(&[], &[]).unwrap();
    assert_eq!(recalled(&last, "export other"), Ok(None));
}

#[test]
fn nothing_to_keep_makes_no_directory() {
    let (_folder, last) = last();
    last.keep(&[], &[]).unwrap();
    assert!(!last.0.folder.exists());
}

#[test]
fn what_is_kept_is_checked_by_what_is_demanded_now() {
    let (keys, others) = (Keys::make(), Keys::make());
    let (_folder, last) = last();
    let recall = |key: &Path| {
        let demands = Demands {
            digest: None,
            signed_by: Some(key.into()),
            signed_for: None,
        };
        last.recall(POLICY, &file(), &demands)
            .map(|it| it.is_some())
    };
    last.keep(&[module(POLICY, b"module", None)], &[]).unwrap();
    let unsigned = recall(&keys.public).unwrap_err();
    assert!(unsigned.contains("is not signed by"), "{unsigned}");
    // The same module, signed meanwhile.
    let signed = module(POLICY, b"module", Some(keys.sign(b"module")));
    last.keep(&[signed], &[]).unwrap();
    assert_eq!(recall(&keys.public), Ok(true));
    // Another key has taken the place of the first in its file.
    fs::copy(&others.public, &keys.public).unwrap();
    let revoked = recall(&keys.public).unwrap_err();
    assert!(revoked.contains("is not signed by"), "{revoked}");
    let pinned = Demands {
        digest: Some(digest_of(b"another")),
        signed_by: None,
        signed_for: None,
    };
    let another = last.recall(POLICY, &file(), &pinned).unwrap_err();
    assert!(another.contains("has the digest"), "{another}");
}

#[test]
fn an_artifact_of_a_registry_is_checked_down_to_its_layer() {
    let (_folder, last) = last();
    let manifest = crate::source::manifest::of_module(b"{}", b"module");
    let text = format!("r.example/p@{}", digest_of(manifest.as_bytes()));
    let source = PolicyModule::parse(&format!("oci://{text}"), "".as_ref()).unwrap();
    let artifact = Artifact {
        description: Some(crate::source::artifact::Description {
            index: None,
            manifest,
        }),
        ..Artifact::plain(&b"module"[..], None)
    };
    let kept = LastModule {
        artifact: Some(artifact),
        ..module(POLICY, b"module", None)
    };
    last.keep(&[kept], &[]).unwrap();
    let obtained = last.recall(POLICY, &source, &Demands::default());
    assert_eq!(&obtained.unwrap().unwrap().bytes[..], b"module");
    let other = format!("r.example/p@{}", digest_of(b"other"));
    let other = PolicyModule::parse(&format!("oci://{other}"), "".as_ref()).unwrap();
    let error = last.recall(POLICY, &other, &Demands::default());
    assert!(error.unwrap_err().contains("the manifest has the digest"));
}

#[test]
fn what_is_damaged_is_said_and_not_used() {
    let (_folder, last) = last();
    let keep = || {
        // As if nothing were there: what is there is believed as far as it looks whole.
        if last.0.folder.exists() {
            fs::remove_dir_all(&last.0.folder).unwrap();
        }
        last.keep(&[module(POLICY, b"module", None)], &[]).unwrap();
    };
    keep();
    let record = last.path(POLICY);
    let blob = last.0.blob_of(&read(&record).unwrap().record).unwrap();
    let whole = fs::read_to_string(&record).unwrap();
    // Whole JSON of the same meaning, but not what was written.
    let altered = whole.replace("\"signatures\":[]", "\"signatures\": []");
    assert_ne!(altered, whole);
    for (path, damage) in [
        (&record, ""),
        (&record, &whole[..whole.len() / 2]),
        (&record, &altered),
        (&blob, ""),
        (&blob, "modul3"),
    ] {
        keep();
        fs::write(path, damage).unwrap();
        let error = recalled(&last, POLICY).unwrap_err();
        assert!(error.ends_with("is damaged"), "{damage:?}: {error}");
    }
    keep();
    fs::remove_file(&blob).unwrap();
    assert!(recalled(&last, POLICY).is_err());
    // The record of another policy under this one's name.
    keep();
    fs::rename(&record, last.path("export other")).unwrap();
    assert!(recalled(&last, "export other").is_err());
}

#[test]
fn a_directory_that_others_can_write_to_is_believed_in_nothing() {
    let (_folder, last) = last();
    last.keep(&[module(POLICY, b"module", None)], &[]).unwrap();
    fs::set_permissions(&last.0.folder, fs::Permissions::from_mode(0o777)).unwrap();
    let error = recalled(&last, POLICY).unwrap_err();
    assert!(
        error.ends_with("only where nobody else can write: mode 700"),
        "{error}"
    );
    let error = last.keep(&[module(POLICY, b"other", None)], &[]);
    let error = error.unwrap_err();
    assert!(error.contains("cannot be kept for a start"), "{error}");
}

/// Only root can make one, and only root would be taken in.
#[test]
fn a_directory_of_another_users_is_believed_in_nothing() {
    const NOBODY: u32 = 65534;
    let (_folder, last) = last();
    last.keep(&[module(POLICY, b"module", None)], &[]).unwrap();
    if std::os::unix::fs::chown(&last.0.folder, Some(NOBODY), None).is_ok() {
        let error = recalled(&last, POLICY).unwrap_err();
        assert!(error.contains("belongs to user 65534"), "{error}");
    } else {
        recalled(&last, POLICY).unwrap();
    }
}

#[test]
fn what_cannot_be_kept_is_said_and_leaves_nothing_that_is_not_in_force() {
    let (folder, last) = last();
    fs::write(folder.path().join("file"), "").unwrap();
    let nowhere = LastModules(Cache::new(&folder.path().join("file/modules")));
    let error = nowhere.keep(&[module(POLICY, b"module", None)], &[]);
    assert!(error.unwrap_err().contains("cannot be kept for a start"));

    // A disk that is full.
    last.keep(&[module(POLICY, b"old", None)], &[]).unwrap();
    let name = digest_of(b"new").hex();
    let unfinished = last.0.folder.join(format!("{name}.unfinished"));
    symlink("/dev/full", unfinished).unwrap();
    let both = [
        module(POLICY, b"new", None),
        module("export other", b"other", None),
    ];
    let error = last.keep(&both, &[]).unwrap_err();
    assert!(error.contains("No space left"), "{error}");
    assert_eq!(recalled(&last, POLICY), Ok(None));
    assert_eq!(recalled(&last, "export other"), Ok(Some(b"other".to_vec())));
}

#[test]
fn a_record_that_is_too_large_is_refused() {
    let (_folder, last) = last();
    let endless = "x".repeat(RECORD_BYTES_MAX);
    let error = last.keep(&[module(&endless, b"module", None)], &[]);
    assert!(error.unwrap_err().contains("are the settings that large?"));
    assert_eq!(recalled(&last, &endless), Ok(None));
}

#[test]
fn what_is_in_force_is_never_dropped_and_what_was_is_bounded() {
    let (_folder, mut last) = last();
    last.0.unused_bytes_max = 0;
    for bytes in [b"one", b"two"] {
        last.keep(&[module(POLICY, bytes, None)], &[]).unwrap();
    }
    let blobs = |last: &LastModules| {
        let names = names(last).into_iter();
        names.filter(|name| name.ends_with(".blob")).count()
    };
    assert_eq!(blobs(&last), 1);
    last.0.prune(&[]).unwrap();
    assert_eq!(recalled(&last, POLICY), Ok(Some(b"two".to_vec())));
}
