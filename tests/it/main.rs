//! The one integration test binary.

#[path = "../sim/mod.rs"]
mod sim;
