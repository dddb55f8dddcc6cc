//! Two network namespaces with a link between them: the program under measurement is in one, and this
//! process, source and sinks, in the other.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{self, Command};

/// The program's address.
pub(crate) const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
pub(crate) const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);

/// The id of the process follows.
const NAME_PREFIX: &str = "rutter-bench-";

/// The address of a sink.
pub(crate) fn sink(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 7, 1, 1 + number)
}

/// Both namespaces; dropped, they go.
pub(crate) struct Network {
    device: String,
    peers: String,
}

impl Network {
    /// Makes them, and enters the peers': threads started from now on are in it, too.
    ///
    /// # Panics
    /// This process may not.
    pub(crate) fn new() -> Self {
        delete_leftovers();
        let id = process::id();
        let network = Self {
            device: format!("{NAME_PREFIX}{id}-device"),
            peers: format!("{NAME_PREFIX}{id}-peers"),
        };
        let Self { device, peers } = &network;
        for namespace in [device, peers] {
            ip(&format!("netns add {namespace}"));
            ip(&format!("-n {namespace} link set lo up"));
        }
        ip(&format!(
            "-n {peers} link add eth0 type veth peer name eth0 netns {device}"
        ));
        ip(&format!("-n {device} addr add {DEVICE}/16 dev eth0"));
        ip(&format!("-n {peers} addr add {SOURCE}/16 dev eth0"));
        for number in 0..=u8::MAX - 1 {
            ip(&format!("-n {peers} addr add {}/16 dev eth0", sink(number)));
        }
        for namespace in [device, peers] {
            ip(&format!("-n {namespace} link set eth0 up"));
        }
        let namespace = File::open(format!("/run/netns/{peers}")).expect("it was made");
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)
            .expect("whoever makes a namespace may enter it");
        network
    }

    /// Runs a program where the device is.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.device, program]);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in [&self.device, &self.peers] {
            ip(&format!("netns delete {namespace}"));
        }
    }
}

/// Those of a run that was killed.
fn delete_leftovers() {
    for name in ip("netns list").lines() {
        let name = name.split(' ').next().unwrap_or_default();
        let id = name.strip_prefix(NAME_PREFIX);
        let id = id.and_then(|rest| rest.split('-').next());
        if id.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            ip(&format!("netns delete {name}"));
        }
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.expect("iproute2 is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "namespaces need root: ip {arguments}: {complaint}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
