//! Modules that are dear to compile or to start: each is refused soon and for what it is, and
//! nothing that people compile is.

use std::time::Duration;

use wasmparser::{Parser, Payload};

use super::hostile::{self, Recipe};
use super::{ENGINE, Module};
use crate::agent::clock;
use crate::wasm::encode::componentize;

/// Far below what any of these would take to compile, and far above what it takes to refuse it.
const SOON: Duration = Duration::from_secs(20);

fn refusal(bytes: &[u8]) -> String {
    let start = clock::now();
    let refusal = Module::from_bytes(&ENGINE, "bomb", bytes).unwrap_err();
    let took = clock::now() - start;
    assert!(took < SOON, "{took:?}");
    format!("{:#}", anyhow::Error::from(refusal))
}

fn refusal_of(fields: &str) -> String {
    let bomb = Recipe {
        fields,
        ..Recipe::default()
    };
    refusal(&bomb.build())
}

const TOO_MUCH: &str =
    "module `bomb` does not compile: it has too many functions, types or branches to be compiled";

/// After the recipe's own four functions.
const FUNCTION_TOO_MUCH: &str = "module `bomb` does not compile: its function 4 is too large or \
                                 branches too much to be compiled";

const DESCRIBING: &str = "module `bomb` fails when it is asked to describe itself: the module";

#[test]
fn thousands_of_functions_are_refused() {
    assert_eq!(refusal(&hostile::thousands_of_functions()), TOO_MUCH);
}

#[test]
fn thousands_of_types_are_refused() {
    let types: String = (0..30_000u32)
        .map(|number| {
            let parameters: String = (0..15)
                .map(|bit| [" i32", " i64"][(number >> bit & 1) as usize])
                .collect();
            format!("(type (func (param{parameters})))")
        })
        .collect();
    assert_eq!(refusal_of(&types), TOO_MUCH);
}

#[test]
fn thousands_of_globals_are_refused() {
    let globals = "(global i32 (i32.const 0))".repeat(130_000);
    assert_eq!(refusal_of(&globals), TOO_MUCH);
}

#[test]
fn deep_nesting_is_refused() {
    let nested = |block: &str, depth: usize| {
        let open = format!("{block} local.get 0 br_if 0 ").repeat(depth);
        format!("(func (param i32) {open} {})", "end ".repeat(depth))
    };
    assert_eq!(refusal_of(&nested("block", 50_000)), FUNCTION_TOO_MUCH);
    assert_eq!(refusal_of(&nested("loop", 2_000)), FUNCTION_TOO_MUCH);
    let loads = Recipe {
        fields: &nested("block", 1_000),
        ..Recipe::default()
    };
    Module::from_bytes(&ENGINE, "nested", &loads.build()).unwrap();
}

#[test]
fn many_locals_and_branches_are_refused() {
    let locals = "i32 ".repeat(2_000);
    let branches = "(loop (br_if 0 (i32.const 1)))".repeat(2_000);
    let function = format!("(func (local {locals}) {branches})");
    assert_eq!(refusal_of(&function), FUNCTION_TOO_MUCH);
    let jumps = "(if (i32.const 1) (then (nop)))".repeat(20_000);
    assert_eq!(refusal_of(&format!("(func {jumps})")), FUNCTION_TOO_MUCH);
}

#[test]
fn a_component_cannot_hide_a_bomb_in_a_module_of_its_own() {
    let functions = "(func)".repeat(70_000);
    let component = format!("(component (component (core module {functions})))");
    let bytes = wat::parse_str(component).unwrap();
    assert_eq!(refusal(&bytes), TOO_MUCH);
}

#[test]
fn a_component_that_starts_one_module_again_and_again_is_refused() {
    for (fields, too_many) in [
        ("", "instance count too high"),
        ("(memory 0)", "contains 41 Wasm linear memories"),
    ] {
        Module::from_bytes(&ENGINE, "few", &starting(fields, 10)).unwrap();
        let refused = refusal(&starting(fields, 40));
        assert!(refused.contains(too_many), "{refused}");
    }
}

/// A policy with a component in it that starts a module with these fields so often.
fn starting(fields: &str, times: usize) -> Vec<u8> {
    let module = format!("(core module $m {fields})");
    let instances = "(core instance (instantiate $m))".repeat(times);
    let nested = wat::parse_str(format!("(component {module} {instances})")).unwrap();
    let core = Recipe::default().build();
    let mut policy = componentize(&ENGINE, "bomb", &core).unwrap();
    let index = components_of(&policy);
    section(COMPONENT_SECTION, &nested, &mut policy);
    // One instance: of a component, by its index, with no arguments.
    section(INSTANCE_SECTION, &[1, 0, index, 0], &mut policy);
    policy
}

const COMPONENT_SECTION: u8 = 4;
const INSTANCE_SECTION: u8 = 5;

/// How many components lie directly in a component.
fn components_of(component: &[u8]) -> u8 {
    let (mut depth, mut found) = (0, 0);
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.unwrap();
        if let Payload::ComponentSection { .. } = payload
            && depth == 0
        {
            found += 1;
        }
        if let Payload::ComponentSection { .. } | Payload::ModuleSection { .. } = payload {
            depth += 1;
        } else if let Payload::End(_) = payload {
            depth -= 1;
        }
    }
    found
}

/// Appends a section, its length in LEB128.
fn section(id: u8, contents: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(id);
    let mut length = contents.len();
    while length >= 0x80 {
        bytes.push(0x80 | (length & 0x7f) as u8);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(contents);
}

#[test]
fn a_start_function_without_end_is_refused_after_the_time_limit() {
    let refused = refusal_of("(func $start (loop $again (br $again))) (start $start)");
    assert_eq!(
        refused,
        format!("{DESCRIBING} ran longer than 1s and was stopped")
    );
}

#[test]
fn data_past_the_memory_is_refused() {
    let refused = refusal_of(r#"(data (i32.const 65535) "ab")"#);
    assert_eq!(
        refused,
        format!("{DESCRIBING} trapped: out of bounds memory access")
    );
}

#[test]
fn what_the_engine_does_not_allow_is_refused() {
    for (fields, feature) in [
        ("(tag) (func (throw 0))", "exceptions"),
        ("(memory i64 1)", "memory64"),
        ("(memory 1 1 shared)", "threads"),
    ] {
        let refused = refusal_of(fields);
        assert!(
            refused.starts_with("module `bomb` does not compile: ") && refused.contains(feature),
            "{refused}"
        );
    }
}

#[test]
fn a_description_without_measure_is_refused() {
    // Name, version and summary are the same 100 KB each.
    let long = Recipe {
        fields: r#"(memory $unused 0)
            (data (i32.const 2176) "\00\00\00\00\a0\86\01\00\00\00\00\00\a0\86\01\00\00\00\00\00\a0\86\01\00")
            (func $start (drop (memory.grow 0 (i32.const 2)))) (start $start)"#,
        ..Recipe::default()
    };
    let refused = refusal(&long.build());
    assert!(
        refused.starts_with("module `bomb` fails when it is asked to describe itself: "),
        "{refused}"
    );
    assert!(refused.contains("too much data"), "{refused}");
}
