//! What can be asked of a running [`Speaker`](super::Speaker), for a status table or a person:
//! answers are made when asked, nothing is kept for them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use super::Speaker;
use super::reflection::Offer;
use super::restart::StaleView;
use super::session::Session;
use super::tolerated::FaultCounts;
use crate::bgp::wire::AttributesTooLarge;
use crate::bgp::{SessionHistory, SessionState};
use crate::rib::{AttributeSet, AttributesRef, Ineligible, LocRib};
use crate::types::{Family, HoldTime, PeerId, Prefix, RouterId};

/// One peer's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Which.
    pub id: PeerId,
    /// In RFC 4271's words.
    pub state: SessionState,
    /// When the session came up; without one, when it was last lost, or first tried.
    pub since: Instant,
    /// Why there is no session, once something has gone wrong.
    pub last_error: Option<String>,
    /// Times the session came up since the peer was configured as it is.
    pub established_count: u64,
    /// Prefixes the peer was sent and that were not withdrawn since.
    pub prefixes_sent: usize,
    /// Prefixes that have yet to be announced or withdrawn.
    pub prefixes_pending: usize,
    /// Prefixes the peer sent and has not withdrawn.
    pub prefixes_received: usize,
    /// What of it is kept over the loss of a session; none where nothing is.
    pub stale: Option<StaleView>,
    /// Whether its table is waited for, since our own start.
    pub awaited: bool,
    /// UPDATE messages sent in this session, End-of-RIB included.
    pub updates_sent: u64,
    /// UPDATE messages received in this session, End-of-RIB included.
    pub updates_received: u64,
    /// What the peer sent wrong since it was configured as it is.
    pub faults: FaultCounts,
    /// Until when nobody dials, see [`Event::Paused`](super::Event::Paused).
    pub paused_until: Option<Instant>,
    /// Ends in a row of sessions and attempts, none of them after a session that lasted.
    pub ends_in_a_row: u32,
    /// What became of its sessions.
    pub history: SessionHistory,
    /// What both ends agreed on; none without a session.
    pub session: Option<SessionView>,
}

/// What both ends of an established session agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The smaller of the two proposals.
    pub hold_time: HoldTime,
    /// The peer's BGP Identifier.
    pub router_id: RouterId,
    /// Families in use.
    pub families: Vec<Family>,
    /// Our end of the connection.
    pub local_address: IpAddr,
}

/// What a peer has of one of our routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advertised<'a> {
    /// It was sent this, and nothing else is to be sent.
    Announced(&'a AttributeSet),
    /// Something is to be sent as soon as the connection takes it.
    Pending,
    /// Nothing, for this reason.
    NotSent(NotSent),
}

/// Why a peer is not sent a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no such peer.
    #[error("the peer is not configured")]
    UnknownPeer,
    /// There is no session.
    #[error("there is no session")]
    NoSession,
    /// The first complete set of decisions is awaited.
    #[error("nothing is announced before all decisions were made once")]
    Incomplete,
    /// No export decision names the prefix.
    #[error("the prefix is not exported to the peer's group")]
    NotExported,
    /// The route was learned from this peer.
    #[error("the best path was learned from the peer itself")]
    PeersOwn,
    /// RFC 4271 section 5.1.3.
    #[error("its next hop is the peer itself")]
    PeersNextHop,
    /// RFC 4456 section 6.
    #[error("it was learned from an internal peer, and neither that nor this one is a client")]
    BetweenNonClients,
    /// We connect no two networks.
    #[error("it is of another AS, and this peer is external: no node is a way from one to another")]
    Transit,
    /// The peer does not carry the family.
    #[error("the peer does not carry {0} routes")]
    FamilyNotNegotiated(Family),
    /// The route has a community that forbids it.
    #[error("community NO_ADVERTISE keeps the route from every peer (RFC 1997)")]
    NoAdvertise,
    /// The route has a community that forbids it.
    #[error("community NO_EXPORT keeps the route from external peers (RFC 1997)")]
    NoExport,
    /// We have no address that could be the next hop.
    #[error("no own address can be the next hop of {0} routes: configure one")]
    NoNextHop(Family),
    /// A policy chose an address that cannot be the next hop.
    #[error("the policy's next hop {0} is not a host's address of the prefix's family")]
    UnusableNextHop(IpAddr),
    /// No message can carry the route.
    #[error(transparent)]
    TooLarge(AttributesTooLarge),
}

