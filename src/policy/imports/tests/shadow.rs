//! Import policies in shadow mode: what they would change of what is used, and that they change
//! nothing.

use proptest::prelude::*;

use super::*;
use crate::policy::{Change, Observation, Shadow, Shadows};

const NOTHING: [&str; 0] = [];

type Importing = Arc<dyn ImportPolicy>;

/// Imports, and the shadows that watch them.
struct Watched {
    fixture: Fixture,
    shadows: Shadows<Importing>,
}

impl Watched {
    fn new(links: Vec<ImportLink>) -> Self {
        let mut watched = Self {
            fixture: Fixture::new(links),
            shadows: Shadows::default(),
        };
        watched.look();
        watched
    }

    fn look(&mut self) {
        if let Some(observation) = self.fixture.imports.observe() {
            self.shadows.observe(self.fixture.now, observation);
        }
    }

    /// What the chain in force makes of it, then what the shadows would change.
    fn announce(&mut self, routes: &[(PeerId, &str, u32)]) -> (Vec<String>, Vec<String>) {
        let changes = self.fixture.announce(routes);
        self.look();
        (told(&changes), self.differences())
    }

    /// `SHADOW PEER: -PREFIX, POLICY: REASON`, `+PREFIX` or `PREFIX USE -> USE`.
    fn differences(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for shadow in self.shadows.iter() {
            for (_, comparison) in shadow.comparisons() {
                for (prefix, difference) in comparison.differences() {
                    let change = match &difference.change {
                        Change::Withdrawn(_) => format!("-{prefix}"),
                        Change::Added(_) => format!("+{prefix}"),
                        Change::Changed { from, to } => {
                            format!("{prefix} {} -> {}", used(from), used(to))
                        }
                    };
                    let (name, peer) = (&shadow.link().name, &comparison.peers().name);
                    let reason = difference.step.reason.as_deref().unwrap_or("no reason");
                    let policy = &difference.step.policy;
                    lines.push(format!("{name} {peer}: {change}, {policy}: {reason}"));
                }
            }
        }
        lines
    }

    fn only(&self) -> &Shadow<Importing> {
        self.shadows.iter().next().unwrap()
    }

    /// Routes compared and waiting, of each peer that the first shadow is for.
    fn counts(&self) -> Vec<(&str, usize, usize)> {
        let comparisons = self.only().comparisons();
        comparisons
            .map(|(_, it)| (&*it.peers().name, it.compared(), it.waiting()))
            .collect()
    }
}

fn used(used: &AcceptedImport) -> String {
    let kernel = used.installation;
    match used.attributes.local_pref {
        Some(value) => format!("{value} {kernel}"),
        None => format!("as received {kernel}"),
    }
}

fn shadow(name: &str, policy: &Arc<Scripted>) -> ImportLink {
    ImportLink {
        mode: Mode::Shadow,
        ..link(name, policy, OnError::Withdraw)
    }
}

#[test]
fn a_shadow_changes_nothing_and_tells_what_would_not_be_used() {
    let (enforced, rejects) = (
        Scripted::saying(accept()),
        Scripted::saying(ImportVerdict::Reject),
    );
    let mut watched = Watched::new(vec![
        link("enforced", &enforced, OnError::KeepLast),
        shadow("shadow", &rejects),
    ]);
    let (told, differences) = watched.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert_eq!(told, ["10.0.0.0/8 v1 as received"]);
    assert_eq!(differences, ["shadow tor: -10.0.0.0/8, shadow: scripted"]);
    assert_eq!(enforced.take_asked().len(), 1, "once, by the chain");
    let steps = watched.fixture.steps(TOR, "10.0.0.0/8");
    let last = steps.last().unwrap();
    assert_eq!(last.verdict, StepVerdict::NotAsked);
    assert_eq!(last.reason.as_deref(), Some("it is in shadow mode"));
}

#[test]
fn other_attributes_and_another_word_on_the_kernel_are_told() {
    let enforced = Scripted::saying(prefer(100));
    let policy = Scripted::saying(keep());
    let mut watched = Watched::new(vec![
        link("enforced", &enforced, OnError::KeepLast),
        shadow("shadow", &policy),
    ]);
    let (_, differences) = watched.announce(&[(TOR, "10.0.0.0/8", 1)]);
    let kept = "shadow tor: 10.0.0.0/8 100 install -> 100 keep, shadow: scripted";
    assert_eq!(differences, [kept]);
    policy.says(prefer(300));
    let (_, differences) = watched.announce(&[(TOR, "10.0.0.0/8", 2)]);
    let preferred = "shadow tor: 10.0.0.0/8 100 install -> 300 install, shadow: scripted";
    assert_eq!(differences, [preferred]);
    policy.says(prefer(100));
    let (_, differences) = watched.announce(&[(TOR, "10.0.0.0/8", 3)]);
    assert_eq!(differences, NOTHING);
}

