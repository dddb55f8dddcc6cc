//! Sessions: who dials, keys, loss, return, and what peers see of the agent's end.

use std::net::IpAddr;
use std::time::Duration;

use super::cluster::{self, CLUSTER_ASN, ClusterNode, FABRIC_ASN, agent_config, expected_table};
use super::fabric::{CHANGE_LIMIT, START_LIMIT};
use crate::support::agent::{Agent, AgentConfig, AgentPeer, Passive, Source};
use crate::support::bird::Bird;
use crate::support::frr::Frr;
use crate::support::netns::{Host, Network};
use crate::support::objects::Manifests;
use crate::support::process::Signal;
use crate::support::router::{
    self, Dialing, Neighbor, Router, RouterConfig, RouterKind, SessionState, Table,
};
use crate::support::wait::{equal, eventually, throughout};

/// One node with one IPv4 session to one router.
#[derive(Debug)]
struct Pair {
    node: ClusterNode,
    manifests: Manifests,
    router_host: Host,
    _network: Network,
}

impl Pair {
    fn new() -> Self {
        let mut network = Network::new();
        let router_host = network.host(1);
        let nodes = cluster::nodes(&mut network);
        Self {
            manifests: Manifests::new(&cluster::objects(&nodes)),
            node: nodes.into_iter().next().unwrap(),
            router_host,
            _network: network,
        }
    }

    fn address(&self) -> IpAddr {
        self.node.host.ipv4.into()
    }

    fn neighbor(&self) -> Neighbor {
        Neighbor::new(self.address(), CLUSTER_ASN)
    }

    fn peer(&self) -> AgentPeer {
        AgentPeer::new("tor", self.router_host.ipv4, FABRIC_ASN)
    }

    fn agent_config(&self, peer: AgentPeer) -> AgentConfig {
        agent_config(Source::Files(self.manifests.path()), vec![peer])
    }

    fn agent(&self, peer: AgentPeer) -> Agent {
        Agent::start(&self.node.host, self.node.name, &self.agent_config(peer))
    }

    fn bird(&self, neighbor: Neighbor) -> Bird {
        Bird::start(&self.router_host, &router_config(neighbor))
    }

    fn router(&self, kind: RouterKind) -> Box<dyn Router> {
        router::start(kind, &self.router_host, &router_config(self.neighbor()))
    }

    /// What the router must have from its one session.
    fn table(&self) -> Table {
        let all = expected_table(std::slice::from_ref(&self.node))
            .0
            .into_iter();
        Table(all.filter(|(from, _, _)| *from == self.address()).collect())
    }

    /// Waits for the session and the table, by both ends' account.
    fn settles(&self, agent: &Agent, router: &dyn Router) {
        eventually(START_LIMIT, || agent.is_well());
        eventually(START_LIMIT, || router.established_with(&[self.address()]));
        eventually(CHANGE_LIMIT, || router.has_exactly(&self.table()));
    }
}

fn router_config(neighbor: Neighbor) -> RouterConfig {
    RouterConfig {
        asn: FABRIC_ASN,
        neighbors: vec![neighbor],
        announced: Vec::new(),
    }
}

#[test]
fn a_session_comes_up_only_with_the_right_md5_key() {
    let pair = Pair::new();
    let with_key = |key: &str| AgentPeer {
        password: Some(key.to_owned()),
        ..pair.peer()
    };
    let bird = pair.bird(Neighbor {
        password: Some("a shared secret".to_owned()),
        ..pair.neighbor()
    });
    let agent = pair.agent(with_key("a shared secret"));
    pair.settles(&agent, &bird);

    agent.configure(&pair.agent_config(with_key("another secret")));
    agent.signal(Signal::Hangup);
    let down = |limit| {
        eventually(limit, || {
            let peer = agent.peer("tor")?;
            if peer.state == "Established" {
                return Err("still established".to_owned());
            }
            peer.last_error.ok_or("no reason".to_owned())
        })
    };
    down(CHANGE_LIMIT);
    throughout(Duration::from_secs(6), || {
        let state = agent.peer("tor")?.state;
        if state == "Established" {
            Err(state)
        } else {
            Ok(())
        }
    });
    let sessions = bird.sessions().unwrap();
    assert!(
        matches!(sessions[&pair.address()].state, SessionState::Down(_)),
        "{sessions:?}"
    );
    let reason = eventually(CHANGE_LIMIT, || {
        let reason = agent.peer("tor")?.last_error.unwrap_or_default();
        if reason.contains("password") || reason.contains("MD5") {
            Ok(reason)
        } else {
            Err(format!("status says only `{reason}`"))
        }
    });
    println!("{reason}");

    agent.configure(&pair.agent_config(with_key("a shared secret")));
    agent.signal(Signal::Hangup);
    pair.settles(&agent, &bird);
}

