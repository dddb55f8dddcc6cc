//! How the kernel would forward to an address, leaving out the routes that are ours: a next hop
//! that is reached by a learned route must not be taken for one that the node reaches by itself.
//!
//! The kernel tells which route matches. Where that is one of ours, the next shorter one of
//! somebody else is found in its tables; that is seldom, for ours lead to the next hops of others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rtnetlink::packet_core::NLM_F_REQUEST;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteType,
};

use super::{
    Kernel, KernelError, MAIN_TABLE, address_family, hops_of, interface, is_learned, metric_of,
    prefix_of, routes_among,
};
use crate::types::{Family, InterfaceIndex, Prefix, Reachability};

/// What the kernel forwards to an address by.
enum Matched {
    Ours,
    Another(Reachability),
}

impl Kernel {
    /// How it reaches these addresses by the routes that are not ours.
    ///
    /// # Errors
    /// It cannot be asked.
    pub(in crate::agent) async fn reachability(
        &self,
        addresses: &BTreeSet<IpAddr>,
    ) -> Result<BTreeMap<IpAddr, Reachability>, KernelError> {
        // Who no longer hears of changes must not go on with answers that nothing renews.
        if self.news.has_ended() {
            return Err(KernelError::Closed);
        }
        let mut found = BTreeMap::new();
        let mut hidden = BTreeSet::new();
        for address in addresses {
            match self.matched(*address).await? {
                Matched::Ours => {
                    hidden.insert(*address);
                }
                Matched::Another(reachability) => {
                    found.insert(*address, reachability);
                }
            }
        }
        if !hidden.is_empty() {
            found.extend(self.beneath_ours(&hidden).await?);
        }
        Ok(found)
    }

    async fn matched(&self, address: IpAddr) -> Result<Matched, KernelError> {
        let prefix = Prefix::host(address);
        let mut route = RouteMessage::default();
        route.header = RouteHeader {
            address_family: address_family(prefix.family()),
            destination_prefix_length: prefix.length(),
            flags: RouteFlags::FibMatch,
            ..RouteHeader::default()
        };
        route.attributes = vec![RouteAttribute::Destination(address.into())];
        let message = RouteNetlinkMessage::GetRoute(route);
        let answers = self.request(message, NLM_F_REQUEST).await;
        match answers.and_then(routes_among) {
            Ok(routes) => Ok(match routes.first() {
                Some(route) if is_learned(route, self.ours) => Matched::Ours,
                Some(route) => Matched::Another(reachability_by(route)),
                None => Matched::Another(Reachability::NoRoute),
            }),
            Err(KernelError::Refused(libc::ENETUNREACH)) => {
                Ok(Matched::Another(Reachability::NoRoute))
            }
            // Nobody may ask: that says nothing about the address.
            Err(error @ KernelError::Refused(libc::EPERM | libc::EOPNOTSUPP)) => Err(error),
            // What the kernel says of an IPv4 route of the type `blackhole`.
            Err(KernelError::Refused(libc::EINVAL)) => Ok(Matched::Another(Reachability::Refused(
                "packets are discarded".to_owned(),
            ))),
            Err(refused @ KernelError::Refused(_)) => {
                Ok(Matched::Another(Reachability::Refused(refused.to_string())))
            }
            Err(error @ (KernelError::Closed | KernelError::Unexpected(_))) => Err(error),
        }
    }

    /// The same of addresses that ours lead to.
    async fn beneath_ours(
        &self,
        addresses: &BTreeSet<IpAddr>,
    ) -> Result<BTreeMap<IpAddr, Reachability>, KernelError> {
        let families: BTreeSet<Family> = addresses.iter().copied().map(Family::of).collect();
        let mut longest: BTreeMap<IpAddr, RouteMessage> = BTreeMap::new();
        for family in families {
            for table in BTreeSet::from([MAIN_TABLE, self.ours.table]) {
                for route in self.dump(address_family(family), table).await? {
                    if !is_learned(&route, self.ours) {
                        take_longer(addresses, &route, &mut longest);
                    }
                }
            }
        }
        let found = |address: &IpAddr| {
            let reachability = longest.get(address).map(reachability_by);
            (*address, reachability.unwrap_or(Reachability::NoRoute))
        };
        Ok(addresses.iter().map(found).collect())
    }
}

/// Keeps a route for those addresses that no better one leads to.
pub(super) fn take_longer(
    addresses: &BTreeSet<IpAddr>,
    route: &RouteMessage,
    longest: &mut BTreeMap<IpAddr, RouteMessage>,
) {
    let Some(prefix) = prefix_of(route) else {
        return;
    };
    // The kernel goes on looking as if it were not there.
    if route.header.kind == RouteType::Throw {
        return;
    }
    let rank = |route: &RouteMessage| {
        let length = route.header.destination_prefix_length;
        (length, std::cmp::Reverse(metric_of(route)))
    };
    for address in addresses.range(prefix.address()..=prefix.net().broadcast()) {
        let best = longest.get(address);
        if best.is_none_or(|best| rank(best) < rank(route)) {
            longest.insert(*address, route.clone());
        }
    }
}

/// How an address is reached that this route leads to.
pub(super) fn reachability_by(route: &RouteMessage) -> Reachability {
    if route.header.kind == RouteType::Local {
        return Reachability::Own;
    }
    if route.header.kind != RouteType::Unicast {
        let kind = format!("{:?}", route.header.kind).to_lowercase();
        return Reachability::Refused(format!("the kernel's route there is {kind}"));
    }
    let hops = hops_of(route);
    match (hops.is_empty(), interface(route), prefix_of(route)) {
        (false, _, Some(by)) => Reachability::Routed { hops, by },
        (true, Some(interface), _) => Reachability::OnLink(InterfaceIndex(interface)),
        (false, _, None) | (true, None, _) => Reachability::NoRoute,
    }
}
