//! Modules that load and then fail: each gives its own failure, and the next module works.

use std::time::Duration;

use serde_json::json;

use super::hostile::{self, Recipe};
use super::{BUILTIN, ENGINE, evaluate, pod_cidr, policy};
use crate::facts::NodeFacts;
use crate::policy::{Decision, PolicyFailure, SpotChecked, Verdict};
use crate::wasm::{Limits, Module, ModuleError, WasmPolicy};

/// Little memory, and time enough where time is not the point.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    memory_bytes: 4 << 20,
    ..Limits::DEFAULT
};

/// What the module makes of one candidate; afterwards the default policy must still work.
fn decide(bytes: &[u8]) -> Result<Vec<Decision>, PolicyFailure> {
    decide_within(LIMITS, bytes)
}

fn decide_within(limits: Limits, bytes: &[u8]) -> Result<Vec<Decision>, PolicyFailure> {
    let module = Module::from_bytes(&ENGINE, "hostile", bytes).unwrap();
    let mut hostile = policy(&module, limits);
    let candidates = [pod_cidr("10.0.0.0/24")];
    let first = evaluate(&mut hostile, &NodeFacts::default(), &candidates);
    let again = evaluate(&mut hostile, &NodeFacts::default(), &candidates);
    assert_eq!(first, again, "a call leaves something behind");
    let mut default = policy(&BUILTIN, Limits::default());
    assert!(evaluate(&mut default, &NodeFacts::default(), &candidates).is_ok());
    first
}

#[test]
fn an_endless_loop_is_stopped() {
    let limits = Limits {
        time: Duration::from_millis(50),
        ..LIMITS
    };
    assert_eq!(
        decide_within(limits, &hostile::endless_loop(0)),
        Err(PolicyFailure::OutOfTime(limits.time))
    );
}

#[test]
fn allocating_without_end_is_bounded() {
    assert_eq!(
        decide(&hostile::allocates_without_end()),
        Err(PolicyFailure::OutOfMemory(4 << 20))
    );
}

