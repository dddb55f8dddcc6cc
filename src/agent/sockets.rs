//! BGP's TCP sockets: dialled, listening, and what both have in common.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::num::NonZeroU8;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::warn;

use super::clock;
use super::connection::SocketEvent;
use super::doors::Doors;
use super::{tcp_md5, ttl};
use crate::types::Password;

/// An address that swallows packets must not hold a dial attempt for the kernel's two minutes.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How many may have dialled and not be looked at yet. Strangers may be many: what they fill, a
/// peer finds no room in. The kernel has a limit of its own (`net.core.somaxconn`).
const ACCEPT_BACKLOG: i32 = 4096;
/// IP precedence Internetwork Control, as RFC 4271 appendix E asks.
const TOS_INTERNETWORK_CONTROL: u32 = 0xC0;
/// Pause after a failed accept: out of file descriptors does not heal by asking again at once.
const ACCEPT_RETRY: Duration = Duration::from_millis(500);

/// Opens a connection to a peer.
pub(super) async fn dial(
    remote: SocketAddr,
    local: Option<IpAddr>,
    password: Option<Password>,
    ttl_security: Option<NonZeroU8>,
) -> io::Result<TcpStream> {
    let socket = new_socket(remote)?;
    if let Some(hops) = ttl_security {
        ttl::demand_near(socket.as_fd(), remote.ip(), hops)?;
    }
    if let Some(password) = &password {
        tcp_md5::set_key(socket.as_fd(), remote.ip(), Some(password))?;
    }
    if let Some(local) = local {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    let connecting = TcpSocket::from_std_stream(socket.into()).connect(remote);
    match tokio::time::timeout(DIAL_TIMEOUT, connecting).await {
        Ok(result) => result,
        Err(_elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in 10 s")),
    }
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv4() {
        socket.set_tos_v4(TOS_INTERNETWORK_CONTROL)?;
        socket.set_ttl_v4(ttl::TTL_MAX)?;
    } else {
        socket.set_tclass_v6(TOS_INTERNETWORK_CONTROL)?;
        socket.set_unicast_hops_v6(ttl::TTL_MAX)?;
    }
    Ok(socket)
}

/// The sockets that peers may dial, each with a task that accepts.
#[derive(Debug)]
pub(super) struct Listeners {
    open: BTreeMap<SocketAddr, Listener>,
    keys: BTreeMap<IpAddr, Password>,
    /// From how many hops away peers may come, where that is looked at.
    hops: BTreeMap<IpAddr, NonZeroU8>,
    doors: Doors,
    events: mpsc::Sender<SocketEvent>,
}

#[derive(Debug)]
struct Listener {
    /// Not tokio's: what that accepts has cost something before it is known who it is.
    socket: Arc<AsyncFd<Socket>>,
    accepting: JoinHandle<()>,
}

impl Listeners {
    /// None yet; connections that `doors` let in will go to `events`.
    pub(super) fn new(doors: Doors, events: mpsc::Sender<SocketEvent>) -> Self {
        Self {
            open: BTreeMap::new(),
            keys: BTreeMap::new(),
            hops: BTreeMap::new(),
            doors,
            events,
        }
    }

    /// Listens on exactly these addresses. Sockets already open stay open; when one of the new
    /// addresses cannot be had, the former ones stay.
    ///
    /// Returns the addresses as bound, in order, which tells the port where 0 was asked for.
    pub(super) fn listen_on(&mut self, addresses: &[SocketAddr]) -> io::Result<Vec<SocketAddr>> {
        let kept = |address: &SocketAddr| addresses.contains(address);
        let new = match self.bind_missing(addresses) {
            Ok(new) => new,
            // 0.0.0.0:179 and 10.0.0.1:179 exclude one another: the one to go may be in the way.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let former: Vec<_> = self.open.keys().copied().collect();
                let in_the_way = |old: &Listener| {
                    let port = local_address(&old.socket).map(|bound| bound.port()).ok();
                    addresses.iter().any(|new| Some(new.port()) == port)
                };
                self.open
                    .retain(|address, listener| kept(address) || !in_the_way(listener));
                match self.bind_missing(addresses) {
                    Ok(new) => new,
                    Err(error) => {
                        let restored = self.bind_missing(&former)?;
                        self.open.extend(restored);
                        return Err(error);
                    }
                }
            }
            Err(error) => return Err(error),
        };
        self.open.retain(|address, _| kept(address));
        self.open.extend(new);
        self.open
            .values()
            .map(|listener| local_address(&listener.socket))
            .collect()
    }

    fn bind_missing(&self, addresses: &[SocketAddr]) -> io::Result<BTreeMap<SocketAddr, Listener>> {
        let missing = addresses
            .iter()
            .filter(|address| !self.open.contains_key(address));
        missing
            .map(|address| {
                let listener = self.bind(*address).map_err(|error| {
                    let advice = advice(error.kind());
                    let text = format!("cannot listen on {address}: {error}{advice}");
                    io::Error::new(error.kind(), text)
                })?;
                Ok((*address, listener))
            })
            .collect()
    }

    /// Sees to it that a connection from a peer that has a key goes on only if it is signed: one
    /// that the kernel took before the listener had the key has none itself. The same for one from a
    /// peer that must be near: a listener has one limit for all peers, so that the first segments of
    /// the handshake come from anywhere, and all others do not.
    ///
    /// # Errors
    /// The kernel does not take it: the connection must not be used.
    pub(super) fn secure(&self, stream: &TcpStream, peer: IpAddr) -> io::Result<()> {
        if let Some(hops) = self.hops.get(&peer) {
            ttl::demand_near(stream.as_fd(), peer, *hops)?;
        }
        match self.keys.get(&peer) {
            Some(key) => tcp_md5::set_key(stream.as_fd(), peer, Some(key)),
            None => Ok(()),
        }
    }

    /// Connections from these peers must come from so near, from now on.
    pub(super) fn require_near(&mut self, hops: BTreeMap<IpAddr, NonZeroU8>) {
        self.hops = hops;
    }

    /// Connections from these peers must be signed with these keys, from now on.
    pub(super) fn require_keys(&mut self, keys: BTreeMap<IpAddr, Password>) {
        let gone = self.keys.keys().filter(|peer| !keys.contains_key(peer));
        let changes: Vec<_> = gone
            .map(|peer| (*peer, None))
            .chain(
                keys.iter()
                    .filter(|(peer, key)| self.keys.get(peer) != Some(key))
                    .map(|(peer, key)| (*peer, Some(key))),
            )
            .collect();
        for listener in self.open.values() {
            for (peer, key) in &changes {
                apply_key(&listener.socket, *peer, *key);
            }
        }
        self.keys = keys;
    }

    fn bind(&self, address: SocketAddr) -> io::Result<Listener> {
        let socket = new_socket(address)?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            // The IPv4 wildcard is a socket of its own.
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(ACCEPT_BACKLOG)?;
        let socket = Arc::new(watched(socket)?);
        for (peer, key) in &self.keys {
            apply_key(&socket, *peer, Some(key));
        }
        let (doors, events) = (self.doors.clone(), self.events.clone());
        let accepting = tokio::spawn(accept(Arc::clone(&socket), doors, events));
        Ok(Listener { socket, accepting })
    }
}

/// What to do about an address that cannot be had, to end an error with.
fn advice(kind: io::ErrorKind) -> &'static str {
    if kind == io::ErrorKind::AddrInUse {
        "; another program, or another agent, has this port"
    } else if kind == io::ErrorKind::PermissionDenied {
        "; ports below 1024 need the capability NET_BIND_SERVICE"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "; no interface of this node has this address"
    } else {
        ""
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The task keeps the socket for another moment; the address must be free at once.
        // Fails only if it does not listen any more.
        let _ = self.socket.get_ref().shutdown(Shutdown::Both);
        self.accepting.abort();
    }
}

