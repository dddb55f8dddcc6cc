//! The default policy's rule as a part of the agent would have it: what the sandbox is compared
//! with. `main` checks that both decide alike before anything is measured.

use rutter::candidates::{Candidate, Origin, Serving};
use rutter::facts::EXCLUDE_LABEL;
use rutter::policy::{Batch, Decision, PolicyFailure, Reasons, RoutePolicy, Verdict};

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
    let of_services = !matches!(candidate.key.origin, Origin::PodCidr);
    if of_services && batch.node.labels.contains_key(EXCLUDE_LABEL) {
        return told(Verdict::Reject, &|| format!("labelled {EXCLUDE_LABEL}"));
    }
    if of_services && batch.node.network_unavailable() {
        return told(Verdict::Reject, &|| "the network is not set up".into());
    }
    let (Some(serving), Some(service)) = (candidate.serving, &candidate.service) else {
        return told(accept, &|| "every node announces it".into());
    };
    match (serving, candidate.covered_by) {
        (Serving::AnyNode, Some(range)) => told(Verdict::Reject, &|| {
            format!("covered by the aggregate {range}")
        }),
        (Serving::AnyNode, None) => told(accept, &|| "any node can pass its traffic on".into()),
        (Serving::ThisNode, _) => told(accept, &|| {
            let usable = service
                .node_endpoints
                .of(candidate.key.prefix.family())
                .usable();
            format!("{usable} usable on this node")
        }),
        (Serving::Unserved(unserved), _) => told(Verdict::Reject, &|| unserved.to_string()),
    }
}
