//! Which learned routes go on to which peers (RFC 4456 section 6).
//!
//! Only on a node that has a cluster id; any other passes on nothing it learned.
//!
//! | learned from | to clients | to other internal peers | to external peers |
//! |---|---|---|---|
//! | a client | yes | yes | if it is of our AS |
//! | another internal peer | yes | no | if it is of our AS |
//! | an external peer | yes | yes | no |
//!
//! A route is of our AS where its AS_PATH is empty. What another AS announced never leaves for an
//! external peer, over however many of our nodes it came: a node is no transit between two networks.
//!
//! No peer is sent what it brought into the AS itself, and an own route to a prefix goes before a
//! learned one. The best path alone is passed on.

use std::collections::{BTreeMap, BTreeSet};

use super::Speaker;
use super::config::SpeakerConfig;
use super::exports::GroupTable;
use super::view::NotSent;
use crate::bgp::wire::Peering;
use crate::rib::{LocRib, Neighbor, Path, Source};
use crate::types::{ClusterId, GroupId, PeerId, Prefix, Reflection};

/// All there is for peers to be sent.
pub(super) struct Offer<'a> {
    /// What we announce ourselves.
    pub(super) tables: &'a BTreeMap<GroupId, GroupTable>,
    /// What we learned, where we reflect.
    reflected: Option<&'a LocRib>,
    pub(super) cluster_id: Option<ClusterId>,
    clients: BTreeSet<PeerId>,
}

impl<'a> Offer<'a> {
    pub(super) fn new(
        speaker: &'a SpeakerConfig,
        tables: &'a BTreeMap<GroupId, GroupTable>,
        loc_rib: &'a LocRib,
    ) -> Self {
        let clients = speaker.peers.iter();
        let clients = clients.filter(|peer| peer.reflection == Reflection::Client);
        let cluster_id = speaker.cluster_id;
        Self {
            tables,
            reflected: cluster_id.map(|_| loc_rib),
            cluster_id,
            clients: match cluster_id {
                Some(_) => clients.map(|peer| peer.id).collect(),
                None => BTreeSet::new(),
            },
        }
    }

    /// Every prefix of a learned route that may go on to somebody.
    pub(super) fn learned_prefixes(&self) -> impl Iterator<Item = Prefix> + use<'a> {
        let reflected = self.reflected.into_iter();
        reflected.flat_map(|routes| routes.iter().map(|(prefix, _)| prefix))
    }

    /// The learned route that peers of a kind are to have, or why they are not to have it; nothing where
    /// none could be passed on. Who brought it into the AS does not [take](crate::rib::Recipient::takes)
    /// it.
    pub(super) fn learned(
        &self,
        prefix: &Prefix,
        to: Reflection,
        peering: Peering,
    ) -> Option<Result<&'a Path, NotSent>> {
        let path = self.reflected?.best(prefix)?;
        Some(match &path.source {
            Source::Local => return None,
            Source::Peer(from) => self.may_pass(path, from, to, peering).map(|()| path),
        })
    }

    /// Whose learned route is passed on, to whom it may be.
    pub(super) fn learned_from(&self, prefix: &Prefix) -> Option<PeerId> {
        match &self.reflected?.best(prefix)?.source {
            Source::Local => None,
            Source::Peer(from) => Some(from.id),
        }
    }

    fn may_pass(
        &self,
        path: &Path,
        from: &Neighbor,
        to: Reflection,
        peering: Peering,
    ) -> Result<(), NotSent> {
        let is_client = self.clients.contains(&from.id) || to == Reflection::Client;
        let is_of_our_as = path.attributes.path.as_path.segments.is_empty();
        match (from.peering, peering) {
            (Peering::Internal, Peering::Internal) if !is_client => Err(NotSent::BetweenNonClients),
            (Peering::External, Peering::External) => Err(NotSent::Transit),
            (Peering::Internal, Peering::External) if !is_of_our_as => Err(NotSent::Transit),
            (Peering::Internal, Peering::Internal | Peering::External)
            | (Peering::External, Peering::Internal) => Ok(()),
        }
    }
}

impl Speaker {
    /// The best path to a prefix is another one, or none.
    pub(super) fn best_path_changed(&mut self, prefix: Prefix) {
        let config = self.config.as_ref();
        if config.is_some_and(|config| config.cluster_id.is_some()) {
            self.to_pass_on.insert(prefix);
        }
    }

    /// What is passed on may differ for every learned route: after a change of roles.
    pub(super) fn pass_on_everything(&mut self) {
        let prefixes = self.loc_rib.all().map(|(prefix, _)| prefix);
        self.to_pass_on.extend(prefixes);
    }

    /// Peers are to have what became of the routes that were learned since the last time.
    pub(super) fn pass_on(&mut self) {
        if self.to_pass_on.is_empty() {
            return;
        }
        let prefixes = std::mem::take(&mut self.to_pass_on);
        if !self.announces() {
            return;
        }
        let Some(config) = &self.config else {
            return;
        };
        let offer = Offer::new(config, self.exports.groups(), &self.loc_rib);
        let told = self
            .update_groups
            .pass_on(&prefixes, &offer, &mut self.pool);
        for (peer, kept_back) in told {
            self.tell(peer, &kept_back);
        }
    }
}
