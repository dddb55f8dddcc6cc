//! Settings that keep one tenant of a cluster from harming the others.

use serde::{Deserialize, Serialize};

/// Whether Services of several namespaces may have one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressSharing {
    /// Only those of one namespace may.
    #[default]
    WithinNamespace,
    /// All may, as kube-proxy serves them: for clusters whose namespaces trust each other.
    Anyone,
}

/// How much is announced for Services at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLimits {
    /// Addresses of one Service.
    pub service_addresses: usize,
    /// Addresses of all Services.
    pub service_routes: usize,
}

impl RouteLimits {
    /// A Service has its two cluster IPs and a handful of others; whoever writes more than 64
    /// external ones has a script that went wrong. The largest clusters that Kubernetes is tested
    /// with have 10,000 Services.
    pub const DEFAULT: Self = Self {
        service_addresses: 64,
        service_routes: 200_000,
    };
}

impl Default for RouteLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
