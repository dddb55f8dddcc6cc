//! What tests know of a BGP router that is not ours: how it is configured, and what it says about
//! its sessions and routes. BIRD, FRR and GoBGP implement it, each from its own tools' output.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::net::IpAddr;

use rutter::types::{Community, LargeCommunity, Prefix};

use super::bird::Bird;
use super::frr::Frr;
use super::gobgp::Gobgp;
use super::netns::Host;
use super::process::Process;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RouterKind {
    Bird,
    Frr,
    Gobgp,
}

/// How a router is set up.
#[derive(Clone, Debug)]
pub(crate) struct RouterConfig {
    pub(crate) asn: u32,
    pub(crate) neighbors: Vec<Neighbor>,
    /// Routes of its own that it announces.
    pub(crate) announced: Vec<Prefix>,
}

/// One of a router's neighbours. Every session carries IPv4 and IPv6 routes.
#[derive(Clone, Debug)]
pub(crate) struct Neighbor {
    pub(crate) address: IpAddr,
    pub(crate) asn: u32,
    pub(crate) dialing: Dialing,
    pub(crate) password: Option<String>,
    /// Seconds.
    pub(crate) hold_time: u16,
}

/// Who opens the connection, as far as this end is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialing {
    Dials,
    Waits,
}

/// A route as a router knows it from a neighbour, by its own account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LearnedRoute {
    /// The neighbour.
    pub(crate) from: IpAddr,
    pub(crate) prefix: Prefix,
    pub(crate) next_hop: IpAddr,
    pub(crate) as_path: Vec<u32>,
    pub(crate) local_pref: Option<u32>,
    pub(crate) med: Option<u32>,
    pub(crate) communities: BTreeSet<Community>,
    pub(crate) large_communities: BTreeSet<LargeCommunity>,
}

/// A session as a router knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) state: SessionState,
    /// When it was established and how often it changed, in the router's own terms: as long as
    /// this is equal, it has not moved.
    pub(crate) history: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    Established,
    /// In the router's words.
    Down(String),
}

/// A running router.
pub(crate) trait Router: Debug {
    fn kind(&self) -> RouterKind;

    fn host(&self) -> &Host;

    fn asn(&self) -> u32;

    fn process(&mut self) -> &mut Process;

    /// Every usable route that it has from its neighbours.
    ///
    /// # Errors
    /// It does not answer.
    fn learned(&self) -> Result<BTreeSet<LearnedRoute>, String>;

    /// When it took each route over: neighbour, prefix, and a time in its own terms. Equal times
    /// mean an untouched route. Nothing where the router does not tell it exactly.
    ///
    /// # Errors
    /// It does not answer.
    fn changed_at(&self) -> Result<BTreeSet<(IpAddr, Prefix, String)>, String>;

    /// What neighbours have taken back since it started, by its own log of every message; `None`
    /// where it keeps none.
    fn withdrawn(&self) -> Option<BTreeSet<(IpAddr, Prefix)>>;

    /// Its sessions, by the neighbour's address.
    ///
    /// # Errors
    /// It does not answer.
    fn sessions(&self) -> Result<BTreeMap<IpAddr, Session>, String>;

    /// An error unless exactly its sessions with `neighbors` are established.
    ///
    /// # Errors
    /// One is not; or it does not answer.
    fn established_with(&self, neighbors: &[IpAddr]) -> Result<(), String> {
        let sessions = self.sessions()?;
        for neighbor in neighbors {
            match sessions.get(neighbor) {
                Some(session) if session.state == SessionState::Established => {}
                other => return Err(format!("{:?}: {neighbor} is {other:?}", self.kind())),
            }
        }
        Ok(())
    }

    /// Its whole table as neighbour, prefix and next hop.
    ///
    /// # Errors
    /// It does not answer.
    fn table(&self) -> Result<Table, String> {
        let routes = self.learned()?.into_iter();
        Ok(Table(
            routes
                .map(|route| (route.from, route.prefix, route.next_hop))
                .collect(),
        ))
    }

    /// An error unless its whole table is `expected`, nothing missing and nothing more.
    ///
    /// # Errors
    /// It is not, and how it differs; or it does not answer.
    fn has_exactly(&self, expected: &Table) -> Result<(), String> {
        let actual = self.table()?;
        if actual == *expected {
            return Ok(());
        }
        let shown = |only_in: &Table, not_in: &Table| -> Vec<String> {
            let difference = only_in.0.difference(&not_in.0);
            difference
                .map(|(from, prefix, next_hop)| format!("{prefix} via {next_hop} from {from}"))
                .collect()
        };
        Err(format!(
            "{:?} (AS {}) lacks {:#?} and has besides {:#?}",
            self.kind(),
            self.asn(),
            shown(expected, &actual),
            shown(&actual, expected),
        ))
    }
}

/// What a router is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It tells what it learned; packets are not its business.
    Listener,
    /// It passes routes on, and forwards packets: its kernel has what it learned, by every next
    /// hop that is as good as the best. A session carries the routes of its own family alone.
    Switch,
}

/// Starts a router that is a switch.
///
/// # Panics
/// This kind cannot be one here.
pub(crate) fn start_switch(
    kind: RouterKind,
    host: &Host,
    config: &RouterConfig,
) -> Box<dyn Router> {
    match kind {
        RouterKind::Bird => Box::new(Bird::start_as(Role::Switch, host, config)),
        RouterKind::Frr => Box::new(Frr::start_as(Role::Switch, host, config)),
        RouterKind::Gobgp => panic!("GoBGP leaves the kernel alone"),
    }
}

/// Starts a router on `host`. It has no sessions yet when this returns.
pub(crate) fn start(kind: RouterKind, host: &Host, config: &RouterConfig) -> Box<dyn Router> {
    match kind {
        RouterKind::Bird => Box::new(Bird::start(host, config)),
        RouterKind::Frr => Box::new(Frr::start(host, config)),
        RouterKind::Gobgp => Box::new(Gobgp::start(host, config)),
    }
}

impl RouterKind {
    pub(crate) const ALL: [Self; 3] = [Self::Bird, Self::Frr, Self::Gobgp];
}

impl Neighbor {
    /// A neighbour that is dialled, with no password and a hold time of 9 s.
    pub(crate) fn new(address: impl Into<IpAddr>, asn: u32) -> Self {
        Self {
            address: address.into(),
            asn,
            dialing: Dialing::Dials,
            password: None,
            hold_time: 9,
        }
    }
}

/// A routing table: neighbour, prefix, next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table(pub(crate) BTreeSet<(IpAddr, Prefix, IpAddr)>);

impl Table {
    /// Adds a route.
    pub(crate) fn insert(&mut self, from: IpAddr, prefix: Prefix, next_hop: IpAddr) {
        self.0.insert((from, prefix, next_hop));
    }

    /// This without the routes to `prefixes` from `from`.
    pub(crate) fn without(&self, from: &[IpAddr], prefixes: &[Prefix]) -> Self {
        let kept = self.0.iter().filter(|(neighbor, prefix, _)| {
            !(from.contains(neighbor) && prefixes.contains(prefix))
        });
        Self(kept.copied().collect())
    }
}

impl fmt::Debug for LearnedRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            prefix,
            next_hop,
            as_path,
            local_pref,
            med,
            communities,
            large_communities,
        } = self;
        write!(
            f,
            "{prefix} via {next_hop} from {from}, path {as_path:?}, local preference \
             {local_pref:?}, MED {med:?}, {communities:?}, {large_communities:?}"
        )
    }
}
