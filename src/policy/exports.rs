//! The export side of the agent as one object: facts in, net changes by prefix out.
//!
//! Called by the agent whenever facts, peers or policies change, and at [`Exports::retry_at`].
//! Every call that changes something is one round: what it concerns is evaluated once, and only
//! what differs from what was announced before comes out, ordered by group, then prefix. It
//! keeps no clock and never talks to peers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::chain::{Chain, Due};
use super::group::{Context, Group};
use super::observation::{Cases, Circumstances, Extent, Observation, Seen, Unseen};
use super::{
    ChainDefault, LinkStatus, NextLink, Outcome, PeerGroup, PeerGroups, RoutePolicy, Step,
};
use crate::candidates::{Candidate, CandidateChange, CandidateKey};
use crate::facts::NodeFacts;
use crate::types::{Asn, GroupId, Prefix, RouteAttributes};

/// What a group's peers are to be told about a prefix from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportChange {
    /// Which peers.
    pub group: GroupId,
    /// What.
    pub prefix: Prefix,
    /// Announce with these attributes, or withdraw.
    pub attributes: Option<Arc<RouteAttributes>>,
}

/// The chain, the peer groups, the candidates, and what came of them.
///
/// A clone is a trial: what is done to it shows what would come of it, and nobody is told. It
/// shares the policies, which keep no state, and nothing else.
#[derive(Clone, Debug)]
pub struct Exports {
    asn: Asn,
    node: Option<Arc<NodeFacts>>,
    chain: Chain,
    default: ChainDefault,
    candidates: BTreeMap<CandidateKey, Candidate>,
    groups: BTreeMap<GroupId, Group>,
    proposed: Arc<RouteAttributes>,
    unseen: Unseen<GroupId, CandidateKey>,
}

/// What a round has to evaluate.
#[derive(Debug)]
enum Scope {
    Everything,
    Groups(BTreeSet<GroupId>),
    Candidates(BTreeSet<CandidateKey>),
}

impl Exports {
    /// Nothing to announce, nobody to announce it to, and a chain without policies, which
    /// rejects everything.
    #[must_use]
    pub fn new(asn: Asn) -> Self {
        Self {
            asn,
            node: None,
            chain: Chain::default(),
            default: ChainDefault::default(),
            candidates: BTreeMap::new(),
            groups: BTreeMap::new(),
            proposed: Arc::default(),
            unseen: Unseen::default(),
        }
    }

    /// Takes another AS number for our own; everything is evaluated again if it differs.
    pub fn set_asn(&mut self, now: Instant, asn: Asn) -> Vec<ExportChange> {
        if self.asn == asn {
            return self.retry(now);
        }
        self.asn = asn;
        self.round(now, Scope::Everything, BTreeSet::new())
    }

    /// Takes another end of the chain; everything is evaluated again if it differs.
    pub fn set_default(&mut self, now: Instant, default: ChainDefault) -> Vec<ExportChange> {
        if self.default == default {
            return self.retry(now);
        }
        self.default = default;
        self.round(now, Scope::Everything, BTreeSet::new())
    }

    /// Takes `groups` for the peer groups. New and changed ones are evaluated; for each that is
    /// gone, all that was announced to it is withdrawn.
    ///
    /// Peers that move to another group must not see a withdrawal: the speaker is given these
    /// changes and the groups of its peers in one step, before it sends anything.
    pub fn set_groups(&mut self, now: Instant, groups: PeerGroups) -> Vec<ExportChange> {
        let PeerGroups { groups, heirs } = groups;
        let mut concerned = self.bequeath(&groups, &heirs);
        let mut changes = Vec::new();
        self.groups.retain(|id, group| {
            let stays = groups.contains_key(id);
            if !stays {
                self.unseen.add_peers(&BTreeSet::from([*id]));
                let prefixes = group.announced().keys();
                changes.extend(prefixes.map(|&prefix| change(*id, (prefix, None))));
            }
            stays
        });
        for (id, peers) in groups {
            match self.groups.get_mut(&id) {
                Some(group) if group.peers == peers => continue,
                // The group keeps what was decided for it, should a policy fail now.
                Some(group) => group.peers = peers,
                None => {
                    self.groups.insert(id, Group::new(peers));
                }
            }
            concerned.insert(id);
        }
        changes.extend(self.round(now, Scope::Groups(concerned), BTreeSet::new()));
        changes.sort_by_key(|change| (change.group, change.prefix));
        changes
    }

    /// Creates new groups with the decisions of those that their peers come from. Returns which.
    fn bequeath(
        &mut self,
        groups: &BTreeMap<GroupId, PeerGroup>,
        heirs: &BTreeMap<GroupId, GroupId>,
    ) -> BTreeSet<GroupId> {
        let mut created = BTreeSet::new();
        for (id, from) in heirs {
            if self.groups.contains_key(id) {
                continue;
            }
            if let (Some(peers), Some(former)) = (groups.get(id), self.groups.get(from)) {
                self.groups.insert(*id, former.heir(peers.clone()));
                created.insert(*id);
                self.chain.expect_stand_ins();
            }
        }
        created
    }

