//! Import policies compiled to WebAssembly: batches of learned routes into a module, its answer
//! out of it.
//!
//! As with announced routes, what routes share enters a module once, and nothing of an answer is
//! believed before it is checked. What peers send must not make a module fail: where a received
//! value is one that no answer may have, the module is not shown it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::bindings::exports::rutter::policy::learn::{self, Answer, Batch as WitBatch};
use super::contract::Purpose;
use super::error::{ModuleError, printable};
use super::lift::{Question, Tables};
use super::limits::{CANDIDATES_MAX, LEARNED_COMMUNITIES_MAX, Limits};
use super::lower::{NodeParts, SetParts, attribute_set, labels, peer_group, push};
use super::module::Module;
use crate::policy::{
    Acceptance, ImportBatch, ImportDecision, ImportPolicy, ImportVerdict, LearnedFrom, LearnedPath,
    PathOrigin, PathSegment, PolicyFailure, ProposedImport, Reasons, SegmentKind,
};
use crate::types::{Asn, Family, Installation, Prefix, RouteAttributes};

/// A module with its settings and limits, ready to decide on learned routes.
#[derive(Clone, Debug)]
pub struct WasmImportPolicy {
    module: Module,
    settings: String,
    limits: Limits,
}

impl WasmImportPolicy {
    /// Lets the module check the settings, by contract a JSON object.
    ///
    /// # Errors
    /// [`ModuleError::Settings`] in the module's own words; [`ModuleError::Failed`] where it did
    /// not get as far as that; [`ModuleError::Purpose`] where it decides on announced routes only.
    pub fn new(
        module: &Module,
        settings: &serde_json::Value,
        limits: Limits,
    ) -> Result<Self, ModuleError> {
        Ok(Self {
            settings: module.accept_settings(Purpose::Learn, settings, limits)?,
            module: module.clone(),
            limits,
        })
    }

    /// Asks about as many of the routes as one call may be about, the first one at least.
    /// Returns what was decided, and the routes that are left.
    fn ask<'r, 'a>(
        &self,
        batch: &ImportBatch<'_>,
        routes: &'r [ProposedImport<'a>],
    ) -> Result<(Vec<ImportDecision>, &'r [ProposedImport<'a>]), PolicyFailure> {
        let tables = RouteTables::fill(routes, self.limits.memory_bytes / 4);
        let (asked, later) = routes.split_at(tables.routes.len());
        let answer = tables.ask(batch, &self.settings, |question| {
            self.module
                .call(self.limits, self.limits.output_bytes, |exports, store| {
                    exports.learn(store, question)
                })
        })?;
        // A module that says why it cannot decide is no better off than one that traps.
        let answer = answer.map_err(|words| PolicyFailure::Trap(printable(&words)))?;
        let decisions =
            lift(answer, asked, batch.asn, batch.reasons).map_err(PolicyFailure::BadAnswer)?;
        Ok((decisions, later))
    }
}

impl ImportPolicy for WasmImportPolicy {
    /// Asks in as many calls as the memory limit makes necessary: by contract the decision about
    /// a route does not depend on the others of its batch.
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        let mut decisions = Vec::with_capacity(batch.routes.len());
        let mut rest = batch.routes;
        while !rest.is_empty() {
            let (decided, later) = self.ask(batch, rest)?;
            decisions.extend(decided);
            rest = later;
        }
        Ok(decisions)
    }
}

/// The tables of as many routes, from the first on, as a module is asked about at once.
struct RouteTables<'a> {
    paths: Vec<&'a LearnedPath>,
    attribute_sets: Vec<RouteAttributes>,
    routes: Vec<learn::LearnedRoute>,
}

