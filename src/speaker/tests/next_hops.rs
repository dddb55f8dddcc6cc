//! Next hops as a driver answers about them: what is not reached is not used, hides nothing, and
//! comes back; nothing is chosen and unchosen meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::learn::router_with_two_nodes;
use super::*;
use crate::rib::{Path, Resolution, Standing};
use crate::types::{Hop, InterfaceIndex, Reachability};

const TO: &str = "10.96.0.10/32";

const ON_LINK: Reachability = Reachability::OnLink(InterfaceIndex(2));

fn routed(by: &str, gateway: &str) -> Reachability {
    Reachability::Routed {
        hops: BTreeSet::from([Hop {
            gateway: gateway.parse().unwrap(),
            interface: InterfaceIndex(2),
        }]),
        by: prefix(by),
    }
}

/// A router whose driver answers, and two nodes that are its peers.
fn router(resolution: Resolution) -> Network {
    let mut network = router_with_two_nodes();
    network.input(0, Input::Resolution(resolution));
    network
}

/// A route by a next hop that a policy chose.
fn by(next_hop: &str) -> Option<Arc<RouteAttributes>> {
    route(|route| route.next_hop = Some(next_hop.parse().unwrap()))
}

fn announce(network: &mut Network, node: HostId, to: &str, route: &Option<Arc<RouteAttributes>>) {
    network.input(node, export(&[to], route));
    network.run(seconds(1));
}

fn unanswered(network: &Network) -> Vec<String> {
    let unanswered = network.hosts[0].speaker.unanswered_next_hops(usize::MAX);
    unanswered.iter().map(ToString::to_string).collect()
}

fn answer(network: &mut Network, answers: &[(&str, Reachability)]) {
    let answers = answers.iter().cloned();
    let answers = answers.map(|(address, answer)| (address.parse().unwrap(), answer));
    network.input(0, Input::NextHops(answers.collect()));
}

/// The next hops in use to a prefix, and the gateways that each is reached by.
fn used(network: &Network, to: &str) -> Vec<String> {
    let speaker = &network.hosts[0].speaker;
    let paths = speaker.loc_rib().selected(&prefix(to)).iter();
    let shown = paths.map(|path| {
        let hops = speaker.way(&prefix(to), path).unwrap().hops();
        let gateways: Vec<_> = hops.iter().map(|hop| hop.gateway.to_string()).collect();
        format!(
            "{} by {}",
            path.attributes.next_hop.address,
            gateways.join(" ")
        )
    });
    shown.collect()
}

/// Why each of the others is not.
fn unused(network: &Network, to: &str) -> Vec<String> {
    let speaker = &network.hosts[0].speaker;
    let paths = speaker.loc_rib().explain(&prefix(to)).into_iter();
    let unresolvable = paths.filter(|(_, standing)| *standing == Standing::Unresolvable);
    let why = |path: &Path| speaker.way(&prefix(to), path).unwrap_err().to_string();
    unresolvable.map(|(path, _)| why(path)).collect()
}

/// Whether a change of the best paths was said since the last time.
fn was_said(network: &mut Network, to: &str) -> bool {
    network.hosts[0].changed.remove(&prefix(to))
}

#[test]
fn a_path_waits_until_its_next_hop_was_looked_up_and_is_chosen_once() {
    let mut network = router(Resolution::Kernel);
    announce(&mut network, 1, TO, &plain());
    assert_eq!(unanswered(&network), ["10.0.0.2"]);
    assert_eq!(used(&network, TO), [""; 0]);
    assert_eq!(
        unused(&network, TO),
        ["next hop 10.0.0.2 is being looked up"]
    );
    assert!(!was_said(&mut network, TO));
    let complete = |network: &Network| network.hosts[0].speaker.has_initial_routes();
    assert!(!complete(&network), "somebody may still be used");
    answer(&mut network, &[("10.0.0.2", ON_LINK)]);
    assert_eq!(used(&network, TO), ["10.0.0.2 by 10.0.0.2"]);
    assert!(was_said(&mut network, TO));
    assert!(complete(&network));
    assert_eq!(unanswered(&network), [""; 0]);
    answer(&mut network, &[("10.0.0.2", ON_LINK)]);
    assert!(!was_said(&mut network, TO), "nothing new");
}

