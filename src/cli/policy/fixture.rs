//! For the tests of these commands only: a recording, and running a command on it.

use std::path::Path;

use tempfile::TempDir;

use crate::cli::testing::{Ran, run};

/// Two groups of peers, a Local Service with an endpoint in one family, one that a range covers.
pub(super) const RECORDING: &str = r#"
recorded = "worker-1, 2026-03-05 12:00:00 UTC"
asn = 64512

[advertise]
service-cluster-cidrs = ["10.96.0.0/12"]
service-load-balancer-cidrs = ["192.0.2.10/32", "2001:db8::10/128"]

[node]
name = "worker-1"
pod-cidrs = ["10.244.1.0/24"]

[[peer-groups]]
name = "reflectors"
asn = 64512

[[peer-groups]]
name = "tors"
asn = 64513

[[policies]]
name = "default"
module = "builtin:default"

[[policies]]
name = "again"
module = "builtin:default"
peers = ["tors"]

[[services]]
name = "shop/web"
type = "LoadBalancer"
external-traffic-policy = "Local"
cluster-ips = ["10.96.0.10"]
external-ips = ["203.0.113.7"]
load-balancer-ips = ["192.0.2.10", "2001:db8::10"]

[services.endpoints-here.ipv4]
ready = 1

[services.endpoints-elsewhere.ipv6]
ready = 2

[[services]]
name = "shop/api"
cluster-ips = ["10.96.0.11"]
endpoints-elsewhere = 1
"#;

/// A directory with a file `live.toml`.
pub(super) struct Bench(TempDir);

impl Bench {
    pub(super) fn new(text: &str) -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("live.toml"), text).unwrap();
        Self(directory)
    }

    pub(super) fn directory(&self) -> &Path {
        self.0.path()
    }

    /// Runs `rutter policy ARGUMENTS`, where LIVE stands for the file.
    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        let directory = self.0.path().to_str().unwrap();
        let live = format!("{directory}/live.toml");
        let named = arguments.iter().map(|argument| {
            if *argument == "LIVE" {
                &live
            } else {
                *argument
            }
        });
        let arguments: Vec<&str> = std::iter::once("policy").chain(named).collect();
        let ran = run("/nonexistent".into(), &arguments);
        let short = |text: String| text.replace(directory, "dir");
        Ran {
            outcome: ran.outcome,
            out: short(ran.out),
            err: short(ran.err),
        }
    }
}
