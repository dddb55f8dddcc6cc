//! The speaker's driver: one task that gives the speaker what sockets, clock and the rest of the
//! agent have for it, and does what it asks. It decides nothing.
//!
//! The order of one turn matters: everything that has already happened is fed before the clock
//! is. What has not got here yet, because this process or its tasks did not run, counts all the
//! same: a hold timer never fires while its KEEPALIVE waits to be read.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;
use tracing::{debug, info, warn};

use super::changed::ChangedRoutes;
use super::clock;
use super::connection::{self, Intake, Outbox, SocketEvent};
use super::doors::{Doors, Refusal};
use super::events::{Notice, Notices};
use super::sockets::{self, Listeners};
use super::tolerated_log::ToleratedLog;
use crate::speaker::{
    ConnectionId, Event, Input, Output, Quota, Speaker, SpeakerConfig, Undecided,
};
use crate::types::PeerId;

/// Socket news waiting for the speaker. When it is full, reading stops and TCP slows the peer.
const SOCKET_EVENTS_MAX: usize = 256;
/// Commands waiting. When it is full the pipeline waits, and merges what happens meanwhile.
const COMMANDS_MAX: usize = 64;
/// How much of what already happened is fed before the clock is: bounded, so that a flood from
/// one peer cannot keep the KEEPALIVEs of the others from leaving.
const TURN_EVENTS_MAX: usize = 512;
/// Routes that one question may be about: a few milliseconds, so that no KEEPALIVE waits for it.
pub(super) const PAGE_ROUTES: usize = 500;
/// How long the last NOTIFICATIONs may take to leave.
const FAREWELL: Duration = Duration::from_secs(3);

/// A question to the speaker, asked between two inputs.
type Question = Box<dyn FnOnce(&Speaker) + Send>;

enum Command {
    Feed(Vec<Input>),
    TakeUndecided {
        max: usize,
        taken: oneshot::Sender<Vec<Undecided>>,
    },
    Ask(Question),
    Listen {
        addresses: Vec<SocketAddr>,
        bound: oneshot::Sender<io::Result<Vec<SocketAddr>>>,
    },
    Stop(Stop),
}

/// The last command.
struct Stop {
    message: String,
    stopped: oneshot::Sender<()>,
}

/// How the rest of the agent reaches the speaker.
#[derive(Clone)]
pub struct SpeakerHandle {
    commands: mpsc::Sender<Command>,
    doors: Doors,
    /// Told when there are learned routes to decide about.
    undecided: Arc<Notify>,
    /// Told when there are next hops to look up.
    next_hops: Arc<Notify>,
}

/// The speaker's task is gone: the process is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the speaker has stopped")]
pub struct SpeakerStopped;

impl SpeakerHandle {
    /// Starts a speaker that has no configuration yet. `seed` sets its jitter; `routes` is
    /// told every prefix whose best paths change.
    #[must_use]
    pub fn spawn(seed: u64, routes: Option<ChangedRoutes>) -> Self {
        Self::spawn_telling(seed, routes, Notices::default())
    }

    /// As [`Self::spawn`], telling when sessions come and go.
    pub(super) fn spawn_telling(
        seed: u64,
        routes: Option<ChangedRoutes>,
        notices: Notices,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (events, happened) = mpsc::channel(SOCKET_EVENTS_MAX);
        let undecided = Arc::new(Notify::new());
        let doors = Doors::default();
        let next_hops = Arc::new(Notify::new());
        let driver = Driver {
            speaker: Speaker::new(seed).started_after(clock::uptime()),
            connections: BTreeMap::new(),
            listeners: Listeners::new(doors.clone(), events.clone()),
            doors: doors.clone(),
            names: BTreeMap::new(),
            events,
            routes,
            undecided: Arc::clone(&undecided),
            next_hops: Arc::clone(&next_hops),
            notices,
            tolerated: ToleratedLog::default(),
        };
        tokio::spawn(driver.run(inbox, happened));
        Self {
            commands,
            doors,
            undecided,
            next_hops,
        }
    }

    /// Connections that were closed unseen since the start, by why.
    pub(super) fn refused(&self) -> impl Iterator<Item = (Refusal, u64)> + use<> {
        self.doors.refused().into_iter()
    }

    /// Gives the speaker an input.
    ///
    /// # Errors
    /// The speaker has stopped.
    pub async fn feed(&self, input: Input) -> Result<(), SpeakerStopped> {
        self.commands
            .send(Command::Feed(vec![input]))
            .await
            .map_err(|_| SpeakerStopped)
    }

