//! The table as it is wanted beside the table as the kernel has it.
//!
//! What the kernel has is only what it said: when it was read, and when it took a change. A change
//! that it refused is tried again after a pause that grows, and holds up no other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::kernel::{Change, KernelView, RouteKey, Target};
use super::target::{Ownership, Unfit, forbidden};
use crate::types::{InterfaceIndex, OwnBlocks, Prefix};

/// How long a route that was refused is left alone, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long routes of a former process wait for their peers, from when the node's facts are known:
/// sessions that a restart ended come back in much less (RFC 4724's Selection_Deferral_Timer).
const SWEEP_AFTER: Duration = Duration::from_secs(120);

/// Learned routes and the kernel's table.
#[derive(Clone, Debug)]
pub struct Fib {
    metric: u32,
    blocks: OwnBlocks,
    /// Where to, or why nowhere although BGP has paths.
    wanted: BTreeMap<Prefix, Result<Target, Unfit>>,
    /// What is not left to BGP; nothing is done before that is known.
    own: Option<BTreeMap<Prefix, Ownership>>,
    view: Option<KernelView>,
    /// Prefixes to be compared.
    changed: BTreeSet<Prefix>,
    /// Wanted, but there must be no route, or can be none.
    unfit: BTreeMap<Prefix, Unfit>,
    /// What the kernel did not take.
    refused: BTreeMap<Prefix, Refusal>,
    failures: u64,
    /// What a former process left and nobody asked for yet.
    leftovers: BTreeSet<RouteKey>,
    sweep: Sweep,
}

/// What becomes of what a former process left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sweep {
    /// It stays until peers had time to announce it again.
    Awaited,
    /// No longer than that.
    By(Instant),
    /// What nobody asks for goes.
    Done,
}

/// What the kernel did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kernel's words.
    pub words: String,
    /// When it is tried again.
    pub retry_at: Instant,
    pause: Duration,
}

/// What became of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathState {
    /// The kernel forwards by it.
    Installed,
    /// It will be tried in a moment, or as soon as the kernel can be talked to.
    Pending,
    /// There must be no such route, or can be none.
    Unfit(String),
    /// The kernel's words.
    Refused(String),
}

/// How many prefixes there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Learned routes in the kernel, leftovers among them.
    pub routes: usize,
    /// Blackholes in the kernel, one for each of the node's own blocks.
    pub blackholes: usize,
    /// Of these, those that a former process left and nobody asked for yet.
    pub leftovers: usize,
    /// Wanted, but there must be no route, or can be none.
    pub unfit: usize,
    /// Wanted, and not taken by the kernel.
    pub refused: usize,
    /// Changes that the kernel did not take since the start.
    pub failures: u64,
}

impl Fib {
    /// Nothing is wanted yet. Routes will have this metric.
    #[must_use]
    pub fn new(metric: u32, blocks: OwnBlocks) -> Self {
        Self {
            metric,
            blocks,
            wanted: BTreeMap::new(),
            own: None,
            view: None,
            changed: BTreeSet::new(),
            unfit: BTreeMap::new(),
            refused: BTreeMap::new(),
            failures: 0,
            leftovers: BTreeSet::new(),
            sweep: Sweep::Awaited,
        }
    }

    /// Nothing is ever learned: whatever there is of ours goes, but for own blocks.
    #[must_use]
    pub fn removing(metric: u32, blocks: OwnBlocks) -> Self {
        let own = match blocks {
            OwnBlocks::Discard => None,
            OwnBlocks::Leave => Some(BTreeMap::new()),
        };
        Self {
            own,
            sweep: Sweep::Done,
            ..Self::new(metric, blocks)
        }
    }

    /// BGP uses paths to a prefix that lead there, or no path. Where it uses one and the way is
    /// not known, what the kernel has stays.
    pub fn want(&mut self, prefix: Prefix, target: Option<Result<Target, Unfit>>) {
        let before = match target {
            Some(target) => self.wanted.insert(prefix, target),
            None => self.wanted.remove(&prefix),
        };
        let wanted = self.wanted.get(&prefix);
        if before.as_ref() != wanted {
            self.refused.remove(&prefix);
        }
        if wanted.is_some() {
            // Should it be withdrawn again, it is no leftover that a peer may still ask for.
            let all = every_metric(prefix);
            let asked_for: Vec<_> = self.leftovers.range(all).copied().collect();
            for key in asked_for {
                self.leftovers.remove(&key);
            }
        }
        self.changed.insert(prefix);
    }

