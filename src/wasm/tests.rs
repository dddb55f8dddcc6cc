//! Compiled modules through the host: the default policy, modules that are refused, and modules
//! that fail.

mod answers;
mod bombs;
mod caching;
mod conformance;
mod default_policy;
mod failing;
mod logging;
mod lowering;
mod metered;
mod refused;
pub(crate) mod talkative;
mod two_way;

#[path = "../../tests/support/hostile.rs"]
pub(crate) mod hostile;
#[path = "../../tests/support/verdicts.rs"]
pub(crate) mod verdicts;

use std::sync::{Arc, LazyLock};

use serde_json::json;

use super::{Engine, Limits, Module, WasmPolicy};
use crate::candidates::{Candidate, CandidateKey, Origin};
use crate::facts::NodeFacts;
use crate::policy::{
    Batch, Decision, PeerGroup, PeerKind, PolicyFailure, ProposedRoute, Reasons, RoutePolicy,
};
use crate::types::{Asn, RouteAttributes};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().unwrap());

static BUILTIN: LazyLock<Module> = LazyLock::new(|| Module::builtin(&ENGINE, "default").unwrap());

/// A policy without settings.
fn policy(module: &Module, limits: Limits) -> WasmPolicy {
    WasmPolicy::new(module, &json!({}), limits).unwrap()
}

/// Asks with reasons, towards one external peer.
fn evaluate(
    policy: &mut impl RoutePolicy,
    node: &NodeFacts,
    candidates: &[Candidate],
) -> Result<Vec<Decision>, PolicyFailure> {
    let attributes = Arc::new(RouteAttributes::default());
    let routes = routes(candidates, &attributes);
    asked(node, &routes, |batch| policy.evaluate(batch))
}

/// Has a question made of these routes answered.
fn asked<T>(
    node: &NodeFacts,
    routes: &[ProposedRoute<'_>],
    answer: impl FnOnce(&Batch<'_>) -> T,
) -> T {
    answer(&Batch {
        node,
        asn: Asn(64512),
        peer_group: &PeerGroup {
            name: "tor".into(),
            asn: Asn(64513),
            kind: PeerKind::Ebgp,
            labels: [("rack".into(), "r1".into())].into(),
        },
        candidates: routes,
        reasons: Reasons::Wanted,
    })
}

fn routes<'a>(
    candidates: &'a [Candidate],
    attributes: &'a Arc<RouteAttributes>,
) -> Vec<ProposedRoute<'a>> {
    candidates
        .iter()
        .map(|candidate| ProposedRoute {
            candidate,
            attributes,
        })
        .collect()
}

fn pod_cidr(prefix: &str) -> Candidate {
    Candidate {
        key: CandidateKey {
            prefix: prefix.parse().unwrap(),
            origin: Origin::PodCidr,
        },
        service: None,
        covered_by: None,
        serving: None,
    }
}
