//! Policies in shadow mode: what they would change, and that they change nothing.

use std::time::Duration;

use proptest::prelude::*;

use super::fixture::{
    Bench, Fake, Fault, abstain, accept, accept_with_endpoints, accept_with_endpoints_as_med,
    endpoints, local, pod, reject, with_med,
};
use crate::candidates::{Candidate, CandidateChange};
use crate::policy::{
    Audience, Batch, ChainDefault, Change, Comparison, Difference, Link, Mode, Observation,
    OnError, Shadow, Shadows, Verdict,
};

const NOTHING: [&str; 0] = [];

/// Exports, and the shadows that watch them.
struct Watched {
    bench: Bench,
    shadows: Shadows,
}

impl Watched {
    fn new(links: Vec<Link>) -> Self {
        let mut watched = Self {
            bench: Bench::new(links),
            shadows: Shadows::default(),
        };
        watched.look();
        watched
    }

    fn look(&mut self) {
        if let Some(observation) = self.bench.exports.observe() {
            self.shadows.observe(self.bench.now, observation);
        }
    }

    /// What the chain in force announces, then what the shadows would change.
    fn upsert(
        &mut self,
        candidates: impl IntoIterator<Item = Candidate>,
    ) -> (Vec<String>, Vec<String>) {
        let changes = self.bench.upsert(candidates);
        self.look();
        (changes, self.differences())
    }

    fn differences(&self) -> Vec<String> {
        differences(&self.shadows)
    }

    fn only(&self) -> &Shadow {
        self.shadows.iter().next().unwrap()
    }

    /// Candidates compared and waiting, towards the first group.
    fn counts(&self) -> (usize, usize) {
        let (_, comparison) = self.only().comparisons().next().unwrap();
        (comparison.compared(), comparison.waiting())
    }
}

/// `SHADOW GROUP: -PREFIX, POLICY: REASON`, `+PREFIX` or `PREFIX MED -> MED`.
fn differences(shadows: &Shadows) -> Vec<String> {
    let mut lines = Vec::new();
    for shadow in shadows.iter() {
        for (group, comparison) in shadow.comparisons() {
            let told = told(comparison);
            lines.extend(told.map(|line| format!("{} {}: {line}", shadow.link().name, group.0)));
        }
    }
    lines
}

fn told(comparison: &Comparison) -> impl Iterator<Item = String> {
    comparison.differences().map(|(prefix, difference)| {
        let Difference {
            change,
            key: _,
            step,
        } = difference;
        let change = match change {
            Change::Withdrawn(_) => format!("-{prefix}"),
            Change::Added(_) => format!("+{prefix}"),
            Change::Changed { from, to } => format!("{prefix} {:?} -> {:?}", from.med, to.med),
        };
        let reason = step.reason.as_deref().unwrap_or("no reason");
        format!("{change}, {}: {reason}", step.policy)
    })
}

#[test]
fn a_shadow_changes_nothing_and_tells_what_it_would_withdraw() {
    let (enforced, shadow) = (Fake::new(accept), Fake::new(reject));
    let mut watched = Watched::new(vec![
        enforced.link("enforced", OnError::KeepLast),
        shadow.shadow("shadow"),
    ]);
    let (announced, differences) = watched.upsert([pod("10.1.0.0/24")]);
    assert_eq!(announced, ["1 +10.1.0.0/24"]);
    assert_eq!(differences, ["shadow 1: -10.1.0.0/24, shadow: by rule"]);
    assert_eq!(enforced.asked(), ["tor: 10.1.0.0/24"]);
    assert_eq!(
        watched.bench.steps(&pod("10.1.0.0/24")),
        [
            "enforced accept: by rule",
            "shadow not asked: it is in shadow mode"
        ]
    );
}

