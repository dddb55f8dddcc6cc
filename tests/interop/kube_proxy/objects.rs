//! Services and EndpointSlices as the generator makes them, and as the API server takes them.

use std::net::IpAddr;

use rutter::types::Family;
use serde_json::{Map, Value, json};

use super::addresses::Kind;
use crate::interop::cluster::WORKERS;

/// The namespace of everything.
pub(super) const NAMESPACE: &str = "oracle";

/// The nodes of the lab.
pub(super) const NODES: [&str; 3] = WORKERS;

/// What keeps a Service that is deleted in the API.
pub(super) const FINALIZER: &str = "rutter.test/hold";

/// A protocol that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// `spec.type`, with headless Services set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceType {
    ClusterIp,
    Headless,
    NodePort,
    LoadBalancer,
    ExternalName,
}

/// A traffic policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Cluster,
    Local,
}

/// `spec.loadBalancerSourceRanges`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceRanges {
    Anybody,
    /// The client of the lab is in them.
    Client,
    /// It is not.
    Others,
}

/// `spec.sessionAffinity`: kube-proxy writes other rules for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    None,
    ClientIp,
}

/// Whether it is in the API to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Stays,
    /// With a deletionTimestamp.
    Deleting,
}

/// A Service.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) name: String,
    /// From which its numbers follow.
    pub(super) slot: u16,
    pub(super) service_type: ServiceType,
    pub(super) external_policy: Policy,
    pub(super) internal_policy: Policy,
    pub(super) ports: Vec<Port>,
    /// The first is the primary.
    pub(super) cluster_ips: Vec<IpAddr>,
    pub(super) external_ips: Vec<IpAddr>,
    pub(super) ingress: Vec<Ingress>,
    pub(super) class: Option<&'static str>,
    pub(super) source_ranges: SourceRanges,
    pub(super) affinity: Affinity,
    pub(super) proxy_name: Option<&'static str>,
    pub(super) presence: Presence,
}

/// One of `spec.ports`.
#[derive(Clone, Debug)]
pub(super) struct Port {
    /// Empty for none.
    pub(super) name: &'static str,
    pub(super) transport: Transport,
    pub(super) number: u16,
}

/// One of `status.loadBalancer.ingress`.
#[derive(Clone, Debug)]
pub(super) struct Ingress {
    pub(super) address: IpAddr,
    /// `ipMode`.
    pub(super) mode: Option<&'static str>,
}

/// An EndpointSlice.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) name: String,
    /// The Service its label names; none without that label.
    pub(super) owner: Option<String>,
    /// Labels beside that.
    pub(super) labels: Vec<(&'static str, &'static str)>,
    pub(super) family: Family,
    pub(super) ports: Vec<SlicePort>,
    pub(super) endpoints: Vec<Endpoint>,
}

/// One of a slice's `ports`.
#[derive(Clone, Debug)]
pub(super) struct SlicePort {
    pub(super) name: Option<&'static str>,
    pub(super) transport: Option<Transport>,
    pub(super) number: Option<u16>,
}

/// One of a slice's `endpoints`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) address: IpAddr,
    pub(super) node: Option<&'static str>,
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
    pub(super) hints: Hints,
}

