//! The text of `rutter status`, and which documents count as degraded.

use insta::assert_snapshot;

use super::super::testing::{self, NOON, now, peer, policy, printed, without_session};
use super::*;
use crate::api::{
    FaultCount, HeldRoute, KernelStatus, LastFault, NotificationCount, PeerFaults, RouterIdOrigin,
    ServiceRoutes, SessionEnd, SessionRecord, ShadowCounts, Withheld,
};
use crate::candidates::{AddressKind, Concern, Holder};
use crate::facts::ServiceKey;
use crate::types::PeerType;

fn text(status: &Status) -> String {
    printed(|out| print(status, now(), out))
}

#[test]
fn established_peers_are_listed_as_calicoctl_lists_them() {
    let mut status = testing::status();
    status.peers = vec![
        peer("tor", "192.168.83.1"),
        PeerStatus {
            since: NOON - 90_000,
            ..peer("rr", "192.168.83.54")
        },
        peer("tor6", "fd00:83::1"),
    ];
    assert_eq!(outcome(&status), Outcome::Done);
    assert_snapshot!(text(&status));
}

/// What calicoctl printed of such peers.
const CALICOCTLS: &str = "\
+---------------+-------------------+-------+------------+-------------+
| PEER ADDRESS  | PEER TYPE         | STATE | SINCE      | INFO        |
+---------------+-------------------+-------+------------+-------------+
| 192.168.83.1  | global            | up    | 06:38:55   | Established |
| 192.168.83.54 | node specific     | up    | 06:38:55   | Established |
| 192.168.83.22 | node-to-node mesh | start | 2026-03-04 | Active      |
+---------------+-------------------+-------+------------+-------------+
";

#[test]
fn the_first_columns_are_calicoctls() {
    let mut status = testing::status();
    let typed = |address: &str, kind: PeerType| PeerStatus {
        peer_type: kind.words().to_owned(),
        ..peer(address, address)
    };
    status.peers = vec![
        typed("192.168.83.1", PeerType::GlobalPeer),
        typed("192.168.83.54", PeerType::NodePeer),
        PeerStatus {
            since: NOON - 90_000,
            ..without_session(typed("192.168.83.22", PeerType::NodeMesh), "Active", None)
        },
    ];
    let text = text(&status);
    let (_, table) = text.split_once("IPv4 BGP status\n").unwrap();
    let mut shown = String::new();
    for line in table.lines().take_while(|line| !line.is_empty()) {
        let (end, _) = line.match_indices(['+', '|']).nth(5).unwrap();
        shown += &format!("{}\n", &line[..=end]);
    }
    assert_eq!(shown, CALICOCTLS);
}

#[test]
fn an_agent_without_peers_says_so_for_each_family() {
    let status = testing::status();
    assert_eq!(outcome(&status), Outcome::Done);
    assert_snapshot!(text(&status));
}

#[test]
fn a_peer_without_a_session_shows_its_state_and_last_error() {
    let mut status = testing::status();
    status.peers = vec![
        without_session(
            peer("tor", "192.168.83.1"),
            "Active",
            Some("connection refused"),
        ),
        without_session(peer("rr", "192.168.83.54"), "OpenSent", None),
        PeerStatus {
            port: 1790,
            ..without_session(peer("tor6", "fd00:83::1"), "Idle", Some("wrong AS 64999"))
        },
    ];
    assert_eq!(outcome(&status), Outcome::Degraded);
    assert_snapshot!(text(&status));
}

#[test]
fn what_a_peer_sent_wrong_is_told_with_the_last_of_it() {
    let mut status = testing::status();
    let count = |attribute: &str, action: &str, count| FaultCount {
        attribute: attribute.to_owned(),
        action: action.to_owned(),
        count,
    };
    let faults = PeerFaults {
        counts: vec![
            count("AS_PATH", "treat-as-withdraw", 12),
            count("NLRI", "ignore", 1),
        ],
        last: Some(LastFault {
            at: NOON - 60,
            faults: "AS_PATH: attribute 2 ends inside a segment: treated as withdraw".to_owned(),
            prefixes: vec!["203.0.113.0/24".parse().unwrap()],
            more: 3,
        }),
    };
    status.peers = vec![
        peer("rr", "192.168.83.54"),
        PeerStatus {
            faults,
            ..peer("tor", "192.168.83.1")
        },
    ];
    // The session and every other route of it are well.
    assert_eq!(outcome(&status), Outcome::Done);
    assert_snapshot!(text(&status));
}

