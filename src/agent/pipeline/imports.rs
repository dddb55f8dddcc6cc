//! The pipeline's other direction: learned routes that the speaker has, decided about and given
//! back.
//!
//! The speaker keeps what is undecided and says that there is some; [`runner`](super::runner) takes
//! it when it can. So however slow a policy is, nothing queues: a route that changes again
//! meanwhile is asked about once.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Pipeline;
use crate::agent::clock;
use crate::agent::imports::{self, ImportChain};
use crate::agent::peering::peer_group;
use crate::config::Config;
use crate::policy::{ImportChange, ImportPeer, Imports};
use crate::speaker::{Import, Input, Learning, Undecided};

/// Routes that are decided about in one go, before facts and orders have their turn.
pub(super) const LEARNED_MAX: usize = 4096;

/// What decides on learned routes, and what was decided.
pub(in crate::agent) struct ImportSide {
    pub(in crate::agent) imports: Imports,
    pub(super) learning: Learning,
    chain: ChainState,
}

/// Whether the policies are there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChainState {
    /// They are configured and will be given: nothing is decided before.
    Awaited,
    Given,
}

impl ImportSide {
    pub(super) fn new(config: &Config) -> Self {
        let (learning, chain) = if config.import_policies.is_empty() {
            (Learning::Everything, ChainState::Given)
        } else {
            (Learning::Decided, ChainState::Awaited)
        };
        Self {
            imports: Imports::new(config.bgp.asn),
            learning,
            chain,
        }
    }
}

impl Pipeline {
    /// Puts other import policies in force, and gives what the speaker is to have, in order.
    pub(in crate::agent) fn replace_imports(&mut self, chain: ImportChain) -> Vec<Input> {
        self.import_side.chain = ChainState::Given;
        let mut inputs = Vec::new();
        match chain {
            ImportChain::None => {
                self.import_side.learning = Learning::Everything;
                inputs.extend(self.configure_speaker());
                self.import_side.imports.forget_routes();
                self.import_round(|imports, now| imports.replace_chain(now, Vec::new()));
            }
            ImportChain::Links { links, default } => {
                self.import_side.learning = Learning::Decided;
                inputs.extend(self.configure_speaker());
                let mut changes =
                    self.import_round(|imports, now| imports.replace_chain(now, links));
                changes.extend(self.import_round(|imports, now| imports.set_default(now, default)));
                changes.extend(self.import_node());
                inputs.extend(into_input(changes));
            }
        }
        inputs
    }

    /// Takes the configuration's peers and AS, and gives what the speaker is to have.
    pub(super) fn configure_imports(&mut self) -> Option<Input> {
        let peers = self.config.peers.iter().filter_map(|peer| {
            let id = self.peering.known_id(peer)?;
            let imported = ImportPeer {
                name: peer.name.clone(),
                address: peer.address,
                group: peer_group(&self.config, peer),
            };
            Some((id, imported))
        });
        let peers: BTreeMap<_, _> = peers.collect();
        let asn = self.config.bgp.asn;
        let mut changes = self.import_round(|imports, now| imports.set_asn(now, asn));
        changes.extend(self.import_round(|imports, now| imports.set_peers(now, peers)));
        into_input(changes)
    }

    /// Takes the own node's facts, and gives what the speaker is to have.
    pub(super) fn update_import_node(&mut self) -> Option<Input> {
        let changes = self.import_node();
        into_input(changes)
    }

    /// Decides about learned routes that changed, and gives what the speaker is to have.
    pub(super) fn learn(&mut self, undecided: Vec<Undecided>) -> Option<Input> {
        let changes = imports::learned(undecided);
        let changes = self.import_round(|imports, now| imports.learn(now, changes));
        into_input(changes)
    }

    /// Asks failing import policies again, and gives what the speaker is to have.
    pub(super) fn retry_imports(&mut self) -> Option<Input> {
        into_input(self.import_round(Imports::retry))
    }

    /// When a failing policy, of either side, is to be asked again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        let sides = [self.exports.retry_at(), self.import_side.imports.retry_at()];
        sides.into_iter().flatten().min()
    }

    fn import_node(&mut self) -> Vec<ImportChange> {
        match (self.import_side.chain, self.index.view().node.clone()) {
            (ChainState::Given, Some(node)) => {
                self.import_round(|imports, now| imports.set_node(now, node))
            }
            (ChainState::Given, None) | (ChainState::Awaited, _) => Vec::new(),
        }
    }

    fn import_round(
        &mut self,
        step: impl FnOnce(&mut Imports, Instant) -> Vec<ImportChange>,
    ) -> Vec<ImportChange> {
        let failures = self.failures();
        let changes = step(&mut self.import_side.imports, clock::now());
        self.log_failures(&failures);
        changes
    }
}

fn into_input(changes: Vec<ImportChange>) -> Option<Input> {
    let import = |change: ImportChange| Import {
        peer: change.peer,
        prefix: change.prefix,
        version: change.version,
        used: change
            .accepted
            .map(|accepted| (accepted.attributes, accepted.installation)),
    };
    let imports: Vec<_> = changes.into_iter().map(import).collect();
    (!imports.is_empty()).then_some(Input::Import(imports))
}
