//! Nodes, Services and batches for native unit tests of a policy.
//!
//! ```
//! use rutter_policy::{AddressKind, Family, Serving, testing};
//!
//! let web = testing::service("shop/web").local().with_endpoints_here(Family::Ipv4, testing::ready(2));
//! let batch = testing::batch()
//!     .node(testing::node("worker-1").with_label("zone", "a"))
//!     .pod_cidr("10.1.0.0/24")
//!     .address("192.0.2.10/32", AddressKind::LoadBalancerIp, web)
//!     .serving(Serving::ThisNode);
//! assert_eq!(batch.build().candidates.len(), 2);
//! ```
//!
//! Everything panics on text that is no prefix or no `namespace/name`: a test's mistake.

mod learned;

use std::net::IpAddr;

use crate::bindings::announce::{self, Batch};
use crate::bindings::types;
use crate::{
    AddressKind, ConditionStatus, Decision, EndpointCounts, Family, FamilyCounts, IpMode, Label,
    Node, NodeAddress, NodeAddressKind, NodeCondition, PeerGroup, PeerKind, Policy, Prefix,
    RouteAttributes, ServiceIp, ServiceType, Serving, SessionAffinity, Taint, TrafficPolicy,
    Verdict, evaluate, find,
};

pub use learned::{LearnedBuilder, learned};

/// A prefix from `address/length`.
///
/// # Panics
/// The text is no prefix.
#[must_use]
pub fn prefix(text: &str) -> Prefix {
    let (address, length) = text
        .split_once('/')
        .unwrap_or_else(|| panic!("`{text}` is no prefix: write address/length"));
    Prefix {
        address: parsed(address).into(),
        length: length
            .parse()
            .unwrap_or_else(|_| panic!("`{length}` is no prefix length")),
    }
}

fn parsed(address: &str) -> IpAddr {
    address
        .parse()
        .unwrap_or_else(|_| panic!("`{address}` is no IP address"))
}

/// A ready node without labels.
#[must_use]
pub fn node(name: &str) -> Node {
    Node {
        name: name.into(),
        labels: Vec::new(),
        annotations: Vec::new(),
        addresses: Vec::new(),
        pod_cidrs: Vec::new(),
        unschedulable: false,
        ready: true,
        conditions: vec![NodeCondition {
            condition_type: "Ready".into(),
            status: ConditionStatus::True,
            reason: "KubeletReady".into(),
        }],
        taints: Vec::new(),
        cluster_nodes: None,
    }
}

/// A Service to put into a batch; what a field means, [`crate::Service`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the accessors of the same names tell")]
pub struct Service {
    pub namespace: String,
    pub name: String,
    pub labels: Vec<Label>,
    pub annotations: Vec<Label>,
    pub service_type: ServiceType,
    pub external_traffic_policy: TrafficPolicy,
    pub internal_traffic_policy: TrafficPolicy,
    pub load_balancer_class: Option<String>,
    pub load_balancer_source_ranges: Vec<Prefix>,
    pub families: Vec<Family>,
    pub session_affinity: SessionAffinity,
    pub traffic_distribution: Option<String>,
    pub health_check_node_port: Option<u16>,
    pub created: u64,
    pub namespace_labels: Vec<Label>,
    pub ports: Vec<ServicePort>,
    pub addresses: Vec<ServiceIp>,
    pub node_endpoints: FamilyCounts,
    pub cluster_endpoints: FamilyCounts,
    pub unplaced_endpoints: FamilyCounts,
}

/// A port to put into a Service, of TCP unless `protocol` says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "see crate::ServicePort")]
pub struct ServicePort {
    pub name: String,
    pub protocol: String,
    pub port: u16,
    pub node_port: Option<u16>,
}

/// A Service of type ClusterIP and policy Cluster, of both families, without endpoints, from
/// `namespace/name`.
///
/// # Panics
/// The text has no slash.
#[must_use]
pub fn service(key: &str) -> Service {
    let (namespace, name) = key
        .split_once('/')
        .unwrap_or_else(|| panic!("`{key}` is no Service: write namespace/name"));
    Service {
        namespace: namespace.into(),
        name: name.into(),
        labels: Vec::new(),
        annotations: Vec::new(),
        service_type: ServiceType::ClusterIp,
        external_traffic_policy: TrafficPolicy::Cluster,
        internal_traffic_policy: TrafficPolicy::Cluster,
        load_balancer_class: None,
        load_balancer_source_ranges: Vec::new(),
        families: vec![Family::Ipv4, Family::Ipv6],
        session_affinity: SessionAffinity::None,
        traffic_distribution: None,
        health_check_node_port: None,
        created: 0,
        namespace_labels: Vec::new(),
        ports: Vec::new(),
        addresses: Vec::new(),
        node_endpoints: NONE,
        cluster_endpoints: NONE,
        unplaced_endpoints: NONE,
    }
}

