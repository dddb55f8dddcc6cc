//! Learned routes in a real kernel's table: they follow what BIRD and FRR announce, are replaced
//! and never missing, outlive the agent, and leave everybody else's routes alone.

mod members;
mod next_hops;
mod pools;

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use rutter::api::{KernelPath, KernelStatus, Usage};
use rutter::types::Installation;

use super::cluster::{self, CLUSTER_ASN, ClusterNode, FABRIC_ASN, WORKERS, agent_config};
use super::fabric::{CHANGE_LIMIT, START_LIMIT};
use crate::support::agent::{Agent, AgentConfig, AgentPeer, Powers, Source};
use crate::support::bird::Bird;
use crate::support::guests;
use crate::support::kernel::{KernelTable, Monitor, OURS, blackholes, ip, routes};
use crate::support::netns::{Host, Network};
use crate::support::objects::Manifests;
use crate::support::process::Signal;
use crate::support::router::{self, Neighbor, Router, RouterConfig, RouterKind};
use crate::support::wait::{equal, eventually, throughout};

const METRIC: u32 = 4096;
const ROUTES: u32 = 20_000;
const INSTALL: &str = "[kernel]\nlearned-routes = true\n";

/// A node with an agent, and two routers that are its peers.
struct Site {
    node: ClusterNode,
    hosts: [Host; 2],
    manifests: Manifests,
    _network: Network,
}

impl Site {
    fn new() -> Self {
        let mut network = Network::new();
        let hosts = [network.host(1), network.host(2)];
        let nodes = cluster::nodes(&mut network);
        let manifests = Manifests::new(&cluster::objects(&nodes));
        let node = nodes
            .into_iter()
            .find(|node| node.name == WORKERS[0])
            .unwrap();
        Self {
            node,
            hosts,
            manifests,
            _network: network,
        }
    }

    /// The first `peers` routers, each in an AS of its own.
    fn config(&self, peers: usize, more: &str) -> AgentConfig {
        let numbered = self.hosts.iter().zip(0..).take(peers);
        // FRR alone names itself as IPv6 next hop only over IPv6.
        let peers = numbered.flat_map(|(host, number)| {
            let asn = FABRIC_ASN + number;
            [
                AgentPeer::new(&format!("r{number}"), host.ipv4, asn),
                AgentPeer::new(&format!("r{number}-v6"), host.ipv6, asn),
            ]
        });
        AgentConfig {
            policies: more.to_owned(),
            ..agent_config(Source::Files(self.manifests.path()), peers.collect())
        }
    }

    fn agent(&self, peers: usize, more: &str) -> Agent {
        Agent::start(&self.node.host, self.node.name, &self.config(peers, more))
    }

    fn announcing(&self, number: u32, prefixes: &[&str]) -> RouterConfig {
        RouterConfig {
            asn: FABRIC_ASN + number,
            neighbors: cluster::addresses(&self.node.host)
                .map(|address| Neighbor::new(address, CLUSTER_ASN))
                .into(),
            announced: prefixes
                .iter()
                .map(|prefix| prefix.parse().unwrap())
                .collect(),
        }
    }

    fn bird(&self, prefixes: &[&str]) -> Bird {
        Bird::start(&self.hosts[0], &self.announcing(0, prefixes))
    }

    fn frr(&self, prefixes: &[&str]) -> Box<dyn Router> {
        let config = self.announcing(1, prefixes);
        router::start(RouterKind::Frr, &self.hosts[1], &config)
    }

    /// Waits until these are the routes of ours that the kernel has: prefixes, each with the
    /// routers that it goes by.
    #[track_caller]
    fn kernel_has(&self, expected: &[(&str, &[usize])]) {
        let expected = self.table(expected);
        eventually(START_LIMIT, || {
            equal(&routes(&self.node.host, OURS)?, &expected)
        });
    }

    fn table(&self, expected: &[(&str, &[usize])]) -> KernelTable {
        let row = |(prefix, routers): &(&str, &[usize])| {
            let prefix: rutter::types::Prefix = prefix.parse().unwrap();
            let hosts = routers.iter().map(|number| &self.hosts[*number]);
            let hops: BTreeSet<IpAddr> = hosts
                .map(|host| host.address_like(prefix.address()))
                .collect();
            ((prefix, METRIC), hops)
        };
        expected.iter().map(row).collect()
    }
}

fn kernel(agent: &Agent) -> Result<KernelStatus, String> {
    agent
        .status()?
        .kernel
        .ok_or("no kernel in the status".to_owned())
}

