//! Policies in order, each with its health: who is asked, who is failing, when it is asked again.
//!
//! Used by [`Table`](super::Table) and [`Shadows`](super::Shadows), for policies `P` of either
//! direction, in rounds: [`Chain::begin_round`], any number of [`Chain::ask`],
//! [`Chain::end_round`]. What a failing link's routes become is decided in [`row`](super::row);
//! here is only whether it is failing.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    Audience, Directed, Inquiry, Limits, Mode, OnError, PeerGroup, PolicyFailure, RoutePolicy, Step,
};

/// Pause after the first failure. A module that trips over one odd object is asked again before
/// an operator has read the log; one that eats its whole time limit takes no core for itself.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// Longest pause. A minute is how long a mended cluster may wait for its routes, and rare enough
/// that a module that cannot recover costs next to nothing.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// One policy of a chain. `P` is what decides: about routes to be announced, or
/// [about learned ones](super::ImportLink).
#[derive(Clone)]
pub struct Link<P = Arc<dyn RoutePolicy>> {
    /// Unique in the chain; a chain that replaces this one takes over decisions by it.
    pub name: Arc<str>,
    /// Where the policy came from, for status: `builtin:default`, or a path.
    pub module: String,
    /// What it was made with, for whoever wants to make it again.
    pub settings: Arc<serde_json::Value>,
    /// The policy.
    pub policy: P,
    /// What becomes of its routes while it fails.
    pub on_error: OnError,
    /// What one call of it may use, for status; the policy keeps to it by itself.
    pub limits: Limits,
    /// Whom it decides for.
    pub audience: Audience,
    /// Whether it decides at all.
    pub mode: Mode,
}

impl<P> Link<P> {
    /// Whether it decides about routes to these peers, or from them.
    pub(super) fn is_asked_for(&self, peers: &PeerGroup) -> bool {
        match self.mode {
            Mode::Enforce => self.audience.includes(peers),
            Mode::Shadow => false,
        }
    }

    /// Why it does not decide about these peers' routes, if it does not.
    pub(super) fn passed_over_for(&self, peers: &PeerGroup) -> Option<String> {
        if !self.audience.includes(peers) {
            return Some(format!("it is for {} only", self.audience));
        }
        match self.mode {
            Mode::Enforce => None,
            Mode::Shadow => Some("it is in shadow mode".to_owned()),
        }
    }
}

impl<P> fmt::Debug for Link<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("name", &self.name)
            .field("module", &self.module)
            .field("on_error", &self.on_error)
            .field("limits", &self.limits)
            .field("audience", &self.audience)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// One link of a chain that is to replace another.
#[derive(Clone, Debug)]
pub enum NextLink<P = Arc<dyn RoutePolicy>> {
    /// The present link of this name as it is, with its health. Where there is none, the new
    /// chain has none either.
    Kept(Arc<str>),
    /// A link that was not there before, or takes the place of the one of its name. It is well
    /// until it fails.
    New(Link<P>),
}

impl<P> NextLink<P> {
    /// The link's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Kept(name) => name,
            Self::New(link) => &link.name,
        }
    }
}

impl<P> From<Link<P>> for NextLink<P> {
    fn from(link: Link<P>) -> Self {
        Self::New(link)
    }
}

/// How one link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStatus<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it came from.
    pub module: &'a str,
    /// What it was made with.
    pub settings: &'a serde_json::Value,
    /// What becomes of its routes while it fails.
    pub on_error: OnError,
    /// What one call of it may use.
    pub limits: Limits,
    /// Whom it decides for.
    pub audience: &'a Audience,
    /// Whether it decides at all. One in shadow mode is never asked here, so never fails.
    pub mode: Mode,
    /// Why it is failing; absent while it is not.
    pub error: Option<&'a PolicyFailure>,
    /// How often it has failed, under this name.
    pub failures: u64,
    /// When it will be asked again; absent while it is not failing.
    pub retry_at: Option<Instant>,
}

