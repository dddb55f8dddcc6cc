//! The real kube-proxy as the judge: a node announces an address exactly when traffic for it that
//! enters the node is answered there.
//!
//! Services and slices by chance are created, changed and deleted through a real API server, in
//! rounds ([`generate`]). After each round a client outside of the cluster asks every node for
//! every address ([`lab`], [`traffic`]), and the agents say what they announce. Where the two are
//! not to agree is told in one table ([`exceptions`]).
//!
//! A run follows from its seed but for the order in which requests arrive. `RUTTER_TEST_SEED=17`
//! is another run, `RUTTER_TEST_KUBE_PROXY_CASES=10000` a longer one; a case is one address of one
//! Service at one node after one round. A failure prints the seed.

mod addresses;
mod dice;
mod exceptions;
mod generate;
mod judge;
mod known;
mod lab;
mod marker;
mod objects;
mod traffic;

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use rutter::types::{Family, Prefix};
use serde_json::{Value, json};

use self::exceptions::EXCEPTIONS;
use self::generate::{Step, World};
use self::judge::{PATIENCE, Tally, agreement};
use self::lab::Lab;
use self::marker::{marker, without_marker};
use self::objects::Transport;
use self::traffic::{Answer, Question};
use super::live::api;
use crate::support::wait::eventually;

/// Enough to meet every exception.
const CASES: usize = 5_000;
const CASES_VARIABLE: &str = "RUTTER_TEST_KUBE_PROXY_CASES";

const SEED: u64 = 1;
const SEED_VARIABLE: &str = "RUTTER_TEST_SEED";

/// How many requests are under way to the API server at once.
const REQUESTS: usize = 16;

/// How long the last object of a round may take to arrive at every kube-proxy and agent.
const ROUND_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_announced_exactly_where_kube_proxy_answers_for_it() {
    let number = |variable: &str| {
        let text = std::env::var(variable).ok();
        text.map(|text| text.parse::<u64>().expect(variable))
    };
    let seed = number(SEED_VARIABLE).unwrap_or(SEED);
    let wanted = number(CASES_VARIABLE).map_or(CASES, |cases| usize::try_from(cases).unwrap());
    println!("{SEED_VARIABLE}={seed} repeats this");

    let lab = Lab::start(&addresses::ranges()).await;
    let mut world = World::new(seed);
    let mut tally = Tally::default();
    let mut round = 0;
    while tally.cases < wanted {
        put(&lab, world.round(), round).await;
        tally.add(&agreement(&lab, &world).0);
        round += 1;
        println!("round {round}: {tally}");
    }
    for (exception, count) in EXCEPTIONS.iter().zip(tally.exceptions) {
        let met = count > 0 || tally.cases < CASES;
        assert!(met, "never met: {}", exception.reason);
    }
}

/// Performs steps, and waits until every kube-proxy and every agent knows of all of them.
async fn put(lab: &Lab, steps: Vec<Vec<Step>>, round: u16) {
    perform(lab, steps).await;
    perform(lab, vec![marker(round)]).await;
    arrives(lab, round);
    perform(lab, vec![without_marker(round)]).await;
}

/// Sends the lists of steps to the API server, each list in its order, the lists side by side.
async fn perform(lab: &Lab, steps: Vec<Vec<Step>>) {
    let all = futures::stream::iter(steps).map(|list| async {
        for step in list {
            perform_one(lab, step).await;
        }
    });
    all.buffer_unordered(REQUESTS).collect::<Vec<()>>().await;
}

async fn perform_one(lab: &Lab, step: Step) {
    let (Step::Create(object)
    | Step::Replace(object)
    | Step::Status(object, _)
    | Step::Release(object)
    | Step::Delete(object)) = &step;
    let api = api(&lab.admin, object);
    let name = object["metadata"]["name"].as_str().unwrap();
    let typed =
        |object: &Value| -> DynamicObject { serde_json::from_value(object.clone()).unwrap() };
    let (post, patch) = (PostParams::default(), PatchParams::default());
    let done = match &step {
        Step::Create(object) => api.create(&post, &typed(object)).await.map(drop),
        Step::Replace(object) => api.replace(name, &post, &typed(object)).await.map(drop),
        Step::Status(_, status) => {
            let status = Patch::Merge(status);
            api.patch_status(name, &patch, &status).await.map(drop)
        }
        Step::Release(_) => {
            let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
            api.patch(name, &patch, &release).await.map(drop)
        }
        Step::Delete(_) => api.delete(name, &DeleteParams::default()).await.map(drop),
    };
    done.unwrap_or_else(|error| panic!("{step:#?}: {error}"));
}

/// Waits until everybody knows the marker of the round.
fn arrives(lab: &Lab, round: u16) {
    let addresses = Family::ALL.map(|family| addresses::marker(family, round));
    let questions: Vec<Question> = (0..lab.nodes.len())
        .flat_map(|node| {
            addresses.map(|address| Question {
                node,
                transport: Transport::Tcp,
                to: SocketAddr::new(address, 80),
            })
        })
        .collect();
    eventually(ROUND_LIMIT, || {
        for node in &lab.nodes {
            let announced = node.announced()?;
            for address in addresses {
                if !announced.contains(&Prefix::host(address)) {
                    return Err(format!("{} does not announce {address}", node.name));
                }
            }
        }
        let answers = lab.client.ask(questions.clone(), PATIENCE);
        for (question, answer) in questions.iter().zip(answers) {
            if answer != Answer::Answered {
                return Err(format!("{question:?}: {answer:?}"));
            }
        }
        Ok(())
    });
}
