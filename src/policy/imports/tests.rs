//! The import chain against policies in plain Rust: what carries on, what is kept, and what is
//! never brought back.

mod pieces;
mod shadow;

use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::policy::{
    Acceptance, AcceptedImport, Audience, CHAIN_DEFAULT, ChainDefault, ImportBatch, ImportDecision,
    ImportLink, ImportVerdict, LearnedPath, Limits, Mode, NextLink, OnError, PathOrigin, PeerKind,
    PolicyFailure, SpotChecked, Step, StepVerdict,
};
use crate::types::{Asn, Installation, RouteAttributes, RouteVersion};

const TOR: PeerId = PeerId(1);
const SPINE: PeerId = PeerId(2);

/// Says what it is told to, and remembers what it was asked.
#[derive(Default)]
struct Scripted {
    answer: Mutex<Option<ImportVerdict>>,
    asked: Mutex<Vec<(String, Prefix, Option<u32>)>>,
    next_hops: Mutex<Vec<Option<IpAddr>>>,
}

impl Scripted {
    fn saying(verdict: ImportVerdict) -> Arc<Self> {
        let policy = Self::default();
        *policy.answer.lock().unwrap() = Some(verdict);
        Arc::new(policy)
    }

    fn says(&self, verdict: ImportVerdict) {
        *self.answer.lock().unwrap() = Some(verdict);
    }

    fn fails(&self) {
        *self.answer.lock().unwrap() = None;
    }

    /// Those it was proposed.
    fn next_hops(&self) -> Vec<Option<IpAddr>> {
        std::mem::take(&mut self.next_hops.lock().unwrap())
    }

    fn take_asked(&self) -> Vec<(String, Prefix, Option<u32>)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl ImportPolicy for Scripted {
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        let asked = batch.routes.iter().map(|route| {
            let local_pref = route.attributes.local_pref;
            (batch.peer.name.clone(), route.prefix, local_pref)
        });
        self.asked.lock().unwrap().extend(asked);
        let next_hops = batch.routes.iter().map(|route| route.attributes.next_hop);
        self.next_hops.lock().unwrap().extend(next_hops);
        let Some(verdict) = self.answer.lock().unwrap().clone() else {
            return Err(PolicyFailure::Trap("unreachable".into()));
        };
        let decision = ImportDecision {
            verdict,
            reason: Some("scripted".into()),
        };
        Ok(vec![decision; batch.routes.len()])
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an arbitrary start; only differences count"
)]
fn start() -> Instant {
    Instant::now()
}

fn accept() -> ImportVerdict {
    ImportVerdict::Accept(Acceptance::default())
}

fn prefer(local_pref: u32) -> ImportVerdict {
    ImportVerdict::Accept(Acceptance {
        attributes: Some(Arc::new(RouteAttributes {
            local_pref: Some(local_pref),
            ..RouteAttributes::default()
        })),
        installation: None,
    })
}

fn link(name: &str, policy: &Arc<Scripted>, on_error: OnError) -> ImportLink {
    ImportLink {
        name: name.into(),
        module: format!("test:{name}"),
        settings: Arc::default(),
        policy: Arc::clone(policy) as Arc<dyn ImportPolicy>,
        on_error,
        limits: Limits::DEFAULT,
        audience: Audience::Everyone,
        mode: Mode::Enforce,
    }
}

/// Imports of two peers by a chain, everything known, and a clock.
struct Fixture {
    imports: Imports,
    now: Instant,
    versions: u64,
}

impl Fixture {
    fn new(links: Vec<ImportLink>) -> Self {
        let now = start();
        let mut imports = Imports::new(Asn(64512));
        let peers = [(TOR, "tor"), (SPINE, "spine")];
        imports.set_peers(now, peers.map(|(id, name)| (id, peer(name))).into());
        imports.set_node(now, Arc::default());
        imports.replace_chain(now, links);
        Self {
            imports,
            now,
            versions: 0,
        }
    }

