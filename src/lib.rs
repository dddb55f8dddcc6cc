//! Rutter works out which routes a Kubernetes node could announce, asks WebAssembly policy
//! modules which of them it may, and announces those over its own BGP speaker.
//!
//! Data flows one way: [`facts`] of the cluster, to [`candidates`], through [`policy`], into the
//! [`speaker`]. These modules are the core: no sockets, no clock, no randomness of their own;
//! they build without the feature `daemon`. The rest connects them to the world.

pub mod types;

pub mod facts;

pub mod candidates;
pub mod policy;

pub mod bgp;

pub mod speaker;

pub mod api;

#[cfg(feature = "daemon")]
pub mod wasm;
