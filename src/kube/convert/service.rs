//! A Service into [`ServiceFacts`]; its endpoints are counted elsewhere.

use k8s_openapi::api::core::v1::{LoadBalancerStatus, Service, ServicePort as RawPort};

use super::{Problems, Unusable, addresses, annotations};
use crate::facts::{
    FamilyCounts, ServiceFacts, ServiceKey, ServicePort, ServiceType, TrafficPolicy,
};

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
        headless: cluster_ips.iter().any(|text| text == HEADLESS),
        deleting: metadata.deletion_timestamp.is_some(),
        cluster_ips: addresses("spec.clusterIPs", allocated, problems),
        external_ips: addresses("spec.externalIPs", external_ips, problems),
        load_balancer_ips: load_balancer_ips(load_balancer.as_ref(), problems),
        ports: ports(spec.ports.as_deref().unwrap_or_default(), problems),
        node_endpoints: FamilyCounts::default(),
        cluster_endpoints: FamilyCounts::default(),
    })
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

/// The ingress addresses that nodes answer for. With `ipMode: Proxy` (KEP-1860) the load balancer
/// answers itself and sends to a node port; kube-proxy then programs nothing for the address.
fn load_balancer_ips(
    status: Option<&LoadBalancerStatus>,
    problems: &mut Problems,
) -> Vec<std::net::IpAddr> {
    let ingress = status.and_then(|status| status.ingress.as_deref());
    let texts = ingress
        .unwrap_or_default()
        .iter()
        .filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"))
        .filter_map(|ingress| ingress.ip.as_deref())
        // A load balancer known by name only.
        .filter(|text| !text.is_empty());
    addresses("status.loadBalancer.ingress", texts, problems)
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
