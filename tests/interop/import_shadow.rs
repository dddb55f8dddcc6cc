//! Import policies in shadow mode on a live node: no learned route moves, and what they would change
//! is what changes when they come to decide.

use std::fs;

use rutter::api::{LearnedUse, Usage};
use rutter::types::Installation;

use super::fabric::CHANGE_LIMIT;
use super::import_reload::{ANNOUNCED, Learning};
use crate::support::hostile::{Recipe, Way};
use crate::support::verdicts;
use crate::support::wait::{equal, eventually};

/// What `rutter policy diff --live` says of the last policy and the only peer, once it is this.
#[track_caller]
fn foretells(learning: &Learning, expected: &[&str]) {
    eventually(CHANGE_LIMIT, || {
        let mut report = learning.agent.shadow_differences()?;
        let shadow = report.import_policies.pop().ok_or("no import policies")?;
        let [upstream] = &shadow.groups[..] else {
            return Err(format!("{shadow:?}"));
        };
        equal(upstream.counts.peer.as_deref(), Some("upstream"))?;
        equal(&upstream.peers[..], &["upstream".to_owned()])?;
        let differences = upstream.differences.iter();
        let lines: Vec<_> = differences
            .map(|it| match (&it.from, &it.to) {
                (Some(_), None) => format!("-{} by {}", it.prefix, it.policy),
                (from, to) => {
                    let used = |it: &LearnedUse| (it.attributes.local_pref, it.installation);
                    let (from, to) = (from.as_ref().map(used), to.as_ref().map(used));
                    format!("{} {from:?} {to:?} by {}", it.prefix, it.policy)
                }
            })
            .collect();
        equal(
            lines,
            expected.iter().map(|&line| line.to_owned()).collect(),
        )
    });
}

#[test]
fn a_shadow_moves_no_learned_route_and_foretells_what_it_does_in_force() {
    let mut learning = Learning::start("\"100%\"");
    let bird = |learning: &Learning| learning.agent.received().unwrap();
    let before = bird(&learning);
    let folder = learning.folder.path().to_owned();
    let filter = folder.join("import-filter.wasm");
    let endless = folder.join("endless.wasm");
    let loops = Recipe {
        way: Way::Learn,
        evaluate: "(loop $again (br $again)) (unreachable)",
        ..Recipe::default()
    };
    fs::write(&endless, loops.build()).unwrap();
    let rules = "settings = { others = \"abstain\", rules = [\
                 { name = \"far\", action = \"accept\", prefixes = [\"100.65.0.0/24\"], \
                 local-pref = 7, kernel = \"keep\" }, \
                 { name = \"none\", action = \"reject\", prefixes = [\"100.66.0.0/16\"] }] }\n";
    let next = format!("[[import-policies]]\nname = \"next\"\nmodule = {filter:?}\n{rules}");
    let enforced = learning.config.policies.clone();
    learning.config.policies = format!(
        "{enforced}[[import-policies]]\nname = \"endless\"\nmodule = {endless:?}\nmode = \"shadow\"\n\
         {next}mode = \"shadow\"\n"
    );
    learning.agent.configure(&learning.config);
    let expected = [
        "100.65.0.0/24 Some((None, Install)) Some((Some(7), Keep)) by next",
        "-100.66.0.0/16 by next",
    ];
    foretells(&learning, &expected);
    eventually(CHANGE_LIMIT, || {
        let policies = learning.agent.status()?.import_policies;
        let endless = &policies[2];
        let error = endless.error.as_ref().ok_or("it does not fail yet")?;
        equal(error.contains("ran longer than"), true)?;
        let counts = endless.shadow.as_ref().ok_or("nothing compared yet")?;
        equal((counts[0].compared, counts[0].waiting), (0, 3))
    });
    for (change, sum) in [("withdrawn", 1.0), ("changed", 1.0), ("added", 0.0)] {
        let sample = format!(
            "rutter_policy_shadow_differences{{policy=\"next\",direction=\"import\",\
             group=\"upstream\",change=\"{change}\"}}"
        );
        equal(learning.agent.metric(&sample).unwrap(), sum).unwrap();
    }
    assert_eq!(bird(&learning).routes.len(), before.routes.len());
    for (now, before) in bird(&learning).routes.iter().zip(&before.routes) {
        assert_eq!(
            (&now.usage, &now.attributes),
            (&before.usage, &before.attributes)
        );
    }

    learning.config.policies = enforced + &next;
    learning.agent.configure(&learning.config);
    eventually(CHANGE_LIMIT, || {
        let routes = learning.agent.received()?.routes;
        let usages = routes
            .iter()
            .map(|route| (&route.usage, route.attributes.local_pref));
        let best = |installation| Usage::Best { installation };
        let expected = [
            (&best(Installation::Install), None),
            (&best(Installation::Keep), Some(7)),
            (
                &Usage::Unused {
                    reason: "rejected".to_owned(),
                },
                None,
            ),
        ];
        equal(usages.collect::<Vec<_>>(), expected.to_vec())
    });
    learning.has_one_session();
}

#[test]
fn a_shadow_alone_leaves_everything_in_use() {
    let mut learning = Learning::start("");
    let last = learning.folder.path().join("last.wasm");
    learning.config.policies = String::new();
    learning.agent.configure(&learning.config);
    eventually(CHANGE_LIMIT, || {
        equal(learning.agent.status()?.import_policies, Vec::new())
    });
    learning.replace(&verdicts::rejects(Way::Learn));
    learning.config.import_policy_default = "accept";
    learning.config.policies =
        format!("[[import-policies]]\nname = \"last\"\nmodule = {last:?}\nmode = \"shadow\"\n");
    learning.agent.configure(&learning.config);
    foretells(
        &learning,
        &[
            "-100.64.0.0/24 by last",
            "-100.65.0.0/24 by last",
            "-100.66.0.0/16 by last",
        ],
    );
    learning.uses(&ANNOUNCED).unwrap();
    // Another version is compared without more ado.
    learning.replace(&verdicts::abstains(Way::Learn));
    foretells(&learning, &[]);
    learning.uses(&ANNOUNCED).unwrap();
    learning.has_one_session();
}
