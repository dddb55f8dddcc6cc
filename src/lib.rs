//! Rutter works out which routes a Kubernetes node could announce, asks WebAssembly policy
//! modules which of them it may, and announces those over its own BGP speaker.
//!
//! Data flows one way: [`facts`] of the cluster, to [`candidates`], through [`policy`], into the
//! [`speaker`]. These modules are the core: no sockets, no clock, no randomness of their own;
//! they build without the feature `daemon`. So do [`config`], which reads the operator's file,
//! and [`cases`], which reads situations to test policies in. The rest connects them to the world.

// The simulation's network serves the unit tests too, and says `rutter`.
#[cfg(test)]
extern crate self as rutter;

pub mod types;

pub mod facts;
pub mod selector;
pub mod topology;

pub mod candidates;
pub mod policy;

pub mod cases;
pub mod config;

pub mod calico;

pub mod bgp;
pub mod rib;

pub mod speaker;

pub mod fib;

pub mod api;

#[cfg(feature = "daemon")]
pub mod files;
#[cfg(feature = "daemon")]
pub mod kube;
#[cfg(feature = "daemon")]
pub mod source;
#[cfg(feature = "daemon")]
pub mod wasm;

#[cfg(feature = "daemon")]
pub mod agent;
#[cfg(feature = "daemon")]
pub mod cli;
