//! A changed configuration file is taken into use without touching what it does not change, or
//! refused as a whole.

use std::fs;
use std::os::unix::fs::symlink;

use super::cluster::{
    FABRIC_ASN, LOAD_BALANCER_CIDRS, WORKERS, expected_table, neighbors, peers_of,
};
use super::fabric::{CHANGE_LIMIT, Fabric, START_LIMIT};
use crate::support::agent::config_check;
use crate::support::router::{self, RouterConfig, RouterKind, Table};
use crate::support::wait::{equal, eventually};

fn fabric() -> Fabric {
    let fabric = Fabric::start(&[WORKERS[0]], &[(RouterKind::Bird, FABRIC_ASN, "tor")]);
    fabric.has_settled();
    fabric
}

#[test]
fn a_new_peer_leaves_the_other_sessions_alone() {
    let mut fabric = fabric();
    let histories = fabric.histories();
    let sent = fabric.updates_sent();

    let host = fabric.network.host(2);
    let config = RouterConfig {
        asn: FABRIC_ASN + 1,
        neighbors: neighbors(&fabric.nodes),
        announced: Vec::new(),
    };
    let second = router::start(RouterKind::Frr, &host, &config);
    let mut with_second = fabric.config.clone();
    with_second
        .peers
        .extend(peers_of(second.as_ref(), "second"));
    fabric.agents[0].configure(&with_second);
    let expected = expected_table(&fabric.nodes);
    eventually(START_LIMIT, || {
        second.established_with(&fabric.node_addresses())
    });
    eventually(CHANGE_LIMIT, || second.has_exactly(&expected));
    assert_eq!(fabric.histories(), histories, "a session moved");

    fabric.agents[0].configure(&fabric.config);
    eventually(CHANGE_LIMIT, || second.has_exactly(&Table::default()));
    eventually(CHANGE_LIMIT, || fabric.agents[0].is_well());
    assert_eq!(fabric.histories(), histories, "a session moved");
    assert_eq!(fabric.updates_sent(), sent, "something was sent again");
    fabric.has_settled();
}

#[test]
fn a_peer_moved_between_groups_keeps_session_and_routes() {
    let mut fabric = fabric();
    // In the end all routes are taken away, and brought back.
    fabric.config.guard = "\"100%\"";
    let agent = &fabric.agents[0];
    let (histories, sent) = (fabric.histories(), fabric.updates_sent());
    let reloads = || agent.metric("rutter_notices_total{reason=\"ConfigurationReloaded\"}");
    let plain = agent.rendered(&fabric.config);
    let with = |more: &str| plain.replace("[[peers]]\n", &format!("[[peers]]\n{more}\n"));
    for more in [
        "group = 'tors'",
        "group = 'tors'\nlabels = { site = 'a' }",
        "labels = { site = 'a' }",
        "group = 'spines'",
    ] {
        let before = reloads().unwrap();
        agent.configure_text(&with(more));
        eventually(CHANGE_LIMIT, || equal(reloads()?, before + 1.0));
        fabric.has_settled();
        assert_eq!(fabric.histories(), histories, "a session moved: {more}");
        assert_eq!(fabric.updates_sent(), sent, "something was sent: {more}");
    }

    // A policy for one group decides nothing about the other, whose chain ends in reject.
    let scoped = "[[policies]]\nname = 'default'\npeers = ['tors']\n";
    let (tors, rest) = (with("group = 'tors'"), with("group = 'spines'"));
    agent.configure_text(&(tors.clone() + scoped));
    fabric.has_settled();
    let other_peer = "[[peers]]\nname = 'other'\naddress = '192.0.2.77'\nasn = 64999\n\
                      passive = true\ngroup = 'tors'\n";
    agent.configure_text(&(rest + other_peer + scoped));
    eventually(CHANGE_LIMIT, || {
        fabric.routers[0].has_exactly(&Table::default())
    });
    agent.configure_text(&(tors + scoped));
    fabric.has_settled();
    assert_eq!(fabric.histories(), histories, "a session moved");
}

