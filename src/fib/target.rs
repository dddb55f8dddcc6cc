//! Which route there should be to a prefix, by what BGP says and what the kernel can reach; or
//! why there must be none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::kernel::{Hop, InterfaceIndex, Reach};
use crate::types::{Family, Prefix};

/// The next hop of one path that BGP uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Via {
    /// NEXT_HOP.
    pub address: IpAddr,
    /// The link-local address beside an IPv6 one (RFC 2545 section 3).
    pub link_local: Option<Ipv6Addr>,
    /// Who announced it: a link-local address is on the network that this one is on.
    pub peer: IpAddr,
}

/// Why there is no route to a prefix although BGP has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The node announces it itself, or has its pods there.
    #[error("it is in {within}, which is this node's own")]
    OwnPrefix {
        /// The node's prefix.
        within: Prefix,
    },
    /// The node reaches it without a router.
    #[error("it is in {within}, which this node is connected to")]
    Connected {
        /// The network, or an address of the node's.
        within: Prefix,
    },
    /// No next hop can be used.
    #[error("{}", listed(.0))]
    NoNextHop(Vec<NotReached>),
    /// The kernel has not said yet how it would reach one of the next hops.
    #[error("its next hops are being looked up")]
    LookingUp,
}

/// Why a next hop cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReached {
    /// Routes by a router that is itself reached by another are not supported.
    #[error("next hop {address} is not on a connected network, but behind {router}")]
    Behind {
        /// The next hop.
        address: IpAddr,
        /// By whom the kernel would reach it.
        router: IpAddr,
    },
    /// Packets would come back.
    #[error("next hop {address} is this node's own address")]
    Own {
        /// The next hop.
        address: IpAddr,
    },
    /// The kernel knows no way there.
    #[error("next hop {address} cannot be reached: {words}")]
    Unreachable {
        /// The next hop.
        address: IpAddr,
        /// The kernel's words.
        words: String,
    },
    /// A link-local address says nothing without an interface.
    #[error("next hop {address} is link-local, and its peer is not on a connected network")]
    NoInterface {
        /// The next hop.
        address: IpAddr,
    },
    /// A policy chose an address of the other family.
    #[error("next hop {address} is not of the prefix's family")]
    OtherFamily {
        /// The next hop.
        address: IpAddr,
    },
}

impl Via {
    /// The addresses that must be looked up before it can be used.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let needs_interface = self.link_local.is_some() || is_link_local(self.address);
        let address = Some(self.address).filter(|address| !is_link_local(*address));
        let peer = Some(self.peer).filter(|_| needs_interface);
        address.into_iter().chain(peer)
    }

    /// The way out that it means: its address where that is a neighbour, else its link-local
    /// address on the network of its peer.
    ///
    /// # Errors
    /// Why there is none. `reach` has all of its addresses.
    fn hop(&self, family: Family, reach: &BTreeMap<IpAddr, Reach>) -> Result<Hop, NotReached> {
        let address = self.address;
        if Family::of(address) != family {
            return Err(NotReached::OtherFamily { address });
        }
        if let IpAddr::V6(link_local) = address
            && link_local.is_unicast_link_local()
        {
            let interface = self.interface(reach);
            let hop = interface.map(|interface| Hop {
                gateway: address,
                interface,
            });
            return hop.ok_or(NotReached::NoInterface { address });
        }
        let not_reached = match reach.get(&address) {
            Some(Reach::OnLink(interface)) => {
                return Ok(Hop {
                    gateway: address,
                    interface: *interface,
                });
            }
            // What would come back to us is no way out by another address either.
            Some(Reach::Own) => return Err(NotReached::Own { address }),
            Some(Reach::Gateway(router)) => NotReached::Behind {
                address,
                router: *router,
            },
            Some(Reach::Unreachable(words)) => NotReached::Unreachable {
                address,
                words: words.clone(),
            },
            None => NotReached::Unreachable {
                address,
                words: "not looked up".to_owned(),
            },
        };
        match (self.link_local, self.interface(reach)) {
            (Some(link_local), Some(interface)) => Ok(Hop {
                gateway: link_local.into(),
                interface,
            }),
            (Some(_) | None, _) => Err(not_reached),
        }
    }

    /// The interface that the peer is a neighbour on.
    fn interface(&self, reach: &BTreeMap<IpAddr, Reach>) -> Option<InterfaceIndex> {
        match reach.get(&self.peer) {
            Some(Reach::OnLink(interface)) => Some(*interface),
            Some(Reach::Own | Reach::Gateway(_) | Reach::Unreachable(_)) | None => None,
        }
    }
}

/// The ways out to a prefix, at least one: those next hops that are neighbours, whatever the
/// others are.
///
/// # Errors
/// Why there must be no route, or can be none.
pub(super) fn target(
    prefix: Prefix,
    vias: &BTreeSet<Via>,
    own: &BTreeSet<Prefix>,
    connected: &BTreeSet<Prefix>,
    reach: &BTreeMap<IpAddr, Reach>,
) -> Result<BTreeSet<Hop>, Unfit> {
    if let Some(why) = forbidden(prefix, own, connected) {
        return Err(why);
    }
    let mut addresses = vias.iter().flat_map(Via::addresses);
    if addresses.any(|address| !reach.contains_key(&address)) {
        return Err(Unfit::LookingUp);
    }
    let mut hops = BTreeSet::new();
    let mut not_reached = Vec::new();
    for via in vias {
        match via.hop(prefix.family(), reach) {
            Ok(hop) => {
                hops.insert(hop);
            }
            Err(why) => not_reached.push(why),
        }
    }
    if hops.is_empty() {
        return Err(Unfit::NoNextHop(not_reached));
    }
    Ok(hops)
}

/// Why there must be no route to a prefix, whoever announces it.
pub(super) fn forbidden(
    prefix: Prefix,
    own: &BTreeSet<Prefix>,
    connected: &BTreeSet<Prefix>,
) -> Option<Unfit> {
    let own = covering(own, prefix).map(|within| Unfit::OwnPrefix { within });
    own.or_else(|| covering(connected, prefix).map(|within| Unfit::Connected { within }))
}

/// The shortest of the prefixes that `prefix` is, or is a part of.
fn covering(prefixes: &BTreeSet<Prefix>, prefix: Prefix) -> Option<Prefix> {
    let shortened = |length| {
        let net = IpNet::new(prefix.address(), length).expect("shorter than the prefix's own");
        Prefix::new(net)
    };
    (0..=prefix.length())
        .map(shortened)
        .find(|shorter| prefixes.contains(shorter))
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn listed(reasons: &[impl fmt::Display]) -> String {
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    reasons.join("; ")
}
