//! Learned routes decided about in pieces: no round is long, and in the end everything is decided as
//! if it had been at once.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::policy::Clock;

const PIECE: usize = 8;

/// Prefers a route by how long the node's label is, and runs out of time on some.
struct Picky {
    bad: Mutex<BTreeSet<Prefix>>,
    broken: Mutex<bool>,
    clock: Arc<Mutex<Instant>>,
    /// How many routes each call was about; less than none where it ran out of time.
    calls: Mutex<Vec<(usize, bool)>>,
}

const LIMIT: Duration = Duration::from_secs(1);

impl ImportPolicy for Picky {
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        let bad = self.bad.lock().unwrap();
        let fails = *self.broken.lock().unwrap()
            || batch.routes.iter().any(|route| bad.contains(&route.prefix));
        let count = batch.routes.len();
        self.calls.lock().unwrap().push((count, fails));
        if fails {
            *self.clock.lock().unwrap() += LIMIT;
            return Err(PolicyFailure::OutOfTime(LIMIT));
        }
        let generation = batch.node.labels.get("generation").map_or(0, String::len);
        let decision = ImportDecision {
            verdict: prefer(u32::try_from(generation).unwrap()),
            reason: None,
        };
        Ok(vec![decision; count])
    }
}

struct Bench {
    imports: Imports,
    policy: Arc<Picky>,
    clock: Arc<Mutex<Instant>>,
    versions: u64,
    /// What the owner was told, by peer and prefix.
    told: BTreeMap<(PeerId, Prefix), (RouteVersion, Option<AcceptedImport>)>,
    /// The size of pieces that the owner wants.
    piece: usize,
}

fn prefix(number: u16) -> Prefix {
    let [high, low] = number.to_be_bytes();
    format!("10.{high}.{low}.0/24").parse().unwrap()
}

fn node(generation: usize) -> Arc<NodeFacts> {
    Arc::new(NodeFacts {
        labels: [("generation".to_owned(), "x".repeat(generation))].into(),
        ..NodeFacts::default()
    })
}

impl Bench {
    fn new(on_error: OnError) -> Self {
        let clock = Arc::new(Mutex::new(start()));
        let policy = Arc::new(Picky {
            bad: Mutex::default(),
            broken: Mutex::new(false),
            clock: Arc::clone(&clock),
            calls: Mutex::default(),
        });
        let mut imports = Imports::new(Asn(64512));
        let reader = Arc::clone(&clock);
        imports.set_clock(Clock::new(move || *reader.lock().unwrap()));
        let now = *clock.lock().unwrap();
        let peers = [(TOR, "tor"), (SPINE, "spine")];
        imports.set_peers(now, peers.map(|(id, name)| (id, peer(name))).into());
        imports.set_node(now, node(0));
        let link = ImportLink {
            policy: Arc::clone(&policy) as Arc<dyn ImportPolicy>,
            ..link("picky", &Arc::default(), on_error)
        };
        imports.replace_chain(now, [link]);
        Self {
            imports,
            policy,
            clock,
            versions: 0,
            told: BTreeMap::new(),
            piece: PIECE,
        }
    }

    fn step(&mut self, step: impl FnOnce(&mut Imports, Instant) -> Vec<ImportChange>) {
        self.imports.decide_in_pieces(self.piece);
        let now = *self.clock.lock().unwrap();
        for change in step(&mut self.imports, now) {
            let told = (change.version, change.accepted);
            self.told.insert((change.peer, change.prefix), told);
        }
    }

    fn announce(&mut self, peer: PeerId, prefixes: impl IntoIterator<Item = u16>) {
        self.versions += 1;
        let version = self.versions;
        let changes = prefixes.into_iter().map(|number| LearnedChange {
            peer,
            prefix: prefix(number),
            route: Some(route(version, 0)),
        });
        let changes = changes.collect();
        self.step(|imports, now| imports.learn(now, changes));
    }

    fn withdraw(&mut self, peer: PeerId, number: u16) {
        self.told.remove(&(peer, prefix(number)));
        let change = LearnedChange {
            peer,
            prefix: prefix(number),
            route: None,
        };
        self.step(|imports, now| imports.learn(now, vec![change]));
    }

