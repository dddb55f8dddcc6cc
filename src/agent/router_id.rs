//! Our BGP Identifier, where the configuration leaves it to the Node: pure.
//!
//! Called by [`peering`](super::peering), which keeps the answer for as long as the process runs.

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use crate::api::RouterIdOrigin;
use crate::facts::NodeFacts;
use crate::types::{ROUTER_ID_ANNOTATION, RouterId, UnfitRouterId};

/// Our BGP Identifier and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnRouterId {
    pub(super) id: RouterId,
    pub(super) origin: RouterIdOrigin,
    /// Why what the Node says it should be is not followed.
    pub(super) problem: Option<String>,
}

/// Why an annotation names no router id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum BadAnnotation {
    #[error("is no IPv4 address")]
    NoAddress,
    #[error(transparent)]
    Unfit(#[from] UnfitRouterId),
}

impl OwnRouterId {
    /// One that the configuration names.
    pub(super) fn configured(id: RouterId) -> Self {
        Self {
            id,
            origin: RouterIdOrigin::Configuration,
            problem: None,
        }
    }

    /// The one that the Node names, else its first IPv4 InternalIP, else one made of its name.
    pub(super) fn of_node(node: &NodeFacts) -> Self {
        let problem = match annotated(node) {
            Some(Ok(id)) => {
                return Self {
                    id,
                    origin: RouterIdOrigin::Annotation,
                    problem: None,
                };
            }
            Some(Err(problem)) => Some(problem),
            None => None,
        };
        let (id, origin) = match first_fit_address(node) {
            Some(id) => (id, RouterIdOrigin::InternalIp),
            None => (derived(&node.name), RouterIdOrigin::NodeName),
        };
        Self {
            id,
            origin,
            problem,
        }
    }
}

/// What the annotation says, or what is wrong with it.
fn annotated(node: &NodeFacts) -> Option<Result<RouterId, String>> {
    let text = node.annotations.get(ROUTER_ID_ANNOTATION)?;
    let address = text.trim().parse().map_err(|_| BadAnnotation::NoAddress);
    let id = address.and_then(|address| Ok(RouterId::assignable(address)?));
    Some(id.map_err(|error| {
        format!(
            "the Node's annotation {ROUTER_ID_ANNOTATION} is {text:?}, which is not used: {error}; \
             mend it and restart the agent"
        )
    }))
}

/// An address that other routers would refuse as an identifier is passed over.
fn first_fit_address(node: &NodeFacts) -> Option<RouterId> {
    node.internal_ips.iter().find_map(|address| match address {
        IpAddr::V4(address) => RouterId::assignable(*address).ok(),
        IpAddr::V6(_) => None,
    })
}

/// The identifier of a node with nothing but a name: its SHA-256, of which the first eight octets
/// as a big-endian number, modulo 222 * 2^24, count the addresses from 1.0.0.0 to 223.255.255.255
/// without 127.0.0.0/8. It is the same in every version: a node that changed it would restart its
/// sessions.
///
/// Two of 1,000 nodes have the same with a probability of 1 in 7,400.
fn derived(name: &str) -> RouterId {
    /// The /8 blocks of unicast addresses: 1 to 126 and 128 to 223.
    const BLOCKS: u64 = 126 + 96;
    let digest = Sha256::digest(name.as_bytes());
    let mut start = [0; 8];
    start.copy_from_slice(&digest[..8]);
    let number = u64::from_be_bytes(start) % (BLOCKS << 24);
    // From 1.0.0.0 on, and past 127.0.0.0/8.
    let number = number + (1 << 24);
    let number = if number < 127 << 24 {
        number
    } else {
        number + (1 << 24)
    };
    let number = u32::try_from(number).expect("the last block is 223");
    RouterId::assignable(number.into()).expect("no block that is unfit is counted")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn node(annotation: Option<&str>, addresses: &[&str]) -> NodeFacts {
        let annotation = annotation.map(|text| (ROUTER_ID_ANNOTATION.to_owned(), text.to_owned()));
        NodeFacts {
            name: "worker-1".to_owned(),
            annotations: annotation.into_iter().collect(),
            internal_ips: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            ..NodeFacts::default()
        }
    }

    fn check(annotation: Option<&str>, addresses: &[&str], id: &str, origin: RouterIdOrigin) {
        let own = OwnRouterId::of_node(&node(annotation, addresses));
        assert_eq!((own.id.to_string().as_str(), own.origin), (id, origin));
        assert_eq!(own.problem, None);
    }

    #[test]
    fn the_annotation_goes_before_the_address_and_that_before_the_name() {
        let addresses = ["fd00::1", "10.0.0.1", "10.0.0.2"];
        let annotation = Some("192.0.2.9");
        check(
            annotation,
            &addresses,
            "192.0.2.9",
            RouterIdOrigin::Annotation,
        );
        check(None, &addresses, "10.0.0.1", RouterIdOrigin::InternalIp);
        check(
            None,
            &["fd00::1"],
            "207.209.91.61",
            RouterIdOrigin::NodeName,
        );
        check(annotation, &[], "192.0.2.9", RouterIdOrigin::Annotation);
        check(
            Some(" 192.0.2.9\n"),
            &[],
            "192.0.2.9",
            RouterIdOrigin::Annotation,
        );
    }

    #[test]
    fn an_address_that_is_no_identifier_is_passed_over() {
        let addresses = ["127.0.0.1", "224.0.0.1", "0.0.0.0", "10.0.0.1"];
        check(None, &addresses, "10.0.0.1", RouterIdOrigin::InternalIp);
        check(
            None,
            &["127.0.0.1"],
            "207.209.91.61",
            RouterIdOrigin::NodeName,
        );
    }

    #[test]
    fn an_annotation_that_is_no_identifier_is_told_and_not_followed() {
        for (text, why) in [
            ("rack-7", "is no IPv4 address"),
            ("", "is no IPv4 address"),
            ("fd00::1", "is no IPv4 address"),
            ("10.0.0.1/24", "is no IPv4 address"),
            ("0.0.0.0", "router id 0.0.0.0 is reserved"),
            ("127.0.0.1", "router id 127.0.0.1 is a loopback address"),
            (
                "255.255.255.255",
                "router id 255.255.255.255 is no unicast address",
            ),
        ] {
            let own = OwnRouterId::of_node(&node(Some(text), &["10.0.0.1"]));
            assert_eq!(own.id.to_string(), "10.0.0.1");
            assert_eq!(own.origin, RouterIdOrigin::InternalIp);
            let problem = own.problem.unwrap();
            let told = format!("annotation rutter.io/router-id is {text:?}, which is not used");
            assert!(
                problem.contains(&told) && problem.contains(why),
                "{problem}"
            );
        }
    }

    /// As `printf %s NAME | sha256sum` begins, by hand: these must never change.
    #[test]
    fn a_name_gives_the_same_identifier_in_every_version() {
        for (name, id) in [
            ("", "222.252.28.20"),
            ("a", "128.27.189.202"),
            ("worker-1", "207.209.91.61"),
            ("worker-2", "64.193.114.241"),
            (
                "ip-10-0-0-1.eu-central-1.compute.internal",
                "136.208.143.203",
            ),
        ] {
            assert_eq!(derived(name).to_string(), id, "{name}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_name_the_identifier_is_one_that_all_routers_take(name in ".*") {
            let id = Ipv4Addr::from(derived(&name));
            prop_assert!(!id.is_loopback() && (1..224).contains(&id.octets()[0]), "{id}");
        }
    }
}
