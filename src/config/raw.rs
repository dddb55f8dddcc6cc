//! TOML as it was parsed: tables whose keys are checked, and values that know where they are.
//!
//! Used by the readers of the sections only. A read that finds the wrong thing reports it and
//! returns nothing, so that one pass finds every error.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{ConfigError, ConfigErrors, Place};
use crate::types::shortened;

/// What is shown of a key, and what is compared with those there are, which are much shorter.
const KEY_BYTES_MAX: usize = 128;
/// What is said of one mistake, with the value that is one.
const PROBLEM_BYTES_MAX: usize = 1024;

/// Where errors go while a file is read.
#[derive(Debug)]
pub(super) struct Report {
    file: std::sync::Arc<str>,
    /// The offset of each line's first byte.
    lines: Vec<usize>,
    text: Box<str>,
    errors: ConfigErrors,
}

/// A table, its keys known to be known.
#[derive(Clone, Debug)]
pub(super) struct Section<'t> {
    path: String,
    start: usize,
    table: Option<&'t DeTable<'t>>,
}

/// A value, the path of its key, and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Value<'t> {
    path: String,
    start: usize,
    raw: Raw<'t>,
}

#[derive(Clone, Copy, Debug)]
enum Raw<'t> {
    Document(&'t DeTable<'t>),
    Value(&'t DeValue<'t>),
}

/// Parses the text; reports every place where it is no TOML.
pub(super) fn parse<'t>(text: &'t str, report: &mut Report) -> Option<Spanned<DeTable<'t>>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let start = error.span().map_or(0, |span: Range<usize>| span.start);
        let mut message = error.message().replace('\n', ", ");
        if message == "duplicate key"
            && let Some(key) = error.span().and_then(|span| text.get(span))
        {
            message = format!("duplicate key `{key}`");
        }
        report.add("", start, message);
    }
    errors.is_empty().then_some(document)
}

/// The whole document as a value.
pub(super) fn root<'t>(document: &'t Spanned<DeTable<'t>>) -> Value<'t> {
    Value {
        path: String::new(),
        start: 0,
        raw: Raw::Document(document.get_ref()),
    }
}

impl Report {
    pub(super) fn new(file_name: &str, text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        Self {
            file: file_name.into(),
            lines: std::iter::once(0).chain(ends).collect(),
            text: text.into(),
            errors: ConfigErrors::default(),
        }
    }

    /// Reports a problem with a variable of the environment.
    pub(super) fn environment(&mut self, variable: &str, problem: String) {
        self.errors.add(ConfigError {
            place: Place::Environment,
            key: variable.to_owned(),
            problem,
        });
    }

    pub(super) fn into_result<T>(self, value: T) -> Result<T, ConfigErrors> {
        if self.errors.is_empty() {
            Ok(value)
        } else {
            Err(self.into_errors())
        }
    }

    pub(super) fn into_errors(self) -> ConfigErrors {
        self.errors
    }

    fn add(&mut self, key: &str, start: usize, problem: String) {
        let line = self.lines.partition_point(|line| *line <= start);
        let first = self.lines[line - 1];
        let column = self
            .text
            .get(first..start)
            .map_or(0, |text| text.chars().count())
            + 1;
        self.errors.add(ConfigError {
            place: Place::File {
                name: self.file.clone(),
                line,
                column,
            },
            key: key.to_owned(),
            problem: shortened(&problem, PROBLEM_BYTES_MAX).into_owned(),
        });
    }
}

impl<'t> Section<'t> {
    /// The table that `value` is, every key of it among `keys`; an absent one is empty, and so
    /// is what should have been a table.
    pub(super) fn of(value: Option<&Value<'t>>, keys: &[&str], report: &mut Report) -> Self {
        let Some(value) = value else {
            return Self {
                path: String::new(),
                start: 0,
                table: None,
            };
        };
        let table = value.table(report);
        let section = Self {
            path: value.path.clone(),
            start: value.start,
            table,
        };
        for key in table.into_iter().flat_map(DeTable::keys) {
            if !keys.contains(&key.get_ref().as_ref()) {
                let problem = unknown_key(key.get_ref(), keys);
                report.add(&section.path_of(key.get_ref()), key.span().start, problem);
            }
        }
        section
    }