    /// What is not left to BGP is this: nothing learned goes there.
    pub fn own_is(&mut self, now: Instant, own: BTreeMap<Prefix, Ownership>) {
        if self.sweep == Sweep::Awaited {
            self.sweep = Sweep::By(now + SWEEP_AFTER);
        }
        let Some(before) = self.own.replace(own.clone()) else {
            self.compare_all();
            self.changed.extend(blocks(&own));
            return;
        };
        let gone = before.keys().filter(|prefix| !own.contains_key(*prefix));
        let other = own
            .iter()
            .filter(|(prefix, is)| before.get(*prefix) != Some(*is));
        for prefix in gone.chain(other.map(|(prefix, _)| prefix)) {
            self.compare_parts_of(prefix);
        }
        // Cheap to look at, and few.
        let was_block = |block: &Prefix| before.get(block) == Some(&Ownership::Block);
        self.changed
            .extend(blocks(&own).filter(|block| !was_block(block)));
    }

    /// Of these, which are known by now, it changed whether and why they are not left to BGP.
    pub fn own_changed(&mut self, changes: impl IntoIterator<Item = (Prefix, Option<Ownership>)>) {
        for (prefix, ownership) in changes {
            let Some(own) = &mut self.own else {
                return;
            };
            let before = match ownership {
                Some(ownership) => own.insert(prefix, ownership),
                None => own.remove(&prefix),
            };
            if before != ownership {
                self.compare_parts_of(&prefix);
                let block = (ownership == Some(Ownership::Block)).then_some(prefix);
                self.changed.extend(block);
            }
        }
    }

