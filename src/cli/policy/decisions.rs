//! A module's decisions about the candidates of a scene, as every command here asks for them and
//! prints them. [`learned`](super::learned) has those about learned routes.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::candidates::CandidateKey;
use crate::cases::{CaseFile, ExpectedVerdict, Scene};
use crate::cli::text;
use crate::files;
use crate::policy::{
    Batch, Decision, PolicyFailure, ProposedRoute, Reasons, RoutePolicy, Verdict, checked,
};
use crate::types::RouteAttributes;

/// What a module said about one candidate.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decided {
    pub(super) candidate: CandidateKey,
    pub(super) answer: Answer,
}

/// A decision as an operator looks at it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) verdict: ExpectedVerdict,
    /// What the route carries, where it is accepted; else what it was proposed with.
    pub(super) attributes: Arc<RouteAttributes>,
    /// Whether these are other than the proposed ones.
    pub(super) attributes_changed: bool,
    pub(super) reason: Option<String>,
}

/// Reads and understands a file of cases, or a recording.
///
/// # Errors
/// It cannot be read, or something in it is wrong.
pub(super) fn read(path: &Path) -> anyhow::Result<CaseFile> {
    let shown = path.display().to_string();
    let text = files::read_any_text(path, files::CASES_BYTES_MAX)
        .with_context(|| format!("cannot read the cases {shown}"))?;
    Ok(CaseFile::parse(&shown, &text)?)
}

/// Asks about every candidate of a scene, with reasons, in one batch.
///
/// # Errors
/// The module failed, or its answer is impossible.
pub(super) fn ask(policy: &impl RoutePolicy, scene: &Scene) -> Result<Vec<Decided>, PolicyFailure> {
    let routes: Vec<ProposedRoute<'_>> = routes(scene);
    let batch = batch(scene, &routes);
    let decisions = policy.evaluate(&batch)?;
    let decisions = checked(&batch, decisions)?;
    let decided = scene.candidates.iter().zip(decisions);
    Ok(decided
        .map(|(candidate, decision)| Decided {
            candidate: candidate.key.clone(),
            answer: Answer::new(decision, &scene.proposed),
        })
        .collect())
}

/// The candidates of a scene as a policy is asked about them.
pub(super) fn routes(scene: &Scene) -> Vec<ProposedRoute<'_>> {
    let routes = scene.candidates.iter().map(|candidate| ProposedRoute {
        candidate,
        attributes: &scene.proposed,
    });
    routes.collect()
}

/// The question that a scene is.
pub(super) fn batch<'a>(scene: &'a Scene, routes: &'a [ProposedRoute<'a>]) -> Batch<'a> {
    Batch {
        node: &scene.node,
        asn: scene.asn,
        peer_group: &scene.peer_group,
        candidates: routes,
        reasons: Reasons::Wanted,
    }
}

impl Answer {
    fn new(decision: Decision, proposed: &Arc<RouteAttributes>) -> Self {
        let Decision { verdict, reason } = decision;
        let attributes = match &verdict {
            Verdict::Accept(Some(attributes)) => Arc::clone(attributes),
            Verdict::Accept(None) | Verdict::Abstain | Verdict::Reject => Arc::clone(proposed),
        };
        Self {
            verdict: (&verdict).into(),
            attributes_changed: attributes != *proposed,
            attributes,
            reason: reason.map(|reason| text::printable(&reason)),
        }
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { candidate, answer } = self;
        write!(f, "{}: {answer}", shown(candidate))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verdict,
            attributes,
            attributes_changed,
            reason,
        } = self;
        f.write_str(&with_attributes(*verdict, attributes, *attributes_changed))?;
        match reason {
            Some(reason) => write!(f, ", because: {reason}"),
            None => Ok(()),
        }
    }
}

/// `accept with MED 10`; attributes that are as they were proposed are not worth telling.
pub(super) fn with_attributes(
    verdict: ExpectedVerdict,
    attributes: &RouteAttributes,
    changed: bool,
) -> String {
    let words = text::attributes(attributes);
    match verdict {
        ExpectedVerdict::Reject => "reject".to_owned(),
        ExpectedVerdict::Abstain => "abstain".to_owned(),
        ExpectedVerdict::Accept if !changed => "accept".to_owned(),
        ExpectedVerdict::Accept if words.is_empty() => "accept without attributes".to_owned(),
        ExpectedVerdict::Accept => format!("accept with {words}"),
    }
}

/// `192.0.2.10/32, load-balancer IP of shop/web`.
pub(super) fn shown(candidate: &CandidateKey) -> String {
    let CandidateKey { prefix, origin } = candidate;
    text::printable(&format!("{prefix}, {origin}"))
}
