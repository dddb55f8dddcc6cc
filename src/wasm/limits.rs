//! What a module may use of the agent: memory, time, and how much it may answer.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Bounds on one call of a module. What exceeds them ends the call and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time to start the module, and again for the call; kept to within 20 ms.
    pub time: Duration,
    /// Most linear memory, over all memories of the module. Batches are cut so that what is
    /// asked about takes a quarter of it.
    pub memory_bytes: usize,
}

impl Default for Limits {
    /// One second: a batch of the largest size takes about a hundredth of it. 64 MiB: it is only
    /// used while a call runs, and a batch takes at most a quarter of it.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(1),
            memory_bytes: 64 << 20,
        }
    }
}

/// Largest module that is loaded: compiling takes time and memory in proportion. Rust's are
/// below 100 KiB; those with a JavaScript engine inside take 12 MiB.
pub const MODULE_BYTES_MAX: usize = 16 << 20;

/// Most that a module may hand over in one answer. The largest batch takes less than a tenth.
pub(super) const ANSWER_BYTES_MAX: usize = 16 << 20;

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

    /// How much has been taken.
    pub(super) fn memory_bytes(&self, limits: Limits) -> usize {
        limits.memory_bytes.saturating_sub(self.memory_bytes_left)
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
