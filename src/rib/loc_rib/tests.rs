//! The Loc-RIB against its own answer for the same paths given once, in order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::decision::tests::path_of_peer;
use super::super::fixtures::{attributes, neighbor, path_from, prefix};
use super::Resolvability::{Resolvable, Unresolvable};
use super::*;
use crate::bgp::wire::PathAttributes;
use crate::rib::{LostBy, Source};
use crate::types::{Asn, PeerId};

fn path(number: u8, med: u32) -> Path {
    let attributes = PathAttributes {
        med: Some(med),
        ..PathAttributes::default()
    };
    path_from(neighbor(number, Asn(65001)), attributes)
}

fn peer(number: u32) -> SourceId {
    SourceId::Peer(PeerId(number))
}

#[test]
fn a_prefix_with_one_path_takes_sixteen_octets() {
    assert_eq!(size_of::<Path>(), 16);
    assert_eq!(size_of::<Destination>(), 16);
}

#[test]
fn each_step_says_what_it_did_to_the_chosen_paths() {
    let mut rib = LocRib::default();
    let to = prefix("10.0.0.0/24");
    let steps = [
        (
            "first",
            rib.insert(to, path(2, 1), Resolvable),
            Some(Change::Best),
        ),
        (
            "the same again",
            rib.insert(to, path(2, 1), Resolvable),
            None,
        ),
        (
            "as good",
            rib.insert(to, path(3, 1), Resolvable),
            Some(Change::Multipath),
        ),
        ("worse", rib.insert(to, path(4, 9), Resolvable), None),
        (
            "as good, and first",
            rib.insert(to, path(1, 1), Resolvable),
            Some(Change::Best),
        ),
        ("the worse goes", rib.remove(&to, peer(4)), None),
        ("a stranger goes", rib.remove(&to, peer(9)), None),
        (
            "the second goes",
            rib.remove(&to, peer(2)),
            Some(Change::Multipath),
        ),
        (
            "the best is another",
            rib.insert(to, path(1, 2), Resolvable),
            Some(Change::Best),
        ),
        (
            "the best goes",
            rib.remove(&to, peer(3)),
            Some(Change::Best),
        ),
        (
            "the last goes",
            rib.remove(&to, peer(1)),
            Some(Change::Best),
        ),
        ("nothing goes", rib.remove(&to, peer(1)), None),
    ];
    for (what, happened, expected) in steps {
        assert_eq!(happened, expected, "{what}");
    }
    assert!(rib.is_empty());
}

#[test]
fn a_local_path_takes_over_and_hands_back() {
    let mut rib = LocRib::default();
    let to = prefix("10.0.0.0/24");
    rib.insert(to, path(1, 0), Resolvable);
    let local = Path::local(attributes(PathAttributes::default()));
    assert_eq!(
        rib.insert(to, local.clone(), Resolvable),
        Some(Change::Best)
    );
    assert_eq!(rib.selected(&to), std::slice::from_ref(&local));
    let learned = path(1, 0);
    assert_eq!(
        rib.explain(&to),
        [
            (&local, Standing::Best),
            (&learned, Standing::Lost(LostBy::Local))
        ]
    );
    assert_eq!(rib.update(to, SourceId::Local, None), Some(Change::Best));
    assert_eq!(rib.best(&to), Some(&learned));
}

#[test]
fn prefixes_are_counted_by_family_and_listed_in_order() {
    let mut rib = LocRib::default();
    for to in ["2001:db8::/64", "10.0.1.0/24", "10.0.0.0/24"] {
        rib.insert(prefix(to), path(1, 0), Resolvable);
        rib.insert(prefix(to), path(2, 0), Resolvable);
    }
    assert_eq!(rib.count(Family::Ipv4Unicast), 2);
    assert_eq!(rib.count(Family::Ipv6Unicast), 1);
    let listed: Vec<_> = rib.iter().map(|(to, paths)| (to, paths.len())).collect();
    let expected = ["10.0.0.0/24", "10.0.1.0/24", "2001:db8::/64"].map(|to| (prefix(to), 2));
    assert_eq!(listed, expected);
    assert!(rib.explain(&prefix("10.9.0.0/24")).is_empty());
}

/// One change of one of three prefixes.
fn step() -> impl Strategy<Value = (Prefix, SourceId, Option<(Path, Resolvability)>)> {
    let to = prop_oneof![
        Just(prefix("10.0.0.0/24")),
        Just(prefix("10.0.0.0/25")),
        Just(prefix("2001:db8::/64"))
    ];
    let path = (1..=5u8).prop_flat_map(|number| {
        let local = Path::local(attributes(PathAttributes::default()));
        let given = prop_oneof![6 => path_of_peer(number), 1 => Just(local)];
        given.prop_flat_map(|path| {
            let source = path.source.id();
            let judged = prop_oneof![3 => Just(Resolvable), 1 => Just(Unresolvable)];
            let path = judged.prop_map(move |judged| (path.clone(), judged));
            (Just(source), prop::option::weighted(0.7, path))
        })
    });
    (to, path).prop_map(|(to, (source, path))| (to, source, path))
}

