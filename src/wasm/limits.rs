//! What a module may use of the agent: memory, time, and how much it may answer.

use wasmtime::ResourceLimiter;

pub use crate::policy::Limits;

/// Largest module that is loaded: compiling takes time and memory in proportion. Rust's are
/// below 100 KiB; those with a JavaScript engine inside take 12 MiB.
pub const MODULE_BYTES_MAX: usize = 16 << 20;

/// Most that a module may say about itself, or about its settings.
pub(super) const WORDS_BYTES_MAX: usize = 64 << 10;

/// Most candidates that a module is asked about in one call.
pub(super) const CANDIDATES_MAX: usize = 4096;

/// Most communities of each kind that an answer may give a route.
pub(super) const COMMUNITIES_MAX: usize = 64;

/// Longest reason an answer may give.
pub(super) const REASON_BYTES_MAX: usize = 1024;

/// Most entries of one table of functions; modules of 16 MiB have fewer functions.
const TABLE_ELEMENTS_MAX: usize = 100_000;

/// Counts a store's memory against its limit, and remembers whether it was refused any.
#[derive(Debug)]
pub(super) struct Meter {
    memory_bytes_left: usize,
    memory: Memory,
}

/// Whether a module has asked for more memory than it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    Sufficed,
    Refused,
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            memory_bytes_left: limits.memory_bytes,
            memory: Memory::Sufficed,
        }
    }

    pub(super) fn memory(&self) -> Memory {
        self.memory
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Refusing is not ending the call: a module with a collector can free some and go on.
        match self
            .memory_bytes_left
            .checked_sub(desired.saturating_sub(current))
        {
            Some(left) => {
                self.memory_bytes_left = left;
                Ok(true)
            }
            None => {
                self.memory = Memory::Refused;
                Ok(false)
            }
        }
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}
