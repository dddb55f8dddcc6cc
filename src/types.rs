//! The words every other module speaks: numbers and addresses of BGP and Kubernetes as types.
//!
//! Newtypes, never aliases, and each is valid by construction: a [`HoldTime`] of two seconds
//! or a [`Prefix`] with host bits set cannot exist. Used by everyone; uses nobody.

mod attributes;
mod bgp;
mod community;
mod digest;
mod learned;
mod limits;
mod peering;
mod pods;
mod prefix;
mod reach;
mod restart;
mod secret;
mod text;
mod unroutable;

pub use attributes::{PREPEND_MAX, RouteAttributes};
pub use bgp::{
    Asn, BGP_PORT, ConnectMode, FirstAs, GroupId, HoldTime, InvalidHoldTime, InvalidRouterId,
    PeerId, PeerType, ROUTER_ID_ANNOTATION, RouterId, UnfitAsn, UnfitRouterId,
};
pub use community::{Community, ExtendedCommunity, InvalidCommunity, LargeCommunity};
pub use digest::{Digest, InvalidDigest};
pub use learned::{Installation, RouteVersion};
pub use limits::ReceiveLimits;
pub use peering::{ClusterId, NextHopMode, Reflection};
pub use pods::{Encapsulation, IpPool, OwnBlocks, PoolRoutes, ProgramClusterRoutes, Tunnelled};
pub use prefix::{Family, Prefix};
pub use reach::{Hop, InterfaceIndex, Reachability};
pub use restart::{InvalidRestartTime, OverNotification, RestartTime};
pub use secret::{InvalidPassword, Password};
pub use text::shortened;
