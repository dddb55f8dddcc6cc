//! The pipeline's thread, and how the rest of the agent reaches it.
//!
//! A thread of its own because a policy may compute for as long as its limits let it; the
//! speaker's KEEPALIVEs do not wait for it. Events that came in while it was busy are taken
//! together: however many Services change in one moment, each is evaluated once.
//!
//! Facts go before learned routes, which are taken in pieces and have every other turn while there
//! are both: a table of hundreds of thousands, under a policy that is slow, delays a withdrawal by
//! one piece, and facts that come without end delay the table by no more than it takes to decide
//! about them.
//!
//! A question waits for the round that is being evaluated. A module that computes without end
//! costs its time limit once, and is then left alone for a pause that grows to a minute; one that
//! is slow and succeeds costs its time for each peer. [`PipelineHandle::is_stuck`] tells a thread
//! that does not get on from one that has much to do.

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use super::imports::ImportNews;
use super::pulse::Pulse;
use super::{Judgement, Leave, Pipeline, Settings, SourceState, Trial, Tried};
use crate::agent::clock;
use crate::agent::driver::{SpeakerHandle, SpeakerStopped};
use crate::agent::events::Notices;
use crate::agent::own_prefixes::OwnPrefixes;
use crate::agent::resources::{self, Hearing, Saying};
use crate::agent::service_routes;
use crate::agent::shadow::{ShadowHandles, ShadowThreads};
use crate::kube::{Source, SourceEvent};
use crate::speaker::Input;

/// Questions and configurations waiting; both are rare.
const ORDERS_MAX: usize = 16;
/// How many events are taken together before their consequences are worked out.
const BATCH_EVENTS_MAX: usize = 4096;

/// A question to the pipeline, answered between two batches.
type Question = Box<dyn FnOnce(&Pipeline) + Send>;

/// Something done to the pipeline, and what the speaker is to have of it, in order.
type Deed = Box<dyn FnOnce(&mut Pipeline) -> Vec<Input> + Send>;

enum Order {
    Do(Deed),
    Ask(Question),
}

/// How the rest of the agent reaches the pipeline.
#[derive(Clone)]
pub(in crate::agent) struct PipelineHandle {
    orders: mpsc::Sender<Order>,
    pulse: Pulse,
    shadows: ShadowHandles,
    own: OwnPrefixes,
    hearing: Hearing,
}

/// The pipeline's thread is gone: the process is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the route pipeline has stopped")]
pub(in crate::agent) struct PipelineStopped;

impl PipelineHandle {
    /// Whether the thread has ended, or does not get on.
    pub(in crate::agent) fn is_stuck(&self) -> bool {
        self.orders.is_closed() || self.pulse.is_stuck(clock::now())
    }

    /// Waits until the thread has ended, which only the speaker's end or a fault makes it.
    pub(in crate::agent) async fn stopped(&self) {
        self.orders.closed().await;
    }

    /// Copies what decides, for a configuration to be tried on it; see [`Trial::run`].
    pub(in crate::agent) async fn prepare(
        &self,
        settings: Settings,
    ) -> Result<Trial, PipelineStopped> {
        self.act(|pipeline| (pipeline.prepare(settings), Vec::new()))
            .await
    }

    /// What happened to learned routes while they were tried; see [`Tried::take_news`].
    pub(in crate::agent) async fn import_news(&self) -> Result<ImportNews, PipelineStopped> {
        self.act(|pipeline| (pipeline.import_news(), Vec::new()))
            .await
    }

    /// Tells what would come of what was tried, by the facts as they are.
    pub(in crate::agent) async fn judge(
        &self,
        mut tried: Tried,
        leave: Leave,
    ) -> Result<(Tried, Judgement), PipelineStopped> {
        self.act(move |pipeline| {
            let judgement = pipeline.judge(&mut tried, leave);
            ((tried, judgement), Vec::new())
        })
        .await
    }

