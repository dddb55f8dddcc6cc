//! What modules write to the log: where it goes, how much of it, and that nothing depends on it.

use std::sync::{Arc, Mutex};

use super::hostile::{self, Recipe, Way};
use super::{ENGINE, evaluate, pod_cidr, policy};
use crate::facts::NodeFacts;
use crate::policy::{Decision, PolicyFailure, Verdict};
use crate::wasm::log::LINES_MAX;
use crate::wasm::{Engine, Limits, LogLevel, LogSink, Module, ModuleError};

/// Keeps every line.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<(LogLevel, String)>>);

impl LogSink for Kept {
    fn write(&self, module: &str, level: LogLevel, line: &str) {
        assert_eq!(module, "talks");
        self.0.lock().unwrap().push((level, line.to_owned()));
    }
}

/// What the module decides about one pod CIDR, and what it writes meanwhile.
fn decide(
    engine: Engine,
    bytes: &[u8],
) -> (
    Result<Vec<Decision>, PolicyFailure>,
    Vec<(LogLevel, String)>,
) {
    let kept = Arc::new(Kept::default());
    let engine = engine.logging(Arc::<Kept>::clone(&kept));
    let module = Module::from_bytes(&engine, "talks", bytes).unwrap();
    let mut policy = policy(&module, Limits::default());
    let candidates = [pod_cidr("10.0.0.0/24")];
    let decisions = evaluate(&mut policy, &NodeFacts::default(), &candidates);
    let lines = kept.0.lock().unwrap().clone();
    (decisions, lines)
}

fn abstains() -> Result<Vec<Decision>, PolicyFailure> {
    Ok(vec![Decision {
        verdict: Verdict::Abstain,
        reason: None,
    }])
}

#[test]
fn a_line_reaches_the_sink_with_its_level() {
    for (level, expected) in [
        (0, LogLevel::Error),
        (1, LogLevel::Warn),
        (2, LogLevel::Info),
        (3, LogLevel::Debug),
    ] {
        let (decisions, lines) = decide(ENGINE.clone(), &hostile::logs(level, "it talks", 1));
        assert_eq!(decisions, abstains());
        assert_eq!(lines, [(expected, "it talks".to_owned())]);
    }
}

#[test]
fn a_module_decides_alike_where_nobody_reads_what_it_writes() {
    let module = Module::from_bytes(&ENGINE, "talks", &hostile::logs(2, "it talks", 1000));
    let mut policy = policy(&module.unwrap(), Limits::default());
    let candidates = [pod_cidr("10.0.0.0/24")];
    let decisions = evaluate(&mut policy, &NodeFacts::default(), &candidates);
    assert_eq!(decisions, abstains());
}

#[test]
fn of_a_flood_the_first_lines_are_kept_and_the_rest_is_counted() {
    let (decisions, lines) = decide(ENGINE.clone(), &hostile::logs(3, "again", 1000));
    assert_eq!(decisions, abstains());
    assert_eq!(lines.len(), LINES_MAX + 1);
    let (last, first) = lines.split_last().unwrap();
    assert!(first.iter().all(|line| line.1 == "again"));
    let told = "936 more lines of this call were dropped".to_owned();
    assert_eq!(*last, (LogLevel::Warn, told));
}

#[test]
fn a_flood_without_end_is_stopped_as_any_loop() {
    let limits = Limits {
        time: std::time::Duration::from_millis(50),
        ..Limits::default()
    };
    let module = Module::from_bytes(&ENGINE, "talks", &hostile::logs(3, "again", u32::MAX));
    let mut policy = policy(&module.unwrap(), limits);
    let candidates = [pod_cidr("10.0.0.0/24")];
    let decisions = evaluate(&mut policy, &NodeFacts::default(), &candidates);
    assert_eq!(decisions, Err(PolicyFailure::OutOfTime(limits.time)));
}

/// Else a workbench would wait for it for minutes.
#[test]
fn a_line_costs_instructions_where_those_are_counted() {
    let engine = Engine::metered(1_000_000).unwrap();
    let (decisions, lines) = decide(engine, &hostile::logs(3, "again", 100_000));
    let failure = PolicyFailure::OutOfInstructions(1_000_000);
    assert_eq!(decisions, Err(failure));
    let words = &lines.last().unwrap().1;
    let dropped: u64 = words.split(' ').next().unwrap().parse().unwrap();
    assert!(dropped < 2_000, "{words}");
}

