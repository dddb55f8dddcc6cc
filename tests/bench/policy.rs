//! What the sandbox costs: the default policy over a large cluster, over one candidate, and how
//! long a module takes to load, with the same rule in Rust beside it and the ratio of the two;
//! and the costs of the policies beside it. Run with `cargo bench --bench policy`, or with the
//! name of a module as an argument; the ratios are printed in any case.

mod cluster;
#[path = "../support/guests.rs"]
mod guests;
mod native;

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;

use rutter::candidates::{AddressKind, AdvertiseConfig, Candidate, CandidateKey, Origin, serving};
use rutter::facts::NodeFacts;
use rutter::policy::{Batch, Decision, PeerGroup, PeerKind, ProposedRoute, Reasons, RoutePolicy};
use rutter::types::{Asn, Prefix, RouteAttributes};
use rutter::wasm::{Engine, Limits, Module, WasmPolicy};

fn default_policy(c: &mut Criterion) {
    let engine = Engine::new().expect("an engine");
    c.bench_function("load", |b| {
        b.iter(|| Module::builtin(&engine, "default").expect("the default policy"));
    });

    let folder = tempfile::tempdir().expect("a folder");
    let caching = Engine::new().expect("an engine");
    let caching = caching.caching(&folder.path().join("compiled"));
    Module::builtin(&caching, "default").expect("the default policy");
    assert_eq!(caching.cache_fault(), None, "compiled code is kept");
    c.bench_function("load, compiled before", |b| {
        b.iter(|| Module::builtin(&caching, "default").expect("the default policy"));
    });

    let module = Module::builtin(&engine, "default").expect("the default policy");
    let mut policy = WasmPolicy::new(&module, &json!({}), Limits::default()).expect("no settings");
    let candidates: Vec<_> = (0..cluster::SERVICES).flat_map(addresses_of).collect();
    let attributes = Arc::new(RouteAttributes::default());
    let routes: Vec<_> = candidates
        .iter()
        .map(|candidate| ProposedRoute {
            candidate,
            attributes: &attributes,
        })
        .collect();
    check_alike(&mut policy, &routes);
    load_ratio(&engine, &caching);
    ratios(&mut policy, &routes);
    for (name, size, reasons) in [
        ("one candidate", 1, Reasons::Wanted),
        (
            "50,000 services, no reasons",
            routes.len(),
            Reasons::Unwanted,
        ),
        ("50,000 services, reasons", routes.len(), Reasons::Wanted),
    ] {
        let mut group = c.benchmark_group("evaluate");
        group
            .throughput(Throughput::Elements(size as u64))
            .sample_size(10);
        group.bench_function(name, |b| {
            b.iter_batched(
                || &routes[..size],
                |routes| black_box(evaluate(&mut policy, routes, reasons)),
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

/// Prints what a warm start saves: the median times of both, taken in turns.
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn load_ratio(compiling: &Engine, caching: &Engine) {
    const ROUNDS: usize = 21;
    let load = |engine| {
        timed(|| {
            Module::builtin(engine, "default").expect("the default policy");
            Vec::new()
        })
    };
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        times[0].push(load(compiling));
        times[1].push(load(caching));
    }
    let [cold, warm] = times.map(|times| median_us(times) / 1e3);
    println!(
        "ratio: load, compiling {cold:.2} ms, compiled before {warm:.2} ms, {:.1} times",
        cold / warm
    );
}

fn median_us(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// Prints the price of the sandbox: the median times of both, taken in turns.
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn ratios(policy: &mut WasmPolicy, routes: &[ProposedRoute<'_>]) {
    for (size, reasons) in [
        (1, Reasons::Wanted),
        (routes.len(), Reasons::Unwanted),
        (routes.len(), Reasons::Wanted),
    ] {
        let routes = &routes[..size];
        let rounds = if size == 1 { 2001 } else { 21 };
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            times[0].push(timed(|| evaluate(policy, routes, reasons)));
            times[1].push(timed(|| evaluate(&mut native::Native, routes, reasons)));
        }
        let [module, native] = times.map(|times| median_us(times) / size as f64);
        println!(
            "ratio: {size} candidates, reasons {reasons:?}: module {module:.3} us, \
             native {native:.3} us a candidate, {:.1} times",
            module / native
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn timed(work: impl FnOnce() -> Vec<Decision>) -> Duration {
    let start = Instant::now();
    let decisions = black_box(work());
    let took = start.elapsed();
    drop(decisions);
    took
}

fn check_alike(policy: &mut WasmPolicy, routes: &[ProposedRoute<'_>]) {
    let modules = evaluate(policy, routes, Reasons::Unwanted);
    let natives = evaluate(&mut native::Native, routes, Reasons::Unwanted);
    assert_eq!(modules, natives, "both rules decide alike");
}

fn evaluate(
    policy: &mut impl RoutePolicy,
    routes: &[ProposedRoute<'_>],
    reasons: Reasons,
) -> Vec<Decision> {
    let decisions = policy.evaluate(&Batch {
        node: &NodeFacts::default(),
        asn: Asn(64512),
        peer_group: &PeerGroup {
            name: "tor".into(),
            asn: Asn(64513),
            kind: PeerKind::Ebgp,
            labels: [].into(),
        },
        candidates: routes,
        reasons,
    });
    decisions.expect("the default policy decides")
}

/// The cluster IP and the load-balancer IP of a Service.
fn addresses_of(number: u32) -> [Candidate; 2] {
    let facts = Arc::new(cluster::service(number));
    let config = AdvertiseConfig::default();
    let candidate = |address: IpAddr, range: &str, kind| Candidate {
        key: CandidateKey {
            prefix: Prefix::host(address),
            origin: Origin::ServiceAddress {
                service: facts.key.clone(),
                address: kind,
            },
        },
        service: Some(Arc::clone(&facts)),
        serving: Some(serving(&facts, kind, address, &config)),
        covered_by: Some(range.parse().expect("a prefix")),
    };
    [
        candidate(
            facts.cluster_ips[0],
            cluster::CLUSTER_RANGE,
            AddressKind::ClusterIp,
        ),
        candidate(
            facts.load_balancer_ips[0].address,
            cluster::LOAD_BALANCER_RANGE,
            AddressKind::LoadBalancerIp,
        ),
    ]
}

/// Each module with settings that make it look at every candidate. `load` is from bytes to a
/// module that can be asked: compiling, checking, describing.
fn other_policies(c: &mut Criterion) {
    let engine = Engine::new().expect("an engine");
    let candidates: Vec<_> = (0..cluster::SERVICES).flat_map(addresses_of).collect();
    let attributes = Arc::new(RouteAttributes::default());
    let routes: Vec<_> = candidates
        .iter()
        .map(|candidate| ProposedRoute {
            candidate,
            attributes: &attributes,
        })
        .collect();
    for (name, settings) in [
        (
            "allow-list",
            json!({"tenants": [{"name": "all", "namespaces": ["team-*"],
            "ranges": ["10.96.0.0/12", "198.18.0.0/15"]}]}),
        ),
        (
            "anycast-med",
            json!({"steps": [{"endpoints": 0, "med": 100},
            {"endpoints": 1, "med": 0}]}),
        ),
        (
            "calico-filter",
            json!({"exportV4": [
            {"action": "Reject", "cidr": "10.0.0.0/8", "matchOperator": "In"},
            {"action": "Accept", "operations": [{"addCommunity": {"value": "64512:1"}}]}]}),
        ),
        (
            "communities",
            json!({"rules": [{"match": {"labels": {"team": "*"}},
            "add": ["64512:1"]}]}),
        ),
        ("graceful-drain", json!({"shutdown": {"cordoned": true}})),
        ("allowed-ports", json!({"tcp": [80, 443]})),
        (
            "name-rules",
            json!({"rules": [{"labels": {"team": "^value-"}, "then": "accept"}]}),
        ),
        ("weighted-ecmp", json!({})),
    ] {
        let bytes = guests::compiled(name);
        let load = || Module::from_bytes(&engine, name, &bytes).expect("a policy");
        let mut policy =
            WasmPolicy::new(&load(), &settings, Limits::default()).expect("good settings");
        let mut group = c.benchmark_group(name);
        group.sample_size(10);
        group.bench_function("load", |b| b.iter(load));
        for (what, size) in [("one candidate", 1), ("50,000 services", routes.len())] {
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(what, |b| {
                b.iter(|| black_box(evaluate(&mut policy, &routes[..size], Reasons::Unwanted)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, default_policy, other_policies);
criterion_main!(benches);
