//! The import side of the agent as one object: learned routes in, what becomes of each out.
//!
//! Called by the agent whenever a peer's routes, the facts, the peers or the policies change, and
//! at [`Imports::retry_at`]. It keeps no clock and never talks to peers.
//!
//! # A chain
//! As for announced routes (see [`policy`](super)): policies are asked in order about the routes
//! that none before rejected. Reject is final, accept carries on with its attributes and its
//! word on the kernel, abstain leaves things as they are, and a route that all abstained from is
//! decided by the step [`CHAIN_DEFAULT`](super::CHAIN_DEFAULT). A policy may be for the routes of
//! some peers only: see [`Audience`](super::Audience); or only tell what it would change: see
//! [`Mode`](super::Mode).
//!
//! # Failure
//! A policy that fails is not asked again before a time that doubles with each failure. Until
//! then its [`OnError`](super::OnError) decides for it. A decision that is kept is one about
//! exactly this path: a route that the peer has changed since was never decided about, and one that
//! it has withdrawn is gone with everything that was said of it.
//!
//! Nothing is decided before the own node's facts are known; facts that are lost again are kept.

mod observe;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::chain::Due;
use super::observation::Unseen;
use super::outcome::with_passed_over;
use super::{
    AcceptedImport, ChainDefault, ImportChange, ImportOutcome, ImportPolicy, LearnedChange,
    LearnedFrom, LearnedRoute, LinkStatus, NextLink, PeerGroup, Step,
};
use crate::facts::NodeFacts;
use crate::types::{Asn, PeerId, Prefix, RouteVersion, RouterId};
use walk::{Context, ImportChain, Kept};

/// A peer that routes are learned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportPeer {
    /// Its name in the configuration.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its group.
    pub group: PeerGroup,
}

/// The import chain, the peers, their routes, and what came of them.
///
/// A clone is a trial: what is done to it shows what would come of it, and nobody is told. It
/// shares the policies, which keep no state, and nothing else.
#[derive(Clone, Debug)]
pub struct Imports {
    asn: Asn,
    node: Option<Arc<NodeFacts>>,
    default: ChainDefault,
    chain: ImportChain,
    peers: BTreeMap<PeerId, ImportPeer>,
    routes: BTreeMap<PeerId, BTreeMap<Prefix, Entry>>,
    unseen: Unseen<PeerId, (PeerId, Prefix)>,
}

/// A learned route.
#[derive(Clone, Debug)]
struct Entry {
    route: LearnedRoute,
    /// Absent until it was decided for the first time.
    outcome: Option<ImportOutcome>,
    /// The last good decision of each link about this very path, by its position in the chain.
    last: Vec<Option<Kept>>,
    /// What the owner was told last.
    told: Option<Told>,
}

/// A decision that the owner has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    version: RouteVersion,
    accepted: Option<AcceptedImport>,
}

/// What a round has to decide about.
#[derive(Clone, Debug)]
enum Scope {
    Everything,
    Peers(BTreeSet<PeerId>),
    Routes(BTreeMap<PeerId, BTreeSet<Prefix>>),
}

impl Imports {
    /// No peers, no routes, and a chain without policies, which rejects everything.
    #[must_use]
    pub fn new(asn: Asn) -> Self {
        Self {
            asn,
            node: None,
            default: ChainDefault::default(),
            chain: ImportChain::default(),
            peers: BTreeMap::new(),
            routes: BTreeMap::new(),
            unseen: Unseen::default(),
        }
    }

    /// Takes another AS number for our own; everything is decided again if it differs.
    pub fn set_asn(&mut self, now: Instant, asn: Asn) -> Vec<ImportChange> {
        if self.asn == asn {
            return self.retry(now);
        }
        self.asn = asn;
        self.round(now, Scope::Everything)
    }

