//! What lies between two states of what decides: what the speaker must be told of the exports, and
//! what an operator should know before it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Decisions, Pipeline, trial::Tried};
use crate::agent::peering::Peering;
use crate::api::{ChangeEffect, ChangedRoute, LearnedEffect};
use crate::config::Config;
use crate::policy::{
    AcceptedImport, ChangeKind, Direction, Exports, ImportPeer, Imports, LearnedRoute, Outcome,
    Step, compare,
};
use crate::speaker::Learning;
use crate::types::{GroupId, Installation, PeerId, Prefix};

/// How many routes are shown of those that a change concerns.
const EXAMPLES_MAX: usize = 10;

/// Why a peer has no route any more.
const NO_SUCH_PEER: &str = "the new configuration has no such peer";

/// Why a learned route is used as it came.
const NO_POLICIES: &str = "the new configuration has no import policies";

/// What makes the speaker that was told `before` know what it is to know `after`.
pub(super) fn differences(before: &Exports, after: &Exports) -> Decisions {
    let mut decisions = Decisions::default();
    decisions.add(after.differences(before));
    let former: BTreeSet<GroupId> = before.peers().map(|(id, _)| id).collect();
    for (group, _) in after.peers().filter(|(id, _)| !former.contains(id)) {
        // Without a word about a new group, its peers would keep what they had in another.
        decisions.0.entry(group).or_default();
    }
    decisions
}

/// What the guard goes by: what a change takes away of how much, but for what was let through by
/// [stand-ins](super::stood_in).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    pub(super) announced: u64,
    pub(super) withdrawn: u64,
    pub(super) used: u64,
    pub(super) rejected: u64,
}

/// What `tried` would do to what `pipeline` announces and uses, and what of it counts.
pub(super) fn effect(pipeline: &Pipeline, tried: &Tried) -> (ChangeEffect, Measured) {
    let mut effect = ChangeEffect::default();
    let mut measured = Measured::default();
    let stood_in = |group| {
        let mut groups = pipeline
            .exports
            .peers()
            .filter(|(id, _)| Some(*id) == group);
        groups.any(|(_, peers)| tried.stood_in.decided_for(Direction::Export, peers))
    };
    for ((former, next), peers) in moves(pipeline, tried) {
        let times = peers.len() as u64;
        let before = former.into_iter();
        let before = before.flat_map(|group| pipeline.exports.announced(group));
        let before: Vec<_> = before.collect();
        let after = next.into_iter();
        let after = after.flat_map(|group| tried.exports.announced(group));
        let announced = before.len() as u64 * times;
        effect.announced += announced;
        let changes = compare(before, after).into_iter();
        let routes = changes.map(|(prefix, change)| (change.kind(), *prefix));
        let routes: Vec<_> = routes.collect();
        for (change, _) in &routes {
            *match change {
                ChangeKind::Withdrawn => &mut effect.withdrawn,
                ChangeKind::Changed => &mut effect.changed,
                ChangeKind::Added => &mut effect.added,
            } += times;
        }
        if !stood_in(former) {
            let withdrawn = |(change, _): &&(ChangeKind, Prefix)| *change == ChangeKind::Withdrawn;
            measured.announced += announced;
            measured.withdrawn += routes.iter().filter(withdrawn).count() as u64 * times;
        }
        effect
            .examples
            .extend(examples(routes, &peers, tried, next));
    }
    shorten(&mut effect.examples);
    effect.learned = learned(pipeline, tried, &mut measured);
    (effect, measured)
}

/// What `tried` would do to what `pipeline` uses of the routes that peers announce.
fn learned(pipeline: &Pipeline, tried: &Tried, measured: &mut Measured) -> LearnedEffect {
    let mut effect = LearnedEffect::default();
    let (before, after) = (&pipeline.import_side, &tried.imports);
    // Where nothing is decided about in force, the trial was given what there is.
    let all = match before.learning {
        Learning::Decided => &before.imports,
        Learning::Everything => &after.imports,
    };
    let stay: BTreeSet<PeerId> = members(&tried.config, &tried.peering)
        .map(|(id, ..)| id)
        .collect();
    for (peer, name, _) in members(&pipeline.config, &pipeline.peering) {
        let used = |learning, imports: &Imports| -> Vec<(Prefix, AcceptedImport)> {
            let used = |prefix: &Prefix, route| match learning {
                Learning::Everything => Some(as_received(route)),
                Learning::Decided => imports.outcome(peer, prefix)?.accepted.clone(),
            };
            let routes = all.learned(peer);
            routes
                .filter_map(|(prefix, route, _)| Some((prefix, used(&prefix, route)?)))
                .collect()
        };
        let stays = stay.contains(&peer);
        let from = used(before.learning, &before.imports);
        let to = if stays {
            used(after.learning, &after.imports)
        } else {
            Vec::new()
        };
        let (used, rejected) = (from.len() as u64, effect.rejected);
        effect.used += used;
        // Where no policy of the new configuration says why.
        let reason_else = if stays { NO_POLICIES } else { NO_SUCH_PEER };
        for (prefix, change) in compare(from, to) {
            let change = change.kind();
            *match change {
                ChangeKind::Withdrawn => &mut effect.rejected,
                ChangeKind::Changed => &mut effect.changed,
                ChangeKind::Added => &mut effect.added,
            } += 1;
            let outcome = after.imports.outcome(peer, &prefix);
            let reason = outcome.and_then(|outcome| last_word(&outcome.steps));
            effect.examples.push(ChangedRoute {
                change,
                peer: name.to_owned(),
                prefix,
                reason: reason.unwrap_or_else(|| reason_else.to_owned()),
            });
            // Enough to choose from, and not all of a table.
            if effect.examples.len() > 64 * EXAMPLES_MAX {
                shorten(&mut effect.examples);
            }
        }
        let mut peers = before.imports.peers().filter(|(id, _)| *id == peer);
        let decided_for =
            |(_, its): (_, &ImportPeer)| tried.stood_in.decided_for(Direction::Import, &its.group);
        if !peers.any(decided_for) {
            measured.used += used;
            measured.rejected += effect.rejected - rejected;
        }
    }
    shorten(&mut effect.examples);
    effect
}

