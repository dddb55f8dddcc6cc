//! What modules write to the log: the one function that they are given.
//!
//! A line is for people. It gives the module nothing back, and nothing that it decides can depend
//! on whether anybody reads it. What a module may write is bounded here, by the line and by the
//! call; how much of that is worth keeping is for the [`LogSink`] to say.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmStr};

use super::bindings::rutter::policy::log::Level;
use super::contract::{VERSION, is_served};
use super::module::InCall;
use crate::types::shortened;

/// Longest line that is passed on, its mark included where it was cut.
pub(super) const LINE_BYTES_MAX: usize = 1024;

/// Most lines of one call that are passed on. Enough for a few about each of what is wrong, not
/// for one about each candidate.
pub(super) const LINES_MAX: usize = 64;

/// What a line costs where instructions are counted, besides one for each few of its octets.
const LINE_INSTRUCTIONS: u64 = 500;
const OCTETS_AN_INSTRUCTION: u64 = 4;

/// The function's name in its interface.
const FUNCTION: &str = "log";

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Somebody has to mend something.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What an operator would like to know.
    Info,
    /// What only the module's author would.
    Debug,
}

/// Where the lines of modules go.
pub trait LogSink: fmt::Debug + Send + Sync {
    /// Takes a line: at most 1024 bytes, on one line of the screen, and safe to show. `module` is
    /// the operator's name for it.
    ///
    /// Called while the module runs, so the time it takes is the module's.
    fn write(&self, module: &str, level: LogLevel, line: &str);
}

/// Where the lines of one module go, if anybody reads them.
#[derive(Clone, Debug)]
pub(super) struct ModuleLog {
    module: Arc<str>,
    sink: Option<Arc<dyn LogSink>>,
}

/// What one call has written so far.
#[derive(Debug)]
pub(super) struct CallLog {
    log: ModuleLog,
    written: usize,
    dropped: u64,
}

impl ModuleLog {
    pub(super) fn new(module: &str, sink: Option<Arc<dyn LogSink>>) -> Self {
        Self {
            module: module.into(),
            sink,
        }
    }

    /// For a call that starts.
    pub(super) fn of_call(&self) -> CallLog {
        CallLog {
            log: self.clone(),
            written: 0,
            dropped: 0,
        }
    }
}

impl CallLog {
    /// Tells how much of what the call wrote was dropped.
    pub(super) fn finish(self) {
        if self.dropped > 0
            && let Some(sink) = &self.log.sink
        {
            let Self { dropped, .. } = self;
            let line = format!("{dropped} more lines of this call were dropped");
            sink.write(&self.log.module, LogLevel::Warn, &line);
        }
    }

    /// Whether one more line is passed on.
    fn admits(&mut self) -> bool {
        if self.log.sink.is_none() {
            return false;
        }
        let admits = self.written < LINES_MAX;
        if admits {
            self.written += 1;
        } else {
            self.dropped += 1;
        }
        admits
    }

    fn write(&self, level: Level, text: &str) {
        if let Some(sink) = &self.log.sink {
            sink.write(&self.log.module, level.into(), &printable(text));
        }
    }
}

/// Gives modules the function.
pub(super) fn link(linker: &mut Linker<InCall>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(&format!("rutter:policy/log@{VERSION}"))?;
    interface.func_wrap(FUNCTION, |store, (level, text): (Level, WasmStr)| {
        write(store, level, &text);
        Ok(())
    })
}

/// Whether an import is that function, of a version of the contract that is served.
pub(super) fn is_log(interface: &str, function: &str) -> bool {
    let version = interface.strip_prefix("rutter:policy/log@");
    version.is_some_and(is_served) && function == FUNCTION
}

/// Text is looked at only if it is passed on: a module that floods the log costs little more than
/// one that does nothing, again and again.
fn write(mut store: StoreContextMut<'_, InCall>, level: Level, text: &WasmStr) {
    let mut instructions = LINE_INSTRUCTIONS;
    if store.data_mut().log.admits() {
        let text = text
            .to_str(&store)
            .unwrap_or(Cow::Borrowed("(a line that is not UTF-8)"));
        instructions += text.len() as u64 / OCTETS_AN_INSTRUCTION;
        store.data().log.write(level, &text);
    }
    // An engine that bounds time counts none, and the time that this took is over.
    if let Ok(left) = store.get_fuel() {
        let left = left.saturating_sub(instructions);
        store
            .set_fuel(left)
            .expect("an engine that tells what is left counts instructions");
    }
}

/// The text as one line that is safe to show, cut where it is too long.
fn printable(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if character.is_control() || steers_text(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
        if line.len() > LINE_BYTES_MAX {
            return shortened(&line, LINE_BYTES_MAX).into_owned();
        }
    }
    line
}

/// Whether it breaks lines, or turns the direction of what is around it.
fn steers_text(character: char) -> bool {
    matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES_MAX, printable};

    #[test]
    fn what_could_drive_a_terminal_is_escaped() {
        for (text, line) in [
            ("a\nb\tc", "a\\nb\\tc"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("a\u{2028}b\u{85}", "a\\u{2028}b\\u{85}"),
            ("Zürich 東京", "Zürich 東京"),
            ("", ""),
        ] {
            assert_eq!(printable(text), line);
        }
    }

    #[test]
    fn a_long_line_is_cut_at_a_character_and_marked() {
        assert_eq!(printable(&"x".repeat(1024)), "x".repeat(1024));
        let cut = printable(&"x".repeat(1025));
        assert_eq!(cut, format!("{}…", "x".repeat(1021)));
        let cut = printable(&"東".repeat(1000));
        assert_eq!(cut, format!("{}…", "東".repeat(340)));
        for hostile in ["\0", "\u{2028}", "🦀", "\x1b"] {
            let cut = printable(&hostile.repeat(100_000));
            assert!(cut.len() <= LINE_BYTES_MAX, "{}", cut.len());
            assert!(cut.ends_with('…'));
        }
    }
}
