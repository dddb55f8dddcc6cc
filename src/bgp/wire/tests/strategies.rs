//! Arbitrary messages that can travel, for the property tests.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::types::{Community, ExtendedCommunity, Family, LargeCommunity};

pub(super) fn context() -> impl Strategy<Value = CodecContext> {
    let as_width = prop_oneof![Just(AsWidth::TwoOctets), Just(AsWidth::FourOctets)];
    let peering = prop_oneof![Just(Peering::Internal), Just(Peering::External)];
    (as_width, peering).prop_map(|(as_width, peering)| CodecContext {
        as_width,
        peering,
        first_as: None,
    })
}

pub(super) fn ipv4_prefix() -> impl Strategy<Value = Prefix> {
    (any::<u32>(), 0..=32u8).prop_map(|(bits, length)| {
        let net = Ipv4Net::new(Ipv4Addr::from(bits), length);
        net.unwrap().into()
    })
}

pub(super) fn ipv6_prefix() -> impl Strategy<Value = Prefix> {
    (any::<u128>(), 0..=128u8).prop_map(|(bits, length)| {
        let net = Ipv6Net::new(Ipv6Addr::from(bits), length);
        net.unwrap().into()
    })
}

/// Any AS number but the two that mean something else.
fn asn() -> impl Strategy<Value = Asn> {
    let small = prop_oneof![1..23456u32, 23457..65536u32];
    prop_oneof![small, 65536..=u32::MAX].prop_map(Asn)
}

fn as_path() -> impl Strategy<Value = AsPath> {
    let set = vec(asn(), 1..5).prop_map(|asns| AsPathSegment {
        kind: AsPathSegmentKind::Set,
        asns,
    });
    (vec(asn(), 0..300), option::of(set)).prop_map(|(asns, set)| {
        let mut path = AsPath::sequence(&asns);
        path.segments.extend(set);
        path
    })
}

fn unknown_attributes() -> impl Strategy<Value = Vec<UnknownAttribute>> {
    let codes = btree_set(prop_oneof![Just(11u8), 19..32u8, 33..=255u8], 0..4);
    codes.prop_flat_map(|codes| {
        let attribute = |code| {
            vec(any::<u8>(), 0..300).prop_map(move |value| UnknownAttribute {
                flags: 0xE0,
                code,
                value,
            })
        };
        codes.into_iter().map(attribute).collect::<Vec<_>>()
    })
}

prop_compose! {
    /// Attributes that a peer of this kind may send.
    pub(super) fn attributes(peering: Peering)(
        origin in prop_oneof![
            Just(OriginCode::Igp),
            Just(OriginCode::Egp),
            Just(OriginCode::Incomplete),
        ],
        as_path in as_path(),
        med in option::of(any::<u32>()),
        local_pref in option::of(any::<u32>()),
        atomic_aggregate in any::<bool>(),
        aggregator in option::of((asn(), any::<u32>())),
        communities in vec(any::<u32>(), 0..80),
        extended_communities in vec(any::<[u8; 8]>(), 0..10),
        large_communities in btree_set(any::<[u32; 3]>(), 0..10),
        reflection in option::of((any::<u32>(), vec(any::<u32>(), 0..5))),
        unknown in unknown_attributes(),
    ) -> PathAttributes {
        let internal = peering == Peering::Internal;
        let (originator_id, cluster_list) = reflection.filter(|_| internal).unzip();
        PathAttributes {
            origin,
            as_path,
            med,
            local_pref: local_pref.filter(|_| internal),
            atomic_aggregate,
            aggregator: aggregator.map(|(asn, router)| Aggregator { asn, router: router.into() }),
            communities: communities.into_iter().map(Community).collect(),
            extended_communities: extended_communities.into_iter().map(ExtendedCommunity).collect(),
            large_communities: large_communities.into_iter().map(large_community).collect(),
            originator_id: originator_id.map(Ipv4Addr::from),
            cluster_list: cluster_list.unwrap_or_default().into_iter().map(Into::into).collect(),
            unknown,
        }
    }
}

