//! Core types into those of the contract.

use std::net::IpAddr;

use super::bindings::rutter::policy::types as wit;
use crate::candidates::{AddressKind, Serving, Unserved};
use crate::facts::{
    ConditionStatus, EndpointCounts, FamilyCounts, IpMode, ServiceType, SessionAffinity,
    TrafficPolicy,
};
use crate::policy::PeerKind;
use crate::types::{Family, LargeCommunity, Prefix};

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

impl From<ConditionStatus> for wit::ConditionStatus {
    fn from(status: ConditionStatus) -> Self {
        match status {
            ConditionStatus::True => Self::True,
            ConditionStatus::False => Self::False,
            ConditionStatus::Unknown => Self::Unknown,
        }
    }
}

impl From<IpMode> for wit::IpMode {
    fn from(mode: IpMode) -> Self {
        match mode {
            IpMode::VIP => Self::Vip,
            IpMode::Proxy => Self::Proxy,
        }
    }
}

impl From<SessionAffinity> for wit::SessionAffinity {
    fn from(affinity: SessionAffinity) -> Self {
        match affinity {
            SessionAffinity::None => Self::None,
            SessionAffinity::ClientIP => Self::ClientIp,
        }
    }
}

impl FromIterator<Family> for wit::IpFamilies {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        families
            .into_iter()
            .fold(Self::empty(), |families, family| match family {
                Family::Ipv4Unicast => families | Self::IPV4,
                Family::Ipv6Unicast => families | Self::IPV6,
            })
    }
}

impl From<Serving> for wit::Serving {
    fn from(serving: Serving) -> Self {
        match serving {
            Serving::AnyNode => Self::AnyNode,
            Serving::ThisNode => Self::ThisNode,
            Serving::Unserved(unserved) => Self::Unserved(unserved.into()),
        }
    }
}

impl From<Unserved> for wit::UnservedReason {
    fn from(unserved: Unserved) -> Self {
        match unserved {
            Unserved::OtherProxy => Self::OtherProxy,
            Unserved::OtherFamily => Self::OtherFamily,
            Unserved::LoadBalancerAnswers => Self::LoadBalancerAnswers,
            Unserved::NoEndpoint => Self::NoEndpoint,
            Unserved::NoEndpointHere => Self::NoEndpointHere,
            Unserved::EndpointsWithoutNode => Self::EndpointsWithoutNode,
        }
    }
}
