//! One TCP connection's two tasks: they move octets and decide nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use crate::speaker::ConnectionId;

/// One read takes what the kernel has, up to this: sixteen full messages.
const READ_BYTES_MAX: usize = 64 * 1024;
/// How long a connection we closed may take to deliver its last octets.
const LINGER: Duration = Duration::from_secs(2);

/// What a socket did.
#[derive(Debug)]
pub(super) enum SocketEvent {
    /// A dial attempt ended.
    Dialled {
        connection: ConnectionId,
        result: io::Result<TcpStream>,
    },
    /// A peer, or a stranger, dialled us.
    Accepted {
        stream: TcpStream,
        local: SocketAddr,
        remote: SocketAddr,
    },
    /// Octets arrived.
    Received {
        connection: ConnectionId,
        octets: Vec<u8>,
    },
    /// The kernel took octets.
    Transmitted {
        connection: ConnectionId,
        octets: usize,
    },
    /// The connection ended.
    Closed {
        connection: ConnectionId,
        error: Option<String>,
    },
}

/// What to write, in order. Unbounded because the speaker bounds what it hands over by what was
/// reported as transmitted. Dropping it closes the connection once all is written.
pub(super) type Outbox = mpsc::UnboundedSender<Vec<u8>>;

/// Runs a connection until it ends; its news go to `events`.
pub(super) fn spawn(
    connection: ConnectionId,
    stream: TcpStream,
    events: mpsc::Sender<SocketEvent>,
) -> Outbox {
    let (outbox, pending) = mpsc::unbounded_channel();
    tokio::spawn(run(connection, stream, pending, events));
    outbox
}

async fn run(
    connection: ConnectionId,
    stream: TcpStream,
    mut pending: mpsc::UnboundedReceiver<Vec<u8>>,
    events: mpsc::Sender<SocketEvent>,
) {
    let (reader, mut writer) = stream.into_split();
    let reading = tokio::spawn(read(connection, reader, events.clone()));
    while let Some(octets) = pending.recv().await {
        if let Err(error) = write(connection, &mut writer, &octets, &events).await {
            let closed = SocketEvent::Closed {
                connection,
                error: Some(error.to_string()),
            };
            // A driver that is gone needs no news.
            let _ = events.send(closed).await;
            break;
        }
    }
    // Reading goes on after our end of stream: closing with unread input would make the kernel
    // send a reset, which can overtake our NOTIFICATION.
    let _ = writer.shutdown().await;
    let abort = reading.abort_handle();
    if tokio::time::timeout(LINGER, reading).await.is_err() {
        abort.abort();
    }
}

async fn write(
    connection: ConnectionId,
    writer: &mut OwnedWriteHalf,
    mut octets: &[u8],
    events: &mpsc::Sender<SocketEvent>,
) -> io::Result<()> {
    while !octets.is_empty() {
        let written = writer.write(octets).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        octets = &octets[written..];
        let _ = events
            .send(SocketEvent::Transmitted {
                connection,
                octets: written,
            })
            .await;
    }
    Ok(())
}

async fn read(
    connection: ConnectionId,
    mut reader: OwnedReadHalf,
    events: mpsc::Sender<SocketEvent>,
) {
    loop {
        let mut octets = Vec::with_capacity(READ_BYTES_MAX);
        let event = match reader.read_buf(&mut octets).await {
            Ok(0) => SocketEvent::Closed {
                connection,
                error: None,
            },
            Ok(_) => SocketEvent::Received { connection, octets },
            Err(error) => SocketEvent::Closed {
                connection,
                error: Some(error.to_string()),
            },
        };
        let last = matches!(event, SocketEvent::Closed { .. });
        if events.send(event).await.is_err() || last {
            return;
        }
    }
}
