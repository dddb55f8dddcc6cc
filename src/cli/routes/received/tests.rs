//! The text of `rutter routes --received`, and what it makes of answers that end too early.

use insta::assert_snapshot;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::super::super::testing::{printed, step};
use super::*;
use crate::api::{DecisionReport, KernelPath, Lost, PathReport, ReceivedRoutes, StepReport, Usage};
use crate::rib::LostBy;
use crate::types::{Installation, Prefix};

fn received(prefix: &str, usage: Usage) -> ReceivedRoute {
    ReceivedRoute {
        peer: "tor".to_owned(),
        prefix: prefix.parse().unwrap(),
        next_hop: "192.168.83.1".parse().unwrap(),
        as_path: "64513 64520".to_owned(),
        attributes: RouteAttributes {
            next_hop: Some("192.168.83.1".parse().unwrap()),
            ..RouteAttributes::default()
        },
        received: None,
        path: PathReport {
            origin: "IGP".to_owned(),
            ..PathReport::default()
        },
        usage,
        lost: None,
        kernel: None,
        decision: None,
    }
}

/// What is printed of these, in this detail.
fn text(routes: Vec<ReceivedRoute>, detail: Detail) -> String {
    printed(|out| {
        let mut printer = Printer::of(detail);
        for route in routes {
            printer.add(route, out)?;
        }
        printer.end(out)
    })
}

#[test]
fn received_routes_show_what_became_of_them_and_why() {
    let installation = Installation::Install;
    let in_kernel = |prefix: &str, kernel| ReceivedRoute {
        kernel: Some(kernel),
        ..received(prefix, Usage::Best { installation })
    };
    let unfit = KernelPath::Unfit {
        reason: "it is in 10.244.1.0/24, which is this node's own".to_owned(),
    };
    let refused = KernelPath::Refused {
        reason: "File exists".to_owned(),
    };
    let kernels = [
        in_kernel("10.4.0.0/16", KernelPath::Installed),
        in_kernel("10.5.0.0/16", KernelPath::Pending),
        in_kernel("10.244.1.5/32", unfit),
        in_kernel("10.6.0.0/16", refused),
    ];
    let mut changed = received("10.0.0.0/8", Usage::Best { installation });
    changed.attributes.local_pref = Some(200);
    changed.decision = Some(DecisionReport {
        accepted: true,
        attributes: changed.attributes.clone(),
        steps: vec![step("import-filter", "accept", "rule `own`")],
    });
    let unused = |reason: &str| Usage::Unused {
        reason: reason.to_owned(),
    };
    let mut kept = received("10.9.0.0/16", unused("rejected"));
    kept.decision = Some(DecisionReport {
        accepted: false,
        attributes: RouteAttributes::default(),
        steps: vec![StepReport {
            kept: true,
            ..step("import-filter", "reject", "no rule takes this prefix")
        }],
    });
    let installation = Installation::Keep;
    let mut routes = vec![
        changed,
        kept,
        received("10.1.0.0/16", unused("our AS 64512 is in its AS_PATH")),
        received("10.2.0.0/16", Usage::Multipath { installation }),
        received("10.3.0.0/16", Usage::Undecided),
    ];
    routes.extend(kernels);
    assert_snapshot!(text(routes, Detail::Line));
}

#[test]
fn all_that_is_known_of_a_route_is_a_block_of_lines() {
    let installation = Installation::Install;
    let preferred = |local_pref| RouteAttributes {
        local_pref: Some(local_pref),
        ..RouteAttributes::default()
    };
    let mut changed = received("10.0.0.0/8", Usage::Best { installation });
    changed.kernel = Some(KernelPath::Installed);
    changed.attributes = preferred(200);
    changed.received = Some(RouteAttributes {
        med: Some(5),
        ..preferred(100)
    });
    changed.decision = Some(DecisionReport {
        accepted: true,
        attributes: changed.attributes.clone(),
        steps: vec![step("import-filter", "accept", "rule `own`")],
    });
    let behind = |by: LostBy, best: Option<&str>| ReceivedRoute {
        lost: Some(Lost {
            step: by.section().to_owned(),
            best: best.map(str::to_owned),
        }),
        ..received(
            "10.0.0.0/8",
            Usage::Unused {
                reason: by.to_string(),
            },
        )
    };
    let mut reflected = behind(LostBy::ClusterListLength, Some("rr1"));
    reflected.as_path = String::new();
    reflected.path = PathReport {
        origin: "INCOMPLETE".to_owned(),
        originator_id: Some([192, 168, 83, 22].into()),
        cluster_list: vec![[224, 0, 0, 1].into(), [224, 0, 0, 2].into()],
    };
    let routes = vec![
        changed,
        behind(LostBy::AsPathLength, Some("tor-b")),
        reflected,
        behind(LostBy::Local, None),
        received("10.3.0.0/16", Usage::Undecided),
    ];
    assert_snapshot!(text(routes, Detail::All));
    assert_eq!(text(Vec::new(), Detail::All), "No routes are received.\n");
}

