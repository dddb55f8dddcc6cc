//! A bench to test exports on: fake policies that record what they are asked and fail to order,
//! short ways to write candidates, and changes as text.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::candidates::{
    AddressKind, AdvertiseConfig, Candidate, CandidateChange, CandidateKey, Origin, serving,
};
use crate::facts::{
    EndpointCounts, FamilyCounts, NodeFacts, ServiceFacts, ServiceKey, ServiceType, StringMap,
    TrafficPolicy,
};
use crate::policy::{
    Audience, Batch, ChainDefault, Decision, ExportChange, Exports, Limits, Link, Mode, NextLink,
    OnError, PeerGroup, PeerGroups, PeerKind, PolicyFailure, RoutePolicy, Verdict,
};
use crate::types::{Asn, Family, GroupId, Prefix, RouteAttributes};

/// What a fake says about one candidate.
pub(super) type Rule = fn(&Batch<'_>, &Candidate) -> Verdict;

/// What a fake does wrong.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Fails whatever it is asked.
    Trap,
    /// Fails when it is asked for this group.
    TrapFor(&'static str),
    /// Leaves out the last decision.
    TooFew,
    /// Accepts everything with these attributes.
    Attributes(RouteAttributes),
}

/// The test's hand on a fake policy that is in a chain.
#[derive(Clone)]
pub(super) struct Fake(Arc<Mutex<Script>>);

struct Script {
    rule: Rule,
    fault: Option<Fault>,
    asked: Vec<String>,
}

impl Fake {
    pub(super) fn new(rule: Rule) -> Self {
        Self(Arc::new(Mutex::new(Script {
            rule,
            fault: None,
            asked: Vec::new(),
        })))
    }

    pub(super) fn fail(&self, fault: impl Into<Option<Fault>>) {
        self.0.lock().unwrap().fault = fault.into();
    }

    pub(super) fn obey(&self, rule: Rule) {
        self.0.lock().unwrap().rule = rule;
    }

    /// The calls since the last look, as `GROUP: PREFIX PREFIX`.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    /// A link that is asked for the groups of these names only.
    pub(super) fn link_for(&self, name: &str, groups: &[&str]) -> Link {
        let names = groups.iter().map(|&name| name.to_owned());
        Link {
            audience: Audience::Only(names.collect()),
            ..self.link(name, OnError::KeepLast)
        }
    }

    pub(super) fn link(&self, name: &str, on_error: OnError) -> Link {
        Link {
            name: name.into(),
            module: format!("fake:{name}"),
            settings: Arc::default(),
            policy: Arc::new(self.clone()),
            on_error,
            limits: Limits::DEFAULT,
            audience: Audience::Everyone,
            mode: Mode::Enforce,
        }
    }

    /// A link in shadow mode.
    pub(super) fn shadow(&self, name: &str) -> Link {
        Link {
            mode: Mode::Shadow,
            ..self.link(name, OnError::Withdraw)
        }
    }
}

impl RoutePolicy for Fake {
    fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Decision>, PolicyFailure> {
        let mut script = self.0.lock().unwrap();
        let routes = batch.candidates.iter();
        let prefixes: Vec<_> = routes
            .clone()
            .map(|route| route.candidate.key.prefix.to_string())
            .collect();
        let group = &batch.peer_group.name;
        script
            .asked
            .push(format!("{group}: {}", prefixes.join(" ")));
        let trap = || Err(PolicyFailure::Trap("unreachable".into()));
        let decide = |verdict: Verdict| Decision {
            verdict,
            reason: Some("by rule".into()),
        };
        let decisions = routes.map(|route| decide((script.rule)(batch, route.candidate)));
        let decisions: Vec<_> = decisions.collect();
        match &script.fault {
            None => Ok(decisions),
            Some(Fault::Trap) => trap(),
            Some(Fault::TrapFor(name)) if name == group => trap(),
            Some(Fault::TrapFor(_)) => Ok(decisions),
            Some(Fault::TooFew) => Ok(decisions[1..].to_vec()),
            Some(Fault::Attributes(attributes)) => {
                let verdict = Verdict::Accept(Some(Arc::new(attributes.clone())));
                Ok(vec![decide(verdict); decisions.len()])
            }
        }
    }
}

pub(super) fn accept(_: &Batch<'_>, _: &Candidate) -> Verdict {
    Verdict::Accept(None)
}

pub(super) fn reject(_: &Batch<'_>, _: &Candidate) -> Verdict {
    Verdict::Reject
}

pub(super) fn abstain(_: &Batch<'_>, _: &Candidate) -> Verdict {
    Verdict::Abstain
}

/// Accepts, with the number of usable endpoints for a MED.
pub(super) fn accept_with_endpoints_as_med(_: &Batch<'_>, candidate: &Candidate) -> Verdict {
    Verdict::Accept(Some(with_med(endpoints(candidate))))
}

/// Accepts what has endpoints, abstains from what is no Service's.
pub(super) fn accept_with_endpoints(_: &Batch<'_>, candidate: &Candidate) -> Verdict {
    match (&candidate.service, endpoints(candidate)) {
        (None, _) => Verdict::Abstain,
        (Some(_), 0) => Verdict::Reject,
        (Some(_), _) => Verdict::Accept(None),
    }
}

/// Usable endpoints of the candidate's own family on this node.
pub(super) fn endpoints(candidate: &Candidate) -> u32 {
    let service = candidate.service.as_ref();
    let family = candidate.key.prefix.family();
    service.map_or(0, |service| service.node_endpoints.of(family).usable())
}

pub(super) fn with_med(med: u32) -> Arc<RouteAttributes> {
    Arc::new(RouteAttributes {
        med: Some(med),
        ..RouteAttributes::default()
    })
}

pub(super) fn pod(prefix: &str) -> Candidate {
    Candidate {
        key: CandidateKey {
            prefix: prefix.parse().unwrap(),
            origin: Origin::PodCidr,
        },
        service: None,
        covered_by: None,
        serving: None,
    }
}

/// The cluster IP `address` of a Local Service with `usable` IPv4 endpoints on this node.
pub(super) fn local(name: &str, address: &str, usable: u32) -> Candidate {
    service(name, address, TrafficPolicy::Local, usable)
}

pub(super) fn service(
    name: &str,
    address: &str,
    external_traffic_policy: TrafficPolicy,
    usable: u32,
) -> Candidate {
    let key = ServiceKey::new("default", name);
    let counts = |ready| FamilyCounts {
        ipv4: EndpointCounts {
            ready,
            ..EndpointCounts::default()
        },
        ..FamilyCounts::default()
    };
    let kind = AddressKind::ClusterIp;
    let address = address.parse().unwrap();
    let facts = ServiceFacts {
        service_type: ServiceType::LoadBalancer,
        external_traffic_policy,
        cluster_ips: vec![address],
        ip_families: Family::ALL.to_vec(),
        node_endpoints: counts(usable),
        // And one on another node.
        cluster_endpoints: counts(usable + 1),
        ..ServiceFacts::named(key.clone())
    };
    served(Candidate {
        key: CandidateKey {
            prefix: Prefix::host(address),
            origin: Origin::ServiceAddress {
                service: key,
                address: kind,
            },
        },
        service: Some(Arc::new(facts)),
        covered_by: None,
        serving: None,
    })
}

/// The candidate, with what follows from its Service's facts.
pub(super) fn served(candidate: Candidate) -> Candidate {
    let Candidate { key, service, .. } = &candidate;
    let service = service.as_ref().zip(key.origin.address_kind());
    let config = AdvertiseConfig::default();
    let serving = service.map(|(it, kind)| serving(it, kind, key.prefix.address(), &config));
    Candidate {
        serving,
        ..candidate
    }
}

pub(super) fn node(label: &str) -> Arc<NodeFacts> {
    Arc::new(NodeFacts {
        name: "worker-1".into(),
        labels: StringMap::from([("label".into(), label.into())]),
        ..NodeFacts::default()
    })
}

pub(super) fn groups(names: &[(u32, &str)]) -> PeerGroups {
    let group = |&(id, name): &(u32, &str)| {
        let group = PeerGroup {
            name: name.into(),
            asn: Asn(64512),
            kind: PeerKind::Ibgp,
            labels: StringMap::new(),
        };
        (GroupId(id), group)
    };
    PeerGroups {
        groups: names.iter().map(group).collect(),
        heirs: BTreeMap::new(),
    }
}

/// Exports towards group 1, `tor`, on a known node, with a clock to wind.
pub(super) struct Bench {
    pub(super) exports: Exports,
    pub(super) now: Instant,
}

#[expect(
    clippy::disallowed_methods,
    reason = "an origin to count test time from"
)]
pub(super) fn origin() -> Instant {
    Instant::now()
}

