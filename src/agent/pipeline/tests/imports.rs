//! Learned routes through the pipeline: when they are decided about, and what the speaker hears.

use super::*;
use crate::agent::imports::ImportChain;
use crate::bgp::wire::{NextHop, PathAttributes};
use crate::policy::{
    Acceptance, ChainDefault, ImportBatch, ImportDecision, ImportLink, ImportPolicy, ImportVerdict,
};
use crate::rib::{AttributePool, AttributeSet};
use crate::speaker::{Learning, Undecided, UndecidedRoute};
use crate::types::{PeerId, RouteVersion};

const IMPORTING: &str = "[[import-policies]]\nname = 'filter'\nmodule = 'filter.wasm'\n";

/// Uses everything, nothing, or fails.
#[derive(Clone, Copy)]
enum ImportRule {
    Accept,
    Reject,
    Fail,
}

impl ImportPolicy for ImportRule {
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        let verdict = match self {
            Self::Accept => ImportVerdict::Accept(Acceptance::default()),
            Self::Reject => ImportVerdict::Reject,
            Self::Fail => return Err(PolicyFailure::Trap("unreachable".to_owned())),
        };
        let decision = ImportDecision {
            verdict,
            reason: None,
        };
        Ok(vec![decision; batch.routes.len()])
    }
}

fn chain(rule: ImportRule) -> ImportChain {
    let link = ImportLink {
        name: "filter".into(),
        module: "test".to_owned(),
        policy: Arc::new(rule),
        on_error: OnError::KeepLast,
        limits: Limits::DEFAULT,
    };
    ImportChain::Links {
        links: vec![link],
        default: ChainDefault::Reject,
    }
}

/// 10.9.0.0/16, announced by the first peer.
fn learned(version: u64) -> Vec<Undecided> {
    let set = AttributeSet {
        next_hop: NextHop {
            address: "192.168.83.1".parse().unwrap(),
            link_local: None,
        },
        path: PathAttributes::default(),
    };
    let route = UndecidedRoute {
        version: RouteVersion(version),
        router_id: std::net::Ipv4Addr::new(192, 168, 83, 1).try_into().unwrap(),
        attributes: AttributePool::default().intern(set),
    };
    vec![Undecided {
        peer: PeerId(0),
        prefix: "10.9.0.0/16".parse().unwrap(),
        route: Some(route),
    }]
}

/// A pipeline that knows everything, with import policies in its configuration.
fn importing() -> Pipeline {
    let (mut pipeline, _) = started(&format!("{TEXT}{IMPORTING}"), Rule::Accept);
    pipeline.on_events(everything_listed());
    pipeline
}

/// What the speaker was told last about what it learns.
fn learning(inputs: &[Input]) -> Option<Learning> {
    let mut last = None;
    for input in inputs {
        if let Input::Configure(config) = input {
            last = Some(config.learning);
        }
    }
    last
}

#[test]
fn without_import_policies_the_speaker_learns_everything() {
    let (mut pipeline, mut inputs) = started(TEXT, Rule::Accept);
    inputs.extend(pipeline.on_events(everything_listed()));
    assert_eq!(learning(&inputs), Some(Learning::Everything));
}

#[test]
fn nothing_is_used_before_configured_policies_are_there() {
    let (mut pipeline, mut inputs) = started(&format!("{TEXT}{IMPORTING}"), Rule::Accept);
    inputs.extend(pipeline.on_events(everything_listed()));
    assert_eq!(learning(&inputs), Some(Learning::Decided));
    assert!(pipeline.learn(learned(1)).is_none());
    let inputs = pipeline.replace_imports(chain(ImportRule::Accept));
    assert_eq!(told(&inputs), ["import +10.9.0.0/16 v1"]);
}

#[test]
fn learned_routes_are_decided_as_they_come() {
    let mut pipeline = importing();
    assert!(
        pipeline
            .replace_imports(chain(ImportRule::Accept))
            .is_empty()
    );
    let inputs: Vec<_> = pipeline.learn(learned(1)).into_iter().collect();
    assert_eq!(told(&inputs), ["import +10.9.0.0/16 v1"]);
    let inputs = pipeline.replace_imports(chain(ImportRule::Reject));
    assert_eq!(told(&inputs), ["import -10.9.0.0/16 v1"]);
}

#[test]
fn a_failing_import_policy_is_told_of_and_asked_again() {
    let mut pipeline = importing();
    pipeline.replace_imports(chain(ImportRule::Fail));
    let inputs: Vec<_> = pipeline.learn(learned(1)).into_iter().collect();
    assert_eq!(told(&inputs), ["import -10.9.0.0/16 v1"]);
    assert!(pipeline.retry_at().is_some());
    let failing = pipeline.notices.iter().any(|notice| {
        matches!(notice, Notice::PolicyFailing { policy, .. } if policy == "import policy filter")
    });
    assert!(failing);
}

#[test]
fn without_policies_again_the_speaker_learns_everything_again() {
    let mut pipeline = importing();
    pipeline.replace_imports(chain(ImportRule::Accept));
    pipeline.learn(learned(1));
    let inputs = pipeline.replace_imports(ImportChain::None);
    assert_eq!(learning(&inputs), Some(Learning::Everything));
    // Whoever asks for decisions again begins anew.
    let inputs = pipeline.replace_imports(chain(ImportRule::Reject));
    assert_eq!(told(&inputs), ["configure 1 peers"]);
}
