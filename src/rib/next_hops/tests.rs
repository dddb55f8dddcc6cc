//! Which way a next hop is reached, by what was answered.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::fixtures::{neighbor, prefix};
use super::*;
use crate::bgp::wire::{NextHop, PathAttributes};
use crate::rib::{AttributePool, AttributeSet};
use crate::types::{Asn, InterfaceIndex};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn hop(gateway: &str) -> Hop {
    Hop {
        gateway: ip(gateway),
        interface: InterfaceIndex(2),
    }
}

fn hops(gateways: &[&str]) -> BTreeSet<Hop> {
    gateways.iter().map(|gateway| hop(gateway)).collect()
}

fn routed(by: &str, gateways: &[&str]) -> Reachability {
    Reachability::Routed {
        hops: hops(gateways),
        by: prefix(by),
    }
}

const ON_LINK: Reachability = Reachability::OnLink(InterfaceIndex(2));

/// A path by these addresses, from the peer at another.
fn path(next_hop: &str, link_local: Option<&str>, peer: &str) -> Path {
    let mut neighbor = neighbor(1, Asn(65001));
    neighbor.address = ip(peer);
    let next_hop = NextHop {
        address: ip(next_hop),
        link_local: link_local.map(|address| address.parse().unwrap()),
    };
    Path {
        source: Source::Peer(Arc::new(neighbor)),
        attributes: AttributePool::default().intern(AttributeSet {
            next_hop,
            path: PathAttributes::default(),
        }),
    }
}

fn table(resolution: Resolution) -> NextHopTable {
    let mut table = NextHopTable::default();
    table.set_resolution(resolution);
    table
}

fn answer(table: &mut NextHopTable, address: &str, answer: Reachability) -> bool {
    let answered = table.answer([(ip(address), answer)].into());
    !answered.is_empty()
}

/// The gateways to the next hop of a path to 100.64.0.0/16 or 2001:db8::/32, or why there are none.
fn way(table: &NextHopTable, path: &Path) -> Result<Vec<String>, String> {
    let to = match path.attributes.next_hop.address {
        IpAddr::V4(_) => "100.64.0.0/16",
        IpAddr::V6(_) => "2001:db8::/32",
    };
    way_to(table, to, path)
}

fn way_to(table: &NextHopTable, to: &str, path: &Path) -> Result<Vec<String>, String> {
    let way = table.way(&prefix(to), path);
    let way = way.map_err(|why| why.to_string())?;
    let gateways = way.hops().into_iter().map(|hop| hop.gateway.to_string());
    Ok(gateways.collect())
}

fn by(gateways: &[&str]) -> Result<Vec<String>, String> {
    Ok(gateways.iter().map(|&gateway| gateway.to_owned()).collect())
}

fn because(words: &str) -> Result<Vec<String>, String> {
    Err(words.to_owned())
}

#[test]
fn a_next_hop_is_reached_as_the_kernel_says() {
    let path = path("10.2.0.12", None, "10.1.0.1");
    for (answered, expected) in [
        (ON_LINK, by(&["10.2.0.12"])),
        (
            routed("0.0.0.0/0", &["10.1.0.1", "10.1.0.2"]),
            by(&["10.1.0.1", "10.1.0.2"]),
        ),
        (
            Reachability::NoRoute,
            because("next hop 10.2.0.12 is unreachable: no route"),
        ),
        (
            Reachability::Refused("Permission denied".to_owned()),
            because("next hop 10.2.0.12 is unreachable: Permission denied"),
        ),
        (
            Reachability::Own,
            because("next hop 10.2.0.12 is this node's own address"),
        ),
    ] {
        let mut table = table(Resolution::Kernel);
        assert!(table.track(&path));
        assert!(!table.track(&path), "it is known");
        let waiting = because("next hop 10.2.0.12 is being looked up");
        assert_eq!(way(&table, &path), waiting);
        assert_eq!(table.unanswered(9), [ip("10.2.0.12")].into());
        assert!(answer(&mut table, "10.2.0.12", answered.clone()));
        assert!(!answer(&mut table, "10.2.0.12", answered), "the same again");
        assert_eq!(way(&table, &path), expected);
        assert_eq!(table.unanswered(9), BTreeSet::new());
    }
}

