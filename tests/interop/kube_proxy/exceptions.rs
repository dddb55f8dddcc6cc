//! What an agent announces follows from what kube-proxy answers; and where it does not, why.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rutter::types::Family;

use super::addresses::{Coverage, Kind};
use super::objects::{Endpoint, Policy, Presence, Service, Slice, SourceRanges};

/// One address of one Service, entered at one node.
#[derive(Clone, Debug)]
pub(super) struct Case<'a> {
    pub(super) service: &'a Service,
    /// Of the family of the address.
    pub(super) slices: &'a [&'a Slice],
    pub(super) kind: Kind,
    pub(super) address: IpAddr,
    /// Whether the node answers for a port of the Service at this address.
    pub(super) answered: bool,
    /// Whether it answers for a node port of the Service at its own address of the family: they
    /// obey the external policy, and nothing else.
    pub(super) node_port_answered: bool,
}

/// What an agent has to do about a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Announced,
    NotAnnounced,
    /// Chance decides what is answered.
    Either,
}

/// Cases that are not announced exactly when they are answered.
pub(super) struct Exception {
    pub(super) reason: &'static str,
    applies: fn(&Case<'_>) -> bool,
    expects: Instead,
}

/// What counts instead of whether it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    /// It is not announced.
    Never,
    /// It may be announced or not.
    Chance,
    /// It is announced where node ports are answered.
    NodePort,
    /// It is announced where it is answered, and so are node ports.
    NodePortToo,
}

/// All of them. The first that applies to a case decides.
pub(super) const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "no configured range has the address: it is not ours to announce",
        applies: |case| Coverage::of(case.address) == Coverage::Nothing,
        expects: Instead::Never,
    },
    Exception {
        reason: "the Service is being deleted: it is withdrawn at once, and kube-proxy serves it until it is gone",
        applies: |case| case.service.presence == Presence::Deleting,
        expects: Instead::Never,
    },
    Exception {
        reason: "records of one endpoint in several slices contradict each other: kube-proxy takes one by chance",
        applies: |case| contradictory(case.slices),
        expects: Instead::Chance,
    },
    Exception {
        reason: "every node answers, and every node announces the range that covers the address",
        applies: |case| {
            Coverage::of(case.address) == Coverage::Range && !is_local(case.service, case.kind)
        },
        expects: Instead::Never,
    },
    Exception {
        reason: "cluster IP of a Service of node ports whose external policy is Local: every node answers, but as in Calico those with an endpoint announce it",
        applies: |case| case.kind == Kind::Cluster && external_local(case.service),
        expects: Instead::NodePortToo,
    },
    Exception {
        reason: "loadBalancerSourceRanges keep this client out, and let others in",
        applies: |case| {
            let service = case.service;
            service.source_ranges == SourceRanges::Others
                && service
                    .ingress
                    .iter()
                    .any(|ingress| ingress.address == case.address && ingress.mode != Some("Proxy"))
        },
        expects: Instead::NodePort,
    },
];

impl Case<'_> {
    /// What an agent has to do about it, and by which of [`EXCEPTIONS`] that is not what kube-proxy
    /// does.
    pub(super) fn expected(&self) -> (Expected, Option<usize>) {
        let by_rule = Expected::when(self.answered);
        let found = EXCEPTIONS
            .iter()
            .position(|exception| (exception.applies)(self));
        let Some(index) = found else {
            return (by_rule, None);
        };
        let expected = match EXCEPTIONS[index].expects {
            Instead::Never => Expected::NotAnnounced,
            Instead::Chance => Expected::Either,
            Instead::NodePort => Expected::when(self.node_port_answered),
            Instead::NodePortToo => Expected::when(self.answered && self.node_port_answered),
        };
        (expected, (expected != by_rule).then_some(index))
    }
}

impl Expected {
    fn when(announced: bool) -> Self {
        if announced {
            Self::Announced
        } else {
            Self::NotAnnounced
        }
    }
}

