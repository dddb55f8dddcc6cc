//! BIRD 2: configuration, and what `birdc` prints.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use rutter::types::{Community, LargeCommunity, Prefix};
use tempfile::TempDir;

use super::netns::Host;
use super::process::{Process, impatient, program, run};
use super::router::{
    Dialing, LearnedRoute, Neighbor, Role, Router, RouterConfig, RouterKind, Session, SessionState,
};
use super::wait::eventually;

/// Far above what it takes until `birdc` is answered.
const LISTEN_LIMIT: Duration = Duration::from_secs(30);

/// A running `bird`.
#[derive(Debug)]
pub(crate) struct Bird {
    process: Process,
    folder: TempDir,
    host: Host,
    role: Role,
    asn: u32,
    /// The n-th is the protocol `n<n>`.
    neighbors: Vec<IpAddr>,
    times: Times,
}

/// Times it has printed. BIRD works each one out from two clocks whenever it is asked, so that
/// the same one may come out some milliseconds later or earlier.
#[derive(Debug, Default)]
struct Times(RefCell<Vec<DateTime>>);

impl Times {
    /// More than the clocks disagree by, and less than any change of a route or session takes.
    const TOLERANCE: SignedDuration = SignedDuration::from_millis(50);

    /// The time that was read before, where it is this one.
    fn read(&self, date: &str, time: &str) -> Option<DateTime> {
        let printed: DateTime = format!("{date}T{time}").parse().ok()?;
        let mut known = self.0.borrow_mut();
        let before = known
            .iter()
            .copied()
            .find(|known| printed.duration_since(*known).abs() <= Self::TOLERANCE);
        if before.is_none() {
            known.push(printed);
        }
        Some(before.unwrap_or(printed))
    }
}

impl Bird {
    /// Starts it on `host`.
    pub(crate) fn start(host: &Host, config: &RouterConfig) -> Self {
        Self::start_as(Role::Listener, host, config)
    }

    /// Starts it on `host` for this.
    pub(crate) fn start_as(role: Role, host: &Host, config: &RouterConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("bird.conf"), render(role, host, config)).unwrap();
        let mut command = host.command(&program("RUTTER_TEST_BIRD"));
        command.arg("-f").arg("-s").arg(path("ctl"));
        command.arg("-c").arg(path("bird.conf"));
        let bird = Self {
            process: Process::spawn("bird", &mut command, path("log")),
            host: host.clone(),
            role,
            asn: config.asn,
            neighbors: addresses(config),
            times: Times::default(),
            folder,
        };
        // Its control socket comes a moment later than it does.
        eventually(LISTEN_LIMIT, || bird.ask("show status"));
        bird
    }

    /// Takes another configuration into use.
    pub(crate) fn configure(&mut self, config: &RouterConfig) {
        let text = render(self.role, &self.host, config);
        fs::write(self.folder.path().join("bird.conf"), text).unwrap();
        self.neighbors = addresses(config);
        self.ask("configure").unwrap();
    }

    /// Takes another configuration into use, in which its IPv4 routes go by another next hop than
    /// itself.
    pub(crate) fn configure_next_hop(&mut self, config: &RouterConfig, next_hop: &str) {
        let text = render(self.role, &self.host, config);
        let own = "ipv4 { import all; export where source = RTS_STATIC;";
        assert!(text.contains(own), "{text}");
        let other = format!(
            "ipv4 {{ import all; export filter {{ if source != RTS_STATIC then reject; \
             bgp_next_hop = {next_hop}; accept; }};"
        );
        let text = text.replace(own, &other);
        fs::write(self.folder.path().join("bird.conf"), text).unwrap();
        self.ask("configure").unwrap();
    }

    /// What `birdc` prints to a command.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn ask(&self, command: &str) -> Result<String, String> {
        let mut birdc = impatient(&program("RUTTER_TEST_BIRDC"));
        birdc.arg("-s").arg(self.folder.path().join("ctl"));
        run(birdc.args(command.split(' ')))
    }

    /// The name BIRD has for its session with a neighbour.
    pub(crate) fn protocol(&self, neighbor: IpAddr) -> String {
        let mut neighbors = self.neighbors.iter();
        let index = neighbors.position(|address| *address == neighbor).unwrap();
        format!("n{index}")
    }

    /// Routes from neighbours, each with the time of its last change.
    fn routes(&self) -> Result<Vec<(String, LearnedRoute)>, String> {
        let printed = self.ask("show route all")?;
        let mut routes: Vec<(String, LearnedRoute)> = Vec::new();
        let mut prefix = None;
        let mut learned = false;
        for line in printed.lines().skip(1) {
            if let Some(attribute) = line.strip_prefix('\t') {
                if let (true, Some((_, route))) = (learned, routes.last_mut()) {
                    read_attribute(attribute, route).ok_or_else(|| format!("BIRD: `{line}`"))?;
                }
            } else if let Some((head, rest)) = line.split_once('[') {
                if !line.starts_with(' ') {
                    prefix = head.split_whitespace().next().and_then(|p| p.parse().ok());
                }
                let prefix = prefix.ok_or_else(|| format!("BIRD: a route of what? `{line}`"))?;
                let route = self.read_head(prefix, head, rest);
                learned = route.is_some();
                routes.extend(route);
            }
        }
        Ok(routes)
    }

    /// From `unicast [n0 2026-11-21 04:06:13.487] * (100) [AS65002i]`.
    fn read_head(&self, prefix: Prefix, head: &str, rest: &str) -> Option<(String, LearnedRoute)> {
        let mut words = rest.split([' ', ']']);
        let index: usize = words.next()?.strip_prefix('n')?.parse().ok()?;
        let since = self.times.read(words.next()?, words.next()?)?.to_string();
        // An unreachable route has no next hop that a test would accept.
        let reachable = head.contains("unicast");
        let route = LearnedRoute {
            from: self.neighbors[index],
            prefix,
            next_hop: if reachable {
                self.host.ipv4
            } else {
                [0; 4].into()
            }
            .into(),
            as_path: Vec::new(),
            local_pref: None,
            med: None,
            communities: BTreeSet::new(),
            large_communities: BTreeSet::new(),
        };
        Some((since, route))
    }
}

