//! What is wrong with a configuration, and where.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Whoever mends these finds the rest by asking again. A file of something else altogether has
/// mistakes without number.
const ERRORS_MAX: usize = 50;

/// What is wrong with a configuration, in the order of the file. Prints one line each, and one
/// for those that are too many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors {
    first: BTreeSet<ConfigError>,
    more: usize,
}

/// One thing that is wrong. Prints as `FILE:LINE:COLUMN: KEY PROBLEM`, where the key and the
/// problem read as a sentence: `rutter.toml:12:1: bgp.hold-tme is not a key; did you mean
/// hold-time?`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{place}{key}{}{problem}", if key.is_empty() { "" } else { " " })]
pub struct ConfigError {
    /// Where to look.
    pub place: Place,
    /// The path of keys, such as `peers[0].asn`, or the variable of the environment; empty where
    /// the text is no TOML.
    pub key: String,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

/// Where an error is. Prints as the beginning of a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file.
    File {
        /// As the caller called it.
        name: Arc<str>,
        /// From one.
        line: usize,
        /// From one, in characters.
        column: usize,
    },
    /// In the environment, in the variable that the error's key names.
    Environment,
}

impl ConfigErrors {
    pub(super) fn add(&mut self, error: ConfigError) {
        self.first.insert(error);
        if self.first.len() > ERRORS_MAX {
            self.first.pop_last();
            self.more += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The first of them; there is at least one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.first.iter()
    }

    /// How many there are besides.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.first.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}: "),
            Self::Environment => f.write_str("environment: "),
        }
    }
}
