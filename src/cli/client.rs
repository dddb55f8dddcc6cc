//! One request to the agent: HTTP/1.1 over its Unix socket.
//!
//! The commands call it. It never prints, retries or reads anything but the socket. Its errors
//! say what the operator can do, for they are printed as they are.

mod lines;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::api::ApiError;
pub(super) use lines::Lines;

/// How long connecting and answering may take together. The agent answers from memory; one that
/// needs longer hangs.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest answer taken: about 100,000 routes. More would be no agent.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Asks one agent.
#[derive(Clone, Debug)]
pub(super) struct Client {
    socket: PathBuf,
    timeout: Duration,
}

/// A JSON document the agent gave, before anything is read out of it.
#[derive(Debug)]
pub(super) struct Answer {
    socket: PathBuf,
    document: Value,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// There is no socket.
    #[error(
        "no agent listens at {}: is rutter running on this node? pass --socket if it listens elsewhere",
        .socket.display()
    )]
    NoAgent { socket: PathBuf },
    /// There is a socket, left behind by an agent that is gone.
    #[error(
        "the agent that listened at {} is gone: see its log, or pass --socket if another listens elsewhere",
        .socket.display()
    )]
    Gone { socket: PathBuf },
    /// The socket is not ours to use.
    #[error("permission denied on {}: run as the agent's user, usually root", .socket.display())]
    Denied { socket: PathBuf },
    /// Any other reason not to be connected.
    #[error("cannot reach the agent at {}", .socket.display())]
    Connect { socket: PathBuf, source: io::Error },
    /// It accepted the connection, or not even that, and said nothing.
    #[error("the agent at {} did not answer within {limit:?}: it hangs; see its log", .socket.display())]
    Timeout { socket: PathBuf, limit: Duration },
    /// It stopped in the middle, or does not speak HTTP.
    #[error("the agent at {} gave no whole answer: see its log", .socket.display())]
    Broken {
        socket: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Its answer is not shaped as this program expects.
    #[error(
        "rutter {} does not understand the answer at {}: use the program of the agent's own version, as kubectl exec in its pod does",
        env!("CARGO_PKG_VERSION"),
        .socket.display()
    )]
    Skew {
        socket: PathBuf,
        source: serde_json::Error,
    },
    /// It refused, in these words.
    #[error("{error}")]
    Refused { status: StatusCode, error: String },
}

impl Client {
    /// A client of the agent that listens at `socket`. Nothing is opened yet.
    pub(super) fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            timeout: TIMEOUT,
        }
    }

    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Asks for `path`, which begins with a slash, with these names and values as its query.
    ///
    /// # Errors
    /// There is no agent, no answer, or the agent refuses.
    pub(super) async fn ask(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer, ClientError> {
        self.request(Method::GET, path, query).await
    }

    /// As [`Self::ask`], for what changes something.
    pub(super) async fn post(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer, ClientError> {
        self.request(Method::POST, path, query).await
    }

    /// Asks for a document of any length whose parts are on lines of their own.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) async fn ask_lines(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Lines, ClientError> {
        let target = target(path, query);
        let opening = self.open(Method::GET, target);
        let response = self.in_time(opening).await?;
        let status = response.status();
        if status != StatusCode::OK {
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
            let body = self.in_time(async { body.await.map_err(|error| self.broken(error)) });
            return Err(self.refusal(status, &body.await?.to_bytes()));
        }
        Ok(Lines::new(self.clone(), response.into_body()))
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let done = tokio::time::timeout(self.timeout, work).await;
        done.unwrap_or_else(|_| {
            Err(ClientError::Timeout {
                socket: self.socket.clone(),
                limit: self.timeout,
            })
        })
    }

    fn broken(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ClientError {
        ClientError::Broken {
            socket: self.socket.clone(),
            source,
        }
    }

    fn skew(&self, source: serde_json::Error) -> ClientError {
        ClientError::Skew {
            socket: self.socket.clone(),
            source,
        }
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> ClientError {
        match serde_json::from_slice(body) {
            Ok(ApiError { error }) => ClientError::Refused { status, error },
            Err(source) => self.skew(source),
        }
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer, ClientError> {
        let target = target(path, query);
        let exchange = async {
            let response = self.open(method, target).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
            let body = body.await.map_err(|error| self.broken(error))?;
            Ok((status, body.to_bytes()))
        };
        let (status, body) = self.in_time(exchange).await?;
        if status != StatusCode::OK {
            return Err(self.refusal(status, &body));
        }
        Ok(Answer {
            socket: self.socket.clone(),
            document: serde_json::from_slice(&body).map_err(|source| self.skew(source))?,
        })
    }

    /// Sends a request; what there is of the answer is its head.
    async fn open(
        &self,
        method: Method,
        target: String,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| connect_error(&self.socket, error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(error.into()))?;
        // It ends by itself once the answer was read or dropped; its own error, if any, is the
        // answer's too.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, "localhost")
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.broken(error.into()))?;
        let sent = sender.send_request(request).await;
        sent.map_err(|error| self.broken(error.into()))
    }
}

impl Answer {
    /// The document as the agent gave it, fields this program does not know included.
    pub(super) fn document(&self) -> &Value {
        &self.document
    }

    /// What this program understands of the document.
    ///
    /// # Errors
    /// The agent is of a version that answers otherwise.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        T::deserialize(&self.document).map_err(|source| ClientError::Skew {
            socket: self.socket.clone(),
            source,
        })
    }
}

fn connect_error(socket: &Path, source: io::Error) -> ClientError {
    let socket = socket.to_owned();
    let kind = source.kind();
    if kind == io::ErrorKind::NotFound {
        ClientError::NoAgent { socket }
    } else if kind == io::ErrorKind::ConnectionRefused {
        ClientError::Gone { socket }
    } else if kind == io::ErrorKind::PermissionDenied {
        ClientError::Denied { socket }
    } else {
        ClientError::Connect { socket, source }
    }
}

/// Path and query of a request.
fn target(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", percent_encoded(value)))
        .collect();
    if pairs.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", pairs.join("&"))
    }
}

/// Everything but RFC 3986's unreserved characters (section 2.3) as `%` and two digits.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests;
