//! What each member is sent, read back by the decoder, against what the table says.

use proptest::prelude::*;

use super::super::fixtures::{asns, next_hop, prefix, router_id};
use super::*;
use crate::bgp::wire::{AsWidth, PathAttributes, Peering};
use crate::rib::{AttributePool, AttributeSet};

const CONTEXT: CodecContext = CodecContext {
    as_width: AsWidth::FourOctets,
    peering: Peering::External,
    first_as: None,
};

const UNBOUNDED: usize = usize::MAX;

const A: PeerId = PeerId(1);
const B: PeerId = PeerId(2);

/// The set of what A brought into the AS.
const OF_A: u32 = 3;

fn set(number: u32) -> AttributeSet {
    AttributeSet {
        next_hop: next_hop("192.0.2.1"),
        path: PathAttributes {
            as_path: asns(&[64512]),
            med: Some(number),
            originator_id: (number == OF_A).then(|| recipient(A).router_id.into()),
            ..PathAttributes::default()
        },
    }
}

fn host(number: u32) -> Prefix {
    prefix(&std::net::Ipv4Addr::from(0x0A00_0000 + number).to_string())
}

/// Member `n` is 10.0.0.n by name and 192.0.2.(100 + n) by address.
fn recipient(peer: PeerId) -> Recipient {
    let last = u8::try_from(peer.0).unwrap();
    Recipient {
        address: std::net::IpAddr::from([192, 0, 2, 100 + last]),
        router_id: router_id(last.max(1)),
    }
}

/// A group, the sets of its routes, and what each member has.
struct Lab {
    pool: AttributePool,
    group: UpdateGroup,
    has: BTreeMap<PeerId, BTreeMap<Prefix, u32>>,
}

impl Lab {
    fn new(members: &[PeerId]) -> Self {
        let mut lab = Self {
            pool: AttributePool::default(),
            group: UpdateGroup::new(CONTEXT),
            has: BTreeMap::new(),
        };
        for member in members {
            lab.join(*member);
        }
        lab
    }

    fn join(&mut self, peer: PeerId) {
        self.group.join(peer, recipient(peer));
        self.has.insert(peer, BTreeMap::new());
    }

    fn want(&mut self, number: u32, med: Option<u32>) {
        let wanted = med.map(|med| self.pool.intern(set(med)));
        self.group.set_wanted(host(number), wanted);
    }

    /// The octets of some messages to a member, which takes them in.
    fn take(&mut self, peer: PeerId, budget: usize) -> Vec<u8> {
        let mut octets = Vec::new();
        let messages = self.group.take_updates(peer, budget, &mut octets);
        let has = self.has.get_mut(&peer).unwrap();
        let (mut rest, mut read) = (&octets[..], 0);
        while let Some((message, taken)) = decode(rest, CONTEXT).unwrap() {
            let Message::Update(update) = message else {
                panic!("not an UPDATE")
            };
            for prefix in &update.withdrawn {
                has.remove(prefix);
            }
            for prefix in update.announced() {
                has.insert(*prefix, update.attributes.med.unwrap());
            }
            rest = &rest[taken..];
            read += 1;
        }
        assert_eq!(read, messages);
        octets
    }

    fn table(&self) -> BTreeMap<Prefix, u32> {
        let sent = self.group.adj_rib_out().iter_sent();
        sent.map(|(prefix, set)| (prefix, set.path.med.unwrap()))
            .collect()
    }
}

#[test]
fn members_are_sent_the_same_octets_made_once() {
    let mut lab = Lab::new(&[A, B]);
    for number in 0..2000 {
        lab.want(number, Some(number % 3));
    }
    let to_a = lab.take(A, UNBOUNDED);
    assert!(lab.group.is_settled(A) && !lab.group.is_settled(B));
    assert_eq!(lab.group.behind().collect::<Vec<_>>(), [B]);
    assert!(lab.group.is_pending(B, &host(7)) && !lab.group.is_pending(A, &host(7)));
    assert_eq!(lab.group.pending_count(B), 2000);
    assert_eq!(lab.take(B, UNBOUNDED), to_a);
    assert_eq!(lab.group.stream.octets, 0, "nobody has to read it any more");
    assert_eq!(lab.has[&B], lab.table());
    assert!(lab.take(A, UNBOUNDED).is_empty());
}