#[test]
fn the_driver_is_told_of_the_first_next_hop_that_is_to_be_looked_up() {
    let mut network = router_with_two_nodes();
    announce(&mut network, 1, TO, &plain());
    let now = network.now;
    let speaker = &mut network.hosts[0].speaker;
    let mut tells = |input: Input| {
        speaker.handle_input(now, input);
        let outputs: Vec<_> = std::iter::from_fn(|| speaker.poll_output()).collect();
        let told = outputs.iter();
        told.filter(|output| matches!(output, Output::NextHops))
            .count()
    };
    assert_eq!(tells(Input::Resolution(Resolution::Unasked)), 0);
    assert_eq!(tells(Input::Resolution(Resolution::Kernel)), 1);
    let answers = [("10.0.0.2".parse().unwrap(), ON_LINK)].into();
    assert_eq!(tells(Input::NextHops(answers)), 0);
    assert_eq!(tells(Input::Resolution(Resolution::Kernel)), 0);
}

#[test]
fn a_path_by_a_dead_next_hop_hides_no_other_and_returns_with_it() {
    let mut network = router(Resolution::Kernel);
    // It would win by its local preference, were it an internal path; so by its shorter path.
    announce(&mut network, 1, TO, &by("192.0.2.9"));
    let longer = route(|route| route.prepend = 3);
    announce(&mut network, 2, TO, &longer);
    answer(
        &mut network,
        &[("192.0.2.9", Reachability::NoRoute), ("10.0.0.3", ON_LINK)],
    );
    assert_eq!(used(&network, TO), ["10.0.0.3 by 10.0.0.3"]);
    let why = "next hop 192.0.2.9 is unreachable: no route";
    assert_eq!(unused(&network, TO), [why]);
    let reported = events(&network, 0).pop().unwrap();
    let Event::Unresolved { first, paths: 1 } = reported else {
        panic!("{reported:?}");
    };
    assert_eq!(first.to_string(), why);
    was_said(&mut network, TO);

    answer(
        &mut network,
        &[("192.0.2.9", routed("0.0.0.0/0", "10.0.0.1"))],
    );
    assert_eq!(used(&network, TO), ["192.0.2.9 by 10.0.0.1"]);
    assert!(was_said(&mut network, TO));
    // Another way to the same next hop is a change, too: whoever programs a kernel must know.
    answer(
        &mut network,
        &[("192.0.2.9", routed("0.0.0.0/0", "10.0.0.7"))],
    );
    assert_eq!(used(&network, TO), ["192.0.2.9 by 10.0.0.7"]);
    assert!(was_said(&mut network, TO));
    answer(&mut network, &[("192.0.2.9", Reachability::NoRoute)]);
    assert_eq!(used(&network, TO), ["10.0.0.3 by 10.0.0.3"]);
}

#[test]
fn a_route_that_is_replaced_stays_usable_until_its_new_next_hop_was_looked_up() {
    let mut network = router(Resolution::Kernel);
    announce(&mut network, 1, TO, &plain());
    answer(&mut network, &[("10.0.0.2", ON_LINK)]);
    announce(&mut network, 1, TO, &by("192.0.2.9"));
    let speaker = &network.hosts[0].speaker;
    assert_eq!(speaker.loc_rib().selected(&prefix(TO)).len(), 1);
    answer(&mut network, &[("192.0.2.9", Reachability::NoRoute)]);
    assert_eq!(used(&network, TO), [""; 0]);
    // What was not used before waits.
    announce(&mut network, 1, TO, &by("192.0.2.10"));
    assert_eq!(used(&network, TO), [""; 0]);
}

