//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

/// Everything that is wrong with a configuration, in the order of the file. Prints one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

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
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort();
        Self(errors)
    }

    /// Each error; there is at least one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
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