impl Router for Bird {
    fn kind(&self) -> RouterKind {
        RouterKind::Bird
    }

    fn host(&self) -> &Host {
        &self.host
    }

    fn asn(&self) -> u32 {
        self.asn
    }

    fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn learned(&self) -> Result<BTreeSet<LearnedRoute>, String> {
        let routes = self.routes()?.into_iter();
        Ok(routes.map(|(_, route)| route).collect())
    }

    fn changed_at(&self) -> Result<BTreeSet<(IpAddr, Prefix, String)>, String> {
        let routes = self.routes()?.into_iter();
        Ok(routes
            .map(|(since, route)| (route.from, route.prefix, since))
            .collect())
    }

    fn withdrawn(&self) -> Option<BTreeSet<(IpAddr, Prefix)>> {
        let log = self.process.log();
        // `<TRACE> n0.ipv4 > removed [sole] 172.16.0.20/32 0L 4G unicast`: one that is replaced by
        // another of the same neighbour is only `added`.
        let removed = log.lines().filter_map(|line| {
            let (_, event) = line.split_once("<TRACE> n")?;
            let (channel, event) = event.split_once(" > removed ")?;
            let (index, _) = channel.split_once('.')?;
            let index: usize = index.parse().ok()?;
            let prefix = event
                .split_whitespace()
                .find_map(|word| word.parse().ok())?;
            Some((self.neighbors[index], prefix))
        });
        Some(removed.collect())
    }

    fn sessions(&self) -> Result<BTreeMap<IpAddr, Session>, String> {
        let printed = self.ask("show protocols")?;
        let sessions = printed.lines().filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, "BGP", _, _, date, time, info @ ..] = words.as_slice() else {
                return None;
            };
            let index: usize = name.strip_prefix('n')?.parse().ok()?;
            let state = match info {
                ["Established", ..] => SessionState::Established,
                _ => SessionState::Down(info.join(" ")),
            };
            let history = format!("since {}", self.times.read(date, time)?);
            Some((self.neighbors[index], Session { state, history }))
        });
        Ok(sessions.collect())
    }
}

fn addresses(config: &RouterConfig) -> Vec<IpAddr> {
    config.neighbors.iter().map(|n| n.address).collect()
}

