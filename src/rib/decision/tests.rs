//! Each step of the decision process by itself, and all together against the RFC's own procedure.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::super::fixtures::{OWN_AS, asns, attributes, neighbor, path_from};
use super::*;
use crate::bgp::wire::{AsPathSegment, AsPathSegmentKind, PathAttributes};

/// What an external peer in AS 65001 says unless a test says otherwise.
fn usual() -> PathAttributes {
    PathAttributes {
        as_path: asns(&[65001]),
        ..PathAttributes::default()
    }
}

fn external(number: u8, path: PathAttributes) -> Path {
    path_from(neighbor(number, Asn(65001)), path)
}

fn internal(number: u8, path: PathAttributes) -> Path {
    path_from(neighbor(number, OWN_AS), path)
}

/// Selects in both orders of arrival and gives the places of the given paths in the outcome.
fn outcome(paths: &[Path], multipath: Multipath) -> Vec<Standing> {
    let standing_of = |arrived: Vec<Path>| -> Vec<Standing> {
        let mut ordered = arrived;
        let selected = select(&mut ordered, multipath);
        let standings = standings(&ordered, selected);
        let place = |path: &Path| ordered.iter().position(|other| other == path).unwrap();
        paths.iter().map(|path| standings[place(path)]).collect()
    };
    let forward = standing_of(paths.to_vec());
    let backward = standing_of(paths.iter().rev().cloned().collect());
    assert_eq!(forward, backward, "the order of arrival decides");
    forward
}

/// The second path loses to the first by `step`.
#[track_caller]
fn check_step(best: Path, other: Path, step: LostBy) {
    let expected = [Standing::Best, Standing::Lost(step)];
    assert_eq!(outcome(&[best, other], Multipath::default()), expected);
}

/// Peers are numbered so that the loser would win by every later step.
#[test]
fn a_local_path_is_preferred_to_the_best_of_a_peer() {
    let preferred = PathAttributes {
        local_pref: Some(u32::MAX),
        ..usual()
    };
    check_step(
        Path::local(attributes(PathAttributes::default())),
        external(1, preferred),
        LostBy::Local,
    );
}

#[test]
fn a_higher_local_pref_wins_and_an_absent_one_is_100() {
    let with = |local_pref| PathAttributes {
        local_pref,
        ..usual()
    };
    check_step(
        external(2, with(Some(101))),
        external(1, with(None)),
        LostBy::LocalPref,
    );
    check_step(
        external(2, with(None)),
        external(1, with(Some(99))),
        LostBy::LocalPref,
    );
}

#[test]
fn a_shorter_as_path_wins_and_a_set_counts_one() {
    let longer = PathAttributes {
        as_path: asns(&[65001, 65002]),
        ..PathAttributes::default()
    };
    check_step(
        external(2, usual()),
        external(1, longer.clone()),
        LostBy::AsPathLength,
    );
    let mut set = usual();
    set.as_path.segments.push(AsPathSegment {
        kind: AsPathSegmentKind::Set,
        asns: vec![Asn(1), Asn(2), Asn(3)],
    });
    let paths = [external(1, longer), external(2, set)];
    let equal = [Standing::Best, Standing::Multipath];
    assert_eq!(outcome(&paths, Multipath::default()), equal);
}

#[test]
fn a_lower_origin_wins() {
    let incomplete = PathAttributes {
        origin: OriginCode::Incomplete,
        ..usual()
    };
    check_step(
        external(2, usual()),
        external(1, incomplete),
        LostBy::Origin,
    );
}

#[test]
fn a_lower_med_wins_and_an_absent_one_is_the_lowest() {
    let with = |med| PathAttributes { med, ..usual() };
    check_step(
        external(2, with(None)),
        external(1, with(Some(1))),
        LostBy::Med,
    );
}

#[test]
fn med_says_nothing_between_neighbouring_ases() {
    let costly = PathAttributes {
        med: Some(1000),
        ..usual()
    };
    let cheap = PathAttributes {
        as_path: asns(&[65002]),
        ..PathAttributes::default()
    };
    check_step(
        external(1, costly),
        path_from(neighbor(2, Asn(65002)), cheap),
        LostBy::RouterId,
    );
}

#[test]
fn internal_paths_without_an_as_path_are_of_our_own_as_for_med() {
    let with = |med| PathAttributes {
        med: Some(med),
        ..PathAttributes::default()
    };
    check_step(internal(2, with(1)), internal(1, with(2)), LostBy::Med);
}

#[test]
fn an_as_path_that_begins_with_a_set_is_by_the_peers_as_for_med() {
    let with = |kind, med| {
        let segment = AsPathSegment {
            kind,
            asns: vec![Asn(65001)],
        };
        let mut attributes = usual();
        attributes.as_path.segments = vec![segment];
        attributes.med = Some(med);
        attributes
    };
    check_step(
        external(2, with(AsPathSegmentKind::Set, 1)),
        external(1, with(AsPathSegmentKind::Sequence, 2)),
        LostBy::Med,
    );
}

