//! The command line as a whole: its help, and each command against a fake agent.

use axum::http::StatusCode;
use clap::CommandFactory;
use clap::error::ErrorKind;
use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;

use super::testing::{
    FakeAgent, accepted, announced, now, peer, run, status, with_unknown_field, without_session,
};
use super::*;
use crate::api::{ApiError, Explanation, Routes};

fn usage_error(arguments: &[&str]) -> clap::Error {
    Cli::try_parse_from(["rutter"].iter().chain(arguments)).unwrap_err()
}

fn help(arguments: &[&str]) -> String {
    let error = Cli::command()
        .term_width(100)
        .try_get_matches_from(["rutter"].iter().chain(arguments).chain(&["--help"]))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DisplayHelp);
    error.to_string()
}

fn routes() -> Routes {
    Routes {
        routes: vec![accepted("tor", "192.0.2.10/32", announced("192.168.83.36"))],
        waiting_for: None,
    }
}

fn explanation() -> Explanation {
    Explanation {
        subject: "default/web".to_owned(),
        services: Vec::new(),
        routes: routes().routes,
        covered_by: Vec::new(),
        learned: Vec::new(),
        passed_on: Vec::new(),
    }
}

#[test]
fn the_parser_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_explains_itself() {
    assert_snapshot!("help", help(&[]));
    assert_snapshot!("help_agent", help(&["agent"]));
    assert_snapshot!("help_status", help(&["status"]));
    assert_snapshot!("help_routes", help(&["routes"]));
    assert_snapshot!("help_explain", help(&["explain"]));
    assert_snapshot!("help_config", help(&["config"]));
    assert_snapshot!("help_config_check", help(&["config", "check"]));
    assert_snapshot!("help_leave", help(&["leave"]));
    assert_snapshot!("help_join", help(&["join"]));
    assert_snapshot!("help_policy", help(&["policy"]));
    assert_snapshot!("help_policy_bench", help(&["policy", "bench"]));
    assert_snapshot!("help_policy_build", help(&["policy", "build"]));
    assert_snapshot!("help_policy_diff", help(&["policy", "diff"]));
    assert_snapshot!("help_policy_new", help(&["policy", "new"]));
    assert_snapshot!("help_policy_inspect", help(&["policy", "inspect"]));
    assert_snapshot!("help_policy_pull", help(&["policy", "pull"]));
    assert_snapshot!("help_policy_push", help(&["policy", "push"]));
    assert_snapshot!("help_policy_validate", help(&["policy", "validate"]));
    assert_snapshot!("help_calico", help(&["calico"]));
    assert_snapshot!("help_calico_import", help(&["calico", "import"]));
    assert_snapshot!("help_completions", help(&["completions"]));
}

