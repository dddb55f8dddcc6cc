//! The table against a kernel in memory that does what Linux does, and refuses what it refuses.

mod pools;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::types::{Hop, InterfaceIndex, OwnBlocks, Prefix};

const METRIC: u32 = 4096;
const SECOND: Duration = Duration::from_secs(1);

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn prefixes(texts: &[&str]) -> BTreeSet<Prefix> {
    texts.iter().map(|text| prefix(text)).collect()
}

fn key(text: &str) -> RouteKey {
    RouteKey {
        prefix: prefix(text),
        metric: METRIC,
    }
}

fn hops(addresses: &[&str]) -> BTreeSet<Hop> {
    let hop = |address: &&str| Hop {
        gateway: address.parse().unwrap(),
        interface: InterfaceIndex(2),
    };
    addresses.iter().map(hop).collect()
}

fn via(addresses: &[&str]) -> Target {
    Target::Hops(hops(addresses))
}

/// The node's pods and Services of the cluster, a prefix each.
fn own(blocks: &[&str], services: &[&str]) -> BTreeMap<Prefix, Ownership> {
    let blocks = blocks.iter().map(|text| (prefix(text), Ownership::Block));
    let services = services.iter();
    let services = services.map(|text| (prefix(text), Ownership::Services));
    blocks.chain(services).collect()
}

#[derive(Clone, Debug, Default)]
struct Kernel {
    ours: BTreeMap<RouteKey, Target>,
    foreign: BTreeSet<RouteKey>,
    /// Takes no change of these.
    broken: BTreeSet<Prefix>,
}

impl Kernel {
    fn view(&self) -> KernelView {
        KernelView {
            routes: self.ours.clone(),
            connected: prefixes(&["10.9.0.0/24", "10.9.0.11/32", "fd09::/64"]),
            tunnel: None,
        }
    }

    fn apply(&mut self, change: &Change) -> Result<(), String> {
        if self.broken.contains(&change.key().prefix) {
            return Err("Cannot allocate memory".to_owned());
        }
        match change {
            Change::Add { key, target } => {
                if self.foreign.contains(key) || self.ours.contains_key(key) {
                    return Err("File exists".to_owned());
                }
                self.ours.insert(*key, target.clone());
            }
            Change::Replace { key, target } => {
                let ours = self.ours.get_mut(key).ok_or("No such file or directory")?;
                ours.clone_from(target);
            }
            Change::Remove(key) => {
                self.ours.remove(key).ok_or("No such process")?;
            }
        }
        Ok(())
    }
}

/// A table, its kernel and the time.
struct Bench {
    fib: Fib,
    kernel: Kernel,
    now: Instant,
}

impl Bench {
    /// A process that just started beside a kernel with these routes.
    #[expect(clippy::disallowed_methods, reason = "a test needs some first instant")]
    fn start(kernel: Kernel) -> Self {
        let mut bench = Self {
            fib: Fib::new(METRIC, OwnBlocks::Leave),
            kernel,
            now: Instant::now(),
        };
        bench.read();
        bench.fib.own_is(bench.now, own(&["10.244.1.0/24"], &[]));
        bench
    }

    fn read(&mut self) {
        self.fib.kernel_is(self.kernel.view());
    }

    /// By these gateways; without any, nothing is wanted.
    fn want(&mut self, text: &str, addresses: &[&str]) {
        let wanted = (!addresses.is_empty()).then(|| Ok(via(addresses)));
        self.fib.want(prefix(text), wanted);
    }

    fn state(&self, text: &str, addresses: &[&str]) -> PathState {
        self.fib.path_state(prefix(text), &Ok(via(addresses)))
    }

    /// Does what there is to do; returns it, and what was refused.
    fn settle(&mut self) -> Vec<Change> {
        let mut done = Vec::new();
        loop {
            let changes = self.fib.changes(self.now, 3);
            if changes.is_empty() {
                return done;
            }
            for change in changes {
                match self.kernel.apply(&change) {
                    Ok(()) => self.fib.done(change.clone()),
                    Err(words) => self.fib.refused(self.now, &change, words),
                }
                done.push(change);
                assert!(done.len() < 1000, "no end: {done:?}");
            }
        }
    }

    fn holds(&self, text: &str) -> Option<&Target> {
        self.kernel.ours.get(&key(text))
    }
}

