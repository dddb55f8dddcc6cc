//! One TCP connection's two tasks: they move octets and decide nothing.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
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

/// What has arrived of a connection and the driver has not taken: in the kernel, or in the hands
/// of the reading task.
///
/// A process that was stopped, or kept from running, for longer than a hold time finds its timers
/// expired and its input unread. Whether a peer was silent cannot be told before this says that
/// there is nothing.
#[derive(Debug)]
pub(super) struct Intake {
    stream: Weak<TcpStream>,
    in_hand: Arc<AtomicUsize>,
}

impl Intake {
    /// Whether there is anything.
    pub(super) fn has_something(&self) -> bool {
        // In this order: the reading task counts before it reads, so that what it has just taken
        // out of the kernel is counted by the time the kernel says that it has nothing.
        self.kernel_has_something() || self.in_hand.load(Ordering::SeqCst) > 0
    }

    /// What the reading task had in hand was taken.
    pub(super) fn taken(&self) {
        self.in_hand.fetch_sub(1, Ordering::SeqCst);
    }

    fn kernel_has_something(&self) -> bool {
        let mut octet = [MaybeUninit::uninit()];
        // The end of the stream is nothing to wait for, nor is an error: both are told.
        self.stream.upgrade().is_some_and(|stream| {
            SockRef::from(&*stream)
                .peek(&mut octet)
                .is_ok_and(|n| n > 0)
        })
    }
}

/// Runs a connection until it ends; its news go to `events`.
pub(super) fn spawn(
    connection: ConnectionId,
    stream: TcpStream,
    events: mpsc::Sender<SocketEvent>,
) -> (Outbox, Intake) {
    let (octets, pending) = mpsc::unbounded_channel();
    let (open, closing) = oneshot::channel();
    let stream = Arc::new(stream);
    let intake = Intake {
        stream: Arc::downgrade(&stream),
        in_hand: Arc::default(),
    };
    let in_hand = Arc::clone(&intake.in_hand);
    let reading = read(connection, Arc::clone(&stream), in_hand, events.clone());
    tokio::spawn(run(connection, stream, reading, pending, closing, events));
    let outbox = Outbox {
        octets,
        _open: open,
    };
    (outbox, intake)
}

async fn run(
    connection: ConnectionId,
    stream: Arc<TcpStream>,
    reading: impl Future<Output = ()> + Send + 'static,
    pending: mpsc::UnboundedReceiver<Vec<u8>>,
    closing: oneshot::Receiver<()>,
    events: mpsc::Sender<SocketEvent>,
) {
    let mut reading = tokio::spawn(reading);
    let give_up = async {
        let _ = closing.await;
        tokio::time::sleep(LINGER).await;
    };
    let farewell = async {
        write_all(connection, &stream, pending, &events).await;
        // Reading goes on after our end of stream: closing with unread input would make the
        // kernel send a reset, which can overtake our NOTIFICATION.
        let _ = SockRef::from(&*stream).shutdown(Shutdown::Write);
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
    stream: &TcpStream,
    mut pending: mpsc::UnboundedReceiver<Vec<u8>>,
    events: &mpsc::Sender<SocketEvent>,
) {
    while let Some(octets) = pending.recv().await {
        if let Err(error) = write(connection, stream, &octets, events).await {
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
    stream: &TcpStream,
    mut octets: &[u8],
    events: &mpsc::Sender<SocketEvent>,
) -> io::Result<()> {
    while !octets.is_empty() {
        stream.writable().await?;
        let written = match stream.try_write(octets) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            outcome => outcome?,
        };
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
    stream: Arc<TcpStream>,
    in_hand: Arc<AtomicUsize>,
    events: mpsc::Sender<SocketEvent>,
) {
    let mut buffer = vec![0; READ_BYTES_MAX];
    loop {
        // An error comes again when reading.
        let _ = stream.readable().await;
        in_hand.fetch_add(1, Ordering::SeqCst);
        let event = match stream.try_read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                in_hand.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
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