#[test]
fn an_external_path_is_preferred_to_an_internal_one() {
    check_step(external(2, usual()), internal(1, usual()), LostBy::Internal);
}

#[test]
fn the_originator_id_stands_in_for_the_reflectors_router_id() {
    let originated = PathAttributes {
        originator_id: Some(Ipv4Addr::new(10, 0, 0, 1)),
        ..usual()
    };
    // Equal up to the router id, so both are used.
    let paths = [internal(9, originated), internal(2, usual())];
    let expected = [Standing::Best, Standing::Multipath];
    assert_eq!(outcome(&paths, Multipath::default()), expected);
}

#[test]
fn equal_paths_are_all_used_and_the_lowest_router_id_is_best() {
    let paths = [3, 1, 2].map(|number| external(number, usual()));
    let expected = [Standing::Multipath, Standing::Best, Standing::Multipath];
    assert_eq!(outcome(&paths, Multipath::default()), expected);
}

/// Paths beyond the cap lose by the last steps, which makes those visible.
#[test]
fn of_more_equal_paths_than_can_be_used_the_first_in_rank_are() {
    let reflected = |number: u8, clusters: usize| {
        let attributes = PathAttributes {
            originator_id: Some(Ipv4Addr::new(10, 0, 0, 1)),
            cluster_list: vec![Ipv4Addr::new(1, 1, 1, 1); clusters],
            ..usual()
        };
        internal(number, attributes)
    };
    let mut paths: Vec<Path> = (0..MULTIPATH_MAX)
        .map(|number| reflected(u8::try_from(number + 1).unwrap(), 1))
        .collect();
    paths.push(reflected(200, 1));
    paths.push(reflected(100, 2));
    paths.push(internal(201, usual()));
    let outcome = outcome(&paths, Multipath::default());
    assert_eq!(outcome[0], Standing::Best);
    assert!(
        outcome[1..MULTIPATH_MAX]
            .iter()
            .all(|standing| *standing == Standing::Multipath)
    );
    let lost = [
        LostBy::PeerAddress,
        LostBy::ClusterListLength,
        LostBy::RouterId,
    ];
    assert_eq!(outcome[MULTIPATH_MAX..], lost.map(Standing::Lost));
}

#[test]
fn two_sessions_with_one_address_and_router_id_are_told_apart_by_number() {
    let mut twin = neighbor(1, Asn(65001));
    twin.id = PeerId(2);
    let rank = |path: &Path| Rank::without_med(path);
    let first = rank(&external(1, usual()));
    let second = rank(&path_from(twin, usual()));
    assert!(first < second);
    assert_eq!(second.lost_by(&first), LostBy::PeerId);
}

#[test]
fn external_paths_by_another_neighbouring_as_are_used_only_where_allowed() {
    let other_as = PathAttributes {
        as_path: asns(&[65002]),
        ..PathAttributes::default()
    };
    let paths = [
        external(1, usual()),
        path_from(neighbor(2, Asn(65002)), other_as),
        external(3, usual()),
    ];
    assert_eq!(
        outcome(&paths, Multipath::SameNeighborAs),
        [
            Standing::Best,
            Standing::Lost(LostBy::RouterId),
            Standing::Multipath
        ]
    );
    assert_eq!(
        outcome(&paths, Multipath::AnyNeighborAs),
        [Standing::Best, Standing::Multipath, Standing::Multipath]
    );
}

/// The well-known case in which comparing paths two by two gives an answer that depends on the
/// order: A beats B by router id, B beats C by router id, C beats A by MED.
#[test]
fn a_path_that_lost_by_med_takes_no_part_in_later_steps() {
    let via = |asn: u32, med: u32| PathAttributes {
        as_path: asns(&[asn]),
        med: Some(med),
        ..PathAttributes::default()
    };
    let paths = [
        path_from(neighbor(1, Asn(65001)), via(65001, 10)),
        path_from(neighbor(2, Asn(65002)), via(65002, 0)),
        path_from(neighbor(3, Asn(65001)), via(65001, 5)),
    ];
    assert_eq!(
        outcome(&paths, Multipath::default()),
        [
            Standing::Lost(LostBy::Med),
            Standing::Best,
            Standing::Lost(LostBy::RouterId)
        ]
    );
}

