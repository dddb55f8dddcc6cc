//! Where modules are looked at without routes at stake: it is not the machine that is judged, so that
//! a module does the same in every run.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::cli::text;
use crate::policy::Limits;
use crate::wasm::{Engine, LogLevel, LogSink, ModuleError};

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

/// The same engine, with what modules write to the log kept.
///
/// # Errors
/// As [`engine`].
pub(super) fn listening() -> Result<(Engine, Arc<Heard>), ModuleError> {
    let heard = Arc::new(Heard::default());
    let engine = engine()?.logging(Arc::<Heard>::clone(&heard));
    Ok((engine, heard))
}

/// What modules wrote to the log, until somebody takes it.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Vec<LogLine>>);

/// A line that a module wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LogLine {
    /// As the command line, or the recording, names it.
    module: String,
    level: String,
    text: String,
}

impl Heard {
    /// Every line since the last time.
    pub(super) fn take(&self) -> Vec<LogLine> {
        // A panic elsewhere while it was locked leaves lines that are whole all the same.
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LogSink for Heard {
    fn write(&self, module: &str, level: LogLevel, line: &str) {
        let line = LogLine {
            module: module.to_owned(),
            level: level.to_string(),
            text: line.to_owned(),
        };
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line);
    }
}

impl LogLine {
    /// For people.
    pub(super) fn told(&self) -> String {
        let Self { level, text, .. } = self;
        text::printable(&format!("log {level}: {text}"))
    }

    /// The same with who wrote it.
    pub(super) fn told_with_module(&self) -> String {
        let module = text::printable(&self.module);
        format!("{module}: {}", self.told())
    }
}
