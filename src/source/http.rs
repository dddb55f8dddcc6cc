//! Requests to registries and web servers: bounded, over TLS, redirections followed.
//!
//! The fetchers of artifacts and files use it. It never asks a host without TLS but this one, goes from
//! no other host to this one, and never carries a credential from one host to another. Of what a server
//! says is wrong nothing is repeated but its status and codes that are known: it may be anything.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::SourceError;
use super::local::SIGNATURE_BYTES_MAX;
use super::origin::{check_way, same_origin};
use crate::config::HttpUrl;

/// A host that is there answers sooner, wherever it is.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Registries send on to a store of blobs, and that perhaps to a near one.
const REDIRECTIONS_MAX: usize = 5;

/// What is said about an error is a line or two.
const COMPLAINT_BYTES_MAX: usize = 64 << 10;

/// Asks servers.
pub(super) struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// What a server said, in whole.
#[derive(Debug)]
pub(super) struct Answer {
    /// Where it came from in the end.
    pub(super) url: Uri,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl HttpClient {
    /// # Errors
    /// The system's certificates cannot be read; see `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    pub(super) fn new() -> Result<Self, SourceError> {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIME_MAX));
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|source| SourceError::NoRoots { source })?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self(Client::builder(TokioExecutor::new()).build(tls)))
    }

    /// The file at a URL.
    ///
    /// # Errors
    /// There is none, it does not come whole, or it has more than `bytes_max`.
    pub(super) async fn file(
        &self,
        url: &HttpUrl,
        bytes_max: usize,
    ) -> Result<Vec<u8>, SourceError> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = parsed(url.as_str())?;
        let answer = self.send(request, bytes_max).await?;
        Ok(answer.expect(&[StatusCode::OK])?.body.into())
    }

    /// The signature beside a file: under its name and `.sig`. None where there is none.
    ///
    /// # Errors
    /// The server says neither.
    pub(super) async fn signature_of(&self, url: &HttpUrl) -> Result<Option<String>, SourceError> {
        let text = match url.as_str().split_once('?') {
            Some((path, query)) => format!("{path}.sig?{query}"),
            None => format!("{url}.sig"),
        };
        let mut request = Request::new(Full::default());
        *request.uri_mut() = parsed(&text)?;
        let answer = self.send(request, SIGNATURE_BYTES_MAX).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let signature = answer.expect(&[StatusCode::OK])?.body;
        Ok(String::from_utf8(signature.into()).ok())
    }

    /// Sends a request and reads the whole answer. A GET that is sent on is.
    ///
    /// # Errors
    /// No whole answer came, or one of more than `body_bytes_max`.
    pub(super) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        body_bytes_max: usize,
    ) -> Result<Answer, SourceError> {
        let agent = concat!("rutter/", env!("CARGO_PKG_VERSION"));
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        for _ in 0..=REDIRECTIONS_MAX {
            let (method, headers) = (request.method().clone(), request.headers().clone());
            let answer = self.send_once(request, body_bytes_max).await?;
            if method != Method::GET || !answer.status.is_redirection() {
                return Ok(answer);
            }
            request = sent_on(&answer, headers)?;
        }
        Err(SourceError::Redirect {
            url: shown(request.uri()),
            location: "yet another place".to_owned(),
            problem: "and so did those before it",
        })
    }

    async fn send_once(
        &self,
        request: Request<Full<Bytes>>,
        body_bytes_max: usize,
    ) -> Result<Answer, SourceError> {
        let url = request.uri().clone();
        let broken = |source| SourceError::Fetch {
            url: shown(&url),
            source,
        };
        let response = self.0.request(request).await;
        let (parts, body) = response.map_err(|error| broken(error.into()))?.into_parts();
        let bytes_max = if parts.status.is_success() {
            body_bytes_max
        } else {
            COMPLAINT_BYTES_MAX
        };
        let too_large = || SourceError::TooLarge {
            what: shown(&url),
            bytes_max,
        };
        // One that says so at once need not be read.
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large());
        }
        let body = match Limited::new(body, bytes_max).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(error) => return Err(broken(error)),
        };
        Ok(Answer {
            url,
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

impl Answer {
    /// The answer, where it has one of these statuses.
    ///
    /// # Errors
    /// What the server says instead.
    pub(super) fn expect(self, statuses: &[StatusCode]) -> Result<Self, SourceError> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        let said = known_code(&self.body).map_or(String::new(), |code| format!(" ({code})"));
        let advice = match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; are there credentials for it in registry-auth?"
            }
            _ => "",
        };
        Err(SourceError::Refused {
            url: shown(&self.url),
            status: self.status,
            detail: format!("{said}{advice}"),
        })
    }

    /// A header that is text.
    pub(super) fn header(&self, name: hyper::header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What of a URL is shown: servers may send on to endless ones.
const SHOWN_MAX: usize = 200;

/// A URL without its query, in which stores of blobs carry credentials.
pub(super) fn shown(url: &Uri) -> String {
    shortened(url.to_string().split('?').next().unwrap_or_default())
}

/// The beginning of what a server wrote, without what would move a terminal's cursor.
pub(super) fn shortened(text: &str) -> String {
    let letters = text.chars().filter(|letter| !letter.is_control());
    letters.take(SHOWN_MAX).collect()
}

/// A URL as requests have it.
///
/// # Errors
/// A part of it, which a registry may have given, has no place there.
pub(super) fn parsed(url: &str) -> Result<Uri, SourceError> {
    url.parse().map_err(|error| SourceError::Malformed {
        what: format!(
            "the URL {:?}",
            shortened(url.split('?').next().unwrap_or_default())
        ),
        problem: format!("cannot be asked: {error}"),
    })
}

/// The request that a redirection asks for.
fn sent_on(answer: &Answer, headers: HeaderMap) -> Result<Request<Full<Bytes>>, SourceError> {
    let from = &answer.url;
    let location = answer.header(LOCATION).unwrap_or_default();
    let refused = |problem| SourceError::Redirect {
        url: shown(from),
        location: shortened(location.split('?').next().unwrap_or_default()),
        problem,
    };
    let to = resolve(from, location).ok_or_else(|| refused("which is no URL"))?;
    check_way(from, &to).map_err(&refused)?;
    let mut request = Request::new(Full::default());
    *request.headers_mut() = headers;
    if !same_origin(from, &to) {
        request.headers_mut().remove(AUTHORIZATION);
    }
    *request.uri_mut() = to;
    Ok(request)
}

/// What `location` means in an answer from `base` (RFC 9110 10.2.2), but for paths relative to
/// the last part of the base's own: no server sends those.
pub(super) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    if location.starts_with('/') && !location.starts_with("//") {
        let (scheme, authority) = (base.scheme_str()?, base.authority()?);
        return format!("{scheme}://{authority}{location}").parse().ok();
    }
    let url: Uri = location.parse().ok()?;
    url.scheme().is_some().then_some(url)
}

/// What a registry may say is wrong, by the OCI distribution specification and the one before it.
const CODES: [&str; 19] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DENIED",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "MANIFEST_UNVERIFIED",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "RANGE_INVALID",
    "SIZE_INVALID",
    "TAG_INVALID",
    "TOOMANYREQUESTS",
    "UNAUTHORIZED",
    "UNAVAILABLE",
    "UNKNOWN",
    "UNSUPPORTED",
];

/// The first code of those known, of the JSON in which a registry says what is wrong.
fn known_code(body: &[u8]) -> Option<&'static str> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let said = document.get("errors")?.get(0)?.get("code")?.as_str()?;
    CODES.into_iter().find(|code| *code == said)
}
