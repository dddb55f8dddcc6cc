//! One route never stops a policy: what it fails on is found, on-error decides for that alone, and
//! what finding it may cost is bounded. Each rule in both directions.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::both::{ACCEPT, Bench, Exporting, Fake, Importing, Side, link, prefix, step};
use super::fixture::node;
use crate::policy::{ChainDefault, Clock, Link, Mode, OnError, PolicyFailure, Shadows};
use crate::types::Prefix;

/// Runs a test for both directions.
macro_rules! both {
    ($($(#[$doc:meta])* fn $name:ident<P>() $body:block)*) => {$(
        #[test]
        $(#[$doc])*
        fn $name() {
            fn test<P: Side>() $body
            test::<Exporting>();
            test::<Importing>();
        }
    )*};
}

/// So many routes, decided about by one policy that accepts everything.
fn accepted<P: Side>(count: u32, on_error: OnError) -> (Bench<P>, Fake) {
    let fake = Fake::new(ACCEPT);
    let mut bench = Bench::new(vec![link("only", &fake, on_error)]);
    bench.take((0..count).map(|number| (number, Some(1))));
    fake.calls();
    (bench, fake)
}

impl<P: Side> Bench<P> {
    /// Everything is asked about again.
    fn ask_again(&mut self) {
        let node = if self
            .table
            .node
            .as_ref()
            .is_some_and(|it| it.labels["label"].is_empty())
        {
            node("another")
        } else {
            node("")
        };
        self.table.take(self.now, Some(node), []);
    }

    /// Whether the route is accepted for peers 1, and why.
    fn outcome(&self, number: u32) -> (bool, String) {
        let (id, _) = P::peers(1);
        let ((_, key), _) = P::route(number, 1, 0);
        let outcome = self.table.outcome(id, &key).unwrap();
        let last = outcome.steps.last().unwrap();
        let kept = if last.kept { " (kept)" } else { "" };
        let reason = last.reason.as_deref().unwrap_or("no reason");
        (
            outcome.accepted.is_some(),
            format!("{} {}{kept}: {reason}", last.policy, last.verdict),
        )
    }

    fn held(&self) -> BTreeSet<Prefix> {
        self.table.held().map(|held| P::prefix(held.key)).collect()
    }

    /// Peers 1 alone.
    fn alone(mut self) -> Self {
        let peers = [P::peers(1)].into();
        self.table.take_peers(self.now, peers, &[].into());
        self
    }

    fn is_failing(&self) -> bool {
        self.table.links().next().unwrap().error.is_some()
    }

    fn failures(&self) -> u64 {
        self.table.links().next().unwrap().failed()
    }
}

both! {
    fn one_of_ten_thousand_is_found_and_the_others_are_decided<P>() {
        for bad in [0, 1, 4_999, 5_000, 9_999] {
            let fake = Fake::new(ACCEPT);
            let mut bench = Bench::<P>::new(vec![link("only", &fake, OnError::KeepLast)]).alone();
            fake.set_poison([(bad, 1)]);
            bench.take((0..10_000).map(|number| (number, Some(1))));
            assert!(fake.calls().len() <= 29, "2 log2(n), and the first");
            assert_eq!(bench.held(), [prefix(bad)].into());
            assert!((0..10_000).all(|number| bench.outcome(number).0 == (number != bad)));
            assert!(!bench.is_failing());
            assert_eq!(bench.failures(), 1);
            let reason = format!(
                "the module trapped: over {}",
                prefix(bad)
            );
            let told = bench.outcome(bad).1;
            assert!(told.starts_with("only reject: only fails on this route and has never"), "{told}");
            assert!(told.ends_with(&reason), "{told}");
        }
    }

    fn two_at_the_ends_are_found<P>() {
        let fake = Fake::new(ACCEPT);
        let mut bench = Bench::<P>::new(vec![link("only", &fake, OnError::KeepLast)]).alone();
        fake.set_poison([(0, 1), (9_999, 1)]);
        bench.take((0..10_000).map(|number| (number, Some(1))));
        assert!(fake.calls().len() <= 64);
        assert_eq!(bench.held(), [prefix(0), prefix(9_999)].into());
        assert!((1..9_999).all(|number| bench.outcome(number).0));
        assert_eq!(bench.failures(), 2);
    }

    fn a_policy_that_fails_on_everything_is_failing_and_that_is_soon_clear<P>() {
        let (mut bench, fake) = accepted::<P>(10_000, OnError::KeepLast);
        fake.set_broken(true);
        bench.ask_again();
        // Once for the peers that come first; it is not asked about others.
        assert!(fake.calls().len() <= 17, "no success in so many calls");
        assert!(bench.is_failing());
        assert_eq!(bench.held(), [].into());
        assert_eq!(bench.outcome(77), (true, "only accept (kept): no reason".to_owned()));
        fake.set_broken(false);
        bench.pass(1);
        assert!(!bench.is_failing());
    }

    fn a_route_that_changes_and_fails_is_held_if_the_policy_is_well_about_another<P>() {
        let (mut bench, fake) = accepted::<P>(10, OnError::Withdraw);
        fake.set_poison([(3, 2)]);
        bench.take([(3, Some(2))]);
        assert!(!bench.is_failing());
        assert_eq!(bench.held(), [prefix(3)].into());
        assert!(bench.outcome(4).0);
        assert!(!bench.outcome(3).0);
        // A policy that fails on the others, too, is broken.
        fake.set_broken(true);
        bench.take([(5, Some(2))]);
        assert!(bench.is_failing());
        assert!(!bench.outcome(4).0, "on-error speaks about all");
    }

    fn a_route_that_is_alone_makes_the_policy_fail<P>() {
        let fake = Fake::new(ACCEPT);
        let mut bench = Bench::<P>::new(vec![link("only", &fake, OnError::KeepLast)]);
        fake.set_poison([(3, 1)]);
        bench.take([(3, Some(1))]);
        assert!(bench.is_failing(), "there is nothing that it is well about");
    }

    fn keep_last_keeps_what_was_decided_about_it<P>() {
        let (mut bench, fake) = accepted::<P>(10, OnError::KeepLast);
        fake.set_poison([(3, 1)]);
        bench.ask_again();
        assert_eq!(bench.held(), [prefix(3)].into());
        assert_eq!(bench.outcome(3), (true, "only accept (kept): no reason".to_owned()));
        assert_eq!(bench.outcome(4), (true, "only accept: no reason".to_owned()));
    }

    fn withdraw_and_skip_are_about_it_alone<P>() {
        for (on_error, words) in [
            (OnError::Withdraw, "only fails on this route and its routes are"),
            (OnError::Skip, "no policy decided about this route"),
        ] {
            let (mut bench, fake) = accepted::<P>(10, on_error);
            fake.set_poison([(3, 1)]);
            bench.ask_again();
            let (is_accepted, told) = bench.outcome(3);
            assert!(!is_accepted && told.contains(words), "{told}");
            assert!((0..10).all(|number| bench.outcome(number).0 == (number != 3)));
            bench.table.set_default(bench.now, ChainDefault::Accept);
            assert_eq!(bench.outcome(3).0, on_error == OnError::Skip);
        }
    }

    fn one_that_goes_is_forgotten<P>() {
        let (mut bench, fake) = accepted::<P>(10, OnError::KeepLast);
        fake.set_poison([(3, 1)]);
        bench.ask_again();
        bench.take([(3, None)]);
        assert_eq!(bench.held(), [].into());
        assert_eq!(bench.table.retry_at(), None);
        // Should it come back, it is as any other.
        fake.set_poison([]);
        bench.take([(3, Some(1))]);
        assert!(bench.outcome(3).0);
    }

    fn peers_that_go_take_theirs_with_them<P>() {
        let (mut bench, fake) = accepted::<P>(10, OnError::KeepLast);
        fake.set_poison([(3, 1)]);
        bench.ask_again();
        bench.table.take_peers(bench.now, [P::peers(9)].into(), &[].into());
        assert_eq!(bench.table.held().filter(|held| *held.peers != P::peers(9).1).count(), 0);
    }

    fn it_is_asked_about_again_with_growing_pauses_and_alone<P>() {
        let (bench, fake) = accepted::<P>(10, OnError::KeepLast);
        let mut bench = bench.alone();
        fake.set_poison([(3, 1)]);
        bench.ask_again();
        fake.calls();
        let mut pauses = Vec::new();
        for _ in 0..11 {
            let at = bench.table.retry_at().unwrap();
            pauses.push((at - bench.now).as_secs());
            bench.now = at;
            bench.table.retry(at);
            assert_eq!(fake.calls(), [1]);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(bench.failures(), 12);
        fake.set_poison([]);
        bench.pass(300);
        assert_eq!(bench.outcome(3), (true, "only accept: no reason".to_owned()));
        assert_eq!((bench.held(), bench.table.retry_at()), ([].into(), None));
        // The next time begins with the first pause.
        fake.set_poison([(3, 1)]);
        bench.ask_again();
        assert_eq!(bench.table.retry_at(), Some(bench.now + Duration::from_secs(1)));
    }

    fn it_is_left_alone_until_it_changes_and_then_asked_about_at_once_and_apart<P>() {
        let (bench, fake) = accepted::<P>(10, OnError::KeepLast);
        let mut bench = bench.alone();
        fake.set_poison([(3, 1)]);
        bench.ask_again();
        fake.calls();
        bench.take([(4, Some(2))]);
        assert_eq!(fake.calls(), [1], "about the other");
        bench.table.set_default(bench.now, ChainDefault::Accept);
        assert_eq!(fake.calls(), [9], "it would be asked the same");
        fake.set_poison([(3, 2)]);
        bench.take([(3, Some(2)), (4, Some(3))]);
        assert_eq!(fake.calls(), [1, 1], "the other does not suffer");
        assert_eq!(bench.held(), [prefix(3)].into());
        bench.take([(3, Some(3))]);
        assert_eq!(fake.calls(), [1]);
        assert_eq!(bench.held(), [].into());
        assert!(bench.outcome(3).0);
    }

    fn what_fails_for_one_group_is_asked_about_apart_for_the_next<P>() {
        let (mut bench, fake) = accepted::<P>(0, OnError::KeepLast);
        let routes = (0..1_000).flat_map(|number| [1, 2].map(|peers| step(number, peers, Some(1))));
        fake.set_poison([(500, 1)]);
        let node = bench.table.node.clone();
        bench.table.take(bench.now, node, routes);
        let calls = fake.calls();
        assert_eq!(calls[calls.len() - 2..], [999, 1]);
        assert_eq!(bench.table.held().count(), 2);
        assert_eq!(bench.failures(), 2);
    }

    /// What is found before the budget is used up need not be searched for again.
    fn many_are_found_in_several_rounds<P>() {
        let (bench, fake) = accepted::<P>(4_000, OnError::KeepLast);
        let mut bench = bench.alone();
        let bad = (0..40).map(|nth| nth * 100 + 50);
        fake.set_poison(bad.clone().map(|number| (number, 1)));
        fake.calls();
        bench.ask_again();
        assert!(bench.is_failing(), "the budget is not enough");
        assert!(fake.calls().len() <= 64);
        let mut rounds = 0;
        while bench.is_failing() {
            rounds += 1;
            assert!(rounds < 20, "{} found", bench.table.links().next().unwrap().held);
            bench.now = bench.table.retry_at().unwrap();
            bench.table.retry(bench.now);
            assert!(fake.calls().len() <= 64);
        }
        assert_eq!(bench.held(), bad.map(prefix).collect());
        assert!((0..4_000).all(|number| bench.outcome(number).0), "the last ones are kept");
    }

    fn a_search_that_takes_too_long_is_given_up<P>() {
        let (bench, fake) = accepted::<P>(10_000, OnError::KeepLast);
        let mut bench = bench.alone();
        // Each look at the clock is five seconds after the last.
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        let start = bench.now;
        bench.table.set_clock(Clock::new(move || {
            start + Duration::from_secs(5 * LOOKS.fetch_add(1, Ordering::Relaxed))
        }));
        fake.fail_on(77, 1, PolicyFailure::OutOfTime(Duration::from_secs(1)));
        fake.calls();
        bench.ask_again();
        assert_eq!(fake.calls().len(), 5, "the first, and four in 16 seconds");
        assert!(bench.is_failing());
        // And not begun each time that it is asked again.
        let calls: Vec<_> = (0..4).map(|_| {
            bench.now = bench.table.retry_at().unwrap();
            bench.table.retry(bench.now);
            fake.calls().len()
        }).collect();
        assert_eq!(calls, [5, 5, 1, 5]);
    }

    fn a_failure_of_the_policy_itself_is_searched_for_nowhere<P>() {
        for failure in [
            PolicyFailure::Inconsistent("so and so".to_owned()),
            PolicyFailure::NotLoaded("gone".to_owned()),
        ] {
            let (bench, fake) = accepted::<P>(100, OnError::KeepLast);
            let mut bench = bench.alone();
            fake.fail_on(7, 1, failure.clone());
            fake.calls();
            bench.ask_again();
            assert_eq!(fake.calls(), [100]);
            assert_eq!(bench.table.links().next().unwrap().error, Some(&failure));
        }
    }

    fn a_link_of_another_module_is_asked_about_everything<P>() {
        let (mut bench, fake) = accepted::<P>(10, OnError::KeepLast);
        fake.set_poison([(3, 1)]);
        bench.ask_again();
        let mended = Fake::new(ACCEPT);
        bench.table.replace_chain(bench.now, vec![link("only", &mended, OnError::KeepLast)]);
        assert_eq!(bench.held(), [].into());
        assert_eq!(bench.outcome(3), (true, "only accept: no reason".to_owned()));
    }

    /// What the former chain accepted stands in for a route that the new one fails on, however
    /// well it is about others.
    fn a_new_policy_that_fails_on_a_route_takes_it_from_nobody<P>() {
        let (mut bench, _) = accepted::<P>(10, OnError::KeepLast);
        let new = Fake::new(ACCEPT);
        new.set_poison([(3, 1)]);
        bench.table.replace_chain(bench.now, vec![link("new", &new, OnError::KeepLast)]);
        for _ in 0..3 {
            assert_eq!(bench.held(), [prefix(3)].into());
            assert_eq!(
                bench.outcome(3).1,
                "new accept (kept): accepted by the policies that were in force before"
            );
            bench.pass(600);
        }
    }

    /// It is not asked about any more, so there is nothing to try again.
    fn a_route_that_an_earlier_policy_rejects_is_held_no_longer<P>() {
        let (first, second) = (Fake::new(0), Fake::new(ACCEPT));
        let mut bench = Bench::<P>::new(vec![
            link("first", &first, OnError::KeepLast),
            link("second", &second, OnError::KeepLast),
        ]).alone();
        second.set_poison([(3, 1), (3, 2), (3, 5)]);
        bench.take((0..10).map(|number| (number, Some(2))));
        assert_eq!(bench.held(), [prefix(3)].into());
        // The first rejects values that are divisible by five, once the group is counted in.
        bench.take([(3, Some(5))]);
        assert_eq!(bench.outcome(3).1, "first reject: no reason");
        assert_eq!((bench.held(), bench.table.retry_at()), ([].into(), None));
    }
}

/// The chain in force gets on with it; what the shadow made of routes breaks the policy after it.
fn shadow_waits<P: Side>() {
    let (shadow, enforced) = (Fake::new(1), Fake::new(ACCEPT));
    let in_shadow = Link {
        mode: Mode::Shadow,
        ..link("shadow", &shadow, OnError::KeepLast)
    };
    let links = vec![in_shadow, link("enforced", &enforced, OnError::KeepLast)];
    let mut bench = Bench::<P>::new(links).alone();
    shadow.set_poison([(3, 5)]);
    bench.take((0..10).map(|number| (number, Some(5))));
    let mut shadows = Shadows::default();
    shadows.observe(bench.now, bench.table.observe().unwrap());
    let held_until = shadows.retry_at().unwrap();
    assert!(held_until > bench.now);
    bench.now += Duration::from_millis(500);
    bench.take([(11, Some(5))]);
    enforced.set_broken(true);
    shadows.observe(bench.now, bench.table.observe().unwrap());
    let failing = shadows.iter().next().unwrap().fault().unwrap();
    assert_eq!(failing.policy, "enforced");
    shadows.compare(held_until);
    assert!(shadows.retry_at().unwrap() > held_until, "nothing is due");
}

#[test]
fn what_a_shadow_fails_on_waits_while_another_policy_fails_for_it() {
    shadow_waits::<Exporting>();
    shadow_waits::<Importing>();
}

fn shadow_compares_the_others<P: Side>() {
    let (enforced, shadow) = (Fake::new(ACCEPT), Fake::new(ACCEPT));
    let in_shadow = Link {
        mode: Mode::Shadow,
        ..link("shadow", &shadow, OnError::KeepLast)
    };
    let links = vec![link("enforced", &enforced, OnError::KeepLast), in_shadow];
    let mut bench = Bench::<P>::new(links).alone();
    shadow.set_poison([(3, 1)]);
    bench.take((0..10).map(|number| (number, Some(1))));
    let mut shadows = Shadows::default();
    shadows.observe(bench.now, bench.table.observe().unwrap());
    let counts = |shadows: &Shadows<P>| {
        let (_, comparison) = shadows.iter().next().unwrap().comparisons().next().unwrap();
        (comparison.compared(), comparison.waiting())
    };
    assert_eq!(counts(&shadows), (9, 1));
    let fault = shadows.iter().next().unwrap().fault().unwrap();
    assert!(
        fault.error.starts_with("on 10.0.0.3/32, "),
        "{}",
        fault.error
    );
    assert_eq!(bench.table.retry_at(), None, "the chain is well");
    // Others that come are compared although it is not.
    bench.take([(11, Some(1))]);
    shadows.observe(bench.now, bench.table.observe().unwrap());
    assert_eq!(counts(&shadows), (10, 1));
    shadow.set_poison([]);
    shadows.compare(shadows.retry_at().unwrap());
    assert_eq!(counts(&shadows), (11, 0));
    // One that goes is not tried again.
    shadow.set_poison([(3, 2)]);
    bench.take([(3, Some(2)), (4, Some(2))]);
    shadows.observe(bench.now, bench.table.observe().unwrap());
    assert_eq!(counts(&shadows), (10, 1));
    bench.take([(3, None)]);
    shadows.observe(bench.now, bench.table.observe().unwrap());
    assert_eq!((counts(&shadows), shadows.retry_at()), ((10, 0), None));
}

#[test]
fn a_shadow_that_fails_on_a_route_compares_the_others() {
    shadow_compares_the_others::<Exporting>();
    shadow_compares_the_others::<Importing>();
}

#[test]
fn facts_outrank_what_is_kept_of_a_held_route() {
    let (mut bench, fake) = accepted::<Exporting>(10, OnError::KeepLast);
    fake.set_poison([(3, 0), (4, 2)]);
    bench.take([(3, Some(0)), (4, Some(2))]);
    assert_eq!(bench.held(), [prefix(3), prefix(4)].into());
    assert!(bench.outcome(4).0, "the node has an endpoint of it");
    let (is_accepted, told) = bench.outcome(3);
    assert!(!is_accepted);
    assert_eq!(
        told,
        "only reject: only fails on this route, and the node no longer answers for this address, \
         as it did when it decided: the module trapped: over 10.0.0.3/32"
    );
}

#[test]
fn nothing_is_held_of_candidates_while_the_node_is_unknown() {
    let (mut bench, fake) = accepted::<Exporting>(10, OnError::KeepLast);
    fake.set_poison([(3, 1)]);
    bench.ask_again();
    bench.table.take(bench.now, None, []);
    bench.pass(1);
    assert_eq!((bench.held(), bench.table.retry_at()), ([].into(), None));
}

fn as_if_asked_alone<P: Side>(values: &[u32], poison: &BTreeSet<(u32, u32)>, rule: u32) {
    let routes = || values.iter().enumerate();
    let routes = || routes().map(|(number, value)| (u32::try_from(number).unwrap(), Some(*value)));
    let policies = [rule, rule + 1].map(Fake::new);
    let bench = |poison: &BTreeSet<(u32, u32)>| {
        for fake in &policies {
            fake.set_poison(poison.iter().copied());
        }
        let links = policies.iter().zip(["first", "second"]);
        let links = links.map(|(fake, name)| link(name, fake, OnError::KeepLast));
        Bench::<P>::new(links.collect()).alone()
    };
    let mut together = bench(poison);
    together.take(routes());
    assert!(!together.is_failing());
    for (number, value) in routes() {
        let is_poison = poison.contains(&(number, value.unwrap()));
        let mut alone = bench(&[].into());
        alone.take([(number, value)]);
        let (is_accepted, told) = together.outcome(number);
        if is_poison {
            assert!(
                !is_accepted && told.contains("fails on this route"),
                "{told}"
            );
        } else {
            assert_eq!((is_accepted, told), alone.outcome(number));
        }
    }
}

proptest! {
    /// Whatever a policy fails on, each other route is decided about as if it were asked alone.
    #[test]
    fn outcomes_are_those_of_routes_that_are_asked_about_alone(
        values in prop::collection::vec(0..7u32, 6..40),
        bad in prop::collection::btree_set(0..40usize, 0..4),
        rule in 0..5u32,
    ) {
        let poison = bad.iter().filter_map(|at| Some((u32::try_from(*at).ok()?, *values.get(*at)?)));
        let poison: BTreeSet<_> = poison.collect();
        as_if_asked_alone::<Exporting>(&values, &poison, rule);
        as_if_asked_alone::<Importing>(&values, &poison, rule);
    }
}
