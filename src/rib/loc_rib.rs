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

/// The paths to one prefix, at least one. Nearly always one: that takes no allocation.
#[derive(Clone, Debug)]
enum Destination {
    One(Path),
    Many(Box<Ranked>),
}

/// Paths as the decision process ordered them: the best first, those used beside it next.
#[derive(Clone, Debug)]
struct Ranked {
    paths: Vec<Path>,
    selected: usize,
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
    pub fn insert(&mut self, prefix: Prefix, path: Path) -> Option<Change> {
        let Some(destination) = self.destinations.get_mut(&prefix) else {
            self.destinations.insert(prefix, Destination::One(path));
            return Some(Change::Best);
        };
        let mut paths = destination.paths().to_vec();
        match paths
            .iter_mut()
            .find(|old| old.source.id() == path.source.id())
        {
            Some(old) if *old == path => return None,
            Some(old) => *old = path,
            None => paths.push(path),
        }
        destination.replace(paths, self.multipath)
    }

    /// Removes the path a source gave, if there is one.
    pub fn remove(&mut self, prefix: &Prefix, source: SourceId) -> Option<Change> {
        let destination = self.destinations.get_mut(prefix)?;
        let mut paths = destination.paths().to_vec();
        let place = paths.iter().position(|path| path.source.id() == source)?;
        paths.remove(place);
        if paths.is_empty() {
            self.destinations.remove(prefix);
            return Some(Change::Best);
        }
        destination.replace(paths, self.multipath)
    }

    /// [`insert`](Self::insert) or [`remove`](Self::remove).
    pub fn update(
        &mut self,
        prefix: Prefix,
        source: SourceId,
        path: Option<Path>,
    ) -> Option<Change> {
        match path {
            Some(path) => {
                debug_assert_eq!(path.source.id(), source, "the path is its source's");
                self.insert(prefix, path)
            }
            None => self.remove(&prefix, source),
        }
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
        let standings = standings(paths, destination.selected().len());
        paths.iter().zip(standings).collect()
    }

    /// Every prefix with the paths in use to it, ordered by prefix.
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, &[Path])> {
        self.destinations
            .iter()
            .map(|(prefix, destination)| (prefix, destination.selected()))
    }

    /// How many prefixes of a family can be reached.
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

    /// Takes other paths, at least one, and says what that did to the selected ones.
    fn replace(&mut self, mut paths: Vec<Path>, multipath: Multipath) -> Option<Change> {
        let selected = select(&mut paths, multipath);
        let new = match <[Path; 1]>::try_from(paths) {
            Ok([path]) => Self::One(path),
            Err(paths) => Self::Many(Box::new(Ranked { paths, selected })),
        };
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
