//! Serves HTTP/1 to whoever connects, and lets nobody keep others from it.
//!
//! A connection brings one request. The head of it has a bound and a time to arrive, and the whole
//! connection has a time, so that nothing is held for long by whoever asks slowly, or does not take
//! the answer. When there are as many connections as there may be, the next one takes the place
//! of the oldest that has not asked yet, or else of the oldest: a probe is answered however many
//! connections are held open beside it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use crate::agent::accepting::AcceptTrouble;

/// How large a head may be. The longest asked for is that of one Service: some hundred bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How many headers it may have; Prometheus sends six.
const HEADERS_MAX: usize = 64;

/// What a server grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// How many connections there may be at the same time.
    connections_max: usize,
    /// How long the head of a request may take to arrive.
    head_time_max: Duration,
    /// How long a connection may last.
    connection_time_max: Duration,
}

impl Bounds {
    /// Those for so many connections. The head of a probe comes with its connection; of the whole
    /// time, an answer takes four seconds at most, and the rest is to take it.
    pub(super) fn of(connections_max: usize) -> Self {
        Self {
            connections_max,
            head_time_max: Duration::from_secs(5),
            connection_time_max: Duration::from_secs(20),
        }
    }
}

/// What connections come from.
pub(super) trait Listening {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Cancel-safe, as tokio's are.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listening for TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&self) -> io::Result<Self::Stream> {
        TcpListener::accept(self).await.map(|(stream, _)| stream)
    }
}

impl Listening for UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<Self::Stream> {
        UnixListener::accept(self).await.map(|(stream, _)| stream)
    }
}

/// Answers until the process ends.
pub(super) async fn serve(
    what: &'static str,
    listener: impl Listening,
    routes: Router,
    bounds: Bounds,
) -> anyhow::Result<()> {
    let mut trouble = AcceptTrouble::with(what);
    // The oldest first.
    let mut connections: Vec<Connection> = Vec::new();
    loop {
        match listener.accept().await {
            Ok(stream) => {
                trouble.is_over();
                connections.retain(|connection| !connection.task.is_finished());
                if connections.len() >= bounds.connections_max {
                    make_room(&mut connections).await;
                }
                connections.push(Connection::open(stream, routes.clone(), bounds));
            }
            Err(error) => trouble.wait(&error).await,
        }
    }
}

/// A connection that is served by a task.
struct Connection {
    task: JoinHandle<()>,
    /// Whether the head of its request has come.
    asked: Arc<AtomicBool>,
}

impl Connection {
    fn open(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        routes: Router,
        bounds: Bounds,
    ) -> Self {
        let asked = Arc::new(AtomicBool::new(false));
        let answering = TowerToHyperService::new(routes);
        let service = {
            let asked = Arc::clone(&asked);
            service_fn(move |request| {
                asked.store(true, Ordering::Relaxed);
                answering.call(request)
            })
        };
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.head_time_max)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        let task = tokio::spawn(async move {
            // However it ends: whoever asked, knows.
            let _ = tokio::time::timeout(bounds.connection_time_max, serving).await;
        });
        Self { task, asked }
    }
}

/// Closes one connection.
async fn make_room(connections: &mut Vec<Connection>) {
    let silent = |connection: &Connection| !connection.asked.load(Ordering::Relaxed);
    let place = connections.iter().position(silent).unwrap_or(0);
    let Connection { task, .. } = connections.remove(place);
    task.abort();
    // Its descriptor and its memory are free before they are wanted again.
    let _ = task.await;
}

#[cfg(test)]
mod tests;