#[test]
fn memory_is_counted_over_all_memories_of_a_module() {
    // 4 MiB are 64 pages: one is the recipe's own, one more it takes for the settings.
    let load = |pages: &str| {
        let two = Recipe {
            fields: &format!("(memory $other {pages})"),
            ..Recipe::default()
        };
        let module = Module::from_bytes(&ENGINE, "two", &two.build()).unwrap();
        WasmPolicy::new(&module, &json!({}), LIMITS).map(drop)
    };
    assert!(load("62").is_ok());
    let error = load("63").unwrap_err();
    assert!(
        matches!(
            error,
            ModuleError::Failed {
                failure: PolicyFailure::OutOfMemory(0x40_0000),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn tables_are_counted_as_memory() {
    // An entry takes 8 octets, so that 4 MiB are 524,288 less what the recipe's memory takes.
    let grows = |tables: u32, entries: u32| {
        let growing: String = (0..tables)
            .map(|table| {
                format!(
                    "(if (i32.eq (i32.const -1)
                        (table.grow {table} (ref.null func) (i32.const {entries})))
                        (then (unreachable)))"
                )
            })
            .collect();
        let recipe = Recipe {
            fields: &"(table 0 funcref)".repeat(tables as usize),
            evaluate: &format!("{growing} (i32.const 1024)"),
            ..Recipe::default()
        };
        decide(&recipe.build())
    };
    let too_few = |answer| matches!(answer, Err(PolicyFailure::BadAnswer(_)));
    assert!(too_few(grows(1, 490_000)));
    assert_eq!(grows(1, 530_000), Err(PolicyFailure::OutOfMemory(4 << 20)));
    assert!(too_few(grows(10, 49_000)));
    assert_eq!(grows(10, 53_000), Err(PolicyFailure::OutOfMemory(4 << 20)));
}

#[test]
fn a_trap_is_told_in_its_own_words() {
    assert_eq!(
        decide(&hostile::traps()),
        Err(PolicyFailure::Trap(
            "wasm `unreachable` instruction executed".into()
        ))
    );
}

#[test]
fn a_module_that_traps_on_a_mark_decides_where_there_is_none() {
    let module = Module::from_bytes(&ENGINE, "hostile", &hostile::traps_on(b"poison!!")).unwrap();
    let mut picky = policy(&module, LIMITS);
    let mut asked = |label: &str| {
        let node = NodeFacts {
            labels: [("label".into(), label.into())].into(),
            ..NodeFacts::default()
        };
        let answer = evaluate(&mut picky, &node, &[pod_cidr("10.0.0.0/24")]);
        answer.map(|decisions| decisions[0].verdict.clone())
    };
    assert_eq!(asked("poison"), Ok(Verdict::Accept(None)));
    assert_eq!(
        asked("a poison!! of a kind"),
        Err(PolicyFailure::Trap(
            "wasm `unreachable` instruction executed".into()
        ))
    );
    assert_eq!(asked("none"), Ok(Verdict::Accept(None)));
}

#[test]
fn recursion_without_end_is_a_trap() {
    assert_eq!(
        decide(&hostile::recursion()),
        Err(PolicyFailure::Trap("call stack exhausted".into()))
    );
}

#[test]
fn too_few_decisions_are_no_answer() {
    assert_eq!(
        decide(&hostile::too_few_decisions()),
        Err(PolicyFailure::BadAnswer(
            "0 decisions about 1 candidates".into()
        ))
    );
}

#[test]
fn too_many_decisions_are_no_answer() {
    assert_eq!(
        decide(&hostile::too_many_decisions()),
        Err(PolicyFailure::BadAnswer(
            "2 decisions about 1 candidates".into()
        ))
    );
}

#[test]
fn exactly_the_memory_that_is_allowed_may_be_taken() {
    let abstains = Decision {
        verdict: Verdict::Abstain,
        reason: None,
    };
    assert_eq!(decide(&hostile::takes_memory(64)), Ok(vec![abstains]));
    assert_eq!(
        decide(&hostile::takes_memory(65)),
        Err(PolicyFailure::OutOfMemory(4 << 20))
    );
}

#[test]
fn a_module_that_contradicts_itself_is_caught_when_it_is_asked_again() {
    let bytes = hostile::contradicts_itself();
    let module = Module::from_bytes(&ENGINE, "hostile", &bytes).unwrap();
    let mut checked = SpotChecked::new(policy(&module, LIMITS));
    let candidates = [pod_cidr("10.0.0.0/24"), pod_cidr("10.0.1.0/24")];
    assert_eq!(
        evaluate(&mut checked, &NodeFacts::default(), &candidates),
        Err(PolicyFailure::Inconsistent(
            "10.0.1.0/24 towards tor: reject in a batch of 2 routes, accept in a batch of 3 \
             routes"
                .into()
        ))
    );
}

#[test]
fn an_index_that_names_nothing_is_no_answer() {
    assert_eq!(
        decide(&hostile::index_of_nothing()),
        Err(PolicyFailure::BadAnswer(
            "10.0.0.0/24 gets attribute set 7 of 0".into()
        ))
    );
}

#[test]
fn a_decision_of_no_known_kind_is_no_answer() {
    let unknown = hostile::answers(&[0, 3072, 1, 0, 0, 0, 0], &[9, 0, 0, 0, 0]);
    let Err(PolicyFailure::BadAnswer(words)) = decide(&unknown) else {
        panic!("the verdict 9 does not exist");
    };
    assert!(words.contains("discriminant"), "{words}");
}

#[test]
fn a_list_outside_of_its_memory_is_no_answer() {
    let answer = decide(&hostile::list_outside_of_memory());
    assert!(
        matches!(&answer, Err(PolicyFailure::BadAnswer(words)) if words.contains("list pointer/length out of bounds")),
        "{answer:?}"
    );
}

#[test]
fn an_answer_that_repeats_itself_beyond_measure_is_cut_short() {
    let Err(PolicyFailure::BadAnswer(words)) = decide(&hostile::huge_answer()) else {
        panic!("the answer is larger than any may be");
    };
    assert!(words.contains("too much data"), "{words}");
}

#[test]
fn text_that_is_not_utf8_is_no_answer() {
    let Err(PolicyFailure::BadAnswer(words)) = decide(&hostile::text_that_is_not_utf8()) else {
        panic!("the reason is not UTF-8");
    };
    assert!(words.contains("utf-8"), "{words}");
}

#[test]
fn a_module_that_says_why_it_cannot_decide_is_quoted() {
    let refuses = Recipe {
        fields: r#"(data (i32.const 3072) "\01\00\00\00\00\0d\00\00\08\00\00\00")
            (data (i32.const 3328) "no\1bclue!")"#,
        evaluate: "(i32.const 3072)",
        ..Recipe::default()
    };
    assert_eq!(
        decide(&refuses.build()),
        Err(PolicyFailure::Trap("no clue!".into()))
    );
}

#[test]
fn an_answer_larger_than_its_limit_is_unusable() {
    let limits = Limits {
        output_bytes: 64,
        ..LIMITS
    };
    let mut small = policy(&BUILTIN, limits);
    let candidates = [pod_cidr("10.0.0.0/24"), pod_cidr("10.0.1.0/24")];
    let answer = evaluate(&mut small, &NodeFacts::default(), &candidates);
    assert!(
        matches!(&answer, Err(PolicyFailure::BadAnswer(_))),
        "{answer:?}"
    );
}

#[test]
fn exactly_the_answer_that_is_allowed_may_be_given() {
    let candidates = [pod_cidr("10.0.0.0/24"), pod_cidr("10.0.1.0/24")];
    let answer = |output_bytes| {
        let limits = Limits {
            output_bytes,
            ..LIMITS
        };
        evaluate(
            &mut policy(&BUILTIN, limits),
            &NodeFacts::default(),
            &candidates,
        )
    };
    let sizes: Vec<usize> = (0..256).collect();
    let enough = sizes.partition_point(|size| answer(*size).is_err());
    // Two decisions with a reason each, and the table of reasons with one text.
    assert!((64..256).contains(&enough), "{enough} bytes");
    assert_eq!(answer(enough).map(|decisions| decisions.len()), Ok(2));
    assert!(
        matches!(answer(enough - 1), Err(PolicyFailure::BadAnswer(words)) if words.contains("too much data"))
    );
}
