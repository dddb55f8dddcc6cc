//! SIGTERM ends the program with its farewells and its exit code, whatever is stuck at the time.

use std::fs;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use crate::support::hostile;
use crate::support::pair::{Pair, Pairing, talkative, until_log_is_lost};
use crate::support::process::Signal;
use crate::support::solo::{Given, LIMIT, Solo};
use crate::support::wait::eventually;

/// Ends the agent, and waits until the neighbour has its farewell.
fn ends_with_a_farewell(pair: &mut Pair) {
    assert_eq!(pair.terminate().code(), Some(0));
    has_farewell(pair);
    let socket = pair.agent.path("rutter.sock");
    assert!(!socket.exists(), "the socket's file goes with the agent");
}

fn has_farewell(pair: &Pair) {
    eventually(LIMIT, || match pair.session()?.last_error {
        // Which is none: the next agent is waited for (RFC 4724).
        Some(error) if error.contains("closed the connection") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_policy_that_takes_its_time_is_not_waited_for() {
    let pairing = Pairing::new(21);
    let mut pair = pairing.start(Given::default());
    let module = pair.agent.path("endless.wasm");
    let taken = 128 << 20;
    fs::write(&module, hostile::endless_loop(taken >> 16)).unwrap();
    // Tried on a thread of the runtime's for ten seconds and more.
    let policies = "[[policies]]\nname = 'endless'\nmodule = 'endless.wasm'\n\
                    limits = { time = '10s', memory = '256MiB' }\n";
    let config = pairing.config("") + policies;
    let before = pair.agent.memory().resident;
    fs::write(pair.agent.path("rutter.toml"), config).unwrap();
    // Nothing but the policy takes that much: it runs.
    eventually(LIMIT, || match pair.agent.memory().resident {
        more if more > before + taken as u64 / 2 => Ok(()),
        less => Err(format!("{less} octets after {before}")),
    });
    pair.agent.signal(Signal::Terminate);
    // Before the policy's time is over, twice which it has.
    let status = eventually(Duration::from_secs(9), || {
        pair.agent.exit_status().ok_or("it runs".to_owned())
    });
    assert_eq!(status.code(), Some(0));
    has_farewell(&pair);
}

#[test]
fn pipes_under_the_names_of_files_are_not_waited_for() {
    let mut pair = Pairing::new(22).start(Given::default());
    for name in ["rutter.toml", "manifests/more.yaml"] {
        let path = pair.agent.path(name);
        let _ = fs::remove_file(&path);
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
    }
    eventually(LIMIT, || {
        let status = pair.agent.status()?;
        let refused = status.config.error.clone().unwrap_or_default();
        let source = status.source.error.clone().unwrap_or_default();
        if refused.contains("named pipe") && source.contains("named pipe") {
            return Ok(());
        }
        Err(format!("{refused:?} and {source:?}"))
    });
    pair.is_up().unwrap();
    ends_with_a_farewell(&mut pair);
}

#[test]
fn a_log_that_nobody_reads_is_not_waited_for() {
    let (_reader, writer) = io::pipe().unwrap();
    let mut pair = talkative(23, writer.into());
    until_log_is_lost(&pair);
    ends_with_a_farewell(&mut pair);
}

#[test]
fn a_peer_that_takes_nothing_is_not_waited_for() {
    let mut pair = Pairing::new(24).start(Given::default());
    pair.neighbor.signal(Signal::Stop);
    assert_eq!(pair.terminate().code(), Some(0));
    pair.neighbor.signal(Signal::Continue);
}

#[test]
fn connections_to_the_servers_are_not_waited_for() {
    let mut pair = Pairing::new(25).start(Given::default());
    let mut asking = UnixStream::connect(pair.agent.path("rutter.sock")).unwrap();
    asking.write_all(b"GET /v1/sta").unwrap();
    let mut scraping = TcpStream::connect(pair.metrics).unwrap();
    scraping.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    ends_with_a_farewell(&mut pair);
}

#[test]
fn a_start_that_waits_for_a_server_is_ended_too() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.31.26.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let digest = "0".repeat(64);
    let config = Pairing::new(26).config("")
        + &format!(
            "[[policies]]\nname = 'away'\nmodule = 'http://{address}/a.wasm'\n\
             digest = 'sha256:{digest}'\n"
        );
    let config = config.replace("[policy]\n", "[policy]\nmodule-cache = 'off'\n");
    let mut agent = Solo::start("a", "", &config);
    // Once it has asked, it listens for signals.
    let _asking = silent.accept().unwrap();
    agent.signal(Signal::Terminate);
    let status = eventually(LIMIT, || agent.exit_status().ok_or("it runs".to_owned()));
    assert_eq!(status.code(), Some(0), "{}", agent.log());
}