#[test]
fn some_addresses_are_no_next_hops_whatever_anybody_answers() {
    for resolution in [
        Resolution::Unasked,
        Resolution::Kernel,
        Resolution::KernelAndLearned,
    ] {
        let mut table = table(resolution);
        for (address, words) in [
            ("127.0.0.2", "next hop 127.0.0.2 is a loopback address"),
            ("::1", "next hop ::1 is a loopback address"),
            ("224.0.0.5", "next hop 224.0.0.5 is no host's address"),
            ("ff02::1", "next hop ff02::1 is no host's address"),
            ("0.0.0.0", "next hop 0.0.0.0 is no host's address"),
            ("::", "next hop :: is no host's address"),
        ] {
            let path = path(address, None, "10.1.0.1");
            table.track(&path);
            answer(&mut table, address, ON_LINK);
            assert_eq!(way(&table, &path), because(words));
        }
        let other = path("10.2.0.12", None, "10.1.0.1");
        table.track(&other);
        let words = "next hop 10.2.0.12 is not of the prefix's family";
        assert_eq!(way_to(&table, "2001:db8::/32", &other), because(words));
    }
}

#[test]
fn speakers_of_one_machine_may_name_its_loopback_addresses() {
    let mut table = table(Resolution::Kernel);
    let path = path("127.0.0.2", None, "127.0.0.3");
    assert!(!table.track(&path), "nothing is to be looked up");
    assert_eq!(way(&table, &path), by(&[]), "the kernel gets no route");
}

#[test]
fn a_link_local_next_hop_is_on_the_network_of_its_peer() {
    let mut table = table(Resolution::Kernel);
    let beside = |address| path(address, Some("fe80::1"), "fd09::1");
    let alone = path("fe80::1", None, "fd09::1");
    table.track(&alone);
    for address in ["fd09::5", "2001:db8:1::1", "fd09::11"] {
        table.track(&beside(address));
    }
    let waiting = because("next hop fd09::1 is being looked up");
    assert_eq!(way(&table, &alone), waiting);
    // Whichever of a path's addresses is answered about first, it waits for the other.
    let mut early = table.clone();
    answer(&mut early, "fd09::1", ON_LINK);
    let first = because("next hop fd09::5 is being looked up");
    assert_eq!(way(&early, &beside("fd09::5")), first);
    answer(&mut table, "fd09::5", ON_LINK);
    answer(&mut table, "fd09::11", Reachability::Own);
    answer(&mut table, "2001:db8:1::1", Reachability::NoRoute);
    assert_eq!(way(&table, &beside("fd09::5")), by(&["fd09::5"]));
    assert_eq!(way(&table, &beside("2001:db8:1::1")), waiting);
    answer(&mut table, "fd09::1", ON_LINK);
    assert_eq!(way(&table, &alone), by(&["fe80::1"]));
    assert_eq!(way(&table, &beside("fd09::5")), by(&["fd09::5"]));
    assert_eq!(way(&table, &beside("2001:db8:1::1")), by(&["fe80::1"]));
    let own = because("next hop fd09::11 is this node's own address");
    assert_eq!(way(&table, &beside("fd09::11")), own);
    answer(&mut table, "fd09::1", routed("::/0", &["fd10::1"]));
    let nowhere = "next hop fe80::1 is link-local, and its peer is not on a connected network";
    assert_eq!(way(&table, &alone), because(nowhere));
    let unreachable = "next hop 2001:db8:1::1 is unreachable: no route";
    assert_eq!(way(&table, &beside("2001:db8:1::1")), because(unreachable));
}

