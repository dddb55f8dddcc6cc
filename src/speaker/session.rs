//! One configured peer as the speaker holds it: its FSM, its Adj-RIB-In, its counters.
//!
//! The parts that need one peer only are here; what needs several, or the Loc-RIB, is
//! [`Speaker`](super::Speaker)'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::config::{PeerConfig, SpeakerConfig};
use super::export::ExportSession;
use super::io::Event;
use super::limits::Quota;
use super::refresh::Refreshes;
use super::tolerated::{Fault, FaultCounts, Tolerated, Treatment};
use super::view::{NotSent, PeerView, SessionView};
use crate::bgp::wire::{CodecContext, GracefulRestart, Message, Update};
use crate::bgp::{Deadline, Deferral, Ending, Helper, Peer, Task};
use crate::rib::{AdjRibIn, Neighbor, Path, Receiver, Recipient, Source, UpdateGroup};
use crate::types::{ClusterId, Family, GroupId, PeerId, Prefix, RouteVersion};

/// One configured peer.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) config: PeerConfig,
    pub(super) fsm: Peer,
    pub(super) adj_rib_in: AdjRibIn,
    /// What the peer says of its restart, while the session is up and both ends restart gracefully.
    pub(super) offer: Option<GracefulRestart>,
    /// Which of its routes are stale.
    pub(super) helper: Helper,
    /// Whether its table is waited for at our own start.
    pub(super) deferral: Deferral,
    /// What it asked for again.
    pub(super) refresh: Refreshes,
    /// The peer as the decision process sees it, while the session is up or any of its routes is kept
    /// without it.
    pub(super) neighbor: Option<Arc<Neighbor>>,
    /// The latest announcement of each route that is asked about, where that is done: of those
    /// in the Adj-RIB-In that may be used.
    pub(super) versions: BTreeMap<Prefix, RouteVersion>,
    /// Prefixes whose route a decision keeps from the kernel: few, so none of the others pays.
    pub(super) kept: BTreeSet<Prefix>,
    /// Prefixes whose latest announcement is asked about and not decided.
    pub(super) awaiting: BTreeSet<Prefix>,
    /// Families whose initial table the peer has sent to its end.
    complete: BTreeSet<Family>,
    pub(super) updates_received: u64,
    updates_sent: u64,
    /// What the peer sent wrong.
    faults: FaultCounts,
    /// The limits that it was told to come near, in this session.
    pub(super) warned: BTreeSet<Quota>,
    /// The group whose decisions the peer is sent: the configured one, or while that was never
    /// decided about, the one before.
    pub(super) follows: GroupId,
    end_of_rib: EndOfRib,
    /// Why routes were kept back, as far as it was reported.
    reported: Vec<NotSent>,
}

/// Whether the peer was told that its initial table is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndOfRib {
    Due,
    Sent,
}

/// Most reasons reported in a session: a policy that gives each route another impossible next
/// hop must not fill the log.
pub(super) const REPORTS_MAX: usize = 8;

impl Session {
    pub(super) fn new(
        now: Instant,
        config: PeerConfig,
        fsm: Peer,
        speaker: &SpeakerConfig,
    ) -> Self {
        Self {
            adj_rib_in: AdjRibIn::new(receiver(speaker, &config, None)),
            offer: None,
            helper: Helper::default(),
            deferral: Deferral::new(now, config.restart_time),
            refresh: Refreshes::default(),
            follows: config.group,
            config,
            fsm,
            neighbor: None,
            versions: BTreeMap::new(),
            kept: BTreeSet::new(),
            awaiting: BTreeSet::new(),
            complete: BTreeSet::new(),
            updates_received: 0,
            updates_sent: 0,
            faults: FaultCounts::default(),
            warned: BTreeSet::new(),
            end_of_rib: EndOfRib::Due,
            reported: Vec::new(),
        }
    }