#[test]
fn what_it_would_announce_that_nobody_decides_about_is_told() {
    let (enforced, shadow) = (Fake::new(abstain), Fake::new(accept));
    let mut watched = Watched::new(vec![
        shadow.shadow("shadow"),
        enforced.link("enforced", OnError::KeepLast),
    ]);
    let (announced, differences) = watched.upsert([pod("10.1.0.0/24")]);
    assert_eq!(announced, NOTHING);
    assert_eq!(differences, ["shadow 1: +10.1.0.0/24, shadow: by rule"]);
    watched.bench.set_default(ChainDefault::Accept);
    watched.look();
    assert_eq!(watched.differences(), NOTHING, "announced by default");
}

#[test]
fn a_route_rejected_before_it_is_not_asked_about() {
    let (enforced, shadow) = (Fake::new(reject), Fake::new(accept));
    let mut watched = Watched::new(vec![
        enforced.link("enforced", OnError::KeepLast),
        shadow.shadow("shadow"),
    ]);
    let (_, differences) = watched.upsert([pod("10.1.0.0/24")]);
    assert_eq!(differences, NOTHING);
    assert_eq!(shadow.asked(), NOTHING);
    assert_eq!(watched.counts(), (1, 0));
}

#[test]
fn what_is_rejected_after_it_stays_rejected() {
    let (shadow, enforced) = (Fake::new(accept), Fake::new(reject));
    let mut watched = Watched::new(vec![
        shadow.shadow("shadow"),
        enforced.link("enforced", OnError::KeepLast),
    ]);
    let (_, differences) = watched.upsert([pod("10.1.0.0/24")]);
    assert_eq!(differences, NOTHING);
}

/// Accepts with MED 7.
fn med_7(_: &Batch<'_>, _: &Candidate) -> Verdict {
    Verdict::Accept(Some(with_med(7)))
}

/// Rejects what it is proposed with MED 7, accepts the rest with one more.
fn no_7(batch: &Batch<'_>, candidate: &Candidate) -> Verdict {
    let mut routes = batch.candidates.iter();
    let proposed = routes.find(|route| route.candidate == candidate);
    match proposed.and_then(|route| route.attributes.med) {
        Some(7) => Verdict::Reject,
        med => Verdict::Accept(Some(with_med(med.unwrap_or(0) + 1))),
    }
}

#[test]
fn later_policies_are_asked_again_only_about_what_the_shadow_changed() {
    let first = Fake::new(accept_with_endpoints_as_med);
    let (shadow, last) = (Fake::new(accept), Fake::new(no_7));
    let mut watched = Watched::new(vec![
        first.link("first", OnError::KeepLast),
        shadow.shadow("shadow"),
        last.link("last", OnError::KeepLast),
    ]);
    let (announced, differences) = watched.upsert([local("a", "10.0.0.1", 3)]);
    assert_eq!(announced, ["1 +10.0.0.1/32 med=4"]);
    assert_eq!(differences, NOTHING);
    assert_eq!(last.asked().len(), 1, "the shadow left the route as it was");

    shadow.obey(med_7);
    let (announced, differences) = watched.upsert([local("a", "10.0.0.1", 4)]);
    assert_eq!(announced, ["1 +10.0.0.1/32 med=5"]);
    assert_eq!(differences, ["shadow 1: -10.0.0.1/32, last: by rule"]);
    assert_eq!(last.asked().len(), 2);
    assert_eq!(first.asked().len(), 2, "nobody before it is asked again");

    shadow.obey(|_, _| Verdict::Accept(Some(with_med(20))));
    let (_, differences) = watched.upsert([local("a", "10.0.0.1", 5)]);
    assert_eq!(
        differences,
        ["shadow 1: 10.0.0.1/32 Some(6) -> Some(21), shadow: by rule"]
    );
}

