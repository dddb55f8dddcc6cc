//! What reaches the peer, read back by the decoder, against what it should have.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::fixtures::{asns, next_hop, prefix};
use super::*;
use crate::bgp::wire::{AsWidth, Message, PathAttributes, Peering, Update, decode};
use crate::rib::AttributePool;
use crate::types::Community;

const CONTEXT: CodecContext = CodecContext {
    as_width: AsWidth::FourOctets,
    peering: Peering::External,
    first_as: None,
};

/// As much as there is.
const UNBOUNDED: usize = usize::MAX;

/// A set per number; even and odd numbers differ in nothing but the next hop.
fn set(number: u32) -> AttributeSet {
    AttributeSet {
        next_hop: next_hop(["192.0.2.1", "192.0.2.2"][number as usize % 2]),
        path: PathAttributes {
            as_path: asns(&[64512]),
            med: Some(number / 2),
            ..PathAttributes::default()
        },
    }
}

fn updates(octets: &[u8]) -> Vec<Update> {
    let mut rest = octets;
    let mut updates = Vec::new();
    while let Some((message, taken)) = decode(rest, CONTEXT).unwrap() {
        assert!(taken <= MESSAGE_BYTES_MAX);
        let Message::Update(update) = message else {
            panic!("not an UPDATE: {message:?}")
        };
        assert_eq!(update.errors, []);
        updates.push(update);
        rest = &rest[taken..];
    }
    assert!(rest.is_empty());
    updates
}

/// Takes up to `budget` octets as messages.
fn take(rib: &mut AdjRibOut, budget: usize) -> Vec<Update> {
    let mut octets = Vec::new();
    let messages = rib.take_updates(budget, CONTEXT, &mut octets);
    let updates = updates(&octets);
    assert_eq!(updates.len(), messages);
    updates
}

/// Everything a message says, a line for each prefix.
fn lines(updates: &[Update]) -> Vec<String> {
    let mut lines = Vec::new();
    for update in updates {
        lines.extend(update.withdrawn.iter().map(|prefix| format!("-{prefix}")));
        for reach in &update.reach {
            let hop = reach.next_hop.address;
            let med = update.attributes.med.unwrap();
            let line = |prefix: &Prefix| format!("+{prefix} via {hop} med {med}");
            lines.extend(reach.prefixes.iter().map(line));
        }
    }
    lines
}

fn host(number: u32) -> Prefix {
    prefix(&std::net::Ipv4Addr::from(0x0A00_0000 + number).to_string())
}

#[test]
fn a_prefix_takes_eight_octets_beside_its_key_sent_or_pending() {
    assert_eq!(size_of::<AttributesRef>(), 8);
    assert_eq!(size_of::<Option<AttributesRef>>(), 8);
}

#[test]
fn routes_that_share_a_set_share_a_message_whatever_the_order_of_the_wishes() {
    let mut pool = AttributePool::default();
    let mut outputs = [vec![2, 0, 1], vec![0, 1, 2]].map(|order| {
        let mut rib = AdjRibOut::new();
        for number in order {
            rib.set_wanted(host(number), Some(pool.intern(set(0))));
        }
        take(&mut rib, UNBOUNDED)
    });
    let [first, second] = &mut outputs;
    assert_eq!(first, second);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].reach[0].prefixes, [host(0), host(1), host(2)]);
}

#[test]
fn routes_that_differ_in_the_next_hop_alone_never_share_a_message() {
    let mut pool = AttributePool::default();
    let mut rib = AdjRibOut::new();
    for number in 0..4 {
        rib.set_wanted(host(number), Some(pool.intern(set(number % 2))));
    }
    assert_eq!(
        lines(&take(&mut rib, UNBOUNDED)),
        [
            "+10.0.0.0/32 via 192.0.2.1 med 0",
            "+10.0.0.2/32 via 192.0.2.1 med 0",
            "+10.0.0.1/32 via 192.0.2.2 med 0",
            "+10.0.0.3/32 via 192.0.2.2 med 0",
        ]
    );
}