#[test]
fn a_route_is_added_replaced_in_one_step_and_removed() {
    let mut bench = Bench::start(Kernel::default());
    let route = key("100.64.0.0/16");
    bench.want("100.64.0.0/16", &["10.9.0.1", "10.9.0.2"]);
    let target = via(&["10.9.0.1", "10.9.0.2"]);
    assert_eq!(bench.settle(), [Change::Add { key: route, target }]);
    bench.want("100.64.0.0/16", &["10.9.0.2"]);
    let target = via(&["10.9.0.2"]);
    assert_eq!(bench.settle(), [Change::Replace { key: route, target }]);
    bench.want("100.64.0.0/16", &["10.9.0.2"]);
    assert_eq!(bench.settle(), []);
    bench.want("100.64.0.0/16", &[]);
    assert_eq!(bench.settle(), [Change::Remove(route)]);
    assert_eq!(bench.fib.counts(), Counts::default());
}

#[test]
fn nothing_is_done_before_the_node_s_own_prefixes_are_known() {
    let mut bench = Bench::start(Kernel::default());
    bench.fib = Fib::new(METRIC, OwnBlocks::Leave);
    bench.read();
    bench.want("100.64.0.0/16", &["10.9.0.1"]);
    assert!(!bench.fib.is_ready());
    assert_eq!(bench.settle(), []);
    bench.fib.own_is(bench.now, BTreeMap::new());
    assert_eq!(bench.settle().len(), 1);
}

#[test]
fn what_is_the_node_s_own_or_connected_gets_no_route_and_a_shorter_one_does() {
    let mut bench = Bench::start(Kernel::default());
    for (text, words) in [
        (
            "10.244.1.0/24",
            "it is in 10.244.1.0/24, which is this node's own",
        ),
        (
            "10.244.1.7/32",
            "it is in 10.244.1.0/24, which is this node's own",
        ),
        (
            "10.9.0.0/24",
            "it is in 10.9.0.0/24, which this node is connected to",
        ),
        (
            "10.9.0.1/32",
            "it is in 10.9.0.0/24, which this node is connected to",
        ),
        (
            "fd09::/80",
            "it is in fd09::/64, which this node is connected to",
        ),
    ] {
        let next_hop = if text.contains(':') {
            "fd09::1"
        } else {
            "10.9.0.1"
        };
        bench.want(text, &[next_hop]);
        assert_eq!(bench.settle(), [], "{text}");
        let state = bench.state(text, &[next_hop]);
        assert_eq!(state, PathState::Unfit(words.to_owned()));
    }
    assert_eq!(bench.fib.counts().unfit, 5);
    for text in ["0.0.0.0/0", "10.244.0.0/16", "10.9.0.0/16"] {
        bench.want(text, &["10.9.0.1"]);
        assert_eq!(bench.settle().len(), 1, "{text}");
    }
}

#[test]
fn a_route_goes_when_its_prefix_becomes_the_node_s_own() {
    let mut bench = Bench::start(Kernel::default());
    bench.want("10.96.0.10/32", &["10.9.0.1"]);
    bench.settle();
    let own = own(&["10.244.1.0/24"], &["10.96.0.10/32"]);
    bench.fib.own_is(bench.now, own);
    assert_eq!(bench.settle(), [Change::Remove(key("10.96.0.10/32"))]);
    bench.fib.own_is(bench.now, BTreeMap::new());
    assert_eq!(
        bench.settle().len(),
        1,
        "and returns when it is not any more"
    );
}

