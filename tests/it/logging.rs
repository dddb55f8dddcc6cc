//! The program with a log that nobody reads, that is closed, or that is full: sessions go on, and
//! what is lost is counted and told.

use std::fs::File;
use std::io::{self, Read as _};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::agent::RUTTER;
use crate::support::pair::{HOLD_SECONDS, Pair, talkative, until_log_is_lost};
use crate::support::solo::LIMIT;
use crate::support::wait::{eventually, throughout};

/// Long enough for a session to be lost twice.
const SPAN: Duration = Duration::from_secs(2 * HOLD_SECONDS);

fn lost(pair: &Pair) -> f64 {
    pair.metric("rutter_log_lines_dropped_total{}").unwrap()
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_tells_of_it_when_it_flows_again() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut pair = talkative(11, writer.into());
    until_log_is_lost(&pair);
    throughout(SPAN, || pair.is_up());
    // From now on it is read.
    let reading = thread::spawn(move || {
        let mut log = Vec::new();
        reader.read_to_end(&mut log).map(|_| log)
    });
    eventually(LIMIT, || {
        let before = lost(&pair);
        pair.probe("/healthz")?;
        match lost(&pair) {
            after if after > before => Err(format!("still lost: {after}")),
            _ => Ok(()),
        }
    });
    assert_eq!(pair.terminate().code(), Some(0));
    let log = reading.join().unwrap().unwrap();
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("part of the log is lost"), "{}", log.len());
    assert!(log.contains("agent started"), "the beginning is there");
    assert!(log.contains("stopping"), "the end is there");
}

#[test]
fn a_log_that_is_closed_stops_nothing() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut pair = talkative(12, writer.into());
    until_log_is_lost(&pair);
    throughout(SPAN, || pair.is_up());
    assert_eq!(pair.terminate().code(), Some(0));
}

#[test]
fn a_log_on_a_full_disk_stops_nothing() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut pair = talkative(13, full.into());
    until_log_is_lost(&pair);
    throughout(SPAN, || pair.is_up());
    assert_eq!(pair.terminate().code(), Some(0));
}

#[test]
fn the_last_words_of_a_program_that_cannot_start_are_not_lost() {
    let output = Command::new(RUTTER)
        .args([
            "agent",
            "--config",
            "/nonexistent/rutter.toml",
            "--node-name",
            "a",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "error: cannot read the configuration /nonexistent/rutter.toml: No such file";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
