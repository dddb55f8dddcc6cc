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

/// Where a policy's name is, in each language.
const NAMED: [(&str, &[(&str, &str)]); 3] = [
    ("rust", &[("Cargo.toml", "name = \"vip-guard\"")]),
    ("c", &[("policy.c", "&said->name, \"vip-guard\"")]),
    (
        "js",
        &[
            ("package.json", "\"name\": \"vip-guard\""),
            ("package-lock.json", "\"name\": \"vip-guard\""),
            ("src/policy.js", "name: \"vip-guard\""),
        ],
    ),
];

/// Words that stand in templates for others.
const PLACEHOLDERS: [&str; 5] = ["ABOUT", "CONFIGURATION", "NAME", "RUST_VERSION", "WORLD"];

#[test]
fn a_new_policy_is_written_with_its_name_everywhere() {
    for (flags, kind) in [(&[][..], "policy"), (&["--learned"], "import_policy")] {
        for (language, named) in NAMED {
            let directory = TempDir::new().unwrap();
            let at = directory.path().join("here");
            let ran = new("vip-guard", &at, &[flags, &["--lang", language]].concat());
            assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
            let out = ran.out.replace(directory.path().to_str().unwrap(), "DIR");
            insta::assert_snapshot!(
                format!("a_new_{kind}_in_{language}"),
                out.replace(char::is_numeric, "N")
            );
            let everywhere = [
                ("README.md", "module = \"/etc/rutter/vip-guard.wasm\""),
                (".gitignore", "/vip-guard.wasm"),
            ];
            for (file, text) in named.iter().chain(&everywhere) {
                let written = fs::read_to_string(at.join(file)).unwrap();
                assert!(written.contains(text), "{file}: {written}");
                for placeholder in PLACEHOLDERS {
                    assert!(!written.contains(placeholder), "{file}: {written}");
                }
            }
        }
    }
}

#[test]
fn the_readme_tells_which_chain_a_policy_belongs_to() {
    for (flags, table, other) in [
        (&[][..], "\n[[policies]]\n", "[[import-policies]]"),
        (&["--learned"], "\n[[import-policies]]\n", "[[policies]]"),
    ] {
        for language in ["rust", "c", "js"] {
            let directory = TempDir::new().unwrap();
            let arguments = [flags, &["--lang", language]].concat();
            new("vip-guard", directory.path(), &arguments);
            let readme = fs::read_to_string(directory.path().join("README.md")).unwrap();
            assert!(readme.contains(table), "{readme}");
            assert!(!readme.contains(other), "{readme}");
        }
    }
}

/// The bindings in C and the packer of JavaScript are told; a crate says it by its macro.
#[test]
fn what_is_written_is_of_the_world_that_was_asked_for() {
    for (flags, world, interface, other) in [
        (&[][..], "policy", "announce", "learn"),
        (&["--learned"], "import-policy", "learn", "announce"),
    ] {
        let read = |language: &str, file: &str| {
            let directory = TempDir::new().unwrap();
            let arguments = [flags, &["--lang", language]].concat();
            new("vip-guard", directory.path(), &arguments);
            fs::read_to_string(directory.path().join(file)).unwrap()
        };
        for file in ["policy.c", "rutter-policy/policy.h"] {
            let source = read("c", file);
            let evaluate = |interface: &str| format!("exports_rutter_policy_{interface}_evaluate(");
            assert!(source.contains(&evaluate(interface)), "{file}");
            assert!(!source.contains(&evaluate(other)), "{file}");
        }
        let package: Value = serde_json::from_str(&read("js", "package.json")).unwrap();
        assert_eq!(package["rutter"]["world"], world);
        let exports = format!("export const {interface} = {{");
        assert!(read("js", "src/policy.js").contains(&exports));
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
        for flags in [&[][..], &["--learned"]] {
            let directory = TempDir::new().unwrap();
            let arguments = [flags, &["--lang", language, "-o", "json"]].concat();
            let ran = new("opt-in", directory.path(), &arguments);
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
fn the_guide_shows_the_examples() {
    let guide = include_str!("../../../../policies/README.md");
    for example in [
        format!("```rust\n{}```\n", include_str!("announced/lib.rs")),
        format!("```toml\n{}```\n", include_str!("announced/cases.toml")),
        format!("```toml\n{}```\n", include_str!("learned/cases.toml")),
    ] {
        assert!(
            guide.contains(&example),
            "not in policies/README.md: {example}"
        );
    }
}