/// What became of a router's path in the kernel.
fn path(agent: &Agent, prefix: &str, peer: &str) -> Result<Option<KernelPath>, String> {
    let prefix = prefix.parse().unwrap();
    let mut routes = agent.received()?.routes.into_iter();
    let route = routes.find(|route| route.prefix == prefix && route.peer == peer);
    Ok(route.ok_or("not received")?.kernel)
}

fn unfit(reason: &str) -> Option<KernelPath> {
    Some(KernelPath::Unfit {
        reason: reason.to_owned(),
    })
}

/// Lines of a monitor that say a route was taken away.
fn deletions(monitor: &Monitor, prefix: &str) -> Vec<String> {
    let mut lines = monitor.about(prefix);
    lines.retain(|line| line.starts_with("Deleted"));
    lines
}

#[test]
fn routes_go_by_every_router_that_announces_them_and_are_never_missing_in_between() {
    let site = Site::new();
    let both = ["100.64.0.0/16", "2001:db8:64::/48", "100.65.0.0/16"];
    let mut bird = site.bird(&both);
    let frr = site.frr(&both);
    let host = &site.node.host;
    // Other programs' routes, to the same prefix and to another.
    ip(host, "route add 100.64.0.0/16 via 10.9.0.99 metric 100");
    ip(host, "route add 100.99.0.0/16 via 10.9.0.99 proto bird");
    let agent = site.agent(2, INSTALL);
    let spread: &[usize] = &[0, 1];
    site.kernel_has(&both.map(|prefix| (prefix, spread)));
    for peer in ["r0", "r1"] {
        eventually(CHANGE_LIMIT, || {
            let installed = Some(KernelPath::Installed);
            equal(path(&agent, "100.64.0.0/16", peer)?, installed)
        });
    }

    // One router takes its routes back, and announces them again: each is replaced in one step.
    let monitor = Monitor::start(host);
    bird.configure(&site.announcing(0, &both[2..]));
    let reduced: [(&str, &[usize]); 3] = [(both[0], &[1]), (both[1], &[1]), (both[2], spread)];
    site.kernel_has(&reduced);
    bird.configure(&site.announcing(0, &both));
    site.kernel_has(&both.map(|prefix| (prefix, spread)));
    assert_eq!(deletions(&monitor, "100.64.0.0/16"), [""; 0]);
    assert_eq!(deletions(&monitor, "2001:db8:64::/48"), [""; 0]);
    assert_eq!(monitor.about("100.65.0.0/16"), [""; 0], "nothing changed");
    assert_eq!(monitor.about("100.64.0.0/16").len(), 2, "one step each");

    // The last router gone, so is the route.
    drop(frr);
    bird.configure(&site.announcing(0, &both[..1]));
    site.kernel_has(&[(both[0], &[0])]);
    eventually(CHANGE_LIMIT, || equal(kernel(&agent)?.routes, 1));
    let metric = |name: &str| agent.metric(&format!("rutter_kernel_{name}{{}}"));
    assert_eq!(metric("routes"), Ok(1.0));
    assert_eq!(metric("up"), Ok(1.0));
    let status = kernel(&agent).unwrap();
    assert_eq!(
        (status.refused, status.failures, status.error),
        (0, 0, None)
    );

    // What is not ours is as it was.
    let others = |protocol| routes(host, protocol).unwrap();
    assert_eq!(others("boot").len(), 1);
    assert_eq!(others("bird").len(), 1);
}

#[test]
fn what_somebody_deletes_returns_and_so_does_what_an_interface_took_along() {
    let site = Site::new();
    let announced = ["100.64.0.0/16", "100.65.0.0/16"];
    let _bird = site.bird(&announced);
    let agent = site.agent(1, INSTALL);
    let expected: [(&str, &[usize]); 2] = announced.map(|prefix| (prefix, &[0][..]));
    site.kernel_has(&expected);
    let host = &site.node.host;
    ip(host, "route del 100.64.0.0/16");
    ip(
        host,
        "route replace 100.65.0.0/16 via 10.9.0.77 proto 179 metric 4096",
    );
    // One that nobody announces.
    ip(
        host,
        "route add 100.66.0.0/16 via 10.9.0.77 proto 179 metric 4096",
    );
    site.kernel_has(&expected);

    // The kernel takes routes away with the interface, and says nothing of them.
    ip(host, "link set eth0 down");
    assert_eq!(routes(host, OURS).unwrap(), KernelTable::new());
    ip(host, "link set eth0 up");
    site.kernel_has(&expected);
    assert_eq!(kernel(&agent).unwrap().error, None);
}

