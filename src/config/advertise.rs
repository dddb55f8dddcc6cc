//! `[advertise]`, and the variables of the environment that override a part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::raw::{Report, Section, Value};
use crate::candidates::{AddressSharing, AdvertiseConfig, PodCidrs, RouteLimits};
use crate::types::Prefix;

pub(super) const KEYS: &[&str] = &[
    "pod-cidrs",
    "service-cluster-cidrs",
    "service-external-cidrs",
    "service-load-balancer-cidrs",
    "load-balancer-classes",
    "service-proxy-names",
    "shared-addresses",
    "max-service-addresses",
    "max-service-routes",
];

/// More routes than any router holds.
const COUNT_MAX: u32 = 10_000_000;

const RUTTER_VARIABLE: &str = "RUTTER_ADVERTISE_CLUSTER_IPS";
const CALICO_VARIABLE: &str = "CALICO_ADVERTISE_CLUSTER_IPS";

/// What the environment has to say, as the caller found it. Each is ranges with commas between
/// them and replaces `advertise.service-cluster-cidrs`; an empty one is as good as none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `RUTTER_ADVERTISE_CLUSTER_IPS`.
    pub rutter_advertise_cluster_ips: Option<String>,
    /// `CALICO_ADVERTISE_CLUSTER_IPS`, so that a manifest written for Calico means the same here.
    pub calico_advertise_cluster_ips: Option<String>,
}

pub(super) fn read(
    top: &Section<'_>,
    overrides: &Overrides,
    report: &mut Report,
    warnings: &mut Vec<String>,
) -> AdvertiseConfig {
    let section = Section::of(top.value("advertise").as_ref(), KEYS, report);
    let pod_cidrs = section.value("pod-cidrs");
    let pod_cidrs = pod_cidrs.and_then(|value| value.boolean(report));
    let mut cidrs = |key| ranges(section.value(key).as_ref(), report);
    let [cluster, external, load_balancer] = [
        cidrs("service-cluster-cidrs"),
        cidrs("service-external-cidrs"),
        cidrs("service-load-balancer-cidrs"),
    ];
    let load_balancer_classes = section.value("load-balancer-classes");
    let service_proxy_names = section.value("service-proxy-names");
    AdvertiseConfig {
        load_balancer_classes: load_balancer_classes.and_then(|value| texts(&value, report)),
        service_proxy_names: service_proxy_names
            .and_then(|value| texts(&value, report))
            .unwrap_or_default(),
        address_sharing: section
            .value("shared-addresses")
            .and_then(|value| address_sharing(&value, report))
            .unwrap_or_default(),
        limits: limits(&section, report),
        // Those of peers, which are read elsewhere.
        peer_addresses: BTreeMap::new(),
        own_addresses: BTreeSet::new(),
        pod_cidrs: match pod_cidrs {
            Some(true) | None => PodCidrs::Advertise,
            Some(false) => PodCidrs::Ignore,
        },
        service_cluster_cidrs: overridden(overrides, report, warnings).unwrap_or(cluster),
        service_external_cidrs: external,
        service_load_balancer_cidrs: load_balancer,
    }
}

fn address_sharing(value: &Value<'_>, report: &mut Report) -> Option<AddressSharing> {
    match value.string(report)? {
        "within-namespace" => Some(AddressSharing::WithinNamespace),
        "anyone" => Some(AddressSharing::Anyone),
        other => {
            let problem = format!("is {other:?}; write \"within-namespace\" or \"anyone\"");
            value.problem(problem, report);
            None
        }
    }
}

fn limits(section: &Section<'_>, report: &mut Report) -> RouteLimits {
    let RouteLimits {
        service_addresses,
        service_routes,
    } = RouteLimits::DEFAULT;
    let mut number = |key, default| {
        let value = section.value(key);
        let number = value.and_then(|value| value.integer(1, COUNT_MAX, report));
        number.map_or(default, |number| number as usize)
    };
    RouteLimits {
        service_addresses: number("max-service-addresses", service_addresses),
        service_routes: number("max-service-routes", service_routes),
    }
}

fn texts(value: &Value<'_>, report: &mut Report) -> Option<Vec<String>> {
    let elements = value.list("a list of strings", report)?;
    let texts = elements.iter().filter_map(|element| element.string(report));
    Some(texts.map(str::to_owned).collect())
}

fn ranges(value: Option<&Value<'_>>, report: &mut Report) -> Vec<Prefix> {
    let elements = value.and_then(|value| value.list("a list of strings", report));
    let mut ranges = Vec::new();
    for element in elements.into_iter().flatten() {
        let Some(text) = element.string(report) else {
            continue;
        };
        match range(text, &ranges) {
            Ok(range) => ranges.push(range),
            Err(problem) => element.problem(problem, report),
        }
    }
    ranges
}

/// The ranges that the environment puts in place of the file's.
fn overridden(
    overrides: &Overrides,
    report: &mut Report,
    warnings: &mut Vec<String>,
) -> Option<Vec<Prefix>> {
    let ours = items(overrides.rutter_advertise_cluster_ips.as_deref());
    let calicos = items(overrides.calico_advertise_cluster_ips.as_deref());
    let (variable, items) = match (ours, calicos) {
        (None, None) => return None,
        (None, Some(calicos)) => (CALICO_VARIABLE, calicos),
        (Some(ours), None) => (RUTTER_VARIABLE, ours),
        (Some(ours), Some(calicos)) => {
            if ours != calicos {
                warnings.push(format!(
                    "{RUTTER_VARIABLE} ({}) and {CALICO_VARIABLE} ({}) differ; the first is used",
                    ours.join(","),
                    calicos.join(",")
                ));
            }
            (RUTTER_VARIABLE, ours)
        }
    };
    let mut ranges = Vec::new();
    for item in items {
        match range(item, &ranges) {
            Ok(range) => ranges.push(range),
            Err(problem) => report.environment(variable, problem),
        }
    }
    Some(ranges)
}

/// What stands between the commas; nothing for a variable that is unset or empty.
fn items(variable: Option<&str>) -> Option<Vec<&str>> {
    let items = variable?.split(',').map(str::trim);
    let items: Vec<_> = items.filter(|item| !item.is_empty()).collect();
    (!items.is_empty()).then_some(items)
}

/// A range that may be announced, and is not among those `before` it.
pub(crate) fn range(text: &str, before: &[Prefix]) -> Result<Prefix, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let host = Prefix::host(address);
        return Err(format!(
            "is {text:?}, without a length; write {host} for this one address"
        ));
    }
    let Ok(net) = text.parse::<IpNet>() else {
        return Err(format!(
            "is {text:?}; write an address and a length, such as 172.16.0.0/16"
        ));
    };
    let range = Prefix::new(net);
    if range.net() != net {
        return Err(format!(
            "is {text:?}, which has host bits set; write {range}"
        ));
    }
    if range.length() == 0 {
        return Err(format!(
            "is {range}, a default route, which would draw all traffic here; write the range that \
             Services have their addresses from"
        ));
    }
    if before.contains(&range) {
        return Err(format!("is {range}, which is listed already"));
    }
    match range.unroutable() {
        Some(kind) => Err(format!("is {range}, which is {kind} and never routed")),
        None => Ok(range),
    }
}
