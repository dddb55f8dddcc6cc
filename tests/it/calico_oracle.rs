//! What Calico makes of its resources, from its own tests, against what we make of them.
//!
//! A case is a folder: resources, and the BGP sessions that Calico configures from them on one
//! node. Each session is held against ours in everything that is said of it. Where we differ on
//! purpose stands in [`DELIBERATE`]; what differs otherwise fails, and so does an entry that
//! nothing needs.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rutter::calico::{NodeConfig, Resources, objects_in};
use rutter::policy::Direction;
use rutter::topology::{NextHopMode, PasswordSource, Peering, Reflection};
use rutter::types::{Asn, BGP_PORT, ConnectMode, Family, PeerType};
use serde::Deserialize;
use serde_json::Value;

/// The node whose sessions the cases have.
const NODE: &str = "kube-master";

/// Where the cases are; `none` to do without.
const VARIABLE: &str = "RUTTER_TEST_CALICO_CASES";

/// A case, what is different there, and why it is meant to be.
const DELIBERATE: &[(&str, &str, &str)] = &[
    (
        "explicit_peering__global",
        "10.192.0.1:150 is missing",
        ONE_SESSION,
    ),
    (
        "explicit_peering__global-external",
        "10.192.0.4:179 is missing",
        ONE_SESSION,
    ),
    (
        "reachable_by__route_reflectors",
        "ffee::10:179 is missing",
        MULTICAST,
    ),
    (
        "reachable_by__route_reflectors",
        "ffee::11:179 is missing",
        MULTICAST,
    ),
];

const MULTICAST: &str = "a multicast address is no peer's: the BGPPeer is left out, and told";

const ONE_SESSION: &str = "a session is known by the address it comes from, so that of two with one \
                           address the first by name is held; the other is told as a conflict";

/// `expected.json`. Every key must be known, for none to be passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    ipv4: ExpectedFamily,
    ipv6: ExpectedFamily,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedFamily {
    /// Of the agent, not of the resources.
    #[serde(rename = "router_id")]
    _router_id: String,
    /// Absent where it is the usual one, or stands beside an address to listen at.
    listen_port: Option<String>,
    /// Absent where the node has no address of the family.
    local_as: Option<String>,
    peers: Vec<ExpectedPeer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedPeer {
    protocol: String,
    neighbor: IpAddr,
    asn: u32,
    port: Option<u16>,
    source_address: Option<IpAddr>,
    local_as: Option<u32>,
    #[serde(default)]
    allow_local_as: u8,
    passive: bool,
    rr_client: bool,
    cluster_id: Option<String>,
    ttl_security: bool,
    ttl_security_hops: Option<u8>,
    next_hop_keep: Option<String>,
    next_hop_self: Option<String>,
    password: Option<String>,
    restart_time: Option<u64>,
    keepalive_time: Option<u64>,
    #[serde(default)]
    import_filters: Vec<String>,
    #[serde(default)]
    export_filters: Vec<String>,
    export_external_rules: bool,
}

#[test]
fn every_case_gives_calicos_sessions() {
    let Some(folder) = folder() else {
        println!("{VARIABLE} is `none`: Calico's cases are not looked at");
        return;
    };
    let mut cases = BTreeSet::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.join("expected.json").exists() {
            cases.insert(path);
        }
    }
    assert!(cases.len() >= 27, "{} cases in {folder:?}", cases.len());
    let mut unneeded: BTreeSet<_> = DELIBERATE.iter().collect();
    let mut wrong = Vec::new();
    let mut sessions = 0;
    for path in &cases {
        let case = path.file_name().unwrap().to_str().unwrap();
        let (count, differences) = differences(path);
        sessions += count;
        for what in differences {
            let is_meant = |(of, meant, _): &&(&str, &str, &str)| *of == case && *meant == what;
            match DELIBERATE.iter().find(is_meant) {
                Some(entry) => {
                    unneeded.remove(entry);
                }
                None => wrong.push(format!("{case}: {what}")),
            }
        }
    }
    wrong.extend(
        unneeded.into_iter().map(|(case, what, _)| {
            format!("{case}: is as Calico has it, against the table: {what}")
        }),
    );
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    println!(
        "{} cases, {sessions} sessions, {} differences on purpose:",
        cases.len(),
        DELIBERATE.len()
    );
    for (case, what, why) in DELIBERATE {
        println!("  {case}: {what}: {why}");
    }
}

fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/calico-oracle");
    let folder = match std::env::var_os(VARIABLE) {
        Some(none) if none == "none" => return None,
        Some(folder) => folder.into(),
        None => beside,
    };
    assert!(
        folder.is_dir(),
        "{VARIABLE}: {} is no folder; name the one with Calico's cases, or `none` to do without",
        folder.display()
    );
    Some(folder)
}

/// How many sessions a case has, and what is not as it expects.
fn differences(case: &Path) -> (usize, Vec<String>) {
    let read = |name: &str| fs::read_to_string(case.join(name)).unwrap();
    let expected: Expected = serde_json::from_str(&read("expected.json")).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&read("input.yaml")).unwrap();
    let mut resources = Resources::default();
    for (kind, group, object) in documents.into_iter().flat_map(objects_in) {
        resources.apply(kind, group, &object);
    }
    let config = resources.node(NODE).unwrap();
    let mut found = Vec::new();
    let families = [
        (Family::Ipv4Unicast, expected.ipv4),
        (Family::Ipv6Unicast, expected.ipv6),
    ];
    let mut sessions = 0;
    for (family, expected) in families {
        sessions += expected.peers.len();
        compare_family(&config, family, &expected, &mut found);
    }
    (sessions, found)
}

