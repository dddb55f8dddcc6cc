//! Why a module is refused, and how a call of it can fail.

use wasmtime::Trap;

use super::contract::Purpose;
use super::engine::Engine;
use super::limits::{Limits, MODULE_BYTES_MAX, Memory, Meter};
use crate::policy::PolicyFailure;

/// Why a module cannot be used. Whatever ran before goes on running.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The engine does not start on this machine.
    #[error("WebAssembly modules cannot run here: {0}")]
    Engine(String),
    /// It is larger than [`MODULE_BYTES_MAX`].
    #[error("module `{name}` has more than {MODULE_BYTES_MAX} bytes, the most that are loaded")]
    TooLarge {
        /// As configured.
        name: String,
    },
    /// The bytes are not WebAssembly.
    #[error("module `{name}` is not WebAssembly: it does not begin with the bytes 00 61 73 6d")]
    NotWasm {
        /// As configured.
        name: String,
    },
    /// It begins as WebAssembly does, but goes on wrong or ends early, or uses what the agent
    /// does not allow.
    #[error("module `{name}` does not compile: {message}")]
    Invalid {
        /// As configured.
        name: String,
        /// The compiler's words.
        message: String,
    },
    /// It wants something from the agent.
    #[error(
        "module `{name}` imports {import}; a policy may import rutter:policy/log, and nothing else"
    )]
    Import {
        /// As configured.
        name: String,
        /// Interface and function.
        import: String,
    },
    /// It is a policy, of another time.
    #[error(
        "module `{name}` exports rutter:policy@{theirs}, this agent understands \
         {ours}: build it with the matching kit"
    )]
    Version {
        /// As configured.
        name: String,
        /// The module's version of the contract.
        theirs: String,
        /// Those the agent serves.
        ours: &'static str,
    },
    /// It is no policy.
    #[error("module `{name}` does not export {missing}, as a policy must")]
    Missing {
        /// As configured.
        name: String,
        /// The interface, or the function with its wrong type.
        missing: String,
    },
    /// It is a policy, for routes of the other direction.
    #[error("module `{name}` decides on {decides} and is asked about {asked}")]
    Purpose {
        /// As configured.
        name: String,
        /// What it exports functions for.
        decides: Purpose,
        /// What it would be used for.
        asked: Purpose,
    },
    /// It failed when it was started or asked about itself.
    #[error("module `{name}` fails when it is asked to {what}")]
    Failed {
        /// As configured.
        name: String,
        /// `describe itself` or `check its settings`.
        what: &'static str,
        /// How.
        #[source]
        failure: PolicyFailure,
    },
    /// It refuses its settings.
    #[error("settings of module `{name}`: {words}")]
    Settings {
        /// As configured.
        name: String,
        /// What is wrong, in the module's words.
        words: String,
    },
}

/// Which part of a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before the module's function was called.
    Start,
    /// In the function, or when its answer was read.
    Call,
}

/// What an error of the engine says about the module.
pub(super) fn failure(
    error: &wasmtime::Error,
    stage: Stage,
    engine: &Engine,
    meter: &Meter,
    limits: Limits,
) -> PolicyFailure {
    let trap = error.downcast_ref::<Trap>();
    if matches!(trap, Some(Trap::Interrupt | Trap::OutOfFuel)) {
        return engine.overrun(limits);
    }
    // A module that is refused memory ends in whatever way its language does.
    if meter.memory() == Memory::Refused {
        return PolicyFailure::OutOfMemory(u64::try_from(limits.memory_bytes).unwrap_or(u64::MAX));
    }
    match (trap, stage) {
        (Some(trap), _) => PolicyFailure::Trap(trap_words(*trap)),
        (None, Stage::Start) => PolicyFailure::Trap(error.root_cause().to_string()),
        // Not a trap: the engine could not make sense of what the module handed over.
        (None, Stage::Call) => PolicyFailure::BadAnswer(error.root_cause().to_string()),
    }
}

fn trap_words(trap: Trap) -> String {
    let words = trap.to_string();
    words
        .strip_prefix("wasm trap: ")
        .map_or(words.clone(), Into::into)
}

/// Words of a module, safe to show: control characters, which could drive a terminal or break a
/// line of a log, become spaces.
pub(super) fn printable(words: &str) -> String {
    words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
