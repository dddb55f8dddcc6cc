//! The rules of who may use whom, read off the sources.
//!
//! A module stands on the ones listed beside it and on no others. What the core must not touch
//! is named by its path in the standard library or by its crate.

mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// Top-level modules, core first, each with the modules it may use beside itself.
const MODULES: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("facts", &["types"]),
    ("selector", &["types"]),
    ("topology", &["selector", "types"]),
    ("candidates", &["facts", "types"]),
    ("policy", &["candidates", "facts", "types"]),
    ("cases", &["candidates", "facts", "policy", "types"]),
    ("config", &["candidates", "policy", "types"]),
    (
        "calico",
        &["config", "policy", "selector", "topology", "types"],
    ),
    ("bgp", &["types"]),
    ("rib", &["bgp::wire", "types"]),
    ("speaker", &["bgp", "rib", "types"]),
    ("fib", &["types"]),
    ("api", &["candidates", "cases", "facts", "policy", "types"]),
    ("wasm", &["candidates", "facts", "policy", "types"]),
    ("files", &[]),
    (
        "source",
        &[
            "config",
            "files",
            "types",
            "wasm::Inspection",
            "wasm::MODULE_BYTES_MAX",
            "wasm::ModuleKind",
            "wasm::builtin_bytes",
            "wasm::calico_filter_bytes",
        ],
    ),
    ("kube", &["calico", "config", "facts", "files", "types"]),
    (
        "agent",
        &[
            "api",
            "calico",
            "topology",
            "candidates",
            "cases",
            "config",
            "facts",
            "fib",
            "files",
            "kube",
            "policy",
            "source",
            "speaker",
            "types",
            "wasm",
            "bgp",
            "rib",
        ],
    ),
    (
        "cli",
        &[
            "agent",
            "api",
            "calico",
            "candidates",
            "cases",
            "config",
            "facts",
            "files",
            "kube::LOG_DIRECTIVES",
            "policy",
            "source",
            "types",
            "wasm",
        ],
    ),
];

/// The modules that build without the feature `daemon`.
const CORE: &[&str] = &[
    "types",
    "facts",
    "selector",
    "topology",
    "candidates",
    "policy",
    "cases",
    "config",
    "calico",
    "bgp",
    "rib",
    "speaker",
    "fib",
    "api",
];

/// Crates that the core has no use for.
const FORBIDDEN_CRATES: &[&str] = &["tokio", "wasmtime", "kube", "k8s_openapi", "rtnetlink"];

/// What else it has no use for.
const FORBIDDEN_NAMES: &[&str] = &[
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "Instant::now",
    "SystemTime",
    "RandomState",
    "println!",
];

const LINES_MAX: usize = 800;
const MAIN_LINES_MAX: usize = 60;

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// `policy` for `policy.rs` and for everything under `policy/`.
fn module_of(path: &Path) -> String {
    let first = path
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn is_within(path: &str, allowed: &str) -> bool {
    path == allowed
        || path
            .strip_prefix(allowed)
            .is_some_and(|rest| rest.starts_with("::"))
}

/// Whether one of these words, of which each is a path, is part of the path.
fn contains(path: &[String], word: &str) -> bool {
    let word: Vec<_> = word.split("::").collect();
    path.windows(word.len()).any(|part| part == word)
}

/// What files do that their modules may not. Files of modules for tests do what they like.
fn violations(sources: &[(PathBuf, String)]) -> Vec<String> {
    let parse = |(path, text): &(PathBuf, String)| match Source::parse(path, text) {
        Ok(source) => (path.clone(), source),
        Err(error) => panic!("src/{}: {error}", path.display()),
    };
    let sources: Vec<_> = sources.iter().map(parse).collect();
    let of_tests: BTreeSet<_> = sources
        .iter()
        .flat_map(|(_, source)| source.test_modules.iter().map(PathBuf::as_path))
        .collect();
    let is_test = |path: &Path| {
        let module = path.with_extension("");
        module.ancestors().any(|part| of_tests.contains(part))
    };
    sources
        .iter()
        .filter(|(path, _)| !is_test(path))
        .flat_map(|(path, source)| violations_in(path, source))
        .collect()
}

fn violations_in(path: &Path, source: &Source) -> Vec<String> {
    let module = module_of(path);
    if module == "lib" || module == "main" {
        return Vec::new();
    }
    let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == module) else {
        return vec![format!(
            "{}: no rule says what `{module}` may use",
            path.display()
        )];
    };
    let mut found = Vec::new();
    for mention in &source.mentions {
        let place = format!("src/{}:{}", path.display(), mention.line);
        if let Some(("crate", used)) = mention.path.join("::").split_once("::") {
            let own = is_within(used, &module);
            if !own && !allowed.iter().any(|allowed| is_within(used, allowed)) {
                found.push(format!("{place}: `{module}` may not use `crate::{used}`"));
            }
        }
        if CORE.contains(&module.as_str()) {
            let is_crate = |word: &&&str| mention.path[0] == **word;
            let crates = FORBIDDEN_CRATES.iter().filter(is_crate);
            let names = FORBIDDEN_NAMES.iter();
            let names = names.filter(|word| contains(&mention.path, word));
            for forbidden in crates.chain(names) {
                found.push(format!("{place}: the core has no `{forbidden}`"));
            }
        }
    }
    found
}