    /// The session is up, with nothing sent and nothing received on it. Returns what becomes of the
    /// routes that were kept, and the prefixes of those that this may make a difference to.
    pub(super) fn went_up(
        &mut self,
        now: Instant,
        speaker: &SpeakerConfig,
    ) -> (Vec<Task>, Vec<Prefix>) {
        let Some((negotiated, local)) = self.fsm.session() else {
            return (Vec::new(), Vec::new());
        };
        let receiver = receiver(speaker, &self.config, Some(local.ip()));
        let neighbor = Neighbor {
            id: self.config.id,
            asn: self.config.asn,
            peering: negotiated.codec.peering,
            router_id: negotiated.router_id,
            address: self.config.address,
        };
        let families = negotiated.families.clone();
        self.offer.clone_from(&negotiated.restart);
        self.deferral.up(self.offer.as_ref(), &families);
        let tasks = self
            .helper
            .back(now, self.offer.as_ref(), &families, self.patience());
        let is_other = self.neighbor.as_deref() != Some(&neighbor);
        let concerned = match (self.received(), is_other) {
            (0, _) => {
                self.adj_rib_in = AdjRibIn::new(receiver);
                Vec::new()
            }
            (_, false) => self.adj_rib_in.set_receiver(receiver),
            (_, true) => {
                self.adj_rib_in.set_receiver(receiver);
                let all = self.adj_rib_in.iter().map(|(prefix, ..)| prefix);
                all.collect()
            }
        };
        self.neighbor = Some(Arc::new(neighbor));
        self.refresh = Refreshes::default();
        self.updates_received = 0;
        self.updates_sent = 0;
        self.end_of_rib = EndOfRib::Due;
        self.reported.clear();
        self.warned.clear();
        (tasks, concerned)
    }

    /// Takes up what received routes are checked against. Returns the prefixes of the routes for which that may make a
    /// difference.
    pub(super) fn take_receiver(&mut self, speaker: &SpeakerConfig) -> Vec<Prefix> {
        let local = self.fsm.session().map(|(_, local)| local.ip());
        let receiver = receiver(speaker, &self.config, local);
        self.adj_rib_in.set_receiver(receiver)
    }

    /// The session is over: the peer has nothing of us. Returns what becomes of what we have of it.
    pub(super) fn went_down(&mut self, now: Instant, why: &Ending) -> Vec<Task> {
        self.complete.clear();
        self.refresh = Refreshes::default();
        self.deferral.down();
        let offer = self.offer.take();
        let kept = offer.filter(|offer| why.spares_routes(offer));
        self.helper.lost(now, kept.as_ref())
    }

    /// The peer has sent its initial table of a family (RFC 4724 section 2).
    pub(super) fn end_of_rib(&mut self, family: Family) {
        self.complete.insert(family);
    }

    /// Whether the session is up, and all that the peer had at its start was sent and decided
    /// about.
    pub(super) fn has_initial_routes(&self) -> bool {
        let is_complete = |family| self.complete.contains(family);
        self.fsm.session().is_some_and(|(negotiated, _)| {
            self.awaiting.is_empty() && negotiated.families.iter().all(is_complete)
        })
    }

    /// The session as far as it decides what a route becomes; none while it is not up.
    pub(super) fn export_session(&self, speaker: &SpeakerConfig) -> Option<ExportSession> {
        let (negotiated, local) = self.fsm.session()?;
        Some(ExportSession {
            local_asn: self.fsm.settings().open.local_asn,
            codec: CodecContext {
                first_as: None,
                ..negotiated.codec
            },
            families: negotiated.families.clone(),
            local_address: local.ip(),
            next_hops: speaker.next_hops,
            next_hop_mode: self.config.next_hop_mode,
        })
    }

    /// Who the peer is, for what it is not to be sent; none while the session is not up.
    pub(super) fn recipient(&self) -> Option<Recipient> {
        let (negotiated, _) = self.fsm.session()?;
        Some(Recipient {
            address: self.config.address,
            router_id: negotiated.router_id,
        })
    }

    /// What an operator should hear of routes that are kept back, unless it was said before.
    pub(super) fn report(&mut self, kept_back: &[(Prefix, NotSent)]) -> Vec<Event> {
        let mut events = Vec::new();
        for (prefix, reason) in kept_back {
            let is_known = self.reported.contains(reason);
            if let Some(event) = told(self.config.id, *prefix, *reason)
                && !is_known
                && self.reported.len() < REPORTS_MAX
            {
                self.reported.push(*reason);
                events.push(event);
            }
        }
        events
    }

