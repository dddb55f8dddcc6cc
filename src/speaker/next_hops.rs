//! Next hops of learned paths: which are to be looked up, and what an answer does.
//!
//! A path by a next hop that is not reached stays in the Loc-RIB and takes no part in the choice;
//! when the answer changes, the paths by that next hop are judged anew. One that takes the place
//! of a usable path of its source is usable until its own next hop was looked up, so that a
//! replacement leaves no gap.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::Speaker;
use super::io::{Event, Output};
use crate::rib::{
    LearnedWay, Path, Resolution, Resolvability, SourceId, Standing, Unresolved, Way, lookups,
};
use crate::types::{Installation, Prefix, Reachability};

impl Speaker {
    /// Some `max` next hops about which nothing was answered yet, while somebody answers.
    #[must_use]
    pub fn unanswered_next_hops(&self, max: usize) -> BTreeSet<IpAddr> {
        match self.next_hops.is_asked() {
            true => self.next_hops.unanswered(max),
            false => BTreeSet::new(),
        }
    }

    /// Every next hop, for all of them to be looked up again.
    #[must_use]
    pub fn next_hops(&self) -> BTreeSet<IpAddr> {
        self.next_hops.addresses().collect()
    }

    /// The way to the next hop of a path in the Loc-RIB.
    ///
    /// # Errors
    /// There is none, and why; such a path is not used.
    pub fn way(&self, prefix: &Prefix, path: &Path) -> Result<Way<'_>, Unresolved> {
        self.next_hops.way(prefix, path)
    }

    /// What next hops are reached by, from now on.
    pub(super) fn resolve_next_hops_by(&mut self, resolution: Resolution) {
        let mut changed = self.next_hops.set_resolution(resolution);
        let all: Vec<IpAddr> = self.next_hops.addresses().collect();
        changed.extend(
            all.into_iter()
                .filter(|address| self.find_learned(*address)),
        );
        self.judge_paths_by(&changed);
        if !self.unanswered_next_hops(1).is_empty() {
            self.outputs.push_back(Output::NextHops);
        }
    }

    /// Answers came.
    pub(super) fn next_hops_are(&mut self, answers: BTreeMap<IpAddr, Reachability>) {
        let changed = self.next_hops.answer(answers);
        for address in &changed {
            self.find_learned(*address);
        }
        for prefix in self.judge_paths_by(&changed) {
            self.learned_route_changed(&prefix);
        }
    }

    /// How a path is judged that comes from this source now. Its next hop is tracked from now on.
    pub(super) fn judge_new(&mut self, prefix: &Prefix, path: &Path) -> Resolvability {
        let none_waited = self.unanswered_next_hops(1).is_empty();
        if self.next_hops.track(path) && none_waited && self.next_hops.is_asked() {
            self.outputs.push_back(Output::NextHops);
        }
        let before = self.loc_rib.resolvability(prefix, path.source.id());
        let way = self.next_hops.way(prefix, path);
        judged(way, before.unwrap_or(Resolvability::Unresolvable))
    }

    /// The paths to a prefix are not what they were: next hops may be reached otherwise by them.
    pub(super) fn learned_route_changed(&mut self, prefix: &Prefix) {
        let within = self.next_hops.within(prefix);
        let recursing = within.filter(|hop| self.next_hops.learned_from(*hop).is_some());
        self.recursing.extend(recursing);
    }

    /// Does what changes of paths make necessary, once for all that an input did.
    pub(super) fn settle_next_hops(&mut self) {
        let recursing = std::mem::take(&mut self.recursing);
        let changed = recursing
            .into_iter()
            .filter(|address| self.find_learned(*address))
            .collect();
        // These paths are reached by learned routes, or not at all: nothing is reached by them.
        self.judge_paths_by(&changed);
        if self.next_hops.is_overgrown() {
            let paths = self.loc_rib.all().flat_map(|(_, paths)| paths);
            self.next_hops.retain(paths);
        }
    }

    /// Judges all paths by these next hops anew; returns the prefixes that have one.
    fn judge_paths_by(&mut self, changed: &BTreeSet<IpAddr>) -> Vec<Prefix> {
        if changed.is_empty() {
            return Vec::new();
        }
        let is_by = |path: &Path| lookups(path).any(|address| changed.contains(&address));
        let all = self.loc_rib.all();
        let concerned = all.filter(|(_, paths)| paths.iter().any(is_by));
        let concerned: Vec<Prefix> = concerned.map(|(prefix, _)| prefix).collect();
        let mut lost = Lost::default();
        for prefix in &concerned {
            let next_hops = &self.next_hops;
            let change = self.loc_rib.reconsider(prefix, |path, before| {
                if is_by(path) {
                    judged(next_hops.way(prefix, path), before)
                } else {
                    before
                }
            });
            if change.is_some() {
                self.best_path_changed(*prefix);
            }
            // The choice may be the same, and the way there another.
            let selected = self.loc_rib.selected(prefix);
            if change.is_some() || selected.iter().any(is_by) {
                self.outputs
                    .push_back(Output::RouteChange { prefix: *prefix });
            }
            let paths = self.loc_rib.explain(prefix).into_iter();
            let mut unused =
                paths.filter(|(path, standing)| *standing == Standing::Unresolvable && is_by(path));
            if let Some((path, _)) = unused.next() {
                lost.note(self.next_hops.way(prefix, path).err());
            }
        }
        if let Some(first) = lost.first {
            let paths = lost.prefixes;
            self.report(Event::Unresolved { first, paths });
        }
        concerned
    }

    /// Looks for the learned route that a next hop is reached by; whether it is another than
    /// before.
    fn find_learned(&mut self, address: IpAddr) -> bool {
        let learned = self.learned_way(address);
        self.next_hops.set_learned(address, learned)
    }

    /// The longest of the learned routes that get into the kernel, are reached without others, and
    /// are longer than what the kernel has of its own.
    fn learned_way(&self, address: IpAddr) -> Option<LearnedWay> {
        let least = self.next_hops.learned_from(address)?;
        let host = Prefix::host(address);
        (least..=host.length()).rev().find_map(|length| {
            let net = IpNet::new(address, length).expect("at most a host's length");
            let prefix = Prefix::new(net);
            let is_direct = |path: &Path| self.next_hops.direct_way(&prefix, path).is_ok();
            let paths = self.loc_rib.selected_among(&prefix, is_direct);
            let installed = paths.iter().filter(|path| self.is_installed(&prefix, path));
            let ways = installed.filter_map(|path| self.next_hops.direct_way(&prefix, path).ok());
            let hops: BTreeSet<_> = ways.flat_map(|way| way.hops()).collect();
            (!hops.is_empty()).then_some(LearnedWay { prefix, hops })
        })
    }

    fn is_installed(&self, prefix: &Prefix, path: &Path) -> bool {
        match path.source.id() {
            SourceId::Local => false,
            SourceId::Peer(peer) => self.installation(peer, prefix) == Installation::Install,
        }
    }
}

/// What an answer took out of the choice.
#[derive(Default)]
struct Lost {
    first: Option<Unresolved>,
    prefixes: usize,
}

impl Lost {
    fn note(&mut self, why: Option<Unresolved>) {
        if let Some(why) = why {
            self.prefixes += 1;
            self.first.get_or_insert(why);
        }
    }
}

fn judged(way: Result<Way<'_>, Unresolved>, before: Resolvability) -> Resolvability {
    match way {
        Ok(_) => Resolvability::Resolvable,
        Err(Unresolved::Awaited(_)) => before,
        Err(
            Unresolved::Unreachable { .. }
            | Unresolved::Itself(_)
            | Unresolved::Own(_)
            | Unresolved::Loopback(_)
            | Unresolved::NoHost(_)
            | Unresolved::NoInterface(_)
            | Unresolved::OtherFamily(_),
        ) => Resolvability::Unresolvable,
    }
}
