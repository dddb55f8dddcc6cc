//! Routes to the blocks of IPPools, as Calico's BIRD has them.

use super::*;
use crate::support::process::run;

/// Another node's block.
const BLOCK: &str = "10.244.12.0/26";

/// An interface by the name that IP-in-IP tunnels have. A kernel without these makes a bridge: what
/// becomes of packets there is not what this is about.
fn add_tunnel(host: &Host) {
    let mut real = host.command("ip");
    let real = run(real.args(["link", "set", "tunl0", "up"]));
    if real.is_err() {
        println!("no IP-in-IP in this kernel: a bridge takes its place");
        ip(host, "link add tunl0 type bridge");
        ip(host, "link set tunl0 up");
    }
}

fn pool(modes: &str) -> String {
    format!("{INSTALL}[[ip-pools]]\ncidr = \"10.244.0.0/16\"\n{modes}\n")
}

/// The routes to the block of ours, as `ip` prints them.
fn shown(host: &Host) -> Result<String, String> {
    let mut ip = host.command("ip");
    let shown = run(ip.args(["route", "show", "proto", OURS, BLOCK]))?;
    Ok(shown.trim().to_owned())
}

#[track_caller]
fn shows(host: &Host, expected: &str) {
    eventually(START_LIMIT, || equal(shown(host)?, expected.to_owned()));
}

#[test]
fn a_route_leads_by_the_tunnel_or_without_one_or_is_felix_s_and_is_replaced_in_one_step() {
    let site = Site::new();
    let host = &site.node.host;
    let mut bird = site.bird(&[BLOCK, "100.64.0.0/16"]);
    let agent = site.agent(1, &pool("ipip = \"always\""));
    site.kernel_has(&[("100.64.0.0/16", &[0])]);
    let words = "it is in the IPPool 10.244.0.0/16, whose traffic goes by tunl0, which Felix has \
                 to make";
    eventually(CHANGE_LIMIT, || {
        equal(path(&agent, BLOCK, "r0")?, unfit(words))
    });
    // The tunnel comes.
    add_tunnel(host);
    let by_tunnel = "10.244.12.0/26 via 10.9.0.1 dev tunl0 metric 4096 onlink";
    shows(host, by_tunnel);
    eventually(CHANGE_LIMIT, || {
        equal(path(&agent, BLOCK, "r0")?, Some(KernelPath::Installed))
    });

    // Other modes, taken up by the running agent.
    let monitor = Monitor::start(host);
    agent.configure(&site.config(1, &pool("ipip = \"cross-subnet\"")));
    let plain = "10.244.12.0/26 via 10.9.0.1 dev eth0 metric 4096";
    shows(host, plain);
    agent.configure(&site.config(1, &pool("ipip = \"always\"")));
    shows(host, by_tunnel);
    // A next hop in another network: by the tunnel, although a router leads there.
    agent.configure(&site.config(1, &pool("ipip = \"cross-subnet\"")));
    shows(host, plain);
    ip(host, "route add 10.2.0.0/24 via 10.9.0.1");
    bird.configure_next_hop(&site.announcing(0, &[BLOCK]), "10.2.0.12");
    shows(
        host,
        "10.244.12.0/26 via 10.2.0.12 dev tunl0 metric 4096 onlink",
    );
    assert_eq!(
        deletions(&monitor, BLOCK),
        [""; 0],
        "replaced, each in one step"
    );
    drop(monitor);

    agent.configure(&site.config(1, &pool("vxlan = \"cross-subnet\"")));
    shows(host, "");
    let words = "it is in the IPPool 10.244.0.0/16, whose routes Felix makes";
    eventually(CHANGE_LIMIT, || {
        equal(path(&agent, BLOCK, "r0")?, unfit(words))
    });
    agent.configure(&site.config(1, INSTALL));
    shows(host, "10.244.12.0/26 via 10.9.0.1 dev eth0 metric 4096");
}