#[test]
fn a_change_of_the_node_s_prefixes_concerns_only_what_is_inside_them() {
    let mut bench = Bench::start(Kernel::default());
    for text in ["10.96.0.0/16", "10.96.0.10/32", "10.97.0.0/16"] {
        bench.want(text, &["10.9.0.1"]);
    }
    bench.settle();
    let concerned = |bench: &Bench| bench.fib.concerned();
    assert_eq!(concerned(&bench), 0);
    let range = prefix("10.96.0.0/16");
    bench.fib.own_changed([(range, Some(Ownership::Services))]);
    assert_eq!(concerned(&bench), 2);
    assert_eq!(bench.settle().len(), 2);
    bench.fib.own_changed([(range, Some(Ownership::Services))]);
    assert_eq!(concerned(&bench), 0, "it was before");
    bench
        .fib
        .own_changed([(prefix("10.96.0.10/32"), Some(Ownership::Services))]);
    assert_eq!(concerned(&bench), 1);
    assert_eq!(bench.settle(), []);
    bench.fib.own_changed([(range, None)]);
    assert_eq!(bench.settle().len(), 1, "the /32 is still the node's own");
    // The same by whole sets, and of a kernel that is read again and again.
    let own = own(&[], &["10.96.0.10/32", "10.97.0.0/24"]);
    bench.fib.own_is(bench.now, own);
    assert_eq!(
        concerned(&bench),
        0,
        "nothing was learned inside the new one"
    );
    bench.read();
    assert_eq!(
        concerned(&bench),
        0,
        "the kernel has what it was thought to have"
    );
    bench.kernel.ours.remove(&key("10.97.0.0/16"));
    bench.read();
    assert_eq!(concerned(&bench), 1);
}

#[test]
fn a_path_is_installed_whose_ways_are_all_there() {
    let mut bench = Bench::start(Kernel::default());
    let route = "100.64.0.0/16";
    bench.want(route, &["10.9.0.1", "10.9.0.2"]);
    assert_eq!(bench.state(route, &["10.9.0.1"]), PathState::Pending);
    bench.settle();
    assert_eq!(bench.state(route, &["10.9.0.1"]), PathState::Installed);
    let both = bench.state(route, &["10.9.0.1", "10.9.0.2"]);
    assert_eq!(both, PathState::Installed);
    assert_eq!(bench.state(route, &["10.9.0.3"]), PathState::Pending);
}

#[test]
fn while_the_way_to_a_next_hop_is_not_known_what_the_kernel_has_stays() {
    let kernel = Kernel {
        ours: [(key("100.64.0.0/16"), via(&["10.9.0.1"]))].into(),
        ..Kernel::default()
    };
    let mut bench = Bench::start(kernel);
    let unknown = |bench: &mut Bench, text| {
        bench.fib.want(prefix(text), Some(Err(Unfit::UnknownWay)));
        assert_eq!(bench.settle(), []);
        let words = "the way to its next hop is not known";
        let state = bench.fib.path_state(prefix(text), &Err(Unfit::UnknownWay));
        assert_eq!(state, PathState::Unfit(words.to_owned()));
    };
    unknown(&mut bench, "100.64.0.0/16");
    unknown(&mut bench, "100.65.0.0/16");
    assert_eq!(bench.fib.counts().unfit, 2);
    // Neither goes what a former process left when all peers had their say.
    bench.fib.peers_are_complete();
    assert_eq!(bench.settle(), []);
    bench.want("100.64.0.0/16", &["10.9.0.2"]);
    assert_eq!(bench.settle().len(), 1, "once it is known, it is taken up");
    unknown(&mut bench, "100.64.0.0/16");
    assert_eq!(bench.holds("100.64.0.0/16"), Some(&via(&["10.9.0.2"])));
    bench.want("100.64.0.0/16", &[]);
    assert_eq!(bench.settle(), [Change::Remove(key("100.64.0.0/16"))]);
}

#[test]
fn another_program_s_route_is_not_replaced_and_does_not_hold_up_others() {
    let kernel = Kernel {
        foreign: [key("100.64.0.0/16")].into(),
        ..Kernel::default()
    };
    let mut bench = Bench::start(kernel);
    bench.want("100.64.0.0/16", &["10.9.0.1"]);
    bench.want("100.65.0.0/16", &["10.9.0.1"]);
    bench.settle();
    assert_eq!(bench.holds("100.64.0.0/16"), None);
    assert!(bench.holds("100.65.0.0/16").is_some());
    let state = bench.state("100.64.0.0/16", &["10.9.0.1"]);
    assert_eq!(state, PathState::Refused("File exists".to_owned()));
}

