//! What this node could announce: a pure function of the facts, kept up to date in steps.
//!
//! A [`Candidate`] is one prefix for one reason (its [`Origin`]); two Services that share an
//! address give two candidates of one prefix, and whoever announces counts them by prefix.
//! Whether a candidate *should* be announced is for [`policy`](crate::policy) to say.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::facts::{ServiceFacts, ServiceKey};
use crate::types::Prefix;

/// Which list of CIDRs, or which of a Service's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressKind {
    /// `spec.clusterIPs`, allocated from the service cluster CIDRs.
    ClusterIp,
    /// `spec.externalIPs`, allowed by the service external CIDRs.
    ExternalIp,
    /// `status.loadBalancer.ingress`, allowed by the service load-balancer CIDRs.
    LoadBalancerIp,
}

/// Why a prefix is a candidate. Ordered: pod CIDRs, then aggregates, then single addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    /// A pod CIDR of this node.
    PodCidr,
    /// A whole configured range of Service addresses, to be announced from every node.
    ServiceCidr {
        /// Which of the three lists it is from.
        addresses: AddressKind,
    },
    /// One address of a Service, as a /32 or /128.
    ServiceAddress {
        /// Whose.
        service: ServiceKey,
        /// Which of its addresses.
        address: AddressKind,
    },
}

/// What tells one candidate from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CandidateKey {
    /// What would be announced.
    pub prefix: Prefix,
    /// And why.
    pub origin: Origin,
}

/// A prefix this node could announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Prefix and origin.
    pub key: CandidateKey,
    /// The Service, where the origin is one of its addresses.
    pub service: Option<Arc<ServiceFacts>>,
    /// The configured range, itself a candidate, that covers this address.
    pub covered_by: Option<Prefix>,
}

/// The ranges and switches of the configuration's `[advertise]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdvertiseConfig {
    /// Whether the node's pod CIDRs are candidates.
    pub pod_cidrs: PodCidrs,
    /// Ranges that cluster IPs are allocated from.
    pub service_cluster_cidrs: Vec<Prefix>,
    /// Ranges within which external IPs may be announced.
    pub service_external_cidrs: Vec<Prefix>,
    /// Ranges within which load-balancer IPs may be announced.
    pub service_load_balancer_cidrs: Vec<Prefix>,
}

/// Whether the node's pod CIDRs are candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodCidrs {
    /// They are.
    #[default]
    Advertise,
    /// They are not, for instance because the CNI announces them itself.
    Ignore,
}

/// A step from one set of candidates to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateChange {
    /// New, or of the same key with other facts.
    Upsert(Candidate),
    /// No longer possible: whatever a policy says, it must not be announced.
    Removed(CandidateKey),
}

/// Why an address of a Service is no candidate at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusion {
    /// The Service is being deleted.
    Deleting,
    /// The Service is headless: kube-proxy programs none of its addresses.
    Headless,
    /// The Service is an alias (ExternalName).
    ExternalName,
    /// The address lies in none of the ranges configured for its kind.
    OutsideRanges,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodCidr => f.write_str("pod CIDR"),
            Self::ServiceCidr { addresses } => write!(f, "service {addresses} range"),
            Self::ServiceAddress { service, address } => write!(f, "{address} IP of {service}"),
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClusterIp => "cluster",
            Self::ExternalIp => "external",
            Self::LoadBalancerIp => "load-balancer",
        })
    }
}
