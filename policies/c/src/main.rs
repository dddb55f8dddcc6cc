//! Writes the bindings of a policy in C into a directory. `policies/build-c` runs it.
//!
//! usage: rutter-c-bindings WIT_DIR WORLD OUT_DIR

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, bail};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [contract, world, out] = arguments.as_slice() else {
        bail!("usage: rutter-c-bindings WIT_DIR WORLD OUT_DIR");
    };
    let world = world.to_str().context("the world's name is not UTF-8")?;
    rutter_c_bindings::write(Path::new(contract), world, Path::new(out))
}