/// `hints` of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hints {
    None,
    Zone(&'static str),
    Node(&'static str),
}

impl Service {
    /// The node port of its port with this index.
    pub(super) fn node_port(&self, index: usize) -> u16 {
        30_000 + self.slot * 4 + u16::try_from(index).unwrap()
    }

    /// Whether it has node ports.
    pub(super) fn has_node_ports(&self) -> bool {
        match self.service_type {
            ServiceType::NodePort | ServiceType::LoadBalancer => true,
            ServiceType::ClusterIp | ServiceType::Headless | ServiceType::ExternalName => false,
        }
    }

    /// Whether the API knows an externalTrafficPolicy of it.
    pub(super) fn has_external_policy(&self) -> bool {
        match self.service_type {
            ServiceType::NodePort | ServiceType::LoadBalancer => true,
            ServiceType::ClusterIp | ServiceType::Headless => !self.external_ips.is_empty(),
            ServiceType::ExternalName => false,
        }
    }

    /// Its addresses of every kind.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (Kind, IpAddr)> {
        let cluster_ips: &[IpAddr] = match self.service_type {
            ServiceType::ClusterIp | ServiceType::NodePort | ServiceType::LoadBalancer => {
                &self.cluster_ips
            }
            ServiceType::Headless | ServiceType::ExternalName => &[],
        };
        let cluster_ips = cluster_ips.iter().map(|address| (Kind::Cluster, *address));
        let external_ips = self.external_ips.iter();
        let external_ips = external_ips.map(|address| (Kind::External, *address));
        let ingress = self.ingress.iter();
        let ingress = ingress.map(|ingress| (Kind::LoadBalancer, ingress.address));
        cluster_ips.chain(external_ips).chain(ingress)
    }

    /// The object without its status.
    pub(super) fn object(&self) -> Value {
        let labels = self.proxy_name.map_or(
            json!({}),
            |name| json!({ "service.kubernetes.io/service-proxy-name": name }),
        );
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "namespace": NAMESPACE,
                "name": self.name,
                "labels": labels,
                "finalizers": [FINALIZER],
            },
            "spec": self.spec(),
        })
    }

    /// Its status, for a merge patch; none where the API allows none.
    pub(super) fn status(&self) -> Option<Value> {
        if self.service_type != ServiceType::LoadBalancer {
            return None;
        }
        let ingress: Vec<Value> = self.ingress.iter().map(Ingress::object).collect();
        Some(json!({ "status": { "loadBalancer": { "ingress": ingress } } }))
    }

    fn spec(&self) -> Value {
        let mut spec = Map::new();
        let mut set = |key: &str, value: Value| spec.insert(key.to_owned(), value);
        set("externalIPs", json!(self.external_ips));
        set("ports", json!(self.port_objects()));
        let families: Vec<&str> = self.cluster_ips.iter().map(family_name).collect();
        let policy = match families.len() {
            2 => "RequireDualStack",
            _ => "SingleStack",
        };
        let cluster_ips = match self.service_type {
            ServiceType::Headless => json!(["None"]),
            ServiceType::ClusterIp | ServiceType::NodePort | ServiceType::LoadBalancer => {
                json!(self.cluster_ips)
            }
            ServiceType::ExternalName => {
                set("type", json!("ExternalName"));
                set("externalName", json!("elsewhere.example"));
                return spec.into();
            }
        };
        set("type", json!(self.service_type.name()));
        set("clusterIP", cluster_ips[0].clone());
        set("clusterIPs", cluster_ips);
        set("ipFamilies", json!(families));
        set("ipFamilyPolicy", json!(policy));
        set("internalTrafficPolicy", json!(self.internal_policy.name()));
        let affinity = match self.affinity {
            Affinity::None => "None",
            Affinity::ClientIp => "ClientIP",
        };
        set("sessionAffinity", json!(affinity));
        if self.has_external_policy() {
            set("externalTrafficPolicy", json!(self.external_policy.name()));
        }
        if self.service_type == ServiceType::LoadBalancer {
            if let Some(class) = self.class {
                set("loadBalancerClass", json!(class));
            }
            if self.external_policy == Policy::Local {
                set("healthCheckNodePort", json!(self.node_port(3)));
            }
            match self.source_ranges {
                SourceRanges::Anybody => None,
                SourceRanges::Client => set(
                    "loadBalancerSourceRanges",
                    json!(["10.9.0.0/24", "fd09::/64"]),
                ),
                SourceRanges::Others => set(
                    "loadBalancerSourceRanges",
                    json!(["192.0.2.0/24", "2001:db8:ffff::/48"]),
                ),
            };
        }
        spec.into()
    }

    fn port_objects(&self) -> Vec<Value> {
        let object = |(index, port): (usize, &Port)| {
            let mut object = json!({ "port": port.number, "protocol": port.transport.name() });
            if !port.name.is_empty() {
                object["name"] = json!(port.name);
            }
            if self.has_node_ports() {
                object["nodePort"] = json!(self.node_port(index));
            }
            object
        };
        self.ports.iter().enumerate().map(object).collect()
    }
}

impl Ingress {
    fn object(&self) -> Value {
        let mut object = json!({ "ip": self.address });
        if let Some(mode) = self.mode {
            object["ipMode"] = json!(mode);
        }
        object
    }
}

impl Slice {
    /// The object.
    pub(super) fn object(&self) -> Value {
        let owner = self.owner.iter();
        let owner = owner.map(|owner| ("kubernetes.io/service-name".to_owned(), json!(owner)));
        let others = self.labels.iter();
        let others = others.map(|(name, value)| ((*name).to_owned(), json!(value)));
        let labels: Map<String, Value> = owner.chain(others).collect();
        let ports: Vec<Value> = self.ports.iter().map(SlicePort::object).collect();
        let endpoints: Vec<Value> = self.endpoints.iter().map(Endpoint::object).collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": { "namespace": NAMESPACE, "name": self.name, "labels": labels },
            "addressType": match self.family {
                Family::Ipv4Unicast => "IPv4",
                Family::Ipv6Unicast => "IPv6",
            },
            "ports": ports,
            "endpoints": endpoints,
        })
    }
}

impl SlicePort {
    fn object(&self) -> Value {
        json!({
            "name": self.name,
            "protocol": self.transport.map(Transport::name),
            "port": self.number,
        })
    }
}

impl Endpoint {
    fn object(&self) -> Value {
        let hints = match self.hints {
            Hints::None => Value::Null,
            Hints::Zone(zone) => json!({ "forZones": [{ "name": zone }] }),
            Hints::Node(node) => json!({ "forNodes": [{ "name": node }] }),
        };
        json!({
            "addresses": [self.address],
            "nodeName": self.node,
            "conditions": {
                "ready": self.ready,
                "serving": self.serving,
                "terminating": self.terminating,
            },
            "hints": hints,
        })
    }
}

impl Transport {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

impl ServiceType {
    fn name(self) -> &'static str {
        match self {
            Self::ClusterIp | Self::Headless => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
            Self::ExternalName => "ExternalName",
        }
    }
}

impl Policy {
    fn name(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}

fn family_name(address: &IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    }
}