#[test]
fn what_became_of_sessions_is_told_where_there_is_something_to_tell() {
    let count = |code: &str, subcode: &str, count| NotificationCount {
        code: code.to_owned(),
        subcode: subcode.to_owned(),
        count,
    };
    let end = |reason: &str| SessionEnd {
        at: NOON - 60,
        reason: reason.to_owned(),
    };
    let mut status = testing::status();
    let malformed = "peer sent a malformed message: attribute 64";
    status.peers = vec![
        peer("quiet", "192.168.83.2"),
        PeerStatus {
            record: SessionRecord {
                resets: 6,
                last_end: Some(end(malformed)),
                ends_in_a_row: 6,
                paused_until: Some(NOON + 30),
                notifications_sent: vec![
                    count("Cease", "Connection Collision Resolution", 1),
                    count("UPDATE Message Error", "Malformed Attribute List", 6),
                ],
                notifications_received: vec![count("Cease", "Administrative Reset", 2)],
                families_missing: Vec::new(),
                stale: None,
                awaited: false,
            },
            ..without_session(peer("tor", "192.168.83.1"), "Idle", Some(malformed))
        },
        PeerStatus {
            record: SessionRecord {
                resets: 1,
                last_end: Some(end("peer closed the connection")),
                families_missing: vec![Family::Ipv6Unicast],
                ..SessionRecord::default()
            },
            ..peer("rr", "192.168.83.54")
        },
    ];
    assert_snapshot!(text(&status));
}

#[test]
fn what_fails_is_named_with_its_error() {
    let mut status = testing::status();
    status.router_id = None;
    status.readiness = Readiness::Waiting {
        waiting_for: "the list of Services".to_owned(),
    };
    status.source.error = Some("services is forbidden: User cannot list resource".to_owned());
    status.config.error = Some(
        "rutter.toml:7:1: bgp.asm is not a key\nrutter.toml:9:8: peers[0].asn is 0".to_owned(),
    );
    status.config.warnings = vec!["compiled code is not kept in /var/cache: read-only".to_owned()];
    status.policies = vec![
        PolicyStatus {
            error: Some("the module trapped: unreachable\n  0: rule::decide\n".to_owned()),
            failures: 3,
            retry_in: Some(8),
            ..policy("teams", "/etc/rutter/teams.wasm")
        },
        PolicyStatus {
            failures: 1,
            ..policy("default", "builtin:default")
        },
    ];
    assert_snapshot!(text(&status));
}

#[test]
fn modules_are_told_by_their_digests_and_refused_versions_by_their_reasons() {
    let mut status = testing::status();
    let digest = |digit: &str| Some(format!("sha256:{}", digit.repeat(64)));
    status.policies = vec![
        PolicyStatus {
            digest: digest("1"),
            loaded_at: Some(NOON - 60),
            refused: Some(
                "policies.module /etc/policies/teams.wasm: module `teams` is not WebAssembly"
                    .to_owned(),
            ),
            ..policy("teams", "/etc/policies/teams.wasm")
        },
        PolicyStatus {
            digest: digest("2"),
            loaded_at: Some(NOON - 90_000),
            error: Some("the module trapped: unreachable".to_owned()),
            failures: 1,
            ..policy("default", "builtin:default")
        },
    ];
    assert_snapshot!(text(&status));
}

#[test]
fn what_stands_in_since_the_start_is_told() {
    let mut status = testing::status();
    let missing = "policies.module /a.wasm: cannot read the module /a.wasm";
    let closed = format!("{missing}; nothing is announced to peer group tors");
    status.readiness = Readiness::Closed {
        reason: closed.clone(),
    };
    status.policies = vec![
        PolicyStatus {
            stand_in: Some(StandIn::Closed),
            error: Some(closed),
            ..policy("tenants", "/a.wasm")
        },
        PolicyStatus {
            stand_in: Some(StandIn::Last),
            digest: Some("sha256:0123".to_owned()),
            loaded_at: Some(NOON - 60),
            refused: Some(missing.to_owned()),
            ..policy("ports", "/a.wasm")
        },
    ];
    assert_eq!(outcome(&status), Outcome::Degraded);
    assert_snapshot!(text(&status));
}