    /// Whether the kernel was read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.view.is_some()
    }

    /// Whether the node's own prefixes are known.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.own.is_some()
    }

    /// Whether routes of a former process still wait for their peers.
    #[must_use]
    pub fn awaits_peers(&self) -> bool {
        self.sweep != Sweep::Done
    }

    /// The peers have announced what they had: what was not among it goes.
    pub fn peers_are_complete(&mut self) {
        self.sweep = Sweep::Done;
        let leftovers = std::mem::take(&mut self.leftovers);
        self.changed.extend(leftovers.iter().map(|key| key.prefix));
    }

    /// The kernel was read: what is not as it was thought is compared again.
    pub fn kernel_is(&mut self, view: KernelView) {
        let Some(before) = self.view.take() else {
            if self.sweep != Sweep::Done {
                let learned = view.routes.iter();
                let learned = learned.filter(|(_, target)| target.hops().is_some());
                let held = learned.map(|(key, _)| key);
                let unasked = held.filter(|key| !self.wanted.contains_key(&key.prefix));
                self.leftovers = unasked.copied().collect();
            }
            self.view = Some(view);
            self.compare_all();
            return;
        };
        self.leftovers.retain(|key| view.routes.contains_key(key));
        let others = |a: &KernelView, b: &KernelView| -> Vec<Prefix> {
            let routes = a.routes.iter();
            let others = routes.filter(|(key, target)| b.routes.get(key) != Some(target));
            others.map(|(key, _)| key.prefix).collect()
        };
        self.changed.extend(others(&view, &before));
        self.changed.extend(others(&before, &view));
        let connected = view.connected.symmetric_difference(&before.connected);
        let connected: Vec<Prefix> = connected.copied().collect();
        self.view = Some(view);
        for prefix in connected {
            self.compare_parts_of(&prefix);
        }
    }

    /// Something that routes depend on has changed: what was refused may be taken by now.
    pub fn retry_all(&mut self, now: Instant) {
        for refusal in self.refused.values_mut() {
            refusal.retry_at = refusal.retry_at.min(now);
        }
    }

    /// What is to be done, at most some `max` changes. Each is to be answered by [`Self::done`] or
    /// [`Self::refused`].
    pub fn changes(&mut self, now: Instant, max: usize) -> Vec<Change> {
        if self.view.is_none() || self.own.is_none() {
            return Vec::new();
        }
        if let Sweep::By(deadline) = self.sweep
            && now >= deadline
        {
            self.peers_are_complete();
        }
        let due = self
            .refused
            .iter()
            .filter(|(_, refusal)| refusal.retry_at <= now);
        self.changed.extend(due.map(|(prefix, _)| *prefix));
        let mut changes = Vec::new();
        while changes.len() < max
            && let Some(prefix) = self.changed.pop_first()
        {
            self.compare(now, prefix, &mut changes);
        }
        changes
    }

    /// When [`Self::changes`] has something that it has not now; never, if nothing is waited for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.own.as_ref()?;
        self.view.as_ref()?;
        let sweep = match self.sweep {
            Sweep::By(deadline) => Some(deadline),
            Sweep::Awaited | Sweep::Done => None,
        };
        let retries = self.refused.values().map(|refusal| refusal.retry_at);
        retries.chain(sweep).min()
    }

    /// Whether [`Self::changes`] may have something to do.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.view.is_some() && self.own.is_some() && !self.changed.is_empty()
    }

    /// The kernel took a change.
    pub fn done(&mut self, change: Change) {
        self.leftovers.remove(&change.key());
        let Some(view) = &mut self.view else {
            return;
        };
        match change {
            Change::Add { key, target } | Change::Replace { key, target } => {
                self.refused.remove(&key.prefix);
                view.routes.insert(key, target);
                // One with another metric may go as soon as this one is there.
                self.changed.insert(key.prefix);
            }
            Change::Remove(key) => {
                view.routes.remove(&key);
                // One that is wanted was taken away because its successor was refused.
                let prefix = key.prefix;
                if !self.wanted.contains_key(&prefix) || self.unfit.contains_key(&prefix) {
                    self.refused.remove(&prefix);
                }
            }
        }
    }

    /// The kernel did not take a change; these are its words.
    pub fn refused(&mut self, now: Instant, change: &Change, words: String) {
        let prefix = change.key().prefix;
        self.failures += 1;
        let pause = match self.refused.get(&prefix) {
            Some(before) => (before.pause * 2).min(PAUSE.1),
            None => PAUSE.0,
        };
        let refusal = Refusal {
            words,
            retry_at: now + pause,
            pause,
        };
        self.refused.insert(prefix, refusal);
        match change {
            Change::Add { .. } | Change::Remove(_) => {}
            // What the kernel still has may be wrong by now.
            Change::Replace { .. } => {
                self.changed.insert(prefix);
            }
        }
    }

    /// How many prefixes [`Self::changes`] has to look at.
    #[must_use]
    pub fn concerned(&self) -> usize {
        self.changed.len()
    }

    /// A change was not tried.
    pub fn postponed(&mut self, change: &Change) {
        self.changed.insert(change.key().prefix);
    }

    /// How many there are of each kind.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let ours = self.view.as_ref().map_or(0, |view| view.routes.len());
        // There are few blocks, and any number of routes.
        let has_blackhole = |block: &Prefix| {
            let held = self.view.as_ref();
            let held = held.and_then(|view| view.routes.get(&self.key(*block)));
            held == Some(&Target::Blackhole)
        };
        let blackholes = self.own.as_ref().map_or(0, |own| {
            let blocks = blocks(own);
            blocks.filter(has_blackhole).count()
        });
        Counts {
            routes: ours - blackholes,
            blackholes,
            leftovers: self.leftovers.len(),
            unfit: self.unfit.len(),
            refused: self.refused.len(),
            failures: self.failures,
        }
    }

    /// The first route that the kernel refuses, and its words.
    #[must_use]
    pub fn first_refusal(&self) -> Option<(Prefix, &Refusal)> {
        let (prefix, refusal) = self.refused.first_key_value()?;
        Some((*prefix, refusal))
    }

    /// What became of a path that the kernel may have and that leads there.
    #[must_use]
    pub fn path_state(&self, prefix: Prefix, target: &Result<Target, Unfit>) -> PathState {
        let (Some(view), Some(own)) = (&self.view, &self.own) else {
            return PathState::Pending;
        };
        let Some(wanted) = self.wanted.get(&prefix) else {
            return PathState::Pending;
        };
        if let Some(why) = forbidden(prefix, own, &view.connected) {
            return PathState::Unfit(why.to_string());
        }
        let target = match target {
            Ok(target) => target,
            Err(why) => return PathState::Unfit(why.to_string()),
        };
        let held = view.routes.get(&self.key(prefix));
        let is_wanted = wanted
            .as_ref()
            .is_ok_and(|wanted| target.is_part_of(wanted));
        if !is_wanted {
            PathState::Pending
        } else if held.is_some_and(|held| target.is_part_of(held)) {
            PathState::Installed
        } else if let Some(refusal) = self.refused.get(&prefix) {
            PathState::Refused(refusal.words.clone())
        } else {
            PathState::Pending
        }
    }

    /// The prefixes inside this one that BGP has paths to.
    #[must_use]
    pub fn wanted_within(&self, prefix: &Prefix) -> Vec<Prefix> {
        let wanted = self.wanted.range(prefix.parts());
        wanted.map(|(prefix, _)| *prefix).collect()
    }

    /// The interface for tunnels, as the kernel was read last.
    #[must_use]
    pub fn tunnel(&self) -> Option<InterfaceIndex> {
        self.view.as_ref()?.tunnel
    }

    fn key(&self, prefix: Prefix) -> RouteKey {
        RouteKey {
            prefix,
            metric: self.metric,
        }
    }

    fn compare_all(&mut self) {
        self.changed.extend(self.wanted.keys());
        self.changed.extend(self.refused.keys());
        if let Some(view) = &self.view {
            self.changed
                .extend(view.routes.keys().map(|key| key.prefix));
        }
    }

    /// What there is inside this prefix is to be compared: no other depends on it.
    fn compare_parts_of(&mut self, prefix: &Prefix) {
        let parts = prefix.parts();
        let wanted = self.wanted.range(parts.clone()).map(|(part, _)| *part);
        self.changed.extend(wanted);
        let refused = self.refused.range(parts.clone()).map(|(part, _)| *part);
        self.changed.extend(refused);
        if let Some(view) = &self.view {
            let (first, last) = (every_metric(*parts.start()), every_metric(*parts.end()));
            let held = view.routes.range(*first.start()..=*last.end());
            self.changed.extend(held.map(|(key, _)| key.prefix));
        }
    }

    /// The route that a block of the node's own is to have.
    fn own_target(&self, prefix: Prefix) -> Option<Target> {
        let ownership = self.own.as_ref()?.get(&prefix)?;
        match (ownership, self.blocks) {
            (Ownership::Block, OwnBlocks::Discard) => Some(Target::Blackhole),
            (Ownership::Block, OwnBlocks::Leave) | (Ownership::Pods | Ownership::Services, _) => {
                None
            }
        }
    }

    /// Adds what must be done about one prefix.
    fn compare(&mut self, now: Instant, prefix: Prefix, changes: &mut Vec<Change>) {
        let (Some(view), Some(own)) = (&self.view, &self.own) else {
            return;
        };
        let wanted = self.wanted.get(&prefix);
        let forbidden = forbidden(prefix, own, &view.connected);
        let unfit = forbidden.clone().filter(|_| wanted.is_some());
        let unfit = unfit.or_else(|| wanted?.as_ref().err().cloned());
        let target = match (self.own_target(prefix), forbidden) {
            (Some(blackhole), _) => Some(Ok(blackhole)),
            (None, Some(why)) => Some(Err(why)),
            (None, None) => wanted.cloned(),
        };
        let refusal = self.refused.get(&prefix);
        let waits = refusal.is_some_and(|refusal| now < refusal.retry_at);
        let ours = self.key(prefix);
        let held = view.routes.range(every_metric(prefix)).map(|(key, _)| *key);
        let before = changes.len();
        match unfit {
            Some(why) => self.unfit.insert(prefix, why),
            None => self.unfit.remove(&prefix),
        };
        match target {
            Some(Ok(target)) => match view.routes.get(&ours) {
                Some(there) if *there == target => {
                    changes.extend(held.filter(|key| *key != ours).map(Change::Remove));
                }
                // While it is refused, what there is in its place stays, unless the prefix is
                // announced by none of its next hops any more.
                Some(_) | None if waits => {
                    let is_wrong = |key: &RouteKey| !view.routes[key].shares_with(&target);
                    changes.extend(held.filter(is_wrong).map(Change::Remove));
                }
                Some(_) => changes.push(Change::Replace { key: ours, target }),
                None => changes.push(Change::Add { key: ours, target }),
            },
            Some(Err(Unfit::UnknownWay)) => {}
            Some(Err(
                Unfit::OwnPrefix { .. }
                | Unfit::Services { .. }
                | Unfit::Connected { .. }
                | Unfit::FelixPool { .. }
                | Unfit::NoTunnel { .. },
            )) => {
                if !waits {
                    changes.extend(held.map(Change::Remove));
                }
            }
            None if waits => {}
            None => {
                let unwanted = held.filter(|key| !self.leftovers.contains(key));
                changes.extend(unwanted.map(Change::Remove));
            }
        }
        if !waits && changes.len() == before {
            self.refused.remove(&prefix);
        }
    }
}

/// The blocks among what is not left to BGP.
fn blocks(own: &BTreeMap<Prefix, Ownership>) -> impl Iterator<Item = Prefix> {
    let blocks = own.iter().filter(|(_, is)| **is == Ownership::Block);
    blocks.map(|(prefix, _)| *prefix)
}

fn every_metric(prefix: Prefix) -> RangeInclusive<RouteKey> {
    let of = |metric| RouteKey { prefix, metric };
    of(0)..=of(u32::MAX)
}