    /// The value of a key, if it has one.
    pub(super) fn value(&self, key: &str) -> Option<Value<'t>> {
        let value = self.table?.get(key)?;
        Some(Value {
            path: self.path_of(key),
            start: value.span().start,
            raw: Raw::Value(value.get_ref()),
        })
    }

    /// The value of a key that there must be in this table; `what` says what it should be.
    pub(super) fn required(&self, key: &str, what: &str, report: &mut Report) -> Option<Value<'t>> {
        let value = self.value(key);
        // What is no table at all has been reported as that.
        if value.is_none() && self.table.is_some() {
            let problem = format!("is missing; set it to {what}");
            report.add(&self.path_of(key), self.start, problem);
        }
        value
    }

    fn path_of(&self, key: &str) -> String {
        path_of(&self.path, key)
    }
}

impl<'t> Value<'t> {
    /// Reports a problem with this value.
    pub(super) fn problem(&self, problem: impl Into<String>, report: &mut Report) {
        report.add(&self.path, self.start, problem.into());
    }

    /// The path of its key, or of its place in a list.
    pub(super) fn key_path(&self) -> &str {
        &self.path
    }

    /// Whether it is exactly this string.
    pub(super) fn is_text(&self, text: &str) -> bool {
        self.as_value().and_then(DeValue::as_str) == Some(text)
    }

    /// Whether it is a whole number, however large.
    pub(super) fn is_number(&self) -> bool {
        self.as_value().and_then(DeValue::as_integer).is_some()
    }

    pub(super) fn string(&self, report: &mut Report) -> Option<&'t str> {
        self.text("a string", report)
    }

    /// A string; `expected` says what should be in it.
    pub(super) fn text(&self, expected: &str, report: &mut Report) -> Option<&'t str> {
        let text = self.as_value().and_then(DeValue::as_str);
        self.or_wrong_kind(text, expected, report)
    }

    pub(super) fn boolean(&self, report: &mut Report) -> Option<bool> {
        let boolean = self.as_value().and_then(DeValue::as_bool);
        self.or_wrong_kind(boolean, "true or false", report)
    }

    /// A number of `min` to `max`.
    pub(super) fn integer(&self, min: u32, max: u32, report: &mut Report) -> Option<u32> {
        let integer = self.as_value().and_then(DeValue::as_integer);
        let integer = self.or_wrong_kind(integer, "a whole number", report)?;
        let number = signed(integer).and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.problem(format!("is {integer}; write {min} to {max}"), report);
        }
        number
    }

    /// The elements of a list; `expected` says what the list should be.
    pub(super) fn list(&self, expected: &str, report: &mut Report) -> Option<Vec<Value<'t>>> {
        let list = self.as_value().and_then(DeValue::as_array);
        let list = self.or_wrong_kind(list, expected, report)?;
        let elements = list.iter().enumerate().map(|(index, element)| Value {
            path: format!("{}[{index}]", self.path),
            start: element.span().start,
            raw: Raw::Value(element.get_ref()),
        });
        Some(elements.collect())
    }

    /// One of a few words.
    pub(super) fn choice<T: Clone>(&self, choices: &[(&str, T)], report: &mut Report) -> Option<T> {
        let text = self.string(report)?;
        let choice = choices.iter().find(|(word, _)| *word == text);
        if choice.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            let advice = match nearest(text, &words) {
                Some(word) => format!("did you mean {word:?}?"),
                None => format!("write {}", listed(&words)),
            };
            self.problem(format!("is {text:?}; {advice}"), report);
        }
        choice.map(|(_, meaning)| meaning.clone())
    }

    pub(super) fn ip_address(&self, report: &mut Report) -> Option<IpAddr> {
        let text = self.string(report)?;
        let address = text.parse().ok();
        if address.is_none() {
            let problem = format!("is {text:?}; write an IP address, such as 192.0.2.1");
            self.problem(problem, report);
        }
        address
    }

    /// An IP address with a port; `example` shows one.
    pub(super) fn socket_address(&self, example: &str, report: &mut Report) -> Option<SocketAddr> {
        let text = self.string(report)?;
        let address = text.parse().ok();
        if address.is_none() {
            let problem = format!("is {text:?}; write an IP address and a port, {example}");
            self.problem(problem, report);
        }
        address
    }

    /// A path; a relative one starts from `directory`.
    pub(super) fn path(&self, directory: &Path, report: &mut Report) -> Option<PathBuf> {
        let text = self.string(report)?;
        if text.is_empty() {
            self.problem("is empty; write a path", report);
            return None;
        }
        Some(directory.join(text))
    }

    /// A name that can be printed in a table and typed in a command.
    pub(super) fn name(&self, report: &mut Report) -> Option<&'t str> {
        let text = self.string(report)?;
        if text.is_empty() {
            self.problem("is empty; write a name", report);
            return None;
        }
        if text.trim() != text || text.contains(char::is_control) {
            let problem = format!("is {text:?}; remove blanks around it and control characters");
            self.problem(problem, report);
            return None;
        }
        Some(text)
    }

    /// A table of strings.
    pub(super) fn strings(&self, report: &mut Report) -> Option<BTreeMap<String, String>> {
        let table = self.table(report)?;
        let mut strings = BTreeMap::new();
        for (key, value) in table {
            let value = Value {
                path: path_of(&self.path, key.get_ref()),
                start: value.span().start,
                raw: Raw::Value(value.get_ref()),
            };
            if let Some(text) = value.string(report) {
                strings.insert(key.get_ref().to_string(), text.to_owned());
            }
        }
        Some(strings)
    }

    /// The same as JSON, for a policy module to read.
    pub(super) fn json(&self, report: &mut Report) -> Option<serde_json::Value> {
        let DeValue::Table(table) = self.as_value()? else {
            return self.or_wrong_kind(None, "a table", report);
        };
        json_object(&self.path, table, report).map(serde_json::Value::Object)
    }

    fn table(&self, report: &mut Report) -> Option<&'t DeTable<'t>> {
        let table = match self.raw {
            Raw::Document(table) => Some(table),
            Raw::Value(value) => value.as_table(),
        };
        self.or_wrong_kind(table, "a table", report)
    }

    fn as_value(&self) -> Option<&'t DeValue<'t>> {
        match self.raw {
            Raw::Document(_) => None,
            Raw::Value(value) => Some(value),
        }
    }

    fn or_wrong_kind<T>(&self, value: Option<T>, expected: &str, report: &mut Report) -> Option<T> {
        if value.is_none() {
            let kind = self.as_value().map_or("a table", kind);
            self.problem(format!("is {kind}; write {expected}"), report);
        }
        value
    }
}