#[test]
fn a_change_that_is_held_back_is_shown_with_what_it_would_do() {
    let mut status = testing::status();
    status.held = Some(testing::held());
    assert_snapshot!(text(&status));
}

#[test]
fn a_change_that_is_held_back_shows_the_learned_routes_that_it_would_reject() {
    let mut held = testing::held();
    held.effect.learned = testing::rejected_learned();
    let mut status = testing::status();
    status.held = Some(held);
    let text = text(&status);
    let (_, shown) = text.split_once("tor: teams accept: team a\n").unwrap();
    assert_snapshot!(shown);
}

#[test]
fn a_policy_in_shadow_mode_tells_what_it_would_change_and_is_no_trouble() {
    let counts = |group: &str, waiting| ShadowCounts {
        group: group.to_owned(),
        peer: None,
        compared: 120,
        waiting,
        withdrawn: 1,
        changed: 2,
        added: 3,
    };
    let shadow = PolicyStatus {
        mode: Mode::Shadow,
        ..policy("next", "/etc/rutter/next.wasm")
    };
    let mut status = testing::status();
    status.policies.extend([
        PolicyStatus {
            shadow: Some(vec![counts("tors", 0), counts("upstream", 0)]),
            ..shadow.clone()
        },
        PolicyStatus {
            error: Some("the module did not load: no such file".to_owned()),
            failures: 3,
            retry_in: Some(4),
            shadow: Some(vec![counts("tors", 7)]),
            ..shadow.clone()
        },
        shadow.clone(),
    ]);
    status.import_policies.push(PolicyStatus {
        shadow: Some(vec![ShadowCounts {
            peer: Some("tor-a".to_owned()),
            ..counts("tors", 0)
        }]),
        ..shadow
    });
    assert_eq!(outcome(&status), Outcome::Done);
    assert_snapshot!(text(&status));
}

#[test]
fn routes_that_a_policy_fails_on_are_named_and_the_others_counted() {
    let mut status = testing::status();
    status.policies[0].held = 12;
    status.policies[0].held_routes = vec![
        HeldRoute {
            prefix: "172.16.0.10/32".parse().unwrap(),
            service: Some(ServiceKey::new("shop", "web")),
            peers: "tors".to_owned(),
            error: "the module trapped: unreachable".to_owned(),
            retry_in: 8,
        },
        HeldRoute {
            prefix: "10.244.1.0/24".parse().unwrap(),
            service: None,
            peers: "tors".to_owned(),
            error: "the module wanted more than 9 bytes of memory".to_owned(),
            retry_in: 0,
        },
    ];
    let text = text(&status);
    let at = text.find("FAILING").unwrap();
    let lines: Vec<&str> = text[at..].lines().take(4).map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "FAILING on 12 routes, last decisions kept:",
            "172.16.0.10/32 of shop/web (tors), retry in 8 s: the module trapped: unreachable",
            "10.244.1.0/24 (tors), retry in 0 s: the module wanted more than 9 bytes of memory",
            "and 10 more",
        ]
    );
}

#[test]
fn each_kind_of_trouble_alone_is_degraded() {
    let troubles: [fn(&mut Status); 11] = [
        |status| status.policies[0].held = 1,
        |status| {
            status.readiness = Readiness::Waiting {
                waiting_for: "its Node".to_owned(),
            };
        },
        |status| {
            status.readiness = Readiness::Closed {
                reason: "no module; nothing is announced".to_owned(),
            };
        },
        |status| status.source.error = Some("gone".to_owned()),
        |status| status.config.error = Some("refused".to_owned()),
        |status| status.policies[0].error = Some("trapped".to_owned()),
        |status| status.policies[0].refused = Some("cannot read".to_owned()),
        |status| status.held = Some(testing::held()),
        |status| {
            status.kernel = Some(KernelStatus {
                error: Some("Operation not permitted".to_owned()),
                ..testing::kernel()
            });
        },
        |status| {
            status.kernel = Some(KernelStatus {
                refused: 1,
                ..testing::kernel()
            });
        },
        |status| {
            let peer = peer("tor", "192.168.83.1");
            status.peers = vec![without_session(peer, "OpenConfirm", None)];
        },
    ];
    for (index, trouble) in troubles.into_iter().enumerate() {
        let mut status = testing::status();
        trouble(&mut status);
        assert_eq!(outcome(&status), Outcome::Degraded, "trouble {index}");
    }
}