#[test]
fn only_what_changed_is_compared_again() {
    let (enforced, shadow) = (Fake::new(accept), Fake::new(accept_with_endpoints));
    let mut watched = Watched::new(vec![
        enforced.link("enforced", OnError::KeepLast),
        shadow.shadow("shadow"),
    ]);
    watched.upsert([local("a", "10.0.0.1", 1), local("b", "10.0.0.2", 0)]);
    shadow.asked();
    let (_, differences) = watched.upsert([local("a", "10.0.0.1", 0)]);
    assert_eq!(shadow.asked(), ["tor: 10.0.0.1/32"]);
    assert_eq!(
        differences,
        [
            "shadow 1: -10.0.0.1/32, shadow: by rule",
            "shadow 1: -10.0.0.2/32, shadow: by rule"
        ]
    );
    watched.bench.remove(&local("a", "10.0.0.1", 0));
    watched.look();
    let left = ["shadow 1: -10.0.0.2/32, shadow: by rule"];
    assert_eq!(watched.differences(), left);
    assert_eq!(watched.counts(), (1, 0));
}

#[test]
fn a_prefix_that_stays_announced_for_another_candidate_is_no_difference() {
    let shadow = Fake::new(accept_with_endpoints);
    let enforced = Fake::new(accept);
    let mut watched = Watched::new(vec![
        enforced.link("enforced", OnError::KeepLast),
        shadow.shadow("shadow"),
    ]);
    // `a` comes first and would be rejected; `b` has the same address.
    let both = [local("a", "10.0.0.1", 0), local("b", "10.0.0.1", 1)];
    let (_, differences) = watched.upsert(both);
    assert_eq!(differences, NOTHING);
    let (_, differences) = watched.upsert([local("b", "10.0.0.1", 0)]);
    assert_eq!(differences, ["shadow 1: -10.0.0.1/32, shadow: by rule"]);
}

#[test]
fn a_shadow_that_fails_harms_nobody_and_compares_when_it_is_well() {
    let (enforced, shadow) = (Fake::new(accept), Fake::new(reject));
    let mut watched = Watched::new(vec![
        enforced.link("enforced", OnError::KeepLast),
        shadow.shadow("shadow"),
    ]);
    watched.upsert([pod("10.1.0.0/24")]);
    shadow.fail(Fault::Trap);
    let (announced, differences) = watched.upsert([pod("10.2.0.0/24")]);
    assert_eq!(announced, ["1 +10.2.0.0/24"]);
    let before = ["shadow 1: -10.1.0.0/24, shadow: by rule"];
    assert_eq!(differences, before, "what was compared still counts");
    assert_eq!(watched.counts(), (1, 1));
    assert_eq!(watched.bench.exports.retry_at(), None, "the chain is well");
    let fault = watched.only().fault().unwrap();
    assert_eq!(fault.policy, "shadow");
    assert!(fault.error.contains("unreachable"), "{fault:?}");

    shadow.asked();
    watched.upsert([pod("10.3.0.0/24")]);
    assert_eq!(shadow.asked(), NOTHING, "it is left alone for a pause");
    assert_eq!(watched.counts(), (1, 2));
    shadow.fail(None);
    let retry_at = watched.shadows.retry_at().unwrap();
    assert_eq!(retry_at, watched.bench.now + Duration::from_secs(1));
    watched.shadows.compare(retry_at);
    assert_eq!(shadow.asked(), ["tor: 10.2.0.0/24 10.3.0.0/24"]);
    assert_eq!(watched.differences().len(), 3);
    assert_eq!(watched.only().fault(), None);
    assert_eq!(watched.only().failures(), 1);
    assert_eq!(watched.shadows.retry_at(), None);
}

#[test]
fn a_later_policy_that_fails_on_a_shadows_behalf_stays_well_in_force() {
    let (shadow, enforced) = (Fake::new(med_7), Fake::new(accept));
    let mut watched = Watched::new(vec![
        shadow.shadow("shadow"),
        enforced.link("enforced", OnError::Withdraw),
    ]);
    watched.bench.upsert([pod("10.1.0.0/24")]);
    enforced.fail(Fault::Trap);
    watched.look();
    assert_eq!(watched.only().fault().unwrap().policy, "enforced");
    assert_eq!(watched.counts(), (0, 1));
    assert_eq!(watched.bench.exports.links().nth(1).unwrap().error, None);
    assert_eq!(watched.bench.announced(), ["10.1.0.0/24"]);
}

