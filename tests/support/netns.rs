//! Networks of namespaces: hosts joined by one switch, each host with an IPv4 and an IPv6 address.
//!
//! Names carry the id of the test process, so that runs side by side do not meet and a later run
//! can clean up after one that was killed. Nothing outside the namespaces is touched.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use ipnet::IpNet;
use nix::sched::{CloneFlags, setns};
use rutter::types::Prefix;

use super::process::run;

/// What the names of all our namespaces begin with.
const NAME_PREFIX: &str = "rutter-it-";

/// For interfaces that are there, and for those to come.
const FORWARDING: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/eth0/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/eth0/send_redirects", "0"),
    ("ipv4/fib_multipath_hash_policy", "1"),
    ("ipv6/fib_multipath_hash_policy", "1"),
];

/// A switch and the hosts on it. Dropping it deletes them.
#[derive(Debug)]
pub(crate) struct Network {
    segment: Segment,
    // Dropped in this order: hosts before the switch that their links end in.
    hosts: Vec<Namespace>,
    switch: Namespace,
}

/// The addresses of a network: a /24, and a /64 by its first 16 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) ipv4: [u8; 3],
    pub(crate) ipv6: u16,
}

/// A namespace; its name is deleted when this is dropped.
#[derive(Debug)]
pub(crate) struct Namespace(String);

/// Whether a port of a switch passes anything on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Open,
    Cut,
}

/// A host on a [`Network`], or behind one.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) namespace: String,
    pub(crate) ipv4: Ipv4Addr,
    pub(crate) ipv6: Ipv6Addr,
}

impl Segment {
    /// What a network has that nobody chose addresses for: `10.9.0.0/24` and `fd09::/64`.
    const DEFAULT: Self = Self {
        ipv4: [10, 9, 0],
        ipv6: 0xfd09,
    };

    /// The addresses of its host with this number, hexadecimal in the IPv6 one.
    pub(crate) fn addresses(self, number: u8) -> (Ipv4Addr, Ipv6Addr) {
        let [a, b, c] = self.ipv4;
        let ipv6 = Ipv6Addr::new(self.ipv6, 0, 0, 0, 0, 0, 0, u16::from(number));
        (Ipv4Addr::new(a, b, c, number), ipv6)
    }

    /// Its two prefixes.
    pub(crate) fn prefixes(self) -> [Prefix; 2] {
        let (ipv4, ipv6) = self.addresses(0);
        let nets = [IpNet::new(ipv4.into(), 24), IpNet::new(ipv6.into(), 64)];
        nets.map(|net| Prefix::new(net.unwrap()))
    }
}

impl Namespace {
    /// A new one, in which nothing is but the loopback interface.
    ///
    /// # Panics
    /// This process may not make namespaces.
    pub(crate) fn new() -> Self {
        static CLEANED: Once = Once::new();
        static COUNTER: AtomicU32 = AtomicU32::new(0);

        CLEANED.call_once(delete_leftovers);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self::named(format!("{NAME_PREFIX}{}-{number}", std::process::id()))
    }

    fn named(name: String) -> Self {
        ip(&["netns", "add", &name])
            .unwrap_or_else(|error| panic!("tests make network namespaces: run as root: {error}"));
        let namespace = Self(name);
        in_namespace(&namespace.0, "link set lo up");
        namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A process that is about to end keeps the network, but not the name.
        let _ = ip(&["netns", "delete", &self.0]);
    }
}

impl Network {
    /// A switch without hosts, `10.9.0.0/24` and `fd09::/64`.
    ///
    /// # Panics
    /// This process may not make namespaces.
    pub(crate) fn new() -> Self {
        Self::on(Segment::DEFAULT)
    }

    /// The same with these addresses.
    pub(crate) fn on(segment: Segment) -> Self {
        let network = Self {
            segment,
            hosts: Vec::new(),
            switch: Namespace::new(),
        };
        network.in_switch("link add switch type bridge mcast_snooping 0 forward_delay 0");
        network.in_switch("link set switch up");
        network
    }

    /// Adds the host with this number: `10.9.0.number` and `fd09::number` (in hexadecimal), unless
    /// the network has addresses of its own.
    pub(crate) fn host(&mut self, number: u8) -> Host {
        let namespace = Namespace::named(format!("{}-{number}", self.switch.name()));
        let host = self.plug(namespace.name(), "eth0", number);
        self.hosts.push(namespace);
        host
    }

    /// Adds a host of another network, by an interface of this name; returns it with the
    /// addresses that it has here.
    pub(crate) fn join(&self, host: &Host, interface: &str, number: u8) -> Host {
        self.plug(&host.namespace, interface, number)
    }

