//! Learned routes that somebody else decides about: what is asked, and what an answer does.
//!
//! Only under [`Learning::Decided`](super::Learning::Decided). Each announcement of a route has a
//! number; an answer names it, so what was decided about a route that the peer has replaced or
//! withdrawn since does nothing. A route that is withdrawn, or that must not be used, leaves the
//! Loc-RIB at once. One that is replaced leaves it with the decision about its successor: the way
//! there does not flap while a policy thinks.

use std::sync::Arc;

use super::Speaker;
use super::config::Learning;
use super::io::Output;
use crate::bgp::wire::{NextHop, PathAttributes};
use crate::rib::{AttributeSet, AttributesRef, Neighbor, Path, Source};
use crate::types::{Installation, PeerId, Prefix, RouteAttributes, RouteVersion, RouterId};

/// A route of a peer that is to be decided about, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// Whose.
    pub peer: PeerId,
    /// Where to.
    pub prefix: Prefix,
    /// Absent where there is none any more, or none that may be used.
    pub route: Option<UndecidedRoute>,
}

/// What there is to decide about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndecidedRoute {
    /// Which announcement.
    pub version: RouteVersion,
    /// The BGP Identifier of the peer.
    pub router_id: RouterId,
    /// As received.
    pub attributes: AttributesRef,
}

/// A decision about a learned route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Whose.
    pub peer: PeerId,
    /// Where to.
    pub prefix: Prefix,
    /// Which announcement; the decision is void if that is not the latest.
    pub version: RouteVersion,
    /// Used with these attributes, or not at all.
    pub used: Option<(Arc<RouteAttributes>, Installation)>,
}

impl Speaker {
    /// Routes that changed and nobody was given yet, at most `max` of them; where more are left,
    /// another [`Output::Undecided`] says so. Changes of one route between two calls are one.
    pub fn take_undecided(&mut self, max: usize) -> Vec<Undecided> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some((peer, prefix)) = self.undecided.pop_first()
        {
            taken.push(Undecided {
                peer,
                prefix,
                route: self.undecided_route(peer, &prefix),
            });
        }
        if !self.undecided.is_empty() {
            self.outputs.push_back(Output::Undecided);
        }
        taken
    }

    /// Routes that may be used, to be decided about for a trial, or written down: what becomes of them
    /// is to be told to nobody. Those behind a place, ordered by it, of `max` routes looked at; and the
    /// place to go on from, if there are more.
    #[must_use]
    pub fn eligible(
        &self,
        after: Option<(PeerId, Prefix)>,
        max: usize,
    ) -> (Vec<Undecided>, Option<(PeerId, Prefix)>) {
        let mut eligible = Vec::new();
        let mut left = max;
        let first = after.map_or(PeerId(0), |(peer, _)| peer);
        for (peer, session) in self.sessions.range(first..) {
            let Some(neighbor) = &session.neighbor else {
                continue;
            };
            let behind = after.filter(|(of, _)| of == peer).map(|(_, prefix)| prefix);
            for (prefix, attributes, ineligible) in session.adj_rib_in.iter_after(behind) {
                if ineligible.is_none() {
                    eligible.push(Undecided {
                        peer: *peer,
                        prefix,
                        route: Some(UndecidedRoute {
                            version: session.versions.get(&prefix).copied().unwrap_or_default(),
                            router_id: neighbor.router_id,
                            attributes: attributes.clone(),
                        }),
                    });
                }
                left -= 1;
                if left == 0 {
                    return (eligible, Some((*peer, prefix)));
                }
            }
        }
        (eligible, None)
    }

    /// Whether the kernel may forward by what the peer announced, while that is used. What no
    /// decision keeps from it, it may have.
    #[must_use]
    pub fn installation(&self, peer: PeerId, prefix: &Prefix) -> Installation {
        match self.sessions.get(&peer) {
            Some(session) if session.kept.contains(prefix) => Installation::Keep,
            Some(_) | None => Installation::Install,
        }
    }

    fn undecided_route(&self, peer: PeerId, prefix: &Prefix) -> Option<UndecidedRoute> {
        let session = self.sessions.get(&peer)?;
        Some(UndecidedRoute {
            version: *session.versions.get(prefix)?,
            router_id: session.neighbor.as_ref()?.router_id,
            attributes: session.adj_rib_in.eligible(prefix)?.clone(),
        })
    }

    /// What the peer says about a prefix is not what it was.
    pub(super) fn route_changed(&mut self, peer: PeerId, prefix: Prefix) {
        let Some(session) = self.sessions.get_mut(&peer) else {
            return;
        };
        let learning = self.config.as_ref().map(|config| config.learning);
        let path = session.path(&prefix);
        match learning.unwrap_or_default() {
            Learning::Everything => {
                self.set_path(prefix, peer, path);
            }
            Learning::Decided => {
                if path.is_some() {
                    self.last_version.0 += 1;
                    session.versions.insert(prefix, self.last_version);
                    session.awaiting.insert(prefix);
                } else {
                    session.versions.remove(&prefix);
                    session.awaiting.remove(&prefix);
                    session.kept.remove(&prefix);
                    self.set_path(prefix, peer, None);
                }
                self.ask_about(peer, prefix);
            }
        }
    }

    fn ask_about(&mut self, peer: PeerId, prefix: Prefix) {
        if self.undecided.is_empty() {
            self.outputs.push_back(Output::Undecided);
        }
        self.undecided.insert((peer, prefix));
    }

    /// Decisions came.
    pub(super) fn import(&mut self, decisions: Vec<Import>) {
        for Import {
            peer,
            prefix,
            version,
            used,
        } in decisions
        {
            let Some(session) = self.sessions.get_mut(&peer) else {
                continue;
            };
            if session.versions.get(&prefix) != Some(&version) {
                continue;
            }
            session.awaiting.remove(&prefix);
            let (Some(neighbor), Some(received)) =
                (&session.neighbor, session.adj_rib_in.eligible(&prefix))
            else {
                continue;
            };
            let installation = used.as_ref().map(|(_, installation)| *installation);
            let path = used.map(|(attributes, _)| Path {
                source: Source::Peer(Arc::clone(neighbor)),
                attributes: self.pool.intern(changed(received, &attributes, neighbor)),
            });
            let concerns_kernel = match installation {
                Some(Installation::Keep) => session.kept.insert(prefix),
                Some(Installation::Install) => session.kept.remove(&prefix),
                None => {
                    session.kept.remove(&prefix);
                    false
                }
            };
            if self.set_path(prefix, peer, path).is_none() && concerns_kernel {
                self.outputs.push_back(Output::RouteChange { prefix });
            }
        }
    }

    /// Another rule is in force for what is learned; sessions and what they brought stay.
    pub(super) fn learning_changed(&mut self, learning: Learning) {
        self.undecided.clear();
        let routes: Vec<(PeerId, Prefix)> = self
            .sessions
            .iter()
            .flat_map(|(id, session)| session.adj_rib_in.iter().map(|(prefix, ..)| (*id, prefix)))
            .collect();
        match learning {
            Learning::Everything => {
                for session in self.sessions.values_mut() {
                    session.versions.clear();
                    session.awaiting.clear();
                    // The path may be the same, but the kernel may have it.
                    let kept = std::mem::take(&mut session.kept).into_iter();
                    let changes = kept.map(|prefix| Output::RouteChange { prefix });
                    self.outputs.extend(changes);
                }
            }
            Learning::Decided => {}
        }
        for (peer, prefix) in routes {
            self.route_changed(peer, prefix);
        }
    }
}

