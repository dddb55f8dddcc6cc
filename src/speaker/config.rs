//! What the operator decides about the speaker: the form the owner of a [`Speaker`](super::Speaker)
//! gives it in. Valid by its types; what the words of a file mean is decided elsewhere.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;
use std::time::Duration;

use crate::bgp::{OpenParameters, PeerSettings};
use crate::types::{
    Asn, BGP_PORT, ClusterId, ConnectMode, Family, FirstAs, GroupId, HoldTime, NextHopMode,
    OverNotification, Password, PeerId, ReceiveLimits, Reflection, RestartTime, RouterId,
};

/// Everything the operator decides about the speaker. Given whole; the speaker works out what
/// differs and touches only the sessions whose own part changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeakerConfig {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// Our cluster, where we are a route reflector. Without one no learned route goes on to
    /// anybody.
    pub cluster_id: Option<ClusterId>,
    /// Next hops for routes of the family that a session's own addresses are not of.
    pub next_hops: NextHops,
    /// Every address of the node: a route by one of them would come back to us.
    pub addresses: BTreeSet<IpAddr>,
    /// What becomes of routes that peers announce.
    pub learning: Learning,
    /// Peers, each id once.
    pub peers: Vec<PeerConfig>,
}

/// What becomes of the routes that peers announce, as far as they may be used at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Learning {
    /// All take part in the choice of the best paths.
    #[default]
    Everything,
    /// Those that an [`Input::Import`](super::Input::Import) lets through, as it says.
    Decided,
}

/// Our own address in each family, where the node has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHops {
    /// For IPv4 routes over IPv6 sessions.
    pub ipv4: Option<Ipv4Addr>,
    /// For IPv6 routes over IPv4 sessions.
    pub ipv6: Option<Ipv6Addr>,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Stable for as long as this peer exists; the owner gives the same peer the same id.
    pub id: PeerId,
    /// For people.
    pub name: String,
    /// Its address; also what its own connections come from.
    pub address: IpAddr,
    /// Where it listens.
    pub port: u16,
    /// The AS its OPEN must name.
    pub asn: Asn,
    /// Which export decisions apply to it.
    pub group: GroupId,
    /// Whether we dial.
    pub connect_mode: ConnectMode,
    /// What we propose.
    pub hold_time: HoldTime,
    /// Our end of dialled connections; the kernel chooses where absent.
    pub local_address: Option<IpAddr>,
    /// Signs every segment (RFC 2385).
    pub password: Option<Password>,
    /// What the AS_PATH of its routes must begin with, where it is in another AS.
    pub first_as: FirstAs,
    /// How much it may send.
    pub limits: ReceiveLimits,
    /// What it is to us where we are a reflector.
    pub reflection: Reflection,
    /// What becomes of next hops towards it.
    pub next_hop_mode: NextHopMode,
    /// Our AS in its eyes, where that is another than ours.
    pub local_asn: Option<Asn>,
    /// How often our AS may stand in the AS_PATH of a route of its, for the route to be used.
    pub own_asn_allowed: u8,
    /// How many hops away it is at most; segments from farther away are dropped (RFC 5082).
    pub ttl_security: Option<NonZeroU8>,
    /// How often it is sent a KEEPALIVE, where a third of the hold time is too rarely.
    pub keepalive_time: Option<Duration>,
    /// How long either end keeps the other's routes without it, at most (RFC 4724); none where neither
    /// does.
    pub restart_time: Option<RestartTime>,
    /// Whether that is so when a session ends by a NOTIFICATION.
    pub over_notification: OverNotification,
    /// Why nobody may dial, where that is so: what is wrong with its key, say.
    pub barred: Option<String>,
}

impl SpeakerConfig {
    /// A speaker without peers that uses whatever it will learn and knows no address of its own.
    #[must_use]
    pub fn new(asn: Asn, router_id: RouterId) -> Self {
        Self {
            asn,
            router_id,
            cluster_id: None,
            next_hops: NextHops::default(),
            addresses: BTreeSet::new(),
            learning: Learning::default(),
            peers: Vec::new(),
        }
    }

    /// Our AS in the eyes of a peer.
    pub(super) fn asn_towards(&self, peer: &PeerConfig) -> Asn {
        peer.local_asn.unwrap_or(self.asn)
    }
}

impl PeerConfig {
    /// A peer that is dialled at the usual port, with all that may be left out left out.
    #[must_use]
    pub fn new(id: PeerId, address: IpAddr, asn: Asn) -> Self {
        Self {
            id,
            name: address.to_string(),
            address,
            port: BGP_PORT,
            asn,
            group: GroupId(0),
            connect_mode: ConnectMode::Active,
            hold_time: HoldTime::DEFAULT,
            local_address: None,
            password: None,
            first_as: FirstAs::Peers,
            limits: ReceiveLimits::DEFAULT,
            reflection: Reflection::NonClient,
            next_hop_mode: NextHopMode::Auto,
            local_asn: None,
            own_asn_allowed: 0,
            ttl_security: None,
            keepalive_time: None,
            restart_time: Some(RestartTime::DEFAULT),
            over_notification: OverNotification::Keep,
            barred: None,
        }
    }
}

impl NextHops {
    /// Our own address in this family.
    #[must_use]
    pub fn of(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::Ipv4Unicast => self.ipv4.map(IpAddr::V4),
            Family::Ipv6Unicast => self.ipv6.map(IpAddr::V6),
        }
    }
}

impl PeerSettings {
    /// What sessions with the peer are made of; its name, its group, its limits and what becomes of
    /// learned routes are not.
    pub(super) fn new(config: &SpeakerConfig, peer: &PeerConfig) -> Self {
        let PeerConfig {
            id: _,
            name: _,
            address,
            port,
            asn,
            group: _,
            connect_mode,
            hold_time,
            local_address,
            password,
            first_as,
            limits: _,
            reflection: _,
            next_hop_mode: _,
            local_asn: _,
            own_asn_allowed: _,
            ttl_security,
            keepalive_time,
            restart_time,
            over_notification,
            barred,
        } = peer;
        Self {
            remote: SocketAddr::new(*address, *port),
            local_address: *local_address,
            password: password.clone(),
            barred: barred.clone(),
            connect_mode: *connect_mode,
            ttl_security: *ttl_security,
            open: OpenParameters {
                local_asn: config.asn_towards(peer),
                router_id: config.router_id,
                peer_asn: *asn,
                hold_time: *hold_time,
                keepalive_time: *keepalive_time,
                first_as: *first_as,
                restart_time: *restart_time,
                over_notification: *over_notification,
            },
        }
    }
}
