//! What is another thing between two states of the same routes: what a chain makes of them, and
//! what another would.
//!
//! Used wherever two are compared: a configuration that is tried, policies in shadow mode, and two
//! modules on a recording.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What happens to a route, which is announced, or used, in a way `U`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<U> {
    /// It is announced or used in this way, and would not be.
    Withdrawn(U),
    /// It is not announced or used, and would be in this way.
    Added(U),
    /// It would be in another way.
    Changed {
        /// The one before.
        from: U,
        /// The one after.
        to: U,
    },
}

/// A [`Change`] without its ways, ordered by how much it takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is no longer announced; of a learned route, no longer used.
    Withdrawn,
    /// It is announced, or used, with other attributes.
    Changed,
    /// It was not announced, or used, before.
    Added,
}

impl<U> Change<U> {
    /// How the route is announced or used before and after.
    pub fn sides(&self) -> (Option<&U>, Option<&U>) {
        match self {
            Self::Withdrawn(from) => (Some(from), None),
            Self::Added(to) => (None, Some(to)),
            Self::Changed { from, to } => (Some(from), Some(to)),
        }
    }

    /// Which.
    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::Withdrawn(_) => ChangeKind::Withdrawn,
            Self::Added(_) => ChangeKind::Added,
            Self::Changed { .. } => ChangeKind::Changed,
        }
    }
}

impl<U: PartialEq> Change<U> {
    /// What lies between these two, if they differ.
    pub fn between(from: Option<U>, to: Option<U>) -> Option<Self> {
        match (from, to) {
            (None, None) => None,
            (Some(from), None) => Some(Self::Withdrawn(from)),
            (None, Some(to)) => Some(Self::Added(to)),
            (Some(from), Some(to)) => (from != to).then_some(Self::Changed { from, to }),
        }
    }
}

/// What differs between routes that are announced or used, each named by a `K` and given once.
pub fn compare<K: Ord, U: PartialEq>(
    before: impl IntoIterator<Item = (K, U)>,
    after: impl IntoIterator<Item = (K, U)>,
) -> BTreeMap<K, Change<U>> {
    let before = before
        .into_iter()
        .map(|(key, way)| (key, (Some(way), None)));
    let mut sides: BTreeMap<K, (Option<U>, Option<U>)> = before.collect();
    for (key, way) in after {
        sides.entry(key).or_default().1 = Some(way);
    }
    let sides = sides.into_iter();
    sides
        .filter_map(|(key, (from, to))| Some((key, Change::between(from, to)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_no_change_and_all_else_is_one() {
        let before = [(1, 'a'), (2, 'b'), (3, 'c')];
        let after = [(2, 'b'), (3, 'x'), (4, 'd')];
        let changes = compare(before, after);
        let expected = [
            (1, Change::Withdrawn('a')),
            (3, Change::Changed { from: 'c', to: 'x' }),
            (4, Change::Added('d')),
        ];
        assert_eq!(changes, expected.into());
        let kinds = changes.values().map(Change::kind);
        let mut kinds: Vec<_> = kinds.collect();
        kinds.sort_unstable();
        use ChangeKind::{Added, Changed, Withdrawn};
        assert_eq!(kinds, [Withdrawn, Changed, Added]);
        assert_eq!(changes[&3].sides(), (Some(&'c'), Some(&'x')));
        assert!(compare(before, before).is_empty());
    }
}
