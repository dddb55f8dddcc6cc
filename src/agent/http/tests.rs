//! The servers, asked over real sockets.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

use std::net::Ipv4Addr;

use super::*;
use crate::agent::SpeakerHandle;
use crate::agent::driver::PAGE_ROUTES;
use crate::agent::testing::{DEADLINE, Parts, text, until};
use crate::api::{Lost, PassedOn, Sent, Usage};
use crate::speaker::{Input, PeerConfig, SpeakerConfig};
use crate::types::{
    Asn, ConnectMode, GroupId, Installation, PeerId, Prefix, RouteAttributes, RouterId,
};

/// A request's status and body.
async fn ask(path: &Path, target: &str) -> (u16, String) {
    request(path, "GET", target).await
}

async fn request(path: &Path, method: &str, target: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let request =
        format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// The parts of an agent, and its socket served.
async fn served() -> (Parts, PathBuf, SocketFile) {
    let parts = Parts::start(&text("")).await;
    let path = parts.folder.path().join("run/rutter.sock");
    let (listener, file) = bind_socket(&path).await.unwrap();
    tokio::spawn(serve_socket(listener, Arc::clone(&parts.reporter), 8));
    (parts, path, file)
}

async fn json(path: &Path, target: &str) -> Value {
    let (status, body) = ask(path, target).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_the_agent() {
    let (_parts, path, file) = served().await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = bind_socket(&path).await.unwrap_err().to_string();
    assert!(error.contains("another agent has"), "{error}");
    drop(file);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_no_other_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let stale = folder.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    bind_socket(&stale).await.unwrap();
    let file = folder.path().join("precious");
    std::fs::write(&file, "data").unwrap();
    let error = bind_socket(&file).await.unwrap_err().to_string();
    assert!(error.contains("is no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "data");
}

#[tokio::test]
async fn a_path_that_is_too_long_is_called_that() {
    let path = PathBuf::from(format!("/tmp/{}", "x".repeat(103)));
    let error = bind_socket(&path).await.unwrap_err().to_string();
    assert!(
        error.ends_with("has 108 bytes, a socket's path at most 107"),
        "{error}"
    );
}

#[tokio::test]
async fn all_that_policies_are_given_can_be_asked_for() {
    let (parts, path, _file) = served().await;
    let batch = json(&path, "/v1/policy/batch").await;
    let read: crate::cases::Document = serde_json::from_value(batch.clone()).unwrap();
    assert_eq!(batch["node"]["name"], "worker-1");
    assert_eq!(
        batch["advertise"]["service-cluster-cidrs"],
        serde_json::json!(["172.16.0.0/16"])
    );
    assert_eq!(
        batch["peer-groups"],
        serde_json::json!([{"name": "tor", "asn": 64512}])
    );
    assert_eq!(batch["policies"][0]["module"], "builtin:default");
    assert!(!read.services.is_empty());

    // What a policy would be asked about there, by the same text.
    let text = toml::to_string(&read).unwrap();
    let file = crate::cases::CaseFile::parse("live.toml", &text).unwrap();
    let asked: Vec<_> = file.scenes[0].candidates.iter().collect();
    let live: Vec<_> = parts
        .reporter
        .routes(None)
        .await
        .unwrap()
        .routes
        .into_iter()
        .map(|route| route.prefix)
        .collect();
    let asked: Vec<_> = asked.iter().map(|candidate| candidate.key.prefix).collect();
    assert_eq!(asked, live);
}

#[tokio::test]
async fn no_key_and_no_address_of_a_peer_is_among_what_policies_are_given() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "hunter2").unwrap();
    let file = key.path().to_str().unwrap();
    let parts = Parts::start(&text(&format!("password-file = '{file}'"))).await;
    let path = parts.folder.path().join("run/rutter.sock");
    let (listener, _file) = bind_socket(&path).await.unwrap();
    tokio::spawn(serve_socket(listener, Arc::clone(&parts.reporter), 8));
    let (status, batch) = ask(&path, "/v1/policy/batch").await;
    assert_eq!(status, 200);
    assert!(batch.contains("\"tor\""), "{batch}");
    for secret in ["hunter2", file, "127.0.0.99"] {
        assert!(!batch.contains(secret), "{batch}");
    }
    // The address is among what import policies are given.
    let (status, learned) = ask(&path, "/v1/policy/batch?learned=true").await;
    assert_eq!(status, 200);
    assert!(learned.contains("127.0.0.99"), "{learned}");
    for secret in ["hunter2", file] {
        assert!(!learned.contains(secret), "{learned}");
    }
    let (status, unclear) = ask(&path, "/v1/policy/batch?learned=perhaps").await;
    assert_eq!(status, 400, "{unclear}");
}

#[tokio::test]
async fn routes_tell_what_was_accepted_or_rejected_and_why_it_is_not_sent() {
    let (_parts, path, _file) = served().await;
    let accepted = json(&path, "/v1/routes").await;
    let prefixes: Vec<_> = accepted["routes"].as_array().unwrap().iter().collect();
    assert!(
        prefixes
            .iter()
            .any(|route| route["prefix"] == "10.244.1.0/24")
    );
    assert!(
        prefixes
            .iter()
            .all(|route| route["sent"]["reason"] == "there is no session")
    );
    let rejected = json(&path, "/v1/routes?rejected=true&peer=tor").await;
    let [idle] = &rejected["routes"].as_array().unwrap()[..] else {
        panic!("{rejected}");
    };
    assert_eq!(idle["prefix"], "172.16.0.11/32");
    assert_eq!(idle["sent"]["reason"], "rejected");
    assert!(idle["decision"]["steps"][0]["reason"].is_string());
}

#[tokio::test]
async fn explain_takes_an_encoded_prefix_or_a_service() {
    let (_parts, path, _file) = served().await;
    let by_prefix = json(&path, "/v1/explain?subject=172.16.0.10%2F32").await;
    assert_eq!(by_prefix["services"][0]["service"]["name"], "web");
    assert_eq!(by_prefix["covered-by"][0], "172.16.0.0/16");
    let by_name = json(&path, "/v1/explain?subject=shop%2Fweb").await;
    let excluded = &by_name["services"][0]["excluded"][0];
    assert_eq!(excluded["address"], "203.0.113.9", "no range has it");
}

#[tokio::test]
async fn every_error_is_json_that_says_what_is_wrong() {
    let (_parts, path, _file) = served().await;
    for (target, status, words) in [
        (
            "/v1/explain?subject=192.0.2.1",
            404,
            "no Service has this address",
        ),
        (
            "/v1/explain?subject=shop%2Fgone",
            404,
            "there is no Service shop/gone",
        ),
        ("/v1/explain?subject=web", 404, "neither a prefix"),
        ("/v1/explain", 400, "subject"),
        ("/v1/routes?peer=nobody", 404, "there are: tor"),
        ("/v1/routes?rejected=maybe", 400, "rejected"),
        ("/v2", 404, "no such request"),
    ] {
        let (found, body) = ask(&path, target).await;
        let error: ApiError = serde_json::from_str(&body).unwrap();
        assert_eq!(found, status, "{target}: {body}");
        assert!(error.error.contains(words), "{target}: {body}");
    }
}

#[tokio::test]
async fn liveness_ends_with_the_speaker() {
    let (parts, _path, _file) = served().await;
    let reporter = Arc::clone(&parts.reporter);
    assert_eq!(
        healthz(State(Arc::clone(&reporter))).await.status(),
        StatusCode::OK
    );
    assert_eq!(
        readyz(State(Arc::clone(&reporter))).await.status(),
        StatusCode::OK
    );
    reporter.speaker.stop("test").await;
    let dead = healthz(State(reporter)).await.status();
    assert_eq!(dead, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn an_approval_is_answered_by_the_reload_task() {
    let guarded = format!("guard = {{ max-withdraw = 0 }}\n{}", text(""));
    let parts = Parts::start(&guarded).await;
    let path = parts.folder.path().join("run/rutter.sock");
    let (listener, _file) = bind_socket(&path).await.unwrap();
    tokio::spawn(serve_socket(listener, Arc::clone(&parts.reporter), 8));
    parts.write(&guarded.replace("'172.16.0.0/16'", ""));
    let Parts {
        reloader, reporter, ..
    } = parts;
    let hangup = signal(SignalKind::hangup()).unwrap();
    let running = tokio::spawn(reloader.run(hangup));

    let approve = async |id: &str| {
        let target = format!("/v1/policy/approve?id={id}");
        request(&path, "POST", &target).await
    };
    // Whoever approves has the files looked at first.
    let (status, body) = approve("1234abcd").await;
    assert_eq!(status, 409, "{body}");
    let held = reporter.status().await.unwrap().held.unwrap();
    assert!(body.contains(&held.id), "{body}");
    let (status, body) = approve(&held.id).await;
    let approved: Approved = serde_json::from_str(&body).unwrap();
    assert_eq!((status, approved.effect.withdrawn), (200, 2));
    let (status, body) = approve(&held.id).await;
    assert_eq!(status, 404, "{body}");
    let (status, _) = request(&path, "POST", "/v1/policy/approve").await;
    assert_eq!(status, 400, "no id");
    let (status, _) = ask(&path, "/v1/policy/approve?id=1").await;
    assert_eq!(status, 405, "asking changes nothing");
    running.abort();
}

#[tokio::test]
async fn a_policy_that_is_closed_keeps_the_agent_from_being_ready() {
    let chain = "[[policies]]\nname = 'own'\nmodule = 'own.wasm'\n";
    let Parts {
        reloader,
        reporter,
        folder,
        told: _told,
    } = Parts::start(&text(chain)).await;
    let answer = readyz(State(Arc::clone(&reporter))).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = axum::body::to_bytes(answer.into_body(), 4096).await;
    let body = String::from_utf8(body.unwrap().into()).unwrap();
    assert!(
        body.contains("own.wasm: cannot read the module")
            && body.ends_with("; nothing is announced\n"),
        "{body}"
    );
    // Watching begins before this returns to us, for the first poll of a task runs up to its wait.
    let running = tokio::spawn(reloader.run(signal(SignalKind::hangup()).unwrap()));
    tokio::task::yield_now().await;
    let module = folder.path().join("own.wasm");
    std::fs::write(module, crate::wasm::builtin_bytes()).unwrap();
    until(&reporter, |status| status.readiness == Readiness::Ready).await;
    let answer = readyz(State(reporter)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    running.abort();
}

/// A speaker in this AS that listens at 127.0.0.`host` and announces so many prefixes, with these
/// attributes, to 127.0.0.1; and its port.
async fn announcing(
    host: u8,
    asn: u32,
    count: u32,
    attributes: RouteAttributes,
) -> (SpeakerHandle, u16) {
    let router = SpeakerHandle::spawn(1, None);
    let any_port = std::net::SocketAddr::from(([127, 0, 0, host], 0));
    let bound = router.listen_on(vec![any_port]).await.unwrap();
    let peer = PeerConfig {
        connect_mode: ConnectMode::Passive,
        ..PeerConfig::new(PeerId(0), Ipv4Addr::LOCALHOST.into(), Asn(64512))
    };
    let router_id = RouterId::try_from(Ipv4Addr::new(10, 0, 0, host)).unwrap();
    let config = SpeakerConfig {
        peers: vec![peer],
        ..SpeakerConfig::new(Asn(asn), router_id)
    };
    let prefix = |number: u32| Prefix::host(Ipv4Addr::from(0x0A00_0000 + number).into());
    let attributes = Some(Arc::new(attributes));
    let changes = (0..count).map(|number| (prefix(number), attributes.clone()));
    let export = Input::Export {
        group: GroupId(0),
        changes: changes.collect(),
    };
    for input in [Input::Configure(config), export, Input::ExportsComplete] {
        router.feed(input).await.unwrap();
    }
    (router, bound[0].port())
}

#[tokio::test(flavor = "multi_thread")]
async fn received_routes_are_listed_in_pages_whole_and_in_order() {
    // Two pages and a part of one.
    let count = 2 * u32::try_from(PAGE_ROUTES).unwrap() + 1;
    // A router elsewhere: nobody is told to go by its own address.
    let (_router, port) = announcing(2, 64513, count, RouteAttributes::default()).await;
    let peers =
        format!("[[peers]]\nname = 'router'\naddress = '127.0.0.2'\nport = {port}\nasn = 64513");
    let parts = Parts::start(&text(&peers)).await;
    until(&parts.reporter, |status| {
        status
            .peers
            .iter()
            .any(|peer| peer.prefixes_received == u64::from(count))
    })
    .await;
    let path = parts.folder.path().join("run/rutter.sock");
    let (listener, _file) = bind_socket(&path).await.unwrap();
    tokio::spawn(serve_socket(listener, Arc::clone(&parts.reporter), 4));
    // To HTTP/1.0 the answer is not chunked.
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let request = b"GET /v1/received?peer=router HTTP/1.0\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("application/json"), "{head}");
    let listed: crate::api::ReceivedRoutes = serde_json::from_str(body).unwrap();
    assert_eq!(listed.routes.len(), count as usize);
    assert!(listed.routes.is_sorted_by_key(|route| route.prefix));
    // Each route is on a line of its own.
    assert_eq!(body.lines().count(), count as usize + 2);
    let mut listing = Arc::clone(&parts.reporter).received(None).await.unwrap();
    while let Some(page) = listing.next().await.unwrap() {
        assert!((1..=PAGE_ROUTES).contains(&page.len()), "{}", page.len());
    }
    let one = parts
        .reporter
        .learned("10.0.0.7/32".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].peer, "router");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_not_used_tells_which_step_it_was_behind_in_and_whose_the_best_is() {
    let far = RouteAttributes {
        prepend: 2,
        ..RouteAttributes::default()
    };
    let (_near, near) = announcing(2, 64513, 1, RouteAttributes::default()).await;
    let (_far, far) = announcing(3, 64513, 1, far).await;
    let peer = |name: &str, host: u8, port: u16| {
        format!(
            "[[peers]]\nname = '{name}'\naddress = '127.0.0.{host}'\nport = {port}\nasn = 64513\n"
        )
    };
    let parts = Parts::start(&text(&(peer("near", 2, near) + &peer("far", 3, far)))).await;
    until(&parts.reporter, |status| {
        let routers = status.peers.iter().filter(|peer| peer.asn == Asn(64513));
        routers.map(|peer| peer.prefixes_received).eq([1, 1])
    })
    .await;
    let learned = parts.reporter.learned("10.0.0.0/32".parse().unwrap());
    let [near, far] = &learned.await.unwrap()[..] else {
        panic!("two peers announced it");
    };
    let installation = Installation::Install;
    assert_eq!(
        (&near.usage, &near.lost),
        (&Usage::Best { installation }, &None)
    );
    let reason = "longer AS_PATH".to_owned();
    assert_eq!(far.usage, Usage::Unused { reason });
    let lost = Lost {
        step: "RFC 4271 9.1.2.2 a".to_owned(),
        best: Some("near".to_owned()),
    };
    assert_eq!(far.lost, Some(lost));
    assert_eq!(far.path.origin, "IGP");
    assert_eq!(far.received, None, "no policy changed it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reflector_explains_to_whom_the_best_path_went_on() {
    let (_client, client) = announcing(4, 64512, 1, RouteAttributes::default()).await;
    let (_other, other) = announcing(5, 64512, 0, RouteAttributes::default()).await;
    let peers = format!(
        "[[peers]]\nname = 'client'\naddress = '127.0.0.4'\nport = {client}\nasn = 64512\n\
         route-reflector-client = true\n\
         [[peers]]\nname = 'other'\naddress = '127.0.0.5'\nport = {other}\nasn = 64512\n"
    );
    let config = text(&peers).replace("[bgp]\n", "[bgp]\ncluster-id = '224.0.0.1'\n");
    let parts = Parts::start(&config).await;
    let not_sent = |reason: &str| Sent::NotSent {
        reason: reason.to_owned(),
    };
    let passed = |peer: &str, sent| PassedOn {
        peer: peer.to_owned(),
        sent,
    };
    let expected = [
        passed("tor", not_sent("there is no session")),
        passed(
            "client",
            not_sent("the best path was learned from the peer itself"),
        ),
        passed(
            "other",
            Sent::Announced {
                next_hop: Ipv4Addr::new(127, 0, 0, 4).into(),
            },
        ),
    ];
    let mut told = Vec::new();
    let asking = async {
        while told != expected {
            tokio::task::yield_now().await;
            let explained = parts.reporter.explain("10.0.0.0/32").await.unwrap();
            told = explained.map_or_else(|_| Vec::new(), |explained| explained.passed_on);
        }
    };
    let asked = tokio::time::timeout(DEADLINE, asking).await;
    assert!(asked.is_ok(), "{told:#?}");
}
