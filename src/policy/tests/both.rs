//! What holds for routes of either direction: a bench on which one test runs for both.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::fixture::{local, node, origin};
use crate::policy::table::{RouteName, RouteStep, Table};
use crate::policy::{
    Acceptance, Audience, Batch, ChainDefault, Decision, Directed, ImportBatch, ImportDecision,
    ImportPeer, ImportPolicy, ImportVerdict, LearnedPath, LearnedRoute, Limits, Link, Mode,
    OnError, PathOrigin, PeerGroup, PeerKind, PolicyFailure, RoutePolicy, Verdict,
};
use crate::types::{Asn, GroupId, PeerId, Prefix, RouteAttributes, RouteVersion};

/// What a test needs of a direction.
pub(super) trait Side: Directed + 'static {
    fn policy(fake: Fake) -> Self;
    fn peers(number: u8) -> (Self::PeersId, Self::Peers);
    /// The route of this number of these peers, or all, and what it says.
    fn route(number: u32, peers: u8, value: u32) -> (RouteName<Self>, Self::Route);
}

pub(super) type Exporting = Arc<dyn RoutePolicy>;
pub(super) type Importing = Arc<dyn ImportPolicy>;

impl Side for Exporting {
    fn policy(fake: Fake) -> Self {
        Arc::new(fake)
    }

    fn peers(number: u8) -> (GroupId, PeerGroup) {
        (GroupId(number.into()), group(number))
    }

    fn route(number: u32, _: u8, value: u32) -> (RouteName<Self>, Self::Route) {
        let address = address(number);
        let candidate = local(&format!("s{number}"), &address.to_string(), value);
        ((None, candidate.key.clone()), candidate)
    }
}

impl Side for Importing {
    fn policy(fake: Fake) -> Self {
        Arc::new(fake)
    }

    fn peers(number: u8) -> (PeerId, ImportPeer) {
        let peer = ImportPeer {
            name: format!("peer-{number}"),
            address: [192, 0, 2, number].into(),
            group: group(number),
        };
        (PeerId(number.into()), peer)
    }

    fn route(number: u32, peers: u8, value: u32) -> (RouteName<Self>, Self::Route) {
        let prefix = prefix(number);
        let attributes = RouteAttributes {
            med: Some(value),
            ..RouteAttributes::default()
        };
        let route = LearnedRoute {
            version: RouteVersion(value.into()),
            router_id: Ipv4Addr::new(192, 0, 2, 1).try_into().unwrap(),
            path: Arc::new(LearnedPath {
                origin: PathOrigin::Igp,
                as_path: Vec::new(),
            }),
            attributes: Arc::new(attributes),
        };
        ((Some(PeerId(peers.into())), prefix), route)
    }
}

/// Of the route of this number.
pub(super) fn prefix(number: u32) -> Prefix {
    Prefix::host(address(number).into())
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number)
}

fn group(number: u8) -> PeerGroup {
    PeerGroup {
        name: if number.is_multiple_of(2) {
            "wan"
        } else {
            "tor"
        }
        .to_owned(),
        asn: Asn(64512),
        kind: PeerKind::Ebgp,
        labels: [].into(),
    }
}

/// A policy of either direction that fails to order.
#[derive(Clone, Debug)]
pub(super) struct Fake(Arc<Script>);

#[derive(Debug)]
struct Script {
    rule: u32,
    broken: AtomicBool,
    /// Fails when it is asked about one of these, by what it says.
    poison: Mutex<BTreeMap<(Prefix, u32), PolicyFailure>>,
    /// How many routes each call was about.
    calls: Mutex<Vec<usize>>,
}

/// A rule: whatever it is asked about.
pub(super) const ACCEPT: u32 = u32::MAX;

/// What a policy sees of a route, in either direction.
struct Shown {
    prefix: Prefix,
    value: u32,
    proposed: u32,
}

/// An answer in either direction.
enum Said {
    Abstain,
    Accept(Option<u32>),
    Reject,
}