/// Paths from distinct peers that agree in much, so that every step is reached.
pub(in super::super) fn path_of_peer(number: u8) -> impl Strategy<Value = Path> {
    let asn = if number.is_multiple_of(3) {
        OWN_AS
    } else {
        Asn(65000 + u32::from(number % 3))
    };
    let as_path = prop_oneof![
        Just(vec![]),
        Just(vec![65001]),
        Just(vec![65002]),
        Just(vec![65001, 65002])
    ];
    let origin = prop_oneof![4 => Just(OriginCode::Igp), 1 => Just(OriginCode::Egp)];
    let local_pref = prop_oneof![Just(None), Just(Some(100)), Just(Some(200))];
    let med = prop_oneof![Just(None), Just(Some(0)), Just(Some(1)), Just(Some(2))];
    let originator = prop::option::weighted(0.2, 1..4u8);
    (as_path, origin, local_pref, med, originator, 0..2usize).prop_map(
        move |(as_path, origin, local_pref, med, originator, clusters)| {
            let attributes = PathAttributes {
                as_path: asns(&as_path),
                origin,
                local_pref,
                med,
                originator_id: originator.map(|last| Ipv4Addr::new(10, 0, 0, last)),
                cluster_list: vec![Ipv4Addr::new(1, 1, 1, 1); clusters],
                ..PathAttributes::default()
            };
            path_from(neighbor(number, asn), attributes)
        },
    )
}

/// RFC 4271 section 9.1.2.2 as it is written: step by step, remove from consideration.
fn best_by_the_book(paths: &[Path]) -> &Path {
    fn keep_lowest<K: Ord>(paths: &mut Vec<&Path>, key: impl Fn(&Path) -> K) {
        let lowest = paths.iter().map(|path| key(path)).min();
        paths.retain(|path| Some(key(path)) == lowest);
    }
    fn peer(path: &Path) -> &Neighbor {
        let Source::Peer(neighbor) = &path.source else {
            panic!("the paths are all from peers")
        };
        neighbor
    }
    let mut left: Vec<&Path> = paths.iter().collect();
    keep_lowest(&mut left, |path| {
        u32::MAX - path.attributes.path.local_pref.unwrap_or(100)
    });
    keep_lowest(&mut left, |path| path.attributes.path.as_path.length());
    keep_lowest(&mut left, |path| path.attributes.path.origin);
    let before = left.clone();
    left.retain(|m| {
        let beaten = |n: &&Path| {
            n.neighbor_as() == m.neighbor_as()
                && n.attributes.path.med.unwrap_or(0) < m.attributes.path.med.unwrap_or(0)
        };
        !before.iter().any(beaten)
    });
    keep_lowest(&mut left, |path| peer(path).peering == Peering::Internal);
    keep_lowest(&mut left, |path| {
        let originator = path.attributes.path.originator_id;
        originator.unwrap_or(peer(path).router_id.into())
    });
    keep_lowest(&mut left, |path| path.attributes.path.cluster_list.len());
    keep_lowest(&mut left, |path| peer(path).address);
    assert_eq!(left.len(), 1, "addresses are unique");
    left[0]
}

fn paths_of_distinct_peers() -> impl Strategy<Value = Vec<Path>> {
    let each: Vec<_> = (1..=7u8)
        .map(|number| prop::option::weighted(0.7, path_of_peer(number)))
        .collect();
    each.prop_map(|paths| paths.into_iter().flatten().collect::<Vec<_>>())
        .prop_filter("at least one path", |paths| !paths.is_empty())
        .prop_shuffle()
}

proptest! {
    #[test]
    fn the_best_path_is_the_one_the_rfc_leaves(paths in paths_of_distinct_peers()) {
        let mut ordered = paths.clone();
        select(&mut ordered, Multipath::default());
        prop_assert_eq!(&ordered[0], best_by_the_book(&paths));
    }

    #[test]
    fn the_outcome_does_not_depend_on_the_order_of_arrival(
        (paths, shuffled) in paths_of_distinct_peers()
            .prop_flat_map(|paths| (Just(paths.clone()), Just(paths).prop_shuffle())),
        multipath in prop_oneof![Just(Multipath::SameNeighborAs), Just(Multipath::AnyNeighborAs)],
    ) {
        let (mut first, mut second) = (paths, shuffled);
        let selected = select(&mut first, multipath);
        prop_assert_eq!(selected, select(&mut second, multipath));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn selecting_again_changes_nothing_and_loses_no_path(paths in paths_of_distinct_peers()) {
        let mut once = paths.clone();
        let selected = select(&mut once, Multipath::default());
        prop_assert!(paths.iter().all(|path| once.contains(path)));
        prop_assert_eq!(once.len(), paths.len());
        let mut twice = once.clone();
        prop_assert_eq!(select(&mut twice, Multipath::default()), selected);
        prop_assert_eq!(twice, once);
    }

    /// Whoever stays in past MED may have eliminated others by it, and frees them when it goes.
    #[test]
    fn removing_a_path_that_lost_by_med_or_before_leaves_the_best(
        paths in paths_of_distinct_peers(),
    ) {
        let mut ordered = paths;
        let selected = select(&mut ordered, Multipath::default());
        for (place, standing) in standings(&ordered, selected).into_iter().enumerate() {
            if matches!(standing, Standing::Lost(step) if step <= LostBy::Med) {
                let mut without = ordered.clone();
                without.remove(place);
                prop_assert_eq!(select(&mut without, Multipath::default()), selected);
                prop_assert_eq!(&without[..selected], &ordered[..selected]);
            }
        }
    }
}
