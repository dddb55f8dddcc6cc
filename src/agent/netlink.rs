//! The kernel's routes by rtnetlink, the only place that speaks it: what it holds, how it reaches
//! an address, changes, and news of whatever others change. [`fib`](super::fib) and
//! [`next_hops`](super::next_hops) each have a [`Kernel`] of their own.
//!
//! Nothing is decided here. A route counts as ours by its table and protocol number alone.

mod lookup;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;
use futures::channel::mpsc::UnboundedReceiver;
use ipnet::IpNet;
use rtnetlink::packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop,
    RouteNextHopFlags, RouteProtocol, RouteScope, RouteType, RouteVia,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{AsyncSocket as _, SocketAddr};
use rtnetlink::{Handle, MulticastGroup};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::config::KernelConfig;
use crate::fib::{Change, KernelView, RouteKey, TUNNEL, Target};
use crate::types::{Family, Hop, InterfaceIndex, Prefix};

/// The kernel's own table: the node's addresses.
const LOCAL_TABLE: u32 = 255;
const MAIN_TABLE: u32 = 254;

/// What others change that routes depend on.
const GROUPS: [MulticastGroup; 5] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// Which routes are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) struct Ours {
    pub(in crate::agent) table: u32,
    pub(in crate::agent) protocol: u8,
}

impl Ours {
    /// No route is. There is no table 0.
    pub(in crate::agent) const NOTHING: Self = Self {
        table: 0,
        protocol: 0,
    };

    pub(in crate::agent) fn of(config: &KernelConfig) -> Self {
        Self {
            table: config.table,
            protocol: config.protocol,
        }
    }
}

/// Of which of others' changes somebody wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) enum Interest {
    /// Those that routes of ours depend on.
    OurRoutes,
    /// Those that next hops depend on: any route that is not ours.
    NextHops,
}

/// Two sockets to the kernel: one to ask and change, one to listen. Dropping it closes them.
#[derive(Debug)]
pub(in crate::agent) struct Kernel {
    ours: Ours,
    handle: Handle,
    news: Arc<News>,
    #[expect(dead_code, reason = "held only to be dropped")]
    connections: JoinSet<()>,
}

/// What was heard of others' changes.
#[derive(Debug, Default)]
struct News {
    told: Notify,
    /// Nothing is heard any more.
    ended: AtomicBool,
}

impl News {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// What the kernel did not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::agent) enum KernelError {
    /// It refused.
    #[error("{}", words(*.0))]
    Refused(i32),
    /// It cannot be asked.
    #[error("the netlink socket has ended")]
    Closed,
    /// Its answer makes no sense.
    #[error("the kernel gave an unexpected answer: {0}")]
    Unexpected(String),
}

impl KernelError {
    /// Whether nothing at all may be changed.
    pub(in crate::agent) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused(libc::EPERM))
    }

    /// Whether the kernel can no longer be asked by these sockets.
    pub(in crate::agent) fn is_closed(&self) -> bool {
        *self == Self::Closed
    }

    /// Whether the kernel has other routes than was thought.
    pub(in crate::agent) fn is_surprise(&self) -> bool {
        matches!(
            self,
            Self::Refused(libc::EEXIST | libc::ENOENT | libc::ESRCH)
        )
    }
}

impl Kernel {
    /// Opens both sockets. Listening begins before this returns, so that nothing is missed that
    /// happens after the first [`Self::read`].
    ///
    /// # Errors
    /// The system's.
    pub(in crate::agent) fn open(ours: Ours, interest: Interest) -> io::Result<Self> {
        let (mut asking, handle, _) = rtnetlink::new_connection_with_strict_check()?;
        let own = asking.socket_mut().socket_mut().bind_auto()?;
        // Told, an end of the connection is not taken for an end of the answer.
        asking.set_forward_ack(true);
        asking.set_forward_done(true);
        let (listening, _, messages) = rtnetlink::new_multicast_connection(&GROUPS)?;
        let news = Arc::new(News::default());
        let mut connections = JoinSet::new();
        connections.spawn(asking);
        connections.spawn(listening);
        let told = Arc::clone(&news);
        connections.spawn(listen(messages, (ours, interest), own.port_number(), told));
        Ok(Self {
            ours,
            handle,
            news,
            connections,
        })
    }

    /// Waits until somebody else changed what routes depend on, or may have. Cancel-safe: what
    /// happens while nobody waits is heard by whoever waits next.
    pub(in crate::agent) async fn news(&self) {
        self.news.told.notified().await;
    }