impl Fake {
    pub(super) fn new(rule: u32) -> Self {
        Self(Arc::new(Script {
            rule,
            broken: AtomicBool::new(false),
            poison: Mutex::default(),
            calls: Mutex::default(),
        }))
    }

    /// Fails whatever it is asked, or no more.
    pub(super) fn set_broken(&self, broken: bool) {
        self.0.broken.store(broken, Ordering::Relaxed);
    }

    /// Traps when it is asked about one of these, each with what it says.
    pub(super) fn set_poison(&self, poison: impl IntoIterator<Item = (u32, u32)>) {
        let poison = poison.into_iter().map(|(number, value)| {
            let prefix = prefix(number);
            let failure = PolicyFailure::Trap(format!("over {prefix}"));
            ((prefix, value), failure)
        });
        *self.0.poison.lock().unwrap() = poison.collect();
    }

    /// Fails so when it is asked about this one.
    pub(super) fn fail_on(&self, number: u32, value: u32, failure: PolicyFailure) {
        let mut poison = self.0.poison.lock().unwrap();
        poison.insert((prefix(number), value), failure);
    }

    /// How many routes each call was about since the last look.
    pub(super) fn calls(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.calls.lock().unwrap())
    }

    /// Depends on all that a policy may depend on.
    fn decide(&self, shown: &Shown, peers: &PeerGroup, label: &str) -> Said {
        let drained = u32::from(label == "drained");
        let towards = u32::from(peers.name == "wan");
        let Shown {
            value, proposed, ..
        } = shown;
        if self.0.rule == ACCEPT {
            return Said::Accept(None);
        }
        match (value + proposed + 2 * drained + towards + self.0.rule) % 5 {
            0 => Said::Reject,
            1 => Said::Accept(Some(proposed + self.0.rule)),
            2 | 3 => Said::Accept(None),
            _ => Said::Abstain,
        }
    }

    fn answer<D>(
        &self,
        routes: &[Shown],
        decide: impl Fn(&Shown) -> D,
    ) -> Result<Vec<D>, PolicyFailure> {
        self.0.calls.lock().unwrap().push(routes.len());
        let poison = self.0.poison.lock().unwrap();
        if self.0.broken.load(Ordering::Relaxed) {
            return Err(PolicyFailure::Trap("broken".to_owned()));
        }
        let failure = |route: &Shown| poison.get(&(route.prefix, route.value));
        if let Some(failure) = routes.iter().find_map(failure) {
            return Err(failure.clone());
        }
        Ok(routes.iter().map(decide).collect())
    }
}

impl RoutePolicy for Fake {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let shown = batch.candidates.iter().map(|route| {
            let candidate = route.candidate;
            Shown {
                prefix: candidate.key.prefix,
                value: super::fixture::endpoints(candidate),
                proposed: route.attributes.local_pref.unwrap_or(0),
            }
        });
        let shown: Vec<_> = shown.collect();
        self.answer(&shown, |route| Decision {
            verdict: match self.decide(route, batch.peer_group, label(&batch.node.labels)) {
                Said::Abstain => Verdict::Abstain,
                Said::Accept(attributes) => Verdict::Accept(attributes.map(attributes_of)),
                Said::Reject => Verdict::Reject,
            },
            reason: None,
        })
    }
}

impl ImportPolicy for Fake {
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        let shown = batch.routes.iter().map(|route| Shown {
            prefix: route.prefix,
            value: route.attributes.med.unwrap_or(0),
            proposed: route.attributes.local_pref.unwrap_or(0),
        });
        let shown: Vec<_> = shown.collect();
        self.answer(&shown, |route| ImportDecision {
            verdict: match self.decide(route, batch.peer_group, label(&batch.node.labels)) {
                Said::Abstain => ImportVerdict::Abstain,
                Said::Accept(attributes) => ImportVerdict::Accept(Acceptance {
                    attributes: attributes.map(attributes_of),
                    installation: None,
                }),
                Said::Reject => ImportVerdict::Reject,
            },
            reason: None,
        })
    }
}

