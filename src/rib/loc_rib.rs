//! Loc-RIB: every path to every prefix, and the ones the decision process chose (RFC 4271
//! section 3.2).
//!
//! The speaker puts in what it originates itself and what import rules let through from an
//! Adj-RIB-In; what comes out is announced on, and offered to whoever programs the kernel.

use super::decision::{select, standings};
use super::prefix_map::PrefixMap;
use super::{Multipath, Path, SourceId, Standing};
use crate::types::{Family, Prefix};

/// Paths by prefix.
#[derive(Clone, Debug, Default)]
pub struct LocRib {
    multipath: Multipath,
    destinations: PrefixMap<Destination>,
}

/// What a step did to the chosen paths of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is another best path, or none, or its attributes are others; the paths used beside
    /// it may have changed too.
    Best,
    /// The best path is the same, the paths used beside it are not.
    Multipath,
}

/// Whether there is a way to a path's next hop (RFC 4271 section 9.1.2.1): without one the path is
/// kept, and takes no part in the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolvability {
    /// There is, or is taken to be.
    Resolvable,
    /// There is none, or none yet.
    Unresolvable,
}

/// The paths to one prefix, at least one. Nearly always one whose next hop is reached: that takes
/// no allocation.
#[derive(Clone, Debug)]
enum Destination {
    One(Path),
    Many(Box<Ranked>),
}

/// Paths as the decision process ordered them: the best first, those used beside it next, and last
/// those whose next hops are not reached.
#[derive(Clone, Debug)]
struct Ranked {
    paths: Vec<Path>,
    selected: usize,
    resolvable: usize,
}

impl LocRib {
    /// Empty.
    #[must_use]
    pub fn new(multipath: Multipath) -> Self {
        Self {
            multipath,
            destinations: PrefixMap::default(),
        }
    }

    /// Adds a path, in place of the one its source gave before.
    pub fn insert(
        &mut self,
        prefix: Prefix,
        path: Path,
        resolvability: Resolvability,
    ) -> Option<Change> {
        let Some(destination) = self.destinations.get_mut(&prefix) else {
            let new = match resolvability {
                Resolvability::Resolvable => Destination::One(path),
                Resolvability::Unresolvable => {
                    Destination::of(vec![(path, resolvability)], self.multipath)
                }
            };
            let change = (!new.selected().is_empty()).then_some(Change::Best);
            self.destinations.insert(prefix, new);
            return change;
        };
        let mut paths = destination.judged();
        let source = path.source.id();
        let new = (path, resolvability);
        match paths.iter_mut().find(|(old, _)| old.source.id() == source) {
            Some(old) if *old == new => return None,
            Some(old) => *old = new,
            None => paths.push(new),
        }
        destination.replace(paths, self.multipath)
    }

    /// Removes the path a source gave, if there is one.
    pub fn remove(&mut self, prefix: &Prefix, source: SourceId) -> Option<Change> {
        let destination = self.destinations.get_mut(prefix)?;
        let mut paths = destination.judged();
        let place = paths
            .iter()
            .position(|(path, _)| path.source.id() == source)?;
        paths.remove(place);
        if paths.is_empty() {
            let was_used = !destination.selected().is_empty();
            self.destinations.remove(prefix);
            return was_used.then_some(Change::Best);
        }
        destination.replace(paths, self.multipath)
    }

    /// [`insert`](Self::insert) or [`remove`](Self::remove).
    pub fn update(
        &mut self,
        prefix: Prefix,
        source: SourceId,
        path: Option<(Path, Resolvability)>,
    ) -> Option<Change> {
        match path {
            Some((path, resolvability)) => {
                debug_assert_eq!(path.source.id(), source, "the path is its source's");
                self.insert(prefix, path, resolvability)
            }
            None => self.remove(&prefix, source),
        }
    }

    /// Judges anew whether the next hops of the paths to a prefix are reached; `judge` is told how
    /// each was judged before.
    pub fn reconsider(
        &mut self,
        prefix: &Prefix,
        judge: impl Fn(&Path, Resolvability) -> Resolvability,
    ) -> Option<Change> {
        let destination = self.destinations.get_mut(prefix)?;
        let mut paths = destination.judged();
        for (path, resolvability) in &mut paths {
            *resolvability = judge(path, *resolvability);
        }
        destination.replace(paths, self.multipath)
    }

    /// How the path that a source gave was judged.
    #[must_use]
    pub fn resolvability(&self, prefix: &Prefix, source: SourceId) -> Option<Resolvability> {
        let destination = self.destinations.get(prefix)?;
        let mut paths = destination.paths().iter();
        let place = paths.position(|path| path.source.id() == source)?;
        Some(destination.resolvability(place))
    }