    /// Puts what was tried in force.
    pub(in crate::agent) async fn adopt(&self, tried: Tried) -> Result<(), PipelineStopped> {
        self.act(|pipeline| ((), pipeline.adopt(tried))).await
    }

    async fn act<T: Send + 'static>(
        &self,
        deed: impl FnOnce(&mut Pipeline) -> (T, Vec<Input>) + Send + 'static,
    ) -> Result<T, PipelineStopped> {
        let (answer, answered) = oneshot::channel();
        let deed: Deed = Box::new(move |pipeline| {
            let (done, inputs) = deed(pipeline);
            let _ = answer.send(done);
            inputs
        });
        self.orders
            .send(Order::Do(deed))
            .await
            .map_err(|_| PipelineStopped)?;
        answered.await.map_err(|_| PipelineStopped)
    }

    /// The node's own prefixes, from now on.
    pub(in crate::agent) async fn own_prefixes(&self) -> Result<OwnPrefixes, PipelineStopped> {
        self.own.want();
        // A step, for them to be told after it.
        self.act(|_| ((), Vec::new())).await?;
        Ok(self.own.clone())
    }

    /// What Calico's resources say, from now on.
    pub(in crate::agent) fn hearing(&self) -> Hearing {
        self.hearing.clone()
    }

    /// What policies in shadow mode would change.
    pub(in crate::agent) fn shadows(&self) -> &ShadowHandles {
        &self.shadows
    }

    /// Asks something about the pipeline's state.
    pub(in crate::agent) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Pipeline) -> T + Send + 'static,
    ) -> Result<T, PipelineStopped> {
        let (answer, answered) = oneshot::channel();
        let ask = Order::Ask(Box::new(move |pipeline| {
            // Whoever asked may have given up waiting.
            let _ = answer.send(question(pipeline));
        }));
        self.orders.send(ask).await.map_err(|_| PipelineStopped)?;
        answered.await.map_err(|_| PipelineStopped)
    }
}

/// The thread: waits, gives the pipeline what came, and the speaker what came of it.
struct Runner {
    pipeline: Pipeline,
    source: Source,
    orders: mpsc::Receiver<Order>,
    speaker: SpeakerHandle,
    notices: Notices,
    pulse: Pulse,
    turn: Turn,
    shadows: ShadowThreads,
    own: OwnPrefixes,
    saying: Saying,
}

/// Starts the thread. It ends when the speaker or the last handle has.
///
/// # Errors
/// The system has no thread left.
pub(in crate::agent) fn spawn(
    node_name: &str,
    settings: Settings,
    speaker: SpeakerHandle,
    source: Source,
    notices: Notices,
) -> std::io::Result<PipelineHandle> {
    let (orders, inbox) = mpsc::channel(ORDERS_MAX);
    let pulse = Pulse::default();
    let shadows = ShadowThreads::spawn()?;
    let own = OwnPrefixes::default();
    let (saying, hearing) = resources::channel();
    let handle = PipelineHandle {
        orders,
        pulse: pulse.clone(),
        shadows: shadows.handles(),
        own: own.clone(),
        hearing,
    };
    let mut pipeline = Pipeline::new(node_name, &settings.config);
    pipeline.index.set_source(&source);
    let runner = Runner {
        pipeline,
        source,
        orders: inbox,
        speaker,
        notices,
        pulse,
        turn: Turn::Facts,
        shadows,
        own,
        saying,
    };
    let runtime = Handle::current();
    std::thread::Builder::new()
        .name("pipeline".to_owned())
        .spawn(move || {
            if let Err(SpeakerStopped) = runner.run(&runtime, settings) {
                info!("the route pipeline ends with the speaker");
            }
        })?;
    Ok(handle)
}

