//! Routes for Services, counted, and what is to be looked at about them.
//!
//! Status and metrics tell it; the pipeline logs what is new of it.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{info, warn};

use super::events::Notice;
use super::pipeline::Pipeline;
use crate::api::{ServiceRoutes, Withheld};
use crate::candidates::{CandidateKey, Concern, ConcernKind, Origin};
use crate::facts::{EXCLUDE_LABEL, NodeFacts};
use crate::speaker::Input;

/// How many concerns status shows.
const EXAMPLES_MAX: usize = 20;

/// What there is to tell at present.
pub(super) fn of(pipeline: &Pipeline) -> ServiceRoutes {
    let exports = &pipeline.exports;
    let candidates = exports
        .candidates()
        .filter(|candidate| of_services(&candidate.key))
        .count();
    let groups = exports.peers().map(|(id, _)| id);
    let offered: BTreeSet<&CandidateKey> = groups
        .flat_map(|group| exports.outcomes(group))
        .filter(|(key, outcome)| outcome.accepted.is_some() && of_services(key))
        .map(|(key, _)| key)
        .collect();
    let mut concerns: BTreeMap<String, u64> = ConcernKind::ALL
        .map(|kind| (kind.label().to_owned(), 0))
        .into();
    for concern in pipeline.candidates.concerns() {
        *concerns
            .entry(concern.kind().label().to_owned())
            .or_default() += 1;
    }
    let examples = pipeline.candidates.concerns().take(EXAMPLES_MAX);
    let node = pipeline.index.view().node.as_deref();
    let none_offered = candidates > 0 && offered.is_empty();
    ServiceRoutes {
        candidates: candidates as u64,
        offered: offered.len() as u64,
        withheld: node.and_then(withheld).filter(|_| none_offered),
        concerns,
        examples: examples.cloned().collect(),
    }
}

/// How many new concerns of one step are logged, a line each.
const LOGGED_MAX: usize = 20;

/// Logs what is new since the last step: concerns, each once while it lasts, and that the node itself
/// keeps routes for Services back. Tells the owners of addresses that are refused. `inputs` are what
/// the speaker is to have of the step.
pub(super) fn log_news(pipeline: &mut Pipeline, inputs: &[Input]) {
    let concerns = pipeline.candidates.take_new_concerns();
    for concern in concerns.iter().take(LOGGED_MAX) {
        warn!("{concern}");
    }
    if let Some(more @ 1..) = concerns.len().checked_sub(LOGGED_MAX) {
        warn!("and {more} more of the kind; see `rutter status`");
    }
    let refused = concerns.into_iter().filter_map(|concern| match concern {
        Concern::AddressRefused { .. }
        | Concern::TooManyAddresses { .. }
        | Concern::NoRoom { .. } => Some(Notice::AddressRefused {
            refusal: concern.to_string(),
            service: concern.service().clone(),
        }),
        Concern::PortsDropped { .. }
        | Concern::NoEndpointUnderRange { .. }
        | Concern::AnnotationsDropped { .. } => None,
    });
    pipeline.notices.extend(refused);

    let node = pipeline.index.view().node.as_deref();
    let suspected = node.and_then(withheld);
    // To count is to walk all routes: not for a step that cannot have made a difference.
    let may_differ = match pipeline.told_withheld {
        None => suspected.is_some() && none_is_offered(pipeline),
        told @ Some(_) => suspected != told || !inputs.is_empty(),
    };
    if !may_differ {
        return;
    }
    let routes = of(pipeline);
    if routes.withheld == pipeline.told_withheld {
        return;
    }
    match routes.withheld_text() {
        Some(text) => warn!("{text}"),
        None => info!("Service routes are offered again: nothing about the node is against it"),
    }
    pipeline.told_withheld = routes.withheld;
}

fn of_services(key: &CandidateKey) -> bool {
    match key.origin {
        Origin::PodCidr | Origin::IpamBlock => false,
        Origin::ServiceCidr { .. } | Origin::ServiceAddress { .. } => true,
    }
}

/// Whether no peer is offered a route for a Service; ends at the first that one is.
fn none_is_offered(pipeline: &Pipeline) -> bool {
    let exports = &pipeline.exports;
    let mut outcomes = exports
        .peers()
        .flat_map(|(group, _)| exports.outcomes(group));
    !outcomes.any(|(key, outcome)| outcome.accepted.is_some() && of_services(key))
}

/// What about the node keeps policies like the default from announcing Services from it.
fn withheld(node: &NodeFacts) -> Option<Withheld> {
    if node.labels.contains_key(EXCLUDE_LABEL) {
        Some(Withheld::ExcludeLabel)
    } else if node.network_unavailable() {
        Some(Withheld::NetworkUnavailable)
    } else {
        None
    }
}