#[test]
fn a_member_that_is_alone_keeps_no_messages() {
    let mut lab = Lab::new(&[A]);
    lab.want(0, Some(1));
    lab.take(A, UNBOUNDED);
    assert_eq!(lab.group.streamed(), 0);
}

#[test]
fn a_member_that_comes_later_is_told_everything_and_the_others_nothing() {
    let mut lab = Lab::new(&[A]);
    for number in 0..10_000 {
        lab.want(number, Some(number % 3));
    }
    lab.take(A, UNBOUNDED);
    lab.join(B);
    assert_eq!(lab.group.pending_count(B), 10_000);
    assert_eq!(
        (lab.group.sent_count(A), lab.group.sent_count(B)),
        (10_000, 0)
    );
    assert_eq!(lab.group.iter_sent(B).count(), 0);
    assert!(lab.group.is_pending(B, &host(9999)));
    lab.take(B, 1);
    assert!(!lab.group.is_settled(B));
    // What changes meanwhile is told once more at most, and last.
    lab.want(0, Some(7));
    lab.want(9999, None);
    assert!(!lab.take(A, UNBOUNDED).is_empty());
    lab.take(B, UNBOUNDED);
    assert_eq!(lab.has[&B], lab.table());
    assert_eq!(lab.has[&A], lab.table());
    assert_eq!(lab.group.sent_count(B), 9999);
    assert!(lab.group.is_settled(B) && lab.take(A, UNBOUNDED).is_empty());
}

#[test]
fn a_refresh_repeats_one_family_to_who_asked() {
    let mut lab = Lab::new(&[A, B]);
    lab.want(0, Some(1));
    let mut ipv6 = set(1);
    ipv6.next_hop = next_hop("2001:db8::1");
    let ipv6 = lab.pool.intern(ipv6);
    lab.group.set_wanted(prefix("2001:db8:1::/48"), Some(ipv6));
    lab.take(A, UNBOUNDED);
    lab.take(B, UNBOUNDED);
    lab.group.refresh(A, Family::Ipv6Unicast);
    assert_eq!(lab.group.pending_count(A), 1);
    lab.has.get_mut(&A).unwrap().clear();
    lab.take(A, UNBOUNDED);
    assert_eq!(
        lab.has[&A].keys().copied().collect::<Vec<_>>(),
        [prefix("2001:db8:1::/48")]
    );
    assert!(lab.take(B, UNBOUNDED).is_empty());
}

/// The slow one reads nothing while the fast one is sent much more than the stream holds.
#[test]
fn a_member_that_is_too_slow_is_told_of_what_it_missed_as_that_is_by_then() {
    let mut lab = Lab::new(&[A, B]);
    lab.want(9000, Some(1));
    lab.take(A, UNBOUNDED);
    lab.take(B, UNBOUNDED);
    lab.want(9000, None);
    for round in 0..40 {
        for number in 0..1000 {
            lab.want(number, Some(1000 * round + number));
        }
        lab.take(A, UNBOUNDED);
        assert!(lab.group.stream.octets <= STREAM_BYTES_MAX);
    }
    assert!(lab.group.stream.first > 0, "the test fills the stream");
    assert!(lab.group.members[&B].missed.count(Family::Ipv4Unicast) <= 1001);
    let octets = lab.take(B, UNBOUNDED).len();
    assert!(octets < 2 * STREAM_BYTES_MAX, "{octets} octets");
    assert_eq!(lab.has[&B], lab.table());
    assert!(lab.group.is_settled(B) && lab.group.stream.parts.is_empty());
}

