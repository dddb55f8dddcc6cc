//! Speakers on real loopback sockets. No test sleeps: each waits for a condition with a deadline.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::bgp::SessionState;
use crate::speaker::{PeerConfig, PeerView};
use crate::types::{Asn, ConnectMode, GroupId, Password, RouteAttributes, RouterId};

const DEADLINE: Duration = Duration::from_secs(20);
const MARKER: [u8; 16] = [0xff; 16];
const NOTIFICATION: u8 = 3;
const CEASE: u8 = 6;
const ADMINISTRATIVE_SHUTDOWN: u8 = 2;

fn loopback(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

fn key(text: &str) -> Option<Password> {
    Some(Password::new(text.as_bytes()).unwrap())
}

fn peer(address: IpAddr, port: u16, local: IpAddr, mode: ConnectMode) -> PeerConfig {
    PeerConfig {
        port,
        connect_mode: mode,
        local_address: Some(local),
        ..PeerConfig::new(PeerId(u32::from(port)), address, Asn(64512))
    }
}

fn configuration(id: u8, peers: Vec<PeerConfig>) -> Input {
    let router_id = RouterId::try_from(Ipv4Addr::new(10, 0, 0, id)).unwrap();
    Input::Configure(SpeakerConfig {
        peers,
        ..SpeakerConfig::new(Asn(64512), router_id)
    })
}

/// A speaker that listens on `address`, at a port of its own.
async fn listening(seed: u64, address: IpAddr) -> (SpeakerHandle, u16) {
    let speaker = SpeakerHandle::spawn(seed, None);
    let bound = speaker.listen_on(vec![SocketAddr::new(address, 0)]).await;
    let port = bound.unwrap()[0].port();
    (speaker, port)
}

async fn views(speaker: &SpeakerHandle) -> Vec<PeerView> {
    speaker
        .ask(|speaker| speaker.peers().collect())
        .await
        .unwrap()
}

/// Asks until `is_so`, for at most [`DEADLINE`].
async fn until(speaker: &SpeakerHandle, is_so: impl Fn(&[PeerView]) -> bool) {
    let asking = async {
        while !is_so(&views(speaker).await) {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(DEADLINE, asking).await.is_err() {
        panic!("not so in time: {:#?}", views(speaker).await);
    }
}

fn established(views: &[PeerView]) -> bool {
    views
        .iter()
        .all(|view| view.state == SessionState::Established)
}

/// Joins two speakers, the first passive, with these keys.
async fn join(
    [a, b]: [IpAddr; 2],
    keys: [Option<Password>; 2],
) -> (SpeakerHandle, SpeakerHandle, u16) {
    let (passive, port) = listening(1, a).await;
    let active = SpeakerHandle::spawn(2, None);
    let [ours, theirs] = keys;
    let theirs = PeerConfig {
        password: theirs,
        ..peer(a, port, b, ConnectMode::Active)
    };
    let ours = PeerConfig {
        password: ours,
        ..peer(b, 1, a, ConnectMode::Passive)
    };
    passive.feed(configuration(1, vec![ours])).await.unwrap();
    active.feed(configuration(2, vec![theirs])).await.unwrap();
    (passive, active, port)
}

/// Whether somebody does; whoever dials may be refused.
async fn listens(address: SocketAddr) -> bool {
    match TcpStream::connect(address).await {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

async fn message(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 19];
    let reading = async {
        stream.read_exact(&mut header).await.ok()?;
        assert_eq!(header[..16], MARKER);
        let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
        let mut body = vec![0; length - header.len()];
        stream.read_exact(&mut body).await.ok()?;
        Some((header[18], body))
    };
    tokio::time::timeout(DEADLINE, reading)
        .await
        .expect("a message, or the end of the stream")
}

#[tokio::test]
async fn speakers_peer_over_ipv4_and_exchange_routes() {
    let (passive, active, _) = join([loopback(2), loopback(3)], [None, None]).await;
    until(&passive, established).await;
    until(&active, established).await;
    let prefix = "172.16.0.10/32".parse().unwrap();
    let route = (
        prefix,
        Some(std::sync::Arc::new(RouteAttributes::default())),
    );
    let export = Input::Export {
        group: GroupId(0),
        changes: vec![route],
    };
    active.feed(export).await.unwrap();
    active.feed(Input::ExportsComplete).await.unwrap();
    until(&passive, |views| views[0].prefixes_received == 1).await;
}

#[tokio::test]
async fn speakers_peer_over_ipv6() {
    let localhost = "::1".parse().unwrap();
    let (passive, active, _) = join([localhost, localhost], [None, None]).await;
    until(&passive, established).await;
    until(&active, established).await;
}

#[tokio::test]
async fn equal_md5_keys_join() {
    let keys = [key("secret"), key("secret")];
    let (passive, active, _) = join([loopback(4), loopback(5)], keys).await;
    until(&passive, established).await;
    until(&active, established).await;
}

#[tokio::test]
async fn a_connection_without_the_md5_key_never_opens() {
    let (passive, port) = listening(1, loopback(6)).await;
    let wanted = PeerConfig {
        password: key("secret"),
        ..peer(loopback(7), 1, loopback(6), ConnectMode::Passive)
    };
    passive.feed(configuration(1, vec![wanted])).await.unwrap();
    // Once it answers, it has the configuration.
    views(&passive).await;
    let remote = SocketAddr::new(loopback(6), port);
    for wrong in [None, key("guess")] {
        let dial = sockets::dial(remote, Some(loopback(7)), wrong, None);
        // The kernel drops the SYN, so that this ends by time and not by an answer.
        let outcome = tokio::time::timeout(Duration::from_millis(300), dial).await;
        assert!(outcome.is_err(), "{outcome:?}");
    }
    let dial = sockets::dial(remote, Some(loopback(7)), key("secret"), None);
    tokio::time::timeout(DEADLINE, dial).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_rotated_md5_key_holds_for_live_listeners() {
    let (a, b) = (loopback(8), loopback(9));
    let (passive, active, port) = join([a, b], [key("old"), key("old")]).await;
    until(&passive, established).await;
    let ours = PeerConfig {
        password: key("new"),
        ..peer(b, 1, a, ConnectMode::Passive)
    };
    let theirs = PeerConfig {
        password: key("new"),
        ..peer(a, port, b, ConnectMode::Active)
    };
    active.feed(configuration(2, vec![theirs])).await.unwrap();
    passive.feed(configuration(1, vec![ours])).await.unwrap();
    let again = |views: &[PeerView]| established(views) && views[0].established_count == 1;
    until(&passive, again).await;
    until(&active, again).await;
    let remote = SocketAddr::new(a, port);
    let old = sockets::dial(remote, Some(b), key("old"), None);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), old)
            .await
            .is_err()
    );
}

/// A configuration may bring a key while an unsigned connection waits to be accepted.
#[tokio::test]
async fn an_accepted_connection_is_signed_from_then_on() {
    let (events, _happened) = mpsc::channel(1);
    let mut listeners = Listeners::new(Doors::default(), events);
    let socket = TcpListener::bind((loopback(10), 0)).await.unwrap();
    let remote = socket.local_addr().unwrap();
    let mut unsigned = sockets::dial(remote, Some(loopback(11)), None, None)
        .await
        .unwrap();
    let (mut accepted, from) = socket.accept().await.unwrap();
    listeners.require_keys(BTreeMap::from([(loopback(11), key("secret").unwrap())]));
    listeners.secure(&accepted, from.ip()).unwrap();
    unsigned.write_all(b"OPEN").await.unwrap();
    let mut octets = [0; 4];
    let read = tokio::time::timeout(Duration::from_millis(300), accepted.read(&mut octets)).await;
    assert!(read.is_err(), "unsigned octets were taken: {read:?}");
}

/// Whether four octets get through to the end that was made safe.
async fn gets_through(from: &mut TcpStream, to: &mut TcpStream) -> bool {
    from.write_all(b"OPEN").await.unwrap();
    let mut octets = [0; 4];
    let read = to.read(&mut octets);
    let read = tokio::time::timeout(Duration::from_millis(300), read).await;
    read.is_ok_and(|read| read.is_ok())
}

#[tokio::test]
async fn what_comes_from_farther_than_ttl_security_says_is_not_heard() {
    const NEAR: Option<NonZeroU8> = NonZeroU8::new(1);
    for here in [loopback(31), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let (events, _happened) = mpsc::channel(1);
        let mut listeners = Listeners::new(Doors::default(), events);
        listeners.require_near(BTreeMap::from_iter(NEAR.map(|hops| (here, hops))));
        let socket = TcpListener::bind((here, 0)).await.unwrap();
        let remote = socket.local_addr().unwrap();

        // A plain socket sends with the TTL of everyone, as if from many hops away.
        let mut far = TcpStream::connect(remote).await.unwrap();
        let (mut accepted, _) = socket.accept().await.unwrap();
        listeners.secure(&accepted, here).unwrap();
        assert!(!gets_through(&mut far, &mut accepted).await, "{here}");
        let mut near = sockets::dial(remote, None, None, None).await.unwrap();
        let (mut accepted, _) = socket.accept().await.unwrap();
        listeners.secure(&accepted, here).unwrap();
        assert!(gets_through(&mut near, &mut accepted).await, "{here}");

        // The socket answers with that TTL, too.
        let dial = sockets::dial(remote, None, None, NEAR);
        let dial = tokio::time::timeout(Duration::from_millis(300), dial).await;
        assert!(dial.is_err(), "{here}: {dial:?}");
    }
}

#[tokio::test]
async fn a_listener_answers_so_that_a_peer_takes_it_for_near() {
    let (speaker, port) = listening(1, loopback(32)).await;
    let wanted = peer(loopback(33), 1, loopback(32), ConnectMode::Passive);
    speaker.feed(configuration(1, vec![wanted])).await.unwrap();
    views(&speaker).await;
    let remote = SocketAddr::new(loopback(32), port);
    let dial = sockets::dial(remote, Some(loopback(33)), None, NonZeroU8::new(1));
    tokio::time::timeout(DEADLINE, dial).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stranger_is_refused_without_a_word() {
    let (speaker, port) = listening(1, loopback(12)).await;
    // It may be over before it is known to have begun.
    if let Ok(mut stranger) = TcpStream::connect((loopback(12), port)).await {
        assert_eq!(message(&mut stranger).await, None);
    }
    let refused: u64 = speaker.refused().map(|(_, count)| count).sum();
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn stop_tells_the_peer_why() {
    let (speaker, port) = listening(1, loopback(13)).await;
    let wanted = peer(loopback(14), 1, loopback(13), ConnectMode::Passive);
    speaker.feed(configuration(1, vec![wanted])).await.unwrap();
    let remote = SocketAddr::new(loopback(13), port);
    let mut stream = sockets::dial(remote, Some(loopback(14)), None, None)
        .await
        .unwrap();
    assert!(
        matches!(message(&mut stream).await, Some((1, _))),
        "their OPEN"
    );
    let stopping = tokio::spawn(async move { speaker.stop("maintenance").await });
    let (kind, body) = message(&mut stream).await.unwrap();
    assert_eq!(
        (kind, &body[..2]),
        (NOTIFICATION, &[CEASE, ADMINISTRATIVE_SHUTDOWN][..])
    );
    assert!(body.ends_with(b"maintenance"));
    assert_eq!(message(&mut stream).await, None);
    drop(stream);
    stopping.await.unwrap();
}

/// Nobody answers, and a peer is still being dialled: neither may hold up the end.
#[tokio::test]
async fn stop_waits_for_no_peer_for_ever() {
    let silent = TcpListener::bind((loopback(15), 0)).await.unwrap();
    let speaker = SpeakerHandle::spawn(1, None);
    let port = silent.local_addr().unwrap().port();
    let dialled = peer(loopback(15), port, loopback(16), ConnectMode::Active);
    speaker.feed(configuration(1, vec![dialled])).await.unwrap();
    let (_held, _) = silent.accept().await.unwrap();
    tokio::time::timeout(FAREWELL * 2, speaker.stop("done"))
        .await
        .unwrap();
    speaker.stopped().await;
    assert_eq!(speaker.ask(|_| ()).await, Err(SpeakerStopped));
}

#[tokio::test]
async fn a_closed_connection_whose_peer_never_reads_is_given_up() {
    let socket = TcpListener::bind((loopback(17), 0)).await.unwrap();
    let stream = TcpStream::connect(socket.local_addr().unwrap())
        .await
        .unwrap();
    let (_never_reads, _) = socket.accept().await.unwrap();
    let (events, mut happened) = mpsc::channel(8);
    let connection = Speaker::new(1).allocate_connection();
    let (outbox, _intake) = connection::spawn(connection, stream, events);
    outbox.send(vec![0; 64 * 1024 * 1024]);
    drop(outbox);
    // The channel ends with the last task of the connection.
    let end = async { while happened.recv().await.is_some() {} };
    tokio::time::timeout(DEADLINE, end).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_floods_and_never_reads_does_not_stall_others() {
    let (a, b) = (loopback(18), loopback(19));
    let (passive, port) = listening(1, a).await;
    let flooder = peer(loopback(20), 2, a, ConnectMode::Passive);
    let friend = peer(b, 1, a, ConnectMode::Passive);
    passive
        .feed(configuration(1, vec![flooder, friend]))
        .await
        .unwrap();
    let remote = SocketAddr::new(a, port);
    let mut stream = sockets::dial(remote, Some(loopback(20)), None, None)
        .await
        .unwrap();
    // KEEPALIVEs before any OPEN end the connection; what follows is still thrown at us.
    let flood = tokio::spawn(async move {
        let mut keepalive = MARKER.to_vec();
        keepalive.extend([0, 19, 4]);
        while stream.write_all(&keepalive.repeat(1000)).await.is_ok() {}
    });
    let active = SpeakerHandle::spawn(2, None);
    let theirs = peer(a, port, b, ConnectMode::Active);
    active.feed(configuration(2, vec![theirs])).await.unwrap();
    until(&active, established).await;
    flood.abort();
}

#[tokio::test]
async fn listening_moves_between_the_wildcard_and_an_address() {
    let (speaker, port) = listening(1, loopback(21)).await;
    let one = SocketAddr::new(loopback(21), port);
    let all = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    for wanted in [all, one] {
        assert_eq!(speaker.listen_on(vec![wanted]).await.unwrap(), [wanted]);
        assert!(listens(one).await);
    }
    assert_eq!(speaker.listen_on(vec![]).await.unwrap(), []);
    let refused = TcpStream::connect(one).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn an_address_that_is_taken_leaves_the_listeners_as_they_were() {
    let (speaker, port) = listening(1, loopback(22)).await;
    let mine = SocketAddr::new(loopback(22), port);
    let other = TcpListener::bind((loopback(23), 0)).await.unwrap();
    let taken = other.local_addr().unwrap();
    let error = speaker
        .listen_on(vec![taken])
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(&taken.to_string()), "{error}");
    assert!(error.contains("another program"), "{error}");
    assert!(listens(mine).await);
}