#[test]
fn messages_are_filled() {
    let mut pool = AttributePool::default();
    let mut rib = AdjRibOut::new();
    for number in 0..8000 {
        rib.set_wanted(host(number), Some(pool.intern(set(0))));
    }
    // 8,000 prefixes of 5 octets; a message holds just over 800.
    assert_eq!(take(&mut rib, UNBOUNDED).len(), 10);
    for number in 0..8000 {
        rib.set_wanted(host(number), None);
    }
    assert_eq!(take(&mut rib, UNBOUNDED).len(), 10);
    assert_eq!(rib.sent_count(Family::Ipv4Unicast), 0);
}

#[test]
fn withdrawals_go_before_announcements() {
    let mut pool = AttributePool::default();
    let mut rib = AdjRibOut::new();
    rib.set_wanted(host(1), Some(pool.intern(set(0))));
    take(&mut rib, UNBOUNDED);
    rib.set_wanted(host(0), Some(pool.intern(set(0))));
    rib.set_wanted(host(1), None);
    assert_eq!(
        lines(&take(&mut rib, UNBOUNDED)),
        ["-10.0.0.1/32", "+10.0.0.0/32 via 192.0.2.1 med 0"]
    );
}

#[test]
fn the_newest_wish_wins_and_the_way_back_is_silent() {
    let mut pool = AttributePool::default();
    let [a, b] = [0, 2].map(|number| pool.intern(set(number)));
    let mut rib = AdjRibOut::new();
    rib.set_wanted(host(0), Some(a.clone()));
    rib.set_wanted(host(0), Some(b.clone()));
    assert_eq!(
        lines(&take(&mut rib, UNBOUNDED)),
        ["+10.0.0.0/32 via 192.0.2.1 med 1"]
    );
    rib.set_wanted(host(0), Some(a));
    assert!(rib.is_pending(&host(0)));
    rib.set_wanted(host(0), None);
    assert_eq!(rib.wanted(&host(0)), None);
    assert_eq!(rib.sent(&host(0)), Some(&b));
    rib.set_wanted(host(0), Some(b));
    assert!(!rib.is_pending(&host(0)));
    assert_eq!(take(&mut rib, UNBOUNDED), []);
}

#[test]
fn a_prefix_that_never_was_sent_is_not_withdrawn() {
    let mut pool = AttributePool::default();
    let mut rib = AdjRibOut::new();
    rib.set_wanted(host(0), Some(pool.intern(set(0))));
    rib.set_wanted(host(0), None);
    rib.set_wanted(host(1), None);
    assert_eq!(rib.pending_count(Family::Ipv4Unicast), 0);
    assert_eq!(take(&mut rib, UNBOUNDED), []);
}

#[test]
fn the_budget_ends_the_taking_after_the_message_that_reaches_it() {
    let mut pool = AttributePool::default();
    let mut rib = AdjRibOut::new();
    for number in 0..2000 {
        rib.set_wanted(host(number), Some(pool.intern(set(0))));
    }
    assert_eq!(take(&mut rib, 0), []);
    assert_eq!(take(&mut rib, 1).len(), 1);
    let left = rib.pending_count(Family::Ipv4Unicast);
    assert!((1100..1300).contains(&left), "{left} left");
    assert_eq!(rib.sent_count(Family::Ipv4Unicast), 2000 - left);
    assert_eq!(take(&mut rib, UNBOUNDED).len(), 2);
}

/// One set's prefixes return to the queue as fast as they are sent; another's wait behind.
#[test]
fn a_set_that_never_empties_does_not_hold_up_another() {
    let mut pool = AttributePool::default();
    let [busy, waiting] = [0, 2].map(|number| pool.intern(set(number)));
    let mut rib = AdjRibOut::new();
    for number in 0..2000 {
        rib.set_wanted(host(number), Some(busy.clone()));
    }
    rib.set_wanted(host(5000), Some(waiting.clone()));
    take(&mut rib, 1);
    assert_eq!(rib.sent(&host(5000)), None);
    take(&mut rib, 1);
    assert_eq!(rib.sent(&host(5000)), Some(&waiting));
}

#[test]
fn a_wish_that_is_repeated_keeps_its_place() {
    let mut pool = AttributePool::default();
    let mut rib = AdjRibOut::new();
    for number in [0, 1, 0] {
        rib.set_wanted(host(number), Some(pool.intern(set(2 * number))));
    }
    assert_eq!(
        lines(&take(&mut rib, UNBOUNDED)),
        [
            "+10.0.0.0/32 via 192.0.2.1 med 0",
            "+10.0.0.1/32 via 192.0.2.1 med 1",
        ]
    );
}

