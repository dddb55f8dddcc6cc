//! Starts without a module, of the real program: what a router hears meanwhile, and in the end.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rutter::agent::{ChangedRoutes, SpeakerHandle};
use rutter::api::{Readiness, StandIn, Status};
use rutter::bgp::SessionState;
use rutter::speaker::{Input, PeerConfig, Speaker, SpeakerConfig};
use rutter::types::{Asn, ConnectMode, PeerId, RouterId};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::guests::compiled;
use crate::support::keys::KeyPair;
use crate::support::solo::{LIMIT, Solo};
use crate::support::wait::{equal, eventually};

/// Services of the tenant who may, and of one who may not.
const ALLOWED: u8 = 5;
const FORBIDDEN: u8 = 60;

/// A router that hears one agent, and remembers every prefix that it ever heard of.
struct Router {
    runtime: Runtime,
    speaker: SpeakerHandle,
    ever: Arc<Mutex<BTreeSet<String>>>,
    address: SocketAddr,
    agent: Ipv4Addr,
}

impl Router {
    /// `host` is unique to the test: the router is at 127.78.1.`host`, the agent at 127.78.2.`host`.
    fn start(host: u8) -> Self {
        let (own, agent) = (
            Ipv4Addr::new(127, 78, 1, host),
            Ipv4Addr::new(127, 78, 2, host),
        );
        let runtime = Runtime::new().unwrap();
        let changes = ChangedRoutes::default();
        let ever = Arc::<Mutex<BTreeSet<String>>>::default();
        let (speaker, address) = runtime.block_on(async {
            let speaker = SpeakerHandle::spawn(0, Some(changes.clone()));
            let address = SocketAddr::from((own, 0));
            let bound = speaker.listen_on(vec![address]).await.unwrap();
            let peer = PeerConfig {
                connect_mode: ConnectMode::Passive,
                ..PeerConfig::new(PeerId(0), agent.into(), Asn(64512))
            };
            let config = SpeakerConfig {
                peers: vec![peer],
                ..SpeakerConfig::new(Asn(64513), RouterId::try_from(own).unwrap())
            };
            speaker.feed(Input::Configure(config)).await.unwrap();
            speaker.feed(Input::ExportsComplete).await.unwrap();
            (speaker, bound[0])
        });
        runtime.spawn({
            let ever = Arc::clone(&ever);
            async move {
                loop {
                    changes.wait().await;
                    let changed = changes.take(usize::MAX).into_iter();
                    let mut ever = ever.lock().unwrap();
                    ever.extend(changed.map(|prefix| prefix.to_string()));
                }
            }
        });
        Self {
            runtime,
            speaker,
            ever,
            address,
            agent,
        }
    }

    /// Whether the session is up, and how many prefixes it brought.
    fn heard(&self) -> (bool, usize) {
        let heard = |speaker: &Speaker| {
            let mut peers = speaker.peers();
            let is_up = peers.any(|peer| peer.state == SessionState::Established);
            (is_up, speaker.loc_rib().iter().count())
        };
        self.runtime.block_on(self.speaker.ask(heard)).unwrap()
    }

    /// Waits until the session is up and brought so many.
    fn comes_to_hear(&self, routes: u8) {
        eventually(LIMIT, || equal(self.heard(), (true, routes.into())));
    }

    /// The same, and sees that none ever came of those who may not.
    fn hears(&self, routes: u8) {
        self.comes_to_hear(routes);
        let ever = self.ever.lock().unwrap();
        assert!(ever.len() <= ALLOWED as usize, "{ever:?}");
    }
}

fn manifests() -> String {
    let mut text = "apiVersion: v1\nkind: Node\nmetadata: {name: a}\n\
                    status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}\n---\n"
        .to_owned();
    let tenants = [("shop", 0, ALLOWED), ("other", 100, FORBIDDEN)];
    for (namespace, first, count) in tenants {
        for number in first..first + count {
            let name = format!("s{number}");
            text += &format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
                 spec: {{type: LoadBalancer, externalTrafficPolicy: Local, clusterIP: 10.96.0.{number}, \
                 clusterIPs: [10.96.0.{number}], ports: [{{name: p, port: 80}}]}}\n\
                 status: {{loadBalancer: {{ingress: [{{ip: 203.0.113.{number}}}]}}}}\n---\n\
                 apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata: {{name: {name}, namespace: {namespace}, \
                 labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\n\
                 endpoints: [{{addresses: [10.244.0.{number}], nodeName: a}}]\n\
                 ports: [{{name: p, port: 8080}}]\n---\n"
            );
        }
    }
    text
}

/// A folder for an agent with a peer, a guard that lets nothing go, and the allow-list before the
/// default; `own` are more keys of its table.
fn folder(router: &Router, module: &str, own: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("manifests")).unwrap();
    fs::write(folder.path().join("manifests/all.yaml"), manifests()).unwrap();
    let addresses: String = (0..ALLOWED)
        .map(|it| format!("'203.0.113.{it}/32',"))
        .collect();
    let others: String = (100..100 + FORBIDDEN)
        .map(|it| format!("'203.0.113.{it}/32',"))
        .collect();
    let config = format!(
        "source = 'files'\nfiles = 'manifests'\nguard = {{ max-withdraw = 0 }}\n\
         [bgp]\nasn = 64512\nrouter-id = '192.0.2.1'\nlisten = []\n\
         [advertise]\npod-cidrs = false\nservice-load-balancer-cidrs = [{addresses}{others}]\n\
         [[peers]]\nname = 'tor'\naddress = '{}'\nport = {}\nasn = 64513\nlocal-address = '{}'\n\
         [[policies]]\nname = 'allow-list'\nmodule = '{module}'\n{own}\
         [[policies.settings.tenants]]\nname = 'shop'\nnamespaces = ['shop']\n\
         ranges = ['203.0.113.0/26']\n\
         [[policies]]\nname = 'default'\n\
         [policy]\ncompile-cache = 'compiled'\nmodule-cache = 'modules'\n\
         [api]\nsocket = 'rutter.sock'\nmetrics = 'off'\n",
        router.address.ip(),
        router.address.port(),
        router.agent,
    );
    fs::write(folder.path().join("rutter.toml"), config).unwrap();
    fs::create_dir(folder.path().join("own")).unwrap();
    folder
}