#[test]
fn a_wrong_route_is_not_installed_and_told_why() {
    let site = Site::new();
    let pods = "10.244.11.128/25";
    let service = "172.16.0.99/32";
    let connected = "10.9.0.128/25";
    let good = "100.64.0.0/16";
    let announced = [pods, service, connected, good];
    let _bird = site.bird(&announced);
    let agent = site.agent(1, INSTALL);
    site.kernel_has(&[(good, &[0])]);
    eventually(CHANGE_LIMIT, || equal(kernel(&agent)?.unfit, 3));
    for (prefix, words) in [
        (pods, "it is in 10.244.11.0/24, which is this node's own"),
        (
            service,
            "it is in 172.16.0.0/16, which is of the cluster's Services: this node answers itself",
        ),
        (
            connected,
            "it is in 10.9.0.0/24, which this node is connected to",
        ),
    ] {
        eventually(CHANGE_LIMIT, || {
            equal(path(&agent, prefix, "r0")?, unfit(words))
        });
    }
}

#[test]
fn another_program_s_route_of_the_same_metric_is_left_alone_and_told_of() {
    let site = Site::new();
    let announced = ["100.64.0.0/16", "2001:db8:64::/48", "100.65.0.0/16"];
    let _bird = site.bird(&announced);
    let host = &site.node.host;
    ip(host, "route add 100.64.0.0/16 via 10.9.0.99 metric 4096");
    ip(
        host,
        "-6 route add 2001:db8:64::/48 via fd09::99 metric 4096",
    );
    let theirs = routes(host, "boot").unwrap();
    assert_eq!(theirs.len(), 2);
    let agent = site.agent(1, INSTALL);
    site.kernel_has(&[(announced[2], &[0])]);
    let refused = Some(KernelPath::Refused {
        reason: "File exists".to_owned(),
    });
    for prefix in &announced[..2] {
        eventually(CHANGE_LIMIT, || {
            equal(&path(&agent, prefix, "r0")?, &refused)
        });
    }
    let status = kernel(&agent).unwrap();
    assert_eq!((status.refused, status.error), (2, None));
    assert_eq!(
        status.refusal.as_deref(),
        Some("100.64.0.0/16: File exists")
    );
    assert_eq!(routes(host, "boot").unwrap(), theirs);

    ip(host, "route del 100.64.0.0/16 metric 4096 proto boot");
    ip(host, "-6 route del 2001:db8:64::/48 metric 4096 proto boot");
    site.kernel_has(&announced.map(|prefix| (prefix, &[0][..])));
    eventually(CHANGE_LIMIT, || equal(kernel(&agent)?.refused, 0));
}

/// FRR tells the end of its table to those alone who say that they tell theirs, BIRD everybody.
/// GoBGP tells nobody unless it is to restart gracefully itself.
#[test]
fn what_a_router_took_back_while_no_agent_ran_goes_as_soon_as_its_table_has_come() {
    for kind in [RouterKind::Bird, RouterKind::Frr] {
        let site = Site::new();
        let prefixes = ["100.64.0.0/16", "100.65.0.0/16"];
        let start =
            |prefixes: &[&str]| router::start(kind, &site.hosts[0], &site.announcing(0, prefixes));
        let router = start(&prefixes);
        let mut agent = site.agent(1, INSTALL);
        site.kernel_has(&prefixes.map(|prefix| (prefix, &[0][..])));
        agent.process().stop();
        drop(router);
        let _router = start(&prefixes[..1]);
        agent.start_again();
        // Well before the two minutes after which it would go anyway.
        site.kernel_has(&[(prefixes[0], &[0])]);
        println!("{kind:?}: the kernel has what it announces");
    }
}

#[test]
fn routes_stay_while_the_agent_restarts_and_only_what_peers_took_back_goes_then() {
    let site = Site::new();
    let announced = ["0.0.0.0/0", "2001:db8:64::/48", "100.65.0.0/16"];
    let mut bird = site.bird(&announced);
    let mut agent = site.agent(1, INSTALL);
    let all = announced.map(|prefix| (prefix, &[0][..]));
    site.kernel_has(&all);
    let monitor = Monitor::start(&site.node.host);
    for signal in [Some(Signal::Terminate), None] {
        match signal {
            Some(signal) => {
                agent.signal(signal);
                eventually(CHANGE_LIMIT, || {
                    let status = agent.process().exit_status();
                    status.ok_or("it runs".to_owned())
                });
            }
            None => drop(agent.process().kill()),
        }
        let expected = site.table(&all);
        throughout(Duration::from_millis(500), || {
            equal(&routes(&site.node.host, OURS)?, &expected)
        });
        agent.start_again();
        eventually(START_LIMIT, || {
            let status = kernel(&agent)?;
            equal((status.routes, status.leftovers), (3, 0))
        });
    }
    // `ip` prints the first as `default`.
    for prefix in announced.into_iter().chain(["default via 10.9.0.1"]) {
        assert_eq!(monitor.about(prefix), [""; 0], "nobody touched it");
    }

    // While no agent runs, the router takes one back.
    agent.process().stop();
    bird.configure(&site.announcing(0, &announced[..2]));
    agent.start_again();
    site.kernel_has(&all[..2]);
    assert_eq!(monitor.about(announced[1]), [""; 0]);

    // An agent that is to leave nothing removes what there is.
    agent.process().stop();
    agent.configure(&site.config(1, "[kernel]\nlearned-routes = false\n"));
    agent.start_again();
    site.kernel_has(&[]);
    let status = kernel(&agent).unwrap();
    assert_eq!(
        (status.installs, status.routes, status.error),
        (false, 0, None)
    );
}