    /// The peer is sent other routes from now on: what keeps some back may be said again.
    pub(super) fn forget_reports(&mut self) {
        self.reported.clear();
    }

    /// Whether nothing is left to be said, and the kernel has taken all that was.
    pub(super) fn has_sent_everything(&self, group: Option<&UpdateGroup>) -> bool {
        let is_settled = group.is_none_or(|group| group.is_settled(self.config.id));
        self.fsm.session().is_none() || is_settled && !self.fsm.is_writing()
    }

    /// When the speaker wants to be woken for this peer.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        let helper = self.helper.deadline().map(|at| Deadline {
            at,
            reason: "RestartTimer",
        });
        let deferral = self.deferral.deadline().map(|at| Deadline {
            at,
            reason: "SelectionDeferralTimer",
        });
        let all = [self.fsm.deadline(), helper, deferral]
            .into_iter()
            .flatten();
        all.min_by_key(|deadline| deadline.at)
    }

    /// Sends as much of what the peer has before it as the connection has room for; after the initial
    /// table, once that is whole, each family's End-of-RIB (RFC 4724 section 2). Called only once exports
    /// are complete.
    pub(super) fn send_pending(&mut self, now: Instant, group: &mut UpdateGroup, is_whole: bool) {
        let Some((negotiated, _)) = self.fsm.session() else {
            return;
        };
        let (id, mut octets) = (self.config.id, Vec::new());
        // RFC 7313 section 4: what is asked for again begins after the initial table.
        if self.end_of_rib == EndOfRib::Sent {
            self.refresh.begin(negotiated, id, group, &mut octets);
        }
        let messages = group.take_updates(id, self.fsm.credit(), &mut octets);
        self.updates_sent += count(messages);
        if self.end_of_rib == EndOfRib::Sent && group.is_settled(id) {
            self.refresh.end(negotiated.codec, &mut octets);
        }
        if self.end_of_rib == EndOfRib::Due && is_whole && group.is_settled(id) {
            for family in &negotiated.families {
                Message::EndOfRib(*family).encode(negotiated.codec, &mut octets);
            }
            self.updates_sent += count(negotiated.families.len());
            self.end_of_rib = EndOfRib::Sent;
            if self.refresh.begin(negotiated, id, group, &mut octets) {
                let budget = self.fsm.credit().saturating_sub(octets.len());
                let messages = group.take_updates(id, budget, &mut octets);
                self.updates_sent += count(messages);
                if group.is_settled(id) {
                    self.refresh.end(negotiated.codec, &mut octets);
                }
            }
        }
        if !octets.is_empty() {
            self.fsm.send(now, &octets);
        }
    }

    /// What the peer announced, cut down to the families in use; the second part says what was
    /// wrong with the message, if anything was (RFC 7606). That is counted here.
    pub(super) fn sift(&mut self, now: Instant, mut update: Update) -> (Update, Option<Tolerated>) {
        let families: &[Family] = self
            .fsm
            .session()
            .map_or(&[], |(negotiated, _)| &negotiated.families);
        let in_use = |prefix: &Prefix| families.contains(&prefix.family());
        let mut faults: Vec<Fault> = update.errors.iter().filter_map(Fault::of).collect();
        let mut prefixes: Vec<Prefix> = Vec::new();
        if !faults.is_empty() {
            prefixes.extend(update.prefixes());
        }
        let mut ignore = |prefix: &Prefix, fault: Fault| {
            // The first stands for all of its kind.
            if faults.last().map(|last| last.treatment) != Some(Treatment::Ignore) {
                faults.push(fault);
            }
            if update.message.is_empty() {
                prefixes.push(*prefix);
            }
        };
        for prefix in update.prefixes().filter(|prefix| !in_use(prefix)) {
            ignore(prefix, Fault::unused_family(prefix.family()));
        }
        for prefix in update.announced().filter(|prefix| in_use(prefix)) {
            if let Some(kind) = prefix.unroutable() {
                ignore(prefix, Fault::unroutable(prefix, kind));
            }
        }
        for reach in &update.reach {
            let own = reach.next_hop.address;
            if self.adj_rib_in.is_own(own) {
                let used = reach.prefixes.iter().filter(|prefix| in_use(prefix));
                used.for_each(|prefix| ignore(prefix, Fault::own_next_hop(own)));
            }
        }
        update.withdrawn.retain(in_use);
        update
            .reach
            .retain(|reach| reach.prefixes.iter().all(in_use));
        if faults.is_empty() {
            return (update, None);
        }
        let tolerated = Tolerated {
            faults,
            prefixes,
            message: std::mem::take(&mut update.message),
        };
        self.faults.add(now, &tolerated);
        (update, Some(tolerated))
    }

    /// The peer's path to a prefix, if it may be used.
    pub(super) fn path(&self, prefix: &Prefix) -> Option<Path> {
        Some(Path {
            source: Source::Peer(Arc::clone(self.neighbor.as_ref()?)),
            attributes: self.adj_rib_in.eligible(prefix)?.clone(),
        })
    }

    /// Prefixes the peer announced and has not withdrawn.
    pub(super) fn received(&self) -> usize {
        Family::ALL
            .map(|family| self.adj_rib_in.count(family))
            .iter()
            .sum()
    }

    /// For a status table; of its update group, where it has one.
    pub(super) fn view(&self, group: Option<&UpdateGroup>) -> PeerView {
        let id = self.config.id;
        let session = self.fsm.session().map(|(negotiated, local)| SessionView {
            hold_time: negotiated.hold_time,
            router_id: negotiated.router_id,
            families: negotiated.families.clone(),
            local_address: local.ip(),
        });
        PeerView {
            id,
            state: self.fsm.state(),
            since: self.fsm.since(),
            last_error: self.fsm.last_error().map(ToOwned::to_owned),
            established_count: self.fsm.established_count(),
            prefixes_sent: group.map_or(0, |group| group.sent_count(id)),
            prefixes_pending: group.map_or(0, |group| group.pending_count(id)),
            prefixes_received: self.received(),
            stale: self.stale_view(),
            awaited: self.deferral.is_waiting(),
            updates_sent: self.updates_sent,
            updates_received: self.updates_received,
            faults: self.faults.clone(),
            paused_until: self.fsm.paused_until(),
            ends_in_a_row: self.fsm.ends_in_a_row(),
            history: self.fsm.history().clone(),
            session,
        }
    }
}