#[test]
fn learned_routes_in_the_kernel_are_told_with_what_keeps_others_out() {
    let printed_kernel = |kernel: KernelStatus| {
        let status = Status {
            kernel: Some(kernel),
            ..testing::status()
        };
        let text = text(&status);
        let at = text.find("Kernel:").unwrap();
        text[at..].to_owned()
    };
    let words = [
        testing::kernel(),
        KernelStatus {
            waits_for_facts: true,
            blackholes: 2,
            leftovers: 12,
            ..testing::kernel()
        },
        KernelStatus {
            unfit: 2,
            refused: 3,
            refusal: Some("10.6.0.0/16: File exists".to_owned()),
            failures: 9,
            ..testing::kernel()
        },
        KernelStatus {
            installs: false,
            routes: 1,
            error: Some("Operation not permitted: give it CAP_NET_ADMIN".to_owned()),
            ..testing::kernel()
        },
    ];
    insta::assert_snapshot!(words.map(printed_kernel).join("\n"));
}

#[test]
fn what_must_not_be_in_the_kernel_is_not_degraded() {
    let mut status = testing::status();
    status.kernel = Some(KernelStatus {
        unfit: 7,
        leftovers: 2,
        waits_for_facts: true,
        ..testing::kernel()
    });
    assert_eq!(outcome(&status), Outcome::Done);
}

#[test]
fn an_annotation_that_is_not_followed_is_told_with_what_is() {
    let mut status = testing::status();
    status.router_id_origin = Some(RouterIdOrigin::NodeName);
    status.router_id_problem = Some("the Node's annotation is \"x\"".to_owned());
    let text = text(&status);
    let told = "Router ID: 192.168.83.36 (made of the Node's name)\n           \
                warning: the Node's annotation is \"x\"\n";
    assert!(text.contains(told), "{text}");
    // As an agent that does not tell it.
    status.router_id_origin = None;
    assert!(self::text(&status).contains("Router ID: 192.168.83.36\n"));
}

#[test]
fn a_warning_alone_is_not_degraded() {
    let mut status = testing::status();
    status.router_id_problem = Some("the annotation".to_owned());
    status.config.warnings = vec!["compiled code is not kept".to_owned()];
    assert_eq!(outcome(&status), Outcome::Done);
}

#[test]
fn the_words_for_states_are_calicoctls() {
    for (state_of_fsm, word) in [
        ("Idle", "down"),
        ("Connect", "start"),
        ("Active", "start"),
        ("OpenSent", "start"),
        ("OpenConfirm", "start"),
        ("Established", "up"),
        ("SomethingNew", "down"),
    ] {
        let peer = without_session(peer("tor", "192.168.83.1"), state_of_fsm, None);
        assert_eq!(state(&peer), word, "{state_of_fsm}");
    }
}

#[test]
fn words_of_a_peer_cannot_break_the_table() {
    let mut status = testing::status();
    let hostile = "shutdown: \u{1b}[2J bye\n| 10.0.0.1 | up |";
    status.peers = vec![without_session(
        peer("tor", "192.168.83.1"),
        "Idle",
        Some(hostile),
    )];
    let text = text(&status);
    assert!(
        text.contains("Idle: shutdown: \\u{1b}[2J bye | 10.0.0.1 | up |"),
        "{text}"
    );
}

#[test]
fn what_is_the_matter_with_services_is_told_and_degrades_nothing() {
    let refused = Concern::AddressRefused {
        service: ServiceKey::new("shop", "web"),
        address: "10.1.0.2".parse().unwrap(),
        kind: AddressKind::ExternalIp,
        holder: Holder::Node("b".to_owned()),
    };
    let status = Status {
        service_routes: ServiceRoutes {
            candidates: 12,
            offered: 0,
            withheld: Some(Withheld::ExcludeLabel),
            concerns: [("address-refused".to_owned(), 3)].into(),
            examples: vec![refused],
        },
        ..testing::status()
    };
    let text = printed(|out| print(&status, now(), out));
    for line in [
        "Services:  0 of 12 routes offered",
        "warning: none is offered: the node is labelled \
         node.kubernetes.io/exclude-from-external-load-balancers",
        "warning: external IP 10.1.0.2 of shop/web is not announced: the address is node b's, and \
         no Service may take it",
        "and 2 more warnings",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    assert_eq!(outcome(&status), Outcome::Done);
}