/// One set may hold both, where IPv4 goes over an IPv6 next hop (RFC 8950).
#[test]
fn a_message_is_of_one_family_even_if_a_set_is_not() {
    let mut pool = AttributePool::default();
    let mut rib = AdjRibOut::new();
    let mut ipv6 = set(0);
    ipv6.next_hop = next_hop("2001:db8::1");
    let both = pool.intern(ipv6);
    for wanted in [Some(both), None] {
        for to in [host(0), prefix("2001:db8:1::/48")] {
            rib.set_wanted(to, wanted.clone());
        }
        let mut octets = Vec::new();
        for left in [1, 0] {
            assert_eq!(rib.take_updates(1, CONTEXT, &mut octets), 1);
            let pending = Family::ALL.map(|family| rib.pending_count(family));
            assert_eq!(pending, [0, left]);
        }
    }
}

/// The length of MP_REACH_NLRI takes one octet or two: messages are full all the same, and one
/// taking gives one. The sizes of the attributes try every remainder.
#[test]
fn the_octets_that_are_left_are_counted_exactly() {
    let mut pool = AttributePool::default();
    for communities in 0..5 {
        let mut attributes = set(0);
        attributes.next_hop = next_hop("2001:db8::1");
        attributes.path.communities = (0..communities).map(Community).collect();
        let attributes = pool.intern(attributes);
        let mut rib = AdjRibOut::new();
        for number in 0..1000 {
            let to = prefix(&format!("2001:{number:x}::/32"));
            rib.set_wanted(to, Some(attributes.clone()));
        }
        let mut octets = Vec::new();
        assert_eq!(rib.take_updates(1, CONTEXT, &mut octets), 1);
        let room_for_one_more = MESSAGE_BYTES_MAX - 5;
        assert!(octets.len() >= room_for_one_more, "{} octets", octets.len());
    }
}

#[test]
fn both_families_of_a_set_are_sent_and_counted_apart() {
    let mut pool = AttributePool::default();
    let mut rib = AdjRibOut::new();
    let mut ipv6 = set(0);
    ipv6.next_hop = next_hop("2001:db8::1");
    for text in ["2001:db8:1::/48", "2001:db8:2::/48"] {
        rib.set_wanted(prefix(text), Some(pool.intern(ipv6.clone())));
    }
    rib.set_wanted(host(0), Some(pool.intern(set(0))));
    assert_eq!(Family::ALL.map(|family| rib.pending_count(family)), [1, 2]);
    assert_eq!(
        lines(&take(&mut rib, UNBOUNDED)),
        [
            "+2001:db8:1::/48 via 2001:db8::1 med 0",
            "+2001:db8:2::/48 via 2001:db8::1 med 0",
            "+10.0.0.0/32 via 192.0.2.1 med 0",
        ]
    );
    assert_eq!(Family::ALL.map(|family| rib.sent_count(family)), [1, 2]);
    rib.set_wanted(prefix("2001:db8:1::/48"), None);
    rib.set_wanted(host(0), None);
    assert_eq!(
        lines(&take(&mut rib, UNBOUNDED)),
        ["-10.0.0.0/32", "-2001:db8:1::/48"]
    );
}

#[test]
fn sets_that_nobody_is_sent_any_more_die() {
    let mut pool = AttributePool::default();
    let mut rib = AdjRibOut::new();
    for number in 0..10 {
        rib.set_wanted(host(0), Some(pool.intern(set(number))));
        take(&mut rib, UNBOUNDED);
    }
    pool.sweep();
    assert_eq!(pool.len(), 1);
    rib.set_wanted(host(0), None);
    take(&mut rib, UNBOUNDED);
    pool.sweep();
    assert!(pool.is_empty());
}

/// What a peer holds after the messages it was sent.
#[derive(Default)]
struct Peer(BTreeMap<Prefix, AttributeSet>);

