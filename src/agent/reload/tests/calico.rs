//! What Calico's resources say, put in force over the files: with manifests as their source.

use super::*;

const NODE: &str = "
apiVersion: v1
kind: Node
metadata: {name: worker-1, labels: {rack: a}}
status: {addresses: [{type: InternalIP, address: 127.0.0.11}]}
";

const CONFIGURATION: &str = "
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: {name: default}
spec: {asNumber: 64600, nodeToNodeMeshEnabled: false, listenPort: 27179}
";

fn peer(name: &str, address: &str, more: &str) -> String {
    format!(
        "\n---\napiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {{name: {name}}}\n\
         spec: {{peerIP: {address}, asNumber: 64513{more}}}\n"
    )
}

const TEXT: &str = "
source = 'files'
files = 'manifests'
[calico]
resources = true
[bgp]
listen = []
[api]
socket = 'sock'
metrics = 'off'
";

/// An agent with these manifests; nothing was put in force yet.
async fn start(manifests: &str, more: &str) -> Parts {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("manifests")).unwrap();
    std::fs::write(folder.path().join("manifests/all.yaml"), manifests).unwrap();
    let path = folder.path().join("rutter.toml");
    std::fs::write(&path, format!("{TEXT}{more}")).unwrap();
    Parts::start_in(folder, path).await
}

fn manifest(parts: &Parts, text: &str) {
    let folder = parts.folder.path().join("manifests");
    std::fs::write(folder.join(".new"), text).unwrap();
    std::fs::rename(folder.join(".new"), folder.join("all.yaml")).unwrap();
}

/// Takes what is said next, and returns the names of the peers there are then.
async fn followed(parts: &mut Parts) -> Vec<String> {
    let due = tokio::time::timeout(DEADLINE, parts.reloader.following.due());
    due.await.expect("something is said");
    parts.reloader.follow(Refresh::NewSecrets).await;
    peers(parts).await
}

