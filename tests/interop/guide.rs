//! The guide in `policies/README.md`, followed word for word: its commands in a shell, one block
//! after the other, against a live agent and a real registry; what it says of other languages than
//! Rust, without either. In place of `kubectl` stands a script that runs what follows `--`, where
//! the agent is the one of the test.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cluster::{FABRIC_ASN, WORKERS, extra};
use super::fabric::{CHANGE_LIMIT, Fabric};
use crate::support::agent::RUTTER;
use crate::support::objects::Readiness;
use crate::support::registry::Registry;
use crate::support::router::RouterKind;
use crate::support::wait::{contains, equal, eventually};

const GUIDE: &str = include_str!("../../policies/README.md");

/// Sections whose commands make a module, and those that need an agent that has it.
const MAKING: [&str; 2] = ["A policy of your own", "Testing the compiled module"];
const USING: [&str; 2] = ["On a node", "Trying a change on what a node has"];

const SHIPPING: &str = "Shipping a policy";

/// Its commands make a module, too: one that decides on learned routes.
const LEARNED: &str = "Learned routes";

/// Sections on other languages, each from nothing to a tested module, once for announced routes and
/// once for learned ones, and what the native test says in the end.
const LANGUAGES: [(&str, &str); 2] = [("In C", "2 passed"), ("In JavaScript", "pass 2")];

/// What `rutter policy test` says in the end about each of the examples.
const TESTED: [&str; 2] = [
    "opt-in 0.1.0: 4 passed, 0 failed",
    "known-prefixes 0.1.0: 5 passed, 0 failed",
];

const KUBECTL: &str = "#!/bin/sh
while [ \"$1\" != -- ]; do shift; done
shift
exec \"$@\"
";

/// The fenced blocks of a language in a section of the guide.
fn blocks(section: &str, language: &str) -> Vec<&'static str> {
    let heading = format!("\n## {section}\n");
    let (_, rest) = GUIDE.split_once(&heading).unwrap();
    let text = rest.split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    let starts = text.split(fence.as_str()).skip(1);
    starts
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

fn script(sections: &[&str]) -> Vec<&'static str> {
    sections
        .iter()
        .flat_map(|section| blocks(section, "sh"))
        .collect()
}

/// A reader at a shell: a directory of their own, and `rutter` and `kubectl` on the path.
struct Reader {
    folder: PathBuf,
    socket: PathBuf,
}

impl Reader {
    fn new(folder: &str, socket: PathBuf) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("bin")).unwrap();
        symlink(RUTTER, folder.join("bin/rutter")).unwrap();
        let kubectl = folder.join("bin/kubectl");
        fs::write(&kubectl, KUBECTL).unwrap();
        fs::set_permissions(&kubectl, Permissions::from_mode(0o755)).unwrap();
        Self { folder, socket }
    }

    /// Types a block; returns what the terminal shows.
    fn types(&self, directory: &str, block: &str) -> String {
        self.types_into(Command::new("sh"), directory, block)
    }

    /// Types blocks of which the first starts a policy in Rust, and the others build and test it.
    fn makes_a_crate(&self, name: &str, blocks: &[&str]) -> String {
        let [new, rest @ ..] = blocks else {
            panic!("the guide has no commands");
        };
        self.types("", new);
        let policy = self.folder.join(name);
        // Today's versions of crates must not decide whether a test passes.
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
        fs::copy(lock, policy.join("Cargo.lock")).unwrap();
        // What all policies depend on is compiled for the first of them.
        let target = self.folder.join("target");
        fs::create_dir_all(&target).unwrap();
        symlink(target, policy.join("target")).unwrap();
        rest.iter().map(|block| self.types(name, block)).collect()
    }

    fn types_into(&self, mut shell: Command, directory: &str, block: &str) -> String {
        let mut path = OsString::from(self.folder.join("bin"));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        // What cargo tells this test about itself is not for the reader's cargo.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO") && name != "CARGO_HOME" {
                shell.env_remove(&*name);
            }
        }
        let output = shell
            .args(["-euc", block])
            .current_dir(self.folder.join(directory))
            .env("PATH", path)
            .env("RUTTER_SOCKET", &self.socket)
            .output()
            .unwrap();
        let told = [&*output.stdout, &*output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(output.status.success(), "{block}\n{told}");
        told
    }
}

#[test]
fn the_guide_can_be_followed_word_for_word() {
    let mut fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
    for object in extra("web", 1, WORKERS[0], Readiness::Ready) {
        fabric.manifests.apply(&object);
    }
    let agent = &fabric.agents[0];
    let reader = Reader::new("guide", agent.socket());

    let [announced, learned] = TESTED;
    let told = reader.makes_a_crate("opt-in", &script(&MAKING));
    contains(&told, "test result: ok. 1 passed").unwrap();
    contains(&told, announced).unwrap();
    let told = reader.makes_a_crate("known-prefixes", &script(&[LEARNED]));
    contains(&told, "test result: ok. 2 passed").unwrap();
    contains(&told, learned).unwrap();

    // The node has no Service with the label, and most routes are theirs.
    fabric.config.guard = "\"100%\"";
    let module = reader.folder.join("opt-in/opt-in.wasm");
    let [policies] = &*blocks("On a node", "toml") else {
        panic!("the guide has not one configuration");
    };
    assert!(policies.contains("\"/etc/rutter/opt-in.wasm\""));
    fabric.config.policies = policies.replace("/etc/rutter/opt-in.wasm", module.to_str().unwrap());
    agent.configure(&fabric.config);
    eventually(CHANGE_LIMIT, || {
        let links = agent.status()?.policies.into_iter();
        equal(
            links.map(|link| link.name).collect(),
            vec!["opt-in".to_owned(), "default".to_owned()],
        )
    });

    let told: String = script(&USING)
        .iter()
        .map(|block| reader.types("opt-in", block))
        .collect();
    contains(&told, "shop/web is not labelled announce=true").unwrap();
    let recorded = fs::read_to_string(reader.folder.join("opt-in/live.toml")).unwrap();
    contains(&recorded, "name = \"shop/web\"").unwrap();

    // Nothing but the registry's name is another.
    let host = &fabric.nodes[0].host;
    let registry = Registry::plain(host);
    for block in blocks(SHIPPING, "sh") {
        let block = block.replace("oci://registry.example/", &registry.reference(""));
        let told = reader.types_into(host.command("sh"), "opt-in", &block);
        contains(&told, "/policies/opt-in:1.0@sha256:").unwrap();
    }
}

#[test]
fn the_guide_can_be_followed_in_other_languages() {
    let reader = Reader::new("guide-languages", "/nonexistent".into());
    for (section, passed) in LANGUAGES {
        let blocks = blocks(section, "sh");
        assert_eq!(blocks.len(), TESTED.len(), "{section}");
        fs::create_dir(reader.folder.join(section)).unwrap();
        for (block, tested) in blocks.iter().zip(TESTED) {
            let told = reader.types(section, block);
            contains(&told, passed).unwrap();
            contains(&told, tested).unwrap();
        }
    }
}

/// Nobody adds a command to the guide that no test runs.
#[test]
fn every_command_of_the_guide_is_in_a_section_that_is_followed() {
    let languages = LANGUAGES.map(|(section, _)| section);
    let sections = [&MAKING[..], &USING, &[SHIPPING, LEARNED], &languages].concat();
    let followed = script(&sections).len();
    assert_eq!(GUIDE.matches("\n```sh\n").count(), followed);
}