    /// The best path to a prefix.
    #[must_use]
    pub fn best(&self, prefix: &Prefix) -> Option<&Path> {
        self.selected(prefix).first()
    }

    /// The paths in use to a prefix: the best first, then those as good.
    #[must_use]
    pub fn selected(&self, prefix: &Prefix) -> &[Path] {
        self.destinations
            .get(prefix)
            .map_or(&[], Destination::selected)
    }

    /// Every path to a prefix, the best first, and how it fared.
    #[must_use]
    pub fn explain(&self, prefix: &Prefix) -> Vec<(&Path, Standing)> {
        let Some(destination) = self.destinations.get(prefix) else {
            return Vec::new();
        };
        let paths = destination.paths();
        let resolvable = &paths[..destination.resolvable()];
        let standings = standings(resolvable, destination.selected().len());
        let unresolvable = std::iter::repeat(Standing::Unresolvable);
        let standings = standings.into_iter().chain(unresolvable);
        paths.iter().zip(standings).collect()
    }

    /// What would be in use to a prefix if there were no other paths than these.
    pub fn selected_among(&self, prefix: &Prefix, keeps: impl Fn(&Path) -> bool) -> Vec<Path> {
        let Some(destination) = self.destinations.get(prefix) else {
            return Vec::new();
        };
        let paths = destination.paths().iter().filter(|path| keeps(path));
        let mut paths = paths.cloned().collect();
        let selected = select(&mut paths, self.multipath);
        paths.truncate(selected);
        paths
    }

    /// Every prefix that there is a path in use to, with those paths, ordered by prefix.
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, &[Path])> {
        let destinations = self.destinations.iter();
        let used = destinations.map(|(prefix, destination)| (prefix, destination.selected()));
        used.filter(|(_, selected)| !selected.is_empty())
    }

    /// Every prefix with all paths to it, used or not, ordered by prefix.
    pub fn all(&self) -> impl Iterator<Item = (Prefix, &[Path])> {
        let destinations = self.destinations.iter();
        destinations.map(|(prefix, destination)| (prefix, destination.paths()))
    }

    /// How many prefixes of a family there are paths to.
    #[must_use]
    pub fn count(&self, family: Family) -> usize {
        self.destinations.count(family)
    }

    /// Whether there is no path to anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.destinations.is_empty()
    }
}

impl Destination {
    fn of(mut judged: Vec<(Path, Resolvability)>, multipath: Multipath) -> Self {
        if let [(_, Resolvability::Resolvable)] = &judged[..] {
            return Self::One(judged.remove(0).0);
        }
        let (mut paths, mut unresolvable) = (Vec::with_capacity(judged.len()), Vec::new());
        for (path, resolvability) in judged {
            match resolvability {
                Resolvability::Resolvable => paths.push(path),
                Resolvability::Unresolvable => unresolvable.push(path),
            }
        }
        let selected = select(&mut paths, multipath);
        // In the order in which they would be preferred, whatever the order of arrival.
        select(&mut unresolvable, multipath);
        let resolvable = paths.len();
        paths.extend(unresolvable);
        Self::Many(Box::new(Ranked {
            paths,
            selected,
            resolvable,
        }))
    }

    fn paths(&self) -> &[Path] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(ranked) => &ranked.paths,
        }
    }

    fn selected(&self) -> &[Path] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(ranked) => &ranked.paths[..ranked.selected],
        }
    }

    /// How many of the paths, from the first, have a next hop that is reached.
    fn resolvable(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(ranked) => ranked.resolvable,
        }
    }

    fn resolvability(&self, place: usize) -> Resolvability {
        if place < self.resolvable() {
            Resolvability::Resolvable
        } else {
            Resolvability::Unresolvable
        }
    }

    /// The paths, each as it was judged.
    fn judged(&self) -> Vec<(Path, Resolvability)> {
        let paths = self.paths().iter().enumerate();
        paths
            .map(|(place, path)| (path.clone(), self.resolvability(place)))
            .collect()
    }

    /// Takes other paths, at least one, and says what that did to the selected ones.
    fn replace(
        &mut self,
        judged: Vec<(Path, Resolvability)>,
        multipath: Multipath,
    ) -> Option<Change> {
        let new = Self::of(judged, multipath);
        let old = std::mem::replace(self, new);
        if old.selected().first() != self.selected().first() {
            Some(Change::Best)
        } else if old.selected() != self.selected() {
            Some(Change::Multipath)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
