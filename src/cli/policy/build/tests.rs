//! What `rutter policy build` refuses before it starts a compiler. The rest is in `tests/it`.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::put;
use crate::cli::Outcome;
use crate::cli::testing::{Ran, run};

fn build(directory: &Path) -> Ran {
    let directory = directory.to_str().unwrap();
    run("/nonexistent".into(), &["policy", "build", directory])
}

fn error_for(directory: &Path) -> String {
    let ran = build(directory);
    assert_eq!((ran.outcome, ran.out.as_str()), (Outcome::Failed, ""));
    ran.err
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    assert_eq!(
        error_for(Path::new("/nonexistent/opt-in")),
        "error: there is no directory /nonexistent/opt-in\n"
    );
}

#[test]
fn a_directory_without_a_policy_is_named_and_how_to_start_one() {
    let directory = TempDir::new().unwrap();
    let at = directory.path().display();
    let expected =
        format!("error: there is no {at}/Cargo.toml; `rutter policy new` starts a policy\n");
    assert_eq!(error_for(directory.path()), expected);
}

#[test]
fn a_manifest_that_is_no_crates_is_named() {
    let directory = TempDir::new().unwrap();
    let manifest = directory.path().join("Cargo.toml");
    for (text, words) in [
        ("[workspace]", "is of no crate: it has no package.name"),
        ("[package", "TOML parse error"),
    ] {
        fs::write(&manifest, text).unwrap();
        let error = error_for(directory.path());
        assert!(error.contains(manifest.to_str().unwrap()), "{error}");
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_module_takes_the_place_of_another_and_leaves_nothing_beside_it() {
    let directory = TempDir::new().unwrap();
    let to = directory.path().join("x.wasm");
    fs::write(&to, "old").unwrap();
    put(&to, b"new").unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"new");
    put(&directory.path().join("missing/x.wasm"), b"new").unwrap_err();
    put(directory.path(), b"new").unwrap_err();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
