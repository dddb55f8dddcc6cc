//! What `/v1/policy/batch` answers: everything that policies are given on this node, in the form of
//! a case file. The reporter asks for it; nothing is kept here.
//!
//! **Nothing secret is in it**: no keys of peers, and of a module's address no user and password.
//! Addresses of peers are in it only together with the routes learned from them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::imports;
use super::peering::peer_group;
use super::pipeline::Pipeline;
use crate::candidates::AdvertiseConfig;
use crate::cases::{Document, Group, Learned, Peer, Recorded, UsedPolicy};
use crate::facts::{NodeFacts, ServiceFacts};
use crate::policy::{Audience, ChainDefault, ImportPeer, LinkStatus, PeerGroup};
use crate::speaker::Undecided;
use crate::types::{Asn, PeerId, RouterId};

/// Whether learned routes are wanted, with the peers that they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LearnedRoutes {
    Wanted,
    Unwanted,
}

/// The pipeline's state, shared with it as far as it is large: the pipeline does not wait until
/// it is written down.
pub(super) struct Recording {
    asn: Asn,
    node: Arc<NodeFacts>,
    advertise: AdvertiseConfig,
    peer_groups: Vec<PeerGroup>,
    policies: Vec<UsedPolicy>,
    policy_default: ChainDefault,
    services: Vec<Arc<ServiceFacts>>,
}

impl Recording {
    /// Nothing while the own Node is unknown: policies are asked nothing then.
    pub(super) fn of(pipeline: &Pipeline) -> Option<Self> {
        let view = pipeline.index.view();
        Some(Self {
            asn: pipeline.config.bgp.asn,
            node: Arc::clone(view.node.as_ref()?),
            advertise: pipeline.config.advertise.clone(),
            peer_groups: pipeline
                .exports
                .peers()
                .map(|(_, group)| group.clone())
                .collect(),
            policies: pipeline
                .exports
                .links()
                .map(|link| used_policy(&link))
                .collect(),
            policy_default: pipeline.config.policy_default,
            services: view.services.values().map(Arc::clone).collect(),
        })
    }

    /// Writes it down. Takes a moment for a large cluster.
    pub(super) fn into_document(self) -> Document {
        let Self {
            asn,
            node,
            advertise,
            peer_groups,
            policies,
            policy_default,
            services,
        } = self;
        Recorded {
            asn,
            node: &node,
            advertise: &advertise,
            peer_groups,
            policies,
            policy_default,
            services: services.iter().map(Arc::as_ref).collect(),
        }
        .into()
    }
}

/// What import policies are given, from the pipeline: all but the routes.
pub(super) struct ImportRecording {
    peers: Vec<(PeerId, ImportPeer)>,
    policies: Vec<UsedPolicy>,
    policy_default: ChainDefault,
}

impl ImportRecording {
    pub(super) fn of(pipeline: &Pipeline) -> Self {
        let config = &pipeline.config;
        let peer = |peer| {
            let id = pipeline.peering.known_id(peer)?;
            let peer = ImportPeer {
                name: peer.name.clone(),
                address: peer.address,
                group: peer_group(config, peer),
            };
            Some((id, peer))
        };
        Self {
            peers: config.peers.iter().filter_map(peer).collect(),
            policies: pipeline
                .import_side
                .imports
                .links()
                .map(|link| used_policy(&link))
                .collect(),
            policy_default: config.import_policy_default,
        }
    }

    /// Adds all of it to what was written down about the same node.
    pub(super) fn write(self, routes: Vec<Undecided>, document: &mut Document) {
        let Self {
            peers,
            policies,
            policy_default,
        } = self;
        let routes = imports::learned(routes);
        for (id, peer) in &peers {
            let of_peer = || routes.iter().filter(|change| change.peer == *id);
            let learned = of_peer().filter_map(|change| {
                let route = change.route.as_ref()?;
                let (path, attributes) = ((*route.path).clone(), (*route.attributes).clone());
                Some(Learned::recorded(
                    &peer.name,
                    change.prefix,
                    path,
                    attributes,
                ))
            });
            document.learned.extend(learned);
            let router_id = of_peer().find_map(|change| Some(change.route.as_ref()?.router_id));
            let peer = recorded_peer(peer, router_id, &document.peer_groups);
            document.peers.push(peer);
        }
        document.import_policies = policies;
        document.import_policy_default = policy_default;
    }
}

/// A peer with the name of its group; its AS and labels are told where the first group of that
/// name has others.
fn recorded_peer(peer: &ImportPeer, router_id: Option<RouterId>, groups: &[Group]) -> Peer {
    let ImportPeer {
        name,
        address,
        group,
    } = peer;
    let named = groups.iter().find(|named| named.name == group.name);
    let is_told =
        |same: fn(&Group, &PeerGroup) -> bool| named.is_none_or(|named| !same(named, group));
    Peer {
        name: name.clone(),
        address: Some(*address),
        router_id,
        peer_group: Some(group.name.clone()),
        asn: is_told(|named, group| named.asn == group.asn).then_some(group.asn),
        labels: is_told(|named, group| named.labels == group.labels).then(|| group.labels.clone()),
    }
}

/// A link of the chain in force, with the settings that it was made with.
fn used_policy(link: &LinkStatus<'_>) -> UsedPolicy {
    UsedPolicy {
        name: link.name.to_owned(),
        module: without_credentials(link.module),
        on_error: link.on_error,
        mode: link.mode,
        peers: groups(link.audience),
        settings: UsedPolicy::settings_of(link.settings),
    }
}

/// The names of the groups that a policy is for; everyone where absent.
fn groups(audience: &Audience) -> Option<BTreeSet<String>> {
    match audience {
        Audience::Everyone => None,
        Audience::Only(groups) => Some(groups.clone()),
    }
}

/// `https://user:password@host/x` without what is secret in it.
fn without_credentials(module: &str) -> String {
    let Some((scheme, rest)) = module.split_once("://") else {
        return module.to_owned();
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn a_module_is_named_without_user_and_password() {
        for (module, named) in [
            ("builtin:default", "builtin:default"),
            ("/etc/rutter/a@b.wasm", "/etc/rutter/a@b.wasm"),
            ("https://host/a@b.wasm", "https://host/a@b.wasm"),
            ("https://me:secret@host/a.wasm", "https://host/a.wasm"),
            ("oci://token@host:5000", "oci://host:5000"),
        ] {
            assert_eq!(without_credentials(module), named);
        }
    }
}