    /// Peers announce; a route is told from another of its prefix by its MED.
    fn announce(&mut self, routes: &[(PeerId, &str, u32)]) -> Vec<ImportChange> {
        let changes = routes.iter().map(|(peer, prefix, med)| {
            self.versions += 1;
            LearnedChange {
                peer: *peer,
                prefix: prefix.parse().unwrap(),
                route: Some(route(self.versions, *med)),
            }
        });
        let changes = changes.collect();
        self.imports.learn(self.now, changes)
    }

    /// A peer announces by a next hop.
    fn announce_by(&mut self, peer: PeerId, prefix: &str, next_hop: Option<IpAddr>) {
        self.versions += 1;
        let attributes = RouteAttributes {
            next_hop,
            ..RouteAttributes::default()
        };
        let route = LearnedRoute {
            attributes: Arc::new(attributes),
            ..route(self.versions, 0)
        };
        let change = LearnedChange {
            peer,
            prefix: prefix.parse().unwrap(),
            route: Some(route),
        };
        self.imports.learn(self.now, vec![change]);
    }

    fn withdraw(&mut self, peer: PeerId, prefix: &str) -> Vec<ImportChange> {
        let change = LearnedChange {
            peer,
            prefix: prefix.parse().unwrap(),
            route: None,
        };
        self.imports.learn(self.now, vec![change])
    }

    fn pass(&mut self, seconds: u64) -> Vec<ImportChange> {
        self.now += Duration::from_secs(seconds);
        self.imports.retry(self.now)
    }

    fn peers(&self) -> BTreeMap<PeerId, ImportPeer> {
        let peers = self.imports.peers();
        peers.map(|(id, peer)| (id, peer.clone())).collect()
    }

    fn steps(&self, peer: PeerId, prefix: &str) -> Vec<Step> {
        self.imports.steps(peer, &prefix.parse().unwrap())
    }

    fn outcome(&self, peer: PeerId, prefix: &str) -> Option<&ImportOutcome> {
        let prefix: Prefix = prefix.parse().unwrap();
        self.imports.outcome(peer, &prefix)
    }
}

fn peer(name: &str) -> ImportPeer {
    ImportPeer {
        name: name.into(),
        address: "192.0.2.1".parse().unwrap(),
        group: PeerGroup {
            name: name.into(),
            asn: Asn(64513),
            kind: PeerKind::Ebgp,
            labels: [].into(),
        },
    }
}

fn route(version: u64, med: u32) -> LearnedRoute {
    LearnedRoute {
        version: RouteVersion(version),
        router_id: std::net::Ipv4Addr::new(192, 0, 2, 1).try_into().unwrap(),
        path: Arc::new(LearnedPath {
            origin: PathOrigin::Igp,
            as_path: Vec::new(),
        }),
        attributes: Arc::new(RouteAttributes {
            med: Some(med),
            ..RouteAttributes::default()
        }),
    }
}

/// Prefix, version, and local preference or `-` where it is not used.
fn told(changes: &[ImportChange]) -> Vec<String> {
    let line = |change: &ImportChange| {
        let used = change.accepted.as_ref().map(|accepted| {
            let local_pref = accepted.attributes.local_pref;
            local_pref.map_or("as received".to_owned(), |value| value.to_string())
        });
        let used = used.unwrap_or_else(|| "-".to_owned());
        format!("{} v{} {used}", change.prefix, change.version.0)
    };
    changes.iter().map(line).collect()
}

#[test]
fn a_chain_without_policies_uses_nothing_and_says_so() {
    let mut fixture = Fixture::new(Vec::new());
    let changes = fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert_eq!(told(&changes), ["10.0.0.0/8 v1 -"]);
    let outcome = fixture.outcome(TOR, "10.0.0.0/8").unwrap();
    assert_eq!(&*outcome.steps[0].policy, CHAIN_DEFAULT);
}

#[test]
fn the_end_of_the_chain_is_the_operators() {
    let abstains = Scripted::saying(ImportVerdict::Abstain);
    let mut fixture = Fixture::new(vec![link("a", &abstains, OnError::KeepLast)]);
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    let now = fixture.now;
    let changes = fixture.imports.set_default(now, ChainDefault::Accept);
    assert_eq!(told(&changes), ["10.0.0.0/8 v1 as received"]);
}

