//! Compiles the policies that the agent carries to WebAssembly and leaves them where `wasm::builtin`
//! embeds them from;
//! writes the C bindings of the contract, and lists the kits that policies are written with, for
//! `cli::policy::new` to embed.
//!
//! `policies/build` does the work, as it does for anyone's policy. Packagers who have the modules
//! already name them in `RUTTER_DEFAULT_POLICY` and `RUTTER_CALICO_FILTER_POLICY`. Without the
//! feature `daemon` nothing is built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The policies that the agent carries, each with the variable that names it where it is built
/// already.
const BUILTIN: [(&str, &str); 2] = [
    ("default", "RUTTER_DEFAULT_POLICY"),
    ("calico-filter", "RUTTER_CALICO_FILTER_POLICY"),
];

/// Everything that these depend on, besides their own directories.
const SOURCES: [&str; 6] = [
    "Cargo.lock",
    "Cargo.toml",
    "policies/build",
    "policies/sdk",
    "policies/toolchain",
    "wit",
];

/// Worlds of the contract that policies in C are of.
const C_WORLDS: [&str; 2] = ["policy", "import-policy"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_DAEMON").is_none() {
        return;
    }
    let outcome = BUILTIN
        .iter()
        .try_for_each(|(policy, variable)| embed(policy, variable));
    if let Err(message) = outcome.and_then(|()| list_kits()) {
        for line in message.lines() {
            println!("cargo::error={line}");
        }
    }
}

fn embed(policy: &str, variable: &str) -> Result<(), String> {
    let embedded = out_dir().join(format!("{policy}-policy.wasm"));
    println!("cargo::rerun-if-env-changed={variable}");
    match env::var_os(variable) {
        Some(path) => copy(Path::new(&path), variable, &embedded),
        None => compile(policy, variable, &embedded),
    }
}

fn copy(from: &Path, variable: &str, to: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-changed={}", from.display());
    fs::copy(from, to)
        .map(drop)
        .map_err(|error| format!("{variable} names {}: {error}", from.display()))
}

fn compile(policy: &str, variable: &str, to: &Path) -> Result<(), String> {
    let directory = format!("policies/{policy}");
    for source in SOURCES.into_iter().chain([directory.as_str()]) {
        println!("cargo::rerun-if-changed={source}");
    }
    let output = Command::new("policies/build")
        .args(["--locked", "--target-dir"])
        .arg(guest_target_dir())
        .arg(&directory)
        .arg(to)
        .output()
        .map_err(|error| format!("policies/build does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "the policy {policy} was not built ({variable}=FILE.wasm uses a built one)\n{}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Writes the kits' files down for the program to include.
fn list_kits() -> Result<(), String> {
    let contract = files_below(Path::new("wit"))?;
    list(
        "contract.rs",
        "include_bytes",
        named(Path::new(""), contract),
    )?;

    let sdk = Path::new("policies/sdk");
    let mut files = vec![sdk.join("Cargo.toml")];
    files.extend(files_below(&sdk.join("src"))?);
    list("rust-kit.rs", "include_str", named(sdk, files))?;

    let kit = Path::new("policies/c/kit");
    list("c-kit.rs", "include_bytes", named(kit, files_below(kit)?))?;
    for world in C_WORLDS {
        let bindings = out_dir().join("c-bindings").join(world);
        rutter_c_bindings::write(Path::new("wit"), world, &bindings)
            .map_err(|error| format!("the C bindings were not written: {error:#}"))?;
        let files = named(&bindings, files_below(&bindings)?);
        list(&format!("c-{world}.rs"), "include_bytes", files)?;
    }
    Ok(())
}

/// Files with their paths in a kit, which has this directory's.
fn named(directory: &Path, files: Vec<PathBuf>) -> Vec<(PathBuf, PathBuf)> {
    let name = |file: PathBuf| {
        (
            file.strip_prefix(directory).unwrap_or(&file).to_owned(),
            file,
        )
    };
    files.into_iter().map(name).collect()
}

/// Writes files down as Rust: pairs of the path in the kit and what is in it.
fn list(to: &str, include: &str, mut files: Vec<(PathBuf, PathBuf)>) -> Result<(), String> {
    files.sort();
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts");
    let entry = |(at, from): &(PathBuf, PathBuf)| {
        let from = Path::new(&root).join(from);
        format!("({at:?}, {include}!({from:?})),\n")
    };
    let list: String = files.iter().map(entry).collect();
    let to = out_dir().join(to);
    fs::write(&to, format!("&[\n{list}]\n")).map_err(|error| format!("{}: {error}", to.display()))
}

/// The files of a directory and of those in it.
fn files_below(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let (mut files, directories) = entries(directory)?;
    for directory in directories {
        files.extend(files_below(&directory)?);
    }
    Ok(files)
}

/// The files in a directory, and the directories. A change of either runs this program again.
fn entries(directory: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), String> {
    println!("cargo::rerun-if-changed={}", directory.display());
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| format!("{}: {error}", directory.display()))?;
    let paths = entries.iter().map(fs::DirEntry::path);
    Ok(paths.partition(|path| path.is_file()))
}

/// One directory for all profiles and for clippy, so that the guest and its standard library are
/// compiled once: beside the outer target's profiles. Cargo locks it against parallel builds.
fn guest_target_dir() -> PathBuf {
    let out_dir = out_dir();
    out_dir
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").exists())
        .unwrap_or(&out_dir)
        .join("guest")
}

fn out_dir() -> PathBuf {
    env::var_os("OUT_DIR")
        .expect("cargo sets OUT_DIR for build scripts")
        .into()
}
