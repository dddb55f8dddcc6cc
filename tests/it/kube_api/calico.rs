//! Calico's resources where they are served, in either group; and where they are not, or not yet.

use k8s_openapi::api::core::v1::Secret;
use rutter::calico::{self, ApiGroup};
use rutter::kube::secrets::Secrets;
use rutter::kube::{Calico, CalicoKind};
use rutter::types::Prefix;

use super::*;
use crate::support::calico::{Group, apply, define, define_all, delete as delete_resource};

fn watching() -> WatchConfig {
    WatchConfig {
        calico: Calico::Watched,
        absent_interval: Duration::from_millis(200),
        ..impatient()
    }
}

async fn start(client: &Client) -> Agent {
    let mut agent = Agent::with(client, &watching());
    agent.index.set_source(&agent.source);
    agent
        .until("synchronised", |agent| agent.index.waiting_for().is_none())
        .await;
    agent
}

fn announced(view: &ClusterView) -> Option<Vec<Prefix>> {
    let blocks = view.node.as_ref()?.blocks.as_ref()?;
    Some(blocks.announced.clone())
}

fn affinity(api_version: &str, deleted: &str, node: &str, cidr: &str) -> String {
    let name = cidr.replace(['.', '/'], "-");
    format!(
        "apiVersion: {api_version}\nkind: BlockAffinity\nmetadata: {{name: {node}-{name}}}\n\
         spec: {{state: confirmed, node: {node}, cidr: {cidr}, deleted: {deleted}}}\n---\n"
    )
}

const POOL: &str = "
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: default}
spec: {cidr: 10.244.0.0/16, disableBGPExport: true}
";

#[tokio::test]
async fn a_cluster_without_calico_is_known_whole_and_is_no_trouble() {
    let (_server, admin) = cluster().await;
    let agent = start(&admin).await;
    assert_eq!(agent.source.health.error(), None);
    assert_eq!(announced(agent.index.view()), None, "pods are in pod CIDRs");
    // Calico's kinds are not served.
    assert_eq!(agent.lists.len(), Kind::ALL.len() + 1);
}

#[tokio::test]
async fn blocks_and_pools_of_either_group_are_followed_and_kinds_may_come_later() {
    let (_server, admin) = cluster().await;
    define_all(&admin, Group::Crd).await;
    let crd = "crd.projectcalico.org/v1";
    apply(&admin, &affinity(crd, "'false'", HERE, "10.244.7.0/26")).await;
    let mut agent = start(&admin).await;
    let first: Prefix = "10.244.7.0/26".parse().unwrap();
    assert_eq!(announced(agent.index.view()), Some(vec![first]));

    let second: Prefix = "10.244.9.0/26".parse().unwrap();
    apply(&admin, &affinity(crd, "'false'", HERE, "10.244.9.0/26")).await;
    let both = Some(vec![first, second]);
    agent
        .until_view("a second block", |view| announced(view) == both)
        .await;
    apply(&admin, &affinity(crd, "'true'", HERE, "10.244.7.0/26")).await;
    let one = Some(vec![second]);
    agent
        .until_view("the first given up", |view| announced(view) == one)
        .await;

    // The newer group appears under the running agent, and its pool forbids the block.
    define(&admin, Group::Native, "IPPool").await;
    apply(&admin, POOL).await;
    agent
        .until_view("the pool", |view| announced(view) == Some(Vec::new()))
        .await;
    delete_resource(&admin, Group::Native, "IPPool", "default").await;
    agent
        .until_view("no pool", |view| announced(view) == one)
        .await;
    assert_eq!(agent.source.health.error(), None);
}

#[tokio::test]
async fn an_api_server_that_restarts_takes_no_block_away() {
    let (mut server, admin) = cluster().await;
    define_all(&admin, Group::Native).await;
    let native = "projectcalico.org/v3";
    apply(&admin, &affinity(native, "false", HERE, "10.244.7.0/26")).await;
    let mut agent = start(&admin).await;
    let block = Some(vec!["10.244.7.0/26".parse().unwrap()]);
    assert_eq!(announced(agent.index.view()), block);
    agent.changes.clear();

    make_watches_expire_at_restart(&admin).await;
    server.kill();
    agent
        .until("trouble", |agent| agent.source.health.error().is_some())
        .await;
    server.start_again();
    server.until_ready().await;
    let kind = Kind::Calico(CalicoKind {
        group: ApiGroup::V3,
        kind: calico::Kind::BlockAffinity,
    });
    agent.lists.clear();
    agent
        .until("listed again", |agent| agent.lists.contains(&kind))
        .await;
    agent.sees_only(&admin, "afterwards").await;
    assert_eq!(announced(agent.index.view()), block);
}

#[tokio::test]
async fn the_label_of_any_node_is_followed_and_so_is_one_that_joins_and_goes() {
    let (_server, admin) = cluster().await;
    let mut agent = start(&admin).await;
    let labels = |agent: &Agent, name: &str| {
        let node = agent
            .index
            .resources()
            .node(HERE)?
            .topology
            .nodes
            .remove(name)?;
        Some((node.labels.get("rack").cloned(), node.ipv4))
    };
    // It says where it is by its status, which a watch of metadata does not show.
    create(&admin, node("worker-2")).await;
    let relabelled = json!({ "metadata": { "labels": { "rack": "b2" } } });
    patch::<Node>(&admin, "worker-2", relabelled).await;
    agent
        .until("worker-2 in another rack", |agent| {
            labels(agent, "worker-2").is_some_and(|(rack, _)| rack.as_deref() == Some("b2"))
        })
        .await;
    let placed = json!({ "metadata": { "annotations": {
        "projectcalico.org/IPv4Address": "192.168.83.12/24",
    } } });
    patch::<Node>(&admin, "worker-2", placed).await;
    let address = "192.168.83.12".parse().ok();
    agent
        .until("its address", |agent| {
            labels(agent, "worker-2").is_some_and(|(_, ipv4)| ipv4 == address)
        })
        .await;
    delete::<Node>(&admin, "worker-2").await;
    agent
        .until("it went", |agent| labels(agent, "worker-2").is_none())
        .await;
    assert_eq!(agent.source.health.error(), None);
}

#[tokio::test]
async fn keys_are_read_of_secrets_by_name_and_what_is_missing_is_told() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let key = json!({ "metadata": { "name": "keys" }, "stringData": { "tor": "s3cret" } });
    let secrets: Api<Secret> = Api::default_namespaced(admin.clone());
    let params = PostParams::default();
    secrets.create(&params, &read(key)).await.unwrap();
    let reader = Secrets::new(admin);
    assert_eq!(reader.value("keys", "tor").await.unwrap(), b"s3cret");
    let error = reader.value("keys", "spine").await.unwrap_err().to_string();
    assert_eq!(error, "the Secret has no such key");
    let error = reader.value("none", "tor").await.unwrap_err().to_string();
    assert_eq!(error, "there is no such Secret in the agent's namespace");
    let nobody = server.service_account("nobody").await;
    let reader = Secrets::new(server.client(&nobody).await);
    let error = reader.value("keys", "tor").await.unwrap_err().to_string();
    assert!(error.contains("cannot get resource \"secrets\""), "{error}");
}