    /// What it holds.
    ///
    /// # Errors
    /// It cannot be asked.
    pub(in crate::agent) async fn read(&self) -> Result<KernelView, KernelError> {
        if self.news.has_ended() {
            return Err(KernelError::Closed);
        }
        let mut view = KernelView::default();
        let tables = BTreeSet::from([LOCAL_TABLE, MAIN_TABLE, self.ours.table]);
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            for table in &tables {
                for route in self.dump(family, *table).await? {
                    take(self.ours, &route, &mut view);
                }
            }
        }
        view.tunnel = self.interface(TUNNEL).await?;
        Ok(view)
    }

    /// The interface of this name, if there is one.
    async fn interface(&self, name: &str) -> Result<Option<InterfaceIndex>, KernelError> {
        let mut link = LinkMessage::default();
        link.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        let message = RouteNetlinkMessage::GetLink(link);
        let answers = match self.request(message, NLM_F_REQUEST).await {
            Err(KernelError::Refused(libc::ENODEV)) => return Ok(None),
            answers => answers?,
        };
        match answers.first() {
            Some(RouteNetlinkMessage::NewLink(link)) => Ok(Some(InterfaceIndex(link.header.index))),
            other => Err(KernelError::Unexpected(format!("{other:?}"))),
        }
    }

    /// Does one thing.
    ///
    /// # Errors
    /// It was not done, and why.
    pub(in crate::agent) async fn apply(&self, change: &Change) -> Result<(), KernelError> {
        let (message, flags) = match change {
            Change::Add { key, target } => (
                RouteNetlinkMessage::NewRoute(route_of(self.ours, *key, target)),
                NLM_F_CREATE | NLM_F_EXCL,
            ),
            // Without NLM_F_CREATE, it never takes the place of nothing.
            Change::Replace { key, target } => (
                RouteNetlinkMessage::NewRoute(route_of(self.ours, *key, target)),
                NLM_F_REPLACE,
            ),
            Change::Remove(key) => {
                let mut route = route_to(self.ours, *key);
                // Whatever scope the kernel has given it, and whatever becomes of packets by it.
                route.header.scope = RouteScope::NoWhere;
                route.header.kind = RouteType::Unspec;
                (RouteNetlinkMessage::DelRoute(route), 0)
            }
        };
        let answer = self
            .request(message, NLM_F_REQUEST | NLM_F_ACK | flags)
            .await;
        match (answer, change) {
            // Gone is gone, by whomever.
            (Err(KernelError::Refused(libc::ESRCH)), Change::Remove(_)) => Ok(()),
            (answer, _) => answer.map(|_| ()),
        }
    }

    /// Whether anything may be changed at all: tries to remove a route that nobody can have.
    ///
    /// # Errors
    /// It may not, or the kernel cannot be asked.
    pub(in crate::agent) async fn probe(&self) -> Result<(), KernelError> {
        let nobody = RouteKey {
            prefix: Prefix::host(IpAddr::from([0, 0, 0, 0])),
            metric: u32::MAX,
        };
        self.apply(&Change::Remove(nobody)).await
    }

    /// The routes of a table, which may not exist.
    async fn dump(
        &self,
        family: AddressFamily,
        table: u32,
    ) -> Result<Vec<RouteMessage>, KernelError> {
        let mut route = RouteMessage::default();
        route.header.address_family = family;
        set_table(&mut route, table);
        let message = RouteNetlinkMessage::GetRoute(route);
        match self.request(message, NLM_F_REQUEST | NLM_F_DUMP).await {
            Err(KernelError::Refused(libc::ENOENT)) => Ok(Vec::new()),
            answers => routes_among(answers?),
        }
    }

    async fn request(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, KernelError> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        let answers = self.handle.clone().request(request);
        let mut answers = answers.map_err(|_| KernelError::Closed)?;
        let mut told = Vec::new();
        let mut is_complete = false;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Done(_) = answer.payload {
                is_complete = true;
            } else if let NetlinkPayload::Error(ErrorMessage { code, .. }) = answer.payload {
                is_complete = true;
                if let Some(code) = code {
                    return Err(KernelError::Refused(code.get().abs()));
                }
            } else if let NetlinkPayload::InnerMessage(message) = answer.payload {
                told.push(message);
                // The only answer to a question about one thing.
                is_complete |= flags == NLM_F_REQUEST;
            } else {
                return Err(KernelError::Unexpected(format!("{:?}", answer.payload)));
            }
        }
        if is_complete {
            Ok(told)
        } else {
            Err(KernelError::Closed)
        }
    }
}

