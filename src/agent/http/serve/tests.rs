//! The server alone, over real sockets, with answers of the test's own.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::*;

/// Far above what anything here takes; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// Ends nothing within a test.
const LONG: Duration = Duration::from_secs(3600);

fn bounds(connections_max: usize) -> Bounds {
    Bounds {
        connections_max,
        head_time_max: LONG,
        connection_time_max: LONG,
    }
}

async fn served(routes: Router, bounds: Bounds) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve("a test", listener, routes, bounds));
    address
}

fn ok() -> Router {
    Router::new().route("/", get(async || "ok\n"))
}

/// Everything that comes until the connection ends, however it does.
async fn rest(stream: &mut TcpStream) -> String {
    let mut octets = Vec::new();
    let reading = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut octets));
    // Whoever is closed while it asks may be told by a reset.
    let _ = reading.await.expect("it ends");
    String::from_utf8(octets).unwrap()
}

async fn ask(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A head that is refused half-way may find the connection closed.
    let _ = stream.write_all(head.as_bytes()).await;
    rest(&mut stream).await
}

const PROBE: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn silent_connections_make_room_for_whoever_asks() {
    let address = served(ok(), bounds(4)).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    for _ in 0..3 {
        let answer = ask(address, PROBE).await;
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }
    // Of all but the last few, nothing is held any more.
    for stream in &mut silent[..96] {
        assert_eq!(rest(stream).await, "");
    }
}

#[tokio::test]
async fn whoever_has_asked_is_answered_before_others_get_a_place() {
    let (asked, answers) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let routes = {
        let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
        let slow = async move || {
            asked.notify_one();
            answers.notified().await;
            "slow\n"
        };
        ok().route("/slow", get(slow))
    };
    let address = served(routes, bounds(2)).await;
    let asking = tokio::spawn(ask(address, "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n"));
    asked.notified().await;
    for _ in 0..5 {
        let _silent = TcpStream::connect(address).await.unwrap();
        let answer = ask(address, PROBE).await;
        assert!(answer.ends_with("ok\n"), "{answer}");
    }
    answers.notify_one();
    assert!(asking.await.unwrap().ends_with("slow\n"));
}

#[tokio::test]
async fn where_all_have_asked_the_oldest_makes_room() {
    let asked = Arc::new(AtomicUsize::new(0));
    let routes = {
        let asked = Arc::clone(&asked);
        let never = async move || {
            asked.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<&str>().await
        };
        ok().route("/never", get(never))
    };
    let address = served(routes, bounds(2)).await;
    let mut hanging = Vec::new();
    for number in 1..=2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "GET /never HTTP/1.1\r\nhost: a\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        while asked.load(Ordering::Relaxed) < number {
            tokio::task::yield_now().await;
        }
        hanging.push(stream);
    }
    assert!(ask(address, PROBE).await.ends_with("ok\n"));
    assert_eq!(rest(&mut hanging[0]).await, "");
}

#[tokio::test]
async fn a_head_has_a_bound() {
    let address = served(ok(), bounds(4)).await;
    let long = format!(
        "GET / HTTP/1.1\r\nx: {}\r\n\r\n",
        "a".repeat(HEAD_BYTES_MAX)
    );
    let many = format!(
        "GET / HTTP/1.1\r\n{}\r\n",
        "x: a\r\n".repeat(HEADERS_MAX + 1)
    );
    for head in [long, many] {
        let answer = ask(address, &head).await;
        // A reset may overtake the refusal.
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 431 ");
        assert!(refused, "{answer}");
    }
    let just = format!("GET / HTTP/1.1\r\n{}\r\n", "x: a\r\n".repeat(HEADERS_MAX));
    assert!(ask(address, &just).await.ends_with("ok\n"));
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let brief = Bounds {
        head_time_max: Duration::from_millis(50),
        ..bounds(4)
    };
    let address = served(ok(), brief).await;
    for head in ["", "GET / HTTP/1.1\r\nhost: "] {
        let answer = ask(address, head).await;
        assert!(!answer.contains("ok\n"), "{answer}");
    }
}

/// One connection, and no other.
struct One(Mutex<Option<DuplexStream>>);

impl Listening for One {
    type Stream = DuplexStream;

    async fn accept(&self) -> io::Result<DuplexStream> {
        let stream = self.0.lock().unwrap().take();
        match stream {
            Some(stream) => Ok(stream),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() {
    let brief = Bounds {
        connection_time_max: Duration::from_millis(100),
        ..bounds(1)
    };
    // It holds a request, and not the answer.
    let (mut stream, served) = tokio::io::duplex(PROBE.len());
    let listener = One(Mutex::new(Some(served)));
    tokio::spawn(serve("a test", listener, ok(), brief));
    stream.write_all(PROBE.as_bytes()).await.unwrap();
    // Nothing is read there any more: this waits until there is nobody left to read.
    let closed = stream.write_all(&[b'a'; 1000]);
    let closed = tokio::time::timeout(DEADLINE, closed).await;
    let error = closed.expect("it is closed").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn one_connection_brings_one_request() {
    let address = served(ok(), bounds(4)).await;
    let answer = ask(address, &PROBE.repeat(2)).await;
    assert_eq!(answer.matches("200 OK").count(), 1, "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

/// Out of descriptors, for ever.
struct Exhausted(Arc<AtomicUsize>);

impl Listening for Exhausted {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(io::Error::from_raw_os_error(libc::EMFILE))
    }
}

#[tokio::test]
async fn an_accept_that_fails_is_not_tried_again_at_once() {
    let tried = Arc::new(AtomicUsize::new(0));
    let serving = serve("a test", Exhausted(Arc::clone(&tried)), ok(), bounds(4));
    // It does nothing but wait after the first: one that spins would not let this end.
    let waited = tokio::time::timeout(Duration::from_millis(50), serving).await;
    assert!(waited.is_err());
    let tried = tried.load(Ordering::Relaxed);
    assert!(tried < 10, "{tried}");
}
