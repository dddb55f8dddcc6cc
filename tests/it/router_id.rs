//! The program's BGP Identifier, on nodes with and without an IPv4 address: from files, on
//! loopback, told as an operator would be told.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rutter::api::{Readiness, RouterIdOrigin, Status};
use tempfile::TempDir;

use crate::support::agent::RUTTER;
use crate::support::process::Process;
use crate::support::wait::{contains, eventually};

const LIMIT: Duration = Duration::from_secs(30);

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

struct Agent {
    folder: TempDir,
    _process: Process,
}

impl Agent {
    /// As the node `a`, with these manifests and nobody to talk to.
    fn start(manifests: &str, bgp: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        fs::write(folder.path().join("manifests/all.yaml"), manifests).unwrap();
        fs::write(folder.path().join("rutter.toml"), config(bgp)).unwrap();
        let mut command = Command::new(RUTTER);
        command
            .args(["agent", "--config", "rutter.toml"])
            .current_dir(folder.path())
            .env("NODE_NAME", "a")
            .env("RUTTER_LOG", "info");
        let process = Process::spawn("the agent", &mut command, folder.path().join("log"));
        Self {
            folder,
            _process: process,
        }
    }

    fn rutter(&self, arguments: &[&str]) -> String {
        let output = Command::new(RUTTER)
            .arg("--socket")
            .arg(self.folder.path().join("rutter.sock"))
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn status(&self) -> Result<Status, String> {
        let text = self.rutter(&["-o", "json", "status"]);
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    fn until_ready(&self) -> Status {
        eventually(LIMIT, || match self.status()? {
            status if status.readiness == Readiness::Ready => Ok(status),
            status => Err(format!("{:?}", status.readiness)),
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests/all.yaml")
    }
}

fn config(bgp: &str) -> String {
    format!(
        "source = 'files'\nfiles = 'manifests'\n\
         [bgp]\nasn = 65001\nlisten = []\n{bgp}\n\
         [advertise]\nservice-cluster-cidrs = ['fd00:172::/112']\n\
         [[peers]]\nname = 'tor'\naddress = '127.0.0.2'\nport = 10179\nasn = 65002\n\
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
    let agent = Agent::start(&node("{}"), "");
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
    let agent = Agent::start(&node("{rutter.io/router-id: 192.0.2.7}"), "");
    let annotated = ("192.0.2.7".to_owned(), RouterIdOrigin::Annotation);
    assert_eq!(router_id(&agent.until_ready()), annotated);
    let agent = Agent::start(
        &node("{rutter.io/router-id: 192.0.2.7}"),
        "router-id = '192.0.2.8'",
    );
    let configured = ("192.0.2.8".to_owned(), RouterIdOrigin::Configuration);
    assert_eq!(router_id(&agent.until_ready()), configured);
}

#[test]
fn an_annotation_that_is_no_router_id_is_told_and_passed_over() {
    let agent = Agent::start(&node("{rutter.io/router-id: 127.0.0.1}"), "");
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
    let agent = Agent::start(&other, "");
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