    /// Takes another end of the chain; everything is decided again if it differs.
    pub fn set_default(&mut self, now: Instant, default: ChainDefault) -> Vec<ImportChange> {
        if self.default == default {
            return self.retry(now);
        }
        self.default = default;
        self.round(now, Scope::Everything)
    }

    /// Takes `peers` for the peers. What is known of routes of others is forgotten; routes of new
    /// and changed ones are decided.
    pub fn set_peers(
        &mut self,
        now: Instant,
        peers: BTreeMap<PeerId, ImportPeer>,
    ) -> Vec<ImportChange> {
        self.routes.retain(|peer, _| peers.contains_key(peer));
        let gone = self.peers.keys().filter(|peer| !peers.contains_key(peer));
        self.unseen.add_peers(&gone.copied().collect());
        let differs = |(id, peer): &(&PeerId, &ImportPeer)| self.peers.get(id) != Some(peer);
        let concerned = peers.iter().filter(differs).map(|(id, _)| *id).collect();
        self.peers = peers;
        self.round(now, Scope::Peers(concerned))
    }

    /// Takes the own node's facts; everything is decided again if they differ.
    pub fn set_node(&mut self, now: Instant, node: Arc<NodeFacts>) -> Vec<ImportChange> {
        if self.node.as_ref() == Some(&node) {
            return self.retry(now);
        }
        self.node = Some(node);
        self.round(now, Scope::Everything)
    }

    /// Puts another chain in force and decides about everything by it.
    ///
    /// Links keep the last decisions of former links of their name. For a link that has none,
    /// what the former chain accepted stands in until it has answered: a new module that fails at
    /// once takes no route away under `keep-last`. Links that are [`NextLink::Kept`] are what they
    /// were, failing ones included.
    pub fn replace_chain(
        &mut self,
        now: Instant,
        links: impl IntoIterator<Item = impl Into<NextLink<Arc<dyn ImportPolicy>>>>,
    ) -> Vec<ImportChange> {
        let positions = self.chain.replace(links);
        for entry in self.routes.values_mut().flat_map(BTreeMap::values_mut) {
            let stand_in = entry.outcome.as_ref().and_then(Kept::by_former_chain);
            let mut former = std::mem::take(&mut entry.last);
            let last = positions.iter().map(|position| {
                let own = position.and_then(|position| former.get_mut(position)?.take());
                own.or_else(|| stand_in.clone())
            });
            entry.last = last.collect();
        }
        self.round(now, Scope::Everything)
    }

    /// Takes steps of the peers' routes, and decides about those that are new. One that differs
    /// in its version only is the same path announced again.
    pub fn learn(&mut self, now: Instant, changes: Vec<LearnedChange>) -> Vec<ImportChange> {
        let mut concerned: BTreeMap<PeerId, BTreeSet<Prefix>> = BTreeMap::new();
        for LearnedChange {
            peer,
            prefix,
            route,
        } in changes
        {
            let routes = self.routes.entry(peer).or_default();
            let Some(route) = route else {
                routes.remove(&prefix);
                self.unseen.add_routes([(peer, prefix)]);
                continue;
            };
            concerned.entry(peer).or_default().insert(prefix);
            match routes.get_mut(&prefix) {
                Some(entry) if entry.route.is_same_path(&route) => entry.route = route,
                Some(_) | None => {
                    routes.insert(prefix, Entry::new(route));
                }
            }
        }
        self.round(now, Scope::Routes(concerned))
    }

    /// Forgets every route: whoever gave them will give them anew.
    pub fn forget_routes(&mut self) {
        self.routes.clear();
        self.unseen.add_everything();
    }

