//! What `rutter policy new` writes, and what it refuses. That it compiles, `tests/it` shows.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::PolicyName;
use crate::cli::Outcome;
use crate::cli::testing::{Ran, run};

fn new(name: &str, directory: &Path, more: &[&str]) -> Ran {
    let directory = directory.to_str().unwrap();
    let arguments = [&["policy", "new", name, directory], more].concat();
    run("/nonexistent".into(), &arguments)
}

#[test]
fn a_new_policy_is_written_with_its_name_everywhere() {
    for (language, named) in [
        (
            "rust",
            &[
                ("Cargo.toml", "name = \"vip-guard\""),
                ("README.md", "module = \"/etc/rutter/vip-guard.wasm\""),
                (".gitignore", "/vip-guard.wasm"),
            ][..],
        ),
        (
            "c",
            &[
                ("policy.c", "&said->name, \"vip-guard\""),
                ("README.md", "module = \"/etc/rutter/vip-guard.wasm\""),
                (".gitignore", "/vip-guard.wasm"),
            ],
        ),
        (
            "js",
            &[
                ("package.json", "\"name\": \"vip-guard\""),
                ("package-lock.json", "\"name\": \"vip-guard\""),
                ("src/policy.js", "name: \"vip-guard\""),
                ("README.md", "module = \"/etc/rutter/vip-guard.wasm\""),
                (".gitignore", "/vip-guard.wasm"),
            ],
        ),
    ] {
        let directory = TempDir::new().unwrap();
        let at = directory.path().join("here");
        let ran = new("vip-guard", &at, &["--lang", language]);
        assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
        let out = ran.out.replace(directory.path().to_str().unwrap(), "DIR");
        insta::assert_snapshot!(
            format!("a_new_policy_in_{language}"),
            out.replace(char::is_numeric, "N")
        );
        for (file, text) in named {
            let written = fs::read_to_string(at.join(file)).unwrap();
            assert!(written.contains(text), "{file}: {written}");
            assert!(!written.contains("NAME"), "{file}: {written}");
            assert!(!written.contains("RUST_VERSION"), "{file}: {written}");
        }
    }
}

#[test]
fn every_file_that_is_told_of_is_there() {
    for (language, expected) in [
        ("rust", &["src/lib.rs", "rutter-policy/src/lib.rs"][..]),
        (
            "c",
            &["policy.c", "rutter-policy/policy.h", "rutter-policy/test"],
        ),
        ("js", &["src/policy.js", "package-lock.json"]),
    ] {
        let directory = TempDir::new().unwrap();
        let ran = new(
            "opt-in",
            directory.path(),
            &["--lang", language, "-o", "json"],
        );
        assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(report["name"], "opt-in");
        let files = report["files"].as_array().unwrap();
        for file in files {
            let file = file.as_str().unwrap();
            assert!(directory.path().join(file).is_file(), "{file}");
        }
        for file in [
            "README.md",
            "cases/opt-in.snap",
            "cases/opt-in.toml",
            "rutter-policy/wit/types.wit",
        ]
        .iter()
        .chain(expected)
        {
            assert!(files.contains(&(*file).into()), "{language}: {file}");
        }
    }
}

#[test]
fn nothing_is_written_beside_what_is_there() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("notes"), "mine").unwrap();
    for language in ["rust", "c", "js"] {
        let ran = new("opt-in", directory.path(), &["--lang", language]);
        assert_eq!((ran.outcome, ran.out.as_str()), (Outcome::Failed, ""));
        assert!(
            ran.err.contains("is not empty: name another"),
            "{}",
            ran.err
        );
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_file_in_the_way_is_named() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("opt-in");
    fs::write(&file, "mine").unwrap();
    let ran = new("opt-in", &file, &[]);
    assert_eq!(ran.outcome, Outcome::Failed);
    let expected = format!("error: cannot make the directory {}: ", file.display());
    assert!(ran.err.starts_with(&expected), "{}", ran.err);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn names_are_those_that_crates_and_files_can_have() {
    for good in ["a", "opt-in", "v4", "no-64512"] {
        assert_eq!(good.parse(), Ok(PolicyName(good.to_owned())));
    }
    let long = "a".repeat(65);
    for (bad, why) in [
        ("", "starts with a letter"),
        ("-x", "starts with a letter"),
        ("4v", "starts with a letter"),
        ("x-", "ends with a letter"),
        ("Opt-In", "lower-case"),
        ("../x", "lower-case"),
        ("opt_in", "lower-case"),
        ("émigré", "lower-case"),
        (&long, "longer than 64"),
        ("match", "choose another"),
        ("serde", "choose another"),
        ("componentize-qjs", "choose another"),
    ] {
        let error = bad.parse::<PolicyName>().unwrap_err();
        assert!(error.contains(why), "{bad}: {error}");
    }
}

/// The guide shows the very files that are written.
#[test]
fn the_guide_shows_the_example() {
    let guide = include_str!("../../../../policies/README.md");
    for example in [
        format!("```rust\n{}```\n", include_str!("rust/lib.rs")),
        format!("```toml\n{}```\n", include_str!("cases.toml")),
    ] {
        assert!(
            guide.contains(&example),
            "not in policies/README.md: {example}"
        );
    }
}