#[test]
fn a_passive_agent_is_dialled() {
    let pair = Pair::new();
    let bird = pair.bird(pair.neighbor());
    let agent = pair.agent(AgentPeer {
        passive: Passive::Yes,
        ..pair.peer()
    });
    pair.settles(&agent, &bird);
}

#[test]
fn an_agent_dials_a_passive_peer() {
    let pair = Pair::new();
    let bird = pair.bird(Neighbor {
        dialing: Dialing::Waits,
        ..pair.neighbor()
    });
    let agent = pair.agent(pair.peer());
    pair.settles(&agent, &bird);
}

#[test]
fn when_both_dial_one_session_remains() {
    let pair = Pair::new();
    let bird = pair.bird(pair.neighbor());
    let agent = pair.agent(pair.peer());
    pair.settles(&agent, &bird);
    for round in 2..=5 {
        bird.ask(&format!("restart {}", bird.protocol(pair.address())))
            .unwrap();
        eventually(CHANGE_LIMIT, || {
            let count = agent.peer("tor")?.established_count;
            if count >= round {
                Ok(())
            } else {
                Err(format!("established {count} times"))
            }
        });
        pair.settles(&agent, &bird);
    }
    let (before, history) = (agent.peer("tor").unwrap(), bird.sessions().unwrap());
    // Two keepalive intervals: what lost a collision is not tried again.
    throughout(Duration::from_secs(6), || {
        equal(agent.peer("tor")?.since, before.since)?;
        equal(bird.sessions()?, history.clone())
    });
}

#[test]
fn a_peer_that_falls_silent_is_given_up_and_taken_back() {
    let pair = Pair::new();
    let mut bird = pair.bird(Neighbor {
        hold_time: 3,
        ..pair.neighbor()
    });
    let agent = pair.agent(pair.peer());
    pair.settles(&agent, &bird);
    assert_eq!(agent.peer("tor").unwrap().hold_time, Some(3));

    bird.process().signal(Signal::Stop);
    let reason = eventually(Duration::from_secs(15), || {
        let peer = agent.peer("tor")?;
        if peer.state == "Established" {
            return Err("still established".to_owned());
        }
        peer.last_error.ok_or("no reason".to_owned())
    });
    assert!(reason.to_lowercase().contains("hold timer"), "{reason}");
    bird.process().signal(Signal::Continue);
    pair.settles(&agent, &bird);
}

#[test]
fn a_peer_that_restarts_is_given_everything_again() {
    let pair = Pair::new();
    let mut bird = pair.bird(pair.neighbor());
    let agent = pair.agent(pair.peer());
    pair.settles(&agent, &bird);

    bird.process().stop();
    eventually(CHANGE_LIMIT, || match agent.peer("tor")?.state.as_str() {
        "Established" => Err("still established".to_owned()),
        _ => Ok(()),
    });
    drop(bird);
    let bird = pair.bird(pair.neighbor());
    pair.settles(&agent, &bird);
    assert_eq!(agent.peer("tor").unwrap().established_count, 2);
}

#[test]
fn a_peer_of_a_wrong_as_is_refused() {
    let pair = Pair::new();
    let bird = pair.bird(pair.neighbor());
    let agent = pair.agent(AgentPeer {
        asn: FABRIC_ASN + 7,
        ..pair.peer()
    });
    let reason = eventually(START_LIMIT, || {
        agent.peer("tor")?.last_error.ok_or("no reason".to_owned())
    });
    assert!(reason.contains(&FABRIC_ASN.to_string()), "{reason}");
    assert!(matches!(
        bird.sessions().unwrap()[&pair.address()].state,
        SessionState::Down(_)
    ));
    assert_eq!(bird.table().unwrap(), Table::default());
}

#[test]
fn an_agent_that_leaves_says_cease_to_bird() {
    let pair = Pair::new();
    let mut bird = pair.bird(pair.neighbor());
    let agent = leaves(&pair, &bird);
    let info = bird.ask("show protocols all n0").unwrap() + &bird.process().log();
    assert!(info.contains("Administrative shutdown"), "{info}");
    joins(&pair, &agent, &bird);
}