/// The path of a key of the table with this path. Nobody's keys are longer than is shown.
fn path_of(path: &str, key: &str) -> String {
    let key = shortened(key, KEY_BYTES_MAX);
    if path.is_empty() {
        key.into_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn signed(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn json_object(
    path: &str,
    table: &DeTable<'_>,
    report: &mut Report,
) -> Option<serde_json::Map<String, serde_json::Value>> {
    let mut object = serde_json::Map::new();
    let mut complete = true;
    for (key, value) in table {
        let path = path_of(path, key.get_ref());
        match json(&path, value, report) {
            Some(value) => {
                object.insert(key.get_ref().to_string(), value);
            }
            None => complete = false,
        }
    }
    complete.then_some(object)
}

/// The recursion is as deep as the parser lets text be nested.
fn json(
    path: &str,
    value: &Spanned<DeValue<'_>>,
    report: &mut Report,
) -> Option<serde_json::Value> {
    let mut refuse = |problem: String| {
        report.add(path, value.span().start, problem);
        None
    };
    match value.get_ref() {
        DeValue::String(text) => Some(text.as_ref().into()),
        DeValue::Boolean(boolean) => Some((*boolean).into()),
        DeValue::Integer(integer) => match signed(integer) {
            Some(number) => Some(number.into()),
            None => refuse(format!("is {integer}; a whole number has at most 63 bits")),
        },
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok();
            match number.and_then(serde_json::Number::from_f64) {
                Some(number) => Some(number.into()),
                None => refuse(format!("is {}, which JSON cannot hold", float.as_str())),
            }
        }
        DeValue::Datetime(_) => {
            refuse("is a date or time, which JSON does not have; write it as a string".to_owned())
        }
        DeValue::Array(elements) => {
            let elements: Vec<_> = elements
                .iter()
                .enumerate()
                .map(|(index, element)| json(&format!("{path}[{index}]"), element, report))
                .collect();
            let elements: Option<Vec<_>> = elements.into_iter().collect();
            elements.map(serde_json::Value::Array)
        }
        DeValue::Table(table) => json_object(path, table, report).map(serde_json::Value::Object),
    }
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    match nearest(key, known) {
        Some(near) => format!("is not a key; did you mean {near}?"),
        None => format!("is not a key; known here: {}", known.join(", ")),
    }
}

/// The word that `text` was probably meant to be: a third of its letters may be wrong, and two
/// always may.
pub(super) fn nearest<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    if text.len() > KEY_BYTES_MAX {
        return None;
    }
    let distance = |word: &str| strsim::damerau_levenshtein(&text.to_lowercase(), word);
    let nearest = words.iter().min_by_key(|word| distance(word))?;
    (distance(nearest) <= (nearest.len() / 3).max(2)).then_some(nearest)
}

fn listed(words: &[impl Display]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
