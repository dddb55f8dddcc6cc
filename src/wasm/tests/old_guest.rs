//! Modules that were compiled in the past, kept as the bytes they were: whatever becomes of the
//! kit and of the contract's text, an agent must run what operators have built.

use std::sync::LazyLock;

use super::{ENGINE, Module, default_policy};

/// See `tests/fixtures/README.md` for what it was built from.
static POLICY_0_1: LazyLock<Module> = LazyLock::new(|| {
    let bytes = include_bytes!("../../../tests/fixtures/default-policy-0.1.wasm");
    Module::from_bytes(&ENGINE, "old", bytes).unwrap()
});

#[test]
fn a_guest_of_contract_0_1_describes_itself() {
    let description = POLICY_0_1.description();
    assert_eq!(description.name, "default");
    assert_eq!(description.version, "0.1.0");
}

#[test]
fn a_guest_of_contract_0_1_decides_as_it_did() {
    default_policy::check_every_case(&POLICY_0_1);
}
