//! The chain for learned routes, run on a recording: what each route of a peer would be used for.
//!
//! It is decided by the agent's own [`Imports`].

use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;

use crate::agent::clock;
use crate::api::DecisionReport;
use crate::cases::{CaseFile, LearnedScene};
use crate::cli::policy::replay::by;
use crate::cli::text;
use crate::policy::{
    ImportLink, ImportOutcome, ImportPeer, Imports, LearnedChange, LearnedRoute, Step,
};
use crate::types::{Installation, PeerId, Prefix, RouteAttributes, RouteVersion};

/// The one peer of a scene.
const PEER: PeerId = PeerId(0);

/// What a chain made of a learned route; printed as it is with `-o json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli::policy) struct LearnedReport {
    pub(in crate::cli::policy) prefix: Prefix,
    /// As the peer announced it.
    pub(in crate::cli::policy) received: RouteAttributes,
    pub(in crate::cli::policy) decision: DecisionReport,
    /// Whether the kernel may forward by it; absent where it is not used.
    pub(in crate::cli::policy) installation: Option<Installation>,
}

/// Decides a scene as an agent would that has just started. Ordered by prefix.
///
/// # Errors
/// A policy fails.
pub(in crate::cli::policy) fn play(
    file: &CaseFile,
    links: &[ImportLink],
    scene: &LearnedScene,
) -> anyhow::Result<Vec<LearnedReport>> {
    let now = clock::now();
    let mut imports = Imports::new(scene.asn);
    imports.set_default(now, file.import_policy_default);
    let peer = ImportPeer {
        name: scene.peer.name.clone(),
        address: scene.peer.address,
        group: scene.peer_group.clone(),
    };
    imports.set_peers(now, [(PEER, peer)].into());
    imports.replace_chain(now, links.to_vec());
    imports.set_node(now, Arc::clone(&scene.node));
    let routes = scene.routes.iter().map(|route| LearnedChange {
        peer: PEER,
        prefix: route.prefix,
        route: Some(LearnedRoute {
            version: RouteVersion::default(),
            router_id: scene.peer.router_id,
            path: Arc::clone(&route.path),
            attributes: Arc::clone(&route.attributes),
        }),
    });
    imports.learn(now, routes.collect());
    for link in imports.links() {
        if let Some(failure) = link.error {
            return Err(failure.clone())
                .with_context(|| format!("import policy `{}` {}", link.name, scene.name));
        }
    }
    let learned = imports.learned(PEER);
    Ok(learned
        .filter_map(|(prefix, route, outcome)| {
            let steps = imports.steps(PEER, &prefix);
            Some(LearnedReport::new(prefix, route, outcome?, &steps))
        })
        .collect())
}

impl LearnedReport {
    fn new(prefix: Prefix, route: &LearnedRoute, outcome: &ImportOutcome, steps: &[Step]) -> Self {
        Self {
            prefix,
            received: (*route.attributes).clone(),
            decision: DecisionReport::imported(outcome, steps),
            installation: outcome.accepted.as_ref().map(|used| used.installation),
        }
    }

    /// `used with local preference 200 (import-filter, because: ...)`: the end of the chain, and
    /// who made it so.
    pub(in crate::cli::policy) fn words(&self) -> String {
        let words = self.usage() + &by(&self.decision);
        text::printable(&words)
    }

    /// `used with local preference 200, not by the kernel`.
    pub(in crate::cli::policy) fn usage(&self) -> String {
        let DecisionReport {
            accepted,
            attributes,
            steps: _,
        } = &self.decision;
        if !accepted {
            return "not used".to_owned();
        }
        let kernel = match self.installation {
            Some(Installation::Keep) => ", not by the kernel",
            Some(Installation::Install) | None => "",
        };
        if *attributes == self.received {
            return format!("used as received{kernel}");
        }
        match text::attributes(attributes).as_str() {
            "" => format!("used without attributes{kernel}"),
            attributes => format!("used with {attributes}{kernel}"),
        }
    }
}
