//! The two HTTP servers: the command line's on a Unix socket, and health and metrics on TCP.
//!
//! Both only read. Whoever may open the socket's file (mode 0600) may ask; the TCP one tells
//! nothing that names a Service.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::metrics;
use super::report::Reporter;
use crate::api::{ApiError, Readiness};

/// Less than the command line and the probes wait: they shall hear why there is no answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(4);

/// Opens the command line's socket, replacing one that a former process left.
pub(super) async fn bind_socket(path: &Path) -> anyhow::Result<UnixListener> {
    if path.exists() {
        if UnixStream::connect(path).await.is_ok() {
            anyhow::bail!(
                "another agent answers at {}: stop it, or set another api.socket",
                path.display()
            );
        }
        std::fs::remove_file(path)
            .with_context(|| format!("cannot remove the stale socket {}", path.display()))?;
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {} for the socket", folder.display()))?;
    }
    let listener = UnixListener::bind(path)
        .with_context(|| format!("cannot listen on {} (api.socket)", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot restrict who may open {}", path.display()))?;
    Ok(listener)
}

/// Answers the command line until the process ends.
pub(super) async fn serve_socket(
    listener: UnixListener,
    reporter: Arc<Reporter>,
) -> anyhow::Result<()> {
    let routes = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/routes", get(routes))
        .route("/v1/explain", get(explain))
        .fallback(async || {
            error(
                StatusCode::NOT_FOUND,
                "no such request; see `rutter --help`",
            )
        })
        .with_state(reporter);
    axum::serve(listener, routes)
        .await
        .context("the API socket failed")
}

/// Answers probes and scrapes until the process ends.
pub(super) async fn serve_metrics(
    listener: TcpListener,
    reporter: Arc<Reporter>,
) -> anyhow::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(reporter);
    axum::serve(listener, routes)
        .await
        .context("the metrics server failed")
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
    Query(query): Query<RoutesQuery>,
) -> Response {
    answer(async {
        if let Some(peer) = &query.peer {
            let known = reporter.peer_names().await?;
            if !known.contains(peer) {
                let text = format!(
                    "no peer is called `{peer}`; there are: {}",
                    known.join(", ")
                );
                return Ok(error(StatusCode::NOT_FOUND, &text));
            }
        }
        let mut report = reporter.routes(query.peer).await?;
        report
            .routes
            .retain(|route| route.decision.accepted != query.rejected);
        Ok(Json(report).into_response())
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
    Query(query): Query<ExplainQuery>,
) -> Response {
    answer(async {
        Ok(match reporter.explain(&query.subject).await? {
            Ok(explanation) => Json(explanation).into_response(),
            Err(unknown) => error(StatusCode::NOT_FOUND, &unknown),
        })
    })
    .await
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
