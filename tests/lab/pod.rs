//! Pods: namespaces that hang on their node alone, with servers in them whose sockets are real.
//!
//! As with Calico, a pod has addresses of its own and no network: all that it sends goes to its
//! node by a link-local address, which has a route to each of its pods.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::support::netns::{Host, Namespace, in_namespace};
use crate::support::process::{Process, Signal, program, run};
use crate::support::wait::eventually;

/// What web pods serve, by TCP and UDP.
pub(super) const WEB_PORT: u16 = 8080;

/// How long a DNS server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The wires of a pod. Dropping it takes them down.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) host: Host,
    pub(super) addresses: Vec<IpAddr>,
    node: Host,
    link: String,
    _namespace: Namespace,
}

/// A web server, which tells who answers, and to whom. Dropping it ends it.
#[derive(Debug)]
pub(super) struct WebServer {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A DNS server that knows the pods' names. Dropping it ends it.
#[derive(Debug)]
pub(super) struct DnsServer {
    process: Process,
    folder: TempDir,
}

impl Sandbox {
    /// Lays the wires of a pod on this node.
    pub(super) fn new(node: &Host, addresses: Vec<IpAddr>) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);

        let link = format!("pod{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        let namespace = Namespace::new();
        let pod = namespace.name();
        let there = |step: &str| in_namespace(pod, step);
        let here = |step: &str| in_namespace(&node.namespace, step);
        here(&format!(
            "link add {link} type veth peer name eth0 netns {pod}"
        ));
        here(&format!("addr add 169.254.1.1/32 dev {link} scope link"));
        here(&format!("addr add fe80::1/64 dev {link} nodad"));
        here(&format!("link set {link} up"));
        for address in &addresses {
            match address {
                IpAddr::V4(_) => there(&format!("addr add {address}/32 dev eth0")),
                IpAddr::V6(_) => there(&format!("addr add {address}/128 dev eth0 nodad")),
            }
            here(&format!("route add {address} dev {link}"));
        }
        there("link set eth0 up");
        there("route add 169.254.1.1 dev eth0 scope link");
        there("route add default via 169.254.1.1 dev eth0");
        there("-6 route add default via fe80::1 dev eth0");
        let of_family = |is_wanted: fn(&IpAddr) -> bool| addresses.iter().copied().find(is_wanted);
        Self {
            host: Host {
                namespace: pod.to_owned(),
                ipv4: match of_family(IpAddr::is_ipv4) {
                    Some(IpAddr::V4(address)) => address,
                    Some(IpAddr::V6(_)) | None => Ipv4Addr::UNSPECIFIED,
                },
                ipv6: match of_family(IpAddr::is_ipv6) {
                    Some(IpAddr::V6(address)) => address,
                    Some(IpAddr::V4(_)) | None => Ipv6Addr::UNSPECIFIED,
                },
            },
            addresses,
            node: node.clone(),
            link,
            _namespace: namespace,
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The namespace may outlive its name by a moment: its link shall not.
        let link = ["-n", &self.node.namespace, "link", "delete", &self.link];
        let _ = run(Command::new("ip").args(link));
    }
}

impl WebServer {
    /// Starts it in a pod; when this returns it serves.
    pub(super) fn start(pod: &Host, node: &str, name: &str) -> Self {
        let (end, ended) = oneshot::channel();
        let (started, has_started) = std::sync::mpsc::channel();
        let greeting = format!("{node} {name}");
        let thread = pod.thread(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let everywhere = (Ipv6Addr::UNSPECIFIED, WEB_PORT);
                let listener = TcpListener::bind(everywhere).await.unwrap();
                let socket = UdpSocket::bind(everywhere).await.unwrap();
                started.send(()).unwrap();
                tokio::select! {
                    () = accept(listener, &greeting) => {}
                    () = echo(socket, &greeting) => {}
                    // Fails when the sender was dropped, which is as well.
                    _ = ended => {}
                }
            });
        });
        has_started.recv().unwrap();
        Self {
            end: Some(end),
            thread: Some(thread),
        }
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        drop(self.end.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.expect("it is dropped once").unwrap();
        }
    }
}

/// Cancel-safe: it is not gone on with.
async fn accept(listener: TcpListener, greeting: &str) {
    loop {
        // An error is one connection's that was reset before this took it.
        let Ok((connection, from)) = listener.accept().await else {
            continue;
        };
        let body = format!("{greeting} {}\n", from.ip().to_canonical());
        tokio::spawn(async move {
            // An error is the client's, who has gone.
            let _ = serve(connection, &body).await;
        });
    }
}

async fn serve(mut connection: TcpStream, body: &str) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let length = connection.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..length]);
    }
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n";
    let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    connection.write_all(answer.as_bytes()).await?;
    connection.shutdown().await
}

/// Cancel-safe: it is not gone on with.
async fn echo(socket: UdpSocket, greeting: &str) {
    let mut buffer = [0; 64];
    loop {
        // An error is an ICMP message about an answer whose asker has gone.
        let Ok((_, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let body = format!("{greeting} {}\n", from.ip().to_canonical());
        let _ = socket.send_to(body.as_bytes(), from).await;
    }
}

impl DnsServer {
    /// Starts it in a pod. It knows nothing yet.
    pub(super) fn start(pod: &Sandbox) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(hosts(&folder), "").unwrap();
        let mut command = pod.host.command(&program("RUTTER_TEST_DNSMASQ"));
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--user=root",
        ]);
        command.args([
            "--pid-file",
            "--log-facility=-",
            "--no-resolv",
            "--no-hosts",
        ]);
        // It answers for the zones, and says that what it does not know is not there.
        command.args(["--local=/cluster.local/", "--bogus-priv", "--local-ttl=30"]);
        command.arg(format!("--addn-hosts={}", hosts(&folder).display()));
        let server = Self {
            process: Process::spawn("dnsmasq", &mut command, folder.path().join("log")),
            folder,
        };
        eventually(START_LIMIT, || {
            let mut dig = pod.host.command(&program("RUTTER_TEST_DIG"));
            dig.args(["+time=1", "+tries=1", "-x", "192.0.2.1"]);
            run(dig.arg(format!("@{}", pod.addresses[0])))
        });
        server
    }

    /// Replaces all that it knows: addresses and names.
    pub(super) fn learn(&self, names: &[(IpAddr, String)]) {
        let lines = names
            .iter()
            .map(|(address, name)| format!("{address} {name}\n"));
        fs::write(hosts(&self.folder), lines.collect::<String>()).unwrap();
        self.process.signal(Signal::Hangup);
    }
}

fn hosts(folder: &TempDir) -> PathBuf {
    folder.path().join("hosts")
}
