//! Selectors of labels in Calico's grammar: which nodes peer, and with which.
//!
//! | selector | matches labels that |
//! |---|---|
//! | `all()`, `global()`, nothing at all | are there, whatever they are |
//! | `has(k)`, `!has(k)` | have the key, or have it not |
//! | `k == "v"`, `k in {"a", "b"}` | have the key with that value, or one of those |
//! | `k != "v"`, `k not in {"a"}` | do not: also those without the key |
//! | `k contains "v"`, `k starts with "v"`, `k ends with "v"` | have the key with such a value |
//! | `!s`, `s && t`, `s \|\| t`, `(s)` | as usual; `!` binds closest, then `&&` |
//!
//! Strings are in single or double quotes and know no escapes, so that none has both kinds in it.
//! What prints a [`Selector`] prints one that reads as the same.

mod parse;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

pub use parse::SelectorError;

/// Longest text of a selector: thousands of values in a set, and still read in no time.
pub const SELECTOR_BYTES_MAX: usize = 64 << 10;

/// Deepest nesting of parentheses and `!`: nobody writes so many, and the stack holds more.
pub const SELECTOR_DEPTH_MAX: usize = 64;

/// Which sets of labels are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(Expression);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Expression {
    All,
    /// What belongs to no namespace, as everything does that we select.
    Global,
    Has(String),
    Label(String, Test),
    Not(Box<Expression>),
    /// Two or more.
    And(Vec<Expression>),
    /// Two or more.
    Or(Vec<Expression>),
}

/// What is asked of the value of a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Test {
    Equal(String),
    NotEqual(String),
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
}

impl Selector {
    /// Matches everything.
    pub const ALL: Self = Self(Expression::All);

    /// Whether these labels are meant.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.matches(labels)
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    /// # Errors
    /// Says in which column what was expected.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse::parse(text).map(Self)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Expression {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::All | Self::Global => true,
            Self::Has(key) => labels.contains_key(key),
            Self::Label(key, test) => test.passes(labels.get(key).map(String::as_str)),
            Self::Not(inner) => !inner.matches(labels),
            Self::And(all) => all.iter().all(|inner| inner.matches(labels)),
            Self::Or(any) => any.iter().any(|inner| inner.matches(labels)),
        }
    }

    /// Prints what is a part of something that binds closer than `&&` and `||` do.
    fn fmt_operand(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(_) | Self::Or(_) => write!(f, "({self})"),
            Self::All | Self::Global | Self::Has(_) | Self::Label(..) | Self::Not(_) => {
                fmt::Display::fmt(self, f)
            }
        }
    }
}

impl Test {
    fn passes(&self, value: Option<&str>) -> bool {
        match self {
            Self::Equal(wanted) => value == Some(wanted),
            Self::NotEqual(unwanted) => value != Some(unwanted),
            Self::In(wanted) => value.is_some_and(|value| wanted.contains(value)),
            Self::NotIn(unwanted) => !value.is_some_and(|value| unwanted.contains(value)),
            Self::Contains(part) => value.is_some_and(|value| value.contains(part)),
            Self::StartsWith(part) => value.is_some_and(|value| value.starts_with(part)),
            Self::EndsWith(part) => value.is_some_and(|value| value.ends_with(part)),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, operands: &[Self], operator| {
            for (index, operand) in operands.iter().enumerate() {
                if index > 0 {
                    f.write_str(operator)?;
                }
                operand.fmt_operand(f)?;
            }
            Ok(())
        };
        match self {
            Self::All => f.write_str("all()"),
            Self::Global => f.write_str("global()"),
            Self::Has(key) => write!(f, "has({key})"),
            Self::Label(key, test) => write!(f, "{key} {test}"),
            Self::Not(inner) => {
                f.write_str("!")?;
                match **inner {
                    // Not for the parser's sake: `!k == "v"` reads as if it were about `!k`.
                    Self::Label(..) => write!(f, "({inner})"),
                    Self::All
                    | Self::Global
                    | Self::Has(_)
                    | Self::Not(_)
                    | Self::And(_)
                    | Self::Or(_) => inner.fmt_operand(f),
                }
            }
            Self::And(operands) => joined(f, operands, " && "),
            Self::Or(operands) => joined(f, operands, " || "),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |f: &mut fmt::Formatter<'_>, operator, values: &BTreeSet<String>| {
            let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
            write!(f, "{operator} {{{}}}", values.join(", "))
        };
        match self {
            Self::Equal(value) => write!(f, "== {}", quoted(value)),
            Self::NotEqual(value) => write!(f, "!= {}", quoted(value)),
            Self::In(values) => set(f, "in", values),
            Self::NotIn(values) => set(f, "not in", values),
            Self::Contains(part) => write!(f, "contains {}", quoted(part)),
            Self::StartsWith(part) => write!(f, "starts with {}", quoted(part)),
            Self::EndsWith(part) => write!(f, "ends with {}", quoted(part)),
        }
    }
}

/// In the quotes that are not in it; of two kinds one is not.
fn quoted(text: &str) -> String {
    let quote = if text.contains('"') { '\'' } else { '"' };
    format!("{quote}{text}{quote}")
}