#[test]
fn what_a_policy_before_it_said_of_the_kernel_stays() {
    let (first, policy) = (Scripted::saying(keep()), Scripted::saying(prefer(7)));
    let mut watched = Watched::new(vec![
        link("first", &first, OnError::KeepLast),
        shadow("shadow", &policy),
    ]);
    let (_, differences) = watched.announce(&[(TOR, "10.0.0.0/8", 1)]);
    let changed = "shadow tor: 10.0.0.0/8 as received keep -> 7 keep, shadow: scripted";
    assert_eq!(differences, [changed]);
}

#[test]
fn a_next_hop_that_it_leaves_out_is_no_difference() {
    let enforced = Scripted::saying(accept());
    let policy = Scripted::saying(ImportVerdict::Accept(Acceptance {
        attributes: Some(Arc::default()),
        installation: None,
    }));
    let mut watched = Watched::new(vec![
        link("enforced", &enforced, OnError::KeepLast),
        shadow("shadow", &policy),
    ]);
    let next_hop = Some("192.0.2.9".parse().unwrap());
    watched.fixture.announce_by(TOR, "10.0.0.0/8", next_hop);
    watched.look();
    assert_eq!(watched.differences(), NOTHING);
    assert_eq!(watched.counts()[0], ("tor", 1, 0), "it was compared");
}

#[test]
fn later_policies_are_asked_again_only_about_what_it_changes() {
    let policy = Scripted::saying(accept());
    let last = Scripted::saying(accept());
    let mut watched = Watched::new(vec![
        shadow("shadow", &policy),
        link("last", &last, OnError::KeepLast),
    ]);
    watched.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert_eq!(last.take_asked().len(), 1, "it left the route as it was");
    policy.says(prefer(9));
    watched.announce(&[(TOR, "10.0.0.0/8", 2)]);
    let prefix: Prefix = "10.0.0.0/8".parse().unwrap();
    let asked = [
        ("tor".to_owned(), prefix, None),
        ("tor".to_owned(), prefix, Some(9)),
    ];
    assert_eq!(last.take_asked(), asked);
}

#[test]
fn alone_it_is_compared_with_the_end_of_the_chain() {
    let policy = Scripted::saying(ImportVerdict::Reject);
    let mut watched = Watched::new(vec![shadow("shadow", &policy)]);
    let now = watched.fixture.now;
    let accept = ChainDefault::Accept;
    watched.fixture.imports.set_default(now, accept);
    let (told, differences) = watched.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert_eq!(told, ["10.0.0.0/8 v1 as received"]);
    assert_eq!(differences, ["shadow tor: -10.0.0.0/8, shadow: scripted"]);
    policy.says(ImportVerdict::Abstain);
    let (_, differences) = watched.announce(&[(TOR, "10.0.0.0/8", 2)]);
    assert_eq!(differences, NOTHING);
}

#[test]
fn it_is_for_its_peers_only_and_what_is_gone_is_not_compared() {
    let enforced = Scripted::saying(accept());
    let policy = Scripted::saying(ImportVerdict::Reject);
    let audience = Audience::Only(["spine".to_owned()].into());
    let mut watched = Watched::new(vec![
        link("enforced", &enforced, OnError::KeepLast),
        ImportLink {
            audience,
            ..shadow("shadow", &policy)
        },
    ]);
    let (_, differences) = watched.announce(&[
        (TOR, "10.0.0.0/8", 1),
        (SPINE, "10.0.0.0/8", 1),
        (SPINE, "10.1.0.0/16", 1),
    ]);
    let both = [
        "shadow spine: -10.0.0.0/8, shadow: scripted",
        "shadow spine: -10.1.0.0/16, shadow: scripted",
    ];
    assert_eq!(differences, both);
    watched.fixture.withdraw(SPINE, "10.0.0.0/8");
    watched.look();
    assert_eq!(watched.differences(), both[1..]);
    assert_eq!(watched.counts(), [("spine", 1, 0)]);
    let now = watched.fixture.now;
    let tor = || [(TOR, peer("tor"))];
    watched.fixture.imports.set_peers(now, tor().into());
    watched.look();
    assert_eq!(watched.counts(), []);
    // It comes again, without its routes.
    let peers = tor().into_iter().chain([(SPINE, peer("spine"))]);
    watched.fixture.imports.set_peers(now, peers.collect());
    watched.look();
    assert_eq!(watched.counts(), [("spine", 0, 0)]);
}

