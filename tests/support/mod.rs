//! What integration tests stand on: namespaces, an API server, kube-proxy, routers that are not ours,
//! the kernel's routes, the agent as a process, policy modules, hostile and not, and waiting with a
//! deadline.

pub(crate) mod agent;
pub(crate) mod apiserver;
pub(crate) mod bird;
pub(crate) mod calico;
pub(crate) mod controllers;
pub(crate) mod frr;
pub(crate) mod gobgp;
pub(crate) mod guests;
pub(crate) mod hostile;
pub(crate) mod json;
pub(crate) mod kernel;
pub(crate) mod keys;
pub(crate) mod kube_proxy;
pub(crate) mod memory;
pub(crate) mod netns;
pub(crate) mod objects;
pub(crate) mod pair;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod registry;
pub(crate) mod router;
pub(crate) mod solo;
pub(crate) mod verdicts;
pub(crate) mod wait;
