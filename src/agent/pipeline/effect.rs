//! What lies between two states of what decides: what the speaker must be told of the exports, and
//! what an operator should know before it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Decisions, Pipeline, trial::Tried};
use crate::agent::peering::Peering;
use crate::api::{ChangeEffect, ChangedRoute, LearnedEffect, RouteChange};
use crate::config::Config;
use crate::policy::{AcceptedImport, Exports, Imports, LearnedRoute, Outcome, Step};
use crate::speaker::Learning;
use crate::types::{GroupId, Installation, PeerId, Prefix, RouteAttributes};

/// How many routes are shown of those that a change concerns.
const EXAMPLES_MAX: usize = 10;

/// Why a peer has no route any more.
const NO_SUCH_PEER: &str = "the new configuration has no such peer";

/// Why a learned route is used as it came.
const NO_POLICIES: &str = "the new configuration has no import policies";

/// A route of a group before and after.
type Pair<'a> = (
    Option<&'a Arc<RouteAttributes>>,
    Option<&'a Arc<RouteAttributes>>,
);

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
    shorten(&mut effect.examples);
    effect.learned = learned(pipeline, tried);
    effect
}

/// What `tried` would do to what `pipeline` uses of the routes that peers announce.
fn learned(pipeline: &Pipeline, tried: &Tried) -> LearnedEffect {
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
        let stays = stay.contains(&peer);
        // Where no policy of the new configuration says why.
        let reason_else = if stays { NO_POLICIES } else { NO_SUCH_PEER };
        for (prefix, route, _) in all.learned(peer) {
            let used = |learning, imports: &Imports| match learning {
                Learning::Everything => Some(as_received(route)),
                Learning::Decided => imports.outcome(peer, &prefix)?.accepted.clone(),
            };
            let from = used(before.learning, &before.imports);
            let to = if stays {
                used(after.learning, &after.imports)
            } else {
                None
            };
            effect.used += u64::from(from.is_some());
            let (change, count) = match (from, to) {
                (Some(_), None) => (RouteChange::Withdrawn, &mut effect.rejected),
                (Some(from), Some(to)) if from != to => (RouteChange::Changed, &mut effect.changed),
                (None, Some(_)) => (RouteChange::Added, &mut effect.added),
                (Some(_), Some(_)) | (None, None) => continue,
            };
            *count += 1;
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
    mut routes: Vec<(RouteChange, Prefix)>,
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
    speaking
        .into_iter()
        .filter_map(|(prefix, outcome)| Some((prefix, last_word(&outcome.steps)?)))
        .collect()
}
