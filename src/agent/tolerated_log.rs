//! The lines about what peers send wrong (RFC 7606 section 6): the whole message, so that whoever
//! runs the peer can be shown it, and no more of them than a disk can take.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tracing::warn;

use super::allowance::{Allowance, Rate};
use crate::speaker::Tolerated;
use crate::types::{PeerId, Prefix};

/// The lines about one peer. Each takes three times the octets of the message, and more where that
/// has many short prefixes.
const RATE: Rate = Rate {
    burst: 10,
    pause: Duration::from_secs(10),
};

/// Writes the lines.
#[derive(Debug, Default)]
pub(super) struct ToleratedLog {
    /// By peer, of which a configuration has few.
    allowances: BTreeMap<PeerId, Allowance>,
}

impl ToleratedLog {
    pub(super) fn write(&mut self, now: Instant, id: PeerId, name: &str, tolerated: &Tolerated) {
        let allowance = self.allowances.entry(id);
        let allowance = allowance.or_insert_with(|| Allowance::full(RATE, now));
        match allowance.take(now) {
            None => return,
            Some(0) => {}
            Some(left_out) => warn!(
                peer = name,
                left_out, "the peer sent more that was wrong than is logged; see the metrics"
            ),
        }
        let faults = tolerated.text();
        let prefixes = listed(&tolerated.prefixes);
        if tolerated.message.is_empty() {
            warn!(peer = name, faults, prefixes, "routes are ignored");
        } else {
            let update = hex(&tolerated.message);
            warn!(
                peer = name,
                faults, prefixes, update, "a malformed UPDATE is tolerated (RFC 7606)"
            );
        }
    }
}

fn listed(prefixes: &[Prefix]) -> String {
    let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
    prefixes.join(" ")
}

fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(2 * octets.len());
    for octet in octets {
        // Writing to a string does not fail.
        let _ = write!(text, "{octet:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
