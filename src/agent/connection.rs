//! One TCP connection's two tasks: they move octets and decide nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

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
/// reported as transmitted. Dropping it closes the connection once all is written, or after
/// [`LINGER`] if the peer does not take it.
#[derive(Debug)]
pub(super) struct Outbox {
    octets: mpsc::UnboundedSender<Vec<u8>>,
    /// Only dropped: tells the task that nothing more will come, even while it is stuck writing.
    _open: oneshot::Sender<()>,
}

impl Outbox {
    /// Queues octets. A connection that has failed drops them, and reports so by itself.
    pub(super) fn send(&self, octets: Vec<u8>) {
        let _ = self.octets.send(octets);
    }
}

/// Runs a connection until it ends; its news go to `events`.
pub(super) fn spawn(
    connection: ConnectionId,
    stream: TcpStream,
    events: mpsc::Sender<SocketEvent>,
) -> Outbox {
    let (octets, pending) = mpsc::unbounded_channel();
    let (open, closing) = oneshot::channel();
    tokio::spawn(run(connection, stream, pending, closing, events));
    Outbox {
        octets,
        _open: open,
    }
}

async fn run(
    connection: ConnectionId,
    stream: TcpStream,
    pending: mpsc::UnboundedReceiver<Vec<u8>>,
    closing: oneshot::Receiver<()>,
    events: mpsc::Sender<SocketEvent>,
) {
    let (reader, mut writer) = stream.into_split();
    let mut reading = tokio::spawn(read(connection, reader, events.clone()));
    let give_up = async {
        let _ = closing.await;
        tokio::time::sleep(LINGER).await;
    };
    let farewell = async {
        write_all(connection, &mut writer, pending, &events).await;
        // Reading goes on after our end of stream: closing with unread input would make the
        // kernel send a reset, which can overtake our NOTIFICATION.
        let _ = writer.shutdown().await;
        let _ = (&mut reading).await;
    };
    // Whichever ends first ends the connection: dropping a half-done write is what giving up is.
    tokio::select! {
        () = farewell => {}
        () = give_up => reading.abort(),
    }
}

/// Writes until there is nothing more to come, or the connection fails.
async fn write_all(
    connection: ConnectionId,
    writer: &mut OwnedWriteHalf,
    mut pending: mpsc::UnboundedReceiver<Vec<u8>>,
    events: &mpsc::Sender<SocketEvent>,
) {
    while let Some(octets) = pending.recv().await {
        if let Err(error) = write(connection, writer, &octets, events).await {
            let closed = SocketEvent::Closed {
                connection,
                error: Some(error.to_string()),
            };
            // A driver that is gone needs no news.
            let _ = events.send(closed).await;
            return;
        }
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
    let mut buffer = vec![0; READ_BYTES_MAX];
    loop {
        let event = match reader.read(&mut buffer).await {
            Ok(0) => SocketEvent::Closed {
                connection,
                error: None,
            },
            // A copy: most messages are a KEEPALIVE's 19 octets, and many may wait.
            Ok(length) => SocketEvent::Received {
                connection,
                octets: buffer[..length].to_vec(),
            },
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
