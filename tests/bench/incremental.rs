//! What one Service's change costs in a cluster of 50,000, from its facts to the changes that the
//! speaker is given, beside the evaluation of all 100,000 candidates; and what it costs the kernel's
//! table of learned routes. Run with `cargo bench
//! --bench incremental`; the ratio is printed in any case.

mod cluster;
#[path = "../support/memory.rs"]
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;

use rutter::candidates::{AdvertiseConfig, Candidates};
use rutter::facts::{ClusterChange, ClusterView, NodeFacts, ServiceKey, StringMap};
use rutter::fib::{Fib, KernelView, Ownership, Target};
use rutter::policy::{
    Audience, ExportChange, Exports, Limits, Link, Mode, OnError, PeerGroup, PeerGroups, PeerKind,
    Shadows,
};
use rutter::types::{Asn, GroupId, Hop, InterfaceIndex, OwnBlocks, Prefix};
use rutter::wasm::{Engine, Module, WasmPolicy};

/// Loses and gets back its endpoint on the node: with Local traffic, that withdraws and announces.
const CHANGING: u32 = 24_000;

/// Services' addresses, and as many learned routes.
const ROUTES: u32 = 10_000;

/// A node's route decisions in a large cluster, towards one group of peers.
struct Node {
    view: ClusterView,
    candidates: Candidates,
    exports: Exports,
    changing: ServiceKey,
}

impl Node {
    fn new(links: Vec<Link>) -> Self {
        let services = (0..cluster::SERVICES).map(cluster::service);
        let view = ClusterView {
            node: Some(Arc::new(NodeFacts::default())),
            services: services
                .map(|service| (service.key.clone(), Arc::new(service)))
                .collect(),
            ..ClusterView::default()
        };
        let range = |text: &str| vec![text.parse().expect("a prefix")];
        let mut node = Self {
            view,
            candidates: Candidates::new(AdvertiseConfig {
                service_cluster_cidrs: range(cluster::CLUSTER_RANGE),
                service_load_balancer_cidrs: range(cluster::LOAD_BALANCER_RANGE),
                ..AdvertiseConfig::default()
            }),
            exports: Exports::new(Asn(64512)),
            changing: cluster::service(CHANGING).key,
        };
        let peers = PeerGroup {
            name: "tors".to_owned(),
            asn: Asn(64513),
            kind: PeerKind::Ebgp,
            labels: StringMap::new(),
        };
        let groups = PeerGroups {
            groups: [(GroupId(0), peers)].into(),
            ..PeerGroups::default()
        };
        node.exports.set_groups(now(), groups);
        node.exports.replace_chain(now(), links);
        let services = node.view.services.keys().cloned();
        let everything: Vec<_> = std::iter::once(ClusterChange::Node)
            .chain(services.map(ClusterChange::Service))
            .collect();
        let announced = node.take(&everything).len();
        // The two ranges are candidates, too.
        let expected = 2 * cluster::SERVICES as usize + 2;
        assert_eq!(node.exports.candidates().count(), expected);
        assert!(announced > 1000, "{announced} routes are announced");
        node
    }

    fn take(&mut self, changes: &[ClusterChange]) -> Vec<ExportChange> {
        let candidates = self.candidates.apply(&self.view, changes);
        let node = self.view.node.clone();
        self.exports.update(now(), node, candidates)
    }

    /// One Service's endpoint comes or goes.
    fn change_one(&mut self) -> Vec<ExportChange> {
        let service = self.view.services.get_mut(&self.changing);
        let service = Arc::make_mut(service.expect("it is there"));
        service.node_endpoints.ipv4.ready ^= 1;
        let changes = self.take(&[ClusterChange::Service(self.changing.clone())]);
        assert_eq!(changes.len(), 2, "its two addresses");
        changes
    }

