//! What the API tells of what peers sent wrong.

use super::clock;
use crate::api::{FaultCount, LastFault, PeerFaults};
use crate::speaker::FaultCounts;

pub(super) fn of(faults: &FaultCounts) -> PeerFaults {
    let FaultCounts { counts, last } = faults;
    let counts = counts
        .iter()
        .map(|((subject, treatment), count)| FaultCount {
            attribute: (*subject).to_owned(),
            action: treatment.label().to_owned(),
            count: *count,
        });
    let last = last.as_ref().map(|last| LastFault {
        at: clock::unix_time_of(last.at),
        faults: last.faults.clone(),
        prefixes: last.prefixes.clone(),
        more: last.more as u64,
    });
    PeerFaults {
        counts: counts.collect(),
        last,
    }
}
