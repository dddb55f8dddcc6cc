//! Services and slices by chance: a function of the seed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rutter::types::Family;
use serde_json::Value;

use super::addresses::{self, Coverage, Kind, SHARED, SLOTS};
use super::dice::Dice;
use super::lab::{pods_everywhere, pods_of};
use super::objects::{
    Affinity, Endpoint, Hints, Ingress, NODES, Policy, Port, Presence, Service, ServiceType, Slice,
    SlicePort, SourceRanges, Transport,
};
use super::traffic::POD_PORTS;

/// kube-proxy leaves slices with it to DNS.
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// A Node that is not in the API.
const UNKNOWN_NODE: &str = "worker-99";

/// What is in the API, and the dice that change it.
#[derive(Clone, Debug)]
pub(super) struct World {
    dice: Dice,
    /// By slot.
    pub(super) services: BTreeMap<u16, Service>,
    /// By name.
    pub(super) slices: BTreeMap<String, Slice>,
    slices_made: u64,
}

/// One request to the API server, with the object it is about.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Create(Value),
    Replace(Value),
    /// Merges a status.
    Status(Value, Value),
    /// Takes the finalizer away.
    Release(Value),
    Delete(Value),
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            slices_made: 0,
        }
    }

    /// With these, and what creates them.
    pub(super) fn of(services: Vec<Service>, slices: Vec<Slice>) -> (Self, Vec<Vec<Step>>) {
        let mut world = Self::new(0);
        let mut steps = Vec::new();
        for service in services {
            let mut list = vec![Step::Create(service.object())];
            list.extend(status_of(&service));
            steps.push(list);
            world.services.insert(service.slot, service);
        }
        for slice in slices {
            steps.push(vec![Step::Create(slice.object())]);
            world.slices.insert(slice.name.clone(), slice);
        }
        (world, steps)
    }

    /// Changes it, and tells what has to be done to the API server: lists of steps, each list in
    /// its order, the lists in any.
    pub(super) fn round(&mut self) -> Vec<Vec<Step>> {
        let mut steps: Vec<Vec<Step>> = (0..SLOTS).map(|slot| self.slot(slot)).collect();
        self.dice.shuffle(&mut steps);
        steps
    }

    /// The slices of one family that kube-proxy takes for a Service's.
    pub(super) fn slices_of(&self, service: &str, family: Family) -> Vec<&Slice> {
        let slices = self.slices.values().filter(|slice| {
            let labels = slice.labels.iter();
            let headless = labels.clone().any(|(label, _)| *label == HEADLESS_LABEL);
            slice.owner.as_deref() == Some(service) && slice.family == family && !headless
        });
        slices.collect()
    }

    fn slot(&mut self, slot: u16) -> Vec<Step> {
        let Some(service) = self.services.get(&slot).cloned() else {
            return if self.dice.chance(90) {
                self.create(slot)
            } else {
                Vec::new()
            };
        };
        match service.presence {
            Presence::Deleting if self.dice.chance(70) => {
                self.services.remove(&slot);
                let gone = self.remove_slices(&service.name);
                self.dice.mix(vec![Step::Release(service.object())], gone)
            }
            Presence::Deleting => self.change_slices(&service),
            Presence::Stays => match self.dice.below(100) {
                0..12 => {
                    self.services.remove(&slot);
                    let gone = self.remove_slices(&service.name);
                    let object = service.object();
                    self.dice.mix(
                        vec![Step::Delete(object.clone()), Step::Release(object)],
                        gone,
                    )
                }
                12..20 => {
                    let deleting = self.services.get_mut(&slot).expect("it was found");
                    deleting.presence = Presence::Deleting;
                    vec![Step::Delete(service.object())]
                }
                20..65 => self.change(service),
                _ => Vec::new(),
            },
        }
    }

    fn create(&mut self, slot: u16) -> Vec<Step> {
        let dice = &mut self.dice;
        let families = dice.weighted(&[
            (30, vec![Family::Ipv4Unicast]),
            (25, vec![Family::Ipv6Unicast]),
            (25, vec![Family::Ipv4Unicast, Family::Ipv6Unicast]),
            (20, vec![Family::Ipv6Unicast, Family::Ipv4Unicast]),
        ]);
        let coverage = dice.weighted(&[
            (60, Coverage::Alone),
            (35, Coverage::Range),
            (5, Coverage::Nothing),
        ]);
        let cluster_ips = families
            .into_iter()
            .map(|family| addresses::own(Kind::Cluster, coverage, family, slot));
        let mut service = Service {
            name: format!("service-{slot}"),
            slot,
            service_type: dice
                .weighted(&[(95, ServiceType::ClusterIp), (5, ServiceType::Headless)]),
            external_policy: Policy::Cluster,
            internal_policy: Policy::Cluster,
            ports: Vec::new(),
            cluster_ips: cluster_ips.collect(),
            external_ips: Vec::new(),
            ingress: Vec::new(),
            class: dice.pick(&[None, Some("example.com/other")]),
            source_ranges: SourceRanges::Anybody,
            affinity: Affinity::None,
            proxy_name: None,
            presence: Presence::Stays,
        };
        self.shape(&mut service);
        let mut steps = vec![Step::Create(service.object())];
        steps.extend(status_of(&service));
        self.services.insert(slot, service.clone());
        let slices = self.change_slices(&service);
        self.dice.mix(steps, slices)
    }

    fn change(&mut self, mut service: Service) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.dice.chance(60) {
            if self.dice.chance(15) && service.service_type != ServiceType::Headless {
                toggle_second_family(&mut service);
            }
            self.shape(&mut service);
            steps.push(Step::Replace(service.object()));
            steps.extend(status_of(&service));
            self.services.insert(service.slot, service.clone());
        }
        let slices = if steps.is_empty() || self.dice.chance(50) {
            self.change_slices(&service)
        } else {
            Vec::new()
        };
        self.dice.mix(steps, slices)
    }

    /// Decides everything that may be changed of a Service.
    fn shape(&mut self, service: &mut Service) {
        let addresses = self.shared_addresses(service);
        let dice = &mut self.dice;
        match service.service_type {
            ServiceType::ClusterIp
            | ServiceType::NodePort
            | ServiceType::LoadBalancer
            | ServiceType::ExternalName => {
                service.service_type = dice.weighted(&[
                    (34, ServiceType::ClusterIp),
                    (19, ServiceType::NodePort),
                    (44, ServiceType::LoadBalancer),
                    (3, ServiceType::ExternalName),
                ]);
            }
            // Its cluster IP may not be changed.
            ServiceType::Headless => {}
        }
        service.external_policy = dice.pick(&[Policy::Cluster, Policy::Local, Policy::Local]);
        service.internal_policy = dice.pick(&[Policy::Cluster, Policy::Cluster, Policy::Local]);
        if service.ports.is_empty() || dice.chance(30) {
            service.ports = ports(dice, service.slot);
        }
        service.external_ips = some_addresses(dice, Kind::External, service.slot, &addresses);
        let ingress = match service.service_type {
            ServiceType::LoadBalancer => {
                let free: Vec<IpAddr> = addresses
                    .into_iter()
                    .filter(|address| !service.external_ips.contains(address))
                    .collect();
                let mut ingress = some_addresses(dice, Kind::LoadBalancer, service.slot, &free);
                if dice.chance(5) {
                    ingress.extend(service.external_ips.first());
                }
                ingress
            }
            ServiceType::ClusterIp
            | ServiceType::Headless
            | ServiceType::NodePort
            | ServiceType::ExternalName => Vec::new(),
        };
        let ingress = ingress.into_iter().map(|address| Ingress {
            address,
            mode: dice.pick(&[None, Some("VIP"), Some("VIP"), Some("Proxy")]),
        });
        service.ingress = ingress.collect();
        service.source_ranges = dice.weighted(&[
            (70, SourceRanges::Anybody),
            (10, SourceRanges::Client),
            (20, SourceRanges::Others),
        ]);
        service.affinity = dice.weighted(&[(85, Affinity::None), (15, Affinity::ClientIp)]);
        service.proxy_name = dice.weighted(&[(92, None), (5, Some("other-proxy")), (3, Some(""))]);
    }

    /// Those that no other Service has with ports of this one's numbers.
    fn shared_addresses(&self, service: &Service) -> Vec<IpAddr> {
        let others: Vec<&Service> = self
            .services
            .values()
            .filter(|other| other.slot != service.slot && other.slot % 2 == service.slot % 2)
            .collect();
        let free = |address: &IpAddr| {
            !others
                .iter()
                .flat_map(|other| other.addresses())
                .any(|(_, taken)| taken == *address)
        };
        let all = Family::ALL
            .into_iter()
            .flat_map(|family| (0..SHARED).map(move |number| addresses::shared(family, number)));
        all.filter(free).collect()
    }

    fn change_slices(&mut self, service: &Service) -> Vec<Step> {
        let prefix = format!("{}-", service.name);
        let names = self.slices.keys().filter(|name| name.starts_with(&prefix));
        let names: Vec<String> = names.cloned().collect();
        let mut steps = Vec::new();
        let mut present = Vec::new();
        for name in names {
            let slice = self.slices[&name].clone();
            match self.dice.below(10) {
                0..2 => {
                    self.slices.remove(&name);
                    steps.push(Step::Delete(slice.object()));
                }
                2..8 => {
                    let mut new = self.slice(name.clone(), service, slice.family);
                    // kube-proxy never takes a slice from a Service whose name is no longer on it.
                    new.owner = slice.owner;
                    steps.push(Step::Replace(new.object()));
                    present.push(slice.family);
                    self.slices.insert(name, new);
                }
                _ => present.push(slice.family),
            }
        }
        for family in Family::ALL {
            let wanted = self.dice.weighted(&[(8, 0), (60, 1), (25, 2), (7, 3)]);
            let there = present.iter().filter(|other| **other == family).count();
            for _ in there..wanted {
                self.slices_made += 1;
                let name = format!("{prefix}{}", self.slices_made);
                let new = self.slice(name.clone(), service, family);
                steps.push(Step::Create(new.object()));
                self.slices.insert(name, new);
            }
        }
        self.dice.shuffle(&mut steps);
        steps
    }

    fn slice(&mut self, name: String, service: &Service, family: Family) -> Slice {
        let dice = &mut self.dice;
        let other = format!("service-{}", dice.below(SLOTS.into()));
        let owner = dice.weighted(&[
            (94, Some(service.name.clone())),
            (3, Some(other)),
            (3, None),
        ]);
        let labels = dice.weighted(&[
            (94, vec![]),
            (3, vec![(HEADLESS_LABEL, "")]),
            (
                3,
                vec![("service.kubernetes.io/service-proxy-name", "other-proxy")],
            ),
        ]);
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for _ in 0..dice.weighted(&[(10, 0), (40, 1), (30, 2), (20, 3)]) {
            let mut endpoint = endpoint(dice, family);
            let known = endpoints.iter().map(|endpoint| endpoint.address);
            let elsewhere = self.slices.values().filter(|slice| slice.owner == owner);
            let elsewhere = elsewhere.flat_map(|slice| &slice.endpoints);
            let everywhere = pods_everywhere(family);
            let known: Vec<IpAddr> = known
                .chain(elsewhere.map(|endpoint| endpoint.address))
                .filter(|address| everywhere.contains(address))
                .collect();
            // Another record of an endpoint that is known.
            if everywhere.contains(&endpoint.address) && !known.is_empty() && dice.chance(50) {
                endpoint.address = dice.pick(&known);
            }
            endpoints.push(endpoint);
        }
        Slice {
            name,
            owner,
            labels,
            family,
            ports: slice_ports(dice, &service.ports),
            endpoints,
        }
    }

    fn remove_slices(&mut self, service: &str) -> Vec<Step> {
        let prefix = format!("{service}-");
        let (gone, stay) = std::mem::take(&mut self.slices)
            .into_iter()
            .partition(|(name, _)| name.starts_with(&prefix));
        self.slices = stay;
        let gone: BTreeMap<String, Slice> = gone;
        gone.values()
            .map(|slice| Step::Delete(slice.object()))
            .collect()
    }
}