#[test]
fn hostile_text_is_made_safe_and_cut() {
    let (decisions, lines) = decide(ENGINE.clone(), &hostile::logs(1, "\u{1b}[2J\nroot: ok", 1));
    assert_eq!(decisions, abstains());
    assert_eq!(lines[0].1, "\\u{1b}[2J\\nroot: ok");
    let (decisions, lines) = decide(ENGINE.clone(), &hostile::logs(1, &"x".repeat(5000), 1));
    assert_eq!(decisions, abstains());
    assert_eq!(lines[0].1, format!("{}…", "x".repeat(1021)));
}

#[test]
fn text_that_is_not_utf8_is_told_and_changes_no_decision() {
    let (decisions, lines) = decide(ENGINE.clone(), &hostile::logs_octets(1, &[0xff; 8], 1));
    assert_eq!(decisions, abstains());
    assert_eq!(lines[0].1, "(a line that is not UTF-8)");
}

#[test]
fn text_outside_of_its_memory_stops_the_module() {
    let (decisions, lines) = decide(ENGINE.clone(), &hostile::logs_out_of_bounds());
    let Err(failure) = decisions else {
        panic!("it answered");
    };
    let words = failure.to_string();
    assert!(words.contains("out of bounds"), "{words}");
    assert_eq!(lines, []);
}

#[test]
fn another_function_beside_the_log_is_refused_by_name() {
    let clock = Recipe {
        world: "import wasi:clocks/wall-clock@0.2.0;",
        packages: "package wasi:clocks@0.2.0 { interface wall-clock { now: func() -> u64; } }",
        imports: r#"(import "rutter:policy/log@1.0.0" "log" (func (param i32 i32 i32)))
            (import "wasi:clocks/wall-clock@0.2.0" "now" (func (result i64)))"#,
        ..Recipe::default()
    };
    let error = Module::from_bytes(&ENGINE, "bad", &clock.build()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "module `bad` imports wasi:clocks/wall-clock@0.2.0, now; a policy may import \
         rutter:policy/log, and nothing else"
    );
}

#[test]
fn another_function_of_the_logs_interface_is_refused_by_name() {
    for import in [
        r#"(import "rutter:policy/log@1.0.0" "erase" (func))"#,
        r#"(import "rutter:policy/log@2.0.0" "log" (func (param i32 i32 i32)))"#,
        r#"(import "rutter:policy/types@1.0.0" "log" (func (param i32 i32 i32)))"#,
    ] {
        let bad = Recipe {
            imports: import,
            ..Recipe::default()
        };
        let error = Module::from_bytes(&ENGINE, "bad", &bad.build()).unwrap_err();
        assert!(matches!(error, ModuleError::Import { .. }), "{error}");
        let quoted: Vec<&str> = import.split('"').collect();
        let named = format!("imports {}, {};", quoted[1], quoted[3]);
        assert!(error.to_string().contains(&named), "{error}");
    }
}

#[test]
fn the_log_with_another_type_is_refused() {
    let bad = Recipe {
        imports: r#"(import "rutter:policy/log@1.0.0" "log" (func (param i32) (result i32)))"#,
        ..Recipe::default()
    };
    let error = Module::from_bytes(&ENGINE, "bad", &bad.build()).unwrap_err();
    assert!(matches!(error, ModuleError::Invalid { .. }), "{error}");
}

#[test]
fn a_component_that_logs_is_taken_as_well() {
    let core = hostile::logs(2, "it talks", 1);
    let component = wit_component::ComponentEncoder::default()
        .module(&core)
        .unwrap()
        .encode()
        .unwrap();
    let (decisions, lines) = decide(ENGINE.clone(), &component);
    assert_eq!(decisions, abstains());
    assert_eq!(lines.len(), 1);
}

#[test]
fn a_component_with_another_idea_of_the_log_is_refused() {
    let bytes = wat::parse_str(
        r#"(component
            (import "rutter:policy/log@1.0.0" (instance
                (export "log" (func (param "text" string)))))
            (import "rutter:policy/types@1.0.0" (instance)))"#,
    )
    .unwrap();
    let error = Module::from_bytes(&ENGINE, "bad", &bytes).unwrap_err();
    assert!(matches!(error, ModuleError::Missing { .. }), "{error}");
}

/// The same of the other two worlds.
#[test]
fn modules_for_learned_routes_may_log_too() {
    let talks = Recipe {
        way: Way::Learn,
        imports: r#"(import "rutter:policy/log@1.0.0" "log" (func (param i32 i32 i32)))"#,
        ..Recipe::default()
    };
    Module::from_bytes(&ENGINE, "talks", &talks.build()).unwrap();
    let talks = Recipe {
        other_way: Some("(unreachable)"),
        ..talks
    };
    Module::from_bytes(&ENGINE, "talks", &talks.build()).unwrap();
}
