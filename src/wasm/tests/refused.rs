//! Modules that are refused when they are loaded, each with a message that says why.

use wit_component::StringEncoding;

use super::ENGINE;
use super::hostile::{self, Recipe};
use crate::wasm::{MODULE_BYTES_MAX, Module, ModuleError};

fn refusal(bytes: &[u8]) -> ModuleError {
    Module::from_bytes(&ENGINE, "bad", bytes).unwrap_err()
}

#[test]
fn an_import_is_refused_by_name() {
    let clock = Recipe {
        world: "import wasi:clocks/wall-clock@0.2.0;",
        packages: "package wasi:clocks@0.2.0 { interface wall-clock { now: func() -> u64; } }",
        imports: r#"(import "wasi:clocks/wall-clock@0.2.0" "now" (func (result i64)))"#,
        ..Recipe::default()
    };
    let error = refusal(&clock.build());
    assert!(matches!(error, ModuleError::Import { .. }));
    assert_eq!(
        error.to_string(),
        "module `bad` imports wasi:clocks/wall-clock@0.2.0, now; a policy may import \
         rutter:policy/log, and nothing else"
    );
}

#[test]
fn an_import_that_no_component_type_knows_is_refused_by_name() {
    let error = refusal(&hostile::imports_wasi());
    assert!(matches!(error, ModuleError::Import { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "module `bad` imports wasi_snapshot_preview1, fd_write; a policy may import \
         rutter:policy/log, and nothing else"
    );
}

#[test]
fn a_later_version_of_the_contract_is_refused_naming_those_that_are_served() {
    let error = refusal(&hostile::later_version());
    assert!(matches!(error, ModuleError::Version { .. }));
    assert_eq!(
        error.to_string(),
        "module `bad` exports rutter:policy@2.0.0, this agent understands 1.x: build it with the \
         matching kit"
    );
}

#[test]
fn a_compatible_version_of_the_contract_is_taken() {
    for version in ["1.0.7", "1.3.0"] {
        let patched = Recipe {
            version,
            ..Recipe::default()
        };
        let module = Module::from_bytes(&ENGINE, "patched", &patched.build()).unwrap();
        assert_eq!(module.description().name, "hostile");
        assert_eq!(module.description().summary, "Misbehaves.");
    }
}

#[test]
fn a_version_from_before_the_first_is_refused() {
    for version in ["0.1.0", "0.2.0"] {
        let early = Recipe {
            version,
            ..Recipe::default()
        };
        assert_eq!(
            refusal(&early.build()).to_string(),
            format!(
                "module `bad` exports rutter:policy@{version}, this agent understands 1.x: build \
                 it with the matching kit"
            )
        );
    }
}

#[test]
fn a_module_that_is_no_policy_is_told_what_it_lacks() {
    let plain = wat::parse_str("(module (memory 1))").unwrap();
    let error = refusal(&plain);
    assert!(matches!(error, ModuleError::Missing { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "module `bad` does not export rutter:policy/module@1.0.0, as a policy must"
    );
}

#[test]
fn functions_of_other_types_are_refused() {
    let component = wat::parse_str(
        r#"(component
            (core module $m (func (export "f") (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $f (result u32) (canon lift (core func $i "f")))
            (instance $module (export "describe" (func $f))
                (export "validate-settings" (func $f)))
            (instance $announce (export "evaluate" (func $f)))
            (export "rutter:policy/module@1.0.0" (instance $module))
            (export "rutter:policy/announce@1.0.0" (instance $announce)))"#,
    )
    .unwrap();
    let error = refusal(&component);
    assert!(matches!(error, ModuleError::Missing { .. }), "{error}");
}

#[test]
fn a_module_that_traps_on_start_is_refused() {
    let starts = Recipe {
        fields: "(func $start (unreachable)) (start $start)",
        ..Recipe::default()
    };
    let error = refusal(&starts.build());
    assert!(matches!(error, ModuleError::Failed { .. }), "{error}");
}

#[test]
fn a_truncated_module_is_refused_wherever_it_ends() {
    let whole = hostile::traps();
    for length in (4..whole.len()).step_by(whole.len() / 40) {
        let error = refusal(&whole[..length]);
        assert!(
            matches!(
                error,
                ModuleError::Invalid { .. } | ModuleError::Missing { .. }
            ),
            "{length} bytes: {error}"
        );
    }
}

#[test]
fn strings_in_another_encoding_are_refused() {
    let utf16 = Recipe {
        strings: StringEncoding::UTF16,
        ..Recipe::default()
    };
    assert_eq!(
        refusal(&utf16.build()).to_string(),
        "module `bad` does not compile: its strings are not in UTF-8"
    );
}

#[test]
fn a_garbled_module_is_refused_or_loads_and_never_panics() {
    let whole = hostile::traps();
    for position in (8..whole.len()).step_by(7) {
        let mut garbled = whole.clone();
        garbled[position] ^= 0x15;
        // Either is right: a changed byte of a name may change nothing.
        drop(Module::from_bytes(&ENGINE, "garbled", &garbled));
    }
}

#[test]
fn what_is_not_webassembly_is_refused() {
    for bytes in [&b""[..], b"\0as", b"#!/bin/sh\nexit 0\n", b"(module)"] {
        assert!(matches!(refusal(bytes), ModuleError::NotWasm { .. }));
    }
}

#[test]
fn a_module_of_exactly_the_largest_size_is_loaded() {
    let load = |octets| {
        let bytes = hostile::padded(hostile::traps(), octets);
        Module::from_bytes(&ENGINE, "padded", &bytes)
    };
    load(MODULE_BYTES_MAX).unwrap();
    let error = load(MODULE_BYTES_MAX + 1).unwrap_err();
    assert!(matches!(error, ModuleError::TooLarge { .. }), "{error}");
    let zeros = vec![0; MODULE_BYTES_MAX];
    assert!(matches!(refusal(&zeros), ModuleError::NotWasm { .. }));
}
