//! The thread: nothing waits for it, nothing is lost, and it ends.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::agent::testing::{self, Parts, until};
use crate::api::PolicyStatus;
use crate::candidates::{Candidate, CandidateChange, CandidateKey, Origin};
use crate::facts::NodeFacts;
use crate::policy::{
    Audience, Batch, Decision, Exports, Limits, Link, Mode, OnError, PeerGroup, PeerGroups,
    PeerKind, PolicyFailure, RoutePolicy, Verdict,
};
use crate::types::Asn;

/// Longer than any machine takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// Accepts everything.
struct Accept;

/// Rejects everything, each time it is let: it tells that it was asked, and waits.
struct Gate {
    asked: mpsc::SyncSender<usize>,
    go: Mutex<mpsc::Receiver<()>>,
}

fn decisions(batch: &Batch<'_>, verdict: Verdict) -> Vec<Decision> {
    let decision = Decision {
        verdict,
        reason: None,
    };
    vec![decision; batch.candidates.len()]
}

impl RoutePolicy for Accept {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        Ok(decisions(batch, Verdict::Accept(None)))
    }
}

impl RoutePolicy for Gate {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        self.asked.send(batch.candidates.len()).unwrap();
        let go = self.go.lock().unwrap();
        go.recv_timeout(DEADLINE).expect("the test lets it go");
        Ok(decisions(batch, Verdict::Reject))
    }
}

fn link(name: &str, policy: impl RoutePolicy + 'static, mode: Mode) -> Link {
    Link {
        name: name.into(),
        module: "test".to_owned(),
        settings: Arc::default(),
        policy: Arc::new(policy),
        on_error: OnError::KeepLast,
        limits: Limits::DEFAULT,
        audience: Audience::Everyone,
        mode,
    }
}

/// Exports towards group 1 with a shadow.
fn exports(shadow: Link) -> Exports {
    let mut exports = Exports::new(Asn(64512));
    let now = clock::now();
    let peers = PeerGroup {
        name: "tors".to_owned(),
        asn: Asn(64512),
        kind: PeerKind::Ibgp,
        labels: BTreeMap::new(),
    };
    exports.set_groups(
        now,
        PeerGroups {
            groups: [(GroupId(1), peers)].into(),
            ..PeerGroups::default()
        },
    );
    exports.replace_chain(now, [link("enforced", Accept, Mode::Enforce), shadow]);
    exports
}

fn announce(exports: &mut Exports, prefix: &str) -> Observation {
    let candidate = Candidate {
        key: CandidateKey {
            prefix: prefix.parse().unwrap(),
            origin: Origin::PodCidr,
        },
        service: None,
        covered_by: None,
    };
    let changes = vec![CandidateChange::Upsert(candidate)];
    let node = Some(Arc::new(NodeFacts::default()));
    let told = exports.update(clock::now(), node, changes);
    assert_eq!(told.len(), 1, "{prefix} is announced, whatever the shadow");
    exports.observe().unwrap()
}

fn group() -> BTreeMap<GroupId, Vec<String>> {
    [(GroupId(1), vec!["tor-a".to_owned()])].into()
}

#[tokio::test]
async fn what_comes_while_it_is_busy_is_compared_together_and_nobody_waits() {
    let (asked, was_asked) = mpsc::sync_channel(1);
    let (go, going) = mpsc::channel();
    let gate = Gate {
        asked,
        go: Mutex::new(going),
    };
    let mut exports = exports(link("next", gate, Mode::Shadow));
    let thread = spawn().unwrap();
    let handle = thread.handle();
    thread.offer(announce(&mut exports, "10.1.0.0/24"));
    assert_eq!(was_asked.recv_timeout(DEADLINE), Ok(1));
    // It is busy: these calls return all the same, and the summary is there.
    thread.offer(announce(&mut exports, "10.2.0.0/24"));
    thread.offer(announce(&mut exports, "10.3.0.0/24"));
    assert_eq!(handle.summary("next"), None, "nothing is compared yet");
    go.send(()).unwrap();
    assert_eq!(was_asked.recv_timeout(DEADLINE), Ok(2), "both at once");
    assert_eq!(handle.summary("next").unwrap().groups[0].withdrawn, 1);
    go.send(()).unwrap();
    let report = handle.report(group()).await.unwrap();
    let [ShadowPolicy { groups, .. }] = &report[..] else {
        panic!("{report:?}");
    };
    let prefixes: Vec<_> = groups[0].differences.iter().map(|it| it.prefix).collect();
    let expected = ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"];
    assert_eq!(prefixes, expected.map(|prefix| prefix.parse().unwrap()));
    assert_eq!(groups[0].peers, ["tor-a"]);
    assert_eq!(groups[0].counts.withdrawn, 3);
    assert_eq!(handle.summary("enforced"), None);
}

