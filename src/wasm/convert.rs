//! Core types into those of the contract and back, where every version has them alike.

/// Implements the conversions for the types of one version.
macro_rules! conversions {
    ($wit:path) => {
        use std::net::IpAddr;

        use $wit as wit;

        use crate::candidates::AddressKind;
        use crate::facts::{EndpointCounts, FamilyCounts, ServiceType, TrafficPolicy};
        use crate::policy::PeerKind;
        use crate::types::{LargeCommunity, Prefix};

        impl From<IpAddr> for wit::IpAddress {
            fn from(address: IpAddr) -> Self {
                match address {
                    IpAddr::V4(address) => Self::Ipv4(address.octets().into()),
                    IpAddr::V6(address) => Self::Ipv6(address.segments().into()),
                }
            }
        }

        impl From<Prefix> for wit::Prefix {
            fn from(prefix: Prefix) -> Self {
                Self {
                    address: prefix.address().into(),
                    length: prefix.length(),
                }
            }
        }

        impl From<PeerKind> for wit::PeerKind {
            fn from(kind: PeerKind) -> Self {
                match kind {
                    PeerKind::Ibgp => Self::Ibgp,
                    PeerKind::Ebgp => Self::Ebgp,
                }
            }
        }

        impl From<ServiceType> for wit::ServiceType {
            fn from(service_type: ServiceType) -> Self {
                match service_type {
                    ServiceType::ClusterIP => Self::ClusterIp,
                    ServiceType::NodePort => Self::NodePort,
                    ServiceType::LoadBalancer => Self::LoadBalancer,
                    ServiceType::ExternalName => Self::ExternalName,
                }
            }
        }

        impl From<TrafficPolicy> for wit::TrafficPolicy {
            fn from(policy: TrafficPolicy) -> Self {
                match policy {
                    TrafficPolicy::Cluster => Self::Cluster,
                    TrafficPolicy::Local => Self::Local,
                }
            }
        }

        impl From<FamilyCounts> for wit::FamilyCounts {
            fn from(FamilyCounts { ipv4, ipv6 }: FamilyCounts) -> Self {
                Self {
                    ipv4: ipv4.into(),
                    ipv6: ipv6.into(),
                }
            }
        }

        impl From<EndpointCounts> for wit::EndpointCounts {
            fn from(counts: EndpointCounts) -> Self {
                let EndpointCounts {
                    ready,
                    serving_terminating,
                    unready,
                } = counts;
                Self {
                    ready,
                    serving_terminating,
                    unready,
                }
            }
        }

        impl From<AddressKind> for wit::AddressKind {
            fn from(kind: AddressKind) -> Self {
                match kind {
                    AddressKind::ClusterIp => Self::ClusterIp,
                    AddressKind::ExternalIp => Self::ExternalIp,
                    AddressKind::LoadBalancerIp => Self::LoadBalancerIp,
                }
            }
        }

        impl From<LargeCommunity> for wit::LargeCommunity {
            fn from(community: LargeCommunity) -> Self {
                let LargeCommunity {
                    global_administrator,
                    local_data_1,
                    local_data_2,
                } = community;
                Self {
                    global_administrator,
                    local_data1: local_data_1,
                    local_data2: local_data_2,
                }
            }
        }
    };
}

mod v0_1 {
    conversions!(crate::wasm::bindings::v0_1::rutter::policy::types);
}

mod v0_2 {
    conversions!(crate::wasm::bindings::v0_2::rutter::policy::types);
}
