//! With a kernel that answers, and with one that cannot be asked. No test sleeps: each waits for a
//! condition with a deadline.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::*;
use crate::speaker::{PeerConfig, SpeakerConfig};
use crate::types::{Asn, ConnectMode, GroupId, PeerId, Prefix, RouteAttributes, RouterId};

const DEADLINE: Duration = Duration::from_secs(20);
const ROUTE: &str = "100.64.0.0/16";
/// For documentation: whether there is a way there, differs from machine to machine.
const NEXT_HOP: &str = "192.0.2.9";

fn denied(_: Ours) -> io::Result<Kernel> {
    Err(io::ErrorKind::PermissionDenied.into())
}

fn kernel(ours: Ours) -> io::Result<Kernel> {
    Kernel::open(ours, Interest::NextHops)
}

fn configuration(id: u8, address: IpAddr, port: u16, local: IpAddr) -> Input {
    let router_id = RouterId::try_from(Ipv4Addr::new(10, 0, 0, id)).unwrap();
    Input::Configure(SpeakerConfig {
        peers: vec![PeerConfig {
            port,
            connect_mode: match port {
                1 => ConnectMode::Passive,
                _ => ConnectMode::Active,
            },
            local_address: Some(local),
            ..PeerConfig::new(PeerId(1), address, Asn(64512))
        }],
        ..SpeakerConfig::new(Asn(64512), router_id)
    })
}

/// A speaker whose peer announces a route by the next hop, and a task for it.
async fn learner(
    number: u8,
    open: fn(Ours) -> io::Result<Kernel>,
) -> (Task, SpeakerHandle, SpeakerHandle) {
    let [ours, theirs] = [[127, 0, 57, number], [127, 0, 58, number]].map(IpAddr::from);
    let speaker = SpeakerHandle::spawn(1, None);
    let mut task = Task::new(None, speaker.clone(), open);
    task.turn().await.unwrap();
    let bound = speaker.listen_on(vec![SocketAddr::new(ours, 0)]).await;
    let port = bound.unwrap()[0].port();
    speaker
        .feed(configuration(1, theirs, 1, ours))
        .await
        .unwrap();
    let other = SpeakerHandle::spawn(2, None);
    let attributes = RouteAttributes {
        next_hop: Some(NEXT_HOP.parse().unwrap()),
        ..RouteAttributes::default()
    };
    let export = Input::Export {
        group: GroupId(0),
        changes: vec![(ROUTE.parse().unwrap(), Some(Arc::new(attributes)))],
    };
    for input in [
        configuration(2, ours, port, theirs),
        export,
        Input::ExportsComplete,
    ] {
        other.feed(input).await.unwrap();
    }
    until(&speaker, |way| way.is_some()).await;
    (task, speaker, other)
}

/// How many ways the route goes by, or why by none; nothing before it is there.
type Way = Option<Result<usize, String>>;

async fn way(speaker: &SpeakerHandle) -> Way {
    let way = speaker.ask(|speaker| {
        let prefix: Prefix = ROUTE.parse().unwrap();
        let paths = speaker.loc_rib().explain(&prefix);
        let (path, _) = paths.first()?;
        let way = speaker.way(&prefix, path);
        Some(
            way.map(|way| way.hops().len())
                .map_err(|why| why.to_string()),
        )
    });
    way.await.unwrap()
}

async fn until(speaker: &SpeakerHandle, is_so: impl Fn(&Way) -> bool) {
    let asking = async {
        while !is_so(&way(speaker).await) {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(DEADLINE, asking).await.is_err() {
        panic!("not so in time: {:?}", way(speaker).await);
    }
}

#[tokio::test]
async fn what_the_kernel_answers_is_told_to_the_speaker() {
    let (task, speaker, _other) = learner(1, kernel).await;
    let waiting = Some(Err(format!("next hop {NEXT_HOP} is being looked up")));
    assert_eq!(way(&speaker).await, waiting);
    let running = Resolving(tokio::spawn(task.run()));
    until(&speaker, |way| *way != waiting).await;
    assert_ne!(way(&speaker).await, Some(Ok(0)), "it is known by which way");
    drop(running);
}

#[tokio::test]
async fn where_the_kernel_cannot_be_asked_next_hops_are_taken_for_reachable_until_it_can() {
    let (mut task, speaker, _other) = learner(2, denied).await;
    assert_eq!(way(&speaker).await, Some(Ok(0)));
    let (words, first) = task.trouble.clone().unwrap();
    assert_eq!(words, "cannot open netlink: permission denied");
    // It is not tried again at once.
    task.open = kernel;
    task.turn().await.unwrap();
    assert_eq!(task.trouble, Some((words.clone(), first)));
    let again = Retry::after(None, clock::now() - Duration::from_secs(2));
    task.trouble = Some((words, again));
    task.turn().await.unwrap();
    assert_eq!(task.trouble, None);
    assert_ne!(way(&speaker).await, Some(Ok(0)), "it was looked up");
}
