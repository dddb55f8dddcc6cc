//! A Service as a policy sees it: a view of the batch's tables, which costs nothing to make.
//!
//! Texts and lists of all Services lie in a few tables of the batch; here the indexes become
//! text again. The agent promises that they are in range, so one that is not is a panic.

use std::fmt;
use std::net::IpAddr;

use crate::bindings::announce::Batch;
use crate::bindings::types;
use crate::{
    AddressKind, EndpointCounts, Family, IpMode, Prefix, ServiceType, SessionAffinity,
    TrafficPolicy,
};

/// A Service with its endpoints, summed over all its EndpointSlices. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Service<'a> {
    raw: &'a types::Service,
    batch: &'a Batch,
}

/// One of the addresses that a Service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceIp {
    /// Which of its lists it is from.
    pub kind: AddressKind,
    /// The address.
    pub address: IpAddr,
    /// `ipMode` of a load-balancer IP; [`IpMode::Vip`] of every other address.
    pub mode: IpMode,
}

/// One entry of `spec.ports`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServicePort<'a> {
    /// Empty where the port has no name.
    pub name: &'a str,
    /// Its protocol.
    pub protocol: Protocol<'a>,
    /// The Service's port, 1 to 65535.
    pub port: u16,
    /// The port on every node, 1 to 65535; absent where none was allocated.
    pub node_port: Option<u16>,
}

/// The protocol of a Service's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol<'a> {
    /// Also what an absent protocol means.
    Tcp,
    /// Datagrams.
    Udp,
    /// Stream control transmission protocol.
    Sctp,
    /// What Kubernetes called it, where it is none of the above.
    Other(&'a str),
}

impl<'a> Service<'a> {
    pub(crate) fn new(batch: &'a Batch, index: u32) -> Option<Self> {
        let raw = batch.services.get(usize::try_from(index).ok()?)?;
        Some(Self { raw, batch })
    }

