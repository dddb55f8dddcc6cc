//! Prefixes that no route may lead to, whoever names them: a peer, a Node, a Service or the operator.
//!
//! The registries of special-purpose addresses (RFC 6890) list more. These are the ones that mean
//! something else to every host, so that forwarding by such a route breaks the host itself. Private
//! and documentation addresses are routes like any others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Prefix;

/// Address, length, and what lies there; the first that contains a prefix is the one named.
const BLOCKS: [(IpAddr, u8, &str); 11] = [
    (ipv4([0, 0, 0, 0]), 8, "\"this network\""),
    (ipv4([127, 0, 0, 0]), 8, "loopback"),
    (ipv4([169, 254, 0, 0]), 16, "link-local"),
    (ipv4([240, 0, 0, 0]), 4, "reserved"),
    // Half of it is multicast, the other half reserved.
    (ipv4([224, 0, 0, 0]), 3, "multicast"),
    (ipv6([0, 0, 0, 0, 0, 0, 0, 1]), 128, "loopback"),
    (ipv6([0, 0, 0, 0, 0, 0xFFFF, 0, 0]), 96, "IPv4-mapped"),
    (ipv6([0; 8]), 128, "unspecified"),
    (ipv6([0; 8]), 96, "IPv4-compatible"),
    (ipv6([0xFE80, 0, 0, 0, 0, 0, 0, 0]), 10, "link-local"),
    (ipv6([0xFF00, 0, 0, 0, 0, 0, 0, 0]), 8, "multicast"),
];

const fn ipv4([a, b, c, d]: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn ipv6([a, b, c, d, e, f, g, h]: [u16; 8]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

impl Prefix {
    /// What the addresses of this prefix are, where no route may lead to them. A prefix that merely
    /// contains such addresses, as the default route does, is a route.
    #[must_use]
    pub fn unroutable(&self) -> Option<&'static str> {
        if self.is_plain() {
            return None;
        }
        let inside = |(address, length, _): &&(IpAddr, u8, &str)| {
            let block = ipnet::IpNet::new(*address, *length).map(Prefix::new);
            block.is_ok_and(|block| block.covers(self))
        };
        BLOCKS.iter().find(inside).map(|(.., kind)| *kind)
    }

    /// Whether its first octet alone says that it is in none of [`BLOCKS`]: nearly every route's does.
    fn is_plain(&self) -> bool {
        match self.address() {
            IpAddr::V4(address) => !matches!(address.octets()[0], 0 | 127 | 169 | 224..),
            IpAddr::V6(address) => !matches!(address.octets()[0], 0 | 0xFE | 0xFF),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unroutable(text: &str) -> Option<&'static str> {
        text.parse::<Prefix>().unwrap().unroutable()
    }

    #[test]
    fn what_means_something_else_to_every_host_is_no_route() {
        for (text, kind) in [
            ("0.0.0.0/8", "\"this network\""),
            ("0.0.0.0/32", "\"this network\""),
            ("127.0.0.0/8", "loopback"),
            ("127.0.0.1/32", "loopback"),
            ("169.254.169.254/32", "link-local"),
            ("224.0.0.0/3", "multicast"),
            ("224.0.0.0/4", "multicast"),
            ("239.1.2.0/24", "multicast"),
            ("240.0.0.0/4", "reserved"),
            ("255.255.255.255/32", "reserved"),
            ("::/128", "unspecified"),
            ("::1/128", "loopback"),
            ("::ffff:10.0.0.0/104", "IPv4-mapped"),
            ("::ffff:0:0/96", "IPv4-mapped"),
            ("::10.0.0.1/128", "IPv4-compatible"),
            ("fe80::/10", "link-local"),
            ("febf::/16", "link-local"),
            ("ff02::1/128", "multicast"),
        ] {
            assert_eq!(unroutable(text), Some(kind), "{text}");
        }
    }

    #[test]
    fn everything_else_is_a_route_and_so_is_what_contains_both() {
        for text in [
            "0.0.0.0/0",
            "0.0.0.0/1",
            "0.0.0.0/7",
            "1.0.0.0/8",
            "10.0.0.0/8",
            "126.0.0.0/7",
            "169.253.0.0/16",
            "169.0.0.0/8",
            "192.0.2.0/24",
            "192.0.0.0/2",
            "223.255.255.0/24",
            "::/0",
            "::/8",
            "64:ff9b::/96",
            "2001:db8::/32",
            "fc00::/7",
            "fec0::/10",
            "fe00::/8",
        ] {
            assert_eq!(unroutable(text), None, "{text}");
        }
    }
}