#[tokio::test]
async fn whoever_asks_at_its_end_is_told() {
    let thread = spawn().unwrap();
    let handle = thread.handle();
    drop(thread);
    assert_eq!(handle.report(group()).await, Err(NoAnswer::Ended));
}

#[tokio::test]
async fn a_shadow_that_panics_ends_the_thread_and_not_the_agent() {
    struct Panics;
    impl RoutePolicy for Panics {
        fn evaluate(&self, _: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
            panic!("a bug of ours");
        }
    }
    let mut exports = exports(link("next", Panics, Mode::Shadow));
    let thread = spawn().unwrap();
    let handle = thread.handle();
    thread.offer(announce(&mut exports, "10.1.0.0/24"));
    assert_eq!(handle.report(group()).await, Err(NoAnswer::Ended));
    thread.offer(announce(&mut exports, "10.2.0.0/24"));
}

#[tokio::test]
async fn too_many_questions_are_turned_away() {
    let (asked, was_asked) = mpsc::sync_channel(1);
    let (go, going) = mpsc::channel();
    let gate = Gate {
        asked,
        go: Mutex::new(going),
    };
    let mut exports = exports(link("next", gate, Mode::Shadow));
    let thread = spawn().unwrap();
    let handle = thread.handle();
    thread.offer(announce(&mut exports, "10.1.0.0/24"));
    assert_eq!(was_asked.recv_timeout(DEADLINE), Ok(1));
    for _ in 0..QUESTIONS_MAX {
        handle.ask(Box::new(|_| ())).unwrap();
    }
    assert_eq!(handle.report(group()).await, Err(NoAnswer::Busy));
    go.send(()).unwrap();
}

/// Two policies in shadow mode beside the built-in one: itself, and one that is not there.
const SHADOWS: &str = "
[[policies]]
name = 'default'
[[policies]]
name = 'same'
mode = 'shadow'
[[policies]]
name = 'missing'
module = 'missing.wasm'
mode = 'shadow'
";

#[tokio::test]
async fn a_shadow_that_does_not_load_is_told_and_the_chain_is_in_force() {
    let parts = Parts::start(&testing::text(SHADOWS)).await;
    // The shadows' thread may still be at it when routes are announced.
    until(&parts.reporter, |status| {
        let shadows = &status.policies[1..];
        let told = |policy: &PolicyStatus| {
            let groups = policy.shadow.iter().flatten();
            groups.map(|it| it.compared + it.waiting).sum::<u64>() > 0
        };
        shadows.iter().all(told)
    })
    .await;
    let status = parts.reporter.status().await.unwrap();
    let [default, same, missing] = &status.policies[..] else {
        panic!("{status:?}");
    };
    assert_eq!((default.mode, &default.error), (Mode::Enforce, &None));
    assert_eq!((same.mode, &same.error), (Mode::Shadow, &None));
    let error = missing.error.as_deref().unwrap();
    assert!(error.contains("missing.wasm"), "{error}");
    let report = parts.reporter.shadow().await.unwrap();
    let names = report.policies.iter().map(|it| &*it.policy);
    assert_eq!(names.collect::<Vec<_>>(), ["same", "missing"]);
    let counts = report.policies.iter().map(|it| &it.groups[0].counts);
    let waiting: Vec<_> = counts.map(|it| it.waiting > 0).collect();
    assert_eq!(waiting, [false, true]);
    for group in report.policies.iter().flat_map(|it| &it.groups) {
        assert_eq!(group.differences, [], "{group:?}");
        assert_eq!(group.peers, ["tor"]);
    }
}