impl Speaker {
    /// Every configured peer, ordered by id.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> {
        let sessions = self.sessions.iter();
        sessions.map(|(id, session)| session.view(self.update_groups.of(*id)))
    }

    /// The name of a peer.
    #[must_use]
    pub fn peer_name(&self, peer: PeerId) -> Option<&str> {
        Some(&self.sessions.get(&peer)?.config.name)
    }

    /// From where connections are accepted: the address of each peer, and where it is in a pause,
    /// until when none are. All others may be closed unseen.
    #[must_use]
    pub fn admissions(&self) -> BTreeMap<IpAddr, Option<Instant>> {
        let mut admissions: BTreeMap<IpAddr, Option<Instant>> = BTreeMap::new();
        let started = self.sessions.values();
        for session in started.filter(|session| session.fsm.is_started()) {
            let until = session.fsm.paused_until();
            // Of peers that share an address, one that is in no pause may be meant.
            admissions
                .entry(session.config.address)
                .and_modify(|before| *before = (*before).min(until))
                .or_insert(until);
        }
        admissions
    }

    /// Routes learned from peers: for each prefix the best path and those as good. What this
    /// speaker exports itself is not among them.
    #[must_use]
    pub fn loc_rib(&self) -> &LocRib {
        &self.loc_rib
    }

    /// The peers whose sessions carry all there is at present: we have their initial tables, and
    /// nothing of ours waits to be sent.
    #[must_use]
    pub fn supplied_peers(&self) -> BTreeSet<PeerId> {
        let sessions = self.sessions.iter();
        let supplied = sessions.filter(|(id, session)| {
            let group = self.update_groups.of(**id);
            session.has_initial_routes() && group.is_none_or(|group| group.pending_count(**id) == 0)
        });
        supplied.map(|(id, _)| *id).collect()
    }

    /// Whether every peer has a session and has sent its initial table, all of it decided about and
    /// its next hops looked up: what the Loc-RIB does not use by then, nobody announces. Who has not
    /// done so within the restart time has nothing that is worth waiting for.
    #[must_use]
    pub fn has_initial_routes(&self) -> bool {
        let mut sessions = self.sessions.values();
        let is_past = |session: &Session| self.now.is_some_and(|now| session.deferral.is_past(now));
        self.config.is_some()
            && sessions.all(|session| session.has_initial_routes() || is_past(session))
            && self.unanswered_next_hops(1).is_empty()
    }

    /// What the peer has of our route to a prefix.
    #[must_use]
    pub fn advertised(&self, peer: PeerId, prefix: Prefix) -> Advertised<'_> {
        let Some(session) = self.sessions.get(&peer) else {
            return Advertised::NotSent(NotSent::UnknownPeer);
        };
        let group = self.update_groups.of(peer);
        if group.is_some_and(|group| group.is_pending(peer, &prefix)) {
            return Advertised::Pending;
        }
        match group.and_then(|group| group.sent(peer, &prefix)) {
            Some(attributes) => Advertised::Announced(attributes),
            None => Advertised::NotSent(self.why_not_sent(session, prefix)),
        }
    }

    /// What each peer has of the best learned path to a prefix, where we have none of our own for it:
    /// to whom it was reflected, and why not to the others. Nobody, while we are no reflector.
    pub fn passed_on(&self, prefix: Prefix) -> impl Iterator<Item = (PeerId, Advertised<'_>)> {
        let cluster_id = self.config.as_ref().and_then(|config| config.cluster_id);
        let is_learned = cluster_id.is_some() && self.loc_rib.best(&prefix).is_some();
        let sessions = is_learned.then_some(&self.sessions).into_iter().flatten();
        let is_own =
            move |session: &Session| self.exports.route(session.follows, &prefix).is_some();
        sessions
            .filter(move |(_, session)| !is_own(session))
            .map(move |(id, _)| (*id, self.advertised(*id, prefix)))
    }

    /// Everything the peer was sent and that was not withdrawn since, ordered by prefix.
    pub fn advertisements(&self, peer: PeerId) -> impl Iterator<Item = (Prefix, &AttributesRef)> {
        let group = self.update_groups.of(peer);
        group
            .into_iter()
            .flat_map(move |group| group.iter_sent(peer))
    }

    /// Every route the peer sent, ordered by prefix, and why it must not be used if so. There may be a
    /// million: whoever must not keep the speaker takes [some](Self::received_after) at a time.
    pub fn received(
        &self,
        peer: PeerId,
    ) -> impl Iterator<Item = (Prefix, &AttributesRef, Option<Ineligible>)> {
        self.received_after(peer, None)
    }

    /// The same of the routes behind a prefix.
    pub fn received_after(
        &self,
        peer: PeerId,
        after: Option<Prefix>,
    ) -> impl Iterator<Item = (Prefix, &AttributesRef, Option<Ineligible>)> {
        let session = self.sessions.get(&peer);
        session
            .into_iter()
            .flat_map(move |session| session.adj_rib_in.iter_after(after))
    }

    /// The route the peer sent to a prefix, and why it must not be used if so.
    #[must_use]
    pub fn received_route(
        &self,
        peer: PeerId,
        prefix: &Prefix,
    ) -> Option<(&AttributesRef, Option<Ineligible>)> {
        let routes = &self.sessions.get(&peer)?.adj_rib_in;
        let attributes = routes.route(prefix)?;
        Some((attributes, routes.ineligibility(prefix, attributes)))
    }

    fn why_not_sent(&self, session: &Session, prefix: Prefix) -> NotSent {
        if !self.exports.is_complete() {
            return NotSent::Incomplete;
        }
        let Some((config, export)) = self
            .config
            .as_ref()
            .and_then(|config| Some((config, session.export_session(config)?)))
        else {
            return NotSent::NoSession;
        };
        let own = self.exports.route(session.follows, &prefix);
        let offer = Offer::new(config, self.exports.groups(), &self.loc_rib);
        if own.is_none() && offer.learned_from(&prefix) == Some(session.config.id) {
            return NotSent::PeersOwn;
        }
        let derived = match own {
            Some(route) => export.derive(prefix.family(), route),
            None => match offer.learned(&prefix, session.config.reflection, export.peering()) {
                None => return NotSent::NotExported,
                Some(Err(reason)) => return reason,
                Some(Ok(path)) => export.derive_learned(prefix.family(), path, offer.cluster_id),
            },
        };
        match derived {
            Err(reason) => reason,
            Ok(set) if set.next_hop.address == session.config.address => NotSent::PeersNextHop,
            Ok(set) if session.recipient().is_some_and(|peer| !peer.takes(&set)) => {
                NotSent::PeersOwn
            }
            Ok(_) => NotSent::NotExported,
        }
    }
}