/// What of a received route policies may change, as they are shown it: communities sorted and each
/// once.
#[must_use]
pub fn route_attributes(set: &AttributeSet) -> RouteAttributes {
    let AttributeSet { next_hop, path } = set;
    RouteAttributes {
        med: path.med,
        local_pref: path.local_pref,
        prepend: 0,
        next_hop: Some(next_hop.address),
        communities: sorted(&path.communities),
        large_communities: sorted(&path.large_communities),
        extended_communities: sorted(&path.extended_communities),
    }
}

/// The received set with what a decision says in its place. What is decided to be as it was stays
/// exactly as it was received.
fn changed(received: &AttributeSet, decided: &RouteAttributes, by: &Neighbor) -> AttributeSet {
    let shown = route_attributes(received);
    let RouteAttributes {
        med,
        local_pref,
        prepend,
        next_hop,
        communities,
        large_communities,
        extended_communities,
    } = decided;
    let AttributeSet {
        next_hop: received_next_hop,
        path,
    } = received;
    let next_hop = match next_hop {
        Some(address) if *address != received_next_hop.address => NextHop {
            address: *address,
            link_local: None,
        },
        Some(_) | None => *received_next_hop,
    };
    let mut path = PathAttributes {
        as_path: path.as_path.prepended(by.asn, usize::from(*prepend)),
        med: *med,
        local_pref: *local_pref,
        ..path.clone()
    };
    if *communities != shown.communities {
        path.communities.clone_from(communities);
    }
    if *large_communities != shown.large_communities {
        path.large_communities.clone_from(large_communities);
    }
    if *extended_communities != shown.extended_communities {
        path.extended_communities.clone_from(extended_communities);
    }
    AttributeSet { next_hop, path }
}

fn sorted<T: Ord + Copy>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    values
}
