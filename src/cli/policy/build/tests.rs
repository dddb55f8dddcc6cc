//! Where `rutter policy build` puts a module. What it makes, and refuses, is in `tests/it`.

use std::fs;

use tempfile::TempDir;

use super::{file_name, put};

#[test]
fn a_module_is_called_as_it_calls_itself_where_a_file_can_be() {
    assert_eq!(file_name("opt-in").unwrap(), "opt-in.wasm");
    assert_eq!(file_name("v4.1_b").unwrap(), "v4.1_b.wasm");
    for bad in ["", ".", "../x", "a/b", "a b", "-x", "a\u{1b}"] {
        let error = file_name(bad).unwrap_err().to_string();
        assert!(error.ends_with("name one with --to"), "{bad}: {error}");
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
