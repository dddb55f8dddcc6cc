//! What an UPDATE does to the routes of a peer.

use proptest::prelude::*;

use super::super::fixtures::{OWN_AS, asns, next_hop, prefix, router_id};
use super::*;
use crate::bgp::wire::{PathAttributes, Reach};
use crate::types::Community;

const CLUSTER: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 9);

fn rib() -> AdjRibIn {
    AdjRibIn::new(Receiver {
        asn: OWN_AS,
        router_id: router_id(1),
        cluster_id: Some(CLUSTER),
        addresses: ["192.0.2.100", "2001:db8::100"]
            .map(|address| address.parse().unwrap())
            .into(),
    })
}

fn update(withdrawn: &[&str], announced: &[&str], attributes: PathAttributes) -> Update {
    let prefixes = |texts: &[&str]| texts.iter().map(|text| prefix(text)).collect::<Vec<_>>();
    let reach = Reach {
        next_hop: next_hop("192.0.2.1"),
        prefixes: prefixes(announced),
    };
    Update {
        withdrawn: prefixes(withdrawn),
        reach: if announced.is_empty() {
            vec![]
        } else {
            vec![reach]
        },
        attributes,
        errors: vec![],
        message: Vec::new(),
    }
}

fn via(asn: u32) -> PathAttributes {
    PathAttributes {
        as_path: asns(&[asn]),
        ..PathAttributes::default()
    }
}

#[test]
fn only_prefixes_whose_route_differs_are_reported_in_order_and_once() {
    let (mut rib, mut pool) = (rib(), AttributePool::default());
    let two = ["10.0.1.0/24", "10.0.0.0/24", "10.0.1.0/24"];
    let sorted = ["10.0.0.0/24", "10.0.1.0/24"].map(prefix);
    assert_eq!(rib.apply(&update(&[], &two, via(65001)), &mut pool), sorted);
    assert_eq!(rib.apply(&update(&[], &two, via(65001)), &mut pool), []);
    assert_eq!(
        rib.apply(&update(&[], &two[..1], via(65002)), &mut pool),
        sorted[1..]
    );
    let gone = ["10.9.0.0/24", "10.0.0.0/24"];
    assert_eq!(
        rib.apply(&update(&gone, &[], PathAttributes::default()), &mut pool),
        sorted[..1]
    );
    assert_eq!(rib.count(Family::Ipv4Unicast), 1);
    assert_eq!(rib.count(Family::Ipv6Unicast), 0);
}

#[test]
fn a_prefix_withdrawn_and_announced_at_once_is_announced() {
    let (mut rib, mut pool) = (rib(), AttributePool::default());
    let both = update(&["10.0.0.0/24"], &["10.0.0.0/24"], via(65001));
    assert_eq!(rib.apply(&both, &mut pool), [prefix("10.0.0.0/24")]);
    assert_eq!(rib.apply(&both, &mut pool), []);
    assert!(rib.eligible(&prefix("10.0.0.0/24")).is_some());
}

#[test]
fn a_next_hop_that_differs_makes_a_route_differ() {
    let (mut rib, mut pool) = (rib(), AttributePool::default());
    let mut message = update(&[], &["10.0.0.0/24"], via(65001));
    rib.apply(&message, &mut pool);
    message.reach[0].next_hop = next_hop("192.0.2.2");
    assert_eq!(rib.apply(&message, &mut pool), [prefix("10.0.0.0/24")]);
}

