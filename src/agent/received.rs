//! What the API tells of routes that peers announced: what the speaker has, and what the import
//! policies made of it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::driver::PAGE_ROUTES;
use super::fib::{self, KernelRoutes};
use super::metrics::LearnedCounts;
use super::pipeline::Pipeline;
use super::report::Reporter;
use crate::api::{DecisionReport, KernelPath, Lost, PathReport, ReceivedRoute, Usage};
use crate::bgp::wire::PathAttributes;
use crate::rib::{AttributeSet, AttributesRef, Ineligible, Path, SourceId, Standing};
use crate::speaker::{Speaker, route_attributes};
use crate::types::{Installation, PeerId, Prefix};

/// The routes of some peers, on their way to whoever asked, a page at a time. No more than that is
/// held, and no question to the speaker or the pipeline is about more. What changes while it is
/// listed is in it as it was at one moment or another; a route that was there throughout is.
pub(super) struct Listing {
    reporter: Arc<Reporter>,
    /// Those of which something is left.
    peers: VecDeque<(PeerId, String)>,
    /// The last prefix listed of the first of them.
    after: Option<Prefix>,
    decided_by: DecidedBy,
}

/// Whether import policies decide about learned routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DecidedBy {
    Policies,
    Nobody,
}

/// A route of an Adj-RIB-In, and why it must not be used if so.
type Received<'s> = (Prefix, &'s AttributesRef, Option<Ineligible>);

/// What the speaker has of a received route.
struct Row {
    prefix: Prefix,
    /// As decided where it takes part in the choice of the best path, else as received.
    shown: AttributesRef,
    /// As received, where that is another.
    received: Option<AttributesRef>,
    ineligible: Option<Ineligible>,
    /// What its path in the Loc-RIB is used for, where there is one.
    in_loc_rib: Option<Usage>,
    lost: Option<Lost>,
    kernel: Option<KernelPath>,
}

impl Reporter {
    /// `/v1/received`: nothing is listed before [`Listing::next`] asks for it.
    pub(super) async fn received(self: Arc<Self>, peer: Option<String>) -> anyhow::Result<Listing> {
        let known = self.pipeline.ask(move |pipeline| {
            let wanted = |name: &str| peer.as_ref().is_none_or(|peer| peer == name);
            (peers(pipeline, wanted), decided_by(pipeline))
        });
        let (peers, decided_by) = known.await?;
        Ok(Listing {
            reporter: self,
            peers: peers.into(),
            after: None,
            decided_by,
        })
    }

    /// The part of `/v1/explain` about what every peer announced for a prefix.
    pub(super) async fn learned(&self, prefix: Prefix) -> anyhow::Result<Vec<ReceivedRoute>> {
        let known = self
            .pipeline
            .ask(|pipeline| (peers(pipeline, |_| true), decided_by(pipeline)));
        let (peers, decided_by) = known.await?;
        let mut learned = Vec::new();
        for (peer, name) in peers {
            let row = self.row_of(peer);
            let found = self.speaker.ask(move |speaker| {
                let (attributes, ineligible) = speaker.received_route(peer, &prefix)?;
                Some(row(speaker, (prefix, attributes, ineligible)))
            });
            let rows = found.await?.into_iter().collect();
            learned.extend(self.with_decisions(peer, &name, rows, decided_by).await?);
        }
        Ok(learned)
    }

    /// Makes the rows of a peer, in the speaker's hands.
    fn row_of(&self, peer: PeerId) -> impl Fn(&Speaker, Received<'_>) -> Row + Send + use<> {
        let kernel = self.kernel.clone();
        move |speaker, (prefix, attributes, ineligible)| {
            let path = in_loc_rib(speaker, peer, &prefix);
            let shown = path.map_or(attributes, |(path, _)| &path.attributes);
            let kernel = kernel.as_ref();
            Row {
                prefix,
                shown: shown.clone(),
                received: (shown != attributes).then(|| attributes.clone()),
                ineligible,
                in_loc_rib: path.map(|(path, standing)| used(speaker, &prefix, path, standing)),
                lost: path.and_then(|(_, standing)| lost(speaker, &prefix, standing)),
                kernel: kernel.and_then(|kernel| in_kernel(kernel, speaker, peer, prefix)),
            }
        }
    }

    /// Adds what the import policies made of each.
    async fn with_decisions(
        &self,
        peer: PeerId,
        name: &str,
        rows: Vec<Row>,
        decided_by: DecidedBy,
    ) -> anyhow::Result<Vec<ReceivedRoute>> {
        let prefixes: Vec<Prefix> = rows.iter().map(|row| row.prefix).collect();
        let decisions = match decided_by {
            DecidedBy::Nobody => vec![None; rows.len()],
            DecidedBy::Policies => {
                let decisions = self.pipeline.ask(move |pipeline| {
                    let imports = &pipeline.import_side.imports;
                    let decision = |prefix: &Prefix| {
                        let outcome = imports.outcome(peer, prefix)?;
                        Some(DecisionReport::imported(
                            outcome,
                            &imports.steps(peer, prefix),
                        ))
                    };
                    prefixes.iter().map(decision).collect()
                });
                decisions.await?
            }
        };
        let route = |(row, decision): (Row, Option<DecisionReport>)| ReceivedRoute {
            peer: name.to_owned(),
            prefix: row.prefix,
            next_hop: row.shown.next_hop.address,
            as_path: row.shown.path.as_path.to_string(),
            attributes: route_attributes(&row.shown),
            received: row.received.as_deref().map(route_attributes),
            path: path_report(&row.shown),
            lost: row.lost,
            usage: usage(row.ineligible, row.in_loc_rib, decision.as_ref()),
            kernel: row.kernel,
            decision,
        };
        Ok(rows.into_iter().zip(decisions).map(route).collect())
    }
}

