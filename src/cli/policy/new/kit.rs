//! The kits that policies are written with, as this program was built with them: for Rust the
//! sources of `policies/sdk`, made into a crate that needs nothing beside itself; for C those of
//! `policies/c/kit`, and bindings of one world; and with each the contract.
//!
//! [`new`](super) writes one into each new policy, so that a policy needs no checkout of Rutter.

use toml::{Table, Value};

// Every file by its path in the kit; `build.rs` lists them.
const CONTRACT: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/contract.rs"));
const C: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/c-kit.rs"));
const C_POLICY: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/c-policy.rs"));
const C_IMPORT_POLICY: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/c-import-policy.rs"));
const CRATE: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/rust-kit.rs"));

/// What the kit's manifest inherits from.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

const MANIFEST: &str = "Cargo.toml";

/// Texts of the checkout that do not hold in a copy: file, text, what stands in its place.
const EDITS: [(&str, &str, &str); 2] = [
    ("src/bindings.rs", "\"../../wit\"", "\"wit\""),
    ("src/lib.rs", GUIDE, ""),
];

/// The documentation test of a guide that is not in the kit.
const GUIDE: &str = "\
/// Compiles the guide's example.
#[cfg(doctest)]
#[doc = include_str!(\"../../README.md\")]
struct Guide;

";

/// A file of a kit: its path there, and what is in it.
type File = (&'static str, Vec<u8>);

/// The contract, as the kits have it.
pub(super) fn contract() -> impl Iterator<Item = File> {
    owned(CONTRACT)
}

/// What a policy exports: a world of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum World {
    /// It decides on announced routes.
    Policy,
    /// It decides on learned routes.
    ImportPolicy,
}

impl World {
    /// As the contract has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::ImportPolicy => "import-policy",
        }
    }
}

/// The kit for policies in C. Its bindings have the same names in every world, so the kit that a
/// policy has is what makes it one of this world.
pub(super) fn c(world: World) -> impl Iterator<Item = File> {
    let bindings = match world {
        World::Policy => C_POLICY,
        World::ImportPolicy => C_IMPORT_POLICY,
    };
    contract().chain(owned(C)).chain(owned(bindings))
}

/// The kit for policies in Rust.
pub(super) fn rust() -> impl Iterator<Item = File> {
    let files = CRATE.iter().map(|&(path, text)| {
        let text = match path {
            MANIFEST => standalone(&parsed(text), &parsed(WORKSPACE)).to_string(),
            _ => edited(path, text),
        };
        (path, text.into_bytes())
    });
    files.chain(contract())
}

fn owned(files: &'static [(&str, &[u8])]) -> impl Iterator<Item = File> {
    files
        .iter()
        .map(|&(path, contents)| (path, contents.to_vec()))
}

fn edited(path: &str, text: &str) -> String {
    let edits = EDITS.iter().filter(|(file, ..)| *file == path);
    edits.fold(text.to_owned(), |text, (_, from, to)| {
        text.replace(from, to)
    })
}

fn parsed(manifest: &str) -> Table {
    manifest.parse().expect("cargo has read this manifest")
}

/// The manifest with all that it inherits from the workspace written out.
fn standalone(manifest: &Table, workspace: &Table) -> Table {
    let workspace = table(workspace, "workspace");
    let section = |name: &String| {
        let section = table(manifest, name);
        if inherits(section) {
            return workspace[name].clone();
        }
        let entries = section.iter().map(|(key, entry)| {
            let entry = match entry.as_table() {
                Some(own) if inherits(own) => inherited(own, &table(workspace, name)[key]),
                Some(_) | None => entry.clone(),
            };
            (key.clone(), entry)
        });
        Value::Table(entries.collect())
    };
    let sections = manifest.keys().map(|name| (name.clone(), section(name)));
    sections.collect()
}

fn table<'a>(of: &'a Table, name: &str) -> &'a Table {
    let section = of[name].as_table();
    section.expect("a section of a manifest is a table")
}

/// Whether it is `{ workspace = true }`, with or without more.
fn inherits(entry: &Table) -> bool {
    entry.contains_key("workspace")
}

/// What the workspace says, with the features that the entry adds.
fn inherited(entry: &Table, from: &Value) -> Value {
    let Some(Value::Array(more)) = entry.get("features") else {
        return from.clone();
    };
    let mut result = match from.as_table() {
        Some(dependency) => dependency.clone(),
        None => Table::from_iter([("version".to_owned(), from.clone())]),
    };
    let features = result
        .entry("features")
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(features) = features {
        let new = more.iter().filter(|feature| !features.contains(feature));
        let new: Vec<Value> = new.cloned().collect();
        features.extend(new);
    }
    Value::Table(result)
}

#[cfg(test)]
mod tests {
    use super::{CRATE, EDITS, MANIFEST, World, c, rust};

    fn kit(path: &str) -> String {
        let (_, contents) = rust().find(|(file, _)| *file == path).unwrap();
        String::from_utf8(contents).unwrap()
    }

    #[test]
    fn every_edit_finds_its_text() {
        for (path, from, _) in EDITS {
            let (_, text) = CRATE.iter().find(|(file, _)| *file == path).unwrap();
            assert!(text.contains(from), "{path}: {from}");
        }
    }

    #[test]
    fn the_kit_names_nothing_outside_of_itself() {
        let c = [World::Policy, World::ImportPolicy].map(c);
        for (path, contents) in rust().chain(c.into_iter().flatten()) {
            let text = String::from_utf8_lossy(&contents);
            assert!(!text.contains("../"), "{path}");
        }
        let manifest = kit(MANIFEST);
        assert!(!manifest.contains("workspace"), "{manifest}");
    }

    #[test]
    fn the_manifest_has_what_the_workspace_says_written_out() {
        insta::assert_snapshot!(kit(MANIFEST));
    }

    #[test]
    fn the_contract_is_in_the_kit() {
        assert!(kit("wit/policy.wit").contains("package rutter:policy@"));
    }
}
