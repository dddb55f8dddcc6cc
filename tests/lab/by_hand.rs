//! A lab to look around in: `tests/lab/up`.

use std::process::Command;

use super::cluster::Lab;
use super::plan::{Families, Plan, Topology};
use crate::support::agent::RUTTER;
use crate::support::netns::Host;
use crate::support::process::program;
use crate::support::router::RouterKind;

/// Set by `tests/lab/up`: the lab stands until Ctrl-C. A test follows what it prints, instead.
const STANDS_VARIABLE: &str = "RUTTER_LAB_STANDS";
const TOPOLOGY_VARIABLE: &str = "RUTTER_LAB_TOPOLOGY";
const FAMILIES_VARIABLE: &str = "RUTTER_LAB_FAMILIES";
const SWITCHES_VARIABLE: &str = "RUTTER_LAB_SWITCHES";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_of_a_lab_by_hand_can_be_followed() {
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
    let commands = commands(&lab);
    for command in &commands {
        println!("{command}");
    }
    let web = std::net::SocketAddr::new(lab.web_addresses()[0], 80);
    let vm = &lab.site.vm.namespace;
    println!("ip netns exec {vm} curl http://{web}/ (if curl is there)\n");
    if std::env::var_os(STANDS_VARIABLE).is_some() {
        tokio::signal::ctrl_c().await.unwrap();
        println!("\ntaking the lab down");
        return;
    }
    for command in &commands {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        assert!(!output.stdout.is_empty(), "{command} says nothing");
    }
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
    let vm = enter(&lab.site.vm);
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
    println!();
}

/// What there is to be tried.
fn commands(lab: &Lab) -> Vec<String> {
    let vm = enter(&lab.site.vm);
    let dns = lab.dns_addresses()[0];
    let pod = lab.pods["web-0"].sandbox.addresses[0];
    vec![
        format!("{vm} ping -c 3 {pod}"),
        format!("{vm} dig -x {pod} @{dns}"),
        format!("{} ip route", enter(lab.site.core.host())),
        format!(
            "{} --kubeconfig {} get pods,endpointslices -A",
            program("RUTTER_TEST_KUBECTL"),
            lab.server.admin_kubeconfig().display()
        ),
    ]
}

fn enter(host: &Host) -> String {
    format!("ip netns exec {}", host.namespace)
}
