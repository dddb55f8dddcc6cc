//! The program's servers under whoever can reach them: connections that are held open, and heads
//! of requests that have no end, while the program may have few files open.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::time::Instant;

use crate::support::pair::{Pair, Pairing};
use crate::support::solo::{Given, LIMIT};
use crate::support::wait::eventually;

/// What a third of a billion octets of heads may add to what the program takes.
const MEMORY_MAX: u64 = 48 << 20;

/// As many as Linux gives by default.
const OPEN_FILES: u32 = 1024;

/// The test itself holds the other ends.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Probes and tells how long that took; the time is printed and not judged.
fn probe(pair: &Pair, path: &str, beside: &str) {
    let start = Instant::now();
    let answer = pair.probe(path).unwrap();
    println!("{path} took {:?} beside {beside}", start.elapsed());
    assert!(!answer.is_empty());
}

fn probe_all(pair: &Pair, beside: &str) {
    for path in ["/healthz", "/readyz", "/metrics"] {
        probe(pair, path, beside);
    }
    pair.is_up().unwrap();
}

/// Sends as much of a head that does not end as is taken, up to half a megabyte.
fn send_long_head(stream: &mut TcpStream) {
    // Its end has been closed, or is not read any more: both are well.
    let _ = stream.set_write_timeout(Some(Duration::from_millis(5)));
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nx: ");
    let _ = stream.write_all(&[b'a'; 512 << 10]);
}

#[test]
fn held_connections_and_endless_heads_keep_no_probe_and_no_session_waiting() {
    allow_many_files();
    let given = Given {
        open_files: Some(OPEN_FILES),
        ..Given::default()
    };
    let pairing = Pairing::new(1);
    let pair = pairing.start(given);
    probe_all(&pair, "nothing");
    let before = pair.agent.memory().resident;

    let connect = || TcpStream::connect(pair.metrics).unwrap();
    let held: Vec<_> = (0..1000).map(|_| connect()).collect();
    probe_all(&pair, "1000 connections that say nothing");

    let mut heads: Vec<_> = (0..1300).map(|_| connect()).collect();
    for stream in &mut heads {
        send_long_head(stream);
    }
    probe_all(&pair, "1300 heads that do not end");
    let asked_here = pair.agent.path("rutter.sock");
    let asking: Vec<_> = (0..500)
        .map(|_| UnixStream::connect(&asked_here).unwrap())
        .collect();
    probe_all(&pair, "500 connections to the socket");
    assert_eq!(pair.agent.status().unwrap().peers.len(), 1);

    let peak = pair.agent.memory().peak;
    println!("memory: {before} before, at most {peak}");
    assert!(peak < before + MEMORY_MAX, "{before} before, {peak}");
    // There are descriptors left for files, too.
    let config =
        pairing.config("") + "[[peers]]\nname = 'two'\naddress = '127.31.1.3'\nasn = 65003\n";
    std::fs::write(pair.agent.path("rutter.toml"), config).unwrap();
    eventually(LIMIT, || match pair.agent.status()?.peers.len() {
        2 => Ok(()),
        peers => Err(format!("{peers} peers; {}", pair.agent.log())),
    });
    pair.is_up().unwrap();
    let log = pair.agent.log();
    assert!(!log.contains("cannot accept"), "{log}");
    drop((held, heads, asking));
}

#[test]
fn where_few_files_may_be_open_sessions_have_them_first() {
    allow_many_files();
    let given = Given {
        open_files: Some(64),
        ..Given::default()
    };
    let pair = Pairing::new(2).start(given);
    assert!(pair.agent.log().contains("few files may be open"));
    let connect = || TcpStream::connect(pair.metrics).unwrap();
    let _held: Vec<_> = (0..200).map(|_| connect()).collect();
    probe_all(&pair, "200 connections where 64 files may be open");
    // The neighbour comes back, which takes a descriptor more.
    let neighbor = "[[peers]]\nname = 'two'\naddress = '127.31.2.3'\nasn = 65003\n";
    std::fs::write(
        pair.agent.path("rutter.toml"),
        Pairing::new(2).config("") + neighbor,
    )
    .unwrap();
    eventually(LIMIT, || match pair.agent.status()?.peers.len() {
        2 => Ok(()),
        peers => Err(format!("{peers} peers; {}", pair.agent.log())),
    });
    pair.is_up().unwrap();
}
