//! What happens in the demo, and what the fabric's table must be after it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;

use crate::agents::{CLUSTER_ASN, Cluster, FABRIC_ASN, NODES};
use crate::fabric::{Fabric, Table};
use crate::say;

/// Starting processes takes a moment on a busy machine; routes take milliseconds.
const DEADLINE: Duration = Duration::from_secs(60);

const ALL: &[&str] = &["control-plane", "worker-1", "worker-2"];
const WORKERS: &[&str] = &["worker-1", "worker-2"];
const WORKER_1: &[&str] = &["worker-1"];
const WORKER_2: &[&str] = &["worker-2"];

const WEB: &[&str] = &["172.16.12.34/32", "198.51.100.10/32"];
const DNS: &[&str] = &["172.16.0.53/32", "fd00:10:96::53/128"];

/// The table while every endpoint is well.
fn whole() -> Table {
    let rows: &[(&str, &[&str])] = &[
        // Everyone announces its own pods.
        ("10.244.0.0/24", &["control-plane"]),
        ("10.244.1.0/24", WORKER_1),
        ("10.244.2.0/24", WORKER_2),
        ("fd00:10:244::/64", &["control-plane"]),
        ("fd00:10:244:1::/64", WORKER_1),
        ("fd00:10:244:2::/64", WORKER_2),
        // Every node but the excluded one takes traffic for any Service.
        ("172.16.0.0/16", WORKERS),
        ("198.51.100.0/24", WORKERS),
        ("fd00:10:96::/112", WORKERS),
    ];
    let mut table = BTreeMap::new();
    for (prefix, nodes) in rows {
        set(&mut table, &[prefix], nodes);
    }
    // A Local Service's addresses come from where its endpoints are.
    set(&mut table, WEB, WORKERS);
    set(&mut table, DNS, WORKERS);
    table
}

fn set(table: &mut Table, prefixes: &[&str], nodes: &[&str]) {
    for prefix in prefixes {
        let prefix = prefix
            .parse()
            .expect("the story's prefixes are well formed");
        table.insert(prefix, nodes.iter().map(|&node| node.to_owned()).collect());
    }
}

/// Starts with the whole table, then one change after the other.
pub(crate) async fn tell(fabric: &Fabric, cluster: &Cluster) -> anyhow::Result<()> {
    say(&format!(
        "Three agents (AS {CLUSTER_ASN}: {}) and a fabric router (AS {FABRIC_ASN}, {}).\n",
        ALL.join(", "),
        fabric.address(),
    ));
    fabric
        .becomes(&whole(), DEADLINE)
        .await
        .context("the first table never came")?;
    say("The fabric's table, with the nodes that ECMP spreads each prefix over:\n");
    say(&fabric.print().await?);

    let mut table = whole();
    let unready = cluster.manifest("web-worker-2.yaml")?;
    set(&mut table, WEB, WORKER_1);
    step(
        fabric,
        "The only endpoint of shop/web on worker-2 goes unready: its addresses leave worker-2.",
        || {
            cluster.set_manifest(
                "web-worker-2.yaml",
                Some(&unready.replace("ready: true", "ready: false")),
            )
        },
        &table,
    )
    .await?;
    step(
        fabric,
        "It is ready again.",
        || cluster.set_manifest("web-worker-2.yaml", Some(&unready)),
        &whole(),
    )
    .await?;

    let drained = ["web-worker-1.yaml", "dns-external-worker-1.yaml"];
    let texts: Vec<String> = drained
        .iter()
        .map(|name| cluster.manifest(name))
        .collect::<Result<_, _>>()?;
    let mut table = whole();
    set(&mut table, WEB, WORKER_2);
    set(&mut table, DNS, WORKER_2);
    step(
        fabric,
        "worker-1 drains: its endpoints go, its aggregates and pods stay.",
        || {
            drained
                .iter()
                .try_for_each(|name| cluster.set_manifest(name, None))
        },
        &table,
    )
    .await?;
    step(
        fabric,
        "worker-1 returns.",
        || {
            drained
                .iter()
                .zip(&texts)
                .try_for_each(|(name, text)| cluster.set_manifest(name, Some(text)))
        },
        &whole(),
    )
    .await?;
    fabric.check_sessions(NODES.len()).await?;
    say("Every table was as expected, and no session was lost on the way.");
    Ok(())
}

async fn step(
    fabric: &Fabric,
    what: &str,
    change: impl FnOnce() -> anyhow::Result<()>,
    expected: &Table,
) -> anyhow::Result<()> {
    let before = fabric.table().await?;
    let start = tokio::time::Instant::now();
    change()?;
    fabric
        .becomes(expected, DEADLINE)
        .await
        .with_context(|| what.to_owned())?;
    say(&format!("{what}  ({} ms)\n", start.elapsed().as_millis()));
    for (prefix, nodes) in &before {
        let after = expected.get(prefix).cloned().unwrap_or_default();
        for node in nodes.difference(&after) {
            say(&format!("  - {prefix} via {node}"));
        }
    }
    for (prefix, nodes) in expected {
        let was = before.get(prefix).cloned().unwrap_or_default();
        for node in nodes.difference(&was) {
            say(&format!("  + {prefix} via {node}"));
        }
    }
    say("");
    Ok(())
}
