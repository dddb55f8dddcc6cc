//! The program's BGP Identifier, on nodes with and without an IPv4 address: from files, on
//! loopback, told as an operator would be told.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use rutter::api::{RouterIdOrigin, Status};

use crate::support::agent::RUTTER;
use crate::support::solo::{LIMIT, Solo};
use crate::support::wait::{contains, eventually};

/// A node with nothing but IPv6; `annotations` as YAML.
fn node(annotations: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Node\n\
         metadata: {{name: a, labels: {{}}, annotations: {annotations}}}\n\
         spec: {{podCIDRs: ['fd00:a::/64']}}\n\
         status:\n  addresses:\n\
         \x20   - {{type: Hostname, address: a}}\n\
         \x20   - {{type: InternalIP, address: 'fd00:10::1'}}\n\
         \x20 conditions:\n    - {{type: Ready, status: 'True'}}\n"
    )
}

/// An agent as the node `a`, with these manifests and nobody to talk to.
fn start(manifests: &str, bgp: &str) -> Solo {
    Solo::start("a", manifests, &config(bgp))
}

fn config(bgp: &str) -> String {
    let peer = "address = '127.0.0.2'\nport = 10179\nasn = 65002";
    config_with(&format!("listen = []\n{bgp}"), peer)
}

fn config_with(bgp: &str, peer: &str) -> String {
    format!(
        "source = 'files'\nfiles = 'manifests'\n\
         [bgp]\nasn = 65001\n{bgp}\n\
         [advertise]\nservice-cluster-cidrs = ['fd00:172::/112']\n\
         [[peers]]\nname = 'tor'\n{peer}\n\
         [policy]\ncompile-cache = 'off'\n\
         [api]\nsocket = 'rutter.sock'\nmetrics = 'off'\n"
    )
}

fn router_id(status: &Status) -> (String, RouterIdOrigin) {
    let id = status.router_id.unwrap().to_string();
    (id, status.router_id_origin.unwrap())
}

#[test]
fn a_node_without_ipv4_has_a_router_id_made_of_its_name() {
    let agent = start(&node("{}"), "");
    let status = agent.until_ready();
    let derived = ("128.27.189.202".to_owned(), RouterIdOrigin::NodeName);
    assert_eq!(router_id(&status), derived);
    assert_eq!(status.router_id_problem, None);
    let told = "Router ID: 128.27.189.202 (made of the Node's name)";
    contains(&agent.rutter(&["status"]), told).unwrap();
    // The session is tried, which it is not before there is a router id.
    eventually(LIMIT, || {
        let routes = agent.rutter(&["routes"]);
        contains(&routes, "fd00:a::/64").and(contains(&routes, "no: there is no session"))
    });
    let log = agent.log();
    contains(&log, "our BGP Identifier").unwrap();
    contains(&log, "ready: nothing more is waited for").unwrap();
}

#[test]
fn the_nodes_annotation_names_the_router_id() {
    let agent = start(&node("{rutter.io/router-id: 192.0.2.7}"), "");
    let annotated = ("192.0.2.7".to_owned(), RouterIdOrigin::Annotation);
    assert_eq!(router_id(&agent.until_ready()), annotated);
    let agent = start(
        &node("{rutter.io/router-id: 192.0.2.7}"),
        "router-id = '192.0.2.8'",
    );
    let configured = ("192.0.2.8".to_owned(), RouterIdOrigin::Configuration);
    assert_eq!(router_id(&agent.until_ready()), configured);
}

#[test]
fn an_annotation_that_is_no_router_id_is_told_and_passed_over() {
    let agent = start(&node("{rutter.io/router-id: 127.0.0.1}"), "");
    let status = agent.until_ready();
    assert_eq!(router_id(&status).1, RouterIdOrigin::NodeName);
    let problem = "annotation rutter.io/router-id is \"127.0.0.1\", which is not used";
    contains(&status.router_id_problem.unwrap(), problem).unwrap();
    contains(&agent.rutter(&["status"]), problem).unwrap();
    contains(&agent.log().replace("\\\"", "\""), problem).unwrap();
}

#[test]
fn what_an_agent_waits_for_is_in_its_log_and_among_its_routes() {
    let other = node("{}").replace("name: a", "name: b");
    let agent = start(&other, "");
    let missing = "waiting for a Node of the name in NODE_NAME";
    eventually(LIMIT, || contains(&agent.log(), missing));
    eventually(LIMIT, || contains(&agent.rutter(&["routes"]), missing));
    contains(&agent.rutter(&["status"]), missing).unwrap();
    let log = agent.log();
    assert_eq!(log.matches(missing).count(), 1, "{log}");
    assert!(!log.contains("nothing more is waited for"), "{log}");

    fs::write(agent.manifests(), node("{}")).unwrap();
    agent.until_ready();
    eventually(LIMIT, || {
        contains(&agent.log(), "ready: nothing more is waited for")
    });
    eventually(LIMIT, || {
        contains(&agent.rutter(&["routes"]), "no: there is no session")
    });
}

#[test]
fn a_peer_with_our_router_id_is_told_with_what_to_do() {
    // Free a moment ago, and nobody else's on this loopback address.
    let free = TcpListener::bind("127.0.53.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let id = "router-id = '192.0.2.7'";
    let listening = Solo::start(
        "a",
        &node("{}"),
        &config_with(
            &format!("listen = ['{address}']\n{id}"),
            "address = '127.0.53.2'\nasn = 65001\npassive = true",
        ),
    );
    let dialling = Solo::start(
        "a",
        &node("{}"),
        &config_with(
            &format!("listen = []\n{id}"),
            &format!(
                "address = '127.0.53.1'\nport = {}\nlocal-address = '127.0.53.2'\nasn = 65001",
                address.port()
            ),
        ),
    );
    for agent in [&listening, &dialling] {
        let words = "peer has our own router id 192.0.2.7 (RFC 6286 2.2): give one of the two \
                     another by bgp.router-id or the Node's annotation rutter.io/router-id";
        eventually(LIMIT, || {
            let error = agent.status()?.peers[0].last_error.clone();
            contains(&error.unwrap_or_default(), words)
        });
    }
}

#[test]
fn a_router_id_that_not_every_router_takes_is_refused() {
    for (id, why) in [
        ("127.0.0.1", "is a loopback address"),
        ("224.0.0.1", "is no unicast address"),
        ("255.255.255.255", "is no unicast address"),
        ("0.0.0.0", "is reserved"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rutter.toml");
        fs::write(&file, config(&format!("router-id = '{id}'"))).unwrap();
        for command in [&["config", "check"][..], &["agent", "--config"]] {
            let output = Command::new(RUTTER)
                .args(command)
                .arg(&file)
                .current_dir(folder.path())
                .env("NODE_NAME", "a")
                .output()
                .unwrap();
            assert!(!output.status.success());
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).replace("\\\"", "\"");
            let place =
                format!("rutter.toml:6:13: bgp.router-id is \"{id}\": router id {id} {why}");
            contains(&said, &place).unwrap();
        }
    }
}
