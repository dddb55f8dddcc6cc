//! The kernel's routes of a host, as `ip route` shows them, and a watch over their changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use rutter::types::Prefix;
use serde_json::Value;
use tempfile::TempDir;

use super::json::{array, integer, parsed, text};
use super::netns::Host;
use super::process::{Process, run};
use super::wait::eventually;

/// The protocol number of the agent's routes, as the configuration's default has it.
pub(crate) const OURS: &str = "179";

/// Routes with one protocol: next hops by prefix and metric.
pub(crate) type KernelTable = BTreeMap<(Prefix, u32), BTreeSet<IpAddr>>;

/// The routes of the main table with this protocol that lead somewhere.
///
/// # Errors
/// `ip` fails, or prints what is not understood.
pub(crate) fn routes(host: &Host, protocol: &str) -> Result<KernelTable, String> {
    shown(host, protocol, |kind| kind != Some("blackhole"))
}

/// The prefixes of the main table that are discarded by routes with this protocol, with the
/// metrics of these.
///
/// # Errors
/// The same.
pub(crate) fn blackholes(host: &Host, protocol: &str) -> Result<BTreeSet<(Prefix, u32)>, String> {
    let shown = shown(host, protocol, |kind| kind == Some("blackhole"))?;
    Ok(shown.into_keys().collect())
}

fn shown(
    host: &Host,
    protocol: &str,
    is_wanted: impl Fn(Option<&str>) -> bool,
) -> Result<KernelTable, String> {
    let mut table = KernelTable::new();
    for family in ["-4", "-6"] {
        let mut ip = host.command("ip");
        let arguments = ["-j", family, "route", "show", "proto", protocol];
        let printed = run(ip.args(arguments))?;
        let list: Value = serde_json::from_str(&printed).map_err(|error| error.to_string())?;
        for route in array(&list).filter(|route| is_wanted(text(&route["type"]))) {
            let read = read(route, family).ok_or_else(|| format!("not understood: {route}"))?;
            table.insert(read.0, read.1);
        }
    }
    Ok(table)
}

fn read(route: &Value, family: &str) -> Option<((Prefix, u32), BTreeSet<IpAddr>)> {
    let destination = match (text(&route["dst"])?, family) {
        ("default", "-4") => "0.0.0.0/0",
        ("default", _) => "::/0",
        (destination, _) => destination,
    };
    let one = text(&route["gateway"]).and_then(parsed);
    let several = array(&route["nexthops"]).filter_map(|hop| parsed(text(&hop["gateway"])?));
    let key = (parsed(destination)?, integer(&route["metric"]).unwrap_or(0));
    Some((key, one.into_iter().chain(several).collect()))
}

/// Runs `ip` on a host.
///
/// # Panics
/// It fails.
pub(crate) fn ip(host: &Host, arguments: &str) {
    run(host.command("ip").args(arguments.split(' '))).unwrap();
}

/// `ip monitor route` on a host: what was changed in its kernel.
#[derive(Debug)]
pub(crate) struct Monitor {
    process: Process,
    _folder: TempDir,
}

impl Monitor {
    /// Starts it; from when this returns nothing is missed.
    pub(crate) fn start(host: &Host) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = host.command("ip");
        command.args(["monitor", "route"]);
        let process = Process::spawn("ip monitor", &mut command, folder.path().join("log"));
        let monitor = Self {
            process,
            _folder: folder,
        };
        // A route that nobody else has, over and over until it is heard of.
        eventually(Duration::from_secs(10), || {
            let _ = run(host
                .command("ip")
                .args(["route", "add", "blackhole", "198.18.0.1"]));
            let _ = run(host
                .command("ip")
                .args(["route", "del", "blackhole", "198.18.0.1"]));
            if monitor.process.log().contains("198.18.0.1") {
                Ok(())
            } else {
                Err("nothing is heard".to_owned())
            }
        });
        monitor
    }

    /// Lines about a prefix, in order.
    pub(crate) fn about(&self, prefix: &str) -> Vec<String> {
        let log = self.process.log();
        let lines = log.lines().filter(|line| line.contains(prefix));
        lines.map(str::to_owned).collect()
    }
}
