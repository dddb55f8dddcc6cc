//! Every field of the kinds' `spec`, and what becomes of it. The one place where that stands.

use super::Kind;

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// It decides something here.
    Read,
    /// It is about something else than BGP: the CNI's work, which goes on as before.
    Elsewhere,
    /// It is not heeded, which is told unless the value is as JSON one of those that mean nothing
    /// else than what is done anyway.
    Refused {
        unless: &'static [&'static str],
        why: &'static str,
    },
}

use Support::{Elsewhere, Read};

const fn refused(unless: &'static [&'static str], why: &'static str) -> Support {
    Support::Refused { unless, why }
}

/// Paths below `spec`, with `[]` for the elements of a list. What is in none of them is unknown.
pub(super) fn table(kind: Kind) -> &'static [(&'static str, Support)] {
    match kind {
        Kind::BgpConfiguration => BGP_CONFIGURATION,
        Kind::BgpPeer => BGP_PEER,
        Kind::BgpFilter => BGP_FILTER,
        Kind::Node => NODE,
        Kind::IpPool => IP_POOL,
        Kind::BlockAffinity => BLOCK_AFFINITY,
    }
}

const BGP_CONFIGURATION: &[(&str, Support)] = &[
    (
        "logSeverityScreen",
        refused(&["\"Info\"", "\"\""], "the agent logs as RUTTER_LOG says"),
    ),
    ("nodeToNodeMeshEnabled", Read),
    ("asNumber", Read),
    ("serviceClusterIPs[].cidr", Read),
    ("serviceExternalIPs[].cidr", Read),
    ("serviceLoadBalancerIPs[].cidr", Read),
    ("serviceLoadBalancerAggregation", Read),
    ("communities[].name", Read),
    ("communities[].value", Read),
    ("prefixAdvertisements[].cidr", Read),
    ("prefixAdvertisements[].communities", Read),
    ("listenPort", Read),
    ("nodeMeshPassword.secretKeyRef.name", Read),
    ("nodeMeshPassword.secretKeyRef.key", Read),
    (
        "nodeMeshPassword.secretKeyRef.optional",
        refused(&["false"], "a key that is not there bars its sessions"),
    ),
    ("nodeMeshMaxRestartTime", Read),
    ("bindMode", Read),
    (
        "ignoredInterfaces",
        refused(
            &["[]"],
            "networks of interfaces are never announced, and the kernel resolves next hops",
        ),
    ),
    ("localWorkloadPeeringIPV4", refused(&["\"\""], WORKLOADS)),
    ("localWorkloadPeeringIPV6", refused(&["\"\""], WORKLOADS)),
    (
        "programClusterRoutes",
        refused(
            &["\"Enabled\"", "\"\""],
            "[kernel] of the configuration file says whether learned routes are installed",
        ),
    ),
    ("ipv4NormalRoutePriority", refused(&["1024"], PRIORITY)),
    ("ipv6NormalRoutePriority", refused(&["1024"], PRIORITY)),
];

/// Of `node.NAME` these alone apply.
pub(super) const OF_NODE_CONFIGURATION: &[&str] = &[
    "prefixAdvertisements",
    "communities",
    "listenPort",
    "logSeverityScreen",
];

const WORKLOADS: &str = "there are no peerings with workloads";
const PRIORITY: &str = "routes are announced with the LOCAL_PREF that policies give them";

const BGP_PEER: &[(&str, Support)] = &[
    ("node", Read),
    ("nodeSelector", Read),
    ("peerIP", Read),
    ("asNumber", Read),
    ("localASNumber", Read),
    ("peerSelector", Read),
    ("keepOriginalNextHop", Read),
    ("nextHopMode", Read),
    ("password.secretKeyRef.name", Read),
    ("password.secretKeyRef.key", Read),
    (
        "password.secretKeyRef.optional",
        refused(&["false"], "a key that is not there bars its sessions"),
    ),
    ("sourceAddress", Read),
    ("maxRestartTime", Read),
    ("keepaliveTime", Read),
    ("numAllowedLocalASNumbers", Read),
    ("ttlSecurity", Read),
    (
        "reachableBy",
        refused(
            &["\"\""],
            "the node's routing table says how the peer is reached: add a route to it there",
        ),
    ),
    ("filters", Read),
    // Heeded in that the whole peering is refused.
    ("localWorkloadSelector", Read),
    ("reversePeering", Read),
];

/// The lists of rules; their fields are in `RULE`.
const BGP_FILTER: &[(&str, Support)] = &[
    ("exportV4", Read),
    ("importV4", Read),
    ("exportV6", Read),
    ("importV6", Read),
];

const NODE: &[(&str, Support)] = &[
    ("bgp.ipv4Address", Read),
    ("bgp.ipv6Address", Read),
    ("bgp.asNumber", Read),
    ("bgp.routeReflectorClusterID", Read),
    ("bgp.ipv4IPIPTunnelAddr", Elsewhere),
    ("addresses", Elsewhere),
    ("interfaces", Elsewhere),
    ("ipv4VXLANTunnelAddr", Elsewhere),
    ("ipv6VXLANTunnelAddr", Elsewhere),
    ("orchRefs", Elsewhere),
    ("vxlanTunnelMACAddr", Elsewhere),
    ("vxlanTunnelMACAddrV6", Elsewhere),
    ("wireguard", Elsewhere),
];

const IP_POOL: &[(&str, Support)] = &[
    ("cidr", Read),
    ("disableBGPExport", Read),
    ("ipipMode", Read),
    ("vxlanMode", Read),
    ("allowedUses", Elsewhere),
    ("assignmentMode", Elsewhere),
    ("blockSize", Elsewhere),
    ("disabled", Elsewhere),
    ("ipip", Elsewhere),
    ("namespaceSelector", Elsewhere),
    ("nat-outgoing", Elsewhere),
    ("natOutgoing", Elsewhere),
    ("nodeSelector", Elsewhere),
];

const BLOCK_AFFINITY: &[(&str, Support)] = &[
    ("state", Read),
    ("node", Read),
    ("cidr", Read),
    ("deleted", Read),
    ("type", Elsewhere),
];

/// What becomes of a field of a BGPFilter's rule, by the direction of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RuleSupport {
    /// The policy `calico-filter` heeds it.
    Heeded,
    /// A rule with it matches nothing that the list is asked about, and is left out.
    Never(&'static str),
    /// What it asks for is not known here, and the rule is left out.
    Unknown(&'static str),
}

use RuleSupport::{Heeded, Never, Unknown};

const PRIORITIES: &str = "routes have no priority here";

/// Fields of rules: in export lists, in import lists.
pub(super) const RULE: &[(&str, RuleSupport, RuleSupport)] = &[
    ("action", Heeded, Heeded),
    ("cidr", Heeded, Heeded),
    ("matchOperator", Heeded, Heeded),
    ("prefixLength", Heeded, Heeded),
    ("peerType", Heeded, Heeded),
    ("communities", Heeded, Heeded),
    ("operations", Heeded, Heeded),
    (
        "source",
        Never(
            "a node's own routes are from no peer, and those that a reflector passes on are not filtered",
        ),
        Heeded,
    ),
    (
        "asPathPrefix",
        Never(
            "a node's own routes have no path, and those that a reflector passes on are not filtered",
        ),
        Heeded,
    ),
    (
        "interface",
        Never("a node's own routes leave by no interface"),
        Unknown("by which interface a learned route would leave is not known"),
    ),
    ("priority", Unknown(PRIORITIES), Unknown(PRIORITIES)),
];
