//! One repository of a registry, spoken to as the OCI distribution specification says.
//!
//! Pulling and pushing use it. It shows credentials only after the registry itself asked for them, and
//! only to it or to the server of tokens that it names; a place that it sends on to may ask in vain.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode, Uri};

use super::auth::{Challenge, Credentials, secret};
use super::http::{Answer, HttpClient, parsed, shown};
use super::index::{DOCKER_LIST, INDEX};
use super::manifest::{DOCKER_MANIFEST, MANIFEST, MANIFEST_BYTES_MAX};
use super::origin::{check_way, same_origin};
use super::{SourceError, digest_of};
use crate::config::OciReference;
use crate::types::Digest;

/// A token is some kilobytes.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// A repository, and what it has let us do so far.
pub(super) struct Repository<'c> {
    http: &'c HttpClient,
    /// `https://HOST/v2/REPOSITORY`.
    base: String,
    /// `HOST/REPOSITORY`, for messages.
    name: String,
    credentials: Option<Credentials>,
    /// What the registry took last.
    authorization: Mutex<Option<HeaderValue>>,
}

/// A request that can be sent again.
pub(super) struct Ask<'b> {
    pub(super) method: Method,
    pub(super) url: String,
    /// `accept` of a GET, `content-type` of anything else.
    pub(super) media_types: &'b str,
    pub(super) body: Bytes,
    /// Of the answer.
    pub(super) body_bytes_max: usize,
}

impl<'c> Repository<'c> {
    /// The repository of a reference, with the credentials for it where a file has them.
    ///
    /// # Errors
    /// The file of credentials cannot be used.
    pub(super) fn new(
        http: &'c HttpClient,
        reference: &OciReference,
        registry_auth: Option<&Path>,
    ) -> Result<Self, SourceError> {
        let (registry, repository) = (reference.registry(), reference.repository());
        let credentials = match registry_auth {
            Some(path) => Credentials::find(path, registry)?,
            None => None,
        };
        let scheme = if reference.is_loopback() {
            "http"
        } else {
            "https"
        };
        // The one registry whose name is not where it is.
        let (host, library) = match registry {
            "docker.io" if repository.contains('/') => ("registry-1.docker.io", ""),
            "docker.io" => ("registry-1.docker.io", "library/"),
            _ => (registry, ""),
        };
        Ok(Self {
            http,
            base: format!("{scheme}://{host}/v2/{library}{repository}"),
            name: format!("{registry}/{repository}"),
            credentials,
            authorization: Mutex::new(None),
        })
    }

    /// A URL below the repository's.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// The manifest, or index, of a tag or digest; nothing where there is none.
    ///
    /// # Errors
    /// The registry gives no answer, or one that says neither.
    pub(super) async fn manifest(&self, version: &str) -> Result<Option<Bytes>, SourceError> {
        let accept = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST].join(", ");
        let answer = self
            .ask(&Ask {
                method: Method::GET,
                url: self.url(&format!("manifests/{version}")),
                media_types: &accept,
                body: Bytes::new(),
                body_bytes_max: MANIFEST_BYTES_MAX,
            })
            .await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(answer.expect(&[StatusCode::OK])?.body))
    }

    /// A blob, and no other than that.
    ///
    /// # Errors
    /// It is not there, larger than `bytes_max`, or not what its name says.
    pub(super) async fn blob(
        &self,
        digest: Digest,
        bytes_max: usize,
    ) -> Result<Bytes, SourceError> {
        let answer = self
            .ask(&Ask {
                method: Method::GET,
                url: self.url(&format!("blobs/{digest}")),
                media_types: "*/*",
                body: Bytes::new(),
                body_bytes_max: bytes_max,
            })
            .await?;
        let body = answer.expect(&[StatusCode::OK])?.body;
        let found = digest_of(&body);
        if found != digest {
            return Err(SourceError::WrongDigest {
                what: format!("a blob of {}", self.name),
                expected: digest,
                found,
            });
        }
        Ok(body)
    }

    /// Sends a request, with credentials where the registry wants them.
    ///
    /// # Errors
    /// No whole answer came.
    pub(super) async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, SourceError> {
        let answer = self.ask_once(ask).await?;
        let ours = same_origin(&answer.url, &parsed(&self.base)?);
        if answer.status != StatusCode::UNAUTHORIZED || !ours {
            return Ok(answer);
        }
        let challenge = answer.header(WWW_AUTHENTICATE).and_then(Challenge::parse);
        let Some(authorization) = self.authorize(challenge).await? else {
            return Ok(answer);
        };
        *self.taken() = Some(authorization);
        self.ask_once(ask).await
    }

    async fn ask_once(&self, ask: &Ask<'_>) -> Result<Answer, SourceError> {
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        let url = self.way_to(&ask.url)?;
        let ours = same_origin(&url, &parsed(&self.base)?);
        *request.uri_mut() = url;
        let media_types = HeaderValue::from_str(ask.media_types);
        let media_types = media_types.expect("media types are written in this program");
        let kind = match ask.method {
            Method::GET | Method::HEAD => ACCEPT,
            _ => CONTENT_TYPE,
        };
        request.headers_mut().insert(kind, media_types);
        if let Some(authorization) = self.taken().clone()
            && ours
        {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        self.http.send(request, ask.body_bytes_max).await
    }

    /// A URL that the registry gave, if it may be asked.
    fn way_to(&self, url: &str) -> Result<Uri, SourceError> {
        let (base, url) = (parsed(&self.base)?, parsed(url)?);
        check_way(&base, &url).map_err(|problem| SourceError::Redirect {
            url: self.base.clone(),
            location: shown(&url),
            problem,
        })?;
        Ok(url)
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Option<HeaderValue>> {
        self.authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What to show a registry that asks for this; nothing where we have nothing.
    async fn authorize(
        &self,
        challenge: Option<Challenge>,
    ) -> Result<Option<HeaderValue>, SourceError> {
        let basic = self.credentials.as_ref().and_then(Credentials::header);
        let (realm, service, scope) = match challenge {
            None => return Ok(None),
            Some(Challenge::Basic) => return Ok(basic),
            Some(Challenge::Bearer {
                realm,
                service,
                scope,
            }) => (realm, service, scope),
        };
        let query = [("service", service), ("scope", scope)]
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", escaped(&value?))))
            .collect::<Vec<_>>()
            .join("&");
        let separator = if realm.contains('?') { '&' } else { '?' };
        let url = self.way_to(&format!("{realm}{separator}{query}"))?;
        let mut request = Request::new(Full::default());
        *request.uri_mut() = url;
        if let Some(basic) = basic {
            request.headers_mut().insert(AUTHORIZATION, basic);
        }
        let answer = self.http.send(request, TOKEN_BYTES_MAX).await?;
        let answer = answer.expect(&[StatusCode::OK])?;
        let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = ["token", "access_token"]
            .into_iter()
            .find_map(|key| document.get(key)?.as_str());
        match token.and_then(|token| secret(&format!("Bearer {token}"))) {
            Some(authorization) => Ok(Some(authorization)),
            None => Err(SourceError::Malformed {
                what: format!("the answer of {}", shown(&answer.url)),
                problem: "has no token in it".to_owned(),
            }),
        }
    }
}

/// A value as a query carries it (RFC 3986 2.1).
pub(super) fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for octet in value.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(octet));
            }
            _ => text.push_str(&format!("%{octet:02X}")),
        }
    }
    text
}
