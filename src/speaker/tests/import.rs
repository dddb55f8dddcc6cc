//! Learned routes under [`Learning::Decided`]: only what was decided about exactly this
//! announcement reaches the Loc-RIB, and nothing that is gone comes back.

use super::*;
use crate::types::{Community, Installation, RouteVersion};

const PREFIX: &str = "10.9.0.0/16";

/// A, in AS 64512, learns from B, in AS 65000, what is decided.
fn learning_pair(learning: Learning) -> Network {
    let mut network = two_hosts();
    network.input(A, Input::Configure(learner(learning)));
    configure(&mut network, B, config(B, 65000, vec![peer(A, 64512)]));
    network.input(A, Input::ExportsComplete);
    network.input(B, Input::ExportsComplete);
    network.run_until(seconds(10), "both established", both_established);
    network
}

fn learner(learning: Learning) -> SpeakerConfig {
    SpeakerConfig {
        learning,
        ..config(A, 64512, vec![peer(B, 65000)])
    }
}

fn announce(network: &mut Network, med: u32) {
    let attributes = route(|route| route.med = Some(med));
    network.input(B, export(&[PREFIX], &attributes));
    network.run(seconds(1));
}

fn withdraw(network: &mut Network) {
    network.input(B, export(&[PREFIX], &None));
    network.run(seconds(1));
}

/// The one route there is to decide about, or none in its place.
fn asked(network: &mut Network) -> Option<UndecidedRoute> {
    let mut undecided = network.hosts[A].speaker.take_undecided(10);
    assert_eq!(undecided.len(), 1, "{undecided:?}");
    undecided.remove(0).route
}

fn version(network: &mut Network) -> RouteVersion {
    asked(network).unwrap().version
}

fn decide(network: &mut Network, version: RouteVersion, used: Option<Arc<RouteAttributes>>) {
    let decision = Import {
        peer: PeerId(1),
        prefix: prefix(PREFIX),
        version,
        used: used.map(|attributes| (attributes, Installation::Keep)),
    };
    network.input(A, Input::Import(vec![decision]));
}

/// MED and local preference of the path in use.
fn used(network: &Network) -> Option<(Option<u32>, Option<u32>)> {
    let path = network.hosts[A].speaker.loc_rib().best(&prefix(PREFIX))?;
    let attributes = &path.attributes.path;
    Some((attributes.med, attributes.local_pref))
}

fn preferred(med: u32) -> Option<Arc<RouteAttributes>> {
    route(|route| {
        route.med = Some(med);
        route.local_pref = Some(200);
    })
}

#[test]
fn a_route_is_used_once_it_was_decided_and_as_it_was_decided() {
    let mut network = learning_pair(Learning::Decided);
    announce(&mut network, 1);
    assert_eq!(used(&network), None);
    assert_eq!(network.hosts[A].speaker.received(PeerId(1)).count(), 1);
    let asked = asked(&mut network).unwrap();
    assert_eq!(asked.attributes.path.med, Some(1));
    assert_eq!(asked.router_id, router_id(B));
    decide(&mut network, asked.version, preferred(1));
    assert_eq!(used(&network), Some((Some(1), Some(200))));
    let installation = |network: &Network| {
        network.hosts[A]
            .speaker
            .installation(PeerId(1), &prefix(PREFIX))
    };
    assert_eq!(installation(&network), Installation::Keep);
    decide(&mut network, asked.version, None);
    assert_eq!(used(&network), None);
    assert_eq!(installation(&network), Installation::Install);
}

#[test]
fn an_answer_about_a_route_that_was_replaced_since_is_void() {
    let mut network = learning_pair(Learning::Decided);
    announce(&mut network, 1);
    let first = version(&mut network);
    decide(&mut network, first, preferred(1));
    announce(&mut network, 2);
    // Until its successor is decided about, the way there stays.
    assert_eq!(used(&network), Some((Some(1), Some(200))));
    decide(&mut network, first, preferred(7));
    assert_eq!(used(&network), Some((Some(1), Some(200))));
    let second = version(&mut network);
    assert_ne!(first, second);
    decide(&mut network, second, preferred(2));
    assert_eq!(used(&network), Some((Some(2), Some(200))));
}

#[test]
fn an_answer_about_a_route_that_was_withdrawn_since_is_void() {
    let mut network = learning_pair(Learning::Decided);
    announce(&mut network, 1);
    let first = version(&mut network);
    decide(&mut network, first, preferred(1));
    withdraw(&mut network);
    assert_eq!(used(&network), None);
    decide(&mut network, first, preferred(1));
    assert_eq!(used(&network), None);
    assert_eq!(asked(&mut network), None);
    // Nor does the old answer hold for the same route announced again.
    announce(&mut network, 1);
    decide(&mut network, first, preferred(1));
    assert_eq!(used(&network), None);
}

