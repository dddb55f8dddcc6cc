//! Lines on their way to standard error, which whoever writes them does not wait for.
//!
//! A pipe that nobody reads would stop the first thread that has something to say, and the next
//! one behind it: sessions would be lost for the want of a log. So a thread of its own writes what
//! has been put down. What is too much by then, or cannot be written, is lost and counted.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context as _;
use tracing::warn;

use crate::agent::LostLines;

/// Some thousand lines: more than come in the time that a collector may take for a restart.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// How long the last lines may take when the program ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// The queue and its thread. Dropping it waits a little for the last lines to leave.
#[derive(Debug)]
pub(super) struct Queue(Lines);

/// The end that is written to: whole lines, each by one call. Never fails, and never waits.
#[derive(Clone, Debug)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    lost: LostLines,
}

#[derive(Debug)]
struct State {
    waiting: Vec<u8>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// What is there is to be written, and no more.
    Closing,
    Ended,
}

impl Queue {
    /// Starts writing to `out`; what is lost is added to `lost`.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(out: impl Write + Send + 'static, lost: LostLines) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                waiting: Vec::new(),
                phase: Phase::Open,
            }),
            changed: Condvar::new(),
            lost,
        });
        let lines = Lines(Arc::clone(&shared));
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || shared.write_to(out))
            .context("cannot start a thread")?;
        Ok(Self(lines))
    }

    pub(super) fn lines(&self) -> Lines {
        self.0.clone()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let Lines(shared) = &self.0;
        let mut state = shared.state();
        state.phase = Phase::Closing;
        shared.changed.notify_all();
        let running = |state: &mut State| state.phase != Phase::Ended;
        // Whoever reads them may be stuck: then there is nothing to wait for.
        let _ = shared.changed.wait_timeout_while(state, FAREWELL, running);
    }
}

impl Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let Self(shared) = self;
        let mut state = shared.state();
        if state.waiting.len() + lines.len() > WAITING_BYTES_MAX {
            drop(state);
            shared.lost.add(count(lines));
        } else {
            state.waiting.extend_from_slice(lines);
            shared.changed.notify_all();
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// The thread.
    fn write_to(&self, out: impl Write) {
        let mut writer = Writer { out, torn: false };
        let mut batch = Vec::new();
        let mut told = 0;
        while self.take(&mut batch) {
            self.lost.add(writer.write(&batch));
            let lost = self.lost.count();
            if lost > told && !writer.torn {
                // It is a line like others, and comes after those that waited meanwhile.
                warn!(
                    lines = lost - told,
                    "part of the log is lost: nobody read standard error, or it could not be \
                     written to"
                );
                told = lost;
            }
        }
        self.state().phase = Phase::Ended;
        self.changed.notify_all();
    }

    /// Waits for lines and takes them all; not when there will be no more.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        batch.clear();
        let state = self.state();
        let idle = |state: &mut State| state.waiting.is_empty() && state.phase == Phase::Open;
        let mut state = self
            .changed
            .wait_while(state, idle)
            .expect("no holder panics");
        mem::swap(batch, &mut state.waiting);
        !batch.is_empty()
    }
}

/// Writes as much as can be written.
struct Writer<O> {
    out: O,
    /// Whether the last attempt failed, and perhaps left half a line.
    torn: bool,
}

impl<O: Write> Writer<O> {
    /// Writes these lines; says how many of them are lost.
    fn write(&mut self, lines: &[u8]) -> u64 {
        if self.torn && self.out.write_all(b"\n").is_err() {
            return count(lines);
        }
        let mut rest = lines;
        self.torn = loop {
            if rest.is_empty() {
                break false;
            }
            match self.out.write(rest) {
                Ok(0) => break true,
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break true,
            }
        };
        count(rest)
    }
}

/// How many lines these are. One that is cut short is one, too.
fn count(lines: &[u8]) -> u64 {
    lines.split_inclusive(|octet| *octet == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
