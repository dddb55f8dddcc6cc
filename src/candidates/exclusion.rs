//! Why an address of a Service is no candidate, in words for `rutter explain`.

use serde::{Deserialize, Serialize};

use super::Holder;

/// Why an address of a Service is no candidate at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusion {
    /// The Service is being deleted.
    #[error("the Service is being deleted")]
    Deleting,
    /// The Service is headless: kube-proxy programs none of its addresses.
    #[error("the Service is headless")]
    Headless,
    /// The Service is an alias (ExternalName).
    #[error("the Service is an alias (ExternalName)")]
    ExternalName,
    /// A load balancer's address of a Service that is of another type.
    #[error("the Service is not of type LoadBalancer")]
    NotLoadBalancer,
    /// The address lies in none of the ranges configured for its kind.
    #[error("it lies in none of the ranges configured for its kind")]
    OutsideRanges,
    /// The Service's `loadBalancerClass` is none of those that are ours.
    #[error("its loadBalancerClass is not among advertise.load-balancer-classes")]
    LoadBalancerClass,
    /// No route may lead to the address, whoever has it.
    #[error("no route may lead to it: it is loopback, link-local, multicast or reserved")]
    Unroutable,
    /// The address is somebody's: the Service may not take it.
    #[error("the address is {0}: {exclusive}", exclusive = .0.exclusive())]
    Reserved(Holder),
    /// The Service has more addresses than may be announced for one; so many may.
    #[error("the Service has more than {0} addresses")]
    TooManyAddresses(usize),
    /// With older Services the node announces as much as it may; so many addresses may be
    /// announced.
    #[error("with older Services, {0} addresses are announced already")]
    NoRoom(usize),
}
