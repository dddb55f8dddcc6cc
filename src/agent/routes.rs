//! What the API tells of candidates: what the policies made of them, and what was sent because of
//! it; and what there is to explain about a prefix or a Service.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::driver::PAGE_ROUTES;
use super::pipeline::Pipeline;
use super::report::Reporter;
use crate::api::{DecisionReport, Explanation, PassedOn, Route, Routes, Sent, ServiceReport};
use crate::candidates::{CandidateKey, addresses};
use crate::facts::{ServiceFacts, ServiceKey};
use crate::speaker::{Advertised, Speaker};
use crate::types::{PeerId, Prefix};

/// A subject that nothing is known about, in words for whoever asked.
pub(super) type Unknown = String;

/// What `explain` is asked about.
enum Subject {
    Prefix(Prefix),
    Service(ServiceKey),
}

impl Reporter {
    /// `/v1/routes`, accepted and rejected ones.
    pub(super) async fn routes(&self, peer: Option<String>) -> anyhow::Result<Routes> {
        let (decided, waiting_for) = self
            .pipeline
            .ask(move |pipeline| {
                let wanted = |name: &str| peer.as_ref().is_none_or(|peer| peer == name);
                let decided = decisions(pipeline, wanted, |_| true);
                (decided, pipeline.waiting_for())
            })
            .await?;
        Ok(Routes {
            routes: self.with_sent(decided).await?,
            waiting_for,
        })
    }

    /// `/v1/explain`.
    pub(super) async fn explain(
        &self,
        subject: &str,
    ) -> anyhow::Result<Result<Explanation, Unknown>> {
        let parsed = match parse_subject(subject) {
            Ok(parsed) => parsed,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let (learned, passed_on) = match parsed {
            Subject::Prefix(prefix) => (self.learned(prefix).await?, self.passed_on(prefix).await?),
            Subject::Service(_) => (Vec::new(), Vec::new()),
        };
        let answer = self
            .pipeline
            .ask(move |pipeline| explain(pipeline, &parsed))
            .await?;
        let explained = match answer {
            Ok(explained) => explained,
            Err(unknown) if learned.is_empty() => return Ok(Err(unknown)),
            Err(_) => Explained::default(),
        };
        let Explained {
            services,
            decided,
            covered_by,
        } = explained;
        Ok(Ok(Explanation {
            subject: subject.to_owned(),
            services,
            routes: self.with_sent(decided).await?,
            covered_by,
            learned,
            passed_on,
        }))
    }

    /// To whom the best of the paths that were learned goes on.
    async fn passed_on(&self, prefix: Prefix) -> anyhow::Result<Vec<PassedOn>> {
        let told = self.speaker.ask(move |speaker| {
            let passed_on = speaker.passed_on(prefix);
            passed_on
                .filter_map(|(peer, advertised)| {
                    Some(PassedOn {
                        peer: speaker.peer_name(peer)?.to_owned(),
                        sent: told(advertised),
                    })
                })
                .collect()
        });
        Ok(told.await?)
    }

    /// Adds what each peer was sent.
    async fn with_sent(&self, decided: Vec<Decided>) -> anyhow::Result<Vec<Route>> {
        let mut routes = Vec::with_capacity(decided.len());
        let mut left = decided.into_iter();
        loop {
            let page: Vec<Decided> = left.by_ref().take(PAGE_ROUTES).collect();
            if page.is_empty() {
                return Ok(routes);
            }
            let told = self.speaker.ask(move |speaker| {
                let route = |decided: Decided| {
                    let sent = sent(speaker, &decided);
                    Route {
                        sent,
                        ..decided.route
                    }
                };
                page.into_iter().map(route).collect::<Vec<_>>()
            });
            routes.extend(told.await?);
        }
    }
}

/// A route of which it is not yet known whether it was sent.
struct Decided {
    peer: PeerId,
    route: Route,
    /// Whether another candidate of the same prefix is announced in its place.
    prefix_announced: bool,
}

/// The pipeline's part of an explanation.
#[derive(Default)]
struct Explained {
    services: Vec<ServiceReport>,
    decided: Vec<Decided>,
    covered_by: Vec<Prefix>,
}

fn parse_subject(subject: &str) -> Result<Subject, Unknown> {
    if let Ok(prefix) = subject.parse() {
        return Ok(Subject::Prefix(prefix));
    }
    match subject.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(Subject::Service(ServiceKey::new(namespace, name)))
        }
        Some(_) | None => Err(format!(
            "`{subject}` is neither a prefix such as 172.16.0.10/32 nor NAMESPACE/SERVICE"
        )),
    }
}