#[test]
fn what_an_import_policy_keeps_from_the_kernel_is_not_there() {
    let site = Site::new();
    let announced = ["100.64.0.0/16", "100.65.0.0/16", "100.66.0.0/16"];
    let _bird = site.bird(&announced);
    let module = site.manifests.path().join("import-filter.wasm");
    fs::write(&module, guests::compiled("import-filter")).unwrap();
    let filtered = |kernel: &str| {
        format!(
            "{INSTALL}[[import-policies]]\nname = \"import-filter\"\nmodule = {module:?}\n\
             settings = {{ rules = [\
             {{ name = \"kept\", action = \"accept\", prefixes = [\"100.64.0.0/16\"], kernel = \"{kernel}\" }},\
             {{ name = \"used\", action = \"accept\", prefixes = [\"100.65.0.0/16\"] }}] }}\n"
        )
    };
    let agent = site.agent(1, &filtered("keep"));
    site.kernel_has(&[(announced[1], &[0])]);
    let received = agent.received().unwrap().routes;
    let kept = received
        .iter()
        .find(|route| route.prefix.to_string() == announced[0]);
    let kept = kept.unwrap();
    let best = Usage::Best {
        installation: Installation::Keep,
    };
    assert_eq!((&kept.usage, &kept.kernel), (&best, &None));

    agent.configure(&site.config(1, &filtered("install")));
    site.kernel_has(&[(announced[0], &[0]), (announced[1], &[0])]);
    agent.configure(&site.config(1, &filtered("keep")));
    site.kernel_has(&[(announced[1], &[0])]);
}

#[test]
fn an_agent_without_the_capability_says_so_and_runs_on() {
    let site = Site::new();
    let bird = site.bird(&["100.64.0.0/16"]);
    let config = site.config(1, INSTALL);
    let node = &site.node;
    let agent = Agent::start_with(&node.host, node.name, &config, Powers::NoNetAdmin);
    eventually(START_LIMIT, || {
        agent.is_well()?;
        let error = kernel(&agent)?.error.ok_or("no error")?;
        let words = "Operation not permitted: changing the kernel's routes needs CAP_NET_ADMIN";
        if error.starts_with(words) {
            Ok(())
        } else {
            Err(error)
        }
    });
    eventually(CHANGE_LIMIT, || {
        match path(&agent, "100.64.0.0/16", "r0")? {
            Some(KernelPath::Refused { reason }) if reason.contains("CAP_NET_ADMIN") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(agent.metric("rutter_kernel_up{}"), Ok(0.0));
    site.kernel_has(&[]);
    // It announces all the same, over both sessions.
    let expected = 2 * cluster::announced(node.name).len();
    eventually(CHANGE_LIMIT, || equal(bird.learned()?.len(), expected));
}

#[test]
fn a_large_table_gets_into_the_kernel_and_out_of_it_again() {
    let site = Site::new();
    let prefixes: Vec<String> = (0..ROUTES)
        .map(|number| format!("100.{}.{}.0/24", 64 + number / 256, number % 256))
        .collect();
    let announced: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    let mut bird = site.bird(&announced);
    let agent = site.agent(1, INSTALL);
    eventually(START_LIMIT, || {
        equal(kernel(&agent)?.routes, u64::from(ROUTES))
    });
    let held = routes(&site.node.host, OURS).unwrap();
    assert_eq!(held.len(), usize::try_from(ROUTES).unwrap());
    bird.configure(&site.announcing(0, &announced[..1]));
    site.kernel_has(&[(announced[0], &[0])]);
    assert_eq!(kernel(&agent).unwrap().failures, 0);
    eventually(CHANGE_LIMIT, || agent.is_well());
}
