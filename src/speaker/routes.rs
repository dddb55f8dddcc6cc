//! Routes through the speaker: own ones out to the peers, the peers' ones in to the Loc-RIB.

use std::sync::Arc;
use std::time::Instant;

use super::Speaker;
use super::io::{Event, Output};
use super::reflection::Offer;
use super::update_groups::Facts;
use super::view::NotSent;
use crate::bgp::Ending;
use crate::bgp::wire::Update;
use crate::rib::{Change, Path, SourceId};
use crate::types::{Family, GroupId, PeerId, Prefix, RouteAttributes};

impl Speaker {
    /// Export decisions changed.
    pub(super) fn export(
        &mut self,
        group: GroupId,
        changes: &[(Prefix, Option<Arc<RouteAttributes>>)],
    ) {
        self.exports.record(group, changes);
        if !self.announces() {
            return;
        }
        let Some(config) = &self.config else {
            return;
        };
        let offer = Offer::new(config, self.exports.groups(), &self.loc_rib);
        let told = self
            .update_groups
            .wish(group, changes, &offer, &mut self.pool);
        for (peer, kept_back) in told {
            self.tell(peer, &kept_back);
        }
        let others = self.sessions.values();
        let others =
            others.filter(|session| session.config.group == group && session.follows != group);
        let others: Vec<PeerId> = others.map(|session| session.config.id).collect();
        for id in others {
            self.regroup(id);
        }
    }

    /// Announcing may begin.
    pub(super) fn exports_complete(&mut self) {
        self.exports.complete();
        self.regroup_all();
    }

    /// Every session is to have exactly what its group decided: after a change of groups or of
    /// next hops, and when announcing begins. What a peer has already is not sent again.
    pub(super) fn regroup_all(&mut self) {
        let ids: Vec<PeerId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.regroup(id);
        }
    }

    fn regroup(&mut self, id: PeerId) {
        if !self.announces() {
            return;
        }
        let (Some(session), Some(config)) = (self.sessions.get_mut(&id), &self.config) else {
            return;
        };
        let offer = Offer::new(config, self.exports.groups(), &self.loc_rib);
        if offer.tables.contains_key(&session.config.group) {
            session.follows = session.config.group;
        }
        let (exported, reflection) = (session.follows, session.config.reflection);
        if let Some(recipient) = session.recipient()
            && let Some(session) = session.export_session(config)
            && let Some(kept_back) = self.update_groups.place(
                (id, recipient),
                Facts {
                    exported,
                    reflection,
                    session,
                },
                &offer,
                &mut self.pool,
            )
        {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.forget_reports();
            }
            self.tell(id, &kept_back);
        }
    }

    /// The peer is to be sent something, and an operator may want to know what not.
    pub(super) fn tell(&mut self, id: PeerId, kept_back: &[(Prefix, NotSent)]) {
        if let Some(session) = self.sessions.get_mut(&id) {
            let events = session.report(kept_back).into_iter();
            self.outputs.extend(events.map(Output::Event));
            self.unserved.insert(id);
        }
    }

    /// A session came up.
    pub(super) fn session_up(&mut self, now: Instant, id: PeerId) {
        if let (Some(session), Some(config)) = (self.sessions.get_mut(&id), &self.config) {
            let (tasks, concerned) = session.went_up(now, config);
            self.report(Event::Established { peer: id });
            self.tend(id, tasks);
            for prefix in concerned {
                self.route_changed(id, prefix);
            }
            self.regroup(id);
        }
    }

    /// A session is over: nothing of it outlives it, but for what graceful restart keeps.
    pub(super) fn session_down(&mut self, now: Instant, id: PeerId, why: &Ending) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let tasks = session.went_down(now, why);
        self.update_groups.leave(id);
        self.report(Event::Down {
            peer: id,
            reason: why.to_string(),
        });
        self.tend(id, tasks);
        self.tell_what_is_kept(now, id);
        self.pool.sweep();
    }

    /// What a peer sent of a family is kept over the loss of its session: until it is announced again,
    /// withdrawn or [swept](Self::sweep_stale).
    pub(super) fn mark_stale(&mut self, id: PeerId, family: Family) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.adj_rib_in.mark_stale(family);
        }
    }

    /// What of it was not announced again goes.
    pub(super) fn sweep_stale(&mut self, id: PeerId, family: Family) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        for prefix in session.adj_rib_in.sweep_stale(family) {
            self.route_changed(id, prefix);
        }
        self.pool.sweep();
    }

    /// A peer announced or withdrew routes.
    pub(super) fn learn(&mut self, now: Instant, id: PeerId, update: Update) {
        self.count_update(id);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let (update, tolerated) = session.sift(now, update);
        let changed = session.adj_rib_in.apply(&update, &mut self.pool);
        for prefix in changed {
            self.route_changed(id, prefix);
        }
        if let Some(tolerated) = tolerated {
            self.report(Event::Tolerated {
                peer: id,
                tolerated,
            });
        }
        self.enforce_limits(now, id);
    }

    pub(super) fn count_update(&mut self, id: PeerId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.updates_received += 1;
        }
    }

    pub(super) fn set_path(
        &mut self,
        prefix: Prefix,
        peer: PeerId,
        path: Option<Path>,
    ) -> Option<Change> {
        let path = path.map(|path| {
            let judged = self.judge_new(&prefix, &path);
            (path, judged)
        });
        let change = self.loc_rib.update(prefix, SourceId::Peer(peer), path);
        if change.is_some() {
            self.outputs.push_back(Output::RouteChange { prefix });
            self.best_path_changed(prefix);
        }
        self.learned_route_changed(&prefix);
        change
    }
}