/// The links in order.
#[derive(Clone, Debug)]
pub(super) struct Chain<P = Arc<dyn RoutePolicy>> {
    links: Vec<LinkState<P>>,
    asked: u64,
}

/// A link and how it is.
#[derive(Clone, Debug)]
struct LinkState<P> {
    link: Link<P>,
    health: Health,
    failures: u64,
    round: Round,
    heritage: Heritage,
}

#[derive(Clone, Debug)]
enum Health {
    /// Asked whenever there is something to ask.
    Well,
    /// Not asked before its time.
    Failing(Failure),
    /// Its time has come: asked in this round, and well if the round ends without a failure.
    OnTrial(Failure),
}

#[derive(Clone, Debug)]
struct Failure {
    cause: PolicyFailure,
    in_a_row: u32,
    retry_at: Instant,
}

/// What a link did in the present round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Silent,
    Answered,
    /// Failed without having answered before: the whole round saw it failing.
    Failed,
    /// Failed after it had answered for another group: the round is not of one mind.
    FailedAfterAnswer,
}

/// Whether decisions of a former chain, or about a former group, stand in for the link's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heritage {
    StandsIn,
    None,
}

/// What a link has to say about a batch.
#[derive(Debug)]
pub(super) enum Answer {
    /// One for each route.
    Steps(Vec<Step>),
    /// It is failing: on-error decides. The text says how it failed.
    Failing(OnError, String),
}

impl<P> Default for Chain<P> {
    fn default() -> Self {
        Self {
            links: Vec::new(),
            asked: 0,
        }
    }
}

impl<P: Directed> Chain<P> {
    /// How many links there are.
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// The name of the link at `position`.
    pub(super) fn name(&self, position: usize) -> &Arc<str> {
        &self.links[position].link.name
    }

    /// The link at `position`.
    pub(super) fn link(&self, position: usize) -> &Link<P> {
        &self.links[position].link
    }

    /// The links, in order.
    pub(super) fn links(&self) -> impl Iterator<Item = &Link<P>> {
        self.links.iter().map(|state| &state.link)
    }

    /// Whether some link is in shadow mode.
    pub(super) fn has_shadows(&self) -> bool {
        self.links().any(|link| link.mode == Mode::Shadow)
    }