#[test]
fn a_shadow_is_for_its_peer_groups_only() {
    let (enforced, shadow) = (Fake::new(accept), Fake::new(reject));
    let mut watched = Watched::new(vec![
        enforced.link("enforced", OnError::KeepLast),
        Link {
            audience: Audience::Only(["wan".to_owned()].into()),
            ..shadow.shadow("shadow")
        },
    ]);
    watched.upsert([pod("10.1.0.0/24")]);
    assert_eq!(watched.only().comparisons().count(), 0);
    watched.bench.set_groups(&[(1, "tor"), (2, "wan")]);
    watched.look();
    let difference = ["shadow 2: -10.1.0.0/24, shadow: by rule"];
    assert_eq!(watched.differences(), difference);
    watched.bench.set_groups(&[(1, "tor")]);
    watched.look();
    assert_eq!(watched.differences(), NOTHING);
}

#[test]
fn a_candidate_that_goes_while_its_group_changes_leaves_no_difference() {
    let (enforced, shadow) = (Fake::new(accept), Fake::new(reject));
    let mut watched = Watched::new(vec![
        enforced.link("enforced", OnError::KeepLast),
        shadow.shadow("shadow"),
    ]);
    watched.upsert([pod("10.1.0.0/24"), pod("10.2.0.0/24")]);
    // Both are seen as one, as a reload makes them.
    watched.bench.set_groups(&[(1, "renamed")]);
    watched.bench.remove(&pod("10.2.0.0/24"));
    watched.look();
    let left = ["shadow 1: -10.1.0.0/24, shadow: by rule"];
    assert_eq!(watched.differences(), left);
    assert_eq!(watched.counts(), (1, 0));
}

#[test]
fn shadows_are_looked_at_one_by_one() {
    let enforced = Fake::new(accept);
    let (first, second) = (Fake::new(reject), Fake::new(med_7));
    let mut watched = Watched::new(vec![
        enforced.link("enforced", OnError::KeepLast),
        first.shadow("first"),
        second.shadow("second"),
    ]);
    let (_, differences) = watched.upsert([pod("10.1.0.0/24")]);
    assert_eq!(
        differences,
        [
            "first 1: -10.1.0.0/24, first: by rule",
            "second 1: 10.1.0.0/24 None -> Some(7), second: by rule"
        ]
    );
}

#[test]
fn a_shadow_that_comes_to_decide_and_fails_at_once_withdraws_nothing() {
    let (enforced, shadow) = (Fake::new(accept), Fake::new(accept));
    let chain = |mode| {
        let own = shadow.link("shadow", OnError::KeepLast);
        [
            enforced.link("enforced", OnError::KeepLast),
            Link { mode, ..own },
        ]
    };
    let mut watched = Watched::new(chain(Mode::Shadow).into());
    watched.upsert([pod("10.1.0.0/24")]);
    shadow.fail(Fault::Trap);
    let changes = watched.bench.replace_chain(chain(Mode::Enforce));
    assert_eq!(changes, NOTHING);
    watched.look();
    assert_eq!(watched.shadows.iter().count(), 0);
}

#[test]
fn a_failing_shadow_keeps_its_pause_when_the_chain_is_loaded_again_as_it_was() {
    let (enforced, shadow) = (Fake::new(accept), Fake::new(reject));
    let chain = || {
        vec![
            enforced.link("enforced", OnError::KeepLast),
            shadow.shadow("shadow"),
        ]
    };
    let links = chain();
    let mut watched = Watched::new(links.clone());
    shadow.fail(Fault::Trap);
    watched.upsert([pod("10.1.0.0/24")]);
    let fault = watched.only().fault();
    assert!(fault.is_some());
    watched.bench.now += Duration::from_millis(10);
    watched.bench.replace_chain(links);
    watched.look();
    assert_eq!(watched.only().fault(), fault, "the same policies");
    watched.bench.replace_chain(chain());
    shadow.fail(None);
    watched.look();
    assert_eq!(watched.only().fault(), None, "another instance");
}

