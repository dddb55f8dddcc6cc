//! The text of a scrape.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::api::{
    ConfigStatus, FaultCount, NotificationCount, PeerFaults, ServiceRoutes, SessionEnd,
    SessionRecord, SourceStatus, StandIn, Withheld,
};
use crate::policy::{Limits, OnError, PeerKind};
use crate::types::{Asn, PeerType};

fn scrape() -> Scrape {
    let peer = PeerStatus {
        name: "tor".to_owned(),
        address: IpAddr::from([192, 168, 83, 1]),
        port: 179,
        asn: Asn(64512),
        kind: PeerKind::Ibgp,
        peer_type: PeerType::NodePeer.words().to_owned(),
        state: "Established".to_owned(),
        since: 1_700_000_000,
        last_error: None,
        established_count: 2,
        prefixes_sent: 12,
        prefixes_received: 3,
        updates_sent: 7,
        updates_received: 5,
        hold_time: Some(90),
        router_id: None,
        faults: PeerFaults {
            counts: vec![FaultCount {
                attribute: "AS_PATH".to_owned(),
                action: "treat-as-withdraw".to_owned(),
                count: 8,
            }],
            last: None,
        },
        record: SessionRecord {
            resets: 4,
            last_end: Some(SessionEnd {
                at: 1_700_000_100,
                reason: "peer closed the connection".to_owned(),
            }),
            notifications_sent: vec![NotificationCount {
                code: "UPDATE Message Error".to_owned(),
                subcode: "Malformed Attribute List".to_owned(),
                count: 3,
            }],
            ..SessionRecord::default()
        },
    };
    let policy = PolicyStatus {
        name: "default".to_owned(),
        module: "builtin:default".to_owned(),
        digest: None,
        loaded_at: None,
        refused: None,
        stand_in: None,
        on_error: OnError::KeepLast,
        limits: Limits::DEFAULT.into(),
        mode: Mode::Enforce,
        shadow: None,
        error: Some("trap".to_owned()),
        failures: 4,
        retry_in: Some(1),
        held: 0,
        held_routes: Vec::new(),
    };
    let counts = |group: &str, withdrawn| ShadowCounts {
        group: group.to_owned(),
        peer: None,
        compared: 20,
        waiting: 1,
        withdrawn,
        changed: 3,
        added: 0,
    };
    let shadow = PolicyStatus {
        name: "next".to_owned(),
        mode: Mode::Shadow,
        shadow: Some(vec![counts("tors", 1), counts("tors", 4), counts("wan", 0)]),
        ..policy.clone()
    };
    // One of the other direction may have the same name.
    let import = PolicyStatus {
        error: None,
        retry_in: None,
        held: 3,
        refused: Some("no wasm".to_owned()),
        stand_in: Some(StandIn::Last),
        ..policy.clone()
    };
    let of_peer = |peer: &str, withdrawn| ShadowCounts {
        peer: Some(peer.to_owned()),
        ..counts("tors", withdrawn)
    };
    let import_shadow = PolicyStatus {
        shadow: Some(vec![of_peer("tor-a", 2), of_peer("tor-b", 5)]),
        ..shadow.clone()
    };
    let status = Status {
        version: "0.1.0".to_owned(),
        node: "worker-1".to_owned(),
        asn: Asn(64512),
        router_id: None,
        router_id_origin: None,
        router_id_problem: None,
        started_at: 1_700_000_000,
        readiness: Readiness::Ready,
        source: SourceStatus {
            kind: "kubernetes".to_owned(),
            error: None,
            services: 9,
        },
        config: ConfigStatus {
            warnings: Vec::new(),
            path: "rutter.toml".to_owned(),
            loaded_at: 1_700_000_001,
            error: None,
        },
        policies: vec![policy, shadow],
        import_policies: vec![import, import_shadow],
        service_routes: ServiceRoutes {
            candidates: 12,
            offered: 0,
            withheld: Some(Withheld::ExcludeLabel),
            concerns: [("address-refused".to_owned(), 2)].into(),
            examples: Vec::new(),
        },
        peers: vec![peer],
        kernel: Some(KernelStatus {
            installs: true,
            table: 254,
            metric: 4096,
            protocol: 179,
            waits_for_facts: false,
            routes: 40,
            blackholes: 2,
            leftovers: 3,
            unfit: 2,
            refused: 1,
            refusal: Some("10.6.0.0/16: File exists".to_owned()),
            failures: 9,
            error: None,
        }),
        held: None,
    };
    Scrape {
        status,
        candidates: 20,
        learned: LearnedCounts {
            accepted: 700,
            rejected: 30,
            undecided: 0,
        },
        exports: Load {
            work: Work {
                rounds: 6,
                time: Duration::from_millis(250),
            },
            measured: [(
                "default".to_owned(),
                Measured {
                    calls: 30,
                    time: Duration::from_millis(125),
                },
            )]
            .into(),
            failures: [(
                "default".to_owned(),
                [("trap", 3), ("bad-answer", 1)].into(),
            )]
            .into(),
        },
        imports: Load {
            work: Work {
                rounds: 2,
                time: Duration::from_millis(500),
            },
            measured: [(
                "default".to_owned(),
                Measured {
                    calls: 2,
                    time: Duration::from_millis(25),
                },
            )]
            .into(),
            failures: [("default".to_owned(), [("out-of-time", 1)].into())].into(),
        },
        events: EventCounts {
            told: [("ModuleRefused", 1), ("PolicyFailing", 12)].into(),
            recorded: 11,
            dropped: 2,
        },
        refused: vec![(Refusal::Stranger, 30_000), (Refusal::Paused, 7)],
        log_lines_dropped: 9,
    }
}

#[test]
fn a_scrape_reads_like_this() {
    let text = encode(scrape()).unwrap();
    // Samples of one metric are in no order.
    let mut lines: Vec<&str> = text.lines().collect();
    for samples in lines.chunk_by_mut(|one, next| !one.starts_with('#') && !next.starts_with('#')) {
        samples.sort_unstable();
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_metric_has_one_type_and_help_and_only_counters_end_in_total() {
    let text = encode(scrape()).unwrap();
    let types: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    for (name, kind) in &types {
        assert!(!name.ends_with("_total"), "{name}: the encoder adds it");
        assert_eq!(
            text.matches(&format!("# HELP {name} ")).count(),
            1,
            "{name}"
        );
        assert_eq!(
            text.matches(&format!("# TYPE {name} ")).count(),
            1,
            "{name}"
        );
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let total = samples
            .filter(|line| line.starts_with(&format!("{name}_total")))
            .count();
        assert_eq!(total > 0, *kind == "counter", "{name}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn metrics_that_the_deployment_guide_names_exist() {
    let text = encode(scrape()).unwrap();
    let guide = include_str!("../../../deploy/README.md");
    let words = guide.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named: Vec<&str> = words.filter(|word| word.starts_with("rutter_")).collect();
    assert!(named.len() > 5, "{named:?}");
    for name in named {
        let sample = format!("\n{name}{{");
        assert!(text.contains(&sample), "{name}");
    }
}

#[test]
fn the_deployment_guide_explains_every_kind_of_failure() {
    let guide = include_str!("../../../deploy/README.md");
    for kind in PolicyFailure::KINDS {
        assert!(guide.contains(&format!("| `{kind}` |")), "{kind}");
    }
}
