//! The two HTTP servers: the command line's on a Unix socket, and health and metrics on TCP.
//!
//! Both only read, but for three requests on the socket: the approval of a change that is held back,
//! and those by which the node leaves its peers and joins them again.
//! Whoever may open the socket's file (mode 0600) may ask; the TCP one tells nothing that names a
//! Service.

mod serve;
mod streamed;

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::leaving;
use super::metrics;
use super::record::LearnedRoutes;
use super::reload::NotApproved;
use super::report::Reporter;
use crate::api::{ApiError, Approved, Readiness};
use serve::{Bounds, serve};

/// Less than the command line and the probes wait: they shall hear why there is no answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(4);

/// A little less, so that whoever approves is told what is being waited for.
const APPROVAL_TIME_MAX: Duration = Duration::from_millis(3500);

/// `sun_path` has 108 octets, the last of which is zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Questions are rare; this many may come at the same moment.
const SOCKET_BACKLOG: i32 = 128;

/// The socket's file, which goes with it.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // One that is gone already is no loss.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Opens the command line's socket, replacing one that a former process left.
///
/// # Errors
/// The path is too long, another agent answers there, or it is no socket's; or the folder does
/// not allow it.
pub(super) async fn bind_socket(path: &Path) -> anyhow::Result<(UnixListener, SocketFile)> {
    let shown = path.display();
    let length = path.as_os_str().len();
    anyhow::ensure!(
        length <= SOCKET_PATH_BYTES_MAX,
        "api.socket {shown} has {length} bytes, a socket's path at most {SOCKET_PATH_BYTES_MAX}"
    );
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        anyhow::ensure!(
            metadata.file_type().is_socket(),
            "{shown} exists and is no socket: set another api.socket"
        );
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)
                    .with_context(|| format!("cannot remove the stale socket {shown}"))?;
            }
            // One that is too busy to take a connection runs, too.
            Ok(_) | Err(_) => {
                anyhow::bail!("another agent has {shown}: stop it, or set another api.socket")
            }
        }
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {} for the socket", folder.display()))?;
    }
    let listener =
        listen_privately(path).with_context(|| format!("cannot listen on {shown} (api.socket)"))?;
    Ok((listener, SocketFile(path.to_owned())))
}

/// Listens on a socket that only its owner may open, at no moment anybody else.
fn listen_privately(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Linux gives the file of a socket the mode that the socket has when it is bound.
    let socket = File::from(OwnedFd::from(socket));
    socket.set_permissions(Permissions::from_mode(0o600))?;
    let socket = Socket::from(OwnedFd::from(socket));
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(SOCKET_BACKLOG)?;
    UnixListener::from_std(OwnedFd::from(socket).into())
}

/// Answers the command line until the process ends.
pub(super) async fn serve_socket(
    listener: UnixListener,
    reporter: Arc<Reporter>,
    connections_max: usize,
) -> anyhow::Result<()> {
    let routes = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/routes", get(routes))
        .route("/v1/received", get(received))
        .route("/v1/explain", get(explain))
        .route("/v1/policy/approve", post(approve))
        .route("/v1/leave", post(leave))
        .route("/v1/join", post(join))
        .route("/v1/policy/batch", get(policy_batch))
        .route("/v1/policy/shadow", get(shadow))
        .fallback(async || {
            error(
                StatusCode::NOT_FOUND,
                "no such request; see `rutter --help`",
            )
        })
        .with_state(reporter);
    let bounds = Bounds::of(connections_max);
    serve("requests of the command line", listener, routes, bounds).await
}

/// Answers probes and scrapes until the process ends.
pub(super) async fn serve_metrics(
    listener: TcpListener,
    reporter: Arc<Reporter>,
    connections_max: usize,
) -> anyhow::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(reporter);
    let bounds = Bounds::of(connections_max);
    serve("probes and scrapes", listener, routes, bounds).await
}

/// Waits for an answer, but not for ever.
async fn answer<T: IntoResponse>(work: impl Future<Output = anyhow::Result<T>>) -> Response {
    match tokio::time::timeout(ANSWER_TIME_MAX, work).await {
        Ok(Ok(answer)) => answer.into_response(),
        Ok(Err(failure)) => error(StatusCode::SERVICE_UNAVAILABLE, &format!("{failure:#}")),
        Err(_elapsed) => error(
            StatusCode::SERVICE_UNAVAILABLE,
            "no answer in 4 s: the agent is busy, perhaps with a slow policy; see its log",
        ),
    }
}

fn error(status: StatusCode, text: &str) -> Response {
    (
        status,
        Json(ApiError {
            error: text.to_owned(),
        }),
    )
        .into_response()
}

/// What a request asks for, read from its query; one that is unclear is told so as all errors are.
struct Asked<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(unclear) => Err(error(StatusCode::BAD_REQUEST, &unclear.body_text())),
        }
    }
}

async fn status(State(reporter): State<Arc<Reporter>>) -> Response {
    answer(async { reporter.status().await.map(Json) }).await
}

/// The query of `/v1/routes`.
#[derive(Deserialize)]
struct RoutesQuery {
    #[serde(default)]
    rejected: bool,
    peer: Option<String>,
}

async fn routes(
    State(reporter): State<Arc<Reporter>>,
    Asked(query): Asked<RoutesQuery>,
) -> Response {
    answer(async {
        if let Some(unknown) = unknown_peer(&reporter, query.peer.as_ref()).await? {
            return Ok(unknown);
        }
        let mut report = reporter.routes(query.peer).await?;
        report
            .routes
            .retain(|route| route.decision.accepted != query.rejected);
        Ok(Json(report).into_response())
    })
    .await
}