#[test]
fn a_changed_range_changes_routes_and_no_session() {
    let fabric = fabric();
    let histories = fabric.histories();
    let complete = expected_table(&fabric.nodes);
    let of_range = |prefix: &str| prefix.parse().unwrap();
    let gone = [of_range("203.0.113.0/24"), of_range("203.0.113.30/32")];
    let reduced = complete.without(&fabric.node_addresses(), &gone);

    let mut without_range = fabric.config.clone();
    without_range.load_balancer_cidrs = vec![LOAD_BALANCER_CIDRS[1]];
    fabric.agents[0].configure(&without_range);
    eventually(CHANGE_LIMIT, || fabric.routers[0].has_exactly(&reduced));
    fabric.agents[0].configure(&fabric.config);
    eventually(CHANGE_LIMIT, || fabric.routers[0].has_exactly(&complete));
    assert_eq!(fabric.histories(), histories, "a session moved");
}

#[test]
fn an_invalid_file_is_refused_with_its_line_and_everything_stays() {
    let fabric = fabric();
    let agent = &fabric.agents[0];
    let (histories, sent) = (fabric.histories(), fabric.updates_sent());
    let loaded_at = agent.status().unwrap().config.loaded_at;

    let good = agent.rendered(&fabric.config);
    let bad = good.replace("hold-time", "hold-tmie");
    assert_ne!(bad, good);
    let line = 1 + bad
        .lines()
        .position(|line| line.contains("hold-tmie"))
        .unwrap();
    agent.configure_text(&bad);
    let error = eventually(CHANGE_LIMIT, || {
        agent.status()?.config.error.ok_or("not refused".to_owned())
    });
    let place = format!("{}:{line}", agent.config_file().display());
    assert!(error.contains(&place), "{error} does not say {place}");
    assert!(
        error.contains("hold-tmie") && error.contains("hold-time"),
        "{error}"
    );
    assert_eq!(agent.status().unwrap().config.loaded_at, loaded_at);
    let complaint = config_check(&agent.config_file()).unwrap_err();
    assert!(
        complaint.contains(&place),
        "{complaint} does not say {place}"
    );

    fabric.has_settled();
    assert_eq!(fabric.histories(), histories, "a session moved");
    assert_eq!(fabric.updates_sent(), sent, "something was sent");

    agent.configure_text(&good);
    eventually(CHANGE_LIMIT, || equal(agent.status()?.config.error, None));
    config_check(&agent.config_file()).unwrap();
}

#[test]
fn a_swapped_config_map_is_taken_into_use() {
    let fabric = fabric();
    let agent = &fabric.agents[0];
    let histories = fabric.histories();
    let file = agent.config_file();
    let folder = file.parent().unwrap();
    let version = |name: &str, text: &str| {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("rutter.toml"), text).unwrap();
        let scratch = folder.join("..data_tmp");
        symlink(name, &scratch).unwrap();
        fs::rename(scratch, folder.join("..data")).unwrap();
    };
    // As the kubelet lays it out: rutter.toml -> ..data/rutter.toml, ..data -> a version.
    version("..2026_01", &agent.rendered(&fabric.config));
    let link = folder.join("link");
    symlink("..data/rutter.toml", &link).unwrap();
    fs::rename(link, &file).unwrap();

    let mut without_range = fabric.config.clone();
    without_range.external_cidrs = Vec::new();
    version("..2026_02", &agent.rendered(&without_range));
    fs::remove_dir_all(folder.join("..2026_01")).unwrap();
    let complete = expected_table(&fabric.nodes);
    let gone = ["198.51.100.0/24".parse().unwrap()];
    let reduced = complete.without(&fabric.node_addresses(), &gone);
    eventually(CHANGE_LIMIT, || fabric.routers[0].has_exactly(&reduced));

    version("..2026_03", &agent.rendered(&fabric.config));
    fs::remove_dir_all(folder.join("..2026_02")).unwrap();
    eventually(CHANGE_LIMIT, || fabric.routers[0].has_exactly(&complete));
    assert_eq!(fabric.histories(), histories, "a session moved");
}
