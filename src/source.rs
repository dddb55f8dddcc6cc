//! Where the bytes of a policy module come from, and whether they are the right ones.
//!
//! The agent and `rutter policy` ask it for what a configuration's `module` names. It hands out
//! bytes only after everything that was demanded of them has been checked, whichever way they
//! came; whether they are a policy is for `wasm` to judge. It keeps no state of its own and
//! decides nothing about what runs.

mod error;
mod local;

pub use error::SourceError;

use std::path::Path;

use sha2::Digest as _;

use crate::config::{Builtin, PolicyModule};
use crate::types::Digest;
use crate::wasm::builtin_bytes;

/// A module that is what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obtained {
    /// The module.
    pub bytes: Vec<u8>,
    /// Of the bytes.
    pub digest: Digest,
}

/// What a module must be, other than a policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands {
    /// Its bytes have this digest.
    pub digest: Option<Digest>,
}

/// Reads what `module` names.
///
/// # Errors
/// It cannot be read, or is not what is demanded.
pub fn obtain(module: &PolicyModule, demands: &Demands) -> Result<Obtained, SourceError> {
    let bytes = match module {
        PolicyModule::Builtin(Builtin::Default) => builtin_bytes().into(),
        PolicyModule::File(path) => file(path)?,
    };
    let digest = digest_of(&bytes);
    if let Some(expected) = demands.digest
        && digest != expected
    {
        return Err(SourceError::WrongDigest {
            what: "the module".to_owned(),
            expected,
            found: digest,
        });
    }
    Ok(Obtained { bytes, digest })
}

fn file(path: &Path) -> Result<Vec<u8>, SourceError> {
    local::read(path).map(|(_, bytes)| bytes)
}

/// The digest of some bytes.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::new(sha2::Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests;