/// Names the proxy of a Service, which the agent tells as a fact of its own.
const PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";

const NONE: FamilyCounts = {
    let none = EndpointCounts {
        ready: 0,
        serving_terminating: 0,
        unready: 0,
    };
    FamilyCounts {
        ipv4: none,
        ipv6: none,
    }
};

impl Node {
    /// With one more label.
    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        insert(&mut self.labels, key, value);
        self
    }

    /// With one more address.
    ///
    /// # Panics
    /// The text is no IP address.
    #[must_use]
    pub fn with_address(mut self, kind: NodeAddressKind, address: &str) -> Self {
        let address = parsed(address).into();
        self.addresses.push(NodeAddress { kind, address });
        self
    }

    /// With this condition in this state.
    #[must_use]
    pub fn with_condition(mut self, condition_type: &str, status: ConditionStatus) -> Self {
        self.conditions
            .retain(|condition| condition.condition_type != condition_type);
        self.conditions.push(NodeCondition {
            condition_type: condition_type.into(),
            status,
            reason: String::new(),
        });
        self.conditions.sort();
        self
    }

    /// With one more taint.
    #[must_use]
    pub fn with_taint(mut self, key: &str, value: &str, effect: &str) -> Self {
        self.taints.push(Taint {
            key: key.into(),
            value: value.into(),
            effect: effect.into(),
        });
        self
    }
}

impl Service {
    /// With one more label.
    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        insert(&mut self.labels, key, value);
        self
    }

    /// With one more annotation.
    #[must_use]
    pub fn with_annotation(mut self, key: &str, value: &str) -> Self {
        insert(&mut self.annotations, key, value);
        self
    }

    /// With one more port of TCP.
    #[must_use]
    pub fn with_port(mut self, name: &str, port: u16) -> Self {
        self.ports.push(ServicePort {
            name: name.into(),
            protocol: "TCP".into(),
            port,
            node_port: None,
        });
        self
    }

    /// With one more address, which need not be a candidate.
    ///
    /// # Panics
    /// The text is no IP address.
    #[must_use]
    pub fn with_address(mut self, kind: AddressKind, address: &str) -> Self {
        self.addresses.push(ServiceIp {
            kind,
            address: parsed(address),
            mode: IpMode::Vip,
        });
        self
    }

    /// With one more label of its Namespace.
    #[must_use]
    pub fn with_namespace_label(mut self, key: &str, value: &str) -> Self {
        insert(&mut self.namespace_labels, key, value);
        self
    }

    /// With one more range that traffic may come from.
    ///
    /// # Panics
    /// The text is no prefix.
    #[must_use]
    pub fn with_source_range(mut self, range: &str) -> Self {
        self.load_balancer_source_ranges.push(prefix(range));
        self
    }

    /// Of this type.
    #[must_use]
    pub fn of_type(mut self, service_type: ServiceType) -> Self {
        self.service_type = service_type;
        self
    }

    /// Of type LoadBalancer with `externalTrafficPolicy: Local`.
    #[must_use]
    pub fn local(mut self) -> Self {
        self.service_type = ServiceType::LoadBalancer;
        self.external_traffic_policy = TrafficPolicy::Local;
        self
    }

    /// With these endpoints on this node, counted in the cluster as well.
    #[must_use]
    pub fn with_endpoints_here(mut self, family: Family, counts: EndpointCounts) -> Self {
        add(&mut self.node_endpoints, family, counts);
        add(&mut self.cluster_endpoints, family, counts);
        self
    }

    /// With these endpoints on other nodes.
    #[must_use]
    pub fn with_endpoints_elsewhere(mut self, family: Family, counts: EndpointCounts) -> Self {
        add(&mut self.cluster_endpoints, family, counts);
        self
    }

    /// With these endpoints that name no node, counted in the cluster as well.
    #[must_use]
    pub fn with_endpoints_without_node(mut self, family: Family, counts: EndpointCounts) -> Self {
        add(&mut self.unplaced_endpoints, family, counts);
        add(&mut self.cluster_endpoints, family, counts);
        self
    }
}