/// What was told, where nothing but routes was asked for.
fn routes_among(answers: Vec<RouteNetlinkMessage>) -> Result<Vec<RouteMessage>, KernelError> {
    let route = |answer| {
        if let RouteNetlinkMessage::NewRoute(route) = answer {
            Ok(route)
        } else {
            Err(KernelError::Unexpected(format!("{answer:?}")))
        }
    };
    answers.into_iter().map(route).collect()
}

/// A route of ours, without a way.
fn route_to(ours: Ours, key: RouteKey) -> RouteMessage {
    let RouteKey { prefix, metric } = key;
    let mut route = RouteMessage::default();
    route.header = RouteHeader {
        address_family: address_family(prefix.family()),
        destination_prefix_length: prefix.length(),
        protocol: RouteProtocol::from(ours.protocol),
        scope: RouteScope::Universe,
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    set_table(&mut route, ours.table);
    route.attributes.extend([
        RouteAttribute::Destination(prefix.address().into()),
        RouteAttribute::Priority(metric),
    ]);
    route
}

/// A route of ours.
fn route_of(ours: Ours, key: RouteKey, target: &Target) -> RouteMessage {
    let mut route = route_to(ours, key);
    let family = key.prefix.family();
    let hops = match target {
        Target::Hops(hops) => hops,
        Target::Tunnel(hops) => {
            route.header.flags |= RouteFlags::Onlink;
            hops
        }
        Target::Blackhole => {
            route.header.kind = RouteType::BlackHole;
            return route;
        }
    };
    let mut ways = hops.iter();
    match (ways.next(), ways.next()) {
        (None, _) => {}
        (Some(hop), None) => route.attributes.extend([
            gateway_of(family, hop.gateway),
            RouteAttribute::Oif(hop.interface.0),
        ]),
        (Some(_), Some(_)) => {
            let ways = hops.iter().map(|hop| {
                let mut way = next_hop(family, hop);
                if let Target::Tunnel(_) = target {
                    way.flags |= RouteNextHopFlags::Onlink;
                }
                way
            });
            let ways = ways.collect();
            route.attributes.push(RouteAttribute::MultiPath(ways));
        }
    }
    route
}

/// Where a route of ours leads.
fn target_of(route: &RouteMessage) -> Target {
    if route.header.kind == RouteType::BlackHole {
        return Target::Blackhole;
    }
    let several = attribute(route, |attribute| {
        if let RouteAttribute::MultiPath(ways) = attribute {
            Some(ways)
        } else {
            None
        }
    });
    let is_onlink = match several {
        Some(ways) => {
            let mut ways = ways.iter();
            ways.all(|way| way.flags.contains(RouteNextHopFlags::Onlink))
        }
        None => route.header.flags.contains(RouteFlags::Onlink),
    };
    match is_onlink {
        true => Target::Tunnel(hops_of(route)),
        false => Target::Hops(hops_of(route)),
    }
}

/// Puts a route where it belongs in the view.
fn take(ours: Ours, route: &RouteMessage, view: &mut KernelView) {
    let Some(prefix) = prefix_of(route) else {
        return;
    };
    if is_ours(route, ours) {
        let metric = metric_of(route);
        let key = RouteKey { prefix, metric };
        view.routes.insert(key, target_of(route));
    } else if is_connected(route) && prefix.length() > 0 {
        view.connected.insert(prefix);
    }
}

/// Tells when others change something that matters, until the connection ends. It keeps up with
/// whatever the kernel says, for many changes are one piece of news.
async fn listen(
    mut messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    (ours, interest): (Ours, Interest),
    own_port: u32,
    news: Arc<News>,
) {
    while let Some((message, _)) = messages.next().await {
        // What we do ourselves is told, too.
        if message.header.port_number != own_port && matters(&message.payload, ours, interest) {
            news.told.notify_one();
        }
    }
    news.ended.store(true, Ordering::Relaxed);
    news.told.notify_one();
}

/// For our routes, of routes only our own and those to what the node is connected to.
fn matters(payload: &NetlinkPayload<RouteNetlinkMessage>, ours: Ours, interest: Interest) -> bool {
    // Anything else is an interface, an address, or a sign that messages were lost.
    let NetlinkPayload::InnerMessage(
        RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route),
    ) = payload
    else {
        return true;
    };
    match interest {
        Interest::OurRoutes => is_ours(route, ours) || is_connected(route),
        Interest::NextHops => !is_learned(route, ours),
    }
}

fn is_ours(route: &RouteMessage, ours: Ours) -> bool {
    let RouteHeader {
        tos,
        protocol,
        kind,
        ..
    } = route.header;
    tos == 0
        && matches!(kind, RouteType::Unicast | RouteType::BlackHole)
        && u8::from(protocol) == ours.protocol
        && table_of(route) == ours.table
}

