//! The speaker: sessions, RIBs and import rules composed into one sans-IO machine.
//!
//! **Feed one input (or a timeout), then drain [`Speaker::poll_output`] until it is empty, then
//! wait for input or for [`Speaker::poll_timeout`], whichever comes first.** Time is an argument
//! and randomness an owned seeded generator, so a run is a function of inputs, times and seed.
//! Drivers (the agent's sockets, the simulation's network) hold no decisions.
//!
//! # Order
//!
//! - Give everything that was received before calling [`Speaker::handle_timeout`]: a hold timer
//!   is judged by what has been read. Of what cannot be given yet, tell by [`Input::Arriving`].
//!   KEEPALIVEs are sent on time even if only input comes.
//! - UPDATEs are made when outputs are drained, from what is to be announced at that moment, and
//!   only as many as a connection has room for. Several inputs may be fed before draining: what
//!   they undo among themselves is never sent. Peers that are told the same are an update group: a
//!   message is made once, for the first that has room, and kept for the others.
//!
//! # Routes
//!
//! Only what [`Input::Export`] names is announced. Routes learned from peers stay in the
//! Adj-RIB-In and the Loc-RIB: a node is never a transit between its peers. Only one that has a
//! cluster id, and is a route reflector by that, passes them on (`reflection` has the rules, and
//! `export` what becomes of their attributes). Which of them reach
//! the Loc-RIB, and with what attributes, is the operator's [`Learning`]: all that may be used, or
//! those that [`Input::Import`] lets through. Of them, those take part in the choice of the best paths
//! whose next hops are reached, as far as [`Input::NextHops`] tells.

mod config;
mod configure;
mod deadlines;
mod export;
mod exports;
mod import;
mod io;
mod limits;
mod next_hops;
mod reflection;
mod refresh;
mod restart;
mod routes;
mod session;
mod tolerated;
mod update_groups;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::bgp::{ConnectionIds, Context, PeerOutput, Random};
use crate::rib::{AttributePool, LocRib, Multipath, NextHopTable};
use crate::types::{PeerId, Prefix, RouteVersion};
use deadlines::Deadlines;
use exports::Exports;
use restart::{Departure, Restart};
use session::Session;
use update_groups::UpdateGroups;

pub use crate::bgp::{ConnectionId, Deadline, SessionState};
pub use crate::bgp::{NotificationCounts, SessionEnd, SessionHistory};
pub use config::{Learning, NextHops, PeerConfig, SpeakerConfig};
pub use import::{Import, Undecided, UndecidedRoute, route_attributes};
pub use io::{Event, Input, Output};
pub use limits::Quota;
pub use restart::{RestartView, StaleView};
pub use tolerated::{Fault, FaultCounts, LastFault, Tolerated, Treatment};
pub use view::{Advertised, NotSent, PeerView, SessionView};

/// Every session of one node, and the routes on them.
#[derive(Debug)]
pub struct Speaker {
    config: Option<SpeakerConfig>,
    sessions: BTreeMap<PeerId, Session>,
    /// As of when each session was last drained.
    deadlines: Deadlines,
    /// Whose each live connection is, dials included.
    connections: BTreeMap<ConnectionId, PeerId>,
    exports: Exports,
    update_groups: UpdateGroups,
    pool: AttributePool,
    loc_rib: LocRib,
    next_hops: NextHopTable,
    /// Next hops inside prefixes whose paths changed, to be looked at once the input is done.
    recursing: BTreeSet<IpAddr>,
    /// Learned routes that changed since they were last taken. No more than there were routes.
    undecided: BTreeSet<(PeerId, Prefix)>,
    /// The number of the latest announcement that is asked about.
    last_version: RouteVersion,
    outputs: VecDeque<Output>,
    /// Prefixes whose best path changed and was not passed on yet, where we reflect.
    to_pass_on: BTreeSet<Prefix>,
    /// Peers that may have something to be sent, or room for it again.
    unserved: BTreeSet<PeerId>,
    ids: ConnectionIds,
    random: Random,
    restart: Restart,
    /// That all sessions are to be over, once they are.
    departure: Option<Departure>,
    /// The time of the last input or timeout.
    now: Option<Instant>,
}

