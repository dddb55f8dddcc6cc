//! Which rule decides in either direction, what it does to a route, and settings that are refused.

mod export;
mod import;
mod settings;

use rutter_policy::{PeerGroup, PeerKind};

/// Peers of AS 64513, or of our own.
fn group(kind: PeerKind) -> PeerGroup {
    PeerGroup {
        name: "tor".into(),
        asn: match kind {
            PeerKind::Ebgp => 64513,
            PeerKind::Ibgp => 64512,
        },
        kind,
        labels: Vec::new(),
    }
}
