//! The links of an import chain with their health: who is failing, when it is asked again.
//!
//! Used by [`Imports`](super::Imports) only. The pauses are those of the chain of announced
//! routes.

use std::time::Instant;

use super::super::chain::{check_attributes, retry_delay};
use super::super::{
    ImportBatch, ImportDecision, ImportLink, ImportVerdict, Limits, OnError, PolicyFailure,
};

/// How one link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportLinkStatus<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it came from.
    pub module: &'a str,
    /// What becomes of its routes while it fails.
    pub on_error: OnError,
    /// What one call of it may use.
    pub limits: Limits,
    /// Why it is failing; absent while it is not.
    pub error: Option<&'a PolicyFailure>,
    /// How often it has failed, under this name.
    pub failures: u64,
    /// When it will be asked again; absent while it is not failing.
    pub retry_at: Option<Instant>,
}

/// The links in order.
#[derive(Debug, Default)]
pub(super) struct Links(Vec<State>);

#[derive(Debug)]
struct State {
    link: ImportLink,
    failure: Option<Failure>,
    failures: u64,
}

#[derive(Debug)]
struct Failure {
    cause: PolicyFailure,
    in_a_row: u32,
    retry_at: Instant,
    pause: Pause,
}

/// Whether a link that failed may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// Not before its time.
    Lasting,
    /// Its time has come: asked in this round, and well if the round ends without a failure.
    Over,
}

/// Whether a failing link's time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Yes,
    No,
}

/// How a round went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    AllWell,
    LinkFailed,
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn link(&self, position: usize) -> &ImportLink {
        &self.0[position].link
    }

    /// How often links have failed.
    pub(super) fn failures(&self) -> u64 {
        self.0.iter().map(|state| state.failures).sum()
    }

    /// The positions of links that are not failing.
    pub(super) fn well(&self) -> Vec<usize> {
        let well = |position: &usize| self.0[*position].failure.is_none();
        (0..self.0.len()).filter(well).collect()
    }

    pub(super) fn status(&self) -> impl Iterator<Item = ImportLinkStatus<'_>> {
        self.0.iter().map(|state| ImportLinkStatus {
            name: &state.link.name,
            module: &state.link.module,
            on_error: state.link.on_error,
            limits: state.link.limits,
            error: state.failure.as_ref().map(|failure| &failure.cause),
            failures: state.failures,
            retry_at: state.failure.as_ref().map(|failure| failure.retry_at),
        })
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.status().filter_map(|link| link.retry_at).min()
    }

    /// Puts `links` in place of the present ones, each well. Returns, for each new link, the
    /// position that a link of its name had before.
    pub(super) fn replace(&mut self, links: Vec<ImportLink>) -> Vec<Option<usize>> {
        let former = std::mem::take(&mut self.0);
        let position = |link: &ImportLink| former.iter().position(|old| old.link.name == link.name);
        let positions: Vec<_> = links.iter().map(position).collect();
        let states = links.into_iter().zip(&positions);
        self.0 = states
            .map(|(link, position)| State {
                link,
                failure: None,
                failures: position.map_or(0, |position| former[position].failures),
            })
            .collect();
        positions
    }

    pub(super) fn begin_round(&mut self, now: Instant) -> Due {
        let mut due = Due::No;
        for failure in self.0.iter_mut().filter_map(|state| state.failure.as_mut()) {
            if failure.retry_at <= now {
                failure.pause = Pause::Over;
                due = Due::Yes;
            }
        }
        due
    }

    pub(super) fn end_round(&mut self) {
        for state in &mut self.0 {
            state
                .failure
                .take_if(|failure| failure.pause == Pause::Over);
        }
    }

    /// Asks the link at `position`.
    ///
    /// # Errors
    /// How it is failing, in its words.
    pub(super) fn ask(
        &mut self,
        position: usize,
        now: Instant,
        batch: &ImportBatch<'_>,
    ) -> Result<Vec<ImportDecision>, String> {
        let state = &mut self.0[position];
        let in_a_row = match &state.failure {
            Some(failure) if failure.pause == Pause::Lasting => {
                return Err(failure.cause.to_string());
            }
            Some(failure) => failure.in_a_row,
            None => 0,
        };
        let answer = state.link.policy.evaluate(batch);
        answer
            .and_then(|decisions| checked(batch, decisions))
            .map_err(|cause| {
                let words = cause.to_string();
                state.failures += 1;
                state.failure = Some(Failure {
                    cause,
                    in_a_row: in_a_row.saturating_add(1),
                    retry_at: now + retry_delay(in_a_row),
                    pause: Pause::Lasting,
                });
                words
            })
    }
}

/// The decisions, if they are a possible answer to the batch.
fn checked(
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