#[test]
fn accept_carries_on_with_its_attributes_and_reject_is_final() {
    let first = Scripted::saying(prefer(200));
    let second = Scripted::saying(ImportVerdict::Abstain);
    let third = Scripted::saying(accept());
    let mut fixture = Fixture::new(vec![
        link("first", &first, OnError::KeepLast),
        link("second", &second, OnError::KeepLast),
        link("third", &third, OnError::KeepLast),
    ]);
    let changes = fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert_eq!(told(&changes), ["10.0.0.0/8 v1 200"]);
    let prefix: Prefix = "10.0.0.0/8".parse().unwrap();
    assert_eq!(third.take_asked(), [("tor".into(), prefix, Some(200))]);
    second.says(ImportVerdict::Reject);
    let changes = fixture.announce(&[(TOR, "10.0.0.0/8", 2)]);
    assert_eq!(told(&changes), ["10.0.0.0/8 v2 -"]);
    assert!(third.take_asked().is_empty());
    let steps = &fixture.outcome(TOR, "10.0.0.0/8").unwrap().steps;
    let verdicts: Vec<_> = steps.iter().map(|step| step.verdict).collect();
    assert_eq!(verdicts, [StepVerdict::Accept, StepVerdict::Reject]);
}

#[test]
fn a_next_hop_that_a_policy_leaves_out_is_the_one_received() {
    let next_hop = Some("192.0.2.9".parse().unwrap());
    let first = Scripted::saying(prefer(200));
    let second = Scripted::saying(ImportVerdict::Abstain);
    let mut fixture = Fixture::new(vec![
        link("first", &first, OnError::KeepLast),
        link("second", &second, OnError::KeepLast),
    ]);
    fixture.announce_by(TOR, "10.0.0.0/8", next_hop);
    let used = |fixture: &Fixture| {
        let outcome = fixture.outcome(TOR, "10.0.0.0/8")?;
        Some(outcome.accepted.clone()?.attributes)
    };
    assert_eq!(used(&fixture).unwrap().next_hop, next_hop);
    assert_eq!(
        second.next_hops(),
        [next_hop],
        "and what the next is proposed"
    );
    let other = Some("192.0.2.10".parse().unwrap());
    first.says(ImportVerdict::Accept(Acceptance {
        attributes: Some(Arc::new(RouteAttributes {
            next_hop: other,
            ..RouteAttributes::default()
        })),
        installation: None,
    }));
    fixture.announce_by(TOR, "10.0.0.0/8", Some("192.0.2.8".parse().unwrap()));
    assert_eq!(used(&fixture).unwrap().next_hop, other);
}

fn keep() -> ImportVerdict {
    ImportVerdict::Accept(Acceptance {
        attributes: None,
        installation: Some(Installation::Keep),
    })
}

#[test]
fn the_last_word_on_the_kernel_stands() {
    let first = Scripted::saying(keep());
    let second = Scripted::saying(prefer(50));
    let mut fixture = Fixture::new(vec![
        link("first", &first, OnError::KeepLast),
        link("second", &second, OnError::KeepLast),
    ]);
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    let accepted = |fixture: &Fixture| fixture.outcome(TOR, "10.0.0.0/8")?.accepted.clone();
    let outcome = accepted(&fixture).unwrap();
    assert_eq!(outcome.installation, Installation::Keep);
    assert_eq!(outcome.attributes.local_pref, Some(50));
    first.says(accept());
    fixture.announce(&[(TOR, "10.0.0.0/8", 2)]);
    let outcome = accepted(&fixture).unwrap();
    assert_eq!(outcome.installation, Installation::Install);
}

#[test]
fn only_what_changed_is_asked_about_and_only_news_are_told() {
    let policy = Scripted::saying(accept());
    let mut fixture = Fixture::new(vec![link("a", &policy, OnError::KeepLast)]);
    fixture.announce(&[(TOR, "10.0.0.0/8", 1), (SPINE, "10.0.0.0/8", 1)]);
    assert_eq!(policy.take_asked().len(), 2);
    let changes = fixture.announce(&[(TOR, "10.1.0.0/16", 1)]);
    assert_eq!(told(&changes), ["10.1.0.0/16 v3 as received"]);
    assert_eq!(policy.take_asked().len(), 1);
    // Everything is asked about, and nothing is news.
    let now = fixture.now;
    let links = vec![link("a", &policy, OnError::KeepLast)];
    assert!(fixture.imports.replace_chain(now, links).is_empty());
    assert_eq!(policy.take_asked().len(), 3);
}