fn explain(pipeline: &Pipeline, subject: &Subject) -> Result<Explained, Unknown> {
    let services = &pipeline.index.view().services;
    let concerned: Vec<&Arc<ServiceFacts>> = match subject {
        Subject::Service(key) => match services.get(key) {
            Some(service) => vec![service],
            None => return Err(format!("there is no Service {key}")),
        },
        Subject::Prefix(prefix) => services
            .values()
            .filter(|service| has_address_in(service, prefix))
            .collect(),
    };
    let is_concerned = |candidate: &CandidateKey| match subject {
        Subject::Service(key) => candidate.origin.service() == Some(key),
        Subject::Prefix(prefix) => candidate.prefix == *prefix,
    };
    let decided = decisions(pipeline, |_| true, is_concerned);
    let prefixes: BTreeSet<Prefix> = match subject {
        Subject::Service(_) => decided.iter().map(|decided| decided.route.prefix).collect(),
        Subject::Prefix(prefix) => BTreeSet::from([*prefix]),
    };
    let covered_by: BTreeSet<Prefix> = pipeline
        .exports
        .candidates()
        .map(|candidate| candidate.key.prefix)
        .filter(|cover| {
            prefixes
                .iter()
                .any(|prefix| cover != prefix && cover.covers(prefix))
        })
        .collect();
    if concerned.is_empty() && decided.is_empty() && covered_by.is_empty() {
        return Err(
            "no Service has this address, no peer announced it, and nothing this node could announce \
             covers it"
                .to_owned(),
        );
    }
    let report = |service: &&Arc<ServiceFacts>| ServiceReport::new(service, &pipeline.candidates);
    Ok(Explained {
        services: concerned.iter().map(report).collect(),
        decided,
        covered_by: covered_by.into_iter().collect(),
    })
}

fn has_address_in(service: &ServiceFacts, prefix: &Prefix) -> bool {
    prefix.is_host() && addresses(service).any(|(_, address)| prefix.contains(address))
}

/// What the chain decided, towards the peers asked about, of the candidates asked about.
fn decisions(
    pipeline: &Pipeline,
    is_peer: impl Fn(&str) -> bool,
    is_candidate: impl Fn(&CandidateKey) -> bool,
) -> Vec<Decided> {
    let mut decided = Vec::new();
    for peer in pipeline
        .config
        .peers
        .iter()
        .filter(|peer| is_peer(&peer.name))
    {
        let Some(id) = pipeline.peering.known_id(peer) else {
            continue;
        };
        let Some(group) = pipeline.peering.group_of(id) else {
            continue;
        };
        let announced: BTreeSet<Prefix> = pipeline
            .exports
            .announced(group)
            .map(|(prefix, _)| *prefix)
            .collect();
        for (key, outcome) in pipeline
            .exports
            .outcomes(group)
            .filter(|(key, _)| is_candidate(key))
        {
            decided.push(Decided {
                peer: id,
                prefix_announced: announced.contains(&key.prefix),
                route: Route {
                    peer: peer.name.clone(),
                    prefix: key.prefix,
                    origin: key.origin.clone(),
                    decision: DecisionReport::new(outcome, &pipeline.exports.steps(group, key)),
                    sent: Sent::Pending,
                },
            });
        }
    }
    decided
}

fn sent(speaker: &Speaker, decided: &Decided) -> Sent {
    let not_sent = |reason: &str| Sent::NotSent {
        reason: reason.to_owned(),
    };
    if !decided.route.decision.accepted {
        return if decided.prefix_announced {
            not_sent("rejected; the prefix is announced for another reason")
        } else {
            not_sent("rejected")
        };
    }
    told(speaker.advertised(decided.peer, decided.route.prefix))
}

/// What a peer has, in the API's words.
fn told(advertised: Advertised<'_>) -> Sent {
    match advertised {
        Advertised::Announced(route) => Sent::Announced {
            next_hop: route.next_hop.address,
        },
        Advertised::Pending => Sent::Pending,
        Advertised::NotSent(reason) => Sent::NotSent {
            reason: reason.to_string(),
        },
    }
}