fn large_community([global_administrator, local_data_1, local_data_2]: [u32; 3]) -> LargeCommunity {
    LargeCommunity {
        global_administrator,
        local_data_1,
        local_data_2,
    }
}

fn ipv4_next_hop() -> impl Strategy<Value = NextHop> {
    (0x0100_0000..0xE000_0000u32).prop_map(|bits| NextHop {
        address: Ipv4Addr::from(bits).into(),
        link_local: None,
    })
}

fn ipv6_next_hop() -> impl Strategy<Value = NextHop> {
    let link_local = any::<u64>().prop_map(|bits| Ipv6Addr::from(0xFE80 << 112 | u128::from(bits)));
    (1..0xFF00u128 << 112, option::of(link_local)).prop_map(|(bits, link_local)| NextHop {
        address: Ipv6Addr::from(bits).into(),
        link_local,
    })
}

/// Announcements of one attribute set: IPv4, IPv6, both or none.
pub(super) fn reach(prefixes_max: usize) -> impl Strategy<Value = Vec<Reach>> {
    let of = |(next_hop, prefixes): (NextHop, BTreeSet<Prefix>)| Reach {
        next_hop,
        prefixes: prefixes.into_iter().collect(),
    };
    let ipv4 = (ipv4_next_hop(), btree_set(ipv4_prefix(), 1..prefixes_max)).prop_map(of);
    let ipv6 = (ipv6_next_hop(), btree_set(ipv6_prefix(), 1..prefixes_max)).prop_map(of);
    (option::of(ipv4), option::of(ipv6))
        .prop_map(|(ipv4, ipv6)| ipv4.into_iter().chain(ipv6).collect())
}

fn capability() -> impl Strategy<Value = Capability> {
    prop_oneof![
        prop::sample::select(&Family::ALL[..]).prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        Just(Capability::EnhancedRouteRefresh),
        (any::<u16>(), vec(any::<[u8; 4]>(), 0..64))
            .prop_map(|(restart, families)| Capability::GracefulRestart { restart, families }),
        (prop_oneof![66..=69u8, 71..=255u8], vec(any::<u8>(), 0..256))
            .prop_map(|(code, value)| Capability::Unknown { code, value }),
    ]
}

prop_compose! {
    fn open()(
        asn in asn(),
        hold_time in prop_oneof![Just(0u16), 3..=u16::MAX],
        router_id in 1..=u32::MAX,
        mut capabilities in vec(capability(), 0..12),
    ) -> Open {
        capabilities.push(Capability::FourOctetAsn(asn));
        Open {
            asn,
            hold_time: HoldTime::from_secs(hold_time).unwrap(),
            router_id: Ipv4Addr::from(router_id).try_into().unwrap(),
            capabilities,
        }
    }
}

fn notification() -> impl Strategy<Value = Notification> {
    (any::<(u8, u8)>(), vec(any::<u8>(), 0..200)).prop_map(|(pair, data)| Notification {
        error: pair.into(),
        data,
    })
}

/// Any message but UPDATE.
pub(super) fn small_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        open().prop_map(Message::Open),
        notification().prop_map(Message::Notification),
        Just(Message::Keepalive),
        prop::sample::select(&Family::ALL[..]).prop_map(Message::EndOfRib),
        prop::sample::select(&Family::ALL[..]).prop_map(Message::RouteRefresh),
        (
            prop::sample::select(&[RefreshMark::Begin, RefreshMark::End][..]),
            prop::sample::select(&Family::ALL[..])
        )
            .prop_map(|(mark, family)| Message::RefreshMark(mark, family)),
        (3..=u16::MAX, any::<u8>(), any::<u8>()).prop_map(|(afi, subtype, safi)| {
            Message::ForeignRouteRefresh { afi, subtype, safi }
        }),
    ]
}
