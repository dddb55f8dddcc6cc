//! What must be true of a lab, looked at from outside of the cluster: by `rutter status`, in the
//! core switch's kernel, and from the VM.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rutter::types::{Family, Prefix};

use super::cluster::{BALANCER_RANGES, LIMIT, Lab, SERVICE_RANGES};
use super::plan::Topology;
use super::traffic::{Asked, Target, Transport};
use crate::support::kernel::routes;
use crate::support::netns::Host;
use crate::support::process::{program, run};
use crate::support::router::RouterKind;
use crate::support::wait::{contains, equal, eventually};

/// Next hops by prefix.
type Table = BTreeMap<Prefix, BTreeSet<IpAddr>>;

/// How often the web Service is asked: with a way for each connection, all of them are taken.
const REQUESTS: usize = 60;

/// How often the DNS is asked the same in one go.
const QUESTIONS: usize = 10;

impl Lab {
    /// Everything that a user of the cluster's network counts on, one after the other.
    pub(super) fn works(&self) {
        self.is_established();
        self.routes_settle();
        for name in self.pods.keys() {
            self.ping(name);
            self.dig(name);
        }
        self.web_keeps_clients();
    }

    /// Every session of every agent is established, and so are those among the switches.
    pub(super) fn is_established(&self) {
        for node in &self.nodes {
            eventually(LIMIT, || node.agent.is_well());
        }
        let agents = self.nodes.iter().map(|node| node.place.peers.len());
        let core = self.site.core.host();
        let mut switches = Vec::new();
        for tor in &self.site.tors {
            let core = self.addresses(core);
            eventually(LIMIT, || tor.router.established_with(&core));
            switches.extend(self.addresses(&tor.up));
        }
        eventually(LIMIT, || self.site.core.established_with(&switches));
        println!(
            "lab: {}: {} sessions of agents, {} among switches",
            self.plan,
            agents.sum::<usize>(),
            switches.len()
        );
    }

    /// The kernel of the core switch has what it must have, and nothing else.
    pub(super) fn routes_settle(&self) {
        self.routes_settle_without(None);
    }

    /// The same while a node is cut off.
    pub(super) fn routes_settle_without(&self, cut: Option<usize>) {
        let expected = self.expected(cut);
        eventually(LIMIT, || {
            let actual = self.core_routes()?;
            for (prefix, hops) in &expected {
                if actual.get(prefix) != Some(hops) {
                    let actual = actual.get(prefix);
                    return Err(format!("core: {prefix} by {actual:?}, not {hops:?}"));
                }
            }
            equal(actual.len(), expected.len())
        });
        // The nodes of a rack have several ways, too.
        for (rack, tor) in self.site.tors.iter().enumerate() {
            let nodes = self
                .nodes
                .iter()
                .enumerate()
                .filter(|(index, node)| node.place.seat.rack == rack && cut != Some(*index));
            let nodes: Vec<&Host> = nodes.map(|(_, node)| &node.place.host).collect();
            for range in self.plan.families.of(&SERVICE_RANGES) {
                let range: Prefix = range.parse().unwrap();
                let hops = nodes.iter().map(|host| host.address_like(range.address()));
                let hops: BTreeSet<IpAddr> = hops.collect();
                eventually(LIMIT, || {
                    let actual = self.kernel_routes(&tor.up)?;
                    equal(actual.get(&range), Some(&hops))
                });
            }
        }
    }

    /// What the kernel of the core switch has.
    pub(super) fn core_routes(&self) -> Result<Table, String> {
        self.kernel_routes(self.site.core.host())
    }

    fn kernel_routes(&self, host: &Host) -> Result<Table, String> {
        let protocol = match self.plan.switches {
            RouterKind::Bird => "bird",
            RouterKind::Frr => "bgp",
            RouterKind::Gobgp => return Err("GoBGP leaves the kernel alone".to_owned()),
        };
        let global = |hop: IpAddr| {
            let mut tors = self.site.tors.iter();
            let tor = tors.find(|tor| tor.link_local.contains(&hop));
            tor.map_or(hop, |tor| tor.up.ipv6.into())
        };
        let routes = routes(host, protocol)?.into_iter();
        let routes = routes.map(|((prefix, _), hops)| {
            let hops = hops.into_iter().map(global).collect();
            (prefix, hops)
        });
        Ok(routes.collect())
    }

    fn expected(&self, cut: Option<usize>) -> Table {
        let present = |node: &usize| cut != Some(*node);
        let all: Vec<usize> = (0..self.nodes.len()).filter(present).collect();
        let web: Vec<usize> = self.web_nodes().into_iter().filter(present).collect();
        let mut table = Table::new();
        for node in &all {
            for cidr in &self.nodes[*node].pod_cidrs {
                table.insert(*cidr, self.ways_to(&[*node], cidr.address()));
            }
        }
        for range in self
            .plan
            .families
            .of(&[SERVICE_RANGES, BALANCER_RANGES].concat())
        {
            let range: Prefix = range.parse().unwrap();
            table.insert(range, self.ways_to(&all, range.address()));
        }
        for (rack, tor) in self.site.tors.iter().enumerate() {
            for prefix in self.plan.topology.segment(rack).prefixes() {
                let way = tor.up.address_like(prefix.address());
                if self.plan.families.all().contains(&prefix.family()) {
                    table.insert(prefix, BTreeSet::from([way]));
                }
            }
        }
        let local = self.web_addresses().into_iter();
        for address in local.chain(self.web_cluster_addresses()) {
            if !web.is_empty() {
                table.insert(Prefix::host(address), self.ways_to(&web, address));
            }
        }
        table
    }