#[test]
fn without_answers_every_next_hop_that_could_be_one_is_used() {
    let mut network = router_with_two_nodes();
    announce(&mut network, 1, TO, &by("192.0.2.9"));
    announce(&mut network, 2, TO, &by("127.0.0.1"));
    assert_eq!(used(&network, TO), ["192.0.2.9 by "]);
    assert_eq!(
        unused(&network, TO),
        ["next hop 127.0.0.1 is a loopback address"]
    );
    assert_eq!(unanswered(&network), [""; 0], "nobody is asked");
    // Whoever answers later finds what there is.
    network.input(0, Input::Resolution(Resolution::Kernel));
    assert_eq!(unanswered(&network), ["192.0.2.9"]);
    assert_eq!(used(&network, TO), ["192.0.2.9 by "]);
    answer(&mut network, &[("192.0.2.9", Reachability::NoRoute)]);
    assert_eq!(used(&network, TO), [""; 0]);
    // An answer that is lost takes nothing away, and brings nothing back.
    network.input(0, Input::Resolution(Resolution::Unasked));
    assert_eq!(used(&network, TO), [""; 0]);
}

#[test]
fn a_next_hop_behind_a_learned_route_follows_that_route() {
    let mut network = router(Resolution::KernelAndLearned);
    announce(&mut network, 1, TO, &by("192.0.2.9"));
    answer(
        &mut network,
        &[
            ("192.0.2.9", Reachability::NoRoute),
            ("10.0.0.2", ON_LINK),
            ("10.0.0.3", ON_LINK),
        ],
    );
    assert_eq!(used(&network, TO), [""; 0]);
    announce(&mut network, 2, "192.0.0.0/16", &plain());
    answer(&mut network, &[("10.0.0.3", ON_LINK)]);
    assert_eq!(used(&network, TO), ["192.0.2.9 by 10.0.0.3"]);
    assert!(was_said(&mut network, TO));
    // A longer one is the better way.
    announce(&mut network, 1, "192.0.2.0/24", &plain());
    answer(&mut network, &[("10.0.0.2", ON_LINK)]);
    assert_eq!(used(&network, TO), ["192.0.2.9 by 10.0.0.2"]);
    assert!(was_said(&mut network, TO));
    announce(&mut network, 1, "192.0.2.0/24", &None);
    assert_eq!(used(&network, TO), ["192.0.2.9 by 10.0.0.3"]);
    announce(&mut network, 2, "192.0.0.0/16", &None);
    assert_eq!(used(&network, TO), [""; 0]);
    assert!(was_said(&mut network, TO));
}

#[test]
fn no_route_is_reached_by_itself_nor_by_one_that_is_reached_by_another() {
    let mut network = router(Resolution::KernelAndLearned);
    announce(&mut network, 1, "192.0.2.0/24", &by("192.0.2.9"));
    announce(&mut network, 1, "198.51.100.0/24", &by("192.0.2.7"));
    announce(&mut network, 2, "192.0.2.0/28", &by("198.51.100.7"));
    let dead = ["192.0.2.9", "192.0.2.7", "198.51.100.7"];
    answer(&mut network, &dead.map(|hop| (hop, Reachability::NoRoute)));
    let all = ["192.0.2.0/24", "198.51.100.0/24", "192.0.2.0/28"];
    for to in all {
        assert_eq!(used(&network, to), [""; 0]);
    }
    // The kernel's own route leads to all of them; without it they are lost again, though each
    // could be reached by another.
    answer(
        &mut network,
        &dead.map(|hop| (hop, routed("0.0.0.0/0", "10.0.0.1"))),
    );
    for to in all {
        let used = used(&network, to);
        assert!(used[0].ends_with("by 10.0.0.1"), "{used:?}");
    }
    answer(&mut network, &dead.map(|hop| (hop, Reachability::NoRoute)));
    for to in all {
        assert_eq!(used(&network, to), [""; 0]);
    }
}

/// Something that happens to a router.
#[derive(Clone, Debug)]
enum Step {
    Announce(HostId, usize, Option<usize>),
    Answer(usize, Reachability),
    Resolve(Resolution),
}

