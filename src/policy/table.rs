//! One direction of the agent as one object: routes in, what becomes of each out.
//!
//! Called by the agent, by the names [`Exports`](super::Exports) and [`Imports`](super::Imports),
//! whenever facts, routes, peers or policies change, and at [`Table::retry_at`]. Every call that
//! changes something is one round: what it concerns is decided about once, and only what the owner
//! does not know yet comes out, ordered by peers, then prefix. It has no clock but the one that it
//! is given to bound searches by ([`Table::set_clock`]), and never talks to peers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::chain::{Chain, Course, Due};
use super::observation::{Cases, Circumstances, Extent, Observation, Seen, Unseen};
use super::pace::{Backlog, Pace};
use super::row::{Context, Row};
use super::search::Haste;
use super::{
    ChainDefault, Clock, Directed, LinkStatus, NextLink, Outcome, PolicyFailure, Step, compare,
};
use crate::facts::NodeFacts;
use crate::types::{Asn, Prefix, RouteAttributes};

/// The chain, the peers, the routes, and what came of them.
///
/// A clone is a trial: what is done to it shows what would come of it, and nobody is told. It
/// shares the policies, which keep no state, and nothing else.
#[derive(Clone, Debug)]
pub struct Table<P: Directed> {
    asn: Asn,
    pub(super) node: Option<Arc<NodeFacts>>,
    pub(super) chain: Chain<P>,
    default: ChainDefault,
    /// By whose they are; nobody's are for all peers.
    pub(super) routes: BTreeMap<Option<P::PeersId>, Routes<P>>,
    pub(super) rows: BTreeMap<P::PeersId, Row<P>>,
    none: Arc<RouteAttributes>,
    pub(super) unseen: Unseen<P>,
    pace: Pace<P>,
    /// How many routes the last round was about.
    last_round: usize,
}

/// A route that a policy fails on.
#[derive(Debug)]
pub struct HeldRoute<'a, P: Directed> {
    /// The policy's name.
    pub policy: &'a str,
    /// Towards whom, or from whom.
    pub peers: &'a P::Peers,
    /// Which.
    pub key: &'a P::Key,
    /// How it fails.
    pub error: &'a PolicyFailure,
    /// When it will be asked about it again.
    pub retry_at: Instant,
}

impl<P: Directed> HeldRoute<'_, P> {
    /// What an operator knows it by: its Service, or the prefix, with whom it is learned from.
    #[must_use]
    pub fn subject(&self) -> String {
        let prefix = P::prefix(self.key);
        match (P::service(self.key), P::peer(self.peers)) {
            (Some(service), _) => service.to_string(),
            (None, Some(peer)) => format!("{prefix} from {peer}"),
            (None, None) => prefix.to_string(),
        }
    }
}

/// Routes of one owner.
pub(super) type Routes<P> = BTreeMap<<P as Directed>::Key, <P as Directed>::Route>;

/// Names a route among all: with its owner, if it has one.
pub(super) type RouteName<P> = (Option<<P as Directed>::PeersId>, <P as Directed>::Key);

/// A step of the routes.
pub(super) struct RouteStep<P: Directed> {
    pub(super) name: RouteName<P>,
    /// As it is from now on; absent when it is gone.
    pub(super) route: Option<P::Route>,
}

/// What a round has to decide about.
#[derive(Debug)]
enum Scope<P: Directed> {
    Everything,
    Peers(BTreeSet<P::PeersId>),
    Routes(BTreeSet<RouteName<P>>),
}

/// Whether a round is about all that links fail on and that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AllDue {
    Yes,
    No,
}

/// Whether everything was decided about once more with this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Swept {
    Yes,
    No,
}

/// Prefixes of routes that are gone.
type Gone<P> = BTreeMap<Option<<P as Directed>::PeersId>, BTreeSet<Prefix>>;

/// What came of a round.
type News<P> = (
    <P as Directed>::PeersId,
    Prefix,
    Option<<P as Directed>::Told>,
);