    /// By which of its neighbours the core switch reaches these nodes.
    fn ways_to(&self, nodes: &[usize], like: IpAddr) -> BTreeSet<IpAddr> {
        let ways = nodes.iter().map(|node| {
            let place = &self.nodes[*node].place;
            match self.plan.topology {
                Topology::Mesh => place.host.address_like(like),
                Topology::Racks => self.site.tors[place.seat.rack].up.address_like(like),
            }
        });
        ways.collect()
    }

    /// A pod answers the VM's pings, over as many routers as there are.
    pub(super) fn ping(&self, name: &str) {
        for family in self.plan.families.all() {
            let address = self.pod_address(name, *family);
            let printed = eventually(LIMIT, || {
                let mut ping = self.site.vm.command("ping");
                ping.args(["-c", "3", "-i", "0.2", "-W", "2", &address.to_string()]);
                let printed = run(&mut ping)?;
                contains(&printed, "3 received, 0% packet loss")?;
                Ok(printed)
            });
            let ttl = format!("ttl={}", 64 - self.plan.topology.hops());
            contains(&printed, &ttl).unwrap();
            let times = printed.lines().last().unwrap_or_default();
            println!("lab: ping {name} {address}: {ttl} {times}");
        }
    }

    /// The cluster's DNS, asked from outside by its Service's address, knows the pod by its own.
    pub(super) fn dig(&self, name: &str) {
        for family in self.plan.families.all() {
            let address = self.pod_address(name, *family);
            for server in self.dns_addresses() {
                for transport in ["+notcp", "+tcp"] {
                    let mut dig = self.site.vm.command(&program("RUTTER_TEST_DIG"));
                    dig.args(["+time=2", "+tries=1", "+short", transport]);
                    // Each by whichever node its port is for.
                    for _ in 0..QUESTIONS {
                        dig.arg("-x").arg(address.to_string());
                        dig.arg(format!("@{server}"));
                    }
                    let line = format!("{}.\n", self.pod_name(name, address));
                    let expected = line.repeat(QUESTIONS);
                    // The server reads its names anew when it is told of a pod.
                    eventually(LIMIT, || equal(&run(&mut dig)?, &expected));
                }
                println!("lab: dig -x {address} @{server} tells {name}");
            }
        }
    }

    /// The web Service is answered by every node that has a pod of it and by no other, and its
    /// pods see the VM's own address.
    pub(super) fn web_keeps_clients(&self) {
        let nodes: BTreeSet<String> = self
            .web_nodes()
            .into_iter()
            .map(|node| self.name(node))
            .collect();
        for address in self.web_addresses() {
            let target = Target::new(Transport::Http, address, 80);
            let asked = target.ask(&self.site.vm, REQUESTS);
            assert_eq!(answerers(&asked), nodes, "{asked:#?}");
            let client = self.site.vm.address_like(address);
            for asked in &asked {
                let answer = asked.answer.as_ref().unwrap();
                assert_eq!(
                    answer.client, client,
                    "the client's address is lost: {asked:?}"
                );
            }
            println!("lab: {address} is answered by {nodes:?} as asked by {client}");
        }
        // From where a cluster IP is asked for, its pods are not told: kube-proxy may send it on.
        for address in self.web_cluster_addresses() {
            let target = Target::new(Transport::Http, address, 80);
            for asked in target.ask(&self.site.vm, REQUESTS / 2) {
                let answered = asked.answer.is_ok() && asked.attempts == 1;
                assert!(answered, "{address}: {asked:?}");
            }
        }
    }

    /// Traffic to each address of the web Service, by HTTP and by datagrams.
    pub(super) fn web_targets(&self) -> Vec<Target> {
        let addresses = self.web_addresses();
        let transports = [Transport::Http, Transport::Datagram];
        let targets = transports.iter().flat_map(|transport| {
            let addresses = addresses.iter();
            addresses.map(|address| Target::new(*transport, *address, 80))
        });
        targets.collect()
    }

    /// Datagrams to a pod by its own addresses.
    pub(super) fn pod_targets(&self, name: &str) -> Vec<Target> {
        let families: &[Family] = self.plan.families.all();
        let addresses = families
            .iter()
            .map(|family| self.pod_address(name, *family));
        addresses
            .map(|address| Target::new(Transport::Datagram, address, super::pod::WEB_PORT))
            .collect()
    }

    fn addresses(&self, host: &Host) -> Vec<IpAddr> {
        self.plan.families.addresses(host.ipv4, host.ipv6)
    }

    pub(super) fn name(&self, node: usize) -> String {
        self.nodes[node].place.seat.name.to_owned()
    }
}

/// The nodes whose pods have answered.
fn answerers(asked: &[Asked]) -> BTreeSet<String> {
    let answers = asked.iter().map(|asked| match &asked.answer {
        Ok(answer) => answer.node.clone(),
        Err(error) => format!("nobody: {error}"),
    });
    answers.collect()
}
