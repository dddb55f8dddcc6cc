//! Traffic: servers on every address behind a node, and a client outside of the cluster that asks
//! for addresses through the node of its choice.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::objects::Transport;
use crate::support::netns::Host;

/// What pods serve, by TCP and UDP.
pub(super) const POD_PORTS: RangeInclusive<u16> = 8080..=8083;

/// All of a round's connections may be made before the first is accepted.
const BACKLOG: u32 = 4096;

/// How many questions are open at once, where the limit of open files allows it.
const QUESTIONS_MAX: usize = 2000;

/// One question: is this answered when it enters this node?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    /// Which of the nodes.
    pub(super) node: usize,
    pub(super) transport: Transport,
    pub(super) to: SocketAddr,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// Connected, or a datagram came back.
    Answered,
    /// A reset, or an ICMP error.
    Refused,
    /// Nothing came.
    Silence,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) host: Host,
    /// Both addresses for each node: whatever comes from them goes to that node.
    pub(super) sources: Vec<(Ipv4Addr, Ipv6Addr)>,
}

/// Servers that run until this is dropped.
#[derive(Debug)]
pub(super) struct Servers {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Asks everything at once; a question is open for as long as `patience`. Answers are in the
    /// order of the questions.
    pub(super) fn ask(&self, questions: Vec<Question>, patience: Duration) -> Vec<Answer> {
        let client = self.clone();
        let asking = self.host.thread(move || {
            let answers = futures::stream::iter(&questions)
                .map(|question| client.ask_one(*question, patience))
                .buffered(open_at_once())
                .collect();
            runtime().block_on(answers)
        });
        asking.join().unwrap()
    }

    async fn ask_one(&self, question: Question, patience: Duration) -> Answer {
        let (ipv4, ipv6) = self.sources[question.node];
        let from: IpAddr = match question.to {
            SocketAddr::V4(_) => ipv4.into(),
            SocketAddr::V6(_) => ipv6.into(),
        };
        let from = SocketAddr::new(from, 0);
        let asked = async {
            match question.transport {
                Transport::Tcp => connect(from, question.to).await,
                Transport::Udp => exchange(from, question.to).await,
            }
        };
        match timeout(patience, asked).await {
            Ok(Ok(())) => Answer::Answered,
            Ok(Err(error)) if error.kind() == io::ErrorKind::AddrInUse => {
                panic!("no port is left to ask {question:?}: {error}")
            }
            Ok(Err(_)) => Answer::Refused,
            Err(_) => Answer::Silence,
        }
    }
}

async fn connect(from: SocketAddr, to: SocketAddr) -> io::Result<()> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.unwrap();
    // A reset at the end: neither side keeps a connection that is over.
    socket.set_zero_linger().unwrap();
    socket.bind(from).unwrap();
    socket.connect(to).await.map(drop)
}

async fn exchange(from: SocketAddr, to: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(from).await.unwrap();
    socket.connect(to).await?;
    socket.send(b"?").await?;
    socket.recv(&mut [0; 8]).await.map(drop)
}

/// A part of the files that may be open: servers are in this process, too.
fn open_at_once() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = files.and_then(|line| line.split_whitespace().nth(3)?.parse::<usize>().ok());
    soft.map_or(QUESTIONS_MAX, |soft| QUESTIONS_MAX.min(soft / 4))
}

impl Servers {
    /// TCP servers on every address of the host, and UDP servers on these.
    pub(super) fn start(pods: &Host, addresses: Vec<IpAddr>) -> Self {
        let (end, ended) = oneshot::channel();
        let thread = pods.thread(move || {
            runtime().block_on(async {
                for port in POD_PORTS {
                    let socket = TcpSocket::new_v6().unwrap();
                    socket.bind((Ipv6Addr::UNSPECIFIED, port).into()).unwrap();
                    tokio::spawn(accept(socket.listen(BACKLOG).unwrap()));
                    for address in &addresses {
                        let socket = UdpSocket::bind((*address, port)).await.unwrap();
                        tokio::spawn(echo(socket));
                    }
                }
                // Fails when the sender was dropped, which is as well.
                let _ = ended.await;
            });
        });
        Self {
            end: Some(end),
            thread: Some(thread),
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.end.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.expect("it is dropped once").unwrap();
        }
    }
}

async fn accept(listener: TcpListener) {
    loop {
        // An error is one connection's that was reset before this took it.
        let Ok((mut connection, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(async move {
            // The client ends it.
            let _ = connection.read(&mut [0; 8]).await;
        });
    }
}

async fn echo(socket: UdpSocket) {
    let mut buffer = [0; 8];
    loop {
        // An error is an ICMP message about an answer whose asker has gone.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let _ = socket.send_to(&buffer[..length], from).await;
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