    /// Gives the speaker several inputs as one step, from a thread of its own: nothing is sent
    /// before the last of them was taken.
    ///
    /// # Errors
    /// The speaker has stopped.
    pub fn blocking_feed_all(&self, inputs: Vec<Input>) -> Result<(), SpeakerStopped> {
        if inputs.is_empty() {
            return Ok(());
        }
        self.commands
            .blocking_send(Command::Feed(inputs))
            .map_err(|_| SpeakerStopped)
    }

    /// Waits until there are learned routes to decide about. Cancel-safe: what is said while
    /// nobody waits is heard by whoever waits next.
    pub(super) async fn undecided(&self) {
        self.undecided.notified().await;
    }

    /// Waits until there are next hops that nobody looked up. Cancel-safe, as above.
    pub(super) async fn unanswered_next_hops(&self) {
        self.next_hops.notified().await;
    }

    /// Takes learned routes that are to be decided about, from a thread of its own.
    ///
    /// # Errors
    /// The speaker has stopped.
    pub(super) fn blocking_take_undecided(
        &self,
        max: usize,
    ) -> Result<Vec<Undecided>, SpeakerStopped> {
        let (taken, answer) = oneshot::channel();
        self.commands
            .blocking_send(Command::TakeUndecided { max, taken })
            .map_err(|_| SpeakerStopped)?;
        answer.blocking_recv().map_err(|_| SpeakerStopped)
    }

    /// Asks something about the speaker's state.
    ///
    /// # Errors
    /// The speaker has stopped.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Speaker) -> T + Send + 'static,
    ) -> Result<T, SpeakerStopped> {
        let (answer, answered) = oneshot::channel();
        let ask = Command::Ask(Box::new(move |speaker| {
            // Whoever asked may have given up waiting.
            let _ = answer.send(question(speaker));
        }));
        self.commands.send(ask).await.map_err(|_| SpeakerStopped)?;
        answered.await.map_err(|_| SpeakerStopped)
    }

    /// Every route that may be used, asked for some at a time: sessions live on between two questions.
    /// What changes meanwhile may be in it or not.
    ///
    /// # Errors
    /// The speaker has stopped.
    pub(super) async fn eligible(&self) -> Result<Vec<Undecided>, SpeakerStopped> {
        let mut eligible = Vec::new();
        let mut after = None;
        loop {
            let page = self.ask(move |speaker| speaker.eligible(after, PAGE_ROUTES));
            let (routes, more) = page.await?;
            eligible.extend(routes);
            if more.is_none() {
                return Ok(eligible);
            }
            after = more;
        }
    }

    /// Listens on exactly these addresses; tells them as bound.
    ///
    /// # Errors
    /// An address cannot be had; the sockets there were stay.
    pub async fn listen_on(&self, addresses: Vec<SocketAddr>) -> anyhow::Result<Vec<SocketAddr>> {
        let (bound, answer) = oneshot::channel();
        let command = Command::Listen { addresses, bound };
        self.commands
            .send(command)
            .await
            .map_err(|_| SpeakerStopped)?;
        Ok(answer.await.map_err(|_| SpeakerStopped)??)
    }

    /// Waits until the speaker's task is gone, which only [`Self::stop`] or a fault makes it.
    pub async fn stopped(&self) {
        self.commands.closed().await;
    }

    /// Ends every session, for a process that takes this one's place (RFC 4724), or with `message` where
    /// the peer does not wait for that (RFC 9003); and waits for the last octets to leave.
    pub async fn stop(&self, message: &str) {
        let (stopped, done) = oneshot::channel();
        let command = Command::Stop(Stop {
            message: message.to_owned(),
            stopped,
        });
        if self.commands.send(command).await.is_ok() {
            // An error says it has stopped, too.
            let _ = done.await;
        }
    }
}

/// Dropping one ends it: a dial attempt at once, a connection once all is written.
enum Connection {
    #[expect(dead_code, reason = "held only to be dropped")]
    Dialling(Dialling),
    Open(Outbox, Intake),
}

/// A dial attempt, which ends with this.
struct Dialling(AbortHandle);

impl Drop for Dialling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Driver {
    speaker: Speaker,
    connections: BTreeMap<ConnectionId, Connection>,
    listeners: Listeners,
    doors: Doors,
    /// What to call peers in the log.
    names: BTreeMap<PeerId, String>,
    events: mpsc::Sender<SocketEvent>,
    routes: Option<ChangedRoutes>,
    undecided: Arc<Notify>,
    next_hops: Arc<Notify>,
    notices: Notices,
    tolerated: ToleratedLog,
}

