//! A module's decisions about the learned routes of a scene, as every command here asks for them and
//! prints them. [`decisions`](super::decisions) has those about candidates.

use std::fmt;
use std::sync::Arc;

use super::decisions;
use crate::cases::{ExpectedVerdict, LearnedScene};
use crate::cli::text;
use crate::policy::{
    Acceptance, ImportBatch, ImportDecision, ImportPolicy, ImportVerdict, PolicyFailure,
    ProposedImport, Reasons, with_next_hop,
};
use crate::types::{Installation, Prefix, RouteAttributes};

/// What a module said about one learned route.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decided {
    pub(super) prefix: Prefix,
    pub(super) answer: Answer,
}

/// A decision as an operator looks at it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) verdict: ExpectedVerdict,
    /// What the route is used with, where it is accepted; else what it was received with.
    pub(super) attributes: Arc<RouteAttributes>,
    /// Whether these are other than the received ones.
    pub(super) attributes_changed: bool,
    /// What it says about the kernel, if anything.
    pub(super) installation: Option<Installation>,
    pub(super) reason: Option<String>,
}

/// Asks about every route of a scene, with reasons.
///
/// # Errors
/// The module failed, or its answer is impossible.
pub(super) fn ask(
    policy: &impl ImportPolicy,
    scene: &LearnedScene,
) -> Result<Vec<Decided>, PolicyFailure> {
    let routes = routes(scene);
    let decisions = policy.evaluate(&batch(scene, &routes))?;
    let decided = scene.routes.iter().zip(decisions);
    Ok(decided
        .map(|(route, decision)| Decided {
            prefix: route.prefix,
            answer: Answer::new(decision, &route.attributes),
        })
        .collect())
}

/// The routes of a scene as a policy is asked about them.
pub(super) fn routes(scene: &LearnedScene) -> Vec<ProposedImport<'_>> {
    let routes = scene.routes.iter().map(|route| ProposedImport {
        prefix: route.prefix,
        path: &route.path,
        attributes: &route.attributes,
    });
    routes.collect()
}

/// The question that a scene is.
pub(super) fn batch<'a>(
    scene: &'a LearnedScene,
    routes: &'a [ProposedImport<'a>],
) -> ImportBatch<'a> {
    ImportBatch {
        node: &scene.node,
        asn: scene.asn,
        peer_group: &scene.peer_group,
        peer: &scene.peer,
        routes,
        reasons: Reasons::Wanted,
    }
}

impl Answer {
    fn new(decision: ImportDecision, received: &Arc<RouteAttributes>) -> Self {
        let ImportDecision { verdict, reason } = decision;
        let shown: ExpectedVerdict = (&verdict).into();
        let (attributes, installation) = match verdict {
            ImportVerdict::Accept(Acceptance {
                attributes,
                installation,
            }) => (attributes, installation),
            ImportVerdict::Abstain | ImportVerdict::Reject => (None, None),
        };
        let attributes = attributes.map_or_else(
            || Arc::clone(received),
            |attributes| with_next_hop(attributes, received),
        );
        Self {
            verdict: shown,
            attributes_changed: attributes != *received,
            attributes,
            installation,
            reason: reason.map(|reason| text::printable(&reason)),
        }
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, answer } = self;
        write!(f, "{prefix}: {answer}")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verdict,
            attributes,
            attributes_changed,
            installation,
            reason,
        } = self;
        let words = decisions::with_attributes(*verdict, attributes, *attributes_changed);
        write!(f, "{words}{}", kernel(*installation))?;
        match reason {
            Some(reason) => write!(f, ", because: {reason}"),
            None => Ok(()),
        }
    }
}

/// `, kernel: keep` where something is said about it.
pub(super) fn kernel(installation: Option<Installation>) -> String {
    installation.map_or_else(String::new, |installation| {
        format!(", kernel: {installation}")
    })
}
