//! What is printed of a live node.

use axum::http::StatusCode;
use serde_json::Value;

use crate::api::ApiError;
use crate::cases::{CaseFile, Document};
use crate::cli::Outcome;
use crate::cli::policy::fixture::RECORDING;
use crate::cli::testing::{FakeAgent, run};

fn document() -> Document {
    toml::from_str(RECORDING).unwrap()
}

#[test]
fn a_recording_is_a_case_file_that_says_where_it_is_from() {
    let unsaid = Document {
        recorded: None,
        ..document()
    };
    let agent = FakeAgent::answering(StatusCode::OK, &unsaid);
    let ran = agent.run(&["policy", "record"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    assert_eq!(agent.requests(), ["/v1/policy/batch"]);
    assert!(
        ran.out
            .starts_with("recorded = \"worker-1, 2026-03-05 12:00:00 UTC\"\nasn = 64512\n"),
        "{}",
        ran.out
    );
    assert_eq!(toml::from_str::<Document>(&ran.out).unwrap(), document());
    let file = CaseFile::parse("live.toml", &ran.out).unwrap();
    assert_eq!(file.scenes.len(), 2);
}

#[test]
fn learned_routes_are_asked_for_and_printed_on_request() {
    let learned: Document = toml::from_str(
        r#"
        [[peers]]
        name = "tor-a"
        address = "192.0.2.1"
        router-id = "192.0.2.9"
        asn = 64513
        [[import-policies]]
        name = "filter"
        module = "/etc/rutter/filter.wasm"
        [[learned]]
        peer = "tor-a"
        prefix = "10.0.0.0/8"
        as-path = ""
        extended-communities = ["0x0004fc004db2d05e"]
        "#,
    )
    .unwrap();
    let document = Document {
        import_policies: learned.import_policies,
        peers: learned.peers,
        learned: learned.learned,
        ..document()
    };
    let agent = FakeAgent::answering(StatusCode::OK, &document);
    let ran = agent.run(&["policy", "record", "--learned"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    assert_eq!(agent.requests(), ["/v1/policy/batch?learned=true"]);
    assert_eq!(toml::from_str::<Document>(&ran.out).unwrap(), document);
    let file = CaseFile::parse("live.toml", &ran.out).unwrap();
    assert_eq!((file.scenes.len(), file.learned.len()), (2, 1));
    assert_eq!(file.import_policies, document.import_policies);
}

#[test]
fn json_is_the_agents_own_document() {
    let agent = FakeAgent::answering(StatusCode::OK, &document());
    let ran = agent.run(&["policy", "record", "-o", "json"]);
    let printed: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(printed, serde_json::to_value(document()).unwrap());
}

#[test]
fn an_agent_that_knows_no_node_says_so() {
    let error = ApiError {
        error: "the own Node is not known".to_owned(),
    };
    let agent = FakeAgent::answering(StatusCode::SERVICE_UNAVAILABLE, &error);
    let ran = agent.run(&["policy", "record"]);
    assert_eq!((ran.outcome, ran.out.as_str()), (Outcome::Failed, ""));
    assert_eq!(ran.err, "error: the own Node is not known\n");
}

#[test]
fn without_an_agent_there_is_nothing_to_record() {
    let ran = run("/nonexistent".into(), &["policy", "record"]);
    assert_eq!(ran.outcome, Outcome::Failed);
    assert!(ran.err.contains("no agent listens at"), "{}", ran.err);
}