impl<'a> RouteTables<'a> {
    /// Takes routes until they fill about `budget_bytes` of a module's memory, or there are
    /// [`CANDIDATES_MAX`] of them; one at least, unless `routes` is empty.
    fn fill(routes: &[ProposedImport<'a>], budget_bytes: usize) -> Self {
        let mut tables = Self {
            paths: Vec::new(),
            attribute_sets: Vec::new(),
            routes: Vec::with_capacity(routes.len().min(CANDIDATES_MAX)),
        };
        let mut bytes = 0;
        let mut paths: BTreeMap<&LearnedPath, u32> = BTreeMap::new();
        let mut sets: BTreeMap<RouteAttributes, u32> = BTreeMap::new();
        for route in routes.iter().take(CANDIDATES_MAX) {
            if bytes > budget_bytes {
                break;
            }
            bytes += size_of::<learn::LearnedRoute>();
            let path: &LearnedPath = route.path;
            let path = *paths.entry(path).or_insert_with(|| {
                bytes += path_bytes(path);
                push(&mut tables.paths, path)
            });
            let shown = shown(route.prefix, route.attributes);
            let attributes = match sets.get(&shown) {
                Some(index) => *index,
                None => {
                    bytes += set_bytes(&shown);
                    let index = push(&mut tables.attribute_sets, shown.clone());
                    sets.insert(shown, index);
                    index
                }
            };
            tables.routes.push(learn::LearnedRoute {
                prefix: route.prefix.into(),
                path,
                attributes,
            });
        }
        tables
    }

    /// Makes the question out of the tables and what all routes have in common.
    fn ask<T>(
        &self,
        batch: &ImportBatch<'_>,
        settings: &str,
        ask: impl FnOnce(WitBatch<'_>) -> T,
    ) -> T {
        let node = NodeParts::of(batch.node);
        let peer_labels = labels(&batch.peer_group.labels);
        let segments: Vec<Vec<(learn::SegmentKind, Vec<u32>)>> =
            self.paths.iter().map(|path| segments(path)).collect();
        let borrowed: Vec<Vec<learn::Segment<'_>>> = segments
            .iter()
            .map(|path| {
                path.iter()
                    .map(|(kind, asns)| learn::Segment { kind: *kind, asns })
                    .collect()
            })
            .collect();
        let paths: Vec<learn::Path<'_>> = self
            .paths
            .iter()
            .zip(&borrowed)
            .map(|(path, as_path)| learn::Path {
                origin: path.origin.into(),
                as_path,
            })
            .collect();
        let set_parts: Vec<_> = self.attribute_sets.iter().map(SetParts::of).collect();
        let attribute_sets: Vec<_> = self
            .attribute_sets
            .iter()
            .zip(&set_parts)
            .map(|(set, parts)| attribute_set(set, parts))
            .collect();
        let LearnedFrom {
            name,
            address,
            router_id,
        } = batch.peer;
        ask(WitBatch {
            settings,
            node: node.lower(batch.node),
            asn: batch.asn.0,
            peer_group: peer_group(batch.peer_group, &peer_labels),
            peer: learn::Peer {
                name,
                address: (*address).into(),
                router_id: (*router_id).into(),
            },
            paths: &paths,
            attribute_sets: &attribute_sets,
            routes: &self.routes,
            want_reasons: batch.reasons == Reasons::Wanted,
        })
    }
}

/// The attributes as a module is shown them. A next hop that no answer may have is left out, which
/// in an answer means the one received.
fn shown(prefix: Prefix, attributes: &RouteAttributes) -> RouteAttributes {
    let usable = |next_hop: &IpAddr| {
        Family::of(*next_hop) == prefix.family()
            && !next_hop.is_unspecified()
            && !next_hop.is_multicast()
            && !next_hop.is_loopback()
    };
    RouteAttributes {
        next_hop: attributes.next_hop.filter(usable),
        ..attributes.clone()
    }
}

fn segments(path: &LearnedPath) -> Vec<(learn::SegmentKind, Vec<u32>)> {
    path.as_path
        .iter()
        .map(|PathSegment { kind, asns }| {
            let kind = match kind {
                SegmentKind::Sequence => learn::SegmentKind::AsSequence,
                SegmentKind::Set => learn::SegmentKind::AsSet,
            };
            (kind, asns.iter().map(|asn| asn.0).collect())
        })
        .collect()
}

/// What a list takes in a module's memory besides its entries.
const LIST_BYTES: usize = 24;

fn path_bytes(path: &LearnedPath) -> usize {
    let segment = |segment: &PathSegment| LIST_BYTES + 4 * segment.asns.len();
    LIST_BYTES + path.as_path.iter().map(segment).sum::<usize>()
}

fn set_bytes(set: &RouteAttributes) -> usize {
    128 + 4 * set.communities.len()
        + 12 * set.large_communities.len()
        + 8 * set.extended_communities.len()
}

/// The decisions about `routes`, in their order, or what is impossible about the answer.
fn lift(
    answer: Answer,
    routes: &[ProposedImport<'_>],
    asn: Asn,
    wanted: Reasons,
) -> Result<Vec<ImportDecision>, String> {
    let Answer {
        decisions,
        attribute_sets,
        reasons,
    } = answer;
    let question = Question {
        asked: routes.len(),
        about: "routes",
        communities_max: LEARNED_COMMUNITIES_MAX,
        asn,
    };
    let tables = question.tables(decisions.len(), attribute_sets, &reasons)?;
    decisions
        .into_iter()
        .zip(routes)
        .map(|(decision, route)| lift_one(decision, route.prefix, &tables, wanted))
        .collect()
}

fn lift_one(
    decision: learn::Decision,
    prefix: Prefix,
    tables: &Tables,
    wanted: Reasons,
) -> Result<ImportDecision, String> {
    let verdict = match decision.verdict {
        learn::Verdict::Abstain => ImportVerdict::Abstain,
        learn::Verdict::Reject => ImportVerdict::Reject,
        learn::Verdict::Accept(learn::Acceptance {
            attributes,
            installation,
        }) => ImportVerdict::Accept(Acceptance {
            attributes: match attributes {
                Some(index) => Some(Arc::clone(tables.set(index, prefix)?)),
                None => None,
            },
            installation: installation.map(|installation| match installation {
                learn::Installation::Install => Installation::Install,
                learn::Installation::Keep => Installation::Keep,
            }),
        }),
    };
    Ok(ImportDecision {
        verdict,
        reason: tables.reason(decision.reason, prefix, wanted)?,
    })
}

impl From<PathOrigin> for learn::OriginCode {
    fn from(origin: PathOrigin) -> Self {
        match origin {
            PathOrigin::Igp => Self::Igp,
            PathOrigin::Egp => Self::Egp,
            PathOrigin::Incomplete => Self::Incomplete,
        }
    }
}

#[cfg(test)]
mod tests;