const PREFIXES: [&str; 5] = [
    "0.0.0.0/0",
    "192.0.2.0/24",
    "192.0.2.8/29",
    "198.51.100.0/24",
    TO,
];
const HOPS: [&str; 4] = ["192.0.2.9", "192.0.2.70", "198.51.100.7", "203.0.113.1"];

fn step() -> impl Strategy<Value = Step> {
    let reachability = prop_oneof![
        Just(ON_LINK),
        Just(Reachability::Own),
        Just(Reachability::NoRoute),
        Just(Reachability::Refused("no".to_owned())),
        Just(routed("0.0.0.0/0", "10.0.0.1")),
        Just(routed("192.0.2.0/24", "10.0.0.7")),
    ];
    let resolution = prop_oneof![
        1 => Just(Resolution::Unasked),
        1 => Just(Resolution::Kernel),
        3 => Just(Resolution::KernelAndLearned),
    ];
    let hop = prop::option::weighted(0.8, 0..HOPS.len());
    prop_oneof![
        5 => (1..3usize, 0..PREFIXES.len(), hop).prop_map(|(node, to, hop)| Step::Announce(node, to, hop)),
        5 => (0..HOPS.len(), reachability).prop_map(|(hop, answer)| Step::Answer(hop, answer)),
        1 => resolution.prop_map(Step::Resolve),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_used_follows_from_paths_and_answers_and_each_change_is_said(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut network = router(Resolution::KernelAndLearned);
        let mut believed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut answered: BTreeMap<IpAddr, Reachability> = BTreeMap::new();
        for step in &steps {
            match step {
                Step::Announce(node, to, hop) => {
                    let route = hop.and_then(|hop| by(HOPS[hop]));
                    network.input(*node, export(&[PREFIXES[*to]], &route));
                    network.run(Duration::from_millis(5));
                }
                Step::Answer(hop, reachability) => {
                    answered.insert(HOPS[*hop].parse().unwrap(), reachability.clone());
                    answer(&mut network, &[(HOPS[*hop], reachability.clone())]);
                }
                Step::Resolve(resolution) => network.input(0, Input::Resolution(*resolution)),
            }
            for to in PREFIXES {
                if was_said(&mut network, to) {
                    believed.insert(to, shown(&network, to));
                }
                let told = believed.get(to).cloned().unwrap_or_default();
                prop_assert_eq!(shown(&network, to), told, "{} after {:?}", to, step);
            }
        }
        // The same paths and answers, given to another router at once.
        let mut again = router(Resolution::KernelAndLearned);
        network.input(0, Input::Resolution(Resolution::KernelAndLearned));
        for node in 1..3 {
            let sent = network.hosts[node].speaker.advertisements(PeerId(0));
            for (to, route) in sent {
                let hop = route.next_hop.address.to_string();
                again.input(node, export(&[&to.to_string()], &by(&hop)));
            }
        }
        again.run(seconds(1));
        for host in [&mut network, &mut again] {
            let all = HOPS.map(|hop| hop.parse::<IpAddr>().unwrap());
            let answers = all.map(|hop| (hop, answered.get(&hop).cloned().unwrap_or(Reachability::NoRoute)));
            host.input(0, Input::NextHops(answers.into_iter().collect()));
        }
        for to in PREFIXES {
            prop_assert_eq!(used(&network, to), used(&again, to));
            prop_assert_eq!(unused(&network, to), unused(&again, to));
        }
    }
}

/// What is used, where the way there may not be known yet.
fn shown(network: &Network, to: &str) -> Vec<String> {
    let speaker = &network.hosts[0].speaker;
    let paths = speaker.loc_rib().selected(&prefix(to)).iter();
    let shown = paths.map(|path| {
        let hops = speaker.way(&prefix(to), path).map(|way| way.hops());
        format!("{} by {hops:?}", path.attributes.next_hop.address)
    });
    shown.collect()
}