    /// Something about the node changes, which every decision may depend on.
    fn change_all(&mut self) -> Vec<ExportChange> {
        let node = self.view.node.as_mut().expect("it is there");
        let labels = &mut Arc::make_mut(node).labels;
        let before = labels.get("generation").map_or(0, String::len);
        labels.insert("generation".to_owned(), "x".repeat((before + 1) % 8));
        self.take(&[ClusterChange::Node])
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

fn link(engine: &Engine, name: &str, mode: Mode) -> Link {
    let module = Module::builtin(engine, name).expect("the default policy");
    let policy = WasmPolicy::new(&module, &json!({}), Limits::DEFAULT).expect("no settings");
    Link {
        name: name.into(),
        module: "builtin:default".to_owned(),
        settings: Arc::default(),
        policy: Arc::new(policy),
        on_error: OnError::KeepLast,
        limits: Limits::DEFAULT,
        audience: Audience::Everyone,
        mode,
    }
}

fn incremental(c: &mut Criterion) {
    let engine = Engine::new().expect("an engine");
    print_memory(&engine);
    let mut node = Node::new(vec![link(&engine, "default", Mode::Enforce)]);
    print_ratio(&mut node);
    let mut group = c.benchmark_group("export");
    group.sample_size(10);
    group.throughput(Throughput::Elements(1));
    group.bench_function("one Service", |b| b.iter(|| black_box(node.change_one())));
    group.throughput(Throughput::Elements(u64::from(cluster::SERVICES)));
    group.bench_function("all Services", |b| b.iter(|| black_box(node.change_all())));
    group.finish();
}

/// With a policy in shadow mode: what the chain in force pays to show what it decided, and what
/// the comparison costs on its own thread.
fn shadow(c: &mut Criterion) {
    let engine = Engine::new().expect("an engine");
    let links = [("default", Mode::Enforce), ("next", Mode::Shadow)];
    let mut node = Node::new(links.map(|(name, mode)| link(&engine, name, mode)).into());
    let mut shadows = Shadows::default();
    shadows.observe(now(), node.exports.observe().expect("all is new"));
    let mut group = c.benchmark_group("shadow");
    group.sample_size(10);
    group.bench_function("one Service, chain in force", |b| {
        b.iter(|| {
            node.change_one();
            black_box(node.exports.observe())
        });
    });
    group.bench_function("one Service, comparison", |b| {
        b.iter_batched(
            || {
                node.change_one();
                node.exports.observe().expect("a Service changed")
            },
            |seen| shadows.observe(now(), seen),
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Prints what a node's facts, candidates and decisions take of the process' memory. Comes first:
/// what an earlier part gave back would be taken again without being seen.
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn print_memory(engine: &Engine) {
    let empty = memory::of("self", "VmRSS");
    let node = Node::new(vec![link(engine, "default", Mode::Enforce)]);
    println!(
        "memory: facts, candidates and decisions of {} Services, {} MiB",
        node.view.services.len(),
        (memory::of("self", "VmRSS") - empty) >> 20
    );
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn print_ratio(node: &mut Node) {
    let one = median(1001, || node.change_one());
    let all = median(11, || node.change_all());
    println!(
        "ratio: one Service of {} {:.1} us, all of them {:.1} ms, {:.0} times",
        cluster::SERVICES,
        one.as_secs_f64() * 1e6,
        all.as_secs_f64() * 1e3,
        all.as_secs_f64() / one.as_secs_f64()
    );
}

fn median(rounds: usize, mut work: impl FnMut() -> Vec<ExportChange>) -> Duration {
    let mut timed = || {
        let start = now();
        let changes = black_box(work());
        let took = now() - start;
        drop(changes);
        took
    };
    let mut times: Vec<Duration> = (0..rounds).map(|_| timed()).collect();
    times.sort_unstable();
    times[rounds / 2]
}

/// What one Service costs the kernel's table, beside learned routes that it has nothing to do with:
/// told by itself, and told with all others.
fn learned_routes(c: &mut Criterion) {
    let prefix = |number: u32, length| {
        let address = std::net::Ipv4Addr::from_bits(number);
        let net = ipnet::Ipv4Net::new(address, length).expect("a length");
        Prefix::from(net)
    };
    let hops = BTreeSet::from([Hop {
        gateway: [10, 9, 0, 1].into(),
        interface: InterfaceIndex(2),
    }]);
    let services = (0..ROUTES).map(|n| prefix(0x0A60_0000 + n, 32));
    let owned = |prefix| (prefix, Ownership::Services);
    let services: BTreeMap<Prefix, Ownership> = services.map(owned).collect();
    let mut fib = Fib::new(4096, OwnBlocks::Leave);
    fib.kernel_is(KernelView::default());
    fib.own_is(now(), services.clone());
    for number in 0..ROUTES {
        let target = Target::Hops(hops.clone());
        fib.want(prefix(0x6440_0000 + (number << 8), 24), Some(Ok(target)));
    }
    let added = fib.changes(now(), usize::MAX);
    assert_eq!(added.len(), ROUTES as usize);
    for change in added {
        fib.done(change);
    }
    assert_eq!(fib.changes(now(), usize::MAX), []);
    let changing = prefix(0x0A6F_0000, 32);
    let mut group = c.benchmark_group("learned routes");
    group.bench_function("one Service", |b| {
        b.iter(|| {
            for ownership in [Some(Ownership::Services), None] {
                fib.own_changed([(changing, ownership)]);
                black_box(fib.changes(now(), usize::MAX));
            }
        });
    });
    group.bench_function("one Service, told with all", |b| {
        b.iter(|| {
            let mut more = services.clone();
            more.insert(changing, Ownership::Services);
            for own in [more, services.clone()] {
                fib.own_is(now(), own);
                black_box(fib.changes(now(), usize::MAX));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, incremental, shadow, learned_routes);
criterion_main!(benches);