#[test]
fn an_answer_about_a_route_of_a_former_session_is_void() {
    let mut network = learning_pair(Learning::Decided);
    announce(&mut network, 1);
    let first = version(&mut network);
    decide(&mut network, first, preferred(1));
    // What is kept over the loss of the session was decided about; what comes after its time is not.
    network.hosts[A].listening = false;
    network.hosts[B].listening = false;
    network.cut(A, B);
    network.run(Duration::from_millis(10));
    assert_eq!(used(&network), Some((Some(1), Some(200))));
    network.run(seconds(121));
    assert_eq!(used(&network), None);
    network.hosts[A].listening = true;
    network.hosts[B].listening = true;
    decide(&mut network, first, preferred(1));
    assert_eq!(used(&network), None);
    network.run_until(seconds(200), "both established", both_established);
    network.run(seconds(1));
    decide(&mut network, first, preferred(1));
    assert_eq!(used(&network), None);
    let again = version(&mut network);
    decide(&mut network, again, preferred(1));
    assert_eq!(used(&network), Some((Some(1), Some(200))));
}

#[test]
fn changes_between_two_questions_are_asked_about_once() {
    let mut network = learning_pair(Learning::Decided);
    announce(&mut network, 1);
    withdraw(&mut network);
    announce(&mut network, 2);
    let asked = asked(&mut network).unwrap();
    assert_eq!(asked.attributes.path.med, Some(2));
    assert!(network.hosts[A].speaker.take_undecided(10).is_empty());
}

#[test]
fn what_is_left_to_decide_is_said_again() {
    let mut network = learning_pair(Learning::Decided);
    network.input(B, export(&["10.1.0.0/16", "10.2.0.0/16"], &plain()));
    network.run(seconds(1));
    let speaker = &mut network.hosts[A].speaker;
    assert_eq!(speaker.take_undecided(1).len(), 1);
    let said = |speaker: &mut Speaker| {
        std::iter::from_fn(|| speaker.poll_output())
            .filter(|output| matches!(output, Output::Undecided))
            .count()
    };
    assert_eq!(said(speaker), 1);
    assert_eq!(speaker.take_undecided(1).len(), 1);
    assert_eq!(said(speaker), 0);
}

#[test]
fn a_change_of_what_the_kernel_may_have_is_said() {
    let mut network = learning_pair(Learning::Decided);
    announce(&mut network, 1);
    let version = version(&mut network);
    decide(&mut network, version, preferred(1));
    let now = network.now;
    let speaker = &mut network.hosts[A].speaker;
    for said in [1, 0] {
        let decision = Import {
            peer: PeerId(1),
            prefix: prefix(PREFIX),
            version,
            used: preferred(1).map(|attributes| (attributes, Installation::Install)),
        };
        speaker.handle_input(now, Input::Import(vec![decision]));
        let outputs = std::iter::from_fn(|| speaker.poll_output());
        let changes = outputs.filter(|output| matches!(output, Output::RouteChange { .. }));
        assert_eq!(changes.count(), said);
    }
}

#[test]
fn a_route_that_must_not_be_used_is_never_asked_about() {
    // B announces what passed through A's AS.
    let mut network = learning_pair(Learning::Decided);
    let (as_path, next_hop) = ([2, 2, 0, 0, 0xFD, 0xE8, 0, 0, 0xFC, 0], [10, 0, 0, 2]);
    let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 10];
    attributes.extend(as_path);
    attributes.extend([0x40, 3, 4]);
    attributes.extend(next_hop);
    let size = u8::try_from(attributes.len()).unwrap();
    let mut message = vec![0xFF; 16];
    message.extend([0, 19 + 4 + size + 3, 2, 0, 0, 0, size]);
    message.extend(attributes);
    message.extend([16, 10, 9]);
    network.inject(A, &message);
    assert_eq!(network.hosts[A].speaker.received(PeerId(1)).count(), 1);
    assert_eq!(asked(&mut network), None);
}

#[test]
fn what_may_be_used_is_shown_for_a_trial_and_stays_as_it_is() {
    for learning in [Learning::Everything, Learning::Decided] {
        let mut network = learning_pair(learning);
        assert!(network.hosts[A].speaker.eligible(None, 10).0.is_empty());
        announce(&mut network, 1);
        let before = used(&network);
        let (eligible, more) = network.hosts[A].speaker.eligible(None, 10);
        assert_eq!(more, None);
        let [eligible] = &eligible[..] else {
            panic!("not one route");
        };
        assert_eq!(
            (eligible.peer, eligible.prefix),
            (PeerId(1), prefix(PREFIX))
        );
        let shown = eligible.route.as_ref().unwrap();
        assert_eq!(shown.attributes.path.med, Some(1));
        assert_eq!(shown.router_id, router_id(B));
        assert_eq!(used(&network), before);
        // A place to go on from, behind which there is nothing.
        let (one, more) = network.hosts[A].speaker.eligible(None, 1);
        assert_eq!((one.len(), more), (1, Some((PeerId(1), prefix(PREFIX)))));
        assert_eq!(network.hosts[A].speaker.eligible(more, 1), (vec![], None));
        // Whoever decides is still to be asked.
        let undecided = network.hosts[A].speaker.take_undecided(10).len();
        assert_eq!(undecided, usize::from(learning == Learning::Decided));
    }
}