#[test]
fn a_refused_route_is_tried_again_after_pauses_that_grow_to_a_minute() {
    let kernel = Kernel {
        broken: prefixes(&["100.64.0.0/16"]),
        ..Kernel::default()
    };
    let mut bench = Bench::start(kernel);
    bench.fib.peers_are_complete();
    bench.want("100.64.0.0/16", &["10.9.0.1"]);
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(bench.settle().len(), 1);
        let next = bench.fib.poll_timeout().unwrap();
        assert_eq!(next, bench.now + SECOND * pause);
        bench.now = next - Duration::from_millis(1);
        assert_eq!(bench.settle(), [], "not before");
        bench.now = next;
    }
    // What it depends on has changed.
    bench.settle();
    bench.kernel.broken.clear();
    bench.read();
    assert_eq!(bench.settle(), [], "reading alone is no reason");
    bench.fib.retry_all(bench.now);
    assert_eq!(bench.settle().len(), 1);
    assert_eq!(bench.fib.counts().refused, 0);
    assert_eq!(bench.fib.counts().failures, 9);
    assert_eq!(bench.fib.poll_timeout(), None);
}

#[test]
fn a_route_whose_successor_is_refused_goes_unless_a_next_hop_of_it_is_still_announced() {
    for (successor, stays) in [
        (["10.9.0.2", "10.9.0.3"], true),
        (["10.9.0.3", "10.9.0.4"], false),
    ] {
        let mut bench = Bench::start(Kernel::default());
        bench.want("100.64.0.0/16", &["10.9.0.1", "10.9.0.2"]);
        bench.settle();
        bench.want("100.64.0.0/16", &successor);
        let [replace] = &bench.fib.changes(bench.now, 9)[..] else {
            panic!("one change");
        };
        bench
            .fib
            .refused(bench.now, replace, "Cannot allocate memory".to_owned());
        bench.settle();
        assert_eq!(bench.holds("100.64.0.0/16").is_some(), stays);
        bench.now += SECOND;
        bench.settle();
        assert_eq!(bench.holds("100.64.0.0/16"), Some(&via(&successor)));
        assert_eq!(bench.fib.counts().refused, 0);
    }
}

#[test]
fn what_somebody_deleted_or_changed_by_hand_comes_back() {
    let mut bench = Bench::start(Kernel::default());
    bench.want("100.64.0.0/16", &["10.9.0.1"]);
    bench.want("100.65.0.0/16", &["10.9.0.1"]);
    bench.settle();
    let before = bench.kernel.ours.clone();
    bench.kernel.ours.remove(&key("100.64.0.0/16"));
    bench
        .kernel
        .ours
        .insert(key("100.65.0.0/16"), via(&["10.9.0.7"]));
    bench
        .kernel
        .ours
        .insert(key("100.66.0.0/16"), via(&["10.9.0.7"]));
    bench.read();
    bench.settle();
    assert_eq!(bench.kernel.ours, before);
}

/// A kernel as a former process left it.
fn left() -> Kernel {
    let other_metric = RouteKey {
        metric: 7,
        ..key("100.64.0.0/16")
    };
    let routes = [
        (key("100.64.0.0/16"), via(&["10.9.0.1"])),
        (other_metric, via(&["10.9.0.1"])),
        (key("100.65.0.0/16"), via(&["10.9.0.1"])),
        (key("10.244.1.5/32"), via(&["10.9.0.1"])),
    ];
    Kernel {
        ours: routes.into(),
        ..Kernel::default()
    }
}

#[test]
fn routes_of_a_former_process_stay_until_the_peers_had_their_say() {
    let mut bench = Bench::start(left());
    // But for what must not be there.
    assert_eq!(bench.settle(), [Change::Remove(key("10.244.1.5/32"))]);
    assert_eq!(bench.fib.counts().leftovers, 3);
    // A peer announces what is there: it is not touched, only the one of another metric goes.
    bench.want("100.64.0.0/16", &["10.9.0.1"]);
    let other_metric = RouteKey {
        metric: 7,
        ..key("100.64.0.0/16")
    };
    assert_eq!(bench.settle(), [Change::Remove(other_metric)]);
    // A path that the kernel may not have says nothing about the former one.
    bench.want("100.65.0.0/16", &[]);
    assert_eq!(bench.settle(), []);
    bench.fib.peers_are_complete();
    assert_eq!(bench.settle(), [Change::Remove(key("100.65.0.0/16"))]);
    assert!(!bench.fib.awaits_peers());
}

#[test]
fn what_is_withdrawn_goes_although_the_peers_are_not_complete() {
    let mut bench = Bench::start(left());
    bench.want("100.65.0.0/16", &["10.9.0.1"]);
    bench.settle();
    bench.want("100.65.0.0/16", &[]);
    assert_eq!(bench.settle(), [Change::Remove(key("100.65.0.0/16"))]);
}

