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
    let mut reader = serde_json::Deserializer::from_str(json);
    let settings = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        at(&path, &without_position(error.inner()))
    })?;
    reader.end().map_err(|error| without_position(&error))?;
    Ok(settings)
}

fn without_position(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(position) = text.rfind(" at line ") {
        text.truncate(position);
    }
    text
}

/// The error with the key it is about, unless it names the key itself.
fn at(path: &str, text: &str) -> String {
    let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
    let key = if text.contains(&format!("`{last}`")) {
        parent
    } else {
        path
    };
    match key {
        // How the root is called.
        "" | "." => text.to_owned(),
        key => format!("{key}: {text}"),
    }
}