#[test]
fn every_module_uses_only_what_it_may() {
    let found = violations(&sources());
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_module_is_there() {
    let sources = sources();
    for (module, _) in MODULES {
        assert!(
            sources.iter().any(|(path, _)| module_of(path) == *module),
            "the rules name `{module}`, which src/ has not"
        );
    }
}

#[test]
fn no_file_outgrows_its_reader() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        let most = if path == Path::new("main.rs") {
            MAIN_LINES_MAX
        } else {
            LINES_MAX
        };
        assert!(
            lines <= most,
            "src/{} has {lines} lines, more than {most}",
            path.display()
        );
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in sources() {
        assert!(
            text.starts_with("//!"),
            "src/{} does not open with `//!`",
            path.display()
        );
    }
}

fn caught(path: &str, text: &str) -> Vec<String> {
    violations(&[(path.into(), text.into())])
}

#[test]
fn the_rules_catch_what_they_forbid() {
    assert_eq!(
        caught("bgp/peer.rs", "use crate::policy::Verdict;"),
        ["src/bgp/peer.rs:1: `bgp` may not use `crate::policy::Verdict`"]
    );
    assert_eq!(
        caught("rib.rs", "\nuse crate::{bgp::peer, types};"),
        ["src/rib.rs:2: `rib` may not use `crate::bgp::peer`"]
    );
    assert_eq!(
        caught("rib/loc_rib.rs", "use super::super::policy;"),
        ["src/rib/loc_rib.rs:1: `rib` may not use `crate::policy`"]
    );
    assert_eq!(
        caught("speaker/export.rs", "fn now() { Instant::now() }"),
        ["src/speaker/export.rs:1: the core has no `Instant::now`"]
    );
    assert_eq!(
        caught("rib.rs", "use kube::Client;"),
        ["src/rib.rs:1: the core has no `kube`"]
    );
    assert_eq!(
        caught("novel.rs", ""),
        ["novel.rs: no rule says what `novel` may use"]
    );
    assert_eq!(caught("kube/watch.rs", "use crate::agent::clock;").len(), 1);
    assert_eq!(
        caught("rib.rs", "// crate::agent\nuse crate::bgp::wire::Update;"),
        [""; 0]
    );
}

#[test]
fn an_item_for_tests_may_break_the_rules_and_what_follows_it_may_not() {
    assert_eq!(caught("rib.rs", "#[cfg(test)]\nuse crate::agent;"), [""; 0]);
    assert_eq!(
        caught("rib.rs", "#[cfg(test)]\nuse crate::cli;\nuse crate::agent;"),
        ["src/rib.rs:3: `rib` may not use `crate::agent`"]
    );
    assert_eq!(
        caught(
            "rib.rs",
            "#[cfg(test)]\nmod fixtures {\n}\nuse std::{fmt, fs};"
        ),
        ["src/rib.rs:4: the core has no `std::fs`"]
    );
}

#[test]
fn only_files_that_tests_alone_compile_may_break_the_rules() {
    let caught = |declaration: &str| {
        let parent = (PathBuf::from("rib.rs"), declaration.to_owned());
        let files = ["rib/tests.rs", "rib/tests/deep.rs", "rib/tests/deep/er.rs"];
        let breach = |path| (PathBuf::from(path), "use crate::agent;".to_owned());
        violations(&[&[parent], files.map(breach).as_slice()].concat()).len()
    };
    assert_eq!(caught("#[cfg(test)]\nmod tests;"), 0);
    assert_eq!(caught("mod tests;"), 3);
    assert_eq!(caught("#[cfg(test)]\nmod fixtures;\nmod tests;"), 3);
}
