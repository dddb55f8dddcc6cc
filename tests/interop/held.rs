//! One Service that a policy module fails on: in an agent with sessions it stops no other.

use std::fs;

use rutter::types::Prefix;
use serde_json::{Value, json};

use super::cluster::{FABRIC_ASN, WORKERS, extra};
use super::fabric::{CHANGE_LIMIT, Fabric};
use crate::support::objects::Readiness;
use crate::support::router::RouterKind;
use crate::support::wait::{contains, equal, eventually};
use crate::support::{guests, hostile};

const ANNOTATION: &str = "example.org/communities";

/// A Service with an endpoint on the Node, its slice, and its prefix.
fn web(name: &str, number: u16) -> ([Value; 2], Prefix) {
    let objects = extra(name, number, WORKERS[0], Readiness::Ready);
    let prefix = format!("172.16.100.{number}/32").parse().unwrap();
    (objects, prefix)
}

fn annotated([service, _]: &[Value; 2], value: &str) -> Value {
    let mut service = service.clone();
    service["metadata"]["annotations"] = json!({ ANNOTATION: value });
    service
}

/// An agent with a peer, behind whose default policy this module decides, and two Services.
struct Bed {
    fabric: Fabric,
    _folder: tempfile::TempDir,
}

impl Bed {
    fn start(module: &[u8], settings: &str) -> Self {
        let mut fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
        fabric.has_settled();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.wasm");
        fs::write(&path, module).unwrap();
        fabric.config.policies = format!(
            "[[policies]]\nname = 'default'\n[[policies]]\nname = 'own'\nmodule = {path:?}\n\
             {settings}"
        );
        fabric.agents[0].configure(&fabric.config);
        let bed = Self {
            fabric,
            _folder: folder,
        };
        eventually(CHANGE_LIMIT, || {
            let policies = bed.fabric.agents[0].status()?.policies;
            equal(policies.len(), 2)?;
            equal(policies[1].error.clone(), None)
        });
        bed
    }

    fn apply(&self, objects: &[Value]) {
        for object in objects {
            self.fabric.manifests.apply(object);
        }
    }

    /// Waits until the router has the prefix.
    fn has(&self, prefix: Prefix) {
        eventually(CHANGE_LIMIT, || {
            let learned = self.fabric.routers[0].learned()?;
            let has = learned.iter().any(|route| route.prefix == prefix);
            has.then_some(()).ok_or(format!("no {prefix}"))
        });
    }

    /// Waits until the policy fails on so many routes, and says which.
    fn holds(&self, routes: u64) -> Vec<rutter::api::HeldRoute> {
        eventually(CHANGE_LIMIT, || {
            let policy = self.fabric.agents[0].status()?.policies.pop();
            let policy = policy.ok_or("no policy")?;
            equal(policy.error, None)?;
            equal(policy.held, routes)?;
            Ok(policy.held_routes)
        })
    }
}

#[test]
fn a_service_that_a_module_traps_on_stops_no_other() {
    let bed = Bed::start(&hostile::traps_on(b"poison!!"), "");
    let agent = &bed.fabric.agents[0];
    let (bad, bad_prefix) = web("bad", 1);
    let (good, good_prefix) = web("good", 2);
    bed.apply(&bad);
    bed.has(bad_prefix);
    let histories = bed.fabric.histories();

    bed.apply(&[annotated(&bad, "some poison!! of a kind")]);
    let held = eventually(CHANGE_LIMIT, || {
        let policy = agent.status()?.policies.pop().ok_or("no policy")?;
        let first = policy.held_routes.into_iter().next();
        first.ok_or("nothing is held".to_owned())
    });
    assert_eq!(held.prefix, bad_prefix);
    assert_eq!(held.service.unwrap().to_string(), "shop/bad");
    assert!(held.error.contains("unreachable"), "{}", held.error);
    let sample = "rutter_policy_held_routes{policy=\"own\",direction=\"export\"}";
    assert!(agent.metric(sample).unwrap() >= 1.0);
    let reason = "rutter_notices_total{reason=\"RouteHeld\"}";
    assert_eq!(agent.metric(reason), Ok(1.0));

    // Another comes and is announced, and the one keeps what was decided about it.
    bed.apply(&good);
    bed.has(good_prefix);
    bed.has(bad_prefix);
    let explained = agent.explanation("shop/bad").unwrap();
    let steps = &explained.routes[0].decision.steps;
    assert!(steps.iter().any(|step| step.kept && step.policy == "own"));

    // What changes is asked about at once.
    bed.apply(&[annotated(&bad, "nothing of that kind")]);
    assert_eq!(bed.holds(0), []);
    bed.has(bad_prefix);
    assert_eq!(agent.metric(sample), Ok(0.0));
    assert_eq!(bed.fabric.histories(), histories, "a session moved");
}

#[test]
fn a_long_annotation_that_a_module_repeats_stops_nothing() {
    let settings = format!(
        "settings = {{ rules = [{{ add = ['64512:7'] }}], \
         annotation = {{ key = '{ANNOTATION}', allow = ['64512:8'] }} }}\n"
    );
    let bed = Bed::start(&guests::compiled("communities"), &settings);
    let agent = &bed.fabric.agents[0];
    let (long, long_prefix) = web("long", 1);
    let (good, good_prefix) = web("good", 2);
    bed.apply(&[annotated(&long, &"x".repeat(1_500)), long[1].clone()]);
    bed.has(long_prefix);
    bed.apply(&good);
    bed.has(good_prefix);
    assert_eq!(bed.holds(0), []);
    let explained = agent.explanation("shop/long").unwrap();
    let decision = &explained.routes[0].decision;
    assert_eq!(decision.attributes.communities.len(), 1);
    let reasons = decision.steps.iter().filter_map(|step| step.reason.clone());
    let reasons: Vec<_> = reasons.collect();
    assert!(
        reasons.iter().any(|reason| reason.ends_with('…')),
        "{reasons:?}"
    );
    contains(&reasons.concat(), "64512:7").unwrap();
}