    /// Puts another chain in force and evaluates everything by it.
    ///
    /// Links keep the last decisions of former links of their name. For a link with another
    /// name, what the former chain accepted stands in until it has answered: a new module that
    /// fails at once withdraws nothing under `keep-last`. Links that are [`NextLink::Kept`] are
    /// what they were, failing ones included.
    pub fn replace_chain(
        &mut self,
        now: Instant,
        links: impl IntoIterator<Item = impl Into<NextLink>>,
    ) -> Vec<ExportChange> {
        let positions = self.chain.replace(links);
        for group in self.groups.values_mut() {
            group.carry_over(&positions, &self.candidates);
        }
        self.round(now, Scope::Everything, BTreeSet::new())
    }

    /// Takes the own node's facts as they are, and steps of the candidates, in one round.
    ///
    /// Only the candidates named are evaluated, unless the node's facts differ from those given
    /// last: then all are. While `node` is absent, every candidate is rejected, for policies
    /// cannot be asked without one.
    pub fn update(
        &mut self,
        now: Instant,
        node: Option<Arc<NodeFacts>>,
        changes: Vec<CandidateChange>,
    ) -> Vec<ExportChange> {
        let mut upserted = BTreeSet::new();
        let mut removed = BTreeSet::new();
        for change in changes {
            match change {
                CandidateChange::Upsert(candidate) => {
                    if self.candidates.get(&candidate.key) != Some(&candidate) {
                        upserted.insert(candidate.key.clone());
                        self.candidates.insert(candidate.key.clone(), candidate);
                    }
                }
                CandidateChange::Removed(key) => {
                    removed.insert(key.prefix);
                    self.unseen.add_routes([key.clone()]);
                    self.candidates.remove(&key);
                    for group in self.groups.values_mut() {
                        group.remove(&key);
                    }
                }
            }
        }
        let scope = if self.node == node {
            Scope::Candidates(upserted)
        } else {
            self.node = node;
            Scope::Everything
        };
        self.round(now, scope, removed)
    }

