//! How many lines of the log were lost: counted by whoever writes them, told by the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count since the program started. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct LostLines(Arc<AtomicU64>);

impl LostLines {
    /// So many more.
    pub fn add(&self, lines: u64) {
        self.0.fetch_add(lines, Ordering::Relaxed);
    }

    /// All of them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