#[test]
fn a_peer_that_goes_and_comes_between_two_looks_leaves_nothing_behind() {
    let enforced = Scripted::saying(accept());
    let policy = Scripted::saying(ImportVerdict::Reject);
    let mut watched = Watched::new(vec![
        link("enforced", &enforced, OnError::KeepLast),
        shadow("shadow", &policy),
    ]);
    watched.announce(&[(TOR, "10.0.0.0/8", 1)]);
    let now = watched.fixture.now;
    let peers = watched.fixture.peers();
    watched.fixture.imports.set_peers(now, BTreeMap::new());
    watched.fixture.imports.set_peers(now, peers);
    watched.look();
    assert_eq!(watched.differences(), NOTHING);
    watched.announce(&[(TOR, "10.0.0.0/8", 1)]);
    watched.fixture.imports.forget_routes();
    watched.look();
    assert_eq!(watched.differences(), NOTHING);
    assert_eq!(watched.counts(), [("tor", 0, 0), ("spine", 0, 0)]);
}

#[test]
fn one_that_fails_harms_nobody_and_compares_when_it_is_well() {
    let enforced = Scripted::saying(accept());
    let policy = Scripted::saying(ImportVerdict::Reject);
    policy.fails();
    let mut watched = Watched::new(vec![
        link("enforced", &enforced, OnError::KeepLast),
        shadow("shadow", &policy),
    ]);
    let (told, differences) = watched.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert_eq!(told, ["10.0.0.0/8 v1 as received"]);
    assert_eq!(differences, NOTHING);
    assert_eq!(watched.counts()[0], ("tor", 0, 1));
    assert_eq!(
        watched.fixture.imports.retry_at(),
        None,
        "the chain is well"
    );
    let fault = watched.only().fault().unwrap();
    assert_eq!(fault.policy, "shadow");
    assert!(fault.error.contains("unreachable"), "{fault:?}");
    policy.says(ImportVerdict::Reject);
    let retry_at = watched.shadows.retry_at().unwrap();
    watched.shadows.compare(retry_at);
    assert_eq!(watched.counts()[0], ("tor", 1, 0));
    assert_eq!(watched.differences().len(), 1);
    assert_eq!(watched.only().fault(), None);
}

#[test]
fn an_answer_that_is_impossible_is_its_fault_alone() {
    let enforced = Scripted::saying(accept());
    let policy = Scripted::saying(ImportVerdict::Accept(Acceptance {
        attributes: Some(Arc::new(RouteAttributes {
            prepend: 17,
            ..RouteAttributes::default()
        })),
        installation: None,
    }));
    let mut watched = Watched::new(vec![
        link("enforced", &enforced, OnError::KeepLast),
        shadow("shadow", &policy),
    ]);
    let (told, _) = watched.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert_eq!(told, ["10.0.0.0/8 v1 as received"]);
    let fault = watched.only().fault().unwrap();
    assert!(fault.error.contains("17 prepended"), "{fault:?}");
    assert_eq!(watched.fixture.imports.links().next().unwrap().error, None);
}

#[test]
fn without_a_shadow_there_is_nothing_to_observe() {
    let policy = Scripted::saying(accept());
    let mut fixture = Fixture::new(vec![link("a", &policy, OnError::KeepLast)]);
    assert!(fixture.imports.observe().is_some(), "the chain is new");
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert!(fixture.imports.observe().is_none());
}

/// Decides by MED and local preference, so that order and attributes matter.
struct ByMed(u32);

impl ImportPolicy for ByMed {
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        let decide = |route: &crate::policy::ProposedImport<'_>| {
            let RouteAttributes {
                med, local_pref, ..
            } = **route.attributes;
            let local_pref = local_pref.unwrap_or(0);
            let verdict = match (med.unwrap_or(0) + local_pref) % self.0 {
                0 => ImportVerdict::Abstain,
                1 => accept(),
                2 => keep(),
                3 => ImportVerdict::Accept(Acceptance {
                    attributes: Some(Arc::new(RouteAttributes {
                        local_pref: Some(local_pref + 1),
                        ..(**route.attributes).clone()
                    })),
                    installation: None,
                }),
                _ => ImportVerdict::Reject,
            };
            ImportDecision {
                verdict,
                reason: None,
            }
        };
        Ok(batch.routes.iter().map(decide).collect())
    }
}

