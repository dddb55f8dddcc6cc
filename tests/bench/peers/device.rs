//! The programs under measurement: how each is told to reflect what a source announces to sinks, and
//! to announce routes of its own.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rutter::types::Asn;
use serde_json::json;
use tempfile::TempDir;

use super::network::{self, DEVICE, Network};
use super::usage::{self, Usage};
use super::{PATIENCE, now};

/// Everybody's.
pub(crate) const AS: Asn = Asn(64512);

/// The first of the routes of its own, which are hosts.
const OWN_FIRST: u32 = 0x6440_0000;

/// Addresses of one Service: a file of them is read as a whole.
const SERVICE_ADDRESSES: u32 = 250_000;

/// A program that has done next to nothing for this long has nothing to do.
const QUIET: Duration = Duration::from_millis(500);
const SAMPLE: Duration = Duration::from_millis(10);

/// The runtime of a program may do that much meanwhile.
const NEXT_TO_NOTHING: Duration = Duration::from_millis(10);

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Rutter,
    Bird,
    Frr,
    Gobgp,
}

/// What it is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) sinks: u8,
    /// How many routes of its own it has.
    pub(crate) own: u32,
}

/// One that runs; dropped, it is killed.
pub(crate) struct Device {
    process: Child,
    folder: TempDir,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Rutter, Self::Bird, Self::Frr, Self::Gobgp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rutter => "rutter",
            Self::Bird => "bird",
            Self::Frr => "frr",
            Self::Gobgp => "gobgp",
        }
    }

    /// The variables are those that tests find the programs by.
    fn program(self) -> String {
        let (variable, usual) = match self {
            Self::Rutter => ("RUTTER_BENCH_AGENT", env!("CARGO_BIN_EXE_rutter")),
            Self::Bird => ("RUTTER_TEST_BIRD", "/usr/sbin/bird"),
            Self::Frr => ("RUTTER_TEST_BGPD", "/usr/lib/frr/bgpd"),
            Self::Gobgp => ("RUTTER_TEST_GOBGPD", "/usr/bin/gobgpd"),
        };
        env::var(variable).unwrap_or_else(|_| usual.to_owned())
    }

    pub(crate) fn is_installed(self) -> bool {
        Path::new(&self.program()).exists()
    }

    /// Whether it can be given many routes of its own by its configuration.
    pub(crate) fn has_own_routes(self) -> bool {
        match self {
            Self::Rutter | Self::Bird => true,
            // Without a routing table of the kernel's, one by one only.
            Self::Frr | Self::Gobgp => false,
        }
    }
}

impl Device {
    pub(crate) fn start(kind: Kind, network: &Network, setup: Setup) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut command = network.command(&kind.program());
        command.current_dir(folder.path());
        match kind {
            Kind::Rutter => rutter(folder.path(), setup, &mut command),
            Kind::Bird => bird(folder.path(), setup, &mut command),
            Kind::Frr => frr(folder.path(), setup, &mut command),
            Kind::Gobgp => gobgp(folder.path(), setup, &mut command),
        }
        let log = File::create(folder.path().join("log")).map_err(|error| error.to_string())?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let process = command.spawn().map_err(|error| error.to_string())?;
        Ok(Self { process, folder })
    }

    /// What it has taken so far.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn usage(&mut self) -> Result<Usage, String> {
        match self.process.try_wait() {
            Ok(None) => {
                let usage = usage::of(self.process.id());
                usage.map_err(|why| format!("{why}; {}", self.last_words()))
            }
            ended => Err(format!("it has ended ({ended:?}); {}", self.last_words())),
        }
    }

    /// Waits until it has nothing to do; says since when that is so.
    ///
    /// # Errors
    /// It has ended, or is never done.
    pub(crate) fn settle(&mut self) -> Result<Instant, String> {
        let deadline = now() + PATIENCE;
        let (mut since, mut then) = (now(), self.usage()?.processor);
        while now().duration_since(since) < QUIET {
            thread::sleep(SAMPLE);
            let processor = self.usage()?.processor;
            if processor > then + NEXT_TO_NOTHING {
                (since, then) = (now(), processor);
            }
            if now() > deadline {
                return Err(format!("it is busy after {PATIENCE:?}"));
            }
        }
        Ok(since)
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        format!(
            "its log ends with {:?}",
            lines.into_iter().rev().collect::<Vec<_>>()
        )
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The source, where there is one, and the sinks.
fn peers(setup: Setup) -> impl Iterator<Item = Ipv4Addr> {
    let source = (setup.own == 0).then_some(network::SOURCE);
    source
        .into_iter()
        .chain((0..setup.sinks).map(network::sink))
}

fn own(setup: Setup) -> impl Iterator<Item = Ipv4Addr> {
    (0..setup.own).map(|number| Ipv4Addr::from_bits(OWN_FIRST + number))
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("the folder takes files");
}

fn rutter(folder: &Path, setup: Setup, command: &mut Command) {
    let manifests = folder.join("manifests");
    fs::create_dir(&manifests).expect("the folder takes a folder");
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": "bench" },
        "status": { "addresses": [{ "type": "InternalIP", "address": DEVICE }] },
    });
    write(&manifests, "node.json", &node.to_string());
    let addresses: Vec<String> = own(setup).map(|address| address.to_string()).collect();
    for (number, some) in addresses.chunks(SERVICE_ADDRESSES as usize).enumerate() {
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "namespace": "bench", "name": format!("own-{number}") },
            "spec": {
                "type": "ClusterIP", "clusterIPs": [format!("10.96.0.{}", 1 + number)],
                "ipFamilies": ["IPv4"], "externalIPs": some,
                // Each by itself: of others only the range that they are in is announced.
                "externalTrafficPolicy": "Local",
                "ports": [{ "name": "http", "protocol": "TCP", "port": 80 }],
            },
        });
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "namespace": "bench", "name": format!("own-{number}"),
                "labels": { "kubernetes.io/service-name": format!("own-{number}") },
            },
            "addressType": "IPv4",
            "endpoints": [{ "addresses": ["10.244.0.9"], "nodeName": "bench" }],
            "ports": [{ "name": "http", "protocol": "TCP", "port": 8080 }],
        });
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": [service, slice] });
        write(&manifests, &format!("own-{number}.json"), &list.to_string());
    }
    // Only one that has somebody to tell is a reflector.
    let reflects = setup.sinks > 0 && setup.own == 0;
    let cluster = if reflects {
        "cluster-id = '10.7.0.1'\n"
    } else {
        ""
    };
    // A range is a route of its own.
    let ranges = if setup.own > 0 {
        "['100.0.0.0/8']"
    } else {
        "[]"
    };
    let client = if reflects {
        "route-reflector-client = true\n"
    } else {
        ""
    };
    let mut text = format!(
        "source = 'files'\nfiles = 'manifests'\n\
         [bgp]\nasn = {AS}\nrouter-id = '{DEVICE}'\nlisten = ['{DEVICE}:179']\n{cluster}\
         [advertise]\nservice-external-cidrs = {ranges}\n\
         max-service-addresses = 1000000\nmax-service-routes = 1000000\n\
         [policy]\ncompile-cache = 'off'\nmodule-cache = 'off'\n\
         [api]\nsocket = 'rutter.sock'\nmetrics = 'off'\n"
    );
    for address in peers(setup) {
        let _ = write!(
            text,
            "[[peers]]\nname = '{address}'\naddress = '{address}'\nasn = {AS}\npassive = true\n\
             {client}"
        );
    }
    write(folder, "rutter.toml", &text);
    command.args(["agent", "--config", "rutter.toml"]);
    command.env("NODE_NAME", "bench").env("RUTTER_LOG", "warn");
}