#[test]
fn policies_that_come_and_go_restart_no_session_and_drop_no_route() {
    let mut network = learning_pair(Learning::Everything);
    announce(&mut network, 1);
    assert_eq!(used(&network), Some((Some(1), None)));
    assert!(network.hosts[A].speaker.take_undecided(10).is_empty());
    network.input(A, Input::Configure(learner(Learning::Decided)));
    assert_eq!(used(&network), Some((Some(1), None)));
    let first = version(&mut network);
    decide(&mut network, first, None);
    assert_eq!(used(&network), None);
    network.input(A, Input::Configure(learner(Learning::Everything)));
    assert_eq!(used(&network), Some((Some(1), None)));
    decide(&mut network, first, None);
    assert_eq!(used(&network), Some((Some(1), None)));
    assert_eq!(view(&network, A).established_count, 1);
}

#[test]
fn prepending_puts_the_peers_number_before_the_path() {
    let mut network = learning_pair(Learning::Decided);
    announce(&mut network, 1);
    let first = version(&mut network);
    decide(&mut network, first, route(|route| route.prepend = 2));
    let loc_rib = network.hosts[A].speaker.loc_rib();
    let path = loc_rib.best(&prefix(PREFIX)).unwrap();
    assert_eq!(path.attributes.path.as_path.length(), 3);
    assert_eq!(path.neighbor_as(), Some(Asn(65000)));
    // No next hop in a decision is the one received.
    assert_eq!(path.attributes.next_hop.address, address(B));
}

#[test]
fn accepting_a_route_as_it_is_shown_changes_nothing_of_it() {
    let mut network = learning_pair(Learning::Decided);
    let marked = route(|route| route.communities = vec![Community(2), Community(1)]);
    network.input(B, export(&[PREFIX], &marked));
    network.run(seconds(1));
    let asked = asked(&mut network).unwrap();
    let shown = route_attributes(&asked.attributes);
    assert_eq!(shown.communities, [Community(1), Community(2)]);
    decide(&mut network, asked.version, Some(Arc::new(shown)));
    let loc_rib = network.hosts[A].speaker.loc_rib();
    let path = loc_rib.best(&prefix(PREFIX)).unwrap();
    assert_eq!(path.attributes, asked.attributes);
}

#[test]
fn initial_routes_are_there_when_they_are_decided_about() {
    let mut network = learning_pair(Learning::Decided);
    network.run(seconds(1));
    let has_initial_routes = |network: &Network| network.hosts[A].speaker.has_initial_routes();
    assert!(has_initial_routes(&network));
    announce(&mut network, 1);
    assert!(!has_initial_routes(&network));
    let asked = version(&mut network);
    assert!(
        !has_initial_routes(&network),
        "to be asked is not to be answered"
    );
    decide(&mut network, asked, None);
    assert!(has_initial_routes(&network));
    announce(&mut network, 2);
    assert!(!has_initial_routes(&network));
    withdraw(&mut network);
    assert!(has_initial_routes(&network));
}

#[test]
fn without_import_rules_the_kernel_may_have_what_they_kept_from_it() {
    let mut network = learning_pair(Learning::Decided);
    announce(&mut network, 1);
    let asked = version(&mut network);
    let as_received = network.hosts[A].speaker.received(PeerId(1)).next().unwrap();
    let as_received = Arc::new(route_attributes(as_received.1));
    decide(&mut network, asked, Some(as_received));
    let now = network.now;
    let speaker = &mut network.hosts[A].speaker;
    assert_eq!(
        speaker.installation(PeerId(1), &prefix(PREFIX)),
        Installation::Keep
    );
    while speaker.poll_output().is_some() {}
    speaker.handle_input(now, Input::Configure(learner(Learning::Everything)));
    assert_eq!(
        speaker.installation(PeerId(1), &prefix(PREFIX)),
        Installation::Install
    );
    let mut outputs = std::iter::from_fn(|| speaker.poll_output());
    let said = |output: Output| matches!(output, Output::RouteChange { prefix: of } if of == prefix(PREFIX));
    assert!(
        outputs.any(said),
        "the best path is the same, what the kernel may have is not"
    );
}
