//! Learned routes: what is left out, whom they come from, what cannot be.

use super::*;
use crate::policy::{LearnedFrom, LearnedPath, PathOrigin, PathSegment, SegmentKind};
use crate::types::{Installation, RouterId};

const PEERS: &str = r#"
[[peer-groups]]
name = "tors"
asn = 64600
labels = { site = "a" }
[[peer-groups]]
name = "reflectors"
asn = 64512
[[peers]]
name = "tor-a"
address = "192.0.2.7"
[[peers]]
name = "reflector"
address = "2001:db8::7"
peer-group = "reflectors"
"#;

fn scenes(text: &str) -> Vec<LearnedScene> {
    parse(text).learned
}

fn sequence(asns: &[u32]) -> PathSegment {
    PathSegment {
        kind: SegmentKind::Sequence,
        asns: asns.iter().map(|asn| Asn(*asn)).collect(),
    }
}

#[test]
fn what_a_route_leaves_out_is_as_its_peer_would_send_it() {
    let routes = r#"
        [[learned]]
        prefix = "10.0.0.0/8"
        [[learned]]
        prefix = "2001:db8:1::/48"
        [[learned]]
        peer = "reflector"
        prefix = "2001:db8:1::/48"
    "#;
    let scenes = scenes(&format!("{PEERS}{routes}"));
    let [external, internal] = scenes.as_slice() else {
        panic!("{scenes:?}");
    };
    assert_eq!(external.name, "learned from tor-a");
    assert_eq!(external.peer_group.name, "tors");
    assert_eq!(external.peer_group.kind, PeerKind::Ebgp);
    assert_eq!(
        external.peer,
        LearnedFrom {
            name: "tor-a".to_owned(),
            address: "192.0.2.7".parse().unwrap(),
            router_id: RouterId::try_from("192.0.2.7".parse::<std::net::Ipv4Addr>().unwrap())
                .unwrap(),
        }
    );
    let [ipv4, ipv6] = external.routes.as_slice() else {
        panic!("{:?}", external.routes);
    };
    assert_eq!(
        *ipv4.path,
        LearnedPath {
            origin: PathOrigin::Igp,
            as_path: vec![sequence(&[64600])],
        }
    );
    assert_eq!(ipv4.attributes.next_hop, "192.0.2.7".parse().ok());
    assert_eq!(ipv6.attributes.next_hop, None);
    assert_eq!(internal.peer_group.kind, PeerKind::Ibgp);
    assert_eq!(internal.routes[0].path.as_path, []);
    let own = internal.routes[0].attributes.next_hop;
    assert_eq!(own, "2001:db8::7".parse().ok());
}

#[test]
fn a_file_with_learned_routes_alone_asks_about_nothing_else() {
    let file = parse("[[learned]]\nprefix = '10.0.0.0/8'");
    assert!(file.scenes.is_empty());
    assert_eq!(file.learned[0].peer.name, "peer");
    let both = parse("[node]\npod-cidrs = ['10.1.0.0/24']\n[[learned]]\nprefix = '10.0.0.0/8'");
    let names: Vec<_> = both
        .questions()
        .iter()
        .map(|q| q.name().to_owned())
        .collect();
    assert_eq!(names, ["towards peer", "learned from peer"]);
}

#[test]
fn a_case_says_only_what_differs_of_a_learned_route() {
    let file = parse(
        r#"
        [[learned]]
        prefix = "10.0.0.0/8"
        as-path = "64513 64514 {64520,64521}"
        med = 5
        [[cases]]
        name = "a"
        learned = [{ prefix = "10.0.0.0/8", med = 6 }, { prefix = "10.1.0.0/16", origin = "incomplete" }]
        [[cases.expect]]
        prefix = "10.0.0.0/8"
        verdict = "accept"
        attributes = { med = 7 }
        installation = "keep"
        "#,
    );
    let [scene] = file.learned.as_slice() else {
        panic!("{:?}", file.learned);
    };
    let [changed, new] = scene.routes.as_slice() else {
        panic!("{:?}", scene.routes);
    };
    assert_eq!(changed.attributes.med, Some(6));
    let set = PathSegment {
        kind: SegmentKind::Set,
        asns: vec![Asn(64520), Asn(64521)],
    };
    assert_eq!(changed.path.as_path, [sequence(&[64513, 64514]), set]);
    assert_eq!(new.path.origin, PathOrigin::Incomplete);
    let Check::Decisions(expected) = &scene.check else {
        panic!("{:?}", scene.check);
    };
    assert_eq!(expected[0].installation, Some(Installation::Keep));
    // The next hop that nobody names is the one received.
    assert_eq!(expected[0].attributes.next_hop, changed.attributes.next_hop);
    assert_eq!(expected[0].attributes.med, Some(7));
}

#[test]
fn a_case_may_ask_about_routes_of_either_kind() {
    let file = parse(
        r#"
        [[services]]
        name = "a/b"
        [[learned]]
        prefix = "10.0.0.0/8"
        [[cases]]
        name = "learned"
        peer = "peer"
        [[cases]]
        name = "announced"
        peer-group = "peer"
        "#,
    );
    let names: Vec<_> = file
        .questions()
        .iter()
        .map(|q| q.name().to_owned())
        .collect();
    assert_eq!(names, ["learned", "announced"]);
    assert_eq!((file.learned.len(), file.scenes.len()), (1, 1));
}

#[test]
fn the_words_for_learned_routes_that_make_no_sense() {
    let route = |route: &str| format!("[[learned]]\nprefix = '10.0.0.0/8'\n{route}");
    let case =
        |case: &str| format!("[[learned]]\nprefix = '10.0.0.0/8'\n[[cases]]\nname = 'a'\n{case}");
    let texts = [
        route("colour = 1"),
        route("as-path = '64513 {64514'"),
        route("as-path = '64513 {}'"),
        route("origin = 'static'"),
        route("prepend = 2"),
        route("as-path = '64513 64512'"),
        route("as-path = '64513 0'"),
        route("next-hop = '2001:db8::1'"),
        route("next-hop = '224.0.0.1'"),
        route("local-pref = 5"),
        route("peer = 'tor'"),
        "[[peers]]\nname = 'a'\nrouter-id = '0.0.0.0'".to_owned(),
        "[[peers]]\nname = 'a'\n[[peers]]\nname = 'a'".to_owned(),
        "[[peers]]\nname = 'a'\npeer-group = 'b'".to_owned(),
        format!("{}\n{}", route(""), route("")),
        case("peer = 'tor'"),
        case("peer-group = 'peer'\npeer = 'peer'"),
        case("learned = [{ prefix = '10.1.0.0/16', as-path = '64512' }]"),
        case("expect = [{ prefix = '10.1.0.0/16', verdict = 'accept' }]"),
        case("expect = [{ prefix = '10.0.0.0/8', route = 'pod-cidr', verdict = 'accept' }]"),
        case("expect = [{ prefix = '10.0.0.0/8', verdict = 'reject', installation = 'keep' }]"),
        case("expect = [{ prefix = '10.0.0.0/8', verdict = 'accept', installation = 'maybe' }]"),
        format!("[[services]]\nname = 'a/b'\n{}", case("")),
        "[node]\npod-cidrs = ['10.1.0.0/24']\n[[cases]]\nname = 'a'\nexpect = [{ prefix = \
         '10.1.0.0/24', verdict = 'accept', installation = 'keep' }]"
            .to_owned(),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    insta::assert_snapshot!(catalogue(&texts));
}