/// The answer where a peer is asked about that there is none of.
async fn unknown_peer(
    reporter: &Reporter,
    peer: Option<&String>,
) -> anyhow::Result<Option<Response>> {
    let Some(peer) = peer else {
        return Ok(None);
    };
    let known = reporter.peer_names().await?;
    if known.contains(peer) {
        return Ok(None);
    }
    let text = format!(
        "no peer is called `{peer}`; there are: {}",
        known.join(", ")
    );
    Ok(Some(error(StatusCode::NOT_FOUND, &text)))
}

/// The query of `/v1/received`.
#[derive(Deserialize)]
struct ReceivedQuery {
    peer: Option<String>,
}

async fn received(
    State(reporter): State<Arc<Reporter>>,
    Asked(query): Asked<ReceivedQuery>,
) -> Response {
    answer(async {
        if let Some(unknown) = unknown_peer(&reporter, query.peer.as_ref()).await? {
            return Ok(unknown);
        }
        let mut listing = Arc::clone(&reporter).received(query.peer).await?;
        // What keeps it from its first page is said as such.
        let first = listing.next().await?;
        Ok(streamed::response(listing, first))
    })
    .await
}

/// The query of `/v1/explain`.
#[derive(Deserialize)]
struct ExplainQuery {
    subject: String,
}

async fn explain(
    State(reporter): State<Arc<Reporter>>,
    Asked(query): Asked<ExplainQuery>,
) -> Response {
    answer(async {
        Ok(match reporter.explain(&query.subject).await? {
            Ok(explanation) => Json(explanation).into_response(),
            Err(unknown) => error(StatusCode::NOT_FOUND, &unknown),
        })
    })
    .await
}

/// The query of `/v1/policy/approve`.
#[derive(Deserialize)]
struct ApproveQuery {
    id: String,
}

async fn approve(
    State(reporter): State<Arc<Reporter>>,
    Asked(ApproveQuery { id }): Asked<ApproveQuery>,
) -> Response {
    answer(async {
        let approved = reporter.approve(id.clone());
        // The change is tried to its end, whoever waits.
        let Ok(approved) = tokio::time::timeout(APPROVAL_TIME_MAX, approved).await else {
            let text = "no answer yet: the change is still being tried; see `rutter status`";
            return Ok(error(StatusCode::SERVICE_UNAVAILABLE, text));
        };
        Ok(match approved? {
            Ok(effect) => Json(Approved { id, effect }).into_response(),
            Err(refusal) => {
                let status = match refusal {
                    NotApproved::NothingHeld => StatusCode::NOT_FOUND,
                    NotApproved::AnotherHeld { .. } | NotApproved::Refused { .. } => {
                        StatusCode::CONFLICT
                    }
                };
                error(status, &refusal.to_string())
            }
        })
    })
    .await
}

/// The query of `/v1/leave`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct LeaveQuery {
    if_removed: Option<String>,
}

async fn leave(
    State(reporter): State<Arc<Reporter>>,
    Asked(LeaveQuery { if_removed }): Asked<LeaveQuery>,
) -> Response {
    // Longer than an answer otherwise takes: two parts with a bound each of their own.
    let left = match if_removed {
        Some(daemon_set) => leaving::leave_if_removed(&reporter.speaker, &daemon_set).await,
        None => leaving::leave(&reporter.speaker).await,
    };
    match left {
        Ok(membership) => Json(membership).into_response(),
        Err(problem) => error(StatusCode::BAD_REQUEST, &format!("{problem:#}")),
    }
}

async fn join(State(reporter): State<Arc<Reporter>>) -> Response {
    answer(async { Ok(Json(leaving::join(&reporter.speaker).await?).into_response()) }).await
}

/// The query of `/v1/policy/batch`.
#[derive(Deserialize)]
struct BatchQuery {
    #[serde(default)]
    learned: bool,
}

async fn policy_batch(
    State(reporter): State<Arc<Reporter>>,
    Asked(BatchQuery { learned }): Asked<BatchQuery>,
) -> Response {
    let learned = if learned {
        LearnedRoutes::Wanted
    } else {
        LearnedRoutes::Unwanted
    };
    answer(async {
        Ok(match reporter.policy_batch(learned).await? {
            Some(document) => Json(document).into_response(),
            None => error(
                StatusCode::SERVICE_UNAVAILABLE,
                "the own Node is not known, so policies are asked nothing; see `rutter status`",
            ),
        })
    })
    .await
}

async fn shadow(State(reporter): State<Arc<Reporter>>) -> Response {
    answer(async { reporter.shadow().await.map(Json) }).await
}

async fn healthz(State(reporter): State<Arc<Reporter>>) -> Response {
    answer(async { reporter.alive().await.map(|()| "ok\n") }).await
}

async fn readyz(State(reporter): State<Arc<Reporter>>) -> Response {
    answer(async {
        Ok(match reporter.status().await?.readiness {
            Readiness::Ready => "ok\n".into_response(),
            Readiness::Waiting { waiting_for } => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("waiting for {waiting_for}\n"),
            )
                .into_response(),
            Readiness::Closed { reason } => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
            }
        })
    })
    .await
}

async fn scrape(State(reporter): State<Arc<Reporter>>) -> Response {
    answer(async {
        let text = metrics::encode(reporter.scrape().await?)?;
        Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
    })
    .await
}

#[cfg(test)]
mod tests;
