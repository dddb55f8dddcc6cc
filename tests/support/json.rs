//! Reading JSON that other programs print, where a field may be missing.

use std::str::FromStr;

use serde_json::Value;

/// The elements; none where it is no array.
pub(crate) fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The members; none where it is no object.
pub(crate) fn map(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, member)| (name.as_str(), member))
}

/// The text.
pub(crate) fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

/// The number.
pub(crate) fn integer(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| number.try_into().ok())
}

/// What the text says.
pub(crate) fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}
