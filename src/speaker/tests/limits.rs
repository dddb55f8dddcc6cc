//! What a peer may have us keep, and that the node's own addresses are followed.

use super::*;
use crate::bgp::wire::{
    AsPath, AsWidth, CodecContext, NextHop, PathAttributes, Peering, Reach, UnknownAttribute,
};

const RESTART: Duration = Duration::from_secs(100);

fn limits() -> ReceiveLimits {
    ReceiveLimits {
        ipv4_prefixes: 4,
        ipv6_prefixes: 2,
        attribute_bytes: 1 << 20,
        warn_percent: 50,
        restart: RESTART,
    }
}

fn limited(limits: ReceiveLimits) -> SpeakerConfig {
    let peer = PeerConfig {
        limits,
        ..peer(B, 65000)
    };
    config(A, 64512, vec![peer])
}

/// A pair of which A has these limits for B.
fn limited_pair(limits: ReceiveLimits) -> Network {
    let mut network = pair_in(64512, 65000);
    configure(&mut network, A, limited(limits));
    network.hosts[A].events.clear();
    network.hosts[B].events.clear();
    network
}

/// What B announces as octets, by a next hop of the prefixes' family.
fn announced(prefixes: &[String], attributes: PathAttributes) -> Vec<u8> {
    let prefixes: Vec<Prefix> = prefixes.iter().map(|text| prefix(text)).collect();
    let address = match prefixes[0].family() {
        Family::Ipv4Unicast => address(B),
        Family::Ipv6Unicast => "fd00::2".parse().unwrap(),
    };
    let update = Update {
        withdrawn: Vec::new(),
        reach: vec![Reach {
            next_hop: NextHop {
                address,
                link_local: None,
            },
            prefixes,
        }],
        attributes: PathAttributes {
            as_path: AsPath::sequence(&[Asn(65000)]),
            ..attributes
        },
        errors: Vec::new(),
        message: Vec::new(),
    };
    let context = CodecContext {
        as_width: AsWidth::FourOctets,
        peering: Peering::External,
        first_as: None,
    };
    let mut octets = Vec::new();
    Message::Update(update).encode(context, &mut octets);
    octets
}

fn announce(network: &mut Network, prefixes: &[&str]) {
    let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
    network.inject(A, &announced(&prefixes, PathAttributes::default()));
}

fn downs(network: &Network, host: HostId) -> Vec<String> {
    let events = events(network, host).into_iter();
    events
        .filter_map(|event| {
            let Event::Down { reason, .. } = event else {
                return None;
            };
            Some(reason)
        })
        .collect()
}

#[test]
fn a_peer_is_warned_about_once_and_ends_beyond_its_limit() {
    let mut network = limited_pair(limits());
    announce(&mut network, &["10.1.0.0/16"]);
    assert_eq!(events(&network, A), []);
    announce(&mut network, &["10.2.0.0/16"]);
    announce(&mut network, &["10.3.0.0/16", "10.4.0.0/16"]);
    // The same ones again are no more.
    announce(&mut network, &["10.3.0.0/16", "10.4.0.0/16"]);
    let warning = Event::NearLimit {
        peer: PeerId(1),
        quota: Quota::Prefixes(Family::Ipv4Unicast),
        held: 2,
        limit: 4,
    };
    assert_eq!(events(&network, A), [warning]);
    announce(&mut network, &["10.5.0.0/16"]);
    network.run(seconds(1));
    assert_eq!(
        downs(&network, A),
        ["peer sent more than 4 ipv4-unicast prefixes, and is left alone for 100 s (max-received)"]
    );
    // RFC 4486 section 4: AFI 1, SAFI 1, and the bound.
    assert_eq!(
        downs(&network, B),
        [
            "peer sent NOTIFICATION Cease/Hard Reset of Cease/Maximum Number of Prefixes Reached \
             (data 0x00010100000004)"
        ]
    );
    assert!(network.hosts[A].speaker.loc_rib().is_empty());
}