    /// `metadata.namespace`.
    #[must_use]
    pub fn namespace(&self) -> &'a str {
        self.text(self.raw.namespace)
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.text(self.raw.name)
    }

    /// `metadata.labels`, ordered by key.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.pairs(self.raw.labels)
    }

    /// The value of one of its labels.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&'a str> {
        value_of(self.labels(), key)
    }

    /// `metadata.annotations`, ordered by key.
    pub fn annotations(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.pairs(self.raw.annotations)
    }

    /// The value of one of its annotations.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        value_of(self.annotations(), key)
    }

    /// `spec.type`.
    #[must_use]
    pub fn service_type(&self) -> ServiceType {
        self.raw.service_type
    }

    /// `spec.externalTrafficPolicy`.
    #[must_use]
    pub fn external_traffic_policy(&self) -> TrafficPolicy {
        self.raw.external_traffic_policy
    }

    /// `spec.internalTrafficPolicy`.
    #[must_use]
    pub fn internal_traffic_policy(&self) -> TrafficPolicy {
        self.raw.internal_traffic_policy
    }

    /// Whether `externalTrafficPolicy` is `Local`: a node may serve traffic from outside only by
    /// endpoints of its own.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.external_traffic_policy() == TrafficPolicy::Local
    }

    /// `spec.loadBalancerClass`; absent means the cluster's default load balancer.
    #[must_use]
    pub fn load_balancer_class(&self) -> Option<&'a str> {
        self.raw.load_balancer_class.map(|index| self.text(index))
    }

    /// `spec.ports`, in Kubernetes' order.
    pub fn ports(&self) -> impl Iterator<Item = ServicePort<'a>> + use<'a> {
        let this = *self;
        run(&self.batch.ports, self.raw.ports)
            .iter()
            .map(move |port| ServicePort {
                name: this.text(port.name),
                protocol: match port.protocol {
                    types::Protocol::Tcp => Protocol::Tcp,
                    types::Protocol::Udp => Protocol::Udp,
                    types::Protocol::Sctp => Protocol::Sctp,
                    types::Protocol::Other(name) => Protocol::Other(this.text(name)),
                },
                port: port.port,
                node_port: port.node_port,
            })
    }

    /// Its cluster, external and load-balancer IPs, whether they are candidates or not.
    pub fn addresses(&self) -> impl Iterator<Item = ServiceIp> + use<'a> {
        run(&self.batch.addresses, self.raw.addresses)
            .iter()
            .map(|ip| ServiceIp {
                kind: ip.kind,
                address: ip.address.into(),
                mode: ip.mode,
            })
    }

    /// `spec.loadBalancerSourceRanges`, in Kubernetes' order; none means that traffic may come from
    /// everywhere.
    #[must_use]
    pub fn load_balancer_source_ranges(&self) -> &'a [Prefix] {
        run(&self.batch.prefixes, self.raw.load_balancer_source_ranges)
    }

    /// Whether this is one of `spec.ipFamilies`.
    #[must_use]
    pub fn has_family(&self, family: Family) -> bool {
        let asked = match family {
            Family::Ipv4 => types::IpFamilies::IPV4,
            Family::Ipv6 => types::IpFamilies::IPV6,
        };
        self.raw.ip_families & asked == asked
    }

    /// The proxy that serves it in place of kube-proxy, by its label
    /// `service.kubernetes.io/service-proxy-name`.
    #[must_use]
    pub fn proxy_name(&self) -> Option<&'a str> {
        self.raw.proxy_name.map(|index| self.text(index))
    }

    /// `spec.sessionAffinity`.
    #[must_use]
    pub fn session_affinity(&self) -> SessionAffinity {
        self.raw.session_affinity
    }

    /// `spec.trafficDistribution`.
    #[must_use]
    pub fn traffic_distribution(&self) -> Option<&'a str> {
        self.raw.traffic_distribution.map(|index| self.text(index))
    }

    /// `spec.healthCheckNodePort`.
    #[must_use]
    pub fn health_check_node_port(&self) -> Option<u16> {
        self.raw.health_check_node_port
    }

    /// `metadata.creationTimestamp`, in seconds since 1970; 0 where there is none.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.raw.created
    }

    /// `metadata.labels` of its Namespace, ordered by key; none also while that was not seen.
    pub fn namespace_labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.pairs(self.raw.namespace_labels)
    }

    /// The value of one of its Namespace's labels.
    #[must_use]
    pub fn namespace_label(&self, key: &str) -> Option<&'a str> {
        value_of(self.namespace_labels(), key)
    }

    /// Endpoints of one family on this node.
    #[must_use]
    pub fn node_endpoints(&self, family: Family) -> EndpointCounts {
        self.raw.node_endpoints.of(family)
    }

    /// Endpoints of one family in the whole cluster, this node's included.
    #[must_use]
    pub fn cluster_endpoints(&self, family: Family) -> EndpointCounts {
        self.raw.cluster_endpoints.of(family)
    }

    /// Endpoints of one family in the cluster that name no node.
    #[must_use]
    pub fn unplaced_endpoints(&self, family: Family) -> EndpointCounts {
        self.raw.unplaced_endpoints.of(family)
    }

    fn text(&self, index: u32) -> &'a str {
        &self.batch.strings[index as usize]
    }

    fn pairs(&self, span: types::Span) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let this = *self;
        run(&self.batch.labels, span)
            .iter()
            .map(move |label| (this.text(label.key), this.text(label.value)))
    }
}

/// The entries of a table that a span names.
fn run<T>(table: &[T], span: types::Span) -> &[T] {
    &table[span.first as usize..][..span.count as usize]
}

fn value_of<'a>(mut pairs: impl Iterator<Item = (&'a str, &'a str)>, key: &str) -> Option<&'a str> {
    pairs
        .find(|(found, _)| *found == key)
        .map(|(_, value)| value)
}

impl fmt::Display for Service<'_> {
    /// `namespace/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace(), self.name())
    }
}

impl fmt::Debug for Service<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({self})")
    }
}
