//! The pipeline's other direction: learned routes that the speaker has, decided about and given
//! back.
//!
//! The speaker keeps what is undecided and says that there is some; [`runner`](super::runner) takes
//! it when it can. So however slow a policy is, nothing queues: a route that changes again
//! meanwhile is asked about once. It takes a [`Piece`] at a time, and what concerns every route is
//! done in pieces as well: facts that change meanwhile wait for one of them.
//!
//! [`ImportTrial`] is the import side's part of a configuration that is [tried](super::trial).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::Pipeline;
use super::piece::Piece;
use crate::agent::clock;
use crate::agent::decider::Importing;
use crate::agent::imports;
use crate::agent::meters::{self, Meter, Meters, Work};
use crate::agent::peering::{Peering, peer_group};
use crate::config::Config;
use crate::facts::NodeFacts;
use crate::policy::{Clock, ImportChange, ImportPeer, Imports, LearnedChange, NextLink};
use crate::speaker::{Import, Input, Learning, Undecided};
use crate::types::{PeerId, Prefix};

/// What decides on learned routes, and what was decided.
pub(in crate::agent) struct ImportSide {
    pub(in crate::agent) imports: Imports,
    /// What the chain's policies cost.
    pub(in crate::agent) meters: Meters,
    pub(in crate::agent) work: Work,
    pub(super) learning: Learning,
    piece: Piece,
    /// The routes that changed while a configuration is tried.
    pub(super) journal: Option<BTreeSet<(PeerId, Prefix)>>,
}

/// What decides on learned routes, copied, and what is to decide.
pub(super) struct ImportTrial {
    imports: Imports,
    learning: Learning,
    peers: BTreeMap<PeerId, ImportPeer>,
    node: Option<Arc<NodeFacts>>,
    chain: Option<Vec<NextLink<Importing>>>,
    /// Routes that no policy decides about before it, for it to be tried on.
    sample: Vec<LearnedChange>,
}

/// All that a new configuration decides about learned routes.
pub(super) struct ImportTried {
    pub(super) imports: Imports,
    pub(super) learning: Learning,
    /// Links that are not those in force, with what counts what they do.
    pub(super) new_links: BTreeMap<Arc<str>, Meter>,
    work: Work,
}

/// What happened to learned routes while a configuration is tried.
pub(in crate::agent) struct ImportNews {
    node: Option<Arc<NodeFacts>>,
    changes: Vec<LearnedChange>,
}

impl ImportSide {
    pub(super) fn new(config: &Config) -> Self {
        let mut imports = Imports::new(config.bgp.asn);
        imports.set_clock(Clock::new(clock::now));
        Self {
            imports,
            meters: Meters::default(),
            work: Work::default(),
            learning: Learning::default(),
            piece: Piece::default(),
            journal: None,
        }
    }

    /// How many learned routes are to be taken next.
    pub(super) fn wanted(&self) -> usize {
        let piece = self.piece.routes();
        if self.imports.has_backlog() {
            // The others are from what is left.
            piece.div_ceil(2)
        } else {
            piece
        }
    }

    /// Copies what decides. From here until it is adopted, routes that change are noted for it.
    pub(super) fn prepare(
        &mut self,
        config: &Config,
        peering: &Peering,
        node: Option<Arc<NodeFacts>>,
        chain: Option<Vec<NextLink<Importing>>>,
    ) -> ImportTrial {
        self.journal = Some(BTreeSet::new());
        ImportTrial {
            imports: self.imports.clone(),
            learning: self.learning,
            peers: peers(config, peering),
            node,
            chain,
            sample: Vec::new(),
        }
    }

    /// What changed since the copy was made, or last looked at.
    pub(super) fn news(&mut self, node: Option<Arc<NodeFacts>>) -> ImportNews {
        let changed = self.journal.as_mut().map(std::mem::take);
        let change = |(peer, prefix): (PeerId, Prefix)| LearnedChange {
            peer,
            prefix,
            route: self.imports.route(peer, &prefix).cloned(),
        };
        let changed = changed.into_iter().flatten();
        ImportNews {
            node,
            changes: changed.map(change).collect(),
        }
    }