#[test]
fn each_family_has_a_limit_of_its_own() {
    let mut network = limited_pair(limits());
    announce(&mut network, &["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]);
    announce(&mut network, &["fd01::/64", "fd02::/64"]);
    assert_eq!(state(&network, A), SessionState::Established);
    announce(&mut network, &["fd03::/64"]);
    network.run(seconds(1));
    let reason = &downs(&network, B)[0];
    assert!(reason.ends_with("(data 0x00020100000002)"), "{reason}");
}

fn excess(network: &mut Network) {
    announce(
        network,
        &[
            "10.1.0.0/16",
            "10.2.0.0/16",
            "10.3.0.0/16",
            "10.4.0.0/16",
            "10.5.0.0/16",
        ],
    );
}

#[test]
fn a_peer_that_sent_too_much_is_left_alone_for_its_time_whoever_dials() {
    let mut network = limited_pair(limits());
    excess(&mut network);
    // B goes on dialling; only a second is missing.
    network.run(RESTART - seconds(1));
    assert_eq!(state(&network, A), SessionState::Idle);
    let established = Event::Established { peer: PeerId(1) };
    assert!(!events(&network, A).contains(&established));
    let view = view(&network, A);
    assert!(view.paused_until.is_some());
    assert!(view.last_error.unwrap().contains("left alone for 100 s"));
    network.run_until(seconds(60), "both established", both_established);
}

#[test]
fn a_peer_that_was_left_alone_is_not_once_its_limits_are_others() {
    let mut network = limited_pair(limits());
    excess(&mut network);
    network.run(seconds(10));
    assert_eq!(state(&network, A), SessionState::Idle);
    let more = ReceiveLimits {
        ipv4_prefixes: 5,
        ..limits()
    };
    configure(&mut network, A, limited(more));
    network.run_until(seconds(40), "both established", both_established);
    excess(&mut network);
    assert_eq!(state(&network, A), SessionState::Established);
    // Less than there is.
    configure(&mut network, A, limited(limits()));
    network.run(seconds(1));
    assert_eq!(state(&network, A), SessionState::Idle);
}

#[test]
fn attributes_are_held_up_to_a_budget_however_large_each_set_is() {
    let mut network = limited_pair(ReceiveLimits {
        ipv4_prefixes: 1_000_000,
        ..limits()
    });
    let mut most = 0;
    for number in 0..10_000u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let attributes = PathAttributes {
            unknown: vec![UnknownAttribute {
                flags: 0xC0,
                code: 99,
                value: [vec![0; 3900], number.to_be_bytes().to_vec()].concat(),
            }],
            ..PathAttributes::default()
        };
        let octets = announced(&[format!("10.{a}.{b}.{c}/32")], attributes);
        network.inject(A, &octets);
        if state(&network, A) != SessionState::Established {
            break;
        }
        most = number + 1;
    }
    // Each set takes its value and some hundred octets.
    assert!((200..270).contains(&most), "{most} sets in a MiB");
    network.run(seconds(1));
    let near = events(&network, A).into_iter().find_map(|event| {
        let Event::NearLimit { quota, held, .. } = event else {
            return None;
        };
        Some((quota, held))
    });
    let (quota, held) = near.unwrap();
    assert_eq!(quota, Quota::AttributeBytes);
    assert!(((1 << 19)..(1 << 19) + 5000).contains(&held), "{held}");
    assert_eq!(
        downs(&network, A),
        [
            "the path attributes of the peer's routes take more than 1048576 bytes, and it is left \
             alone for 100 s (max-received.attributes)"
        ]
    );
    assert_eq!(
        downs(&network, B),
        ["peer sent NOTIFICATION Cease/Hard Reset of Cease/Out of Resources"]
    );
    assert_eq!(network.hosts[A].speaker.received(PeerId(1)).count(), 0);
}

#[test]
fn routes_by_the_nodes_own_addresses_are_not_used_as_those_change() {
    let mut network = limited_pair(limits());
    announce(&mut network, &["10.9.0.0/16"]);
    let learned = |network: &Network| {
        let loc_rib = network.hosts[A].speaker.loc_rib();
        loc_rib.best(&prefix("10.9.0.0/16")).is_some()
    };
    assert!(learned(&network));
    // The address that B names is the node's now.
    let mut ours = limited(limits());
    ours.addresses = BTreeSet::from([address(B)]);
    configure(&mut network, A, ours.clone());
    assert!(!learned(&network));
    let (_, _, why) = network.hosts[A].speaker.received(PeerId(1)).next().unwrap();
    assert_eq!(
        why.unwrap().to_string(),
        "its next hop 10.0.0.2 is our own address"
    );
    ours.addresses.clear();
    configure(&mut network, A, ours);
    assert!(learned(&network));
    assert_eq!(state(&network, A), SessionState::Established);
    assert_eq!(view(&network, A).established_count, 1);
}
