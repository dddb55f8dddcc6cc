//! Every test that needs more than one module, in one binary: it links once.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and says so on its output"
)]

#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod kube_api;
