//! What the operator decides about the speaker: the form the owner of a [`Speaker`](super::Speaker)
//! gives it in. Valid by its types; what the words of a file mean is decided elsewhere.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::bgp::{OpenParameters, PeerSettings};
use crate::types::{
    Asn, BGP_PORT, ConnectMode, Family, FirstAs, GroupId, HoldTime, Password, PeerId,
    ReceiveLimits, RestartTime, RouterId,
};

/// Everything the operator decides about the speaker. Given whole; the speaker works out what
/// differs and touches only the sessions whose own part changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeakerConfig {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
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
    /// How long either end keeps the other's routes without it, at most (RFC 4724); none where neither
    /// does.
    pub restart_time: Option<RestartTime>,
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
            next_hops: NextHops::default(),
            addresses: BTreeSet::new(),
            learning: Learning::default(),
            peers: Vec::new(),
        }
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
            restart_time: Some(RestartTime::DEFAULT),
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
    /// What sessions with the peer are made of; its name, its group and its limits are not.
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
            restart_time,
            barred,
        } = peer;
        Self {
            remote: SocketAddr::new(*address, *port),
            local_address: *local_address,
            password: password.clone(),
            barred: barred.clone(),
            connect_mode: *connect_mode,
            open: OpenParameters {
                local_asn: config.asn,
                router_id: config.router_id,
                peer_asn: *asn,
                hold_time: *hold_time,
                first_as: *first_as,
                restart_time: *restart_time,
            },
        }
    }
}
