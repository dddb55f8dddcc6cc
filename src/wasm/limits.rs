//! What a module may use of the agent: memory, time, and how much it may answer.

use wasmtime::ResourceLimiter;

pub use crate::policy::Limits;

/// Largest module that is loaded: compiling takes time and memory in proportion. Rust's are
/// below 100 KiB; those with a JavaScript engine inside take 12 MiB.
pub const MODULE_BYTES_MAX: usize = 16 << 20;

/// Most that a module may say about itself, or about its settings.
pub(super) const WORDS_BYTES_MAX: usize = 64 << 10;

/// Most candidates that a module is asked about in one call. More would save little, since a call
/// starts in some 30 us; and what a call takes of memory is kept for the next one.
pub(super) const CANDIDATES_MAX: usize = 1024;

/// Most communities of each kind that an answer may give a route.
pub(super) const COMMUNITIES_MAX: usize = 64;

/// The same about a learned route: as many as a BGP message has room for, so that no route a peer
/// can send makes a module's answer invalid that leaves the communities as they are.
pub(super) const LEARNED_COMMUNITIES_MAX: usize = 1024;

/// As much as is kept of a reason; what is longer is cut.
pub(super) const REASON_BYTES_MAX: usize = 1024;

/// Most core instances that one start of a module may make. Languages with dynamic linking make
/// some twenty. What an instance takes beside its memories and tables is not counted.
pub(super) const INSTANCES_MAX: u32 = 40;

/// What an entry of a table takes of the host's memory.
const TABLE_ENTRY_BYTES: usize = size_of::<usize>();

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

    /// Refusing is not ending the call: a module with a collector can free some and go on.
    fn take(&mut self, bytes: usize) -> bool {
        match self.memory_bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.memory_bytes_left = left;
                true
            }
            None => {
                self.memory = Memory::Refused;
                false
            }
        }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.take(desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let entries = desired.saturating_sub(current);
        Ok(self.take(entries.saturating_mul(TABLE_ENTRY_BYTES)))
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX as usize
    }
}
