//! What a policy in C includes and links: the contract's types and functions as a header, their
//! glue, and an object with the component type, all from `wit/`.
//!
//! The agent's `build.rs` embeds it for `rutter policy new`; `policies/build-c` runs the program of
//! this crate for the policies of this checkout. It never looks at a policy.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

/// What files and types are called after, whatever the world: the kit is the same for all.
const PREFIX: &str = "policy";

/// Writes the bindings of a world into a directory, which is made if need be: `policy.h`,
/// `bindings.c` and `policy_component_type.o`.
///
/// # Errors
/// The contract is no package of WIT or has no such world, or a file cannot be written.
pub fn write(contract: &Path, world: &str, out: &Path) -> anyhow::Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(contract)
        .with_context(|| format!("{} is no package of WIT", contract.display()))?;
    let id = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    let options = wit_bindgen_c::Opts {
        rename_world: Some(PREFIX.to_owned()),
        ..wit_bindgen_c::Opts::default()
    };
    options.build().generate(&mut resolve, id, &mut files)?;
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    // `policy.c` is what an author calls a policy.
    let glue = format!("{PREFIX}.c");
    for (name, contents) in files.iter() {
        let path = out.join(if name == glue { "bindings.c" } else { name });
        fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