fn status_of(service: &Service) -> Option<Step> {
    let status = service.status()?;
    Some(Step::Status(service.object(), status))
}

/// A Service with two families loses the second, and one with one gets another.
fn toggle_second_family(service: &mut Service) {
    let [only] = service.cluster_ips[..] else {
        service.cluster_ips.truncate(1);
        return;
    };
    let family = match Family::of(only) {
        Family::Ipv4Unicast => Family::Ipv6Unicast,
        Family::Ipv6Unicast => Family::Ipv4Unicast,
    };
    let coverage = Coverage::of(only);
    let second = addresses::own(Kind::Cluster, coverage, family, service.slot);
    service.cluster_ips.push(second);
}

/// Of every second slot they have numbers of their own: those may share addresses.
fn ports(dice: &mut Dice, slot: u16) -> Vec<Port> {
    let first = if slot.is_multiple_of(2) { 80 } else { 443 };
    let transport = |dice: &mut Dice| dice.weighted(&[(80, Transport::Tcp), (20, Transport::Udp)]);
    let count = dice.weighted(&[(55, 1), (30, 2), (15, 3)]);
    if count == 1 {
        return vec![Port {
            name: dice.pick(&["", "http"]),
            transport: transport(dice),
            number: first,
        }];
    }
    let names = ["http", "metrics", "dns"].into_iter().take(count);
    let mut ports: Vec<Port> = names
        .zip(first..)
        .map(|(name, number)| Port {
            name,
            transport: transport(dice),
            number,
        })
        .collect();
    // As DNS has it: one number by both protocols.
    if ports[0].transport != ports[1].transport && dice.chance(50) {
        ports[1].number = first;
    }
    ports
}