proptest! {
    #[test]
    fn what_is_chosen_depends_on_the_paths_held_alone(
        steps in prop::collection::vec(step(), 0..60),
        multipath in prop_oneof![Just(Multipath::SameNeighborAs), Just(Multipath::AnyNeighborAs)],
    ) {
        let mut rib = LocRib::new(multipath);
        let mut held = BTreeMap::new();
        // What somebody believes who only looks when a change is reported.
        let mut reported: BTreeMap<Prefix, Vec<Path>> = BTreeMap::new();
        for (to, source, path) in steps {
            let before = rib.selected(&to).to_vec();
            let change = rib.update(to, source, path.clone());
            let best_changed = before.first() != rib.best(&to);
            prop_assert_eq!(change == Some(Change::Best), best_changed);
            if change.is_some() {
                reported.insert(to, rib.selected(&to).to_vec());
            }
            match path {
                Some(path) => held.insert((to, source), path),
                None => held.remove(&(to, source)),
            };
        }
        reported.retain(|_, paths| !paths.is_empty());
        let chosen: BTreeMap<_, _> = rib.iter().map(|(to, paths)| (to, paths.to_vec())).collect();
        prop_assert_eq!(&chosen, &reported);

        let mut fresh = LocRib::new(multipath);
        // The decision knows nothing of paths that are not resolvable.
        let mut without = LocRib::new(multipath);
        for ((to, _), (path, judged)) in &held {
            fresh.insert(*to, path.clone(), *judged);
            match judged {
                Resolvable => drop(without.insert(*to, path.clone(), Resolvable)),
                Unresolvable => {}
            }
        }
        prop_assert!(rib.iter().eq(without.iter()));
        for to in held.keys().map(|(to, _)| to) {
            prop_assert_eq!(rib.explain(to), fresh.explain(to));
        }
        for (to, source) in held.keys() {
            rib.remove(to, *source);
        }
        prop_assert!(rib.is_empty());
        prop_assert_eq!(rib.iter().count(), 0);
    }
}

#[test]
fn a_path_whose_next_hop_is_not_reached_is_kept_and_hides_none() {
    let mut rib = LocRib::default();
    let to = prefix("10.0.0.0/24");
    // By every step of the decision it would be the best.
    let local_pref = |number, local_pref| {
        let attributes = PathAttributes {
            local_pref: Some(local_pref),
            ..PathAttributes::default()
        };
        path_from(neighbor(number, Asn(65001)), attributes)
    };
    let (dead, living) = (local_pref(1, 900), local_pref(2, 1));
    assert_eq!(rib.insert(to, dead.clone(), Unresolvable), None);
    assert_eq!(rib.selected(&to), []);
    assert_eq!(rib.iter().count(), 0);
    assert_eq!(rib.explain(&to), [(&dead, Standing::Unresolvable)]);
    let change = rib.insert(to, living.clone(), Resolvable);
    assert_eq!(change, Some(Change::Best));
    assert_eq!(rib.selected(&to), std::slice::from_ref(&living));
    assert_eq!(
        rib.explain(&to),
        [(&living, Standing::Best), (&dead, Standing::Unresolvable)]
    );
    assert_eq!(rib.resolvability(&to, peer(1)), Some(Unresolvable));
    // It returns when its next hop does, and goes with it.
    let all_are = |judged| move |_: &Path, _| judged;
    assert_eq!(rib.reconsider(&to, all_are(Resolvable)), Some(Change::Best));
    assert_eq!(rib.best(&to), Some(&dead));
    assert_eq!(rib.reconsider(&to, all_are(Resolvable)), None);
    assert_eq!(
        rib.reconsider(&to, all_are(Unresolvable)),
        Some(Change::Best)
    );
    assert_eq!(rib.selected(&to), []);
    assert_eq!(rib.remove(&to, peer(1)), None);
    assert_eq!(rib.remove(&to, peer(2)), None);
    assert!(rib.is_empty());
}

/// A session that came back with another router id is another neighbour behind the same source.
#[test]
fn a_source_has_one_path_even_if_its_neighbour_changed() {
    let mut rib = LocRib::default();
    let to = prefix("10.0.0.0/24");
    rib.insert(to, path(1, 0), Resolvable);
    let mut changed = neighbor(2, Asn(65001));
    changed.id = PeerId(1);
    let again = path_from(changed, PathAttributes::default());
    assert_eq!(
        rib.insert(to, again.clone(), Resolvable),
        Some(Change::Best)
    );
    assert_eq!(rib.explain(&to), [(&again, Standing::Best)]);
    assert!(matches!(&again.source, Source::Peer(neighbor) if neighbor.id == PeerId(1)));
}