impl Peer {
    fn receive(&mut self, updates: Vec<Update>) {
        for update in updates {
            for prefix in update.withdrawn {
                let had = self.0.remove(&prefix);
                assert!(had.is_some(), "{prefix} was withdrawn but never announced");
            }
            for reach in update.reach {
                for prefix in reach.prefixes {
                    let set = AttributeSet {
                        next_hop: reach.next_hop,
                        path: update.attributes.clone(),
                    };
                    self.0.insert(prefix, set);
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Want(u32, Option<u32>),
    Take(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..40u32, prop::option::weighted(0.7, 0..4u32))
            .prop_map(|(prefix, set)| Step::Want(prefix, set)),
        3 => (0..200usize).prop_map(Step::Take),
    ]
}

proptest! {
    #[test]
    fn the_peer_has_what_is_marked_sent_and_in_the_end_what_is_wanted(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut pool = AttributePool::default();
        let mut rib = AdjRibOut::new();
        let mut peer = Peer::default();
        let mut wanted = BTreeMap::new();
        for step in steps {
            match step {
                Step::Want(number, Some(of)) => {
                    wanted.insert(host(number), set(of));
                    rib.set_wanted(host(number), Some(pool.intern(set(of))));
                }
                Step::Want(number, None) => {
                    wanted.remove(&host(number));
                    rib.set_wanted(host(number), None);
                }
                Step::Take(budget) => peer.receive(take(&mut rib, budget)),
            }
            let sent: BTreeMap<_, _> =
                rib.iter_sent().map(|(prefix, set)| (prefix, (**set).clone())).collect();
            prop_assert_eq!(&sent, &peer.0);
            prop_assert_eq!(rib.sent_count(Family::Ipv4Unicast), sent.len());
            for number in 0..40 {
                let to = host(number);
                prop_assert_eq!(rib.wanted(&to).map(|set| &**set), wanted.get(&to));
                let differs = sent.get(&to) != wanted.get(&to);
                prop_assert!(rib.is_pending(&to) || !differs);
            }
            prop_assert!(rib.pending_count(Family::Ipv4Unicast) <= 40);
            let waiting: usize = rib
                .buckets
                .by_sequence
                .values()
                .map(|bucket| bucket.prefixes.count(Family::Ipv4Unicast))
                .sum();
            prop_assert_eq!(
                waiting + rib.withdrawals.count(Family::Ipv4Unicast),
                rib.pending_count(Family::Ipv4Unicast)
            );
            prop_assert_eq!(rib.buckets.by_sequence.len(), rib.buckets.by_location.len());
        }
        peer.receive(take(&mut rib, UNBOUNDED));
        prop_assert_eq!(&peer.0, &wanted);
        prop_assert_eq!(take(&mut rib, UNBOUNDED), vec![]);
    }
}

/// Attributes that leave no room for a prefix: the longest message is 4,096 octets.
#[test]
fn a_route_that_fits_no_message_is_not_sent_and_takes_back_what_was() {
    let mut pool = AttributePool::default();
    let mut rib = AdjRibOut::new();
    rib.set_wanted(host(0), Some(pool.intern(set(0))));
    take(&mut rib, UNBOUNDED);
    let mut huge = set(0);
    huge.path.communities = (0..1100).map(Community).collect();
    let huge = pool.intern(huge);
    rib.set_wanted(host(0), Some(huge.clone()));
    rib.set_wanted(host(1), Some(huge.clone()));
    assert_eq!(lines(&take(&mut rib, UNBOUNDED)), ["-10.0.0.0/32"]);
    assert_eq!(rib.sent_count(Family::Ipv4Unicast), 0);
    assert!(rib.is_oversized(&host(0)) && rib.is_oversized(&host(1)));
    assert_eq!(rib.wanted(&host(1)), Some(&huge));

    rib.set_wanted(host(1), Some(huge));
    assert_eq!(take(&mut rib, UNBOUNDED), []);

    let small = pool.intern(set(2));
    rib.set_wanted(host(0), Some(small.clone()));
    rib.set_wanted(host(1), None);
    assert_eq!(rib.wanted(&host(0)), Some(&small));
    assert_eq!(rib.wanted(&host(1)), None);
    assert_eq!(
        lines(&take(&mut rib, UNBOUNDED)),
        ["+10.0.0.0/32 via 192.0.2.1 med 1"]
    );
}