fn label(labels: &crate::facts::StringMap) -> &str {
    labels.get("label").map_or("", |label| &**label)
}

fn attributes_of(local_pref: u32) -> Arc<RouteAttributes> {
    Arc::new(RouteAttributes {
        local_pref: Some(local_pref),
        ..RouteAttributes::default()
    })
}

/// A table of either direction, with a clock to wind.
pub(super) struct Bench<P: Side> {
    pub(super) table: Table<P>,
    pub(super) now: Instant,
}

impl<P: Side> Bench<P> {
    /// Peers 1 and 2, a known node, and no routes.
    pub(super) fn new(links: Vec<Link<P>>) -> Self {
        let mut table = Table::new(Asn(64512));
        let now = origin();
        table.take_peers(now, [1, 2].map(P::peers).into(), &BTreeMap::new());
        table.take(now, Some(node("")), []);
        table.replace_chain(now, links);
        Self { table, now }
    }

    /// Routes of peers 1 as they are from now on.
    pub(super) fn take(&mut self, routes: impl IntoIterator<Item = (u32, Option<u32>)>) {
        let steps = routes
            .into_iter()
            .map(|(number, value)| step(number, 1, value));
        let node = self.table.node.clone();
        self.table.take(self.now, node, steps);
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.table.retry(self.now);
    }
}

pub(super) fn step<P: Side>(number: u32, peers: u8, value: Option<u32>) -> RouteStep<P> {
    let (name, route) = P::route(number, peers, value.unwrap_or(0));
    RouteStep {
        name,
        route: value.map(|_| route),
    }
}

pub(super) fn link<P: Side>(name: &str, fake: &Fake, on_error: OnError) -> Link<P> {
    Link {
        name: name.into(),
        module: format!("fake:{name}"),
        settings: Arc::default(),
        policy: P::policy(fake.clone()),
        on_error,
        limits: Limits::DEFAULT,
        audience: Audience::Everyone,
        mode: Mode::Enforce,
    }
}

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    /// These routes of these peers are so from now on, or gone.
    Routes(Vec<(u32, u8, Option<u32>)>),
    Node(Option<&'static str>),
    Peers(BTreeSet<u8>),
    Default(ChainDefault),
    /// The chain is replaced by one of other rules.
    Chain(u32),
    /// A policy breaks, or is mended.
    Broken(usize, bool),
    /// A policy fails on just these.
    Poison(usize, Vec<(u32, u32)>),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let route = (1..6u32, 1..4u8, prop::option::weighted(0.8, 0..6u32));
    let label = prop_oneof![Just(None), Just(Some("")), Just(Some("drained"))];
    let default = prop_oneof![Just(ChainDefault::Reject), Just(ChainDefault::Accept)];
    prop_oneof![
        8 => vec(route, 0..5).prop_map(Event::Routes),
        1 => label.prop_map(Event::Node),
        2 => prop::collection::btree_set(1..4u8, 0..4).prop_map(Event::Peers),
        1 => default.prop_map(Event::Default),
        1 => (0..5u32).prop_map(Event::Chain),
        2 => (0..3usize, any::<bool>()).prop_map(|(link, broken)| Event::Broken(link, broken)),
        2 => (0..3usize, vec((1..6u32, 0..6u32), 0..9))
            .prop_map(|(link, poison)| Event::Poison(link, poison)),
        2 => (0..90u64).prop_map(Event::Wait),
    ]
}

/// A table on its way through events.
struct Run<P: Side> {
    bench: Bench<P>,
    fakes: [Fake; 3],
    rule: u32,
    default: ChainDefault,
    peers: BTreeSet<u8>,
}

