//! FRR's bgpd, without zebra unless it is a switch: configuration, and what `vtysh` prints as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rutter::types::Prefix;
use serde_json::Value;
use tempfile::TempDir;

use super::json::{array, integer, map, parsed, text};
use super::netns::Host;
use super::process::{Process, impatient, program, run};
use super::router::{
    Dialing, LearnedRoute, Role, Router, RouterConfig, RouterKind, Session, SessionState,
};
use super::wait::eventually;

/// Far above what it takes until zebra is connected to.
const LISTEN_LIMIT: Duration = Duration::from_secs(30);

/// Each command is an argument: some hundreds fit on a command line.
const COMMANDS_MAX: usize = 300;

/// A running `bgpd`.
#[derive(Debug)]
pub(crate) struct Frr {
    process: Process,
    /// Which a switch has: it writes the kernel's routes.
    _zebra: Option<Process>,
    folder: TempDir,
    host: Host,
    asn: u32,
}

impl Frr {
    /// Starts it on `host`.
    pub(crate) fn start(host: &Host, config: &RouterConfig) -> Self {
        Self::start_as(Role::Listener, host, config)
    }

    /// Starts it on `host` for this.
    pub(crate) fn start_as(role: Role, host: &Host, config: &RouterConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("bgpd.conf"), render(role, host, config)).unwrap();
        fs::create_dir(path("vty")).unwrap();
        let mut command = host.command(&program("RUTTER_TEST_BGPD"));
        // -S as root, -P 0 no telnet.
        command.args(["-S", "-P", "0", "--log", "stdout", "-p", "179"]);
        let zebra = match role {
            Role::Listener => {
                // -n no kernel routes, -Z no zebra.
                command.args(["-n", "-Z"]);
                command.args(["-l", &host.ipv4.to_string()]);
                command.args(["-l", &host.ipv6.to_string()]);
                None
            }
            Role::Switch => {
                command.arg("-z").arg(path("zserv"));
                Some(start_zebra(host, folder.path()))
            }
        };
        command.arg("-f").arg(path("bgpd.conf"));
        command.arg("-i").arg(path("pid"));
        command.arg("--vty_socket").arg(path("vty"));
        Self {
            process: Process::spawn("bgpd", &mut command, path("log")),
            _zebra: zebra,
            host: host.clone(),
            asn: config.asn,
            folder,
        }
    }

    /// The last NOTIFICATION it had from a neighbour, in its words.
    ///
    /// # Errors
    /// It had none, or does not answer.
    pub(crate) fn last_notification(&self, neighbor: IpAddr) -> Result<String, String> {
        let answer = self.ask(&[format!("show bgp neighbors {neighbor} json")])?;
        let neighbor = &answer[0][neighbor.to_string()];
        let reason = neighbor["lastNotificationReason"].as_str();
        reason
            .map(str::to_owned)
            .ok_or_else(|| format!("no NOTIFICATION: {neighbor}"))
    }

    /// What `vtysh` prints to each command, one after the other.
    fn ask(&self, commands: &[String]) -> Result<Vec<Value>, String> {
        let mut vtysh = impatient(&program("RUTTER_TEST_VTYSH"));
        vtysh
            .arg("--vty_socket")
            .arg(self.folder.path().join("vty"));
        for command in commands {
            vtysh.args(["-c", command]);
        }
        let printed = run(&mut vtysh)?;
        serde_json::Deserializer::from_str(&printed)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| format!("vtysh {commands:?}: {error}: {printed}"))
    }
}

impl Router for Frr {
    fn kind(&self) -> RouterKind {
        RouterKind::Frr
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
        let mut routes = BTreeSet::new();
        for family in ["ipv4", "ipv6"] {
            // The list lacks communities; each prefix asked for by name has them.
            let list = self.ask(&[format!("show bgp {family} unicast json")])?;
            let commands: Vec<String> = list
                .iter()
                .flat_map(|list| map(&list["routes"]))
                .map(|(prefix, _)| format!("show bgp {family} unicast {prefix} json"))
                .collect();
            for some in commands.chunks(COMMANDS_MAX) {
                for prefix in self.ask(some)? {
                    let learned = array(&prefix["paths"]).filter_map(|path| read(&prefix, path));
                    routes.extend(learned);
                }
            }
        }
        Ok(routes)
    }

    /// FRR works its times out anew each time it is asked, and so differs by a second.
    fn changed_at(&self) -> Result<BTreeSet<(IpAddr, Prefix, String)>, String> {
        Ok(BTreeSet::new())
    }

    fn withdrawn(&self) -> Option<BTreeSet<(IpAddr, Prefix)>> {
        let log = self.process.log();
        // `10.9.0.11(Unknown) rcvd UPDATE about 172.16.0.20/32 IPv4 unicast -- withdrawn`
        let withdrawn = log.lines().filter_map(|line| {
            let line = line.strip_suffix(" -- withdrawn")?;
            let (before, about) = line.split_once(" rcvd UPDATE about ")?;
            let neighbor = before.split_whitespace().last()?.split('(').next()?;
            Some((parsed(neighbor)?, parsed(about.split(' ').next()?)?))
        });
        Some(withdrawn.collect())
    }