/// That many ready endpoints.
#[must_use]
pub fn ready(count: u32) -> EndpointCounts {
    EndpointCounts {
        ready: count,
        ..NONE.ipv4
    }
}

fn insert(labels: &mut Vec<Label>, key: &str, value: &str) {
    labels.retain(|label| label.key != key);
    labels.push(Label {
        key: key.into(),
        value: value.into(),
    });
    labels.sort();
}

fn add(counts: &mut FamilyCounts, family: Family, more: EndpointCounts) {
    let counts = match family {
        Family::Ipv4 => &mut counts.ipv4,
        Family::Ipv6 => &mut counts.ipv6,
    };
    counts.ready += more.ready;
    counts.serving_terminating += more.serving_terminating;
    counts.unready += more.unready;
}

/// A batch without candidates, with reasons wanted, towards one external peer.
#[must_use]
pub fn batch() -> BatchBuilder {
    BatchBuilder(Batch {
        settings: "{}".into(),
        node: node("node"),
        asn: 64512,
        peer_group: PeerGroup {
            name: "tor".into(),
            asn: 64513,
            kind: PeerKind::Ebgp,
            labels: Vec::new(),
        },
        strings: Vec::new(),
        labels: Vec::new(),
        ports: Vec::new(),
        addresses: Vec::new(),
        prefixes: Vec::new(),
        services: Vec::new(),
        attribute_sets: vec![RouteAttributes::default()],
        candidates: Vec::new(),
        want_reasons: true,
    })
}

/// A batch in the making.
#[derive(Clone, Debug)]
pub struct BatchBuilder(Batch);

impl BatchBuilder {
    /// Settings as JSON text.
    #[must_use]
    pub fn settings(mut self, json: &str) -> Self {
        self.0.settings = json.into();
        self
    }

    /// The node.
    #[must_use]
    pub fn node(mut self, node: Node) -> Self {
        self.0.node = node;
        self
    }

    /// The peers.
    #[must_use]
    pub fn peer_group(mut self, peer_group: PeerGroup) -> Self {
        self.0.peer_group = peer_group;
        self
    }

    /// What candidates added from here on are proposed with.
    #[must_use]
    pub fn proposed(mut self, attributes: RouteAttributes) -> Self {
        self.0.attribute_sets.push(attributes);
        self
    }

    /// Nobody will read reasons.
    #[must_use]
    pub fn without_reasons(mut self) -> Self {
        self.0.want_reasons = false;
        self
    }

    /// One more candidate: a pod CIDR.
    #[must_use]
    pub fn pod_cidr(self, cidr: &str) -> Self {
        self.candidate(cidr, types::Origin::PodCidr)
    }

    /// One more candidate: a configured range of Service addresses.
    #[must_use]
    pub fn service_cidr(self, cidr: &str, kind: AddressKind) -> Self {
        self.candidate(cidr, types::Origin::ServiceCidr(kind))
    }

    /// One more candidate: an address of a Service, answered as on every node unless
    /// [`serving`](Self::serving) says otherwise. The rule that follows from the Service's endpoints
    /// and policies is the agent's; case files show the two together.
    #[must_use]
    pub fn address(mut self, host: &str, kind: AddressKind, service: Service) -> Self {
        let address = types::ServiceAddress {
            service: index(self.0.services.len()),
            kind,
        };
        self.push(service);
        let mut batch = self.candidate(host, types::Origin::ServiceAddress(address));
        batch.last().serving = Some(Serving::AnyNode);
        batch
    }

    /// The candidate added last lies in this configured range.
    ///
    /// # Panics
    /// There is no candidate yet.
    #[must_use]
    pub fn covered_by(mut self, range: &str) -> Self {
        self.last().covered_by = Some(prefix(range));
        self
    }

    /// This becomes of traffic for the candidate added last, an address of a Service.
    ///
    /// # Panics
    /// There is no candidate yet.
    #[must_use]
    pub fn serving(mut self, serving: Serving) -> Self {
        self.last().serving = Some(serving);
        self
    }

    fn last(&mut self) -> &mut types::Candidate {
        let last = self.0.candidates.last_mut();
        last.expect("a candidate comes first")
    }

    /// The batch as a module is given it.
    #[must_use]
    pub fn build(self) -> Batch {
        self.0
    }