    /// When to call [`Imports::retry`], because a policy is failing; absent while none is.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        self.chain.retry_at()
    }

    /// Asks failing policies whose time has come, about everything. Harmless at any time.
    pub fn retry(&mut self, now: Instant) -> Vec<ImportChange> {
        self.round(now, Scope::Routes(BTreeMap::new()))
    }

    /// How each policy of the chain is, in order.
    pub fn links(&self) -> impl Iterator<Item = LinkStatus<'_>> {
        self.chain.status()
    }

    /// How often a policy was asked to decide about something, since the beginning.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.chain.asked()
    }

    /// What the chain made of each route of a peer, ordered by prefix; absent while that is not
    /// decided.
    pub fn outcomes(
        &self,
        peer: PeerId,
    ) -> impl Iterator<Item = (Prefix, &LearnedRoute, Option<&ImportOutcome>)> {
        let routes = self.routes.get(&peer).into_iter().flatten();
        routes.map(|(prefix, entry)| (*prefix, &entry.route, entry.outcome.as_ref()))
    }

    /// The steps that led to the outcome of a peer's route, and between them one for each policy
    /// that was passed over because it is not for this peer.
    #[must_use]
    pub fn steps(&self, peer: PeerId, outcome: &ImportOutcome) -> Vec<Step> {
        let Some(peer) = self.peers.get(&peer) else {
            return outcome.steps.clone();
        };
        let links = self.chain.links();
        let links = links.map(|link| (&link.name, link.passed_over_for(&peer.group)));
        with_passed_over(&outcome.steps, links)
    }

    /// A peer's route as it was learned, and what the chain made of it; absent where there is none.
    #[must_use]
    pub fn route(
        &self,
        peer: PeerId,
        prefix: &Prefix,
    ) -> Option<(&LearnedRoute, Option<&ImportOutcome>)> {
        let entry = self.routes.get(&peer)?.get(prefix)?;
        Some((&entry.route, entry.outcome.as_ref()))
    }

    /// What the owner, who was told what came of `before`, is to be told for it to know what came
    /// of this. Routes that are gone are not spoken of: the owner has withdrawn them itself.
    #[must_use]
    pub fn differences(&self, before: &Self) -> Vec<ImportChange> {
        let mut changes = Vec::new();
        for (peer, routes) in &self.routes {
            let former = before.routes.get(peer);
            for (prefix, entry) in routes {
                let known = former.and_then(|routes| routes.get(prefix)?.told.as_ref());
                if let Some(told) = entry.told.as_ref().filter(|told| known != Some(*told)) {
                    changes.push(told.change(*peer, *prefix));
                }
            }
        }
        changes
    }

    /// Decides about `scope`, or about everything if a failing link is due, and tells what the
    /// owner does not know yet.
    fn round(&mut self, now: Instant, mut scope: Scope) -> Vec<ImportChange> {
        if self.node.is_none() {
            self.note(&scope);
            return Vec::new();
        }
        if self.chain.begin_round(now) == Due::Yes {
            scope = Scope::Everything;
        }
        self.evaluate(now, &scope);
        // A link that fails is not asked again: there are at most as many turns as links.
        while self.must_widen(&scope) {
            scope = Scope::Everything;
            self.chain.restart_round();
            self.evaluate(now, &scope);
        }
        self.chain.end_round();
        match scope {
            Scope::Everything => self.drop_stand_ins(),
            Scope::Peers(_) | Scope::Routes(_) => {}
        }
        self.note(&scope);
        self.tell(&scope)
    }

    /// Remembers what nobody has observed yet.
    fn note(&mut self, scope: &Scope) {
        match scope {
            Scope::Everything => self.unseen.add_everything(),
            Scope::Peers(peers) => self.unseen.add_peers(peers),
            Scope::Routes(routes) => {
                for (peer, prefixes) in routes {
                    let routes = prefixes.iter().map(|prefix| (*peer, *prefix));
                    self.unseen.add_routes(routes);
                }
            }
        }
    }

    /// Whether a link failed whose routes were not all decided about under its failure: its
    /// on-error speaks about all of them.
    fn must_widen(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Everything => self.chain.is_divided(),
            Scope::Peers(_) | Scope::Routes(_) => self.chain.has_failed(),
        }
    }

    fn evaluate(&mut self, now: Instant, scope: &Scope) {
        let Some(node) = &self.node else {
            return;
        };
        for (id, routes) in &mut self.routes {
            let Some(peer) = self.peers.get(id) else {
                continue;
            };
            let mut taken = scope.take(*id, routes);
            let Some(router_id) = taken.last().map(|(_, entry)| entry.route.router_id) else {
                continue;
            };
            let context = Context {
                now,
                node,
                asn: self.asn,
                default: self.default,
                peer_group: &peer.group,
                peer: &peer.learned_from(router_id),
            };
            walk::decide(&mut self.chain, &context, &mut taken);
            routes.extend(taken);
        }
    }

    /// What stands in for a link that has answered for everything it was asked about is of no
    /// more use.
    fn drop_stand_ins(&mut self) {
        for position in self.chain.take_independent() {
            for entry in self.routes.values_mut().flat_map(BTreeMap::values_mut) {
                if let Some(last) = entry.last.get_mut(position) {
                    last.take_if(|kept| kept.stands_in());
                }
            }
        }
    }

    fn tell(&mut self, scope: &Scope) -> Vec<ImportChange> {
        let mut changes = Vec::new();
        for (id, routes) in &mut self.routes {
            let mut tell = |prefix: Prefix, entry: &mut Entry| {
                if let Some(told) = entry.news() {
                    changes.push(told.change(*id, prefix));
                    entry.told = Some(told);
                }
            };
            match scope {
                Scope::Routes(concerned) => {
                    for prefix in concerned.get(id).into_iter().flatten() {
                        if let Some(entry) = routes.get_mut(prefix) {
                            tell(*prefix, entry);
                        }
                    }
                }
                Scope::Everything | Scope::Peers(_) => {
                    for (prefix, entry) in routes {
                        tell(*prefix, entry);
                    }
                }
            }
        }
        changes
    }
}

