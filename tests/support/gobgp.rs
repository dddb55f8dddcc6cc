//! GoBGP: configuration, and what `gobgp` prints as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use rutter::types::{Community, LargeCommunity, Prefix};
use serde_json::Value;
use tempfile::TempDir;

use super::json::{array, integer, map, parsed, text};
use super::netns::Host;
use super::process::{Process, program, run};
use super::router::{
    Dialing, LearnedRoute, Router, RouterConfig, RouterKind, Session, SessionState,
};
use super::wait::eventually;

/// `session_state` of an established session.
const ESTABLISHED: u32 = 6;

/// A running `gobgpd`.
#[derive(Debug)]
pub(crate) struct Gobgp {
    process: Process,
    host: Host,
    asn: u32,
    _folder: TempDir,
}

impl Gobgp {
    /// Starts it on `host`.
    pub(crate) fn start(host: &Host, config: &RouterConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("gobgp.toml"), render(host, config)).unwrap();
        let mut command = host.command(&program("RUTTER_TEST_GOBGPD"));
        command.args(["--api-hosts", "127.0.0.1:50051", "--pprof-disable"]);
        command
            .args(["--log-plain", "-l", "info", "-f"])
            .arg(path("gobgp.toml"));
        let gobgp = Self {
            process: Process::spawn("gobgpd", &mut command, path("log")),
            host: host.clone(),
            asn: config.asn,
            _folder: folder,
        };
        // Routes of its own cannot be configured, only added.
        for prefix in &config.announced {
            let family = if prefix.address().is_ipv4() {
                "ipv4"
            } else {
                "ipv6"
            };
            let next_hop = host.address_like(prefix.address());
            let add = format!("global rib add -a {family} {prefix} nexthop {next_hop}");
            eventually(Duration::from_secs(20), || gobgp.ask(&add));
        }
        gobgp
    }

    fn ask(&self, command: &str) -> Result<String, String> {
        let mut gobgp = self.host.command("timeout");
        gobgp.args(["10", &program("RUTTER_TEST_GOBGP")]);
        run(gobgp.args(command.split(' ')))
    }

    /// What `read` makes of each path of each prefix.
    fn each_path<T: Ord>(
        &self,
        read: impl Fn(&str, &Value) -> Option<T>,
    ) -> Result<BTreeSet<T>, String> {
        let mut found = BTreeSet::new();
        for family in ["ipv4", "ipv6"] {
            let rib = self.ask_json(&format!("global rib -j -a {family}"))?;
            for (prefix, paths) in map(&rib) {
                found.extend(array(paths).filter_map(|path| read(prefix, path)));
            }
        }
        Ok(found)
    }

    fn ask_json(&self, command: &str) -> Result<Value, String> {
        let printed = self.ask(command)?;
        serde_json::from_str(&printed)
            .map_err(|error| format!("gobgp {command}: {error}: {printed}"))
    }
}

impl Router for Gobgp {
    fn kind(&self) -> RouterKind {
        RouterKind::Gobgp
    }

    fn host(&self) -> &Host {
        &self.host
    }

    fn asn(&self) -> u32 {
        self.asn
    }

    fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn learned(&self) -> Result<BTreeSet<LearnedRoute>, String> {
        self.each_path(read)
    }

    fn changed_at(&self) -> Result<BTreeSet<(IpAddr, Prefix, String)>, String> {
        self.each_path(|prefix, path| {
            let LearnedRoute { from, prefix, .. } = read(prefix, path)?;
            Some((from, prefix, path["age"].to_string()))
        })
    }

    fn withdrawn(&self) -> Option<BTreeSet<(IpAddr, Prefix)>> {
        None
    }

    fn sessions(&self) -> Result<BTreeMap<IpAddr, Session>, String> {
        let neighbors = self.ask_json("neighbor -j")?;
        Ok(array(&neighbors)
            .filter_map(|neighbor| {
                let address = parsed(text(&neighbor["conf"]["neighbor_address"])?)?;
                let state = match integer(&neighbor["state"]["session_state"]) {
                    Some(ESTABLISHED) => SessionState::Established,
                    other => SessionState::Down(format!("session_state {other:?}")),
                };
                let history = format!(
                    "since {}, flops {}",
                    neighbor["timers"]["state"]["uptime"]["seconds"], neighbor["state"]["flops"]
                );
                Some((address, Session { state, history }))
            })
            .collect())
    }
}

/// `None` for a route of its own.
fn read(prefix: &str, path: &Value) -> Option<LearnedRoute> {
    let attribute = |code: u32, field: &str| {
        array(&path["attrs"])
            .find(|attribute| integer(&attribute["type"]) == Some(code))
            .map(|attribute| &attribute[field])
    };
    // MP_REACH_NLRI for IPv6.
    let next_hop = attribute(3, "nexthop").or_else(|| attribute(14, "nexthop"))?;
    let elements = |code, field| attribute(code, field).into_iter().flat_map(array);
    let segments = elements(2, "as_paths");
    Some(LearnedRoute {
        from: parsed(text(&path["neighbor-ip"])?)?,
        prefix: parsed(prefix)?,
        next_hop: parsed(text(next_hop)?)?,
        as_path: segments
            .flat_map(|segment| array(&segment["asns"]).filter_map(integer))
            .collect(),
        local_pref: attribute(5, "value").and_then(integer),
        med: attribute(4, "metric").and_then(integer),
        communities: elements(8, "communities")
            .filter_map(integer)
            .map(Community)
            .collect(),
        large_communities: elements(32, "value").filter_map(large_community).collect(),
    })
}

fn large_community(value: &Value) -> Option<LargeCommunity> {
    Some(LargeCommunity {
        global_administrator: integer(&value["ASN"])?,
        local_data_1: integer(&value["LocalData1"])?,
        local_data_2: integer(&value["LocalData2"])?,
    })
}

fn render(host: &Host, config: &RouterConfig) -> String {
    let mut text = format!(
        "[global.config]\nas = {}\nrouter-id = \"{}\"\nlocal-address-list = [\"{}\", \"{}\"]\n\
         [global.use-multiple-paths.config]\nenabled = true\n",
        config.asn, host.ipv4, host.ipv4, host.ipv6
    );
    for neighbor in &config.neighbors {
        let password = neighbor.password.as_ref();
        let _ = write!(
            text,
            "[[neighbors]]\n\
             [neighbors.config]\nneighbor-address = \"{address}\"\npeer-as = {asn}\n{password}\
             [neighbors.transport.config]\nlocal-address = \"{local}\"\npassive-mode = {passive}\n\
             [neighbors.timers.config]\nconnect-retry = 1\nhold-time = {hold}\nkeepalive-interval = {keepalive}\n\
             [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n\
             [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv6-unicast\"\n",
            address = neighbor.address,
            asn = neighbor.asn,
            password = password.map_or(String::new(), |key| format!("auth-password = \"{key}\"\n")),
            local = host.address_like(neighbor.address),
            passive = neighbor.dialing == Dialing::Waits,
            hold = neighbor.hold_time,
            keepalive = neighbor.hold_time / 3,
        );
    }
    text
}
