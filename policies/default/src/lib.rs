//! The rule that Rutter follows unless told otherwise; the same as Calico's.
//!
//! | candidate | decision |
//! |---|---|
//! | pod CIDR or IPAM block of this node | accept |
//! | static route of the configuration | accept |
//! | route learned from a peer | reject |
//! | anything of Services, on a node labelled [`EXCLUDE_LABEL`], unless that is ignored | reject |
//! | anything of Services, on a node whose network is not set up | reject |
//! | a configured range of Service addresses | accept, on every other node |
//! | address of a Service that this node does not answer for | reject, with the cause |
//! | address that nodes with an endpoint of their own answer for | accept: this is one |
//! | address that any node answers for, inside a range | reject: the range covers it |
//! | address that any node answers for, in no range | accept |
//!
//! Whether a node answers for an address is the agent's to say ([`Serving`]): it knows kube-proxy's
//! rule. Settings and examples are in the README.

use std::borrow::Cow;

use rutter_policy::{
    AddressKind, Candidate, Context, Decision, Description, EndpointCounts, Family, Origin, Policy,
    Service, Serving, UnservedReason, description, export_policy,
};
use serde::Deserialize;

/// A node with this label announces no Service. Its presence counts, whatever the value, as in
/// Kubernetes' own service controller.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The policy.
#[derive(Clone, Copy, Debug)]
pub struct Default(Settings);

/// What the operator may set.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    #[serde(default)]
    exclude_label: ExcludeLabel,
}

/// What [`EXCLUDE_LABEL`] means.
#[derive(Clone, Copy, Debug, std::default::Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ExcludeLabel {
    /// What it says.
    #[default]
    Honour,
    /// Nothing: it is on the node for another load balancer.
    Ignore,
}

impl Policy for Default {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            name: "default".into(),
            ..description!(
                "Calico's rule: ranges from every node, Local Services from nodes that can serve them",
                include_str!("../settings.schema.json")
            )
        }
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        match candidate.origin {
            Origin::PodCidr => Decision::accept().because("pod CIDR of this node"),
            Origin::IpamBlock => Decision::accept().because("IPAM block of this node"),
            Origin::StaticRoute => Decision::accept().because("written in the configuration"),
            Origin::LearnedRoute => {
                Decision::reject("learned from a peer: nodes do not pass routes on")
            }
            Origin::ServiceCidr(kind) => self.excluded(context).unwrap_or_else(|| {
                Decision::accept().because(every_node_announces_the_range(kind))
            }),
            Origin::ServiceAddress { service, .. } => self
                .excluded(context)
                .unwrap_or_else(|| address(context, candidate, &service)),
        }
    }
}

export_policy!(Default);

impl Default {
    /// The decision about everything of Services, if the node is to announce none.
    fn excluded(&self, context: &Context<'_>) -> Option<Decision> {
        let labelled = match self.0.exclude_label {
            ExcludeLabel::Honour => context.node.label(EXCLUDE_LABEL).is_some(),
            ExcludeLabel::Ignore => false,
        };
        if labelled {
            return Some(Decision::reject(
                "this node is labelled node.kubernetes.io/exclude-from-external-load-balancers",
            ));
        }
        context.node.network_unavailable().map(|_| {
            Decision::reject(
                "the network of this node is not set up: its condition NetworkUnavailable is True",
            )
        })
    }
}

/// The decision for an address of a Service.
fn address(context: &Context<'_>, candidate: &Candidate<'_>, service: &Service<'_>) -> Decision {
    let family = candidate.family();
    match candidate.serving {
        Some(Serving::AnyNode) => anywhere(context, candidate),
        Some(Serving::ThisNode) => {
            let usable = candidate.usable_endpoints_here();
            let here = || format!("{} on this node", endpoints(usable, family));
            Decision::accept().because(context.explain(here))
        }
        Some(Serving::Unserved(reason)) => {
            Decision::reject(context.explain(|| unserved(reason, service, family)))
        }
        None => Decision::reject("the agent does not tell whether this node answers for it"),
    }
}

/// Why a node does not answer for an address of this family.
fn unserved(reason: UnservedReason, service: &Service<'_>, family: Family) -> String {
    let in_cluster = service.cluster_endpoints(family);
    match reason {
        UnservedReason::OtherProxy => {
            let proxy = service.proxy_name().unwrap_or_default();
            format!("another service proxy answers for it: {proxy}")
        }
        UnservedReason::OtherFamily => {
            format!("no node answers for it: the Service has no {family} cluster IP")
        }
        UnservedReason::LoadBalancerAnswers => {
            "no node answers for it: its load balancer does (ipMode Proxy)".into()
        }
        UnservedReason::NoEndpoint => {
            format!(
                "no usable endpoint in the cluster ({})",
                counted(in_cluster, family)
            )
        }
        UnservedReason::NoEndpointHere => format!(
            "no usable endpoint on this node ({}; {} usable in the cluster)",
            counted(service.node_endpoints(family), family),
            in_cluster.usable(),
        ),
        UnservedReason::EndpointsWithoutNode => {
            let unplaced = service.unplaced_endpoints(family).usable();
            let name = if unplaced == 1 { "names" } else { "name" };
            format!(
                "no usable endpoint on this node, and {} {name} no node",
                endpoints(unplaced, family)
            )
        }
    }
}

fn endpoints(usable: u32, family: Family) -> String {
    match usable {
        1 => format!("1 usable {family} endpoint"),
        more => format!("{more} usable {family} endpoints"),
    }
}

fn counted(counts: EndpointCounts, family: Family) -> String {
    format!(
        "{family}: {} ready, {} serving while terminating, {} unready",
        counts.ready, counts.serving_terminating, counts.unready
    )
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