impl Listing {
    /// The next routes, at least one; none at the end.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<ReceivedRoute>>> {
        while let Some((peer, name)) = self.peers.front() {
            let (peer, after) = (*peer, self.after);
            let row = self.reporter.row_of(peer);
            let page = self.reporter.speaker.ask(move |speaker| {
                let received = speaker.received_after(peer, after).take(PAGE_ROUTES);
                received
                    .map(|route| row(speaker, route))
                    .collect::<Vec<_>>()
            });
            let rows = page.await?;
            let last = rows.last().map(|row| row.prefix);
            let routes = self
                .reporter
                .with_decisions(peer, name, rows, self.decided_by)
                .await?;
            if routes.len() == PAGE_ROUTES {
                self.after = last;
            } else {
                self.after = None;
                self.peers.pop_front();
            }
            if !routes.is_empty() {
                return Ok(Some(routes));
            }
        }
        Ok(None)
    }
}

/// The peers of these names, by id.
fn peers(pipeline: &Pipeline, wanted: impl Fn(&str) -> bool) -> Vec<(PeerId, String)> {
    let peers = pipeline.config.peers.iter();
    let mut peers: Vec<_> = peers
        .filter(|peer| wanted(&peer.name))
        .filter_map(|peer| Some((pipeline.peering.known_id(peer)?, peer.name.clone())))
        .collect();
    peers.sort_unstable();
    peers
}

fn decided_by(pipeline: &Pipeline) -> DecidedBy {
    match pipeline.import_side.imports.links().next() {
        Some(_) => DecidedBy::Policies,
        None => DecidedBy::Nobody,
    }
}

/// The peer's path to a prefix, and how it fared.
fn in_loc_rib<'a>(
    speaker: &'a Speaker,
    peer: PeerId,
    prefix: &Prefix,
) -> Option<(&'a Path, Standing)> {
    let paths = speaker.loc_rib().explain(prefix);
    paths
        .into_iter()
        .find(|(path, _)| path.source.id() == SourceId::Peer(peer))
}

/// What a path in the Loc-RIB is used for.
fn used(speaker: &Speaker, prefix: &Prefix, path: &Path, standing: Standing) -> Usage {
    let installation = match path.source.id() {
        SourceId::Peer(peer) => speaker.installation(peer, prefix),
        SourceId::Local => Installation::Keep,
    };
    match standing {
        Standing::Best => Usage::Best { installation },
        Standing::Multipath => Usage::Multipath { installation },
        Standing::Lost(by) => unused(by),
        Standing::Unresolvable => match speaker.way(prefix, path) {
            Err(why) => unused(why),
            // The choice follows in a moment.
            Ok(_) => Usage::Undecided,
        },
    }
}

/// What a path is behind the best one by.
fn lost(speaker: &Speaker, prefix: &Prefix, standing: Standing) -> Option<Lost> {
    let by = match standing {
        Standing::Lost(by) => by,
        Standing::Best | Standing::Multipath | Standing::Unresolvable => return None,
    };
    let best = match speaker.loc_rib().best(prefix)?.source.id() {
        SourceId::Peer(peer) => speaker.peer_name(peer).map(str::to_owned),
        SourceId::Local => None,
    };
    Some(Lost {
        step: by.section().to_owned(),
        best,
    })
}

fn path_report(set: &AttributeSet) -> PathReport {
    let PathAttributes {
        origin,
        originator_id,
        cluster_list,
        ..
    } = &set.path;
    PathReport {
        origin: origin.to_string(),
        originator_id: *originator_id,
        cluster_list: cluster_list.clone(),
    }
}

/// What became of the peer's path in the kernel, where it is in use and may be there.
fn in_kernel(
    kernel: &KernelRoutes,
    speaker: &Speaker,
    peer: PeerId,
    prefix: Prefix,
) -> Option<KernelPath> {
    let mut paths = speaker.loc_rib().selected(&prefix).iter();
    let path = paths.find(|path| path.source.id() == SourceId::Peer(peer))?;
    let way = fib::way(speaker, &prefix, path)?;
    Some(kernel.path(prefix, way))
}

fn usage(
    ineligible: Option<Ineligible>,
    in_loc_rib: Option<Usage>,
    decision: Option<&DecisionReport>,
) -> Usage {
    match (ineligible, in_loc_rib, decision) {
        (Some(why), ..) => unused(why),
        (None, Some(usage), _) => usage,
        (None, None, Some(decision)) if !decision.accepted => unused("rejected"),
        // What was decided a moment ago is on its way, in both directions.
        (None, None, Some(_) | None) => Usage::Undecided,
    }
}

fn unused(reason: impl ToString) -> Usage {
    let reason = reason.to_string();
    Usage::Unused { reason }
}

/// How many learned routes there are, by what the import policies decided about them.
pub(super) fn counts(pipeline: &Pipeline) -> LearnedCounts {
    let mut counts = LearnedCounts::default();
    let imports = &pipeline.import_side.imports;
    let peers = pipeline.config.peers.iter();
    for peer in peers.filter_map(|peer| pipeline.peering.known_id(peer)) {
        for (_, _, outcome) in imports.learned(peer) {
            *match outcome {
                None => &mut counts.undecided,
                Some(outcome) if outcome.accepted.is_some() => &mut counts.accepted,
                Some(_) => &mut counts.rejected,
            } += 1;
        }
    }
    counts
}
