//! What the API tells of routes that peers announced: what the speaker has, and what the import
//! policies made of it.

use std::collections::BTreeMap;

use super::fib::{self, KernelRoutes};
use super::metrics::LearnedCounts;
use super::pipeline::Pipeline;
use super::report::Reporter;
use crate::api::{DecisionReport, KernelPath, ReceivedRoute, ReceivedRoutes, Usage};
use crate::rib::{Ineligible, Path, SourceId, Standing};
use crate::speaker::{Speaker, route_attributes};
use crate::types::{Installation, PeerId, Prefix};

/// What the pipeline knows of the peers asked about, by id.
struct Decided {
    names: BTreeMap<PeerId, String>,
    outcomes: BTreeMap<(PeerId, Prefix), DecisionReport>,
}

impl Reporter {
    /// `/v1/received`.
    pub(super) async fn received(&self, peer: Option<String>) -> anyhow::Result<ReceivedRoutes> {
        let decided = self
            .pipeline
            .ask(move |pipeline| {
                let wanted = |name: &str| peer.as_ref().is_none_or(|peer| peer == name);
                decided(pipeline, wanted, |_| true)
            })
            .await?;
        let routes = self
            .speaker
            .ask({
                let kernel = self.kernel.clone();
                move |speaker| received(speaker, &decided, |_| true, kernel.as_ref())
            })
            .await?;
        Ok(ReceivedRoutes { routes })
    }

    /// The part of `/v1/explain` about what every peer announced for a prefix.
    pub(super) async fn learned(&self, prefix: Prefix) -> anyhow::Result<Vec<ReceivedRoute>> {
        let is_it = move |of: &Prefix| *of == prefix;
        let decided = self
            .pipeline
            .ask(move |pipeline| decided(pipeline, |_| true, is_it));
        let decided = decided.await?;
        let kernel = self.kernel.clone();
        let received = self
            .speaker
            .ask(move |speaker| received(speaker, &decided, is_it, kernel.as_ref()));
        Ok(received.await?)
    }
}

fn decided(
    pipeline: &Pipeline,
    wanted: impl Fn(&str) -> bool,
    concerned: impl Fn(&Prefix) -> bool,
) -> Decided {
    let peers = pipeline.config.peers.iter();
    let names: BTreeMap<_, _> = peers
        .filter(|peer| wanted(&peer.name))
        .filter_map(|peer| Some((pipeline.peering.known_id(peer)?, peer.name.clone())))
        .collect();
    let imports = &pipeline.import_side.imports;
    let concerned = &concerned;
    let outcomes = names.keys().flat_map(|peer| {
        let outcomes = imports.outcomes(*peer).filter(|(of, _)| concerned(of));
        outcomes.map(|(prefix, outcome)| {
            let steps = imports.steps(*peer, prefix);
            ((*peer, *prefix), DecisionReport::imported(outcome, &steps))
        })
    });
    Decided {
        outcomes: outcomes.collect(),
        names,
    }
}

fn received(
    speaker: &Speaker,
    decided: &Decided,
    concerned: impl Fn(&Prefix) -> bool,
    kernel: Option<&KernelRoutes>,
) -> Vec<ReceivedRoute> {
    let mut routes = Vec::new();
    for (peer, name) in &decided.names {
        let received = speaker.received(*peer).filter(|(of, ..)| concerned(of));
        for (prefix, attributes, ineligible) in received {
            let decision = decided.outcomes.get(&(*peer, prefix)).cloned();
            let path = in_loc_rib(speaker, *peer, &prefix);
            let shown = path.map_or(attributes, |(path, _)| &path.attributes);
            let standing = path.map(|(path, standing)| used(speaker, &prefix, path, standing));
            routes.push(ReceivedRoute {
                peer: name.clone(),
                prefix,
                next_hop: shown.next_hop.address,
                as_path: shown.path.as_path.to_string(),
                attributes: route_attributes(shown),
                usage: usage(ineligible, standing, decision.as_ref()),
                kernel: kernel.and_then(|kernel| in_kernel(kernel, speaker, *peer, prefix)),
                decision,
            });
        }
    }
    routes
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

/// What became of the peer's path in the kernel, where it is in use and may be there.
fn in_kernel(
    kernel: &KernelRoutes,
    speaker: &Speaker,
    peer: PeerId,
    prefix: Prefix,
) -> Option<KernelPath> {
    let mut paths = speaker.loc_rib().selected(&prefix).iter();
    let path = paths.find(|path| path.source.id() == SourceId::Peer(peer))?;
    let hops = fib::way(speaker, &prefix, path)?;
    Some(kernel.path(prefix, &hops))
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