    fn plug(&self, namespace: &str, interface: &str, number: u8) -> Host {
        let (ipv4, ipv6) = self.segment.addresses(number);
        self.in_switch(&format!(
            "link add port{number} type veth peer name {interface} netns {namespace}"
        ));
        self.in_switch(&format!("link set port{number} master switch up"));
        for step in [
            format!("addr add {ipv4}/24 dev {interface}"),
            format!("addr add {ipv6}/64 dev {interface} nodad"),
            format!("link set {interface} up"),
        ] {
            in_namespace(namespace, &step);
        }
        Host {
            namespace: namespace.to_owned(),
            ipv4,
            ipv6,
        }
    }

    /// Cuts the link of the host with this number at the switch, or mends it.
    pub(crate) fn set_port(&self, number: u8, port: Port) {
        let state = match port {
            Port::Open => "up",
            Port::Cut => "down",
        };
        self.in_switch(&format!("link set port{number} {state}"));
    }

    /// Adds a host that hangs on another one alone, by a link of `172.29.number.0/30` and
    /// `fd29:number::/64` on which that is the first. Its default route leads there.
    pub(crate) fn behind(&mut self, host: &Host, number: u8) -> Host {
        let behind = Host {
            namespace: format!("{}-behind", host.namespace),
            ipv4: Ipv4Addr::new(172, 29, number, 2),
            ipv6: Ipv6Addr::new(0xfd29, u16::from(number), 0, 0, 0, 0, 0, 2),
        };
        let namespace = &behind.namespace;
        self.hosts.push(Namespace::named(namespace.clone()));
        for step in [
            format!("link add behind type veth peer name eth0 netns {namespace}"),
            format!("addr add 172.29.{number}.1/30 dev behind"),
            format!("addr add fd29:{number:x}::1/64 dev behind nodad"),
            "link set behind up".to_owned(),
        ] {
            in_namespace(&host.namespace, &step);
        }
        for step in [
            format!("addr add {}/30 dev eth0", behind.ipv4),
            format!("addr add {}/64 dev eth0 nodad", behind.ipv6),
            "link set eth0 up".to_owned(),
            format!("route add default via 172.29.{number}.1"),
            format!("-6 route add default via fd29:{number:x}::1"),
        ] {
            in_namespace(namespace, &step);
        }
        behind
    }

    fn in_switch(&self, step: &str) {
        in_namespace(self.switch.name(), step);
    }
}

impl Host {
    /// A command to be run on this host.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }

    /// Runs `work` on a thread of this host: sockets that it opens are the host's.
    pub(crate) fn thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let namespace = self.namespace.clone();
        thread::spawn(move || {
            let namespace = File::open(Path::new("/run/netns").join(namespace)).unwrap();
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }

    /// Makes it a router, which forwards whatever comes by the way it has and tells nobody of a
    /// shorter one; among equal ways each connection has its own.
    pub(crate) fn forward(&self) {
        self.sysctl(FORWARDING);
    }

    /// Sets switches of its kernel, each by its path in `/proc/sys/net`.
    pub(crate) fn sysctl(&self, switches: &'static [(&'static str, &'static str)]) {
        let setting = self.thread(move || {
            for (path, value) in switches {
                let path = Path::new("/proc/sys/net").join(path);
                fs::write(&path, value).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            }
        });
        setting.join().unwrap();
    }

    /// What a server on its loopback address answers to a GET, header and body.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn get(&self, port: u16, path: &str) -> Result<String, String> {
        let ask = format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
        );
        let mut asking = self.command("timeout");
        run(asking.args(["10", "bash", "-c", &ask]))
    }

    /// Its address of the family that `like` is of.
    pub(crate) fn address_like(&self, like: IpAddr) -> IpAddr {
        match like {
            IpAddr::V4(_) => self.ipv4.into(),
            IpAddr::V6(_) => self.ipv6.into(),
        }
    }
}

/// Runs `ip` in a namespace.
///
/// # Panics
/// It fails.
pub(crate) fn in_namespace(namespace: &str, step: &str) {
    let mut arguments = vec!["-n", namespace];
    arguments.extend(step.split(' '));
    ip(&arguments).unwrap();
}

fn ip(arguments: &[&str]) -> Result<String, String> {
    run(Command::new("ip").args(arguments))
}

/// Ends processes in namespaces of test runs that are gone, and deletes those namespaces.
fn delete_leftovers() {
    let Ok(names) = ip(&["netns", "list"]) else {
        return; // Making one will say what is wrong.
    };
    for line in names.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let Some(rest) = name.strip_prefix(NAME_PREFIX) else {
            continue;
        };
        let owner = rest.split('-').next().unwrap_or_default();
        if owner.parse::<u32>().is_err() || Path::new("/proc").join(owner).exists() {
            continue;
        }
        // Another run may be cleaning up as well: what has gone meanwhile is no error.
        for pid in ip(&["netns", "pids", name]).unwrap_or_default().lines() {
            let _ = run(Command::new("kill").args(["-KILL", pid]));
        }
        let _ = ip(&["netns", "delete", name]);
    }
}