impl<P: Directed> Table<P> {
    /// No routes, no peers, and a chain without policies, which rejects everything.
    #[must_use]
    pub fn new(asn: Asn) -> Self {
        Self {
            asn,
            node: None,
            chain: Chain::default(),
            default: ChainDefault::default(),
            routes: BTreeMap::new(),
            rows: BTreeMap::new(),
            none: Arc::default(),
            unseen: Unseen::default(),
            pace: Pace::AtOnce,
            last_round: 0,
        }
    }

    /// Takes another AS number for our own; everything is decided again if it differs.
    pub fn set_asn(&mut self, now: Instant, asn: Asn) -> Vec<P::Change> {
        if self.asn == asn {
            return self.retry(now);
        }
        self.asn = asn;
        self.decide(now, Scope::Everything)
    }

    /// Takes another end of the chain; everything is decided again if it differs.
    pub fn set_default(&mut self, now: Instant, default: ChainDefault) -> Vec<P::Change> {
        if self.default == default {
            return self.retry(now);
        }
        self.default = default;
        self.decide(now, Scope::Everything)
    }

    /// Takes `peers` for the peers. Routes of new and changed ones are decided about; of each that
    /// is gone, everything is forgotten. A new one that is an heir of another begins with what was
    /// decided for that.
    pub(super) fn take_peers(
        &mut self,
        now: Instant,
        peers: BTreeMap<P::PeersId, P::Peers>,
        heirs: &BTreeMap<P::PeersId, P::PeersId>,
    ) -> Vec<P::Change> {
        let mut concerned = self.bequeath(&peers, heirs);
        let is_gone = |id: &P::PeersId| !peers.contains_key(id);
        self.routes
            .retain(|owner, _| owner.is_none_or(|id| !is_gone(&id)));
        let gone: BTreeSet<_> = self.rows.keys().copied().filter(is_gone).collect();
        let mut news = Vec::new();
        for id in &gone {
            let row = self.rows.remove(id);
            let told = row.iter().flat_map(|row| row.told().keys());
            news.extend(told.map(|prefix| (*id, *prefix, None)));
        }
        self.chain.retain_held(|id, _| !gone.contains(&id));
        self.unseen.add_peers(&gone);
        for (id, peers) in peers {
            match self.rows.get_mut(&id) {
                Some(row) if row.peers == peers => continue,
                // What was decided stays, should a policy fail now.
                Some(row) => row.peers = peers,
                None => {
                    self.rows.insert(id, Row::new(peers));
                }
            }
            concerned.insert(id);
        }
        news.extend(self.round(now, Scope::Peers(concerned), &Gone::<P>::new()));
        news.sort_by_key(|(id, prefix, _)| (*id, *prefix));
        told::<P>(news)
    }

    /// Creates new rows with the decisions of those that their peers come from. Returns which.
    fn bequeath(
        &mut self,
        peers: &BTreeMap<P::PeersId, P::Peers>,
        heirs: &BTreeMap<P::PeersId, P::PeersId>,
    ) -> BTreeSet<P::PeersId> {
        let mut created = BTreeSet::new();
        for (id, from) in heirs {
            if self.rows.contains_key(id) {
                continue;
            }
            if let (Some(peers), Some(former)) = (peers.get(id), self.rows.get(from)) {
                self.rows.insert(*id, former.heir(peers.clone()));
                created.insert(*id);
                self.chain.expect_stand_ins();
            }
        }
        created
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
        links: impl IntoIterator<Item = impl Into<NextLink<P>>>,
    ) -> Vec<P::Change> {
        let positions = self.chain.replace(links);
        for (id, row) in &mut self.rows {
            if let Some(routes) = self.routes.get(&P::owner(*id)) {
                row.carry_over(&positions, routes);
            }
        }
        self.decide(now, Scope::Everything)
    }

