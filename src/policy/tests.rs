//! The rules of chains, exports and failure, each by name, against policies in plain Rust.

mod audience;
mod both;
mod chain;
mod failure;
mod fixture;
mod groups;
mod properties;
mod replacement;
mod shadow;
mod spot_check;