    /// What a policy decides, in the order the candidates were added.
    ///
    /// # Errors
    /// The policy refuses the settings.
    pub fn decide<P: Policy>(self) -> Result<Vec<Decision>, String> {
        let answer = evaluate::<P>(&self.0)?;
        let decision = |raw: &announce::Decision| Decision {
            verdict: match raw.verdict {
                announce::Verdict::Abstain => Verdict::Abstain,
                announce::Verdict::Accept(set) => {
                    Verdict::Accept(set.map(|set| answer.attribute_sets[set as usize].clone()))
                }
                announce::Verdict::Reject => Verdict::Reject,
            },
            reason: raw
                .reason
                .map(|reason| answer.reasons[reason as usize].clone().into()),
        };
        Ok(answer.decisions.iter().map(decision).collect())
    }

    fn candidate(mut self, cidr: &str, origin: types::Origin) -> Self {
        self.0.candidates.push(types::Candidate {
            prefix: prefix(cidr),
            origin,
            covered_by: None,
            serving: None,
            attributes: index(self.0.attribute_sets.len() - 1),
        });
        self
    }

    fn push(&mut self, service: Service) {
        let labels = self.labels(&service.labels);
        let annotations = self.labels(&service.annotations);
        let namespace_labels = self.labels(&service.namespace_labels);
        let proxy = find(&service.labels, PROXY_NAME_LABEL);
        let families = service.families.iter().map(|family| match family {
            Family::Ipv4 => types::IpFamilies::IPV4,
            Family::Ipv6 => types::IpFamilies::IPV6,
        });
        let ports = service.ports.iter().map(|port| types::ServicePort {
            name: self.text(&port.name),
            protocol: match port.protocol.as_str() {
                "TCP" => types::Protocol::Tcp,
                "UDP" => types::Protocol::Udp,
                "SCTP" => types::Protocol::Sctp,
                other => types::Protocol::Other(self.text(other)),
            },
            port: port.port,
            node_port: port.node_port,
        });
        let ports: Vec<_> = ports.collect();
        let addresses = service.addresses.iter().map(|ip| types::ServiceIp {
            kind: ip.kind,
            address: ip.address.into(),
            mode: ip.mode,
        });
        let service = types::Service {
            namespace: self.text(&service.namespace),
            name: self.text(&service.name),
            labels,
            annotations,
            service_type: service.service_type,
            external_traffic_policy: service.external_traffic_policy,
            internal_traffic_policy: service.internal_traffic_policy,
            load_balancer_class: service
                .load_balancer_class
                .as_deref()
                .map(|class| self.text(class)),
            load_balancer_source_ranges: append(
                &mut self.0.prefixes,
                service.load_balancer_source_ranges,
            ),
            ip_families: families.fold(types::IpFamilies::empty(), |all, one| all | one),
            proxy_name: proxy.map(|proxy| self.text(proxy)),
            session_affinity: service.session_affinity,
            traffic_distribution: service
                .traffic_distribution
                .as_deref()
                .map(|distribution| self.text(distribution)),
            health_check_node_port: service.health_check_node_port,
            created: service.created,
            namespace_labels,
            ports: append(&mut self.0.ports, ports),
            addresses: append(&mut self.0.addresses, addresses),
            node_endpoints: service.node_endpoints,
            cluster_endpoints: service.cluster_endpoints,
            unplaced_endpoints: service.unplaced_endpoints,
        };
        self.0.services.push(service);
    }

    fn labels(&mut self, labels: &[Label]) -> types::Span {
        let labels = labels.iter().map(|label| types::ServiceLabel {
            key: self.text(&label.key),
            value: self.text(&label.value),
        });
        let labels: Vec<_> = labels.collect();
        append(&mut self.0.labels, labels)
    }

    /// The index of a text in the batch's strings.
    fn text(&mut self, text: &str) -> u32 {
        let strings = &mut self.0.strings;
        let known = strings.iter().position(|known| known == text);
        index(known.unwrap_or_else(|| {
            strings.push(text.into());
            strings.len() - 1
        }))
    }
}

fn append<T>(table: &mut Vec<T>, entries: impl IntoIterator<Item = T>) -> types::Span {
    let first = table.len();
    table.extend(entries);
    types::Span {
        first: index(first),
        count: index(table.len() - first),
    }
}

fn index(position: usize) -> u32 {
    u32::try_from(position).expect("a test's batch is small")
}