    /// Puts what was tried in force, and gives what the speaker is to have of it.
    pub(super) fn adopt(&mut self, tried: ImportTried) -> Option<Input> {
        let ImportTried {
            mut imports,
            learning,
            new_links,
            work,
        } = tried;
        let changes = match (self.learning, learning) {
            (Learning::Decided, Learning::Decided) => imports.differences(&self.imports),
            // The speaker uses everything, or will ask about everything.
            (Learning::Everything, _) | (_, Learning::Everything) => {
                imports.forget_routes();
                Vec::new()
            }
        };
        imports.keep_counts(&self.imports);
        self.journal = None;
        self.learning = learning;
        self.imports = imports;
        self.meters.adopt(self.imports.links(), new_links);
        self.work.add(work);
        into_input(changes)
    }
}

impl ImportTrial {
    /// Gives it routes to be tried on, as the speaker has them; only where none are decided about
    /// in force.
    pub(super) fn sample(&mut self, undecided: Vec<Undecided>) {
        self.sample = imports::learned(undecided);
    }

    /// Lets the policies decide.
    pub(super) fn run(self, now: Instant, config: &Config) -> ImportTried {
        let Self {
            imports,
            learning,
            peers,
            node,
            chain,
            sample,
        } = self;
        let mut tried = ImportTried {
            imports,
            learning,
            new_links: BTreeMap::new(),
            work: Work::default(),
        };
        tried.round(|imports| imports.decide_at_once(now));
        tried.round(|imports| imports.set_asn(now, config.bgp.asn));
        tried.round(|imports| imports.set_default(now, config.import_policy_default));
        tried.round(|imports| imports.set_peers(now, peers));
        if let Some(chain) = chain {
            tried.learning = if chain.is_empty() {
                Learning::Everything
            } else {
                Learning::Decided
            };
            let chain = meters::measured(chain, &mut tried.new_links);
            tried.round(|imports| imports.replace_chain(now, chain));
        }
        if let Some(node) = node {
            tried.round(|imports| imports.set_node(now, node));
        }
        tried.round(|imports| imports.learn(now, sample));
        tried
    }
}

impl ImportNews {
    pub(in crate::agent) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl ImportTried {
    /// Takes in what changed meanwhile.
    pub(super) fn take_news(&mut self, ImportNews { node, changes }: ImportNews) {
        let now = clock::now();
        if let Some(node) = node {
            self.round(|imports| imports.set_node(now, node));
        }
        match self.learning {
            Learning::Decided => self.round(|imports| imports.learn(now, changes)),
            // Nothing is compared.
            Learning::Everything => {}
        }
    }

    /// What changed is told by comparison, once everything has.
    fn round(&mut self, step: impl FnOnce(&mut Imports) -> Vec<ImportChange>) {
        self.work.round(&mut self.imports, Imports::asked, step);
    }
}

impl Pipeline {
    /// Takes the own node's facts, and gives what the speaker is to have.
    pub(super) fn update_import_node(&mut self) -> Option<Input> {
        let node = self.index.view().node.clone()?;
        into_input(self.import_round(|imports, now| imports.set_node(now, node)))
    }

    /// Decides about learned routes that changed, and gives what the speaker is to have.
    pub(super) fn learn(&mut self, undecided: Vec<Undecided>) -> Option<Input> {
        let changes = imports::learned(undecided);
        if let Some(journal) = &mut self.import_side.journal {
            journal.extend(changes.iter().map(|change| (change.peer, change.prefix)));
        }
        if changes.is_empty() {
            return into_input(self.import_round(Imports::go_on));
        }
        into_input(self.import_round(|imports, now| imports.learn(now, changes)))
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

    fn import_round(
        &mut self,
        step: impl FnOnce(&mut Imports, Instant) -> Vec<ImportChange>,
    ) -> Vec<ImportChange> {
        let failures = self.failures();
        let ImportSide {
            imports,
            work,
            piece,
            ..
        } = &mut self.import_side;
        imports.decide_in_pieces(piece.routes());
        let start = clock::now();
        let changes = work.round(imports, Imports::asked, |imports| step(imports, start));
        let (routes, course) = imports.last_round();
        piece.took(routes, course, clock::now().duration_since(start));
        self.log_failures(&failures);
        changes
    }
}

/// The peers of a configuration, by the ids that they have.
fn peers(config: &Config, peering: &Peering) -> BTreeMap<PeerId, ImportPeer> {
    let peers = config.peers.iter().filter_map(|peer| {
        let id = peering.known_id(peer)?;
        let imported = ImportPeer {
            name: peer.name.clone(),
            address: peer.address,
            group: peer_group(config, peer),
        };
        Some((id, imported))
    });
    peers.collect()
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
