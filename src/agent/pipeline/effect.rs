//! What lies between two states of the exports: what the speaker must be told, and what an
//! operator should know before it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Decisions, Pipeline, trial::Tried};
use crate::agent::peering::Peering;
use crate::api::{ChangeEffect, ChangedRoute, RouteChange};
use crate::config::Config;
use crate::policy::{Exports, Outcome};
use crate::types::{GroupId, Prefix, RouteAttributes};

/// How many routes are shown of those that a change concerns.
const EXAMPLES_MAX: usize = 10;

/// A route of a group before and after.
type Pair<'a> = (
    Option<&'a Arc<RouteAttributes>>,
    Option<&'a Arc<RouteAttributes>>,
);

/// What makes the speaker that was told `before` know what it is to know `after`.
pub(super) fn differences(before: &Exports, after: &Exports) -> Decisions {
    let groups = before.groups().chain(after.groups());
    let groups: BTreeSet<GroupId> = groups.map(|(id, _)| id).collect();
    let mut decisions = Decisions::default();
    for group in groups {
        let differing = compare(before, Some(group), after, Some(group));
        let changes: BTreeMap<_, _> = differing
            .into_iter()
            .map(|(prefix, (_, after))| (prefix, after.cloned()))
            .collect();
        let is_new = !before.groups().any(|(id, _)| id == group);
        // Without a word about a new group, its peers would keep what they had in another.
        if is_new || !changes.is_empty() {
            decisions.0.insert(group, changes);
        }
    }
    decisions
}

/// The prefixes whose announcement to `former` before differs from that to `next` after.
fn compare<'a>(
    before: &'a Exports,
    former: Option<GroupId>,
    after: &'a Exports,
    next: Option<GroupId>,
) -> BTreeMap<Prefix, Pair<'a>> {
    let mut pairs: BTreeMap<Prefix, Pair<'a>> = BTreeMap::new();
    for (prefix, route) in former.into_iter().flat_map(|group| before.announced(group)) {
        pairs.insert(*prefix, (Some(route), None));
    }
    for (prefix, route) in next.into_iter().flat_map(|group| after.announced(group)) {
        pairs.entry(*prefix).or_default().1 = Some(route);
    }
    pairs.retain(|_, (before, after)| before != after);
    pairs
}

/// What `tried` would do to what `pipeline` announces.
pub(super) fn effect(pipeline: &Pipeline, tried: &Tried) -> ChangeEffect {
    let mut effect = ChangeEffect::default();
    for ((former, next), peers) in moves(pipeline, tried) {
        let times = peers.len() as u64;
        let announced = former.map_or(0, |group| pipeline.exports.announced(group).count());
        effect.announced += times * announced as u64;
        let pairs = compare(&pipeline.exports, former, &tried.exports, next);
        let mut routes = Vec::new();
        for (prefix, pair) in &pairs {
            let (change, count) = match pair {
                (Some(_), None) => (RouteChange::Withdrawn, &mut effect.withdrawn),
                (Some(_), Some(_)) => (RouteChange::Changed, &mut effect.changed),
                (None, _) => (RouteChange::Added, &mut effect.added),
            };
            *count += times;
            routes.push((change, *prefix));
        }
        effect
            .examples
            .extend(examples(routes, &peers, tried, next));
    }
    effect.examples.sort_by(|one, other| {
        let key = |example: &ChangedRoute| (example.change, example.prefix);
        key(one).cmp(&key(other)).then(one.peer.cmp(&other.peer))
    });
    effect.examples.truncate(EXAMPLES_MAX);
    effect
}

/// The first of these routes, towards each of these peers, with the reason.
fn examples(
    mut routes: Vec<(RouteChange, Prefix)>,
    peers: &[&str],
    tried: &Tried,
    group: Option<GroupId>,
) -> Vec<ChangedRoute> {
    routes.sort_unstable();
    routes.truncate(EXAMPLES_MAX);
    let reasons = reasons(tried, group, &routes);
    let reason = |prefix: &Prefix| match group {
        None => "the new configuration has no such peer",
        Some(_) => reasons
            .get(prefix)
            .map_or("the new configuration makes no such route", String::as_str),
    };
    let example = |(change, prefix): (RouteChange, Prefix)| {
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
    let members = |config: &'a Config, peering: &'a Peering| {
        config.peers.iter().filter_map(|peer| {
            let id = peering.known_id(peer)?;
            Some((id, (peer.name.as_str(), peering.group_of(id)?)))
        })
    };
    for (id, (name, group)) in members(&pipeline.config, &pipeline.peering) {
        peers.insert(id, (name, Some(group), None));
    }
    for (id, (name, group)) in members(&tried.config, &tried.peering) {
        peers.entry(id).or_insert((name, None, None)).2 = Some(group);
    }
    let mut moves: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for (name, former, next) in peers.into_values() {
        moves.entry((former, next)).or_default().push(name);
    }
    moves
}

/// The last word of the chain about each of these prefixes, where there is one.
fn reasons(
    tried: &Tried,
    group: Option<GroupId>,
    routes: &[(RouteChange, Prefix)],
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
    let reason = |outcome: &Outcome| {
        let step = outcome.steps.last()?;
        let words = step.reason.as_deref().unwrap_or("no reason given");
        Some(format!("{} {}: {words}", step.policy, step.verdict))
    };
    speaking
        .into_iter()
        .filter_map(|(prefix, outcome)| Some((prefix, reason(outcome)?)))
        .collect()
}
