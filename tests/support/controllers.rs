//! The real kube-controller-manager, with those controllers that a cluster's network needs: pod
//! CIDRs for Nodes, and EndpointSlices for Services, from the Pods that their selectors find.
//!
//! Nodes are not watched over: no kubelet renews a lease here, and all of them would soon be
//! taken for dead.

use std::path::Path;

use tempfile::TempDir;

use super::apiserver::bound_to_the_test;
use super::process::{Process, program};

const CONTROLLERS: &str = "endpointslice-controller,node-ipam-controller,namespace-controller,\
                           serviceaccount-controller";

/// A running kube-controller-manager. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Controllers {
    _process: Process,
    _folder: TempDir,
}

impl Controllers {
    /// Starts it. Nodes get their /24 and /64 from `cluster_cidrs`, a range of each family at
    /// most; cluster IPs come from `service_ranges`.
    pub(crate) fn start(
        kubeconfig: &Path,
        cluster_cidrs: &[&str],
        service_ranges: &[&str],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = bound_to_the_test(&program("RUTTER_TEST_KUBE_CONTROLLER_MANAGER"));
        command.arg("--kubeconfig").arg(kubeconfig).args([
            format!("--controllers={CONTROLLERS}"),
            "--leader-elect=false".to_owned(),
            // Nobody asks it anything.
            "--secure-port=0".to_owned(),
            "--allocate-node-cidrs".to_owned(),
            format!("--cluster-cidr={}", cluster_cidrs.join(",")),
            format!("--service-cluster-ip-range={}", service_ranges.join(",")),
        ]);
        let log = folder.path().join("log");
        Self {
            _process: Process::spawn("kube-controller-manager", &mut command, log),
            _folder: folder,
        }
    }
}