impl Bench {
    pub(super) fn new(links: Vec<Link>) -> Self {
        let mut exports = Exports::new(Asn(64512));
        let now = origin();
        assert_eq!(exports.set_groups(now, groups(&[(1, "tor")])), []);
        assert_eq!(exports.update(now, Some(node("")), Vec::new()), []);
        assert_eq!(exports.replace_chain(now, links), []);
        Self { exports, now }
    }

    pub(super) fn upsert(
        &mut self,
        candidates: impl IntoIterator<Item = Candidate>,
    ) -> Vec<String> {
        let upserts = candidates.into_iter().map(CandidateChange::Upsert);
        self.update(upserts.collect())
    }

    pub(super) fn remove(&mut self, candidate: &Candidate) -> Vec<String> {
        self.update(vec![CandidateChange::Removed(candidate.key.clone())])
    }

    pub(super) fn update(&mut self, changes: Vec<CandidateChange>) -> Vec<String> {
        text(&self.exports.update(self.now, Some(node("")), changes))
    }

    pub(super) fn set_default(&mut self, default: ChainDefault) -> Vec<String> {
        text(&self.exports.set_default(self.now, default))
    }

    pub(super) fn set_groups(&mut self, names: &[(u32, &str)]) -> Vec<String> {
        text(&self.exports.set_groups(self.now, groups(names)))
    }

