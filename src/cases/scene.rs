//! From a file's form to questions: what a case leaves out is filled in, candidates are worked out,
//! and expectations find theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::document::{
    Advertise, Case, Document, Expectation, ExpectedVerdict, Group, Node, RouteKind, Service,
    Settings, UsedPolicy,
};
use super::error::{CaseError, CaseErrors};
use super::fill::{advertise_config, node_facts, service_facts};
use super::lines::{self, Lines};
use crate::candidates::{AdvertiseConfig, Candidate, CandidateKey, Candidates, exclusions};
use crate::facts::{ClusterChange, ClusterView, NodeFacts, ServiceKey};
use crate::policy::{ChainDefault, PeerGroup, PeerKind};
use crate::types::{Asn, Prefix, RouteAttributes};

/// The configuration's own default.
const ASN_DEFAULT: Asn = Asn(64512);

/// Whom routes go to where the file does not say: some router in another AS.
const GROUP_DEFAULT: (&str, Asn) = ("peer", Asn(64513));

/// A file, understood.
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// As the caller called it.
    pub name: String,
    /// What it asks about.
    pub asks: Asks,
    /// The reasons that the policy is known to give.
    pub reasons: Vec<String>,
    /// The chain of the node that was recorded; empty in a file that somebody wrote.
    pub policies: Vec<UsedPolicy>,
    /// How that chain ends.
    pub policy_default: ChainDefault,
    /// The questions, in the order of the file.
    pub scenes: Vec<Scene>,
}

/// What a file asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Its cases.
    Cases,
    /// All candidates, once for each peer group: what a recording asks.
    Everything,
}

/// A question: these candidates, on this node, towards these peers.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The case's name, or that of the group in a file without cases.
    pub name: String,
    /// Where it is in the file.
    pub line: usize,
    /// The policy's settings; absent where nobody wrote any.
    pub settings: Option<Settings>,
    /// The node.
    pub node: Arc<NodeFacts>,
    /// Our own AS.
    pub asn: Asn,
    /// Whom the routes would go to.
    pub peer_group: PeerGroup,
    /// Ordered by key.
    pub candidates: Vec<Candidate>,
    /// What every candidate is proposed with.
    pub proposed: Arc<RouteAttributes>,
    /// What is to be seen.
    pub check: Check,
    /// What the candidates were worked out from.
    pub view: ClusterView,
    /// By which configuration.
    pub advertise: AdvertiseConfig,
}

/// What a scene is judged by.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// The decisions about some candidates.
    Decisions(Vec<ExpectedDecision>),
    /// All decisions, as they were written down before.
    Snapshot,
    /// The module's words when it refuses the settings.
    Refusal(String),
}

/// What should be decided about a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedDecision {
    /// Where it is in the file.
    pub line: usize,
    /// About what.
    pub candidate: CandidateKey,
    /// The answer.
    pub verdict: ExpectedVerdict,
    /// What an accepted route carries.
    pub attributes: Arc<RouteAttributes>,
    /// The policy's words; any where absent.
    pub reason: Option<String>,
}

impl CaseFile {
    /// Reads a file's text. `name` is the file as the operator knows it; errors begin with it.
    ///
    /// # Errors
    /// The first place where the text is not in the form of a [`Document`], or else everything
    /// that is wrong with what it says.
    pub fn parse(name: &str, text: &str) -> Result<Self, CaseErrors> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            CaseErrors::one(CaseError {
                file: name.to_owned(),
                line: lines::line_of(text, offset),
                case: None,
                problem: error.message().replace('\n', ", "),
            })
        })?;
        Self::of(name, document, &Lines::of(text))
    }

    /// What a document means that is no text.
    ///
    /// # Errors
    /// Everything that is wrong with what it says.
    pub fn from_document(name: &str, document: Document) -> Result<Self, CaseErrors> {
        Self::of(name, document, &Lines::default())
    }

    fn of(name: &str, document: Document, lines: &Lines) -> Result<Self, CaseErrors> {
        let Document {
            recorded: _, // is for people
            asn,
            policy_default,
            reasons,
            settings,
            advertise,
            node,
            peer_groups,
            policies,
            services,
            cases,
        } = document;
        let mut reader = Reader {
            file: name,
            lines,
            asn: asn.unwrap_or(ASN_DEFAULT),
            settings,
            advertise,
            node,
            groups: peer_groups,
            services: BTreeMap::new(),
            errors: Vec::new(),
        };
        reader.read_services(services);
        let (asks, scenes) = if cases.is_empty() {
            (Asks::Everything, reader.scene_for_each_group())
        } else {
            (Asks::Cases, reader.scenes(cases))
        };
        CaseErrors::check(reader.errors)?;
        Ok(Self {
            name: name.to_owned(),
            asks,
            reasons,
            policies,
            policy_default,
            scenes,
        })
    }
}

