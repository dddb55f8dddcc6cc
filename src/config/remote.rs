//! Modules that are not on the node: references into registries, and URLs.
//!
//! Text in, a valid reference or what is wrong with it out; nothing is resolved here.

use std::fmt;
use std::net::IpAddr;

use crate::types::Digest;

/// `oci://REGISTRY/REPOSITORY:TAG@sha256:...`; a tag, a digest, or both. Prints as it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OciReference {
    registry: String,
    repository: String,
    version: Version,
}

/// What of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Tag(String),
    /// The tag is for people.
    Digest(Option<String>, Digest),
}

/// A repository of a registry, whatever is in it. Prints as it is written, but for names that mean the
/// same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryName(String);

/// `https://HOST/PATH`, or `http:` where the host is this one. Prints as it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpUrl(String);

/// The longest text of a reference or URL. Registries take far less.
const BYTES_MAX: usize = 2048;

impl OciReference {
    /// Reads what follows `oci://`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse();
                let wrong = "whose digest is not \"sha256:\" and 64 hexadecimal digits";
                (name, Some(digest.map_err(|_| wrong)?))
            }
            None => (text, None),
        };
        let (registry, path) = name
            .split_once('/')
            .ok_or("which names no repository; write oci://REGISTRY/REPOSITORY:TAG")?;
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        if !is_authority(registry) || text.len() > BYTES_MAX {
            return Err("whose registry is no host name, with a port or without");
        }
        if !repository.split('/').all(is_component) {
            return Err(
                "whose repository is not made of small letters, digits and single . _ - between \
                 slashes",
            );
        }
        if !tag.is_none_or(is_tag) {
            return Err("whose tag is not made of up to 128 letters, digits and . _ -");
        }
        let tag = tag.map(str::to_owned);
        let version = match (tag, digest) {
            (tag, Some(digest)) => Version::Digest(tag, digest),
            (Some(tag), None) => Version::Tag(tag),
            (None, None) => return Err("which names no version; add :TAG or @sha256:..."),
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            version,
        })
    }

    /// Host, with its port where it has one.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path of the repository in the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, also where a digest says what is meant.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        match &self.version {
            Version::Tag(tag) => Some(tag),
            Version::Digest(tag, _) => tag.as_deref(),
        }
    }

    /// Of the manifest.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match &self.version {
            Version::Tag(_) => None,
            Version::Digest(_, digest) => Some(*digest),
        }
    }

    /// What the registry is asked for: the digest, or else the tag.
    #[must_use]
    pub fn version(&self) -> String {
        match &self.version {
            Version::Tag(tag) => tag.clone(),
            Version::Digest(_, digest) => digest.to_string(),
        }
    }

    /// The same with this digest of the manifest.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self {
            version: Version::Digest(self.tag().map(str::to_owned), digest),
            ..self.clone()
        }
    }

    /// Whether the registry is on this host, and so is spoken to without TLS.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.registry)
    }

    /// The repository by its name alone.
    #[must_use]
    pub fn repository_name(&self) -> RepositoryName {
        RepositoryName::new(&self.registry, &self.repository)
    }
}

impl RepositoryName {
    /// Reads `REGISTRY/REPOSITORY`.
    ///
    /// # Errors
    /// What it is instead, to be read after its name: `is "x", which ...`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (registry, repository) = text
            .split_once('/')
            .ok_or("which names no repository; write REGISTRY/REPOSITORY")?;
        if !is_authority(registry) || text.len() > BYTES_MAX {
            return Err("whose registry is no host name, with a port or without");
        }
        if !repository.split('/').all(is_component) {
            return Err(
                "whose repository is not made of small letters, digits and single . _ - between \
                 slashes; write it without oci://, tag and digest",
            );
        }
        Ok(Self::new(registry, repository))
    }

    /// The repository of what a signature names, with a tag or digest or without.
    #[must_use]
    pub fn of_signed(reference: &str) -> Option<Self> {
        let reference = reference.split('@').next()?;
        let (registry, path) = reference.split_once('/')?;
        let repository = path.split(':').next()?;
        Self::parse(&format!("{registry}/{repository}")).ok()
    }

    /// The one registry that has several names is called by the one that references have.
    fn new(registry: &str, repository: &str) -> Self {
        let registry = registry.to_ascii_lowercase();
        match (&*registry, repository.contains('/')) {
            ("docker.io" | "index.docker.io", true) => Self(format!("docker.io/{repository}")),
            ("docker.io" | "index.docker.io", false) => {
                Self(format!("docker.io/library/{repository}"))
            }
            _ => Self(format!("{registry}/{repository}")),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HttpUrl {
    /// Reads a whole URL of one of these two schemes.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err("which carries a password; serve modules without one, or use a registry");
        }
        if !is_authority(authority) {
            return Err("whose host is no host name, with a port or without");
        }
        if path.is_empty() {
            return Err("which names no file on its host");
        }
        let printable = |octet: u8| octet.is_ascii_graphic() && octet != b'#';
        if !path.bytes().all(printable) || text.len() > BYTES_MAX {
            return Err("which has blanks, a # or letters that a URL writes as %XX");
        }
        if scheme == "http" && !is_loopback(authority) {
            return Err("without TLS to another host; write https://");
        }
        Ok(Self(text.to_owned()))
    }

    /// The whole URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.registry, self.repository)?;
        if let Some(tag) = self.tag() {
            write!(f, ":{tag}")?;
        }
        match self.digest() {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a host, with a port or without, is this one by its name alone. Nothing else may be in
/// front of it or behind it.
#[must_use]
pub fn is_loopback(authority: &str) -> bool {
    if !is_authority(authority) {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A host name, an IPv4 address or an IPv6 address in brackets; then a port, if any.
fn is_authority(text: &str) -> bool {
    let (host_ok, rest) = match text.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((address, rest)) => (address.parse::<std::net::Ipv6Addr>().is_ok(), rest),
            None => (false, ""),
        },
        None => {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let part = |part: &str| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            };
            (host.split('.').all(part), rest)
        }
    };
    let port_ok = match rest.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => rest.is_empty(),
    };
    host_ok && port_ok
}

