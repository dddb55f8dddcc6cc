//! The rule that Rutter follows unless told otherwise; the same as Calico's.
//!
//! | candidate | decision |
//! |---|---|
//! | pod CIDR or IPAM block of this node | accept |
//! | static route of the configuration | accept |
//! | route learned from a peer | reject |
//! | anything of Services, on a node labelled [`EXCLUDE_LABEL`] | reject |
//! | a configured range of Service addresses | accept, on every other node |
//! | address of a Service with `externalTrafficPolicy: Local` | accept where this node has a usable endpoint of its family |
//! | address of any other Service, inside a range | reject: the range covers it |
//! | address of any other Service, in no range | accept: any node can pass its traffic on |
//!
//! Kubernetes gives `externalTrafficPolicy` a meaning for Services of type NodePort and
//! LoadBalancer, and for external IPs; elsewhere it is read as `Cluster`. Usable is what
//! kube-proxy would send traffic to: ready endpoints, and if the node has none, those that
//! serve while they terminate.

use std::borrow::Cow;

use rutter_policy::{
    AddressKind, Candidate, Context, Decision, Description, NoSettings, Origin, Policy, Service,
    ServiceType, description, export_policy,
};

/// A node with this label announces no Service. Its presence counts, whatever the value, as in
/// Kubernetes' own service controller.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The policy. It has no settings.
#[derive(Clone, Copy, Debug)]
pub struct Default;

impl Policy for Default {
    type Settings = NoSettings;

    fn describe() -> Description {
        Description {
            name: "default".into(),
            ..description!(
                "Calico's rule: ranges from every node, Local Services from nodes that can serve them",
                r#"{"type":"object","additionalProperties":false}"#
            )
        }
    }

    fn new(NoSettings: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        match candidate.origin {
            Origin::PodCidr => Decision::accept().because("pod CIDR of this node"),
            Origin::IpamBlock => Decision::accept().because("IPAM block of this node"),
            Origin::StaticRoute => Decision::accept().because("written in the configuration"),
            Origin::LearnedRoute => {
                Decision::reject("learned from a peer: nodes do not pass routes on")
            }
            Origin::ServiceCidr(_) | Origin::ServiceAddress { .. }
                if context.node.label(EXCLUDE_LABEL).is_some() =>
            {
                Decision::reject(
                    "this node is labelled node.kubernetes.io/exclude-from-external-load-balancers",
                )
            }
            Origin::ServiceCidr(kind) => {
                Decision::accept().because(every_node_announces_the_range(kind))
            }
            Origin::ServiceAddress { service, kind } if local_applies(&service, kind) => {
                local(context, candidate, &service)
            }
            Origin::ServiceAddress { .. } => anywhere(context, candidate),
        }
    }
}

export_policy!(Default);

/// Whether only nodes with an endpoint of their own can serve this address.
fn local_applies(service: &Service<'_>, kind: AddressKind) -> bool {
    let has_meaning = match service.service_type() {
        ServiceType::NodePort | ServiceType::LoadBalancer => true,
        ServiceType::ClusterIp | ServiceType::ExternalName => kind == AddressKind::ExternalIp,
    };
    has_meaning && service.is_local()
}

/// The decision for an address that needs an endpoint on this node.
fn local(context: &Context<'_>, candidate: &Candidate<'_>, service: &Service<'_>) -> Decision {
    let family = candidate.family();
    let here = service.node_endpoints(family);
    match here.usable() {
        0 => Decision::reject(context.explain(|| {
            format!(
                "no usable endpoint on this node ({family}: {} ready, {} serving while \
                 terminating, {} unready; {} usable in the cluster)",
                here.ready,
                here.serving_terminating,
                here.unready,
                service.cluster_endpoints(family).usable(),
            )
        })),
        1 => Decision::accept()
            .because(context.explain(|| format!("1 usable {family} endpoint on this node"))),
        usable => Decision::accept().because(
            context.explain(|| format!("{usable} usable {family} endpoints on this node")),
        ),
    }
}

/// The decision for an address whose traffic any node can pass on.
fn anywhere(context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
    match candidate.covered_by {
        Some(range) => {
            Decision::reject(context.explain(|| format!("covered by the aggregate {range}")))
        }
        None => Decision::accept()
            .because("any node can pass its traffic on, and no announced range covers it"),
    }
}

fn every_node_announces_the_range(kind: AddressKind) -> Cow<'static, str> {
    Cow::Borrowed(match kind {
        AddressKind::ClusterIp => "every node announces the range of cluster IPs",
        AddressKind::ExternalIp => "every node announces the range of external IPs",
        AddressKind::LoadBalancerIp => "every node announces the range of load-balancer IPs",
    })
}

#[cfg(test)]
mod tests;
