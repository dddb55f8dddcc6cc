//! From text to a selector: recursive descent, one function for each level of binding.

use std::collections::BTreeSet;

use super::{Expression, SELECTOR_BYTES_MAX, SELECTOR_DEPTH_MAX, Test};
use crate::types::shortened;

/// What is shown of a text that should not be there.
const FOUND_BYTES_MAX: usize = 32;

const OPERATOR: &str = "an operator: ==, !=, in, not in, contains, starts with or ends with";
const OPERAND: &str = "all(), global(), has(LABEL), a label, ! or (";

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Something else stands there.
    #[error("column {column}: expected {expected}, found {found}")]
    Unexpected {
        /// In characters, from one.
        column: usize,
        /// What could have stood there.
        expected: &'static str,
        /// What does: the text from there on, or that it ends.
        found: String,
    },
    /// A string without its end.
    #[error("column {column}: the string that begins here does not end; close it with {quote}")]
    Unclosed {
        /// In characters, from one.
        column: usize,
        /// As it was opened.
        quote: char,
    },
    /// More parentheses and `!` than anybody writes.
    #[error("column {column}: nested more than {SELECTOR_DEPTH_MAX} deep; write it flatter")]
    TooDeep {
        /// In characters, from one.
        column: usize,
    },
    /// Longer than anybody writes.
    #[error("is {bytes} bytes long, more than {SELECTOR_BYTES_MAX}; label the nodes instead")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
}

pub(super) fn parse(text: &str) -> Result<Expression, SelectorError> {
    if text.len() > SELECTOR_BYTES_MAX {
        return Err(SelectorError::TooLong { bytes: text.len() });
    }
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    parser.skip_space();
    if parser.rest().is_empty() {
        return Ok(Expression::All);
    }
    let expression = parser.any()?;
    if !parser.rest().is_empty() {
        return Err(parser.unexpected("&&, || or the end"));
    }
    Ok(expression)
}

/// Between two calls, `at` is past all white space.
struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn any(&mut self) -> Result<Expression, SelectorError> {
        let mut operands = vec![self.all()?];
        while self.take("||") {
            operands.push(self.all()?);
        }
        Ok(joined(operands, Expression::Or))
    }

    fn all(&mut self) -> Result<Expression, SelectorError> {
        let mut operands = vec![self.operand()?];
        while self.take("&&") {
            operands.push(self.operand()?);
        }
        Ok(joined(operands, Expression::And))
    }

    fn operand(&mut self) -> Result<Expression, SelectorError> {
        if self.take("!") {
            let inner = self.nested(Self::operand)?;
            return Ok(Expression::Not(Box::new(inner)));
        }
        if self.take("(") {
            let inner = self.nested(Self::any)?;
            self.expect(")", "&&, || or )")?;
            return Ok(inner);
        }
        let start = self.at;
        let word = self.word(OPERAND)?;
        if !self.take("(") {
            let test = self.test()?;
            return Ok(Expression::Label(word.to_owned(), test));
        }
        let expression = match word {
            "all" => Expression::All,
            "global" => Expression::Global,
            "has" => Expression::Has(self.word("a label")?.to_owned()),
            _ => {
                self.at = start;
                return Err(self.unexpected("all(), global() or has(LABEL)"));
            }
        };
        self.expect(")", ")")?;
        Ok(expression)
    }

    fn nested(
        &mut self,
        inner: fn(&mut Self) -> Result<Expression, SelectorError>,
    ) -> Result<Expression, SelectorError> {
        if self.depth == SELECTOR_DEPTH_MAX {
            let column = self.column(self.at);
            return Err(SelectorError::TooDeep { column });
        }
        self.depth += 1;
        let expression = inner(self)?;
        self.depth -= 1;
        Ok(expression)
    }

    fn test(&mut self) -> Result<Test, SelectorError> {
        if self.take("==") {
            return Ok(Test::Equal(self.string()?));
        }
        if self.take("!=") {
            return Ok(Test::NotEqual(self.string()?));
        }
        let start = self.at;
        match self.word(OPERATOR)? {
            "in" => Ok(Test::In(self.set()?)),
            "contains" => Ok(Test::Contains(self.string()?)),
            "not" if self.take_word("in") => Ok(Test::NotIn(self.set()?)),
            "starts" if self.take_word("with") => Ok(Test::StartsWith(self.string()?)),
            "ends" if self.take_word("with") => Ok(Test::EndsWith(self.string()?)),
            _ => {
                self.at = start;
                Err(self.unexpected(OPERATOR))
            }
        }
    }

    /// The strings between braces; a comma may follow the last.
    fn set(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        self.expect("{", "{ and strings with commas between them")?;
        let mut values = BTreeSet::new();
        while !self.take("}") {
            values.insert(self.string()?);
            if !self.take(",") {
                self.expect("}", ", or }")?;
                break;
            }
        }
        Ok(values)
    }

    fn string(&mut self) -> Result<String, SelectorError> {
        let Some(quote @ ('"' | '\'')) = self.rest().chars().next() else {
            return Err(self.unexpected("a string in quotes"));
        };
        let inside = &self.rest()[1..];
        let Some(length) = inside.find(quote) else {
            let column = self.column(self.at);
            return Err(SelectorError::Unclosed { column, quote });
        };
        self.advance(length + 2);
        Ok(inside[..length].to_owned())
    }

    /// A label's key or a word of the grammar: they are told apart by where they stand.
    fn word(&mut self, expected: &'static str) -> Result<&'t str, SelectorError> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.unexpected(expected));
        }
        self.advance(length);
        Ok(&rest[..length])
    }

    /// Whether this word comes, which is then behind us.
    fn take_word(&mut self, word: &str) -> bool {
        let start = self.at;
        let is_next = self.word("").is_ok_and(|found| found == word);
        if !is_next {
            self.at = start;
        }
        is_next
    }

    /// Whether this comes, which is then behind us. `!` is not the beginning of `!=`, which never
    /// stands where an operand may.
    fn take(&mut self, token: &str) -> bool {
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.advance(token.len());
        }
        is_next
    }

    fn expect(&mut self, token: &str, expected: &'static str) -> Result<(), SelectorError> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.skip_space();
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn column(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }

    fn unexpected(&self, expected: &'static str) -> SelectorError {
        let rest = self.rest().trim_end();
        SelectorError::Unexpected {
            column: self.column(self.at),
            expected,
            found: if rest.is_empty() {
                "the end".to_owned()
            } else {
                format!("{:?}", shortened(rest, FOUND_BYTES_MAX))
            },
        }
    }
}

/// What one operand is by itself, and several are together.
fn joined(mut operands: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match operands.pop() {
        Some(only) if operands.is_empty() => only,
        Some(last) => {
            operands.push(last);
            join(operands)
        }
        None => unreachable!("called with what was parsed, one operand at least"),
    }
}
