//! Where modules are looked at without routes at stake: it is not the machine that is judged, so that
//! a module does the same in every run.

use crate::policy::Limits;
use crate::wasm::{Engine, ModuleError};

/// The agent's; what they say of time does not count here.
pub(super) const LIMITS: Limits = Limits::DEFAULT;

/// For each start and each call: more than a machine executes in the time that the agent gives a
/// module by default.
const INSTRUCTIONS_MAX: u64 = 4_000_000_000;

/// An engine that counts instructions in place of time.
///
/// # Errors
/// This machine's processor cannot run compiled modules.
pub(super) fn engine() -> Result<Engine, ModuleError> {
    Engine::metered(INSTRUCTIONS_MAX)
}