impl Told {
    fn change(&self, peer: PeerId, prefix: Prefix) -> ImportChange {
        ImportChange {
            peer,
            prefix,
            version: self.version,
            accepted: self.accepted.clone(),
        }
    }
}

impl Scope {
    /// Takes the routes of a peer that are to be decided about out of all of them.
    fn take(&self, peer: PeerId, routes: &mut BTreeMap<Prefix, Entry>) -> Vec<(Prefix, Entry)> {
        match self {
            Self::Everything => std::mem::take(routes).into_iter().collect(),
            Self::Peers(peers) if peers.contains(&peer) => {
                std::mem::take(routes).into_iter().collect()
            }
            Self::Peers(_) => Vec::new(),
            Self::Routes(concerned) => {
                let prefixes = concerned.get(&peer).into_iter().flatten();
                let taken = prefixes.filter_map(|prefix| routes.remove_entry(prefix));
                taken.collect()
            }
        }
    }
}

impl ImportPeer {
    /// The peer in a session with this BGP Identifier.
    pub(super) fn learned_from(&self, router_id: RouterId) -> LearnedFrom {
        LearnedFrom {
            name: self.name.clone(),
            address: self.address,
            router_id,
        }
    }
}

impl LearnedRoute {
    fn is_same_path(&self, other: &Self) -> bool {
        let Self {
            version: _,
            router_id,
            path,
            attributes,
        } = self;
        *router_id == other.router_id && *path == other.path && *attributes == other.attributes
    }
}

impl Entry {
    fn new(route: LearnedRoute) -> Self {
        Self {
            route,
            outcome: None,
            last: Vec::new(),
            told: None,
        }
    }

    /// What the owner is to be told, unless it knows.
    fn news(&self) -> Option<Told> {
        let told = Told {
            version: self.route.version,
            accepted: self.outcome.as_ref()?.accepted.clone(),
        };
        (self.told.as_ref() != Some(&told)).then_some(told)
    }
}

#[cfg(test)]
mod tests;
