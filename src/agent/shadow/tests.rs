//! The thread: nothing waits for it, nothing is lost, and it ends.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::agent::testing::{self, Parts, until};
use crate::api::{PolicyStatus, ShadowComparison, ShadowDifference, ShadowPolicy, ShadowReport};
use crate::candidates::{Candidate, CandidateChange, CandidateKey, Origin};
use crate::facts::NodeFacts;
use crate::policy::{
    Audience, Batch, Decision, Exports, Limits, Link, Mode, OnError, PeerGroup, PeerGroups,
    PeerKind, PolicyFailure, RoutePolicy, Verdict,
};
use crate::types::{Asn, GroupId};
use crate::wasm::tests::hostile::Way;
use crate::wasm::tests::verdicts;

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
        serving: None,
    };
    let changes = vec![CandidateChange::Upsert(candidate)];
    let node = Some(Arc::new(NodeFacts::default()));
    let told = exports.update(clock::now(), node, changes);
    assert_eq!(told.len(), 1, "{prefix} is announced, whatever the shadow");
    exports.observe().unwrap()
}

/// The threads' report, where group 1 is one peer.
async fn report(threads: &ShadowThreads) -> Result<ShadowReport, NoAnswer> {
    let peers = [(GroupId(1), vec!["tor-a".to_owned()])];
    threads.handles().report(peers.into()).await
}

/// What the only policy in shadow mode would change towards the only group.
async fn only(threads: &ShadowThreads) -> ShadowComparison<ShadowDifference> {
    let mut report = report(threads).await.unwrap();
    assert_eq!(report.import_policies, []);
    let mut policy: ShadowPolicy<_> = report.policies.pop().unwrap();
    assert_eq!(report.policies, []);
    policy.groups.pop().unwrap()
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
    let threads = ShadowThreads::spawn().unwrap();
    let (thread, handle) = (&threads.exports, threads.exports.handle());
    thread.offer(announce(&mut exports, "10.1.0.0/24"));
    assert_eq!(was_asked.recv_timeout(DEADLINE), Ok(1));
    // It is busy: these calls return all the same, and the summary is there.
    thread.offer(announce(&mut exports, "10.2.0.0/24"));
    thread.offer(announce(&mut exports, "10.3.0.0/24"));
    assert_eq!(handle.summary("next"), None, "nothing is compared yet");
    go.send(()).unwrap();
    assert_eq!(was_asked.recv_timeout(DEADLINE), Ok(2), "both at once");
    assert_eq!(handle.summary("next").unwrap().counts[0].withdrawn, 1);
    go.send(()).unwrap();
    let comparison = only(&threads).await;
    let differences = comparison.differences.iter();
    let prefixes: Vec<_> = differences.map(|it| it.prefix).collect();
    let expected = ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"];
    assert_eq!(prefixes, expected.map(|prefix| prefix.parse().unwrap()));
    assert_eq!(comparison.peers, ["tor-a"]);
    assert_eq!(comparison.counts.withdrawn, 3);
    assert_eq!(handle.summary("enforced"), None);
}

#[tokio::test]
async fn whoever_asks_at_its_end_is_told() {
    let threads = ShadowThreads::spawn().unwrap();
    let handles = threads.handles();
    drop(threads);
    let answer = handles.report(BTreeMap::new()).await;
    assert_eq!(answer, Err(NoAnswer::Ended));
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
    let threads = ShadowThreads::spawn().unwrap();
    threads.exports.offer(announce(&mut exports, "10.1.0.0/24"));
    assert_eq!(report(&threads).await, Err(NoAnswer::Ended));
    threads.exports.offer(announce(&mut exports, "10.2.0.0/24"));
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
    let threads = ShadowThreads::spawn().unwrap();
    let handle = threads.exports.handle();
    threads.exports.offer(announce(&mut exports, "10.1.0.0/24"));
    assert_eq!(was_asked.recv_timeout(DEADLINE), Ok(1));
    for _ in 0..QUESTIONS_MAX {
        handle.ask(Box::new(|_| ())).unwrap();
    }
    assert_eq!(report(&threads).await, Err(NoAnswer::Busy));
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
            let counts = policy.shadow.iter().flatten();
            counts.map(|it| it.compared + it.waiting).sum::<u64>() > 0
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
    for comparison in report.policies.iter().flat_map(|it| &it.groups) {
        assert_eq!(comparison.differences, [], "{comparison:?}");
        assert_eq!(comparison.peers, ["tor"]);
    }
}

/// Two import policies in shadow mode, of which one does not load. Alone they decide nothing.
const IMPORT_SHADOWS: &str = "
import-policy-default = 'accept'
[[import-policies]]
name = 'rejects'
module = 'rejects.wasm'
mode = 'shadow'
[[import-policies]]
name = 'missing'
module = 'missing.wasm'
mode = 'shadow'
";

#[tokio::test]
async fn import_policies_in_shadow_mode_have_a_thread_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let module = verdicts::rejects(Way::Learn);
    std::fs::write(folder.path().join("rejects.wasm"), module).unwrap();
    let text = testing::text("").replace("[bgp]", &format!("{IMPORT_SHADOWS}[bgp]"));
    let parts = Parts::start_with(folder, &text).await;
    until(&parts.reporter, |status| {
        let compared = |policy: &PolicyStatus| policy.shadow.is_some();
        status.import_policies.iter().all(compared)
    })
    .await;
    let status = parts.reporter.status().await.unwrap();
    assert_eq!(status.config.error, None);
    let [rejects, missing] = &status.import_policies[..] else {
        panic!("{status:?}");
    };
    assert_eq!((rejects.mode, &rejects.error), (Mode::Shadow, &None));
    let [counts] = &rejects.shadow.as_ref().unwrap()[..] else {
        panic!("{rejects:?}");
    };
    // There is no session: nothing is learned, and nothing is asked.
    assert_eq!(counts.peer.as_deref(), Some("tor"));
    assert_eq!((counts.compared, counts.waiting), (0, 0));
    assert_eq!((missing.mode, &missing.error), (Mode::Shadow, &None));
    let report = parts.reporter.shadow().await.unwrap();
    let names = report.import_policies.iter().map(|it| &*it.policy);
    assert_eq!(names.collect::<Vec<_>>(), ["rejects", "missing"]);
    assert_eq!(report.policies, []);
}