    fn calls(&self) -> Vec<(usize, bool)> {
        std::mem::take(&mut self.policy.calls.lock().unwrap())
    }

    /// Goes on until nothing is left; an owner that finds a round long wants smaller pieces.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            let before = *self.clock.lock().unwrap();
            self.step(Imports::go_on);
            let quick = *self.clock.lock().unwrap() == before;
            self.piece = if quick {
                (self.piece * 2).min(PIECE)
            } else {
                (self.piece / 4).max(1)
            };
            if !self.imports.has_backlog() {
                return;
            }
        }
        panic!("there is no end to it");
    }

    fn pass(&mut self, seconds: u64) {
        *self.clock.lock().unwrap() += Duration::from_secs(seconds);
        self.step(Imports::retry);
    }

    fn pass_until_due(&mut self) {
        *self.clock.lock().unwrap() = self.imports.retry_at().unwrap();
        self.step(Imports::retry);
    }

    fn used(&self, peer: PeerId, number: u16) -> Option<u32> {
        let (_, accepted) = self.told.get(&(peer, prefix(number)))?;
        accepted.as_ref()?.attributes.local_pref
    }
}

#[test]
fn facts_of_the_node_are_taken_in_piece_by_piece_and_new_routes_at_once() {
    let mut bench = Bench::new(OnError::KeepLast);
    bench.announce(TOR, 0..50);
    bench.calls();
    bench.step(|imports, now| imports.set_node(now, node(7)));
    assert_eq!(bench.calls(), [(PIECE, false)], "no more than a piece");
    assert_eq!(
        (bench.used(TOR, 0), bench.used(TOR, 49)),
        (Some(7), Some(0))
    );
    bench.announce(SPINE, [60]);
    assert_eq!(bench.used(SPINE, 60), Some(7), "what is new does not wait");
    bench.finish();
    assert!(bench.calls().iter().all(|(count, _)| *count <= PIECE));
    assert!((0..50).all(|number| bench.used(TOR, number) == Some(7)));
    bench.step(Imports::go_on);
    assert_eq!(bench.calls(), [], "and that is all");
}

#[test]
fn facts_that_change_again_on_the_way_reach_every_route() {
    let mut bench = Bench::new(OnError::KeepLast);
    bench.announce(TOR, 0..30);
    bench.announce(SPINE, 0..30);
    for generation in 1..6 {
        bench.step(|imports, now| imports.set_node(now, node(generation)));
        bench.step(Imports::go_on);
    }
    bench.finish();
    for (peer, number) in [TOR, SPINE]
        .into_iter()
        .flat_map(|peer| (0..30).map(move |it| (peer, it)))
    {
        assert_eq!(bench.used(peer, number), Some(5), "{peer} {number}");
    }
}

#[test]
fn a_policy_that_fails_on_the_way_rejects_everything_in_the_end_where_it_is_to() {
    let mut bench = Bench::new(OnError::Withdraw);
    bench.announce(TOR, 0..50);
    bench.step(|imports, now| imports.set_node(now, node(3)));
    *bench.policy.broken.lock().unwrap() = true;
    bench.finish();
    assert!((0..50).all(|number| bench.used(TOR, number).is_none()));
    let link = bench.imports.links().next().unwrap();
    assert!(link.error.is_some());
    *bench.policy.broken.lock().unwrap() = false;
    bench.pass_until_due();
    let link = bench.imports.links().next().unwrap();
    assert!(
        link.error.is_some(),
        "it is on trial until all were asked about"
    );
    assert_eq!(
        bench.imports.retry_at(),
        None,
        "and not to be asked again before that"
    );
    bench.finish();
    assert!((0..50).all(|number| bench.used(TOR, number) == Some(3)));
    assert_eq!(bench.imports.links().next().unwrap().error, None);
}

