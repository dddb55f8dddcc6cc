//! The rules of chains, exports and failure, each by name, against policies in plain Rust.

mod chain;
mod failure;
mod fixture;
mod properties;
mod replacement;
mod spot_check;