fn as_received(route: &LearnedRoute) -> AcceptedImport {
    AcceptedImport {
        attributes: Arc::clone(&route.attributes),
        installation: Installation::default(),
    }
}

/// The first, in the order they are shown.
fn shorten(examples: &mut Vec<ChangedRoute>) {
    examples.sort_by(|one, other| {
        let key = |example: &ChangedRoute| (example.change, example.prefix);
        key(one).cmp(&key(other)).then(one.peer.cmp(&other.peer))
    });
    examples.truncate(EXAMPLES_MAX);
}

/// The first of these routes, towards each of these peers, with the reason.
fn examples(
    mut routes: Vec<(ChangeKind, Prefix)>,
    peers: &[&str],
    tried: &Tried,
    group: Option<GroupId>,
) -> Vec<ChangedRoute> {
    routes.sort_unstable();
    routes.truncate(EXAMPLES_MAX);
    let reasons = reasons(tried, group, &routes);
    let reason = |prefix: &Prefix| match group {
        None => NO_SUCH_PEER,
        Some(_) => reasons
            .get(prefix)
            .map_or("the new configuration makes no such route", String::as_str),
    };
    let example = |(change, prefix): (ChangeKind, Prefix)| {
        let shown = peers.iter().take(EXAMPLES_MAX);
        shown.map(move |peer| (change, prefix, *peer))
    };
    routes
        .into_iter()
        .flat_map(example)
        .map(|(change, prefix, peer)| ChangedRoute {
            change,
            peer: peer.to_owned(),
            prefix,
            reason: reason(&prefix).to_owned(),
        })
        .collect()
}

/// Every peer of either configuration, by the groups that it is in before and after: peers that
/// share both hear the same.
fn moves<'a>(
    pipeline: &'a Pipeline,
    tried: &'a Tried,
) -> BTreeMap<(Option<GroupId>, Option<GroupId>), Vec<&'a str>> {
    let mut peers = BTreeMap::new();
    for (id, name, group) in members(&pipeline.config, &pipeline.peering) {
        peers.insert(id, (name, Some(group), None));
    }
    for (id, name, group) in members(&tried.config, &tried.peering) {
        peers.entry(id).or_insert((name, None, None)).2 = Some(group);
    }
    let mut moves: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for (name, former, next) in peers.into_values() {
        moves.entry((former, next)).or_default().push(name);
    }
    moves
}

/// The peers of a configuration, with their names and groups.
fn members<'a>(
    config: &'a Config,
    peering: &'a Peering,
) -> impl Iterator<Item = (PeerId, &'a str, GroupId)> {
    config.peers.iter().filter_map(|peer| {
        let id = peering.known_id(peer)?;
        Some((id, peer.name.as_str(), peering.group_of(id)?))
    })
}

/// What the last policy that was asked said.
fn last_word(steps: &[Step]) -> Option<String> {
    let step = steps.last()?;
    let words = step.reason.as_deref().unwrap_or("no reason given");
    Some(format!("{} {}: {words}", step.policy, step.verdict))
}

/// The last word of the chain about each of these prefixes, where there is one.
fn reasons(
    tried: &Tried,
    group: Option<GroupId>,
    routes: &[(ChangeKind, Prefix)],
) -> BTreeMap<Prefix, String> {
    let wanted: BTreeSet<Prefix> = routes.iter().map(|(_, prefix)| *prefix).collect();
    // The first accepted candidate is the one announced; where none is, the first tells as much
    // as any.
    let mut speaking: BTreeMap<Prefix, &Outcome> = BTreeMap::new();
    let outcomes = group
        .into_iter()
        .flat_map(|group| tried.exports.outcomes(group));
    for (key, outcome) in outcomes.filter(|(key, _)| wanted.contains(&key.prefix)) {
        let speaker = speaking.entry(key.prefix).or_insert(outcome);
        if speaker.accepted.is_none() && outcome.accepted.is_some() {
            *speaker = outcome;
        }
    }
    speaking
        .into_iter()
        .filter_map(|(prefix, outcome)| Some((prefix, last_word(&outcome.steps)?)))
        .collect()
}
