//! Every test that needs more than one module, in one binary: it links once.
//!
//! Without the feature `daemon` it holds what the core alone can be tested with.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg_attr(
    feature = "daemon",
    expect(clippy::print_stdout, reason = "what a failed test has to say")
)]

#[cfg(feature = "daemon")]
#[path = "../interop/mod.rs"]
mod interop;
#[cfg(feature = "daemon")]
#[path = "../lab/mod.rs"]
mod lab;
#[path = "../sim/mod.rs"]
mod sim;
#[cfg(feature = "daemon")]
#[path = "../support/mod.rs"]
mod support;

mod architecture;
#[cfg(feature = "daemon")]
mod calico_oracle;
#[cfg(feature = "daemon")]
mod demo;
#[cfg(feature = "daemon")]
mod import_policies;
#[cfg(feature = "daemon")]
mod kube_api;
#[cfg(feature = "daemon")]
mod logging;
#[cfg(feature = "daemon")]
mod peers;
#[cfg(feature = "daemon")]
mod policies;
mod properties;
#[cfg(feature = "daemon")]
mod router_id;
#[cfg(feature = "daemon")]
mod servers;
#[cfg(feature = "daemon")]
mod services;
#[cfg(feature = "daemon")]
mod setup;
#[cfg(feature = "daemon")]
mod start;
#[cfg(feature = "daemon")]
mod stopping;