impl Driver {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut happened: mpsc::Receiver<SocketEvent>,
    ) {
        loop {
            let wake = self.speaker.poll_timeout().map(|deadline| deadline.at);
            let timer = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe: receiving from a channel loses nothing when dropped, and the timer
            // is computed anew each turn.
            tokio::select! {
                Some(event) = happened.recv() => self.on_socket(event),
                command = commands.recv() => {
                    let Some(command) = command else { return };
                    if let ControlFlow::Break(stop) = self.on_command(command) {
                        self.stop(stop.message, happened).await;
                        let _ = stop.stopped.send(());
                        return;
                    }
                }
                () = timer => {}
            }
            for _ in 0..TURN_EVENTS_MAX {
                let Ok(event) = happened.try_recv() else {
                    break;
                };
                self.on_socket(event);
            }
            self.judge_timers();
        }
    }

    /// Lets timers expire; but for hold timers of connections of which something is still to be
    /// read.
    fn judge_timers(&mut self) {
        let now = clock::now();
        for connection in self.speaker.overdue(now) {
            if let Some(Connection::Open(_, intake)) = self.connections.get(&connection)
                && intake.has_something()
            {
                self.speaker
                    .handle_input(now, Input::Arriving { connection });
            }
        }
        self.speaker.handle_timeout(now);
        self.drain();
    }

    fn on_command(&mut self, command: Command) -> ControlFlow<Stop> {
        match command {
            Command::Feed(inputs) => {
                for input in inputs {
                    let configures = matches!(input, Input::Configure(_));
                    if let Input::Configure(config) = &input {
                        self.learn(config);
                    }
                    let now = clock::now();
                    self.speaker.handle_input(now, input);
                    if configures {
                        self.doors.expect(self.speaker.admissions(), now);
                    }
                }
                self.drain();
            }
            Command::TakeUndecided { max, taken } => {
                // Whoever asked may be gone: then the process is ending.
                let _ = taken.send(self.speaker.take_undecided(max));
                self.drain();
            }
            Command::Ask(question) => question(&self.speaker),
            Command::Listen { addresses, bound } => {
                let _ = bound.send(self.listeners.listen_on(&addresses));
            }
            Command::Stop(stop) => return ControlFlow::Break(stop),
        }
        ControlFlow::Continue(())
    }

    /// What sockets and log need of a configuration.
    fn learn(&mut self, config: &SpeakerConfig) {
        self.names
            .extend(config.peers.iter().map(|peer| (peer.id, peer.name.clone())));
        let keys = config
            .peers
            .iter()
            .filter_map(|peer| Some((peer.address, peer.password.clone()?)));
        self.listeners.require_keys(keys.collect());
        let peers = config.peers.iter();
        let near = peers.filter_map(|peer| Some((peer.address, peer.ttl_security?)));
        self.listeners.require_near(near.collect());
    }

    fn on_socket(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::Dialled { connection, result } => self.on_dialled(connection, result),
            SocketEvent::Accepted {
                stream,
                local,
                remote,
            } => {
                if let Err(error) = self.listeners.secure(&stream, remote.ip()) {
                    warn!(%remote, %error, "refused a connection that cannot be signed");
                    return;
                }
                let connection = self.speaker.allocate_connection();
                self.open(connection, stream);
                self.feed(Input::Accepted {
                    connection,
                    local,
                    remote,
                });
            }
            SocketEvent::Received { connection, octets } => {
                if let Some(Connection::Open(_, intake)) = self.connections.get(&connection) {
                    intake.taken();
                }
                self.feed(Input::Received { connection, octets });
            }
            SocketEvent::Transmitted { connection, octets } => {
                self.feed(Input::Transmitted { connection, octets });
            }
            SocketEvent::Closed { connection, error } => {
                self.connections.remove(&connection);
                self.feed(Input::Closed { connection, error });
            }
        }
    }

    fn on_dialled(&mut self, connection: ConnectionId, result: io::Result<tokio::net::TcpStream>) {
        // The speaker may have given the attempt up meanwhile: then it is not there any more.
        if !self.connections.contains_key(&connection) {
            return;
        }
        match result.and_then(|stream| Ok((stream.local_addr()?, stream))) {
            Ok((local, stream)) => {
                self.open(connection, stream);
                self.feed(Input::Connected { connection, local });
            }
            Err(error) => {
                self.connections.remove(&connection);
                self.feed(Input::ConnectFailed {
                    connection,
                    error: error.to_string(),
                });
            }
        }
    }

    fn open(&mut self, connection: ConnectionId, stream: tokio::net::TcpStream) {
        let (outbox, intake) = connection::spawn(connection, stream, self.events.clone());
        self.connections
            .insert(connection, Connection::Open(outbox, intake));
    }

    fn feed(&mut self, input: Input) {
        self.speaker.handle_input(clock::now(), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.speaker.poll_output() {
            match output {
                Output::Connect {
                    connection,
                    peer: _,
                    remote,
                    local,
                    password,
                    ttl_security,
                } => {
                    let events = self.events.clone();
                    let dialling = tokio::spawn(async move {
                        let result = sockets::dial(remote, local, password, ttl_security).await;
                        let _ = events
                            .send(SocketEvent::Dialled { connection, result })
                            .await;
                    });
                    let dialling = Dialling(dialling.abort_handle());
                    self.connections
                        .insert(connection, Connection::Dialling(dialling));
                }
                Output::Transmit { connection, octets } => {
                    if let Some(Connection::Open(outbox, _)) = self.connections.get(&connection) {
                        outbox.send(octets);
                    }
                }
                Output::Close { connection } => {
                    self.connections.remove(&connection);
                }
                Output::Undecided => self.undecided.notify_one(),
                Output::NextHops => self.next_hops.notify_one(),
                Output::RouteChange { prefix } => {
                    if let Some(routes) = &self.routes {
                        routes.add(prefix);
                    }
                }
                Output::Event(event) => self.log(&event),
            }
        }
    }

    async fn stop(mut self, message: String, mut happened: mpsc::Receiver<SocketEvent>) {
        self.feed(Input::Restart { message });
        self.listeners.listen_on(&[]).ok();
        // Every connection task holds a sender: the channel ends when the last of them is done.
        let Self {
            connections,
            listeners,
            events,
            ..
        } = self;
        drop((connections, listeners, events));
        let farewell = async { while happened.recv().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            debug!("not every peer took its farewell in time");
        }
    }

    fn log(&mut self, event: &Event) {
        let name = |peer: &PeerId| {
            self.names
                .get(peer)
                .cloned()
                .unwrap_or_else(|| peer.to_string())
        };
        match event {
            Event::Established { peer } => {
                let peer = name(peer);
                info!(peer, "session established");
                self.notices.tell(Notice::SessionEstablished { peer });
            }
            Event::Down { peer, reason } => {
                let (peer, reason) = (name(peer), reason.clone());
                warn!(peer, reason, "session down");
                self.notices.tell(Notice::SessionDown { peer, reason });
            }
            Event::AttemptFailed { peer, reason } => {
                info!(peer = name(peer), reason, "no session yet");
            }
            Event::RoutesKept { peer, routes, time } => {
                let (peer, seconds) = (name(peer), time.as_secs());
                info!(
                    peer,
                    routes, seconds, "the peer's routes are kept meanwhile"
                );
                self.notices.tell(Notice::RoutesKept {
                    peer,
                    routes: *routes,
                    seconds,
                });
            }
            Event::RoutesExpired { peer, routes } => {
                let (peer, routes) = (name(peer), *routes);
                warn!(peer, routes, "routes that were kept for the peer are gone");
                self.notices.tell(Notice::RoutesExpired { peer, routes });
            }
            Event::Paused { peer, pause, ends } => {
                let seconds = pause.as_secs_f64().ceil();
                info!(
                    peer = name(peer),
                    ends, seconds, "left alone for a while: neither dialled nor accepted"
                );
                self.doors.expect(self.speaker.admissions(), clock::now());
            }
            Event::Stranger { remote } => {
                debug!(%remote, "refused a connection: no peer has this address");
            }
            Event::Tolerated { peer, tolerated } => {
                let name = name(peer);
                self.tolerated.write(clock::now(), *peer, &name, tolerated);
            }
            Event::NearLimit {
                peer,
                quota,
                held,
                limit,
            } => {
                let of = match quota {
                    Quota::Prefixes(family) => format!("{family} prefixes"),
                    Quota::AttributeBytes => "bytes of path attributes".to_owned(),
                };
                warn!(
                    peer = name(peer),
                    held,
                    limit,
                    of,
                    "the peer comes near its max-received: beyond, its session ends"
                );
            }
            Event::Unresolved { first, paths } => {
                info!(%first, paths, "routes are not used, for their next hops are not reached");
            }
            Event::CannotSend {
                peer,
                prefix,
                reason,
            } => {
                warn!(peer = name(peer), %prefix, %reason, "a route cannot be sent");
            }
            Event::NoNextHop { peer, prefix } => warn!(
                peer = name(peer), %prefix,
                "not announced: this node has no InternalIP of the prefix's family"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
