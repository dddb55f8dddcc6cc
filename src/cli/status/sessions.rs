//! What became of peers' sessions, in `rutter status`: a line for each peer of which there is
//! something to know.

use std::io::{self, Write};

use jiff::Timestamp;

use super::{address, is_established};
use crate::api::{NotificationCount, PeerStatus, SessionRecord};
use crate::cli::text;

/// Prints the lines, if there are any.
pub(super) fn print(peers: &[&PeerStatus], now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    for peer in peers {
        let said = words(peer, now);
        if !said.is_empty() {
            let line = format!("{}: {}", address(peer), said.join("; "));
            writeln!(out, "{}", text::printable(&line))?;
        }
    }
    Ok(())
}

fn words(peer: &PeerStatus, now: Timestamp) -> Vec<String> {
    let SessionRecord {
        resets,
        last_end,
        ends_in_a_row,
        paused_until,
        notifications_sent,
        notifications_received,
        families_missing,
        stale,
        awaited,
    } = &peer.record;
    let mut said = Vec::new();
    if let Some(until) = paused_until {
        let until = text::since(*until, now);
        let ends = text::count(u64::from(*ends_in_a_row), "end");
        said.push(format!(
            "left alone until {until} after {ends} in a row, neither dialled nor accepted"
        ));
    }
    if *resets > 0 {
        let mut words = text::count(*resets, "reset");
        if let Some(end) = last_end {
            words += &format!(", last at {}", text::since(end.at, now));
            // Without a session the table has the reason.
            if is_established(peer) {
                words += &format!(": {}", end.reason);
            }
        }
        said.push(words);
    }
    for (way, counts) in [
        ("sent", notifications_sent),
        ("received", notifications_received),
    ] {
        let counts: Vec<_> = counts.iter().map(counted).collect();
        if !counts.is_empty() {
            said.push(format!("NOTIFICATIONs {way}: {}", counts.join(", ")));
        }
    }
    if let Some(stale) = stale {
        let until = text::since(stale.until, now);
        let routes = text::count(stale.routes, "route");
        said.push(format!(
            "{routes} kept until {until} while it restarts, stale since {}",
            text::since(stale.since, now)
        ));
    }
    if *awaited && is_established(peer) {
        said.push("the end of its table is waited for".to_owned());
    }
    for family in families_missing {
        said.push(format!("the peer carries no {family} routes"));
    }
    said
}

fn counted(notification: &NotificationCount) -> String {
    let NotificationCount {
        code,
        subcode,
        count,
    } = notification;
    format!("{code}/{subcode} {count}")
}