fn bird(folder: &Path, setup: Setup, command: &mut Command) {
    let mut text = format!(
        "router id {DEVICE};\nprotocol device {{}}\nprotocol direct {{ ipv4; }}\n\
         protocol static {{ ipv4;\n"
    );
    for address in own(setup) {
        let _ = writeln!(text, "route {address}/32 blackhole;");
    }
    text += "}\n";
    for (number, address) in peers(setup).enumerate() {
        let _ = writeln!(
            text,
            "protocol bgp n{number} {{ local {DEVICE} as {AS}; neighbor {address} as {AS}; \
             rr client; direct; passive; hold time 90; \
             ipv4 {{ import all; export where source ~ [RTS_BGP, RTS_STATIC]; }}; }}"
        );
    }
    write(folder, "bird.conf", &text);
    command.args(["-f", "-c", "bird.conf", "-s", "bird.ctl", "-P", "bird.pid"]);
}

fn frr(folder: &Path, setup: Setup, command: &mut Command) {
    let mut text = format!(
        "log stdout warnings\nrouter bgp {AS}\nbgp router-id {DEVICE}\n\
         no bgp default ipv4-unicast\n"
    );
    for address in peers(setup) {
        let _ = write!(
            text,
            "neighbor {address} remote-as {AS}\nneighbor {address} passive\n\
             neighbor {address} timers 30 90\n"
        );
    }
    text += "address-family ipv4 unicast\n";
    for address in peers(setup) {
        let _ = write!(
            text,
            "neighbor {address} activate\nneighbor {address} route-reflector-client\n"
        );
    }
    text += "exit-address-family\n";
    write(folder, "bgpd.conf", &text);
    // -S as root, -n no kernel routes, -Z no zebra, -P 0 no telnet.
    command.args(["-S", "-n", "-Z", "-P", "0", "-p", "179", "-l"]);
    command.arg(DEVICE.to_string());
    fs::create_dir(folder.join("vty")).expect("the folder takes a folder");
    command.arg("-f").arg(folder.join("bgpd.conf"));
    command.arg("-i").arg(folder.join("pid"));
    command.arg("--vty_socket").arg(folder.join("vty"));
}

fn gobgp(folder: &Path, setup: Setup, command: &mut Command) {
    let mut text = format!(
        "[global.config]\nas = {AS}\nrouter-id = \"{DEVICE}\"\n\
         local-address-list = [\"{DEVICE}\"]\n"
    );
    for address in peers(setup) {
        let _ = write!(
            text,
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{address}\"\n\
             peer-as = {AS}\n[neighbors.transport.config]\npassive-mode = true\n\
             [neighbors.route-reflector.config]\nroute-reflector-client = true\n\
             route-reflector-cluster-id = \"{DEVICE}\"\n"
        );
    }
    write(folder, "gobgp.toml", &text);
    command.args(["--api-hosts", "127.0.0.1:50051", "--pprof-disable"]);
    command.args(["--log-plain", "-l", "warn", "-f", "gobgp.toml"]);
}