#[test]
fn where_nobody_can_be_asked_the_last_answers_stay_and_new_next_hops_are_taken_for_reachable() {
    let mut table = table(Resolution::Kernel);
    let (dead, waiting, new) = (
        path("10.2.0.1", None, "10.1.0.1"),
        path("10.2.0.2", None, "10.1.0.1"),
        path("10.2.0.3", None, "10.1.0.1"),
    );
    table.track(&dead);
    table.track(&waiting);
    answer(&mut table, "10.2.0.1", Reachability::NoRoute);
    let changed = table.set_resolution(Resolution::Unasked);
    assert_eq!(changed, [ip("10.2.0.2")].into());
    table.track(&new);
    assert!(way(&table, &dead).is_err());
    assert_eq!(way(&table, &waiting), by(&[]));
    assert_eq!(way(&table, &new), by(&[]));
    // Asked again, they are looked up, and used until the answer.
    assert_eq!(table.set_resolution(Resolution::Kernel), BTreeSet::new());
    assert_eq!(table.unanswered(9), [ip("10.2.0.2"), ip("10.2.0.3")].into());
    assert_eq!(way(&table, &new), by(&[]));
    answer(&mut table, "10.2.0.3", Reachability::NoRoute);
    assert!(way(&table, &new).is_err());
}

#[test]
fn a_learned_route_helps_where_it_is_longer_than_the_kernels_and_not_the_route_itself() {
    let path = path("10.2.0.12", None, "10.1.0.1");
    let learned = || {
        Some(LearnedWay {
            prefix: prefix("10.2.0.0/24"),
            hops: hops(&["10.1.0.7"]),
        })
    };
    let mut table = table(Resolution::KernelAndLearned);
    table.track(&path);
    let address = ip("10.2.0.12");
    for (answered, from) in [
        (Reachability::NoRoute, Some(0)),
        (routed("0.0.0.0/0", &["10.1.0.1"]), Some(1)),
        (routed("10.2.0.0/24", &["10.1.0.1"]), Some(25)),
        (routed("10.2.0.12/32", &["10.1.0.1"]), Some(33)),
        (ON_LINK, None),
        (Reachability::Own, None),
        (Reachability::Refused("no".to_owned()), None),
    ] {
        answer(&mut table, "10.2.0.12", answered);
        assert_eq!(table.learned_from(address), from);
    }
    answer(&mut table, "10.2.0.12", Reachability::NoRoute);
    assert!(table.set_learned(address, learned()));
    assert!(!table.set_learned(address, learned()));
    assert_eq!(way(&table, &path), by(&["10.1.0.7"]));
    let itself = "next hop 10.2.0.12 is unreachable: only this route leads there";
    assert_eq!(way_to(&table, "10.2.0.0/24", &path), because(itself));
    assert!(table.direct_way(&prefix("100.64.0.0/16"), &path).is_err());
    // The route itself goes by the kernel's own route.
    answer(&mut table, "10.2.0.12", routed("0.0.0.0/0", &["10.1.0.1"]));
    assert_eq!(way(&table, &path), by(&["10.1.0.7"]));
    assert_eq!(way_to(&table, "10.2.0.0/24", &path), by(&["10.1.0.1"]));
    // Learned routes that do not get into the kernel are no way.
    assert_eq!(table.set_resolution(Resolution::Kernel), [address].into());
    assert_eq!(table.learned_from(address), None);
    assert_eq!(way(&table, &path), by(&["10.1.0.1"]));
}

#[test]
fn next_hops_that_no_path_has_any_more_are_forgotten_in_time() {
    let mut table = table(Resolution::Kernel);
    let paths: Vec<Path> = (0..=255)
        .map(|last| path(&format!("10.2.0.{last}"), None, "10.1.0.1"))
        .collect();
    for path in &paths[..10] {
        table.track(path);
    }
    assert!(!table.is_overgrown());
    for path in &paths {
        table.track(path);
    }
    assert!(table.is_overgrown());
    table.retain(paths[..100].iter());
    assert!(!table.is_overgrown());
    assert_eq!(table.addresses().count(), 100);
    assert_eq!(table.unanswered(999).len(), 100);
    assert_eq!(table.within(&prefix("10.2.0.0/29")).count(), 8);
    assert_eq!(table.within(&prefix("10.3.0.0/16")).count(), 0);
}