    /// How often a link was asked, since the beginning.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// Status of each link, in order.
    pub(super) fn status(&self) -> impl Iterator<Item = LinkStatus<'_>> {
        self.links.iter().map(|state| {
            let failure = state.health.failure();
            LinkStatus {
                name: &state.link.name,
                module: &state.link.module,
                settings: &state.link.settings,
                on_error: state.link.on_error,
                limits: state.link.limits,
                audience: &state.link.audience,
                mode: state.link.mode,
                error: failure.map(|failure| &failure.cause),
                failures: state.failures,
                retry_at: failure.map(|failure| failure.retry_at),
            }
        })
    }

    /// The first time at which a failing link is to be asked again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.status().filter_map(|link| link.retry_at).min()
    }

    /// Puts `links` in place of the present ones. Returns, for each link of the new chain, the
    /// position that a link of its name had before.
    pub(super) fn replace(
        &mut self,
        links: impl IntoIterator<Item = impl Into<NextLink<P>>>,
    ) -> Vec<Option<usize>> {
        let former = std::mem::take(&mut self.links);
        let mut positions = Vec::new();
        for link in links.into_iter().map(Into::into) {
            let position = former.iter().position(|old| old.link.name == *link.name());
            let before = position.map(|position| &former[position]);
            let state = match (link, before) {
                (NextLink::Kept(_), None) => continue,
                (NextLink::Kept(_), Some(before)) => before.clone(),
                (NextLink::New(link), before) => LinkState {
                    link,
                    health: Health::Well,
                    failures: before.map_or(0, |before| before.failures),
                    round: Round::Silent,
                    heritage: Heritage::StandsIn,
                },
            };
            self.links.push(state);
            positions.push(position);
        }
        positions
    }

    /// Starts a round at `now`. Returns whether a failing link is due again, so that the round
    /// must ask about everything.
    pub(super) fn begin_round(&mut self, now: Instant) -> Due {
        let mut due = Due::No;
        for state in &mut self.links {
            state.round = Round::Silent;
            if let Health::Failing(failure) = &state.health
                && failure.retry_at <= now
            {
                state.health = Health::OnTrial(failure.clone());
                due = Due::Yes;
            }
        }
        due
    }

    /// Asks the link at `position`, unless it is failing.
    pub(super) fn ask(
        &mut self,
        position: usize,
        now: Instant,
        inquiry: &Inquiry<'_, P>,
    ) -> Answer {
        let state = &mut self.links[position];
        let in_a_row = match &state.health {
            Health::Failing(failure) => return state.failing(failure),
            Health::OnTrial(failure) => failure.in_a_row,
            Health::Well => 0,
        };
        self.asked += 1;
        match state.link.policy.ask(&state.link.name, inquiry) {
            Ok(steps) => {
                state.round = Round::Answered;
                Answer::Steps(steps)
            }
            Err(cause) => {
                let failure = Failure {
                    cause,
                    in_a_row: in_a_row.saturating_add(1),
                    retry_at: now + retry_delay(in_a_row),
                };
                let answer = state.failing(&failure);
                state.fail(failure);
                answer
            }
        }
    }

    /// Whether a link failed in this round after it had answered in it. What it answered is then
    /// to be evaluated again, for on-error speaks about all of its routes.
    pub(super) fn is_divided(&self) -> bool {
        self.links.iter().any(|state| match state.round {
            Round::FailedAfterAnswer => true,
            Round::Silent | Round::Answered | Round::Failed => false,
        })
    }

    /// Whether a link failed in this round at all.
    pub(super) fn has_failed(&self) -> bool {
        self.links.iter().any(|state| match state.round {
            Round::Failed | Round::FailedAfterAnswer => true,
            Round::Silent | Round::Answered => false,
        })
    }

    /// Starts the same round over, as links have failed in it; they are not asked again.
    pub(super) fn restart_round(&mut self) {
        for state in &mut self.links {
            state.round = Round::Silent;
        }
    }

    /// Ends a round: a link that was on trial and did not fail is well. That includes one that
    /// nothing was left to ask: no route depends on it.
    pub(super) fn end_round(&mut self) {
        for state in &mut self.links {
            if let Health::OnTrial(_) = state.health {
                state.health = Health::Well;
            }
        }
    }

    /// A new group is about to begin with the decisions of another.
    pub(super) fn expect_stand_ins(&mut self) {
        for state in &mut self.links {
            state.heritage = Heritage::StandsIn;
        }
    }

    /// The links that have come to answer for themselves, in a round about everything or about
    /// all of a new group, so that nothing needs to stand in for them any longer. Each is named
    /// once.
    pub(super) fn take_independent(&mut self) -> Vec<usize> {
        let mut independent = Vec::new();
        for (position, state) in self.links.iter_mut().enumerate() {
            let well = state.health.failure().is_none();
            if well && state.heritage == Heritage::StandsIn {
                state.heritage = Heritage::None;
                independent.push(position);
            }
        }
        independent
    }
}

/// Whether a failing link's time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Yes,
    No,
}

impl<P> LinkState<P> {
    fn failing(&self, failure: &Failure) -> Answer {
        Answer::Failing(self.link.on_error, failure.cause.to_string())
    }

    fn fail(&mut self, failure: Failure) {
        self.failures += 1;
        self.health = Health::Failing(failure);
        self.round = match self.round {
            Round::Silent | Round::Failed => Round::Failed,
            Round::Answered | Round::FailedAfterAnswer => Round::FailedAfterAnswer,
        };
    }
}

impl Health {
    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Well => None,
            Self::Failing(failure) | Self::OnTrial(failure) => Some(failure),
        }
    }
}

/// The pause after one more failure, following `failures_before` in a row.
fn retry_delay(failures_before: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures_before);
    RETRY_FIRST.saturating_mul(doubled).min(RETRY_MAX)
}