/// `None` where the line is not understood.
fn read_attribute(line: &str, route: &mut LearnedRoute) -> Option<()> {
    let Some((name, value)) = line.split_once(": ") else {
        return Some(()); // `via 10.9.0.2 on eth0`, or an empty attribute
    };
    match name {
        // A reachable route only: see `read_head`. An IPv6 next hop may have a link-local second.
        "BGP.next_hop" if !route.next_hop.is_unspecified() => {
            route.next_hop = value.split(' ').next()?.parse().ok()?;
        }
        "BGP.as_path" => {
            route.as_path = value
                .split_whitespace()
                .map(str::parse)
                .collect::<Result<_, _>>()
                .ok()?;
        }
        "BGP.local_pref" => route.local_pref = Some(value.parse().ok()?),
        "BGP.med" => route.med = Some(value.parse().ok()?),
        "BGP.community" => {
            for community in value.split_whitespace() {
                let text = community.trim_matches(['(', ')']).replace(',', ":");
                route.communities.insert(text.parse::<Community>().ok()?);
            }
        }
        "BGP.large_community" => {
            for community in value.split(") (") {
                let text = community.trim_matches(['(', ')']).replace(", ", ":");
                route
                    .large_communities
                    .insert(text.parse::<LargeCommunity>().ok()?);
            }
        }
        _ => {}
    }
    Some(())
}

fn render(role: Role, host: &Host, config: &RouterConfig) -> String {
    let mut text = format!(
        "log stderr all;\n\
         timeformat protocol iso long ms;\n\
         timeformat route iso long ms;\n\
         debug protocols {{ routes }};\n\
         router id {};\n\
         protocol device {{ }}\n",
        host.ipv4
    );
    for (name, family) in [("s4", "ipv4"), ("s6", "ipv6")] {
        let routes: String = config
            .announced
            .iter()
            .filter(|prefix| prefix.address().is_ipv4() == (family == "ipv4"))
            .map(|prefix| format!("route {prefix} blackhole;\n"))
            .collect();
        let _ = write!(text, "protocol static {name} {{ {family};\n{routes}}}\n");
    }
    if role == Role::Switch {
        for (name, family) in [("k4", "ipv4"), ("k6", "ipv6")] {
            let _ = writeln!(
                text,
                "protocol kernel {name} {{ merge paths on; \
                 {family} {{ import none; export where source = RTS_BGP; }}; }}"
            );
        }
    }
    for (index, neighbor) in config.neighbors.iter().enumerate() {
        text += &render_neighbor(role, host, config.asn, index, neighbor);
    }
    text
}

/// The routes that a session carries, and how.
fn channels(role: Role, host: &Host, neighbor: IpAddr) -> String {
    let Host { ipv4, ipv6, .. } = host;
    match role {
        Role::Listener => format!(
            "ipv4 {{ import all; export where source = RTS_STATIC; next hop address {ipv4}; }};\n\
             ipv6 {{ import all; export where source = RTS_STATIC; next hop address {ipv6}; }};\n"
        ),
        Role::Switch => {
            let family = if neighbor.is_ipv4() { "ipv4" } else { "ipv6" };
            format!(
                "{family} {{ import all; next hop self; \
                 export where source = RTS_STATIC || source = RTS_BGP; }};\n"
            )
        }
    }
}

fn render_neighbor(role: Role, host: &Host, asn: u32, index: usize, neighbor: &Neighbor) -> String {
    let Neighbor {
        address,
        asn: peer_asn,
        dialing,
        password,
        hold_time,
    } = neighbor;
    let passive = match dialing {
        Dialing::Dials => "",
        Dialing::Waits => "passive on;",
    };
    let password = password.as_ref();
    let password = password.map_or(String::new(), |key| format!("password \"{key}\";"));
    // A switch has an address on each network that it joins.
    let local = match role {
        Role::Listener => host.address_like(*address).to_string(),
        Role::Switch => String::new(),
    };
    format!(
        "protocol bgp n{index} {{\n\
         local {local} as {asn};\n\
         neighbor {address} as {peer_asn};\n\
         direct; {passive} {password}\n\
         hold time {hold_time}; connect delay time 1; connect retry time 2;\n\
         error wait time 1, 2; error forget time 1;\n\
         {}\
         }}\n",
        channels(role, host, *address),
    )
}
