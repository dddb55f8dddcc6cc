//! What a drained node announces, and settings that are refused.

use rutter_policy::{
    AddressKind, Decision, Label, Node, PeerGroup, PeerKind, RouteAttributes, Verdict, testing,
    validate_settings,
};

use super::GracefulDrain;

const SETTINGS: &str = r#"{
    "shutdown": {
        "labels": {"example.com/drain": "soon"},
        "annotations": {"example.com/maintenance": "*"},
        "cordoned": true
    },
    "withdraw": {"labels": {"example.com/drain": "now"}}
}"#;

const GRACEFUL_SHUTDOWN: u32 = 65535 << 16;

fn peers(kind: PeerKind) -> PeerGroup {
    PeerGroup {
        name: "tor".into(),
        asn: 64512,
        kind,
        labels: Vec::new(),
    }
}

fn decide(settings: &str, node: Node, kind: PeerKind) -> Vec<Decision> {
    testing::batch()
        .settings(settings)
        .node(node)
        .peer_group(peers(kind))
        .pod_cidr("10.1.0.0/24")
        .address(
            "192.0.2.1/32",
            AddressKind::LoadBalancerIp,
            testing::service("shop/web"),
        )
        .decide::<GracefulDrain>()
        .unwrap()
}

fn annotated(key: &str) -> Node {
    Node {
        annotations: vec![Label {
            key: key.into(),
            value: "disk".into(),
        }],
        ..testing::node("worker-1")
    }
}

fn cordoned() -> Node {
    Node {
        unschedulable: true,
        ..testing::node("worker-1")
    }
}

fn labelled(value: &str) -> Node {
    testing::node("worker-1").with_label("example.com/drain", value)
}

#[test]
fn a_node_that_will_go_announces_graceful_shutdown() {
    let shut_down = |local_pref| {
        Verdict::Accept(Some(RouteAttributes {
            communities: vec![GRACEFUL_SHUTDOWN],
            local_pref,
            ..RouteAttributes::default()
        }))
    };
    for (node, sign) in [
        (labelled("soon"), "label example.com/drain"),
        (
            annotated("example.com/maintenance"),
            "annotation example.com/maintenance",
        ),
        (cordoned(), "it is cordoned"),
    ] {
        for (kind, local_pref) in [(PeerKind::Ebgp, None), (PeerKind::Ibgp, Some(0))] {
            for decision in decide(SETTINGS, node.clone(), kind) {
                assert_eq!(decision.verdict, shut_down(local_pref), "{sign} {kind:?}");
                assert_eq!(
                    decision.reason.unwrap(),
                    format!("this node is being drained: {sign}")
                );
            }
        }
    }
}

#[test]
fn withdrawing_outranks_shutting_down() {
    let node = Node {
        unschedulable: true,
        ..labelled("now")
    };
    for decision in decide(SETTINGS, node, PeerKind::Ebgp) {
        assert_eq!(
            decision,
            Decision::reject("this node is drained: label example.com/drain")
        );
    }
}

#[test]
fn other_nodes_and_other_routes_are_left_alone() {
    for node in [
        testing::node("worker-1"),
        labelled("later"),
        annotated("other"),
    ] {
        let decisions = decide(SETTINGS, node, PeerKind::Ebgp);
        assert_eq!(decisions, [Decision::abstain(), Decision::abstain()]);
    }
    let services = r#"{"match": {"routes": ["load-balancer-ip"]}, "withdraw": {"cordoned": true}}"#;
    let decisions = decide(services, cordoned(), PeerKind::Ebgp);
    assert_eq!(decisions[0], Decision::abstain());
    assert_eq!(decisions[1].verdict, Verdict::Reject);
}

#[test]
fn a_cordoned_node_counts_only_where_the_setting_says_so() {
    let settings = r#"{"withdraw": {"labels": {"gone": "*"}}}"#;
    let decisions = decide(settings, cordoned(), PeerKind::Ebgp);
    assert_eq!(decisions, [Decision::abstain(), Decision::abstain()]);
}

#[test]
fn wrong_settings_are_refused_by_key() {
    let empty = "neither shutdown nor withdraw names labels, annotations or cordoned: no node \
                 would count as drained";
    for (settings, error) in [
        ("{}", empty),
        (r#"{"shutdown": {"cordoned": false}}"#, empty),
        (
            r#"{"shutdown": {"label": {}}}"#,
            "shutdown: unknown field `label`, expected one of `labels`, `annotations`, `cordoned`",
        ),
        (
            r#"{"withdraw": {"cordoned": "yes"}}"#,
            "withdraw.cordoned: invalid type: string \"yes\", expected a boolean",
        ),
    ] {
        assert_eq!(
            validate_settings::<GracefulDrain>(settings),
            Err(error.into())
        );
    }
}
