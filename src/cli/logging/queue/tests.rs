//! The queue, with ends that take nothing, or not everything.

use std::io::Read as _;
use std::sync::mpsc;

use super::*;
use crate::agent::clock;

/// Far above what anything here takes; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

const LINE: &[u8] = b"0123456789012345678901234567890123456789012345678901234567890123456789\n";

/// Takes what it is allowed to: each write waits for a word.
struct Gated {
    words: mpsc::Receiver<io::Result<()>>,
    taken: mpsc::Sender<Vec<u8>>,
}

impl Write for Gated {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let word = self.words.recv().map_err(io::Error::other)?;
        word?;
        let _ = self.taken.send(octets.to_vec());
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Gate = (
    Queue,
    LostLines,
    mpsc::Sender<io::Result<()>>,
    mpsc::Receiver<Vec<u8>>,
);

fn gated() -> Gate {
    let (allow, words) = mpsc::channel();
    let (taken, took) = mpsc::channel();
    let lost = LostLines::default();
    let queue = Queue::start(Gated { words, taken }, lost.clone()).unwrap();
    (queue, lost, allow, took)
}

/// Waits until so many are lost.
fn until(lost: &LostLines, count: u64) {
    let start = clock::now();
    while lost.count() < count && start.elapsed() < DEADLINE {
        std::thread::yield_now();
    }
    assert_eq!(lost.count(), count);
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

#[test]
fn lines_leave_in_order_and_the_last_before_the_end() {
    let (mut reader, writer) = io::pipe().unwrap();
    let lost = LostLines::default();
    let queue = Queue::start(writer, lost.clone()).unwrap();
    let mut lines = queue.lines();
    for number in 0..1000 {
        writeln!(lines, "{number}").unwrap();
    }
    drop(queue);
    // The thread has ended, and with it the pipe.
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
    assert_eq!(text, expected);
    assert_eq!(lost.count(), 0);
}

#[test]
fn what_is_too_much_is_counted_and_nobody_waits() {
    let (queue, lost, allow, took) = gated();
    let mut lines = queue.lines();
    // As much as one batch may be with the thread.
    let fitting = WAITING_BYTES_MAX / LINE.len();
    let sent = 2 * fitting + 100;
    for _ in 0..sent {
        lines.write_all(LINE).unwrap();
    }
    assert!(lost.count() >= 100, "{}", lost.count());
    let written = sent - usize::try_from(lost.count()).unwrap();
    for _ in 0..2 {
        allow.send(Ok(())).unwrap();
    }
    let mut octets = 0;
    while octets < written * LINE.len() {
        octets += took.recv_timeout(DEADLINE).unwrap().len();
    }
    assert_eq!(octets, written * LINE.len());
}

#[test]
fn what_cannot_be_written_is_counted_and_the_next_line_begins_anew() {
    let (queue, lost, allow, took) = gated();
    let mut lines = queue.lines();
    allow.send(Err(full())).unwrap();
    lines.write_all(b"one\ntwo\n").unwrap();
    until(&lost, 2);
    // Still full.
    allow.send(Err(full())).unwrap();
    lines.write_all(b"three\n").unwrap();
    until(&lost, 3);
    for _ in 0..2 {
        allow.send(Ok(())).unwrap();
    }
    lines.write_all(b"four\n").unwrap();
    let texts: Vec<_> = (0..2)
        .map(|_| took.recv_timeout(DEADLINE).unwrap())
        .collect();
    let text = String::from_utf8(texts.concat()).unwrap();
    assert!(
        text.starts_with('\n') && text.ends_with("four\n"),
        "{text:?}"
    );
}

#[test]
fn an_end_that_is_stuck_does_not_keep_the_program_from_ending() {
    let (queue, _lost, _allow, _took) = gated();
    queue.lines().write_all(LINE).unwrap();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        drop(queue);
        ended.send(())
    });
    end.recv_timeout(DEADLINE).expect("it ends");
}

#[test]
fn lines_are_counted_by_their_ends() {
    for (lines, number) in [("", 0), ("a", 1), ("a\n", 1), ("a\nb", 2), ("a\nb\n", 2)] {
        assert_eq!(count(lines.as_bytes()), number, "{lines:?}");
    }
}