#[test]
fn an_announcement_of_the_same_path_is_answered_under_its_own_number() {
    let policy = Scripted::saying(accept());
    let mut fixture = Fixture::new(vec![link("a", &policy, OnError::KeepLast)]);
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    let changes = fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert_eq!(told(&changes), ["10.0.0.0/8 v2 as received"]);
}

#[test]
fn a_failing_policy_keeps_what_it_said_of_a_path_that_is_unchanged() {
    let policy = Scripted::saying(prefer(200));
    let mut fixture = Fixture::new(vec![link("a", &policy, OnError::KeepLast)]);
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    policy.fails();
    // A new route makes it fail; the old one stands, and is told under its new number.
    let changes = fixture.announce(&[(TOR, "10.0.0.0/8", 1), (TOR, "10.1.0.0/16", 1)]);
    assert_eq!(told(&changes), ["10.0.0.0/8 v2 200", "10.1.0.0/16 v3 -"]);
    assert!(fixture.outcome(TOR, "10.0.0.0/8").unwrap().steps[0].kept);
    let reason = fixture.outcome(TOR, "10.1.0.0/16").unwrap().steps[0]
        .reason
        .clone();
    assert_eq!(
        reason.as_deref(),
        Some("a is failing and has never decided about this path: the module trapped: unreachable")
    );
}

#[test]
fn a_kept_decision_is_not_one_about_another_path() {
    let policy = Scripted::saying(prefer(200));
    let mut fixture = Fixture::new(vec![link("a", &policy, OnError::KeepLast)]);
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    policy.fails();
    let changes = fixture.announce(&[(TOR, "10.0.0.0/8", 2)]);
    assert_eq!(told(&changes), ["10.0.0.0/8 v2 -"]);
}

#[test]
fn a_withdrawn_route_is_not_brought_back_by_what_was_said_of_it() {
    let policy = Scripted::saying(prefer(200));
    let mut fixture = Fixture::new(vec![link("a", &policy, OnError::KeepLast)]);
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert!(fixture.withdraw(TOR, "10.0.0.0/8").is_empty());
    assert!(fixture.outcome(TOR, "10.0.0.0/8").is_none());
    policy.fails();
    // The same path again: it was never decided about.
    let changes = fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert_eq!(told(&changes), ["10.0.0.0/8 v2 -"]);
}

#[test]
fn on_error_speaks_about_all_routes_of_the_policy() {
    for (on_error, after) in [
        (OnError::Withdraw, "10.0.0.0/8 v1 -"),
        (OnError::Skip, "10.0.0.0/8 v1 as received"),
    ] {
        let before = Scripted::saying(accept());
        let policy = Scripted::saying(prefer(200));
        let mut fixture = Fixture::new(vec![
            link("before", &before, OnError::KeepLast),
            link("a", &policy, on_error),
        ]);
        fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
        policy.fails();
        let changes = fixture.announce(&[(SPINE, "10.1.0.0/16", 1)]);
        assert_eq!(told(&changes)[0], after);
    }
}

#[test]
fn a_failing_policy_is_left_alone_for_a_while_and_then_asked_about_everything() {
    let policy = Scripted::saying(prefer(200));
    let mut fixture = Fixture::new(vec![link("a", &policy, OnError::KeepLast)]);
    policy.fails();
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    policy.take_asked();
    fixture.announce(&[(TOR, "10.1.0.0/16", 1)]);
    assert!(policy.take_asked().is_empty());
    policy.says(prefer(300));
    assert_eq!(
        fixture.imports.retry_at(),
        Some(fixture.now + Duration::from_secs(1))
    );
    let changes = fixture.pass(1);
    assert_eq!(told(&changes), ["10.0.0.0/8 v1 300", "10.1.0.0/16 v2 300"]);
    assert_eq!(fixture.imports.retry_at(), None);
    let link = fixture.imports.links().next().unwrap();
    assert_eq!((link.failed(), link.error), (1, None));
}

