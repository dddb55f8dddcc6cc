//! A router announces a large table under an import policy that is slow, and meanwhile a
//! Service loses its endpoints: that is not to wait for the table.

use std::fs;
use std::time::{Duration, Instant};

use rutter::types::Prefix;

use super::cluster::{
    self, CLUSTER_ASN, EXTERNAL_PREFIX, FABRIC_ASN, WORKERS, agent_config, external_slice,
};
use super::fabric::START_LIMIT;
use crate::support::agent::{Agent, AgentConfig, AgentPeer, Source};
use crate::support::bird::Bird;
use crate::support::hostile::{Recipe, Way};
use crate::support::netns::Network;
use crate::support::objects::{Manifests, Readiness};
use crate::support::router::{Neighbor, Router, RouterConfig};
use crate::support::wait::eventually;

/// The routes of the table; `RUTTER_TEST_TABLE` says otherwise.
const TABLE: u32 = 60_000;

/// How often the policy goes round for each route: some tenth of a millisecond.
const TURNS: u32 = 50_000;

/// How long the table may take to be decided about. Only a bound for a test that fails.
const TABLE_LIMIT: Duration = Duration::from_secs(600);

fn table_size() -> u32 {
    std::env::var("RUTTER_TEST_TABLE").map_or(TABLE, |text| text.parse().expect("a number"))
}

fn table() -> Vec<Prefix> {
    let number = |number: u32| {
        let [_, high, middle, low] = number.to_be_bytes();
        format!("{}.{middle}.{low}.0/24", 20 + high)
    };
    (0..table_size())
        .map(|route| number(route).parse().unwrap())
        .collect()
}

/// Takes its time for each route and abstains.
fn slow() -> Vec<u8> {
    let body = format!(
        "(local $answer i32) (local $turns i64)
        (local.set $answer (i32.mul (memory.size) (i32.const 65536)))
        (if (i32.eq (i32.const -1) (memory.grow (i32.const 32))) (then (unreachable)))
        (local.set $turns (i64.mul (i64.const {TURNS})
            (i64.extend_i32_u (i32.load offset=$CANDIDATES (local.get 0)))))
        (loop $again
            (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
            (br_if $again (i64.gt_s (local.get $turns) (i64.const 0))))
        ;; As many zeros, which are abstentions, as there are routes.
        (i32.store (i32.const 1028) (local.get $answer))
        (i32.store (i32.const 1032) (i32.load offset=$CANDIDATES (local.get 0)))
        (i32.const 1024)"
    );
    Recipe {
        way: Way::Learn,
        evaluate: &body,
        ..Recipe::default()
    }
    .build()
}

#[expect(clippy::disallowed_methods, reason = "printed, and not asserted")]
fn now() -> Instant {
    Instant::now()
}

/// How many routes were decided about.
fn decided(agent: &Agent) -> f64 {
    let count = |decision: &str| {
        let sample = format!("rutter_learned_routes{{decision=\"{decision}\"}}");
        agent.metric(&sample).unwrap()
    };
    count("accepted") + count("rejected")
}

#[test]
fn a_withdrawal_does_not_wait_for_a_table_that_is_decided_about() {
    let mut network = Network::new();
    let upstream = network.host(1);
    let nodes = cluster::nodes(&mut network);
    let manifests = Manifests::new(&cluster::objects(&nodes));
    let node = nodes.iter().find(|node| node.name == WORKERS[2]).unwrap();
    let announcing = |announced: Vec<Prefix>| RouterConfig {
        asn: FABRIC_ASN,
        neighbors: vec![Neighbor::new(node.host.ipv4, CLUSTER_ASN)],
        announced,
    };
    let mut bird = Bird::start(&upstream, &announcing(Vec::new()));
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("slow.wasm");
    fs::write(&module, slow()).unwrap();
    let peers = vec![AgentPeer::new("upstream", upstream.ipv4, FABRIC_ASN)];
    let config = AgentConfig {
        policies: format!("[[import-policies]]\nname = \"slow\"\nmodule = {module:?}\n"),
        ..agent_config(Source::Files(manifests.path()), peers)
    };
    let agent = Agent::start(&node.host, node.name, &config);
    let prefix: Prefix = EXTERNAL_PREFIX.parse().unwrap();
    let has_it = |bird: &Bird| {
        let learned = bird.learned()?;
        Ok::<_, String>(learned.iter().any(|route| route.prefix == prefix))
    };
    eventually(START_LIMIT, || match has_it(&bird)? {
        true => Ok(()),
        false => Err("the Service is not announced".to_owned()),
    });

    bird.configure(&announcing(table()));
    let begun = now();
    let size = f64::from(table_size());
    eventually(START_LIMIT, || match decided(&agent) {
        none @ ..1.0 => Err(format!("{none} were decided about")),
        some => {
            assert!(some < size / 2.0, "too late: {some} were decided about");
            Ok(())
        }
    });
    manifests.apply(&external_slice(Readiness::Unready));
    let changed = now();
    eventually(TABLE_LIMIT, || match has_it(&bird)? {
        true => Err("the Service is still announced".to_owned()),
        false => Ok(()),
    });
    let delay = changed.elapsed();
    let done = decided(&agent);
    println!("withdrawn {delay:?} after its endpoint went, with {done} of {size} decided about");
    assert!(done < size, "the table was decided about first");

    // And the table gets on all the same.
    eventually(TABLE_LIMIT, || match decided(&agent) {
        done if done == size => Ok(()),
        done => Err(format!("{done} decided")),
    });
    println!("all of it was decided about within {:?}", begun.elapsed());
    let peer = agent.peer("upstream").unwrap();
    assert_eq!((peer.established_count, peer.last_error), (1, None));
}