    /// Takes the own node's facts as they are, and steps of the routes, in one round.
    ///
    /// Only those named are decided about, unless the node's facts differ from those given last:
    /// then all are.
    pub(super) fn take(
        &mut self,
        now: Instant,
        node: Option<Arc<NodeFacts>>,
        steps: impl IntoIterator<Item = RouteStep<P>>,
    ) -> Vec<P::Change> {
        let mut changed = BTreeSet::new();
        let mut gone = Gone::<P>::new();
        for RouteStep { name, route } in steps {
            let (owner, key) = &name;
            let routes = self.routes.entry(*owner).or_default();
            let before = routes.get(key);
            let Some(route) = route else {
                let prefixes = gone.entry(*owner).or_default();
                prefixes.insert(P::prefix(key));
                routes.remove(key);
                self.forget(&name);
                let is_it = |id, of: &P::Key| P::owner(id) == *owner && of == key;
                self.chain.retain_held(|id, key| !is_it(id, key));
                self.unseen.add_routes([name]);
                continue;
            };
            if before == Some(&route) {
                continue;
            }
            let is_another = before.is_some_and(|before| !P::is_same(before, &route));
            routes.insert(key.clone(), route);
            if is_another {
                self.forget(&name);
            }
            changed.insert(name);
        }
        let mut scope = Scope::Routes(changed);
        if self.node != node {
            self.node = node;
            self.widen(&mut scope);
        }
        let news = self.round(now, scope, &gone);
        told::<P>(news)
    }

    /// Forgets every decision about a route.
    fn forget(&mut self, (owner, key): &RouteName<P>) {
        match owner {
            Some(id) => {
                if let Some(row) = self.rows.get_mut(id) {
                    row.forget(key);
                }
            }
            None => self.rows.values_mut().for_each(|row| row.forget(key)),
        }
    }

    /// Lets the time be bounded that is spent on finding the routes that a policy fails on.
    pub fn set_clock(&mut self, clock: Clock) {
        self.chain.set_clock(clock);
    }

