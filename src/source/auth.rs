//! Credentials of registries, and what a registry asks to be shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header::HeaderValue;
use serde::Deserialize;

use super::SourceError;
use crate::files;

/// A file of credentials is some lines long.
const FILE_BYTES_MAX: usize = 1 << 20;

/// A name and a password, as HTTP's Basic scheme has them: joined by a colon.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials(String);

/// What a registry asks for (RFC 9110 11.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// The credentials themselves.
    Basic,
    /// A token of this server's.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// The part of a docker-config file that is read.
#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Credentials {
    /// Those for `registry` in a docker-config file, if there are any.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub(super) fn find(path: &Path, registry: &str) -> Result<Option<Self>, SourceError> {
        let unusable = |problem: String| SourceError::Setup {
            path: path.into(),
            problem,
        };
        let text =
            files::read(path, FILE_BYTES_MAX).map_err(|error| unusable(error.to_string()))?;
        let DockerConfig { mut auths } =
            serde_json::from_slice(&text).map_err(|error| unusable(error.to_string()))?;
        let names = [
            registry.to_owned(),
            format!("https://{registry}"),
            format!("https://{registry}/v1/"),
            format!("https://{registry}/v2/"),
            // What docker login writes for its default registry.
            match registry {
                "docker.io" => "https://index.docker.io/v1/".to_owned(),
                _ => registry.to_owned(),
            },
        ];
        let Some(entry) = names.iter().find_map(|name| auths.remove(name)) else {
            return Ok(None);
        };
        let joined = match entry {
            Entry {
                auth: Some(auth), ..
            } => BASE64
                .decode(auth.trim())
                .ok()
                .and_then(|octets| String::from_utf8(octets).ok())
                .filter(|joined| joined.contains(':')),
            Entry {
                auth: None,
                username: Some(username),
                password: Some(password),
            } => Some(format!("{username}:{password}")),
            Entry { .. } => None,
        };
        match joined {
            Some(joined) => Ok(Some(Self(joined))),
            None => Err(unusable(format!(
                "of {registry} it holds no auth and no username with password; credential helpers \
                 are not asked"
            ))),
        }
    }

    /// The value of an `authorization` header.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        secret(&format!("Basic {}", BASE64.encode(&self.0)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// A header's value that no log shows.
pub(super) fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Challenge {
    /// Reads a `www-authenticate` header, of which registries send one with one challenge.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        Some(Self::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scope: parameters.remove("scope"),
        })
    }
}

/// `key="value"` with commas between them; a value may have commas of its own.
fn parameters(mut text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    while let Some((key, rest)) = text.split_once('=') {
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        let key = key.trim_matches([' ', ',']).to_ascii_lowercase();
        found.insert(key, value.to_owned());
        text = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, registry: &str) -> Result<Option<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        let found = Credentials::find(&path, registry);
        found
            .map(|credentials| credentials.map(|Credentials(joined)| joined))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn credentials_are_found_by_the_registrys_name_as_docker_writes_it() {
        let text = r#"{
            "auths": {
                "r.example:5000": {"auth": "bmFtZTpwYXNz"},
                "https://s.example": {"username": "a", "password": "b:c"},
                "https://index.docker.io/v1/": {"auth": "eDp5"},
                "helped.example": {}
            },
            "credsStore": "desktop"
        }"#;
        assert_eq!(find(text, "r.example:5000"), Ok(Some("name:pass".into())));
        assert_eq!(find(text, "s.example"), Ok(Some("a:b:c".into())));
        assert_eq!(find(text, "docker.io"), Ok(Some("x:y".into())));
        assert_eq!(find(text, "r.example"), Ok(None));
        assert_eq!(find("{}", "r.example"), Ok(None));
        let error = find(text, "helped.example").unwrap_err();
        assert!(
            error.contains("credential helpers are not asked"),
            "{error}"
        );
        assert!(find("auths", "r.example").is_err());
    }

    #[test]
    fn a_password_prints_nowhere() {
        let credentials = Credentials("name:hunter2".into());
        let header = credentials.header().unwrap();
        assert_eq!(header, "Basic bmFtZTpodW50ZXIy");
        for printed in [format!("{credentials:?}"), format!("{header:?}")] {
            assert!(
                !printed.contains("hunter2") && !printed.contains("bmFt"),
                "{printed}"
            );
        }
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        assert_eq!(
            Challenge::parse("Basic realm=\"Registry\""),
            Some(Challenge::Basic)
        );
        let header = r#"Bearer realm="https://auth.example/token",service="r.example", scope="repository:a/b:pull,push""#;
        assert_eq!(
            Challenge::parse(header),
            Some(Challenge::Bearer {
                realm: "https://auth.example/token".into(),
                service: Some("r.example".into()),
                scope: Some("repository:a/b:pull,push".into()),
            })
        );
        for unknown in ["", "Negotiate", "Bearer service=\"x\"", "Bearer"] {
            assert_eq!(Challenge::parse(unknown), None, "{unknown}");
        }
    }
}