    /// When to call [`Exports::retry`], because a policy is failing; absent while none is.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        self.chain.retry_at()
    }

    /// Asks failing policies whose time has come, about everything. Harmless at any time.
    pub fn retry(&mut self, now: Instant) -> Vec<ExportChange> {
        self.round(now, Scope::Candidates(BTreeSet::new()), BTreeSet::new())
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

    /// The peer groups, ordered by id.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &PeerGroup)> {
        self.groups.iter().map(|(id, group)| (*id, &group.peers))
    }

    /// The present candidates, ordered by key.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.values()
    }

    /// What the chain made of each candidate towards a group, ordered by key; nothing for a
    /// group that does not exist.
    pub fn outcomes(&self, group: GroupId) -> impl Iterator<Item = (&CandidateKey, &Outcome)> {
        self.groups
            .get(&group)
            .into_iter()
            .flat_map(Group::outcomes)
    }

    /// What the chain made of one candidate towards a group.
    #[must_use]
    pub fn outcome(&self, group: GroupId, key: &CandidateKey) -> Option<&Outcome> {
        self.groups.get(&group)?.outcome(key)
    }

    /// The steps that led to [`Self::outcome`], and between them one for each policy that was
    /// passed over because it is not for these peers.
    #[must_use]
    pub fn steps(&self, group: GroupId, key: &CandidateKey) -> Vec<Step> {
        let group = self.groups.get(&group);
        let outcome = group.and_then(|group| Some((group, group.outcome(key)?)));
        outcome.map_or_else(Vec::new, |(group, outcome)| {
            let links = self.chain.links();
            outcome.steps_of(links.map(|link| (&link.name, link.passed_over_for(&group.peers))))
        })
    }

    /// Everything that is announced to a group, ordered by prefix: the sum of all changes so far.
    pub fn announced(
        &self,
        group: GroupId,
    ) -> impl Iterator<Item = (&Prefix, &Arc<RouteAttributes>)> {
        self.groups
            .get(&group)
            .into_iter()
            .flat_map(Group::announced)
    }

    /// Evaluates `scope`, or everything if a failing link is due, and settles what is announced
    /// of it and of the prefixes of candidates that were `removed`.
    fn round(
        &mut self,
        now: Instant,
        scope: Scope,
        removed: BTreeSet<Prefix>,
    ) -> Vec<ExportChange> {
        let mut scope = match self.chain.begin_round(now) {
            Due::Yes => Scope::Everything,
            Due::No => scope,
        };
        self.evaluate(now, &scope);
        // Each turn leaves one more link failing, which is not asked again: there are at most
        // as many turns as links.
        while self.must_widen(&scope) {
            scope = Scope::Everything;
            self.chain.restart_round();
            self.evaluate(now, &scope);
        }
        self.chain.end_round();
        match scope {
            Scope::Everything | Scope::Groups(_) => self.drop_stand_ins(),
            Scope::Candidates(_) => {}
        }
        match &scope {
            Scope::Everything => self.unseen.add_everything(),
            Scope::Groups(groups) => self.unseen.add_peers(groups),
            Scope::Candidates(keys) => self.unseen.add_routes(keys.iter().cloned()),
        }
        self.settle(&scope, removed)
    }

    /// What came of the rounds since this was last asked, for [`Shadows`](super::Shadows) to look
    /// at; nothing where nothing did, or the chain has no policy in shadow mode.
    ///
    /// To be called after every round: what nobody has seen yet is remembered.
    pub fn observe(&mut self) -> Option<Observation> {
        let unseen = std::mem::take(&mut self.unseen);
        let circumstances = Circumstances {
            node: self.node.clone(),
            asn: self.asn,
            default: self.default,
        };
        let peers = || {
            self.groups()
                .map(|(id, peers)| (id, peers.clone()))
                .collect()
        };
        Observation::new(
            &self.chain,
            circumstances,
            peers,
            unseen,
            |whole, routes| {
                let cases = self.groups.iter().map(|(id, group)| {
                    let cases = if whole.contains(id) {
                        self.all_of(group)
                    } else {
                        let seen = |key| (CandidateKey::clone(key), self.seen(group, key));
                        Cases {
                            extent: Extent::Changes,
                            routes: routes.iter().map(seen).collect(),
                        }
                    };
                    (*id, cases)
                });
                cases.collect()
            },
        )
    }

    fn all_of(&self, group: &Group) -> Cases<Arc<dyn RoutePolicy>> {
        let keys = self.candidates.keys();
        let seen = |key: &CandidateKey| (key.clone(), self.seen(group, key));
        Cases {
            extent: Extent::Everything,
            routes: keys.map(seen).collect(),
        }
    }

    fn seen(&self, group: &Group, key: &CandidateKey) -> Option<Seen<Arc<dyn RoutePolicy>>> {
        Some(Seen {
            route: self.candidates.get(key)?.clone(),
            outcome: group.outcome(key)?.clone(),
        })
    }

    /// Whether a link failed whose routes were not all evaluated under its failure: its on-error
    /// speaks about all of them.
    fn must_widen(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Everything => self.chain.is_divided(),
            Scope::Groups(_) | Scope::Candidates(_) => self.chain.has_failed(),
        }
    }

    fn evaluate(&mut self, now: Instant, scope: &Scope) {
        let candidates: Vec<&Candidate> = match scope {
            Scope::Everything | Scope::Groups(_) => self.candidates.values().collect(),
            Scope::Candidates(keys) => {
                // One that came and went in the same step is gone.
                let candidates = keys.iter().filter_map(|key| self.candidates.get(key));
                candidates.collect()
            }
        };
        if candidates.is_empty() {
            return;
        }
        let context = Context {
            now,
            node: self.node.as_deref(),
            asn: self.asn,
            default: self.default,
            proposed: &self.proposed,
        };
        for (id, group) in &mut self.groups {
            if scope.concerns(*id) {
                group.evaluate(&mut self.chain, &context, &candidates);
            }
        }
    }

    fn drop_stand_ins(&mut self) {
        for position in self.chain.take_independent() {
            for group in self.groups.values_mut() {
                group.drop_stand_ins(position);
            }
        }
    }

    fn settle(&mut self, scope: &Scope, removed: BTreeSet<Prefix>) -> Vec<ExportChange> {
        let mut concerned = removed;
        match scope {
            Scope::Everything | Scope::Groups(_) => {
                concerned.extend(self.candidates.keys().map(|key| key.prefix));
            }
            Scope::Candidates(keys) => concerned.extend(keys.iter().map(|key| key.prefix)),
        }
        let mut changes = Vec::new();
        let groups = self.groups.iter_mut();
        for (id, group) in groups.filter(|(id, _)| scope.concerns(**id)) {
            let settled = group.settle(&concerned);
            changes.extend(settled.into_iter().map(|settled| change(*id, settled)));
        }
        changes
    }
}

impl Scope {
    fn concerns(&self, group: GroupId) -> bool {
        match self {
            Self::Everything | Self::Candidates(_) => true,
            Self::Groups(groups) => groups.contains(&group),
        }
    }
}

fn change(
    group: GroupId,
    (prefix, attributes): (Prefix, Option<Arc<RouteAttributes>>),
) -> ExportChange {
    ExportChange {
        group,
        prefix,
        attributes,
    }
}
