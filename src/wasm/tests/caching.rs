//! Modules loaded from code that an engine before kept.

use std::fs;

use tempfile::TempDir;

use super::hostile::Recipe;
use super::{evaluate, pod_cidr, policy};
use crate::facts::NodeFacts;
use crate::wasm::{Engine, Limits, Module, ModuleError};

fn engine(directory: &TempDir) -> Engine {
    Engine::new()
        .unwrap()
        .caching(&directory.path().join("code"))
}

fn entries(directory: &TempDir) -> Vec<std::path::PathBuf> {
    fs::read_dir(directory.path().join("code"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn a_module_from_kept_code_decides_as_the_compiled_one() {
    let directory = TempDir::new().unwrap();
    let load = || Module::builtin(&engine(&directory), "default").unwrap();
    let (first, kept) = (load(), load());
    assert_eq!(entries(&directory).len(), 1);
    assert_eq!(first.description(), kept.description());
    let candidates = [pod_cidr("10.1.0.0/24"), pod_cidr("10.2.0.0/24")];
    let decisions = |module| {
        let mut policy = policy(module, Limits::default());
        evaluate(&mut policy, &NodeFacts::default(), &candidates).unwrap()
    };
    assert_eq!(decisions(&first), decisions(&kept));
}

#[test]
fn a_damaged_entry_is_compiled_anew_and_replaced() {
    let directory = TempDir::new().unwrap();
    let load = || Module::builtin(&engine(&directory), "default").unwrap();
    load();
    let entry = entries(&directory).remove(0);
    let whole = fs::read(&entry).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"\0asm\x01\0\0\0"] {
        fs::write(&entry, damaged).unwrap();
        load();
        assert!(fs::read(&entry).unwrap() == whole, "it is whole again");
    }
}

#[test]
fn a_module_that_is_refused_is_refused_from_kept_code_too() {
    let directory = TempDir::new().unwrap();
    let clock = Recipe {
        world: "import wasi:clocks/wall-clock@0.2.0;",
        packages: "package wasi:clocks@0.2.0 { interface wall-clock { now: func() -> u64; } }",
        imports: r#"(import "wasi:clocks/wall-clock@0.2.0" "now" (func (result i64)))"#,
        ..Recipe::default()
    };
    for _ in 0..2 {
        let refusal = Module::from_bytes(&engine(&directory), "bad", &clock.build());
        assert!(matches!(refusal, Err(ModuleError::Import { .. })));
    }
}

#[test]
fn compiled_code_is_no_module() {
    let directory = TempDir::new().unwrap();
    Module::builtin(&engine(&directory), "default").unwrap();
    let entry = fs::read(entries(&directory).remove(0)).unwrap();
    // With and without what the cache puts before it: an ELF file.
    let elf = entry.windows(4).position(|octets| octets == b"\x7fELF");
    for bytes in [&entry[..], &entry[elf.unwrap()..]] {
        let refusal = Module::from_bytes(&engine(&directory), "bad", bytes);
        assert!(matches!(refusal, Err(ModuleError::NotWasm { .. })));
    }
}

#[test]
fn without_its_directory_an_engine_compiles_and_says_why() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("code"), "a file").unwrap();
    let engine = engine(&directory);
    Module::builtin(&engine, "default").unwrap();
    let fault = engine.cache_fault().unwrap();
    assert!(fault.starts_with("compiled code is not kept in"), "{fault}");
}
