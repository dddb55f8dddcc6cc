//! From one configuration to the next with the least disturbance: a session ends only if
//! something it is made of changed.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Speaker;
use super::config::{PeerConfig, SpeakerConfig};
use super::session::Session;
use crate::bgp::{Ending, Peer, PeerSettings, Task};
use crate::types::{Family, NextHopMode, PeerId, Reflection};

impl Speaker {
    pub(super) fn configure(&mut self, now: Instant, config: SpeakerConfig) {
        let mut wanted: BTreeMap<PeerId, PeerConfig> = config
            .peers
            .iter()
            .map(|peer| (peer.id, peer.clone()))
            .collect();
        let known: Vec<PeerId> = self.sessions.keys().copied().collect();
        for id in known {
            match wanted.get(&id) {
                None => self.remove(now, id, &Ending::Deconfigured),
                Some(peer) if self.can_stay(&config, peer) => {}
                Some(_) => self.remove(now, id, &Ending::ConfigurationChanged),
            }
        }
        let learning = config.learning;
        let cluster_id = config.cluster_id;
        let before = self.config.replace(config);
        let mut other_limits = Vec::new();
        let mut other_roles = before
            .as_ref()
            .is_some_and(|before| before.cluster_id != cluster_id);
        for session in self.sessions.values_mut() {
            if let Some(peer) = wanted.remove(&session.config.id) {
                if peer.limits != session.config.limits {
                    other_limits.push(peer.id);
                }
                if roles(&peer) != roles(&session.config) {
                    other_roles = true;
                }
                session.config = peer;
            }
        }
        self.regroup_all();
        self.take_receivers();
        if other_roles {
            self.pass_on_everything();
        }
        if before.is_some_and(|before| before.learning != learning) {
            self.learning_changed(learning);
        }
        for id in other_limits {
            self.limits_changed(now, id);
        }
        for peer in wanted.into_values() {
            self.add(now, peer);
        }
    }

    /// What decides whether a route may be used may be otherwise: the node's addresses, its cluster.
    fn take_receivers(&mut self) {
        let Some(config) = &self.config else {
            return;
        };
        let mut concerned = Vec::new();
        for (id, session) in &mut self.sessions {
            let prefixes = session.take_receiver(config).into_iter();
            concerned.extend(prefixes.map(|prefix| (*id, prefix)));
        }
        for (id, prefix) in concerned {
            self.route_changed(id, prefix);
        }
    }

    /// Whether the peer's session is made of the same things as before.
    fn can_stay(&self, config: &SpeakerConfig, peer: &PeerConfig) -> bool {
        let settings = PeerSettings::new(config, peer);
        let session = self.sessions.get(&peer.id);
        session.is_some_and(|session| *session.fsm.settings() == settings)
    }

    pub(super) fn remove(&mut self, now: Instant, id: PeerId, why: &Ending) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.fsm.stop(why, now);
            self.drain(now, id);
            // Also what was kept over the loss of a session before.
            self.tend(id, Family::ALL.map(Task::Forget));
            self.sessions.remove(&id);
            self.deadlines.set(id, None);
        }
    }

    pub(super) fn add(&mut self, now: Instant, peer: PeerConfig) {
        let Some(config) = self.config.clone() else {
            return;
        };
        let id = peer.id;
        let settings = PeerSettings::new(&config, &peer);
        let own_restart = self.restart.towards(&peer);
        let mut fsm = self.with_context(now, |context| Peer::new(settings, own_restart, context));
        if let Some(departure) = &self.departure {
            fsm.stop(&Ending::Shutdown(departure.message().to_owned()), now);
        }
        self.sessions
            .insert(id, Session::new(now, peer, fsm, &config));
        self.drain(now, id);
    }
}

/// What decides what of learned routes a peer is sent, and its own for others.
fn roles(peer: &PeerConfig) -> (Reflection, NextHopMode) {
    (peer.reflection, peer.next_hop_mode)
}