#[test]
fn peers_that_never_come_are_waited_for_two_minutes_from_when_facts_are_there() {
    let mut bench = Bench::start(left());
    let started = bench.now;
    bench.settle();
    bench.now = started + SECOND * 119;
    assert_eq!(bench.settle(), []);
    assert_eq!(bench.fib.poll_timeout(), Some(started + SECOND * 120));
    bench.now = started + SECOND * 120;
    assert_eq!(bench.settle().len(), 3);
    assert_eq!(bench.kernel.ours, BTreeMap::new());

    let mut without_facts = Fib::new(METRIC, OwnBlocks::Leave);
    without_facts.kernel_is(left().view());
    assert_eq!(without_facts.changes(started + SECOND * 100_000, 9), []);
    assert_eq!(without_facts.poll_timeout(), None);
}

#[test]
fn a_table_that_removes_leaves_nothing_of_ours() {
    let mut bench = Bench::start(left());
    bench.fib = Fib::removing(METRIC, OwnBlocks::Leave);
    bench.read();
    assert_eq!(bench.settle().len(), 4);
    assert_eq!(bench.kernel.ours, BTreeMap::new());
}

#[test]
fn what_is_of_the_cluster_s_services_gets_no_route_whoever_announces_it() {
    let mut bench = Bench::start(left());
    let services = own(&[], &["10.96.0.0/12", "192.0.2.7/32", "100.65.0.0/16"]);
    bench.fib.own_is(bench.now, services);
    for (text, within) in [
        ("10.96.0.10/32", "10.96.0.0/12"),
        ("10.96.0.0/12", "10.96.0.0/12"),
        ("192.0.2.7/32", "192.0.2.7/32"),
    ] {
        bench.want(text, &["10.9.0.1"]);
        let words = format!(
            "it is in {within}, which is of the cluster's Services: this node answers itself"
        );
        assert_eq!(bench.state(text, &["10.9.0.1"]), PathState::Unfit(words));
    }
    bench.want("192.0.2.0/24", &["10.9.0.1"]);
    bench.settle();
    assert!(bench.holds("192.0.2.0/24").is_some());
    let there: Vec<String> = bench
        .kernel
        .ours
        .keys()
        .map(|key| key.prefix.to_string())
        .collect();
    let leftovers = ["10.244.1.5/32", "100.64.0.0/16", "100.64.0.0/16"];
    assert_eq!(
        there[..3],
        leftovers,
        "one that was left there goes at once"
    );
    assert_eq!(there[3..], ["192.0.2.0/24"]);
}

#[test]
fn a_block_of_the_node_s_own_is_a_blackhole_while_it_is_one() {
    let mut bench = Bench::start(Kernel::default());
    bench.fib = Fib::new(METRIC, OwnBlocks::Discard);
    bench.read();
    let block = key("10.244.1.0/24");
    let both = own(&["10.244.1.0/24", "10.9.0.64/26"], &["10.96.0.0/12"]);
    bench.fib.own_is(bench.now, both);
    let target = Target::Blackhole;
    // Also where the node is connected to it: a bridge's network goes with the last pod.
    let blackhole = |key| Change::Add {
        key,
        target: Target::Blackhole,
    };
    let expected = [blackhole(key("10.9.0.64/26")), blackhole(block)];
    assert_eq!(bench.settle(), expected);
    // What somebody announces there changes nothing, and is told.
    bench.want("10.244.1.0/24", &["10.9.0.1"]);
    assert_eq!(bench.settle(), []);
    assert_eq!(bench.holds("10.244.1.0/24"), Some(&target));
    assert_eq!(bench.fib.counts().unfit, 1);
    assert_eq!(
        (bench.fib.counts().routes, bench.fib.counts().blackholes),
        (0, 2)
    );
    // Another node's now, and announced by it: in one step.
    bench.fib.own_changed([(prefix("10.244.1.0/24"), None)]);
    let target = via(&["10.9.0.1"]);
    assert_eq!(bench.settle(), [Change::Replace { key: block, target }]);
    // And back.
    let becomes = [(prefix("10.244.1.0/24"), Some(Ownership::Block))];
    bench.fib.own_changed(becomes);
    let target = Target::Blackhole;
    assert_eq!(bench.settle(), [Change::Replace { key: block, target }]);
    bench.want("10.244.1.0/24", &[]);
    assert_eq!(bench.settle(), []);
    bench.fib.own_is(bench.now, own(&["10.9.0.64/26"], &[]));
    assert_eq!(
        bench.settle(),
        [Change::Remove(block)],
        "with the block it goes"
    );
}

