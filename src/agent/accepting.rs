//! Trouble with accepting connections, which must not become trouble with the rest.

use std::io;
use std::time::Duration;

use tracing::warn;

/// Pause after an accept that failed: being out of descriptors does not heal by asking again at
/// once.
const RETRY: Duration = Duration::from_millis(500);

/// What became of the last accepts of one listener.
#[derive(Debug)]
pub(super) struct AcceptTrouble {
    /// What it accepts.
    what: &'static str,
    /// Told once for each kind: this may go on for hours.
    told: Option<io::ErrorKind>,
}

impl AcceptTrouble {
    /// None yet, with these connections.
    pub(super) fn with(what: &'static str) -> Self {
        Self { what, told: None }
    }

    /// One was accepted.
    pub(super) fn is_over(&mut self) {
        self.told = None;
    }

    /// One was not: waits until it may be tried again.
    pub(super) async fn wait(&mut self, error: &io::Error) {
        // Whoever dialled has given up: that says nothing about the next one.
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        if self.told.replace(error.kind()) != Some(error.kind()) {
            warn!(%error, "cannot accept {}; trying again", self.what);
        }
        tokio::time::sleep(RETRY).await;
    }
}
