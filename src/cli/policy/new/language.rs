//! The languages that a policy can be started in: the files that [`new`](super) writes for each.

use clap::ValueEnum;

use super::example::{Example, Templates};
use super::kit;

/// What a policy is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// A crate
    #[default]
    Rust,
    /// Without a C library; the smallest modules
    C,
    /// Packed with an engine of 1.6 MB, which every module then carries
    Js,
}

/// A file's path in the policy's directory, and what is in it.
pub(super) type File = (String, Vec<u8>);

const RUST: &Templates = &[
    (".gitignore", include_str!("rust/gitignore")),
    ("Cargo.toml", include_str!("rust/manifest.toml")),
    ("README.md", include_str!("rust/README.md")),
];

const C: &Templates = &[
    (".gitignore", include_str!("c/gitignore")),
    ("README.md", include_str!("c/README.md")),
];

const JS: &Templates = &[
    (".gitignore", include_str!("js/gitignore")),
    ("README.md", include_str!("js/README.md")),
    ("package.json", include_str!("js/package.json")),
];

impl Language {
    /// All files of a new policy of this name.
    pub(super) fn files(self, name: &str, example: &Example) -> Vec<File> {
        let filled = |text: &str| {
            text.replace("ABOUT", example.about.trim_end())
                .replace("CONFIGURATION", example.configuration.trim_end())
                .replace("WORLD", example.world.name())
                .replace("RUST_VERSION", env!("CARGO_PKG_RUST_VERSION"))
                .replace("NAME", name)
                .into_bytes()
        };
        let (templates, sources, more) = match self {
            Self::Rust => (RUST, example.rust, within_kit(kit::rust())),
            Self::C => (C, example.c, within_kit(kit::c(example.world))),
            Self::Js => {
                let mut files = within_kit(kit::contract());
                files.push(("package-lock.json".to_owned(), lock_file(name).into_bytes()));
                (JS, example.js, files)
            }
        };
        let own = templates.iter().chain(sources);
        let own = own.map(|&(path, text)| (path.to_owned(), filled(text)));
        let cases = [("toml", example.cases), ("snap", example.snapshot)];
        let cases = cases.map(|(kind, text)| (format!("cases/{name}.{kind}"), text.into()));
        own.chain(cases).chain(more).collect()
    }

    /// The command that tests a new policy without compiling it to WebAssembly.
    pub(super) fn native_test(self) -> &'static str {
        match self {
            Self::Rust => "cargo test",
            Self::C => "sh rutter-policy/test",
            Self::Js => "node --test",
        }
    }
}

fn within_kit(files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Vec<File> {
    let files = files.into_iter();
    let files = files.map(|(path, contents)| (format!("rutter-policy/{path}"), contents));
    files.collect()
}

/// The packer's versions and checksums, as the policy in JavaScript that comes with Rutter has
/// them.
fn lock_file(name: &str) -> String {
    LOCK_EDITS
        .iter()
        .fold(LOCK.to_owned(), |text, (from, to)| text.replace(from, to))
        .replace("NAME", name)
}

const LOCK: &str = include_str!("../../../../policies/name-rules/package-lock.json");

/// What is about that policy in it, and what stands in its place.
const LOCK_EDITS: [(&str, &str); 2] = [
    ("\"name\": \"name-rules\"", "\"name\": \"NAME\""),
    (
        OWN_LICENSE,
        "\"version\": \"0.1.0\",\n      \"devDependencies\"",
    ),
];

const OWN_LICENSE: &str = "\"version\": \"0.1.0\",
      \"license\": \"Apache-2.0\",
      \"devDependencies\"";

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Example, LOCK, LOCK_EDITS, Language, lock_file};

    fn package(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn file(language: Language, path: &str) -> String {
        let files = language.files("opt-in", &Example::ANNOUNCED);
        let (_, contents) = files.into_iter().find(|(file, _)| file == path).unwrap();
        String::from_utf8(contents).unwrap()
    }

    #[test]
    fn every_edit_finds_its_text() {
        for (from, _) in LOCK_EDITS {
            assert!(LOCK.contains(from), "{from}");
        }
    }

    /// npm takes a lock file for its own only if it says the same as the package.
    #[test]
    fn the_lock_file_is_of_the_package() {
        let package = package(&file(Language::Js, "package.json"));
        let lock: Value = serde_json::from_str(&lock_file("opt-in")).unwrap();
        let locked = &lock["packages"][""];
        for key in ["name", "version", "license", "devDependencies", "engines"] {
            assert_eq!(package.get(key), locked.get(key), "{key}");
        }
        assert_eq!(lock["name"], "opt-in");
    }

    #[test]
    fn a_new_policy_is_packed_as_those_that_come_with_rutter() {
        let new = package(&file(Language::Js, "package.json"));
        let ours = package(include_str!("../../../../policies/name-rules/package.json"));
        for key in ["type", "main", "engines", "scripts", "devDependencies"] {
            assert_eq!(new[key], ours[key], "{key}");
        }
    }

    #[test]
    fn the_kit_in_c_has_what_the_linker_is_given() {
        for example in [Example::ANNOUNCED, Example::LEARNED] {
            let files = Language::C.files("opt-in", &example);
            let contents = |path: &str| {
                let (_, contents) = files.iter().find(|(file, _)| file == path)?;
                Some(contents)
            };
            for path in [
                "rutter-policy/bindings.c",
                "rutter-policy/include/stdlib.h",
                "rutter-policy/memory.c",
                "rutter-policy/policy.h",
                "rutter-policy/wit/policy.wit",
            ] {
                assert!(contents(path).is_some(), "{path}");
            }
            let object = contents("rutter-policy/policy_component_type.o");
            assert!(object.unwrap().starts_with(b"\0asm"));
        }
    }
}
