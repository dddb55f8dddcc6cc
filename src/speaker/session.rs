//! One configured peer as the speaker holds it: its FSM, its two RIBs, its counters.
//!
//! The parts that need one peer only are here; what needs several, or the Loc-RIB, is
//! [`Speaker`](super::Speaker)'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::config::{PeerConfig, SpeakerConfig};
use super::export::{ExportSession, Exporter};
use super::exports::GroupTable;
use super::io::Event;
use super::limits::Quota;
use super::refresh::Refreshes;
use super::tolerated::{Fault, FaultCounts, Tolerated, Treatment};
use super::view::{NotSent, PeerView, SessionView};
use crate::bgp::wire::{GracefulRestart, Message, Update};
use crate::bgp::{Deadline, Deferral, Ending, Helper, Negotiated, Peer, Task};
use crate::rib::{AdjRibIn, AdjRibOut, AttributePool, Neighbor, Path, Receiver, Source};
use crate::types::{Family, GroupId, PeerId, Prefix, RouteAttributes, RouteVersion};

/// One configured peer.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) config: PeerConfig,
    pub(super) fsm: Peer,
    pub(super) adj_rib_in: AdjRibIn,
    pub(super) adj_rib_out: AdjRibOut,
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
    follows: GroupId,
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

/// What a wish gave up on and was not reported before.
pub(super) type Reports = Vec<Event>;

/// Most reasons reported in a session: a policy that gives each route another impossible next
/// hop must not fill the log.
const REPORTS_MAX: usize = 8;

impl Session {
    pub(super) fn new(
        now: Instant,
        config: PeerConfig,
        fsm: Peer,
        speaker: &SpeakerConfig,
    ) -> Self {
        Self {
            offer: None,
            helper: Helper::default(),
            deferral: Deferral::new(now, config.restart_time),
            refresh: Refreshes::default(),
            follows: config.group,
            config,
            fsm,
            adj_rib_in: AdjRibIn::new(receiver(speaker, None)),
            adj_rib_out: AdjRibOut::new(),
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
        let receiver = receiver(speaker, Some(local.ip()));
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
            (_, false) => self.adj_rib_in.set_addresses(receiver.addresses),
            (_, true) => {
                self.adj_rib_in.set_addresses(receiver.addresses);
                let all = self.adj_rib_in.iter().map(|(prefix, ..)| prefix);
                all.collect()
            }
        };
        self.neighbor = Some(Arc::new(neighbor));
        self.adj_rib_out = AdjRibOut::new();
        self.refresh = Refreshes::default();
        self.updates_received = 0;
        self.updates_sent = 0;
        self.end_of_rib = EndOfRib::Due;
        self.reported.clear();
        self.warned.clear();
        (tasks, concerned)
    }

    /// Takes up which addresses are ours. Returns the prefixes of the routes for which that may make a
    /// difference.
    pub(super) fn take_addresses(&mut self, speaker: &SpeakerConfig) -> Vec<Prefix> {
        let local = self.fsm.session().map(|(_, local)| local.ip());
        self.adj_rib_in
            .set_addresses(receiver(speaker, local).addresses)
    }