/// What a file says for all of its cases.
struct Reader<'a> {
    file: &'a str,
    lines: &'a Lines,
    asn: Asn,
    settings: Option<Settings>,
    advertise: Advertise,
    node: Node,
    groups: Vec<Group>,
    services: BTreeMap<ServiceKey, Service>,
    errors: Vec<CaseError>,
}

/// Where in a file something is wrong.
#[derive(Clone, Copy)]
struct Place<'a> {
    line: usize,
    case: Option<&'a str>,
}

impl Reader<'_> {
    fn problem(&mut self, place: Place<'_>, problem: String) {
        self.errors.push(CaseError {
            file: self.file.to_owned(),
            line: place.line,
            case: place.case.map(str::to_owned),
            problem,
        });
    }

    fn read_services(&mut self, services: Vec<Service>) {
        for (index, service) in services.into_iter().enumerate() {
            let key = service.name.clone();
            if self.services.insert(key.clone(), service).is_some() {
                let place = Place {
                    line: self.lines.service(index),
                    case: None,
                };
                self.problem(place, format!("{key} is there twice; remove one"));
            }
        }
    }

    /// Whom routes go to in a file that says nothing about it.
    fn groups(&self) -> Vec<Group> {
        if self.groups.is_empty() {
            let (name, asn) = GROUP_DEFAULT;
            vec![Group {
                name: name.to_owned(),
                asn,
                labels: [].into(),
            }]
        } else {
            self.groups.clone()
        }
    }

    fn scene_for_each_group(&self) -> Vec<Scene> {
        let groups = self.groups();
        let Some(first) = groups.first() else {
            return Vec::new();
        };
        let scene = self.scene(1, first, &Case::default());
        // Groups of one name differ in their AS or labels.
        let mut met: BTreeMap<String, usize> = BTreeMap::new();
        let mut name = |group: &Group| {
            let met = met.entry(group.name.clone()).or_default();
            *met += 1;
            match *met {
                1 => format!("towards {}", group.name),
                times => format!("towards {} ({times})", group.name),
            }
        };
        groups
            .iter()
            .map(|group| Scene {
                name: name(group),
                peer_group: peer_group(group, scene.asn),
                ..scene.clone()
            })
            .collect()
    }

    fn scenes(&mut self, cases: Vec<Case>) -> Vec<Scene> {
        let mut names = BTreeSet::new();
        let mut scenes = Vec::new();
        for (index, case) in cases.into_iter().enumerate() {
            let name = case.name.clone();
            let place = Place {
                line: self.lines.case(index),
                case: Some(&name),
            };
            if name.is_empty() || name.contains(char::is_control) {
                let problem = "a case needs a name: one line that says what it shows";
                self.problem(
                    Place {
                        case: None,
                        ..place
                    },
                    problem.to_owned(),
                );
            } else if !names.insert(name.clone()) {
                self.problem(
                    place,
                    "another case has this name; choose another".to_owned(),
                );
            }
            let Some(group) = self.group(&case, place) else {
                continue;
            };
            let mut scene = self.scene(place.line, &group, &case);
            scene.check = match (case.refused, case.expect) {
                (None, None) => Check::Snapshot,
                (Some(words), None) => Check::Refusal(words),
                (None, Some(expected)) => self.decisions(index, place, &scene, expected),
                (Some(_), Some(_)) => {
                    let problem = "settings that are refused lead to no decision: remove refused, \
                                   or expect";
                    self.problem(place, problem.to_owned());
                    continue;
                }
            };
            scenes.push(scene);
        }
        scenes
    }

    fn group(&mut self, case: &Case, place: Place<'_>) -> Option<Group> {
        let groups = self.groups();
        let Some(name) = &case.peer_group else {
            return groups.into_iter().next();
        };
        let found = groups.iter().find(|group| group.name == *name).cloned();
        if found.is_none() {
            let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
            let names = names.join(", ");
            self.problem(
                place,
                format!("no peer group is called {name:?}; there are: {names}"),
            );
        }
        found
    }

    /// To be compared with its snapshot.
    fn scene(&self, line: usize, group: &Group, case: &Case) -> Scene {
        let asn = case.asn.unwrap_or(self.asn);
        let node = Arc::new(node_facts(case.node.clone().or(self.node.clone())));
        let mut services = self.services.clone();
        for service in &case.services {
            let service = match services.remove(&service.name) {
                Some(written) => service.clone().or(written),
                None => service.clone(),
            };
            services.insert(service.name.clone(), service);
        }
        let view = ClusterView {
            node: Some(Arc::clone(&node)),
            services: services
                .into_iter()
                .map(|(key, service)| (key, Arc::new(service_facts(service))))
                .collect(),
        };
        let advertise = advertise_config(case.advertise.clone().or(self.advertise.clone()));
        let mut candidates = Candidates::new(advertise.clone());
        // A Node that appears makes a candidate of everything that can be one.
        candidates.apply(&view, &[ClusterChange::Node]);
        Scene {
            name: case.name.clone(),
            line,
            settings: case.settings.clone().or_else(|| self.settings.clone()),
            node,
            asn,
            peer_group: peer_group(group, asn),
            candidates: candidates.iter().cloned().collect(),
            proposed: Arc::new(case.proposed.clone().into()),
            check: Check::Snapshot,
            view,
            advertise,
        }
    }

    fn decisions(
        &mut self,
        case: usize,
        place: Place<'_>,
        scene: &Scene,
        expected: Vec<Expectation>,
    ) -> Check {
        let mut decisions: Vec<ExpectedDecision> = Vec::new();
        if expected.is_empty() {
            let problem = "expect is empty: list decisions, or remove it for a snapshot of all";
            self.problem(place, problem.to_owned());
        }
        for (index, expectation) in expected.into_iter().enumerate() {
            let place = Place {
                line: self.lines.expectation(case, index),
                ..place
            };
            match decision(place.line, scene, expectation) {
                Ok(decision) if decisions.iter().any(|d| d.candidate == decision.candidate) => {
                    let CandidateKey { prefix, origin } = decision.candidate;
                    self.problem(place, format!("{prefix}, {origin}, is expected twice"));
                }
                Ok(decision) => decisions.push(decision),
                Err(problem) => self.problem(place, problem),
            }
        }
        Check::Decisions(decisions)
    }
}

