//! The rules of who may use whom, read off the sources.
//!
//! A module stands on the ones listed beside it and on no others. What the core must not touch
//! is named by its path in the standard library or by its crate.

use std::fs;
use std::path::{Path, PathBuf};

/// Top-level modules, core first, each with the modules it may use beside itself.
const MODULES: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("facts", &["types"]),
    ("candidates", &["facts", "types"]),
    ("policy", &["candidates", "facts", "types"]),
    ("cases", &["candidates", "facts", "policy", "types"]),
    ("config", &["candidates", "policy", "types"]),
    ("bgp", &["types"]),
    ("rib", &["bgp::wire", "types"]),
    ("speaker", &["bgp", "rib", "types"]),
    ("fib", &["types"]),
    ("api", &["candidates", "cases", "facts", "policy", "types"]),
    ("wasm", &["candidates", "facts", "policy", "types"]),
    (
        "source",
        &[
            "config",
            "types",
            "wasm::Inspection",
            "wasm::MODULE_BYTES_MAX",
            "wasm::ModuleKind",
            "wasm::builtin_bytes",
        ],
    ),
    ("kube", &["config", "facts", "types"]),
    (
        "agent",
        &[
            "api",
            "candidates",
            "cases",
            "config",
            "facts",
            "fib",
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
            "candidates",
            "cases",
            "config",
            "facts",
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
    "candidates",
    "policy",
    "cases",
    "config",
    "bgp",
    "rib",
    "speaker",
    "fib",
    "api",
];

/// What the core has no use for.
const FORBIDDEN_IN_CORE: &[&str] = &[
    "tokio",
    "wasmtime",
    "::kube",
    "k8s_openapi",
    "netlink",
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

fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_start()))
        .filter(|(_, line)| !line.starts_with("//"))
}

/// Every path after `crate::` in a line, braces of one level opened: `crate::{a, b::c}` gives both.
fn crate_paths(line: &str) -> Vec<String> {
    let path_end = |text: &str| {
        text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(text.len())
    };
    line.match_indices("crate::")
        .flat_map(|(at, found)| {
            let rest = &line[at + found.len()..];
            match rest.strip_prefix('{') {
                Some(list) => list
                    .split('}')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .map(|part| part.trim().to_owned())
                    .filter(|part| !part.is_empty())
                    .collect(),
                None => vec![rest[..path_end(rest)].to_owned()],
            }
        })
        .collect()
}

fn is_within(path: &str, allowed: &str) -> bool {
    path == allowed
        || path
            .strip_prefix(allowed)
            .is_some_and(|rest| rest.starts_with("::"))
}

/// What a file does that its module may not.
fn violations(path: &Path, text: &str) -> Vec<String> {
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
    let place = |line: usize| format!("src/{}:{line}", path.display());
    let is_test = path.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        name.trim_end_matches(".rs").ends_with("tests")
    });
    let tests_start = text
        .find("#[cfg(test)]")
        .map_or(usize::MAX, |at| text[..at].lines().count());
    let mut found = Vec::new();
    for (number, line) in code_lines(text) {
        if is_test || number > tests_start {
            break;
        }
        for used in crate_paths(line) {
            let own = is_within(&used, &module);
            if !own && !allowed.iter().any(|allowed| is_within(&used, allowed)) {
                found.push(format!(
                    "{}: `{module}` may not use `crate::{used}`",
                    place(number)
                ));
            }
        }
        if CORE.contains(&module.as_str()) {
            for forbidden in FORBIDDEN_IN_CORE.iter().filter(|word| line.contains(*word)) {
                found.push(format!("{}: the core has no `{forbidden}`", place(number)));
            }
        }
    }
    found
}

#[test]
fn every_module_uses_only_what_it_may() {
    let found: Vec<_> = sources()
        .iter()
        .flat_map(|(path, text)| violations(path, text))
        .collect();
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

#[test]
fn the_rules_catch_what_they_forbid() {
    let caught = |path: &str, text: &str| violations(Path::new(path), text);
    assert_eq!(
        caught("bgp/peer.rs", "use crate::policy::Verdict;"),
        ["src/bgp/peer.rs:1: `bgp` may not use `crate::policy::Verdict`"]
    );
    assert_eq!(
        caught("rib.rs", "\nuse crate::{bgp::peer, types};"),
        ["src/rib.rs:2: `rib` may not use `crate::bgp::peer`"]
    );
    assert_eq!(
        caught("speaker/export.rs", "let now = Instant::now();"),
        ["src/speaker/export.rs:1: the core has no `Instant::now`"]
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
    assert_eq!(caught("rib.rs", "#[cfg(test)]\nuse crate::agent;"), [""; 0]);
}