/// The longest any round took in calls that ran out of time was three; at once, it is as many as it
/// takes to find it among all.
#[test]
fn a_route_that_runs_a_policy_out_of_time_is_found_over_several_rounds() {
    let mut bench = Bench::new(OnError::KeepLast);
    bench.piece = 4096;
    bench.announce(TOR, 0..10);
    bench.policy.bad.lock().unwrap().insert(prefix(1234));
    bench.announce(TOR, 0..4096);
    let longest = std::cell::Cell::new(slow(&bench.calls()));
    assert!(bench.imports.has_backlog(), "it was put off");
    assert_eq!(bench.used(TOR, 4000), None);
    for _ in 0..1000 {
        bench.step(Imports::go_on);
        let slow = slow(&bench.calls());
        longest.set(longest.get().max(slow));
        bench.piece = if slow == 0 {
            (bench.piece * 2).min(4096)
        } else {
            (bench.piece / 20).max(1)
        };
        if !bench.imports.has_backlog() {
            break;
        }
    }
    assert!(!bench.imports.has_backlog());
    assert!(
        longest.get() <= 3,
        "{} slow calls in one round",
        longest.get()
    );
    let held: Vec<_> = bench.imports.held().map(|held| *held.key).collect();
    assert_eq!(held, [prefix(1234)]);
    assert!((0..4096).all(|number| bench.used(TOR, number).is_some() == (number != 1234)));
    assert_eq!(bench.imports.links().next().unwrap().error, None);
}

fn slow(calls: &[(usize, bool)]) -> usize {
    calls.iter().filter(|(_, fails)| *fails).count()
}

#[derive(Clone, Debug)]
enum Op {
    Announce(PeerId, u16),
    Withdraw(PeerId, u16),
    Node(usize),
    Broken(bool),
    Bad(u16),
    Good,
    Pass(u64),
    GoOn,
}

fn op() -> impl Strategy<Value = Op> {
    let peer = prop_oneof![Just(TOR), Just(SPINE)];
    prop_oneof![
        4 => (peer.clone(), 0..40_u16).prop_map(|(peer, number)| Op::Announce(peer, number)),
        2 => (peer, 0..40_u16).prop_map(|(peer, number)| Op::Withdraw(peer, number)),
        2 => (0..9_usize).prop_map(Op::Node),
        1 => any::<bool>().prop_map(Op::Broken),
        1 => (0..40_u16).prop_map(Op::Bad),
        1 => Just(Op::Good),
        1 => (0..90_u64).prop_map(Op::Pass),
        4 => Just(Op::GoOn),
    ]
}

proptest! {
    #[test]
    fn in_the_end_everything_is_decided_by_what_is_known(
        ops in prop::collection::vec(op(), 0..60),
        withdraws in any::<bool>(),
    ) {
        let on_error = if withdraws { OnError::Withdraw } else { OnError::KeepLast };
        let mut bench = Bench::new(on_error);
        bench.announce(TOR, 0..30);
        let mut generation = 0;
        let mut there: BTreeSet<(PeerId, u16)> = (0..30).map(|number| (TOR, number)).collect();
        for op in ops {
            match op {
                Op::Announce(peer, number) => {
                    there.insert((peer, number));
                    bench.announce(peer, [number]);
                }
                Op::Withdraw(peer, number) => {
                    there.remove(&(peer, number));
                    bench.withdraw(peer, number);
                }
                Op::Node(next) => {
                    generation = next;
                    bench.step(|imports, now| imports.set_node(now, node(next)));
                }
                Op::Broken(broken) => *bench.policy.broken.lock().unwrap() = broken,
                Op::Bad(number) => {
                    bench.policy.bad.lock().unwrap().insert(prefix(number));
                }
                Op::Good => bench.policy.bad.lock().unwrap().clear(),
                Op::Pass(seconds) => bench.pass(seconds),
                Op::GoOn => bench.step(Imports::go_on),
            }
        }
        *bench.policy.broken.lock().unwrap() = false;
        bench.policy.bad.lock().unwrap().clear();
        for _ in 0..50 {
            bench.finish();
            bench.pass(400);
        }
        bench.finish();
        prop_assert_eq!(bench.imports.retry_at(), None);
        let expected = u32::try_from(generation).unwrap();
        for (peer, number) in &there {
            prop_assert_eq!(bench.used(*peer, *number), Some(expected), "{} {}", peer, number);
        }
        prop_assert_eq!(bench.told.len(), there.len());
    }
}
