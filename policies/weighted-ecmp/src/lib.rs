//! Lets routers share traffic by the endpoints that each node has, instead of evenly by node:
//! the Link Bandwidth extended community (RFC 10005), with so much bandwidth an endpoint.
//!
//! | address of a Service that is selected | decision |
//! |---|---|
//! | usable endpoints of its family on this node | accept with the community |
//! | none | accept without one that was proposed; abstain where none was |
//!
//! Usable is what kube-proxy would send traffic to; nothing is where the node does not answer for
//! the address. Everything else it abstains from. Settings and examples are in the README.

use rutter_policy::{
    Candidate, Context, Decision, Description, LinkBandwidth, PeerKind, Policy, Selector,
    description, export_policy,
};
use serde::Deserialize;

/// Bytes a second in a megabit a second.
const BYTES_IN_MEGABIT: u64 = 125_000;

/// The policy.
#[derive(Clone, Debug)]
pub struct WeightedEcmp(Settings);

/// What the operator may set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    #[serde(rename = "match", default)]
    selector: Selector,
    /// In megabits a second. Routers use bandwidths in proportion, so it matters only where
    /// other routes of the same prefix carry real ones.
    #[serde(default = "one_gigabit")]
    megabits_per_endpoint: u32,
    /// Absent: by what the peers are, see [`Kind::towards`].
    community: Option<Kind>,
}

/// How far the community goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Type 0x40: it does not leave the AS (RFC 4360 section 6).
    NonTransitive,
    /// Type 0x00.
    Transitive,
}

fn one_gigabit() -> u32 {
    1000
}

impl Policy for WeightedEcmp {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            name: "weighted-ecmp".into(),
            ..description!(
                "Weighs nodes by their endpoints with the link bandwidth community",
                include_str!("../settings.schema.json")
            )
        }
    }

    fn new(settings: Settings) -> Result<Self, String> {
        if settings.megabits_per_endpoint == 0 {
            return Err(
                "megabits-per-endpoint is 0: routers would send nothing; write 1 or more".into(),
            );
        }
        Ok(Self(settings))
    }

    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        let Settings {
            selector,
            megabits_per_endpoint,
            community,
        } = &self.0;
        if candidate.service().is_none() || !selector.selects(candidate) {
            return Decision::abstain();
        }
        let mut attributes = candidate.attributes.clone();
        let usable = candidate.usable_endpoints_here();
        if usable == 0 {
            attributes.link_bandwidth = None;
            let told = "no usable endpoint on this node, so no link bandwidth";
            return Decision::amend(candidate, attributes, told);
        }
        let megabits = u64::from(*megabits_per_endpoint) * u64::from(usable);
        let kind = community.unwrap_or_else(|| Kind::towards(context.peer_group.kind));
        attributes.link_bandwidth = Some(LinkBandwidth {
            bytes_per_second: megabits.saturating_mul(BYTES_IN_MEGABIT),
            transitive: kind == Kind::Transitive,
        });
        let told = context.explain(|| {
            format!("usable endpoints on this node: {usable}; link bandwidth {megabits} Mbit/s")
        });
        Decision::amend(candidate, attributes, told)
    }
}

export_policy!(WeightedEcmp);

impl Kind {
    /// What peers can be expected to take: a community that is not transitive is removed on its
    /// way to another AS (RFC 4360 section 6), and routers that follow this ignore one from there.
    fn towards(peers: PeerKind) -> Self {
        match peers {
            PeerKind::Ibgp => Self::NonTransitive,
            PeerKind::Ebgp => Self::Transitive,
        }
    }
}

#[cfg(test)]
mod tests;
