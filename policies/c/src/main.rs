//! Writes what a policy in C includes and links: the contract's types and functions as a header,
//! their glue, and an object with the component type. `policies/build` runs it.
//!
//! usage: rutter-c-bindings WIT_DIR WORLD OUT_DIR

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [contract, world, out] = arguments.as_slice() else {
        bail!("usage: rutter-c-bindings WIT_DIR WORLD OUT_DIR");
    };
    let world = world.to_str().context("the world's name is not UTF-8")?;
    write(Path::new(contract), world, Path::new(out))
}

fn write(contract: &Path, world: &str, out: &Path) -> anyhow::Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(contract)
        .with_context(|| format!("{} is no package of WIT", contract.display()))?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    for (name, contents) in files.iter() {
        let path = out.join(name);
        fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
