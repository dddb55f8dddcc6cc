//! What one call of a policy may use. `config` reads it, `wasm` keeps modules to it, status shows
//! it. Plain numbers: nothing is enforced here.

use std::time::Duration;

/// Bounds on one call of a module. What exceeds them ends the call and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time to start the module, and again for the call; kept to within 20 ms.
    pub time: Duration,
    /// Most linear memory, over all memories of the module. Batches are cut so that what is
    /// asked about takes a quarter of it.
    pub memory_bytes: usize,
    /// Most that the module may hand over in one answer.
    pub output_bytes: usize,
}

impl Limits {
    /// One second: a batch of the largest size takes about a hundredth of it. 64 MiB: it is only
    /// used while a call runs, and a batch takes at most a quarter of it. 16 MiB of answer: that
    /// to the largest batch takes less than a tenth.
    pub const DEFAULT: Self = Self {
        time: Duration::from_secs(1),
        memory_bytes: 64 << 20,
        output_bytes: 16 << 20,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