fn compare_family(
    config: &NodeConfig,
    family: Family,
    expected: &ExpectedFamily,
    found: &mut Vec<String>,
) {
    let own = &config.peerings;
    if let Some(asn) = &expected.local_as {
        is_same(
            &format!("{family} AS"),
            asn.parse().unwrap(),
            own.asn.0,
            found,
        );
    }
    if let Some(port) = &expected.listen_port {
        let port: u16 = port.parse().unwrap();
        is_same(&format!("{family} port"), port, own.listen_port, found);
    }
    let mut left: Vec<&Peering> = own
        .peers
        .iter()
        .filter(|peer| Family::of(peer.address) == family)
        .collect();
    for peer in &expected.peers {
        let port = peer.port.unwrap_or(BGP_PORT);
        let name = format!("{}:{port}", peer.neighbor);
        let place = left
            .iter()
            .position(|ours| (ours.address, ours.port) == (peer.neighbor, port));
        match place {
            Some(place) => compare(config, &name, family, peer, left.remove(place), found),
            None => found.push(format!("{name} is missing")),
        }
    }
    for ours in left {
        found.push(format!("{}:{} is not Calico's", ours.address, ours.port));
    }
}

fn compare(
    config: &NodeConfig,
    name: &str,
    family: Family,
    expected: &ExpectedPeer,
    ours: &Peering,
    found: &mut Vec<String>,
) {
    let own = &config.peerings;
    let mut same = |what: &str, expected: &dyn Debug, ours: &dyn Debug| {
        is_same(
            &format!("{name} {what}"),
            format!("{expected:?}"),
            format!("{ours:?}"),
            found,
        );
    };
    let peer_type = match expected.protocol.split_once('_').unwrap().0 {
        "Mesh" => PeerType::NodeMesh,
        "Global" => PeerType::GlobalPeer,
        "Node" => PeerType::NodePeer,
        other => panic!("{other}"),
    };
    same("type", &peer_type, &ours.peer_type);
    same("AS", &Asn(expected.asn), &ours.asn);
    same("source", &expected.source_address, &ours.local_address);
    same("local AS", &expected.local_as.map(Asn), &ours.local_asn);
    same("own AS", &expected.allow_local_as, &ours.own_asn_allowed);
    let is_passive = ours.connect_mode == ConnectMode::Passive;
    same("passive", &expected.passive, &is_passive);
    let is_client = ours.reflection == Reflection::Client;
    same("client", &expected.rr_client, &is_client);
    let cluster_id = own.cluster_id.filter(|_| is_client);
    let cluster_id = cluster_id.map(|id| id.0.to_string());
    same("cluster id", &expected.cluster_id, &cluster_id);
    let hops = ours.ttl_security.map(std::num::NonZeroU8::get);
    same("TTL security", &expected.ttl_security, &hops.is_some());
    same("TTL security's hops", &expected.ttl_security_hops, &hops);
    let next_hop = match (&expected.next_hop_keep, &expected.next_hop_self) {
        (Some(_), _) => NextHopMode::Keep,
        (None, Some(_)) => NextHopMode::SelfAddress,
        (None, None) => NextHopMode::Auto,
    };
    same("next hop", &next_hop, &ours.next_hop_mode);
    let password = ours.password.as_ref().map(|password| match password {
        PasswordSource::File(file) => file.display().to_string(),
        PasswordSource::Secret { name, key } => format!("{name}/{key}"),
    });
    same("password", &expected.password, &password);
    let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs());
    same(
        "restart",
        &expected.restart_time,
        &seconds(ours.restart_time),
    );
    same(
        "keepalive",
        &expected.keepalive_time,
        &seconds(ours.keepalive_time),
    );
    let is_external = ours.local_asn.unwrap_or(own.asn) != ours.asn;
    same("external", &expected.export_external_rules, &is_external);
    for (direction, expected) in [
        (Direction::Import, &expected.import_filters),
        (Direction::Export, &expected.export_filters),
    ] {
        let ours = filters(config, ours, direction, family);
        same(direction.key(), expected, &ours);
    }
}

/// The filters with rules for the direction and the family, as Calico calls them.
fn filters(
    config: &NodeConfig,
    ours: &Peering,
    direction: Direction,
    family: Family,
) -> Vec<String> {
    let key = match (direction, family) {
        (Direction::Export, Family::Ipv4Unicast) => "exportV4",
        (Direction::Export, Family::Ipv6Unicast) => "exportV6",
        (Direction::Import, Family::Ipv4Unicast) => "importV4",
        (Direction::Import, Family::Ipv6Unicast) => "importV6",
    };
    let filters = config.filters_of(ours).filter(|(_, filter)| {
        let settings = filter.settings(direction);
        settings.is_some_and(|settings| settings.get(key).is_some())
    });
    let name = |name: &str| {
        let (direction, version) = key.split_at(6);
        format!("bgp_{}_{direction}Filter{version}", in_bird(name))
    };
    filters.map(|(filter, _)| name(filter)).collect()
}

/// A name as BIRD takes it: of 45 octets at most, a longer one by its beginning and a digest.
fn in_bird(name: &str) -> String {
    use sha2::{Digest as _, Sha256};
    const NAME_BYTES_MAX: usize = 45;
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let digest: String = Sha256::digest(name)
        .iter()
        .take(8)
        .map(|octet| format!("{octet:02X}"))
        .collect();
    format!("{}_{digest}", &name[..NAME_BYTES_MAX - 1 - digest.len()])
}

fn is_same<T: PartialEq + Debug>(what: &str, expected: T, ours: T, found: &mut Vec<String>) {
    if expected != ours {
        found.push(format!("{what}: Calico has {expected:?}, we have {ours:?}"));
    }
}
