//! Lines in the agent's log, for those who look for a fault.
//!
//! ```
//! rutter_policy::log::warn(format!("{} Services have no owner", 3));
//! ```
//!
//! The agent shows a line with the policy's name; `rutter policy test` and `explain` print it. Of a
//! call it takes 64 lines, of a line 1024 bytes, and of a policy that writes all the time some; it
//! may ask twice about the same, or not at all about what it remembers. So log what is odd, and say
//! in the reason of a decision why it is as it is. A module that logs nothing does not import the
//! function. In native tests lines go to the standard error output.

use crate::bindings::log::Level;

/// Something is wrong that somebody has to mend.
pub fn error(text: impl AsRef<str>) {
    write(Level::Error, text.as_ref());
}

/// Something is not as it should be.
pub fn warn(text: impl AsRef<str>) {
    write(Level::Warn, text.as_ref());
}

/// What an operator would like to know.
pub fn info(text: impl AsRef<str>) {
    write(Level::Info, text.as_ref());
}

/// What only the module's author would.
pub fn debug(text: impl AsRef<str>) {
    write(Level::Debug, text.as_ref());
}

#[cfg(target_family = "wasm")]
fn write(level: Level, text: &str) {
    crate::bindings::log::log(level, text);
}

#[cfg(not(target_family = "wasm"))]
#[expect(clippy::print_stderr, reason = "a test shows what the policy writes")]
fn write(level: Level, text: &str) {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    eprintln!("{level}: {text}");
}
