//! The default policy's rule as a part of the agent would have it: what the sandbox is compared
//! with. `main` checks that both decide alike before anything is measured.

use rutter::candidates::{AddressKind, Candidate, Origin};
use rutter::facts::{ServiceFacts, ServiceType, TrafficPolicy};
use rutter::policy::{Batch, Decision, PolicyFailure, Reasons, RoutePolicy, Verdict};

const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Native;

impl RoutePolicy for Native {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let decide = |route: &rutter::policy::ProposedRoute<'_>| decide(batch, route.candidate);
        Ok(batch.candidates.iter().map(decide).collect())
    }
}

fn decide(batch: &Batch<'_>, candidate: &Candidate) -> Decision {
    let told = |verdict, text: &dyn Fn() -> String| Decision {
        verdict,
        reason: match batch.reasons {
            Reasons::Wanted => Some(text().into()),
            Reasons::Unwanted => None,
        },
    };
    let accept = Verdict::Accept(None);
    let address = match (&candidate.key.origin, &candidate.service) {
        (Origin::ServiceAddress { address, .. }, Some(service)) => Some((*address, service)),
        (Origin::PodCidr | Origin::ServiceCidr { .. }, _) | (_, None) => None,
    };
    let of_services = !matches!(candidate.key.origin, Origin::PodCidr);
    if of_services && batch.node.labels.contains_key(EXCLUDE_LABEL) {
        return told(Verdict::Reject, &|| format!("labelled {EXCLUDE_LABEL}"));
    }
    let Some((kind, service)) = address else {
        return told(accept, &|| "every node announces it".into());
    };
    if !local_applies(service, kind) {
        return match candidate.covered_by {
            Some(range) => told(Verdict::Reject, &|| {
                format!("covered by the aggregate {range}")
            }),
            None => told(accept, &|| "any node can pass its traffic on".into()),
        };
    }
    let family = candidate.key.prefix.family();
    match service.node_endpoints.of(family).usable() {
        0 => told(Verdict::Reject, &|| {
            let cluster = service.cluster_endpoints.of(family).usable();
            format!("no usable endpoint on this node ({cluster} usable in the cluster)")
        }),
        usable => told(accept, &|| format!("{usable} usable on this node")),
    }
}

fn local_applies(service: &ServiceFacts, kind: AddressKind) -> bool {
    let has_meaning = match service.service_type {
        ServiceType::NodePort | ServiceType::LoadBalancer => true,
        ServiceType::ClusterIP | ServiceType::ExternalName => kind == AddressKind::ExternalIp,
    };
    has_meaning && service.external_traffic_policy == TrafficPolicy::Local
}