#[test]
fn a_blackhole_of_a_former_process_waits_for_no_peer() {
    let mut kernel = left();
    for text in ["10.244.1.0/24", "10.244.2.0/24"] {
        kernel.ours.insert(key(text), Target::Blackhole);
    }
    for installs in [true, false] {
        let mut bench = Bench::start(kernel.clone());
        bench.fib = match installs {
            true => Fib::new(METRIC, OwnBlocks::Discard),
            false => Fib::removing(METRIC, OwnBlocks::Discard),
        };
        bench.read();
        assert_eq!(
            bench.settle(),
            [],
            "it is not known yet which blocks there are"
        );
        bench.fib.own_is(bench.now, own(&["10.244.1.0/24"], &[]));
        bench.settle();
        assert_eq!(bench.holds("10.244.1.0/24"), Some(&Target::Blackhole));
        assert_eq!(bench.holds("10.244.2.0/24"), None);
        assert_eq!(bench.holds("100.65.0.0/16").is_some(), installs);
    }
}

#[test]
fn pods_whose_block_the_node_does_not_announce_are_left_to_the_network_plugin() {
    let mut bench = Bench::start(Kernel::default());
    bench.fib = Fib::new(METRIC, OwnBlocks::Discard);
    bench.read();
    let pods = [(prefix("10.244.1.0/24"), Ownership::Pods)];
    bench.fib.own_is(bench.now, pods.into());
    bench.want("10.244.1.0/25", &["10.9.0.1"]);
    assert_eq!(bench.settle(), []);
}

#[test]
fn what_was_not_tried_is_tried_later() {
    let mut bench = Bench::start(Kernel::default());
    bench.want("100.64.0.0/16", &["10.9.0.1"]);
    let changes = bench.fib.changes(bench.now, 9);
    assert!(!bench.fib.has_changes());
    bench.fib.postponed(&changes[0]);
    assert!(bench.fib.has_changes());
    assert_eq!(bench.settle(), changes);
}

/// Something that happens to a table.
#[derive(Clone, Debug)]
enum Step {
    Want(Prefix, Option<Target>),
    Own(BTreeMap<Prefix, Ownership>),
    OwnChanged(Prefix, Option<Ownership>),
    Delete(usize),
    Break(Prefix),
    Mend,
    Read,
    Settle,
    Wait,
    PeersComplete,
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    let listed = [
        "0.0.0.0/0",
        "100.64.0.0/16",
        "100.64.1.0/24",
        "100.64.1.1/32",
        "100.65.0.0/16",
        "10.9.0.0/25",
        "10.244.1.5/32",
        "::/0",
        "2001:db8::/32",
    ];
    prop::sample::select(listed.map(prefix).to_vec())
}

fn any_target() -> impl Strategy<Value = Option<Target>> {
    let gateways = ["10.9.0.1", "10.9.0.2", "10.9.0.3", "fe80::1"];
    let some = prop::sample::subsequence(gateways.to_vec(), 1..4);
    let some = (some, prop::bool::ANY).prop_map(|(gateways, tunnel)| match tunnel {
        true => Target::Tunnel(hops(&gateways)),
        false => via(&gateways),
    });
    prop::option::weighted(0.75, some)
}

fn any_ownership() -> impl Strategy<Value = Ownership> {
    let kinds = [Ownership::Block, Ownership::Pods, Ownership::Services];
    prop::sample::select(kinds.to_vec())
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any_prefix(), any_target()).prop_map(|(prefix, target)| Step::Want(prefix, target)),
        1 => prop::collection::btree_map(any_prefix(), any_ownership(), 0..3).prop_map(Step::Own),
        2 => (any_prefix(), prop::option::of(any_ownership()))
            .prop_map(|(prefix, ownership)| Step::OwnChanged(prefix, ownership)),
        2 => any::<prop::sample::Index>().prop_map(|index| Step::Delete(index.index(16))),
        1 => any_prefix().prop_map(Step::Break),
        1 => Just(Step::Mend),
        1 => Just(Step::Read),
        4 => Just(Step::Settle),
        1 => Just(Step::Wait),
        1 => Just(Step::PeersComplete),
    ]
}