impl Speaker {
    /// A speaker without configuration. Equal seeds and equal inputs give equal outputs.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            config: None,
            sessions: BTreeMap::new(),
            deadlines: Deadlines::default(),
            connections: BTreeMap::new(),
            exports: Exports::default(),
            update_groups: UpdateGroups::default(),
            pool: AttributePool::default(),
            // Nodes of a cluster may each be an AS of their own; a router spreads traffic over
            // all of them.
            loc_rib: LocRib::new(Multipath::AnyNeighborAs),
            next_hops: NextHopTable::default(),
            recursing: BTreeSet::new(),
            undecided: BTreeSet::new(),
            last_version: RouteVersion::default(),
            outputs: VecDeque::new(),
            to_pass_on: BTreeSet::new(),
            unserved: BTreeSet::new(),
            ids: ConnectionIds::default(),
            random: Random::new(seed),
            restart: Restart::default(),
            departure: None,
            now: None,
        }
    }

    /// A name for a connection that was accepted, for [`Input::Accepted`].
    pub fn allocate_connection(&mut self) -> ConnectionId {
        self.ids.allocate()
    }

    /// Something happened at `now`. Inputs about connections the speaker does not have, or has
    /// no more, are ignored.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.now = Some(now);
        match input {
            Input::Configure(config) => self.configure(now, config),
            Input::Connected { connection, local } => {
                self.on_connection(now, connection, |peer, context| {
                    peer.connected(connection, canonical(local), context);
                });
            }
            Input::ConnectFailed { connection, error } => {
                self.on_connection(now, connection, |peer, context| {
                    peer.connect_failed(connection, error, context);
                });
                self.connections.remove(&connection);
            }
            Input::Accepted {
                connection,
                local,
                remote,
            } => self.accepted(now, connection, canonical(local), canonical(remote)),
            Input::Received { connection, octets } => {
                self.on_connection(now, connection, |peer, _| {
                    peer.received(connection, &octets)
                });
            }
            Input::Arriving { connection } => {
                self.on_connection(now, connection, |peer, context| {
                    peer.arriving(connection, context.now);
                });
            }
            Input::Transmitted { connection, octets } => {
                self.on_connection(now, connection, |peer, context| {
                    peer.transmitted(connection, octets, context.now);
                });
            }
            Input::Closed { connection, error } => {
                self.on_connection(now, connection, |peer, context| {
                    peer.closed(connection, error, context);
                });
                self.connections.remove(&connection);
            }
            Input::Import(decisions) => self.import(decisions),
            Input::Resolution(resolution) => self.resolve_next_hops_by(resolution),
            Input::NextHops(answers) => self.next_hops_are(answers),
            Input::Export { group, changes } => self.export(group, &changes),
            Input::ExportsComplete => self.exports_complete(),
            Input::Restart { message } => self.make_way(now, message),
            Input::Leave { message } => self.leave(now, message),
            Input::Join => self.join(now),
        }
        self.settle_next_hops();
        self.settle_restart();
        self.send_due_keepalives(now);
    }

    /// Handles every timer that has expired by `now`; none is fine.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = Some(now);
        for id in self.deadlines.due(now) {
            self.on_peer(now, id, |peer, context| peer.handle_timeout(context));
            self.expire_restart(now, id);
        }
        self.see_all_off(now);
        self.settle_next_hops();
        self.settle_restart();
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            self.pass_on();
            let now = self.now?;
            let peer = self.unserved.pop_first()?;
            self.serve(now, peer);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); never, if nothing is waited for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let leaving = self.leaving_until().map(|at| Deadline {
            at,
            reason: "LeaveTimer",
        });
        let first = self.deadlines.first().into_iter();
        first.chain(leaving).min_by_key(|deadline| deadline.at)
    }

    /// Connections that [`handle_timeout`](Self::handle_timeout) would end for the peer's silence.
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Vec<ConnectionId> {
        let due = self.deadlines.due(now).into_iter();
        let sessions = due.filter_map(|id| self.sessions.get(&id));
        sessions
            .flat_map(|session| session.fsm.overdue(now))
            .collect()
    }

    fn accepted(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        local: SocketAddr,
        remote: SocketAddr,
    ) {
        let candidates = self.sessions.values();
        // Several peers may share an address: who listens where we were dialled goes first, then
        // who is in no pause, then who lacks a session.
        let best = candidates
            .filter(|session| session.config.address == remote.ip())
            .min_by_key(|session| {
                let elsewhere = session
                    .config
                    .local_address
                    .is_some_and(|ours| ours != local.ip());
                let up = session.fsm.state() == SessionState::Established;
                (elsewhere, !session.fsm.admits(), up, session.config.id)
            });
        let Some(id) = best.map(|session| session.config.id) else {
            self.outputs
                .push_back(Output::Event(Event::Stranger { remote }));
            self.outputs.push_back(Output::Close { connection });
            return;
        };
        self.connections.insert(connection, id);
        self.on_peer(now, id, |peer, context| {
            peer.accepted(connection, local, context)
        });
    }

    /// A driver that always has input may never get to call `handle_timeout`; a peer must not
    /// lose the session for it.
    fn send_due_keepalives(&mut self, now: Instant) {
        for id in self.deadlines.due(now) {
            if let Some(session) = self.sessions.get_mut(&id)
                && session.fsm.send_due_keepalives(now)
            {
                self.unserved.insert(id);
            }
        }
    }

    /// Makes UPDATEs for one peer, and hands over whatever its connections have to say.
    fn serve(&mut self, now: Instant, id: PeerId) {
        // A reflector's table is not complete before its peers' are, at its own start.
        let reflects = self
            .config
            .as_ref()
            .is_some_and(|it| it.cluster_id.is_some());
        let is_whole = !reflects || self.is_restart_over();
        if let Some(session) = self.sessions.get_mut(&id)
            && let Some(group) = self.update_groups.of_mut(id)
        {
            let before = group.streamed();
            session.send_pending(now, group, is_whole);
            if group.streamed() != before {
                self.unserved.extend(group.behind());
            }
        }
        self.drain(now, id);
        self.see_off(now, id);
    }

    fn on_connection(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        act: impl FnOnce(&mut crate::bgp::Peer, &mut Context<'_>),
    ) {
        if let Some(id) = self.connections.get(&connection) {
            self.on_peer(now, *id, act);
        }
    }

    /// Does something to a peer, and takes what comes of it.
    fn on_peer(
        &mut self,
        now: Instant,
        id: PeerId,
        act: impl FnOnce(&mut crate::bgp::Peer, &mut Context<'_>),
    ) {
        let mut context = Context {
            now,
            ids: &mut self.ids,
            random: &mut self.random,
        };
        if let Some(session) = self.sessions.get_mut(&id) {
            act(&mut session.fsm, &mut context);
            self.unserved.insert(id);
            self.drain(now, id);
        }
    }

    fn with_context<R>(&mut self, now: Instant, act: impl FnOnce(&mut Context<'_>) -> R) -> R {
        act(&mut Context {
            now,
            ids: &mut self.ids,
            random: &mut self.random,
        })
    }

    fn drain(&mut self, now: Instant, id: PeerId) {
        while let Some(session) = self.sessions.get_mut(&id) {
            let mut context = Context {
                now,
                ids: &mut self.ids,
                random: &mut self.random,
            };
            let Some(output) = session.fsm.poll(&mut context) else {
                self.deadlines.set(id, session.deadline());
                return;
            };
            self.handle_peer_output(now, id, output);
        }
    }

    fn handle_peer_output(&mut self, now: Instant, id: PeerId, output: PeerOutput) {
        match output {
            PeerOutput::Connect(connection) => self.connect(id, connection),
            PeerOutput::Transmit { connection, octets } => {
                self.outputs
                    .push_back(Output::Transmit { connection, octets });
            }
            PeerOutput::Close(connection) => {
                self.connections.remove(&connection);
                self.outputs.push_back(Output::Close { connection });
            }
            PeerOutput::Established => self.session_up(now, id),
            PeerOutput::Down(ending) => self.session_down(now, id, &ending),
            PeerOutput::AttemptFailed(ending) => self.report(Event::AttemptFailed {
                peer: id,
                reason: ending.to_string(),
            }),
            PeerOutput::Paused => self.paused(now, id),
            PeerOutput::Update(update) => self.learn(now, id, update),
            PeerOutput::EndOfRib(family) => self.end_of_rib(id, family),
            PeerOutput::RefreshRequested(family) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.refresh.request(family);
                }
            }
            PeerOutput::RefreshMark(mark, family) => self.refresh_mark(now, id, mark, family),
        }
    }

    fn paused(&mut self, now: Instant, id: PeerId) {
        if let Some(session) = self.sessions.get(&id)
            && let Some(until) = session.fsm.paused_until()
        {
            let event = Event::Paused {
                peer: id,
                pause: until.saturating_duration_since(now),
                ends: session.fsm.ends_in_a_row(),
            };
            self.report(event);
        }
    }

    fn connect(&mut self, id: PeerId, connection: ConnectionId) {
        if let Some(session) = self.sessions.get(&id) {
            let settings = session.fsm.settings();
            self.connections.insert(connection, id);
            self.outputs.push_back(Output::Connect {
                connection,
                peer: id,
                remote: settings.remote,
                local: settings.local_address,
                password: settings.password.clone(),
                ttl_security: settings.ttl_security,
            });
        }
    }

    fn report(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// An IPv4 peer of a socket that listens on `[::]` comes as an IPv4-mapped address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
