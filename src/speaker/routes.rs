//! Routes through the speaker: own ones out to the peers, the peers' ones in to the Loc-RIB.

use std::sync::Arc;
use std::time::Instant;

use super::Speaker;
use super::io::{Event, Output};
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
        let mut reports = Vec::new();
        for (id, session) in &mut self.sessions {
            if session.exported_group() == group {
                let routes = changes
                    .iter()
                    .map(|(prefix, route)| (*prefix, route.as_ref()));
                reports.extend(session.wish(routes, config, &mut self.pool));
                self.unserved.insert(*id);
            } else if session.config.group == group {
                let tables = self.exports.groups();
                reports.extend(session.follow(group, tables, config, &mut self.pool));
                self.unserved.insert(*id);
            }
        }
        self.outputs.extend(reports.into_iter().map(Output::Event));
    }

    /// Announcing may begin.
    pub(super) fn exports_complete(&mut self) {
        self.exports.complete();
        self.follow_configured_groups();
    }

    /// Every session is to have exactly what its group decided: after a change of groups or of
    /// next hops, and when announcing begins. What a peer has already is not sent again.
    pub(super) fn follow_configured_groups(&mut self) {
        let ids: Vec<PeerId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.follow_configured_group(id);
        }
    }

    fn follow_configured_group(&mut self, id: PeerId) {
        if !self.announces() {
            return;
        }
        if let (Some(session), Some(config)) = (self.sessions.get_mut(&id), &self.config) {
            let tables = self.exports.groups();
            let group = session.config.group;
            let reports = session.follow(group, tables, config, &mut self.pool);
            self.outputs.extend(reports.into_iter().map(Output::Event));
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
            self.follow_configured_group(id);
        }
    }

    /// A session is over: nothing of it outlives it, but for what graceful restart keeps.
    pub(super) fn session_down(&mut self, now: Instant, id: PeerId, why: &Ending) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let tasks = session.went_down(now, why);
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
        }
        self.learned_route_changed(&prefix);
        change
    }
}
