//! What the RIBs cost: seconds and octets of memory a route, in each step of a route's way.
//!
//! `cargo bench --bench rib --no-default-features` (the core alone; nothing else is compiled).
//! `RUTTER_BENCH_ROUTES` gives the number of routes (500,000), `RUTTER_BENCH_CLIENTS` that of the
//! peers of the last step (100).

// The figures are its purpose.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench")]
#![expect(clippy::unwrap_used, reason = "no library")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rutter::bgp::wire::{
    AsPath, AsWidth, CodecContext, Message, NextHop, Open, PathAttributes, Peering, Reach, decode,
    encode_updates,
};
use rutter::rib::{
    AttributePool, AttributeSet, LocRib, Multipath, Neighbor, Path, Resolvability, Source,
};
use rutter::speaker::{ConnectionId, Input, Output, PeerConfig, Speaker, SpeakerConfig};
use rutter::types::{Asn, ConnectMode, GroupId, PeerId, Prefix, RouteAttributes, RouterId};

#[path = "rib/counting.rs"]
mod counting;
#[path = "rib/far_end.rs"]
mod far_end;

use far_end::FarEnd;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const OWN_AS: Asn = Asn(64512);

fn main() {
    // As `cargo test` runs it: does it still work?
    let measures = std::env::args().any(|argument| argument == "--bench");
    let (routes, clients) = if measures { (500_000, 100) } else { (1_000, 4) };
    let routes = number("RUTTER_BENCH_ROUTES", routes);
    let clients = number("RUTTER_BENCH_CLIENTS", clients);
    for share in [1, 10, 100] {
        decoding(routes, share);
        taking_in(routes, share);
    }
    deciding(routes.min(100_000));
    for peers in [1, clients] {
        announcing("own /32, one attribute set", 2 * routes / peers, peers);
    }
    for peers in [1, clients] {
        announcing("own /32, one attribute set", 50_000.min(routes), peers);
    }
}

fn number(variable: &str, otherwise: u32) -> u32 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().unwrap())
}

/// Prints a line: what was done, to how many, and what one of them took.
fn measured(what: &str, count: u32, time: Duration, octets: usize) {
    let each = time.as_secs_f64() * 1e9 / f64::from(count);
    println!(
        "{what:<58} {count:>9}  {:>7.3} s {each:>7.0} ns each {:>6.1} octets each {:>7.1} MB",
        time.as_secs_f64(),
        octets as f64 / f64::from(count),
        octets as f64 / 1e6,
    );
}

fn context() -> CodecContext {
    CodecContext {
        as_width: AsWidth::FourOctets,
        peering: Peering::External,
        first_as: Some(Asn(65000)),
    }
}

/// The /24 of a number.
fn network(number: u32) -> Prefix {
    let address = Ipv4Addr::from(0x1000_0000 + (number << 8));
    format!("{address}/24").parse().unwrap()
}

/// Messages that announce routes, so many to an attribute set.
fn updates(routes: u32, share: u32) -> Vec<u8> {
    let mut octets = Vec::new();
    for set in 0..routes.div_ceil(share) {
        let path = PathAttributes {
            as_path: AsPath::sequence(&[Asn(65000), Asn(100_000 + set)]),
            med: Some(set),
            ..PathAttributes::default()
        };
        let reach = Reach {
            next_hop: NextHop {
                address: Ipv4Addr::new(10, 0, 0, 2).into(),
                link_local: None,
            },
            prefixes: (set * share..routes.min((set + 1) * share))
                .map(network)
                .collect(),
        };
        encode_updates(&[], Some((&path, &[reach])), context(), &mut octets).unwrap();
    }
    octets
}

fn decoding(routes: u32, share: u32) {
    let octets = updates(routes, share);
    let (mut rest, mut prefixes) = (&octets[..], 0);
    let start = Instant::now();
    while let Some((message, taken)) = decode(rest, context()).unwrap() {
        let Message::Update(update) = message else {
            panic!("not an UPDATE")
        };
        prefixes += update.announced().count();
        rest = &rest[taken..];
    }
    assert_eq!(prefixes, routes as usize);
    let what = format!("decode, {share} to a set");
    measured(&what, routes, start.elapsed(), 0);
}

