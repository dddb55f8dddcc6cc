//! The fabric router: Rutter's own speaker in the place of a top-of-rack switch.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use rutter::agent::{ChangedRoutes, SpeakerHandle};
use rutter::bgp::SessionState;
use rutter::rib::{Path, SourceId};
use rutter::speaker::{Input, PeerConfig, Speaker, SpeakerConfig};
use rutter::types::{Asn, ConnectMode, PeerId, Prefix, RouterId};

use crate::agents::{CLUSTER_ASN, FABRIC_ASN, NODES};

/// The nodes that each prefix is spread over.
pub(crate) type Table = BTreeMap<Prefix, BTreeSet<String>>;

/// A router with a session to each node.
pub(crate) struct Fabric {
    speaker: SpeakerHandle,
    changes: ChangedRoutes,
    address: SocketAddr,
}

impl Fabric {
    /// Listens on loopback for these nodes.
    pub(crate) async fn start(nodes: [[u8; 4]; NODES.len()]) -> anyhow::Result<Self> {
        let changes = ChangedRoutes::default();
        let speaker = SpeakerHandle::spawn(0, Some(changes.clone()));
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = speaker.listen_on(vec![any_port]).await?;
        let address = *bound.first().context("the router listens nowhere")?;
        let peers = nodes.iter().zip(0..).map(|(&node, id)| PeerConfig {
            name: node_name(node.into()),
            connect_mode: ConnectMode::Passive,
            ..PeerConfig::new(PeerId(id), node.into(), Asn(CLUSTER_ASN))
        });
        let config = SpeakerConfig {
            peers: peers.collect(),
            ..SpeakerConfig::new(Asn(FABRIC_ASN), RouterId::try_from(Ipv4Addr::LOCALHOST)?)
        };
        speaker.feed(Input::Configure(config)).await?;
        speaker.feed(Input::ExportsComplete).await?;
        Ok(Self {
            speaker,
            changes,
            address,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who announces what, at present.
    pub(crate) async fn table(&self) -> anyhow::Result<Table> {
        Ok(self.speaker.ask(table).await?)
    }

    /// Waits until the table is this one.
    ///
    /// # Errors
    /// What differs when the time is over.
    pub(crate) async fn becomes(&self, expected: &Table, limit: Duration) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let table = self.table().await?;
            if table == *expected {
                return Ok(());
            }
            match tokio::time::timeout_at(deadline, self.changes.wait()).await {
                Ok(()) => drop(self.changes.take(usize::MAX)),
                Err(_elapsed) => anyhow::bail!(
                    "the router's table is\n{}\nand should be\n{}",
                    render(&table),
                    render(expected)
                ),
            }
        }
    }

    /// The table as text.
    pub(crate) async fn print(&self) -> anyhow::Result<String> {
        Ok(render(&self.table().await?))
    }

    /// Every session came up once and stayed.
    ///
    /// # Errors
    /// Names a peer for which that is not so.
    pub(crate) async fn check_sessions(&self, number: usize) -> anyhow::Result<()> {
        let peers = self
            .speaker
            .ask(|speaker| speaker.peers().collect::<Vec<_>>())
            .await?;
        anyhow::ensure!(
            peers.len() == number,
            "{} peers instead of {number}",
            peers.len()
        );
        for peer in peers {
            anyhow::ensure!(
                peer.state == SessionState::Established && peer.established_count == 1,
                "{} is {} and came up {} times",
                peer.id,
                peer.state,
                peer.established_count
            );
        }
        Ok(())
    }

    /// Says goodbye to every node.
    pub(crate) async fn stop(self) {
        self.speaker.stop("the demo is over").await;
    }
}

fn table(speaker: &Speaker) -> Table {
    let names: BTreeMap<PeerId, String> = NODES
        .iter()
        .zip(0..)
        .map(|(node, id)| (PeerId(id), node.name.to_owned()))
        .collect();
    let node = |path: &Path| match path.source.id() {
        SourceId::Peer(id) => names.get(&id).cloned(),
        SourceId::Local => None,
    };
    let nodes = |paths: &[Path]| paths.iter().filter_map(&node).collect();
    speaker
        .loc_rib()
        .iter()
        .map(|(prefix, paths)| (prefix, nodes(paths)))
        .collect()
}

fn render(table: &Table) -> String {
    let row = |(prefix, nodes): (&Prefix, &BTreeSet<String>)| {
        let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
        format!("  {:<22} {}\n", prefix.to_string(), nodes.join(", "))
    };
    table.iter().map(row).collect()
}

fn node_name(address: IpAddr) -> String {
    let node = NODES
        .iter()
        .find(|node| IpAddr::from(node.address) == address);
    node.map_or_else(|| address.to_string(), |node| node.name.to_owned())
}
