//! Which answers of a policy are possible: those that fit the question, with attributes that the
//! speaker could send and routers could use. Anything else is a failure of the whole batch.
//!
//! Used by [`chain`](super::chain) and by the tools that ask a module without a chain.

use std::net::IpAddr;

use super::{Batch, Decision, ImportBatch, ImportDecision, ImportVerdict, PolicyFailure, Verdict};
use crate::types::{Family, PREPEND_MAX, Prefix, RouteAttributes};

/// The decisions, if they are a possible answer to the batch: as many as candidates, with
/// attributes that a route can have.
///
/// # Errors
/// [`PolicyFailure::BadAnswer`] says which is not.
pub fn checked(
    batch: &Batch<'_>,
    decisions: Vec<Decision>,
) -> Result<Vec<Decision>, PolicyFailure> {
    let (asked, answered) = (batch.candidates.len(), decisions.len());
    if asked != answered {
        return Err(PolicyFailure::BadAnswer(format!(
            "{answered} decisions for {asked} candidates"
        )));
    }
    for (route, decision) in batch.candidates.iter().zip(&decisions) {
        let prefix = &route.candidate.key.prefix;
        match &decision.verdict {
            Verdict::Accept(Some(attributes)) => check_attributes(prefix, attributes)?,
            Verdict::Accept(None) | Verdict::Abstain | Verdict::Reject => {}
        }
    }
    Ok(decisions)
}

/// The same of decisions about learned routes.
pub(super) fn checked_imports(
    batch: &ImportBatch<'_>,
    decisions: Vec<ImportDecision>,
) -> Result<Vec<ImportDecision>, PolicyFailure> {
    let (asked, answered) = (batch.routes.len(), decisions.len());
    if asked != answered {
        return Err(PolicyFailure::BadAnswer(format!(
            "{answered} decisions for {asked} routes"
        )));
    }
    for (route, decision) in batch.routes.iter().zip(&decisions) {
        match &decision.verdict {
            ImportVerdict::Accept(acceptance) => {
                if let Some(attributes) = &acceptance.attributes {
                    check_attributes(&route.prefix, attributes)?;
                }
            }
            ImportVerdict::Abstain | ImportVerdict::Reject => {}
        }
    }
    Ok(decisions)
}

/// Refuses what the speaker could not send, or no router could use.
fn check_attributes(prefix: &Prefix, attributes: &RouteAttributes) -> Result<(), PolicyFailure> {
    let prepend = attributes.prepend;
    if prepend > PREPEND_MAX {
        return Err(PolicyFailure::BadAnswer(format!(
            "{prefix} with {prepend} prepended AS numbers, at most {PREPEND_MAX} are possible"
        )));
    }
    let usable = |next_hop: IpAddr| {
        Family::of(next_hop) == prefix.family()
            && !next_hop.is_unspecified()
            && !next_hop.is_multicast()
    };
    match attributes.next_hop {
        Some(next_hop) if !usable(next_hop) => Err(PolicyFailure::BadAnswer(format!(
            "{prefix} with next hop {next_hop}, which is no next hop for {}",
            prefix.family()
        ))),
        Some(_) | None => Ok(()),
    }
}
