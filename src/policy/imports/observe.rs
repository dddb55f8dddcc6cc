//! What came of learned routes, for those who watch the import chain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::ImportPolicy;
use super::super::observation::{Cases, Circumstances, Extent, Observation, Seen};
use super::Imports;
use crate::types::{PeerId, Prefix};

/// What came of a peer's routes.
type ImportCases = Cases<Arc<dyn ImportPolicy>>;

impl Imports {
    /// What came of the rounds since this was last asked, for [`Shadows`](crate::policy::Shadows) to look
    /// at; nothing where nothing did, or the chain has no policy in shadow mode.
    ///
    /// To be called after every round: what nobody has seen yet is remembered.
    pub fn observe(&mut self) -> Option<Observation<Arc<dyn ImportPolicy>>> {
        let unseen = std::mem::take(&mut self.unseen);
        let circumstances = Circumstances {
            node: self.node.clone(),
            asn: self.asn,
            default: self.default,
        };
        let peers = || self.peers.clone();
        Observation::new(
            &self.chain,
            circumstances,
            peers,
            unseen,
            |whole, routes| self.cases(whole, routes),
        )
    }

    fn cases(
        &self,
        whole: BTreeSet<PeerId>,
        routes: BTreeSet<(PeerId, Prefix)>,
    ) -> BTreeMap<PeerId, ImportCases> {
        let whole = whole.into_iter().map(|peer| (peer, self.all_of(peer)));
        let mut cases: BTreeMap<_, _> = whole.collect();
        for (peer, prefix) in routes {
            let cases = cases.entry(peer).or_insert_with(|| Cases {
                extent: Extent::Changes,
                routes: BTreeMap::new(),
            });
            cases.routes.insert(prefix, self.seen(peer, &prefix));
        }
        cases
    }

    fn all_of(&self, peer: PeerId) -> ImportCases {
        let prefixes = self.routes.get(&peer).into_iter().flat_map(BTreeMap::keys);
        let seen = |prefix: &Prefix| (*prefix, self.seen(peer, prefix));
        Cases {
            extent: Extent::Everything,
            routes: prefixes.map(seen).collect(),
        }
    }

    fn seen(&self, peer: PeerId, prefix: &Prefix) -> Option<Seen<Arc<dyn ImportPolicy>>> {
        let (route, outcome) = self.route(peer, prefix)?;
        Some(Seen {
            route: route.clone(),
            outcome: outcome?.clone(),
        })
    }
}
