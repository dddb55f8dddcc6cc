//! Metrics of what becomes of sessions, and of whoever dials.

use super::{Table, peer_labels};
use crate::agent::doors::Refusal;
use crate::api::PeerStatus;

impl Table {
    /// What became of each peer's sessions.
    pub(super) fn sessions(&mut self, peers: &[PeerStatus]) {
        self.counter(
            "bgp_session_resets",
            "Times an established session ended.",
            peers
                .iter()
                .map(|peer| (peer_labels(peer), peer.record.resets)),
        );
        self.gauge(
            "bgp_session_last_end_timestamp_seconds",
            "When a session or an attempt at one ended last.",
            peers.iter().filter_map(|peer| {
                let end = peer.record.last_end.as_ref()?;
                Some((peer_labels(peer), end.at))
            }),
        );
        self.gauge(
            "bgp_session_paused",
            "1 while the peer is left alone after errors: neither dialled nor accepted.",
            peers.iter().map(|peer| {
                let paused = peer.record.paused_until.is_some();
                (peer_labels(peer), u64::from(paused))
            }),
        );
        self.gauge(
            "bgp_routes_stale",
            "Routes that are kept over the loss of a session, and were not said again.",
            peers.iter().map(|peer| {
                let stale = peer.record.stale.map_or(0, |stale| stale.routes);
                (peer_labels(peer), stale)
            }),
        );
        self.gauge(
            "bgp_restart_awaited",
            "1 while the agent, at its start, waits for the peer to say all that it has.",
            peers
                .iter()
                .map(|peer| (peer_labels(peer), u64::from(peer.record.awaited))),
        );
        self.counter(
            "bgp_notifications",
            "NOTIFICATION messages, by the names of their code and subcode.",
            peers.iter().flat_map(|peer| {
                let ways = [
                    ("sent", &peer.record.notifications_sent),
                    ("received", &peer.record.notifications_received),
                ];
                ways.into_iter().flat_map(move |(way, counts)| {
                    counts.iter().map(move |one| {
                        let mut labels = peer_labels(peer);
                        labels.push(("way", way.to_owned()));
                        labels.push(("code", one.code.clone()));
                        labels.push(("subcode", one.subcode.clone()));
                        (labels, one.count)
                    })
                })
            }),
        );
    }

    /// Connections that were closed unseen.
    pub(super) fn refused(&mut self, refused: &[(Refusal, u64)]) {
        self.counter(
            "bgp_connections_refused",
            "Connections that were closed before a word was said, by why.",
            refused
                .iter()
                .map(|(why, count)| (vec![("why", why.label().to_owned())], *count)),
        );
    }
}