#[test]
fn routes_that_must_not_be_used_are_kept_with_the_reason() {
    let own_id = Ipv4Addr::new(10, 0, 0, 1);
    let own_address: IpAddr = "192.0.2.100".parse().unwrap();
    let looped = PathAttributes {
        as_path: asns(&[65001, OWN_AS.0]),
        ..PathAttributes::default()
    };
    let originated = PathAttributes {
        originator_id: Some(own_id),
        ..via(65001)
    };
    let reflected = PathAttributes {
        cluster_list: vec![Ipv4Addr::new(8, 8, 8, 8), CLUSTER],
        ..via(65001)
    };
    let mut to_us = update(&[], &["10.3.0.0/24"], via(65001));
    to_us.reach[0].next_hop = next_hop("192.0.2.100");
    let cases = [
        (
            update(&[], &["10.0.0.0/24"], looped),
            Ineligible::OwnAs(OWN_AS),
        ),
        (
            update(&[], &["10.1.0.0/24"], originated),
            Ineligible::OwnOriginator(own_id),
        ),
        (
            update(&[], &["10.2.0.0/24"], reflected),
            Ineligible::OwnCluster(CLUSTER),
        ),
        (to_us, Ineligible::OwnNextHop(own_address)),
    ];
    let (mut rib, mut pool) = (rib(), AttributePool::default());
    for (message, _) in &cases {
        let changed = rib.apply(message, &mut pool);
        assert_eq!(changed, message.reach[0].prefixes);
        assert!(rib.route(&changed[0]).is_some());
        assert_eq!(rib.eligible(&changed[0]), None);
    }
    let listed: Vec<_> = rib.iter().map(|(_, _, reason)| reason).collect();
    assert_eq!(listed, cases.map(|(_, reason)| Some(reason)));
}

#[test]
fn a_speaker_that_does_not_reflect_has_no_cluster() {
    let mut receiver = rib().receiver;
    receiver.cluster_id = None;
    let (mut rib, mut pool) = (AdjRibIn::new(receiver), AttributePool::default());
    let reflected = PathAttributes {
        cluster_list: vec![CLUSTER],
        ..via(65001)
    };
    rib.apply(&update(&[], &["10.0.0.0/24"], reflected), &mut pool);
    assert!(rib.eligible(&prefix("10.0.0.0/24")).is_some());
}

#[test]
fn an_update_that_makes_a_route_ineligible_reports_it() {
    let (mut rib, mut pool) = (rib(), AttributePool::default());
    rib.apply(&update(&[], &["10.0.0.0/24"], via(65001)), &mut pool);
    let looped = update(&[], &["10.0.0.0/24"], via(OWN_AS.0));
    assert_eq!(rib.apply(&looped, &mut pool), [prefix("10.0.0.0/24")]);
    assert_eq!(rib.eligible(&prefix("10.0.0.0/24")), None);
}

#[test]
fn clearing_gives_back_what_went_and_leaves_nothing() {
    let (mut rib, mut pool) = (rib(), AttributePool::default());
    let texts = ["10.0.1.0/24", "10.0.0.0/24", "2001:db8::/64"];
    rib.apply(&update(&[], &texts, via(65001)), &mut pool);
    let sorted = ["10.0.0.0/24", "10.0.1.0/24", "2001:db8::/64"].map(prefix);
    assert_eq!(rib.clear(), sorted);
    assert_eq!(rib.clear(), []);
    assert_eq!(Family::ALL.map(|family| rib.count(family)), [0, 0]);
    pool.sweep();
    assert!(pool.is_empty());
}

proptest! {
    /// Against a plain map, and with somebody who only looks at what is reported.
    #[test]
    fn a_reported_change_is_a_change_and_no_change_goes_unreported(
        messages in prop::collection::vec(
            (prop::collection::vec(0..6u8, 0..4), prop::collection::vec(0..6u8, 0..4), 1..4u32),
            0..20,
        ),
    ) {
        let (mut rib, mut pool) = (rib(), AttributePool::default());
        let mut model = std::collections::BTreeMap::new();
        for (withdrawn, announced, asn) in messages {
            let text = |number: &u8| format!("10.0.{number}.0/24");
            let withdrawn: Vec<String> = withdrawn.iter().map(text).collect();
            let announced: Vec<String> = announced.iter().map(text).collect();
            let before = model.clone();
            for gone in &withdrawn {
                model.remove(&prefix(gone));
            }
            for new in &announced {
                model.insert(prefix(new), asn);
            }
            let withdrawn: Vec<&str> = withdrawn.iter().map(String::as_str).collect();
            let announced: Vec<&str> = announced.iter().map(String::as_str).collect();
            let message = update(&withdrawn, &announced, via(asn));
            let changed = rib.apply(&message, &mut pool);
            let expected: Vec<Prefix> = (0..6u8)
                .map(|number| prefix(&text(&number)))
                .filter(|prefix| before.get(prefix) != model.get(prefix))
                .collect();
            prop_assert_eq!(changed, expected);
            prop_assert_eq!(rib.count(Family::Ipv4Unicast), model.len());
        }
    }
}

