//! Two programs on loopback with a session between them: an agent, whatever befalls it, and its
//! neighbour, which tells whether it noticed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{ExitStatus, Stdio};

use rutter::api::PeerStatus;

use super::process::Signal;
use super::solo::{Given, LIMIT, Solo};
use super::wait::eventually;

/// What is lost for this long ends the session; a third of it lies between KEEPALIVEs.
pub(crate) const HOLD_SECONDS: u64 = 3;

/// The agent and its neighbour.
pub(crate) struct Pair {
    pub(crate) agent: Solo,
    pub(crate) neighbor: Solo,
    /// Where the agent serves metrics and probes.
    pub(crate) metrics: SocketAddr,
}

/// How an agent of the tests is configured, to be changed under it.
pub(crate) struct Pairing(u8);

impl Pairing {
    /// Addresses of its own go with each number.
    pub(crate) fn new(number: u8) -> Self {
        Self(number)
    }

    fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 31, self.0, host)
    }

    /// The agent's, `more` in front.
    pub(crate) fn config(&self, more: &str) -> String {
        let (here, there) = (self.address(1), self.address(2));
        format!(
            "source = 'files'\nfiles = 'manifests'\n{more}\n\
             [bgp]\nasn = 65001\nlisten = []\nhold-time = '{HOLD_SECONDS}s'\n\
             [advertise]\nservice-cluster-cidrs = ['10.96.0.0/16']\n\
             [[peers]]\nname = 'tor'\naddress = '{there}'\nport = 1790\nasn = 65002\n\
             local-address = '{here}'\n\
             [policy]\ncompile-cache = 'off'\n\
             [api]\nsocket = 'rutter.sock'\nmetrics = '{here}:9473'\n"
        )
    }

    fn neighbor_config(&self) -> String {
        let (there, here) = (self.address(1), self.address(2));
        format!(
            "source = 'files'\nfiles = 'manifests'\n\
             [bgp]\nasn = 65002\nlisten = ['{here}:1790']\nhold-time = '{HOLD_SECONDS}s'\n\
             [advertise]\nservice-cluster-cidrs = []\n\
             [[peers]]\nname = 'agent'\naddress = '{there}'\nasn = 65001\npassive = true\n\
             [policy]\ncompile-cache = 'off'\n\
             [api]\nsocket = 'rutter.sock'\nmetrics = 'off'\n"
        )
    }

    /// Starts both, and waits until there is a session.
    pub(crate) fn start(&self, given: Given) -> Pair {
        self.start_with("", given)
    }

    /// The same with `more` in front of the agent's configuration.
    pub(crate) fn start_with(&self, more: &str, given: Given) -> Pair {
        let neighbor = Solo::start("b", &node("b", 2), &self.neighbor_config());
        neighbor.until_ready();
        let agent = Solo::start_given("a", &node("a", 1), &self.config(more), given);
        let pair = Pair {
            agent,
            neighbor,
            metrics: SocketAddr::from((self.address(1), 9473)),
        };
        eventually(LIMIT, || pair.is_up());
        pair
    }
}

/// A pair whose agent says, to this end, what happens to every file in its folder.
pub(crate) fn talkative(number: u8, stderr: Stdio) -> Pair {
    Pairing::new(number).start(Given {
        stderr: Some(stderr),
        log: "info,notify=trace",
        ..Given::default()
    })
}

/// Has it say more until some of it is lost: more than a pipe and what waits for it can hold.
pub(crate) fn until_log_is_lost(pair: &Pair) {
    let noise = pair.agent.path("noise");
    eventually(LIMIT * 4, || {
        for _ in 0..500 {
            fs::write(&noise, "").map_err(|error| error.to_string())?;
            fs::remove_file(&noise).map_err(|error| error.to_string())?;
        }
        match pair.metric("rutter_log_lines_dropped_total{}")? {
            0.0 => Err("nothing is lost".to_owned()),
            _ => Ok(()),
        }
    });
}

impl Pair {
    /// An error unless there is the session that there was at first, as the neighbour sees it.
    ///
    /// # Errors
    /// It is gone, or is another one.
    pub(crate) fn is_up(&self) -> Result<(), String> {
        match self.session()? {
            peer if peer.state == "Established" && peer.established_count == 1 => Ok(()),
            peer => Err(format!("{peer:#?}")),
        }
    }

    /// The session as the neighbour sees it.
    ///
    /// # Errors
    /// The neighbour does not answer.
    pub(crate) fn session(&self) -> Result<PeerStatus, String> {
        let status = self.neighbor.status()?;
        status.peers.into_iter().next().ok_or("no peer".to_owned())
    }

    /// Asks the agent's port as a probe does, on a connection of its own.
    ///
    /// # Errors
    /// It does not answer, or with another status than 200.
    pub(crate) fn probe(&self, path: &str) -> Result<String, String> {
        let ask = || {
            let mut stream = TcpStream::connect_timeout(&self.metrics, LIMIT)?;
            stream.set_read_timeout(Some(LIMIT))?;
            write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(answer)
        };
        let answer = ask().map_err(|error| format!("{path}: {error}"))?;
        let body = answer.strip_prefix("HTTP/1.1 200 OK\r\n");
        let body = body.and_then(|answer| answer.split_once("\r\n\r\n"));
        let body = body.ok_or_else(|| format!("{path}: {answer:?}"))?;
        Ok(body.1.to_owned())
    }

    /// A sample of the agent's metrics by its name.
    ///
    /// # Errors
    /// It does not answer, or has no such sample.
    pub(crate) fn metric(&self, name: &str) -> Result<f64, String> {
        let text = self.probe("/metrics")?;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.ok_or_else(|| format!("no {name} in {text}"))
    }

    /// Ends the agent by SIGTERM and tells how it ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.agent.signal(Signal::Terminate);
        eventually(LIMIT, || {
            self.agent.exit_status().ok_or("it runs".to_owned())
        })
    }
}

fn node(name: &str, host: u8) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\n\
         spec: {{podCIDRs: ['10.244.{host}.0/24']}}\n\
         status:\n  addresses: [{{type: InternalIP, address: 10.1.0.{host}}}]\n\
         \x20 conditions: [{{type: Ready, status: 'True'}}]\n"
    )
}