/// So many routes, and what the agent answers with them.
fn many(count: u32) -> (Vec<ReceivedRoute>, String) {
    let installation = Installation::Install;
    let route = |number: u32| {
        let address = std::net::Ipv4Addr::from(0x0A00_0000 + number);
        received(
            &Prefix::host(address.into()).to_string(),
            Usage::Best { installation },
        )
    };
    let routes: Vec<_> = (0..count).map(route).collect();
    let lines: Vec<_> = routes
        .iter()
        .map(|route| serde_json::to_string(route).unwrap())
        .collect();
    let end = if routes.is_empty() { "" } else { "\n" };
    (
        routes,
        format!("{HEAD}\n{}{end}{TAIL}\n", lines.join(",\n")),
    )
}

/// What is printed of an answer whose body is this, and how it ends.
async fn printed_of(body: &str, format: OutputFormat) -> (String, Result<(), String>) {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}");
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        // Whoever has read enough closes.
        let _ = stream.write_all(answer.as_bytes()).await;
    };
    let client = Client::new(socket);
    let mut out = Vec::new();
    let (ran, ()) = tokio::join!(run(&client, None, Detail::Line, format, &mut out), server);
    let ran = ran.map(|_| ()).map_err(|error| format!("{error:#}"));
    (String::from_utf8(out).unwrap(), ran)
}

#[tokio::test]
async fn a_long_listing_is_one_table_whatever_comes_at_once() {
    let (routes, body) = many(2 * 1000 + 1);
    let (text, ran) = printed_of(&body, OutputFormat::Text).await;
    assert_eq!(ran, Ok(()));
    let lines: Vec<&str> = text.lines().collect();
    // Three lines above the routes, and one below.
    assert_eq!(lines.len(), routes.len() + 4);
    assert_eq!(text.matches("PREFIX").count(), 1);
    for (line, route) in lines[3..].iter().zip(&routes) {
        assert!(line.contains(&format!(" {} ", route.prefix)), "{line}");
    }
    assert_eq!(lines[0], *lines.last().unwrap());
}

#[tokio::test]
async fn the_document_is_indented_as_if_it_had_come_at_once() {
    for count in [0, 1, 3] {
        let (routes, body) = many(count);
        let (text, ran) = printed_of(&body, OutputFormat::Json).await;
        assert_eq!(ran, Ok(()));
        let mut whole = Vec::new();
        let document = serde_json::to_value(ReceivedRoutes { routes }).unwrap();
        crate::cli::output::json(&document, &mut whole).unwrap();
        assert_eq!(text, String::from_utf8(whole).unwrap());
    }
}

#[tokio::test]
async fn no_received_routes_is_said_in_words() {
    let (text, ran) = printed_of(&many(0).1, OutputFormat::Text).await;
    assert_eq!((text.as_str(), ran), ("No routes are received.\n", Ok(())));
}

#[tokio::test]
async fn a_listing_that_breaks_off_is_an_error_and_so_is_another_document() {
    let (_, whole) = many(5);
    for cut in [whole.len() - TAIL.len() - 1, whole.len() / 2] {
        let (_, ran) = printed_of(&whole[..cut], OutputFormat::Json).await;
        let error = ran.unwrap_err();
        assert!(error.contains("gave no whole answer"), "{error}");
    }
    for other in ["{}\n", "", "{\"routes\":[\nnothing,\n]}\n"] {
        let (_, ran) = printed_of(other, OutputFormat::Text).await;
        let error = ran.unwrap_err();
        assert!(error.contains("does not understand the answer"), "{error}");
    }
}
