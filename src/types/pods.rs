//! Where pods are, as far as the kernel's routes have to do with it.

use super::Prefix;

/// What becomes of packets to an address in one of the blocks that the node announces for its
/// pods, which no pod has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnBlocks {
    /// They are discarded, by a route of the block's prefix: the pods' own are longer, or
    /// preferred by their metric.
    Discard,
    /// They go where other routes lead: back to where they came from, by a default route.
    #[default]
    Leave,
}

/// A range that the pods of a cluster get their addresses from: Calico's IPPool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpPool {
    /// `spec.cidr`.
    pub cidr: Prefix,
    /// `spec.ipipMode` and `spec.vxlanMode`, of which one is `Never`.
    pub encapsulation: Encapsulation,
    /// Whose the routes to its blocks are.
    pub routes: PoolRoutes,
}

/// How packets to a pool's addresses get from node to node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// As they are.
    None,
    /// In IPv4 packets.
    IpInIp(Tunnelled),
    /// In VXLAN.
    Vxlan(Tunnelled),
}

/// Between which nodes packets are encapsulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnelled {
    /// All.
    Always,
    /// Those that have no network in common.
    CrossSubnet,
}

/// Who puts the routes to other nodes' blocks into a node's kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolRoutes {
    /// Whoever learns them by BGP.
    #[default]
    Bgp,
    /// Calico's Felix, from what it knows of the pools; always so with VXLAN.
    Felix,
}

/// `programClusterRoutes` of a BGPConfiguration: of which pools the routes are left to BGP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgramClusterRoutes {
    /// Of none.
    Disabled,
    /// Of those with IP-in-IP.
    EnabledIpInIpOnly,
    /// Of those without encapsulation.
    EnabledNoEncapOnly,
    /// Of both; also what it means that nothing is said. Where Felix makes them, too, they are the
    /// same.
    #[default]
    Enabled,
}

impl ProgramClusterRoutes {
    /// Whose the routes of a pool are.
    #[must_use]
    pub fn routes_of(self, encapsulation: Encapsulation) -> PoolRoutes {
        match (encapsulation, self) {
            (Encapsulation::None, Self::EnabledNoEncapOnly | Self::Enabled)
            | (Encapsulation::IpInIp(_), Self::EnabledIpInIpOnly | Self::Enabled) => {
                PoolRoutes::Bgp
            }
            (Encapsulation::Vxlan(_), _)
            | (Encapsulation::None, Self::Disabled | Self::EnabledIpInIpOnly)
            | (Encapsulation::IpInIp(_), Self::Disabled | Self::EnabledNoEncapOnly) => {
                PoolRoutes::Felix
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_left_to_bgp_as_the_configuration_says_and_never_with_vxlan() {
        let kinds = [
            Encapsulation::None,
            Encapsulation::IpInIp(Tunnelled::CrossSubnet),
            Encapsulation::Vxlan(Tunnelled::Always),
        ];
        let (bgp, felix) = (PoolRoutes::Bgp, PoolRoutes::Felix);
        for (programmed, expected) in [
            (ProgramClusterRoutes::Disabled, [felix, felix, felix]),
            (ProgramClusterRoutes::EnabledIpInIpOnly, [felix, bgp, felix]),
            (
                ProgramClusterRoutes::EnabledNoEncapOnly,
                [bgp, felix, felix],
            ),
            (ProgramClusterRoutes::default(), [bgp, bgp, felix]),
        ] {
            assert_eq!(kinds.map(|kind| programmed.routes_of(kind)), expected);
        }
    }
}
