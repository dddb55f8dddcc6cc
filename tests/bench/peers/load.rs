//! What the source sends, encoded before any clock runs.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use rutter::bgp::wire::{NextHop, PathAttributes, Reach, encode_updates};
use rutter::types::{Community, Prefix};

use super::network;
use super::peer::CONTEXT;

/// As many /24 as there are from here on are few enough.
const FIRST: u32 = 0x1400_0000;

/// Withdrawals of one message, at most.
const WITHDRAWN_EACH: usize = 1000;

/// Messages in order.
pub(crate) struct Load {
    pub(crate) announcements: Vec<u8>,
    pub(crate) withdrawals: Vec<u8>,
}

impl Load {
    /// So many /24, so many of them to a set of attributes.
    pub(crate) fn new(routes: u32, to_a_set: u32) -> Self {
        let prefixes: Vec<Prefix> = (0..routes).map(prefix).collect();
        let mut announcements = Vec::new();
        for (number, some) in (0..).zip(prefixes.chunks(to_a_set as usize)) {
            let attributes = attributes(number);
            let reach = Reach {
                next_hop: NextHop {
                    address: network::SOURCE.into(),
                    link_local: None,
                },
                prefixes: some.to_vec(),
            };
            encode_updates(
                &[],
                Some((&attributes, &[reach])),
                CONTEXT,
                &mut announcements,
            )
            .expect("they fit a message");
        }
        let mut withdrawals = Vec::new();
        for some in prefixes.chunks(WITHDRAWN_EACH) {
            encode_updates(some, None, CONTEXT, &mut withdrawals).expect("there are none");
        }
        Self {
            announcements,
            withdrawals,
        }
    }
}

fn prefix(number: u32) -> Prefix {
    let address = Ipv4Addr::from_bits(FIRST + (number << 8));
    Ipv4Net::new(address, 24).expect("a length").into()
}

/// Such as a route from another AS has; each number's differ.
fn attributes(number: u32) -> PathAttributes {
    PathAttributes {
        local_pref: Some(100),
        med: Some(number),
        communities: vec![Community(64512 << 16 | 1), Community(number)],
        ..PathAttributes::default()
    }
}