/// What an operator should hear of a route that is kept back; nothing where that is as configured,
/// negotiated or asked for by the policy.
pub(super) fn told(peer: PeerId, prefix: Prefix, reason: NotSent) -> Option<Event> {
    match reason {
        NotSent::NoNextHop(_) => Some(Event::NoNextHop { peer, prefix }),
        NotSent::UnusableNextHop(_) | NotSent::TooLarge(_) => Some(Event::CannotSend {
            peer,
            prefix,
            reason,
        }),
        NotSent::FamilyNotNegotiated(_)
        | NotSent::NoAdvertise
        | NotSent::NoExport
        | NotSent::UnknownPeer
        | NotSent::NoSession
        | NotSent::Incomplete
        | NotSent::PeersOwn
        | NotSent::PeersNextHop
        | NotSent::BetweenNonClients
        | NotSent::Transit
        | NotSent::NotExported => None,
    }
}

/// Ourselves, as received routes are checked against us; `local` is our end of the session.
fn receiver(speaker: &SpeakerConfig, peer: &PeerConfig, local: Option<IpAddr>) -> Receiver {
    let next_hops = Family::ALL
        .into_iter()
        .filter_map(|family| speaker.next_hops.of(family));
    Receiver {
        asn: speaker.asn,
        local_asn: peer.local_asn.filter(|asn| *asn != speaker.asn),
        own_asn_allowed: peer.own_asn_allowed,
        router_id: speaker.router_id,
        cluster_id: speaker.cluster_id.map(|ClusterId(id)| id),
        addresses: next_hops
            .chain(speaker.addresses.iter().copied())
            .chain(local)
            .collect(),
    }
}

fn count(messages: usize) -> u64 {
    u64::try_from(messages).expect("usize is at most 64 bits here")
}