#[test]
fn a_new_policy_that_fails_at_once_takes_nothing_away() {
    let old = Scripted::saying(prefer(200));
    let mut fixture = Fixture::new(vec![link("old", &old, OnError::KeepLast)]);
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    let new = Scripted::saying(accept());
    new.fails();
    let now = fixture.now;
    let links = vec![link("new", &new, OnError::KeepLast)];
    assert!(fixture.imports.replace_chain(now, links).is_empty());
    // Once it has answered for itself, the former chain is forgotten.
    new.says(ImportVerdict::Reject);
    assert_eq!(told(&fixture.pass(1)), ["10.0.0.0/8 v1 -"]);
}

#[test]
fn a_trial_shows_what_would_come_and_tells_nobody() {
    let policy = Scripted::saying(accept());
    let mut fixture = Fixture::new(vec![link("a", &policy, OnError::KeepLast)]);
    fixture.announce(&[(TOR, "10.0.0.0/8", 1), (SPINE, "10.1.0.0/16", 1)]);
    let mut trial = fixture.imports.clone();
    let picky = Scripted::saying(prefer(200));
    let now = fixture.now;
    trial.replace_chain(now, vec![link("b", &picky, OnError::KeepLast)]);
    assert!(trial.differences(&trial.clone()).is_empty());
    // The peer changes one, and withdraws the other, in both.
    let change = LearnedChange {
        peer: TOR,
        prefix: "10.0.0.0/8".parse().unwrap(),
        route: Some(route(9, 2)),
    };
    trial.learn(now, vec![change.clone()]);
    fixture.imports.learn(now, vec![change]);
    let differences = trial.differences(&fixture.imports);
    assert_eq!(
        told(&differences),
        ["10.0.0.0/8 v9 200", "10.1.0.0/16 v2 200"]
    );
    let untouched = fixture.outcome(SPINE, "10.1.0.0/16").unwrap();
    assert_eq!(&*untouched.steps[0].policy, "a");
}

#[test]
fn a_policy_is_asked_about_routes_of_its_peers_only() {
    let tors = Scripted::saying(ImportVerdict::Reject);
    let all = Scripted::saying(accept());
    let mut fixture = Fixture::new(vec![
        ImportLink {
            audience: Audience::Only(["tor".to_owned()].into()),
            ..link("tors", &tors, OnError::KeepLast)
        },
        link("all", &all, OnError::KeepLast),
    ]);
    let changes = fixture.announce(&[(TOR, "10.0.0.0/8", 1), (SPINE, "10.0.0.0/8", 1)]);
    assert_eq!(
        told(&changes),
        ["10.0.0.0/8 v1 -", "10.0.0.0/8 v2 as received"]
    );
    assert_eq!(tors.take_asked().len(), 1);
    let steps = fixture.steps(SPINE, "10.0.0.0/8");
    assert_eq!(steps[0].verdict, StepVerdict::NotAsked);
    let reason = steps[0].reason.as_deref();
    assert_eq!(reason, Some("it is for peer group tor only"));
    assert_eq!(steps[1].verdict, StepVerdict::Accept);
}

#[test]
fn a_policy_that_comes_to_decide_for_a_peer_and_fails_at_once_takes_nothing_away() {
    let policy = Scripted::saying(accept());
    let accepts = Scripted::saying(accept());
    let own = |audience| ImportLink {
        audience,
        ..link("own", &policy, OnError::KeepLast)
    };
    let other = || link("other", &accepts, OnError::KeepLast);
    let only = Audience::Only(["spine".to_owned()].into());
    let mut fixture = Fixture::new(vec![own(only), other()]);
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    policy.fails();
    let (now, links) = (fixture.now, vec![own(Audience::Everyone), other()]);
    assert!(fixture.imports.replace_chain(now, links).is_empty());
    assert!(fixture.outcome(TOR, "10.0.0.0/8").unwrap().steps[0].kept);
}