#[test]
fn a_member_that_leaves_is_waited_for_by_nobody() {
    let mut lab = Lab::new(&[A, B]);
    lab.want(0, Some(1));
    lab.take(A, UNBOUNDED);
    assert!(lab.group.stream.octets > 0);
    lab.group.leave(B);
    assert_eq!(lab.group.stream.octets, 0);
    assert_eq!(lab.group.members().collect::<Vec<_>>(), [A]);
    assert_eq!(lab.group.take_updates(B, UNBOUNDED, &mut Vec::new()), 0);
}

#[test]
fn a_member_that_moves_is_told_the_difference_alone() {
    let mut lab = Lab::new(&[A, B]);
    for number in 0..10 {
        lab.want(number, Some(1));
    }
    lab.take(A, UNBOUNDED);
    lab.take(B, UNBOUNDED);
    let mut other = lab.group.split();
    let two = lab.pool.intern(set(2));
    lab.group.move_to(B, &mut other);
    other.set_wanted(host(3), Some(two));
    other.set_wanted(host(4), None);
    std::mem::swap(&mut lab.group, &mut other);
    let octets = lab.take(B, UNBOUNDED);
    assert!(octets.len() < 150, "{} octets", octets.len());
    assert_eq!(lab.has[&B], lab.table());
    // And back again, into a group that was there.
    lab.group.move_to(B, &mut other);
    std::mem::swap(&mut lab.group, &mut other);
    lab.take(B, UNBOUNDED);
    assert_eq!(lab.has[&B], lab.table());
    assert_eq!(lab.table().len(), 10);
}

/// Half of the table and of the stream are before it when it moves.
#[test]
fn a_member_that_moves_with_much_before_it_has_it_all_in_the_end() {
    let mut lab = Lab::new(&[A]);
    for number in 0..10_000 {
        lab.want(number, Some(number));
    }
    lab.take(A, UNBOUNDED);
    lab.join(B);
    lab.take(B, 100_000);
    for number in 0..100 {
        lab.want(number, None);
    }
    lab.take(A, UNBOUNDED);
    let mut other = lab.group.split();
    let one = lab.pool.intern(set(1));
    other.set_wanted(host(0), Some(one));
    lab.group.move_to(B, &mut other);
    assert_eq!(lab.group.stream.octets, 0);
    std::mem::swap(&mut lab.group, &mut other);
    lab.take(B, UNBOUNDED);
    assert_eq!(lab.has[&B], lab.table());
    assert_eq!(lab.table().len(), 9901);
}

#[test]
fn a_member_is_not_told_of_its_own_routes_nor_to_go_by_itself() {
    let mut lab = Lab::new(&[A, B]);
    let mut of_a = set(1);
    of_a.path.originator_id = Some(recipient(A).router_id.into());
    let mut by_b = set(2);
    by_b.next_hop = next_hop("192.0.2.102");
    let (of_a, by_b) = (lab.pool.intern(of_a), lab.pool.intern(by_b));
    for alone in [false, true] {
        lab.want(0, Some(5));
        lab.want(1, Some(5));
        lab.take(A, UNBOUNDED);
        if !alone {
            lab.take(B, UNBOUNDED);
        }
        assert_eq!(lab.has[&A].len(), 2);
        // The route that a member had before goes, and only there.
        lab.group.set_wanted(host(0), Some(of_a.clone()));
        lab.group.set_wanted(host(1), Some(by_b.clone()));
        lab.group.set_wanted(host(2), Some(of_a.clone()));
        lab.take(A, UNBOUNDED);
        assert_eq!(lab.has[&A], BTreeMap::from([(host(1), 2)]));
        assert_eq!(lab.group.sent(A, &host(0)), None);
        assert_eq!(
            (lab.group.sent_count(A), lab.group.is_settled(A)),
            (1, true)
        );
        if !alone {
            lab.take(B, UNBOUNDED);
            let others = BTreeMap::from([(host(0), 1), (host(2), 1)]);
            assert_eq!(lab.has[&B], others);
            lab.group.leave(B);
        }
        lab.has.get_mut(&A).unwrap().clear();
        lab.group.refresh(A, Family::Ipv4Unicast);
        lab.take(A, UNBOUNDED);
        assert_eq!(lab.has[&A], BTreeMap::from([(host(1), 2)]));
        lab.group.set_wanted(host(2), None);
    }
}