/// Waits until something stands in for the allow-list, or nothing.
fn stands_in(agent: &Solo, stand_in: Option<StandIn>) -> Status {
    eventually(LIMIT, || {
        let status = agent.status()?;
        equal(status.policies[0].stand_in, stand_in)?;
        equal(&status.held, &None)?;
        match (&status.readiness, stand_in) {
            (Readiness::Closed { .. }, Some(StandIn::Closed))
            | (Readiness::Ready, None | Some(StandIn::Last)) => Ok(status),
            (readiness, _) => Err(format!("{readiness:?}")),
        }
    })
}

#[test]
fn without_its_file_nothing_is_announced_until_there_is_one_and_after_that_what_was_last() {
    let router = Router::start(1);
    let module = compiled("allow-list");
    let agent = Solo::start_in("a", folder(&router, "own/own.wasm", ""));
    let status = stands_in(&agent, Some(StandIn::Closed));
    let error = status.policies[0].error.as_ref().unwrap();
    assert!(error.ends_with("; nothing is announced"), "{error}");
    router.hears(0);
    fs::write(agent.path("own/own.wasm"), &module).unwrap();
    stands_in(&agent, None);
    router.hears(ALLOWED);

    // Broken, and then gone.
    let broken = |folder: &Path| fs::write(folder.join("own/own.wasm"), &module[..999]).unwrap();
    let gone = |folder: &Path| fs::remove_file(folder.join("own/own.wasm")).unwrap();
    let agent = agent.restarted(broken);
    stands_in(&agent, Some(StandIn::Last));
    router.hears(ALLOWED);
    let agent = agent.restarted(gone);
    stands_in(&agent, Some(StandIn::Last));
    router.hears(ALLOWED);
    fs::write(agent.path("own/own.wasm"), &module).unwrap();
    stands_in(&agent, None);
    router.hears(ALLOWED);

    // What is kept is damaged, and the file gone again.
    let agent = agent.restarted(|folder| {
        gone(folder);
        for entry in fs::read_dir(folder.join("modules")).unwrap() {
            fs::write(entry.unwrap().path(), "damage").unwrap();
        }
    });
    let status = stands_in(&agent, Some(StandIn::Closed));
    let error = status.policies[0].error.as_ref().unwrap();
    assert!(error.contains("nor can the module be used that decided last"));
    router.hears(0);
}

/// What happens where it is asked for shows what the others are spared.
#[test]
fn the_built_in_default_announces_all_there_is_and_no_guard_keeps_it_from_being_mended() {
    let router = Router::start(4);
    let folder = folder(&router, "own/own.wasm", "");
    let path = folder.path().join("rutter.toml");
    let config = fs::read_to_string(&path).unwrap();
    let builtin = "[policy]\non-start-failure = 'builtin'\n";
    fs::write(&path, config.replace("[policy]\n", builtin)).unwrap();
    let agent = Solo::start_in("a", folder);
    agent.until_ready();
    router.comes_to_hear(ALLOWED + FORBIDDEN);
    fs::write(agent.path("own/own.wasm"), compiled("allow-list")).unwrap();
    stands_in(&agent, None);
    router.comes_to_hear(ALLOWED);
}

#[test]
fn an_unsigned_module_is_none_until_it_is_signed() {
    let router = Router::start(2);
    let keys = KeyPair::make();
    let own = format!("require-signature = {:?}\n", keys.public);
    let folder = folder(&router, "own/own.wasm", &own);
    fs::write(folder.path().join("own/own.wasm"), compiled("allow-list")).unwrap();
    let agent = Solo::start_in("a", folder);
    let status = stands_in(&agent, Some(StandIn::Closed));
    let error = status.policies[0].error.as_ref().unwrap();
    assert!(error.contains("is not signed by the owner of"), "{error}");
    router.hears(0);
    keys.sign(&agent.path("own/own.wasm"));
    stands_in(&agent, None);
    router.hears(ALLOWED);
}

#[test]
fn a_server_that_is_away_is_asked_again_and_what_it_gives_in_the_end_decides() {
    let router = Router::start(3);
    let module = compiled("allow-list");
    let address = SocketAddr::from(([127, 78, 3, 3], 8080));
    let own = format!("digest = 'sha256:{}'\n", rutter::wasm::digest(&module));
    let agent = folder(&router, &format!("http://{address}/own.wasm"), &own);
    let agent = Solo::start_in("a", agent);
    stands_in(&agent, Some(StandIn::Closed));
    router.hears(0);
    let listener = TcpListener::bind(address).unwrap();
    // Ends with the process of the tests.
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut head = [0; 4096];
            let _ = connection.read(&mut head);
            let length = module.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            let _ = connection.write_all(&[head.as_bytes(), &module].concat());
        }
    });
    stands_in(&agent, None);
    router.hears(ALLOWED);
}