/// From octets to the Loc-RIB, and out again as the session ends.
fn taking_in(routes: u32, share: u32) {
    let octets = updates(routes, share);
    let now = Instant::now();
    let mut speaker = Speaker::new(1);
    let source = FarEnd::new(0, Asn(65000));
    speaker.handle_input(now, configuration(&[&source]));
    source.establish(&mut speaker, now);
    let (before, start) = (counting::held(), Instant::now());
    for piece in octets.chunks(64 * 1024) {
        source.send(&mut speaker, now, piece.to_vec());
        while speaker.poll_output().is_some() {}
    }
    let time = start.elapsed();
    assert_eq!(speaker.loc_rib().iter().count(), routes as usize);
    let held = counting::held() - before;
    measured(&format!("take in, {share} to a set"), routes, time, held);
    let start = Instant::now();
    let connection = source.connection();
    let error = None;
    speaker.handle_input(now, Input::Closed { connection, error });
    while speaker.poll_output().is_some() {}
    assert!(speaker.loc_rib().is_empty());
    let what = format!("lose the session, {share} to a set");
    measured(&what, routes, start.elapsed(), 0);
}

/// Two paths to each prefix, the second the better one.
fn deciding(routes: u32) {
    let mut pool = AttributePool::default();
    let mut loc_rib = LocRib::new(Multipath::AnyNeighborAs);
    let (before, mut time) = (counting::held(), Duration::ZERO);
    for peer in 1..=2u8 {
        let address = Ipv4Addr::new(10, 0, 0, peer);
        let path = Path {
            source: Source::Peer(Arc::new(Neighbor {
                id: PeerId(peer.into()),
                asn: OWN_AS,
                peering: Peering::Internal,
                router_id: RouterId::try_from(address).unwrap(),
                address: address.into(),
            })),
            attributes: pool.intern(AttributeSet {
                next_hop: NextHop {
                    address: address.into(),
                    link_local: None,
                },
                path: PathAttributes {
                    local_pref: Some(peer.into()),
                    ..PathAttributes::default()
                },
            }),
        };
        let start = Instant::now();
        for number in 0..routes {
            loc_rib.insert(network(number), path.clone(), Resolvability::Resolvable);
        }
        time = start.elapsed();
    }
    let held = counting::held() - before;
    measured("decide between two paths", routes, time, held);
}

/// Own routes to peers that take whatever comes, and all of them withdrawn.
fn announcing(what: &str, routes: u32, peers: u32) {
    let now = Instant::now();
    let mut speaker = Speaker::new(1);
    let ends: Vec<FarEnd> = (0..peers).map(|peer| FarEnd::new(peer, OWN_AS)).collect();
    speaker.handle_input(now, configuration(&ends.iter().collect::<Vec<_>>()));
    for end in &ends {
        end.establish(&mut speaker, now);
    }
    speaker.handle_input(now, Input::ExportsComplete);
    deliver(&mut speaker, now);
    let route = Arc::new(RouteAttributes::default());
    let host = |number: u32| Prefix::host(Ipv4Addr::from(0x6440_0000 + number).into());
    for (verb, wanted) in [("announce", Some(route)), ("withdraw", None)] {
        let changes: Vec<_> = (0..routes)
            .map(|number| (host(number), wanted.clone()))
            .collect();
        let group = GroupId(0);
        let before = counting::held();
        let (start, allocated) = (Instant::now(), counting::allocations());
        speaker.handle_input(now, Input::Export { group, changes });
        let octets = deliver(&mut speaker, now);
        let time = start.elapsed();
        let allocated = counting::allocations() - allocated;
        let held = counting::held().saturating_sub(before);
        assert!(octets > routes as usize * peers as usize * 5 / 2);
        let what = format!("{verb} {what}, to {peers} peers");
        measured(&what, routes, time, held);
        println!("{:<58} {allocated:>9}  allocations", "");
    }
}

/// Every peer's kernel takes everything; the octets of all of them.
fn deliver(speaker: &mut Speaker, now: Instant) -> usize {
    let mut taken = 0;
    loop {
        let mut sent: Vec<(ConnectionId, usize)> = Vec::new();
        while let Some(output) = speaker.poll_output() {
            if let Output::Transmit { connection, octets } = output {
                sent.push((connection, octets.len()));
            }
        }
        if sent.is_empty() {
            return taken;
        }
        for (connection, octets) in sent {
            taken += octets;
            speaker.handle_input(now, Input::Transmitted { connection, octets });
        }
    }
}

fn configuration(ends: &[&FarEnd]) -> Input {
    let own = RouterId::try_from(Ipv4Addr::new(10, 0, 0, 1)).unwrap();
    Input::Configure(SpeakerConfig {
        peers: ends.iter().map(|end| end.config()).collect(),
        ..SpeakerConfig::new(OWN_AS, own)
    })
}
