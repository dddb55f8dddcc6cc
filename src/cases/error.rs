//! What is wrong with a case file, and where.

use std::fmt;

/// Everything that is wrong with a file, in its order. Prints one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseErrors(Vec<CaseError>);

/// One thing that is wrong: `cases/local.toml:12: case "a": ...`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {}{problem}", in_case(.case.as_deref()))]
pub struct CaseError {
    /// As the caller called it.
    pub file: String,
    /// From one.
    pub line: usize,
    /// The case it is in, where it is in one.
    pub case: Option<String>,
    /// What is wrong, and what to do.
    pub problem: String,
}

fn in_case(case: Option<&str>) -> String {
    case.map_or_else(String::new, |name| format!("case {name:?}: "))
}

impl CaseErrors {
    pub(super) fn one(error: CaseError) -> Self {
        Self(vec![error])
    }

    /// `Ok` where nothing is wrong.
    pub(super) fn check(errors: Vec<CaseError>) -> Result<(), Self> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self(errors))
        }
    }
}

impl std::error::Error for CaseErrors {}

impl fmt::Display for CaseErrors {
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