    pub(super) fn replace_chain(
        &mut self,
        links: impl IntoIterator<Item = impl Into<NextLink>>,
    ) -> Vec<String> {
        text(&self.exports.replace_chain(self.now, links))
    }

    /// Winds the clock and retries.
    pub(super) fn retry_after(&mut self, pause: Duration) -> Vec<String> {
        self.now += pause;
        text(&self.exports.retry(self.now))
    }

    /// Winds the clock to the time that `retry_at` tells, and retries. Returns the pause.
    pub(super) fn retry_when_due(&mut self) -> (Duration, Vec<String>) {
        let at = self.exports.retry_at().expect("nothing is failing");
        let pause = at - self.now;
        self.now = at;
        (pause, text(&self.exports.retry(at)))
    }

    /// The steps of a candidate towards group 1, as `POLICY VERDICT: REASON`.
    pub(super) fn steps(&self, candidate: &Candidate) -> Vec<String> {
        let steps = self.exports.steps(GroupId(1), &candidate.key);
        let steps = steps.iter().map(|step| {
            let kept = if step.kept { " (kept)" } else { "" };
            let reason = step.reason.as_deref().unwrap_or("no reason");
            format!("{} {}{kept}: {reason}", step.policy, step.verdict)
        });
        steps.collect()
    }

    /// What is announced to group 1.
    pub(super) fn announced(&self) -> Vec<String> {
        let announced = self.exports.announced(GroupId(1));
        announced.map(|(prefix, _)| prefix.to_string()).collect()
    }
}

/// Changes as `GROUP +PREFIX`, with `med=` where there is one, or `GROUP -PREFIX`.
pub(super) fn text(changes: &[ExportChange]) -> Vec<String> {
    let lines = changes.iter().map(|change| {
        let (group, prefix) = (change.group.0, change.prefix);
        match &change.attributes {
            None => format!("{group} -{prefix}"),
            Some(attributes) => match attributes.med {
                Some(med) => format!("{group} +{prefix} med={med}"),
                None => format!("{group} +{prefix}"),
            },
        }
    });
    lines.collect()
}