/// Whether only some nodes are to serve an address of this kind.
fn is_local(service: &Service, kind: Kind) -> bool {
    match kind {
        Kind::Cluster => service.internal_policy == Policy::Local || external_local(service),
        Kind::External | Kind::LoadBalancer => service.external_policy == Policy::Local,
    }
}

/// Whether it has node ports that obey an external policy Local.
fn external_local(service: &Service) -> bool {
    service.has_node_ports() && service.external_policy == Policy::Local
}

/// Whether kube-proxy has a choice between records of one endpoint. In one slice it has none: the
/// last wins that does not terminate, else the first. Slices it takes in any order.
fn contradictory(slices: &[&Slice]) -> bool {
    let mut records: BTreeMap<_, Vec<&Endpoint>> = BTreeMap::new();
    for slice in slices {
        for port in &slice.ports {
            let mut of_slice: BTreeMap<_, &Endpoint> = BTreeMap::new();
            for endpoint in &slice.endpoints {
                let first = !of_slice.contains_key(&endpoint.address);
                if first || endpoint.terminating != Some(true) {
                    of_slice.insert(endpoint.address, endpoint);
                }
            }
            for (address, endpoint) in of_slice {
                let name = port.name.unwrap_or_default();
                let key = (name, port.number, address);
                records.entry(key).or_default().push(endpoint);
            }
        }
    }
    records.into_values().any(|records| {
        let running: Vec<&Endpoint> = records
            .iter()
            .copied()
            .filter(|endpoint| endpoint.terminating != Some(true))
            .collect();
        let choice = if running.is_empty() {
            &records
        } else {
            &running
        };
        let first = effect(choice[0]);
        choice.iter().any(|endpoint| effect(endpoint) != first)
    })
}

/// What kube-proxy makes of a record.
fn effect(endpoint: &Endpoint) -> (Option<&str>, bool, bool, bool) {
    (
        endpoint.node,
        endpoint.ready != Some(false),
        endpoint.serving != Some(false),
        endpoint.terminating == Some(true),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interop::kube_proxy::objects::{Hints, NODES, SlicePort, Transport};

    fn record(node: &'static str, terminating: bool) -> Endpoint {
        Endpoint {
            address: IpAddr::from([172, 30, 99, 10]),
            node: Some(node),
            ready: Some(true),
            serving: Some(true),
            terminating: Some(terminating),
            hints: Hints::None,
        }
    }

    fn slice(endpoints: &[Endpoint]) -> Slice {
        Slice {
            name: "service-0-1".to_owned(),
            owner: Some("service-0".to_owned()),
            labels: Vec::new(),
            family: Family::Ipv4Unicast,
            ports: vec![SlicePort {
                name: None,
                transport: Some(Transport::Tcp),
                number: Some(8080),
            }],
            endpoints: endpoints.to_vec(),
        }
    }

    #[test]
    fn only_slices_that_leave_kube_proxy_a_choice_contradict_each_other() {
        let [here, there, _] = NODES;
        let (here_runs, there_runs) = (record(here, false), record(there, false));
        let (here_ends, there_ends) = (record(here, true), record(there, true));
        let check = |slices: &[Slice], expected: bool| {
            let all: Vec<&Slice> = slices.iter().collect();
            assert_eq!(contradictory(&all), expected, "{slices:#?}");
        };
        let one = slice(&[here_runs.clone(), there_runs.clone()]);
        check(&[one], false);
        let [here_runs, there_runs] = [here_runs, there_runs].map(|record| slice(&[record]));
        let [here_ends, there_ends] = [here_ends, there_ends].map(|record| slice(&[record]));
        check(&[here_runs.clone(), there_runs.clone()], true);
        check(&[here_runs.clone(), here_runs.clone()], false);
        check(&[here_ends.clone(), there_runs], false);
        check(&[here_ends, there_ends], true);
        // Another port of the address is another endpoint.
        let mut other_port = slice(&[record(there, false)]);
        other_port.ports[0].number = Some(8081);
        check(&[here_runs, other_port], false);
    }
}