#[test]
fn a_link_that_is_kept_is_left_alone_as_long_as_it_was_to_be() {
    let policy = Scripted::saying(accept());
    let mut fixture = Fixture::new(vec![link("a", &policy, OnError::KeepLast)]);
    policy.fails();
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    policy.take_asked();
    let other = Scripted::saying(accept());
    let now = fixture.now;
    let links = [
        NextLink::Kept("a".into()),
        link("b", &other, OnError::KeepLast).into(),
    ];
    fixture.imports.replace_chain(now, links);
    assert!(policy.take_asked().is_empty());
    let kept = fixture.imports.links().next().unwrap();
    assert_eq!((kept.failed(), kept.error.is_some()), (1, true));
}

#[test]
fn a_policy_that_contradicts_itself_about_learned_routes_fails() {
    /// Rejects whatever it is asked about alone or first.
    struct Cheat;
    impl ImportPolicy for Cheat {
        fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
            let decision = |at: usize| ImportDecision {
                verdict: if at == 0 {
                    ImportVerdict::Reject
                } else {
                    accept()
                },
                reason: None,
            };
            Ok((0..batch.routes.len()).map(decision).collect())
        }
    }
    let honest = Scripted::saying(accept());
    let routes = [(TOR, "10.0.0.0/8", 1), (TOR, "10.1.0.0/16", 1)];
    for (policy, kind) in [
        (
            Arc::new(SpotChecked::new(Cheat)) as Arc<dyn ImportPolicy>,
            Some("inconsistent"),
        ),
        (Arc::new(SpotChecked::new(Accepting)), None),
    ] {
        let checked = ImportLink {
            policy,
            ..link("a", &honest, OnError::KeepLast)
        };
        let mut fixture = Fixture::new(vec![checked]);
        fixture.announce(&routes);
        let status = fixture.imports.links().next().unwrap();
        assert_eq!(status.error.map(PolicyFailure::kind), kind);
        if let Some(error) = status.error {
            let words = error.to_string();
            assert!(words.contains("10.1.0.0/16 from tor: accept"), "{words}");
        }
    }
}

/// Accepts everything.
struct Accepting;

impl ImportPolicy for Accepting {
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        let decision = ImportDecision {
            verdict: accept(),
            reason: None,
        };
        Ok(vec![decision; batch.routes.len()])
    }
}

#[test]
fn nothing_is_decided_before_the_node_is_known() {
    let policy = Scripted::saying(accept());
    let now = start();
    let mut imports = Imports::new(Asn(64512));
    imports.set_peers(now, [(TOR, peer("tor"))].into());
    imports.replace_chain(now, vec![link("a", &policy, OnError::KeepLast)]);
    let change = LearnedChange {
        peer: TOR,
        prefix: "10.0.0.0/8".parse().unwrap(),
        route: Some(route(1, 1)),
    };
    assert!(imports.learn(now, vec![change]).is_empty());
    assert!(policy.take_asked().is_empty());
    let changes = imports.set_node(now, Arc::default());
    assert_eq!(told(&changes), ["10.0.0.0/8 v1 as received"]);
}

#[test]
fn a_peer_that_is_gone_leaves_nothing_behind() {
    let policy = Scripted::saying(accept());
    let mut fixture = Fixture::new(vec![link("a", &policy, OnError::KeepLast)]);
    fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    let now = fixture.now;
    fixture
        .imports
        .set_peers(now, [(SPINE, peer("spine"))].into());
    assert!(fixture.outcome(TOR, "10.0.0.0/8").is_none());
}

#[test]
fn attributes_that_no_route_can_have_fail_the_policy() {
    let impossible = ImportVerdict::Accept(Acceptance {
        attributes: Some(Arc::new(RouteAttributes {
            prepend: 17,
            ..RouteAttributes::default()
        })),
        installation: None,
    });
    let policy = Scripted::saying(impossible);
    let mut fixture = Fixture::new(vec![link("a", &policy, OnError::KeepLast)]);
    let changes = fixture.announce(&[(TOR, "10.0.0.0/8", 1)]);
    assert_eq!(told(&changes), ["10.0.0.0/8 v1 -"]);
    let failure = fixture.imports.links().next().unwrap().error.unwrap();
    assert_eq!(failure.kind(), "bad-answer");
}
