//! What the files of a configuration say, to tell whether it is what they said before.

use crate::agent::load::{Loaded, Modules, ReadModule};
use crate::agent::peering::Passwords;
use crate::wasm;

/// Hexadecimal digits of a change's id: enough to tell changes apart, few enough to type.
const ID_DIGITS: usize = 8;

/// What the files say, in a form that is cheap to keep and compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    text: String,
    passwords: Passwords,
    /// Each module's digest, or why it cannot be read.
    modules: Vec<Result<String, String>>,
}

impl Fingerprint {
    pub(super) fn of(found: &Loaded) -> Self {
        let digest = |module: &ReadModule| match module {
            Ok(module) => Ok(module.digest.clone()),
            Err(refusal) => Err(refusal.clone()),
        };
        let Modules { exports, imports } = &found.modules;
        let modules = exports.iter().chain(imports);
        Self {
            text: found.text.clone(),
            passwords: found.passwords.clone(),
            modules: modules.map(digest).collect(),
        }
    }

    /// A short name for a change to this; the same wherever the same is read. Keys are left out:
    /// they decide no route, and nothing of them should be shown.
    pub(super) fn id(&self) -> String {
        let said = format!("{:?} {:?}", self.text, self.modules);
        let mut id = wasm::digest(said.as_bytes());
        id.truncate(ID_DIGITS);
        id
    }
}