#[test]
fn the_version_is_the_packages() {
    let error = usage_error(&["--version"]);
    assert_eq!(error.kind(), ErrorKind::DisplayVersion);
    assert_eq!(
        error.to_string(),
        format!("rutter {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_command_line_that_is_not_understood_ends_with_2() {
    for arguments in [
        &[][..],
        &["stats"],
        &["status", "-o", "yaml"],
        &["explain"],
        &["explain", "web"],
        &["routes", "--all"],
        &["agent", "--node-name", "worker-1"],
    ] {
        assert_eq!(usage_error(arguments).exit_code(), 2, "{arguments:?}");
    }
}

#[test]
fn each_outcome_has_its_exit_code() {
    let codes = [
        Outcome::Done,
        Outcome::Failed,
        Outcome::Degraded,
        Outcome::Unknown,
    ]
    .map(Outcome::code);
    assert_eq!(codes, [0, 1, 3, 4]);
}

#[test]
fn status_asks_the_agent_and_tells_scripts_how_it_is() {
    let mut document = status();
    document.peers = vec![peer("tor", "192.168.83.1")];
    let agent = FakeAgent::answering(StatusCode::OK, &document);
    let ran = agent.run(&["status"]);
    assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
    assert!(
        ran.out.starts_with("Rutter process is running.\n"),
        "{}",
        ran.out
    );
    assert_eq!(agent.requests(), ["/v1/status"]);

    document.peers = vec![without_session(peer("tor", "192.168.83.1"), "Idle", None)];
    let agent = FakeAgent::answering(StatusCode::OK, &document);
    assert_eq!(agent.run(&["status"]).outcome, Outcome::Degraded);
    assert_eq!(
        agent.run(&["-o", "json", "status"]).outcome,
        Outcome::Degraded
    );
}

#[test]
fn no_routes_of_an_agent_that_waits_are_explained_by_what_it_waits_for() {
    let mut document = Routes {
        routes: Vec::new(),
        waiting_for: Some("the own Node".to_owned()),
    };
    for arguments in [&["routes"][..], &["routes", "--rejected"]] {
        let ran = FakeAgent::answering(StatusCode::OK, &document).run(arguments);
        let told = "Nothing is decided yet: waiting for the own Node\n";
        assert_eq!((ran.outcome, ran.out.as_str()), (Outcome::Done, told));
    }
    document.waiting_for = None;
    let ran = FakeAgent::answering(StatusCode::OK, &document).run(&["routes"]);
    assert_eq!(ran.out, "No routes are accepted.\n");
}

#[test]
fn routes_are_asked_for_by_peer_and_verdict() {
    let agent = FakeAgent::answering(StatusCode::OK, &routes());
    for arguments in [
        &["routes"][..],
        &["routes", "--rejected"],
        &["routes", "--peer", "rack 7"],
        &["routes", "--peer", "tor", "--rejected"],
    ] {
        let ran = agent.run(arguments);
        assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
        assert!(ran.out.contains("192.0.2.10/32"), "{}", ran.out);
    }
    assert_eq!(
        agent.requests(),
        [
            "/v1/routes",
            "/v1/routes?rejected=true",
            "/v1/routes?peer=rack%207",
            "/v1/routes?rejected=true&peer=tor",
        ]
    );
}

#[test]
fn explain_asks_for_its_subject_in_full() {
    let agent = FakeAgent::answering(StatusCode::OK, &explanation());
    assert_eq!(agent.run(&["explain", "192.0.2.10"]).outcome, Outcome::Done);
    assert_eq!(
        agent.run(&["explain", "default/web"]).outcome,
        Outcome::Done
    );
    assert_eq!(
        agent.requests(),
        [
            "/v1/explain?subject=192.0.2.10%2F32",
            "/v1/explain?subject=default%2Fweb",
        ]
    );
}

#[test]
fn a_name_nobody_knows_has_an_exit_code_of_its_own() {
    let mut unknown = explanation();
    unknown.routes.clear();
    let agent = FakeAgent::answering(StatusCode::OK, &unknown);
    assert_eq!(
        agent.run(&["explain", "default/web"]).outcome,
        Outcome::Unknown
    );
    let json = agent.run(&["-o", "json", "explain", "default/web"]);
    assert_eq!(json.outcome, Outcome::Unknown);
}

#[test]
fn json_is_the_agents_document_with_all_its_fields() {
    for (arguments, document) in [
        (&["status"][..], with_unknown_field(&status())),
        (&["routes"], with_unknown_field(&routes())),
        (
            &["explain", "default/web"],
            with_unknown_field(&explanation()),
        ),
    ] {
        let agent = FakeAgent::answering(StatusCode::OK, &document);
        let ran = agent.run(&[arguments, &["-o", "json"]].concat());
        assert_eq!((ran.outcome, ran.err.as_str()), (Outcome::Done, ""));
        assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), document);
        assert!(ran.out.starts_with("{\n  \""), "indented: {}", ran.out);
        assert!(ran.out.ends_with("}\n"));
    }
}

#[test]
fn a_refusal_is_printed_to_standard_error() {
    let error = ApiError {
        error: "no peer is named \u{1b}tor: see [[peers]]".to_owned(),
    };
    let agent = FakeAgent::answering(StatusCode::NOT_FOUND, &error);
    let ran = agent.run(&["routes", "--peer", "tor"]);
    assert_eq!(ran.outcome, Outcome::Failed);
    assert_eq!(ran.out, "");
    assert_eq!(
        ran.err,
        "error: no peer is named \\u{1b}tor: see [[peers]]\n"
    );
}

#[test]
fn without_an_agent_every_question_fails_and_says_where_it_asked() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("none.sock");
    for arguments in [&["status"][..], &["routes"], &["explain", "default/web"]] {
        let ran = run(socket.clone(), arguments);
        assert_eq!((ran.outcome, ran.out.as_str()), (Outcome::Failed, ""));
        let start = format!("error: no agent listens at {}: ", socket.display());
        assert!(ran.err.starts_with(&start), "{}", ran.err);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let cli = Cli::try_parse_from(["rutter", "completions", "bash"]).unwrap();
    let mut err = Vec::new();
    assert_eq!(
        cli.run(now().into(), LostLines::default(), &mut Closed, &mut err),
        Outcome::Done
    );
    assert_eq!(err, b"");
}

#[test]
fn a_full_disk_is_a_failure() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let cli = Cli::try_parse_from(["rutter", "completions", "bash"]).unwrap();
    let mut err = Vec::new();
    assert_eq!(
        cli.run(now().into(), LostLines::default(), &mut Full, &mut err),
        Outcome::Failed
    );
    assert!(!err.is_empty());
}

#[test]
fn each_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let cli = Cli::try_parse_from(["rutter", "completions", shell]).unwrap();
        let mut out = Vec::new();
        let outcome = cli.run(
            now().into(),
            LostLines::default(),
            &mut out,
            &mut Vec::new(),
        );
        assert_eq!(outcome, Outcome::Done);
        let script = String::from_utf8(out).unwrap();
        assert!(script.contains("explain"), "{shell}: {script}");
    }
}
