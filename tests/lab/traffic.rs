//! What the VM sends, and what becomes of it.
//!
//! A request by HTTP is what a user means: it is tried again when its connection is refused or
//! reset, as browsers do, and is lost when nobody answers in time. A datagram is what a packet is:
//! it is sent once. Each has a connection of its own, so that each may go another way.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::support::netns::Host;

/// Between two questions of a flow.
const INTERVAL: Duration = Duration::from_millis(20);

/// A SYN that is dropped is sent again after one second, and after three.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);

/// After this a user has gone.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// Between two attempts of a request.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// After this a packet is lost.
const DATAGRAM_LIMIT: Duration = Duration::from_secs(2);

/// Whom to ask, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) transport: Transport,
    pub(super) to: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Http,
    Datagram,
}

/// What was asked once.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) at: Instant,
    pub(super) took: Duration,
    pub(super) attempts: u32,
    pub(super) answer: Result<Answer, String>,
}

/// Who answered, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) node: String,
    pub(super) pod: String,
    pub(super) client: IpAddr,
}

/// Traffic that goes on until it is ended.
pub(super) struct Traffic {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Flow>>>,
}

/// What became of a target's traffic.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) target: Target,
    pub(super) asked: Vec<Asked>,
}

impl Target {
    pub(super) fn new(transport: Transport, address: IpAddr, port: u16) -> Self {
        Self {
            transport,
            to: SocketAddr::new(address, port),
        }
    }

    /// Asks as often as `count` from this host, a few at a time.
    pub(super) fn ask(&self, from: &Host, count: usize) -> Vec<Asked> {
        let target = self.clone();
        let asking = from.thread(move || {
            runtime().block_on(async {
                let mut all = Vec::new();
                while all.len() < count {
                    let some = (0..10.min(count - all.len())).map(|_| target.ask_once());
                    all.extend(join_all(some).await);
                }
                all
            })
        });
        asking.join().unwrap()
    }

    async fn ask_once(&self) -> Asked {
        let at = Instant::now();
        let mut attempts = 1;
        let answer = match self.transport {
            Transport::Datagram => limited(DATAGRAM_LIMIT, exchange(self.to)).await,
            Transport::Http => loop {
                let answer = limited(ATTEMPT_LIMIT, get(self.to)).await;
                if answer.is_ok() || at.elapsed() >= REQUEST_LIMIT {
                    break answer;
                }
                attempts += 1;
                sleep(RETRY_INTERVAL).await;
            },
        };
        Asked {
            at,
            took: at.elapsed(),
            attempts,
            answer,
        }
    }
}

impl Traffic {
    /// Sends to all of these from a host, until it is told to end.
    pub(super) fn start(from: &Host, targets: Vec<Target>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let until = ended.clone();
        let thread = from.thread(move || {
            let flows = targets.into_iter().map(|target| flow(target, &until));
            runtime().block_on(join_all(flows))
        });
        Self {
            ended,
            thread: Some(thread),
        }
    }

    /// Ends it, and waits for the last answers.
    pub(super) fn end(mut self) -> Vec<Flow> {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.take().expect("it ends once").join().unwrap()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // Only where a test has failed: nobody waits for answers.
        self.ended.store(true, Ordering::Relaxed);
    }
}

impl Flow {
    /// Whether a user waits for its answers.
    pub(super) fn is_of_requests(&self) -> bool {
        match self.target.transport {
            Transport::Http => true,
            Transport::Datagram => false,
        }
    }

    /// What nobody answered.
    pub(super) fn lost(&self) -> Vec<&Asked> {
        let asked = self.asked.iter();
        asked.filter(|asked| asked.answer.is_err()).collect()
    }

    /// The last that was lost, and how long that was after `start`.
    pub(super) fn lost_until(&self, start: Instant) -> Option<Duration> {
        let lost = self.lost();
        lost.last().map(|asked| asked.at.duration_since(start))
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, asked } = self;
        let answered = asked.iter().filter(|asked| asked.answer.is_ok());
        let slowest = answered.map(|asked| asked.took).max().unwrap_or_default();
        let again: u32 = asked.iter().map(|asked| asked.attempts - 1).sum();
        write!(
            f,
            "{:?} to {}: {} sent, {} lost, {again} tried again, slowest {} ms",
            target.transport,
            target.to,
            asked.len(),
            self.lost().len(),
            slowest.as_millis(),
        )
    }
}

async fn flow(target: Target, ended: &AtomicBool) -> Flow {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut questions = JoinSet::new();
    while !ended.load(Ordering::Relaxed) {
        ticks.tick().await;
        let target = target.clone();
        questions.spawn(async move { target.ask_once().await });
    }
    let mut asked = questions.join_all().await;
    asked.sort_by_key(|asked| asked.at);
    Flow { target, asked }
}

async fn limited(
    limit: Duration,
    question: impl Future<Output = std::io::Result<String>>,
) -> Result<Answer, String> {
    match timeout(limit, question).await {
        Ok(Ok(body)) => read(&body).ok_or_else(|| format!("not understood: {body:?}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {limit:?}")),
    }
}

async fn get(to: SocketAddr) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(to).await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let body = answer.strip_prefix("HTTP/1.1 200 OK\r\n");
    let body = body.and_then(|answer| answer.split_once("\r\n\r\n"));
    Ok(body.map_or_else(String::new, |(_, body)| body.to_owned()))
}

async fn exchange(to: SocketAddr) -> std::io::Result<String> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => [0; 4].into(),
        SocketAddr::V6(_) => [0; 16].into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    socket.send(b"?").await?;
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).await?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn read(body: &str) -> Option<Answer> {
    let mut words = body.split_whitespace().map(str::to_owned);
    Some(Answer {
        node: words.next()?,
        pod: words.next()?,
        client: words.next()?.parse().ok()?,
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::netns::Network;

    #[test]
    fn what_nobody_answers_is_lost() {
        let mut network = Network::new();
        let [host, other] = [1, 2].map(|number| network.host(number));
        let target = Target::new(Transport::Datagram, other.ipv4.into(), 8080);
        let asked = target.ask(&host, 3);
        let flow = Flow { target, asked };
        assert_eq!(flow.lost().len(), 3, "{flow}");
    }
}
