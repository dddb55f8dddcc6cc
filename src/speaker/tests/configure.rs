//! A change of configuration touches the sessions it is about and no other.

use super::*;
use crate::bgp::wire::{CeaseSubcode, Notification};

fn cease(subcode: CeaseSubcode) -> Message {
    Message::Notification(Notification::cease(subcode))
}

#[test]
fn what_is_not_of_the_session_leaves_it_alone() {
    let mut network = pair();
    network.input(A, export(&["10.1.0.0/16"], &plain()));
    network.run(seconds(1));
    network.sent.clear();
    let before = view(&network, A);
    let mut same = peer(B, 64512);
    same.name = "renamed".to_owned();
    let mut changed = config(A, 64512, vec![same, peer(2, 64512), peer(3, 65000)]);
    changed.next_hops.ipv4 = Some(Ipv4Addr::new(10, 0, 0, 99));
    configure(&mut network, A, changed);
    network.run(seconds(10));
    let after = view(&network, A);
    assert_eq!(
        after,
        PeerView {
            since: after.since,
            ..before.clone()
        }
    );
    assert_eq!(after.since, before.since);
    assert_eq!(sent_by(&network, A), [], "not even an UPDATE");
}

#[test]
fn a_peer_taken_out_is_told_so() {
    let mut network = pair();
    configure(&mut network, A, config(A, 64512, vec![]));
    assert_eq!(
        sent_by(&network, A),
        [Message::Notification(
            Notification::cease(CeaseSubcode::PeerDeconfigured).into_hard_reset()
        )]
    );
    assert!(network.hosts[A].speaker.peers().next().is_none());
    assert!(matches!(
        events(&network, A).pop(),
        Some(Event::Down { .. })
    ));
}

#[test]
fn a_changed_peer_starts_anew() {
    let mut network = pair();
    let mut changed = peer(B, 64512);
    changed.hold_time = HoldTime::from_secs(30).unwrap();
    configure(&mut network, A, config(A, 64512, vec![changed]));
    let first = sent_by(&network, A).remove(0);
    assert_eq!(first, cease(CeaseSubcode::OtherConfigurationChange));
    network.run_until(seconds(10), "established again", both_established);
    assert_eq!(view(&network, A).session.unwrap().hold_time.as_secs(), 30);
}

#[test]
fn a_new_router_id_of_ours_restarts_every_session() {
    let mut network = pair();
    let mut changed = config(A, 64512, vec![peer(B, 64512)]);
    changed.router_id = RouterId::try_from(Ipv4Addr::new(1, 1, 1, 1)).unwrap();
    configure(&mut network, A, changed);
    network.run_until(seconds(10), "established again", both_established);
    let session = view(&network, B).session.unwrap();
    assert_eq!(session.router_id.to_string(), "1.1.1.1");
}

#[test]
fn another_group_is_only_another_set_of_routes() {
    let mut network = pair();
    network.input(A, export(&["10.1.0.0/16", "10.2.0.0/16"], &plain()));
    network.input(
        A,
        export_to(GroupId(7), &["10.2.0.0/16", "10.3.0.0/16"], &plain()),
    );
    network.run(seconds(1));
    network.sent.clear();
    let mut moved = peer(B, 64512);
    moved.group = GroupId(7);
    configure(&mut network, A, config(A, 64512, vec![moved]));
    network.run(seconds(1));
    let updates = updates_by(&network, A);
    let withdrawn: Vec<_> = updates
        .iter()
        .flat_map(|update| &update.withdrawn)
        .collect();
    let announced: Vec<_> = updates
        .iter()
        .flat_map(|update| &update.reach)
        .flat_map(|reach| &reach.prefixes)
        .collect();
    assert_eq!(withdrawn, [&prefix("10.1.0.0/16")]);
    assert_eq!(announced, [&prefix("10.3.0.0/16")]);
    assert_eq!(view(&network, A).established_count, 1);
}

#[test]
fn a_group_nobody_decided_about_yet_withdraws_nothing() {
    let mut network = pair();
    network.input(A, export(&["10.1.0.0/16"], &plain()));
    network.run(seconds(1));
    let mut moved = peer(B, 64512);
    moved.group = GroupId(7);
    configure(&mut network, A, config(A, 64512, vec![moved]));
    network.run(seconds(1));
    assert_eq!(received_by_b(&network), ["10.1.0.0/16"]);
    network.input(A, export(&["10.2.0.0/16"], &plain()));
    network.run(seconds(1));
    assert_eq!(
        received_by_b(&network),
        ["10.1.0.0/16", "10.2.0.0/16"],
        "the old group goes on"
    );
    network.input(A, export_to(GroupId(7), &["10.2.0.0/16"], &plain()));
    network.run(seconds(1));
    assert_eq!(received_by_b(&network), ["10.2.0.0/16"]);
    network.input(A, export(&["10.2.0.0/16"], &None));
    network.run(seconds(1));
    assert_eq!(
        received_by_b(&network),
        ["10.2.0.0/16"],
        "the old group no longer counts"
    );
}

#[test]
fn another_next_hop_is_announced_where_it_is_used_and_nowhere_else() {
    let mut network = pair();
    network.input(A, export(&["10.1.0.0/16", "fd01::/64"], &plain()));
    network.run(seconds(1));
    network.sent.clear();
    let mut changed = config(A, 64512, vec![peer(B, 64512)]);
    changed.next_hops.ipv6 = Some("fd00::2".parse().unwrap());
    configure(&mut network, A, changed);
    network.run(seconds(1));
    let updates = updates_by(&network, A);
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].reach[0].prefixes, [prefix("fd01::/64")]);
    assert_eq!(updates[0].reach[0].next_hop.address.to_string(), "fd00::2");
}
