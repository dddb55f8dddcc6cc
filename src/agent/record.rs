//! What `/v1/policy/batch` answers: everything that policies are given on this node, in the form of
//! a case file. The reporter asks for it; nothing is kept here.
//!
//! **Nothing secret is in it**: no keys of peers, and of a module's address no user and password.

use std::sync::Arc;

use super::pipeline::Pipeline;
use crate::candidates::AdvertiseConfig;
use crate::cases::{Document, Recorded, Settings, UsedPolicy};
use crate::facts::{NodeFacts, ServiceFacts};
use crate::policy::{Audience, ChainDefault, LinkStatus, PeerGroup};
use crate::types::Asn;

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
                .groups()
                .map(|(_, group)| group.clone())
                .collect(),
            policies: pipeline
                .exports
                .links()
                .map(|link| used_policy(pipeline, &link))
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

/// A link of the chain in force, with the settings that the configuration has for it. One that
/// stands in for the configured chain has none.
fn used_policy(pipeline: &Pipeline, link: &LinkStatus<'_>) -> UsedPolicy {
    let configured = pipeline
        .config
        .policies
        .iter()
        .find(|policy| policy.name == link.name && policy.module.to_string() == link.module);
    UsedPolicy {
        name: link.name.to_owned(),
        module: without_credentials(link.module),
        on_error: link.on_error,
        mode: link.mode,
        peers: configured.and_then(|policy| match &policy.audience {
            Audience::Everyone => None,
            Audience::Only(groups) => Some(groups.clone()),
        }),
        settings: configured.map_or_else(Settings::new, |policy| {
            UsedPolicy::settings_of(&policy.settings)
        }),
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
