//! Instructions in place of time: what a module may execute is the same in every run.

use super::hostile::{self, Way};
use super::{evaluate, pod_cidr, policy, verdicts};
use crate::facts::NodeFacts;
use crate::policy::{Decision, PolicyFailure, Verdict};
use crate::wasm::{Engine, Limits, Module, ModuleError};

/// What it says of one pod CIDR on an engine of its own.
fn decide(instructions: u64, bytes: &[u8]) -> Result<Vec<Decision>, PolicyFailure> {
    let engine = Engine::metered(instructions).unwrap();
    let module = match Module::from_bytes(&engine, "metered", bytes) {
        Ok(module) => module,
        Err(ModuleError::Failed { failure, .. }) => return Err(failure),
        Err(other) => panic!("{other}"),
    };
    let mut policy = policy(&module, Limits::DEFAULT);
    evaluate(
        &mut policy,
        &NodeFacts::default(),
        &[pod_cidr("10.0.0.0/24")],
    )
}

#[test]
fn an_endless_loop_is_stopped_after_so_many_instructions() {
    let failure = decide(1_000_000, &hostile::endless_loop(0)).unwrap_err();
    assert_eq!(failure, PolicyFailure::OutOfInstructions(1_000_000));
    assert_eq!(
        failure.to_string(),
        "the module executed more than 1000000 instructions and was stopped"
    );
}

#[test]
fn a_module_that_cannot_even_describe_itself_is_refused() {
    let engine = Engine::metered(1).unwrap();
    let refused = Module::builtin(&engine, "default").unwrap_err();
    assert!(
        matches!(
            refused,
            ModuleError::Failed {
                failure: PolicyFailure::OutOfInstructions(1),
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn the_last_instruction_is_the_same_in_every_run() {
    let module = verdicts::abstains(Way::Announce);
    let enough = |instructions| match decide(instructions, &module) {
        Ok(decisions) => {
            assert_eq!(decisions[0].verdict, Verdict::Abstain);
            true
        }
        Err(failure) => {
            assert_eq!(failure, PolicyFailure::OutOfInstructions(instructions));
            false
        }
    };
    // To describe itself and to check its settings it may take as many, and takes fewer.
    let (mut few, mut enough_for_it) = (1, 10_000);
    assert!(!enough(few) && enough(enough_for_it));
    while enough_for_it - few > 1 {
        let middle = few + (enough_for_it - few) / 2;
        if enough(middle) {
            enough_for_it = middle;
        } else {
            few = middle;
        }
    }
    for _ in 0..3 {
        assert!(!enough(few) && enough(enough_for_it));
    }
}
