//! What peers sent wrong.

use std::io::{self, Write};

use jiff::Timestamp;

use super::{detail, field};
use crate::api::{LastFault, PeerFaults, PeerStatus};
use crate::cli::text;

/// Says nothing of a peer that sent nothing wrong.
pub(super) fn print(peer: &PeerStatus, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let PeerFaults { counts, last } = &peer.faults;
    let Some(last) = last else {
        return Ok(());
    };
    let counts: Vec<String> = counts
        .iter()
        .map(|fault| format!("{} {} {}", fault.attribute, fault.action, fault.count))
        .collect();
    let faults = format!("from {}: {}", peer.name, counts.join(", "));
    field("Faults", &faults, out)?;
    let LastFault {
        at,
        faults,
        prefixes,
        more,
    } = last;
    let at = text::since(*at, now);
    let mut prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
    if *more > 0 {
        prefixes.push(format!("and {more} more"));
    }
    let of = if prefixes.is_empty() { "" } else { " of " };
    let prefixes = prefixes.join(" ");
    detail(&format!("last {at}{of}{prefixes}: {faults}"), out)
}
