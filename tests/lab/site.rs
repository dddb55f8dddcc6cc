//! The wires and the switches.
//!
//! ```text
//!         VM 192.168.82.10                          VM 192.168.82.10
//!            |                                         |
//!         core 192.168.83.1, AS 64512               core 192.168.83.1, AS 64512
//!            |                                         |
//!    --+-----+-----+--   192.168.83.0/24          +----+----+         192.168.83.0/24
//!      |     |     |                            tor1      tor2        AS 65101, AS 65102
//!   master node1 node2   AS 64512                 |         |
//!      |     |     |                           --+-+--   --+-+--      192.168.84.0/24, .85
//!     pods  pods  pods                           a b       a b        the AS of the rack
//! ```
//!
//! Each network has an IPv6 /64, too: `fd83::/64` goes with 192.168.83.0/24.

use std::net::IpAddr;

use serde_json::Value;

use super::plan::{CORE, CORE_SEGMENT, HOLD_TIME, Plan, Seat, Topology, VM_SEGMENT};
use crate::support::agent::AgentPeer;
use crate::support::json::{array, parsed, text};
use crate::support::kernel::ip;
use crate::support::netns::{Host, Network, Port};
use crate::support::process::run;
use crate::support::router::{self, Neighbor, Router, RouterConfig};

/// Everything that is there before the cluster is.
pub(super) struct Site {
    pub(super) core: Box<dyn Router>,
    pub(super) tors: Vec<Tor>,
    pub(super) vm: Host,
    pub(super) places: Vec<Place>,
    racks: Vec<Network>,
    _between: Vec<Network>,
}

/// The switch of a rack.
pub(super) struct Tor {
    pub(super) router: Box<dyn Router>,
    /// With its addresses on the core's network.
    pub(super) up: Host,
    /// What FRR calls its eBGP neighbours by, in the kernel.
    pub(super) link_local: Vec<IpAddr>,
}

/// Where a node is, and whom it has sessions with.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) seat: Seat,
    pub(super) host: Host,
    pub(super) peers: Vec<AgentPeer>,
}

impl Site {
    /// Lays the wires and starts the switches.
    pub(super) fn new(plan: Plan) -> Self {
        let Plan {
            topology,
            families,
            switches,
        } = plan;
        let mut core_network = Network::on(CORE_SEGMENT);
        let mut vm_network = Network::on(VM_SEGMENT);
        let core = core_network.host(CORE);
        core.forward();
        let gateway = vm_network.join(&core, "eth1", CORE);
        let vm = vm_network.host(10);
        ip(&vm, &format!("route add default via {}", gateway.ipv4));
        ip(&vm, &format!("-6 route add default via {}", gateway.ipv6));
        let addresses = |host: &Host| families.addresses(host.ipv4, host.ipv6);

        let mut tors = Vec::new();
        let mut racks = Vec::new();
        for rack in 0..topology.racks() {
            let up = core_network.host(11 + u8::try_from(rack).unwrap());
            up.forward();
            let network = Network::on(topology.segment(rack));
            let down = network.join(&up, "eth1", CORE);
            tors.push((up, down));
            racks.push(network);
        }
        let mut between = vec![vm_network];
        if racks.is_empty() {
            racks.push(core_network);
        } else {
            between.push(core_network);
        }

        let hosts = topology.seats().iter().map(|seat| {
            let host = racks[seat.rack].host(seat.number);
            host.forward();
            (*seat, host)
        });
        let hosts: Vec<(Seat, Host)> = hosts.collect();
        let places = hosts.iter().map(|(seat, host)| {
            let asn = topology.asn(seat.rack);
            let (switch, switch_name) = match tors.get(seat.rack) {
                Some((_, down)) => (down, "tor"),
                None => (&core, "core"),
            };
            let others = hosts
                .iter()
                .filter(|(other, _)| other.rack == seat.rack && other.number != seat.number);
            let others = others.map(|(other, host)| (other.name, host));
            let peers = others.chain([(switch_name, switch)]);
            Place {
                seat: *seat,
                host: host.clone(),
                peers: peers
                    .flat_map(|(name, host)| peers_at(name, &addresses(host), asn))
                    .collect(),
            }
        });
        let places: Vec<Place> = places.collect();

        let nodes_of = |rack: usize| {
            let nodes = hosts.iter().filter(move |(seat, _)| seat.rack == rack);
            let addresses = nodes.flat_map(|(_, host)| addresses(host));
            addresses.map(move |address| neighbor(address, topology.asn(rack)))
        };
        let below_core: Vec<Neighbor> = match topology {
            Topology::Mesh => nodes_of(0).collect(),
            Topology::Racks => {
                let numbered = tors.iter().enumerate();
                let neighbors = numbered.flat_map(|(rack, (up, _))| {
                    let addresses = addresses(up).into_iter();
                    addresses.map(move |address| neighbor(address, topology.asn(rack)))
                });
                neighbors.collect()
            }
        };
        let core_config = RouterConfig {
            asn: Topology::CORE_ASN,
            neighbors: below_core,
            announced: VM_SEGMENT.prefixes().into(),
        };
        let numbered = tors.iter().enumerate();
        let tors = numbered.map(|(rack, (up, _))| {
            let above = addresses(&core).into_iter();
            let above = above.map(|address| neighbor(address, Topology::CORE_ASN));
            let config = RouterConfig {
                asn: topology.asn(rack),
                neighbors: above.chain(nodes_of(rack)).collect(),
                // Nodes of other racks send from these.
                announced: topology.segment(rack).prefixes().into(),
            };
            Tor {
                router: router::start_switch(switches, up, &config),
                link_local: link_local(up),
                up: up.clone(),
            }
        });
        Self {
            tors: tors.collect(),
            core: router::start_switch(switches, &core, &core_config),
            vm,
            places,
            racks,
            _between: between,
        }
    }

    /// Cuts all links of a node, or mends them.
    pub(super) fn set_link(&self, seat: Seat, port: Port) {
        self.racks[seat.rack].set_port(seat.number, port);
    }
}

fn link_local(host: &Host) -> Vec<IpAddr> {
    let mut ip = host.command("ip");
    let printed = run(ip.args(["-j", "-6", "address", "show", "scope", "link"])).unwrap();
    let interfaces: Value = serde_json::from_str(&printed).unwrap();
    let addresses = array(&interfaces).flat_map(|interface| array(&interface["addr_info"]));
    let addresses = addresses.filter_map(|address| parsed(text(&address["local"])?));
    addresses.collect()
}

fn peers_at(name: &str, addresses: &[IpAddr], asn: u32) -> Vec<AgentPeer> {
    let peer = |address: &IpAddr| {
        let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
        AgentPeer::new(&format!("{name}-{family}"), *address, asn)
    };
    addresses.iter().map(peer).collect()
}

fn neighbor(address: IpAddr, asn: u32) -> Neighbor {
    Neighbor {
        hold_time: HOLD_TIME,
        ..Neighbor::new(address, asn)
    }
}