/// An expectation about the candidate it means.
fn decision(
    line: usize,
    scene: &Scene,
    expectation: Expectation,
) -> Result<ExpectedDecision, String> {
    let Expectation {
        prefix,
        route,
        service,
        verdict,
        attributes,
        reason,
    } = expectation;
    let meant = |candidate: &&Candidate| {
        let CandidateKey { prefix: of, origin } = &candidate.key;
        *of == prefix
            && route.is_none_or(|route| route == RouteKind::from(origin))
            && (service.is_none() || service.as_ref() == origin.service())
    };
    let found: Vec<&Candidate> = scene.candidates.iter().filter(meant).collect();
    let candidate = match found.as_slice() {
        [candidate] => candidate.key.clone(),
        [] => return Err(no_candidate(scene, prefix)),
        several => {
            let origins: Vec<_> = several.iter().map(|c| c.key.origin.to_string()).collect();
            let origins = origins.join("; ");
            return Err(format!(
                "{prefix} is a candidate for several reasons; say which by route or service: \
                 {origins}"
            ));
        }
    };
    let attributes = match (verdict, attributes) {
        (ExpectedVerdict::Accept, Some(attributes)) => Arc::new(attributes.into()),
        (_, None) => Arc::clone(&scene.proposed),
        (ExpectedVerdict::Reject | ExpectedVerdict::Abstain, Some(_)) => {
            return Err("only an accepted route has attributes: remove them".to_owned());
        }
    };
    Ok(ExpectedDecision {
        line,
        candidate,
        verdict,
        attributes,
        reason,
    })
}

/// Why nothing can be expected of a prefix.
fn no_candidate(scene: &Scene, prefix: Prefix) -> String {
    let services = scene.view.services.values();
    let excluded = services.flat_map(|service| {
        let of = exclusions(service, &scene.advertise).into_iter();
        of.map(move |excluded| (&service.key, excluded))
    });
    let reasons: Vec<String> = excluded
        .filter(|(_, (address, _, _))| Prefix::host(*address) == prefix)
        .map(|(service, (_, kind, reason))| format!("{kind} IP of {service}: {reason}"))
        .collect();
    if reasons.is_empty() {
        format!(
            "{prefix} is no candidate of the kind: no Service has the address, and neither the \
             node's pod CIDRs nor the ranges of advertise have the prefix"
        )
    } else {
        format!("{prefix} is no candidate: {}", reasons.join("; "))
    }
}

fn peer_group(group: &Group, asn: Asn) -> PeerGroup {
    let Group {
        name,
        asn: theirs,
        labels,
    } = group.clone();
    PeerGroup {
        name,
        asn: theirs,
        kind: if theirs == asn {
            PeerKind::Ibgp
        } else {
            PeerKind::Ebgp
        },
        labels,
    }
}
