//! One object as it was served, read field by field; what is wrong is noted and named.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fields::{Support, table};
use super::{Kind, Problem};
use crate::types::shortened;

/// What is shown of a value that is wrong.
const SHOWN_BYTES_MAX: usize = 200;

/// A field has a value that cannot be read, which has been noted.
#[derive(Debug)]
pub(super) struct Unreadable;

/// Reads an object's `spec`.
pub(super) struct Reader<'o> {
    kind: Kind,
    name: String,
    spec: &'o Value,
    problems: Vec<Problem>,
}

impl<'o> Reader<'o> {
    /// Notes what of the `spec` is not heeded.
    pub(super) fn new(kind: Kind, name: &str, object: &'o Value) -> Self {
        let spec = &object["spec"];
        let mut reader = Self {
            kind,
            name: name.to_owned(),
            spec,
            problems: Vec::new(),
        };
        match spec {
            Value::Object(fields) => reader.look_through(fields, ""),
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                reader.problem("", "is no object");
            }
        }
        reader
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn problem(&mut self, path: &str, words: impl Into<String>) {
        let field = match path {
            "" => "spec".to_owned(),
            path => format!("spec.{path}"),
        };
        self.note(field, words.into());
    }

    /// A problem of a field that is not below `spec`, or with the whole object.
    pub(super) fn note(&mut self, field: String, words: String) {
        self.problems.push(Problem {
            kind: self.kind,
            name: self.name.clone(),
            field,
            words,
        });
    }

    /// The value at a path such as `password.secretKeyRef.name`.
    pub(super) fn value(&self, path: &str) -> &'o Value {
        let keys = path.split('.').filter(|key| !key.is_empty());
        keys.fold(self.spec, |value, key| &value[key])
    }

    /// The same, read.
    pub(super) fn field<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<Option<T>, Unreadable> {
        let value = self.value(path);
        if value.is_null() {
            return Ok(None);
        }
        T::deserialize(value).map(Some).map_err(|error| {
            self.problem(path, format!("is {}: {error}", shown(value)));
            Unreadable
        })
    }

    /// A text that is there and not empty, as something.
    pub(super) fn text<T>(
        &mut self,
        path: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Unreadable> {
        match self.field::<String>(path)? {
            Some(text) if !text.is_empty() => self.checked(path, read(&text)).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// What was read of a field, or the words for what is wrong with it.
    pub(super) fn checked<T>(
        &mut self,
        path: &str,
        read: Result<T, String>,
    ) -> Result<T, Unreadable> {
        read.map_err(|words| {
            self.problem(path, words);
            Unreadable
        })
    }

    /// One of a few words; the first where there is none.
    pub(super) fn choice<T: Copy>(
        &mut self,
        path: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, Unreadable> {
        self.text(path, |text| {
            let mut known = choices.iter();
            let choice = known.find(|(word, _)| *word == text);
            choice.map(|(_, choice)| *choice).ok_or_else(|| {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                format!("is {text:?}; write {}", words.join(" or "))
            })
        })
    }

    /// The elements of a list.
    pub(super) fn list(&mut self, path: &str) -> Result<&'o [Value], Unreadable> {
        match self.value(path) {
            Value::Null => Ok(&[]),
            Value::Array(elements) => Ok(elements),
            value @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                self.problem(path, format!("is {}, which is no list", shown(value)));
                Err(Unreadable)
            }
        }
    }

    fn look_through(&mut self, fields: &Map<String, Value>, above: &str) {
        for (key, value) in fields {
            let path = format!("{above}{key}");
            self.look_at(&path, value);
        }
    }

    fn look_at(&mut self, path: &str, value: &Value) {
        let kind = self.kind;
        // Places in lists are told, and are not part of the table's paths.
        let row = |wanted: &str| {
            let mut rows = table(kind).iter();
            let path = without_places(path);
            rows.find(|(known, _)| *known == format!("{path}{wanted}"))
        };
        if let Some((_, support)) = row("") {
            match support {
                Support::Read | Support::Elsewhere => {}
                Support::Refused { unless, why } => {
                    if !value.is_null() && !unless.contains(&value.to_string().as_str()) {
                        let shown = shown(value);
                        self.problem(path, format!("is {shown}, which is not heeded: {why}"));
                    }
                }
            }
            return;
        }
        let inside = format!("{}.", without_places(path));
        let inside_list = format!("{}[].", without_places(path));
        let is_above = |begin: &str| {
            table(kind)
                .iter()
                .any(|(known, _)| known.starts_with(begin))
        };
        match value {
            Value::Object(fields) if is_above(&inside) => {
                self.look_through(fields, &format!("{path}."));
            }
            Value::Array(elements) if is_above(&inside_list) => {
                for (index, element) in elements.iter().enumerate() {
                    if let Value::Object(fields) = element {
                        self.look_through(fields, &format!("{path}[{index}]."));
                    }
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_)
            | Value::Array(_) => {
                if !is_above(&inside) && !is_above(&inside_list) {
                    self.problem(path, "is not known here and not heeded");
                }
            }
        }
    }
}

/// `a[3].b` as `a[].b`.
fn without_places(path: &str) -> String {
    let mut rest = path;
    let mut without = String::new();
    while let Some((before, after)) = rest.split_once('[') {
        without.push_str(before);
        without.push_str("[]");
        rest = after.split_once(']').map_or("", |(_, after)| after);
    }
    without.push_str(rest);
    without
}

pub(super) fn shown(value: &Value) -> String {
    shortened(&value.to_string(), SHOWN_BYTES_MAX).into_owned()
}