fn for_peer(peer: PeerId, wanted: &BTreeMap<Prefix, u32>) -> BTreeMap<Prefix, u32> {
    let wanted = wanted.iter();
    let takes = wanted.filter(|(_, med)| peer == B || **med != OF_A);
    takes.map(|(prefix, med)| (*prefix, *med)).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Want(u32, Option<u32>),
    Take(u32, usize),
    Refresh(u32),
    Restart(u32),
    Move(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let peer = || 0..3u32;
    prop_oneof![
        12 => (0..40u32, prop::option::weighted(0.7, 0..4u32))
            .prop_map(|(number, med)| Step::Want(number, med)),
        6 => (peer(), 0..400usize).prop_map(|(peer, budget)| Step::Take(peer, budget)),
        1 => peer().prop_map(Step::Refresh),
        1 => peer().prop_map(Step::Restart),
        1 => peer().prop_map(Step::Move),
    ]
}

proptest! {
    /// Two groups that want the same, and three peers that come, go and move between them.
    #[test]
    fn every_member_has_in_the_end_what_is_wanted(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut lab = Lab::new(&[]);
        let mut other = UpdateGroup::new(CONTEXT);
        let mut wanted = BTreeMap::new();
        for peer in 0..3 {
            lab.join(PeerId(peer));
        }
        for step in steps {
            match step {
                Step::Want(number, med) => {
                    let set = med.map(|med| lab.pool.intern(set(med)));
                    other.set_wanted(host(number), set);
                    lab.want(number, med);
                    match med {
                        Some(med) => wanted.insert(host(number), med),
                        None => wanted.remove(&host(number)),
                    };
                }
                Step::Take(peer, budget) => {
                    if other.members.contains_key(&PeerId(peer)) {
                        std::mem::swap(&mut lab.group, &mut other);
                        lab.take(PeerId(peer), budget);
                        std::mem::swap(&mut lab.group, &mut other);
                    } else {
                        lab.take(PeerId(peer), budget);
                    }
                }
                Step::Refresh(peer) => {
                    lab.group.refresh(PeerId(peer), Family::Ipv4Unicast);
                    other.refresh(PeerId(peer), Family::Ipv4Unicast);
                }
                Step::Restart(peer) => {
                    lab.group.leave(PeerId(peer));
                    other.leave(PeerId(peer));
                    lab.join(PeerId(peer));
                }
                Step::Move(peer) => {
                    if other.members.contains_key(&PeerId(peer)) {
                        other.move_to(PeerId(peer), &mut lab.group);
                    } else {
                        lab.group.move_to(PeerId(peer), &mut other);
                    }
                }
            }
            for group in [&lab.group, &other] {
                for peer in group.members() {
                    let has = &lab.has[&peer];
                    for number in 0..40 {
                        // What is not told of as pending is as the group says.
                        let to = host(number);
                        let sent = group.sent(peer, &to).map(|set| set.path.med.unwrap());
                        if !group.is_pending(peer, &to) {
                            prop_assert_eq!(has.get(&to).copied(), sent);
                        }
                    }
                    prop_assert!(!group.is_settled(peer) || *has == for_peer(peer, &wanted));
                    prop_assert_eq!(group.is_settled(peer), group.pending_count(peer) == 0);
                }
            }
        }
        for _ in 0..2 {
            let members: Vec<PeerId> = lab.group.members().collect();
            for peer in members {
                lab.take(peer, UNBOUNDED);
                prop_assert!(lab.group.is_settled(peer));
                prop_assert_eq!(&lab.has[&peer], &for_peer(peer, &wanted));
            }
            prop_assert_eq!(lab.group.stream.octets, 0);
            std::mem::swap(&mut lab.group, &mut other);
        }
    }
}
