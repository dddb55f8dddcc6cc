//! How much a peer may have us keep: told when it comes near, and the end of its session beyond.

use std::time::Instant;

use super::Speaker;
use super::io::Event;
use super::session::Session;
use crate::bgp::Ending;
use crate::types::{Family, PeerId};

/// What there is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quota {
    /// Prefixes of a family.
    Prefixes(Family),
    /// Octets of memory for path attributes.
    AttributeBytes,
}

impl Quota {
    const ALL: [Self; 3] = [
        Self::Prefixes(Family::Ipv4Unicast),
        Self::Prefixes(Family::Ipv6Unicast),
        Self::AttributeBytes,
    ];
}

impl Speaker {
    /// Looks at what a peer has us keep.
    pub(super) fn enforce_limits(&mut self, now: Instant, id: PeerId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let excess = session.excess();
        let warnings = session.near_limits();
        for warning in warnings {
            self.report(warning);
        }
        if let Some(ending) = excess {
            self.on_peer(now, id, |peer, context| peer.end_session(ending, context));
        }
    }

    /// A peer's limits are others: what ended its session may be none any more.
    pub(super) fn limits_changed(&mut self, now: Instant, id: PeerId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.warned.clear();
        }
        self.on_peer(now, id, crate::bgp::Peer::end_pause);
        self.enforce_limits(now, id);
    }
}

impl Session {
    /// Why the session has to end, if the peer has us keep too much.
    fn excess(&self) -> Option<Ending> {
        let restart = self.config.limits.restart;
        let exceeded = Quota::ALL
            .into_iter()
            .find(|quota| self.held(*quota) > self.limit(*quota))?;
        let most = self.limit(exceeded);
        Some(match exceeded {
            Quota::Prefixes(family) => Ending::MaximumPrefixes {
                family,
                most,
                restart,
            },
            Quota::AttributeBytes => Ending::AttributeMemory { most, restart },
        })
    }

    /// What came near its limit and was not told in this session.
    fn near_limits(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for quota in Quota::ALL {
            let (held, limit) = (self.held(quota), self.limit(quota));
            if held >= self.config.limits.warn_at(limit) && self.warned.insert(quota) {
                events.push(Event::NearLimit {
                    peer: self.config.id,
                    quota,
                    held,
                    limit,
                });
            }
        }
        events
    }

    fn held(&self, quota: Quota) -> usize {
        match quota {
            // What a peer says in the place of what it said before its restart is no more than before.
            Quota::Prefixes(family) => {
                self.adj_rib_in.count(family) - self.adj_rib_in.stale_count(family)
            }
            Quota::AttributeBytes => self.adj_rib_in.attribute_octets(),
        }
    }

    fn limit(&self, quota: Quota) -> usize {
        match quota {
            Quota::Prefixes(family) => self.config.limits.prefixes(family),
            Quota::AttributeBytes => self.config.limits.attribute_bytes,
        }
    }
}
