//! Policies in order, each with its health: who is asked, who is failing, on what and when it is
//! asked again.
//!
//! Used by [`Table`](super::Table) and [`Shadows`](super::Shadows), for policies `P` of either
//! direction, in rounds: [`Chain::begin_round`], any number of [`Chain::ask`],
//! [`Chain::end_round`]. What a failing link's routes become is decided in [`row`](super::row);
//! here is only whether it is failing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asking::{Asking, Broken, Reply};
use super::held::Held;
use super::search::{Budget, CALLS_MAX, Clock, Haste, TIME_MAX};
use super::{
    Audience, Directed, Inquiry, Limits, Mode, OnError, PeerGroup, PolicyFailure, RoutePolicy, Step,
};
use crate::types::RouteAttributes;

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

/// How often something failed, by [`PolicyFailure::kind`].
pub type FailureCounts = BTreeMap<&'static str, u64>;

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
    /// How often it has failed, under this name, as a whole or on single routes.
    pub failures: &'a FailureCounts,
    /// How many routes it fails on while it is not failing as a whole; a route counts once for
    /// each peer group, or peer.
    pub held: usize,
    /// When it will be asked again; absent while it is not failing.
    pub retry_at: Option<Instant>,
}

impl LinkStatus<'_> {
    /// How often it has failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// The links in order.
#[derive(Clone, Debug)]
pub(super) struct Chain<P: Directed = Arc<dyn RoutePolicy>> {
    links: Vec<LinkState<P>>,
    asked: u64,
    /// What searches may still take in this round.
    time_left: Duration,
    clock: Option<Clock>,
    haste: Haste,
    course: Course,
}

/// How a round went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Course {
    /// Every policy that was asked answered.
    Smooth,
    /// One failed, or fails already.
    Troubled,
    /// One failed on some of the routes, and which is to be found out with fewer at a time.
    Postponed,
}

/// A link and how it is.
#[derive(Clone, Debug)]
struct LinkState<P: Directed> {
    link: Link<P>,
    health: Health,
    /// What it fails on, beside its health.
    held: Held<P>,
    failures: FailureCounts,
    round: Round,
    heritage: Heritage,
}

#[derive(Clone, Debug)]
enum Health {
    /// Asked whenever there is something to ask.
    Well,
    /// Not asked before its time.
    Failing(Failure),
    /// Its time has come: asked in this round, and in those that go on with it, and well if that
    /// ends without a failure.
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
    /// One for each route, or how it fails on that: on-error decides for it.
    Each(OnError, Vec<Result<Step, PolicyFailure>>),
    /// It fails on some of them, which is to be found out later, with fewer at a time.
    Postponed,
    /// It is failing: on-error decides. The text says how it failed.
    Failing(OnError, String),
}

/// A route that a policy was well about when it was asked last.
pub(super) type Control<P> = (
    <P as Directed>::Key,
    <P as Directed>::Route,
    Arc<RouteAttributes>,
);