    /// The session is over: the peer has nothing of us. Returns what becomes of what we have of it.
    pub(super) fn went_down(&mut self, now: Instant, why: &Ending) -> Vec<Task> {
        self.complete.clear();
        self.adj_rib_out = AdjRibOut::new();
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

    /// The group whose decisions the peer is sent.
    pub(super) fn exported_group(&self) -> GroupId {
        self.follows
    }

    /// The session a route would leave by; none while it is not up.
    pub(super) fn export_session<'a>(
        &'a self,
        speaker: Option<&SpeakerConfig>,
    ) -> Option<ExportSession<'a>> {
        export_session(&self.fsm, speaker?)
    }

    /// Wishes for everything a group decided, and against what only the group followed so far
    /// did. Costs nothing on the wire where that changes nothing.
    pub(super) fn follow(
        &mut self,
        group: GroupId,
        tables: &BTreeMap<GroupId, GroupTable>,
        speaker: &SpeakerConfig,
        pool: &mut AttributePool,
    ) -> Reports {
        let Some(table) = tables.get(&group) else {
            return Reports::new();
        };
        if group != self.follows
            && let Some(before) = tables.get(&self.follows)
        {
            for prefix in before.keys().filter(|prefix| !table.contains_key(prefix)) {
                self.adj_rib_out.set_wanted(*prefix, None);
            }
        }
        self.follows = group;
        self.reported.clear();
        let routes = table.iter().map(|(prefix, route)| (*prefix, Some(route)));
        self.wish(routes, speaker, pool)
    }

    /// Wishes for some routes of the group followed. Nothing while there is no session.
    pub(super) fn wish<'r>(
        &mut self,
        routes: impl Iterator<Item = (Prefix, Option<&'r Arc<RouteAttributes>>)>,
        speaker: &SpeakerConfig,
        pool: &mut AttributePool,
    ) -> Reports {
        let mut reports = Reports::new();
        let Some(session) = export_session(&self.fsm, speaker) else {
            return reports;
        };
        let mut exporter = Exporter::new(session, pool);
        for (prefix, route) in routes {
            let wanted = match route.map(|route| exporter.export(prefix, route)) {
                Some(Ok(attributes)) => Some(attributes),
                Some(Err(reason)) => {
                    reports.extend(report(&mut self.reported, self.config.id, prefix, reason));
                    None
                }
                None => None,
            };
            self.adj_rib_out.set_wanted(prefix, wanted);
        }
        reports
    }

    /// The peer is to have nothing.
    pub(super) fn withdraw_all(&mut self, tables: &BTreeMap<GroupId, GroupTable>) {
        let table = tables.get(&self.follows).into_iter();
        let wished = table.flat_map(|table| table.keys().copied());
        let sent = self.adj_rib_out.iter_sent().map(|(prefix, _)| prefix);
        let prefixes: BTreeSet<Prefix> = wished.chain(sent).collect();
        for prefix in prefixes {
            self.adj_rib_out.set_wanted(prefix, None);
        }
    }

    /// Whether nothing is left to be said, and the kernel has taken all that was.
    pub(super) fn has_sent_everything(&self) -> bool {
        self.fsm.session().is_none() || self.pending() == 0 && !self.fsm.is_writing()
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

    /// Sends as much of what is pending as the connection has room for; after the initial table
    /// each family's End-of-RIB (RFC 4724 section 2). Called only once exports are complete.
    pub(super) fn send_pending(&mut self, now: Instant) {
        let Some((negotiated, _)) = self.fsm.session() else {
            return;
        };
        let mut octets = Vec::new();
        let codec = negotiated.codec;
        // RFC 7313 section 4: what is asked for again begins after the initial table.
        if self.end_of_rib == EndOfRib::Sent {
            self.refresh
                .begin(negotiated, &mut self.adj_rib_out, &mut octets);
        }
        let messages = self
            .adj_rib_out
            .take_updates(self.fsm.credit(), codec, &mut octets);
        self.updates_sent += count(messages);
        if self.end_of_rib == EndOfRib::Sent {
            self.refresh.end(codec, &self.adj_rib_out, &mut octets);
        }
        if self.end_of_rib == EndOfRib::Due && self.pending() == 0 {
            for family in &negotiated.families {
                Message::EndOfRib(*family).encode(codec, &mut octets);
            }
            self.updates_sent += count(negotiated.families.len());
            self.end_of_rib = EndOfRib::Sent;
            if self
                .refresh
                .begin(negotiated, &mut self.adj_rib_out, &mut octets)
            {
                let budget = self.fsm.credit().saturating_sub(octets.len());
                let messages = self.adj_rib_out.take_updates(budget, codec, &mut octets);
                self.updates_sent += count(messages);
                self.refresh.end(codec, &self.adj_rib_out, &mut octets);
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

    /// For a status table.
    pub(super) fn view(&self) -> PeerView {
        let session = self.fsm.session().map(|(negotiated, local)| SessionView {
            hold_time: negotiated.hold_time,
            router_id: negotiated.router_id,
            families: negotiated.families.clone(),
            local_address: local.ip(),
        });
        PeerView {
            id: self.config.id,
            state: self.fsm.state(),
            since: self.fsm.since(),
            last_error: self.fsm.last_error().map(ToOwned::to_owned),
            established_count: self.fsm.established_count(),
            prefixes_sent: Family::ALL
                .map(|family| self.adj_rib_out.sent_count(family))
                .iter()
                .sum(),
            prefixes_pending: self.pending(),
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

    fn pending(&self) -> usize {
        Family::ALL
            .map(|family| self.adj_rib_out.pending_count(family))
            .iter()
            .sum()
    }
}

/// What an operator should hear of a route that is kept back, unless it was said before.
fn report(
    reported: &mut Vec<NotSent>,
    peer: PeerId,
    prefix: Prefix,
    reason: NotSent,
) -> Option<Event> {
    let event = match reason {
        NotSent::NoNextHop(_) => Event::NoNextHop { peer, prefix },
        NotSent::UnusableNextHop(_) | NotSent::TooLarge(_) => Event::CannotSend {
            peer,
            prefix,
            reason,
        },
        // As configured, negotiated or asked for by the policy.
        NotSent::FamilyNotNegotiated(_)
        | NotSent::NoAdvertise
        | NotSent::NoExport
        | NotSent::UnknownPeer
        | NotSent::NoSession
        | NotSent::Incomplete
        | NotSent::NotExported => return None,
    };
    if reported.len() == REPORTS_MAX || reported.contains(&reason) {
        return None;
    }
    reported.push(reason);
    Some(event)
}

fn export_session<'a>(fsm: &'a Peer, speaker: &SpeakerConfig) -> Option<ExportSession<'a>> {
    let (negotiated, local): (&Negotiated, _) = fsm.session()?;
    Some(ExportSession {
        local_asn: speaker.asn,
        negotiated,
        local_address: local.ip(),
        next_hops: speaker.next_hops,
    })
}

/// Ourselves, as received routes are checked against us; `local` is our end of the session.
fn receiver(speaker: &SpeakerConfig, local: Option<IpAddr>) -> Receiver {
    let next_hops = Family::ALL
        .into_iter()
        .filter_map(|family| speaker.next_hops.of(family));
    Receiver {
        asn: speaker.asn,
        router_id: speaker.router_id,
        cluster_id: None,
        addresses: next_hops
            .chain(speaker.addresses.iter().copied())
            .chain(local)
            .collect(),
    }
}

fn count(messages: usize) -> u64 {
    u64::try_from(messages).expect("usize is at most 64 bits here")
}
