//! The languages that a policy can be started in: the files that [`new`](super) writes for each.
//!
//! The example is the same rule in all of them, and so are its cases.

use clap::ValueEnum;

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

/// Texts to be filled in, by their paths.
type Templates = [(&'static str, &'static str)];

const RUST: &Templates = &[
    (".gitignore", include_str!("rust/gitignore")),
    ("Cargo.toml", include_str!("rust/manifest.toml")),
    ("README.md", include_str!("rust/README.md")),
    ("src/lib.rs", include_str!("rust/lib.rs")),
];

const C: &Templates = &[
    (".gitignore", include_str!("c/gitignore")),
    ("README.md", include_str!("c/README.md")),
    ("policy.c", include_str!("c/policy.c")),
    ("test/policy_test.c", include_str!("c/test/policy_test.c")),
];

const JS: &Templates = &[
    (".gitignore", include_str!("js/gitignore")),
    ("README.md", include_str!("js/README.md")),
    ("package.json", include_str!("js/package.json")),
    ("src/policy.js", include_str!("js/src/policy.js")),
    (
        "test/policy.test.js",
        include_str!("js/test/policy.test.js"),
    ),
];

const CASES: &str = include_str!("cases.toml");
const SNAPSHOT: &str = include_str!("cases.snap");

impl Language {
    /// All files of a new policy of this name.
    pub(super) fn files(self, name: &str) -> Vec<File> {
        let filled = |text: &str| {
            text.replace("RUST_VERSION", env!("CARGO_PKG_RUST_VERSION"))
                .replace("NAME", name)
                .into_bytes()
        };
        let (templates, more) = match self {
            Self::Rust => (RUST, within_kit(kit::rust())),
            Self::C => (C, within_kit(kit::c())),
            Self::Js => {
                let mut files = within_kit(kit::contract());
                files.push(("package-lock.json".to_owned(), lock_file(name).into_bytes()));
                (JS, files)
            }
        };
        let own = templates.iter();
        let own = own.map(|&(path, text)| (path.to_owned(), filled(text)));
        let cases = [("toml", CASES), ("snap", SNAPSHOT)];
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

    use super::{LOCK, LOCK_EDITS, Language, lock_file};

    fn package(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn file(language: Language, path: &str) -> String {
        let files = language.files("opt-in");
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
        for path in [
            "rutter-policy/bindings.c",
            "rutter-policy/include/stdlib.h",
            "rutter-policy/memory.c",
            "rutter-policy/policy.h",
            "rutter-policy/wit/policy.wit",
        ] {
            file(Language::C, path);
        }
        let mut files = Language::C.files("opt-in").into_iter();
        let object = files.find(|(path, _)| path == "rutter-policy/policy_component_type.o");
        assert!(object.unwrap().1.starts_with(b"\0asm"));
    }
}