fn links<P: Side>(fakes: &[Fake; 3]) -> Vec<Link<P>> {
    let only = Audience::Only(["wan".to_owned()].into());
    vec![
        link("first", &fakes[0], OnError::KeepLast),
        link("second", &fakes[1], OnError::Skip),
        Link {
            audience: only,
            ..link("third", &fakes[2], OnError::Withdraw)
        },
    ]
}

fn fakes(rule: u32) -> [Fake; 3] {
    [0, 1, 2].map(|nth| Fake::new(rule + nth))
}

impl<P: Side> Run<P> {
    fn new() -> Self {
        let fakes = fakes(0);
        Self {
            bench: Bench::new(links(&fakes)),
            fakes,
            rule: 0,
            default: ChainDefault::Reject,
            peers: [1, 2].into(),
        }
    }

    fn happen(&mut self, event: Event) {
        let Bench { table, now } = &mut self.bench;
        match event {
            Event::Routes(routes) => {
                let steps = routes.into_iter();
                let steps: Vec<_> = steps
                    .map(|(n, peers, value)| step(n, peers, value))
                    .collect();
                let node = table.node.clone();
                table.take(*now, node, steps);
            }
            // Of a direction that waits for the node, facts that are lost are kept by the caller.
            Event::Node(None) if P::without_node().is_none() => {}
            Event::Node(label) => {
                table.take(*now, label.map(node), []);
            }
            Event::Peers(numbers) => {
                let peers = numbers.iter().map(|number| P::peers(*number));
                table.take_peers(*now, peers.collect(), &BTreeMap::new());
                self.peers = numbers;
            }
            Event::Default(default) => {
                self.default = default;
                table.set_default(*now, default);
            }
            Event::Chain(rule) => {
                self.rule = rule;
                self.fakes = fakes(rule);
                table.replace_chain(*now, links(&self.fakes));
            }
            Event::Broken(link, broken) => self.fakes[link].set_broken(broken),
            Event::Poison(link, poison) => self.fakes[link].set_poison(poison),
            Event::Wait(seconds) => self.bench.pass(seconds),
        }
    }

    /// A new table that is given what there is at once.
    fn fresh_start(&self) -> Table<P> {
        let Bench { table, now } = &self.bench;
        let mut fresh = Table::new(Asn(64512));
        let peers = self.peers.iter().map(|number| P::peers(*number));
        fresh.take_peers(*now, peers.collect(), &BTreeMap::new());
        fresh.set_default(*now, self.default);
        fresh.replace_chain(*now, links(&fakes(self.rule)));
        let routes = table.routes.iter().flat_map(|(owner, routes)| {
            routes.iter().map(|(key, route)| RouteStep {
                name: (*owner, key.clone()),
                route: Some(route.clone()),
            })
        });
        fresh.take(*now, table.node.clone(), routes);
        fresh
    }
}

fn whatever_the_steps_were<P: Side>(events: Vec<Event>) {
    let mut run = Run::<P>::new();
    for event in events {
        run.happen(event);
    }
    for fake in &run.fakes {
        fake.set_broken(false);
        fake.set_poison([]);
    }
    run.bench.pass(600);
    let (table, fresh) = (&run.bench.table, run.fresh_start());
    assert_eq!(table.retry_at(), None);
    assert_eq!(table.held().count(), 0);
    let told = |table: &Table<P>| -> Vec<_> {
        let rows = table.rows.iter();
        rows.map(|(id, row)| (*id, row.told().clone())).collect()
    };
    assert_eq!(told(table), told(&fresh));
    for (id, _) in fresh.peers() {
        let outcomes = |table: &Table<P>| -> Vec<_> {
            let outcomes = table.outcomes(id);
            outcomes
                .map(|(key, outcome)| (key.clone(), outcome.clone()))
                .collect()
        };
        assert_eq!(outcomes(table), outcomes(&fresh));
    }
}

proptest! {
    #[test]
    fn steps_lead_where_a_fresh_start_leads(events in vec(event(), 0..40)) {
        whatever_the_steps_were::<Exporting>(events.clone());
        whatever_the_steps_were::<Importing>(events);
    }
}
