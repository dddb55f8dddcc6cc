//! A lab to look around in: `tests/lab/up`.

use std::net::IpAddr;

use super::cluster::Lab;
use super::plan::{Families, Plan, Topology};
use crate::support::agent::RUTTER;
use crate::support::netns::Host;
use crate::support::process::program;
use crate::support::router::RouterKind;

const TOPOLOGY_VARIABLE: &str = "RUTTER_LAB_TOPOLOGY";
const FAMILIES_VARIABLE: &str = "RUTTER_LAB_FAMILIES";
const SWITCHES_VARIABLE: &str = "RUTTER_LAB_SWITCHES";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it stands until Ctrl-C: run tests/lab/up"]
async fn stands_until_it_is_interrupted() {
    let plan = Plan {
        topology: chosen(
            TOPOLOGY_VARIABLE,
            &[("mesh", Topology::Mesh), ("racks", Topology::Racks)],
        ),
        families: chosen(
            FAMILIES_VARIABLE,
            &[
                ("both", Families::Both),
                ("ipv4", Families::Ipv4),
                ("ipv6", Families::Ipv6),
            ],
        ),
        switches: chosen(
            SWITCHES_VARIABLE,
            &[("bird", RouterKind::Bird), ("frr", RouterKind::Frr)],
        ),
    };
    let mut lab = Lab::start(plan).await;
    for node in 0..2 {
        lab.run_web(&format!("web-{node}"), node).await;
    }
    lab.works();
    show(&lab);
    tokio::signal::ctrl_c().await.unwrap();
    println!("\ntaking the lab down");
}

/// What a variable chooses; the first where it is not set.
fn chosen<T: Copy>(variable: &str, choices: &[(&str, T)]) -> T {
    let Ok(given) = std::env::var(variable) else {
        return choices[0].1;
    };
    let mut choices = choices.iter();
    let chosen = choices.find(|(name, _)| *name == given);
    chosen
        .unwrap_or_else(|| panic!("{variable}={given} is no choice"))
        .1
}

fn show(lab: &Lab) {
    let enter = |host: &Host| format!("ip netns exec {}", host.namespace);
    let vm = enter(&lab.site.vm);
    let first = |addresses: Vec<IpAddr>| addresses[0];
    println!("\nThe lab stands ({}). Ctrl-C takes it down.\n", lab.plan);
    println!("core switch   {} bash", enter(lab.site.core.host()));
    for (tor, number) in lab.site.tors.iter().zip(1..) {
        println!("tor{number}          {} bash", enter(&tor.up));
    }
    println!("VM            {vm} bash");
    for node in &lab.nodes {
        let cidrs: Vec<String> = node.pod_cidrs.iter().map(ToString::to_string).collect();
        let name = node.place.seat.name;
        println!("\n{name:<13} {} bash", enter(&node.place.host));
        println!(
            "    {RUTTER} --socket {} status",
            node.agent.socket().display()
        );
        println!("    pods {}", cidrs.join(", "));
        let pods = lab.pods.iter();
        for (pod, on) in pods.filter(|(_, pod)| lab.name(pod.node) == name) {
            println!("    {pod:<9} {} bash", enter(&on.sandbox.host));
        }
    }
    let dns = first(lab.dns_addresses());
    let web = first(lab.web_addresses());
    let pod = lab.pods["web-0"].sandbox.addresses[0];
    println!("\n{vm} ping -c 3 {pod}");
    println!("{vm} dig -x {pod} @{dns}");
    println!("{vm} curl http://{}/", std::net::SocketAddr::new(web, 80));
    println!("{} ip route", enter(lab.site.core.host()));
    println!(
        "{} --kubeconfig {} get pods,endpointslices -A\n",
        program("RUTTER_TEST_KUBECTL"),
        lab.server.admin_kubeconfig().display()
    );
}