/// Addresses of a kind, of either family, whatever families the Service has.
fn some_addresses(dice: &mut Dice, kind: Kind, slot: u16, shared: &[IpAddr]) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for family in Family::ALL {
        let coverage = dice.weighted(&[
            (40, None),
            (38, Some(Coverage::Alone)),
            (18, Some(Coverage::Range)),
            (4, Some(Coverage::Nothing)),
        ]);
        addresses.extend(coverage.map(|coverage| addresses::own(kind, coverage, family, slot)));
        let shared: Vec<IpAddr> = shared
            .iter()
            .copied()
            .filter(|address| Family::of(*address) == family)
            .collect();
        if !shared.is_empty() && dice.chance(8) {
            addresses.push(dice.pick(&shared));
        }
    }
    addresses
}

fn slice_ports(dice: &mut Dice, of: &[Port]) -> Vec<SlicePort> {
    let mut ports: Vec<SlicePort> = Vec::new();
    for port in of {
        let numbers: Vec<u16> = POD_PORTS.collect();
        let mut new = SlicePort {
            name: Some(port.name),
            transport: Some(port.transport),
            number: Some(dice.pick(&numbers)),
        };
        match dice.below(100) {
            0..10 => continue,
            10..15 => new.name = Some("other"),
            15..20 => {
                new.transport = Some(match port.transport {
                    Transport::Tcp => Transport::Udp,
                    Transport::Udp => Transport::Tcp,
                });
            }
            20..24 => new.number = None,
            // What the API server takes absence for.
            24..40 if port.transport == Transport::Tcp => new.transport = None,
            40..60 if port.name.is_empty() => new.name = None,
            _ => {}
        }
        if ports.iter().all(|other| other.name != new.name) {
            ports.push(new);
        }
    }
    ports
}

fn endpoint(dice: &mut Dice, family: Family) -> Endpoint {
    let at = dice.pick(&NODES);
    // What is behind one node only, is on no other: nothing would come back from there.
    let pods = if dice.chance(50) {
        pods_of(at, family)
    } else {
        pods_everywhere(family)
    };
    let address = dice.pick(&pods);
    let node = dice.weighted(&[(80, Some(at)), (8, Some(UNKNOWN_NODE)), (12, None)]);
    let [yes, no] = [Some(true), Some(false)];
    let hints = [
        Hints::Zone("east"),
        Hints::Zone("west"),
        Hints::Node(NODES[0]),
        Hints::Node(UNKNOWN_NODE),
    ];
    Endpoint {
        address,
        node,
        ready: dice.weighted(&[(15, None), (45, yes), (40, no)]),
        serving: dice.weighted(&[(25, None), (50, yes), (25, no)]),
        terminating: dice.weighted(&[(35, None), (35, yes), (30, no)]),
        hints: if dice.chance(30) {
            dice.pick(&hints)
        } else {
            Hints::None
        },
    }
}