/// A part of a repository's path: letters and digits, with separators between them only.
fn is_component(text: &str) -> bool {
    let word = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
    let separator = |octet: u8| matches!(octet, b'.' | b'_' | b'-');
    let ends = [text.bytes().next(), text.bytes().last()];
    ends.into_iter().all(|end| end.is_some_and(word))
        && text.bytes().all(|octet| word(octet) || separator(octet))
}

fn is_tag(text: &str) -> bool {
    let word = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text
            .bytes()
            .all(|octet| word(octet) || matches!(octet, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_reference_prints_as_it_is_written() {
        for (text, tag, pinned) in [
            (
                "ghcr.io/acme/policies/drain:1.2".to_owned(),
                Some("1.2"),
                false,
            ),
            ("127.0.0.1:5000/p:v1".to_owned(), Some("v1"), false),
            (format!("[::1]:5000/a/b@{DIGEST}"), None, true),
            (format!("r.example/a_b/c--d:1@{DIGEST}"), Some("1"), true),
        ] {
            let reference = OciReference::parse(&text).unwrap();
            assert_eq!(reference.to_string(), format!("oci://{text}"));
            assert_eq!(reference.tag(), tag);
            assert_eq!(reference.digest().is_some(), pinned);
            let digest = DIGEST.parse().unwrap();
            assert_eq!(reference.pinned(digest).digest(), Some(digest));
        }
    }

    #[test]
    fn a_repository_has_one_name() {
        let of = |text: &str| RepositoryName::parse(text).map(|name| name.to_string());
        assert_eq!(of("r.example:5000/a/b"), Ok("r.example:5000/a/b".into()));
        assert_eq!(of("R.Example/a"), Ok("r.example/a".into()));
        for same in ["docker.io/a", "index.docker.io/library/a"] {
            assert_eq!(of(same), Ok("docker.io/library/a".into()));
        }
        for none in ["", "a", "a/", "oci://a/b", "a/b:1", "a/B", "u@a/b"] {
            assert!(of(none).is_err(), "{none}");
        }
        let reference = OciReference::parse("docker.io/a:1").unwrap();
        let name = RepositoryName::of_signed("index.docker.io/library/a");
        assert_eq!(name, Some(reference.repository_name()));
        for signed in [
            "r.example/a/b",
            "r.example/a/b:1",
            "r.example/a/b:1@sha256:0",
        ] {
            let name = RepositoryName::of_signed(signed);
            assert_eq!(name.unwrap().to_string(), "r.example/a/b");
        }
        for none in ["", "a", "a//b", "*"] {
            assert_eq!(RepositoryName::of_signed(none), None, "{none}");
        }
    }

    #[test]
    fn a_reference_that_no_registry_takes_is_refused() {
        for text in [
            "",
            "a",
            "a/",
            "/a:1",
            "a/b",
            "a/b:",
            "a/B:1",
            "a/-b:1",
            "a//b:1",
            "a b/c:1",
            "a/b:-1",
            "a/b@sha256:1",
            "a/b:1@md5:1",
            "a:0/b:1",
            "a:70000/b:1",
            "[::1/b:1",
            "a../b:1",
            "u@a/b:1",
            "a/b:1/c",
            "a/../b:1",
            "a/b:1?x",
        ] {
            assert!(OciReference::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn without_tls_only_this_host_is_asked() {
        for (authority, loopback) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.1.2.3:80", true),
            ("[::1]:5000", true),
            ("localhost.example", false),
            ("127.0.0.1.example", false),
            ("[::2]", false),
            ("192.0.2.1:80", false),
            ("2130706433", false),
        ] {
            assert_eq!(is_loopback(authority), loopback, "{authority}");
            let plain = HttpUrl::parse(&format!("http://{authority}/a.wasm"));
            assert_eq!(plain.is_ok(), loopback, "{authority}");
            assert!(HttpUrl::parse(&format!("https://{authority}/a.wasm")).is_ok());
        }
    }

    #[test]
    fn what_only_looks_like_this_host_is_not() {
        for authority in [
            "127.0.0.1:0@registry.example",
            "localhost@registry.example",
            "localhost:pw@registry.example:443",
            "[::1]@registry.example",
            "[::1]registry.example",
            "[::1].registry.example",
            "127.0.0.1/",
            "localhost:",
            "localhost:0",
            "",
        ] {
            assert!(!is_loopback(authority), "{authority}");
        }
    }

    #[test]
    fn a_url_names_a_file_and_carries_no_secret() {
        for text in [
            "https://",
            "https:///a",
            "https://a",
            "https://a/",
            "https://u:p@a/b",
            "https://a/b c",
            "https://a/b#c",
            "https://a/é",
            "https://a:x/b",
        ] {
            assert!(HttpUrl::parse(text).is_err(), "{text}");
        }
        let url = HttpUrl::parse("https://a.example:8443/b/c.wasm?v=1").unwrap();
        assert_eq!(url.to_string(), "https://a.example:8443/b/c.wasm?v=1");
    }
}