/// What happens to imports.
#[derive(Clone, Debug)]
enum Event {
    Announce(PeerId, u8, u32),
    Withdraw(PeerId, u8),
    /// A peer goes, or comes back.
    Toggle(PeerId),
    Default(ChainDefault),
}

fn event() -> impl Strategy<Value = Event> {
    let peer = prop_oneof![Just(TOR), Just(SPINE)];
    prop_oneof![
        8 => (peer.clone(), 0..4u8, 0..7u32).prop_map(|(peer, net, med)| Event::Announce(peer, net, med)),
        3 => (peer.clone(), 0..4u8).prop_map(|(peer, net)| Event::Withdraw(peer, net)),
        1 => peer.prop_map(Event::Toggle),
        1 => prop_oneof![Just(ChainDefault::Accept), Just(ChainDefault::Reject)].prop_map(Event::Default),
    ]
}

impl Event {
    fn happen(&self, fixture: &mut Fixture) {
        match self {
            Self::Announce(peer, net, med) => {
                if fixture.peers().contains_key(peer) {
                    fixture.announce(&[(*peer, &format!("10.{net}.0.0/16"), *med)]);
                }
            }
            Self::Withdraw(peer, net) => {
                fixture.withdraw(*peer, &format!("10.{net}.0.0/16"));
            }
            Self::Toggle(id) => {
                let mut peers = fixture.peers();
                if peers.remove(id).is_none() {
                    peers.insert(*id, peer("again"));
                }
                let now = fixture.now;
                fixture.imports.set_peers(now, peers);
            }
            Self::Default(default) => {
                let now = fixture.now;
                fixture.imports.set_default(now, *default);
            }
        }
    }
}

/// How each route is used.
fn table(fixture: &Fixture) -> BTreeMap<(PeerId, Prefix), AcceptedImport> {
    let of = |peer| {
        let outcomes = fixture.imports.outcomes(peer);
        outcomes
            .filter_map(move |(prefix, outcome)| Some(((peer, *prefix), outcome.accepted.clone()?)))
    };
    of(TOR).chain(of(SPINE)).collect()
}

proptest! {
    /// However the changes come and are put together, the differences are those between the chain
    /// in force and one in which the shadow decides.
    #[test]
    fn differences_are_those_to_a_chain_that_includes_the_shadow(
        events in prop::collection::vec((event(), any::<bool>()), 1..30),
        place in 0..3usize,
    ) {
        let chain = |mode| {
            let unasked = Scripted::saying(accept());
            let decides = |name, modulus| ImportLink {
                policy: Arc::new(ByMed(modulus)),
                ..link(name, &unasked, OnError::KeepLast)
            };
            let mut links = vec![decides("first", 5), decides("second", 6)];
            links.insert(place, ImportLink { mode, ..decides("shadow", 4) });
            links
        };
        let mut enforced = Watched::new(chain(Mode::Shadow));
        let mut included = Fixture::new(chain(Mode::Enforce));
        let mut late: Option<Observation<Importing>> = None;
        for (event, looked) in events.iter().chain([&(Event::Withdraw(TOR, 9), true)]) {
            event.happen(&mut enforced.fixture);
            event.happen(&mut included);
            let seen = enforced.fixture.imports.observe();
            match (&mut late, seen) {
                (Some(late), Some(seen)) => late.add(seen),
                (late @ None, Some(seen)) => *late = Some(seen),
                (_, None) => {}
            }
            if *looked && let Some(late) = late.take() {
                enforced.shadows.observe(enforced.fixture.now, late);
            }
        }
        let mut expected = table(&enforced.fixture);
        for (peer, comparison) in enforced.only().comparisons() {
            for (prefix, difference) in comparison.differences() {
                let (from, to) = difference.change.sides();
                prop_assert_eq!(expected.get(&(peer, *prefix)), from);
                match to {
                    Some(to) => expected.insert((peer, *prefix), to.clone()),
                    None => expected.remove(&(peer, *prefix)),
                };
            }
        }
        prop_assert_eq!(expected, table(&included));
    }
}
