//! Which peers share an [`UpdateGroup`]: those whose sessions give the same octets, of the same
//! export decisions. Worked out from the sessions, never configured.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::export::{ExportSession, Exporter};
use super::reflection::Offer;
use super::session::{REPORTS_MAX, told};
use super::view::NotSent;
use crate::rib::{AttributePool, Recipient, UpdateGroup};
use crate::types::{GroupId, PeerId, Prefix, Reflection, RouteAttributes};

/// The groups of all peers that are announced to.
#[derive(Debug, Default)]
pub(super) struct UpdateGroups {
    /// In the order in which they came to be.
    groups: BTreeMap<u64, Group>,
    of_peers: BTreeMap<PeerId, u64>,
    last: u64,
}

/// Never without members.
#[derive(Debug)]
struct Group {
    facts: Facts,
    peers: UpdateGroup,
}

/// What the peers of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Whose decisions they are sent.
    pub(super) exported: GroupId,
    /// What of the learned routes they are passed on.
    pub(super) reflection: Reflection,
    /// What a route becomes on their sessions.
    pub(super) session: ExportSession,
}

/// What is kept back, each reason with the first prefix concerned.
pub(super) type KeptBack = Vec<(Prefix, NotSent)>;

impl UpdateGroups {
    /// A peer's group.
    pub(super) fn of(&self, peer: PeerId) -> Option<&UpdateGroup> {
        let group = self.groups.get(self.of_peers.get(&peer)?)?;
        Some(&group.peers)
    }

    /// A peer's group.
    pub(super) fn of_mut(&mut self, peer: PeerId) -> Option<&mut UpdateGroup> {
        let group = self.groups.get_mut(self.of_peers.get(&peer)?)?;
        Some(&mut group.peers)
    }

    /// A peer has a session no more.
    pub(super) fn leave(&mut self, peer: PeerId) {
        let Some(number) = self.of_peers.remove(&peer) else {
            return;
        };
        if let Some(group) = self.groups.get_mut(&number) {
            group.peers.leave(peer);
            if group.peers.members().next().is_none() {
                self.groups.remove(&number);
            }
        }
    }

    /// Decisions changed. Returns the peers that are sent them, and what is kept back from each.
    pub(super) fn wish(
        &mut self,
        exported: GroupId,
        changes: &[(Prefix, Option<Arc<RouteAttributes>>)],
        offer: &Offer<'_>,
        pool: &mut AttributePool,
    ) -> Vec<(PeerId, KeptBack)> {
        let mut told = Vec::new();
        for group in self.groups.values_mut() {
            if group.facts.exported == exported {
                let routes = changes.iter();
                let routes = routes.map(|(prefix, route)| (*prefix, route.as_ref()));
                let kept_back = group.wish(routes, offer, pool);
                told.extend(group.told(&kept_back));
            }
        }
        told
    }

    /// Other routes were learned, or none any more, to these prefixes. Returns the same.
    pub(super) fn pass_on(
        &mut self,
        prefixes: &BTreeSet<Prefix>,
        offer: &Offer<'_>,
        pool: &mut AttributePool,
    ) -> Vec<(PeerId, KeptBack)> {
        let mut told = Vec::new();
        for group in self.groups.values_mut() {
            let table = offer.tables.get(&group.facts.exported);
            let own = |prefix: &Prefix| table.and_then(|table| table.get(prefix));
            let routes = prefixes.iter().map(|prefix| (*prefix, own(prefix)));
            let kept_back = group.wish(routes, offer, pool);
            told.extend(group.told(&kept_back));
        }
        told
    }

    /// Nobody is to have anything.
    pub(super) fn withdraw_all(&mut self, offer: &Offer<'_>) {
        for group in self.groups.values_mut() {
            let table = offer.tables.get(&group.facts.exported).into_iter();
            let own = table.flat_map(|table| table.keys().copied());
            let sent = group.peers.adj_rib_out().iter_sent();
            let sent = sent.map(|(prefix, _)| prefix);
            let all: BTreeSet<Prefix> = own.chain(offer.learned_prefixes()).chain(sent).collect();
            for prefix in all {
                group.peers.set_wanted(prefix, None);
            }
        }
    }

