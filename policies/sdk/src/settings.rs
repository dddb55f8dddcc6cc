//! Settings: a JSON object that the agent makes from the operator's TOML.

use std::fmt;

use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The settings of a policy that has none: `{}`, and any key is an error that names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoSettings;

impl<'de> Deserialize<'de> for NoSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Empty)
    }
}

struct Empty;

impl<'de> Visitor<'de> for Empty {
    type Value = NoSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an empty object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NoSettings, A::Error> {
        map.next_key::<String>()?.map_or(Ok(NoSettings), |key| {
            Err(A::Error::custom(format_args!(
                "unknown setting `{key}`: this policy has no settings"
            )))
        })
    }
}

/// Settings read from the text the agent gave.
///
/// # Errors
/// In words for the operator, who wrote TOML: without the position in the JSON.
pub(crate) fn parse<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    // Serde would take an array for a struct.
    if !json.trim_start().starts_with('{') {
        return Err("settings must be a JSON object".into());
    }
    serde_json::from_str(json).map_err(|error| {
        let mut text = error.to_string();
        if let Some(position) = text.rfind(" at line ") {
            text.truncate(position);
        }
        text
    })
}
