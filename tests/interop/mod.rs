//! The agent against BIRD, FRR and GoBGP, in network namespaces. Tests assert what those programs
//! say of themselves.

mod calico;
mod churn;
pub(crate) mod cluster;
mod events;
mod fabric;
mod fairness;
mod guard;
mod guide;
mod harness;
mod held;
mod hostile;
mod import_reload;
mod import_shadow;
mod imports;
mod kernel_routes;
mod kube_proxy;
mod kubernetes;
pub(crate) mod live;
mod live_reload;
mod received;
mod recording;
mod reflectors;
mod reload;
mod sessions;
mod shadow;
mod sources;
mod tables;
mod tenants;
mod two_way;
