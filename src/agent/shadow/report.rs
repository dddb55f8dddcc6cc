//! What policies in shadow mode would change, as the API tells it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::{NoAnswer, ShadowHandles};
use crate::agent::clock;
use crate::agent::decider::{Exporting, Importing};
use crate::api::{
    LearnedDifference, LearnedUse, ShadowComparison, ShadowCounts, ShadowDifference, ShadowPolicy,
    ShadowReport,
};
use crate::candidates::CandidateKey;
use crate::policy::{
    AcceptedImport, Change, Comparison, Difference, Directed, Fault, ImportPeer, PeerGroup, Shadow,
    Step,
};
use crate::types::{GroupId, Prefix, RouteAttributes};

impl ShadowHandles {
    /// Each policy in shadow mode with all it would change. `peers` tells who is in a group.
    ///
    /// # Errors
    /// Too many others ask, or a thread has ended.
    pub(in crate::agent) async fn report(
        &self,
        peers: BTreeMap<GroupId, Vec<String>>,
    ) -> Result<ShadowReport, NoAnswer> {
        let policies = self.exports.each(move |shadow: &Shadow<Exporting>| {
            let names = |id, _: &PeerGroup| peers.get(&id).cloned().unwrap_or_default();
            policy(shadow, clock::now(), names, announced)
        });
        let import_policies = self.imports.each(|shadow: &Shadow<Importing>| {
            let name = |_, peer: &ImportPeer| vec![peer.name.clone()];
            policy(shadow, clock::now(), name, learned)
        });
        Ok(ShadowReport {
            policies: policies.await?,
            import_policies: import_policies.await?,
        })
    }
}

fn policy<P: Directed, D>(
    shadow: &Shadow<P>,
    now: Instant,
    names: impl Fn(P::PeersId, &P::Peers) -> Vec<String>,
    difference: impl Fn(Prefix, &Difference<P::Key, P::Accepted>) -> D,
) -> ShadowPolicy<D> {
    let fault = shadow.fault();
    let retry_in = fault.as_ref().map(|fault| {
        let pause = fault.retry_at.saturating_duration_since(now);
        pause.as_secs()
    });
    let compared = |(id, comparison): (P::PeersId, &Comparison<P>)| ShadowComparison {
        counts: counts(comparison),
        peers: names(id, comparison.peers()),
        differences: comparison
            .differences()
            .map(|(prefix, it)| difference(*prefix, it))
            .collect(),
    };
    ShadowPolicy {
        policy: shadow.link().name.to_string(),
        module: shadow.link().module.clone(),
        error: fault.map(|fault| told(&fault, &shadow.link().name)),
        retry_in,
        groups: shadow.comparisons().map(compared).collect(),
    }
}

/// A fault in words; whose it is where it is not the policy's own.
pub(in crate::agent) fn told(fault: &Fault, policy: &str) -> String {
    let Fault {
        policy: asked,
        error,
        retry_at: _,
    } = fault;
    if asked == policy {
        error.clone()
    } else {
        format!("{asked}, which comes after it, fails on what it makes of routes: {error}")
    }
}

pub(super) fn counts<P: Directed>(comparison: &Comparison<P>) -> ShadowCounts {
    let peers = comparison.peers();
    let mut counts = ShadowCounts {
        group: P::peer_group(peers).name.clone(),
        peer: P::peer(peers).map(str::to_owned),
        compared: comparison.compared() as u64,
        waiting: comparison.waiting() as u64,
        withdrawn: 0,
        changed: 0,
        added: 0,
    };
    for (_, Difference { change, .. }) in comparison.differences() {
        match change {
            Change::Withdrawn(_) => counts.withdrawn += 1,
            Change::Changed { .. } => counts.changed += 1,
            Change::Added(_) => counts.added += 1,
        }
    }
    counts
}

fn announced(
    prefix: Prefix,
    difference: &Difference<CandidateKey, Arc<RouteAttributes>>,
) -> ShadowDifference {
    let Difference { change, key, step } = difference;
    let (from, to) = change.sides();
    let attributes = |route: &Arc<RouteAttributes>| (**route).clone();
    let (policy, reason) = words(step);
    ShadowDifference {
        prefix,
        origin: key.origin.clone(),
        from: from.map(attributes),
        to: to.map(attributes),
        policy,
        reason,
    }
}

fn learned(prefix: Prefix, difference: &Difference<Prefix, AcceptedImport>) -> LearnedDifference {
    let Difference {
        change,
        key: _,
        step,
    } = difference;
    let (from, to) = change.sides();
    let used = |used: &AcceptedImport| LearnedUse {
        attributes: (*used.attributes).clone(),
        installation: used.installation,
    };
    let (policy, reason) = words(step);
    LearnedDifference {
        prefix,
        from: from.map(used),
        to: to.map(used),
        policy,
        reason,
    }
}

/// Who made the difference, and why.
fn words(step: &Step) -> (String, Option<String>) {
    let reason = step.reason.as_deref().map(str::to_owned);
    (step.policy.to_string(), reason)
}