    /// The routes that policies fail on which are well about others, by policy.
    pub fn held(&self) -> impl Iterator<Item = HeldRoute<'_, P>> {
        self.chain.held().flat_map(|(link, held)| {
            held.iter().filter_map(|(id, key, hold)| {
                Some(HeldRoute {
                    policy: &link.name,
                    peers: &self.rows.get(&id)?.peers,
                    key,
                    error: &hold.cause,
                    retry_at: hold.retry_at,
                })
            })
        })
    }

    /// From now on, a round that concerns everything decides about so many routes, and leaves the
    /// others to [`Table::go_on`]; a search that takes long does, too.
    pub fn decide_in_pieces(&mut self, routes_max: usize) {
        self.chain.set_haste(Haste::Yes);
        match &mut self.pace {
            Pace::InPieces(max, _) => *max = routes_max,
            Pace::AtOnce => self.pace = Pace::InPieces(routes_max, Backlog::default()),
        }
    }

    /// Decides about everything that is left, and from now on about everything at once.
    pub fn decide_at_once(&mut self, now: Instant) -> Vec<P::Change> {
        self.chain.set_haste(Haste::No);
        match std::mem::replace(&mut self.pace, Pace::AtOnce) {
            Pace::InPieces(_, backlog) if !backlog.is_empty() => {
                self.decide(now, Scope::Everything)
            }
            Pace::InPieces(..) | Pace::AtOnce => Vec::new(),
        }
    }

    /// How many routes the last round was about, and how it went.
    #[must_use]
    pub fn last_round(&self) -> (usize, Course) {
        (self.last_round, self.chain.course())
    }

    /// Whether there is something left to decide about.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        match &self.pace {
            Pace::InPieces(_, backlog) => !backlog.is_empty(),
            Pace::AtOnce => false,
        }
    }

    /// Decides about some of what is left. Harmless at any time.
    pub fn go_on(&mut self, now: Instant) -> Vec<P::Change> {
        self.decide(now, Scope::Routes(BTreeSet::new()))
    }

    /// When to call [`Table::retry`], because a policy is failing; absent while none is.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        self.chain.retry_at()
    }

    /// Asks failing policies whose time has come, about everything. Harmless at any time.
    pub fn retry(&mut self, now: Instant) -> Vec<P::Change> {
        self.decide(now, Scope::Routes(BTreeSet::new()))
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

    /// The peers, ordered by id.
    pub fn peers(&self) -> impl Iterator<Item = (P::PeersId, &P::Peers)> {
        self.rows.iter().map(|(id, row)| (*id, &row.peers))
    }

    /// What the chain made of each route for these peers, ordered by key; nothing for peers that
    /// do not exist.
    pub fn outcomes(
        &self,
        peers: P::PeersId,
    ) -> impl Iterator<Item = (&P::Key, &Outcome<P::Accepted>)> {
        let row = self.rows.get(&peers);
        row.into_iter().flat_map(Row::outcomes)
    }

    /// What the chain made of one route for these peers; absent while that is not decided.
    #[must_use]
    pub fn outcome(&self, peers: P::PeersId, key: &P::Key) -> Option<&Outcome<P::Accepted>> {
        self.rows.get(&peers)?.outcome(key)
    }

    /// The steps that led to [`Self::outcome`], and between them one for each policy that was
    /// passed over because it is not for these peers.
    #[must_use]
    pub fn steps(&self, peers: P::PeersId, key: &P::Key) -> Vec<Step> {
        let row = self.rows.get(&peers);
        let outcome = row.and_then(|row| Some((row, row.outcome(key)?)));
        outcome.map_or_else(Vec::new, |(row, outcome)| {
            let group = P::peer_group(&row.peers);
            let links = self.chain.links();
            outcome.steps_of(links.map(|link| (&link.name, link.passed_over_for(group))))
        })
    }

    /// Counts no fewer failures of a policy than `former` does, whose place this is to take.
    pub fn keep_counts(&mut self, former: &Self) {
        self.chain.keep_counts(&former.chain);
    }

    /// What the owner, who was told what came of `before`, is to be told for it to know what came
    /// of this.
    #[must_use]
    pub fn differences(&self, before: &Self) -> Vec<P::Change> {
        let ids: BTreeSet<_> = self.rows.keys().chain(before.rows.keys()).collect();
        let mut news = Vec::new();
        for id in ids {
            let empty = BTreeMap::new();
            let before = before.rows.get(id).map_or(&empty, Row::told);
            let after = self.rows.get(id).map_or(&empty, Row::told);
            for (prefix, change) in compare(before, after) {
                let (_, told) = change.sides();
                news.push((*id, *prefix, told.copied().cloned()));
            }
        }
        told::<P>(news)
    }

    fn decide(&mut self, now: Instant, scope: Scope<P>) -> Vec<P::Change> {
        told::<P>(self.round(now, scope, &Gone::<P>::new()))
    }

    /// Decides about `scope`, or about everything if a failing link is due, and settles what is
    /// told of it and of the prefixes of routes that are `gone`.
    fn round(&mut self, now: Instant, mut scope: Scope<P>, gone: &Gone<P>) -> Vec<News<P>> {
        if self.node.is_none() && P::without_node().is_none() {
            self.note(scope);
            return Vec::new();
        }
        match self.chain.begin_round(now) {
            Due::Yes => self.widen(&mut scope),
            Due::No => {}
        }
        let all_due = self.add_due(now, &mut scope);
        let swept = self.add_backlog(&mut scope);
        let mut postponed = self.evaluate(now, &scope);
        // Each turn leaves one more link failing, which is not asked again: there are at most
        // as many turns as links.
        while self.must_widen(&scope) {
            self.widen(&mut scope);
            self.chain.restart_round();
            postponed = self.evaluate(now, &scope);
        }
        if let Pace::InPieces(_, backlog) = &mut self.pace {
            backlog.postponed.extend(postponed);
        }
        // Before a link on trial is well: what it fails on was not due while it was not.
        match (&scope, all_due) {
            (Scope::Everything, _) => self.chain.release_unasked(now),
            (Scope::Routes(_), AllDue::Yes) => self.chain.release_due(now),
            (Scope::Peers(_), _) | (Scope::Routes(_), AllDue::No) => {}
        }
        if !self.has_backlog() {
            self.chain.end_round();
        }
        match (&scope, swept) {
            (Scope::Everything | Scope::Peers(_), _) | (Scope::Routes(_), Swept::Yes) => {
                self.drop_stand_ins();
            }
            (Scope::Routes(_), Swept::No) => {}
        }
        let news = self.settle(&scope, gone);
        self.note(scope);
        news
    }

    /// Everything is to be decided about: in this round, or from this one on.
    fn widen(&mut self, scope: &mut Scope<P>) {
        match &mut self.pace {
            Pace::AtOnce => *scope = Scope::Everything,
            Pace::InPieces(_, backlog) => {
                backlog.sweep_all();
                self.unseen.add_everything();
            }
        }
    }

    /// Adds what links fail on and is due. What there is no room for waits for the next round,
    /// which is due as well.
    fn add_due(&self, now: Instant, scope: &mut Scope<P>) -> AllDue {
        let Scope::Routes(routes) = scope else {
            return AllDue::No;
        };
        let max = match &self.pace {
            Pace::AtOnce => usize::MAX,
            Pace::InPieces(max, _) => *max,
        };
        let mut due = self.chain.due(now);
        let some = due.by_ref().take(max);
        routes.extend(some.map(|(id, key)| (P::owner(id), key.clone())));
        match due.next() {
            None => AllDue::Yes,
            Some(_) => AllDue::No,
        }
    }

    /// Adds a piece of what is left from former rounds.
    fn add_backlog(&mut self, scope: &mut Scope<P>) -> Swept {
        match (&mut self.pace, scope) {
            (Pace::InPieces(max, backlog), Scope::Routes(routes)) if !backlog.is_empty() => {
                routes.extend(backlog.take(&self.routes, *max));
                match backlog.sweep {
                    None => Swept::Yes,
                    Some(_) => Swept::No,
                }
            }
            (Pace::InPieces(..) | Pace::AtOnce, _) => Swept::No,
        }
    }

    /// Whether a link failed whose routes were not all decided about under its failure: its
    /// on-error speaks about all of them.
    fn must_widen(&self, scope: &Scope<P>) -> bool {
        match scope {
            Scope::Everything => self.chain.is_divided(),
            Scope::Peers(_) | Scope::Routes(_) => self.chain.has_failed(),
        }
    }

    /// Decides, and returns the routes about which that is put off.
    fn evaluate(&mut self, now: Instant, scope: &Scope<P>) -> Vec<RouteName<P>> {
        let mut postponed = Vec::new();
        self.last_round = 0;
        let context = Context {
            now,
            node: self.node.as_ref(),
            asn: self.asn,
            default: self.default,
            none: &self.none,
        };
        for (id, row) in &mut self.rows {
            let Some(all) = self.routes.get(&P::owner(*id)) else {
                continue;
            };
            let routes: Vec<_> = match scope {
                Scope::Routes(names) => {
                    let own = names.iter().filter(|(of, _)| *of == P::owner(*id));
                    // One that came and went in the same step is gone.
                    own.filter_map(|(_, key)| all.get_key_value(key)).collect()
                }
                Scope::Peers(peers) if !peers.contains(id) => continue,
                Scope::Everything | Scope::Peers(_) => all.iter().collect(),
            };
            self.last_round += routes.len();
            if !routes.is_empty() {
                let later = row.decide(*id, &mut self.chain, &context, all, &routes);
                postponed.extend(later.into_iter().map(|key| (P::owner(*id), key)));
            }
        }
        postponed
    }

    /// What stands in for a link that has answered for everything it was asked about is of no
    /// more use.
    fn drop_stand_ins(&mut self) {
        for position in self.chain.take_independent() {
            for (id, row) in &mut self.rows {
                row.drop_stand_ins(position, |key| self.chain.is_held(position, *id, key));
            }
        }
    }

    fn settle(&mut self, scope: &Scope<P>, gone: &Gone<P>) -> Vec<News<P>> {
        let mut news = Vec::new();
        let empty = BTreeMap::new();
        for (id, row) in &mut self.rows {
            let owner = P::owner(*id);
            let routes = self.routes.get(&owner).unwrap_or(&empty);
            let mut prefixes: Vec<Prefix> = match scope {
                Scope::Routes(names) => {
                    let own = names.iter().filter(|(of, _)| *of == owner);
                    own.map(|(_, key)| P::prefix(key)).collect()
                }
                Scope::Peers(peers) if !peers.contains(id) => continue,
                Scope::Everything | Scope::Peers(_) => routes.keys().map(P::prefix).collect(),
            };
            let gone = gone.get(&owner).into_iter().flatten();
            prefixes.extend(gone);
            prefixes.sort_unstable();
            prefixes.dedup();
            let settled = row.settle(routes, prefixes).into_iter();
            news.extend(settled.map(|(prefix, told)| (*id, prefix, told)));
        }
        news
    }

    /// Remembers what nobody has observed yet.
    fn note(&mut self, scope: Scope<P>) {
        match scope {
            Scope::Everything => self.unseen.add_everything(),
            Scope::Peers(peers) => self.unseen.add_peers(&peers),
            Scope::Routes(names) => self.unseen.add_routes(names),
        }
    }

    /// What came of the rounds since this was last asked, for [`Shadows`](super::Shadows) to look
    /// at; nothing where nothing did, or the chain has no policy in shadow mode.
    ///
    /// To be called after every round: what nobody has seen yet is remembered.
    pub fn observe(&mut self) -> Option<Observation<P>> {
        let unseen = std::mem::take(&mut self.unseen);
        let circumstances = Circumstances {
            node: self.node.clone(),
            asn: self.asn,
            default: self.default,
        };
        let peers = || {
            self.peers()
                .map(|(id, peers)| (id, peers.clone()))
                .collect()
        };
        let look = |whole, routes| self.cases(&whole, &routes);
        Observation::new(&self.chain, circumstances, peers, unseen, look)
    }

    fn cases(
        &self,
        whole: &BTreeSet<P::PeersId>,
        changed: &BTreeSet<RouteName<P>>,
    ) -> BTreeMap<P::PeersId, Cases<P>> {
        let cases = self.rows.iter().map(|(id, row)| {
            let owner = P::owner(*id);
            let routes = self.routes.get(&owner);
            let seen = |key: &P::Key| {
                let seen = || {
                    Some(Seen {
                        route: routes?.get(key)?.clone(),
                        outcome: row.outcome(key)?.clone(),
                    })
                };
                (key.clone(), seen())
            };
            let cases = if whole.contains(id) {
                Cases {
                    extent: Extent::Everything,
                    routes: routes
                        .into_iter()
                        .flat_map(BTreeMap::keys)
                        .map(seen)
                        .collect(),
                }
            } else {
                let own = changed.iter().filter(|(of, _)| *of == owner);
                Cases {
                    extent: Extent::Changes,
                    routes: own.map(|(_, key)| seen(key)).collect(),
                }
            };
            (*id, cases)
        });
        cases.collect()
    }
}

fn told<P: Directed>(news: Vec<News<P>>) -> Vec<P::Change> {
    let news = news.into_iter();
    news.filter_map(|(id, prefix, told)| P::change(id, prefix, told))
        .collect()
}
