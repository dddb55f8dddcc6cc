//! `[bgp]`, and AS numbers wherever they are written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::raw::{Report, Section, Value};
use super::{BgpConfig, RouterIdConfig, hold_time, restart_time};
use crate::types::{Asn, BGP_PORT, ClusterId, HoldTime, RestartTime, RouterId};

pub(super) const KEYS: &[&str] = &[
    "asn",
    "router-id",
    "cluster-id",
    "listen",
    "hold-time",
    "graceful-restart",
];

/// What Calico's default BGPConfiguration has, so that its users need not look it up.
const ASN_DEFAULT: Asn = Asn(64512);

const LISTEN_DEFAULT: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), BGP_PORT),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), BGP_PORT),
];

impl Default for BgpConfig {
    fn default() -> Self {
        Self {
            asn: ASN_DEFAULT,
            router_id: RouterIdConfig::Auto,
            cluster_id: None,
            listen: LISTEN_DEFAULT.to_vec(),
            hold_time: HoldTime::DEFAULT,
            restart_time: Some(RestartTime::DEFAULT),
        }
    }
}

pub(super) fn read(top: &Section<'_>, report: &mut Report) -> BgpConfig {
    let section = Section::of(top.value("bgp").as_ref(), KEYS, report);
    let asn_of = |value: Value<'_>| asn(&value, report);
    let asn = section.value("asn").and_then(asn_of);
    let router_id_of = |value: Value<'_>| router_id(&value, report);
    let router_id = section.value("router-id").and_then(router_id_of);
    let cluster_id_of = |value: Value<'_>| cluster_id(&value, report);
    let cluster_id = section.value("cluster-id").and_then(cluster_id_of);
    let hold_time_of = |value: Value<'_>| hold_time::read(&value, report);
    let hold_time = section.value("hold-time").and_then(hold_time_of);
    let restart_time_of = |value: Value<'_>| restart_time::read(&value, report);
    let restart_time = section.value("graceful-restart").and_then(restart_time_of);
    BgpConfig {
        asn: asn.unwrap_or(ASN_DEFAULT),
        router_id: router_id.unwrap_or(RouterIdConfig::Auto),
        cluster_id,
        listen: listen(section.value("listen").as_ref(), report),
        hold_time: hold_time.unwrap_or(HoldTime::DEFAULT),
        restart_time: restart_time.unwrap_or(Some(RestartTime::DEFAULT)),
    }
}

/// An AS number that a network can have.
pub(super) fn asn(value: &Value<'_>, report: &mut Report) -> Option<Asn> {
    let number = value.integer(1, u32::MAX - 1, report)?;
    match Asn::assignable(number) {
        Ok(asn) => Some(asn),
        Err(error) => {
            let advice = "write the network's own AS number";
            value.problem(format!("{error}; {advice}"), report);
            None
        }
    }
}

fn router_id(value: &Value<'_>, report: &mut Report) -> Option<RouterIdConfig> {
    let text = value.string(report)?;
    if text == "auto" {
        return Some(RouterIdConfig::Auto);
    }
    let Ok(address) = text.parse::<Ipv4Addr>() else {
        let problem = format!("is {text:?}; write \"auto\" or an IPv4 address");
        value.problem(problem, report);
        return None;
    };
    match RouterId::assignable(address) {
        Ok(id) => Some(RouterIdConfig::Fixed(id)),
        Err(error) => {
            value.problem(format!("is {text:?}: {error}"), report);
            None
        }
    }
}

/// Any four octets: RFC 4456 section 7 asks for no more.
fn cluster_id(value: &Value<'_>, report: &mut Report) -> Option<ClusterId> {
    let text = value.string(report)?;
    let address = text.parse().ok();
    if address.is_none() {
        let problem = format!("is {text:?}; write it as an IPv4 address, such as \"244.0.0.1\"");
        value.problem(problem, report);
    }
    address.map(ClusterId)
}

fn listen(value: Option<&Value<'_>>, report: &mut Report) -> Vec<SocketAddr> {
    let Some(value) = value else {
        return LISTEN_DEFAULT.to_vec();
    };
    let elements = value.list("a list of strings", report).unwrap_or_default();
    let mut addresses = Vec::new();
    for element in elements {
        let Some(address) = element.socket_address("such as 0.0.0.0:179 or [::]:179", report)
        else {
            continue;
        };
        if addresses.contains(&address) {
            element.problem(format!("is {address}, which is listed already"), report);
        } else if address.ip().is_multicast() {
            let problem = format!("is {address}, which is no single host's address");
            element.problem(problem, report);
        }
        addresses.push(address);
    }
    addresses
}