    fn sessions(&self) -> Result<BTreeMap<IpAddr, Session>, String> {
        let summary = self.ask(&["show bgp summary json".to_owned()])?;
        let peers = summary.iter().flat_map(|summary| {
            let families = ["ipv4Unicast", "ipv6Unicast"];
            families.map(|family| map(&summary[family]["peers"]))
        });
        let peers = peers.flatten();
        Ok(peers
            .filter_map(|(address, peer)| {
                let state = match text(&peer["state"])? {
                    "Established" => SessionState::Established,
                    other => SessionState::Down(other.to_owned()),
                };
                let history = format!(
                    "established {} times, dropped {} times",
                    peer["connectionsEstablished"], peer["connectionsDropped"]
                );
                Some((parsed(address)?, Session { state, history }))
            })
            .collect())
    }
}

/// `None` for a route of its own, and for one that it does not consider valid.
fn read(prefix: &Value, path: &Value) -> Option<LearnedRoute> {
    if path["valid"] != true {
        return None;
    }
    // The second of an IPv6 route is link-local.
    let next_hop = array(&path["nexthops"]).next()?;
    let communities = |name: &str| -> Vec<String> {
        let list = array(&path[name]["list"]).filter_map(text);
        list.map(str::to_owned).collect()
    };
    Some(LearnedRoute {
        from: parsed(text(&path["peer"]["peerId"])?)?,
        prefix: parsed::<Prefix>(text(&prefix["prefix"])?)?,
        next_hop: parsed(text(&next_hop["ip"])?)?,
        as_path: text(&path["aspath"]["string"])?
            .split_whitespace()
            .filter_map(parsed)
            .collect(),
        local_pref: integer(&path["locPrf"]),
        med: integer(&path["metric"]),
        communities: communities("community")
            .iter()
            .filter_map(|community| parsed(community))
            .collect(),
        large_communities: communities("largeCommunity")
            .iter()
            .filter_map(|community| parsed(community))
            .collect(),
    })
}

/// Starts zebra, and waits until bgpd can reach it.
fn start_zebra(host: &Host, folder: &Path) -> Process {
    // It runs as nobody but the user of its package, whose sockets these will be.
    run(Command::new("chown").args(["-R", "frr"]).arg(folder)).unwrap();
    let mut command = host.command(&program("RUTTER_TEST_ZEBRA"));
    command.args(["-P", "0", "--log", "stdout"]);
    let (socket, config) = (folder.join("zserv"), folder.join("zebra.conf"));
    fs::write(&config, "log stdout\n").unwrap();
    command.arg("-z").arg(&socket).arg("-f").arg(config);
    command.arg("-i").arg(folder.join("zebra.pid"));
    command.arg("--vty_socket").arg(folder.join("vty"));
    let zebra = Process::spawn("zebra", &mut command, folder.join("zebra.log"));
    eventually(LISTEN_LIMIT, || {
        UnixStream::connect(&socket)
            .map(drop)
            .map_err(|error| format!("zebra: {error}"))
    });
    zebra
}

fn render(role: Role, host: &Host, config: &RouterConfig) -> String {
    let mut text = format!(
        "log stdout\n\
         debug bgp updates in\n\
         router bgp {}\n\
         bgp router-id {}\n\
         no bgp ebgp-requires-policy\n\
         no bgp network import-check\n\
         no bgp default ipv4-unicast\n\
         bgp bestpath as-path multipath-relax\n",
        config.asn, host.ipv4
    );
    for neighbor in &config.neighbors {
        let address = neighbor.address;
        let _ = write!(
            text,
            "neighbor {address} remote-as {asn}\n\
             neighbor {address} timers {keepalive} {hold}\n\
             neighbor {address} timers connect 1\n\
             neighbor {address} advertisement-interval 0\n",
            asn = neighbor.asn,
            keepalive = neighbor.hold_time / 3,
            hold = neighbor.hold_time,
        );
        if neighbor.dialing == Dialing::Waits {
            let _ = writeln!(text, "neighbor {address} passive");
        }
        if let Some(password) = &neighbor.password {
            let _ = writeln!(text, "neighbor {address} password {password}");
        }
    }
    for family in ["ipv4", "ipv6"] {
        let _ = write!(
            text,
            "address-family {family} unicast\nmaximum-paths 16\nmaximum-paths ibgp 16\n"
        );
        for neighbor in &config.neighbors {
            let address = neighbor.address;
            match role {
                Role::Listener => {
                    let _ = writeln!(text, "neighbor {address} activate");
                }
                Role::Switch if address.is_ipv4() == (family == "ipv4") => {
                    let _ = write!(
                        text,
                        "neighbor {address} activate\n\
                         neighbor {address} next-hop-self\n"
                    );
                }
                Role::Switch => {}
            }
        }
        for prefix in &config.announced {
            if prefix.address().is_ipv4() == (family == "ipv4") {
                let _ = writeln!(text, "network {prefix}");
            }
        }
        text += "exit-address-family\n";
    }
    text
}