#[test]
fn without_a_shadow_there_is_nothing_to_observe() {
    let enforced = Fake::new(accept);
    let mut bench = Bench::new(vec![enforced.link("enforced", OnError::KeepLast)]);
    assert!(bench.exports.observe().is_some(), "the chain is new");
    bench.upsert([pod("10.1.0.0/24")]);
    assert!(bench.exports.observe().is_none());
}

/// Decides by address and MED, so that order and attributes matter.
fn by_med<const MODULUS: u32>(batch: &Batch<'_>, candidate: &Candidate) -> Verdict {
    let mut routes = batch.candidates.iter();
    let proposed = routes.find(|route| route.candidate == candidate);
    let med = proposed.and_then(|route| route.attributes.med);
    let (med, usable) = (med.unwrap_or(0), endpoints(candidate));
    match (med + usable) % MODULUS {
        0 => Verdict::Abstain,
        1 => Verdict::Accept(None),
        2 => Verdict::Accept(Some(with_med(med + usable + 1))),
        _ => Verdict::Reject,
    }
}

proptest! {
    /// However the changes come and are put together, the differences are those between the
    /// chain in force and one in which the shadow decides.
    #[test]
    fn differences_are_those_to_a_chain_that_includes_the_shadow(
        events in prop::collection::vec((0..3u8, 0..3u8, prop::option::of(0..6u32), any::<bool>()), 1..30),
        place in 0..3usize,
    ) {
        let fakes = [Fake::new(by_med::<4>), Fake::new(by_med::<5>)];
        let shadow = Fake::new(by_med::<3>);
        let chain = |mode| {
            let links = fakes.iter().zip(["first", "second"]);
            let mut links: Vec<Link> = links.map(|(fake, name)| fake.link(name, OnError::KeepLast)).collect();
            links.insert(place, Link { mode, ..shadow.link("shadow", OnError::KeepLast) });
            links
        };
        let mut enforced = Watched::new(chain(Mode::Shadow));
        let mut included = Bench::new(chain(Mode::Enforce));
        let mut late: Option<Observation> = None;
        for (name, address, usable, looked) in events {
            let candidate = local(["a", "b", "c"][usize::from(name)], &format!("10.0.0.{address}"), usable.unwrap_or(0));
            let change = match usable {
                Some(_) => CandidateChange::Upsert(candidate),
                None => CandidateChange::Removed(candidate.key),
            };
            enforced.bench.update(vec![change.clone()]);
            included.update(vec![change]);
            let seen = enforced.bench.exports.observe();
            match (&mut late, seen) {
                (Some(late), Some(seen)) => late.add(seen),
                (late @ None, Some(seen)) => *late = Some(seen),
                (_, None) => {}
            }
            if looked && let Some(late) = late.take() {
                enforced.shadows.observe(enforced.bench.now, late);
            }
        }
        if let Some(late) = late {
            enforced.shadows.observe(enforced.bench.now, late);
        }
        let group = crate::types::GroupId(1);
        let table = |bench: &Bench| -> std::collections::BTreeMap<_, _> {
            bench.exports.announced(group).map(|(prefix, route)| (*prefix, route.clone())).collect()
        };
        let mut expected = table(&enforced.bench);
        for (_, comparison) in enforced.only().comparisons() {
            for (prefix, difference) in comparison.differences() {
                let (from, to) = difference.change.sides();
                prop_assert_eq!(expected.get(prefix), from);
                match to {
                    Some(to) => expected.insert(*prefix, to.clone()),
                    None => expected.remove(prefix),
                };
            }
        }
        prop_assert_eq!(expected, table(&included));
    }
}