#[test]
fn an_agent_that_leaves_says_cease_to_frr() {
    let pair = Pair::new();
    let frr = Frr::start(&pair.router_host, &router_config(pair.neighbor()));
    let agent = leaves(&pair, &frr);
    let said = eventually(CHANGE_LIMIT, || frr.last_notification(pair.address()));
    // As a Hard Reset where it says that it knows those (RFC 8538).
    let known = ["Cease/Administrative Shutdown", "Cease/Hard Reset"];
    assert!(known.contains(&said.as_str()), "{said}");
    joins(&pair, &agent, &frr);
}

/// `rutter leave` takes everything back at once.
fn leaves(pair: &Pair, router: &dyn Router) -> Agent {
    let agent = pair.agent(pair.peer());
    pair.settles(&agent, router);
    let said = agent.rutter(&["leave"]).unwrap();
    assert!(said.contains("every session has ended"), "{said}");
    eventually(CHANGE_LIMIT, || router.has_exactly(&Table::default()));
    let peer = agent.peer("tor").unwrap();
    assert_eq!(peer.last_error.as_deref(), Some("shut down: rutter leave"));
    agent
}

/// `rutter join` brings it back.
fn joins(pair: &Pair, agent: &Agent, router: &dyn Router) {
    agent.rutter(&["join"]).unwrap();
    pair.settles(agent, router);
}

#[test]
fn an_agent_whose_daemon_set_nobody_knows_does_not_leave() {
    let pair = Pair::new();
    let bird = pair.bird(pair.neighbor());
    let agent = pair.agent(pair.peer());
    pair.settles(&agent, &bird);
    let said = agent
        .rutter(&["leave", "--if-removed", "rutter-system/rutter"])
        .unwrap();
    assert!(said.contains("nobody can say"), "{said}");
    assert!(agent.rutter(&["leave", "--if-removed", "rutter"]).is_err());
    throughout(Duration::from_secs(1), || bird.has_exactly(&pair.table()));
    pair.settles(&agent, &bird);
}

/// GoBGP does not restart gracefully unless it is told to.
#[test]
fn a_stopped_agent_says_cease_to_gobgp() {
    let pair = Pair::new();
    let mut gobgp = pair.router(RouterKind::Gobgp);
    let mut agent = pair.agent(pair.peer());
    pair.settles(&agent, gobgp.as_ref());
    assert!(agent.process().stop().success());
    eventually(CHANGE_LIMIT, || gobgp.has_exactly(&Table::default()));
    let log = gobgp.process().log();
    assert!(
        log.contains("code 6(cease) subcode 2(administrative shutdown)"),
        "{log}"
    );
}

#[test]
fn an_agent_that_is_killed_or_stopped_and_returns_costs_no_route() {
    for kind in [RouterKind::Bird, RouterKind::Frr] {
        let pair = Pair::new();
        let router = pair.router(kind);
        let mut agent = pair.agent(pair.peer());
        pair.settles(&agent, router.as_ref());
        for ends in [Ends::ByKill, Ends::BySigterm] {
            match ends {
                Ends::ByKill => drop(agent.process().kill()),
                Ends::BySigterm => assert!(agent.process().stop().success()),
            }
            let away = || match router.established_with(&[pair.address()]) {
                Ok(()) => Err("still established".to_owned()),
                Err(_) => router.has_exactly(&pair.table()),
            };
            eventually(CHANGE_LIMIT, away);
            agent.start_again();
            // At no moment until it is back, and has said all that it has.
            eventually(START_LIMIT, || {
                let kept = router.has_exactly(&pair.table());
                assert!(kept.is_ok(), "{kind:?} lost routes, {ends:?}: {kept:?}");
                router.established_with(&[pair.address()])?;
                agent.is_well()
            });
            throughout(Duration::from_secs(1), || router.has_exactly(&pair.table()));
            println!("{kind:?} kept every route, {ends:?}");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Ends {
    ByKill,
    BySigterm,
}

#[test]
fn what_an_agent_that_returns_has_no_more_is_taken_back() {
    for kind in [RouterKind::Bird, RouterKind::Frr] {
        let pair = Pair::new();
        let router = pair.router(kind);
        let mut agent = pair.agent(pair.peer());
        pair.settles(&agent, router.as_ref());
        agent.process().kill();
        let mut config = pair.agent_config(pair.peer());
        config.load_balancer_cidrs.clear();
        agent.configure(&config);
        agent.start_again();
        // Well before the two minutes after which they would go anyway.
        eventually(Duration::from_secs(40), || {
            router.established_with(&[pair.address()])?;
            match router.has_exactly(&pair.table()) {
                Ok(()) => Err("everything is still there".to_owned()),
                Err(_) => Ok(()),
            }
        });
    }
}