#[test]
fn attributes_are_counted_once_a_set_and_no_longer_than_a_route_has_them() {
    let (mut rib, mut pool) = (rib(), AttributePool::default());
    let one = |rib: &AdjRibIn, text: &str| rib.route(&prefix(text)).unwrap().octets();
    assert_eq!(rib.attribute_octets(), 0);
    rib.apply(
        &update(
            &[],
            &["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"],
            via(65001),
        ),
        &mut pool,
    );
    let small = one(&rib, "10.0.0.0/24");
    assert_eq!(rib.attribute_octets(), small);
    // Twice the same changes nothing.
    rib.apply(&update(&[], &["10.0.0.0/24"], via(65001)), &mut pool);
    assert_eq!(rib.attribute_octets(), small);
    let large = PathAttributes {
        communities: (0..1000).map(Community).collect(),
        ..via(65001)
    };
    rib.apply(
        &update(&[], &["10.0.0.0/24", "10.0.1.0/24"], large),
        &mut pool,
    );
    let large = one(&rib, "10.0.0.0/24");
    assert!(large >= small + 4000, "{large}");
    assert_eq!(rib.attribute_octets(), small + large);
    rib.apply(
        &update(
            &["10.0.2.0/24", "10.0.0.0/24"],
            &[],
            PathAttributes::default(),
        ),
        &mut pool,
    );
    assert_eq!(rib.attribute_octets(), large);
    rib.apply(
        &update(&["10.0.1.0/24"], &[], PathAttributes::default()),
        &mut pool,
    );
    assert_eq!(rib.attribute_octets(), 0);
    rib.apply(&update(&[], &["10.0.0.0/24"], via(65001)), &mut pool);
    rib.clear();
    assert_eq!(rib.attribute_octets(), 0);
}

#[test]
fn what_is_stale_stays_until_it_is_announced_again_withdrawn_or_swept() {
    let (mut rib, mut pool) = (rib(), AttributePool::default());
    let four = ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"];
    rib.apply(&update(&[], &four, via(65001)), &mut pool);
    rib.mark_stale(Family::Ipv4Unicast);
    assert_eq!(rib.stale_count(Family::Ipv4Unicast), 4);
    assert!(
        four.iter()
            .all(|text| rib.eligible(&prefix(text)).is_some())
    );
    // The same again is no change, and stale no more.
    let again = update(&four[1..2], &four[..1], via(65001));
    assert_eq!(rib.apply(&again, &mut pool), [prefix(four[1])]);
    assert!(!rib.is_stale(&prefix(four[0])));
    assert!(rib.is_stale(&prefix(four[2])));
    assert_eq!(
        rib.sweep_stale(Family::Ipv4Unicast),
        [prefix(four[2]), prefix(four[3])]
    );
    assert_eq!(rib.stale_count(Family::Ipv4Unicast), 0);
    assert_eq!(rib.count(Family::Ipv4Unicast), 1);
    assert_eq!(rib.sweep_stale(Family::Ipv4Unicast), []);
}

#[test]
fn each_family_is_stale_by_itself_and_what_is_swept_leaves_no_memory() {
    let (mut rib, mut pool) = (rib(), AttributePool::default());
    rib.apply(&update(&[], &["10.0.0.0/24"], via(65001)), &mut pool);
    let mut ipv6 = update(&[], &["2001:db8:1::/48"], via(65002));
    ipv6.reach[0].next_hop = next_hop("2001:db8::1");
    rib.apply(&ipv6, &mut pool);
    rib.mark_stale(Family::Ipv6Unicast);
    assert_eq!(rib.sweep_stale(Family::Ipv4Unicast), []);
    assert_eq!(
        rib.sweep_stale(Family::Ipv6Unicast),
        [prefix("2001:db8:1::/48")]
    );
    assert_eq!(rib.count(Family::Ipv4Unicast), 1);
    rib.mark_stale(Family::Ipv4Unicast);
    rib.sweep_stale(Family::Ipv4Unicast);
    assert_eq!(rib.attribute_octets(), 0);
}
