//! The whole cluster in namespaces: etcd, kube-apiserver, kube-controller-manager, and on each node
//! kube-proxy, the agent and pods with real sockets; a core switch that is BIRD or FRR, with several
//! ways in its kernel; and a VM behind it, from which everything is asked.
//!
//! A lab takes a while to stand up, and so each test asks one of them for much. All figures are
//! printed; none is asserted.

mod by_hand;
mod checks;
mod cluster;
mod plan;
mod pod;
mod site;
mod topologies;
mod traffic;