/// Those of ours that lead somewhere: by the others, next hops are as unreachable as by anybody's.
fn is_learned(route: &RouteMessage, ours: Ours) -> bool {
    route.header.kind == RouteType::Unicast && is_ours(route, ours)
}

/// The node's own addresses and what it reaches without a gateway.
fn is_connected(route: &RouteMessage) -> bool {
    if table_of(route) == LOCAL_TABLE {
        return route.header.kind == RouteType::Local;
    }
    route.header.kind == RouteType::Unicast && hops_of(route).is_empty()
}

fn table_of(route: &RouteMessage) -> u32 {
    let table = attribute(route, |attribute| {
        if let RouteAttribute::Table(table) = attribute {
            Some(*table)
        } else {
            None
        }
    });
    table.unwrap_or(u32::from(route.header.table))
}

fn metric_of(route: &RouteMessage) -> u32 {
    let metric = attribute(route, |attribute| {
        if let RouteAttribute::Priority(metric) = attribute {
            Some(*metric)
        } else {
            None
        }
    });
    metric.unwrap_or(0)
}

fn set_table(route: &mut RouteMessage, table: u32) {
    match u8::try_from(table) {
        Ok(table) => route.header.table = table,
        Err(_) => route.attributes.push(RouteAttribute::Table(table)),
    }
}

fn prefix_of(route: &RouteMessage) -> Option<Prefix> {
    let destination = attribute(route, |attribute| {
        if let RouteAttribute::Destination(address) = attribute {
            ip(address)
        } else {
            None
        }
    });
    // The default route comes without one.
    let unspecified = if route.header.address_family == AddressFamily::Inet {
        IpAddr::from([0; 4])
    } else {
        IpAddr::from([0; 16])
    };
    let length = route.header.destination_prefix_length;
    let net = IpNet::new(destination.unwrap_or(unspecified), length);
    net.ok().map(Prefix::new)
}

/// Its ways out by gateways.
fn hops_of(route: &RouteMessage) -> BTreeSet<Hop> {
    let hop = |attributes: &[RouteAttribute], interface: Option<u32>| {
        Some(Hop {
            gateway: gateway(attributes)?,
            interface: InterfaceIndex(interface?),
        })
    };
    let several = attribute(route, |attribute| {
        if let RouteAttribute::MultiPath(ways) = attribute {
            Some(ways)
        } else {
            None
        }
    });
    match several {
        Some(ways) => ways
            .iter()
            .filter_map(|way| hop(&way.attributes, Some(way.interface_index)))
            .collect(),
        None => hop(&route.attributes, interface(route))
            .into_iter()
            .collect(),
    }
}

fn next_hop(family: Family, hop: &Hop) -> RouteNextHop {
    let mut way = RouteNextHop::default();
    way.interface_index = hop.interface.0;
    way.attributes = vec![gateway_of(family, hop.gateway)];
    way
}

/// A gateway as a route of the family names it.
fn gateway_of(family: Family, gateway: IpAddr) -> RouteAttribute {
    match (family, gateway) {
        (Family::Ipv4Unicast, IpAddr::V6(gateway)) => RouteAttribute::Via(RouteVia::Inet6(gateway)),
        (Family::Ipv4Unicast | Family::Ipv6Unicast, gateway) => {
            RouteAttribute::Gateway(gateway.into())
        }
    }
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Gateway(address) = attribute {
            return ip(address);
        }
        // An IPv4 route by an IPv6 router.
        if let RouteAttribute::Via(RouteVia::Inet6(address)) = attribute {
            return Some((*address).into());
        }
        None
    })
}

/// Of several, the first.
fn interface(route: &RouteMessage) -> Option<u32> {
    attribute(route, |attribute| {
        if let RouteAttribute::Oif(index) = attribute {
            Some(*index)
        } else if let RouteAttribute::MultiPath(ways) = attribute {
            ways.first().map(|way| way.interface_index)
        } else {
            None
        }
    })
}

fn attribute<'r, T>(
    route: &'r RouteMessage,
    pick: impl Fn(&'r RouteAttribute) -> Option<T>,
) -> Option<T> {
    route.attributes.iter().find_map(pick)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    if let RouteAddress::Inet(address) = address {
        return Some((*address).into());
    }
    if let RouteAddress::Inet6(address) = address {
        return Some((*address).into());
    }
    None
}

fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::Ipv4Unicast => AddressFamily::Inet,
        Family::Ipv6Unicast => AddressFamily::Inet6,
    }
}

/// The system's words for an error, without its number.
fn words(code: i32) -> String {
    let text = io::Error::from_raw_os_error(code).to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