proptest! {
    /// Whatever happens, in the end the kernel has what is wanted and can be had, and no route
    /// was removed that was wanted all the time.
    #[test]
    fn the_changes_give_the_wanted_table(
        steps in prop::collection::vec(any_step(), 1..40),
        foreign in prop::collection::btree_set(any_prefix(), 0..3),
    ) {
        let foreign: BTreeSet<RouteKey> = foreign
            .into_iter()
            .map(|prefix| RouteKey { prefix, metric: METRIC })
            .collect();
        let mut bench = Bench::start(Kernel { foreign: foreign.clone(), ..left() });
        bench.fib = Fib::new(METRIC, OwnBlocks::Discard);
        bench.kernel.ours.retain(|key, _| !foreign.contains(key));
        bench.read();
        let mut wanted: BTreeMap<Prefix, Option<Target>> = BTreeMap::new();
        let mut own = own(&["10.244.1.0/24"], &[]);
        bench.fib.own_is(bench.now, own.clone());
        for step in steps {
            match step {
                Step::Want(prefix, target) => {
                    wanted.insert(prefix, target.clone());
                    bench.fib.want(prefix, target.map(Ok));
                }
                Step::Own(prefixes) => {
                    own = prefixes;
                    bench.fib.own_is(bench.now, own.clone());
                }
                Step::OwnChanged(prefix, ownership) => {
                    match ownership {
                        Some(ownership) => own.insert(prefix, ownership),
                        None => own.remove(&prefix),
                    };
                    bench.fib.own_changed([(prefix, ownership)]);
                }
                Step::Delete(index) => {
                    let key = bench.kernel.ours.keys().nth(index).copied();
                    if let Some(key) = key {
                        bench.kernel.ours.remove(&key);
                        bench.read();
                    }
                }
                Step::Break(prefix) => { bench.kernel.broken.insert(prefix); }
                Step::Mend => bench.kernel.broken.clear(),
                Step::Read => bench.read(),
                Step::Settle => {
                    let before = bench.kernel.ours.clone();
                    let broken = !bench.kernel.broken.is_empty();
                    for change in bench.settle() {
                        if let Change::Remove(key) = change
                            && !broken
                            && key.metric == METRIC
                        {
                            prop_assert!(!bench.kernel.ours.contains_key(&key), "a gap: {key:?} of {before:?}");
                        }
                    }
                }
                Step::Wait => bench.now += SECOND * 61,
                Step::PeersComplete => bench.fib.peers_are_complete(),
            }
        }
        bench.kernel.broken.clear();
        bench.fib.peers_are_complete();
        bench.fib.retry_all(bench.now);
        bench.read();
        bench.settle();
        let connected = prefixes(&["10.9.0.0/24", "10.9.0.11/32", "fd09::/64"]);
        let of = |prefix: &Prefix| RouteKey { prefix: *prefix, metric: METRIC };
        let learned = wanted
            .iter()
            .filter_map(|(prefix, target)| Some((of(prefix), target.clone()?)))
            .filter(|(key, _)| !own.keys().chain(&connected).any(|net| net.covers(&key.prefix)));
        let blocks = own.iter().filter(|(_, is)| **is == Ownership::Block);
        let blocks = blocks.map(|(prefix, _)| (of(prefix), Target::Blackhole));
        let expected: BTreeMap<RouteKey, Target> = learned
            .chain(blocks)
            .filter(|(key, _)| !foreign.contains(key))
            .collect();
        let (held, former): (BTreeMap<_, _>, BTreeMap<_, _>) =
            bench.kernel.ours.clone().into_iter().partition(|(key, _)| key.metric == METRIC);
        prop_assert_eq!(held, expected);
        let in_place = |key: &RouteKey| foreign.contains(&RouteKey { metric: METRIC, ..*key });
        prop_assert!(former.keys().all(in_place), "{former:?}");
        prop_assert_eq!(bench.settle(), []);
        let unserved = bench.fib.counts().refused;
        prop_assert!(unserved <= foreign.len(), "{unserved}");
    }
}