impl<P: Directed> Default for Chain<P> {
    fn default() -> Self {
        Self {
            links: Vec::new(),
            asked: 0,
            time_left: TIME_MAX,
            clock: None,
            haste: Haste::No,
            course: Course::Smooth,
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
                failures: &state.failures,
                held: match failure {
                    Some(_) => 0,
                    None => state.held.iter().count(),
                },
                retry_at: failure.map(|failure| failure.retry_at),
            }
        })
    }

    /// The first time at which a link is to be asked again, or about what it fails on.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        let retries = self.links.iter().filter_map(|state| match &state.health {
            Health::Well => state.held.retry_at(),
            Health::Failing(failure) => Some(failure.retry_at),
            // It is being asked already.
            Health::OnTrial(_) => None,
        });
        retries.min()
    }

    /// When a link that is failing is to be asked again.
    pub(super) fn failing_until(&self) -> Option<Instant> {
        self.status().filter_map(|link| link.retry_at).min()
    }

    /// Lets searches be timed.
    pub(super) fn set_clock(&mut self, clock: Clock) {
        self.clock = Some(clock);
    }

    /// Whether somebody waits for the end of rounds.
    pub(super) fn set_haste(&mut self, haste: Haste) {
        self.haste = haste;
    }

    /// What each link fails on, in order, while it is not failing as a whole.
    pub(super) fn held(&self) -> impl Iterator<Item = (&Link<P>, &Held<P>)> {
        let well = self.links.iter().filter(|it| it.health.failure().is_none());
        well.map(|state| (&state.link, &state.held))
    }

    /// Whether the link at `position` fails on the route.
    pub(super) fn is_held(&self, position: usize, peers: P::PeersId, key: &P::Key) -> bool {
        self.links[position].held.get(peers, key).is_some()
    }

    /// Whether there is anything that the link at `position` fails on.
    pub(super) fn holds(&self, position: usize) -> bool {
        !self.links[position].held.is_empty()
    }

    /// The link at `position` is not asked about the route any more. Returns whether it failed on
    /// it.
    pub(super) fn release(&mut self, position: usize, peers: P::PeersId, key: &P::Key) -> bool {
        self.links[position].held.release(peers, key)
    }

    /// Lets go of all that links fail on but these.
    pub(super) fn retain_held(&mut self, stays: impl Fn(P::PeersId, &P::Key) -> bool) {
        for state in &mut self.links {
            state.held.retain(|id, key, _| stays(id, key));
        }
    }

    /// What is to be asked about again: routes that links fail on which are well else.
    pub(super) fn due(&self, now: Instant) -> impl Iterator<Item = (P::PeersId, &P::Key)> {
        let held = self.held().flat_map(|(_, held)| held.iter());
        let due = held.filter(move |(_, _, hold)| hold.retry_at <= now);
        due.map(|(id, key, _)| (id, key))
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
                    held: Held::default(),
                    failures: before.map_or_else(Default::default, |it| it.failures.clone()),
                    round: Round::Silent,
                    heritage: Heritage::StandsIn,
                },
            };
            self.links.push(state);
            positions.push(position);
        }
        positions
    }

    /// Counts no fewer failures of a policy than `other` does.
    pub(super) fn keep_counts(&mut self, other: &Self) {
        for state in &mut self.links {
            let same = |it: &&LinkState<P>| it.link.name == state.link.name;
            let counts = other.links.iter().find(same).map(|it| &it.failures);
            for (kind, count) in counts.into_iter().flatten() {
                let own = state.failures.entry(kind).or_default();
                *own = (*own).max(*count);
            }
        }
    }

    /// Starts a round at `now`. Returns whether a failing link is due again, so that the round
    /// must ask about everything.
    pub(super) fn begin_round(&mut self, now: Instant) -> Due {
        self.time_left = TIME_MAX;
        self.course = Course::Smooth;
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

    /// Asks the link at `position`, unless it is failing. Where it fails, the routes that it fails
    /// on are searched for; should that be all, it is asked about one of `controls`, which tells a
    /// policy that is broken from one that fails on few routes.
    pub(super) fn ask(
        &mut self,
        position: usize,
        now: Instant,
        inquiry: &Inquiry<'_, P>,
        controls: impl FnOnce(&Held<P>) -> Vec<Control<P>>,
    ) -> Answer {
        let answer = self.answer(position, now, inquiry, controls);
        self.course = self.course.max(match &answer {
            Answer::Steps(_) => Course::Smooth,
            Answer::Each(..) | Answer::Failing(..) => Course::Troubled,
            Answer::Postponed => Course::Postponed,
        });
        answer
    }

    /// How the last round went.
    pub(super) fn course(&self) -> Course {
        self.course
    }

    fn answer(
        &mut self,
        position: usize,
        now: Instant,
        inquiry: &Inquiry<'_, P>,
        controls: impl FnOnce(&Held<P>) -> Vec<Control<P>>,
    ) -> Answer {
        let state = &mut self.links[position];
        if let Health::Failing(failure) = &state.health {
            return state.failing(failure);
        }
        let budget = Budget {
            calls_left: state.calls_max(),
            time_left: &mut self.time_left,
            clock: self.clock.as_ref(),
            haste: self.haste,
        };
        let asking = Asking {
            link: &state.link,
            inquiry,
            budget,
            asked: &mut self.asked,
        };
        match asking.run(now, &mut state.held, controls) {
            Ok(Reply { answer, failures }) => {
                state.count(failures);
                state.round = Round::Answered;
                answer
            }
            Err(Broken { cause, failures }) => {
                state.count(failures);
                state.fail(now, cause)
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

    /// Lets go of what was due in this round, which was about all of that, and not asked about: no
    /// route depends on it.
    pub(super) fn release_due(&mut self, now: Instant) {
        for state in &mut self.links {
            if state.health.failure().is_none() {
                state.held.retain(|_, _, hold| hold.retry_at > now);
            }
        }
    }

    /// The same after a round about everything, in which a link on trial was asked as well.
    pub(super) fn release_unasked(&mut self, now: Instant) {
        for state in &mut self.links {
            match state.health {
                Health::Well | Health::OnTrial(_) => {
                    state.held.retain(|_, _, hold| hold.retry_at > now);
                }
                Health::Failing(_) => {}
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

impl<P: Directed> LinkState<P> {
    fn failing(&self, failure: &Failure) -> Answer {
        Answer::Failing(self.link.on_error, failure.cause.to_string())
    }

    /// What one batch may cost. A policy that runs out of time whatever it is asked costs a search
    /// now and then only.
    fn calls_max(&self) -> u32 {
        match &self.health {
            Health::OnTrial(failure) if !failure.is_worth_a_search() => 1,
            Health::OnTrial(_) | Health::Well | Health::Failing(_) => CALLS_MAX,
        }
    }

    fn count(&mut self, failures: impl IntoIterator<Item = &'static str>) {
        for kind in failures {
            *self.failures.entry(kind).or_default() += 1;
        }
    }

    fn fail(&mut self, now: Instant, cause: PolicyFailure) -> Answer {
        let before = match &self.health {
            Health::OnTrial(failure) => failure.in_a_row,
            Health::Well | Health::Failing(_) => 0,
        };
        let failure = Failure {
            cause,
            in_a_row: before.saturating_add(1),
            retry_at: now + doubled(RETRY_FIRST, before, RETRY_MAX),
        };
        let answer = self.failing(&failure);
        self.count([failure.cause.kind()]);
        self.health = Health::Failing(failure);
        self.round = match self.round {
            Round::Silent | Round::Failed => Round::Failed,
            Round::Answered | Round::FailedAfterAnswer => Round::FailedAfterAnswer,
        };
        answer
    }
}

impl Failure {
    fn is_worth_a_search(&self) -> bool {
        match self.cause {
            PolicyFailure::OutOfTime(_) => self.in_a_row.is_power_of_two(),
            PolicyFailure::Trap(_)
            | PolicyFailure::OutOfInstructions(_)
            | PolicyFailure::OutOfMemory(_)
            | PolicyFailure::BadAnswer(_)
            | PolicyFailure::Inconsistent(_)
            | PolicyFailure::NotLoaded(_) => true,
        }
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
pub(super) fn doubled(first: Duration, failures_before: u32, max: Duration) -> Duration {
    let doubled = 2u32.saturating_pow(failures_before);
    first.saturating_mul(doubled).min(max)
}