async fn peers(parts: &Parts) -> Vec<String> {
    let status = parts.reporter.status().await.unwrap();
    let peers = status.peers.iter();
    let mut peers: Vec<_> = peers
        .map(|peer| format!("{} AS{} {}", peer.name, peer.asn.0, peer.address))
        .collect();
    peers.sort();
    peers
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_sessions_before_the_resources_are_known_not_even_the_files() {
    let of_file = "[[peers]]\nname = 'of-file'\naddress = '127.0.0.9'\nasn = 64512\nport = 9\n";
    let manifests = format!("{NODE}---{CONFIGURATION}{}", peer("tor", "127.0.0.1:9", ""));
    let mut parts = start(&manifests, of_file).await;
    let configured = parts
        .reporter
        .speaker
        .ask(|speaker| speaker.peers().count());
    assert_eq!(
        configured.await.unwrap(),
        0,
        "nobody is dialled with a guessed AS"
    );

    let expected = ["of-file AS64512 127.0.0.9", "tor AS64513 127.0.0.1"];
    assert_eq!(followed(&mut parts).await, expected);
    let status = parts.reporter.status().await.unwrap();
    assert_eq!(status.asn.0, 64600, "the resources' AS");
    let configured = parts
        .reporter
        .speaker
        .ask(|speaker| speaker.peers().count());
    assert_eq!(configured.await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_followed_and_what_cannot_be_read_is_told_and_costs_nothing_else() {
    let mut parts = start(
        &format!("{NODE}---{CONFIGURATION}{}", peer("tor", "127.0.0.1:9", "")),
        "",
    )
    .await;
    assert_eq!(followed(&mut parts).await, ["tor AS64513 127.0.0.1"]);
    let bad = peer("odd", "not-an-address", "");
    let here = peer("here", "127.0.0.2:9", ", nodeSelector: rack == 'a'");
    let elsewhere = peer("elsewhere", "127.0.0.3:9", ", nodeSelector: rack == 'b'");
    let all = format!(
        "{NODE}---{CONFIGURATION}{}{bad}{here}{elsewhere}",
        peer("tor", "127.0.0.1:9", "")
    );
    manifest(&parts, &all);
    assert_eq!(
        followed(&mut parts).await,
        ["here AS64513 127.0.0.2", "tor AS64513 127.0.0.1"]
    );
    let status = parts.reporter.status().await.unwrap();
    let mut warnings = status.config.warnings.iter();
    let told = warnings.any(|it| it.contains("BGPPeer odd: spec.peerIP"));
    assert!(told, "{:?}", status.config.warnings);
    let counts = parts.reporter.notices.counts();
    assert!(counts.told["ResourceNotHeeded"] > 0);

    // Sessions stay when what our AS is cannot be read any more.
    let unreadable = all.replace("64600", "'what'");
    manifest(&parts, &unreadable);
    let due = tokio::time::timeout(DEADLINE, parts.reloader.following.due());
    due.await.unwrap();
    parts.reloader.follow(Refresh::NewSecrets).await;
    assert_eq!(peers(&parts).await.len(), 2);
    let configured = parts
        .reporter
        .speaker
        .ask(|speaker| speaker.peers().count());
    assert_eq!(configured.await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_keeps_what_the_resources_say() {
    let mut parts = start(
        &format!("{NODE}---{CONFIGURATION}{}", peer("tor", "127.0.0.1:9", "")),
        "",
    )
    .await;
    followed(&mut parts).await;
    let more = "[[peers]]\nname = 'of-file'\naddress = '127.0.0.9'\nasn = 64512\nport = 9\n";
    parts.write(&format!("{TEXT}{more}"));
    parts.reloader.look(Trigger::Noticed).await;
    let both = ["of-file AS64512 127.0.0.9", "tor AS64513 127.0.0.1"];
    assert_eq!(peers(&parts).await, both);
    // Of two about one address, the file's counts.
    parts.write(&format!("{TEXT}{}", more.replace("127.0.0.9", "127.0.0.1")));
    parts.reloader.look(Trigger::Noticed).await;
    assert_eq!(peers(&parts).await, ["of-file AS64512 127.0.0.1"]);
    let status = parts.reporter.status().await.unwrap();
    let told = status
        .config
        .warnings
        .iter()
        .any(|it| it.contains("both about 127.0.0.1"));
    assert!(told, "{:?}", status.config.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_give_way_to_others_stay_until_these_are_up() {
    let mut parts = start(
        &format!("{NODE}---{CONFIGURATION}{}", peer("old", "127.0.0.1:9", "")),
        "",
    )
    .await;
    followed(&mut parts).await;
    // Nobody answers there: the new one does not come up.
    manifest(
        &parts,
        &format!("{NODE}---{CONFIGURATION}{}", peer("new", "127.0.0.2:9", "")),
    );
    let both = ["new AS64513 127.0.0.2", "old AS64513 127.0.0.1"];
    assert_eq!(followed(&mut parts).await, both);
    parts.reloader.follow(Refresh::NewSecrets).await;
    assert_eq!(peers(&parts).await, both, "and stay so");
    // Not for ever.
    parts.reloader.following.end_handover();
    parts.reloader.follow(Refresh::NewSecrets).await;
    assert_eq!(peers(&parts).await, ["new AS64513 127.0.0.2"]);
    // Where nothing comes in its place, a peer goes at once.
    manifest(&parts, &format!("{NODE}---{CONFIGURATION}"));
    assert_eq!(followed(&mut parts).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_key_or_filter_is_not_to_be_had_is_kept_down_and_no_other() {
    let key = ", password: {secretKeyRef: {name: keys, key: tor}}";
    let filter = ", filters: [none-of-it]";
    let manifests = format!(
        "{NODE}---{CONFIGURATION}{}{}{}",
        peer("keyed", "127.0.0.1:9", key),
        peer("filtered", "127.0.0.2:9", filter),
        peer("plain", "127.0.0.3:9", ""),
    );
    let mut parts = start(&manifests, "").await;
    assert_eq!(followed(&mut parts).await.len(), 3);
    let status = parts.reporter.status().await.unwrap();
    let told = |word: &str| status.config.warnings.iter().any(|it| it.contains(word));
    assert!(
        told("key tor of Secret keys"),
        "{:?}",
        status.config.warnings
    );
    assert!(
        told("is to be filtered by BGPFilter none-of-it"),
        "{:?}",
        status.config.warnings
    );
    let kept_down = status.peers.iter().filter(|peer| {
        let error = peer.last_error.as_deref().unwrap_or_default();
        error.contains("of Secret keys") || error.contains("BGPFilter none-of-it")
    });
    let names: Vec<_> = kept_down.map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["keyed", "filtered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_of_the_older_group_alone_count() {
    let manifests = format!("{NODE}---{CONFIGURATION}{}", peer("tor", "127.0.0.1:9", ""));
    let manifests = manifests.replace("projectcalico.org/v3", "crd.projectcalico.org/v1");
    let mut parts = start(&manifests, "").await;
    assert_eq!(followed(&mut parts).await, ["tor AS64513 127.0.0.1"]);
}