    /// A peer belongs to the group with these facts: it goes there with what it has. Returns what is
    /// kept back from it; nothing where it is there already.
    pub(super) fn place(
        &mut self,
        (peer, recipient): (PeerId, Recipient),
        facts: Facts,
        offer: &Offer<'_>,
        pool: &mut AttributePool,
    ) -> Option<KeptBack> {
        let there = self.groups.iter().find(|(_, group)| group.facts == facts);
        let there = there.map(|(number, _)| *number);
        let from = self.of_peers.get(&peer).copied();
        if there.is_some() && there == from {
            return None;
        }
        let mut from = from.and_then(|number| Some((number, self.groups.remove(&number)?)));
        let number = there.unwrap_or_else(|| {
            self.last += 1;
            self.last
        });
        let (mut to, kept_back) = match self.groups.remove(&number) {
            Some(to) => {
                let kept_back = to.kept_back(offer, pool);
                (to, kept_back)
            }
            None => {
                let before = from.as_ref().map(|(_, group)| group);
                Group::new(facts, before, offer, pool)
            }
        };
        match &mut from {
            Some((_, from)) => from.peers.move_to(peer, &mut to.peers),
            None => to.peers.join(peer, recipient),
        }
        if let Some((number, from)) = from
            && from.peers.members().next().is_some()
        {
            self.groups.insert(number, from);
        }
        self.groups.insert(number, to);
        self.of_peers.insert(peer, number);
        Some(kept_back)
    }
}

impl Group {
    /// A group without members. Where some come from another, it begins with what that was sent.
    fn new(
        facts: Facts,
        before: Option<&Self>,
        offer: &Offer<'_>,
        pool: &mut AttributePool,
    ) -> (Self, KeptBack) {
        let peers = match before {
            Some(before) => before.peers.split(),
            None => UpdateGroup::new(facts.session.codec),
        };
        let mut group = Self { facts, peers };
        let table = offer.tables.get(&group.facts.exported);
        let former = before.and_then(|before| offer.tables.get(&before.facts.exported));
        let is_here = |prefix: &Prefix| table.is_some_and(|table| table.contains_key(prefix));
        let gone = former.into_iter().flat_map(BTreeMap::keys).copied();
        let others = gone.chain(offer.learned_prefixes());
        let others = others.filter(|prefix| !is_here(prefix));
        let own = table.into_iter().flatten();
        let own = own.map(|(prefix, route)| (*prefix, Some(route)));
        let routes = others.map(|prefix| (prefix, None)).chain(own);
        let kept_back = group.wish(routes, offer, pool);
        (group, kept_back)
    }

    /// Each member, with what is kept back from all.
    fn told(&self, kept_back: &[(Prefix, NotSent)]) -> impl Iterator<Item = (PeerId, KeptBack)> {
        let members = self.peers.members();
        members.map(|peer| (peer, kept_back.to_vec()))
    }

    /// Wishes for some of the routes that were decided about, and where there is none to a prefix, for
    /// what was learned.
    fn wish<'r>(
        &mut self,
        routes: impl Iterator<Item = (Prefix, Option<&'r Arc<RouteAttributes>>)>,
        offer: &Offer<'_>,
        pool: &mut AttributePool,
    ) -> KeptBack {
        let mut kept_back = KeptBack::new();
        let mut exporter = Exporter::new(&self.facts.session, pool);
        for (prefix, route) in routes {
            let route = match route {
                Some(own) => Some(exporter.export(prefix, own)),
                None => offer
                    .learned(&prefix, self.facts.reflection, exporter.peering())
                    .map(|path| exporter.pass_on(prefix, path?, offer.cluster_id)),
            };
            let wanted = match route {
                Some(Ok(attributes)) => Some(attributes),
                Some(Err(reason)) => {
                    note(&mut kept_back, prefix, reason);
                    None
                }
                None => None,
            };
            self.peers.set_wanted(prefix, wanted);
        }
        kept_back
    }

    /// What is kept back of all that was decided about.
    fn kept_back(&self, offer: &Offer<'_>, pool: &mut AttributePool) -> KeptBack {
        let mut kept_back = KeptBack::new();
        let mut exporter = Exporter::new(&self.facts.session, pool);
        let table = offer.tables.get(&self.facts.exported);
        for (prefix, route) in table.into_iter().flatten() {
            if let Err(reason) = exporter.export(*prefix, route) {
                note(&mut kept_back, *prefix, reason);
            }
        }
        kept_back
    }
}

/// Keeps the first prefix of each reason that is told, and no more reasons than are.
fn note(kept_back: &mut KeptBack, prefix: Prefix, reason: NotSent) {
    let is_known = kept_back.iter().any(|(_, known)| *known == reason);
    if kept_back.len() < REPORTS_MAX && !is_known && told(PeerId(0), prefix, reason).is_some() {
        kept_back.push((prefix, reason));
    }
}
