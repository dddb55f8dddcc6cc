//! The lines that an operator reads.

use super::*;
use crate::agent::clock;
use crate::agent::testing::logged;
use crate::speaker::{Fault, Treatment};

fn tolerated(message: &[u8]) -> Tolerated {
    Tolerated {
        faults: vec![Fault {
            subject: "AS_PATH",
            what: "attribute 2 ends inside a segment".to_owned(),
            treatment: Treatment::TreatAsWithdraw,
        }],
        prefixes: vec![
            "203.0.113.0/24".parse().unwrap(),
            "fd00::/8".parse().unwrap(),
        ],
        message: message.to_vec(),
    }
}

#[test]
fn a_malformed_message_is_logged_with_its_prefixes_and_all_of_its_octets() {
    let mut log = ToleratedLog::default();
    let message: Vec<u8> = (0..=255).cycle().take(4096).collect();
    let lines = logged(|| log.write(clock::now(), PeerId(1), "tor", &tolerated(&message)));
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(
        line.starts_with("WARN a malformed UPDATE is tolerated"),
        "{line}"
    );
    assert!(line.contains("peer=\"tor\""), "{line}");
    assert!(line.contains("AS_PATH: attribute 2 ends inside a segment: treated as withdraw"));
    assert!(line.contains("203.0.113.0/24 fd00::/8"), "{line}");
    assert!(line.contains(&hex(&message)), "{line}");
    assert!(hex(&message).starts_with("000102") && hex(&message).len() == 8192);
}

#[test]
fn routes_that_are_ignored_are_logged_without_the_message() {
    let mut log = ToleratedLog::default();
    let lines = logged(|| log.write(clock::now(), PeerId(1), "tor", &tolerated(&[])));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN routes are ignored"), "{lines:?}");
}

#[test]
fn a_peer_that_sends_nothing_else_fills_no_disk_and_hides_no_other() {
    let mut log = ToleratedLog::default();
    let start = clock::now();
    let lines = logged(|| {
        for _ in 0..1000 {
            log.write(start, PeerId(1), "loud", &tolerated(&[1]));
        }
        log.write(start, PeerId(2), "quiet", &tolerated(&[1]));
    });
    let of = |lines: &[String], peer: &str| lines.iter().filter(|it| it.contains(peer)).count();
    assert_eq!(of(&lines, "loud"), RATE.burst as usize);
    assert_eq!(of(&lines, "quiet"), 1);
    // What was left out is told with the next line that is not.
    let later = logged(|| log.write(start + RATE.pause, PeerId(1), "loud", &tolerated(&[1])));
    assert_eq!(later.len(), 2, "{later:?}");
    assert!(later[0].contains("left_out=990"), "{later:?}");
}