impl Runner {
    fn run(mut self, runtime: &Handle, settings: Settings) -> Result<(), SpeakerStopped> {
        self.pulse.of_this_thread();
        let first: Deed = Box::new(|pipeline| pipeline.configure(settings));
        let mut next = Next::Order(Order::Do(first));
        loop {
            self.pulse.begin();
            let inputs = match next {
                Next::Events(first) => {
                    self.turn = Turn::Learned;
                    self.on_events(first)
                }
                Next::SourceEnded => {
                    error!(
                        "the source of facts has ended: what is announced stays, and nothing \
                         new is learned; restart the agent"
                    );
                    self.pipeline.source = SourceState::Ended;
                    Vec::new()
                }
                Next::Order(Order::Do(deed)) => deed(&mut self.pipeline),
                Next::Order(Order::Ask(question)) => {
                    question(&self.pipeline);
                    Vec::new()
                }
                Next::Learned => {
                    self.turn = Turn::Facts;
                    let max = self.pipeline.import_side.wanted();
                    let undecided = self.speaker.blocking_take_undecided(max)?;
                    self.pipeline.learn(undecided).into_iter().collect()
                }
                Next::Retry => self.pipeline.retry(),
                Next::Ended => return Ok(()),
            };
            self.pipeline.log_waiting();
            service_routes::log_news(&mut self.pipeline, &inputs);
            for notice in std::mem::take(&mut self.pipeline.notices) {
                self.notices.tell(notice);
            }
            self.tell_own_prefixes();
            if let Some(said) = self.pipeline.resources_news() {
                self.saying.tell(said);
            }
            // As one step: what one of them takes away and another brings back must not flap.
            self.speaker.blocking_feed_all(inputs)?;
            self.tell_shadows();
            self.pulse.end();
            next = runtime.block_on(self.wait());
        }
    }

    /// Takes what came in meanwhile together with `first`.
    fn on_events(&mut self, first: SourceEvent) -> Vec<Input> {
        let waiting = &mut self.source.events;
        let more = std::iter::from_fn(|| waiting.try_recv().ok());
        let events = std::iter::once(first).chain(more).take(BATCH_EVENTS_MAX);
        self.pipeline.on_events(events)
    }

    /// Tells what became of them, if somebody wants to know.
    fn tell_own_prefixes(&mut self) {
        if self.own.is_wanted()
            && let Some(news) = self.pipeline.own_news()
        {
            self.own.tell(news);
        }
    }

    /// Tells the policies in shadow mode what came of the step.
    fn tell_shadows(&mut self) {
        if let Some(observation) = self.pipeline.exports.observe() {
            self.shadows.exports.offer(observation);
        }
        if let Some(observation) = self.pipeline.import_side.imports.observe() {
            self.shadows.imports.offer(observation);
        }
    }

    /// What happens next. Orders go first: they are few, and somebody waits for the answer.
    async fn wait(&mut self) -> Next {
        let retry_at = self.pipeline.retry_at();
        let retry = async {
            match retry_at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let has_backlog = self.pipeline.import_side.imports.has_backlog();
        let speaker = &self.speaker;
        let learned = async {
            if !has_backlog {
                speaker.undecided().await;
            }
        };
        let event = |event: Option<SourceEvent>| event.map_or(Next::SourceEnded, Next::Events);
        let order = |order: Option<Order>| order.map_or(Next::Ended, Next::Order);
        let facts_come = self.pipeline.source == SourceState::Alive;
        let events = &mut self.source.events;
        // Cancel-safe: receiving from a channel loses nothing when dropped, nor does a wait for
        // learned routes.
        match self.turn {
            Turn::Facts => tokio::select! {
                biased;
                next = self.orders.recv() => order(next),
                () = retry => Next::Retry,
                next = events.recv(), if facts_come => event(next),
                () = learned => Next::Learned,
            },
            Turn::Learned => tokio::select! {
                biased;
                next = self.orders.recv() => order(next),
                () = retry => Next::Retry,
                () = learned => Next::Learned,
                next = events.recv(), if facts_come => event(next),
            },
        }
    }
}

/// What goes first where both wait: the one that did not have the last turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Facts,
    Learned,
}

enum Next {
    Events(SourceEvent),
    SourceEnded,
    Order(Order),
    Learned,
    Retry,
    Ended,
}