/// A listening socket that tells when somebody has dialled.
#[expect(unsafe_code, reason = "tokio cannot know that a descriptor stays open")]
fn watched(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: a Socket owns its descriptor, which is open and the same for as long as it lives;
    // the AsyncFd owns the Socket, and nothing here takes it out.
    let watched = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
    watched.map_err(|refused| refused.into_parts().1)
}

fn local_address(socket: &AsyncFd<Socket>) -> io::Result<SocketAddr> {
    let address = socket.get_ref().local_addr()?.as_socket();
    address.ok_or_else(|| io::ErrorKind::Unsupported.into())
}

fn apply_key(socket: &AsyncFd<Socket>, peer: IpAddr, key: Option<&Password>) {
    let same_family = local_address(socket).is_ok_and(|local| local.is_ipv4() == peer.is_ipv4());
    if !same_family {
        return;
    }
    if let Err(error) = tcp_md5::set_key(socket.as_fd(), peer, key) {
        warn!(%peer, %error, "the kernel refused a TCP MD5 key: connections from this peer are refused");
    }
}

async fn accept(socket: Arc<AsyncFd<Socket>>, doors: Doors, events: mpsc::Sender<SocketEvent>) {
    let mut last_error = None;
    loop {
        match socket.async_io(Interest::READABLE, Socket::accept).await {
            Ok((accepted, remote)) => {
                last_error = None;
                let Some(remote) = remote.as_socket() else {
                    continue;
                };
                if doors.admit(remote.ip(), clock::now()).is_err() {
                    // A reset, so that the kernel keeps nothing of it, either.
                    let _ = accepted.set_linger(Some(Duration::ZERO));
                    continue;
                }
                // What fails here is over already.
                let Ok((stream, local)) = into_stream(accepted) else {
                    continue;
                };
                if events
                    .send(SocketEvent::Accepted {
                        stream,
                        local,
                        remote,
                    })
                    .await
                    .is_err()
                {
                    return;
                }
            }
            // Whoever dialled has given up: that says nothing about the next one.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // The socket does not listen any more: its owner let go of it.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(error) => {
                // Once for each kind of trouble: this may go on for hours.
                if last_error.replace(error.kind()) != Some(error.kind()) {
                    warn!(%error, "cannot accept a BGP connection; trying again");
                }
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn into_stream(accepted: Socket) -> io::Result<(TcpStream, SocketAddr)> {
    accepted.set_nonblocking(true)?;
    let stream = TcpStream::from_std(accepted.into())?;
    let local = stream.local_addr()?;
    Ok((stream, local))
}
