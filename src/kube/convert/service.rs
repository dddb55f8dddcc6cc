//! A Service into [`ServiceFacts`]; its endpoints are counted elsewhere.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{LoadBalancerStatus, Service, ServicePort as RawPort};

use super::{Problems, Unusable, addresses, annotations, parse_address};
use crate::facts::{
    FamilyCounts, IpMode, LoadBalancerIngress, ServiceFacts, ServiceKey, ServicePort, ServiceType,
    SessionAffinity, TrafficPolicy,
};
use crate::types::{Family, Prefix};

/// What `clusterIP` says in a headless Service.
const HEADLESS: &str = "None";

/// The facts of a Service, with no endpoints.
///
/// # Errors
/// Its type or one of its traffic policies has a value that is not known: nothing may be
/// concluded from the Service at all.
pub(in crate::kube) fn service_facts(
    service: Service,
    problems: &mut Problems,
) -> Result<ServiceFacts, Unusable> {
    let metadata = service.metadata;
    let spec = service.spec.unwrap_or_default();
    let cluster_ips = match spec.cluster_ips {
        Some(list) if !list.is_empty() => list,
        Some(_) | None => spec.cluster_ip.into_iter().collect(),
    };
    // Empty until the API server has allocated one.
    let allocated = cluster_ips
        .iter()
        .map(String::as_str)
        .filter(|text| !text.is_empty() && *text != HEADLESS);
    let external_ips = spec.external_ips.iter().flatten().map(String::as_str);
    let load_balancer = service.status.and_then(|status| status.load_balancer);
    let headless = cluster_ips.iter().any(|text| text == HEADLESS);
    let cluster_addresses = addresses("spec.clusterIPs", allocated, problems);
    let created = metadata.creation_timestamp.as_ref();
    Ok(ServiceFacts {
        key: ServiceKey::new(
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        ),
        labels: metadata.labels.unwrap_or_default(),
        annotations: annotations(metadata.annotations),
        service_type: service_type(spec.type_.as_deref())?,
        external_traffic_policy: traffic_policy(
            "spec.externalTrafficPolicy",
            spec.external_traffic_policy.as_deref(),
        )?,
        internal_traffic_policy: traffic_policy(
            "spec.internalTrafficPolicy",
            spec.internal_traffic_policy.as_deref(),
        )?,
        load_balancer_class: spec.load_balancer_class,
        headless,
        deleting: metadata.deletion_timestamp.is_some(),
        ip_families: ip_families(spec.ip_families.as_deref(), &cluster_addresses),
        cluster_ips: cluster_addresses,
        external_ips: addresses("spec.externalIPs", external_ips, problems),
        load_balancer_ips: load_balancer_ips(load_balancer.as_ref(), problems),
        ports: ports(spec.ports.as_deref().unwrap_or_default(), problems),
        health_check_node_port: spec.health_check_node_port.and_then(port_number),
        session_affinity: match spec.session_affinity.as_deref() {
            Some("ClientIP") => SessionAffinity::ClientIP,
            Some(_) | None => SessionAffinity::None,
        },
        traffic_distribution: spec.traffic_distribution,
        load_balancer_source_ranges: source_ranges(
            spec.load_balancer_source_ranges.as_deref(),
            problems,
        ),
        created: created.map_or(0, |time| u64::try_from(time.0.as_second()).unwrap_or(0)),
        namespace_labels: Arc::default(),
        node_endpoints: FamilyCounts::default(),
        cluster_endpoints: FamilyCounts::default(),
        unplaced_endpoints: FamilyCounts::default(),
    })
}

/// As kube-proxy reads it: a family counts with the cluster IP at its place of the list, and one
/// that is older than the list by its cluster IP.
fn ip_families(listed: Option<&[String]>, cluster_ips: &[IpAddr]) -> Vec<Family> {
    match listed {
        Some(listed) if !listed.is_empty() => listed
            .iter()
            .take(cluster_ips.len())
            .filter_map(|family| match family.as_str() {
                "IPv4" => Some(Family::Ipv4Unicast),
                "IPv6" => Some(Family::Ipv6Unicast),
                _ => None,
            })
            .collect(),
        Some(_) | None => cluster_ips
            .iter()
            .map(|address| Family::of(*address))
            .collect(),
    }
}

/// White space around one is allowed, for the API server allows it.
fn source_ranges(texts: Option<&[String]>, problems: &mut Problems) -> Vec<Prefix> {
    let mut ranges = Vec::new();
    for text in texts.into_iter().flatten() {
        match text.trim().parse::<Prefix>() {
            Ok(range) if text.contains('/') => ranges.push(range),
            Ok(_) | Err(_) => problems.push(format!(
                "spec.loadBalancerSourceRanges: {text:?} is no CIDR; it is left out"
            )),
        }
    }
    ranges
}

fn service_type(text: Option<&str>) -> Result<ServiceType, Unusable> {
    match text {
        None | Some("" | "ClusterIP") => Ok(ServiceType::ClusterIP),
        Some("NodePort") => Ok(ServiceType::NodePort),
        Some("LoadBalancer") => Ok(ServiceType::LoadBalancer),
        Some("ExternalName") => Ok(ServiceType::ExternalName),
        Some(other) => Err(Unusable {
            field: "spec.type",
            value: other.to_owned(),
        }),
    }
}

fn traffic_policy(field: &'static str, text: Option<&str>) -> Result<TrafficPolicy, Unusable> {
    match text {
        None | Some("" | "Cluster") => Ok(TrafficPolicy::Cluster),
        Some("Local") => Ok(TrafficPolicy::Local),
        Some(other) => Err(Unusable {
            field,
            value: other.to_owned(),
        }),
    }
}

fn load_balancer_ips(
    status: Option<&LoadBalancerStatus>,
    problems: &mut Problems,
) -> Vec<LoadBalancerIngress> {
    let entries = status.and_then(|status| status.ingress.as_deref());
    let mut ingress = Vec::new();
    for entry in entries.unwrap_or_default() {
        // Absent: a load balancer known by name only.
        let Some(text) = entry.ip.as_deref().filter(|text| !text.is_empty()) else {
            continue;
        };
        let Some(address) = parse_address(text) else {
            problems.push(format!(
                "status.loadBalancer.ingress: {text:?} is no IP address; it is left out"
            ));
            continue;
        };
        // Any other mode is none that kube-proxy answers in.
        let mode = match entry.ip_mode.as_deref() {
            None | Some("VIP") => IpMode::VIP,
            Some(_) => IpMode::Proxy,
        };
        let entry = LoadBalancerIngress { address, mode };
        if !ingress.contains(&entry) {
            ingress.push(entry);
        }
    }
    ingress
}

fn ports(raw: &[RawPort], problems: &mut Problems) -> Vec<ServicePort> {
    let mut ports = Vec::with_capacity(raw.len());
    for port in raw {
        let Some(number) = port_number(port.port) else {
            let value = port.port;
            problems.push(format!(
                "spec.ports: {value} is no port number; the port is left out"
            ));
            continue;
        };
        ports.push(ServicePort {
            name: port.name.clone().unwrap_or_default(),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            port: number,
            // Zero is what servers before 1.24 wrote for none.
            node_port: port.node_port.and_then(port_number),
        });
    }
    ports
}

fn port_number(value: i32) -> Option<u16> {
    u16::try_from(value).ok().filter(|port| *port != 0)
}
